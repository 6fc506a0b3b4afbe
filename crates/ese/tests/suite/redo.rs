//! Replay of real logs against the state that the engine itself reached.

use crate::writer::At;
use certadm_ese::header::{DatabaseHeader, State};
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::LogFile;
use certadm_ese::page::{Page, flag, node_flag};
use certadm_ese::pagesize::PageSize;
use certadm_ese::redo::Replayer;
use certadm_ese::space::SpaceMap;
use certadm_ese::{Code, Database};

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

/// A record that only makes the file longer does not make the result longer than what was written.
#[test]
fn a_file_grows_to_what_was_written_and_not_to_what_a_record_says() {
    let size = PageSize::new(4096).unwrap();
    let mut replayer = Replayer::new(Vec::new(), None, size);
    let bytes = crate::writer::log_v8(1, 3, &[]);
    replayer.begin_log(LogFile::open(&bytes).unwrap().header());
    let at = At { session: 1, page: 10, before: 0, after: 10, line: 0, flags: 5, version: 10, root: 10 };
    let records =
        [crate::writer::create_database(), crate::writer::create_tree(at), crate::writer::extend(1 << 15)];
    for (offset, record) in (41..).zip(&records) {
        replayer.apply(Lgpos { generation: 1, segment: 1, offset }, record).unwrap();
    }
    let (database, ..) = replayer.finish().unwrap();
    assert_eq!(database.len(), 12 * 4096);
}

/// Space trees that own much more than was ever written would make a file that nobody can hold.
#[test]
fn a_database_that_owns_far_more_than_was_written_is_refused() {
    let bytes = crate::common::fixture("certlog/CertLog.edb").unwrap();
    let database = Database::open(bytes.clone()).unwrap();
    let last = SpaceMap::read(&database, []).unwrap().last_owned;
    let (header, size) = (database.header().clone(), database.page_size());
    let finish = |owned: u32| {
        let mut bytes = bytes.clone();
        let page = &mut bytes[3 * 4096..4 * 4096];
        let at = page.windows(4).position(|key| key == last.to_be_bytes()).unwrap();
        page[at..at + 4].copy_from_slice(&owned.to_be_bytes());
        certadm_ese::checksum::checksum_page(page, 2);
        Replayer::new(bytes, Some(header.clone()), size).finish().map(|(database, ..)| database.len())
    };
    assert_eq!(finish(last + 100).unwrap(), (last as usize + 102) * 4096);
    assert_eq!(finish(1 << 28).unwrap_err().code(), Code::DATABASE_CORRUPTED);
}
