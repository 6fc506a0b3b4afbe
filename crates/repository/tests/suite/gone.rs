//! A repository that was made and is not there any more: it is not mounted, or somebody has deleted it. Nobody is told to make it.

use std::fs;
use std::path::Path;

use certadm_repository::{Error, Label, Profiles, Vault};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};

use crate::common::{Ca, assert_whole};

const LABEL: Label<'static> = Label { host: "tests", user: "recovery code" };

fn vault(root: &Path, key_file: &str) -> Vault {
    let text = format!("[vault]\nurl = 'file://{0}/vault'\nkey-file = '{0}/{key_file}'\n", root.display());
    Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
}

/// Whoever asks for the repository hears that it is gone, and how it comes back.
fn assert_gone(vault: &Vault) {
    let repository = || vault.repository(Some("ca")).unwrap();
    for error in [repository().points().unwrap_err(), repository().keys().unwrap_err()] {
        assert!(matches!(error, Error::Gone { .. }) && error.class() == Class::Unreachable, "{error}");
        assert!(error.to_string().contains(".key") && error.remedy().contains("mount"), "{error}");
        assert!(error.remedy().contains("undelete"), "{}", error.remedy());
    }
    let refused = vault.create("ca", "a code", LABEL).unwrap_err();
    assert!(matches!(refused, Error::KeyIsHere { .. }) && refused.class() == Class::Refused, "{refused}");
    assert!(refused.remedy().contains("--reuse-key"), "{}", refused.remedy());
}

#[test]
fn a_vault_that_is_not_mounted_is_not_made_again() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "{ca}.key");
    // Before anything was made, nothing is gone but the folder.
    let unmade = vault.repository(Some("ca")).unwrap_err();
    assert!(
        matches!(unmade, Error::NoVaultFolder { .. }) && unmade.class() == Class::Unreachable,
        "{unmade}"
    );
    fs::create_dir(root.join("vault")).unwrap();
    let unmade = vault.repository(Some("ca")).unwrap_err();
    assert!(matches!(unmade, Error::NoRepository { .. }) && unmade.class() == Class::Refused, "{unmade}");
    assert!(vault.cas().unwrap().is_empty(), "a new vault keeps nothing yet");
    fs::write(root.join("tls.key"), "what is no key of a repository does not count").unwrap();
    assert!(vault.cas().unwrap().is_empty());

    let made = vault.create("ca", "a code", LABEL).unwrap();
    ca.back_up(&made, BackupType::Full).unwrap();
    fs::rename(root.join("vault"), root.join("unmounted")).unwrap();
    assert_gone(&vault);
    assert!(matches!(vault.cas(), Err(Error::Storage { .. })), "its folder cannot be listed");
    assert!(!root.join("vault").exists(), "nothing was made where the disk belongs");
    // The mount point alone.
    fs::create_dir(root.join("vault")).unwrap();
    assert_gone(&vault);
    for gone in [vault.repository(None).map(drop), vault.repositories().map(drop), vault.cas().map(drop)] {
        assert!(matches!(gone, Err(Error::Gone { .. })), "{gone:?}");
    }
    assert_eq!(fs::read_dir(root.join("vault")).unwrap().count(), 0);
    fs::remove_dir(root.join("vault")).unwrap();
    fs::rename(root.join("unmounted"), root.join("vault")).unwrap();
    assert_eq!(assert_whole(&vault.repository(None).unwrap(), &root), 1);

    // It is lost for good: whoever says so gets a new one under the same key.
    fs::remove_dir_all(root.join("vault")).unwrap();
    let again = vault.create_under_known_key("ca", "another code", LABEL).unwrap();
    ca.back_up(&again, BackupType::Full).unwrap();
    assert_eq!(assert_whole(&vault.repository(None).unwrap(), &root), 1);
    let twice = vault.create_under_known_key("ca", "another code", LABEL).unwrap_err();
    assert!(matches!(twice, Error::RepositoryExists { .. }), "{twice}");
}

/// A repository that could not be made is not one that is gone: the next `init` needs no word about its key.
#[cfg(unix)]
#[test]
fn a_repository_that_could_not_be_made_leaves_no_key() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "{ca}.key");
    fs::create_dir(root.join("vault")).unwrap();
    // What has the name of its folder is a link that leads nowhere, so that nothing can be made below it.
    std::os::unix::fs::symlink(root.join("vault/nowhere/at/all"), root.join("vault/ca")).unwrap();
    let error = vault.create("ca", "a code", LABEL).unwrap_err();
    assert!(!matches!(error, Error::KeyIsHere { .. }), "{error}");
    assert!(!root.join("ca.key").exists(), "{error}");
    fs::remove_file(root.join("vault/ca")).unwrap();
    ca.back_up(&vault.create("ca", "a code", LABEL).unwrap(), BackupType::Full).unwrap();
}

/// One key file of all CAs does not say of a CA that its repository was made, unless no other one is there either.
#[test]
fn a_key_of_several_cas_says_nothing_of_one_of_them() {
    let ca = Ca::named("ca");
    let root = ca.beside().to_owned();
    let vault = vault(&root, "one.key");
    vault.create("ca", "a code", LABEL).unwrap();
    let mistyped = vault.repository(Some("ac")).unwrap().points().unwrap_err();
    assert!(matches!(mistyped, Error::NoRepository { .. }), "{mistyped}");
    vault.create("other", "a code", LABEL).unwrap();
    assert!(vault.repository(Some("other")).unwrap().points().unwrap().is_empty());
    fs::rename(root.join("vault"), root.join("unmounted")).unwrap();
    assert_gone(&vault);
    fs::create_dir(root.join("vault")).unwrap();
    assert_gone(&vault);
}
