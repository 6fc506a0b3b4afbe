//! Recovered databases and real ones, read by foreign tools.
//!
//! Ignored by default: needs the Python peer (see `dissect.rs`) and `esedbexport` of libesedb (Debian package
//! libesedb-utils), found by PATH or named by `CERTADM_ESEDBEXPORT`. Run with
//! `CERTADM_PYTHON=DIR/bin/python cargo test -p certadm-ese --test foreign_recovered -- --ignored`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use certadm_ese::Database;
use certadm_ese::column::{Column, ColumnType, Value};
use certadm_ese::pager::Pager;
use certadm_ese::recovery::{LogInput, Plan};

fn recover(database: Option<&str>, logs: &[(&str, &str)]) -> Option<Vec<u8>> {
    let database = match database {
        Some(name) => Some(crate::common::fixture(name)?),
        None => None,
    };
    let mut files = Vec::new();
    for (name, fixture) in logs {
        files.push((*name, crate::common::fixture(fixture)?));
    }
    let inputs: Vec<_> = files.iter().map(|(name, file)| LogInput { name, file }).collect();
    let database = database.as_ref().map(|bytes| bytes as &dyn Pager);
    let mut output = Vec::new();
    Plan::new(database, &inputs).unwrap().recover(&mut output, &mut |_| {}).unwrap();
    Some(output)
}

fn mail() -> Option<Vec<u8>> {
    recover(
        Some("winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore"),
        &[
            ("edb00001.log", "winmail-v7-sec4096/Backup_new_edb00001.log"),
            ("edb.log", "winmail-v7-sec4096/edb.log"),
        ],
    )
}

fn security() -> Option<Vec<u8>> {
    recover(None, &[("edb.log", "secedit-v8/edb.log")])
}

