//! A disk that is really full: a small tmpfs, for the CA, for a set, for a restore. Mounting needs root; without it
//! these tests say so and prove nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use certadm_rules::words::human_bytes;
use certadm_rules::{Diagnosis, Hresult};
use certadm_store::{Error, Folder, Store};
use certadm_tests::case::{OPTIONS, Template};
use certadm_tests::command::{binary, outcome};
use certadm_tests::inspect;
use certadm_tests::issue::{Serials, issue};
use certadm_tests::ledger::{Entries, Ledger};

/// A mounted tmpfs; dropping it unmounts it.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, with a line that says so, where this process may not mount.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        match output {
            Ok(output) if output.status.success() => Some(Self { path: path.to_owned() }),
            other => {
                eprintln!("SKIPPED: this process may not mount a tmpfs: {other:?}");
                None
            }
        }
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.path).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a failed test's open files do not keep it; the folder above is removed next.
        let status = Command::new("umount").arg("-l").arg(&self.path).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.path.display());
        }
    }
}

fn certadm(arguments: &[&str], paths: &[(&str, PathBuf)]) -> (i32, String) {
    let mut command = Command::new(binary(env!("CARGO_BIN_EXE_store_driver")));
    command.args(arguments);
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    outcome(command)
}

#[test]
fn a_ca_on_a_full_disk_refuses_to_issue_and_goes_on_when_there_is_room() {
    let scratch = certadm_tests::scratch();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk"), "1m") else { return };
    let dir = disk.path.join("case");
    fs::create_dir(&dir).unwrap();
    Template::running().place(&dir);
    let ledger_path = scratch.path().join("ledger");
    fs::copy(dir.join("ledger"), &ledger_path).unwrap();
    let folder = Folder::new(dir.join("ca"));
    let mut ledger = Ledger::open(&ledger_path);
    let mut serials = Serials::new();

    let store = Store::open(&folder, OPTIONS).unwrap();
    let mut writer = store.writer().unwrap();
    let full = (0..10_000)
        .find_map(|_| issue(&mut writer, serials.next().unwrap(), &mut ledger).err())
        .expect("a megabyte does not hold ten thousand certificates");
    assert!(
        [Hresult::DISK_FULL, Hresult::ERROR_DISK_FULL].contains(&full.hresult()),
        "{full}: {}",
        full.hresult()
    );
    for _ in 0..5 {
        issue(&mut writer, serials.next().unwrap(), &mut ledger).ok();
    }
    inspect::compare(&inspect::rows(folder.path()), &Entries::read(&ledger_path), "on the full disk");
    drop(writer);
    drop(store);
    // Also a start on the full disk loses nothing, whether it succeeds or not.
    if let Err(error) = Store::open(&folder, OPTIONS) {
        assert!(matches!(error, Error::File(_) | Error::Sqlite(_)), "{error}");
    }

    disk.resize("16m");
    let store = Store::open(&folder, OPTIONS).unwrap();
    issue(&mut store.writer().unwrap(), serials.next().unwrap(), &mut ledger).unwrap();
    store.close().unwrap();
    inspect::compare(&inspect::rows(folder.path()), &Entries::read(&ledger_path), "with room again");
}

/// Takes all that is left of a disk, until it is dropped.
struct Filler(PathBuf);

