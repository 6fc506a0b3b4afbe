//! Damage in a repository is found, named, and never backed up onto.

use certadm_repository::objects::Objects;
use certadm_repository::{Error, Label, Part, RepairOptions, Secret, Selector};
use certadm_rules::BackupType;
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use certadm_set::Silent;
use std::path::Path;
use std::sync::Arc;

use crate::common::{Ca, over, repository};
use crate::objects::{Fault, Faulty, Memory};

#[test]
fn another_key_opens_nothing() {
    let (memory, _, _) = repository();
    let before = memory.all();
    let wrong = over(Arc::new(memory.clone()), &Secret::generate(Path::new("another file")));
    let error = wrong.points().unwrap_err();
    assert!(matches!(error, Error::NoKeyFits { .. }), "{error}");
    assert_eq!(error.class(), Class::Refused);
    assert!(error.to_string().contains("another file"), "{error}");
    assert!(wrong.sink(crate::common::options(None)).is_err());
    assert_eq!(memory.all(), before, "nothing is written");
}

#[test]
fn where_no_repository_is_none_is_made() {
    let memory = crate::objects::Memory::default();
    let nothing = over(Arc::new(memory.clone()), &Secret::generate(Path::new("a test")));
    assert!(matches!(nothing.points().unwrap_err(), Error::Gone { .. }));
    assert!(memory.all().is_empty());
}

/// A pack that is gone or cut short: the next backup would lean on what is in it (repository.md 9, traps 4 to 6).
#[test]
fn a_pack_that_is_gone_or_cut_short_is_named_with_its_sets() {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    ca.issue(2);
    let id = sound.points().unwrap()[0].id.clone();
    let mut needed = 0;
    for cut in [false, true] {
        for pack in memory.names("data/") {
            let damaged = memory.copy();
            let content = memory.get(&pack).unwrap();
            if cut {
                damaged.overwrite(&pack, content[..content.len() - 1].to_vec());
            } else {
                damaged.delete(&pack).unwrap();
            }
            let repository = over(Arc::new(damaged.clone()), &secret);
            let mut is_needed = false;
            for part in [Part::NONE, Part::ALL] {
                let checked = repository.check(part, &mut Silent).unwrap();
                let named = checked.problems.iter().find(|problem| problem.text.contains(&pack));
                assert!(named.is_some(), "{pack} is not named: {checked:?}");
                // Before the parts of a set are joined, each has trees that nothing needs afterwards. A folder that cannot
                // be read concerns its set by itself.
                is_needed |= checked.problems.iter().any(|problem| problem.points == [id.clone()]);
            }
            let logs = ca.logs();
            let error = ca.back_up(&repository, BackupType::Full).unwrap_err();
            assert_eq!(error.class(), Class::Damaged, "{error}");
            assert_eq!(ca.logs(), logs, "the CA was not even asked");
            let points = repository.select(&Selector::Latest).unwrap();
            let fetched = repository.fetch(&points, ca.beside(), &mut Silent);
            if !cut {
                // What lies in two packs may come from the other one.
                assert!(fetched.is_ok() || is_needed, "{pack}");
                assert!(fetched.err().is_none_or(|error| error.class() == Class::Damaged), "{pack}");
            }
            needed += usize::from(is_needed);
        }
    }
    assert!(3 < needed, "data and trees: {needed}");
}

