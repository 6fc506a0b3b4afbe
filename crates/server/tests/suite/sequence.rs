//! The table of certbcli.md 7.1 over the wire, "no session" and "failed" included.

use certadm_wire::csra::Request;

use crate::peer::{Object, prepare};
use crate::world::{World, wait_until};

const UNEXPECTED: u32 = 0x8000_FFFF;
const SEQUENCE: u32 = 0xC800_0209;
const ABORTED: u32 = 0xC800_0320;
const CANCELLED: u32 = 0xC800_0321;
const UNREAD: u32 = 0xC800_0268;
const GONE: u32 = 0xC800_0239;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    NoSession,
    Database,
    DatabaseOpen,
    Log,
    LogOpen,
    Truncated,
    Failed,
    LogsOnly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Prepare,
    Names,
    OpenDatabase,
    OpenLog,
    Read,
    Close,
    Logs,
    Truncate,
    Dynamic,
    Locations,
    End,
}

use Call::{Close, Dynamic, End, Locations, Logs, Names, OpenDatabase, OpenLog, Prepare, Read, Truncate};

/// Rows of certbcli.md 7.1; columns in the order of [`STATES`].
#[rustfmt::skip]
const TABLE: [(Call, [u32; 8]); 11] = [
    (Prepare,      [0, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED, UNEXPECTED]),
    (Names,        [SEQUENCE, 0, 0, 0, 0, 0, CANCELLED, SEQUENCE]),
    (OpenDatabase, [UNEXPECTED, 0, UNEXPECTED, SEQUENCE, UNEXPECTED, SEQUENCE, CANCELLED, SEQUENCE]),
    (OpenLog,      [UNEXPECTED, SEQUENCE, UNEXPECTED, 0, UNEXPECTED, GONE, CANCELLED, SEQUENCE]),
    (Read,         [UNEXPECTED, UNEXPECTED, 0, UNEXPECTED, 0, UNEXPECTED, CANCELLED, UNEXPECTED]),
    (Close,        [UNEXPECTED, UNEXPECTED, 0, UNEXPECTED, 0, UNEXPECTED, UNEXPECTED, UNEXPECTED]),
    (Logs,         [UNEXPECTED, 0, SEQUENCE, 0, SEQUENCE, 0, CANCELLED, 0]),
    (Truncate,     [UNEXPECTED, SEQUENCE, SEQUENCE, UNREAD, SEQUENCE, 0, CANCELLED, SEQUENCE]),
    (Dynamic,      [0; 8]),
    (Locations,    [0; 8]),
    (End,          [UNEXPECTED, ABORTED, ABORTED, 0, 0, 0, CANCELLED, 0]),
];

const STATES: [State; 8] = [
    State::NoSession,
    State::Database,
    State::DatabaseOpen,
    State::Log,
    State::LogOpen,
    State::Truncated,
    State::Failed,
    State::LogsOnly,
];

struct Paths {
    database: String,
    log: String,
}

fn request(call: Call, names: &Paths) -> Request {
    let open = |path: &str| Request::BackupOpenFile { path: Some(path.to_owned()) };
    match call {
        Prepare => prepare(0),
        Names => Request::BackupGetAttachmentInformation,
        OpenDatabase => open(&names.database),
        OpenLog => open(&names.log),
        Read => Request::BackupReadFile { size: 4096 },
        Close => Request::BackupCloseFile,
        Logs => Request::BackupGetBackupLogs,
        Truncate => Request::BackupTruncateLogs,
        Dynamic => Request::BackupGetDynamicFiles,
        Locations => Request::RestoreGetDatabaseLocations,
        End => Request::BackupEnd,
    }
}

