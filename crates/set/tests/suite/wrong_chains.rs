//! Every wrong chain has its own code (certbcli.md 9.2), in plan, verification and the CA's start, and none of them
//! changes a byte.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Ca, INCOMPLETE, copy_dir, edit, image, insert, lay_down, log, scratch, serials, start};
use certadm_rules::{Diagnosis, Entry, Hresult, Tag, TaggedList};
use certadm_set::restore::plan;
use certadm_set::verify::verify;
use certadm_set::{Set, Silent};
use certadm_store::{PAGE_SIZE, Writer};

/// A page of the store, in bytes.
const PAGE: usize = PAGE_SIZE as usize;

/// A good chain, and what is mixed into it to make it wrong. Image: needs 2 to 4; logs: 2 to 6.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: scratch() };
        let (ca, good) = (world.path("ca"), world.path("good"));
        let mut first = Ca::create(&ca);
        first.full_set(&good);
        // Two futures of one CA: same database, same stream, other logs.
        drop(first);
        copy_dir(&ca, &world.path("fork"));
        let mut first = Ca::open(&ca, 100);
        first.add_logs(&good);
        first.add_logs(&good);
        let mut fork = Ca::open(&world.path("fork"), 200);
        for _ in 0..2 {
            fork.insert();
            fork.add_logs(&world.path("forked"));
        }
        let stranger = world.path("stranger");
        let mut other = Ca::create(&world.path("other"));
        other.full_set(&stranger);
        other.add_logs(&stranger);
        other.add_logs(&stranger);
        for set in [&good, &stranger] {
            let range = Set::open(set).unwrap().range().unwrap();
            assert_eq!((range.low().number(), range.high().number()), (2, 6));
        }
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

struct Case {
    name: &'static str,
    make: fn(&World, &Path),
    code: Hresult,
}

const CASES: &[Case] = &[
    Case {
        name: "a generation of the range is missing",
        make: |_, set| fs::remove_file(log(set, 3)).unwrap(),
        code: Hresult::MISSING_RESTORE_LOG_FILES,
    },
    Case {
        name: "a generation after what the image needs is missing",
        make: |_, set| fs::remove_file(log(set, 5)).unwrap(),
        code: Hresult::MISSING_RESTORE_LOG_FILES,
    },
    Case {
        name: "one log belongs to another CA",
        make: |world, set| copy(&log(&world.path("stranger"), 5), &log(set, 5)),
        code: Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE,
    },
    Case {
        name: "the image belongs to another CA than all logs",
        make: |world, set| copy(&image(&world.path("stranger")), &image(set)),
        code: Hresult::DATABASE_LOG_SET_MISMATCH,
    },
    Case {
        name: "one log is of another future of the same CA",
        make: |world, set| copy(&log(&world.path("forked"), 5), &log(set, 5)),
        code: Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS,
    },
    Case {
        name: "the last log is of another future of the same CA",
        make: |world, set| copy(&log(&world.path("forked"), 6), &log(set, 6)),
        code: Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS,
    },
    Case {
        name: "two logs have each other's name",
        make: |_, set| {
            fs::rename(log(set, 3), log(set, 9)).unwrap();
            fs::rename(log(set, 4), log(set, 3)).unwrap();
            fs::rename(log(set, 9), log(set, 4)).unwrap();
        },
        code: Hresult::LOG_GENERATION_MISMATCH,
    },
    Case {
        name: "a bit of a log's content is turned over",
        make: |_, set| {
            edit(&log(set, 4), |bytes| {
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
            });
        },
        code: Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
    },
    Case {
        name: "a bit of a log's header is turned over",
        make: |_, set| edit(&log(set, 4), |bytes| bytes[20] ^= 1),
        code: Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
    },
    Case {
        name: "a log is longer than its header says",
        make: |_, set| edit(&log(set, 4), |bytes| bytes.push(0)),
        code: Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
    },
    Case {
        name: "a log's end is missing",
        make: |_, set| {
            edit(&log(set, 4), |bytes| {
                bytes.pop();
            });
        },
        code: Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
    },
    Case {
        name: "a log is empty",
        make: |_, set| edit(&log(set, 4), Vec::clear),
        code: Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
    },
    Case {
        name: "a log was written by another version of the format",
        make: |_, set| edit(&log(set, 4), |bytes| other_version(bytes)),
        code: Hresult::BAD_LOG_VERSION,
    },
    Case {
        name: "the range begins too late",
        make: |_, set| fs::remove_file(log(set, 2)).unwrap(),
        code: Hresult::STARTING_RESTORE_LOG_TOO_HIGH,
    },
    Case {
        name: "the range ends too early",
        make: |_, set| [4, 5, 6].iter().for_each(|number| fs::remove_file(log(set, *number)).unwrap()),
        code: Hresult::ENDING_RESTORE_LOG_TOO_LOW,
    },
    Case {
        name: "the image has no trailer",
        make: |_, set| edit(&image(set), |bytes| bytes.truncate(bytes.len() - PAGE)),
        code: Hresult::RESTORE_OF_NON_BACKUP_DATABASE,
    },
    Case {
        name: "the image's trailer is damaged",
        make: |_, set| {
            edit(&image(set), |bytes| {
                let trailer = bytes.len() - PAGE;
                bytes[trailer + 100] ^= 1;
            });
        },
        code: Hresult::DATABASE_PATCH_FILE_MISMATCH,
    },
    Case {
        name: "a page before the trailer is missing",
        make: |_, set| {
            edit(&image(set), |bytes| {
                let trailer = bytes.len() - PAGE;
                bytes.drain(trailer - PAGE..trailer);
            });
        },
        code: Hresult::DATABASE_PATCH_FILE_MISMATCH,
    },
    Case {
        name: "the image's length is no multiple of a page",
        make: |_, set| edit(&image(set), |bytes| bytes.truncate(bytes.len() - 1)),
        code: Hresult::BAD_BACKUP_DATABASE_SIZE,
    },
    Case {
        name: "the image is no database",
        make: |_, set| edit(&image(set), |bytes| bytes[0] = b'X'),
        code: Hresult::DATABASE_CORRUPTED,
    },
];

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

