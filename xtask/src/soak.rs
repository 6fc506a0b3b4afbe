//! `cargo xtask soak`: the random tests of repositories and of jobs, with counts that the test command has no time for.

use crate::failure::Result;
use crate::process;
use crate::workspace::Workspace;

/// A random test, and how often it is run here.
struct Soak {
    /// Its package, with the features that it needs.
    package: &'static [&'static str],
    test: &'static str,
    /// The variable that says how often.
    variable: &'static str,
    number: u64,
}

const REPOSITORY: &[&str] = &["certadm-repository", "--features", "object-store"];
const COMMAND: &[&str] = &["certadm"];
const TESTS: [Soak; 6] = [
    Soak {
        package: &["certadm-set"],
        test: "no_history_loses_what_it_needs",
        variable: "PROPTEST_CASES",
        number: 100_000,
    },
    Soak {
        package: REPOSITORY,
        test: "no_schedule_loses_a_log_or_keeps_half_a_set",
        variable: "CERTADM_SCHEDULES",
        number: 10_000,
    },
    Soak {
        package: REPOSITORY,
        test: "every_flipped_bit_is_named_and_none_gives_other_bytes",
        variable: "CERTADM_FLIPS",
        number: 20_000_000,
    },
    Soak {
        package: REPOSITORY,
        test: "stock_restic_finds_nothing_wrong_wherever_a_backup_or_expiry_was_killed",
        variable: "CERTADM_KILL_ROUNDS",
        number: 500,
    },
    Soak {
        package: COMMAND,
        test: "a_run_that_is_killed_loses_no_log_and_leaves_nothing_behind",
        variable: "CERTADM_KILL_ROUNDS",
        number: 200,
    },
    Soak {
        package: COMMAND,
        test: "an_agent_that_is_killed_is_followed_by_one_that_does_what_is_due",
        variable: "CERTADM_KILL_ROUNDS",
        number: 200,
    },
];

/// Runs them one after the other. `percent` of their counts, 100 for all. `CERTADM_FIRST_SCHEDULE` is the first seed.
///
/// # Errors
/// When one fails.
pub(crate) fn run(workspace: &Workspace, percent: u64) -> Result<()> {
    for Soak { package, test, variable, number } in TESTS {
        let number = (number * percent / 100).max(1);
        println!("soak: {number} of {test}");
        let mut cargo = workspace.cargo(&["test", "--locked", "--tests", "--package"]);
        cargo.args(package).args(["--", "--include-ignored", test]).env(variable, number.to_string());
        // The engine takes a backtrace of every error, and tells errors with it.
        cargo.env("RUST_LIB_BACKTRACE", "0");
        process::run(&mut cargo)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo test` is content where a package has no test of that name.
    #[test]
    fn each_test_is_in_its_package() {
        for Soak { package, test, variable, .. } in TESTS {
            let name = match *package.first().unwrap() {
                "certadm" => "cli",
                name => name.trim_start_matches("certadm-"),
            };
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(name);
            let found =
                ["src/retain.rs", "src/flips.rs", "tests/suite/schedules.rs", "tests/suite/killed_runs.rs"]
                    .iter()
                    .any(|file| {
                        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
                        text.contains(&format!("fn {test}(")) && text.contains(variable)
                    });
            assert!(found, "{test} in {name}");
        }
    }
}
