//! Databases that somebody else wrote: what stands in their schema is refused by name, wherever they are opened, and is
//! never run.

use std::fs;
use std::time::{Duration, Instant};

use certadm_files::Checksum;
use certadm_rules::printable::is_hidden;
use certadm_set::Manifest;
use certadm_set::manifest::{FileEntry, Role};
use certadm_store::log_file::LogFile;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::support::Work;

const PAGE: usize = 8192;

/// Takes the database of a complete set out, lets `change` work on it, and puts it back as if it had always been so: image,
/// trailer, log and manifest agree with each other.
pub(crate) fn rewrite(work: &Work, set: &str, change: impl FnOnce(&Connection)) {
    let set = work.path(set);
    let manifest_path = set.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&manifest_path).unwrap()).unwrap();
    let entry =
        |role| manifest.files.iter().rfind(|entry: &&FileEntry| entry.role == role).unwrap().path.clone();
    let (image_path, log_path) = (set.join(entry(Role::Database)), set.join(entry(Role::Log)));
    let image = fs::read(&image_path).unwrap();
    let (body, trailer) = image.split_at(image.len() - PAGE);
    let (mut body, mut trailer) = (body.to_vec(), trailer.to_vec());
    let log = fs::read(&log_path).unwrap();
    let pages = LogFile::open(&log_path).unwrap().header().database_pages as usize;
    body.resize(pages * PAGE, 0);
    LogFile::open(&log_path)
        .unwrap()
        .pages(|number, page| {
            body[(number as usize - 1) * PAGE..][..PAGE].copy_from_slice(page);
            Ok(())
        })
        .unwrap();
    // Without a write-ahead log for the time of the change.
    body[18..20].fill(1);
    let database = work.path("rewritten.db");
    fs::write(&database, &body).unwrap();
    let connection = Connection::open(&database).unwrap();
    change(&connection);
    drop(connection);
    let mut body = fs::read(&database).unwrap();
    body[18..20].fill(2);
    let pages = body.len() / PAGE;
    trailer[16..24].copy_from_slice(&(pages as u64).to_le_bytes());
    let mut sum = Checksum::new();
    sum.update(&body);
    trailer[72..88].copy_from_slice(&sum.finish());
    let end = trailer.len() - 32;
    let hash = *blake3::hash(&trailer[..end]).as_bytes();
    trailer[end..].copy_from_slice(&hash);
    let content = [&1_u32.to_le_bytes()[..], &body[..PAGE]].concat();
    // docs/store-format.md: a plain log of one page, whose identity is that of the log before.
    let mut header = log[..512].to_vec();
    header[8..12].copy_from_slice(&1_u32.to_le_bytes());
    header[164..204].fill(0);
    header[52..56].copy_from_slice(&1_u32.to_le_bytes());
    header[56..60].copy_from_slice(&u32::try_from(pages).unwrap().to_le_bytes());
    header[72..104].copy_from_slice(blake3::hash(&content).as_bytes());
    let hash = *blake3::hash(&header[..480]).as_bytes();
    header[480..].copy_from_slice(&hash);
    fs::write(&image_path, [body, trailer].concat()).unwrap();
    fs::write(&log_path, [header, content].concat()).unwrap();
    for entry in &mut manifest.files {
        let bytes = fs::read(set.join(&entry.path)).unwrap();
        entry.size = bytes.len() as u64;
        entry.blake3 = blake3::hash(&bytes).to_hex().to_string();
        entry.sha256 = None;
    }
    fs::write(manifest_path, manifest.complete().unwrap()).unwrap();
}

