//! What no real file shows, on logs and databases that a small writer makes.

use crate::writer::{At, MergeLevel, SplitLevel};
use certadm_ese::Code;
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::LogFile;
use certadm_ese::pagesize::PageSize;
use certadm_ese::redo::Replayer;
use proptest::prelude::*;

proptest! {
    #[test]
    fn hostile_bytes_behind_right_checksums_do_not_panic(
        content in proptest::collection::vec(any::<u8>(), 0..4000),
        first in 0u8..110,
    ) {
        let content = [&[first], content.as_slice()].concat();
        let bytes = crate::writer::log_v8(1, 3, &[content]);
        let mut replayer = Replayer::new(Vec::new(), None, PageSize::new(4096).unwrap());
        if let Ok(log) = LogFile::open(&bytes) {
            replayer.begin_log(log.header());
            for record in log.records().flatten() {
                if replayer.apply(record.position, &record.bytes).is_err() {
                    break;
                }
            }
        }
    }
}

/// A replay with a position that advances by itself.
struct Run {
    replayer: Replayer<Vec<u8>>,
    position: Lgpos,
}

const ROOT: u32 = 10;

impl Run {
    fn new() -> Self {
        let bytes = crate::writer::log_v8(1, 3, &[]);
        let log = LogFile::open(&bytes).unwrap();
        let mut run = Self {
            replayer: Replayer::new(Vec::new(), None, PageSize::new(4096).unwrap()),
            position: Lgpos { generation: 1, segment: 1, offset: 40 },
        };
        run.replayer.begin_log(log.header());
        run.apply(&crate::writer::create_database());
        run.apply(&crate::writer::create_tree(at(ROOT, 0, 10)));
        run
    }

    fn try_apply(&mut self, record: &[u8]) -> Result<(), certadm_ese::Error> {
        self.position.offset = self.position.offset.wrapping_add(1);
        self.replayer.apply(self.position, record)
    }

    fn apply(&mut self, record: &[u8]) {
        self.try_apply(record).unwrap();
    }

    /// Key and data of all visible nodes of leaves.
    fn visible(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut replayer = self.replayer.clone();
        let nodes = replayer.visible_nodes().unwrap();
        nodes.into_iter().map(|node| (node.key, node.data)).collect()
    }

    fn visible_after_rollback(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rolled_back = Self { replayer: self.replayer.clone(), position: self.position };
        rolled_back.replayer.roll_back().unwrap();
        rolled_back.visible()
    }
}

/// Versioned changes of a unique tree by session 1.
fn at(page: u32, before: u64, after: u64) -> At {
    let version = u32::try_from(after).unwrap();
    At { session: 1, page, before, after, line: 0, flags: 5, version, root: ROOT }
}

fn line(at: At, line: u16) -> At {
    At { line, ..at }
}

fn nodes(expected: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    expected.iter().map(|(key, data)| (key.as_bytes().to_vec(), data.as_bytes().to_vec())).collect()
}

/// A tree with two committed nodes; its page has time 12.
fn two_nodes() -> Run {
    let mut run = Run::new();
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::insert(at(ROOT, 10, 11), b"key a", b"1111"));
    run.apply(&crate::writer::insert(line(at(ROOT, 11, 12), 1), b"key b", b"2222"));
    run.apply(&crate::writer::commit(1, 0));
    run
}

#[test]
fn every_kind_of_change_is_rolled_back() {
    let before = nodes(&[("key a", "1111"), ("key b", "2222")]);
    let mut run = two_nodes();
    assert_eq!(run.visible(), before);
    assert_eq!(run.visible_after_rollback(), before, "committed work stays");
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::insert(line(at(ROOT, 12, 13), 2), b"key c", b"3"));
    run.apply(&crate::writer::replace(at(ROOT, 13, 14), b"1111", b"a longer value"));
    run.apply(&crate::writer::flag_delete(line(at(ROOT, 14, 15), 1)));
    run.apply(&crate::writer::flag_insert_and_replace(line(at(ROOT, 15, 16), 1), b"key b", b"back"));
    run.apply(&crate::writer::delta(line(at(ROOT, 16, 17), 1), b"key b", 1));
    let during = nodes(&[("key a", "a longer value"), ("key b", "cack"), ("key c", "3")]);
    assert_eq!(run.visible(), during);
    assert_eq!(run.visible_after_rollback(), before);
    // Nothing is undone behind a commit.
    run.apply(&crate::writer::commit(1, 0));
    assert_eq!(run.visible_after_rollback(), during);
}

