//! A clean database and logs: it takes part only from where they open it as it was closed.

use crate::writer::{At, attach, begin, commit, create_database, create_tree, detach, insert};
use certadm_ese::header::{DatabaseHeader, State};
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::LogFile;
use certadm_ese::pager::Pager;
use certadm_ese::recovery::{LogInput, Outcome, Plan};
use certadm_ese::{Code, Error};

const ROOT: u32 = 10;

/// The change that gives the page of the tree this time, by a session; all changes follow each other.
fn change(session: u16, time: u64) -> Vec<u8> {
    let version = u32::try_from(time).unwrap();
    let line = u16::try_from(time - 11).unwrap();
    let at = At { session, page: ROOT, before: time - 1, after: time, line, flags: 5, version, root: ROOT };
    insert(at, &time.to_be_bytes(), b"a row")
}

pub(crate) fn committed(time: u64) -> Vec<Vec<u8>> {
    vec![begin(1, 0), change(1, time), commit(1, 0)]
}

/// A database with one tree, and one row in it.
pub(crate) fn created() -> Vec<Vec<u8>> {
    let tree =
        At { session: 1, page: ROOT, before: 0, after: 10, line: 0, flags: 5, version: 10, root: ROOT };
    [vec![create_database(), create_tree(tree)], committed(11)].concat()
}

