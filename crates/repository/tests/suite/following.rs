//! Repositories of one CA that follow one another after the theft of a key, and packs that are read again after a while.

use std::fs;
use std::path::Path;

use certadm_repository::{CaRepository, Error, Label, Profiles, Secret, Vault};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::{Check, Silent, TakeOptions, take_into};

use crate::common::{Ca, assert_whole, options};

const LABEL: Label<'static> = Label { host: "tests", user: "recovery code" };

fn vault(root: &Path, more: &str) -> Vault {
    let text = format!("[vault]\nurl = 'file://{0}/vault'\n{more}", root.display())
        .replace("ROOT", &root.display().to_string());
    Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
}

#[test]
fn after_a_theft_the_next_repository_has_another_key_and_the_name_leads_to_it() {
    let mut ca = Ca::named("Drill CA");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "key-file = 'ROOT/{ca}.key'\n");
    let error = vault.create_next("Drill CA", "next code", LABEL).unwrap_err();
    assert!(matches!(error, Error::NoRepository { .. }), "{error}");
    let first = vault.create("Drill CA", "a code", LABEL).unwrap();
    ca.back_up(&first, BackupType::Full).unwrap();
    assert_eq!(vault.repositories().unwrap(), ["Drill CA"]);

    let next = vault.create_next("Drill CA", "next code", LABEL).unwrap();
    assert_eq!(next.address(), "vault:Drill CA!n2");
    assert_eq!((next.ca(), next.name()), ("Drill CA", "Drill CA!n2"));
    assert_eq!(vault.cas().unwrap(), ["Drill CA"]);
    assert_eq!(vault.repositories().unwrap(), ["Drill CA!n1", "Drill CA!n2"]);
    let [stolen, new] = ["Drill CA", "Drill CA!n2"].map(|name| root.join(format!("{name}.key")));
    assert_ne!(fs::read(&stolen).unwrap(), fs::read(&new).unwrap());

    // The name leads to the newest, with and without the CA; a full set comes first there.
    ca.issue(2);
    for ca in [None, Some("Drill CA"), Some("Drill CA!n2")] {
        assert_eq!(vault.repository(ca).unwrap().address(), "vault:Drill CA!n2", "{ca:?}");
    }
    let newest = vault.repository(None).unwrap();
    assert!(newest.points().unwrap().is_empty());
    // Logs that continue nothing there would be of no use to a restore, so the CA keeps them.
    let logs = ca.logs();
    let refused = ca.back_up(&newest, BackupType::LogsOnly).unwrap_err();
    assert_eq!(refused.class(), Class::Refused, "{refused}");
    assert!(refused.to_string().contains("continue no full set"), "{refused}");
    assert!(refused.remedy().contains("full backup"), "{refused}");
    assert!(newest.points().unwrap().is_empty());
    assert!(logs.iter().all(|log| ca.logs().contains(log)), "a log is gone");
    ca.back_up(&newest, BackupType::Full).unwrap();
    ca.issue(1);
    ca.back_up(&newest, BackupType::LogsOnly).unwrap();
    assert_eq!(assert_whole(&newest, &root), 2);
    // The old one is where it was, under its number.
    let old = vault.repository(Some("Drill CA!n1")).unwrap();
    assert_eq!(old.address(), "vault:Drill CA!n1");
    assert_eq!(assert_whole(&old, &root), 1);
    // What was stolen opens nothing of it: neither the key nor the code.
    fs::write(&new, fs::read(&stolen).unwrap()).unwrap();
    let error = vault.repository(None).unwrap().points().unwrap_err();
    assert!(matches!(error, Error::NoKeyFits { .. }), "{error}");
    let by_code = self::vault(&root, "password-file = 'ROOT/code'\n");
    for (code, opens) in [("a code", false), ("next code", true)] {
        fs::write(root.join("code"), code).unwrap();
        assert_eq!(by_code.repository(None).unwrap().points().is_ok(), opens, "{code}");
    }
    fs::remove_file(&new).unwrap();
    assert!(vault.repository(None).is_err(), "without its key the old one is not taken instead");

    let third = vault.create_next("Drill CA!n1", "third code", LABEL).unwrap();
    assert_eq!(third.address(), "vault:Drill CA!n3");
}

