//! The numbers that a database has given which is about to be replaced: they must not come again.

use certadm_files::{durable, read};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::folder::Folder;

/// The file with the numbers, in `restore.d`.
const FILE: &str = "used-numbers.json";
/// It is far shorter.
const MAX_LEN: u64 = 4096;

/// The numbers up to which a CA has given them to requests and CRLs. A restore puts an earlier database in the place of a later one: what
/// that one gave in between must not be given again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedNumbers {
    /// The highest number of a request.
    pub requests: i64,
    /// The highest number of a CRL, or that up to which one may have been used.
    pub crls: i64,
}

impl UsedNumbers {
    /// Those of a database.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn of(connection: &Connection) -> Result<Self> {
        let number = |sql: &str| connection.query_row(sql, [], |row| row.get(0));
        Ok(Self {
            requests: number(
                "SELECT max((SELECT coalesce(max(RequestID), 0) FROM Requests),
                    (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'Requests'))",
            )?,
            crls: number(
                "SELECT max(crl_number_floor, (SELECT coalesce(max(Number), 0) FROM CRLs)) FROM store_state",
            )?,
        })
    }

    /// Keeps them for the start that carries the restore out.
    ///
    /// # Errors
    /// [`crate::Error::File`].
    pub fn keep(self, folder: &Folder) -> Result<()> {
        durable::create_dir(&folder.restore_requests_dir())?;
        let text = serde_json::to_vec(&self).unwrap_or_default();
        Ok(durable::replace(&folder.restore_requests_dir().join(FILE), &text)?)
    }

    /// What was kept; nothing where that cannot be read.
    pub(crate) fn kept(folder: &Folder) -> Self {
        let text = read::bounded(&folder.restore_requests_dir().join(FILE), MAX_LEN).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// The database that serves now has taken them into account.
    pub(crate) fn forget(folder: &Folder) -> Result<()> {
        Ok(durable::remove_if_present(&folder.restore_requests_dir().join(FILE))?)
    }
}