/// Makes a log's header say version 3, checksum and all.
fn other_version(bytes: &mut [u8]) {
    bytes[8] = 3;
    let checksum = blake3::hash(&bytes[..480]);
    bytes[480..512].copy_from_slice(checksum.as_bytes());
}

#[test]
fn every_wrong_chain_has_its_own_code_and_changes_nothing() {
    let world = World::new();
    for (number, case) in CASES.iter().enumerate() {
        let name = case.name;
        let set = world.path(&format!("set{number}"));
        copy_dir(&world.path("good"), &set);
        (case.make)(&world, &set);
        let before = contents(&set);

        let target = world.path(&format!("target{number}"));
        let checked = plan(std::slice::from_ref(&set), &target, INCOMPLETE)
            .and_then(|plan| plan.check(&mut Silent))
            .map(|_| ())
            .map_err(|error| error.hresult());
        assert_eq!(checked, Err(case.code), "dry run: {name}");
        assert!(!target.exists(), "a dry run writes nothing: {name}");
        let restored = plan(std::slice::from_ref(&set), &target, INCOMPLETE)
            .and_then(|plan| plan.execute("host", &mut Silent))
            .map(|_| ())
            .map_err(|error| error.hresult());
        assert_eq!(restored, Err(case.code), "restore: {name}");
        assert!(!target.exists(), "a refused restore leaves nothing: {name}");

        let report = verify(std::slice::from_ref(&set), &mut Silent);
        assert!(!report.is_good(), "verify: {name}");
        let codes: Vec<Hresult> = report.findings.iter().map(|finding| finding.code).collect();
        assert!(codes.contains(&case.code), "verify: {name}: {codes:?}");
        assert_eq!(contents(&set), before, "verifying changes nothing: {name}");

        let logs = Set::open(&set).unwrap().range().unwrap();
        let folder = lay_down(&set, &target, (logs.low().number(), logs.high().number()));
        let before = contents(&target);
        assert_eq!(start(&folder), Err(case.code), "start: {name}");
        assert_eq!(kept(&contents(&target)), kept(&before), "a refused start changes nothing: {name}");
        fs::remove_dir_all(&target).unwrap();
        fs::remove_dir_all(&set).unwrap();
    }
}

/// A CA finds its database by the ending of the name: another one would be found by no command after the restore.
#[test]
fn a_set_whose_map_names_no_database_of_a_ca_is_refused_before_anything_changes() {
    let dir = scratch();
    let (set, target) = (dir.path().join("set"), dir.path().join("new"));
    Ca::create(&dir.path().join("ca")).full_set(&set);
    let map = set.join("DataBase/certbkxp.dat");
    assert!(plan(std::slice::from_ref(&set), &target, INCOMPLETE).is_ok());
    for name in [Some("T CA.dx"), Some("db"), Some(r"..\.db"), None] {
        let entry = |name| Entry::new(Tag::Database, format!(r"\\host\root$\ca\database\{name}")).unwrap();
        match name {
            Some(name) => fs::write(&map, TaggedList::new(vec![entry(name)]).to_bytes()).unwrap(),
            None => fs::remove_file(&map).unwrap(),
        }
        let error = plan(std::slice::from_ref(&set), &target, INCOMPLETE).unwrap_err();
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA, "{name:?}: {error}");
        let report = verify(std::slice::from_ref(&set), &mut Silent);
        let is_told = report.findings.iter().any(|found| {
            found.code == Hresult::ERROR_INVALID_DATA && found.place.file.as_ref() == Some(&map)
        });
        assert!(is_told && !target.exists(), "{name:?}: {:?}", report.findings);
    }
}