/// Old ones are deleted when nothing of them is needed: the name still leads to the newest, and never back to a stolen key.
#[test]
fn a_gap_in_the_numbers_leads_nobody_back() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "key-file = 'ROOT/{ca}.key'\n");
    vault.create("ca", "a code", LABEL).unwrap();
    for number in 2..4 {
        let next = vault.create_next("ca", "next code", LABEL).unwrap();
        assert_eq!(next.name(), format!("ca!n{number}"));
    }
    let newest = || vault.repository(Some("ca")).map(|repository| repository.name().to_owned());
    for (gone, left) in [("ca!n2", &["ca!n1", "ca!n3"][..]), ("ca", &["ca!n3"])] {
        fs::remove_dir_all(root.join("vault").join(gone)).unwrap();
        assert_eq!(newest().unwrap(), "ca!n3");
        assert_eq!(vault.repository(None).unwrap().name(), "ca!n3");
        assert_eq!(
            (vault.cas().unwrap(), vault.repositories().unwrap()),
            (vec!["ca".to_owned()], left.iter().map(|name| (*name).to_owned()).collect())
        );
        let error = vault.create("ca", "a code", LABEL).unwrap_err();
        assert!(matches!(error, Error::RepositoryExists { .. }), "{error}");
    }
    ca.back_up(&vault.repository(Some("ca")).unwrap(), BackupType::Full).unwrap();
    // Whoever hides the newest one does not have backups go into the one before.
    vault.create_next("ca", "next code", LABEL).unwrap();
    fs::rename(root.join("vault/ca!n4"), root.join("hidden")).unwrap();
    let error = newest().unwrap_err();
    assert!(matches!(error, Error::NextIsGone { .. }) && error.to_string().contains("ca!n4.key"), "{error}");
    assert_eq!(vault.repository(Some("ca!n3")).unwrap().name(), "ca!n3");
    // What was begun is finished under its own key.
    assert_eq!(vault.create_next("ca", "next code", LABEL).unwrap().name(), "ca!n4");
    assert_eq!(newest().unwrap(), "ca!n4");
}

/// A fresh vault gets the newest of the keys that it shares with another one, and not that which may be stolen.
#[test]
fn a_vault_with_the_key_files_of_another_one_begins_with_the_newest_key() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let key_file = "key-file = 'ROOT/{ca}.key'\n";
    let first = vault(&root, key_file);
    first.create("ca", "a code", LABEL).unwrap();
    first.create_next("ca", "next code", LABEL).unwrap();
    fs::rename(root.join("vault"), root.join("first")).unwrap();
    let second = vault(&root, key_file);
    // The keys may be those of a vault that is not mounted.
    let refused = second.create("ca", "next code", LABEL).unwrap_err();
    assert!(matches!(refused, Error::KeyIsHere { .. }), "{refused}");
    assert_eq!(second.create_under_known_key("ca", "next code", LABEL).unwrap().name(), "ca!n2");
    let repository = second.repository(Some("ca")).unwrap();
    assert_eq!(repository.name(), "ca!n2");
    ca.back_up(&repository, BackupType::Full).unwrap();
    let error = second.create("ca", "a code", LABEL).unwrap_err();
    assert!(matches!(error, Error::RepositoryExists { .. }), "{error}");
    assert_eq!(second.create_next("ca", "third code", LABEL).unwrap().name(), "ca!n3");
}

/// Root has made it, and the nightly job of another account may not read it.
#[cfg(unix)]
#[test]
fn a_next_repository_that_may_not_be_read_is_not_passed_over() {
    use std::os::unix::fs::PermissionsExt;
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "key-file = 'ROOT/{ca}.key'\n");
    vault.create("ca", "a code", LABEL).unwrap();
    vault.create_next("ca", "next code", LABEL).unwrap();
    let key = root.join("ca!n2.key");
    fs::rename(&key, root.join("elsewhere")).unwrap();
    let next = root.join("vault/ca!n2");
    fs::set_permissions(&next, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it all the same, and lacks the key.
    let opened = vault.repository(Some("ca"));
    fs::set_permissions(&next, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(opened.is_err(), "{:?}", opened.map(|repository| repository.name().to_owned()));
}

#[test]
fn a_next_repository_whose_making_was_cut_off_is_finished() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "key-file = 'ROOT/{ca}.key'\n");
    vault.create("ca", "a code", LABEL).unwrap();
    vault.create_next("ca", "next code", LABEL).unwrap();
    // Cut off before the code was a key of it.
    let keys = root.join("vault/ca!n2/keys");
    for key in fs::read_dir(&keys).unwrap() {
        fs::remove_file(key.unwrap().path()).unwrap();
    }
    let again = vault.create_next("ca", "other code", LABEL).unwrap();
    assert_eq!(again.address(), "vault:ca!n2");
    let by_code = Secret::from_password("other code", &root);
    assert_eq!(again.keys().unwrap().len(), 1);
    drop(by_code);
    ca.back_up(&again, BackupType::Full).unwrap();
}

