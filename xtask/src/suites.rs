//! Format, lint, tests, documentation: what cargo itself runs.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::coverage::Coverage;
use crate::failure::Result;
use crate::journal::Outcome;
use crate::process::{self, Beside};
use crate::setup::Installed;
use crate::workspace::Workspace;
use crate::{circles, citations, counts, durability, lockfiles, places, prereleases};

/// The `#[ignore]`d tests that are run elsewhere, as libtest finds them: those under Wine are a step of their own, and one repeats a
/// case by hand.
const ELSEWHERE: [&str; 2] = ["windows::", "store_faults::one_case"];

/// All others, for nextest, which cannot tell ignored tests from others: elsewhere, too, tests have `windows::` in their names.
const HERE: &str =
    "not (package(certadm-ffi) and test(/^windows::/)) and not test(/^store_faults::one_case/)";

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
    places::check(workspace)?;
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

/// nextest over every test that is [`HERE`], so many at a time, to the end whatever fails. `.config/nextest.toml` says which come first.
fn nextest() -> Vec<String> {
    let at_a_time = TESTS_A_PROCESSOR * std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let at_a_time = at_a_time.to_string();
    ["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--run-ignored", "all"]
        .into_iter()
        .chain(["--test-threads", &at_a_time, "-E", HERE])
        .map(str::to_owned)
        .collect()
}

/// Every test of the workspace but [`ELSEWHERE`]: unit tests, integration tests, those with foreign peers, doc tests. The tests with
/// peers wait more than they compute: among the others they cost least. The whole workspace, so that nothing is built twice with
/// different features.
pub(crate) fn test(how: &Runs<'_>) -> Result<Outcome> {
    let all = ["test", "--locked", "--workspace", "--no-fail-fast"];
    if how.installed.nextest {
        let doc = [&all[..], &["--doc"]].concat();
        return Ok(joined(count(how, &nextest())?, count(how, &doc)?));
    }
    let skip = ELSEWHERE.iter().flat_map(|name| ["--skip", *name]);
    let with_peers: Vec<&str> =
        all.iter().copied().chain(["--tests", "--", "--ignored"]).chain(skip).collect();
    let (mut total, ended) = count(how, &all)?;
    let (mut tally, also_ended) = count(how, &with_peers)?;
    // The first run has skipped them, and the others that stay skipped.
    total.skipped = total.skipped.saturating_sub(tally.run());
    tally.skipped = 0;
    Ok(joined((total, ended), (tally, also_ended)))
}

/// Two outcomes as one; the first failure is the one that is told.
fn joined((mut total, ended): Outcome, (tally, also_ended): Outcome) -> Outcome {
    total += tally;
    (total, ended.and(also_ended))
}

/// rustdoc over the workspace, beside its caller, with warnings, such as links that lead nowhere, as errors.
pub(crate) fn documentation(workspace: &Workspace) -> Result<Beside> {
    let mut cargo = workspace.cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    Beside::start(cargo.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The command as the tests' own build makes it.
pub(crate) fn command(workspace: &Workspace) -> PathBuf {
    workspace.target().join("debug/certadm")
}

/// Runs tests. Cargo makes the command, for the tests of its own package, before any test begins.
fn count<S: AsRef<OsStr>>(how: &Runs<'_>, arguments: &[S]) -> Result<Outcome> {
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
