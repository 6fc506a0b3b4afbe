//! Somebody else has the CA delete logs that a job was to back up.

use certadm_jobs::record::Outcome::{Finding, Good};
use certadm_jobs::{Step, Wish};

use crate::acting::{Act, steps};

#[test]
fn logs_that_are_missing_before_those_of_a_set_are_told_until_none_are() {
    let act = Act::new();
    let config = act.config("full = 'monthly 1 02:00'\nlogs = 'every 1m'");
    act.run(&config, Wish::Due);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
    act.loses_a_log();
    let run = act.run(&config, Wish::Due);
    assert_eq!(steps(&run), [(Step::Logs, Finding), (Step::Full, Good)]);
    assert_eq!(run.outcome(), Finding);
    let told = &run.steps[0].trouble[0];
    assert!(told.message.contains("generation 0x4 is in no set here"), "{told:?}");
    // The full backup does not end the alarm: it may go on so.
    assert_eq!(act.attempts(&config).of(Step::Logs).outcome, Some(Finding));
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
    assert_eq!(act.attempts(&config).of(Step::Logs).outcome, Some(Good));
}
