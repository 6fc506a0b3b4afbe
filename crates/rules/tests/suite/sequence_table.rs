//! Every cell of the table in certbcli.md 7.1, each state reached by real calls, and the notes below the table.

use certadm_rules::sequence::{EndOutcome, FileRef, LogsRequest, Phase, Sequence, TruncateRequest};
use certadm_rules::{BackupKind, BackupType, Hresult};

const DATABASE: &str = r"\\ca\root$\db\CA.db";
const LOGS: [&str; 2] = [r"\\ca\root$\log\edb00005.log", r"\\ca\root$\log\edb00006.log"];
const SIZE: u64 = 10;

/// Rows are calls, columns are states. `db` and `log` in a state's name tell what is still unread there; `s` is success,
/// `u` E_UNEXPECTED, `a` E_INVALIDARG, and three digits are the end of an engine code: 209 is 0xC8000209.
const TABLE: &str = "
                  | none | F     | F.db  | F.log | F.log | F.log | F.log | F.trunc | F.trunc | F.fail | F.fail | L.un   | L.log | L.log | L.log | L.trunc | L.trunc | L.fail | L.fail
                  |      | phase | open  | db    | unread| read  | open  |         | open    | closed | open   | listed | unread| read  | open  |         | open    | closed | open
prepare full      | s    | u     | u     | u     | u     | u     | u     | u       | u       | u      | u      | u      | u     | u     | u     | u       | u       | u      | u
prepare logs      | s    | u     | u     | u     | u     | u     | u     | u       | u       | u      | u      | u      | u     | u     | u     | u       | u       | u      | u
names             | 209  | s     | s     | s     | s     | s     | s     | s       | s       | 321    | 321    | 209    | 209   | 209   | 209   | 209     | 209     | 209    | 209
open database     | u    | s     | u     | 209   | 209   | 209   | u     | 209     | u       | 321    | 321    | 209    | 209   | 209   | u     | 209     | u       | 321    | 321
open log          | u    | 209   | u     | s     | s     | s     | u     | s       | u       | 321    | 321    | 209    | s     | s     | u     | s       | u       | 321    | 321
open log-like     | u    | 209   | u     | a     | a     | a     | u     | a       | u       | 321    | 321    | 209    | a     | a     | u     | a       | u       | 321    | 321
open unlisted     | u    | a     | u     | a     | a     | a     | u     | a       | u       | 321    | 321    | a      | a     | a     | u     | a       | u       | 321    | 321
open empty        | a    | a     | a     | a     | a     | a     | a     | a       | a       | a      | a      | a      | a     | a     | a     | a       | a       | a      | a
open null         | a    | a     | a     | a     | a     | a     | a     | a       | a       | a      | a      | a      | a     | a     | a     | a       | a       | a      | a
read              | u    | u     | s     | u     | u     | u     | s     | u       | s       | 321    | 321    | u      | u     | u     | s     | u       | s       | 321    | 321
close             | u    | u     | s     | u     | u     | u     | s     | u       | s       | u      | s      | u      | u     | u     | s     | u       | s       | u      | s
logs              | u    | s     | 209   | s     | s     | s     | 209   | s       | 209     | 321    | 321    | s      | s     | s     | 209   | s       | 209     | 321    | 321
truncate          | u    | 209   | 209   | 268   | 268   | s     | 209   | s       | 209     | 321    | 321    | 209    | 268   | s     | 209   | s       | 209     | 321    | 321
end               | u    | 320   | 320   | 320   | s     | s     | s     | s       | s       | 321    | 321    | s      | s     | s     | s     | s       | s       | 321    | 321
";

