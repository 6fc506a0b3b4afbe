//! A backup that keeps to a pace: every byte of the CA's files goes by it, in parts that leave the line free in between.

use std::sync::Arc;

use certadm_files::Pace;
use certadm_rules::BackupType;
use certadm_rules::unc::UncRoot;
use certadm_session::{CallResult, LocalSource, Source as _};
use certadm_set::manifest::Role;
use certadm_set::verify::verify;
use certadm_set::{Silent, TakeOptions, take};
use certadm_tests::altered::{Altered, Through};

use crate::common::{Ca, scratch};

/// So much that the test does not wait for it.
const SPEED: u64 = 4 << 20;

/// A CA that counts what is read from it.
struct Counted {
    ca: LocalSource,
    /// All bytes.
    read: u64,
    /// The largest read that was asked for.
    largest: usize,
    /// The size of reads that was announced.
    hint: u32,
}

impl Altered for Counted {
    fn ca(&mut self) -> &mut LocalSource {
        &mut self.ca
    }
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        self.hint = self.hint.max(read_hint);
        self.ca.open_file(name, read_hint)
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        let len = self.ca.read(buffer)?;
        self.read += len as u64;
        self.largest = self.largest.max(buffer.len());
        Ok(len)
    }
}

#[test]
fn every_byte_of_a_backup_goes_by_its_pace() {
    let dir = scratch();
    let mut ca = Ca::create(&dir.path().join("ca"));
    for _ in 0..400 {
        ca.insert();
    }
    ca.roll();
    let names = UncRoot::new("host".to_owned()).unwrap();
    let ca = LocalSource::new(Arc::clone(&ca.store), names);
    let mut source = Through(Counted { ca, read: 0, largest: 0, hint: 0 });
    let pace = Arc::new(Pace::new(SPEED));
    let options = TakeOptions { pace: Some(Arc::clone(&pace)), ..TakeOptions::new(BackupType::Full) };
    let set = dir.path().join("set");
    let taken = take(&mut source, &set, &options, &mut Silent).unwrap();
    let source = source.0;
    let of_ca = taken.manifest.files.iter().filter(|file| matches!(file.role, Role::Database | Role::Log));
    let stored: u64 = of_ca.map(|file| file.size).sum();
    assert!(200 << 10 < stored, "{stored}");
    assert_eq!((pace.taken(), source.read), (stored, stored));
    let quarter = SPEED / 4;
    assert!(source.largest as u64 <= quarter && u64::from(source.hint) <= quarter, "{}", source.largest);
    assert!(verify(&[set], &mut Silent).is_restorable());
}
