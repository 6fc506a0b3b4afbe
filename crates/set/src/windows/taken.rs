//! When a set of a Windows CA was taken, as far as its files say.

use certadm_ese::pager::FilePager;
use certadm_ese::stamps::LogTime;
use certadm_rules::FileTime;

use super::files::WindowsSet;

impl WindowsSet {
    /// When the backup was taken by the header of its database; `None` where it does not say so in UTC, or there is none.
    #[must_use]
    pub fn taken(&self) -> Option<FileTime> {
        let pager = FilePager::new(self.database.as_ref()?.open().ok()?).ok()?;
        let database = certadm_ese::Database::open(pager).ok()?;
        let header = database.header();
        moment_of(header.current_full_backup().time).or_else(|| moment_of(header.previous_full_backup().time))
    }

    /// When its newest file was written. It is no proof of when the set was taken, and tells the newer of two.
    #[must_use]
    pub fn written(&self) -> Option<FileTime> {
        let newest = self.logs.last().or(self.database.as_ref())?;
        let written = newest.open().ok()?.metadata().ok()?.modified().ok()?;
        Some(FileTime::from_unix(written.duration_since(std::time::UNIX_EPOCH).ok()?))
    }
}

/// A stamp of the engine in local time tells nothing exact, and is left out.
fn moment_of(stamp: LogTime) -> Option<FileTime> {
    let date = stamp.date_time().filter(|_| stamp.is_utc())?;
    Some(FileTime::from_unix_seconds(date.unix_seconds()))
}
