//! One case of the fault suite: a prepared CA, a driver run on a copy of it with one fault, and the proof that nothing
//! acknowledged was lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use certadm_rules::{BackupKind, BackupType, Diagnosis, Hresult};
use certadm_store::{Adopted, Folder, Options, Store, Writer};
use tempfile::TempDir;

use crate::fault::{self, Kind};
use crate::inspect;
use crate::issue::{Serials, issue};
use crate::ledger::{Entries, Ledger};
use crate::plain_set;
use crate::proven::proven;

/// Small logs, so that few commits fill several.
pub const OPTIONS: Options = Options { log_size: 64 * 1024, circular_logging: false, backup_rate: 0 };

/// A CA from which every case of a scenario starts.
#[derive(Debug)]
pub struct Template {
    dir: TempDir,
}

impl Template {
    /// A CA with a full backup in `base`, its logs truncated, and a few commits since.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn running() -> Self {
        let dir = crate::scratch();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, "ca", OPTIONS).expect("a CA can be created");
        let mut ledger = Ledger::open(&dir.path().join("ledger"));
        let mut serials = Serials::new();
        issue_some(&store, 2, &mut serials, &mut ledger);
        let mut backup = store.begin_backup(BackupType::Full).expect("a backup begins");
        plain_set::take(&mut backup, true, &dir.path().join("base"), Duration::ZERO)
            .expect("the base is taken");
        backup.truncate().expect("the logs are truncated");
        backup.end(Some(BackupKind::Full)).expect("the mark is written");
        issue_some(&store, 1, &mut serials, &mut ledger);
        store.close().expect("the store closes");
        Self { dir }
    }

    /// A folder into which a set was restored and registered. Above the registered range lie a log that continues it,
    /// a damaged one and one more: the first is rolled forward, the others are set aside.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn restored() -> Self {
        let dir = crate::scratch();
        let path = |name: &str| dir.path().join(name);
        let folder = Folder::new(path("lost"));
        let store = Store::create(&folder, "ca", OPTIONS).expect("a CA can be created");
        let mut ledger = Ledger::open(&path("ledger-of-all"));
        let mut serials = Serials::new();
        issue_some(&store, 2, &mut serials, &mut ledger);
        let mut backup = store.begin_backup(BackupType::Full).expect("a backup begins");
        let range =
            plain_set::take(&mut backup, true, &path("base"), Duration::ZERO).expect("the base is taken");
        drop(backup);
        issue_some(&store, 1, &mut serials, &mut ledger);
        store.roll().expect("the log rolls");
        fs::copy(path("ledger-of-all"), path("ledger")).expect("the ledger can be copied");
        let mut above = Vec::new();
        for _ in 0..2 {
            above.push(store.current_generation());
            issue_some(&store, 1, &mut serials, &mut ledger);
            store.roll().expect("the log rolls");
        }
        drop(store);
        let image = path("base").join(plain_set::IMAGE);
        let restored = plain_set::restore(&image, &[path("base"), folder.log_dir()], &path("ca"));
        plain_set::register(&restored, range);
        let damaged = restored.log_path(above[0]);
        let mut bytes = fs::read(&damaged).expect("a log can be read");
        *bytes.last_mut().expect("and is not empty") ^= 1;
        fs::write(&damaged, bytes).expect("and damaged");
        fs::remove_dir_all(path("base")).expect("the base of a restored CA is no base of its");
        Self { dir }
    }

    /// Copies the CA into `dir`: `ca`, `ledger`, and `sets` with the base backup in `0-full`.
    ///
    /// # Panics
    /// When something cannot be copied.
    pub fn place(&self, dir: &Path) {
        let from = |name: &str| self.dir.path().join(name);
        plain_set::copy_folder(&from("ca"), &dir.join("ca"));
        fs::create_dir(dir.join("sets")).expect("a folder for sets can be created");
        if from("base").is_dir() {
            plain_set::copy_folder(&from("base"), &dir.join("sets").join("0-full"));
        }
        fs::copy(from("ledger"), dir.join("ledger")).expect("the ledger can be copied");
        let record = dir.join("ca").join("restore.json");
        if record.exists() {
            // The record names the database by its absolute path, which is another in every case.
            let range =
                certadm_store::record::read(&Folder::new(from("ca"))).expect("the record can be read");
            let range = range.expect("it is there").range;
            plain_set::register(&Folder::new(dir.join("ca")), range);
        }
    }
}

fn issue_some(store: &Store, count: usize, serials: &mut Serials, ledger: &mut Ledger) {
    let mut writer = store.writer().expect("a writer opens");
    for serial in serials.take(count) {
        issue(&mut writer, serial, ledger).expect("a certificate is issued");
    }
}

/// Runs `driver` with the arguments `scenario CA LEDGER SETS` once for every place a fault of `kind` can strike, and
/// checks the state it leaves. A kill strikes before each operation, and after the last. Returns how many cases there were.
///
/// # Panics
/// When a case fails, with its number and the operation that was hit.
pub fn every_fault(driver: &str, scenario: &str, template: &Template, kind: Kind) -> u64 {
    let one = |kind, at| one_fault(driver, scenario, template, kind, at, crate::scratch().path());
    let cases = cases_of(kind, one);
    println!("{scenario}, {kind:?}: {cases} cases");
    cases
}

/// Has `one` make a fault of `kind` at the first place, the second, and so on, until it finds no such place. For a kill it then asks for one
/// after the last operation. Returns how many faults there were.
///
/// # Panics
/// When `one` does.
pub fn cases_of(kind: Kind, one: impl Fn(Kind, u64) -> bool) -> u64 {
    let mut cases = (1..).take_while(|at| one(kind, *at)).count() as u64;
    if kind == Kind::Kill {
        // Threads may share the work in another way from run to run.
        let last = (1..=cases).rev().find(|at| one(Kind::KillAfter, *at));
        assert!(last.is_some(), "a process dies before an operation and never after one");
        cases += 1;
    }
    proven("fault points", cases);
    cases
}

