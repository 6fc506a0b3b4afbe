//! `cargo xtask`: the one test command, and the few other chores of this repository.
//!
//! [`mod@test`] is the table of contents: every step of the test command in its order. The other modules hold one concern
//! each. Nothing here knows how a test works; it only runs the tools and counts what they say.

mod circles;
mod citations;
mod counts;
mod coverage;
mod cross;
mod deny;
mod durability;
mod failure;
mod fuzz;
mod install;
mod journal;
mod library;
mod licences;
mod loader;
mod lockfiles;
mod package;
mod places;
mod prereleases;
mod process;
mod setup;
mod soak;
mod spdx;
mod suites;
mod tally;
mod test;
mod tools;
mod tree;
mod windows;
mod workspace;

use std::process::ExitCode;

use failure::Result;
use workspace::Workspace;

const HELP: &str = "\
usage: cargo xtask <verb>

  test                     set-up, format, lint, licences, every test, Windows, fuzz smoke, documentation; a
                           step that fails does not keep the later ones from running, but for the set-up
  setup                    only the set-up: look for what the suites need, install what is missing
  fmt                      format everything in place
  lint                     circles, citations and the other rules of this repository, then clippy with warnings as errors
  coverage                 only the tests and the lines of each crate that they reach
  fuzz [SECONDS [TARGET]]  fuzz every target, or one, for so long each (30 s); `10000000x`: with so many inputs
  soak [PERCENT]           the random tests of repositories in their full counts, which take hours; or so many percent
  lock                     bring fuzz/Cargo.lock in line with Cargo.lock
  install --prefix DIR     command, C library, header, manual pages, completions and unit; --profile dev: a debug build;
                           --debug-symbols: what debuggers need, in files beside command and library
  windows [--profile dev]  library and command for Windows in target/windows/certadm, tried out under Wine
  package [--try|--twice]  what is handed out, in target/package/out: packages for Debian and RPM, a static command, an image,
                           an archive for Windows, a bill of materials, checksums; --try: use all of it, install, upgrade and
                           remove the packages in a fresh Debian in a folder, as root; --twice: build it twice and compare
  bench [ARGUMENT]...      run the benchmarks (release build), with these arguments
  help                     this text

environment of `test`:

  CERTADM_FUZZ_SECONDS=N   seconds for each fuzz target (5)
  CERTADM_C_LOOPS=N        backups that a C program begins and ends one after the other (10000)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    if matches!(words, [] | ["help" | "--help" | "-h"]) {
        print!("{HELP}");
        return Ok(if words.is_empty() { usage() } else { ExitCode::SUCCESS });
    }
    let workspace = Workspace::load()?;
    match words {
        ["test"] => return test::run(&workspace),
        ["coverage"] => return test::coverage(&workspace),
        ["setup"] => drop(setup::run(&workspace)?),
        ["fmt"] => suites::format(&workspace, suites::Formatting::InPlace)?,
        ["lint"] => suites::lint(&workspace)?,
        ["lock"] => lockfiles::align(&workspace)?,
        ["fuzz"] => fuzz::run(&workspace, fuzz::DEFAULT, None)?,
        ["fuzz", until] => fuzz::run(&workspace, fuzz::Until::read(until)?, None)?,
        ["fuzz", until, target] => fuzz::run(&workspace, fuzz::Until::read(until)?, Some(target))?,
        ["soak"] => soak::run(&workspace, 100)?,
        ["soak", percent] => match percent.parse() {
            Ok(percent) => soak::run(&workspace, percent)?,
            Err(_) => return Ok(usage()),
        },
        ["install", arguments @ ..] => match install::Wish::read(arguments) {
            Ok(wish) => install::run(&workspace, &wish)?,
            Err(failure) => {
                eprint!("error: {failure}\n\n{HELP}");
                return Ok(usage());
            }
        },
        ["windows"] => return Ok(windows::alone(&workspace, windows::Build::Release)),
        ["windows", "--profile", "dev"] => return Ok(windows::alone(&workspace, windows::Build::Quick)),
        ["package"] => package::run(&workspace, false)?,
        ["package", "--try"] => package::run(&workspace, true)?,
        ["package", "--twice"] => package::twice(&workspace)?,
        ["bench", arguments @ ..] => {
            let mut cargo = workspace.cargo(&["run", "--release", "--package", "certadm-bench", "--"]);
            process::run(cargo.args(arguments))?;
        }
        _ => {
            eprint!("error: `{}` is no verb of this command\n\n{HELP}", words.join(" "));
            return Ok(usage());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit status for a command line that makes no sense.
fn usage() -> ExitCode {
    ExitCode::from(2)
}