#[test]
fn levels_commit_into_their_parent_and_roll_back_alone() {
    let before = nodes(&[("key a", "1111"), ("key b", "2222")]);
    let mut run = two_nodes();
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::replace(at(ROOT, 12, 13), b"1111", b"2"));
    run.apply(&crate::writer::begin(1, 1));
    let deeper = crate::writer::replace(at(ROOT, 13, 14), b"2", b"3");
    run.apply(&deeper);
    run.apply(&crate::writer::commit(1, 1));
    assert_eq!(run.visible_after_rollback(), before, "a level committed to its parent is still open");
    // A rollback that the engine logged itself: the change is gone, and not undone twice.
    let undo = At { version: 14, ..at(ROOT, 14, 15) };
    run.apply(&crate::writer::undo(undo, b"key a", 2));
    assert_eq!(run.visible(), nodes(&[("key a", "2"), ("key b", "2222")]));
    assert_eq!(run.visible_after_rollback(), before);
    let undo = At { version: 13, ..at(ROOT, 15, 16) };
    run.apply(&crate::writer::undo(undo, b"key a", 2));
    run.apply(&crate::writer::rollback(1, 1));
    assert!(run.replayer.open_transactions().is_empty());
    assert_eq!(run.visible(), before);
}

#[test]
fn a_change_already_on_the_page_is_undone_from_its_undo_information() {
    let before = nodes(&[("key a", "1111"), ("key b", "2222")]);
    let mut run = two_nodes();
    run.apply(&crate::writer::begin(1, 0));
    let records = [
        crate::writer::replace(at(ROOT, 12, 13), b"1111", b"new"),
        crate::writer::flag_delete(line(at(ROOT, 13, 14), 1)),
    ];
    records.iter().for_each(|record| run.apply(record));
    // The page went to disk; the replay begins anew on it.
    let target = run.replayer.into_crashed().unwrap();
    let header = certadm_ese::header::DatabaseHeader::read(&target).unwrap().0;
    let again = || {
        let bytes = crate::writer::log_v8(1, 3, &[]);
        let log = LogFile::open(&bytes).unwrap();
        let mut run = Run {
            replayer: Replayer::new(target.clone(), Some(header.clone()), PageSize::new(4096).unwrap()),
            position: run.position,
        };
        run.replayer.begin_log(log.header());
        run.apply(&crate::writer::create_database());
        run.apply(&crate::writer::begin(1, 0));
        records.iter().for_each(|record| run.apply(record));
        run
    };
    let mut lost = again();
    let error = lost.replayer.roll_back().unwrap_err();
    assert_eq!(error.code(), Code::LOG_CORRUPT, "without it the rollback says so: {error}");

    let mut run = again();
    run.apply(&crate::writer::undo_info(At { version: 13, ..at(ROOT, 0, 0) }, b"key a", 2, b"1111"));
    run.apply(&crate::writer::undo_info(At { version: 14, ..at(ROOT, 0, 0) }, b"key b", 3, b""));
    assert_eq!(run.visible_after_rollback(), before);
}

