//! What a lost CA issued after its last backup, from the command line; two states of a CA compared.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Run, Work, command, openssl, text};
use crate::windows_files::ca_database;

/// Events as XML.
pub(crate) fn events(of: &[(u32, &[(&str, &str)])]) -> String {
    let mut text = String::from("<Events>");
    for (id, data) in of {
        let data: String =
            data.iter().map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>")).collect();
        text.push_str(&format!(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
             <Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>{id}</EventID>\
             <TimeCreated SystemTime='2025-10-01T12:00:00.5Z'/><Computer>ca1.corp.example</Computer></System>\
             <EventData>{data}</EventData></Event>\n"
        ));
    }
    text + "</Events>"
}

/// What happens after the last row of CertLog.edb: one of each kind.
pub(crate) fn after_the_backup() -> String {
    events(&[
        (
            4887,
            &[
                ("RequestId", "12"),
                ("Requester", "CORP\\web"),
                ("Subject", "CN=&lt;script&gt;alert(1)&lt;/script&gt;"),
                ("CertificateTemplate", "WebServer"),
                ("SerialNumber", "650000000c001122334455667700000000000c"),
            ],
        ),
        (4888, &[("RequestId", "14")]),
        (
            4887,
            &[
                ("RequestId", "15"),
                ("Subject", "=1+1"),
                ("SubjectKeyIdentifier", "1a 91"),
                ("Requester", "x"),
            ],
        ),
        (
            4870,
            &[
                ("CertificateSerialNumber", "6500000004dfd5d66db7c478b5000000000004"),
                ("RevocationReason", "1"),
            ],
        ),
        (4888, &[("RequestId", "4")]),
        (4872, &[("CRLNumber", "7")]),
        (4876, &[("BackupType", "1"), ("SubjectUserName", "backup"), ("SubjectDomainName", "CORP")]),
        (4877, &[]),
    ])
}

#[test]
fn the_gap_of_a_windows_ca_goes_into_its_emergency_crl() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    fs::write(work.path("events.xml"), after_the_backup()).unwrap();
    let run = work.run("--json gap {CertLog.edb} --events {events.xml} --to {gap}");
    let gap = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{gap}");
    assert_eq!(gap["serial_only"][0]["request_id"], 12);
    assert_eq!(gap["request_only"][0]["request_id"], 15);
    assert_eq!(gap["unaccounted"][0], serde_json::json!({ "first": 13, "last": 13 }));
    assert_eq!(gap["revoked_elsewhere"][0]["reason"], "keyCompromise");
    assert_eq!(gap["contradictions"][0]["what"], "denied-elsewhere");
    assert_eq!(gap["rpo"]["requests"], 4);
    for name in gap["files"].as_array().unwrap() {
        assert!(work.path("gap").join(name.as_str().unwrap()).is_file(), "{name}");
    }
    let page = fs::read_to_string(work.path("gap/report.html")).unwrap();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    let table = fs::read_to_string(work.path("gap/gap.csv")).unwrap();
    assert!(table.contains("request-only,15,,2025-10-01T12:00:00Z,,'=1+1,x,,"), "{table}");
    // The list is what emergency-crl takes.
    let line = "--json emergency-crl {CertLog.edb} --tbs-only --no-published --now 2025-10-03T12:00:00Z";
    let run = work.run(&format!("{line} --revoke-file {{gap/revoke-only.csv}} --to {{crl}}"));
    let made = run.json()["result"].clone();
    assert_eq!((&made["revocations"], &made["crls"][0]["entries"]), (&2.into(), &2.into()), "{made}");
    let report: Value = serde_json::from_slice(&fs::read(work.path("crl/report.json")).unwrap()).unwrap();
    let listed = report["crls"][0]["listed"].to_string();
    for serial in ["650000000c001122334455667700000000000c", "6500000004dfd5d66db7c478b5000000000004"] {
        assert!(listed.contains(serial), "{listed}");
    }
    // For a person.
    let told = work.run("gap {CertLog.edb} --events {events.xml}");
    assert!(
        told.stdout.contains("RPO: 4 requests after it: 2 certificates, 1 denied, 0 pending, 1 unknown"),
        "{told:?}"
    );
    assert!(told.stdout.contains("unaccounted: 13"), "{told:?}");
    // Nothing is overwritten, nothing is guessed.
    assert_eq!(work.run("gap {CertLog.edb} --events {events.xml} --to {gap}").code, 3);
    assert_eq!(work.run("gap {CertLog.edb}").code, 2);
    assert_eq!(work.run("gap {CertLog.edb} --events {missing.xml} --to {two}").code, 3);
    assert!(!work.path("two").exists());
}