#[test]
fn the_chain_that_is_mixed_into_is_a_good_one() {
    let world = World::new();
    let good = world.path("good");
    let report = verify(std::slice::from_ref(&good), &mut Silent);
    assert!(report.is_good(), "{:?}", report.findings);
    let folder = lay_down(&good, &world.path("new"), (2, 6));
    assert_eq!(start(&folder), Ok(()));
    assert_eq!(serials(&folder), [1, 2, 3, 4, 100, 101]);
}

#[test]
fn a_damaged_page_is_found_by_verify_and_by_the_start() {
    let world = World::new();
    let set = world.path("good");
    // Page 2 of the image. The set has no manifest; the image's own checksum tells.
    edit(&image(&set), |bytes| bytes[PAGE + 77] ^= 4);
    let report = verify(std::slice::from_ref(&set), &mut Silent);
    assert!(report.findings.iter().any(|finding| finding.code == Hresult::READ_VERIFY_FAILURE), "{report:?}");
    let target = world.path("new");
    let planned = plan(std::slice::from_ref(&set), &target, INCOMPLETE).unwrap();
    let refused = planned.execute("host", &mut Silent).unwrap_err();
    assert_eq!(refused.hresult(), Hresult::READ_VERIFY_FAILURE);
    assert!(!target.exists(), "a refused restore leaves nothing");
    let logs = Set::open(&set).unwrap().range().unwrap();
    let folder = lay_down(&set, &target, (logs.low().number(), logs.high().number()));
    let before = contents(&folder.database_dir());
    assert_eq!(start(&folder), Err(Hresult::READ_VERIFY_FAILURE));
    assert_eq!(contents(&folder.database_dir()), before);
}

#[test]
fn a_missing_database_has_its_code_too() {
    let world = World::new();
    let folder = lay_down(&world.path("good"), &world.path("new"), (2, 6));
    fs::remove_file(folder.database_path_for("ca")).unwrap();
    assert_eq!(start(&folder), Err(Hresult::ATTACHED_DATABASE_MISMATCH));
}

#[test]
fn sets_may_overlap_but_not_contradict_each_other() {
    let world = World::new();
    let (good, again) = (world.path("good"), world.path("again"));
    fs::create_dir_all(again.join("DataBase")).unwrap();
    for number in [4, 5] {
        copy(&log(&good, number), &log(&again, number));
    }
    let target = world.path("new");
    let planned = plan(&[good.clone(), again.clone()], &target, INCOMPLETE).unwrap();
    assert_eq!(planned.last.number(), 6, "identical copies are accepted");
    copy(&log(&world.path("forked"), 5), &log(&again, 5));
    let refused = plan(&[good, again], &target, INCOMPLETE).unwrap_err();
    assert_eq!(refused.hresult(), Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS);
}

/// Logs that lie in the log folder above the registered range are applied while they continue it.
#[test]
fn logs_above_the_range() {
    let world = World::new();
    let good = world.path("good");
    let attempt = |name: &str, change: &dyn Fn(&Path)| {
        let (set, target) = (world.path(&format!("set-{name}")), world.path(&format!("new-{name}")));
        copy_dir(&good, &set);
        change(&set);
        let folder = lay_down(&set, &target, (2, 4));
        (start(&folder), folder)
    };
    let (started, folder) = attempt("whole", &|_| ());
    assert_eq!((started, serials(&folder)), (Ok(()), vec![1, 2, 3, 4, 100, 101]), "rolled forward");
    let (started, folder) = attempt("damaged", &|set| {
        edit(&log(set, 6), |bytes| {
            bytes.pop();
        });
    });
    assert_eq!(
        (started, serials(&folder)),
        (Ok(()), vec![1, 2, 3, 4, 100]),
        "the replay ends before the damage"
    );
    let (started, _) = attempt("missing", &|set| fs::remove_file(log(set, 5)).unwrap());
    assert_eq!(started, Err(Hresult::MISSING_CURRENT_LOG_FILES));
    let (started, _) = attempt("foreign", &|set| copy(&log(&world.path("stranger"), 5), &log(set, 5)));
    assert_eq!(started, Err(Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE));
    let (started, _) = attempt("fork", &|set| copy(&log(&world.path("forked"), 6), &log(set, 6)));
    assert_eq!(started, Err(Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS));
}