#[test]
fn pages_that_do_not_fit_stop_the_replay() {
    let mut run = two_nodes();
    let error = run.try_apply(&crate::writer::insert(at(ROOT, 13, 14), b"x", b"")).unwrap_err();
    assert_eq!(error.code(), Code::DBTIME_TOO_OLD);
    let error = run.try_apply(&crate::writer::insert(at(ROOT, 11, 14), b"x", b"")).unwrap_err();
    assert_eq!(error.code(), Code::DBTIME_TOO_NEW);
    let error = run.try_apply(&crate::writer::insert(line(at(ROOT, 12, 14), 9), b"x", b"")).unwrap_err();
    assert_eq!(error.code(), Code::LOG_CORRUPT);
    let error = two_nodes().try_apply(&crate::writer::replace(at(ROOT, 12, 14), b"11", b"")).unwrap_err();
    assert_eq!(error.code(), Code::LOG_CORRUPT);
    let error = run.try_apply(&[65; 96]).unwrap_err();
    assert_eq!(error.code(), Code::BAD_LOG_VERSION, "a page move is not replayed");
    // What is already there is skipped without looking at it.
    two_nodes().apply(&crate::writer::replace(at(ROOT, 3, 4), b"never", b"was"));
}

/// A replay that begins anew on what a crash would have left of another, so that no page is in memory.
fn anew(crashed: &[u8], most: usize) -> Run {
    let bytes = crate::writer::log_v8(1, 3, &[]);
    let log = LogFile::open(&bytes).unwrap();
    let header = certadm_ese::header::DatabaseHeader::read(&crashed).unwrap().0;
    let replayer = Replayer::new(crashed.to_vec(), Some(header), PageSize::new(4096).unwrap());
    let position = Lgpos { generation: 2, segment: 1, offset: 40 };
    let mut run = Run { replayer: replayer.let_wait_at_most(most), position };
    run.replayer.begin_log(log.header());
    run.apply(&crate::writer::create_database());
    run.apply(&crate::writer::begin(1, 0));
    run
}

#[test]
fn a_record_of_a_page_behind_the_end_of_the_file_is_told_whether_it_waits_or_not() {
    let crashed = two_nodes().replayer.into_crashed().unwrap();
    for page in [11, 12, 5_000, 500_000] {
        for most in [0, usize::MAX] {
            let mut run = anew(&crashed, most);
            let applied = run.try_apply(&crate::writer::insert(at(page, 12, 14), b"x", b""));
            let error = applied.err().or_else(|| run.replayer.flush().err()).unwrap();
            assert_eq!(error.code(), Code::DBTIME_TOO_OLD, "{page}, {most}: {error}");
        }
    }
}

#[test]
fn many_pages_are_changed_at_a_time_as_they_would_be_one_by_one() {
    // More pages than two batches have, with gaps between them that are read along and gaps that are not.
    let pages: Vec<u32> = (ROOT..ROOT + 1700).filter(|page| page % 7 != 0 && (page / 40) % 3 != 1).collect();
    let mut run = Run::new();
    for page in &pages[1..] {
        run.apply(&crate::writer::create_tree(At { root: *page, ..at(*page, 0, 10) }));
    }
    let crashed = run.replayer.into_crashed().unwrap();
    let ended = |most: usize, damage: Option<u32>| {
        let mut crashed = crashed.clone();
        if let Some(page) = damage {
            crashed[(page as usize + 1) * 4096 + 100] ^= 0xFF;
        }
        let mut run = anew(&crashed, most);
        for round in 0..3_u64 {
            // In an order that is not that of the file.
            for step in 0..pages.len() {
                let page = pages[step * 611 % pages.len()];
                let here = At { root: page, ..at(page, 10 + round, 11 + round) };
                let key = format!("key {round}");
                let record =
                    crate::writer::insert(line(here, round.try_into().unwrap()), key.as_bytes(), b"data");
                run.try_apply(&record)?;
            }
        }
        // What is not committed is undone, which asks for each change.
        run.apply(&crate::writer::commit(1, 0));
        run.apply(&crate::writer::begin(1, 0));
        for page in pages.iter().step_by(3) {
            let here = At { root: *page, ..at(*page, 13, 14) };
            run.try_apply(&crate::writer::replace(here, b"data", b"other"))?;
        }
        run.replayer.finish().map(|(target, header, counts)| (target, header.bytes().to_vec(), counts))
    };
    let one_by_one = ended(0, None).unwrap();
    assert_eq!(one_by_one.2.undone, pages.len().div_ceil(3) as u64);
    for most in [100, 700, usize::MAX] {
        assert!(ended(most, None).unwrap() == one_by_one, "{most}");
    }
    // The first error in the order of the file is told.
    for page in [pages[3], pages[pages.len() / 2], pages[pages.len() - 1]] {
        let error = ended(usize::MAX, Some(page)).unwrap_err();
        assert!(
            matches!(error, certadm_ese::Error::Replay { page: Some(told), .. } if told == page),
            "{error}"
        );
    }
}

