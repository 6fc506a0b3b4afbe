//! A CA that says it deleted its logs, and did not: the backup tells which logs are still there. One that delivers another image than it
//! has summed: there is no set. One that packs its logs while sets are taken.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupKind, BackupType, Diagnosis, Hresult, PlainList};
use certadm_session::{CallError, CallResult, LocalSource, Source};
use certadm_set::verify::verify;
use certadm_set::{Silent, TakeOptions, take};
use certadm_store::log_file::LogFile;
use certadm_tests::altered::{Altered, Through};

use crate::common::{Ca, log, scratch};

/// A real CA, but for one call: it answers `TruncateLogs` with success and keeps its logs. It has two dynamic files.
struct Keeping {
    ca: LocalSource,
    dynamic: Vec<String>,
}

impl Altered for Keeping {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.ca
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        Ok(())
    }
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        Ok(PlainList::new(self.dynamic.clone()).unwrap())
    }
}

#[test]
fn logs_that_are_still_there_are_named() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    ca.roll();
    for name in ["ca.crl", "ca+.crl"] {
        fs::write(ca.folder.crl_dir().join(name), "a CRL").unwrap();
    }
    let names = UncRoot::new("host".to_owned()).unwrap();
    let dynamic = vec![r"\\host\crl\ca.crl".to_owned(), r"\\host\crl\ca+.crl".to_owned()];
    let mut source = Through(Keeping { ca: LocalSource::new(Arc::clone(&ca.store), names), dynamic });
    let ca_folder = Some(ca.folder.clone());
    let options = TakeOptions { truncate: true, ca_folder, ..TakeOptions::new(BackupType::Full) };
    // The folder above the set is made, too.
    let set = dir.path().join("sets/of today/full");
    let taken = take(&mut source, &set, &options, &mut Silent).unwrap();

    assert_eq!((taken.asked_again, taken.truncated.len(), taken.truncated_below), (true, 0, None));
    let logs = &taken.manifest.generations;
    let there: Vec<u32> = taken.still_there.iter().map(|generation| generation.number()).collect();
    assert_eq!(there, (logs.low..=logs.high).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(set.join("DynamicFiles")).unwrap().count(), 2);
}

/// As a Windows CA may be: a log that is asked for and gone cancels the backup, and without the end there is no mark (certbcli.md 6.4,
/// 6.9).
struct Cancelling {
    ca: LocalSource,
    is_ours: bool,
    truncated: bool,
    asked: usize,
}

impl Altered for Cancelling {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.ca
    }
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        if self.truncated {
            self.asked += 1;
            self.ca.abort().ok();
            return Err(CallError::new("BackupOpenFile", Hresult::FILE_NOT_FOUND));
        }
        self.ca.open_file(name, read_hint)
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        self.truncated = true;
        self.ca.truncate_logs()
    }
    fn may_ask_again(&self) -> bool {
        self.is_ours
    }
}

#[test]
fn a_ca_that_may_be_windows_is_asked_for_nothing_between_truncation_and_end() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    ca.roll();
    let take_from = |name: &str, is_ours| {
        let names = UncRoot::new("host".to_owned()).unwrap();
        let source = LocalSource::new(Arc::clone(&ca.store), names);
        let mut source = Through(Cancelling { ca: source, is_ours, truncated: false, asked: 0 });
        let set = dir.path().join(name);
        let taken = take(&mut source, &set, &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
        (taken, source.0.asked)
    };
    let (taken, asked) = take_from("full", false);
    assert_eq!((asked, taken.asked_again, taken.is_base), (0, false, true), "{:?}", taken.end_error);
    assert!(taken.end_error.is_none() && ca.store.marks().unwrap().full.is_some());
    // The report has what the CA says.
    let logs = &taken.manifest.generations;
    let said: Vec<u32> = taken.truncated.iter().map(|(generation, _)| generation.number()).collect();
    assert_eq!(said, (logs.low..=logs.high).collect::<Vec<_>>());
    assert_eq!(taken.truncated_below.map(|generation| generation.number()), Some(logs.low));
    assert!(taken.truncated.iter().all(|(_, bytes)| *bytes > 0) && taken.still_there.is_empty());
    // One of ours that does not answer is believed, too, and the failure is told.
    let (taken, asked) = take_from("ours", true);
    assert_eq!((asked, taken.asked_again, taken.truncated.is_empty()), (1, false, false));
    assert!(taken.end_error.is_some());
}

/// A real CA, but for one call: it refuses `TruncateLogs`.
struct Refusing(LocalSource);

impl Altered for Refusing {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.0
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        Err(CallError::new("BackupTruncateLogs", Hresult::E_ACCESSDENIED))
    }
}

#[test]
fn a_backup_whose_truncation_is_refused_counts_as_the_ca_counts_it() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    let names = UncRoot::new("host".to_owned()).unwrap();
    let mut source = Through(Refusing(LocalSource::new(Arc::clone(&ca.store), names)));
    let set = dir.path().join("full");
    let taken = take(&mut source, &set, &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    assert_eq!((taken.kind, taken.is_base), (BackupKind::Copy, false));
    assert_eq!(taken.truncation_refused, Some(Hresult::E_ACCESSDENIED));
    assert!(taken.end_error.is_some() && verify(std::slice::from_ref(&set), &mut Silent).is_good());
    let marks = ca.store.marks().unwrap();
    assert!(marks.full.is_none() && marks.copy.is_some(), "{marks:?}");
}