#[test]
fn the_gap_of_our_own_ca_comes_from_certificates_and_its_crl() {
    let work = Work::with_ca();
    work.issue("ca", "early");
    work.result("backup --dir {ca} --to {set}");
    let (later, lost) = (work.issue("ca", "later"), work.issue("ca", "lost"));
    work.result(&format!("ca revoke --dir {{ca}} --serial {lost} --reason superseded"));
    let published = work.result("ca crl --dir {ca} --passphrase-file {pass}");
    fs::copy(published["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    fs::create_dir_all(work.path("found/deep")).unwrap();
    // What turns up: the certificate of `later` in PKCS#7, and that of a stranger.
    let found: Vec<_> =
        fs::read_dir(work.path("issued")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let later_file = found.iter().find(|path| text(path).contains(&later)).unwrap();
    let p7b = work.path("found/deep/later.p7b");
    openssl(&["crl2pkcs7", "-nocrl", "-certfile", text(later_file), "-outform", "DER", "-out", text(&p7b)]);
    work.run("ca init --dir {other} --name Stranger --passphrase-file {pass}").good();
    work.issue("other", "early");
    fs::copy(work.path("other/ca.crt"), work.path("found/stranger.pem")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/dev/zero", work.path("found/deep/zero")).unwrap();
    let run = work.run("--json gap {set} --certificates {found} --crl {last.crl} --to {gap}");
    let gap = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{gap}");
    let serials = |key: &str| -> Vec<String> {
        gap[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["serial_number"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(serials("importable"), [later.as_str()]);
    assert_eq!(serials("serial_only"), [lost.as_str()]);
    assert_eq!(gap["serial_only"][0]["revoked"]["reason"], "superseded");
    assert_eq!(gap["foreign"], 1, "{gap}");
    assert_eq!(gap["rpo"]["unknown"], 0);
    assert!(work.path(&format!("gap/import/{later}.cer")).is_file());
    assert!(work.path("gap/return.sh").is_file());
    // The restored CA does not know it: it refuses, and the script publishes no CRL that would lack it.
    let returned = fs::read_to_string(work.path("gap/return.csv")).unwrap();
    assert!(returned.contains(&format!("{lost},superseded,")), "{returned}");
    work.copy_key_and_configuration("ca", "restored");
    work.result("restore --from {set} --dir {restored}");
    let applied = work.run("--json apply-revocations {gap/return.csv} --dir {restored}");
    assert_eq!((applied.code, &applied.json()["result"]["refused"]), (1, &1.into()), "{applied:?}");
    let list = fs::read_to_string(work.path("gap/revoke-only.csv")).unwrap();
    assert!(list.contains(&format!("{lost},superseded,")), "{list}");
    // The CA itself lacks nothing.
    let run = work.run("--json gap {ca} --certificates {found} --crl {last.crl}");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["result"]["seen"], 2);
}

/// The set knows the first key alone, and what the next one signed is in force.
#[test]
fn what_a_renewed_key_of_the_ca_signed_is_no_certificate_of_another_ca() {
    let work = Work::with_ca();
    work.issue("ca", "early");
    work.result("backup --dir {ca} --to {set}");
    work.run("ca init --dir {renewed} --name Test-CA --passphrase-file {pass}").good();
    let later = work.issue("renewed", "later");
    fs::copy(work.path("renewed/ca.crt"), work.path("issued/ca.crt")).unwrap();
    let run = work.run("--json gap {set} --certificates {issued} --to {gap}");
    let gap = run.json()["result"].clone();
    assert_eq!((run.code, &gap["seen"], &gap["foreign"]), (1, &1.into(), &0.into()), "{gap}");
    let found = gap["of_unknown_key"].as_array().unwrap();
    let of = |is_own: bool| {
        let one = found.iter().find(|one| one["self_issued"] == is_own).unwrap();
        one["serial_number"].as_str().unwrap()
    };
    assert_eq!((found.len(), of(false)), (2, later.as_str()), "{gap}");
    let finding = &gap["findings"][0];
    assert_eq!(
        (&finding["kind"], gap["findings"].as_array().unwrap().len()),
        (&"gap-certificates".into(), 1),
        "{gap}"
    );
    let detail = finding["detail"].as_str().unwrap();
    assert!(detail.contains(of(true)) && detail.contains(&later), "{detail}");
    let page = fs::read_to_string(work.path("gap/report.html")).unwrap();
    assert!(page.contains("Of a key that the database does not know") && page.contains(&later), "{page}");
    // The remedy works.
    let crl = work.result("ca crl --dir {renewed} --passphrase-file {pass}");
    fs::copy(crl["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    let line = format!(
        "emergency-crl --from-crl {{last.crl}} --key {{renewed/ca.key}} --passphrase-file {{pass}} --revoke {later}"
    );
    assert_eq!(work.result(&format!("{line} --to {{crl}}"))["crls"][0]["entries"], 1);
}

/// Sources that say nothing are no proof that nothing is missing.
#[test]
fn a_source_that_tells_nothing_is_a_finding() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    fs::write(work.path("events.csv"), "RequestId,Subject\r\n12,CN=a\r\n").unwrap();
    fs::write(
        work.path("clixml.xml"),
        "<Objs Version=\"1.1.0.1\"><Obj RefId=\"0\"><I32 N=\"Id\">4887</I32></Obj></Objs>",
    )
    .unwrap();
    fs::write(work.path("events.json"), "[{\"Id\": 4887}]").unwrap();
    fs::write(work.path("empty.xml"), "").unwrap();
    fs::write(work.path("users.csv"), "DN,userCertificate\r\nCN=a,X'30'\r\n").unwrap();
    fs::write(work.path("plain.ldif"), "dn: CN=a\nobjectClass: user\n").unwrap();
    fs::create_dir_all(work.path("none/below")).unwrap();
    let silent = |line: &str| {
        let run = work.run(&format!("--json gap {{CertLog.edb}} {line}"));
        let result = run.json()["result"].clone();
        assert_eq!(run.code, 1, "{line}: {result}");
        assert_eq!(result["rpo"]["requests"], 0);
        let found = result["findings"].as_array().unwrap();
        found.iter().filter(|finding| finding["kind"] == "source-silent").count()
    };
    let files =
        ["events.csv", "clixml.xml", "events.json", "empty.xml"].map(|name| format!("{{{name}}}")).join(" ");
    assert_eq!(silent(&format!("--events {files}")), 4);
    assert_eq!(silent("--ldif {users.csv} {plain.ldif}"), 2);
    assert_eq!(silent("--certificates {none}"), 2, "the folder, and that there is no source at all");
    // Events of another machine, and of a later time.
    fs::write(work.path("events.xml"), after_the_backup()).unwrap();
    assert_eq!(silent("--events {events.xml} --computer ca2.corp.example"), 1);
    assert_eq!(silent("--events {events.xml} --issued-until 2025-09-30T12:00:00Z"), 1);
}

/// An event log as Windows stores it that holds no event: a filtered export of a quiet day.
pub(crate) fn empty_event_log() -> Vec<u8> {
    let mut log = vec![0; 4 << 10];
    log[..8].copy_from_slice(b"ElfFile\0");
    log[32..36].copy_from_slice(&128_u32.to_le_bytes());
    for (place, number) in [(36, 1_u16), (38, 3), (40, 4096), (42, 1)] {
        log[place..place + 2].copy_from_slice(&number.to_le_bytes());
    }
    let mut chunk = vec![0; 64 << 10];
    chunk[..8].copy_from_slice(b"ElfChnk\0");
    for (place, number) in [(8, 1), (16, u64::MAX), (24, 1), (32, u64::MAX)] {
        chunk[place..place + 8].copy_from_slice(&number.to_le_bytes());
    }
    for (place, number) in [(40, 128_u32), (44, 512), (48, 512)] {
        chunk[place..place + 4].copy_from_slice(&number.to_le_bytes());
    }
    [log, chunk].concat()
}

/// On a quiet day a filtered export has no event: that is told, and is no mistake of whoever gives it.
#[test]
fn an_intact_event_log_without_events_is_a_note() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    fs::write(work.path("quiet.evtx"), empty_event_log()).unwrap();
    // A log that was never written has no chunk.
    let mut new = empty_event_log()[..4096].to_vec();
    new[42] = 0;
    fs::write(work.path("new.evtx"), new).unwrap();
    fs::write(work.path("quiet.xml"), "<?xml version='1.0'?>\n<Events></Events>").unwrap();
    fs::write(work.path("nothing.xml"), "").unwrap();
    fs::write(work.path("cut.evtx"), &empty_event_log()[..4096]).unwrap();
    let findings = |line: &str, code: i32| {
        let run = work.run(&format!("--json gap {{CertLog.edb}} --events {line}"));
        let found = run.json()["result"]["findings"].as_array().unwrap().clone();
        assert_eq!(run.code, code, "{line}: {found:?}");
        found
    };
    for line in ["{quiet.evtx}", "{new.evtx}", "{quiet.xml}", "{quiet.evtx} {quiet.xml}"] {
        for finding in findings(line, 0) {
            assert_eq!((&finding["kind"], &finding["severity"]), (&"source-silent".into(), &"note".into()));
            assert!(!finding.to_string().contains("wevtutil"), "{finding}");
        }
        assert_eq!(findings(line, 0).len(), line.split(' ').count());
    }
    // Nothing shows that this is a log: the line that is told makes one that shows it.
    let nothing = findings("{quiet.evtx} {nothing.xml}", 1);
    assert!(nothing[0].to_string().contains("/e:Events"), "{nothing:?}");
    assert_eq!(findings("{cut.evtx}", 1)[0]["kind"], "source-unreadable");
}

/// Certificates are often kept behind links: those to files are followed, the others are told.
#[cfg(unix)]
#[test]
fn links_to_certificates_are_followed_and_other_links_are_told() {
    use std::os::unix::fs::symlink;
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    let later = work.issue("ca", "later");
    fs::create_dir_all(work.path("live/web")).unwrap();
    fs::create_dir_all(work.path("archive")).unwrap();
    let issued = fs::read_dir(work.path("issued")).unwrap().next().unwrap().unwrap().path();
    fs::rename(issued, work.path("archive/cert1.pem")).unwrap();
    symlink("../../archive/cert1.pem", work.path("live/web/cert.pem")).unwrap();
    let run = work.run("--json gap {set} --certificates {live}");
    let result = run.json()["result"].clone();
    assert_eq!(result["importable"][0]["serial_number"], later.as_str(), "{result}");
    assert_eq!(result["findings"].as_array().unwrap().len(), 1, "{result}");
    // Its serial number carries no number of a request.
    assert_eq!(
        (&result["rpo"]["requests"], &result["rpo"]["certificates"], &result["rpo"]["unnumbered"]),
        (&1.into(), &1.into(), &1.into())
    );
    let told = work.run("gap {set} --certificates {live}").stdout;
    assert!(
        told.contains("RPO: 1 request after it: 1 certificate (1 of an unknown request number)"),
        "{told}"
    );
    // A folder behind a link, and links that lead to nothing.
    fs::create_dir_all(work.path("links")).unwrap();
    symlink(work.path("archive"), work.path("links/archive")).unwrap();
    symlink(work.path("gone"), work.path("links/gone")).unwrap();
    symlink("circle", work.path("links/circle")).unwrap();
    let run = work.run("--json gap {set} --certificates {links}");
    let findings = run.json()["result"]["findings"].to_string();
    assert_eq!(run.code, 1);
    assert!(
        findings
            .contains("no file was read in it; left out: 1 link to a folder, 2 links that lead to nothing"),
        "{findings}"
    );
}

#[test]
fn two_states_are_compared() {
    let work = Work::with_ca();
    let (one, two) = (work.issue("ca", "one"), work.issue("ca", "two"));
    work.result(&format!("ca revoke --dir {{ca}} --serial {two} --reason certificateHold"));
    work.result("backup --dir {ca} --to {set}");
    let three = work.issue("ca", "three");
    work.result(&format!("ca revoke --dir {{ca}} --serial {one} --reason superseded"));
    work.result(&format!("ca revoke --dir {{ca}} --serial {two} --reason removeFromCRL"));
    work.result("backup --dir {ca} --to {logs} --type logs");
    let changes = |line: &str| -> Vec<(String, String)> {
        let run = work.run(&format!("--json diff {line}"));
        let rows = run.json()["result"]["rows"].as_array().unwrap().clone();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "change"), text(row, "serial_number"))).collect()
    };
    let pair = |change: &str, serial: &str| (change.to_owned(), serial.to_owned());
    let expected = [pair("revoked", &one), pair("unrevoked", &two), pair("issued", &three)];
    assert_eq!(changes("{set} {ca}"), expected);
    assert_eq!(changes("{set} {set} --logs-b {logs}"), expected);
    assert!(changes("{set} {set}").is_empty());
    let back = changes("{ca} {set}");
    assert!(back.contains(&pair("missing", &three)), "{back:?}");
    assert_eq!(work.run("diff {ca} {set}").code, 1);
    let table = work.run("diff {set} {ca} --csv").good();
    assert!(
        table.starts_with("change,request_id,serial_number,common_name,when,not_after,reason\r\n"),
        "{table}"
    );
    let told = work.run("diff {set} {ca}").good();
    assert!(told.contains("1 issued, 1 revoked, 1 unrevoked"), "{told}");
    work.run("ca init --dir {other} --name Other --passphrase-file {pass}").good();
    let refused = work.run("diff {set} {other}");
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stdout.is_empty());
}

#[test]
fn a_restore_over_a_database_says_what_the_restored_one_lacks() {
    let work = Work::with_ca();
    let one = work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    let same = work.result("restore --from {set} --dir {ca} --force");
    assert_eq!(same["lacks"]["certificates"], 0, "{same}");
    work.result("backup --dir {ca} --to {set2}");
    let (two, three) = (work.issue("ca", "two"), work.issue("ca", "three"));
    work.result(&format!("ca revoke --dir {{ca}} --serial {one} --reason superseded"));
    // What is lacking with its revocation is both.
    work.result(&format!("ca revoke --dir {{ca}} --serial {three} --reason keyCompromise"));
    // Lost revocations are a warning, in a dry run, too.
    let run = work.run("--json restore --from {set2} --dir {ca} --force --dry-run");
    let would_be = run.json()["result"]["lacks"].clone();
    assert_eq!(run.code, 1, "{run:?}");
    let run = work.run("--json restore --from {set2} --dir {ca} --force");
    let restored = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{run:?}");
    assert!(restored["warnings"][0].as_str().unwrap().contains("lacks 2 revocations"), "{restored}");
    assert_eq!(would_be, restored["lacks"]);
    let lacks = &restored["lacks"];
    assert_eq!((&lacks["certificates"], &lacks["revocations"]), (&2.into(), &2.into()), "{lacks}");
    let named: Vec<_> = lacks["first"].as_array().unwrap().iter().map(|one| &one["serial_number"]).collect();
    assert_eq!(named, [one.as_str(), two.as_str(), three.as_str()]);
    assert_eq!(lacks["first"][2]["reason"], "keyCompromise");
    assert_eq!(lacks["problem"], Value::Null);
    // A revocation for good that is a hold in the set is lacking as well.
    let four = work.issue("ca", "four");
    work.result(&format!("ca revoke --dir {{ca}} --serial {four} --reason certificateHold"));
    work.result("backup --dir {ca} --to {set3}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {four} --reason keyCompromise"));
    let told = work.run("restore --from {set3} --dir {ca} --force");
    assert!(told.stdout.contains(&format!("revocation for good of {four}")), "{told:?}");
    // What was replaced stays as it was, and can be compared again.
    let aside = restored["moved_aside"].as_str().unwrap().to_owned();
    assert!(fs::read_dir(Path::new(&aside).join("database")).unwrap().count() >= 1);
    assert!(
        fs::read_dir(&aside).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .contains("scratch"))
    );
    let fresh = work.result("restore --from {set2} --dir {new}");
    assert_eq!(fresh["lacks"], Value::Null);
}

/// Recovering a set of many logs takes long: what a restore compares looks at one recovered database.
#[test]
fn a_restore_recovers_its_sets_no_more_often_than_it_must() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    let recovered = |options: &str| {
        let mut command =
            command(&work.path(""), &format!("restore --from {{set}} --dir {{ca}} --force {options}"));
        let run = Run::of(command.env("CERTADM_LOG", "certadm_set=debug"));
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.contains("lacks no certificate"), "{run:?}");
        run.stderr.matches("recovering in a scratch folder").count()
    };
    assert_eq!(recovered("--dry-run"), 1, "the check has recovered it");
    // The copy is checked; afterwards the CA's own database is looked at, where it is recovered.
    assert_eq!(recovered("--no-recover"), 2);
    assert_eq!(recovered(""), 1);
}
