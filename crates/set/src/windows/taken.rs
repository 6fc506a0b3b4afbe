//! When a set of a Windows CA was taken, as far as its files say.

use certadm_ese::log::LogFile;
use certadm_ese::pager::FilePager;
use certadm_ese::stamps::LogTime;
use certadm_rules::{FileTime, is_ahead};

use super::files::WindowsSet;

impl WindowsSet {
    /// When the backup was taken by the header of its database, or of a log set by its last log; `None` where nothing says so in
    /// UTC.
    #[must_use]
    pub fn taken(&self) -> Option<FileTime> {
        match &self.database {
            Some(database) => {
                let pager = FilePager::new(database.open().ok()?).ok()?;
                let database = certadm_ese::Database::open(pager).ok()?;
                let header = database.header();
                moment_of(header.current_full_backup().time)
                    .or_else(|| moment_of(header.previous_full_backup().time))
            }
            None => self.last_log_taken(),
        }
    }

    /// When the backup began that closed the last log, as a record in it says (ese.md 11.2), or else when that log was begun: what it
    /// holds is no older. The time of the file is that of its last copy, and tells neither. A moment in the future tells nothing.
    fn last_log_taken(&self) -> Option<FileTime> {
        let now = certadm_store::now().unix_seconds();
        let log = LogFile::open(&FilePager::new(self.last_log()?.open().ok()?).ok()?).ok()?;
        let begun = moment_of(log.header().created)?;
        let backup = log.backup_begun().and_then(moment_of).filter(|backup| begun <= *backup);
        [backup, Some(begun)].into_iter().flatten().find(|moment| !is_ahead(moment.unix_seconds(), now))
    }

    /// When its newest file was written. It is no proof of when the set was taken, and tells the newer of two.
    #[must_use]
    pub fn written(&self) -> Option<FileTime> {
        let newest = self.last_log().or(self.database.as_ref())?;
        let written = newest.open().ok()?.metadata().ok()?.modified().ok()?;
        Some(FileTime::from_unix(written.duration_since(std::time::UNIX_EPOCH).ok()?))
    }
}

/// A stamp of the engine in local time tells nothing exact, and is left out.
fn moment_of(stamp: LogTime) -> Option<FileTime> {
    let date = stamp.date_time().filter(|_| stamp.is_utc())?;
    Some(FileTime::from_unix_seconds(date.unix_seconds()))
}
