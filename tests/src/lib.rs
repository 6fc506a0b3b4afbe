//! What the system suites share: a ledger of acknowledged serials that knows nothing of the store, rows whose content
//! follows from their serial, an own reading of the database, plain copies of backups, and the fault shim.
//!
//! The suites themselves are in `tests/`; the processes they kill and starve are in `src/bin/`.

pub mod case;
pub mod command;
pub mod fault;
pub mod inspect;
pub mod issue;
pub mod ledger;
pub mod plain_set;
pub mod process;
pub mod proven;
pub mod signers;

use std::path::Path;

/// A new folder for one test, in memory where the system has such a place: faults are injected above the file system,
/// and thousands of cases should not wait for a disk. `CERTADM_TEST_DIR` names another place.
///
/// # Panics
/// When no folder can be created.
pub fn scratch() -> tempfile::TempDir {
    let chosen = std::env::var_os("CERTADM_TEST_DIR");
    let memory = Path::new("/dev/shm");
    match chosen {
        Some(dir) => tempfile::tempdir_in(dir),
        None if memory.is_dir() => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()),
        None => tempfile::tempdir(),
    }
    .expect("a temporary folder can be created")
}
