//! A CA that says it deleted its logs, and did not: the backup tells which logs are still there.

use std::fs;
use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, PlainList, TaggedList};
use certadm_session::{CallResult, LocalSource, Source};
use certadm_set::{Silent, TakeOptions, take};

use crate::common::{Ca, scratch};

/// A real CA, but for one call: it answers `TruncateLogs` with success and keeps its logs. It has two dynamic files.
struct Keeping {
    ca: LocalSource,
    dynamic: [String; 2],
}

impl Source for Keeping {
    fn is_online(&mut self) -> CallResult<bool> {
        self.ca.is_online()
    }
    fn prepare(&mut self, kind: BackupType) -> CallResult<()> {
        self.ca.prepare(kind)
    }
    fn database_locations(&mut self) -> CallResult<TaggedList> {
        self.ca.database_locations()
    }
    fn database_names(&mut self) -> CallResult<TaggedList> {
        self.ca.database_names()
    }
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        self.ca.open_file(name, read_hint)
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        self.ca.read(buffer)
    }
    fn close_file(&mut self) -> CallResult<()> {
        self.ca.close_file()
    }
    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        self.ca.backup_logs()
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        Ok(())
    }
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        Ok(PlainList::new(self.dynamic.to_vec()).unwrap())
    }
    fn end(&mut self) -> CallResult<()> {
        self.ca.end()
    }
}

#[test]
fn logs_that_are_still_there_are_named() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    ca.roll();
    ca.roll();
    for name in ["ca.crl", "ca+.crl"] {
        fs::write(ca.folder.crl_dir().join(name), "a CRL").unwrap();
    }
    let names = UncRoot::new("host".to_owned()).unwrap();
    let dynamic = [r"\\host\crl\ca.crl".to_owned(), r"\\host\crl\ca+.crl".to_owned()];
    let mut source = Keeping { ca: LocalSource::new(Arc::clone(&ca.store), names), dynamic };
    let dynamic_dir = Some(ca.folder.crl_dir());
    let options = TakeOptions { truncate: true, dynamic_dir, ..TakeOptions::new(BackupType::Full) };
    // The folder above the set is made, too.
    let set = dir.path().join("sets/of today/full");
    let taken = take(&mut source, &set, &options, &mut Silent).unwrap();

    assert_eq!(taken.truncated, []);
    let logs = &taken.manifest.generations;
    let there: Vec<u32> = taken.still_there.iter().map(|generation| generation.number()).collect();
    assert_eq!(there, (logs.low..=logs.high).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(set.join("DynamicFiles")).unwrap().count(), 2);
}
