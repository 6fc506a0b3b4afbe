//! Sets go in and come out as they were, logs are deleted only then, and names lead to what they mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use certadm_repository::{Imported, Part, Selector};
use certadm_rules::BackupType;
use certadm_set::verify::verify;
use certadm_set::{Silent, TakeOptions, take};

use crate::common::{Ca, assert_whole, import, options, over, repository};
use crate::objects::{Fault, Faulty, Noting};

/// The manifest lies in the same pack as the logs, and is read before them.
#[test]
fn what_the_ca_deletes_is_read_again_after_the_system_was_told_to_forget_it() {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    ca.back_up(&sound, BackupType::Full).unwrap();
    for kind in [BackupType::LogsOnly, BackupType::Full] {
        ca.issue(1);
        let noting = Arc::new(Noting { inner: memory.clone(), ..Noting::default() });
        ca.back_up(&over(Arc::clone(&noting) as _, &secret), kind).unwrap();
        let notes = noting.notes.lock().unwrap();
        let place =
            |fits: &dyn Fn(&str, &str) -> bool| notes.iter().rposition(|(what, name)| fits(what, name));
        let counts = place(&|what, name| what == "put" && name.starts_with("snapshots/")).unwrap();
        let forgotten: BTreeSet<&String> =
            notes.iter().filter(|(what, _)| *what == "forget").map(|(_, name)| name).collect();
        assert!(!forgotten.is_empty(), "{kind:?}");
        for pack in forgotten {
            let last = place(&|what, name| what == "forget" && name == pack).unwrap();
            let read = notes[last..counts].iter().any(|(what, name)| *what == "read" && name == pack);
            assert!(read, "{kind:?}: {pack} is not read again");
        }
    }
}

#[test]
fn a_full_set_and_its_log_sets_come_back_and_the_ca_keeps_no_log_twice() {
    let mut ca = Ca::create();
    let (memory, _, repository) = repository();
    let full = ca.back_up(&repository, BackupType::Full).unwrap();
    assert!(full.checked && full.findings.is_empty() && full.end_error.is_none(), "{full:?}");
    assert!(!full.truncated.is_empty() && full.still_there.is_empty(), "{full:?}");
    assert!(full.set.to_str().unwrap().starts_with("vault:ca/"), "{:?}", full.set);
    for _ in 0..3 {
        ca.issue(3);
        let logs = ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        assert!(logs.checked && !logs.truncated.is_empty(), "{logs:?}");
    }
    assert_eq!(assert_whole(&repository, ca.beside()), 4);
    let latest = repository.select(&Selector::Latest).unwrap();
    assert_eq!(latest.len(), 4, "the full set and the three that continue it");
    assert_eq!(repository.select(&Selector::LatestFull).unwrap().len(), 1);
    let fetched = repository.fetch(&latest, ca.beside(), &mut Silent).unwrap();
    let report = verify(&fetched.sets, &mut Silent);
    assert_eq!(report.content.unwrap().certificates, 14);
    let gone = fetched.sets[0].clone();
    drop(fetched);
    assert!(!gone.exists(), "a scratch copy goes away");
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    assert!(checked.problems.is_empty() && checked.unnamed_packs == 0, "{checked:?}");
    assert_eq!(checked.packs, memory.names("data/").len() as u64);
    // Nothing of what was stored can be read without the key.
    let all: Vec<u8> = memory.all().into_values().flat_map(|content| content.to_vec()).collect();
    for word in [&b"SQLite format 3"[..], b"manifest.json", b"DataBase"] {
        assert!(!all.windows(word.len()).any(|found| found == word));
    }
}