/// The key is stored before the configuration, and a second one of the same password has another master key.
#[test]
fn a_repository_with_a_password_whose_making_was_cut_off_is_opened_by_it() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    fs::write(root.join("code"), "a password").unwrap();
    let vault = vault(&root, "password-file = 'ROOT/code'\n");
    vault.create("ca", "a code", LABEL).unwrap();
    fs::remove_file(root.join("vault/ca/config")).unwrap();
    let names = || {
        let keys = fs::read_dir(root.join("vault/ca/keys")).unwrap();
        keys.map(|key| key.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let repository = vault.create("ca", "other code", LABEL).unwrap();
    assert!(names().is_disjoint(&before) && names().len() == 2, "{:?}", names());
    assert!(repository.points().unwrap().is_empty());
    // Where sets are there, the keys are theirs.
    ca.back_up(&repository, BackupType::Full).unwrap();
    let before = names();
    fs::remove_file(root.join("vault/ca/config")).unwrap();
    let error = vault.create("ca", "other code", LABEL).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert_eq!(names(), before);
}

#[test]
fn the_next_repository_never_has_the_key_of_the_one_before() {
    for (more, says) in
        [("key-file = 'ROOT/one.key'\n", "{ca}"), ("password-file = 'ROOT/code'\n", "password")]
    {
        let ca = Ca::named("ca");
        fs::write(ca.beside().join("code"), "a code").unwrap();
        let vault = vault(ca.beside(), more);
        vault.create("ca", "a code", LABEL).unwrap();
        let error = vault.create_next("ca", "next code", LABEL).unwrap_err();
        assert!(matches!(error, Error::SameKey { .. }) && error.to_string().contains(says), "{error}");
        assert_eq!(vault.repositories().unwrap(), ["ca"], "nothing was made");
    }
}

/// What earlier backups have stored is relied on for a while after it was read, and then it is read again.
#[test]
fn with_read_back_new_old_packs_are_read_again_after_a_while() {
    let mut ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let with = |within: &str| {
        let more = format!("key-file = 'ROOT/{{ca}}.key'\nread-back = 'new'\nverified-within = '{within}'\n");
        vault(&root, &more).remembering_in(root.join("state"))
    };
    let take = |ca: &Ca, repository: &CaRepository| {
        let later = TakeOptions { check: Check::Later, ..TakeOptions::new(BackupType::Full) };
        let sink = repository.sink(options(None))?;
        take_into(&mut ca.source(), Box::new(sink), &later, &mut Silent)
    };
    // So many that the database has parts which the next backup finds unchanged.
    ca.issue(600);
    with("7d").create("ca", "a code", LABEL).unwrap();
    let repository = with("7d").repository(None).unwrap();
    take(&ca, &repository).unwrap();
    let record = root.join("state/packs-read/vault/ca");
    assert!(record.is_file());
    assert_eq!(take(&ca, &repository).unwrap().findings, []);

    // Bytes change on the medium, in each pack in turn. One of them holds what the next backup finds unchanged.
    ca.issue(1);
    let noticed = |within: &str| {
        let repository = with(within).repository(None).unwrap();
        let before = fs::read_dir(root.join("vault/ca/snapshots")).unwrap().count();
        let error = take(&ca, &repository).err();
        assert!(error.as_ref().is_none_or(|error| error.class() == Class::Damaged), "{error:?}");
        let after = fs::read_dir(root.join("vault/ca/snapshots")).unwrap().count();
        assert_eq!(after - before, usize::from(error.is_none()), "nothing counts that leans on it");
        error.is_some()
    };
    let mut relied = 0;
    for pack in packs(&root.join("vault/ca/data")) {
        let sound = fs::read(&pack).unwrap();
        let mut bytes = sound.clone();
        // In each of its parts: which of them the next backup needs, nobody knows.
        let len = bytes.len();
        (1..32).for_each(|part| bytes[len * part / 32] ^= 1);
        fs::write(&pack, bytes).unwrap();
        if !noticed("7d") && noticed("0h") {
            relied += 1;
            let noted = fs::read(&record).unwrap();
            fs::remove_file(&record).unwrap();
            assert!(noticed("7d"), "what nobody has noted is read");
            fs::write(&record, noted).unwrap();
        }
        fs::write(&pack, sound).unwrap();
    }
    assert!(0 < relied);
}

fn packs(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { packs(&path) } else { vec![path] }).collect()
}
