//! A set whose database a stranger has changed: by statements, and octet by octet. Its image, log and manifest are in order.
//!
//! A database that `verify` calls sound has the built-in schema, and what is restored from it is a CA that works: it opens, it
//! issues, and what is revoked there is in the next CRL. All that takes four times as long as `verify`, and three signatures: one
//! input in eight is restored. Its hash chooses it, so that the same input is always judged alike.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use certadm_ca::{CrlOptions, Serial, Terms};
use certadm_recovery::{Issuers, Options as PlanOptions, Plan, PublishedCrl, Records};
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_rules::{Diagnosis, FileTime};
use certadm_set::Silent;
use certadm_set::restore::{Options, plan};
use certadm_set::verify::verify;
use certadm_store::{Folder, Options as StoreOptions, PAGE_SIZE, Store};
use rusqlite::{Connection, MAIN_DB};

use crate::folder_contents;
use crate::kept_files::KeptFiles;
use crate::script::Script;
use crate::small_ca::{CA, order};

/// What lies there for every input; one input at a time.
static PLACE: LazyLock<Mutex<Place>> = LazyLock::new(|| Mutex::new(Place::new()));
/// The schema of the database that every input begins with.
static SCHEMA: LazyLock<Vec<Object>> = LazyLock::new(|| schema_of(&CA.database));

const TABLES: [&str; 7] =
    ["Requests", "Certificates", "CRLs", "store_state", "store_marks", "sqlite_sequence", "sqlite_schema"];
/// Statements that make what no CA has. `%` stands for text of the script's.
const FOREIGN: [&str; 16] = [
    "CREATE TRIGGER t AFTER UPDATE ON Requests BEGIN UPDATE Requests SET Disposition = 20; END",
    "CREATE TRIGGER t AFTER INSERT ON Certificates BEGIN DELETE FROM Certificates; END",
    "CREATE VIEW v AS SELECT * FROM Requests",
    "DROP TABLE CRLs; CREATE VIEW CRLs AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS RowId, x AS Number FROM n",
    "CREATE TABLE % (a)",
    "CREATE INDEX i ON Requests (length(RawRequest))",
    "CREATE UNIQUE INDEX i ON Requests (Disposition)",
    "DROP INDEX CRLNumberIndex",
    "DROP TABLE store_marks",
    "ALTER TABLE Requests ADD COLUMN x INTEGER AS (1)",
    "ALTER TABLE Requests RENAME COLUMN Disposition TO %",
    "ANALYZE",
    "UPDATE sqlite_schema SET sql = replace(sql, 'NOT NULL', '%')",
    "UPDATE sqlite_schema SET sql = sql || ' /* % */'",
    "UPDATE sqlite_schema SET rootpage = (SELECT max(rootpage) FROM sqlite_schema) WHERE name = 'Requests'",
    "INSERT INTO sqlite_schema VALUES ('trigger', '%', 'Requests', 0, 'CREATE TRIGGER \"%\" AFTER UPDATE ON Requests BEGIN SELECT 1; END')",
];
/// As much space is kept for a full disk, twice. What is issued here fits into one log.
const LOG_SIZE: u64 = 256 << 10;
/// Of so many sound sets one is restored, and has to be a CA that works.
const RESTORED: u8 = 8;
/// No statement of a script runs longer, in steps of SQLite's machine.
const STEPS: i32 = 200_000;

/// The folders of an input.
struct Place {
    set: PathBuf,
    /// The folder to restore to, of a CA without a database.
    target: KeptFiles,
    ca: Folder,
}

impl Place {
    fn new() -> Self {
        let (set, ca) = (CA.place.path().join("set"), CA.place.path().join("restored"));
        Self { set, target: KeptFiles::new(ca.clone(), CA.own_files.clone()), ca: Folder::new(ca) }
    }

    /// Writes a set over the one of the input before: it has the same files.
    fn write(&self, files: &[(String, Vec<u8>)]) {
        for (path, content) in files {
            let path = self.set.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&self.set)).expect("a folder in memory");
            write_over(&path, content).expect("a file in memory");
        }
    }
}

/// As `std::fs::write`, but what is there is not cut first: the same memory holds it again.
fn write_over(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)
}

/// The input is a sequence of changes, see [`change`].
pub(crate) fn run(data: &[u8]) {
    let place = &mut *PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    let database = changed(data);
    let files = CA.set_with(&database.bytes, false);
    place.write(&files);
    let set = std::slice::from_ref(&place.set);
    let report = verify(set, &mut Silent);
    assert_eq!(folder_contents::number(&place.set), files.len(), "something is left in the set");
    if !report.is_restorable() {
        assert!(!report.findings.is_empty(), "unsound without a reason");
        return;
    }
    assert_eq!(database.schema(), *SCHEMA, "a foreign schema is sound");
    if !blake3::hash(data).as_bytes()[0].is_multiple_of(RESTORED) {
        return;
    }
    place.target.renew();
    // A database may be sound and of another CA, or of nobody's.
    let restored = plan(set, place.ca.path(), Options::default())
        .and_then(|plan| plan.execute("host", &mut Silent));
    if let Err(error) = restored {
        assert!(is_of_another_ca(&error), "sound, and not to be restored: {error}");
        return;
    }
    let store = Store::open(&place.ca, StoreOptions { log_size: LOG_SIZE, ..StoreOptions::default() });
    let store = store.unwrap_or_else(|error| panic!("restored, and does not open: {error} {:?}", error.hresult()));
    works(&store);
}