impl Filler {
    fn of(disk: &SmallDisk) -> Self {
        let path = disk.path.join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [64 * 1024, 1024, 1] {
            while std::io::Write::write_all(&mut file, &vec![7; size]).is_ok() {}
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Such a CA, with a configuration for the command, and logs that a backup can delete.
fn ca_on(disk: &SmallDisk) -> Folder {
    let folder = Folder::new(disk.path.join("ca"));
    Template::running().place(&disk.path);
    fs::remove_dir_all(disk.path.join("sets")).unwrap();
    let store = Store::open(&folder, OPTIONS).unwrap();
    let mut writer = store.writer().unwrap();
    let mut ledger = Ledger::open(&disk.path.join("ledger"));
    for serial in Serials::new().take(4) {
        issue(&mut writer, serial, &mut ledger).unwrap();
        store.roll().unwrap();
    }
    for serial in Serials::new().take(2) {
        issue(&mut writer, serial, &mut ledger).unwrap();
    }
    drop(writer);
    drop(store);
    folder
}

/// The way out of a full disk: a backup rolls with the space that is kept for it, and deletes logs.
#[test]
fn a_backup_of_a_ca_on_a_full_disk_frees_space() {
    let scratch = certadm_tests::scratch();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk"), "16m") else { return };
    let folder = ca_on(&disk);
    let reserve = || {
        fs::read_dir(folder.log_dir())
            .unwrap()
            .filter(|entry| certadm_store::is_reserve(&entry.as_ref().unwrap().path()))
            .count()
    };
    assert_eq!(reserve(), 2);
    let before = folder.archived_logs().unwrap().len();
    let filler = Filler::of(&disk);
    let full = scratch.path().join("full");
    let (code, text) = certadm(
        &["--json", "backup", "--no-identity"],
        &[("--dir", folder.path().to_owned()), ("--to", full.clone())],
    );
    assert_eq!(code, 0, "{text}");
    assert!(reserve() < 2, "it was used: {text}");
    let after = folder.archived_logs().unwrap().len();
    assert!(after < before, "{after} of {before} logs are left: {text}");
    let (code, text) = certadm(&["verify"], &[("--", full)]);
    assert_eq!(code, 0, "{text}");
    inspect::compare(
        &inspect::rows(folder.path()),
        &Entries::read(&disk.path.join("ledger")),
        "after the backup",
    );

    // With room again the next owner keeps space again.
    drop(filler);
    Store::open(&folder, OPTIONS).unwrap().close().unwrap();
    assert_eq!(reserve(), 2);
}

/// `show` warns before the disk is full: below the room for two logs.
#[test]
fn show_warns_of_a_disk_that_has_no_room_for_two_logs() {
    let scratch = certadm_tests::scratch();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk"), "64m") else { return };
    let folder = ca_on(&disk);
    // This CA has no ca.toml: what is said is for logs of the usual size.
    let needed = 2 * certadm_store::Options::default().log_size;
    let show = || certadm(&["--json", "show"], &[("--dir", folder.path().to_owned())]).1;
    let room = || certadm_files::space::available(folder.path()).unwrap().unwrap();
    let leave = |bytes: u64| {
        let path = disk.path.join("filler");
        fs::remove_file(&path).ok();
        fs::write(&path, vec![7; usize::try_from(room() - bytes).unwrap()]).unwrap();
    };
    assert!(room() > needed, "the disk of this test is too small");
    assert!(!show().contains("disk-space"), "{}", show());
    // tmpfs counts in pages of 4 KiB; what `show` itself writes must fit between.
    leave(needed + 256 * 1024);
    assert!(!show().contains("disk-space"), "{}", show());
    leave(needed - 4096);
    let told = show();
    assert!(
        told.contains("disk-space") && told.contains(&format!("needs {} to go on", human_bytes(needed))),
        "{told}"
    );
    assert!(!told.contains("damaged"), "{told}");
}

/// Where even the reserve is gone, the message names the CA's disk, and nobody speaks of damage.
#[test]
fn a_full_disk_of_the_ca_is_named_and_nothing_is_called_damaged() {
    let scratch = certadm_tests::scratch();
    let Some(disk) = SmallDisk::mount(&scratch.path().join("disk"), "16m") else { return };
    let folder = ca_on(&disk);
    // An owner that is there already; a start on the full disk has no space for shared memory. It does not roll by itself, which
    // would keep a new reserve.
    let options = certadm_store::Options { log_size: 2 << 20, ..OPTIONS };
    let store = std::sync::Arc::new(Store::open(&folder, options).unwrap());
    // Packing would make room again; and there has to be something that a backup rolls.
    store.wait_until_packed();
    let mut ledger = Ledger::open(&disk.path.join("ledger"));
    issue(&mut store.writer().unwrap(), Serials::new().next().unwrap(), &mut ledger).unwrap();
    for entry in fs::read_dir(folder.log_dir()).unwrap() {
        let path = entry.unwrap().path();
        if certadm_store::is_reserve(&path) {
            fs::remove_file(path).unwrap();
        }
    }
    let _filler = Filler::of(&disk);
    let names = certadm_rules::unc::UncRoot::of_this_system("host").unwrap();
    let mut source = certadm_session::LocalSource::new(store, names);
    let options = certadm_set::TakeOptions::new(certadm_rules::BackupType::Full);
    let to = scratch.path().join("set");
    let error =
        certadm_set::take(&mut source, &to, &options, &mut certadm_set::progress::Silent).unwrap_err();
    let message = certadm_rules::diagnosis::chain_of(&error);
    assert!(message.starts_with("the CA's own disk is full") && message.contains("/ca/log/edb"), "{message}");
    assert!(!to.exists());
    for text in [message, error.remedy().into_owned()] {
        assert!(!text.contains("damage") && !text.contains("target"), "{text}");
    }
    drop(source);

    let (code, text) = certadm(&["show"], &[("--dir", folder.path().to_owned())]);
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("are free on the disk of the CA") && text.contains("used up"), "{text}");
    assert!(!text.contains("damage"), "{text}");
    let (code, text) = certadm(&["backup"], &[("--dir", folder.path().to_owned()), ("--to", to)]);
    assert_ne!(code, 0, "{text}");
    assert!(!text.contains("damage") && text.contains("free some space on the disk"), "{text}");
}

#[test]
fn a_backup_to_a_full_disk_leaves_no_set_and_truncates_nothing() {
    let scratch = certadm_tests::scratch();
    let dir = scratch.path();
    Template::running().place(dir);
    let Some(disk) = SmallDisk::mount(&dir.join("target"), "100k") else { return };
    let logs = |folder: &Folder| folder.archived_logs().unwrap().len();
    let folder = Folder::new(dir.join("ca"));
    let before = logs(&folder);
    let set = disk.path.join("set");
    let backup = || {
        certadm(&["backup", "--quiet", "--no-identity"], &[("--dir", dir.join("ca")), ("--to", set.clone())])
    };
    let (code, text) = backup();
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("0x80070070"), "the code of a full disk is named: {text}");
    assert_eq!(fs::read_dir(&disk.path).unwrap().count(), 0, "nothing half-written stays");
    assert!(logs(&folder) >= before, "no log is gone");

    disk.resize("16m");
    let (code, text) = backup();
    assert_eq!(code, 0, "{text}");
    let (code, text) = certadm(&["verify"], &[("--", set.clone())]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_restore_to_a_full_disk_can_be_repeated() {
    let scratch = certadm_tests::scratch();
    let dir = scratch.path();
    Template::running().place(dir);
    let set = dir.join("set");
    let (code, text) =
        certadm(&["backup", "--quiet", "--no-identity"], &[("--dir", dir.join("ca")), ("--to", set.clone())]);
    assert_eq!(code, 0, "{text}");
    let Some(disk) = SmallDisk::mount(&dir.join("target"), "100k") else { return };
    let new = disk.path.join("ca");
    let restore = |more: &[&str]| {
        let arguments = [&["restore", "--quiet"], more].concat();
        certadm(&arguments, &[("--from", set.clone()), ("--dir", new.clone())])
    };
    let (code, text) = restore(&[]);
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("0x80070070"), "the code of a full disk is named: {text}");
    let opened = Store::open(&Folder::new(&new), OPTIONS).map(|_| ()).unwrap_err();
    println!("after the refused restore the CA says: {opened}");

    disk.resize("16m");
    let (code, text) = restore(&["--force"]);
    assert_eq!(code, 0, "{text}");
    let acknowledged = Entries::read(&dir.join("ledger"));
    inspect::compare(&inspect::rows(&new), &acknowledged, "after the repeated restore");
}
