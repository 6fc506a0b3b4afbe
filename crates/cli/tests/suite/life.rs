//! The main job: a CA issues, is backed up, is lost, comes back, and goes on.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{Work, openssl, text};

#[test]
fn a_ca_lives_through_its_own_loss() {
    let work = Work::with_ca();
    let mut serials: BTreeSet<String> = ["one", "two", "three"].map(|name| work.issue("ca", name)).into();
    let revoked = serials.first().unwrap().clone();
    let result = work.result(&format!("ca revoke --dir {{ca}} --serial {revoked} --reason keyCompromise"));
    assert_eq!(result["reason"], "keyCompromise");
    let crl = work.result("ca crl --dir {ca} --passphrase-file {pass}");
    assert_eq!((crl["number"].as_i64(), crl["entries"].as_i64()), (Some(2), Some(1)));
    check_with_openssl(&work, "ca", &serials, &revoked);

    let full = work.result("backup --dir {ca} --to {monday}");
    assert_eq!((&full["kind"], &full["is_base"]), (&"full".into(), &true.into()));
    serials.extend(["four", "five"].map(|name| work.issue("ca", name)));
    let logs = work.result("backup --dir {ca} --to {noon} --type logs");
    assert_eq!((&logs["kind"], &logs["is_base"]), (&"differential".into(), &false.into()));

    let verified = work.result("verify {monday} {noon}");
    assert_eq!(verified["restorable"], true);
    assert_eq!(verified["content"]["certificates"], 5);
    assert_eq!(verified["content"]["revoked"], 1);
    assert_eq!(verified["findings"], Value::Array(Vec::new()));
    let before = work.tables("--dir {ca}");
    assert_eq!(work.tables("{monday} {noon}"), before, "the sets hold what the CA holds");
    let exported: Vec<Vec<u8>> = serials.iter().map(|serial| issued(&work, serial)).collect();

    // The disk is gone. The administrator has the sets, and copies of configuration, certificate and key.
    work.copy_key_and_configuration("ca", "ca2");
    fs::rename(work.path("ca"), work.path("lost")).unwrap();
    let plan = work.result("restore --from {monday} --from {noon} --dir {ca2} --dry-run");
    assert_eq!(plan["dry_run"], true);
    assert!(!work.path("ca2/database").exists(), "a dry run touches nothing");
    let restored = work.result("restore --from {monday} --from {noon} --dir {ca2}");
    assert_eq!(restored["recovered"]["high"], logs["generations"]["high"]);
    assert_eq!(work.tables("--dir {ca2}"), before, "every row came back");
    for (serial, pem) in serials.iter().zip(exported) {
        let export = work.result(&format!("ca export --dir {{ca2}} --serial {serial}"));
        assert_eq!(export["certificate"].as_str().unwrap().as_bytes(), pem, "byte for byte");
    }

    // It goes on, without repeating what the lost CA may have used after its last backup.
    let show = work.result("show --dir {ca2}");
    assert!(show["recovered_when"].is_string() && show["marks"] == Value::Array(Vec::new()), "{show}");
    assert!(serials.insert(work.issue("ca2", "six")));
    let rows = work.result("list --dir {ca2} requests")["rows"].clone();
    let numbers: Vec<i64> =
        rows.as_array().unwrap().iter().filter_map(|row| row["request_id"].as_i64()).collect();
    assert!(numbers.last().unwrap() > &1000, "a gap for the requests that were lost: {numbers:?}");
    let crl = work.result("ca crl --dir {ca2} --passphrase-file {pass}");
    assert!(crl["number"].as_i64() > Some(1000), "{crl}");
    check_with_openssl(&work, "ca2", &serials, &revoked);

    // Sets from before and after do not go together: the next backup must be a full one.
    let refused = work.run("--json backup --dir {ca2} --to {evening} --type logs").json();
    assert_eq!(refused["error"]["code"], "0xc8000230");
    work.result("backup --dir {ca2} --to {evening}");
    assert_eq!(work.result("verify {evening}")["content"]["certificates"], 6);
}

/// `openssl` accepts every certificate but the revoked one, against CA certificate and CRL.
fn check_with_openssl(work: &Work, ca: &str, serials: &BTreeSet<String>, revoked: &str) {
    let anchor = work.path(ca).join("ca.crt");
    let der = work.path(ca).join("crl/Test-CA.crl");
    let crl = work.path("crl.pem");
    openssl(&["crl", "-inform", "DER", "-in", text(&der), "-out", text(&crl)]);
    let verified = openssl(&["crl", "-in", text(&crl), "-CAfile", text(&anchor), "-noout"]);
    assert!(verified.contains("verify OK"), "{verified}");
    for serial in serials {
        let certificate = work.path(&format!("issued/{serial}.pem"));
        let arguments = [
            "verify",
            "-x509_strict",
            "-CAfile",
            text(&anchor),
            "-CRLfile",
            text(&crl),
            "-crl_check",
            text(&certificate),
        ];
        if serial == revoked {
            let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && complaint.contains("certificate revoked"), "{complaint}");
        } else {
            openssl(&arguments);
        }
    }
}

