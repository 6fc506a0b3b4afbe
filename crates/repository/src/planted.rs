//! Snapshots that somebody with the key has stored beside the true ones, with the tags of a set: `restic backup` can do that.

use std::sync::Arc;

use certadm_set::Silent;
use certadm_set::manifest::{Generations, Manifest, SetKind};
use certadm_set::retain::Keep;
use rustic_core::TreeId;

use crate::bridge::Bridge;
use crate::check::Part;
use crate::copy::tests::{manifest, plant, repository, store_as};
use crate::engine;
use crate::expire::ExpiryOptions;
use crate::point::Point;
use crate::reader::Reader;
use crate::repair::RepairOptions;
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
