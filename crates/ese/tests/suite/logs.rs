//! Both framings, every record of every real log.

use std::collections::BTreeMap;

use certadm_ese::log::{LogEnd, LogFile, Record};

const LOGS: [&str; 6] = [
    "winmail-v7-sec4096/edb00001.log",
    "winmail-v7-sec4096/edb.log",
    "winmail-v7-sec4096/Backup_new_edb00001.log",
    "indexeddb-v8-scrubbed/edb.log",
    "secedit-v8/edb.log",
    "secedit-v8-small/edb.log",
];

#[test]
fn every_record_of_every_log_is_read() {
    for name in LOGS {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let log = LogFile::open(&bytes).unwrap();
        assert!(log.has_stated_size());
        assert!(matches!(log.end(), LogEnd::Reached | LogEnd::Full), "{name}: {:?}", log.end());
        let mut kinds = BTreeMap::new();
        let mut last = None;
        for record in log.records() {
            let record = record.unwrap();
            assert!(last < Some(record.position));
            last = Some(record.position);
            Record::parse(&record.bytes).unwrap();
            *kinds.entry(record.bytes[0]).or_insert(0u32) += 1;
        }
        let total: u32 = kinds.values().sum();
        println!(
            "{name}: {:?} {total} records, end {} {:?}\n  {kinds:?}",
            log.header().version,
            log.end_position(),
            log.end()
        );
        assert!(0 < total);
    }
}