/// What the Python peer prints for a file.
fn dissect(path: &Path) -> String {
    let python = std::env::var("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/ese_dissect.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Tables as esedbexport writes them: name to lines of cells. `None` where the tool is not installed.
fn esedbexport(path: &Path) -> Option<BTreeMap<String, Vec<Vec<String>>>> {
    let named = std::env::var_os("CERTADM_ESEDBEXPORT");
    let tool = named.clone().unwrap_or_else(|| "esedbexport".into());
    let target = path.with_extension("out");
    let folder = PathBuf::from(format!("{}.export", target.display()));
    let _ = std::fs::remove_dir_all(&folder);
    let output = match Command::new(tool).arg("-t").arg(&target).arg(path).output() {
        Ok(output) => output,
        Err(error) if named.is_none() => {
            println!("esedbexport: {error}, its part of this test is left out");
            return None;
        }
        Err(error) => panic!("CERTADM_ESEDBEXPORT: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut tables = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The file name is the table's with a number behind it.
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let content = std::fs::read_to_string(&path).unwrap();
        let cells = |line: &str| line.split('\t').map(str::to_owned).collect();
        tables.insert(name, content.lines().map(cells).collect());
    }
    Some(tables)
}

/// A value in the notation of esedbexport; `None` where that tool has none that can be compared.
fn in_its_notation(column: &Column, value: &Value) -> Option<String> {
    Some(match value {
        Value::Bit(bit) => bit.to_string(),
        // It stops at a NUL inside a text.
        Value::Text(text) => {
            let text = text.split('\0').next().unwrap_or_default();
            text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
        }
        // It takes every 8 bytes for a date.
        Value::Binary(bytes) if bytes.len() == 8 => return None,
        Value::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::U64(number) => number.to_string(),
        Value::DateTime(_) => {
            let date = value.filetime().filter(|date| (1990..2100).contains(&date.year))?;
            let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
            let month = months.split(' ').nth(usize::from(date.month) - 1)?;
            format!(
                "{month} {:02}, {:04} {:02}:{:02}:{:02}.{:09}",
                date.day, date.year, date.hour, date.minute, date.second, date.nanosecond
            )
        }
        // Its number for unsigned 64-bit and its text for floats follow other rules.
        _ if column.kind.width().is_none() => return None,
        other => other.integer()?.to_string(),
    })
}

fn is_bytes(column: &Column) -> bool {
    column.kind.width().is_none() && column.kind != ColumnType::Text
}

/// False for long values that it shows as they are stored (compressed by scheme 3) or takes for UTF-16 text.
fn shows_bytes(theirs: &str) -> bool {
    !theirs.starts_with("18") && theirs.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Compares all cells; returns (equal, not comparable).
fn compare_with_esedbexport(name: &str, bytes: &[u8], path: &Path) -> Option<(usize, usize)> {
    let tables = esedbexport(path)?;
    let database = Database::open(bytes).unwrap();
    let (mut equal, mut skipped) = (0, 0);
    let catalog = database.catalog().unwrap();
    assert_eq!(catalog.tables().len(), tables.len(), "{name}: the same tables");
    for definition in catalog.tables() {
        let lines = &tables[&definition.name];
        let table = database.table(&definition.name).unwrap();
        let rows: Vec<_> = table.rows().map(Result::unwrap).collect();
        assert_eq!(rows.len(), lines.len() - 1, "{name} {}: the same rows", definition.name);
        for (row, line) in rows.iter().zip(&lines[1..]) {
            for column in &definition.columns {
                let index = lines[0].iter().position(|header| *header == column.name);
                let theirs = index.and_then(|index| line.get(index)).map_or("", String::as_str);
                let ours = in_its_notation(column, &row.value(column).unwrap());
                match ours {
                    Some(ours) if ours == theirs => equal += 1,
                    // It shows fill bytes for empty fixed columns and nothing for what it does not decompress.
                    None => skipped += 1,
                    Some(_) if theirs.is_empty() => skipped += 1,
                    Some(_) if is_bytes(column) && !shows_bytes(theirs) => skipped += 1,
                    Some(ours) => panic!(
                        "{name} {} {:?} {}: ours {ours:?}, theirs {theirs:?}",
                        definition.name,
                        row.position(),
                        column.name
                    ),
                }
            }
        }
    }
    Some((equal, skipped))
}

#[test]
#[ignore = "needs esedbexport; see the head of the file"]
fn real_and_recovered_databases_read_the_same_with_libesedb() {
    let ca = crate::common::fixture("certlog/CertLog.edb");
    for (name, bytes) in [("CertLog", ca), ("mail", mail()), ("security", security())] {
        let Some(bytes) = bytes else { continue };
        let path = crate::common::temporary(&format!("libesedb-{name}.edb"), &bytes);
        if let Some((equal, skipped)) = compare_with_esedbexport(name, &bytes, &path) {
            println!("{name}: {equal} cells equal, {skipped} that libesedb does not show");
            assert!(0 < equal);
        }
    }
}

#[test]
#[ignore = "needs the Python peer; see the head of the file"]
fn a_recovered_backup_reads_as_the_engines_own_file_with_dissect() {
    let Some(recovered) = mail() else { return };
    let Some(live) = crate::common::fixture("winmail-v7-sec4096/WindowsMail.MSMessageStore") else {
        return;
    };
    let ours = dissect(&crate::common::temporary("dissect-recovered.edb", &recovered));
    let theirs = dissect(&crate::common::temporary("dissect-live.edb", &live));
    println!("{} cells", ours.lines().count());
    assert!(!ours.is_empty() && ours == theirs);
}

#[test]
#[ignore = "needs the Python peer; see the head of the file"]
fn a_database_made_by_its_log_reads_with_dissect() {
    let Some(recovered) = security() else { return };
    let text = dissect(&crate::common::temporary("dissect-security.edb", &recovered));
    let tables: std::collections::BTreeSet<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|cell| cell[0].as_str().unwrap().to_owned())
        .collect();
    println!("{} cells in {tables:?}", text.lines().count());
    assert!(!text.contains("\"error:"));
    let database = Database::open(recovered).unwrap();
    // The peer shows nodes that are flagged deleted too, so it may have rows where we have none.
    let catalog = database.catalog().unwrap();
    assert_eq!(catalog.tables().len(), 11);
    for definition in catalog.tables() {
        let table = database.table(&definition.name).unwrap();
        assert!(table.rows().next().is_none() || tables.contains(&definition.name));
    }
}
