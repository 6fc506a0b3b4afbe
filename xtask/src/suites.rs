//! Format, lint, tests, documentation: what cargo itself runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::coverage::Coverage;
use crate::failure::Result;
use crate::journal::Outcome;
use crate::process;
use crate::setup::Installed;
use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{circles, citations, counts, durability, lockfiles, prereleases};

/// The `#[ignore]`d tests that need no foreign peer: those under Wine are a step of their own, and one repeats a case by hand.
const NOT_INTEROP: [&str; 2] = ["windows::", "store_faults::one_case"];

/// Where the interop tests find the interpreter with the Python peers.
const PYTHON_VARIABLE: &str = "CERTADM_PYTHON";

/// Where the interop tests find Azurite.
const AZURITE_VARIABLE: &str = "CERTADM_AZURITE";

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
    /// Counts the lines that they reach; nothing when its tools could not be installed.
    pub(crate) coverage: Option<&'a Coverage>,
}

/// Tests at a time for each processor. Most tests wait for the disk, or for a peer, more than they compute.
const TESTS_A_PROCESSOR: usize = 2;

/// nextest over every test, so many at a time, to the end whatever fails.
fn nextest() -> Vec<String> {
    let at_a_time = TESTS_A_PROCESSOR * std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    ["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--test-threads"]
        .map(str::to_owned)
        .into_iter()
        .chain([at_a_time.to_string()])
        .collect()
}

/// Every test of the workspace that needs no peer: unit tests, integration tests, doc tests.
pub(crate) fn test(how: &Runs<'_>) -> Result<Outcome> {
    let cargo_test = ["test", "--locked", "--workspace", "--no-fail-fast"].map(str::to_owned);
    let runs = if how.installed.nextest {
        vec![nextest(), [&cargo_test[..], &["--doc".to_owned()]].concat()]
    } else {
        vec![cargo_test.to_vec()]
    };
    let (mut total, mut all_ended) = (Tally::default(), Ok(()));
    for arguments in runs {
        let (tally, ended) = count(how, &arguments)?;
        total += tally;
        all_ended = all_ended.and(ended);
    }
    Ok((total, all_ended))
}

/// The tests that [`test()`] skipped because they need foreign peers: every ignored one but [`NOT_INTEROP`], so that none is
/// forgotten. The whole workspace, so that nothing is built again with other features than before.
pub(crate) fn interop(how: &Runs<'_>) -> Result<Outcome> {
    let arguments = if how.installed.nextest {
        let but = NOT_INTEROP.map(|name| format!("not test({name})")).join(" and ");
        [nextest(), ["--run-ignored", "only", "-E", &but].map(str::to_owned).to_vec()].concat()
    } else {
        let words = ["test", "--locked", "--no-fail-fast", "--workspace", "--tests", "--", "--ignored"];
        let skip = NOT_INTEROP.iter().flat_map(|name| ["--skip", name]);
        words.into_iter().chain(skip).map(str::to_owned).collect()
    };
    let (mut tally, ended) = count(how, &arguments)?;
    // Those that the step of tests ran.
    tally.skipped = 0;
    Ok((tally, ended))
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
fn count(how: &Runs<'_>, arguments: &[String]) -> Result<Outcome> {
    let mut cargo = how.workspace.cargo(&[]);
    cargo.args(arguments);
    cargo.env(COMMAND_VARIABLE, command(how.workspace)).env(counts::VARIABLE, counts::path(how.workspace));
    if let Some(python) = &how.installed.python {
        cargo.env(PYTHON_VARIABLE, python);
    }
    if let Some(azurite) = &how.installed.azurite {
        cargo.env(AZURITE_VARIABLE, azurite);
    }
    if let Some(coverage) = how.coverage {
        coverage.instrument(&mut cargo);
    }
    process::count(&mut cargo)
}
