//! The database that a restore replaces, as far as it can be read.

use certadm_store::chain::read_trailer;
use certadm_store::{Folder, Onlooker, UsedNumbers};

pub(super) struct Replaced {
    /// The numbers that it has given.
    pub(super) used: Option<UsedNumbers>,
}

impl Replaced {
    /// Looks into the database of a CA that does not run. `None` where there is none, or where it cannot be read, which may be why it is
    /// replaced.
    pub(super) fn of(folder: &Folder) -> Option<Self> {
        let path = folder.database_path().ok()?;
        // The image of a backup is no database before a start has made it whole.
        if read_trailer(&path).is_ok() {
            return None;
        }
        let onlooker = Onlooker::open(&path).ok()?;
        Some(Self { used: UsedNumbers::of(onlooker.connection()).ok() })
    }
}
