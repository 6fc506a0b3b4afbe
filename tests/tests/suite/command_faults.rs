//! `certadm backup` and `certadm restore` with every file operation failing once: a set is whole and signed or absent,
//! nothing is truncated without one, nothing is overwritten, and a restore is done, completes, or can be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use certadm_rules::{Diagnosis, Hresult};
use certadm_set::Silent;
use certadm_set::signing::{AllowedSigners, Standing};
use certadm_set::verify::verify_signed;
use certadm_store::{Adopted, Folder, Store};
use certadm_tests::case::{OPTIONS, Template, cases_of};
use certadm_tests::command::{binary, outcome};
use certadm_tests::fault::{self, Kind, Run};
use certadm_tests::issue::{Serials, issue};
use certadm_tests::ledger::{Entries, Ledger};
use certadm_tests::{inspect, plain_set, signers};

fn certadm() -> Command {
    Command::new(binary(env!("CARGO_BIN_EXE_store_driver")))
}

/// Makes one `command` in each new folder fail at every place, and lets `prove` look at what it left.
fn every_fault(
    name: &str,
    kind: Kind,
    prepare: impl Fn(&Path),
    command: impl Fn(&Path) -> Command,
    prove: impl Fn(&Path, &Run),
) {
    let cases = cases_of(kind, |kind, at| {
        let scratch = certadm_tests::scratch();
        let work = scratch.path().join("work");
        let dir = scratch.path().join("case");
        fs::create_dir(&work).unwrap();
        fs::create_dir(&dir).unwrap();
        prepare(&dir);
        let run = fault::run(command(&dir), &dir, kind, at, &work);
        let Some(fired) = run.fired.clone() else {
            assert!(run.status.success(), "{name} fails without a fault: {}", run.errors);
            return false;
        };
        let context = format!("{name}, {kind:?} at {at} ({})\n{}\n{}", fired.trim(), run.status, run.errors);
        assert!(
            !kind.is_survived() || run.status.code().is_some_and(|code| code != 101),
            "{context}\nit panicked"
        );
        if kind == Kind::Short {
            assert!(run.status.success(), "{context}\na short write is no error");
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| prove(&dir, &run))) {
            eprintln!("FAILED: {context}");
            resume_unwind(panic);
        }
        true
    });
    assert!(cases > 3, "{name} makes too few operations to be true");
    println!("{name}, {kind:?}: {cases} cases");
}

fn backup_logs_to(dir: &Path) -> Command {
    let mut command = certadm();
    command.args(["backup", "--quiet", "--no-identity", "--type", "logs", "--truncate", "--dir"]);
    command.arg(dir.join("ca"));
    command.arg("--to").arg(dir.join("sets/1-logs")).arg("--sign-key").arg(dir.join("key"));
    command
}

/// Of the database alone: the folder of these tests holds nothing else of a CA.
fn backup_to(dir: &Path) -> Command {
    let mut command = backup_whole_to(dir);
    command.arg("--no-identity");
    command
}

/// With the identity part: configuration, certificate and key.
fn backup_whole_to(dir: &Path) -> Command {
    let mut command = certadm();
    command.args(["backup", "--quiet", "--dir"]).arg(dir.join("ca")).arg("--to").arg(dir.join("sets/1-full"));
    command.arg("--sign-key").arg(dir.join("key"));
    command
}

