//! The rules of registering a restore, one by one and in their order (certbcli.md 7.2, D16, D18, D20, D21, D31).

use certadm_rules::registration::{
    Circumstances, MapArgument, MapEntry, Registration, RestoreRecord, StartDecision, Target, complete,
    register, start_decision,
};
use certadm_rules::unc::UncRoot;
use certadm_rules::{Generation, GenerationRange, Hresult, RestoreType};

const OLD: &str = r"\\old.example.test\root$\srv\old\CA.db";
const NEW: &str = r"\\ca1.example.test\root$\var\ca\database\CA.db";

/// Runs `check` in the circumstances of a stopped local CA and a context for a full restore.
fn on_stopped_ca<T>(check: impl FnOnce(Circumstances<'_>) -> T) -> T {
    let names = UncRoot::new("ca1.example.test").unwrap();
    check(Circumstances {
        caller_allowed: true,
        target_is_local: true,
        ca_running: false,
        restore_type: RestoreType::Full,
        map_registered: false,
        target: Target {
            names: &names,
            database_directory: "/var/ca/database",
            log_directory: "/var/ca/log",
            checkpoint_directory: "/var/ca/log",
        },
    })
}

fn full(low: u32, high: u32) -> Registration {
    Registration {
        map: Some(vec![map(Some(OLD), Some(NEW))]),
        map_count: 1,
        low,
        high,
        ..Registration::default()
    }
}

fn incremental(low: u32, high: u32) -> Registration {
    Registration { low, high, ..Registration::default() }
}

fn map(database: Option<&str>, new_database: Option<&str>) -> MapArgument {
    MapArgument { database: database.map(str::to_owned), new_database: new_database.map(str::to_owned) }
}

fn range(low: u32, high: u32) -> GenerationRange {
    GenerationRange::new(Generation::new(low).unwrap(), Generation::new(high).unwrap()).unwrap()
}

fn registered(
    existing: Option<&RestoreRecord>,
    registration: Registration,
) -> Result<RestoreRecord, Hresult> {
    on_stopped_ca(|circumstances| register(existing, registration, &circumstances))
}

/// A full registration of generations 5 to 9, in each state a record can be in.
fn pending() -> RestoreRecord {
    registered(None, full(5, 9)).unwrap()
}

fn completed() -> RestoreRecord {
    complete(Some(&pending()), Hresult::S_OK).unwrap()
}

fn failed() -> RestoreRecord {
    complete(Some(&pending()), Hresult::ERROR_DISK_FULL).unwrap()
}

fn recovered() -> RestoreRecord {
    RestoreRecord { database_recovered: true, ..completed() }
}

#[test]
fn a_full_registration_records_its_arguments() {
    let registration = Registration {
        checkpoint_directory: Some(r"\\ca1.example.test\root$\var\ca\system\".to_owned()),
        log_directory: Some("/var/ca/log/".to_owned()),
        backup_log_directory: None,
        ..full(5, 9)
    };
    let expected = RestoreRecord {
        backup_log_directory: None,
        checkpoint_directory: Some(r"\\ca1.example.test\root$\var\ca\system".to_owned()),
        log_directory: Some("/var/ca/log".to_owned()),
        range: range(5, 9),
        map: vec![MapEntry { database: OLD.to_owned(), new_database: NEW.to_owned() }],
        database_recovered: false,
        status: Hresult::E_PENDING,
    };
    assert_eq!(registered(None, registration), Ok(expected));
}

#[test]
fn the_rules_come_in_their_order() {
    // Everything is wrong at once; repairing one fault after the other shows the next.
    on_stopped_ca(|good| {
        let mut circumstances = Circumstances {
            caller_allowed: false,
            target_is_local: false,
            ca_running: true,
            restore_type: RestoreType::Incremental,
            map_registered: true,
            ..good
        };
        let mut existing = Some(pending());
        let elsewhere = map(Some(OLD), Some("/etc/CA.db"));
        let mut registration = Registration { map: Some(vec![elsewhere]), low: 0, ..full(0, 9) };
        let expect = |circumstances: &Circumstances<'_>,
                      existing: &Option<RestoreRecord>,
                      registration: &Registration,
                      code| {
            assert_eq!(register(existing.as_ref(), registration.clone(), circumstances), Err(code));
        };
        expect(&circumstances, &existing, &registration, Hresult::E_ACCESSDENIED);
        circumstances.caller_allowed = true;
        expect(&circumstances, &existing, &registration, Hresult::ERROR_NOT_SUPPORTED);
        circumstances.target_is_local = true;
        expect(&circumstances, &existing, &registration, Hresult::ERROR_SERVICE_ALREADY_RUNNING);
        circumstances.ca_running = false;
        expect(&circumstances, &existing, &registration, Hresult::HR_RESTORE_IN_PROGRESS);
        existing = None;
        expect(&circumstances, &existing, &registration, Hresult::E_INVALIDARG);
        registration.low = 5;
        expect(&circumstances, &existing, &registration, Hresult::E_INVALIDARG);
        circumstances.restore_type = RestoreType::Full;
        expect(&circumstances, &existing, &registration, Hresult::HR_RESTORE_MAP_EXISTS);
        circumstances.map_registered = false;
        expect(&circumstances, &existing, &registration, Hresult::E_INVALIDARG);
        registration.map = full(5, 9).map;
        assert_eq!(register(None, registration, &circumstances), Ok(pending()));
    });
}

#[test]
fn arguments_come_before_the_rules_of_the_incremental() {
    assert_eq!(registered(None, incremental(0, 3)), Err(Hresult::E_INVALIDARG));
    assert_eq!(registered(None, incremental(1, 3)), Err(Hresult::HR_NO_FULL_RESTORE));
    let elsewhere = Registration { log_directory: Some("/tmp/log".to_owned()), ..incremental(10, 12) };
    assert_eq!(registered(Some(&failed()), elsewhere.clone()), Err(Hresult::HR_NO_FULL_RESTORE));
    assert_eq!(registered(Some(&completed()), elsewhere), Err(Hresult::E_INVALIDARG));
}

#[test]
fn malformed_arguments_are_refused() {
    let two = || Some(vec![map(Some(OLD), Some(NEW)), map(Some(OLD), Some(NEW))]);
    let maps = [
        (None, 1),
        (None, -1),
        (Some(vec![]), 0),
        (Some(vec![]), -1),
        (Some(vec![]), i32::MIN),
        (full(5, 9).map, 0),
        (full(5, 9).map, 2),
        (full(5, 9).map, -1),
        (two(), 1),
        (Some(vec![map(None, Some(NEW))]), 1),
        (Some(vec![map(Some(OLD), None)]), 1),
        (Some(vec![map(Some(""), Some(NEW))]), 1),
        (Some(vec![map(Some(OLD), Some(""))]), 1),
    ];
    for (map, map_count) in maps {
        let registration = Registration { map, map_count, ..incremental(5, 9) };
        assert_eq!(
            registered(Some(&completed()), registration.clone()),
            Err(Hresult::E_INVALIDARG),
            "{registration:?}"
        );
    }
    let two = Registration { map: two(), map_count: 2, ..incremental(5, 9) };
    assert_eq!(registered(None, two), Err(Hresult::E_INVALIDARG), "a CA has one database");
    for (low, high) in [(0, 0), (0, 9), (9, 5), (1, 0)] {
        assert_eq!(registered(None, full(low, high)), Err(Hresult::E_INVALIDARG), "{low}..{high}");
    }
    let empty = Some(String::new());
    let directories = [
        Registration { checkpoint_directory: empty.clone(), ..full(5, 9) },
        Registration { log_directory: empty.clone(), ..full(5, 9) },
        Registration { backup_log_directory: empty, ..full(5, 9) },
    ];
    for registration in directories {
        assert_eq!(registered(None, registration), Err(Hresult::E_INVALIDARG));
    }
}

#[test]
fn the_new_path_lies_in_the_database_folder() {
    let in_place = [
        (OLD, NEW),
        (OLD, "/var/ca/database/CA.db"),
        (OLD, r"\\CA1.EXAMPLE.TEST\Root$\var\ca\database\Other.db"),
        (r"\\old.example.test\C$\Windows\CA.edb", r"\\OLD.example.test\root$\var\ca\database\CA.db"),
        ("/srv/old/CA.db", NEW),
    ];
    for (database, new_database) in in_place {
        let registration =
            Registration { map: Some(vec![map(Some(database), Some(new_database))]), ..full(5, 9) };
        assert!(registered(None, registration).is_ok(), "{new_database}");
    }
    let elsewhere = [
        (OLD, OLD),
        (OLD, r"\\third.example.test\root$\var\ca\database\CA.db"),
        (OLD, r"\\ca1.example.test\C$\var\ca\database\CA.db"),
        (OLD, "/var/ca/database"),
        (OLD, "/var/ca/databases/CA.db"),
        (OLD, "/var/ca/database/sub/CA.db"),
        (OLD, "/var/ca/database/../database/CA.db"),
        (OLD, "/var/ca/database/.."),
        (OLD, "var/ca/database/CA.db"),
        (OLD, "/CA.db"),
        (OLD, r"D\\ca1.example.test\root$\var\ca\database\CA.db"),
    ];
    for (database, new_database) in elsewhere {
        let registration =
            Registration { map: Some(vec![map(Some(database), Some(new_database))]), ..full(5, 9) };
        assert_eq!(registered(None, registration), Err(Hresult::E_INVALIDARG), "{new_database}");
    }
}

#[test]
fn incrementals_merge_in_any_order() {
    let steps = [[incremental(10, 12), incremental(13, 20)], [incremental(13, 20), incremental(10, 12)]];
    for incrementals in steps {
        let mut record = completed();
        for incremental in incrementals {
            record = registered(Some(&record), incremental).unwrap();
            assert!(record.is_pending());
            record = complete(Some(&record), Hresult::S_OK).unwrap();
        }
        assert_eq!(record, RestoreRecord { range: range(5, 20), ..completed() });
    }
    let below = registered(Some(&completed()), incremental(1, 7)).unwrap();
    assert_eq!(below.range, range(5, 9));
}

#[test]
fn an_incremental_goes_with_either_kind_of_context() {
    for restore_type in [RestoreType::Full, RestoreType::Incremental] {
        for map_registered in [false, true] {
            let record = on_stopped_ca(|circumstances| {
                let circumstances = Circumstances { restore_type, map_registered, ..circumstances };
                register(Some(&completed()), incremental(10, 12), &circumstances)
            });
            assert_eq!(record.map(|record| record.range), Ok(range(5, 12)));
        }
    }
}

#[test]
fn an_incremental_needs_a_completed_full_one() {
    for existing in [None, Some(failed()), Some(recovered())] {
        assert_eq!(registered(existing.as_ref(), incremental(10, 12)), Err(Hresult::HR_NO_FULL_RESTORE));
    }
    let failed_incremental = registered(Some(&completed()), incremental(10, 12)).unwrap();
    let failed_incremental = complete(Some(&failed_incremental), Hresult::E_ABORT).unwrap();
    assert_eq!(registered(Some(&failed_incremental), incremental(10, 12)), Err(Hresult::HR_NO_FULL_RESTORE));
}

#[test]
fn an_incremental_may_repeat_the_folders_but_not_change_them() {
    let with_log = |log_directory: &str| Registration {
        log_directory: Some(log_directory.to_owned()),
        ..incremental(10, 12)
    };
    // The full one left it to the CA, whose log folder this is.
    for same in [
        "/var/ca/log",
        "/var/ca/log/",
        r"\\ca1.example.test\root$\var\ca\log",
        r"\\CA1.example.test\root$\var\ca\log\",
    ] {
        assert!(registered(Some(&completed()), with_log(same)).is_ok(), "{same}");
    }
    for other in ["/var/ca/LOG", "/var/ca", r"\\old.example.test\root$\var\ca\log", "log"] {
        assert_eq!(registered(Some(&completed()), with_log(other)), Err(Hresult::E_INVALIDARG), "{other}");
    }
    let given = Registration { backup_log_directory: Some(r"\\nas\sets\log".to_owned()), ..full(5, 9) };
    let given = complete(Some(&registered(None, given).unwrap()), Hresult::S_OK).unwrap();
    let with_backup =
        |path: &str| Registration { backup_log_directory: Some(path.to_owned()), ..incremental(10, 12) };
    assert_eq!(
        registered(Some(&given), with_backup(r"\\NAS\Sets\log\")).map(|record| record.backup_log_directory),
        Ok(given.backup_log_directory.clone())
    );
    assert_eq!(registered(Some(&given), with_backup("/var/ca/log")), Err(Hresult::E_INVALIDARG));
    let checkpoint = Registration { checkpoint_directory: Some("/tmp".to_owned()), ..incremental(10, 12) };
    assert_eq!(registered(Some(&given), checkpoint), Err(Hresult::E_INVALIDARG));
    assert!(registered(Some(&given), incremental(10, 12)).is_ok());
}

#[test]
fn a_full_registration_replaces_what_is_not_pending() {
    for existing in [completed(), failed(), recovered()] {
        assert_eq!(registered(Some(&existing), full(30, 40)).map(|record| record.range), Ok(range(30, 40)));
    }
    assert_eq!(registered(Some(&pending()), full(30, 40)), Err(Hresult::HR_RESTORE_IN_PROGRESS));
    assert_eq!(registered(Some(&pending()), incremental(10, 12)), Err(Hresult::HR_RESTORE_IN_PROGRESS));
}

#[test]
fn completing_needs_a_pending_registration() {
    for record in [None, Some(completed()), Some(failed()), Some(recovered())] {
        assert_eq!(complete(record.as_ref(), Hresult::S_OK), Err(Hresult::E_UNEXPECTED));
    }
    let with_success_of_another_kind = complete(Some(&pending()), Hresult::from_bits(1)).unwrap();
    assert!(with_success_of_another_kind.is_complete());
    assert_eq!(failed().status, Hresult::ERROR_DISK_FULL);
    assert!(!failed().is_complete() && !failed().is_pending());
    let odd = complete(Some(&pending()), Hresult::E_PENDING).unwrap();
    assert_eq!(odd.status, Hresult::E_FAIL);
}

#[test]
fn the_record_decides_how_the_service_starts() {
    assert_eq!(start_decision(None), StartDecision::Normal);
    assert_eq!(start_decision(Some(&pending())), StartDecision::Refuse(Hresult::E_PENDING));
    assert_eq!(start_decision(Some(&failed())), StartDecision::Refuse(Hresult::ERROR_DISK_FULL));
    assert_eq!(start_decision(Some(&completed())), StartDecision::Recover);
    assert_eq!(start_decision(Some(&recovered())), StartDecision::RemoveRecord);
    assert_eq!(
        start_decision(Some(&RestoreRecord { database_recovered: true, ..pending() })),
        StartDecision::RemoveRecord
    );
}

/// On a host with drive letters names are the same in upper and lower case, and either slash separates.
#[test]
fn drives_have_the_same_rules() {
    let names = UncRoot::new("ca1.example.test").unwrap().with_drives();
    let on_windows = |existing: Option<&RestoreRecord>, registration: Registration| {
        let target = Target {
            names: &names,
            database_directory: r"C:\ca\database",
            log_directory: r"C:\ca\log",
            checkpoint_directory: r"C:\ca\log",
        };
        on_stopped_ca(|circumstances| {
            register(existing, registration, &Circumstances { target, ..circumstances })
        })
    };
    let to = |path: &str| Registration { map: Some(vec![map(Some(OLD), Some(path))]), ..full(1, 2) };
    for path in [
        r"C:\ca\database\CA.db",
        r"c:/CA/Database/CA.db",
        r"\\ca1.example.test\C$\ca\database\CA.db",
        r"\\OLD.example.test\c$\Ca\DATABASE\CA.db",
    ] {
        assert!(on_windows(None, to(path)).is_ok(), "{path}");
    }
    for path in [
        r"D:\ca\database\CA.db",
        r"C:\ca\log\CA.db",
        r"C:\ca\database\..\database\CA.db",
        r"C:\ca\database\CA.db:stream",
        r"\ca\database\CA.db",
        "/ca/database/CA.db",
        r"\\ca2.example.test\C$\ca\database\CA.db",
        NEW,
    ] {
        assert_eq!(on_windows(None, to(path)), Err(Hresult::E_INVALIDARG), "{path}");
    }
    let full =
        complete(Some(&on_windows(None, to(r"C:\ca\database\CA.db")).unwrap()), Hresult::S_OK).unwrap();
    let logs = |path: &str| Registration { log_directory: Some(path.to_owned()), ..incremental(3, 4) };
    for path in [r"c:\CA\log\", "C:/ca/log", r"\\ca1.example.test\C$\ca\log"] {
        assert_eq!(on_windows(Some(&full), logs(path)).map(|record| record.range), Ok(range(1, 4)), "{path}");
    }
    assert_eq!(on_windows(Some(&full), logs(r"C:\ca\logs")), Err(Hresult::E_INVALIDARG));
}
