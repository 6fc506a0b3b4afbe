//! `cargo xtask soak`: the random tests of repositories and of jobs, with counts that the test command has no time for.

use crate::failure::Result;
use crate::process;
use crate::workspace::Workspace;

/// The tests by their crates, each with the variable that says how often, and how often that is here.
const TESTS: [(&str, &str, &str, u64); 5] = [
    (REPOSITORY, "no_history_loses_what_it_needs", "PROPTEST_CASES", 100_000),
    (REPOSITORY, "no_schedule_loses_a_log_or_keeps_half_a_set", "CERTADM_SCHEDULES", 10_000),
    (
        REPOSITORY,
        "stock_restic_finds_nothing_wrong_wherever_a_backup_or_expiry_was_killed",
        "CERTADM_KILL_ROUNDS",
        500,
    ),
    (COMMAND, "a_run_that_is_killed_loses_no_log_and_leaves_nothing_behind", "CERTADM_KILL_ROUNDS", 200),
    (COMMAND, "an_agent_that_is_killed_is_followed_by_one_that_does_what_is_due", "CERTADM_KILL_ROUNDS", 200),
];
const REPOSITORY: &str = "certadm-repository";
const COMMAND: &str = "certadm";

/// Runs them one after the other. `percent` of their counts, 100 for all. `CERTADM_FIRST_SCHEDULE` is the first seed.
///
/// # Errors
/// When one fails.
pub(crate) fn run(workspace: &Workspace, percent: u64) -> Result<()> {
    for (package, test, variable, number) in TESTS {
        let number = (number * percent / 100).max(1);
        println!("soak: {number} of {test}");
        let mut cargo =
            workspace.cargo(&["test", "--locked", "--package", package, "--features", "object-store"]);
        cargo.args(["--tests", "--", "--include-ignored", test]).env(variable, number.to_string());
        process::run(&mut cargo)?;
    }
    Ok(())
}
