//! Folders of Windows CAs as people have them: copied from a running machine, from old media, by hand, with other files
//! beside.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{Diagnosis, Hresult};
use certadm_set::finding::Severity;
use certadm_set::hashes::Hashing;
use certadm_set::progress::Silent;
use certadm_set::seal::{describe_sound, unsealed as unsealed_set};
use certadm_set::verify::{Report, verify};
use certadm_set::windows::recover;
use certadm_set::{Error, Neighbours, Opened, open};

use crate::common::scratch;
use crate::windows_files::{backup, ca_database, log_set, made_log, sealed_full_set};

fn check(paths: &[&Path]) -> Report {
    let paths: Vec<PathBuf> = paths.iter().map(|path| (*path).to_owned()).collect();
    verify(&paths, &mut Silent)
}

/// What of a report is worth looking into.
fn kinds(report: &Report) -> Vec<Kind> {
    let found = report.findings.iter().filter(|finding| Severity::Note < finding.severity);
    found.map(|finding| finding.kind).collect()
}

/// A folder `CertLog` as a running CA has it, closed cleanly.
fn certlog(dir: &Path) -> PathBuf {
    let folder = dir.join("CertLog");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Example CA.edb"), ca_database()).unwrap();
    folder
}

#[test]
fn what_lies_beside_a_database_is_no_part_of_it() {
    let dir = scratch();
    let folder = certlog(dir.path());
    // Temporary databases: whole, as the engine marks them; empty; cut off; in other letters.
    let mut temporary = ca_database();
    for copy in [0, 4096] {
        temporary[copy + 667] = 5;
    }
    let strangers: [(&str, &[u8]); 18] = [
        ("tmp.edb", &temporary),
        ("TMP.EDB", b""),
        ("Tmp.edb", &temporary[..5000]),
        ("edbtmp.log", &[0; 9000]),
        ("edbres00001.jrs", &[0; 9000]),
        ("edbres00002.jrs", &[0xff; 9000]),
        ("Example CA.pat", &[0; 8192]),
        ("Example CA.jfm", &[0; 8192]),
        ("edb.chk", &[0; 8192]),
        ("desktop.ini", b"[.ShellClassInfo]"),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("CertLog.zip", b"PK\x03\x04"),
        ("Example CA.p12", b"\x30\x82"),
        ("Example CA.edb.txt", b"text"),
        // What other programs call a log.
        ("out.log", b"-----\r\n   ROBOCOPY     ::     Robust File Copy for Windows\r\n"),
        ("rob.log", b""),
        ("log20261130.log", b"a text"),
        ("bak20261130.log", b"a text"),
    ];
    for (name, bytes) in strangers {
        fs::write(folder.join(name), bytes).unwrap();
        let report = check(&[&folder]);
        assert_eq!(kinds(&report), [], "{name}");
        assert!(report.is_restorable(), "{name}");
    }
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/Other.edb"), ca_database()).unwrap();
    assert!(check(&[&folder]).is_restorable());
    // A second real database is another matter: which one is meant?
    fs::write(folder.join("Copy of Example CA.edb"), ca_database()).unwrap();
    let error = open(std::slice::from_ref(&folder)).unwrap_err().to_string();
    assert!(error.contains("more than one database") && error.contains("name one of these files"), "{error}");
    assert!(check(&[&folder.join("Example CA.edb")]).is_restorable());
}

/// The current log of a CA that was closed is no more than a warning, whatever became of it.
#[test]
fn a_clean_database_needs_no_current_log() {
    let dir = scratch();
    let folder = certlog(dir.path());
    for bytes in [&b""[..], b"a text", &[0; 9000]] {
        fs::write(folder.join("edb.log"), bytes).unwrap();
        let report = check(&[&folder]);
        assert_eq!(kinds(&report), [Kind::LogStray], "{:?}", report.findings);
        assert_eq!(report.severity(), Severity::Warning);
        assert!(report.is_restorable());
        let Opened::Windows(sets) = open(std::slice::from_ref(&folder)).unwrap() else { panic!() };
        let to = dir.path().join(format!("to-{}", bytes.len()));
        recover(&sets, &to, &mut Silent).unwrap();
    }
}

/// Two logs have each other's name, and one of them was cut short: that one is blamed.
#[test]
fn damage_is_told_of_the_file_that_has_it() {
    let dir = scratch();
    let [whole, cut] = ["edb00006.log", "edb00007.log"].map(|name| dir.path().join(name));
    fs::write(&whole, made_log(7)).unwrap();
    fs::write(&cut, &made_log(6)[..9000]).unwrap();
    let report = check(&[dir.path()]);
    let sizes: Vec<_> = report.findings.iter().filter(|finding| finding.kind == Kind::LogSize).collect();
    assert!(!sizes.is_empty(), "{:?}", report.findings);
    for finding in sizes {
        assert_eq!(finding.place.file.as_deref(), Some(cut.as_path()), "{finding}");
    }
    // Two sets have a log of this name each, and one of these is no log any more.
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    for folder in [&one, &other] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("edb00006.log"), made_log(6)).unwrap();
    }
    fs::write(other.join("edb00007.log"), made_log(7)).unwrap();
    fs::write(other.join("edb00006.log"), b"").unwrap();
    let report = check(&[&one, &other]);
    let told: Vec<_> = report.findings.iter().filter(|finding| Severity::Note < finding.severity).collect();
    let [finding] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (finding.kind, finding.place.file.clone()),
        (Kind::LogHeader, Some(other.join("edb00006.log")))
    );
}