pub(crate) fn log(generation: u32, records: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = crate::writer::log_v8(generation, 4, &records.concat());
    // Each was made after the one before.
    bytes[16..20].copy_from_slice(&generation.to_le_bytes());
    bytes[24..28].copy_from_slice(&(generation - 1).to_le_bytes());
    let checksum = certadm_ese::checksum::xor_checksum(&bytes[..4096]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The position of the last record of a log.
pub(crate) fn last_of(log: &[u8]) -> Lgpos {
    LogFile::open(&log.to_vec()).unwrap().records().last().unwrap().unwrap().position
}

pub(crate) fn recover(database: Option<&Vec<u8>>, logs: &[&Vec<u8>]) -> Result<(Vec<u8>, Outcome), Error> {
    let names: Vec<String> = logs
        .iter()
        .map(|log| format!("edb{:05x}.log", LogFile::read_header(*log).unwrap().generation))
        .collect();
    let inputs: Vec<_> = names.iter().zip(logs).map(|(name, file)| LogInput { name, file: *file }).collect();
    let plan = Plan::new(database.map(|bytes| bytes as &dyn Pager), &inputs)?;
    let mut output = Vec::new();
    let outcome = plan.recover(&mut output, &mut |_| {})?;
    Ok((output, outcome))
}

fn refusal(database: &Vec<u8>, logs: &[&Vec<u8>]) -> (Code, String) {
    let error = recover(Some(database), logs).unwrap_err();
    (error.code(), error.to_string())
}

fn header(database: &[u8]) -> DatabaseHeader {
    DatabaseHeader::read(&database.to_vec()).unwrap().0
}

/// The time of the page of the tree, which is the newest of all.
fn newest_time(database: &[u8]) -> u64 {
    let page = (1 + ROOT as usize) * 4096;
    u64::from_le_bytes(database[page + 8..page + 16].try_into().unwrap())
}

fn is_clean_at(database: &[u8], position: Lgpos) {
    let header = header(database);
    assert_eq!(header.state(), State::CleanShutdown);
    assert_eq!(header.consistent_position(), position);
    assert!(newest_time(database) <= header.dbtime(), "no page is newer than the header says");
}

#[test]
fn it_goes_on_where_the_logs_open_it_as_it_was_closed() {
    let first = log(1, &[created(), vec![detach()]]);
    let closed = last_of(&first);
    let (database, _) = recover(None, &[&first]).unwrap();
    is_clean_at(&database, closed);
    let second = log(2, &[vec![attach(closed)], committed(12)]);
    let (whole, _) = recover(None, &[&first, &second]).unwrap();
    for logs in [vec![&first, &second], vec![&second]] {
        let (recovered, outcome) = recover(Some(&database), &logs).unwrap();
        assert_eq!(outcome.counts.applied, 1);
        assert!(recovered == whole, "as from its creation on");
        is_clean_at(&recovered, outcome.reached);
        assert_eq!(newest_time(&recovered), 12);
    }
}

/// The engine counts a record from the end of the one before it: the first one of a segment from where the segment begins.
#[test]
fn the_first_record_of_a_segment_has_more_than_one_position() {
    let used: usize = created().iter().map(Vec::len).sum();
    let full = crate::writer::filler(4056 - used);
    let first = log(1, &[created(), vec![full, detach()]]);
    let closed = last_of(&first);
    assert_eq!((closed.segment, closed.offset), (2, 40));
    let (database, _) = recover(None, &[&first]).unwrap();
    let second = log(2, &[vec![attach(Lgpos { offset: 0, ..closed })], committed(12)]);
    let (recovered, _) = recover(Some(&database), &[&first, &second]).unwrap();
    assert_eq!(newest_time(&recovered), 12);
}

/// Its own logs have nothing new for it, wherever they end.
#[test]
fn its_own_logs_change_nothing() {
    let ends: [&[Vec<u8>]; 4] = [
        &[],
        &[detach()],
        &[detach(), crate::writer::term()],
        &[crate::writer::shut_down(), crate::writer::term()],
    ];
    for end in ends {
        let first = log(1, &[created(), end.to_vec()]);
        let (database, _) = recover(None, &[&first]).unwrap();
        let (again, outcome) = recover(Some(&database), &[&first]).unwrap();
        assert!(again == database);
        assert_eq!(outcome.counts.applied, 0);
        assert_eq!(outcome.foreign_logs, 0);
        let (alone, _) = recover(Some(&database), &[]).unwrap();
        assert!(alone == database, "it needs no log");
    }
}

/// A rollback gave the page a newer time than the records have that the log goes on with: by their times alone they would
/// count as already there, and a committed row would be lost.
#[test]
fn what_was_rolled_back_is_not_continued() {
    let open = vec![begin(2, 0), change(2, 12), change(2, 13)];
    let rest = vec![begin(3, 0), change(3, 14), commit(3, 0), commit(2, 0)];
    let cut = log(1, &[created(), open.clone()]);
    let (database, outcome) = recover(None, &[&cut]).unwrap();
    assert_eq!(outcome.counts.rolled_back, 1);
    assert_eq!(outcome.reached, last_of(&cut));
    is_clean_at(&database, outcome.reached);
    assert!(14 < newest_time(&database));
    let whole = log(1, &[created(), open, rest]);
    let (code, problem) = refusal(&database, &[&whole]);
    assert_eq!(code, Code::ATTACHED_DATABASE_MISMATCH, "{problem}");
    // So does the log behind it, and it says so in its header.
    let mut second = log(2, &[committed(14)]);
    crate::writer::list_as_open(
        &mut second,
        Lgpos { generation: 1, segment: 1, offset: 40 },
        Lgpos::default(),
    );
    let (code, problem) = refusal(&database, &[&second]);
    assert_eq!(code, Code::ATTACHED_DATABASE_MISMATCH, "{problem}");
}

#[test]
fn it_is_not_opened_as_it_was_at_another_time() {
    let first = log(1, &[created(), vec![detach()]]);
    let closed = last_of(&first);
    let (database, _) = recover(None, &[&first]).unwrap();
    let second = log(2, &[vec![attach(closed)], committed(12), vec![detach()]]);
    let third = log(3, &[vec![attach(last_of(&second))], committed(13)]);
    // The log between is not there.
    for logs in [vec![&third], vec![&first, &third]] {
        let (code, _) = refusal(&database, &logs);
        let gap = if logs.len() == 1 { Code::CONSISTENT_TIME_MISMATCH } else { Code::MISSING_RESTORE_LOGS };
        assert_eq!(code, gap);
    }
    let (recovered, _) = recover(Some(&database), &[&second, &third]).unwrap();
    assert_eq!(newest_time(&recovered), 13);
    // A newer one is not brought back to an older time, and takes what is newer.
    let (newer, _) = recover(Some(&database), &[&second]).unwrap();
    let (recovered, outcome) = recover(Some(&newer), &[&first, &second, &third]).unwrap();
    assert_eq!((newest_time(&recovered), outcome.counts.applied), (13, 1));
}

#[test]
fn an_end_in_good_order_counts_from_its_mark() {
    let end = [crate::writer::shut_down(), crate::writer::term()];
    let first = log(1, &[created(), end.to_vec()]);
    let term = last_of(&first);
    let mark = Lgpos { offset: term.offset - 1, ..term };
    let (database, outcome) = recover(None, &[&first]).unwrap();
    assert_eq!(outcome.reached, term);
    is_clean_at(&database, mark);
    let second = log(2, &[vec![attach(mark)], committed(12)]);
    let (recovered, _) = recover(Some(&database), &[&first, &second]).unwrap();
    assert_eq!(newest_time(&recovered), 12);
}

#[test]
fn a_recovery_of_the_engine_may_leave_it_open() {
    let first = log(1, &[created(), vec![crate::writer::recovery_kept()], committed(12)]);
    let (database, outcome) = recover(None, &[&first]).unwrap();
    assert_eq!(newest_time(&database), 12);
    is_clean_at(&database, outcome.reached);
}

/// Pages that changed after the header was made clean: the header is written again.
#[test]
fn the_header_is_written_again_when_pages_changed_since() {
    let first = log(1, &[created(), vec![detach()]]);
    let mut second = log(2, &[committed(12)]);
    crate::writer::list_as_open(&mut second, last_of(&first), last_of(&first));
    let (database, outcome) = recover(None, &[&first, &second]).unwrap();
    assert_eq!(newest_time(&database), 12);
    is_clean_at(&database, outcome.reached);
}
