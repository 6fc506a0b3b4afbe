//! A CA's folder belongs to the account of its service, and root takes its backups: whoever has taken that account over plants
//! links to files that only root may read. None of them comes into a set.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;

use crate::support::Work;

const SECRET: &str = "SECRET-of-somebody-else";

/// Every file below a folder that holds the secret.
fn with_secret(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(with_secret(&path)),
            kind if kind.is_file() => {
                let content = fs::read(&path).unwrap();
                found.extend(
                    content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()).then_some(path),
                );
            }
            _ => {}
        }
    }
    found
}

/// The account of the service.
const SERVICE: u32 = 65_534;

/// Puts a link to a file with the secret, which the service's account has made, in the place of a file of the CA.
fn plant(work: &Work, file: &str) {
    let path = work.path("ca").join(file);
    let text = fs::read_to_string(&path).unwrap_or_default();
    fs::remove_file(&path).ok();
    // What is taken apart stays what it is: a comment goes beside it.
    let secret = work.path("elsewhere").join(file.replace('/', "-"));
    fs::create_dir_all(work.path("elsewhere")).unwrap();
    fs::write(&secret, format!("# {SECRET}\n{text}")).unwrap();
    symlink(secret, &path).unwrap();
    lchown(path, Some(SERVICE), Some(SERVICE)).unwrap();
}

/// Whether this test can make links of another account.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn no_link_of_the_folder_is_followed_into_a_set() {
    if !is_root() {
        return;
    }
    let work = Work::with_ca();
    for file in ["crl/planted.crl", "crl/planted.crt", "ca.toml", "ca.crt"] {
        plant(&work, file);
    }
    let run = work.run("--json backup --dir {ca} --to {set}");
    let result = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{result}");
    assert_eq!(with_secret(&work.path("set")), Vec::<std::path::PathBuf>::new(), "{result}");
    let told = result["findings"].to_string();
    assert!(told.contains("ca.toml is a link") && told.contains("ca.crt is a link"), "{told}");
    let manifest = fs::read_to_string(work.path("set/manifest.json")).unwrap();
    assert!(manifest.contains("planted.crl") && manifest.contains("planted.crt"), "{manifest}");
    // The CRL of the CA itself comes into the set by two ways.
    plant(&work, "crl/Test-CA.crl");
    let run = work.run("--json backup --dir {ca} --to {second}");
    assert_eq!((run.code, with_secret(&work.path("second")).len()), (1, 0), "{run:?}");
    let run = work.run("--json identity --dir {ca} --to {identity}");
    assert_eq!((run.code, with_secret(&work.path("identity")).len()), (1, 0), "{run:?}");
}

#[test]
fn nothing_that_a_link_leads_to_is_attached() {
    if !is_root() {
        return;
    }
    for file in ["ca.toml", "ca.crt", "ca.key", "users.toml"] {
        let work = Work::with_ca();
        work.run("backup --dir {ca} --to {set} --no-identity").good();
        fs::write(work.path("ca/users.toml"), "").unwrap();
        plant(&work, file);
        let run = work.run("--json attach {set} --dir {ca} --users --passphrase-file {pass}");
        let error = run.json()["error"].clone();
        assert_eq!(run.code, 5, "{file}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&format!("{file} is a link")), "{message}");
        assert!(with_secret(&work.path("set")).is_empty(), "{file}");
    }
}

/// An administrator may have what is published, and the configuration, elsewhere. Such links are root's, or the caller's.
#[test]
fn links_of_the_administrator_are_followed() {
    let work = Work::with_ca();
    fs::create_dir_all(work.path("www")).unwrap();
    fs::rename(work.path("ca/crl"), work.path("www/crl")).unwrap();
    symlink(work.path("www/crl"), work.path("ca/crl")).unwrap();
    fs::rename(work.path("ca/ca.toml"), work.path("www/ca.toml")).unwrap();
    symlink(work.path("www/ca.toml"), work.path("ca/ca.toml")).unwrap();
    let run = work.run("--json backup --dir {ca} --to {set}");
    assert_eq!(run.code, 0, "{run:?}");
    for file in ["DynamicFiles/Test-CA.crl", "Identity/Config/ca.toml"] {
        assert!(work.path("set").join(file).is_file(), "{file}: {run:?}");
    }
}
