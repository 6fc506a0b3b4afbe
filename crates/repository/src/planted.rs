//! Snapshots that somebody with the key has stored beside the true ones, with the tags of a set: `restic backup` can do that.

use std::sync::Arc;

use bytes::Bytes;
use certadm_set::Silent;
use certadm_set::manifest::{Generations, Manifest, SetKind};
use certadm_set::retain::Keep;
use rustic_core::TreeId;
use rustic_core::repofile::SnapshotFile;

use crate::bridge::Bridge;
use crate::check::Part;
use crate::copy::tests::{manifest, plant, repository, store_as};
use crate::engine::{self, Unexplained, call};
use crate::expire::ExpiryOptions;
use crate::point::{Earlier, Point, snapshot_of};
use crate::reader::Reader;
use crate::repair::RepairOptions;
use crate::run::Run;
use crate::vault::CaRepository;

/// A set that was taken so many minutes after the first one.
fn at(minute: i64, kind: SetKind, low: u32, high: u32) -> Manifest {
    let mut manifest = Manifest { kind, ..manifest() };
    manifest.generations = Generations { low, high };
    manifest.finished = format!("2026-01-01T00:{:02}:00Z", minute + 1);
    manifest
}

/// The seconds of that time.
fn seconds(manifest: &Manifest) -> i64 {
    manifest.finished_at().unwrap().unix_seconds()
}

/// A tree that is no set: the folder of another one's database.
fn tree_without_manifest(repository: &CaRepository, set: &Point) -> TreeId {
    let reader = Reader::open(&repository.objects, &repository.secret).unwrap();
    reader.repository.get_tree(&set.tree).unwrap().nodes.iter().find_map(|node| node.subtree).unwrap()
}

#[test]
fn tags_without_a_manifest_are_no_set_to_anybody() {
    let dir = certadm_files::scratch::for_test();
    let repository = repository(dir.path());
    for (minute, low, high) in [(0, 1, 2), (1, 3, 4)] {
        store_as(&repository, at(minute, SetKind::Full, low, high), 3_000).unwrap();
    }
    let points = repository.points().unwrap();
    let tree = tree_without_manifest(&repository, &points[0]);
    let false_one = at(2, SetKind::Full, 4, 5);
    let planted = plant(&repository, tree, &false_one, seconds(&false_one));
    // An old set under the tags of a newer one.
    let false_one = at(3, SetKind::Full, 5, 6);
    let renamed = plant(&repository, points[0].tree, &false_one, seconds(&false_one));
    let all = [&points[0].id, &points[1].id, &planted.id, &renamed.id];

    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    let named: Vec<&String> = checked.problems.iter().flat_map(|problem| &problem.points).collect();
    assert_eq!(named, all[2..], "{checked:?}");

    // No true set goes for the sake of a false one.
    let keep = Keep { last: 1, ..Keep::default() };
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: false, rest: None }).unwrap();
    let fates: Vec<_> = expiry.fates().iter().map(|fate| (&fate.set.id, fate.kept_by.is_empty())).collect();
    assert_eq!(fates, all.into_iter().zip([true, false, false, false]).collect::<Vec<_>>());
    drop(expiry);

    // The CA deletes no log for the sake of one.
    let logs = || at(4, SetKind::Logs, 6, 7);
    let refused = store_as(&repository, logs(), 1_000).unwrap_err();
    let told = refused.to_string();
    assert!(told.contains(renamed.short_id()) && told.contains("differ in the generations"), "{told}");
    assert_eq!(repository.points().unwrap().len(), 4);

    // A repair names both, and lets them go when it is asked to. The true ones stay.
    let options = RepairOptions { take_over: true, ..RepairOptions::default() };
    let repaired = repository.repair(&options, &mut Silent).unwrap();
    let lost: Vec<&String> = repaired.lost.iter().map(|(point, _)| &point.id).collect();
    assert_eq!(lost, all[2..], "{repaired:?}");
    repository.repair(&RepairOptions { forget_lost: true, ..options }, &mut Silent).unwrap();
    assert_eq!(repository.points().unwrap(), points);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
    store_as(&repository, at(4, SetKind::Logs, 5, 7), 1_000).unwrap();
}