/// A CRL is worth no backup, and neither is what somebody has put in the place of one. The folder belongs to the account of the
/// service, and who takes the backup may be root.
#[cfg(unix)]
#[test]
fn nothing_but_files_of_the_published_folder_itself_is_taken() {
    use std::os::unix::fs::{lchown, symlink};
    let given_away = |link: &Path| lchown(link, Some(65_534), None).is_ok();
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    let (crls, elsewhere) = (ca.folder.crl_dir(), dir.path().join("elsewhere"));
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("good.crl"), "SECRET").unwrap();
    fs::write(crls.join("good.crl"), "a CRL").unwrap();
    fs::write(crls.join("notes.txt"), "no CRL").unwrap();
    fs::create_dir(crls.join("folder.crl")).unwrap();
    symlink(elsewhere.join("good.crl"), crls.join("planted.crl")).unwrap();
    // Only root can make links of others; its own are followed.
    if !given_away(&crls.join("planted.crl")) {
        return;
    }
    let strange = ["absent.crl", "folder.crl", "notes.txt", "planted.crl"];
    let names = ["good.crl"].iter().chain(&strange);
    let dynamic: Vec<String> = names.map(|name| format!(r"\\host\crl\{name}")).collect();
    let take_into = |set: &str| {
        let names = UncRoot::new("host".to_owned()).unwrap();
        let ca_source = LocalSource::new(Arc::clone(&ca.store), names);
        let mut source = Through(Keeping { ca: ca_source, dynamic: dynamic.clone() });
        let ca_folder = Some(ca.folder.clone());
        let options = TakeOptions { ca_folder, ..TakeOptions::new(BackupType::Full) };
        take(&mut source, &dir.path().join(set), &options, &mut Silent).unwrap().manifest
    };
    let manifest = take_into("full");
    let taken: Vec<_> = manifest.files.iter().filter(|file| file.path.starts_with("DynamicFiles")).collect();
    assert_eq!((taken.len(), taken[0].path.as_str()), (1, "DynamicFiles/good.crl"));
    for name in strange {
        assert!(manifest.not_included.iter().any(|missing| missing.contains(name)), "{name}");
    }
    // The whole folder may be a link, too.
    fs::rename(&crls, dir.path().join("aside")).unwrap();
    symlink(&elsewhere, &crls).unwrap();
    assert!(given_away(&crls));
    let manifest = take_into("through-a-link");
    assert!(manifest.files.iter().all(|file| !file.path.starts_with("DynamicFiles")), "{:?}", manifest.files);
}

/// A real CA, but for one byte of its image, which changes on the way.
struct Changing {
    ca: LocalSource,
    is_first: bool,
}

impl Altered for Changing {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.ca
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        let len = self.ca.read(buffer)?;
        if std::mem::take(&mut self.is_first) {
            // Of the database's header, and of no use to SQLite.
            buffer[80] ^= 1;
        }
        Ok(len)
    }
}

#[test]
fn an_image_that_changed_on_its_way_becomes_no_set() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    let logs = ca.folder.archived_logs().unwrap();
    let names = UncRoot::new("host".to_owned()).unwrap();
    let mut source = Through(Changing { ca: LocalSource::new(Arc::clone(&ca.store), names), is_first: true });
    let set = dir.path().join("full");
    let error = take(&mut source, &set, &TakeOptions::new(BackupType::Full), &mut Silent).unwrap_err();
    assert_eq!(error.hresult(), Hresult::READ_VERIFY_FAILURE);
    assert!(!set.exists());
    assert_eq!(ca.folder.archived_logs().unwrap()[..logs.len()], logs);
}

/// Two sets that overlap: one took a log before it was packed, the other after that.
#[test]
fn copies_of_one_log_in_two_forms_go_together() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    let names = UncRoot::new("host".to_owned()).unwrap();
    let mut source = LocalSource::new(Arc::clone(&ca.store), names);
    take(&mut source, &dir.path().join("full"), &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    for _ in 0..20 {
        ca.insert();
    }
    let sets = ["plain", "packed"].map(|name| dir.path().join(name));
    let [plain, packed] = sets.clone().map(|set| {
        ca.store.wait_until_packed();
        ca.insert();
        let taken = take(&mut source, &set, &TakeOptions::new(BackupType::LogsOnly), &mut Silent).unwrap();
        (set, taken.manifest.generations.high)
    });
    let form = |set: &Path| *LogFile::open(log(set, plain.1)).unwrap().header();
    assert!(!form(&plain.0).is_packed() && form(&packed.0).is_packed(), "it is packed between the two");
    let report = verify(&sets, &mut Silent);
    assert!(report.is_good(), "{:?}", report.findings);
}