const LEAF: u32 = 0x802;
const NO_PAGE: (u32, u64) = (0, u64::MAX);

/// Keys a to f under a root with two leaves, 20 (a, b, c) and 21 (d, e, f), made by a vertical split and a right one.
/// Times: root and leaves 20.
fn two_leaves() -> Run {
    let mut run = Run::new();
    run.apply(&crate::writer::begin(1, 0));
    for (index, key) in ["key a", "key b", "key c", "key e", "key f"].into_iter().enumerate() {
        let index = u16::try_from(index).unwrap();
        let time = 10 + u64::from(index);
        run.apply(&crate::writer::insert(line(at(ROOT, time, time + 1), index), key.as_bytes(), b"data"));
    }
    // Vertical: the root's nodes move to page 20, which is not split by it.
    run.apply(&crate::writer::macro_begin(1, 19));
    let vertical = SplitLevel {
        new: 20,
        right: NO_PAGE,
        parent: NO_PAGE,
        kind: 0,
        operation: 0,
        lines: [0, 0, 5],
        flags: [LEAF, 0x805],
        parent_key: b"",
    };
    run.apply(&crate::writer::split(at(ROOT, 15, 19), &vertical));
    run.apply(&crate::writer::macro_commit(1, 19));
    // Right: d to f move to page 21; the insert of d causes it.
    run.apply(&crate::writer::macro_begin(1, 20));
    let right = SplitLevel {
        new: 21,
        right: NO_PAGE,
        parent: (ROOT, 19),
        kind: 1,
        operation: 1,
        lines: [3, 3, 6],
        flags: [LEAF, LEAF],
        parent_key: b"key d",
    };
    run.apply(&crate::writer::split(at(20, 19, 20), &right));
    run.apply(&crate::writer::insert(line(at(20, u64::MAX, 20), 3), b"key d", b"data"));
    run.apply(&crate::writer::macro_commit(1, 20));
    run.apply(&crate::writer::commit(1, 0));
    run
}

fn all_keys() -> Vec<(Vec<u8>, Vec<u8>)> {
    nodes(&["key a", "key b", "key c", "key d", "key e", "key f"].map(|key| (key, "data")))
}

/// The first leaf of `two_leaves`, and a split of it that moves `key b2`, which is inserted, and all behind it to page 22.
fn split_of_the_first_leaf() -> [Vec<u8>; 2] {
    let right = SplitLevel {
        new: 22,
        right: (21, 21),
        parent: (ROOT, 20),
        kind: 1,
        operation: 1,
        lines: [2, 2, 4],
        flags: [LEAF, LEAF],
        parent_key: b"key b2",
    };
    let inserted = crate::writer::insert(line(at(20, u64::MAX, 31), 2), b"key b2", b"data");
    [crate::writer::split(at(20, 20, 31), &right), inserted]
}

