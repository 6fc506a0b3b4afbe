//! Where the alarms that are known are kept: `alarms.json` among the records. One process at a time works with them.
//!
//! When the records cannot be written, alarms are told all the same. What was told is kept then in the folder that a service has while it
//! runs (`RUNTIME_DIRECTORY` of systemd.exec(5)), so that nobody hears the same at every judgement. Where there is none, it is told again.

use std::fs::File;
use std::path::{Path, PathBuf};

use certadm_files::{Error, IoContext, Result, durable};

use crate::alarm::Ledger;
use crate::config::Config;
use crate::json_file::{read_json, write_json, write_private_json};

/// No file of alarms is longer than this, in bytes.
const MAX_FILE: u64 = 16 << 20;
/// The file, and the one whose lock is taken.
const FILE: &str = "alarms.json";
const LOCK: &str = "alarms.lock";
/// The variable by which systemd names the folder that a service has while it runs.
const RUNTIME_VARIABLE: &str = "RUNTIME_DIRECTORY";

/// The known alarms, for this process alone.
pub(crate) struct Known {
    records: PathBuf,
    /// Where they are kept while the records cannot be written.
    beside: Option<PathBuf>,
    /// They could not be written when somebody was told last.
    was_unwritten: bool,
    /// Why the records cannot be written.
    unwritten: Option<Error>,
    /// Why the records could not be read.
    unread: Option<Error>,
    _lock: Option<File>,
}

/// What is known, for who only looks: without waiting for other processes. The file is replaced as a whole.
///
/// # Errors
/// When there is a file, and it cannot be read.
pub(crate) fn peek(config: &Config) -> Result<Ledger> {
    let newer = beside().as_deref().and_then(|folder| read(folder).ok().flatten());
    newer.map_or_else(|| Ok(read(&config.state)?.unwrap_or_default()), Ok)
}

/// The folder that systemd gives a service while it runs. Of several, the first.
fn beside() -> Option<PathBuf> {
    let runtime = std::env::var(RUNTIME_VARIABLE).unwrap_or_default();
    runtime.split(':').next().map(PathBuf::from).filter(|path| path.is_absolute())
}

impl Known {
    /// Waits for other processes, and gives what is known: nothing where there is no file, or one that cannot be read ([`Self::unread`]).
    pub(crate) fn open(config: &Config) -> (Self, Ledger) {
        Self::open_in(config.state.clone(), beside())
    }

    fn open_in(records: PathBuf, beside: Option<PathBuf>) -> (Self, Ledger) {
        let (lock, unwritten) = match lock(&records) {
            Ok(lock) => (Some(lock), None),
            Err(error) => (beside.as_deref().and_then(|folder| lock_of(folder).ok()), Some(error)),
        };
        // What lies beside is newer: it goes when the records can be written again.
        let newer = beside.as_deref().and_then(|folder| read(folder).ok().flatten());
        let was_unwritten = newer.is_some();
        let (ledger, unread) = match newer.map_or_else(|| read(&records), |newer| Ok(Some(newer))) {
            Ok(ledger) => (ledger.unwrap_or_default(), None),
            Err(error) => (Ledger::default(), Some(error)),
        };
        (Self { records, beside, was_unwritten, unwritten, unread, _lock: lock }, ledger)
    }

    /// Writes them.
    pub(crate) fn write(&mut self, ledger: &Ledger) {
        if self.unwritten.is_none() {
            self.unwritten = write_json(&self.records.join(FILE), ledger).err();
        }
        if let Some(beside) = &self.beside {
            // What cannot be kept there, either, is told again.
            match &self.unwritten {
                Some(_) => write_private_json(&beside.join(FILE), ledger).ok(),
                None => durable::remove_if_present(&beside.join(FILE)).ok(),
            };
        }
    }

    /// Whether they could not be written when somebody was told last.
    pub(crate) const fn was_unwritten(&self) -> bool {
        self.was_unwritten
    }

    /// Why the records cannot be written, as far as it was tried.
    pub(crate) const fn unwritten(&self) -> Option<&Error> {
        self.unwritten.as_ref()
    }

    /// Why the records could not be read, so that everybody is told again. What is written next takes their place.
    pub(crate) const fn unread(&self) -> Option<&Error> {
        self.unread.as_ref()
    }

    /// Lets them go to others.
    pub(crate) fn close(self) -> Option<Error> {
        self.unwritten
    }
}

fn read(folder: &Path) -> Result<Option<Ledger>> {
    read_json(&folder.join(FILE), MAX_FILE)
}

/// The lock of the known alarms, in the folder of records, which is made.
fn lock(records: &Path) -> Result<File> {
    durable::create_dir(records)?;
    lock_of(records)
}

fn lock_of(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = durable::open_or_create(&path)?;
    file.lock().during("lock", &path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::alarm::{About, Alarm};

    #[test]
    fn what_was_told_while_the_records_could_not_be_written_is_known_and_goes_back_into_them() {
        let dir = certadm_files::scratch::for_test();
        let [records, beside] = ["records", "beside"].map(|name| dir.path().join(name));
        fs::create_dir(&beside).unwrap();
        let open = || Known::open_in(records.clone(), Some(beside.clone()));
        let alarm = |about| Alarm { about, ..Alarm::of_unprotected(&"a".parse().unwrap()) };
        let (mut known, mut ledger) = open();
        assert!(ledger == Ledger::default() && known.unread().is_none(), "no file is an empty one");
        ledger.update(("", "a"), &[alarm(About::Late)], &BTreeSet::new(), 1);
        known.write(&ledger);
        assert!(known.close().is_none());
        // A folder in the place of the file: nobody can write it.
        let blocked = records.join(FILE);
        fs::remove_file(&blocked).unwrap();
        fs::create_dir(&blocked).unwrap();
        let (mut known, read) = open();
        assert!(read == Ledger::default() && known.unread().is_some(), "what it has is not known");
        known.write(&ledger);
        assert!(known.close().is_some());
        for blocks_lock in [false, true] {
            if blocks_lock {
                fs::remove_file(records.join(LOCK)).unwrap();
                fs::create_dir(records.join(LOCK)).unwrap();
            }
            let (mut known, read) = open();
            assert_eq!(read, ledger);
            assert_eq!(known.unwritten().is_some(), blocks_lock);
            known.write(&read);
            assert!(known.close().is_some());
        }
        fs::remove_dir(&blocked).unwrap();
        fs::remove_dir(records.join(LOCK)).unwrap();
        let (mut known, read) = open();
        known.write(&read);
        assert!(known.close().is_none() && !beside.join(FILE).exists());
        assert_eq!(open().1, ledger);
        // Without such a folder nothing is remembered, and that is all.
        fs::remove_file(&blocked).unwrap();
        fs::create_dir(&blocked).unwrap();
        let (mut known, read) = Known::open_in(records.clone(), None);
        known.write(&read);
        assert!(known.close().is_some());
    }
}