#[test]
fn a_folder_goes_in_and_comes_out_byte_for_byte() {
    let mut ca = Ca::create();
    let (_, _, repository) = repository();
    let full = ca.beside().join("full");
    take(&mut ca.source(), &full, &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    ca.issue(3);
    let logs = ca.beside().join("logs");
    take(&mut ca.source(), &logs, &TakeOptions::new(BackupType::LogsOnly), &mut Silent).unwrap();
    for (name, content) in [("identity.json", "{}"), ("Certificates/ca-0.crt", "der"), ("Config/a.b", "x")] {
        let path = full.join("Identity").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    for set in [&full, &logs] {
        assert!(matches!(import(&repository, set).unwrap(), Imported::Stored(..)));
        assert!(matches!(import(&repository, set).unwrap(), Imported::There(_)));
    }
    let points = repository.select(&Selector::Latest).unwrap();
    assert_eq!(points.len(), 2);
    for (set, point) in [&full, &logs].into_iter().zip(&points) {
        let back = ca.beside().join(format!("back-{}", point.short_id()));
        repository.export(point, &back, &mut Silent).unwrap();
        let mut compared = 0;
        let folders = ["", "DataBase", "Identity", "Identity/Certificates", "Identity/Config"];
        for folder in folders.into_iter().filter(|folder| set.join(folder).is_dir()) {
            for entry in std::fs::read_dir(set.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let other = back.join(path.strip_prefix(set).unwrap());
                    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(other).unwrap(), "{path:?}");
                    compared += 1;
                }
            }
        }
        assert!(2 < compared);
        assert!(repository.export(point, &back, &mut Silent).is_err(), "nothing is overwritten");
    }
    // A file that changed since is not stored.
    let log = std::fs::read_dir(logs.join("DataBase")).unwrap().map(|entry| entry.unwrap().path());
    let log = log.into_iter().find(|path| path.extension().is_some_and(|end| end == "log")).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let (_, _, other) = crate::common::repository();
    // Nor are logs that continue nothing.
    let loose = import(&other, &logs).unwrap_err();
    assert!(matches!(loose, certadm_repository::Error::ContinuesNothing { .. }), "{loose}");
    import(&other, &full).unwrap();
    assert!(import(&other, &logs).unwrap_err().to_string().contains("differ"));
    assert_eq!(other.points().unwrap().len(), 1);
}

#[test]
fn a_set_of_another_ca_is_refused_before_it_counts() {
    let ca = Ca::named("other");
    let (memory, _, repository) = repository();
    let logs = ca.logs();
    let error = ca.back_up(&repository, BackupType::Full).unwrap_err();
    assert!(error.to_string().contains("the CA \"other\""), "{error}");
    assert_eq!(memory.names("snapshots/").len(), 0);
    assert!(logs.iter().all(|log| ca.logs().contains(log)), "no log was deleted");
}

#[test]
fn a_list_that_comes_late_hides_no_pack() {
    let ca = Ca::create();
    let (memory, secret, _) = repository();
    let late = over(Faulty::new(memory, Fault::LateLists), &secret);
    ca.back_up(&late, BackupType::Full).unwrap();
    assert_eq!(assert_whole(&late, ca.beside()), 1);
}

/// Every file is handed over while the CA has it open, whatever the CA is called: trees are sorted by name afterwards.
#[test]
fn the_name_of_a_ca_makes_no_difference() {
    for name in ["Drill CA", "aa", "edb", "pki", "zeta"] {
        let ca = Ca::named(name);
        let (memory, secret, _) = repository();
        let repository =
            certadm_repository::CaRepository::over(std::sync::Arc::new(memory), secret, "vault", name);
        ca.back_up(&repository, BackupType::Full).unwrap();
        assert_eq!(assert_whole(&repository, ca.beside()), 1, "{name}");
    }
}

#[test]
fn a_set_that_is_not_committed_leaves_nothing_to_find() {
    let ca = Ca::create();
    let (memory, _, repository) = repository();
    drop(repository.sink(options(None)).unwrap());
    assert_eq!(repository.points().unwrap(), []);
    let before = memory.all();
    let sink = repository.sink(options(None)).unwrap();
    let mut source = ca.source();
    let kind = TakeOptions::new(BackupType::Full);
    certadm_set::take_into(&mut source, Box::new(sink), &kind, &mut Silent).unwrap();
    assert_eq!(repository.points().unwrap().len(), 1);
    let lost: Vec<_> = before.keys().filter(|name| !memory.all().contains_key(*name)).cloned().collect();
    assert!(lost.is_empty(), "nothing that was there is touched: {lost:?}");
}

/// Bytes that go no faster than they may are the same bytes.
#[test]
fn a_vault_with_limits_keeps_the_same_sets() {
    use certadm_repository::objects::Limits;
    let ca = Ca::create();
    let (memory, secret, _) = repository();
    let limits = Limits { upload: Some(100 << 20), download: Some(100 << 20) };
    let limited = over(limits.over(std::sync::Arc::new(memory)), &secret);
    ca.back_up(&limited, BackupType::Full).unwrap();
    assert_eq!(assert_whole(&limited, ca.beside()), 1);
}