/// Whatever byte is changed: what is read out is what was stored, or it is refused.
#[test]
fn a_changed_byte_gives_no_changed_set() {
    let ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    let points = sound.points().unwrap();
    let mut tried = 0;
    for (name, content) in memory.all() {
        let step = content.len().div_ceil(12).max(1);
        for place in (0..content.len()).step_by(step).chain([content.len() - 1]) {
            let damaged = memory.copy();
            let mut bytes = content.to_vec();
            bytes[place] ^= 0x40;
            damaged.overwrite(&name, bytes);
            let repository = over(Arc::new(damaged), &secret);
            // Every file is compared with the manifest, and that with its own checksum.
            match repository.fetch(&points, ca.beside(), &mut Silent) {
                Ok(_) => {}
                Err(error) => assert!(
                    matches!(error.class(), Class::Damaged | Class::Refused),
                    "{name} at {place}: {error}"
                ),
            }
            if name.starts_with("data/") {
                let checked = repository.check(Part::ALL, &mut Silent).unwrap();
                assert!(
                    checked.problems.iter().any(|problem| problem.text.contains(&name)),
                    "{name} at {place}"
                );
            }
            tried += 1;
        }
    }
    assert!(50 < tried);
    certadm_tests::proven::proven("flipped bits", tried);
}

/// Where the configuration or the key of a password is damaged, nobody is told that the password is wrong; and another password
/// still opens the repository.
#[test]
fn what_opens_a_repository_is_damaged_and_not_the_password_wrong() {
    let (memory, _, sound) = repository();
    let [one, other, wrong] =
        ["one", "other", "wrong"].map(|text| Secret::from_password(text, Path::new("a file")));
    let ids = [&one, &other]
        .map(|password| sound.add_key(password, Label { host: "tests", user: "somebody" }).unwrap());
    let with = |name: &str, password: &Secret| {
        let damaged = memory.copy();
        let mut content = memory.get(name).unwrap().to_vec();
        // Within the salt or the sealed key; the length stays, and so does the JSON.
        let place = content.len() - 30;
        content[place] = if content[place] == b'A' { b'B' } else { b'A' };
        damaged.overwrite(name, content);
        over(Arc::new(damaged), password).points()
    };
    let key = format!("keys/{}", ids[0]);
    let error = with(&key, &one).unwrap_err();
    assert!(matches!(error, Error::DeadKey { .. }) && error.to_string().contains(&key), "{error}");
    assert!(with(&key, &other).unwrap().is_empty());
    let error = with("config", &other).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains("config"), "{error}");
    let error = with("config", &wrong).unwrap_err();
    assert!(matches!(error, Error::NoKeyFits { .. }), "{error}");
}

/// Every object written over, as ransomware does: nobody is told that the key is wrong, and everybody what brings it back.
#[test]
fn a_repository_that_was_written_over_is_damaged_and_not_the_key_wrong() {
    let ca = Ca::create();
    let (memory, key_file, sound) = repository();
    let password = Secret::from_password("one", Path::new("a file"));
    let unused = memory.copy();
    sound.add_key(&password, Label { host: "tests", user: "somebody" }).unwrap();
    let without_sets = memory.copy();
    ca.back_up(&sound, BackupType::Full).unwrap();
    let opened = |memory: &Memory, secret: &Secret| over(Arc::new(memory.copy()), secret).points();
    // All but what begins so is written over.
    let ransomed = |memory: &Memory, but: &str| {
        let ransomed = memory.copy();
        for (name, content) in
            memory.all().iter().filter(|(name, _)| but.is_empty() || !name.starts_with(but))
        {
            ransomed.overwrite(name, content.iter().map(|byte| byte ^ 0x5a).collect());
        }
        ransomed
    };
    let wrong = Secret::generate(Path::new("another file"));
    for secret in [&key_file, &password, &wrong] {
        for (memory, told) in [(&memory, "index/"), (&without_sets, "keys/")] {
            let error = opened(&ransomed(memory, ""), secret).unwrap_err();
            assert_eq!(error.class(), Class::Damaged, "{error}");
            assert!(error.to_string().contains(told) && error.remedy().contains("undelete"), "{error}");
        }
    }
    // One thing that is sound tells a right key from a wrong one.
    for but in ["index/", "snapshots/"] {
        let damaged = ransomed(&memory, but);
        let error = opened(&damaged, &key_file).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains("config"), "{error}");
        assert!(matches!(opened(&damaged, &wrong), Err(Error::NoKeyFits { .. })), "{but}");
    }
    for memory in [&memory, &without_sets, &unused] {
        assert!(matches!(opened(memory, &wrong), Err(Error::NoKeyFits { .. })), "nothing is damaged");
    }
    // Without a key in it, no password is wrong either.
    let error = opened(&unused, &password).unwrap_err();
    assert!(matches!(error, Error::NoPassword { .. }) && error.class() == Class::Damaged, "{error}");
}