/// `restic tag` writes the snapshot anew, under another id and without its summary.
#[test]
fn a_set_whose_tags_were_changed_is_still_proven_and_has_its_size() {
    let dir = certadm_files::scratch::for_test();
    let repository = repository(dir.path());
    for (minute, low, high) in [(0, 1, 2), (1, 3, 4)] {
        store_as(&repository, at(minute, SetKind::Full, low, high), 3_000).unwrap();
    }
    let points = repository.points().unwrap();
    repository.note_proven(&points[0]).unwrap();
    let noted_at = repository.proven_at(&points[0]).unwrap();
    let bridge = Bridge::new(Arc::clone(&repository.objects));
    let opened = engine::open(&bridge, &repository.secret).unwrap();
    let mut snapshot = opened.get_snapshots(std::slice::from_ref(&points[0].id)).unwrap().remove(0);
    snapshot.original = Some(snapshot.id);
    snapshot.summary = None;
    opened.save_snapshots(vec![snapshot]).unwrap();
    bridge.commit().unwrap();
    repository.objects.delete(&format!("snapshots/{}", points[0].id)).unwrap();

    let tagged = repository.points().unwrap().remove(0);
    assert!(tagged.id != points[0].id && tagged.bytes == 0);
    assert_eq!(repository.proven_at(&tagged).unwrap(), noted_at);
    let keep = Keep { last: 1, ..Keep::default() };
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: false, rest: None }).unwrap();
    assert_eq!(expiry.fates()[0].kept_by, ["the newest proven state"]);
    let reader = Reader::open(&repository.objects, &repository.secret).unwrap();
    assert_eq!(reader.bytes_of(&tagged).unwrap(), reader.bytes_of(&points[0]).unwrap());
}

/// Stores a tree that holds these files, which no set has yet.
fn tree_of(repository: &CaRepository, files: &[(&str, Vec<u8>)]) -> TreeId {
    let bridge = Bridge::new(Arc::clone(&repository.objects));
    let opened = engine::open(&bridge, &repository.secret).unwrap();
    let indexed = call(&bridge, "read the index", Unexplained::Damage, || opened.to_indexed_ids()).unwrap();
    let mut run = Run::begin(&Arc::new(indexed), &bridge, &repository.ca);
    files.iter().for_each(|(path, content)| run.whole(path, Bytes::from(content.clone())).unwrap());
    let tree = run.end().unwrap().tree;
    bridge.barrier().unwrap();
    tree
}

/// Stores a snapshot of this tree that says what that of a set says, of another version, and names the set as its original.
fn plant_version(
    repository: &CaRepository,
    set: &Point,
    manifest: &Manifest,
    tree: TreeId,
    version: u32,
) -> Point {
    let earlier = Earlier { version, held: false, original: set.id.parse().ok() };
    let snapshot = snapshot_of(manifest, set.time, Some(&earlier)).unwrap();
    let bridge = Bridge::new(Arc::clone(&repository.objects));
    let opened = engine::open(&bridge, &repository.secret).unwrap();
    opened.save_snapshots(vec![SnapshotFile { tree, ..snapshot }]).unwrap();
    let id = bridge.commit().unwrap().to_hex().to_string();
    repository.points().unwrap().into_iter().find(|point| point.id == id).unwrap()
}

/// The manifest of a set, and its bytes.
fn manifest_bytes(repository: &CaRepository, set: &Point) -> (Manifest, Vec<u8>) {
    let reader = Reader::open(&repository.objects, &repository.secret).unwrap();
    reader.manifest(&reader.files(set.tree).unwrap()).unwrap()
}

/// The sets that would go, when the newest `last` states stay.
fn going(repository: &CaRepository, last: u32) -> Vec<String> {
    let keep = Keep { last, ..Keep::default() };
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: false, rest: None }).unwrap();
    let fates = expiry.fates().iter().filter(|fate| fate.kept_by.is_empty());
    fates.map(|fate| fate.set.id.clone()).collect()
}

/// The sets that a check names.
fn named(repository: &CaRepository) -> Vec<String> {
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    checked.problems.into_iter().flat_map(|problem| problem.points).collect()
}

/// A later version of a set pushes the set out, so it must hold all of it. What holds other files than its manifest lists is no set.
#[test]
fn a_version_that_holds_other_files_than_its_manifest_lists_is_no_set_to_anybody() {
    let dir = certadm_files::scratch::for_test();
    let repository = repository(dir.path());
    for (minute, low, high) in [(0, 1, 2), (1, 3, 4)] {
        store_as(&repository, at(minute, SetKind::Full, low, high), 3_000).unwrap();
    }
    let points = repository.points().unwrap();
    repository.note_proven(&points[1]).unwrap();
    let (manifest, bytes) = manifest_bytes(&repository, &points[1]);
    let database = |len: usize| ("DataBase/ca.db", vec![7_u8; len]);
    let itself = || ("manifest.json", bytes.clone());
    for (files, told) in [
        (vec![itself()], "DataBase/ca.db, which is not in it"),
        (vec![database(2_999), itself()], "DataBase/ca.db has 2999 bytes in it, and 3000 in its manifest"),
        (vec![database(3_000), ("DataBase/x", vec![1]), itself()], "which its manifest does not list"),
    ] {
        let tree = tree_of(&repository, &files);
        let planted = plant_version(&repository, &points[1], &manifest, tree, 1);
        assert!(!planted.is_noted(&repository.proven().unwrap()), "{told}");
        assert_eq!(named(&repository), std::slice::from_ref(&planted.id), "{told}");
        assert_eq!(going(&repository, 2), [""; 0], "{told}");
        assert_eq!(going(&repository, 1), [points[0].id.clone()], "{told}");
        let refused = store_as(&repository, at(4, SetKind::Logs, 5, 7), 1_000).unwrap_err().to_string();
        assert!(refused.contains(planted.short_id()) && refused.contains(told), "{refused}");
        // What is there is no copy of the true one, and the true one is.
        assert!(!repository.has_whole(&planted, Some(&manifest)).unwrap(), "{told}");
        assert!(repository.has_whole(&points[1], Some(&manifest)).unwrap(), "{told}");
        let options = RepairOptions { read: true, forget_lost: true, take_over: true };
        let repaired = repository.repair(&options, &mut Silent).unwrap();
        let lost: Vec<&String> = repaired.lost.iter().map(|(point, _)| &point.id).collect();
        assert_eq!(lost, [&planted.id], "{told}");
        assert_eq!(repository.points().unwrap(), points);
    }
}

