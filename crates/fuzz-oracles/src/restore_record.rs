//! The record of a registered restore, `restore.json` (certbcli.md 9.3, D20).

use certadm_store::record;
use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(record) = record::parse(data) else {
        return;
    };
    // What was read stands in the file; looked up here a second time, without the record's own rules.
    let Ok(value) = serde_json::from_slice::<Value>(data) else {
        panic!("a record that is no JSON was accepted");
    };
    let map: Vec<_> = record.map.iter().map(|entry| json!([entry.database, entry.new_database])).collect();
    assert_eq!(
        value,
        json!({
            "BackupLogDirectory": record.backup_log_directory,
            "CheckPointFile": record.checkpoint_directory,
            "LogPath": record.log_directory,
            "LowLogNumber": record.range.low().number(),
            "HighLogNumber": record.range.high().number(),
            "RestoreMap": map,
            "RestoreMapCount": record.map.len(),
            "DatabaseRecovered": u8::from(record.database_recovered),
            "RestoreStatus": record.status.to_bits(),
        })
    );
    assert!(record.range.low() <= record.range.high());
    assert!(!(record.is_pending() && record.is_complete()));
}