/// The time of a file is that of its last copy.
#[test]
fn a_log_set_was_taken_when_its_last_log_says() {
    let dir = scratch();
    let taken = |set: &Path| {
        let sealed = certadm_set::seal::seal(set, Hashing::Blake3, None, &mut Silent).unwrap();
        (sealed.manifest.started, sealed.manifest.finished)
    };
    let moment = |text: &str| (text.to_owned(), text.to_owned());
    let first = log_set(dir.path(), "first", 6);
    assert_eq!(taken(&first), moment("2025-12-01T00:00:06Z"));
    // It follows a full set of its sequence that lies beside it, whatever a clock said.
    sealed_full_set(dir.path(), "2025-12-01T02:00:00Z");
    assert_eq!(taken(&log_set(dir.path(), "second", 7)), moment("2025-12-01T02:00:00Z"));
    // One that ends before it does follows another one.
    let older = log_set(dir.path(), "older", 5);
    assert_eq!(taken(&older), moment("2025-12-01T00:00:05Z"));
}

/// Names do not sort as generations do: the digits become eight, and letters may be mixed. A current log is none of a backup.
#[test]
fn the_log_that_dates_a_log_set_is_the_one_with_the_highest_generation() {
    let dir = scratch();
    let taken = |set: &Path| {
        let Opened::Windows(sets) = open(&[set.to_owned()]).unwrap() else { panic!("it is of Windows") };
        let names: Vec<_> =
            sets[0].logs.iter().map(|log| log.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        (names, sets[0].taken().map(certadm_rules::FileTime::to_rfc3339))
    };
    // What a log says of itself has the second of a small number.
    for (name, logs, expected) in [
        ("wrap", [("edbfffff.log", 8), ("edb00100000.log", 9)], ["edbfffff.log", "edb00100000.log"]),
        ("letters", [("edb00008.log", 8), ("EDB00009.LOG", 9)], ["edb00008.log", "EDB00009.LOG"]),
        ("current", [("edb.log", 8), ("edb00009.log", 9)], ["edb00009.log", "edb.log"]),
    ] {
        let set = log_set(dir.path(), name, 7);
        fs::remove_file(set.join("DataBase/edb00007.log")).unwrap();
        for (log, second) in logs {
            fs::write(set.join("DataBase").join(log), made_log(second)).unwrap();
        }
        let (names, taken) = taken(&set);
        assert_eq!(names, expected);
        assert_eq!(taken.as_deref(), Some("2025-12-01T00:00:09Z"), "{name}");
    }
    // The current log does not hide of which sequence the logs are.
    let unsealed = unsealed_set(&dir.path().join("current"), &mut Neighbours::default()).unwrap();
    assert_eq!(unsealed.signatures.1, "07".repeat(28));
}

/// How often this thread has read from a file since it began.
#[cfg(target_os = "linux")]
fn reads() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
}

/// Each log set is dated by the full set beside it: the folder is looked at once for all of them.
#[test]
#[cfg(target_os = "linux")]
fn many_log_sets_are_looked_at_once_each() {
    let reads_for = |count: u32| {
        let dir = scratch();
        let mut sets: Vec<PathBuf> =
            (0..count).map(|number| log_set(dir.path(), &format!("logs-{number}"), 7 + number)).collect();
        sealed_full_set(dir.path(), "2025-12-01T02:00:00Z");
        // One more that is full, without a manifest and of the same sequence.
        let unsealed = log_set(dir.path(), "unsealed", 6);
        fs::write(unsealed.join("DataBase/CA.edb"), ca_database()).unwrap();
        sets.sort();
        let before = reads();
        let mut neighbours = Neighbours::default();
        for set in &sets {
            let (sealed, _) = describe_sound(set, Hashing::Blake3, &mut neighbours, &mut Silent).unwrap();
            let unsealed = unsealed_set(set, &mut neighbours).unwrap();
            assert_eq!(sealed.manifest.finished_at().unwrap().unix_seconds(), unsealed.time);
        }
        reads() - before
    };
    let (few, many) = (reads_for(10), reads_for(40));
    assert!(many < 5 * few, "{few} reads for 10 sets, {many} for 40");
}

/// `certutil -backup`: key and database side by side.
#[test]
fn the_key_beside_a_set_does_not_disturb() {
    let dir = scratch();
    let Some((full, _)) = backup(dir.path()) else { return };
    fs::write(full.join("Example CA.p12"), b"\x30\x82").unwrap();
    fs::write(full.join("readme.txt"), b"taken on monday").unwrap();
    assert_eq!(kinds(&check(&[&full])), []);
    assert!(check(&[&full]).is_restorable());
    assert!(check(&[&full.join("DataBase")]).is_restorable(), "the folder in it can be named, too");
}