fn issued(work: &Work, serial: &str) -> Vec<u8> {
    fs::read(work.path(&format!("issued/{serial}.pem"))).unwrap()
}

#[test]
fn a_subordinate_ca_is_completed_by_its_parents_answer() {
    let work = Work::with_ca();
    let made = work.result("ca init --dir {sub} --name Sub-CA --subordinate --passphrase-file {pass}");
    assert!(made["request"].as_str().unwrap().ends_with("ca.csr"), "{made}");
    work.request("web");
    let early = work.run("--json ca issue --dir {sub} --passphrase-file {pass} {web.csr}").json();
    assert_eq!(early["error"]["code"], "0x80070426", "a CA without certificate: {early}");
    let answer = work.result(
        "ca issue --dir {ca} --passphrase-file {pass} --profile subca --allow-ca --out {issued} {sub/ca.csr}",
    );
    fs::copy(answer["results"][0]["file"].as_str().unwrap(), work.path("answer.pem")).unwrap();
    work.result("ca import --dir {sub} --passphrase-file {pass} {answer.pem}");
    let serial = work.issue("sub", "web");
    let (root, sub) = (work.path("ca/ca.crt"), work.path("sub/ca.crt"));
    let certificate = work.path(&format!("issued/{serial}.pem"));
    openssl(&[
        "verify",
        "-x509_strict",
        "-CAfile",
        text(&root),
        "-untrusted",
        text(&sub),
        text(&certificate),
    ]);
}

#[test]
fn every_request_has_its_own_outcome() {
    let work = Work::with_ca();
    work.request("good");
    fs::write(work.path("bad.csr"), "no request").unwrap();
    let line =
        "ca issue --dir {ca} --passphrase-file {pass} --out {issued} {bad.csr} {good.csr} {absent.csr}";
    let run = work.run(&format!("--json {line}"));
    assert_eq!(run.code, 1, "done, with something to look into");
    let json = run.json();
    let results = json["result"]["results"].as_array().unwrap();
    assert_eq!(results[0]["error"]["code"], "0x8007000d");
    assert_eq!(results[1]["error"], Value::Null);
    assert_eq!(results[2]["error"]["code"], "0x80070002");
    assert_eq!((&json["result"]["issued"], &json["result"]["failed"]), (&1.into(), &2.into()));

    // What failed is an error, and no remark.
    let told = work.run(&format!("--quiet {}", line.replace("{issued}", "{others}")));
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stdout.contains("bad.csr: ") && told.stdout.contains("absent.csr: "), "{told:?}");
    assert!(!told.stdout.contains("good.csr"), "{told:?}");

    // Without --out the certificate itself is the output, with nothing else under --quiet.
    let pem = work.run("--quiet ca issue --dir {ca} --passphrase-file {pass} {good.csr}").good();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"));
}

#[test]
fn tables_for_a_person_and_for_a_spreadsheet() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "web");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial} --reason superseded"));
    let table = work.run("list --dir {ca} revoked").good();
    let (heading, row) = table.split_once('\n').unwrap();
    assert!(heading.starts_with("Request  Serial number") && row.contains("superseded"), "{table}");
    assert!(row.contains("Z  ") && row.contains(&serial), "dates are RFC 3339 in UTC: {table}");
    let csv = work.run("ca list --dir {ca} certificates --csv").good();
    let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("request_id,serial_number,disposition,"));
    assert!(lines[2].contains("\"CN=web.example,O=Example\""), "a field with a comma is quoted: {csv}");
    assert_eq!(work.result("list --dir {ca} requests --limit 1")["truncated"], true);

    let exported = work.result("list --dir {ca} --export-certs {certs}");
    assert_eq!(exported["exported"]["certificates"], 2);
    assert_eq!(fs::read(work.path(&format!("certs/{serial}.pem"))).unwrap(), issued(&work, &serial));
    let again = work.run("--json list --dir {ca} --export-certs {certs}").json();
    assert_eq!(again["error"]["code"], "0x800700b7", "nothing is overwritten: {again}");
}

#[test]
fn names_that_would_steer_the_terminal_are_shown_escaped() {
    let work = Work::with_ca();
    let key = work.path("evil.key");
    let request = work.path("evil.csr");
    openssl(&[
        "req",
        "-new",
        "-nodes",
        "-utf8",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-subj",
        "/CN=evil\u{9b}2Jx",
        "-keyout",
        text(&key),
        "-out",
        text(&request),
    ]);
    // Granted or denied: it is listed, and harmless.
    work.run("ca issue --dir {ca} --passphrase-file {pass} --profile client --out {issued} {evil.csr}");
    let table = work.run("list --dir {ca} requests").good();
    assert!(table.contains("evil") && !table.contains('\u{9b}'), "{table:?}");
}
