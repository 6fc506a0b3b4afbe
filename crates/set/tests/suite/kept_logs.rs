//! A CA that says it deleted its logs, and did not: the backup tells which logs are still there.

use std::fs;
use std::sync::Arc;

use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupType, PlainList};
use certadm_session::{CallResult, LocalSource};
use certadm_set::{Silent, TakeOptions, take};
use certadm_tests::altered::{Altered, Through};

use crate::common::{Ca, scratch};

/// A real CA, but for one call: it answers `TruncateLogs` with success and keeps its logs. It has two dynamic files.
struct Keeping {
    ca: LocalSource,
    dynamic: [String; 2],
}

impl Altered for Keeping {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.ca
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        Ok(())
    }
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        Ok(PlainList::new(self.dynamic.to_vec()).unwrap())
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
    let mut source = Through(Keeping { ca: LocalSource::new(Arc::clone(&ca.store), names), dynamic });
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