/// What an attacker may have put into the schema, and how it is named.
const FOREIGN: [(&str, &str); 7] = [
    (
        "CREATE TRIGGER undo AFTER UPDATE ON Requests WHEN new.Disposition = 21 BEGIN \
         UPDATE Requests SET Disposition = 20 WHERE RequestID = new.RequestID; END",
        "trigger \"undo\" is foreign",
    ),
    ("CREATE VIEW extra AS SELECT 1", "view \"extra\" is foreign"),
    (
        "PRAGMA foreign_keys = off; DROP TABLE CRLs; CREATE VIEW CRLs AS WITH RECURSIVE n(x) AS \
         (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS RowId, x AS Number FROM n",
        "view \"CRLs\" is foreign",
    ),
    (
        "ALTER TABLE Requests ADD COLUMN bomb TEXT AS (hex(zeroblob(300000000)))",
        "table \"Requests\" is not the one",
    ),
    ("CREATE INDEX costly ON Requests (length(hex(zeroblob(100000000))))", "index \"costly\" is foreign"),
    (
        "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES \
         ('table', 'evil', 'evil', 0, 'CREATE VIRTUAL TABLE evil USING fts5(x)')",
        "table \"evil\" is foreign",
    ),
    ("DROP INDEX CertificateSerialNumberIndex2", "index \"CertificateSerialNumberIndex2\" is missing"),
];

#[test]
fn a_set_with_a_foreign_schema_is_damaged_and_what_is_foreign_is_named() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {good}");
    fs::create_dir(work.path("scratch")).unwrap();
    work.copy("good", "same");
    rewrite(&work, "same", |_| ());
    work.result("verify {same}");
    for (statements, named) in FOREIGN {
        fs::remove_dir_all(work.path("set")).ok();
        work.copy("good", "set");
        rewrite(&work, "set", |connection| connection.execute_batch(statements).unwrap());
        let begun = Instant::now();
        let verified = work.run("--json verify {set}");
        let finding = verified.json()["result"]["findings"][0].clone();
        assert_eq!(
            (verified.code, &finding["kind"]),
            (5, &"foreign-schema".into()),
            "{statements}: {finding}"
        );
        assert!(finding["detail"].as_str().unwrap().contains(named), "{finding}");
        for line in [
            "list {set} requests",
            "list {set} crls --limit 5",
            "gap {set} --certificates {ca/ca.crt} --to {new}",
            "diff {set} {good}",
            "diff {good} {set}",
            "complete {set}",
            "emergency-crl {set} --tbs-only --no-published --to {new}",
            "restore --from {set} --dir {new}",
            "restore --from {set} --dir {new} --dry-run",
        ] {
            let run = work.run(&format!("--json {line}"));
            let error = run.json()["error"].clone();
            assert_eq!((run.code, &error["code"]), (5, &"0xc80004b6".into()), "{line}: {error}");
            assert!(error["message"].as_str().unwrap().contains(named), "{line}: {error}");
            assert!(!work.path("new").exists(), "{line}");
        }
        let rehearsed = work.run("--json rehearse {set} --within {scratch}");
        let found = rehearsed.json()["result"]["findings"].clone();
        let details = found.as_array().unwrap().iter().filter_map(|finding| finding["detail"].as_str());
        let is_named = details.into_iter().any(|detail| detail.contains(named));
        assert!(rehearsed.code == 5 && is_named, "{found}");
        work.run("show {set}");
        assert!(begun.elapsed() < Duration::from_secs(300), "{statements}");
    }
}