/// The state after `certadm backup` of the set `name` failed in some way.
fn prove_backup(dir: &Path, run: &Run, kind: Kind, base: &Path, name: &str) {
    let set = dir.join("sets").join(name);
    let logs = set.join("DataBase");
    assert!(set.exists() || !run.status.success(), "the command reported a set and there is none");
    if set.exists() {
        prove_signed(&set);
    }
    let unfinished = fs::read_dir(dir.join("sets"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("unfinished"))
        .count();
    assert!(unfinished == 0 || !kind.is_survived() || !kind.is_single(), "an unfinished set was left behind");
    for name in [plain_set::IMAGE, "COMMITTED"] {
        let of = |set: &Path| fs::read(set.join(name)).unwrap();
        assert!(of(&dir.join("sets/0-full")) == of(base), "another set was changed");
    }

    let folder = Folder::new(dir.join("ca"));
    let store = Store::open(&folder, OPTIONS).expect("the CA opens");
    assert!(kind == Kind::Torn || store.opened().adopted == Adopted::Intact, "the chain goes on");
    let intact = store.opened().adopted == Adopted::Intact;
    let ledger_path = dir.join("ledger");
    inspect::compare(&inspect::rows(folder.path()), &Entries::read(&ledger_path), "after the backup");
    let serial = Serials::new().next().unwrap();
    issue(&mut store.writer().unwrap(), serial, &mut Ledger::open(&ledger_path)).unwrap();
    store.close().unwrap();
    let rows = inspect::rows(folder.path());
    if intact {
        // Invariant 4: a log is gone only if a committed set makes it redundant. Without the new set the old base and
        // the logs on the CA have no gap between them; with it, it is the base.
        let base = dir.join("sets/0-full");
        let image_of_set = logs.join("ca.db");
        let (image, mut folders) = match image_of_set.exists() {
            true => (image_of_set, Vec::new()),
            false => (base.join(plain_set::IMAGE), vec![base]),
        };
        folders.extend(logs.is_dir().then_some(logs));
        folders.push(folder.log_dir());
        let back = dir.join("back");
        let restored = plain_set::restore(&image, &folders, &back);
        Store::open(&restored, OPTIONS).expect("the restored CA opens").close().unwrap();
        inspect::contains(&inspect::rows(&back), &rows, "after the restore");
    }
}

/// A set that is there is whole, signed, and its identity part too, as `certadm verify --allowed-signers` says it.
fn prove_signed(set: &Path) {
    let allowed = AllowedSigners::parse(format!("tests {}\n", signers::PUBLIC).as_bytes()).unwrap();
    let report = verify_signed(&[set.to_owned()], &allowed, &mut Silent);
    assert!(report.is_good(), "the set is there and not whole: {report:?}");
    let standings: Vec<_> = report.signatures.iter().map(|signature| &signature.standing).collect();
    assert!(matches!(standings[..], [Some(Standing::By(_))]), "the set is there and not signed: {report:?}");
    for part in certadm_identity::found_at(set) {
        let problems = certadm_identity::Part::open(&part).unwrap().check();
        assert!(problems.is_empty(), "the set is there and its identity part is not whole: {problems:?}");
    }
}

/// A CA, a key that signs its sets, and the list that says so.
fn place_with_key(template: &Template, dir: &Path) {
    template.place(dir);
    place_key(dir);
}

fn place_key(dir: &Path) {
    signers::write_key(&dir.join("key"), signers::KEY);
}

fn faults_of_full_backup(kind: Kind) {
    faults_of_backup(kind, "1-full", backup_to);
}

fn faults_of_logs_backup(kind: Kind) {
    faults_of_backup(kind, "1-logs", backup_logs_to);
}

/// The identity part is written into a set that stands: whatever fails then, the set stays whole and signed.
fn faults_of_whole_backup(kind: Kind) {
    let scratch = certadm_tests::scratch();
    let made = scratch.path().join("made");
    let passphrase = scratch.path().join("passphrase");
    fs::write(&passphrase, "one of the tests").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let mut init = certadm();
    init.args(["ca", "init", "--name", "Fault CA", "--dir"]).arg(&made);
    init.arg("--passphrase-file").arg(&passphrase);
    let (code, text) = outcome(init);
    assert_eq!(code, 0, "{text}");
    let prepare = |dir: &Path| {
        plain_set::copy_folder(&made, &dir.join("ca"));
        place_key(dir);
    };
    let prove = |dir: &Path, run: &Run| {
        let set = dir.join("sets/1-full");
        assert!(
            set.join("Identity").exists() || !run.status.success(),
            "the command reported a whole backup"
        );
        if set.exists() {
            prove_signed(&set);
        }
        // The CA goes on, and the next backup is whole.
        let mut again = certadm();
        again
            .args(["backup", "--quiet", "--dir"])
            .arg(dir.join("ca"))
            .arg("--to")
            .arg(dir.join("sets/2-full"));
        let (code, text) = outcome(again);
        assert_eq!(code, 0, "{text}");
        assert!(dir.join("sets/2-full/Identity").exists());
    };
    every_fault("certadm backup with the identity part", kind, prepare, backup_whole_to, prove);
}

fn faults_of_backup(kind: Kind, name: &str, command: impl Fn(&Path) -> Command) {
    let template = Template::running();
    let base = certadm_tests::scratch();
    template.place(base.path());
    let prove = |dir: &Path, run: &Run| prove_backup(dir, run, kind, &base.path().join("sets/0-full"), name);
    let name = format!("certadm backup of {name}");
    every_fault(&name, kind, |dir| place_with_key(&template, dir), command, prove);
}

fn restore_to(dir: &Path) -> Command {
    let mut command = certadm();
    command.args(["restore", "--quiet", "--from"]).arg(dir.join("set")).arg("--dir").arg(dir.join("new"));
    command
}

fn restore_over(dir: &Path) -> Command {
    let mut command = restore_to(dir);
    command.arg("--force");
    command
}

/// The state after `certadm restore` failed in some way.
fn prove_restore(dir: &Path, run: &Run, set: &Path) {
    let new = dir.join("new");
    let folder = Folder::new(&new);
    let acknowledged = Entries::read(&dir.join("ledger"));
    let opened = Store::open(&folder, OPTIONS);
    let done = match opened {
        Ok(store) => {
            store.close().unwrap();
            true
        }
        Err(error) => {
            assert!(!run.status.success(), "the command reported success and the CA does not open: {error}");
            let expected = [
                Hresult::ERROR_SERVICE_DOES_NOT_EXIST, // no CA's folder yet
                Hresult::FILE_NOT_FOUND,               // no database yet
                Hresult::RESTORE_IN_PROGRESS,          // registered and not complete
            ];
            assert!(expected.contains(&error.hresult()), "{error}: {}", error.hresult());
            false
        }
    };
    if !done {
        let mut again = restore_to(dir);
        again.arg("--force");
        let (code, text) = outcome(again);
        assert_eq!(code, 0, "the restore cannot be repeated: {text}");
    }
    inspect::compare(&inspect::rows(&new), &acknowledged, "after the restore");
    let store = Store::open(&folder, OPTIONS).expect("the restored CA opens again");
    let serial = Serials::new().next().unwrap();
    let request = issue(&mut store.writer().unwrap(), serial, &mut Ledger::open(&dir.join("after"))).unwrap();
    assert!(acknowledged.acknowledged.values().all(|used| *used < request));
    store.close().unwrap();
    for file in ["manifest.json", "DataBase/ca.db"] {
        assert!(
            fs::read(set.join(file)).unwrap() == fs::read(dir.join("set").join(file)).unwrap(),
            "{file} of the set"
        );
    }
}

fn faults_of_restore(kind: Kind) {
    faults_of_restoring(kind, None, restore_to);
}

/// Over another CA's database: that one is moved aside and stays what it was.
fn faults_of_restore_over(kind: Kind) {
    faults_of_restoring(kind, Some(&Template::running()), restore_over);
}

fn faults_of_restoring(kind: Kind, before: Option<&Template>, command: impl Fn(&Path) -> Command) {
    let scratch = certadm_tests::scratch();
    let source: PathBuf = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    place_with_key(&Template::running(), &source);
    let (code, text) = outcome(backup_to(&source));
    assert_eq!(code, 0, "{text}");
    let set = source.join("sets/1-full");
    let old = scratch.path().join("old");
    if let Some(before) = before {
        fs::create_dir(&old).unwrap();
        before.place(&old);
    }
    let prepare = |dir: &Path| {
        plain_set::copy_folder(&set, &dir.join("set"));
        fs::copy(source.join("ledger"), dir.join("ledger")).unwrap();
        if before.is_some() {
            plain_set::copy_folder(&old.join("ca"), &dir.join("new"));
        }
    };
    let prove = |dir: &Path, run: &Run| {
        if before.is_some() {
            let old_database = fs::read(inspect::database_of(&old.join("ca"))).unwrap();
            assert!(holds(&dir.join("new"), &old_database), "the database that was there is gone");
            // What opens may be the old CA, still in its place; the restore is then repeated all the same.
            let (code, text) = outcome(restore_over(dir));
            assert_eq!(code, 0, "the restore cannot be repeated: {text}");
            assert!(holds(&dir.join("new"), &old_database), "the database that was there is gone");
        }
        prove_restore(dir, run, &set);
    };
    every_fault("certadm restore", kind, prepare, command, prove);
}

/// A folder with two chains, the older of which goes: `1-full`, `2-logs`; `3-full`, `4-logs`.
fn two_chains(dir: &Path) {
    let made = dir.join("made");
    fs::create_dir(&made).unwrap();
    Template::running().place(&made);
    let folder = Folder::new(made.join("ca"));
    for set in ["1-full", "2-logs", "3-full", "4-logs"] {
        let store = Store::open(&folder, OPTIONS).expect("the CA opens");
        let serial = Serials::new().next().unwrap();
        issue(&mut store.writer().unwrap(), serial, &mut Ledger::open(&made.join("ledger"))).unwrap();
        store.close().unwrap();
        let mut backup = certadm();
        backup.args(["backup", "--quiet", "--no-identity", "--dir"]).arg(made.join("ca"));
        backup.arg("--to").arg(dir.join("sets").join(set));
        if set.ends_with("logs") {
            backup.args(["--type", "logs", "--truncate"]);
        }
        let (code, text) = outcome(backup);
        assert_eq!(code, 0, "{text}");
    }
    fs::remove_dir_all(made).unwrap();
}

fn prune(dir: &Path) -> Command {
    let mut command = certadm();
    command.args(["prune", "--quiet", "--keep-last", "2"]).arg(dir.join("sets"));
    command
}

/// What is kept is untouched, what goes is whole or gone, no log set is without its base, and the next prune ends the work.
fn faults_of_prune(kind: Kind) {
    let scratch = certadm_tests::scratch();
    two_chains(scratch.path());
    let made = scratch.path().join("sets");
    for chain in [["1-full", "2-logs"], ["3-full", "4-logs"]] {
        let chain = chain.map(|set| made.join(set));
        assert!(certadm_set::verify::verify(&chain, &mut certadm_set::Silent).is_restorable());
    }
    let prepare = |dir: &Path| plain_set::copy_folder(&made, &dir.join("sets"));
    let prove = |dir: &Path, run: &Run| {
        let sets = dir.join("sets");
        let is_untouched = |set: &str| files(&sets.join(set)) == files(&made.join(set));
        let is_there = |set: &str| sets.join(set).exists();
        let assert_kept =
            || assert!(is_untouched("3-full") && is_untouched("4-logs"), "a kept set is changed");
        assert_kept();
        for set in ["1-full", "2-logs"] {
            assert!(!is_there(set) || is_untouched(set), "{set} is half there");
        }
        assert!(is_there("1-full") || !is_there("2-logs"), "a log set is without its base");
        assert!(!run.status.success() || !is_there("1-full"), "the command reported that the set is gone");
        let (code, text) = outcome(prune(dir));
        assert_eq!(code, 0, "the next prune does not end the work: {text}");
        let left = fs::read_dir(&sets).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["3-full", "4-logs"], "something is left behind");
        assert_kept();
    };
    every_fault("certadm prune", kind, prepare, prune, prove);
}