/// A session brought, by calls alone, into the state of a column of [`TABLE`].
fn state(column: usize) -> Sequence {
    let full = |stage: usize| {
        let mut sequence = begin(BackupType::Full);
        if 1 <= stage {
            read(&mut sequence, DATABASE);
        }
        if 2 <= stage {
            list(&mut sequence);
        }
        if 3 <= stage {
            LOGS.iter().for_each(|log| read(&mut sequence, log));
        }
        if 4 <= stage {
            sequence.truncated().unwrap();
        }
        sequence
    };
    let logs_only = |stage: usize| {
        let mut sequence = begin(BackupType::LogsOnly);
        if 1 <= stage {
            list(&mut sequence);
        }
        if 2 <= stage {
            LOGS.iter().for_each(|log| read(&mut sequence, log));
        }
        if 3 <= stage {
            sequence.truncated().unwrap();
        }
        sequence
    };
    match column {
        0 => Sequence::new(),
        1 => full(0),
        2 => with(full(0), |sequence| open(sequence, DATABASE)),
        3 => with(full(0), list),
        4 => full(2),
        5 => full(3),
        6 => with(full(2), |sequence| open(sequence, LOGS[0])),
        7 => full(4),
        8 => with(full(4), |sequence| open(sequence, LOGS[0])),
        9 => with(full(2), Sequence::fail),
        10 => with(full(2), fail_reading_a_log),
        11 => logs_only(0),
        12 => logs_only(1),
        13 => logs_only(2),
        14 => with(logs_only(1), |sequence| open(sequence, LOGS[1])),
        15 => logs_only(3),
        16 => with(logs_only(3), |sequence| open(sequence, LOGS[1])),
        17 => with(logs_only(0), Sequence::fail),
        18 => with(logs_only(1), fail_reading_a_log),
        _ => unreachable!("the table has 19 columns"),
    }
}

fn with(mut sequence: Sequence, step: impl FnOnce(&mut Sequence)) -> Sequence {
    step(&mut sequence);
    sequence
}

fn begin(backup_type: BackupType) -> Sequence {
    with(Sequence::new(), |sequence| sequence.prepared(backup_type, vec![DATABASE.to_owned()]).unwrap())
}

fn list(sequence: &mut Sequence) {
    assert_eq!(sequence.check_backup_logs(), Ok(LogsRequest::Roll));
    sequence.logs_listed(LOGS.map(str::to_owned).to_vec()).unwrap();
}

fn open(sequence: &mut Sequence, name: &str) {
    let file = sequence.check_open(Some(name)).unwrap();
    sequence.opened(file, SIZE).unwrap();
}

fn read(sequence: &mut Sequence, name: &str) {
    open(sequence, name);
    sequence.delivered(SIZE).unwrap();
    assert_eq!(sequence.close().unwrap().remaining(), 0);
}

fn fail_reading_a_log(sequence: &mut Sequence) {
    open(sequence, LOGS[0]);
    sequence.read_failed().unwrap();
    assert_eq!(sequence.phase(), Phase::Failed);
}

/// Asks, and confirms where the answer is yes.
fn call(sequence: &mut Sequence, row: &str) -> Result<(), Hresult> {
    let open = |sequence: &mut Sequence, name| {
        let file = sequence.check_open(name)?;
        sequence.opened(file, SIZE)
    };
    match row {
        "prepare full" => {
            sequence.check_prepare()?;
            sequence.prepared(BackupType::Full, vec![])
        }
        "prepare logs" => {
            sequence.check_prepare()?;
            sequence.prepared(BackupType::LogsOnly, vec![])
        }
        "names" => sequence.database_names().map(|names| assert_eq!(names, [DATABASE])),
        "open database" => open(sequence, Some(DATABASE)),
        "open log" => open(sequence, Some(LOGS[0])),
        "open log-like" => open(sequence, Some(r"\\ca\root$\log\edb00007.log")),
        "open unlisted" => open(sequence, Some(r"\\ca\root$\etc\passwd")),
        "open empty" => open(sequence, Some("")),
        "open null" => open(sequence, None),
        "read" => {
            sequence.check_read()?;
            sequence.delivered(1)
        }
        "close" => sequence.close().map(drop),
        "logs" => match sequence.check_backup_logs()? {
            LogsRequest::Roll => sequence.logs_listed(LOGS.map(str::to_owned).to_vec()),
            LogsRequest::Repeat(names) => {
                assert_eq!(names, LOGS);
                Ok(())
            }
        },
        "truncate" => match sequence.check_truncate()? {
            TruncateRequest::Delete => sequence.truncated(),
            TruncateRequest::Nothing => Ok(()),
        },
        "end" => match sequence.end()?.result {
            Hresult::S_OK => Ok(()),
            code => Err(code),
        },
        _ => unreachable!("no such call: {row}"),
    }
}

