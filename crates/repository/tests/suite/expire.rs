//! Sets expire: by the rules alone, one at a time, by the clock of the storage; and whatever fails, stops or goes on beside it,
//! every set that stays is whole (repository.md 6).

use std::sync::{Arc, Mutex};

use certadm_repository::objects::Objects;
use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Part, Point, Pruned, Secret};
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_set::standing::standings;

use crate::common::{Ca, assert_whole, over, repository};
use crate::objects::{Fault, Faulty, Memory};

/// Keeps the newest state alone. Packs do not rest, so the next expiry deletes what this one marks.
const NEWEST: ExpiryOptions = ExpiryOptions {
    keep: Keep { last: 1, within: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
    take_over: false,
    rest: Some(0),
};

fn expire(repository: &CaRepository) -> Result<(usize, Pruned), Error> {
    let mut gone = 0;
    let pruned = repository.expiry(&NEWEST)?.carry_out(&mut |_| gone += 1)?;
    Ok((gone, pruned))
}

/// Two chains of a full set with two log sets each.
fn two_chains() -> (Ca, Memory, Secret, CaRepository) {
    let mut ca = Ca::create();
    let (memory, secret, repository) = repository();
    for _ in 0..2 {
        ca.back_up(&repository, BackupType::Full).unwrap();
        for _ in 0..2 {
            ca.issue(3);
            ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        }
    }
    (ca, memory, secret, repository)
}

#[test]
fn what_no_rule_keeps_goes_and_its_packs_rest_before_they_are_deleted() {
    let (mut ca, memory, _, repository) = two_chains();
    let before = memory.all();
    let judged = repository.expiry(&NEWEST).unwrap();
    let goes: Vec<bool> = judged.fates().iter().map(|fate| fate.kept_by.is_empty()).collect();
    assert_eq!(goes, [true, true, true, false, false, false]);
    drop(judged);
    assert_eq!(memory.all(), before, "judging leaves no trace");

    let packs = memory.names("data/").len();
    let (gone, pruned) = expire(&repository).unwrap();
    assert_eq!((gone, pruned.deleted), (3, 0));
    assert!(0 < pruned.waiting, "{pruned:?}");
    assert!(packs <= memory.names("data/").len(), "nothing is deleted that was not marked before");
    assert_eq!(assert_whole(&repository, ca.beside()), 3);
    let (gone, pruned) = expire(&repository).unwrap();
    assert!(gone == 0 && 0 < pruned.deleted && pruned.waiting == 0, "{pruned:?}");
    assert!(memory.names("data/").len() < packs);
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    assert!(checked.problems.is_empty() && checked.unnamed_packs == 0, "{checked:?}");
    assert_eq!(memory.names("certadm/"), [""; 0], "the turn is given back");
    // Backups go on.
    ca.issue(1);
    ca.back_up(&repository, BackupType::Full).unwrap();
    assert_eq!(assert_whole(&repository, ca.beside()), 4);
}

#[test]
fn a_proof_of_what_leans_on_a_damaged_set_is_withdrawn() {
    let (_, _, _, repository) = two_chains();
    let points = repository.points().unwrap();
    for point in &points {
        repository.note_proven(point).unwrap();
    }
    let noted = || -> Vec<bool> {
        let noted = repository.proven().unwrap();
        points.iter().map(|point| point.is_noted(&noted)).collect()
    };
    // The last log set alone, one in the middle, a full set.
    for (damaged, expected) in [
        (5, [true, true, true, true, true, false]),
        (1, [true, false, false, true, true, false]),
        (3, [true, false, false, false, false, false]),
    ] {
        repository.withdraw_proven(&[points[damaged].id.clone()]).unwrap();
        assert_eq!(noted(), expected, "{damaged}");
    }
}

/// A note of a program before is named after the snapshot.
#[test]
fn a_proof_that_was_noted_by_the_id_counts_and_is_withdrawn() {
    let (_, memory, _, repository) = two_chains();
    let points = repository.points().unwrap();
    memory.put(&format!("certadm/proven/{}", points[1].id), &[]).unwrap();
    assert!(points[1].is_noted(&repository.proven().unwrap()));
    assert!(repository.proven_at(&points[1]).unwrap().is_some());
    assert_eq!(expire(&repository).unwrap().0, 1, "the log set behind the proven state");
    repository.withdraw_proven(std::slice::from_ref(&points[1].id)).unwrap();
    assert!(memory.names("certadm/proven/").is_empty());
}

#[test]
fn packs_rest_two_days_where_nothing_else_is_said() {
    let (_, memory, _, repository) = two_chains();
    for _ in 0..2 {
        let packs = memory.names("data/");
        let options = ExpiryOptions { rest: None, ..NEWEST };
        let pruned = repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
        assert_eq!((pruned.deleted, memory.names("data/")), (0, packs));
    }
}

#[test]
fn the_newest_proven_state_outlives_the_rules_until_a_newer_one_is_proven() {
    let (ca, memory, _, repository) = two_chains();
    let points = repository.points().unwrap();
    repository.note_proven(&points[1]).unwrap();
    repository.note_proven(&points[1]).unwrap();
    let (gone, _) = expire(&repository).unwrap();
    assert_eq!(gone, 1, "the log set behind the proven state");
    assert_eq!(assert_whole(&repository, ca.beside()), 5);
    repository.note_proven(&points[5]).unwrap();
    assert_eq!(expire(&repository).unwrap().0, 2);
    assert_eq!(memory.names("certadm/proven/").len(), 1, "the note goes with its set");
}

#[test]
fn one_expires_at_a_time_and_a_turn_that_was_left_is_taken_over() {
    let (_, memory, secret, repository) = two_chains();
    let first = repository.expiry(&NEWEST).unwrap();
    let busy = repository.expiry(&NEWEST).unwrap_err();
    assert!(matches!(&busy, Error::Busy { by, .. } if by.contains("process")), "{busy}");
    let second = repository.expiry(&ExpiryOptions { take_over: true, ..NEWEST }).unwrap();
    // Whoever lost its turn deletes nothing, and does not end the turn of the other.
    assert!(matches!(first.carry_out(&mut |_| {}), Err(Error::Busy { .. })));
    drop(first);
    assert_eq!(repository.points().unwrap().len(), 6);
    assert!(matches!(repository.expiry(&NEWEST), Err(Error::Busy { .. })));
    second.carry_out(&mut |_| {}).unwrap();
    drop(second);
    assert_eq!(memory.names("certadm/"), [""; 0]);
    // Killed: the turn stays. This expiry makes fewer calls than the first one, because there is no set to delete any more.
    let calls = expiry_calls();
    let dead = over(Faulty::new(memory.clone(), Fault::Dead(calls / 4)), &secret);
    expire(&dead).unwrap_err();
    assert_eq!(memory.names("certadm/turn/").len(), 1);
    assert!(matches!(repository.expiry(&NEWEST), Err(Error::Busy { .. })));
    memory.set_age("certadm/turn/", 25 * 3_600);
    expire(&repository).unwrap();
    assert_eq!(memory.names("certadm/"), [""; 0]);
}

/// Behind the last number there is no next one, and whoever may add an object could put it there.
#[test]
fn a_turn_with_the_last_number_is_taken_over_as_any_other() {
    const LAST: &str = "certadm/turn/18446744073709551615";
    let (_, memory, _, repository) = two_chains();
    let plant = || memory.overwrite(LAST, b"process 1 since then".to_vec());
    plant();
    assert!(matches!(repository.expiry(&NEWEST), Err(Error::Busy { .. })));
    let taken = repository.expiry(&ExpiryOptions { take_over: true, ..NEWEST }).unwrap();
    assert_eq!(memory.names("certadm/turn/"), ["certadm/turn/0"]);
    // One that has begun is seen beside it, however old that one is.
    plant();
    memory.set_age(LAST, 25 * 3_600);
    assert!(matches!(repository.expiry(&NEWEST), Err(Error::Busy { .. })));
    drop(taken);
    expire(&repository).unwrap();
    assert_eq!(memory.names("certadm/"), [""; 0]);
}

/// Two take over the one with the last number, the other one at any call of the first: two never have the turn at once.
#[test]
fn two_never_take_over_the_turn_with_the_last_number() {
    const LAST: &str = "certadm/turn/18446744073709551615";
    let (_, stored, secret, _) = two_chains();
    let mut one_alone = 0;
    for at in 0.. {
        let memory = stored.copy();
        memory.overwrite(LAST, b"process 1 since then".to_vec());
        memory.set_age(LAST, 25 * 3_600);
        let other = over(Arc::new(memory.clone()), &secret);
        let taken = Arc::new(Mutex::new(None));
        let told = Arc::clone(&taken);
        let action = move || *told.lock().unwrap() = Some(other.expiry(&NEWEST));
        let beside = over(Faulty::beside(memory, at, Box::new(action)), &secret);
        let first = beside.expiry(&NEWEST);
        let Some(other) = taken.lock().unwrap().take() else { break };
        let both = (first.is_ok(), other.is_ok());
        assert_ne!(both, (true, true), "{at}");
        one_alone += u64::from(both.0 != both.1);
        drop((first, other));
        beside.expiry(&NEWEST).unwrap();
    }
    assert!(2 < one_alone, "{one_alone}");
}

#[test]
fn a_wrong_clock_expires_nothing_and_no_rule_keeps_everything() {
    let (_, memory, _, repository) = two_chains();
    let before = memory.all();
    for ahead in [3_600, -3_600] {
        memory.set_ahead(ahead);
        assert!(matches!(repository.expiry(&NEWEST), Err(Error::Clock { .. })));
    }
    memory.set_ahead(0);
    let no_rule = ExpiryOptions { keep: Keep::default(), ..NEWEST };
    assert!(matches!(repository.expiry(&no_rule), Err(Error::NoRules { .. })));
    // An older set may be the only sound one.
    let pack = memory.names("data/").remove(0);
    memory.overwrite(&pack, Vec::new());
    assert!(matches!(repository.expiry(&NEWEST), Err(Error::Damaged { .. })));
    memory.overwrite(&pack, before[&pack].to_vec());
    assert_eq!(memory.all(), before);
}

/// How many calls an expiry makes that deletes packs, too.
fn expiry_calls() -> u64 {
    let (_, memory, secret, _) = two_chains();
    let counting = Faulty::new(memory, Fault::Never);
    expire(&over(counting.clone(), &secret)).unwrap();
    counting.calls()
}

/// Everything is whole after an expiry with a fault, and after the next one.
fn survive(first: &(Ca, Memory, Secret, CaRepository), marked: bool, fault: Fault) {
    let (ca, memory, secret, _) = first;
    let memory = memory.copy();
    let sound = over(Arc::new(memory.clone()), secret);
    if marked {
        expire(&sound).unwrap();
    }
    let done = expire(&over(Faulty::new(memory.clone(), fault), secret)).is_ok();
    let left = assert_whole(&sound, ca.beside());
    assert!(3 <= left && (!done || left == 3), "{fault:?}: {left}");
    let again = ExpiryOptions { take_over: true, ..NEWEST };
    sound.expiry(&again).unwrap().carry_out(&mut |_| {}).unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert_eq!(assert_whole(&sound, ca.beside()), 3, "{fault:?}");
    let checked = sound.check(Part::ALL, &mut Silent).unwrap();
    assert!(checked.problems.is_empty(), "{fault:?}: {checked:?}");
}

/// In the run that marks packs, and in the one that deletes them.
#[test]
fn each_call_of_an_expiry_may_fail_or_be_the_last() {
    let world = two_chains();
    let calls = expiry_calls();
    assert!(20 < calls, "{calls}");
    for call in 0..calls {
        // Each call both ways, in either of the two runs.
        survive(&world, call % 2 == 0, Fault::Fails(call));
        survive(&world, call % 2 != 0, Fault::Dead(call));
    }
    certadm_tests::proven::proven("faults", 2 * calls);
}

/// A backup that goes on while somebody expires sets is whole, or fails and deletes no log.
#[test]
fn sets_may_expire_at_any_call_of_a_backup() {
    let (mut ca, stored, secret, _) = two_chains();
    let mut at = 0;
    loop {
        let memory = stored.copy();
        let repository = over(Arc::new(memory.clone()), &secret);
        ca.issue(1);
        let other = repository.clone();
        let expired = Arc::new(Mutex::new(false));
        let told = Arc::clone(&expired);
        let action = move || {
            expire(&other).unwrap();
            *told.lock().unwrap() = true;
        };
        let beside = Faulty::beside(memory, at, Box::new(action));
        let logs = ca.logs();
        match ca.back_up(&over(beside, &secret), BackupType::Full) {
            Ok(taken) => assert!(taken.checked, "{at}"),
            Err(error) => {
                assert!(logs.iter().all(|log| ca.logs().contains(log)), "{at}: a log is gone: {error}");
            }
        }
        let kept = assert_whole(&repository, ca.beside());
        ca.back_up(&repository, BackupType::Full).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(repository.points().unwrap().len(), kept + 1, "{at}");
        if !*expired.lock().unwrap() {
            break;
        }
        at += 1;
    }
    assert!(20 < at, "{at}");
    certadm_tests::proven::proven("faults", at);
}

/// The other way round: a backup that begins and ends within an expiry.
#[test]
fn a_backup_may_run_at_any_call_of_an_expiry() {
    let (ca, stored, secret, _) = two_chains();
    let beside_ca = ca.beside().to_owned();
    let ca = Arc::new(Mutex::new(ca));
    let mut at = 0;
    loop {
        let memory = stored.copy();
        let repository = over(Arc::new(memory.clone()), &secret);
        let (other, own) = (repository.clone(), Arc::clone(&ca));
        let taken = Arc::new(Mutex::new(None));
        let told = Arc::clone(&taken);
        let action = move || {
            let mut ca = own.lock().unwrap();
            ca.issue(1);
            *told.lock().unwrap() = Some(ca.back_up(&other, BackupType::Full).map(|_| ()));
        };
        let beside = Faulty::beside(memory, at, Box::new(action));
        expire(&over(beside, &secret)).unwrap_or_else(|error| panic!("{at}: {error}"));
        match taken.lock().unwrap().take() {
            None => break,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                assert!(error.to_string().contains("nothing was committed"), "{at}: {error}");
            }
        }
        assert_whole(&repository, &beside_ca);
        expire(&repository).unwrap();
        assert_whole(&repository, &beside_ca);
        at += 1;
    }
    assert!(20 < at, "{at}");
    certadm_tests::proven::proven("faults", at);
}