#[test]
fn undo_information_inside_a_macro_is_not_of_the_macro() {
    // Somebody writes page 21 while the session whose change is on it splits page 20.
    let nowhen = At { before: u64::MAX, after: u64::MAX, ..at(21, 20, 21) };
    let info = crate::writer::undo_info(nowhen, b"key e", 2, b"data");
    let [split, inserted] = split_of_the_first_leaf();
    let change = crate::writer::replace(line(at(21, 20, 21), 1), b"data", b"else");
    // Page 21 is newer in the file than the replacement, so that only the undo information knows what was before.
    let mut written = two_leaves();
    written.apply(&crate::writer::begin(1, 0));
    written.apply(&change);
    let crashed = written.replayer.into_crashed().unwrap();
    let mut with_new_key = all_keys();
    with_new_key.insert(2, (b"key b2".to_vec(), b"data".to_vec()));
    // Before the split, between it and its operation, behind both.
    for place in 0..3 {
        let mut collected = vec![split.clone(), inserted.clone()];
        collected.insert(place, info.clone());
        let mut run = anew(&crashed, usize::MAX);
        // The split takes the time of page 21 as the change left it.
        run.apply(&change);
        run.apply(&crate::writer::macro_begin(1, 31));
        for record in &collected {
            run.apply(record);
        }
        assert_eq!(
            run.visible_after_rollback(),
            all_keys(),
            "{place}: a macro without an end never happened"
        );
        run.apply(&crate::writer::macro_commit(1, 31));
        assert_eq!(run.visible_after_rollback(), all_keys(), "{place}");
        run.apply(&crate::writer::commit(1, 0));
    }
}

#[test]
fn a_macro_holds_the_records_of_its_time_and_no_others() {
    // A concurrent creation of an index logs entries in the name of the session whose rows they are of.
    let mut run = two_leaves();
    run.apply(&crate::writer::begin(1, 0));
    let [split, inserted] = split_of_the_first_leaf();
    run.apply(&crate::writer::macro_begin(1, 31));
    run.apply(&split);
    run.apply(&crate::writer::macro_begin(1, 40));
    run.apply(&crate::writer::replace(line(at(21, 20, 21), 1), b"data", b"else"));
    run.apply(&inserted);
    let [mut now, mut both] = [all_keys(), all_keys()];
    now[4].1 = b"else".to_vec();
    assert_eq!(run.visible(), now);
    // The other macro of the session is still open.
    run.apply(&crate::writer::macro_commit(1, 31));
    both[4].1 = b"else".to_vec();
    both.insert(2, (b"key b2".to_vec(), b"data".to_vec()));
    assert_eq!(run.visible(), both);
    run.apply(&crate::writer::macro_commit(1, 40));
    assert_eq!(run.visible(), both);
}

#[test]
fn vertical_and_right_splits_keep_every_node_and_find_them_again() {
    let mut run = two_leaves();
    assert_eq!(run.visible(), all_keys());
    // A rollback finds a node that a split moved, by its key.
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::replace(line(at(21, 20, 21), 1), b"data", b"else"));
    assert_eq!(run.visible_after_rollback(), all_keys());
}