/// What a cut upload leaves is named by no index. It does no harm, and nothing leans on it (trap 3).
#[test]
fn packs_that_no_index_names_are_told_and_do_no_harm() {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    ca.issue(3);
    for index in memory.names("index/") {
        let orphaned = memory.copy();
        orphaned.delete(&index).unwrap();
        for snapshot in memory.names("snapshots/") {
            orphaned.delete(&snapshot).unwrap();
        }
        let repository = over(Arc::new(orphaned), &secret);
        assert!(0 < repository.check(Part::NONE, &mut Silent).unwrap().unnamed_packs);
        let kind =
            certadm_set::TakeOptions { truncate: false, ..certadm_set::TakeOptions::new(BackupType::Full) };
        let sink = repository.sink(crate::common::options(None)).unwrap();
        certadm_set::take_into(&mut ca.source(), Box::new(sink), &kind, &mut Silent).unwrap();
        assert_eq!(crate::common::assert_whole(&repository, ca.beside()), 1);
    }
}

/// What a killed backup has sent is not lost: a repair takes it into the index, and the next backup does not send it again.
#[test]
fn a_repair_takes_up_what_a_killed_backup_has_sent() {
    let mut ca = Ca::create();
    ca.issue(3_000);
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    // The state before index and snapshot.
    for name in [memory.names("index/"), memory.names("snapshots/")].concat() {
        memory.remove(&name);
    }
    let bytes = |memory: &Memory| -> usize {
        memory.all().iter().filter(|(name, _)| name.starts_with("data/")).map(|(_, pack)| pack.len()).sum()
    };
    let sends = |is_repaired: bool| {
        let memory = memory.copy();
        let repository = over(Arc::new(memory.clone()), &secret);
        assert!(0 < repository.check(Part::NONE, &mut Silent).unwrap().unnamed_packs);
        if is_repaired {
            let repaired = repository.repair(&RepairOptions::default(), &mut Silent).unwrap();
            assert!(0 < repaired.taken_in && repaired.lost.is_empty(), "{repaired:?}");
        }
        let before = bytes(&memory);
        let kind =
            certadm_set::TakeOptions { truncate: false, ..certadm_set::TakeOptions::new(BackupType::Full) };
        let sink = repository.sink(crate::common::options(None)).unwrap();
        certadm_set::take_into(&mut ca.source(), Box::new(sink), &kind, &mut Silent).unwrap();
        assert_eq!(crate::common::assert_whole(&repository, ca.beside()), 1);
        bytes(&memory) - before
    };
    let (again, after_repair) = (sends(false), sends(true));
    assert!(after_repair * 4 < again * 3, "{after_repair} of {again}");
}

/// What was stored just now is read back, or not, as it was asked for; logs always are.
#[test]
fn how_much_is_read_back_is_asked_for() {
    use certadm_repository::{CaRepository, Extent, SinkOptions};
    use certadm_set::{Check, TakeOptions, take_into};

    let mut ca = Ca::create();
    let (memory, secret, repository) = repository();
    let later = TakeOptions { check: Check::Later, ..TakeOptions::new(BackupType::Full) };
    let take = |repository: &CaRepository, extent, ca: &Ca| {
        let options = SinkOptions { scratch: None, ..crate::common::options(None) };
        let sink = repository.clone().reading_back(extent).sink(options)?;
        take_into(&mut ca.source(), Box::new(sink), &later, &mut Silent)
    };
    for extent in [Extent::New, Extent::None, Extent::All] {
        ca.issue(2);
        take(&repository, extent, &ca).unwrap();
    }
    assert_eq!(crate::common::assert_whole(&repository, ca.beside()), 3);
    // The first pack holds the database.
    for (extent, notices) in [(Extent::New, true), (Extent::All, true), (Extent::None, false)] {
        ca.issue(2);
        let flipping = Faulty::new(memory.copy(), Fault::FlipsFirst);
        match take(&over(flipping, &secret), extent, &ca) {
            Ok(_) => assert!(!notices, "{extent:?}"),
            Err(error) => assert!(notices && error.class() == Class::Damaged, "{extent:?}: {error}"),
        }
    }
}

