//! A proven set is found damaged: what was proven before it stays.

use certadm_jobs::record::Outcome::{Failed, Good};
use certadm_jobs::{Step, Wish};

use crate::acting::{Act, steps};

/// The prune behind the new full backup deleted the only set that was known to be sound.
#[test]
fn what_is_proven_stays_until_a_verification_has_found_the_new_base_sound() {
    let act = Act::new();
    let config = act.config(
        "full = 'monthly 1 02:00'\nlogs = 'every 31d'\nverify = 'monthly 1 03:00'\nkeep = { last = 1 }",
    );
    act.run(&config, Wish::Due);
    act.run(&config, Wish::Now(Step::Full));
    act.run(&config, Wish::Now(Step::Verify));
    let [first, second] = <[String; 2]>::try_from(act.sets()).unwrap();
    assert_eq!(act.proven(), [first.clone(), second.clone()]);
    act.damages(&[&second]);
    assert_eq!(steps(&act.run(&config, Wish::Now(Step::Verify))), [(Step::Verify, Failed)]);
    assert_eq!(act.proven(), std::slice::from_ref(&first));
    assert_eq!(act.attempts(&config).proven, None);
    // A prune waits for a verification, also one that is due for another reason.
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Full, Good)]);
    act.waits(20);
    assert_eq!(steps(&act.run(&config, Wish::Now(Step::Full))), [(Step::Full, Good)]);
    act.waits(300);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Verify, Good)]);
    let newest = act.sets().pop().unwrap();
    assert_eq!(act.proven(), [first, newest]);
    assert_eq!(steps(&act.run(&config, Wish::Due)), [(Step::Prune, Good)]);
    assert_eq!(steps(&act.run(&config, Wish::Due)), []);
}