#[test]
fn a_node_that_came_back_is_undone_in_two_steps_also_where_it_caused_a_split() {
    let mut run = two_leaves();
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::flag_delete(line(at(20, 20, 30), 1)));
    run.apply(&crate::writer::commit(1, 0));
    let mut without_b = all_keys();
    without_b.remove(1);
    // An older change of the same node, which the undoing of a newer one must leave alone.
    run.apply(&crate::writer::begin(1, 0));
    let first = line(at(20, 30, 31), 1);
    run.apply(&crate::writer::flag_insert_and_replace(first, b"key b", b"first"));
    run.apply(&crate::writer::flag_delete(line(at(20, 31, 32), 1)));
    run.apply(&crate::writer::macro_begin(1, 33));
    let split = SplitLevel {
        new: 22,
        right: (21, 20),
        parent: (ROOT, 20),
        kind: 1,
        operation: 3,
        lines: [1, 2, 3],
        flags: [LEAF, LEAF],
        parent_key: b"key c",
    };
    run.apply(&crate::writer::split(at(20, 32, 33), &split));
    let second = line(at(20, u64::MAX, 33), 1);
    run.apply(&crate::writer::flag_insert_and_replace(second, b"key b", b"second"));
    run.apply(&crate::writer::macro_commit(1, 33));
    let with_b = |data: &str| {
        let mut nodes = without_b.clone();
        nodes.insert(1, (b"key b".to_vec(), data.as_bytes().to_vec()));
        nodes
    };
    assert_eq!(run.visible(), with_b("second"));
    assert_eq!(run.visible_after_rollback(), without_b);
    let undo = |change: u32, operation: u16, time: u64| {
        crate::writer::undo(line(At { version: change, ..at(20, time - 1, time) }, 1), b"key b", operation)
    };
    let steps = [
        (undo(crate::writer::replace_version(second), 2, 34), with_b("first")),
        (undo(33, 1, 35), without_b.clone()),
        (undo(32, 3, 36), with_b("first")),
        (undo(crate::writer::replace_version(first), 2, 37), with_b("data")),
        (undo(31, 1, 38), without_b.clone()),
    ];
    for (number, (record, visible)) in steps.iter().enumerate() {
        run.apply(record);
        assert_eq!(&run.visible(), visible, "{number}");
        assert_eq!(run.visible_after_rollback(), without_b, "{number}");
    }
    let unknown = run.try_apply(&undo(77, 2, 39)).unwrap_err();
    assert_eq!(unknown.code(), Code::LOG_CORRUPT, "{unknown}");
}

const KEY_CHANGE: u8 = 1;
const DELETE: u8 = 2;
const EMPTY: u8 = 4;

/// A level of a merge above the leaves; what the key changes to, the level of the leaf says.
fn upper_merge(at: At, flags: u8) -> Vec<u8> {
    let level = MergeLevel {
        right: NO_PAGE,
        left: NO_PAGE,
        parent: NO_PAGE,
        line: 0,
        flags,
        kind: 0,
        separator: b"",
    };
    crate::writer::merge(at, &level)
}

#[test]
fn merges_to_both_sides_keep_every_node() {
    let upper = |line_of_node, flags| upper_merge(line(at(ROOT, 20, 30), line_of_node), flags);
    let (left_page, right_page) = ((20, 20), (21, 20));
    // Full right: 20 into 21. Full left: 21 into 20. Partial: some of one into the other.
    let full_right = MergeLevel {
        right: right_page,
        left: NO_PAGE,
        parent: (ROOT, 20),
        line: 0,
        flags: EMPTY,
        kind: 2,
        separator: b"",
    };
    let full_left = MergeLevel { right: NO_PAGE, left: left_page, line: 2, kind: 5, ..full_right };
    let partial_right = MergeLevel { line: 2, flags: 0, kind: 3, separator: b"key c", ..full_right };
    let partial_left = MergeLevel { line: 0, flags: 0, kind: 6, separator: b"key e", ..full_left };
    let cases = [
        (20, full_right, upper(0, DELETE)),
        (21, full_left, upper(1, KEY_CHANGE | DELETE)),
        (20, partial_right, upper(0, KEY_CHANGE)),
        (21, partial_left, upper(1, KEY_CHANGE)),
    ];
    for (page, level, upper) in cases {
        let mut run = two_leaves();
        run.apply(&crate::writer::macro_begin(1, 30));
        run.apply(&upper);
        run.apply(&crate::writer::merge(at(page, 20, 30), &level));
        assert_eq!(run.visible(), all_keys(), "kind {}: nothing happens before the macro ends", level.kind);
        run.apply(&crate::writer::macro_commit(1, 30));
        assert_eq!(run.visible(), all_keys(), "kind {}", level.kind);
        every_node_is_found(&run);
    }
}

