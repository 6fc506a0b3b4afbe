//! The index is made anew from the packs; what is lost is named, and nothing goes unasked.

use std::sync::Arc;

use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Part, RepairOptions, Repaired, Secret};
use certadm_rules::BackupType;
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