fn is_of_another_ca(error: &certadm_set::Error) -> bool {
    matches!(error, certadm_set::Error::Ca(certadm_ca::Error::AnotherCa { .. } | certadm_ca::Error::DamagedRow { .. }))
}

/// A CRL is made whatever date the last one in the table has.
const AFTER_WRONG_CLOCK: CrlOptions = CrlOptions { after_wrong_clock: true, drop_published: false };

/// Issues and revokes. Whatever is wrong with a row may be refused; what is said to be done is done.
fn works(store: &Store) {
    let now = certadm_store::now();
    let mut writer = store.writer().expect("an open store has writers");
    let Ok(issued) = CA.authority.issue(&mut writer, &CA.request, &Terms::new("fuzzer"), now) else { return };
    let revoked = writer.commit(|transaction| certadm_ca::revoke(transaction, &order(&issued.serial, now)));
    assert!(revoked.is_ok(), "what was issued cannot be revoked: {revoked:?}");
    let Ok(published) = CA.authority.publish_crl_with(&mut writer, now, AFTER_WRONG_CLOCK) else { return };
    let crl = PublishedCrl::parse("the CRL", &published.der).expect("our own CRL parses");
    let listed = crl.serials().expect("our own CRL lists serial numbers");
    for serial in in_force_and_revoked(writer.connection(), now) {
        assert!(listed.contains(&serial), "{serial} is revoked and not in the CRL");
    }
    assert!(listed.contains(&issued.serial), "a revocation is not in the CRL");
    is_in_emergency_crl(writer.connection(), &issued.serial, now);
}

/// The serial numbers of revoked certificates that have not expired, whatever else their rows say.
fn in_force_and_revoked(connection: &Connection, now: FileTime) -> Vec<Serial> {
    let statement = "SELECT SerialNumber FROM Requests NOT INDEXED JOIN Certificates USING (RequestID) WHERE Disposition = 21 \
                     AND coalesce(RevokedEffectiveWhen, 0) <= ?1 AND coalesce(NotAfter, ?1) >= ?1";
    let mut statement = connection.prepare(statement).expect("the built-in schema");
    let serials = statement.query_map([now.0], |row| row.get::<_, String>(0)).expect("a query");
    // One that is no serial number keeps a CRL from being made, and there is one.
    serials.map(|serial| serial.expect("a text").parse().expect("a serial number")).collect()
}

/// A CRL that is made without the CA lists what the CA's own does, or tells what it leaves out: where the row of the CA's certificate was
/// changed, none of its keys may have signed the others.
fn is_in_emergency_crl(connection: &Connection, serial: &Serial, now: FileTime) {
    let Ok(records) = Records::of_ours(connection, now, [].into()) else { return };
    let Ok(issuers) = Issuers::of(&records) else { return };
    let Ok(plan) = Plan::new(issuers, Some(&records), &[], &PlanOptions::new(now)) else { return };
    let is_listed = plan.crls.iter().any(|crl| crl.entries.iter().any(|entry| entry.serial == *serial));
    let is_told = |finding: &Finding| {
        (finding.kind, finding.severity) == (Kind::CrlLeftOut, Severity::Warning)
            && finding.detail.contains(serial.as_str())
    };
    assert!(is_listed || plan.findings.iter().any(is_told), "a revocation is not in the emergency CRL");
}

/// A database as a script has changed it.
struct Changed {
    bytes: Vec<u8>,
    /// As it was before single octets were changed.
    connection: Connection,
    has_other_octets: bool,
}

impl Changed {
    fn schema(&self) -> Vec<Object> {
        if self.has_other_octets { schema_of(&self.bytes) } else { schema(&self.connection) }
    }
}

/// The database as the script changes it.
fn changed(data: &[u8]) -> Changed {
    let mut script = Script::new(data);
    let mut connection = in_memory(&CA.database, false);
    connection.progress_handler(STEPS, Some(|| true)).expect("a handler");
    let mut octets = Vec::new();
    let settings = "PRAGMA writable_schema = on; PRAGMA foreign_keys = off; PRAGMA ignore_check_constraints = on";
    connection.execute_batch(settings).expect("settings");
    while !script.is_over() {
        change(&connection, &mut script, &mut octets);
    }
    let mut bytes = connection.serialize(MAIN_DB).map(|bytes| bytes.to_vec()).unwrap_or_default();
    let mut has_other_octets = !octets.is_empty();
    if bytes.len() < 100 {
        bytes.clone_from(&CA.database);
        has_other_octets = true;
    }
    bytes[18..20].fill(2);
    for (page, offset, change) in octets {
        let at = page * PAGE_SIZE as usize + offset % PAGE_SIZE as usize;
        if let Some(octet) = bytes.get_mut(at) {
            *octet ^= change;
        }
    }
    // An image has whole pages of the size of ours.
    bytes.resize(bytes.len().next_multiple_of(PAGE_SIZE as usize), 0);
    Changed { bytes, connection, has_other_octets }
}