/// Every node is found by its key.
fn every_node_is_found(run: &Run) {
    for (key, data) in run.visible() {
        let mut search = Run { replayer: run.replayer.clone(), position: run.position };
        search.apply(&crate::writer::begin(1, 0));
        let anywhere = At { version: 500, page: 99, before: u64::MAX, after: 60, ..at(99, 0, 60) };
        search.apply(&crate::writer::delta(anywhere, &key, 0));
        search.replayer.roll_back().unwrap_or_else(|error| panic!("{key:?} {data:?}: {error}"));
    }
}

#[test]
fn a_partial_merge_gives_its_time_to_both_neighbours() {
    // Pages 20 (a, b), 22 (b2, c) and 21 (d, e, f); the times of all are 31.
    let three_leaves = || {
        let mut run = two_leaves();
        run.apply(&crate::writer::begin(1, 0));
        run.apply(&crate::writer::replace(line(at(21, 20, 21), 1), b"data", b"data"));
        run.apply(&crate::writer::macro_begin(1, 31));
        split_of_the_first_leaf().iter().for_each(|record| run.apply(record));
        run.apply(&crate::writer::macro_commit(1, 31));
        run
    };
    let before = three_leaves().visible();
    let to_the_right = MergeLevel {
        right: (21, 31),
        left: (20, 31),
        parent: (ROOT, 31),
        line: 1,
        flags: 0,
        kind: 3,
        separator: b"key c",
    };
    let to_the_left = MergeLevel { line: 0, kind: 6, ..to_the_right };
    for (level, beside) in [(to_the_right, 20), (to_the_left, 21)] {
        let mut run = three_leaves();
        run.apply(&crate::writer::macro_begin(1, 40));
        run.apply(&upper_merge(line(at(ROOT, 31, 40), 1), KEY_CHANGE));
        run.apply(&crate::writer::merge(at(22, 31, 40), &level));
        run.apply(&crate::writer::macro_commit(1, 40));
        assert_eq!(run.visible(), before, "kind {}", level.kind);
        every_node_is_found(&run);
        // The neighbour that nothing went to.
        run.apply(&crate::writer::replace(at(beside, 40, 41), b"data", b"data"));
    }
}

#[test]
fn what_open_transactions_remember_is_bounded() {
    let mut run = two_nodes();
    run.apply(&crate::writer::begin(1, 0));
    let values: [Vec<u8>; 2] = [vec![1; 3000], vec![2; 3000]];
    run.apply(&crate::writer::replace(at(ROOT, 12, 13), b"1111", &values[0]));
    let mut time = 13;
    let error = loop {
        let [old, new] = if time % 2 == 1 { [0, 1] } else { [1, 0] };
        let record = crate::writer::replace(at(ROOT, time, time + 1), &values[old], &values[new]);
        time += 1;
        assert!(time < 200_000, "no end of it");
        if let Err(error) = run.try_apply(&record) {
            break error;
        }
    };
    assert_eq!(error.code(), Code::VERSION_STORE_OUT_OF_MEMORY, "{error}");
    // The same for a macro that never ends, of which nothing is applied.
    let mut run = two_nodes();
    run.apply(&crate::writer::macro_begin(1, 13));
    let record = crate::writer::insert(at(ROOT, 12, 13), b"key", &values[0]);
    let ended = (0..200_000).find_map(|_| run.try_apply(&record).err());
    assert_eq!(ended.unwrap().code(), Code::VERSION_STORE_OUT_OF_MEMORY);
}

#[test]
fn a_macro_without_an_end_never_happened() {
    let mut run = two_nodes();
    run.apply(&crate::writer::begin(1, 0));
    run.apply(&crate::writer::macro_begin(1, 13));
    run.apply(&crate::writer::delete(at(ROOT, 12, 13)));
    assert_eq!(run.visible_after_rollback(), nodes(&[("key a", "1111"), ("key b", "2222")]));
    // The recovery of the engine goes on with the same session.
    run.apply(&[17]);
    run.apply(&crate::writer::flag_delete(at(ROOT, 12, 13)));
    assert_eq!(run.visible(), nodes(&[("key b", "2222")]));
}
