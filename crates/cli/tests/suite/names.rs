//! Names and numbers as people read them: the CA by its real name, sums that add up, one thing in the singular.

use std::fs;

use serde_json::Value;

use crate::support::{Run, Work, command};
use crate::windows_files::{backup as backup_of_windows, ca_database};

#[test]
fn a_ca_has_its_real_name_everywhere_and_its_sanitized_one_beside_it() {
    const NAME: &str = "Müller & Söhne (Issuing) CA";
    let work = Work::new();
    let mut init = command(&work.path(""), "ca init --dir {ca} --passphrase-file {pass} --name");
    Run::of(init.arg(NAME)).good();
    work.issue("ca", "web");
    work.result("backup --dir {ca} --to {set}");
    let shown = work.result("show {set}");
    assert_eq!(shown["ca"]["name"], NAME);
    assert_eq!(shown["ca"]["sanitized_name"], "M!00fcller !0026 S!00f6hne !0028Issuing!0029 CA");
    let text = work.run("show {set}").good();
    assert!(text.contains(NAME) && text.lines().any(|line| line.starts_with("CA ")), "{text}");
    let verified = work.result("verify {set}");
    assert_eq!(verified["ca"]["name"], format!("CN={NAME}"));
    assert!(work.run("verify {set}").good().contains(NAME));
    work.run("show {set} --html {page.html}").good();
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    assert!(page.contains("Müller &amp; Söhne"), "{page}");
    assert!(!page.contains("<title>M!00fc"), "{page}");
    // A set without its manifest tells by its restore map.
    fs::remove_file(work.path("set/manifest.json")).unwrap();
    let bare = work.run("--json show {set}").json()["result"].clone();
    assert_eq!(bare["ca"]["name"], NAME, "{bare}");
}

/// Sums of the counts in an object of requests.
fn adds_up(requests: &Value) {
    let part = |key: &str| requests[key].as_u64().unwrap_or_else(|| panic!("{key}: {requests}"));
    assert_eq!(part("all"), part("issued") + part("revoked") + part("others") + part("own"), "{requests}");
}

#[test]
fn sums_are_those_of_their_parts() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "one");
    work.issue("ca", "two");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial} --reason superseded"));
    let requests = work.result("show --dir {ca}")["requests"].clone();
    adds_up(&requests);
    assert_eq!((&requests["own"], &requests["revoked"]), (&1.into(), &1.into()));
    let text = work.run("show --dir {ca}").stdout;
    assert!(text.contains("2: 1 issued, 1 revoked\n"), "{text}");
    let crl = work.run("ca crl --dir {ca} --passphrase-file {pass}").good();
    assert!(crl.contains("with 1 entry is"), "{crl}");
    let one = work.run("verify {none}");
    assert_eq!(one.code, 3);
}

#[test]
fn the_database_of_a_windows_ca_tells_whose_it_is_and_how_much_it_holds() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    let shown = work.result("show {CertLog.edb}");
    let ca = &shown["ca"];
    adds_up(&ca["requests"]);
    assert_eq!((&ca["requests"]["all"], &ca["crls"]), (&11.into(), &2.into()), "{ca}");
    let subject = ca["certificate"]["subject"].as_str().unwrap();
    assert!(subject.contains(&format!("CN={}", ca["name"].as_str().unwrap())), "{ca}");
    for key in ["key_identifier", "not_before", "not_after"] {
        assert!(!ca["certificate"][key].as_str().unwrap().is_empty());
    }
    let text = work.run("show {CertLog.edb}").good();
    for line in ["CA ", "CA certificate ", "Requests ", "CRLs ", "Key "] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}: {text}");
    }
    let verified = work.result("verify {CertLog.edb}");
    assert_eq!(verified["ca"]["key_identifier"], ca["certificate"]["key_identifier"]);
    assert_eq!(verified["ca"]["name"], ca["certificate"]["subject"]);
    // A database of another kind is of no CA, and no worse for it.
    if let Some((full, _)) = backup_of_windows(&work.path("other")) {
        let run = Run::of(command(&work.path(""), "--json show").arg(full));
        assert_eq!(run.json()["result"]["ca"], Value::Null);
    }
}
