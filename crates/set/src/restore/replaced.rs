//! The database that a restore replaces, as far as it can be read: which CA it is of, and which numbers it has given.

use std::path::{Path, PathBuf};

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_store::chain::read_trailer;
use certadm_store::{Folder, Onlooker, UsedNumbers};

use super::journal::Journal;
use crate::error::Result;

pub(super) struct Replaced {
    /// The signature of the database.
    signature: Vec<u8>,
    /// Which CA it is of.
    identity: DatabaseIdentity,
    /// The numbers that it has given.
    pub(super) used: Option<UsedNumbers>,
}

impl Replaced {
    /// Looks into the database of a CA that does not run. `None` where there is none, or where it cannot be read, which may be why it is
    /// replaced.
    pub(super) fn of(folder: &Folder) -> Option<Self> {
        let path = database(folder)?;
        // The image of a backup is no database before a start has made it whole.
        if read_trailer(&path).is_ok() {
            return None;
        }
        let onlooker = Onlooker::open(&path).ok()?;
        Some(Self {
            signature: onlooker.signature().ok()?,
            identity: DatabaseIdentity::read(onlooker.connection()).ok()?,
            used: UsedNumbers::of(onlooker.connection()).ok(),
        })
    }

    /// The CA that it is of; `None` for one that waits for its parent.
    pub(super) fn newest(&self) -> Option<&Identity> {
        self.identity.newest()
    }

    /// Refuses a database that knows no certificate of its CA in the place of one from which certificates were issued: nothing says that
    /// both are of one CA. An earlier state of the same database passes.
    ///
    /// # Errors
    /// [`certadm_ca::Error::AnotherCa`].
    pub(super) fn refuse_unknown(&self, signature: &[u8], identity: &DatabaseIdentity) -> Result<()> {
        if self.signature == signature {
            return Ok(());
        }
        Ok(identity.check_in_place_of(&self.identity)?)
    }
}

/// The database of the folder; while a restore waits that was not carried out, the one that it has moved aside.
fn database(folder: &Folder) -> Option<PathBuf> {
    let aside = Journal::read(folder).ok().flatten().and_then(|journal| journal.aside_dir(folder));
    aside.and_then(|aside| moved_aside(&aside.join("database"))).or_else(|| folder.database_path().ok())
}

fn moved_aside(dir: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| Folder::is_database(path))
}
