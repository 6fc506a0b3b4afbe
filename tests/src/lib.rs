//! What the system suites share: a ledger of acknowledged serials that knows nothing of the store, rows whose content
//! follows from their serial, an own reading of the database, plain copies of backups, and the fault shim.
//!
//! The suites themselves are in `tests/`; the processes they kill and starve are in `src/bin/`.

pub mod altered;
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

/// A new folder for one test: that of [`certadm_files::scratch::for_test`], or one in the folder that `CERTADM_TEST_DIR`
/// names.
///
/// # Panics
/// When no folder can be created.
pub fn scratch() -> tempfile::TempDir {
    match std::env::var_os("CERTADM_TEST_DIR") {
        Some(dir) => tempfile::tempdir_in(dir).expect("a temporary folder can be created"),
        None => certadm_files::scratch::for_test(),
    }
}