#[test]
fn text_of_a_stranger_steers_no_terminal() {
    const EVIL: &str = "\u{1b}]0;pwned\u{7}\u{202e}\u{2066}\u{200b}\u{9b}31m\r\nFAKE LINE";
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {before} --keep-logs");
    let serial = work.issue("ca", "one");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial} --reason keyCompromise"));
    work.result("backup --dir {ca} --to {set}");
    fs::create_dir(work.path("scratch")).unwrap();
    let evil: String = EVIL.chars().map(|letter| format!("&#{};", u32::from(letter))).collect();
    let told = ["4887", "4888"].map(|id| {
        let number = if id == "4887" { "90" } else { "91" };
        let data =
            [("RequestId", number), ("Subject", "@"), ("Requester", "@"), ("SubjectKeyIdentifier", "1a 91")];
        crate::gap::events(&[(id.parse().unwrap(), &data)]).replace('@', &evil)
    });
    fs::write(work.path("events.xml"), told.concat().replace("</Events><Events>", "")).unwrap();
    rewrite(&work, "set", |connection| {
        for table in ["Requests", "Certificates"] {
            let set = format!("UPDATE {table} SET DistinguishedName = ?1, CommonName = ?1");
            connection.execute(&set, [EVIL]).unwrap();
        }
        let set = "UPDATE Requests SET RequesterName = ?1, CallerName = ?1, DispositionMessage = ?1";
        connection.execute(set, [EVIL]).unwrap();
        connection.execute("UPDATE RequestAttributes SET AttributeValue = ?1", [EVIL]).unwrap();
    });
    let path = work.path("set/manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let texts = [
        &mut manifest.ca.name,
        &mut manifest.ca.host,
        &mut manifest.ca.database_signature,
        &mut manifest.ca.stream_signature,
        &mut manifest.tool,
        &mut manifest.started,
        &mut manifest.finished,
    ];
    texts.into_iter().for_each(|text| EVIL.clone_into(text));
    manifest.not_included = vec![EVIL.to_owned()];
    manifest.dynamic_files = vec![format!("\\\\h\\c$\\{EVIL}")];
    manifest.files.iter_mut().for_each(|entry| EVIL.clone_into(&mut entry.source));
    fs::write(&path, manifest.complete().unwrap()).unwrap();
    work.copy("set", "wrong");
    manifest.files[0].path = EVIL.to_owned();
    fs::write(work.path("wrong/manifest.json"), manifest.complete().unwrap()).unwrap();
    work.copy("set", "strange");
    fs::write(work.path("strange/DataBase").join(EVIL.replace('/', "")), "x").unwrap();
    for line in [
        "show {set}",
        "show {set} --html {page.html}",
        "verify {set}",
        "verify {strange}",
        "verify {wrong}",
        "show {wrong}",
        "restore --from {wrong} --dir {new}",
        "restore --from {set} --dir {new} --dry-run",
        "list {set} requests",
        "list {set} certificates",
        "list {set} attributes",
        "gap {set} --events {events.xml} --to {gap}",
        "diff {before} {set}",
        "diff {set} {before}",
        "complete {set}",
        "emergency-crl {set} --tbs-only --no-published --to {crl}",
        "rehearse {set} --within {scratch} --html {rehearsal.html} --evidence {evidence}",
        "rehearse history {evidence} --html {history.html}",
    ] {
        let run = work.run(line);
        for text in [&run.stdout, &run.stderr] {
            let hidden = text.chars().find(|letter| *letter != '\n' && is_hidden(*letter));
            assert_eq!(hidden, None, "{line}: {text}");
            assert!(!text.contains("\nFAKE"), "{line}: {text}");
        }
    }
    for page in ["page.html", "rehearsal.html", "history.html", "gap/report.html"] {
        let text = fs::read_to_string(work.path(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        assert!(!text.chars().any(|letter| letter != '\n' && is_hidden(letter)), "{page}");
    }
}

#[test]
fn a_ca_whose_schema_was_changed_does_not_work() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "one");
    let connection = Connection::open(work.path("ca/database/Test-CA.db")).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    connection.execute_batch(FOREIGN[0].0).unwrap();
    drop(connection);
    for line in [
        &format!("ca revoke --dir {{ca}} --serial {serial} --reason keyCompromise"),
        "ca issue --dir {ca} --passphrase-file {pass} --out {issued} {one.csr}",
        "ca crl --dir {ca} --passphrase-file {pass}",
        "ca list --dir {ca}",
        "backup --dir {ca} --to {set}",
    ] {
        let run = work.run(line);
        assert_eq!(run.code, 5, "{line}: {run:?}");
        assert!(run.stderr.contains("trigger \"undo\" is foreign"), "{line}: {run:?}");
    }
    let shown = work.run("--json show --dir {ca}").json();
    assert_eq!(shown["result"]["health"]["findings"][0]["kind"], "foreign-schema", "{shown}");
}