/// The confirmation alone, as it arrives when the state has changed since the question.
fn confirm(sequence: &mut Sequence, row: &str) -> Option<Result<(), Hresult>> {
    Some(match row {
        "prepare full" => sequence.prepared(BackupType::Full, vec![]),
        "open database" => sequence.opened(FileRef::Database(0), SIZE),
        "read" => sequence.delivered(1),
        "logs" => sequence.logs_listed(vec![]),
        "truncate" => sequence.truncated(),
        _ => return None,
    })
}

/// All that can be asked without changing anything.
fn fingerprint(sequence: &Sequence) -> String {
    let questions = (
        (sequence.phase(), sequence.backup_type(), sequence.open_file(), sequence.check_prepare()),
        (
            sequence.database_names(),
            sequence.check_read(),
            sequence.check_backup_logs(),
            sequence.check_truncate(),
        ),
        (sequence.check_open(Some(DATABASE)), LOGS.map(|log| sequence.check_open(Some(log)))),
    );
    format!("{questions:?}")
}

fn expected(cell: &str) -> Result<(), Hresult> {
    match cell {
        "s" => Ok(()),
        "u" => Err(Hresult::E_UNEXPECTED),
        "a" => Err(Hresult::E_INVALIDARG),
        digits => Err(Hresult::from_bits(0xC800_0000 | u32::from_str_radix(digits, 16).unwrap())),
    }
}

#[test]
fn every_cell_of_the_table() {
    let mut cells = 0;
    for line in TABLE.lines().skip(3) {
        let (row, codes) = line.split_once('|').unwrap();
        let row = row.trim();
        for (column, cell) in codes.split('|').map(str::trim).enumerate() {
            let expected = expected(cell);
            let mut sequence = state(column);
            let before = fingerprint(&sequence);
            assert_eq!(call(&mut sequence, row), expected, "{row}, column {column}");
            if expected.is_err() && row != "end" {
                assert_eq!(
                    fingerprint(&sequence),
                    before,
                    "{row}, column {column}: a refusal changed something"
                );
            }
            if row == "end" {
                assert_eq!(sequence.phase(), Phase::NoSession, "column {column}: end did not end");
            }
            let mut sequence = state(column);
            if let Some(confirmed) = confirm(&mut sequence, row) {
                assert_eq!(confirmed, expected, "{row} confirmed unasked, column {column}");
                if expected.is_err() {
                    assert_eq!(
                        fingerprint(&sequence),
                        before,
                        "{row}, column {column}: a late confirmation changed something"
                    );
                }
            }
            cells += 1;
        }
    }
    assert_eq!(cells, 14 * 19);
}

#[test]
fn the_states_are_the_columns_they_claim_to_be() {
    use Phase::{Database, DatabaseOpen, Failed, Log, LogOpen, NoSession, Truncated};
    let phases = [
        NoSession,
        Database,
        DatabaseOpen,
        Log,
        Log,
        Log,
        LogOpen,
        Truncated,
        LogOpen,
        Failed,
        Failed,
        Log,
        Log,
        Log,
        LogOpen,
        Truncated,
        LogOpen,
        Failed,
        Failed,
    ];
    for (column, phase) in phases.into_iter().enumerate() {
        assert_eq!(state(column).phase(), phase, "column {column}");
    }
}

#[test]
fn successes_move_as_the_diagram_says() {
    let moved = |column, row| with(state(column), |sequence| call(sequence, row).unwrap()).phase();
    assert_eq!(moved(0, "prepare full"), Phase::Database);
    assert_eq!(moved(0, "prepare logs"), Phase::Log);
    assert_eq!(moved(1, "open database"), Phase::DatabaseOpen);
    assert_eq!(moved(2, "close"), Phase::Database);
    assert_eq!(moved(1, "logs"), Phase::Log);
    assert_eq!(moved(4, "open log"), Phase::LogOpen);
    assert_eq!(moved(6, "close"), Phase::Log);
    assert_eq!(moved(5, "truncate"), Phase::Truncated);
    assert_eq!(moved(8, "close"), Phase::Truncated);
    assert_eq!(moved(10, "close"), Phase::Failed);
}

