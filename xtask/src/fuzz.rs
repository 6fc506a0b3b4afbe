//! The fuzzer: built with instrumentation by the pinned stable toolchain, run for some time on each target.
//!
//! libFuzzer is driven directly. cargo-fuzz would do the same with the same flags, but takes a minute to build and
//! prefers a nightly compiler. The sanitizer and the options of single packages are unstable, which `RUSTC_BOOTSTRAP`
//! allows.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::failure::{Context, Failure, Result};
use crate::journal::Outcome;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{counts, lockfiles, process};

/// How long `cargo xtask fuzz` takes for each target unless somebody says otherwise.
pub(crate) const DEFAULT: Until = Until::Seconds(30);

/// How long the test command fuzzes each target unless somebody says otherwise: it looks for what a change broke at once;
/// `cargo xtask fuzz` looks longer.
pub(crate) const SMOKE: Until = Until::Seconds(5);

/// The most targets at a time: together they may use what [`LIMITS`] gives one of them, times this.
const MOST_AT_A_TIME: usize = 4;

/// Compiler options of the smoke, for our crates alone: edge counters, and the operands of comparisons, so that the fuzzer finds
/// magic numbers. Libraries with them would take minutes longer to build, and an input longer to run.
const SMOKE_FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// Compiler option of the smoke, for every crate: the address sanitizer, which sees bad accesses of SQLite and lets libFuzzer see
/// every allocation.
const SANITIZER: &str = "-Zsanitizer=address";

/// Compiler options of a long run, for our crates alone: edge counters. Of all that the smoke's options cost, a script's
/// targets spent most in what libFuzzer does with the counters and comparisons of cryptography and SQLite.
const LONG_FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
];

/// libFuzzer options: ten seconds for one input are a hang, and no input of a few kilobytes is worth an allocation of
/// 64 MiB or a process of 1 GiB (ARCHITECTURE.md, invariant 7).
const LIMITS: &[&str] = &["-timeout=10", "-malloc_limit_mb=64", "-rss_limit_mb=1024", "-detect_leaks=0"];

/// When a target has been fuzzed enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// After so many seconds.
    Seconds(u32),
    /// After so many inputs, however long that takes.
    Inputs(u64),
}

impl Until {
    /// Reads what somebody typed: `60` are seconds, `10000000x` inputs.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let read = match text.strip_suffix('x') {
            Some(inputs) => inputs.parse().ok().filter(|inputs| 0 < *inputs).map(Self::Inputs),
            None => text.parse().ok().filter(|seconds| 0 < *seconds).map(Self::Seconds),
        };
        read.ok_or_else(|| {
            Failure::new(format!("`{text}` is no number of seconds, and no number of inputs such as 1000x"))
        })
    }

    /// libFuzzer's option. It ends when more whole seconds have passed than it was told, so one less is what is wanted; nothing is
    /// no limit to it.
    fn option(self) -> String {
        match self {
            Self::Seconds(seconds) => format!("-max_total_time={}", seconds.saturating_sub(1).max(1)),
            Self::Inputs(inputs) => format!("-runs={inputs}"),
        }
    }
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "for {seconds} s"),
            Self::Inputs(inputs) => write!(f, "with {inputs} inputs"),
        }
    }
}

/// Fuzzes every target, or the one named.
pub(crate) fn run(workspace: &Workspace, until: Until, only: Option<&str>) -> Result<()> {
    let mut targets = targets(workspace)?;
    if let Some(name) = only {
        targets.retain(|target| target == name);
        if targets.is_empty() {
            return Err(Failure::new(format!("`{name}` is no target: fuzz/seeds has no such folder")));
        }
    }
    let fuzzer = build(workspace, Build::Long)?;
    all(workspace, &fuzzer, &targets, until).1
}

/// Fuzzes every target, each of which counts as one test.
pub(crate) fn smoke(workspace: &Workspace, until: Until) -> Result<Outcome> {
    let targets = targets(workspace)?;
    let fuzzer = build(workspace, Build::Smoke)?;
    Ok(all(workspace, &fuzzer, &targets, until))
}

/// Fuzzes the targets, one a core at a time, and names the first that failed. A failure keeps no other target from running.
fn all(workspace: &Workspace, fuzzer: &Fuzzer, targets: &[String], until: Until) -> Outcome {
    let at_a_time = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_AT_A_TIME);
    println!("fuzzing {} targets {until} each, {at_a_time} at a time", targets.len());
    let waiting = Mutex::new(targets.iter());
    let outcome = Mutex::new((Tally::default(), Ok(())));
    let work = || {
        loop {
            let next = lock(&waiting).next();
            let Some(target) = next else { return };
            let ended = fuzz(workspace, fuzzer, target, until);
            let mut outcome = lock(&outcome);
            outcome.0 += if ended.is_ok() { Tally::ONE_PASSED } else { Tally::ONE_FAILED };
            match (&outcome.1, ended) {
                (Ok(()), ended) => outcome.1 = ended,
                // The step ends with the first failure's text; the others are told here.
                (Err(_), Err(failure)) => eprintln!("error: {failure}"),
                (Err(_), Ok(())) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(work);
        }
    });
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What a lock protects; nobody panics while holding one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of all targets: the folders of `fuzz/seeds`. A test of the oracles sees to it that they agree.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(workspace.path("fuzz/seeds")).context("cannot list fuzz/seeds")? {
        let entry = entry.context("cannot list fuzz/seeds")?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// How to build the fuzzer; `fuzz/Cargo.toml` says what the profiles are.
#[derive(Clone, Copy)]
enum Build {
    /// Soon ready, for seconds of fuzzing; sees which of our lines an input reaches, and every bad access.
    Smoke,
    /// At full speed, which takes minutes longer to build; sees which of our lines an input reaches.
    Long,
}

impl Build {
    const fn profile(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Long => "long",
        }
    }

    /// The folder of what it finds interesting. The smoke does not read what a long run has found: it is many
    /// times slower, and would be at that for minutes.
    const fn corpus(self) -> &'static str {
        match self {
            Self::Smoke => "corpus",
            Self::Long => "corpus-long",
        }
    }

    /// The folders of the inputs that it begins with, beside its corpus.
    const fn begins_with(self) -> &'static [&'static str] {
        match self {
            Self::Smoke => &["seeds", "regressions"],
            Self::Long => &["seeds", "regressions", "corpus"],
        }
    }
}