/// One case; false when the program made fewer operations than `at`.
///
/// # Panics
/// As [`every_fault`].
pub fn one_fault(driver: &str, scenario: &str, template: &Template, kind: Kind, at: u64, dir: &Path) -> bool {
    template.place(dir);
    let mut command = Command::new(driver);
    command.arg(scenario).args(["ca", "ledger", "sets"].map(|name| dir.join(name)));
    let run = fault::run(command, &dir.join("ca"), kind, at, dir);
    let Some(fired) = run.fired else {
        assert!(run.status.success(), "{scenario} fails without a fault: {}", run.errors);
        return false;
    };
    let context = format!("{scenario}, {kind:?} at {at} ({})", fired.trim());
    let context = format!("{context}\nthe driver ended with {} and said:\n{}", run.status, run.errors);
    if kind.is_survived() {
        let code = run.status.code().unwrap_or_else(|| panic!("{context}\nit should have lived on"));
        assert!(code == 0 || code == 2 || (code == 3 && !kind.is_single()), "{context}\ncode {code}");
        if kind == Kind::Short {
            assert_eq!((code, run.errors.as_str()), (0, ""), "{context}\na short write is no error");
        }
    }
    let proof = std::panic::AssertUnwindSafe(|| prove(dir, kind));
    if let Err(panic) = std::panic::catch_unwind(proof) {
        eprintln!("FAILED: {context}");
        std::panic::resume_unwind(panic);
    }
    true
}

/// The state after a fault: opens the CA as its next owner would and proves it whole; then loses it and proves that
/// base, sets and remaining logs bring the same back.
fn prove(dir: &Path, kind: Kind) {
    let ca = dir.join("ca");
    let folder = Folder::new(&ca);
    let ledger_path = dir.join("ledger");
    let mut ledger = Ledger::open(&ledger_path);
    if folder.restore_record_path().exists() {
        let record = certadm_store::record::read(&folder).expect("the record is the old one or the new one");
        if record.is_some_and(|record| !record.database_recovered) {
            let code =
                Writer::open(&folder).map(|_| ()).expect_err("nobody writes before recovery").hresult();
            assert_eq!(code, Hresult::RESTORE_IN_PROGRESS, "the interlock's code");
        }
    }
    let store = Store::open(&folder, OPTIONS).unwrap_or_else(|error| {
        panic!("the store does not open: {error}: {:?}", std::error::Error::source(&error))
    });
    assert!(!folder.restore_record_path().exists(), "the registration is used up");
    // A checkpoint block that is half old and half new cannot be told from a foreign checkpoint in every case.
    assert!(
        kind == Kind::Torn || store.opened().adopted == Adopted::Intact,
        "the chain of logs is taken for broken: {:?}",
        store.opened()
    );
    let before = inspect::rows(&ca);
    inspect::compare(&before, &Entries::read(&ledger_path), "after the restart");

    let mut serials = Serials::new();
    issue_some(&store, 2, &mut serials, &mut ledger);
    let sets = dir.join("sets");
    let chain_is_whole = store.opened().adopted == Adopted::Intact && sets.join("0-full").is_dir();
    if !chain_is_whole {
        let mut backup = store.begin_backup(BackupType::Full).expect("a backup begins");
        plain_set::take(&mut backup, true, &sets.join("9-full"), Duration::ZERO)
            .expect("a new base is taken");
        drop(backup);
        issue_some(&store, 1, &mut serials, &mut ledger);
    }
    store.close().expect("the store closes");
    let entries = Entries::read(&ledger_path);
    let rows = inspect::rows(&ca);
    inspect::compare(&rows, &entries, "after issuing on");

    restore_and_compare(&sets, &folder, &dir.join("back"), &rows);
}

/// Restores the newest committed full set, all committed sets since and the CA's remaining logs into `back`, and
/// compares the result with `rows`. Invariant 4: a log that is gone from the CA is in a committed set.
///
/// # Panics
/// When anything is missing or different.
pub fn restore_and_compare(sets: &Path, folder: &Folder, back: &Path, rows: &inspect::Rows) {
    let mut committed: Vec<PathBuf> = fs::read_dir(sets)
        .expect("the sets can be listed")
        .map(|entry| entry.expect("and read").path())
        .filter(|set| plain_set::committed(set).is_some())
        .collect();
    committed.sort_by_key(|set| plain_set::committed(set).map(|range| (range.high(), range.low())));
    let newest_full = committed
        .iter()
        .rposition(|set| set.join(plain_set::IMAGE).exists())
        .expect("there is a committed full set");
    let image = committed[newest_full].join(plain_set::IMAGE);
    let mut log_folders = committed.split_off(newest_full);
    log_folders.push(folder.log_dir());
    let restored = plain_set::restore(&image, &log_folders, back);
    let store = Store::open(&restored, OPTIONS)
        .unwrap_or_else(|error| panic!("the restored CA does not open: {error} {}", error.hresult()));
    let found = inspect::rows(back);
    inspect::contains(&found, rows, "after the restore");
    assert_eq!(found.len(), rows.len(), "the restored CA has rows that the lost one had not");
    let mut writer = store.writer().expect("a writer opens");
    let serial = Serials::new().next().expect("serials do not end");
    let mut ledger = Ledger::open(&back.join("ledger"));
    let request = issue(&mut writer, serial, &mut ledger).expect("the restored CA issues");
    drop(writer);
    assert!(rows.values().all(|used| *used < request), "request number {request} was used before the loss");
    store.close().expect("the restored store closes");
}
