//! Real logs cut behind every record, redone and undone: what is left is what everybody else did.

use std::collections::{BTreeMap, BTreeSet};

use certadm_ese::header::DatabaseHeader;
use certadm_ese::log::LogFile;
use certadm_ese::redo::{Replayer, VisibleNode};

/// A session with an open transaction.
#[derive(Default)]
struct Open {
    /// What it did to the visible nodes: how often each came, less how often it went.
    did: BTreeMap<VisibleNode, i64>,
    /// The visible nodes at its Begin0.
    begin: Vec<VisibleNode>,
    /// Somebody else changed something since.
    others: bool,
}

/// What the records of a session say, as far as this test has to know; read from their bytes alone (ese.md 8.4).
#[derive(Default)]
struct Spoken {
    in_macro: bool,
    /// A versioned change was announced whose effect has not been seen yet.
    versioned: bool,
}

const MACRO_BEGIN: u8 = 11;
const MACRO_ENDS: [u8; 2] = [12, 13];
const FLAGS: usize = 31;

/// Whether a record changes a node and the change is rolled back with its transaction.
fn is_versioned_change(record: &[u8]) -> bool {
    matches!(record[0], 29..=35 | 37 | 39 | 93) && record[FLAGS] & 1 != 0
}

fn session_of(record: &[u8]) -> u16 {
    record.get(1..3).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn counted(nodes: &[VisibleNode]) -> BTreeMap<VisibleNode, i64> {
    let mut counts = BTreeMap::new();
    for node in nodes {
        *counts.entry(node.clone()).or_insert(0) += 1;
    }
    counts
}

fn subtract(from: &mut BTreeMap<VisibleNode, i64>, what: &BTreeMap<VisibleNode, i64>) {
    for (node, count) in what {
        *from.entry(node.clone()).or_insert(0) -= count;
    }
    from.retain(|_, count| *count != 0);
}

/// Nodes of the trees that existed when the transaction began; one it made itself only leaks space.
fn of_objects<'n>(nodes: &'n [VisibleNode], begin: &[VisibleNode]) -> Vec<&'n VisibleNode> {
    let objects: BTreeSet<u32> = begin.iter().map(|node| node.object).collect();
    nodes.iter().filter(|node| objects.contains(&node.object)).collect()
}

/// How many records there were, behind how many of them a transaction was open, and how often the state was also compared
/// with that at its Begin0, because nobody else had changed anything.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    records: u32,
    open: u32,
    as_at_begin: u32,
}

/// Cuts the last log behind every record, and compares what a rollback leaves with what the open transactions had not done.
/// The logs before it bring a backup's pages, which are of different ages, to one point in time: before that there is
/// nothing to compare with.
fn cut_everywhere(database: Option<Vec<u8>>, logs: &[Vec<u8>]) -> Tally {
    let page_size = LogFile::open(&logs[0]).unwrap().header().page_size;
    let header = database.as_ref().map(|bytes| DatabaseHeader::read(bytes).unwrap().0);
    let mut replayer = Replayer::new(database.unwrap_or_default(), header, page_size);
    let mut spoken: BTreeMap<u16, Spoken> = BTreeMap::new();
    let mut open: BTreeMap<u16, Open> = BTreeMap::new();
    let mut visible = Vec::new();
    let mut tally = Tally::default();
    for (number, bytes) in (1..).zip(logs) {
        let log = LogFile::open(bytes).unwrap();
        replayer.begin_log(log.header());
        for record in log.records() {
            let record = record.unwrap();
            if number < logs.len() {
                replayer.apply(record.position, &record.bytes).unwrap();
                continue;
            }
            if tally.records == 0 {
                assert_eq!(
                    replayer.open_transactions(),
                    [0_u16; 0],
                    "all is committed where the comparison begins"
                );
                visible = replayer.visible_nodes().unwrap();
            }
            let (kind, session) = (record.bytes[0], session_of(&record.bytes));
            let speaker = spoken.entry(session).or_default();
            speaker.in_macro = (speaker.in_macro || kind == MACRO_BEGIN) && !MACRO_ENDS.contains(&kind);
            speaker.versioned |= is_versioned_change(&record.bytes);

            replayer.apply(record.position, &record.bytes).unwrap();
            let before = std::mem::replace(&mut visible, replayer.visible_nodes().unwrap());
            let sessions = replayer.open_transactions();
            open.retain(|session, _| sessions.contains(session));
            for session in sessions {
                open.entry(session).or_insert_with(|| Open { begin: before.clone(), ..Open::default() });
            }
            if visible != before && speaker.versioned {
                let mut difference = counted(&visible);
                subtract(&mut difference, &counted(&before));
                let undone: BTreeMap<_, _> =
                    difference.into_iter().map(|(node, count)| (node, -count)).collect();
                for (other, transaction) in &mut open {
                    if *other == session {
                        subtract(&mut transaction.did, &undone);
                    } else {
                        transaction.others = true;
                    }
                }
            }
            speaker.versioned &= speaker.in_macro;

            let mut cut = replayer.clone();
            cut.roll_back().unwrap();
            let after = cut.visible_nodes().unwrap();
            let mut expected = counted(&visible);
            open.values().for_each(|transaction| subtract(&mut expected, &transaction.did));
            assert!(counted(&after) == expected, "cut behind {}", record.position);
            tally.records += 1;
            tally.open += u32::from(!open.is_empty());
            if let [transaction] = open.values().collect::<Vec<_>>()[..]
                && !transaction.others
            {
                let begin = &transaction.begin;
                assert!(of_objects(&after, begin) == of_objects(begin, begin), "behind {}", record.position);
                tally.as_at_begin += 1;
            }
        }
    }
    tally
}

#[test]
fn every_cut_point_of_the_v7_logs() {
    let names = [
        "winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore",
        "winmail-v7-sec4096/Backup_new_edb00001.log",
        "winmail-v7-sec4096/edb.log",
    ];
    let files: Option<Vec<_>> = names.iter().map(|name| crate::common::fixture(name)).collect();
    let Some(mut files) = files else {
        return;
    };
    let logs = files.split_off(1);
    let tally = cut_everywhere(files.pop(), &logs);
    println!("{tally:?}");
    assert!(0 < tally.as_at_begin && tally.as_at_begin <= tally.open);
}

#[test]
fn every_cut_point_of_the_v8_log_with_splits_and_merges() {
    let Some(log) = crate::common::fixture("secedit-v8/edb.log") else {
        return;
    };
    let tally = cut_everywhere(None, &[log]);
    println!("{tally:?}");
    assert!(0 < tally.as_at_begin && tally.as_at_begin <= tally.open);
}
