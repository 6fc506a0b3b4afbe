//! Replay of real logs against the state that the engine itself reached.

use certadm_ese::Database;
use certadm_ese::header::{DatabaseHeader, State};
use certadm_ese::log::LogFile;
use certadm_ese::page::{Page, flag, node_flag};
use certadm_ese::redo::Replayer;

/// Everything of a page that has a meaning: not the checksum, the write counter, the order of bytes, nor hints.
fn logical(page: &Page) -> String {
    let nodes: Vec<_> = page
        .nodes()
        .map(|node| {
            let flags = node.flags & node_flag::DELETED;
            (flags, node.key(), node.data.to_vec())
        })
        .collect();
    format!(
        "time {} previous {} next {} object {} flags {:#x} tag 0 {:02x?} nodes {:02x?}",
        page.dbtime(),
        page.previous(),
        page.next(),
        page.object_id(),
        page.flags() & !flag::FLUSH_COUNTER,
        page.external_header(),
        nodes
    )
}

/// Compares all pages that the engine's file has in use; returns how many were equal.
fn compare(ours: &[u8], engine: &[u8]) -> (u32, Vec<String>) {
    let ours = Database::open(ours).unwrap();
    let engine = Database::open(engine).unwrap();
    let mut equal = 0;
    let mut differences = Vec::new();
    for number in 1..=engine.page_slots() {
        let raw = engine.raw_page(number).unwrap();
        if raw.iter().all(|byte| *byte == 0) {
            continue;
        }
        let Ok(theirs) = engine.page(number) else {
            continue;
        };
        match ours.page(number) {
            Ok(page) if logical(&page) == logical(&theirs) => equal += 1,
            Ok(page) => differences.push(format!(
                "page {number}:\n ours   {}\n engine {}",
                logical(&page),
                logical(&theirs)
            )),
            Err(error) => differences.push(format!("page {number}: {error}")),
        }
    }
    (equal, differences)
}

fn replay(database: Option<Vec<u8>>, logs: &[Vec<u8>]) -> Replayer<Vec<u8>> {
    let first = LogFile::open(&logs[0]).unwrap();
    let page_size = first.header().page_size;
    let header = database.as_ref().map(|bytes| DatabaseHeader::read(bytes).unwrap().0);
    let mut replayer = Replayer::new(database.unwrap_or_default(), header, page_size);
    for bytes in logs {
        let log = LogFile::open(bytes).unwrap();
        replayer.begin_log(log.header());
        for record in log.records() {
            let record = record.unwrap();
            replayer.apply(record.position, &record.bytes).unwrap();
        }
    }
    replayer
}

fn fixtures(names: &[&str]) -> Option<Vec<Vec<u8>>> {
    names.iter().map(|name| crate::common::fixture(name)).collect()
}

#[test]
fn a_backup_and_its_logs_become_the_live_database() {
    let Some(files) = fixtures(&[
        "winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore",
        "winmail-v7-sec4096/Backup_new_edb00001.log",
        "winmail-v7-sec4096/edb.log",
        "winmail-v7-sec4096/WindowsMail.MSMessageStore",
    ]) else {
        return;
    };
    let replayer = replay(Some(files[0].clone()), &files[1..3]);
    let (recovered, header, counts) = replayer.finish().unwrap();
    println!("{counts:?} {header:?}");
    let (equal, differences) = compare(&recovered, &files[3]);
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(equal, 28);
    assert_eq!(header.state(), State::CleanShutdown);
}

#[test]
fn a_log_alone_becomes_the_database_the_engine_wrote() {
    let Some(files) = fixtures(&["indexeddb-v8-scrubbed/edb.log", "indexeddb-v8-scrubbed/IndexedDB.edb"])
    else {
        return;
    };
    let (recovered, header, counts) = replay(None, &files[..1]).finish().unwrap();
    println!("{counts:?} {header:?}");
    let (equal, differences) = compare(&recovered, &files[1]);
    assert_eq!(differences, Vec::<String>::new());
    assert_eq!(equal, 47);
}

#[test]
fn a_log_with_splits_and_merges_replays_without_a_mismatch() {
    let Some(files) = fixtures(&["secedit-v8/edb.log"]) else {
        return;
    };
    let (recovered, header, counts) = replay(None, &files).finish().unwrap();
    println!("{counts:?} {header:?}");
    let database = Database::open(recovered).unwrap();
    let catalog = database.catalog().unwrap();
    let mut rows = 0;
    for definition in catalog.tables() {
        let table = database.table(&definition.name).unwrap();
        for row in table.rows() {
            let row = row.unwrap();
            for column in &definition.columns {
                row.value(column).unwrap();
            }
            rows += 1;
        }
    }
    println!("{} tables, {rows} rows", catalog.tables().len());
    assert_eq!(catalog.tables().len(), 11);
    let report = database.verify(&mut |_| {}).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
}