#[test]
fn logs_are_rolled_once_and_repeated() {
    let mut sequence = state(4);
    assert_eq!(sequence.check_backup_logs(), Ok(LogsRequest::Repeat(&LOGS.map(str::to_owned))));
    sequence.logs_listed(vec!["another".to_owned()]).unwrap();
    assert_eq!(sequence.check_backup_logs(), Ok(LogsRequest::Repeat(&LOGS.map(str::to_owned))));
    assert_eq!(state(7).check_truncate(), Ok(TruncateRequest::Nothing));
    assert_eq!(state(5).check_truncate(), Ok(TruncateRequest::Delete));
}

#[test]
fn a_failed_database_read_closes_the_file_and_goes_on() {
    let mut sequence = state(2);
    assert_eq!(sequence.read_failed().map(|open_file| open_file.file()), Ok(FileRef::Database(0)));
    assert_eq!(sequence.phase(), Phase::Database);
    assert_eq!(sequence.close(), Err(Hresult::E_UNEXPECTED));
    read(&mut sequence, DATABASE);
    list(&mut sequence);
    assert_eq!(sequence.end().unwrap().result, Hresult::S_OK);

    let mut unread = state(2);
    unread.read_failed().unwrap();
    list(&mut unread);
    assert_eq!(unread.end().unwrap().result, Hresult::BACKUP_ABORT_BY_CALLER);
    assert_eq!(state(1).read_failed(), Err(Hresult::E_UNEXPECTED));
    assert_eq!(state(10).read_failed(), Err(Hresult::BACKUP_ABORT_BY_SERVER));
}

#[test]
fn a_failed_session_closes_its_file_once_and_ends() {
    let mut sequence = state(2);
    sequence.fail();
    sequence.fail();
    assert_eq!(sequence.delivered(SIZE), Err(Hresult::BACKUP_ABORT_BY_SERVER));
    assert_eq!(sequence.close().map(|open_file| open_file.delivered()), Ok(0));
    assert_eq!(sequence.close(), Err(Hresult::E_UNEXPECTED));
    assert_eq!(
        sequence.end(),
        Ok(EndOutcome {
            result: Hresult::BACKUP_ABORT_BY_SERVER,
            mark: None,
            open_file: None,
            is_empty: false
        })
    );
    assert_eq!(sequence.end(), Err(Hresult::E_UNEXPECTED));
    sequence.fail();
    assert_eq!(sequence.check_prepare(), Ok(()));
}

#[test]
fn a_file_is_read_by_one_opening_and_for_good() {
    let mut sequence = state(1);
    for part in [4, 6] {
        open(&mut sequence, DATABASE);
        sequence.delivered(part).unwrap();
        assert_eq!(sequence.close().unwrap().delivered(), part);
    }
    list(&mut sequence);
    assert_eq!(sequence.end().unwrap().result, Hresult::BACKUP_ABORT_BY_CALLER);

    let mut sequence = state(1);
    read(&mut sequence, DATABASE);
    open(&mut sequence, DATABASE);
    sequence.close().unwrap();
    list(&mut sequence);
    assert_eq!(sequence.end().unwrap().result, Hresult::S_OK);
}

#[test]
fn an_empty_file_is_read_once_open_and_bytes_beyond_the_end_do_not_count() {
    let mut sequence = state(1);
    sequence.opened(FileRef::Database(0), 0).unwrap();
    assert_eq!(sequence.check_read().unwrap().remaining(), 0);
    sequence.delivered(u64::MAX).unwrap();
    assert_eq!(sequence.close().unwrap().delivered(), 0);
    list(&mut sequence);
    assert_eq!(sequence.end().unwrap().result, Hresult::S_OK);
}

#[test]
fn marks_follow_completeness_and_truncation() {
    let marks = [
        (1, None),
        (3, None),
        (4, None),
        (5, Some(BackupKind::Copy)),
        (6, None),
        (7, Some(BackupKind::Full)),
        (8, Some(BackupKind::Full)),
        (10, None),
        (11, None),
        (12, None),
        (13, Some(BackupKind::Differential)),
        (14, None),
        (15, Some(BackupKind::Incremental)),
        (16, Some(BackupKind::Incremental)),
        (17, None),
    ];
    for (column, mark) in marks {
        assert_eq!(state(column).end().unwrap().mark, mark, "column {column}");
    }
}

