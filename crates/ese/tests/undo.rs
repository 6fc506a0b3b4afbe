//! A real log cut at any record, redone and undone, shows what was there when the open transaction began.

mod common;

use std::collections::BTreeSet;

use certadm_ese::header::DatabaseHeader;
use certadm_ese::log::{LogFile, Record};
use certadm_ese::redo::{Replayer, VisibleNode};

/// Nodes of the trees that existed when the transaction began; one it made itself only leaks space.
fn of_objects(nodes: Vec<VisibleNode>, objects: &BTreeSet<u32>) -> Vec<VisibleNode> {
    nodes.into_iter().filter(|node| objects.contains(&node.object)).collect()
}

struct Snapshot {
    session: u16,
    objects: BTreeSet<u32>,
    nodes: Vec<VisibleNode>,
}

/// Cuts the last log behind every record; the logs before it bring the database to one point in time. Returns how many cut points had one open transaction and were compared.
fn cut_everywhere(database: Option<Vec<u8>>, logs: &[Vec<u8>]) -> u32 {
    let page_size = LogFile::open(&logs[0]).unwrap().header().page_size;
    let header = database.as_ref().map(|bytes| DatabaseHeader::read(bytes).unwrap().0);
    let mut replayer = Replayer::new(database.unwrap_or_default(), header, page_size);
    let mut snapshot: Option<Snapshot> = None;
    let mut compared = 0;
    for (number, bytes) in logs.iter().enumerate() {
        let log = LogFile::open(bytes).unwrap();
        replayer.begin_log(log.header());
        for record in log.records() {
            let record = record.unwrap();
            let begins = matches!(Record::parse(&record.bytes).unwrap(), Record::Begin { from: 0, .. });
            let nothing_open = replayer.open_transactions().is_empty();
            replayer.apply(record.position, &record.bytes).unwrap();
            let open = replayer.open_transactions();
            match (&snapshot, open.as_slice()) {
                (_, [session]) if begins && nothing_open => {
                    let nodes = replayer.visible_nodes().unwrap();
                    snapshot = Some(Snapshot {
                        session: *session,
                        objects: nodes.iter().map(|node| node.object).collect(),
                        nodes,
                    });
                }
                (Some(before), [session]) if before.session == *session => {}
                // None open, or several: what the others did in between is not to be undone.
                _ => snapshot = None,
            }
            if let (Some(before), true) = (&snapshot, number + 1 == logs.len()) {
                let mut cut = replayer.clone();
                cut.roll_back().unwrap();
                let after = of_objects(cut.visible_nodes().unwrap(), &before.objects);
                assert!(after == before.nodes, "cut behind {}", record.position);
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn every_cut_point_of_the_v7_logs() {
    let names = [
        "winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore",
        "winmail-v7-sec4096/Backup_new_edb00001.log",
        "winmail-v7-sec4096/edb.log",
    ];
    let files: Option<Vec<_>> = names.iter().map(|name| common::fixture(name)).collect();
    let Some(mut files) = files else {
        return;
    };
    let logs = files.split_off(1);
    let compared = cut_everywhere(files.pop(), &logs);
    println!("{compared} cut points");
    assert!(0 < compared);
}

#[test]
fn every_cut_point_of_the_v8_log_with_splits_and_merges() {
    let Some(log) = common::fixture("secedit-v8/edb.log") else {
        return;
    };
    let compared = cut_everywhere(None, &[log]);
    println!("{compared} cut points");
    assert!(0 < compared);
}
