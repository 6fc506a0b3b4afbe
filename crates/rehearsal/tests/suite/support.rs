//! A CA, its sets, its key and what no set holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certadm_ca::{
    Authority, Config, Initialized, KeyType, Passphrase, Reason, RevocationOrder, Role, Serial, Terms, revoke,
};
use certadm_recovery::KeyFile;
use certadm_rehearsal::evidence::{Circumstances, Evidence, Folder as EvidenceFolder};
use certadm_rehearsal::{
    Keys, Limits, Outcome, Rehearsal, Step, StepRecord, Watch, Wishes, rehearse, request,
};
use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, FileTime};
use certadm_session::LocalSource;
use certadm_set::{Silent, TakeOptions, take};
use certadm_store::{Folder, Options, Store, now};
use tempfile::TempDir;

/// A CA with certificates in a work folder of its own.
pub(crate) struct Work {
    dir: TempDir,
    authority: Box<Authority>,
}

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::new(b"passphrase of tests".to_vec()).unwrap()
}

impl Work {
    /// With three certificates, one of them revoked, and a CRL that says so.
    pub(crate) fn new() -> Self {
        let dir = certadm_files::scratch::for_test();
        let folder = Folder::new(dir.path().join("ca"));
        let config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
        let made = Authority::init(&folder, &config, Role::Root, &passphrase(), now()).unwrap();
        let Initialized::Root(authority) = made else { panic!("a root") };
        let work = Self { dir, authority };
        fs::create_dir(work.path("scratch")).unwrap();
        fs::create_dir(work.path("identity")).unwrap();
        for name in ["ca.toml", "ca.crt", "ca.key"] {
            fs::copy(work.path("ca").join(name), work.path("identity").join(name)).unwrap();
        }
        let serials = ["one", "two", "three"].map(|host| work.issue(host));
        work.revoke_and_publish(&serials[0]);
        work
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::new(self.path("ca"))
    }

    pub(crate) fn issue(&self, host: &str) -> Serial {
        let store = Store::open(&self.folder(), Options::default()).unwrap();
        let request = request::for_host(&format!("{host}.example")).unwrap();
        let issued = self
            .authority
            .issue(&mut store.writer().unwrap(), &request, &Terms::new("tests"), now())
            .unwrap();
        store.close().unwrap();
        issued.serial
    }

    /// Revokes a certificate, and publishes the CRL that says so.
    pub(crate) fn revoke_and_publish(&self, serial: &Serial) {
        self.change(|connection| {
            let (reason, now) = (Reason::KEY_COMPROMISE, now());
            revoke(connection, &RevocationOrder { serial, reason, by: "tests", now, effective: None })
                .unwrap();
            self.authority.publish_crl_in(connection, now).unwrap();
        });
    }

    /// Puts a certificate on hold or takes it back, and publishes a CRL that says so, where it is asked for.
    pub(crate) fn hold(&self, serial: &Serial, is_on_hold: bool, publish: bool) {
        let reason = if is_on_hold { Reason::CERTIFICATE_HOLD } else { Reason::REMOVE_FROM_CRL };
        self.change(|connection| {
            let now = now();
            // Dates of CRLs have whole seconds: the next CRL must not be of the same one.
            let effective = Some(later(now, -60));
            revoke(connection, &RevocationOrder { serial, reason, by: "tests", now, effective }).unwrap();
            if publish {
                self.authority.publish_crl_in(connection, now).unwrap();
            }
        });
    }

    /// Changes the database in one commit.
    pub(crate) fn change(&self, work: impl Fn(&rusqlite::Connection)) {
        let store = Store::open(&self.folder(), Options::default()).unwrap();
        let mut writer = store.writer().unwrap();
        writer
            .commit(|transaction| {
                work(transaction);
                Ok::<_, certadm_store::Error>(())
            })
            .unwrap();
        drop(writer);
        store.close().unwrap();
    }

    /// Takes a set.
    pub(crate) fn set(&self, name: &str, kind: BackupType) -> PathBuf {
        let store = Arc::new(Store::open(&self.folder(), Options::default()).unwrap());
        let names = UncRoot::of_this_system("tests".to_owned()).unwrap();
        let mut source = LocalSource::new(Arc::clone(&store), names);
        let path = self.path(name);
        take(&mut source, &path, &TakeOptions::new(kind), &mut Silent).unwrap();
        drop(source);
        Arc::into_inner(store).unwrap().close().unwrap();
        path
    }

    pub(crate) fn full(&self, name: &str) -> PathBuf {
        self.set(name, BackupType::Full)
    }

    pub(crate) fn keys(&self) -> Keys {
        let path = self.path("identity/ca.key");
        let keys = KeyFile::open(&path, &passphrase()).unwrap().keys;
        Keys::Given(keys.into_iter().map(|key| (path.clone(), key)).collect())
    }

    /// A rehearsal that has everything.
    pub(crate) fn wishes(&self, sets: &[&PathBuf]) -> Wishes {
        Wishes {
            keys: self.keys(),
            identity: Some(self.path("identity")),
            within: self.path("scratch"),
            ..Wishes::new(sets.iter().map(|path| (*path).clone()).collect(), now())
        }
    }

    /// Rehearses; the scratch folder must be gone afterwards.
    pub(crate) fn rehearse(&self, wishes: &Wishes) -> Rehearsal {
        let shown = run(wishes);
        assert_eq!(fs::read_dir(self.path("scratch")).unwrap().count(), 0, "nothing is left");
        shown
    }
}

/// Hears of steps, and says nothing.
pub(crate) struct Quiet;

impl Watch for Quiet {
    fn begins(&mut self, _: Step) {}
    fn ended(&mut self, _: &StepRecord) {}
}

pub(crate) fn run(wishes: &Wishes) -> Rehearsal {
    rehearse(wishes, &mut Silent, &mut Quiet).unwrap()
}

/// How a step ended, and what it said.
pub(crate) fn step(shown: &Rehearsal, step: Step) -> (Outcome, &str) {
    let record = shown.steps.iter().find(|record| record.step == step).unwrap();
    (record.outcome, &record.detail)
}

/// The steps that failed.
pub(crate) fn failed(shown: &Rehearsal) -> Vec<Step> {
    let failed = shown.steps.iter().filter(|record| record.outcome == Outcome::Fail);
    failed.map(|record| record.step).collect()
}

pub(crate) fn later(moment: FileTime, seconds: i64) -> FileTime {
    FileTime::from_unix_seconds(moment.unix_seconds() + seconds)
}

pub(crate) fn circumstances() -> Circumstances {
    let limits = Limits { rpo: Some(Duration::from_secs(86_400)), ..Limits::default() };
    Circumstances { tool: "certadm 0".into(), host: "tests".into(), account: "tester".into(), limits }
}

/// Adds the evidence of a rehearsal to a folder. Returns the file.
pub(crate) fn add(dir: &Path, shown: &Rehearsal) -> PathBuf {
    let folder = EvidenceFolder::at(dir);
    let kept = folder.add(|before| Evidence::of(shown, &circumstances(), before)).unwrap();
    dir.join(kept.file)
}