#[test]
fn names_are_known_in_any_letters() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let expected = check(&[&full, &logs]).verdict();
    for (folder, change) in [
        ("DATABASE", str::to_uppercase as fn(&str) -> String),
        ("database", str::to_lowercase),
        ("Database", |name: &str| name.replace("edb", "EdB")),
    ] {
        for set in [&full, &logs] {
            let inner = fs::read_dir(set).unwrap().next().unwrap().unwrap().path();
            let renamed = set.join(folder);
            fs::rename(&inner, &renamed).unwrap();
            for entry in fs::read_dir(&renamed).unwrap().flatten().collect::<Vec<_>>() {
                let name = entry.file_name().into_string().unwrap();
                fs::rename(entry.path(), renamed.join(change(&name))).unwrap();
            }
        }
        let report = check(&[&full, &logs]);
        assert_eq!(report.verdict(), expected, "{folder}");
        assert_eq!(kinds(&report), [], "{folder}");
        let Opened::Windows(sets) = open(&[full.clone(), logs.clone()]).unwrap() else { panic!("{folder}") };
        recover(&sets, &dir.path().join(format!("to-{folder}")), &mut Silent).unwrap();
    }
}

#[test]
fn a_restore_map_that_cannot_be_used_is_a_warning_like_a_missing_one() {
    let dir = scratch();
    let Some((full, _)) = backup(dir.path()) else { return };
    let map = full.join("DataBase/certbkxp.dat");
    let whole = fs::read(&map).unwrap();
    let cut = &whole[..whole.len() / 2 + 1];
    let maps: [Option<&[u8]>; 6] = [None, Some(b""), Some(cut), Some(&[0xff; 50]), Some(&[0; 4]), Some(b"D")];
    for bytes in maps {
        match bytes {
            Some(bytes) => fs::write(&map, bytes).unwrap(),
            None => fs::remove_file(&map).unwrap(),
        }
        let report = check(&[&full]);
        assert_eq!(kinds(&report), [Kind::RestoreMap], "{bytes:?}");
        assert_eq!(report.severity(), Severity::Warning, "{bytes:?}");
        assert!(report.is_restorable(), "{bytes:?}");
        let Opened::Windows(sets) = open(std::slice::from_ref(&full)).unwrap() else { panic!() };
        assert!(sets[0].read_locations().unwrap().is_none(), "{bytes:?}");
    }
}

#[test]
fn a_stray_current_log_is_one_warning() {
    let dir = scratch();
    let Some((full, logs)) = backup(dir.path()) else { return };
    let expected = check(&[&full]).verdict();
    let mut stray = fs::read(logs.join("DataBase/edb00002.log")).unwrap();
    stray[4096..].fill(0);
    for name in ["edb.log", "EDB.LOG", "Edb.Log"] {
        let path = full.join("DataBase").join(name);
        let mut bytes = stray.clone();
        bytes[4] = 9; // its checksum is wrong then: it cannot be read
        fs::write(&path, bytes).unwrap();
        let report = check(&[&full]);
        assert_eq!(kinds(&report), [Kind::LogStray], "{name}");
        assert_eq!(report.verdict(), expected);
        let finding = report.findings.iter().find(|finding| finding.kind == Kind::LogStray).unwrap();
        assert_eq!(finding.place.file.as_deref(), Some(path.as_path()), "the set's own log is not blamed");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_restore_of_a_windows_set_says_what_it_is_and_what_to_do() {
    let dir = scratch();
    let folder = certlog(dir.path());
    let opened = open(std::slice::from_ref(&folder)).unwrap();
    let error = opened.into_ours().unwrap_err();
    assert!(matches!(&error, Error::OfWindows { path } if *path == folder));
    assert_eq!(error.hresult(), Hresult::ERROR_DIRECTORY);
    assert!(error.to_string().contains("of a Windows CA"), "{error}");
    for word in ["certutil -f -restoreDB", "net stop certsvc", "certadm recover", "certadm verify"] {
        assert!(error.remedy().contains(word), "{}", error.remedy());
    }
}

/// `certutil -backup` puts the CA's key beside the folder DataBase.
#[test]
fn the_key_beside_a_set_that_is_sealed_is_named() {
    let dir = scratch();
    let Some((full, _)) = backup(dir.path()) else { return };
    fs::write(full.join("Contoso CA.p12"), b"a key").unwrap();
    let is_told = |findings: &[Finding]| {
        let told = findings.iter().filter(|finding| finding.kind == Kind::UnknownFile);
        told.map(|finding| finding.remedy.clone().unwrap().contains("keep it elsewhere")).collect::<Vec<_>>()
    };
    let sealed = certadm_set::seal::seal(&full, Hashing::Blake3, None, &mut Silent).unwrap();
    assert_eq!(is_told(&sealed.findings), [true]);
    let report = certadm_set::verify::verify(&[full], &mut Silent);
    assert_eq!(is_told(&report.findings), [true]);
    assert!(report.is_restorable());
}
