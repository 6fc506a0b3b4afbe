//! The test command, step by step.

use std::process::ExitCode;

use crate::failure::Result;
use crate::journal::Journal;
use crate::workspace::Workspace;
use crate::{counts, deny, fuzz, licences, setup, suites, windows};

/// Runs every step, whether those before it failed or not; only a failed set-up ends the run. The last line printed is
/// `N passed, N failed`, and `, N skipped` when there are some; format, lint, licences, cargo-deny, advisories, documentation and each fuzz target
/// count as one test each.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let fuzz_seconds = match std::env::var("CERTADM_FUZZ_SECONDS") {
        Ok(text) => fuzz::seconds(&text)?,
        Err(_) => fuzz::SMOKE_SECONDS,
    };
    counts::begin(workspace)?;
    let mut journal = Journal::default();
    let mut ran_later = 0;
    if let Some(installed) = journal.prepare("set-up", || setup::run(workspace)) {
        journal.check("format", || suites::format(workspace, suites::Formatting::Check));
        journal.check("lint", || suites::lint(workspace));
        journal.check("licences", || licences::check(workspace));
        journal.check("cargo-deny", || deny::check(workspace));
        journal.step("advisories", || deny::advisories(workspace));
        journal.step("tests", || suites::test(workspace, &installed));
        journal.step("interop tests", || {
            let (tally, ended) = suites::interop(workspace, &installed)?;
            ran_later += tally.run();
            Ok((tally, ended))
        });
        journal.step("windows", || {
            let (tally, ended) = windows::run(workspace, windows::Build::Quick)?;
            ran_later += tally.run();
            Ok((tally, ended))
        });
        journal.step("fuzz smoke", || fuzz::smoke(workspace, fuzz_seconds));
        journal.check("documentation", || suites::documentation(workspace));
    }
    Ok(journal.close(ran_later, &counts::summary(workspace)))
}
