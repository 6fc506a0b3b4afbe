//! Old sets of a folder go, and what stays can be restored as before.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_files::{Unfinished, durable};
use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, FileTime};
use certadm_session::LocalSource;
use certadm_set::folder::{self, FolderSet};
use certadm_set::manifest::FILE_NAME;
use certadm_set::prune::Prune;
use certadm_set::retain::Keep;
use certadm_set::stored::chain;
use certadm_set::verify::verify;
use certadm_set::{Error, Manifest, Silent, TakeOptions, take};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::common::{Ca, scratch};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const NEWEST: Keep = Keep { last: 1, within: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

/// Takes a set, and dates it.
pub(crate) fn taken(ca: &mut Ca, set: &Path, (kind, truncate): (BackupType, bool), time: i64) {
    ca.roll();
    let names = UncRoot::new("host".to_owned()).unwrap();
    let mut source = LocalSource::new(Arc::clone(&ca.store), names);
    let options = TakeOptions { truncate, ..TakeOptions::new(kind) };
    take(&mut source, set, &options, &mut Silent).unwrap();
    let file = set.join(FILE_NAME);
    let mut manifest = Manifest::parse(&fs::read(&file).unwrap()).unwrap();
    manifest.finished = FileTime::from_unix_seconds(time).to_rfc3339();
    fs::write(&file, manifest.complete().unwrap()).unwrap();
}

/// What happens on a day: which backup, whether the CA deletes its logs, and how many days pass.
fn days() -> impl Strategy<Value = Vec<(u8, bool, i64)>> {
    prop::collection::vec((0_u8..3, any::<bool>(), 0_i64..3), 3..9)
}

fn rules() -> impl Strategy<Value = Keep> {
    (1_u32..3, 0_i64..4, 0_u32..3, 0_u32..2).prop_map(|(last, within, daily, weekly)| Keep {
        last,
        within: within * DAY,
        daily,
        weekly,
        ..Keep::default()
    })
}

/// Whether the state that ends with a set comes back.
fn is_restorable(sets: &[FolderSet], last: &FolderSet) -> bool {
    let all: Vec<&FolderSet> = sets.iter().collect();
    let Ok(needed) = chain(&all, last, NOW) else { return false };
    let paths: Vec<PathBuf> = needed.into_iter().map(|set| set.path.clone()).collect();
    verify(&paths, &mut Silent).is_restorable()
}

#[test]
fn no_kept_state_is_lost() {
    // Each case takes sets of a real CA and verifies every state.
    let cases =
        if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 12 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let checked = runner.run(&(days(), rules()), |(days, keep)| {
        let dir = scratch();
        let sets = dir.path().join("sets");
        durable::create_dir(&sets).unwrap();
        let mut ca = Ca::create(&dir.path().join("ca"));
        let mut time = NOW - 30 * DAY;
        for (number, (what, truncate, passed)) in days.into_iter().enumerate() {
            time += passed * DAY;
            let kind = if number == 0 || what == 0 { BackupType::Full } else { BackupType::LogsOnly };
            let truncate = truncate || kind == BackupType::Full;
            taken(&mut ca, &sets.join(format!("set-{number}")), (kind, truncate), time);
        }
        // What the neighbours of a set leave in doubt, its logs are asked for.
        let listed = || -> Vec<FolderSet> {
            let sets = folder::list(&sets).unwrap().sets.into_iter();
            sets.map(|set| FolderSet { links: None, ..set }).collect()
        };
        let before = listed();
        let prune = Prune::plan(&sets, &keep, &mut |_| false, NOW).unwrap();
        let stays: Vec<FolderSet> = prune
            .fates()
            .iter()
            .filter(|fate| !fate.kept_by.is_empty())
            .map(|fate| FolderSet { links: None, ..fate.set.clone() })
            .collect();
        let mut gone = Vec::new();
        prune.carry_out(&mut |set| gone.push(set.name.clone())).unwrap();
        let after = listed();
        prop_assert_eq!(&after, &stays);
        prop_assert_eq!(before.len(), after.len() + gone.len());
        prop_assert_eq!(before.last(), after.last(), "the newest state stays");
        for set in &before {
            if after.contains(set) && chain(&before.iter().collect::<Vec<_>>(), set, NOW).is_ok() {
                prop_assert!(is_restorable(&after, set), "{} does not come back", set.name);
            }
        }
        Ok(())
    });
    checked.unwrap();
}

/// A folder with three full sets of three days.
fn three_full_sets() -> (tempfile::TempDir, PathBuf) {
    let dir = scratch();
    let sets = dir.path().join("sets");
    let mut ca = Ca::create(&dir.path().join("ca"));
    for (name, day) in [("one", 3), ("two", 2), ("three", 1)] {
        taken(&mut ca, &sets.join(name), (BackupType::Full, true), NOW - day * DAY);
    }
    (dir, sets)
}

fn names(sets: &Path) -> Vec<String> {
    folder::list(sets).unwrap().sets.into_iter().map(|set| set.name).collect()
}

#[test]
fn a_proof_of_what_leans_on_a_damaged_set_is_withdrawn() {
    let (_dir, sets) = three_full_sets();
    for name in ["one", "two", "three"] {
        folder::note_proven(&sets, name, &FileTime::from_unix_seconds(NOW).to_rfc3339()).unwrap();
    }
    let proven = || folder::proven(&sets, &folder::list(&sets).unwrap().sets, NOW);
    folder::withdraw_proven(&sets, &["three".to_owned()], NOW).unwrap();
    assert_eq!(proven().into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let prune = Prune::plan(&sets, &NEWEST, &mut |_| false, NOW).unwrap();
    let stays: Vec<bool> = prune.fates().iter().map(|fate| !fate.kept_by.is_empty()).collect();
    assert_eq!(stays, [false, true, true]);
}

#[test]
fn what_is_proven_or_holds_something_else_stays() {
    let (_dir, sets) = three_full_sets();
    assert_eq!(names(&sets), ["one", "two", "three"]);
    let plan = |is_proven: &mut dyn FnMut(&FolderSet) -> bool| {
        let prune = Prune::plan(&sets, &NEWEST, is_proven, NOW).unwrap();
        let going = prune.fates().iter().filter(|fate| fate.kept_by.is_empty());
        (going.map(|fate| fate.set.name.clone()).collect::<Vec<_>>(), prune.strangers().to_vec())
    };
    assert_eq!(plan(&mut |_| false).0, ["one", "two"]);
    let hash = folder::list(&sets).unwrap().sets[0].manifest_sha256();
    assert!(hash.is_some());
    assert_eq!(plan(&mut |set| set.manifest_sha256() == hash).0, ["two"], "by the evidence of a rehearsal");
    let noted = |name: &str, when: i64| {
        let when = certadm_rules::FileTime::from_unix_seconds(when).to_rfc3339();
        folder::note_proven(&sets, name, &when).unwrap();
    };
    noted("two", NOW - 4 * DAY);
    assert_eq!(plan(&mut |_| false).0, ["one", "two"], "the note is of a set that had its name before");
    noted("two", NOW - 2 * DAY - 100);
    assert_eq!(plan(&mut |_| false).0, ["one"], "clocks may be a little apart");
    noted("two", NOW - DAY);
    assert_eq!(plan(&mut |_| false).0, ["one"], "by the note of a job");
    for stranger in ["notes.txt", "DataBase/notes.txt", "Identity/a/b/c/d"] {
        let path = sets.join("one").join(stranger);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let (going, strangers) = plan(&mut |_| false);
        assert!(going.is_empty(), "{stranger}: {going:?}");
        assert_eq!(strangers.len(), 1, "{stranger}");
        fs::remove_file(&path).unwrap();
    }
    fs::remove_dir_all(sets.join("one/Identity")).unwrap();
    let prune = Prune::plan(&sets, &NEWEST, &mut |_| false, NOW).unwrap();
    assert!(
        matches!(Prune::plan(&sets, &NEWEST, &mut |_| false, NOW), Err(Error::Pruning { .. }))
            || cfg!(windows)
    );
    prune.carry_out(&mut |_| {}).unwrap();
    drop(prune);
    // The newest one is proven now, and the note of the other goes with it.
    noted("three", NOW);
    Prune::plan(&sets, &NEWEST, &mut |_| false, NOW).unwrap().carry_out(&mut |_| {}).unwrap();
    assert_eq!(names(&sets), ["three"]);
    assert!(!sets.join(".proven/two").exists());
}

#[test]
fn what_is_no_complete_set_is_passed_over() {
    let (_dir, sets) = three_full_sets();
    fs::remove_file(sets.join("one").join(FILE_NAME)).unwrap();
    fs::write(sets.join("two").join(FILE_NAME), "{}").unwrap();
    fs::create_dir(sets.join("papers")).unwrap();
    fs::write(sets.join("papers/note"), "mine").unwrap();
    // No process has a number so high.
    let abandoned = sets.join(".four.unfinished-4194999");
    fs::create_dir(&abandoned).unwrap();
    let mine = Unfinished::folder(&sets.join("five")).unwrap();
    let listed = folder::list(&sets).unwrap();
    assert_eq!(
        (listed.unsealed.len(), listed.unreadable.len(), listed.unfinished.len()),
        (1, 1, 2),
        "{listed:?}"
    );
    let prune = Prune::plan(&sets, &NEWEST, &mut |_| false, NOW).unwrap();
    let removed = prune.carry_out(&mut |set| panic!("{} goes", set.name)).unwrap();
    if cfg!(unix) {
        assert_eq!(removed, [abandoned]);
    }
    assert!(mine.path().is_dir() && sets.join("papers/note").is_file() && sets.join("one/DataBase").is_dir());
    for (place, detail) in [(sets.join("three"), "a set itself"), (sets.join("../ca"), "")] {
        let error = folder::list(&place).map(|listed| listed.sets.len());
        match error {
            Err(error) => assert!(error.to_string().contains(detail), "{error}"),
            Ok(count) => assert_eq!(count, 0, "{}", place.display()),
        }
    }
    let none = Prune::plan(&sets, &Keep::default(), &mut |_| false, NOW);
    assert!(matches!(none, Err(Error::NoRules)));
}

/// The newest set has lost its image, or all of its bytes: it is no state, and the one before it is the newest.
#[test]
fn a_set_without_its_files_displaces_none() {
    let ways: [fn(&Path); 3] = [
        |image| fs::remove_file(image).unwrap(),
        |image| fs::write(image, "").unwrap(),
        |image| {
            fs::remove_file(image).unwrap();
            fs::create_dir(image).unwrap();
        },
    ];
    for damage in ways {
        let dir = scratch();
        let sets = dir.path().join("sets");
        fs::create_dir(&sets).unwrap();
        let mut ca = Ca::create(&dir.path().join("ca"));
        for (name, days) in [("older", 3), ("old", 2), ("newest", 1)] {
            taken(&mut ca, &sets.join(name), (BackupType::Full, true), NOW - days * DAY);
        }
        let set = folder::list(&sets).unwrap().sets.pop().unwrap();
        let manifest = Manifest::parse(&fs::read(set.path.join(FILE_NAME)).unwrap()).unwrap();
        damage(&set.path.join(&manifest.database().unwrap().path));
        let prune = Prune::plan(&sets, &NEWEST, &mut |_| false, NOW).unwrap();
        let unreadable: Vec<_> = prune.listed().unreadable.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(unreadable, [sets.join("newest")]);
        let mut gone = Vec::new();
        prune.carry_out(&mut |set| gone.push(set.name.clone())).unwrap();
        assert_eq!(gone, ["older"]);
        assert!(sets.join("newest").is_dir() && verify(&[sets.join("old")], &mut Silent).is_restorable());
    }
}