#[test]
fn an_end_without_success_marks_nothing_however_much_was_read() {
    for column in [5, 7, 13, 15] {
        let outcome = with(state(column), Sequence::fail).end().unwrap();
        assert_eq!(
            (outcome.result, outcome.mark),
            (Hresult::BACKUP_ABORT_BY_SERVER, None),
            "column {column}"
        );
    }
    let database_unread =
        with(state(3), |sequence| LOGS.iter().for_each(|log| read(sequence, log))).end().unwrap();
    assert_eq!((database_unread.result, database_unread.mark), (Hresult::BACKUP_ABORT_BY_CALLER, None));
}

#[test]
fn end_hands_over_the_open_file() {
    for (column, file) in
        [(2, FileRef::Database(0)), (6, FileRef::Log(0)), (10, FileRef::Log(0)), (16, FileRef::Log(1))]
    {
        let open_file = state(column).end().unwrap().open_file;
        assert_eq!(open_file.map(|open_file| open_file.file()), Some(file), "column {column}");
    }
    assert_eq!(state(7).end().unwrap().open_file, None);
}

#[test]
fn a_failed_read_is_noted_until_the_file_is_closed() {
    let mut sequence = state(1);
    sequence.note_failed_read();
    assert_eq!(sequence.open_file(), None);
    let mut sequence = state(6);
    let open_file = |sequence: &Sequence| sequence.open_file().unwrap();
    assert!(!open_file(&sequence).read_failed());
    sequence.note_failed_read();
    // A log stays open after it, until it is closed.
    sequence.read_failed().unwrap();
    assert!(open_file(&sequence).read_failed());
    assert!(sequence.close().unwrap().read_failed());
}

#[test]
fn a_session_without_any_opened_file_is_empty() {
    for (column, is_empty) in [(1, true), (2, false), (6, false), (7, false)] {
        assert_eq!(state(column).end().unwrap().is_empty, is_empty, "column {column}");
    }
}

#[test]
fn names_are_compared_whole_without_case_and_without_normalisation() {
    let database = state(1);
    assert_eq!(database.check_open(Some(r"\\CA\ROOT$\DB\ca.DB")), Ok(FileRef::Database(0)));
    for name in [
        r"D\\ca\root$\db\CA.db",
        r"\\ca\root$\db\.\CA.db",
        r"\\ca\root$\db\\CA.db",
        "//ca/root$/db/CA.db",
        "CA.db",
        r"\\ca\root$\db\CA.db ",
    ] {
        assert_eq!(database.check_open(Some(name)), Err(Hresult::E_INVALIDARG), "{name}");
    }
    let logs = state(4);
    assert_eq!(logs.check_open(Some(r"\\ca\ROOT$\log\EDB00006.LOG")), Ok(FileRef::Log(1)));
    assert_eq!(logs.check_open(Some(r"!\\ca\root$\log\edb00006.log")), Err(Hresult::E_INVALIDARG));
}

#[test]
fn only_listed_places_can_be_confirmed() {
    assert_eq!(state(1).opened(FileRef::Database(1), SIZE), Err(Hresult::E_INVALIDARG));
    assert_eq!(state(1).opened(FileRef::Log(0), SIZE), Err(Hresult::E_INVALIDARG));
    assert_eq!(state(4).opened(FileRef::Log(2), SIZE), Err(Hresult::E_INVALIDARG));
    assert_eq!(state(4).opened(FileRef::Database(0), SIZE), Err(Hresult::INVALID_BACKUP_SEQUENCE));
    assert_eq!(state(4).opened(FileRef::Log(1), SIZE), Ok(()));
}

#[test]
fn an_object_can_be_used_again_and_keeps_nothing() {
    let mut sequence = state(7);
    assert_eq!(sequence.end().unwrap().mark, Some(BackupKind::Full));
    sequence.prepared(BackupType::Full, vec![DATABASE.to_owned()]).unwrap();
    assert_eq!(sequence.check_backup_logs(), Ok(LogsRequest::Roll));
    list(&mut sequence);
    assert_eq!(sequence.check_truncate(), Err(Hresult::LOG_FILE_NOT_COPIED));
}
