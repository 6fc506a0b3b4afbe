//! A set whose database a stranger has changed: by statements, and octet by octet. Its image, log and manifest are in order.
//!
//! A database that `verify` calls sound has the built-in schema, and what is restored from it is a CA that works: it
//! issues, and what is revoked there is in the next CRL.

use std::sync::{Mutex, PoisonError};

use certadm_ca::Terms;
use certadm_rules::Diagnosis;
use certadm_set::Silent;
use certadm_set::restore::{Options, plan};
use certadm_set::verify::verify;
use certadm_store::{Options as StoreOptions, PAGE_SIZE, Store};
use rusqlite::{Connection, MAIN_DB};

use crate::script::Script;
use crate::small_ca::{CA, order, write_files};

/// One input at a time: the folder of the CA and of the set is the same for all.
static TURN: Mutex<()> = Mutex::new(());

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
/// No statement of a script runs longer, in steps of SQLite's machine.
const STEPS: i32 = 200_000;

/// The input is a sequence of changes, see [`change`].
pub(crate) fn run(data: &[u8]) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let database = changed(data);
    let set = CA.place.path().join("set");
    std::fs::remove_dir_all(&set).unwrap_or_default();
    write_files(&set, &CA.set_with(&database));
    let report = verify(std::slice::from_ref(&set), &mut Silent);
    if !report.is_restorable() {
        assert!(!report.findings.is_empty(), "unsound without a reason");
        return;
    }
    assert_eq!(schema_of(&database), schema_of(&CA.database), "a foreign schema is sound");
    let folder = CA.without_database();
    // A database may be sound and of another CA, or of nobody's.
    let restored = plan(std::slice::from_ref(&set), folder.path(), Options::default())
        .and_then(|plan| plan.execute("host", &mut Silent));
    if let Err(error) = restored {
        assert!(is_of_another_ca(&error), "sound, and not to be restored: {error}");
        return;
    }
    let store = Store::open(&folder, StoreOptions { log_size: LOG_SIZE, ..StoreOptions::default() });
    let store = store.unwrap_or_else(|error| panic!("restored, and does not open: {error} {:?}", error.hresult()));
    works(&store);
}

fn is_of_another_ca(error: &certadm_set::Error) -> bool {
    matches!(error, certadm_set::Error::Ca(certadm_ca::Error::AnotherCa { .. } | certadm_ca::Error::DamagedRow { .. }))
}

/// Issues and revokes. Whatever is wrong with a row may be refused; what is said to be done is done.
fn works(store: &Store) {
    let now = certadm_store::now();
    let mut writer = store.writer().expect("an open store has writers");
    let Ok(issued) = CA.authority.issue(&mut writer, &CA.request, &Terms::new("fuzzer"), now) else { return };
    let revoked = writer.commit(|transaction| certadm_ca::revoke(transaction, &order(&issued.serial, now)));
    assert!(revoked.is_ok(), "what was issued cannot be revoked: {revoked:?}");
    let Ok(published) = CA.authority.publish_crl_after_wrong_clock(&mut writer, now) else { return };
    let crl = certadm_recovery::PublishedCrl::parse("the CRL", &published.der).expect("our own CRL parses");
    let serials = crl.serials().expect("our own CRL lists serial numbers");
    let is_listed = serials.iter().any(|listed| listed.to_string() == issued.serial.to_string());
    assert!(is_listed, "a revocation is not in the CRL");
}

/// The database as the script changes it.
fn changed(data: &[u8]) -> Vec<u8> {
    let mut script = Script::new(data);
    let mut connection = Connection::open_in_memory().expect("memory");
    let mut bytes = CA.database.clone();
    // A database in memory has no log.
    bytes[18..20].fill(1);
    connection.deserialize_read_exact(MAIN_DB, bytes.as_slice(), bytes.len(), false).expect("the database to start from opens");
    connection.progress_handler(STEPS, Some(|| true)).expect("a handler");
    let mut octets = Vec::new();
    let settings = "PRAGMA writable_schema = on; PRAGMA foreign_keys = off; PRAGMA ignore_check_constraints = on";
    connection.execute_batch(settings).expect("settings");
    while !script.is_over() {
        change(&connection, &mut script, &mut octets);
    }
    let mut bytes = connection.serialize(MAIN_DB).map(|bytes| bytes.to_vec()).unwrap_or_default();
    if bytes.len() < 100 {
        bytes.clone_from(&CA.database);
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
    bytes
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

/// What a schema says, without white space and comments.
fn schema_of(database: &[u8]) -> Vec<(String, String, String)> {
    let mut connection = Connection::open_in_memory().expect("memory");
    let mut bytes = database.to_vec();
    bytes[18..20].fill(1);
    connection.deserialize_read_exact(MAIN_DB, bytes.as_slice(), bytes.len(), true).expect("a sound database opens");
    let mut statement =
        connection.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").expect("a sound schema");
    let rows = statement.query_map([], |row| {
        let sql: String = row.get(2)?;
        let without_remarks = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<String>();
        let mut plain = String::new();
        let mut rest = without_remarks.as_str();
        while let Some((before, after)) = rest.split_once("/*") {
            plain.push_str(before);
            rest = after.split_once("*/").map_or("", |(_, after)| after);
        }
        plain.push_str(rest);
        plain.retain(|letter| !letter.is_whitespace());
        Ok((row.get(0)?, row.get(1)?, plain))
    });
    let mut schema: Vec<_> =
        rows.and_then(Iterator::collect).expect("a sound schema has text");
    schema.sort();
    schema
}
