//! Jobs whose sets count only when they are signed.

use std::fs;

use certadm_jobs::record::Outcome::{Finding, Good};
use certadm_jobs::{Step, Wish};

use crate::acting::{Act, steps};

const JOB: &str = "full = 'monthly 1 02:00'\nlogs = 'every 1m'\nkeep = { last = 1 }";
const SIGNED: &str =
    "full = 'monthly 1 02:00'\nlogs = 'every 1m'\nkeep = { last = 1 }\nallowed-signers = 'allowed'";

/// The CA deleted its logs for a month behind a full set that no restore accepted.
#[test]
fn when_signatures_are_asked_for_a_signed_full_set_follows_at_once() {
    let act = Act::new();
    let config = act.config(JOB);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Full, Good), (Step::Prune, Good)]);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
    act.signs(true);
    let config = act.config(SIGNED);
    let run = act.run(&config, Wish::Due);
    assert_eq!(steps(&run), [(Step::Full, Good), (Step::Prune, Good)]);
    let why = &run.steps[0].why;
    assert!(why.contains("does not count: ") && why.contains("is not signed"), "{why}");
    act.said();
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
    assert!(act.said()[0].contains(" --truncate"));
    // A set that nobody has signed changes nothing, whatever it says of itself.
    let full = act.sets().into_iter().rfind(|set| set.ends_with("-full")).unwrap();
    act.plants(&full);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
    // A signature that is gone.
    let newest = act.sets().into_iter().rfind(|set| set.ends_with("-logs")).unwrap();
    fs::remove_file(act.path("sets/web").join(newest).join("manifest.json.sig")).unwrap();
    assert_eq!(steps(&act.run(&config, Wish::Due))[0], (Step::Full, Good));
}

/// Each run took a further full backup, and each of them deleted an older set that counts.
#[test]
fn sets_that_a_wrong_key_signs_are_told_and_nothing_is_deleted_for_them() {
    let act = Act::new();
    act.signs(true);
    let config = act.config(SIGNED);
    act.run(&config, Wish::Due);
    act.run(&config, Wish::Due);
    act.signs(false);
    act.said();
    let run = act.run(&config, Wish::Due);
    assert_eq!(steps(&run), [(Step::Logs, Finding), (Step::Full, Finding)]);
    assert!(run.steps[1].trouble[0].message.contains("was stored and does not count: "), "{run:?}");
    assert_eq!(act.said().len(), 2, "nothing is pruned");
    for _ in 0..5 {
        assert_eq!(steps(&act.run(&config, Wish::Due)), []);
    }
    // Logs stay at the CA, and so do older sets; there is a full backup a day.
    act.waits(6 * 3_600);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Finding)]);
    assert!(!act.said()[0].contains("--truncate"));
    act.waits(18 * 3_600);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Full, Finding)]);
    // The key is the right one again.
    act.signs(true);
    act.waits(24 * 3_600);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Full, Good), (Step::Prune, Good)]);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
}

/// Nobody can judge the sets then. Backups must not end for it.
#[test]
fn without_the_list_of_signers_backups_go_on_and_nothing_is_deleted() {
    let act = Act::new();
    act.signs(true);
    let config = act.config(SIGNED);
    act.run(&config, Wish::Due);
    fs::rename(act.path("allowed"), act.path("away")).unwrap();
    let run = act.run(&config, Wish::Due);
    assert_eq!(steps(&run), [(Step::Full, Finding)]);
    assert!(run.steps[0].trouble[0].message.contains("allowed"), "{run:?}");
    fs::rename(act.path("away"), act.path("allowed")).unwrap();
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Logs, Good)]);
}