/// A fuzzer that is built.
struct Fuzzer {
    program: PathBuf,
    build: Build,
}

/// Builds the fuzzer.
///
/// It gets a target folder of its own, and `--target`, so that build scripts are not instrumented.
fn build(workspace: &Workspace, build: Build) -> Result<Fuzzer> {
    let folder = workspace.target().join("fuzz");
    let host = host(workspace)?;
    let mut cargo = workspace.cargo(&[
        "build",
        "--locked",
        "--profile",
        build.profile(),
        "--manifest-path",
        "fuzz/Cargo.toml",
    ]);
    cargo
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTC_BOOTSTRAP", "1");
    let flags = match build {
        Build::Smoke => {
            cargo.env("RUSTFLAGS", SANITIZER);
            SMOKE_FLAGS
        }
        Build::Long => LONG_FLAGS,
    };
    cargo.arg("-Zprofile-rustflags");
    for package in ours(workspace)? {
        let key = format!("profile.{}.package.{package}.rustflags", build.profile());
        cargo.arg("--config").arg(format!("{key}={flags:?}"));
    }
    process::run(&mut cargo)?;
    Ok(Fuzzer { program: folder.join(host).join(build.profile()).join("certadm-fuzz"), build })
}

/// Our packages in the fuzzer, but for the fuzzer itself.
fn ours(workspace: &Workspace) -> Result<Vec<String>> {
    let locked = lockfiles::packages(&workspace.read("fuzz/Cargo.lock")?);
    let names = locked.context("cannot understand fuzz/Cargo.lock")?.into_iter().map(|package| package.name);
    Ok(names.filter(|name| name.starts_with("certadm-") && name != "certadm-fuzz").collect())
}

/// The triple of this machine, such as `x86_64-unknown-linux-gnu`.
fn host(workspace: &Workspace) -> Result<String> {
    let version = process::output(&mut workspace.cargo(&["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`cargo --version --verbose` names no host"))
}

/// Fuzzes one target. What it finds interesting goes to the build's corpus, what breaks it to `fuzz/artifacts`.
fn fuzz(workspace: &Workspace, fuzzer: &Fuzzer, target: &str, until: Until) -> Result<()> {
    let folder = |kind: &str| workspace.path("fuzz").join(kind).join(target);
    let (corpus, artifacts) = (folder(fuzzer.build.corpus()), folder("artifacts"));
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).context(format_args!("cannot create {}", folder.display()))?;
    }
    let mut command = Command::new(&fuzzer.program);
    command
        .args(LIMITS)
        .args(["-verbosity=0", "-print_final_stats=1", &until.option()])
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(&corpus)
        .args(fuzzer.build.begins_with().iter().map(|kind| folder(kind)).filter(|folder| folder.is_dir()))
        .env("CERTADM_FUZZ_TARGET", target)
        .env("ASAN_OPTIONS", "detect_leaks=0");
    let began = Instant::now();
    let (output, ended) = process::capture(&mut command)?;
    if ended.is_ok() {
        let inputs = executed(&output);
        println!("fuzz {target}: {} inputs in {} s", inputs.unwrap_or("some"), began.elapsed().as_secs());
        return match inputs.and_then(|inputs| inputs.parse().ok()) {
            Some(number) => counts::add(workspace, "fuzz executions", number),
            None => Ok(()),
        };
    }
    eprint!("{output}");
    Err(Failure::new(format!(
        "fuzz target {target} broke a promise; the input is in {} (the last `Test unit written to` above names it): \
         move it to fuzz/regressions/{target}/ under the name of the bug, so that `cargo test -p \
         certadm-fuzz-oracles` replays it, then fix the bug",
        artifacts.display()
    )))
}

/// The number of inputs tried, from libFuzzer's closing statistics.
fn executed(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_inputs_are_positive_numbers() {
        assert_eq!(Until::read("7").unwrap(), Until::Seconds(7));
        assert_eq!(Until::read("10000000x").unwrap(), Until::Inputs(10_000_000));
        for bad in ["0", "", "-1", "5s", "1.5", "x", "0x", "-1x"] {
            assert!(Until::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_the_statistics() {
        let output =
            "Done 12 runs\nstat::number_of_executed_units: 1234567\nstat::average_exec_per_sec:     5\n";
        assert_eq!(executed(output), Some("1234567"));
        assert_eq!(executed("INFO: nothing"), None);
    }
}
