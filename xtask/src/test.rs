//! The test command, step by step.

use std::process::ExitCode;

use crate::coverage::Coverage;
use crate::failure::{Failure, Result};
use crate::journal::Journal;
use crate::suites::Runs;
use crate::workspace::Workspace;
use crate::{counts, deny, fuzz, licences, setup, suites, windows};

/// Runs every step, whether those before it failed or not; only a failed set-up ends the run, and without their peers the
/// tests do not run. The last line printed is `N passed, N failed`, and `, N skipped` when there are some; format, lint, licences, cargo-deny, advisories,
/// documentation and each fuzz target count as one test each.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let fuzz_until = match std::env::var("CERTADM_FUZZ_SECONDS") {
        Ok(text) => fuzz::Until::read(&text)?,
        Err(_) => fuzz::SMOKE,
    };
    counts::begin(workspace)?;
    let mut journal = Journal::default();
    let mut ran_later = 0;
    let mut proven = Vec::new();
    if journal.prepare("set-up", || setup::for_building(workspace)).is_some() {
        // Much of lint's time goes into crates that others wait for, with a processor free. What works beside it has a target folder
        // of its own.
        let peers = setup::beside();
        let deny = deny::beside(workspace);
        let windows = windows::beside();
        journal.check("format", || suites::format(workspace, suites::Formatting::Check));
        journal.check("lint", || suites::lint(workspace));
        journal.check("licences", || licences::check(workspace));
        journal.check("cargo-deny", || {
            deny.map_or(Ok(()), |installing| installing?.join()?.1)?;
            deny::check(workspace)
        });
        journal.step("advisories", || deny::advisories(workspace));
        let installed = journal.prepare("peers", || {
            let (_, ended) = peers?.join()?;
            ended.and_then(|()| setup::run(workspace))
        });
        if let Some(installed) = installed {
            let how = Runs { workspace, installed: &installed, coverage: None };
            journal.step("tests", || suites::test(&how));
        }
        journal.step("windows", || {
            let (tally, ended) = windows?.join()?;
            ran_later += tally.run();
            Ok((tally, ended))
        });
        // Beside the building of the fuzzer, in another target folder.
        let documentation = suites::documentation(workspace);
        journal.step("fuzz smoke", || fuzz::smoke(workspace, fuzz_until));
        journal.check("documentation", || documentation?.join()?.1);
    }
    proven.splice(..0, counts::summary(workspace));
    Ok(journal.close(ran_later, &proven))
}

/// The tests of [`run`] but for those under Wine, and the lines that they reach.
pub(crate) fn coverage(workspace: &Workspace) -> Result<ExitCode> {
    let mut journal = Journal::default();
    let mut proven = Vec::new();
    if let Some(installed) = journal.prepare("set-up", || setup::run(workspace)) {
        let coverage = journal.prepare("coverage tools", || Coverage::prepare(workspace));
        let how = Runs { workspace, installed: &installed, coverage: coverage.as_ref() };
        journal.step("tests", || suites::test(&how));
        journal.check("coverage", || measure(&how, &mut proven));
    }
    Ok(journal.close(0, &proven))
}

/// What the tests before have reached, for the summary, and whether that is enough.
fn measure(how: &Runs<'_>, proven: &mut Vec<String>) -> Result<()> {
    let coverage = how.coverage.ok_or_else(|| Failure::new("the tools for it are missing"))?;
    let report = coverage.report(how.workspace)?;
    proven.extend(report.summary());
    report.verdict()
}
