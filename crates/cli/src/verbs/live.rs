//! Working on a CA's database whether or not a service owns it.

use std::fs;
use std::path::Path;

use certadm_store::{Error, Folder, Store, Writer};
use serde_json::Value;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::verbs::{restore, store_options};

/// A committing connection, and what was recovered to get it: a completed restore that still waits for the CA's start
/// is carried out first.
///
/// # Errors
/// As [`Writer::open`] and [`Store::open`]; a registration that is not complete is not touched.
pub(crate) fn open_writer(folder: &Folder, output: Output) -> Result<(Writer, Value), Failure> {
    match Writer::open(folder) {
        Err(Error::RestorePending { state, .. }) if state.is_success() => {
            let recovered = restore::recover(folder, output)?;
            Ok((Writer::open(folder)?, recovered))
        }
        other => Ok((other?, Value::Null)),
    }
}

/// Archives the log when it is full and no service is there to do it, so that it does not grow without end. Returns
/// what kept that from being done; the commits before it stand all the same.
pub(crate) fn roll_if_unowned(folder: &Folder) -> Option<String> {
    let rolled = store_options(folder).and_then(|options| {
        if wal_len(&folder.database_path()?) <= options.log_size {
            return Ok(());
        }
        match Store::open(folder, options) {
            // Opening rolls what is due.
            Ok(_) | Err(Error::Owned { .. }) => Ok(()),
            Err(error) => Err(Failure::from(error)),
        }
    });
    rolled.err().map(|failure| format!("the log could not be archived: {failure}; {}", failure.remedy))
}

/// The end of a command that has committed: what it achieved, and a warning when the log could not be archived.
pub(crate) fn finish(folder: &Folder, mut done: Done, output: Output) -> Done {
    let warning = roll_if_unowned(folder);
    if let Some(warning) = &warning {
        output.line(format!("Warning: {warning}."));
        if done.exit == Exit::Good {
            done.exit = Exit::Finding;
        }
    }
    done.result["warning"] = warning.into();
    done
}

/// Bytes of the write-ahead log beside a database, 0 when there is none.
pub(crate) fn wal_len(database: &Path) -> u64 {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    fs::metadata(wal).map_or(0, |metadata| metadata.len())
}
