//! A look into a database that is about to be replaced.

use std::path::Path;

use rusqlite::Connection;

use crate::connect::DatabaseConnection;
use crate::error::Result;

/// A connection to the database of a CA that nobody serves, whatever state a restore of it is in. It takes no lock of the CA.
#[derive(Debug)]
pub struct Onlooker(DatabaseConnection);

impl Onlooker {
    /// Opens the database file at a path.
    ///
    /// # Errors
    /// [`crate::Error::Sqlite`], [`crate::Error::Foreign`], [`crate::Error::File`].
    pub fn open(database: &Path) -> Result<Self> {
        DatabaseConnection::open(database).map(Self)
    }

    /// The connection, for reading.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    /// The signature of the database.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn signature(&self) -> Result<Vec<u8>> {
        Ok(self.0.query_row("SELECT database_signature FROM store_state", [], |row| row.get(0))?)
    }
}