/// What an index alone named, no index names any more: the packs are there, and the set lacks them all the same.
#[test]
fn a_set_whose_index_is_gone_is_named() {
    let mut ca = Ca::create();
    let (memory, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    let of_first = memory.names("index/");
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    let first = repository.points().unwrap()[0].id.clone();
    let all = memory.all();
    for index in of_first {
        memory.remove(&index);
        let checked = repository.check(Part::NONE, &mut Silent).unwrap();
        // The log set may need something of it, too.
        let named = |problem: &certadm_repository::Problem| problem.points.contains(&first);
        assert!(checked.problems.iter().any(named), "{index}: {checked:?}");
        assert!(checked.problems.iter().all(|problem| !problem.points.is_empty()), "{index}: {checked:?}");
        memory.overwrite(&index, all[&index].to_vec());
    }
    assert!(repository.check(Part::NONE, &mut Silent).unwrap().problems.is_empty());
}

/// One flipped bit of a snapshot, or bytes under the right name that nobody with the key has written: the other sets are read.
#[test]
fn a_snapshot_that_cannot_be_read_keeps_no_other_set_from_coming_back() {
    let mut ca = Ca::create();
    let (memory, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(1);
    ca.back_up(&repository, BackupType::Full).unwrap();
    let points = repository.points().unwrap();
    let junk = vec![7_u8; 200];
    let name = |content: &[u8]| {
        use sha2::Digest as _;
        format!("snapshots/{}", certadm_rules::hex::encode(&sha2::Sha256::digest(content)))
    };
    let flipped = format!("snapshots/{}", points[0].id);
    let mut bytes = memory.all()[&flipped].to_vec();
    bytes[40] ^= 1;
    for (damaged, content, is_gone) in [(flipped, bytes, true), (name(&junk), junk, false)] {
        let before = memory.copy();
        memory.overwrite(&damaged, content);
        let readable = repository.readable().unwrap();
        assert_eq!(readable.unreadable, [damaged.as_str()]);
        assert_eq!(readable.points, points[usize::from(is_gone)..]);
        // By its id a set is found and read; nobody knows whether it is the newest.
        let chain = repository.select(&Selector::Id(points[1].id.clone())).unwrap();
        repository.fetch(&chain, ca.beside(), &mut Silent).unwrap();
        let error = repository.select(&Selector::Latest).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }) && error.to_string().contains(&damaged), "{error}");
        let checked = repository.check(Part::ALL, &mut Silent).unwrap();
        assert!(checked.problems.iter().any(|problem| problem.text.contains(&damaged)), "{checked:?}");
        // What deletes, or leans on what is there, needs all of them.
        ca.issue(1);
        assert_eq!(ca.back_up(&repository, BackupType::LogsOnly).unwrap_err().class(), Class::Damaged);
        let options = RepairOptions { forget_lost: true, ..RepairOptions::default() };
        let repaired = repository.repair(&options, &mut Silent).unwrap();
        assert_eq!(repaired.unreadable, [damaged.as_str()]);
        assert_eq!(repository.points().unwrap(), readable.points);
        for (name, content) in before.all() {
            memory.overwrite(&name, content.to_vec());
        }
    }
}