/// The third column of the table: an ordinary start, with logs that the database file still needs because a reader
/// held the checkpoint back.
#[test]
fn a_start_without_a_registration_checks_the_logs_it_needs() {
    let dir = scratch();
    let build = |name: &str| {
        let path = dir.path().join(name);
        let mut ca = Ca::create(&path);
        ca.roll();
        let reader = Writer::open(&ca.folder).unwrap();
        reader.connection().execute_batch("BEGIN; SELECT count(*) FROM Requests").unwrap();
        ca.roll();
        ca.roll();
        ca.insert();
        assert_eq!(
            (ca.store.checkpoint_generation().number(), ca.store.current_generation().number()),
            (2, 4)
        );
        (path, ca, reader)
    };
    let (good, ca, reader) = build("ca");
    // A fork of the same generation, for a log that is not this one's predecessor.
    copy_dir(&good, &dir.path().join("fork"));
    drop((ca, reader));
    let (other, ..) = build("other");

    type Damage<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Damage<'_>, Hresult); 8] = [
        (
            "missing",
            &|ca| fs::remove_file(ca.join("log/edb00002.log")).unwrap(),
            Hresult::REQUIRED_LOG_FILES_MISSING,
        ),
        ("current", &|ca| fs::remove_file(ca.join("database/ca.db-wal")).unwrap(), Hresult::MISSING_LOG_FILE),
        (
            "foreign",
            &|ca| copy(&other.join("log/edb00003.log"), &ca.join("log/edb00003.log")),
            Hresult::BAD_LOG_SIGNATURE,
        ),
        (
            "database",
            &|ca| {
                for name in ["ca.db", "ca.db-wal"] {
                    copy(&other.join("database").join(name), &ca.join("database").join(name));
                }
            },
            Hresult::BAD_DB_SIGNATURE,
        ),
        (
            "link",
            &|ca| edit(&ca.join("log/edb00003.log"), |bytes| unlink(bytes)),
            Hresult::INVALID_LOG_SEQUENCE,
        ),
        (
            "name",
            &|ca| copy(&ca.join("log/edb00003.log"), &ca.join("log/edb00002.log")),
            Hresult::LOG_GENERATION_MISMATCH,
        ),
        (
            "damaged",
            &|ca| edit(&ca.join("log/edb00003.log"), |bytes| *bytes.last_mut().unwrap() ^= 1),
            Hresult::LOG_FILE_CORRUPT,
        ),
        (
            "version",
            &|ca| edit(&ca.join("log/edb00003.log"), |bytes| other_version(bytes)),
            Hresult::BAD_LOG_VERSION,
        ),
    ];
    for (name, damage, code) in cases {
        let target = dir.path().join(name);
        copy_dir(&good, &target);
        damage(&target);
        let folder = certadm_store::Folder::new(&target);
        assert_eq!(start(&folder), Err(code), "{name}");
    }
    assert_eq!(start(&certadm_store::Folder::new(&good)), Ok(()), "the undamaged one starts");
}

/// Makes a log's header name another predecessor, checksum and all.
fn unlink(bytes: &mut [u8]) {
    bytes[104] ^= 1; // the creation time of the log before it
    let checksum = blake3::hash(&bytes[..480]);
    bytes[480..512].copy_from_slice(checksum.as_bytes());
}

#[test]
fn a_restored_image_that_nobody_registered_is_refused() {
    let world = World::new();
    let folder = lay_down(&world.path("good"), &world.path("new"), (2, 6));
    fs::remove_file(folder.restore_record_path()).unwrap();
    assert_eq!(start(&folder), Err(Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE));
}

#[test]
fn a_commit_into_a_restored_image_that_nobody_registered_is_refused() {
    let world = World::new();
    let folder = lay_down(&world.path("good"), &world.path("new"), (2, 6));
    fs::remove_file(folder.restore_record_path()).unwrap();
    let opened = Writer::open(&folder).map(|mut writer| insert(&mut writer, 999));
    assert_eq!(opened.map_err(|error| error.hresult()), Err(Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE));
}

/// Every file below a folder with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files.sort();
    files
}

/// What holds data: lock files may come, which are empty or say who held them.
fn kept(files: &[(PathBuf, Vec<u8>)]) -> Vec<&(PathBuf, Vec<u8>)> {
    let is_lock = |path: &Path| path.file_name().is_some_and(|name| name == "lock");
    files.iter().filter(|(path, bytes)| !bytes.is_empty() && !is_lock(path)).collect()
}
