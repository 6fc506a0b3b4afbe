//! Every cell of every table equal to what an independent reader prints.
//!
//! Ignored by default, because the readers must be installed first:
//! `python3 crates/ese/tests/interop/ese_dissect.py --venv DIR`, then
//! `CERTADM_PYTHON=DIR/bin/python cargo test -p certadm-ese --test dissect -- --ignored`.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use certadm_ese::Database;
use certadm_ese::column::Value;
use serde_json::{Value as Json, json};

fn show(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bit(bit) => json!(format!("b:{}", u8::from(*bit))),
        Value::F32(number) => float(f64::from(*number)),
        Value::F64(number) => float(*number),
        Value::DateTime(bits) => json!(format!("i:{}", bits.cast_signed())),
        Value::Guid(guid) => json!(format!("t:{guid}")),
        Value::Text(text) => json!(format!("t:{}", text.trim_end_matches('\0'))),
        Value::Binary(bytes) => json!(format!("x:{}", hex(bytes))),
        Value::Multi(values) => Json::Array(values.iter().map(show).collect()),
        Value::U64(number) => json!(format!("i:{number}")),
        other => json!(format!("i:{}", other.integer().unwrap())),
    }
}

fn float(number: f64) -> Json {
    json!(format!("f:{}", hex(&number.to_le_bytes())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All cells as the peer prints them: (table, row, column) to value.
fn peer_cells(path: &Path) -> HashMap<(String, u64, String), Json> {
    let python = std::env::var("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/ese_dissect.py");
    let output = Command::new(python).arg(script).arg(path).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut cells = HashMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let cell: (String, u64, String, Json) = serde_json::from_str(line).unwrap();
        cells.insert((cell.0, cell.1, cell.2), cell.3);
    }
    cells
}

/// Cells that differ, after every cell of both sides was looked at.
fn compare(bytes: Vec<u8>, path: &Path) -> (usize, Vec<String>) {
    let mut peer = peer_cells(path);
    let database = Database::open(bytes).unwrap();
    let mut differences = Vec::new();
    let mut compared = 0;
    for definition in database.catalog().unwrap().tables() {
        let table = database.table(&definition.name).unwrap();
        for (number, row) in table.rows().enumerate() {
            let row = row.unwrap();
            for column in &definition.columns {
                let key = (definition.name.clone(), number as u64, column.name.clone());
                let mut ours = match row.value(column) {
                    Ok(value) => show(&value),
                    Err(error) => json!(format!("our error: {error}")),
                };
                // The peer shows every value of a multi-valued column as a list.
                if column.is_multi_valued() && !ours.is_array() && !ours.is_null() {
                    ours = Json::Array(vec![ours]);
                }
                let theirs = peer.remove(&key);
                compared += 1;
                if theirs.as_ref() != Some(&ours) {
                    differences.push(format!("{key:?}: ours {ours}, theirs {theirs:?}"));
                }
            }
        }
    }
    differences.extend(peer.keys().map(|key| format!("{key:?}: only theirs")));
    (compared, differences)
}

#[test]
#[ignore = "needs the Python peer; see the head of the file"]
fn every_cell_equals_dissect() {
    compare_all(&crate::common::TABLE_FIXTURES[..6]);
}

#[test]
#[ignore = "needs the Python peer, which takes a minute and a half for 4.7 million cells"]
fn every_cell_of_the_large_file_equals_dissect() {
    if std::env::var_os("CERTADM_LARGE").is_none() {
        println!("CERTADM_LARGE is not set: 4.7 million cells are not compared");
        return;
    }
    compare_all(&crate::common::TABLE_FIXTURES[6..]);
}

fn compare_all(names: &[&str]) {
    for name in names {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let path = crate::common::temporary(&name.replace('/', "-"), &bytes);
        let (compared, differences) = compare(bytes, &path);
        println!("{name}: {compared} cells compared, {} differ", differences.len());
        for difference in differences.iter().take(20) {
            println!("  {}", difference.chars().take(400).collect::<String>());
        }
        assert!(compared > 0 && differences.is_empty(), "{name}");
    }
}