/// Sets that come while an expiry looks the others up lack nothing: their indexes stand before their snapshots do.
#[test]
fn a_set_may_come_whenever_an_expiry_looks_for_sets() {
    let (mut ca, memory, secret, repository) = two_chains();
    let before = memory.copy();
    let mut comings = Vec::new();
    for _ in 0..4 {
        ca.issue(1);
        let known = memory.all();
        ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        let new = memory.all().into_iter().filter(|(name, _)| !known.contains_key(name));
        comings.push(new.collect::<Vec<_>>());
    }
    for odd in [0, 1] {
        let memory = before.copy();
        let (mut comings, mut lists) = (comings.clone().into_iter(), 0);
        let to = memory.clone();
        let action = move || {
            lists += 1;
            if lists % 2 == odd {
                let coming = comings.next().into_iter().flatten();
                coming.for_each(|(name, content)| to.overwrite(&name, content.to_vec()));
            }
        };
        let growing = Faulty::before_lists(memory.clone(), "snapshots", Box::new(action));
        expire(&over(growing, &secret)).unwrap_or_else(|error| panic!("{odd}: {error}"));
        assert!(3 < assert_whole(&over(Arc::new(memory), &secret), ca.beside()));
    }
}

/// Somebody else's turn ends, and a third one takes its own, at any call of the second: two never have it at once.
#[test]
fn two_never_have_the_turn() {
    let (_, stored, secret, _) = two_chains();
    for seen in ["certadm/turn/0", "certadm/turn/1"] {
        let mut refused = 0;
        for at in 0.. {
            let memory = stored.copy();
            memory.overwrite(seen, b"process 1 since then".to_vec());
            let third = over(Arc::new(memory.clone()), &secret);
            let taken = Arc::new(Mutex::new(None));
            let (told, ended) = (Arc::clone(&taken), memory.clone());
            let action = move || {
                ended.remove(seen);
                *told.lock().unwrap() = Some(third.expiry(&NEWEST));
            };
            let beside = over(Faulty::beside(memory, at, Box::new(action)), &secret);
            let second = beside.expiry(&NEWEST);
            let Some(third) = taken.lock().unwrap().take() else { break };
            let both = (second.is_ok(), third.is_ok());
            assert_ne!(both, (true, true), "{seen} {at}");
            refused += u64::from(both == (false, true));
            // Whoever was refused leaves nothing behind that keeps the next one away.
            drop((second, third));
            beside.expiry(&NEWEST).unwrap();
        }
        assert!(0 < refused);
    }
}

