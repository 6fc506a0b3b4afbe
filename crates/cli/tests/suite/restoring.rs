//! A restore that cannot succeed changes nothing; one that was interrupted can be given up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_rules::Hresult;
use certadm_set::Manifest;
use certadm_store::{Folder, record};

use crate::support::Work;

/// A CA with a full set, and one certificate more.
fn with_set() -> Work {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {full}");
    work.issue("ca", "two");
    work
}

/// Names and bytes of every file below a folder. Locks, shared memory and the room that is kept for logs are not data.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(content(&path));
        } else if !["lock", "-shm", ".jrs"].iter().any(|end| name.ends_with(end)) {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn a_damaged_set_leaves_the_live_ca_as_it_was() {
    let work = with_set();
    work.flip("full/DataBase/Test-CA.db");
    let before = content(&work.path("ca"));
    for line in
        ["restore --from {full} --dir {ca} --force --dry-run", "restore --from {full} --dir {ca} --force"]
    {
        let run = work.run(&format!("--json {line}"));
        assert_eq!((run.code, &run.json()["error"]["code"]), (5, &"0xc80003fa".into()), "{line}");
        assert_eq!(content(&work.path("ca")), before, "{line}");
    }
    for line in ["restore --from {full} --dir {new} --dry-run", "restore --from {full} --dir {new}"] {
        assert_eq!(work.run(line).code, 5, "{line}");
        assert!(!work.path("new").exists(), "{line}");
    }
    work.issue("ca", "three");
}

/// The CA could not start with these settings: that is told before its database is exchanged.
#[test]
fn settings_that_are_none_are_told_before_anything_is_touched() {
    let work = with_set();
    fs::write(work.path("ca/ca.toml"), "name = [").unwrap();
    let before = content(&work.path("ca"));
    for line in
        ["restore --from {full} --dir {ca} --force --dry-run", "restore --from {full} --dir {ca} --force"]
    {
        let run = work.run(line);
        assert!(run.code == 2 && run.stderr.contains("ca.toml cannot be used"), "{line}: {run:?}");
        assert_eq!(content(&work.path("ca")), before, "{line}");
    }
}

/// One flipped bit in whichever file of a set (attack H1): the CA that works goes on as it was, or is restored. What stands beside
/// the database stands in the way of neither.
#[test]
fn a_flipped_bit_in_any_file_of_a_set_leaves_a_ca_that_works() {
    let work = with_set();
    work.copy("ca", "as-it-was");
    let files: Vec<String> = content(&work.path("full"))
        .into_keys()
        .map(|path| path.strip_prefix(work.path("full")).unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(files.len() > 8, "{files:?}");
    for file in files {
        work.copy("full", "damaged");
        work.flip(&format!("damaged/{file}"));
        let before = content(&work.path("ca"));
        let dry = work.run("restore --from {damaged} --dir {ca} --force --dry-run").code;
        assert_eq!(content(&work.path("ca")), before, "{file}");
        let code = work.run("restore --from {damaged} --dir {ca} --force").code;
        let is_beside = file.starts_with("DynamicFiles") || file.starts_with("Identity");
        assert_eq!(code <= 1, is_beside, "{file}: {code}");
        if is_beside {
            assert_eq!(work.tables("--dir {ca}")[0].as_array().unwrap().len(), 2, "{file}");
            fs::remove_dir_all(work.path("ca")).unwrap();
            work.copy("as-it-was", "ca");
        } else {
            assert!(dry > 1, "{file}: {dry}");
            assert_eq!(content(&work.path("ca")), before, "{file}");
        }
        fs::remove_dir_all(work.path("damaged")).unwrap();
    }
    work.issue("ca", "three");
}

/// What stands in the place of a folder of the CA, or of one above it, is refused before anything is copied.
#[test]
fn a_folder_that_cannot_be_made_is_refused_in_a_dry_run_too() {
    let work = with_set();
    fs::write(work.path("file"), "x").unwrap();
    fs::create_dir(work.path("half")).unwrap();
    fs::create_dir(work.path("linked")).unwrap();
    fs::write(work.path("half/log"), "x").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", work.path("linked/database")).unwrap();
    for (dir, named) in
        [("file", "file"), ("file/ca", "file"), ("half", "half/log"), ("linked", "linked/database")]
    {
        for dry in [" --dry-run", ""] {
            let run = work.run(&format!("--json restore --from {{full}} --dir {{{dir}}}{dry}"));
            let error = run.json()["error"]["message"].to_string();
            assert_eq!(run.code, 3, "{dir}{dry}: {error}");
            assert!(error.contains(&work.path(named).display().to_string()), "{dir}{dry}: {error}");
        }
    }
    assert_eq!(fs::read_dir(work.path("half")).unwrap().count(), 1, "nothing was made");
}

/// Two that restore into one new folder: the one that is refused takes nothing away from the other.
#[test]
fn a_refused_restore_leaves_the_folders_that_another_works_in() {
    let work = with_set();
    work.run("restore --from {full} --dir {other}").good();
    let mut runs = Vec::new();
    for _ in 0..4 {
        let mut command = crate::support::command(&work.path(""), "restore --from {full} --dir {new}");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        runs.push(command.spawn().unwrap());
    }
    let codes: Vec<Option<i32>> = runs.into_iter().map(|mut run| run.wait().unwrap().code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    let names = |dir: &str| {
        let entries = fs::read_dir(work.path(dir)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("new"), names("other"));
    assert_eq!(work.tables("--dir {new}"), work.tables("--dir {other}"));
}

#[test]
fn a_dry_run_makes_the_checks_of_a_restore_and_changes_nothing() {
    let work = with_set();
    let before = (content(&work.path("ca")), content(&work.path("full")));
    let plan = work.result("restore --from {full} --dir {ca} --force --dry-run");
    assert_eq!(plan["certificates"], 1, "{plan}");
    assert_eq!(plan["ca"]["name"], "CN=Test-CA", "{plan}");
    assert_eq!((content(&work.path("ca")), content(&work.path("full"))), before);
}

#[test]
fn a_registered_restore_can_be_given_up() {
    let work = with_set();
    let (before, rows) = (content(&work.path("ca")), work.tables("--dir {ca}"));
    work.result("restore --from {full} --dir {ca} --force --no-recover");
    assert_ne!(content(&work.path("ca")), before);
    assert_eq!(work.result("restore --dir {ca} --abandon")["put_back"], true);
    assert_eq!(content(&work.path("ca")), before);
    assert_eq!(work.tables("--dir {ca}"), rows);
    let again = work.run("--json restore --dir {ca} --abandon").json();
    assert_eq!((&again["exit_code"], &again["error"]["code"]), (&3.into(), &"0x8007139f".into()));
    work.issue("ca", "three");
    // Into an empty folder: it is empty again.
    work.result("restore --from {full} --dir {new} --no-recover");
    assert_eq!(work.result("restore --dir {new} --abandon")["put_back"], false);
    assert_eq!(fs::read_dir(work.path("new/database")).unwrap().count(), 0);
}

/// What a killed command or a person has left beside the replaced files is no reason not to put them back.
/// Killed between the registration and the CA's own files.
#[test]
fn a_restore_without_the_ca_s_own_files_is_repeated() {
    let work = with_set();
    work.result("restore --from {full} --dir {new} --no-recover");
    for file in ["new/ca.toml", "new/ca.crt"] {
        fs::remove_file(work.path(file)).unwrap();
    }
    work.result("restore --from {full} --dir {new} --dry-run");
    work.result("restore --from {full} --dir {new}");
    assert!(work.path("new/ca.toml").is_file() && work.path("new/ca.crt").is_file());
    // What was carried out is a CA's database.
    assert_eq!(work.run("restore --from {full} --dir {new}").code, 3);
}

#[test]
fn a_restore_is_given_up_whatever_lies_beside_the_replaced_files() {
    for again in ["restore --dir {ca} --abandon", "restore --from {full} --dir {ca} --force --no-recover"] {
        let work = with_set();
        let rows = work.tables("--dir {ca}");
        work.result("restore --from {full} --dir {ca} --force --no-recover");
        let aside = replaced(&work).remove(0);
        fs::write(aside.join("notes.txt"), "why").unwrap();
        fs::create_dir(aside.join(".certadm-scratch-x.unfinished-4194999")).unwrap();
        work.result(again);
        assert!(aside.join("notes.txt").is_file(), "what somebody wrote stays");
        if again.contains("--no-recover") {
            work.result("restore --dir {ca} --abandon");
        }
        assert_eq!(work.tables("--dir {ca}"), rows);
        work.issue("ca", "three");
    }
}

/// A restore that is being given up is not carried out by a start in between: the database that is back is not the image.
#[test]
fn a_restore_that_is_half_given_up_is_not_carried_out() {
    let work = with_set();
    let (before, rows) = (content(&work.path("ca")), work.tables("--dir {ca}"));
    work.result("restore --from {full} --dir {ca} --force --no-recover");
    // As a recovery leaves it that is killed, or has no room.
    let image = fs::read(work.path("full/DataBase/Test-CA.db")).unwrap();
    fs::create_dir_all(work.path("ca/restore.d")).unwrap();
    fs::write(work.path("ca/restore.d/trailer.page"), &image[image.len() - 4096..]).unwrap();
    // Giving up ends in the middle.
    fs::create_dir(work.path("ca/log/in the way")).unwrap();
    assert_ne!(work.run("restore --dir {ca} --abandon").code, 0);
    assert!(!work.path("ca/restore.d/trailer.page").exists());
    // As it is when it ends behind the database.
    let registered = record::read(&Folder::new(work.path("ca"))).unwrap().unwrap();
    assert_eq!(registered.status, Hresult::E_ABORT);
    fs::copy(replaced(&work)[0].join("database/Test-CA.db"), work.path("ca/database/Test-CA.db")).unwrap();
    let refused = work.run("--json ca crl --dir {ca} --passphrase-file {pass}").json();
    assert_eq!(refused["error"]["name"], "JET_errRestoreInProgress", "{refused}");
    fs::remove_file(work.path("ca/database/Test-CA.db")).unwrap();
    fs::remove_dir(work.path("ca/log/in the way")).unwrap();
    work.result("restore --dir {ca} --abandon");
    assert_eq!(content(&work.path("ca")), before);
    assert_eq!(work.tables("--dir {ca}"), rows);
}

fn replaced(work: &Work) -> Vec<PathBuf> {
    let all = fs::read_dir(work.path("ca")).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().contains("/replaced-")).collect()
}

#[test]
fn repeated_restores_do_not_pile_up() {
    let work = with_set();
    for _ in 0..3 {
        work.result("restore --from {full} --dir {ca} --force --no-recover");
    }
    assert_eq!(replaced(&work).len(), 1, "each restore puts back what the one before it had moved aside");
    assert_eq!(work.run("restore --from {full} --dir {ca}").code, 3, "what lies aside is a CA's");
    work.result("restore --dir {ca} --abandon");
    assert_eq!(work.tables("--dir {ca}")[0].as_array().unwrap().len(), 3, "the CA's own row and two");
}

#[test]
fn a_refused_restore_leaves_one_that_waits_as_it_is() {
    let work = with_set();
    work.copy("full", "damaged");
    work.flip("damaged/DataBase/Test-CA.db");
    work.result("restore --from {full} --dir {ca} --force --no-recover");
    let before = content(&work.path("ca"));
    assert_eq!(work.run("restore --from {damaged} --dir {ca} --force").code, 5);
    assert_eq!(content(&work.path("ca")), before, "the restore that waits is not taken back");
    work.result("restore --dir {ca} --abandon");
}

/// Somebody removed the files that a restore had moved aside, to have their space: only the restored ones are left.
#[test]
fn a_restore_is_not_given_up_when_what_was_there_is_gone() {
    let work = with_set();
    work.result("restore --from {full} --dir {ca} --force --no-recover");
    fs::remove_dir_all(&replaced(&work)[0]).unwrap();
    let before = content(&work.path("ca"));
    let json = work.run("--json restore --dir {ca} --abandon").json();
    assert_eq!((&json["exit_code"], &json["error"]["code"]), (&3.into(), &"0x8007139f".into()), "{json}");
    assert_eq!(content(&work.path("ca")), before);
    work.result("restore --from {full} --dir {ca} --force");
    assert_eq!(work.tables("--dir {ca}")[0].as_array().unwrap().len(), 2);
}

#[test]
fn a_carried_out_restore_cannot_be_given_up() {
    let work = with_set();
    work.result("restore --from {full} --dir {ca} --force");
    assert!(record::read(&Folder::new(work.path("ca"))).unwrap().is_none());
    assert!(!work.path("ca/restore-swap.json").exists());
    assert_eq!(work.run("restore --dir {ca} --abandon").code, 3);
    assert_eq!(work.run("restore --dir {absent} --abandon").code, 3);
    assert!(!work.path("absent").exists());
}

/// The dry run makes the checks of the restore, and says and counts the same.
#[test]
fn a_lost_crl_copy_does_not_stop_a_restore_and_the_dry_run_tells_it() {
    const CRL: &str = "full/DynamicFiles/Test-CA.crl";
    let ways: [fn(&Work); 3] = [
        |work| fs::write(work.path(CRL), "damaged").unwrap(),
        |work| work.flip(CRL),
        |work| fs::remove_file(work.path(CRL)).unwrap(),
    ];
    for damage in ways {
        let work = with_set();
        damage(&work);
        work.copy_key_and_configuration("ca", "new");
        let run = |line: &str| {
            let run = work.run(&format!("--json restore --from {{full}} --dir {{new}} {line}"));
            let warnings = run.json()["result"]["warnings"].clone();
            assert_eq!(run.code, 1, "{line}: {run:?}");
            assert!(warnings[0].as_str().unwrap().ends_with("publish a new CRL"), "{line}: {warnings}");
            warnings
        };
        let (tried, done) = (run("--dry-run"), run(""));
        assert_eq!(tried, done);
        assert!(!work.path("new/crl/Test-CA.crl").exists());
        work.result("ca crl --dir {new} --passphrase-file {pass}");
    }
}

/// The sets after the full one may be named in any order, and any of them may be dated by a wrong clock.
#[test]
fn the_newest_crl_of_the_sets_comes_back_in_whatever_order_they_are_named() {
    let work = with_set();
    for set in ["noon", "evening"] {
        work.result("ca crl --dir {ca} --passphrase-file {pass}");
        work.result(&format!("backup --dir {{ca}} --to {{{set}}} --type logs --truncate"));
    }
    let crl_of = |folder: &str| fs::read(work.path(folder).join("Test-CA.crl")).unwrap();
    let newest = crl_of("evening/DynamicFiles");
    assert_ne!(newest, crl_of("noon/DynamicFiles"));
    let restored = |number: usize, from: &str| {
        let new = format!("new{number}");
        work.copy_key_and_configuration("ca", &new);
        work.result(&format!("restore --from {{full}} {from} --dir {{{new}}}"));
        crl_of(&format!("{new}/crl"))
    };
    assert!(restored(0, "--from {noon} --from {evening}") == newest);
    assert!(restored(1, "--from {evening} --from {noon}") == newest);
    let manifest = work.path("noon/manifest.json");
    let mut ahead = Manifest::parse(&fs::read(&manifest).unwrap()).unwrap();
    "2099-01-01T00:00:00Z".clone_into(&mut ahead.finished);
    fs::write(manifest, ahead.complete().unwrap()).unwrap();
    assert!(restored(2, "--from {evening} --from {noon}") == newest);
    // Also where the logs of the newest set are left out.
    let first = crl_of("full/DynamicFiles");
    let earlier = restored(3, "--until-generation 2 --from {evening} --from {noon}");
    assert!(earlier == newest && earlier != first);
}

/// Root restores into the folder of the account that the service runs as.
#[cfg(unix)]
#[test]
fn restored_files_belong_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let work = with_set();
    work.copy_key_and_configuration("ca", "new");
    // Accounts other than root can give nothing away; then all files are theirs, and that is tested.
    chown(work.path("new"), Some(4711), Some(4711)).ok();
    fs::set_permissions(work.path("new"), fs::Permissions::from_mode(0o750)).unwrap();
    let owner = fs::metadata(work.path("new")).unwrap().uid();
    work.result("restore --from {full} --dir {new}");
    let kept = ["ca.toml", "ca.crt", "ca.key"].map(|name| work.path("new").join(name));
    for path in content(&work.path("new")).into_keys().filter(|path| !kept.contains(path)) {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.uid(), owner, "{}", path.display());
        // The CRL is published, as far as others may come to it.
        let refused = if path.starts_with(work.path("new/crl")) { 0o022 } else { 0o027 };
        assert_eq!(metadata.mode() & refused, 0, "{} is as the folder", path.display());
    }
}