/// A connection to a copy of a database.
fn in_memory(database: &[u8], read_only: bool) -> Connection {
    let mut connection = Connection::open_in_memory().expect("memory");
    let mut bytes = database.to_vec();
    // A database in memory has no log.
    bytes[18..20].fill(1);
    connection.deserialize_read_exact(MAIN_DB, bytes.as_slice(), bytes.len(), read_only).expect("a database opens");
    connection
}

/// One change: 0 a value of a row, 1 something foreign, 2 an octet, 3 a row less, 4 a row more, 5 the next number.
fn change(connection: &Connection, script: &mut Script<'_>, octets: &mut Vec<(usize, usize, u8)>) {
    let execute = |statement: &str| {
        // What SQLite refuses is not in the database.
        let _ = connection.execute_batch(statement);
    };
    match script.byte() % 6 {
        0 => {
            let table = *script.choose(&TABLES);
            let (column, row) = (usize::from(script.byte()), script.byte());
            let Some(column) = columns(connection, table).into_iter().nth(column) else { return };
            let value = value(script);
            execute(&format!("UPDATE \"{table}\" SET \"{column}\" = {value} WHERE rowid = {row} OR {row} = 0"));
        }
        1 => {
            let statement = *script.choose(&FOREIGN);
            let text: String = String::from_utf8_lossy(script.bytes()).replace(['\'', '"', '\0'], "");
            execute(&statement.replace('%', &text));
        }
        2 => octets.push((script.byte().into(), script.word().into(), script.byte())),
        3 => {
            let (table, row) = (*script.choose(&TABLES), script.byte());
            execute(&format!("DELETE FROM \"{table}\" WHERE rowid = {row} OR {row} = 0"));
        }
        4 => {
            let (table, row) = (*script.choose(&TABLES), script.byte());
            let columns: Vec<String> =
                columns(connection, table).into_iter().skip(1).map(|column| format!("\"{column}\"")).collect();
            let columns = columns.join(", ");
            execute(&format!(
                "INSERT INTO \"{table}\" ({columns}) SELECT {columns} FROM \"{table}\" WHERE rowid = {row}"
            ));
        }
        _ => execute(&format!("UPDATE sqlite_sequence SET seq = {}", value(script))),
    }
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let names = connection
        .prepare("SELECT name FROM pragma_table_info(?1)")
        .and_then(|mut statement| statement.query_map([table], |row| row.get(0))?.collect());
    names.unwrap_or_default()
}

/// A value as SQL writes it.
fn value(script: &mut Script<'_>) -> String {
    match script.byte() % 8 {
        0 => script.byte().to_string(),
        1 => "NULL".to_owned(),
        2 => i64::MAX.to_string(),
        3 => i64::MIN.to_string(),
        4 => format!("x'{}'", certadm_rules::hex::encode(script.bytes())),
        5 => format!("'{}'", String::from_utf8_lossy(script.bytes()).replace(['\'', '\0'], "")),
        6 => "zeroblob(20000)".to_owned(),
        _ => "20".to_owned(),
    }
}

/// Kind, name and statement of an object of a schema.
type Object = (String, String, String);

fn schema_of(database: &[u8]) -> Vec<Object> {
    schema(&in_memory(database, true))
}

/// What a schema says, without white space and comments.
fn schema(connection: &Connection) -> Vec<Object> {
    // A remark may have octets that are no text, and SQLite takes octets for a text.
    let statement = "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(coalesce(sql, '') AS BLOB) FROM sqlite_schema";
    let mut statement = connection.prepare(statement).expect("a sound schema");
    let rows = statement.query_map([], |row| {
        let text = |column| -> rusqlite::Result<String> {
            Ok(String::from_utf8_lossy(row.get_ref(column)?.as_blob()?).into_owned())
        };
        let mut plain = without_remarks(&text(2)?);
        plain.retain(|letter| !letter.is_whitespace());
        Ok((text(0)?, text(1)?, plain))
    });
    let mut schema: Vec<_> = rows.and_then(Iterator::collect).expect("a sound schema has names");
    schema.sort();
    schema
}

/// A statement without its remarks: from `/*` to `*/`, and from `--` to the end of the line.
fn without_remarks(sql: &str) -> String {
    let mut plain = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find("/*").into_iter().chain(rest.find("--")).min() {
        let (before, remark) = rest.split_at(at);
        plain.push_str(before);
        let end = if remark.starts_with("--") { "\n" } else { "*/" };
        rest = remark[2..].split_once(end).map_or("", |(_, after)| after);
    }
    plain + rest
}