/// A repair lets the newest set go just before an expiry has the turn: the expiry does not count on it.
#[test]
fn what_goes_before_the_turn_is_not_counted_on() {
    let mut ca = Ca::create();
    let (stored, secret, repository) = repository();
    for _ in 0..2 {
        ca.issue(1);
        ca.back_up(&repository, BackupType::Full).unwrap();
    }
    let newest = format!("snapshots/{}", repository.points().unwrap()[1].id);
    for at in 0.. {
        let memory = stored.copy();
        let (own, name) = (memory.clone(), newest.clone());
        let done = Arc::new(Mutex::new(false));
        let told = Arc::clone(&done);
        let action = move || {
            if own.names("certadm/turn/").is_empty() {
                own.remove(&name);
                *told.lock().unwrap() = true;
            }
        };
        let sound = over(Arc::new(memory.clone()), &secret);
        let beside = over(Faulty::beside(memory, at, Box::new(action)), &secret);
        expire(&beside).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(assert_whole(&sound, ca.beside()), 1, "{at}");
        if !*done.lock().unwrap() {
            assert!(2 < at, "{at}");
            break;
        }
    }
}

/// A part of a pack that has rotted is not packed anew: the new pack would be named after the rotten bytes, and every later set would
/// lean on it.
#[test]
fn what_has_changed_is_not_packed_anew() {
    let (ca, stored, secret, _) = two_chains();
    let mut refused = 0;
    for name in stored.names("data/") {
        let content = stored.all()[&name].to_vec();
        for place in [0, content.len() / 2, content.len() - 1] {
            let memory = stored.copy();
            let repository = over(Arc::new(memory.clone()), &secret);
            let mut changed = content.clone();
            changed[place] ^= 1;
            memory.overwrite(&name, changed.clone());
            for _ in 0..2 {
                let Err(error) = expire(&repository) else { continue };
                let told = error.to_string();
                assert!(matches!(error, Error::Damaged { .. }) && told.contains(&name), "{told}");
                assert!(
                    told.contains("nothing expires") || repository.points().unwrap().len() == 3,
                    "{told}"
                );
                refused += 1;
            }
            // The pack comes back from a copy of the vault, if it is still needed.
            if memory.names(&name) == [name.as_str()] {
                memory.overwrite(&name, content.clone());
            }
            assert!(3 <= assert_whole(&repository, ca.beside()), "{name} at {place}");
        }
    }
    assert!(0 < refused);
}

