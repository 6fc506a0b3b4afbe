//! Sets are copied into another repository and proved there; whatever fails, what counts there is whole.

use std::sync::Arc;

use certadm_repository::{CaRepository, Copied, Error, Imported, Part, RepairOptions};
use certadm_rules::BackupType;
use certadm_set::Silent;

use crate::common::{Ca, assert_whole, import, over, repository};
use crate::objects::{Fault, Faulty};

#[test]
fn a_copy_has_every_set_once_under_its_own_key() {
    let mut ca = Ca::create();
    let (_, _, source) = repository();
    ca.back_up(&source, BackupType::Full).unwrap();
    ca.issue(3);
    ca.back_up(&source, BackupType::LogsOnly).unwrap();
    let (_, _, target) = repository();
    let points = source.points().unwrap();
    for point in &points {
        assert!(matches!(target.copy_from(&source, point, &mut Silent).unwrap(), Copied::Stored(_)));
        assert!(matches!(target.copy_from(&source, point, &mut Silent).unwrap(), Copied::There(_)));
    }
    assert_eq!(assert_whole(&target, ca.beside()), 2);
    let copies = target.points().unwrap();
    for (copy, point) in copies.iter().zip(&points) {
        assert_ne!(copy.id, point.id);
        assert_eq!(
            (copy.time, copy.kind, copy.bytes, copy.generations),
            (point.time, point.kind, point.bytes, point.generations)
        );
    }
    assert!(target.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
    // A backup goes on there.
    ca.issue(1);
    ca.back_up(&target, BackupType::LogsOnly).unwrap();
    assert_eq!(assert_whole(&target, ca.beside()), 3);
    // Sets of another CA do not go in.
    let (empty, secret, _) = repository();
    let others = CaRepository::over(Arc::new(empty), secret, "vault", "other");
    let refused = others.copy_from(&source, &points[0], &mut Silent).unwrap_err();
    assert!(matches!(refused, Error::OtherCa { .. }), "{refused}");
}

#[test]
fn each_call_of_either_storage_may_fail() {
    let mut ca = Ca::create();
    let (from, from_key, source) = repository();
    ca.back_up(&source, BackupType::Full).unwrap();
    ca.issue(3);
    ca.back_up(&source, BackupType::LogsOnly).unwrap();
    let (to, to_key, _) = repository();
    let points = source.points().unwrap();
    for writing in [false, true] {
        for call in 0.. {
            let to = to.copy();
            let sound = over(Arc::new(to.clone()), &to_key);
            let fault = if call % 2 == 0 { Fault::Fails(call) } else { Fault::Dead(call) };
            let faulty = Faulty::new(if writing { to.clone() } else { from.clone() }, fault);
            let (source, target) = match writing {
                true => (source.clone(), over(faulty.clone(), &to_key)),
                false => (over(faulty.clone(), &from_key), sound.clone()),
            };
            let done =
                points.iter().try_for_each(|point| target.copy_from(&source, point, &mut Silent).map(drop));
            assert_whole(&sound, ca.beside());
            if faulty.calls() <= call {
                done.unwrap();
                assert_eq!(sound.points().unwrap().len(), 2);
                break;
            }
            assert!(matches!(done, Err(Error::Storage { .. })), "{writing} {call}: {done:?}");
        }
    }
}

#[test]
fn what_is_damaged_is_not_copied() {
    let ca = Ca::create();
    let (memory, _, source) = repository();
    ca.back_up(&source, BackupType::Full).unwrap();
    let point = source.points().unwrap().remove(0);
    let mut refused = 0;
    for name in memory.names("data/") {
        let (_, _, target) = repository();
        let content = memory.all()[&name].to_vec();
        for place in [0, content.len() / 2, content.len() - 1] {
            let mut changed = content.clone();
            changed[place] ^= 1;
            memory.overwrite(&name, changed);
            match target.copy_from(&source, &point, &mut Silent) {
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(error, Error::Damaged { .. } | Error::NotStored { .. }), "{error:?}");
                    refused += 1;
                    assert_eq!(target.points().unwrap(), []);
                }
            }
            assert!(target.points().unwrap().is_empty() || assert_whole(&target, ca.beside()) == 1);
        }
        memory.overwrite(&name, content);
    }
    assert!(0 < refused);
}

/// A set that is there and lacks something is completed, by the next copy or by the set as a folder.
#[test]
fn what_is_there_and_lacks_something_is_stored_again() {
    let mut ca = Ca::create();
    let (_, _, source) = repository();
    ca.back_up(&source, BackupType::Full).unwrap();
    ca.issue(3);
    ca.back_up(&source, BackupType::LogsOnly).unwrap();
    let (copied, key, target) = repository();
    let points = source.points().unwrap();
    let copy = |target: &CaRepository| {
        points
            .iter()
            .map(|point| target.copy_from(&source, point, &mut Silent))
            .collect::<Result<Vec<_>, _>>()
    };
    copy(&target).unwrap();
    let folders: Vec<_> = points.iter().map(|point| ca.beside().join(point.short_id())).collect();
    for (point, folder) in points.iter().zip(&folders) {
        source.export(point, folder, &mut Silent).unwrap();
    }
    let mut healed = 0;
    for name in copied.names("data/") {
        let memory = copied.copy();
        let target = over(Arc::new(memory.clone()), &key);
        memory.remove(&name);
        // Nothing leans on a lost pack before a repair.
        assert!(copy(&target).map_or_else(|error| matches!(error, Error::Damaged { .. }), |_| true));
        let lost = target.repair(&RepairOptions::default(), &mut Silent).unwrap().lost.len();
        let imported = over(Arc::new(memory.copy()), &key);
        let again = copy(&target).unwrap();
        let stored = again.iter().filter(|copied| matches!(copied, Copied::Stored(_))).count();
        assert!(0 < stored || lost == 0, "{again:?}");
        assert_eq!(assert_whole(&target, ca.beside()), 2, "completed, and not stored twice");
        assert!(copy(&target).unwrap().iter().all(|copied| matches!(copied, Copied::There(_))));
        for folder in &folders {
            let done = import(&imported, folder).unwrap();
            healed += usize::from(matches!(done, Imported::Stored(..)));
            assert!(matches!(import(&imported, folder).unwrap(), Imported::There(_)));
        }
        assert!(imported.points().unwrap().len() <= 2 + lost);
        // Where the set of before had lost its folders, too, it stays until somebody lets it go.
        let forget = RepairOptions { forget_lost: true, ..RepairOptions::default() };
        imported.repair(&forget, &mut Silent).unwrap();
        assert!(2 <= assert_whole(&imported, ca.beside()));
    }
    assert!(1 < healed, "{healed}");
}