/// Which of two is true, nothing here tells: the manifest of either lists what it holds.
#[test]
fn sets_of_one_backup_with_other_data_push_nothing_out_and_are_continued_by_nothing() {
    let dir = certadm_files::scratch::for_test();
    let repository = repository(dir.path());
    for (minute, low, high) in [(0, 1, 2), (1, 3, 4)] {
        store_as(&repository, at(minute, SetKind::Full, low, high), 3_000).unwrap();
    }
    let points = repository.points().unwrap();
    repository.note_proven(&points[1]).unwrap();
    let (manifest, bytes) = manifest_bytes(&repository, &points[1]);
    let mut shorter = manifest.clone();
    shorter.files[0].size = 5;
    let shorter_bytes = shorter.complete().unwrap();
    for (version, content, bytes) in [(0, vec![8; 3_000], bytes), (1, vec![7; 5], shorter_bytes)] {
        let tree = tree_of(&repository, &[("DataBase/ca.db", content), ("manifest.json", bytes)]);
        let planted = plant_version(&repository, &points[1], &manifest, tree, version);
        let mut both = [points[1].id.clone(), planted.id.clone()];
        let mut told = named(&repository);
        both.sort();
        told.sort();
        assert_eq!(told, both);
        assert_eq!(going(&repository, 1), [""; 0]);
        let refused = store_as(&repository, at(4, SetKind::Logs, 5, 7), 1_000).unwrap_err().to_string();
        assert!(refused.contains("has other data"), "{refused}");
        repository.objects.delete(&format!("snapshots/{}", planted.id)).unwrap();
    }
    assert_eq!(going(&repository, 1), [points[0].id.clone()]);
    // Data that are the same under another version are one backup, as something attached makes it.
    let again = plant_version(&repository, &points[1], &manifest, points[1].tree, 1);
    assert_eq!(named(&repository), [""; 0]);
    assert_eq!(going(&repository, 1), [points[0].id.clone(), points[1].id.clone()]);
    // What is proven of both stays noted when one of them goes.
    let keep = Keep { last: 1, ..Keep::default() };
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: false, rest: None }).unwrap();
    expiry.carry_out(&mut |_| {}).unwrap();
    assert_eq!(repository.points().unwrap(), std::slice::from_ref(&again));
    assert!(again.is_noted(&repository.proven().unwrap()));
}

/// Anybody can name any set as the original of a snapshot.
#[test]
fn a_set_that_names_a_proven_one_as_its_original_is_not_proven() {
    let dir = certadm_files::scratch::for_test();
    let repository = repository(dir.path());
    for (minute, low, high) in [(0, 1, 2), (1, 3, 4), (2, 5, 6)] {
        store_as(&repository, at(minute, SetKind::Full, low, high), 3_000).unwrap();
    }
    let points = repository.points().unwrap();
    repository.note_proven(&points[0]).unwrap();
    let bridge = Bridge::new(Arc::clone(&repository.objects));
    let opened = engine::open(&bridge, &repository.secret).unwrap();
    let mut snapshot = opened.get_snapshots(std::slice::from_ref(&points[2].id)).unwrap().remove(0);
    snapshot.original = points[0].id.parse().ok();
    opened.save_snapshots(vec![snapshot]).unwrap();
    bridge.commit().unwrap();
    repository.objects.delete(&format!("snapshots/{}", points[2].id)).unwrap();

    let newest = repository.points().unwrap().pop().unwrap();
    assert!(!newest.is_noted(&repository.proven().unwrap()));
    assert_eq!(repository.proven_at(&newest).unwrap(), None);
    assert_eq!(going(&repository, 1), [points[1].id.clone()]);
    // Nor does the proven one's tree prove a set that says something else.
    let other = at(3, SetKind::Full, 7, 8);
    let renamed = plant(&repository, points[0].tree, &other, seconds(&other));
    assert!(!renamed.is_noted(&repository.proven().unwrap()));
}