/// The files below a folder, with their bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for path in fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        let name = PathBuf::from(path.file_name().unwrap());
        match path.is_dir() {
            true => all.extend(files(&path).into_iter().map(|(below, bytes)| (name.join(below), bytes))),
            false => drop(all.insert(name, fs::read(&path).unwrap())),
        }
    }
    all
}

/// Whether a file below `dir` has these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, bytes),
        false => fs::read(&path).unwrap() == bytes,
    })
}

/// One test for each command and kind of fault.
macro_rules! faults {
    ($($module:ident $run:ident;)*) => {$(
        mod $module {
            use super::*;

            faults!(@tests $run;
                eio Eio, enospc Enospc, short_write Short, read_error Read, kill Kill, torn_write Torn, full_disk Full,
                dead_disk Dead);
        }
    )*};
    (@tests $run:ident; $($test:ident $kind:ident),*) => {$(
        #[test]
        fn $test() {
            $run(Kind::$kind);
        }
    )*};
}

mod prune_of_a_folder {
    use super::*;

    faults!(@tests faults_of_prune;
        eio Eio, read_error Read, kill Kill, dead_disk Dead);
}

faults! {
    full_backup faults_of_full_backup;
    whole_backup faults_of_whole_backup;
    logs_backup faults_of_logs_backup;
    restore faults_of_restore;
    restore_over_another faults_of_restore_over;
}
