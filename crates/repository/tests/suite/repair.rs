//! The index is made anew from the packs; what is lost is named, and nothing goes unasked.

use std::sync::{Arc, Mutex};

use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Part, RepairOptions, Repaired, Secret};
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_set::Silent;

use crate::common::{Ca, assert_whole, over, repository};
use crate::objects::{Fault, Faulty, Memory};

fn world() -> (Ca, Memory, Secret, CaRepository) {
    let mut ca = Ca::create();
    let (memory, secret, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(3);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    (ca, memory, secret, repository)
}

fn repair(repository: &CaRepository) -> Repaired {
    repository.repair(&RepairOptions::default(), &mut Silent).unwrap()
}

#[test]
fn an_index_that_is_gone_or_damaged_is_made_anew() {
    let (ca, stored, secret, repository) = world();
    assert_eq!(repair(&repository), Repaired::default(), "a sound repository stays as it is");
    for name in stored.names("index/") {
        let content = stored.all()[&name].to_vec();
        for (changed, left_out) in [(None, 0), (Some(content[..20].to_vec()), 1), (Some(Vec::new()), 1)] {
            let memory = stored.copy();
            let repository = over(Arc::new(memory.clone()), &secret);
            match changed {
                None => memory.remove(&name),
                Some(changed) => memory.overwrite(&name, changed),
            }
            let checked = repository.check(Part::NONE, &mut Silent);
            let found = checked.map_or(1, |checked| checked.problems.len() as u64 + checked.unnamed_packs);
            assert!(0 < found, "{name}");
            let repaired = repair(&repository);
            assert!(0 < repaired.taken_in && repaired.lost.is_empty(), "{repaired:?}");
            assert_eq!(repaired.left_out.len(), left_out, "{repaired:?}");
            assert_eq!(assert_whole(&repository, ca.beside()), 2);
            assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
            assert_eq!(memory.names("certadm/"), [""; 0]);
        }
    }
}

/// What a list lacks is asked for by its name before it counts as missing.
#[test]
fn a_list_that_is_late_loses_nothing() {
    let (ca, memory, secret, sound) = world();
    let late = over(Faulty::new(memory, Fault::LateLists), &secret);
    for read in [false, true] {
        let options = RepairOptions { read, forget_lost: true, ..RepairOptions::default() };
        let repaired = late.repair(&options, &mut Silent).unwrap();
        assert_eq!(Repaired { forgotten: false, ..repaired }, Repaired::default());
    }
    assert_eq!(assert_whole(&sound, ca.beside()), 2);
    assert!(sound.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
}

/// Each pack in turn is gone, cut short to each length that is special, or changed.
#[test]
fn sets_that_lack_a_pack_are_named_and_the_next_backup_is_whole() {
    let (mut ca, stored, secret, _) = world();
    let mut named = 0;
    for name in stored.names("data/") {
        let content = stored.all()[&name].to_vec();
        for changed in
            [None, Some(Vec::new()), Some(content[..3].to_vec()), Some(content[..content.len() - 1].to_vec())]
        {
            let memory = stored.copy();
            let repository = over(Arc::new(memory.clone()), &secret);
            match &changed {
                None => memory.remove(&name),
                Some(changed) => memory.overwrite(&name, changed.clone()),
            }
            assert!(ca.back_up(&repository, BackupType::Full).is_err(), "nothing leans on a lost pack");
            let repaired = repair(&repository);
            assert!(repaired.left_out.iter().any(|text| text.contains(&name)), "{repaired:?}");
            assert!(!repaired.forgotten);
            named += repaired.lost.len();
            assert_eq!(repository.points().unwrap().len(), 2, "no set goes unasked");
            ca.issue(1);
            ca.back_up(&repository, BackupType::Full).unwrap();
            let again = repair(&repository);
            assert!(again.lost.len() <= repaired.lost.len());
            let forget = RepairOptions { forget_lost: true, ..RepairOptions::default() };
            let forgotten = repository.repair(&forget, &mut Silent).unwrap();
            assert_eq!(forgotten.lost, again.lost);
            assert_eq!(assert_whole(&repository, ca.beside()), 3 - again.lost.len());
            let keep = Keep { last: 1, ..Keep::default() };
            let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
            for _ in 0..2 {
                repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
            }
            assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
        }
    }
    assert!(2 < named, "{named}");
}

#[test]
fn changed_bytes_are_found_by_reading_and_lost_sets_keep_others_from_expiring() {
    let (_, memory, _, repository) = world();
    // The largest pack: a small one may hold the trees, which every repair reads. Names are random and say nothing.
    let all = memory.all();
    let names = memory.names("data/");
    let name = names.iter().max_by_key(|name| all[*name].len()).unwrap();
    let mut content = all[name].to_vec();
    content[0] ^= 1;
    memory.overwrite(name, content);
    assert_eq!(repair(&repository), Repaired::default(), "lengths are as they were");
    let repaired =
        repository.repair(&RepairOptions { read: true, ..RepairOptions::default() }, &mut Silent).unwrap();
    assert_eq!(repaired.left_out.len(), 1);
    if !repaired.lost.is_empty() {
        let keep = Keep { last: 1, ..Keep::default() };
        let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
        let refused = repository.expiry(&options).unwrap().carry_out(&mut |_| {});
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert_eq!(repository.points().unwrap().len(), 2);
    }
    // A snapshot that cannot be read is named.
    let snapshot = memory.names("snapshots/").remove(0);
    memory.overwrite(&snapshot, vec![0; 100]);
    let repaired = repair(&repository);
    assert_eq!(repaired.unreadable, [snapshot]);
    let forget = RepairOptions { forget_lost: true, ..RepairOptions::default() };
    repository.repair(&forget, &mut Silent).unwrap();
    assert!(repository.points().unwrap().len() < 2);
}

#[test]
fn each_call_of_a_repair_may_fail_or_be_the_last() {
    let (ca, stored, secret, _) = world();
    for index in stored.names("index/") {
        stored.remove(&index);
    }
    for call in 0.. {
        let memory = stored.copy();
        let fault = if call % 2 == 0 { Fault::Fails(call) } else { Fault::Dead(call) };
        let faulty = Faulty::new(memory.clone(), fault);
        let broken = over(faulty.clone(), &secret).repair(&RepairOptions::default(), &mut Silent);
        let sound = over(Arc::new(memory.clone()), &secret);
        let options = RepairOptions { take_over: true, ..RepairOptions::default() };
        let repaired = sound.repair(&options, &mut Silent).unwrap();
        assert!(repaired.lost.is_empty() && repaired.left_out.is_empty(), "{call}: {repaired:?}");
        assert_eq!(assert_whole(&sound, ca.beside()), 2, "{call}");
        if faulty.calls() <= call {
            broken.unwrap();
            break;
        }
    }
}

/// What an expiry leaves that looked at the packs of a backup before its index, or its snapshot, was there: packs that one index
/// marks, and the snapshot that needs them. `named` says whether the backup's own index names them.
fn marked_under_a_backup(indexed_first: bool, named: bool) -> (Ca, Memory, Secret) {
    let (mut ca, memory, secret, repository) = world();
    // The sets of before go, so that the index which marks has live packs, too.
    ca.issue(3);
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(3);
    let before = memory.all();
    ca.back_up(&repository, BackupType::Full).unwrap();
    let of_backup = |beginning: &str| {
        let new = memory.names(beginning).into_iter().filter(|name| !before.contains_key(name));
        new.map(|name| (name.clone(), memory.all()[&name].to_vec())).collect::<Vec<_>>()
    };
    let (indexes, snapshots) = (of_backup("index/"), of_backup("snapshots/"));
    let hidden = snapshots.iter().chain(indexes.iter().filter(|_| !indexed_first));
    hidden.for_each(|(name, _)| memory.remove(name));
    let options =
        ExpiryOptions { keep: Keep { last: 1, ..Keep::default() }, take_over: false, rest: Some(0) };
    let pruned = repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    assert!(0 < pruned.waiting && pruned.deleted == 0, "{pruned:?}");
    let back = snapshots.into_iter().chain(indexes.into_iter().filter(|_| named));
    back.for_each(|(name, content)| memory.overwrite(&name, content));
    (ca, memory, secret)
}

/// An expiry beside a long backup marks packs that the backup then names: no byte is lost, so no set is.
#[test]
fn a_set_whose_packs_are_marked_is_not_lost() {
    for (indexed_first, named) in [(false, true), (true, true), (false, false), (true, false)] {
        let (ca, stored, secret) = marked_under_a_backup(indexed_first, named);
        // The engine reads indexes in an order of its own, another one each time.
        for _ in 0..8 {
            let memory = stored.copy();
            let repository = over(Arc::new(memory.clone()), &secret);
            let options = RepairOptions { forget_lost: true, ..RepairOptions::default() };
            let repaired = repository.repair(&options, &mut Silent).unwrap();
            assert!(repaired.lost.is_empty() && repaired.left_out.is_empty(), "{named}: {repaired:?}");
            assert_eq!(assert_whole(&repository, ca.beside()), 2);
            let checked = repository.check(Part::ALL, &mut Silent).unwrap();
            assert!(checked.problems.is_empty(), "{checked:?}");
            assert_eq!(repair(&repository), Repaired::default(), "nothing is left to do");
        }
    }
}

/// A pack that no other index names tells itself what lies in it. Where it does not, it is told.
#[test]
fn a_pack_whose_list_is_damaged_is_left_out_and_named() {
    let (_, stored, secret) = marked_under_a_backup(false, true);
    let mut told = 0;
    for name in stored.names("data/") {
        let memory = stored.copy();
        let mut content = stored.all()[&name].to_vec();
        let at = content.len() - 10;
        content[at] ^= 1;
        memory.overwrite(&name, content);
        let repaired = repair(&over(Arc::new(memory.clone()), &secret));
        assert!(repaired.left_out.iter().all(|text| text.contains(&name)), "{repaired:?}");
        assert!(repaired.lost.is_empty() || repaired.left_out.len() == 1, "{repaired:?}");
        told += repaired.left_out.iter().filter(|text| text.contains("does not tell")).count();
    }
    assert!(0 < told);
}

/// A set that was committed while the repair went on is not taken for a lost one, and not deleted.
#[test]
fn a_backup_may_run_at_any_call_of_a_repair() {
    let (ca, stored, secret, _) = world();
    let beside_ca = ca.beside().to_owned();
    let ca = Arc::new(Mutex::new(ca));
    let forget = RepairOptions { forget_lost: true, ..RepairOptions::default() };
    for at in 0.. {
        let memory = stored.copy();
        let repository = over(Arc::new(memory.clone()), &secret);
        let (other, own) = (repository.clone(), Arc::clone(&ca));
        let taken = Arc::new(Mutex::new(None));
        let told = Arc::clone(&taken);
        let action = move || {
            let mut ca = own.lock().unwrap();
            ca.issue(1);
            *told.lock().unwrap() = Some(ca.back_up(&other, BackupType::Full).is_ok());
        };
        let beside = Faulty::beside(memory, at, Box::new(action));
        let repaired = over(beside, &secret).repair(&forget, &mut Silent).unwrap();
        assert!(repaired.lost.is_empty() && repaired.left_out.is_empty(), "{at}: {repaired:?}");
        let Some(is_there) = taken.lock().unwrap().take() else {
            assert!(20 < at, "{at}");
            break;
        };
        assert!(is_there, "{at}");
        assert_eq!(assert_whole(&repository, &beside_ca), 3, "{at}");
    }
}

/// While a full set lacks something and stays, logs that continue it are not taken, and the CA keeps them.
#[test]
fn logs_that_continue_a_lost_set_are_refused() {
    let mut refused = 0;
    for nth in 0.. {
        let mut ca = Ca::create();
        let (memory, _, repository) = repository();
        ca.back_up(&repository, BackupType::Full).unwrap();
        let Some(name) = memory.names("data/").get(nth).cloned() else { break };
        memory.remove(&name);
        if repair(&repository).lost.is_empty() {
            continue;
        }
        ca.issue(2);
        let logs = ca.logs();
        let error = ca.back_up(&repository, BackupType::LogsOnly).unwrap_err();
        assert_eq!(error.hresult(), Hresult::MISSING_FULL_BACKUP, "{error}");
        assert!(error.to_string().contains("lacks something"), "{error}");
        assert!(logs.iter().all(|log| ca.logs().contains(log)), "no log is deleted");
        assert_eq!(repository.points().unwrap().len(), 1);
        // With a full set, they go on.
        ca.back_up(&repository, BackupType::Full).unwrap();
        ca.issue(2);
        ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        refused += 1;
    }
    assert!(0 < refused);
}