/// Brings an object of its own into a state. The names are those of its session, or what they would look like.
fn reach(world: &World, state: State) -> (Object, Paths) {
    let mut object = Object::unix(world);
    let locations = object.list(&Request::RestoreGetDatabaseLocations).unwrap();
    let mut names = Paths { database: locations[0].clone(), log: format!("{}\\edb0001f.log", locations[1]) };
    if state == State::NoSession {
        return (object, names);
    }
    let kind = u32::from(state == State::LogsOnly);
    assert_eq!(object.code(&prepare(kind)), 0, "{state:?}");
    match state {
        State::DatabaseOpen => assert_eq!(object.code(&request(OpenDatabase, &names)), 0),
        State::Log | State::LogOpen | State::Truncated => {
            object.fetch(&names.database).unwrap();
            let logs = object.list(&Request::BackupGetBackupLogs).unwrap();
            names.log.clone_from(&logs[0]);
            if state == State::LogOpen {
                assert_eq!(object.code(&request(OpenLog, &names)), 0);
            }
            if state == State::Truncated {
                for log in &logs {
                    object.fetch(log).unwrap();
                }
                assert_eq!(object.code(&Request::BackupTruncateLogs), 0);
            }
        }
        State::Failed => {
            // The connection that drove it goes; another one of the same caller finds it failed. One that calls
            // before the service has noticed drives the session itself, and has to go as well.
            let (ipid, oid, rem_unknown) = (object.ipid, object.oid, object.rem_unknown);
            drop(object);
            let mut next = None;
            wait_until("the service notices that a connection is gone", || {
                drop(next.take());
                let mut other = Object::unix(world);
                (other.ipid, other.oid, other.rem_unknown) = (ipid, oid, rem_unknown);
                let code = other.code(&Request::BackupGetAttachmentInformation);
                next = Some(other);
                code == CANCELLED
            });
            object = next.expect("the wait ended with one");
        }
        _ => {}
    }
    (object, names)
}

#[test]
fn every_call_in_every_state() {
    let world = World::new();
    world.commit_rows(50);
    // a base for logs-only sessions
    Object::unix(&world).full_backup().unwrap();
    let mut cells = 0;
    for (call, codes) in TABLE {
        for (state, expected) in STATES.into_iter().zip(codes) {
            world.commit_rows(1);
            let (mut object, names) = reach(&world, state);
            let code = object.code(&request(call, &names));
            // Which log went with a truncation depends on how many there were.
            let may_be_there = (call, state) == (OpenLog, State::Truncated) && code == 0;
            assert!(code == expected || may_be_there, "{call:?} in {state:?}: {code:#x}, not {expected:#x}");
            cells += 1;
            object.call(&Request::BackupEnd).unwrap();
        }
    }
    assert_eq!(cells, 88);
}

#[test]
fn a_second_object_finds_the_ca_busy() {
    let world = World::new();
    let mut first = Object::unix(&world);
    let mut second = Object::tcp(&world, "operator");
    assert_eq!(first.code(&prepare(0)), 0);
    assert_eq!(second.code(&prepare(0)), 0xC800_01F9);
    assert_eq!(first.code(&Request::BackupEnd), ABORTED);
    assert_eq!(second.code(&prepare(0)), 0);
}

#[test]
fn reads_have_their_own_rules() {
    let world = World::new();
    let mut object = Object::tcp(&world, "operator");
    // the checks of the size come before the sequence, and a refused read still carries its buffer
    for (size, expected) in [(0, 0x8007_0057), (4095, 0x8007_0057), (4097, 0x8007_0057), (4096, UNEXPECTED)] {
        let answer = object.call(&Request::BackupReadFile { size }).unwrap();
        assert_eq!(crate::peer::code_of(&answer), expected);
        assert!(answer.len() >= size as usize + 20);
        assert!(answer[12..answer.len() - 4].iter().all(|byte| *byte == 0));
    }
    let too_large = crate::peer::stub(|writer| {
        writer.u32(u32::MAX);
    });
    let answer = object.peer.request(0, 25, Some(object.ipid.0), &too_large);
    assert_eq!(answer, Err(crate::peer::Failed::Fault(0x6F7)));
    assert_eq!(object.code(&prepare(4)), 0xC800_0384);
    assert_eq!(object.code(&prepare(0)), 0);
    for name in ["", "\\\\ca01\\root$\\etc\\passwd", "../../etc/passwd", "DTest CA.db"] {
        let open = Request::BackupOpenFile { path: Some(name.to_owned()) };
        assert_eq!(object.code(&open), 0x8007_0057, "{name}");
    }
    let authority = |name: &str| Request::GetServerState { authority: Some(name.to_owned()) };
    assert_eq!(object.code(&authority("test ca")), 0);
    assert_eq!(object.code(&authority("")), 0);
    assert_eq!(object.code(&authority("ca01")), 0x8007_0057);
}
