//! Format, lint, tests, documentation: what cargo itself runs.

use std::path::PathBuf;

use crate::coverage::Coverage;
use crate::failure::Result;
use crate::journal::Outcome;
use crate::process;
use crate::scratch::Scratch;
use crate::setup::Installed;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{circles, citations, counts, durability, lockfiles, prereleases};

/// Packages with tests that need foreign peers, in Python or Debian's, and are therefore `#[ignore]`d.
const INTEROP: &[&str] = &[
    "certadm-ese",
    "certadm-auth",
    "certadm-kerberos",
    "certadm-client",
    "certadm-repository",
    "certadm-server",
    "certadm-set",
    "certadm",
];

/// Where the interop tests find the interpreter with the Python peers.
const PYTHON_VARIABLE: &str = "CERTADM_PYTHON";

/// Where tests of other packages find the command. Without it each of them has cargo build it.
pub(crate) const COMMAND_VARIABLE: &str = "CERTADM_BIN";

/// Whether to change badly formatted files or to object to them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Formatting {
    InPlace,
    Check,
}

/// rustfmt over both workspaces.
pub(crate) fn format(workspace: &Workspace, how: Formatting) -> Result<()> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut cargo = workspace.cargo(&["fmt", "--all", "--manifest-path", manifest]);
        if how == Formatting::Check {
            cargo.arg("--check");
        }
        process::run(&mut cargo)?;
    }
    Ok(())
}

/// The rules of this repository that clippy does not know, then clippy over every target, with warnings as errors.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    lockfiles::fetch(workspace)?;
    durability::check(workspace)?;
    circles::check(workspace)?;
    citations::check(workspace)?;
    prereleases::check(workspace)?;
    workspace.run_cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// How the tests are run.
pub(crate) struct Runs<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) installed: &'a Installed,
    /// Where the tests make their folders.
    pub(crate) scratch: &'a Scratch,
    /// Counts the lines that they reach; nothing when its tools could not be installed.
    pub(crate) coverage: Option<&'a Coverage>,
}

/// Every test of the workspace that needs no peer: unit tests, integration tests, doc tests.
pub(crate) fn test(how: &Runs<'_>) -> Result<Outcome> {
    let runs: &[&[&str]] = if how.installed.nextest {
        &[
            &["nextest", "run", "--locked", "--workspace", "--no-fail-fast"],
            &["test", "--locked", "--workspace", "--no-fail-fast", "--doc"],
        ]
    } else {
        &[&["test", "--locked", "--workspace", "--no-fail-fast"]]
    };
    let (mut total, mut all_ended) = (Tally::default(), Ok(()));
    for arguments in runs {
        let (tally, ended) = count(how, arguments)?;
        total += tally;
        all_ended = all_ended.and(ended);
    }
    Ok((total, all_ended))
}

/// The tests that [`test()`] skipped because they need foreign peers.
pub(crate) fn interop(how: &Runs<'_>) -> Result<Outcome> {
    let packages: Vec<&str> = INTEROP.iter().copied().filter(|package| how.workspace.has(package)).collect();
    if packages.is_empty() {
        println!("none of {} is here", INTEROP.join(", "));
        return Ok((Tally::default(), Ok(())));
    }
    let mut arguments = vec!["test", "--locked", "--no-fail-fast", "--tests"];
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    arguments.extend(["--", "--ignored"]);
    count(how, &arguments)
}

/// rustdoc over the workspace, with warnings, such as links that lead nowhere, as errors.
pub(crate) fn documentation(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    process::run(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The command as the tests' own build makes it.
pub(crate) fn command(workspace: &Workspace) -> PathBuf {
    workspace.target().join("debug/certadm")
}

/// Runs tests. Cargo makes the command, for the tests of its own package, before any test begins.
fn count(how: &Runs<'_>, arguments: &[&str]) -> Result<Outcome> {
    let mut cargo = how.workspace.cargo(arguments);
    cargo.env(COMMAND_VARIABLE, command(how.workspace)).env(counts::VARIABLE, counts::path(how.workspace));
    how.scratch.give_to(&mut cargo);
    if let Some(python) = &how.installed.python {
        cargo.env(PYTHON_VARIABLE, python);
    }
    if let Some(coverage) = how.coverage {
        coverage.instrument(&mut cargo);
    }
    process::count(&mut cargo)
}