/// A read that comes back with other bytes than are stored, once, puts none of them into a pack.
#[test]
fn what_was_misread_is_not_packed_anew() {
    let (ca, stored, secret, _) = two_chains();
    for call in 0..expiry_calls() {
        let memory = stored.copy();
        let expired = expire(&over(Faulty::new(memory.clone(), Fault::Misreads(call)), &secret));
        assert!(matches!(expired, Ok(_) | Err(Error::Damaged { .. })), "{call}: {expired:?}");
        // A manifest that was misread keeps its set this time.
        assert!(3 <= assert_whole(&over(Arc::new(memory), &secret), ca.beside()), "{call}");
    }
}

/// Waits until the clock shows another second.
fn next_second() {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let begun = now();
    while now() == begun {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// A CA was set back to a copy of its folder, and gives its generations again: no number tells which sets go together.
#[test]
fn sets_of_two_pasts_are_told_apart_and_the_newest_state_of_each_stays() {
    let mut ca = Ca::create();
    let (_, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    let mut copy = ca.copied();
    for ca in [&mut ca, &mut copy] {
        for _ in 0..2 {
            // Of one second nobody could tell which was taken after which.
            next_second();
            ca.issue(3);
            ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        }
    }
    let points = repository.points().unwrap();
    let all: Vec<&Point> = points.iter().collect();
    let standings = standings(&all, i64::MAX);
    assert!(standings.iter().all(|standing| standing.superseded_by.is_none()), "{points:?}");
    assert_eq!(standings.iter().filter(|standing| standing.is_of_another_past).count(), 2, "{points:?}");
    assert_eq!(assert_whole(&repository, ca.beside()), 5);
    assert_eq!(expire(&repository).unwrap().0, 0);
    assert_eq!(assert_whole(&repository, ca.beside()), 5);
}
