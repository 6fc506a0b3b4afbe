//! Space that is kept for a full disk: two files beside the logs, each as large as a log, and of 64 MiB at most.
//!
//! A backup deletes logs and so frees space. But before it lists them it has to archive the current one, which takes space:
//! on a full disk there would be no way out. The reserve is that way. ESE keeps files of the same names for the same
//! reason. Only the owner's start and a backup use it: a roll in the background would use it up and free nothing. It is
//! made again when there is room.

use std::path::{Path, PathBuf};

use certadm_files::space;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::{Diagnosis, Hresult};

use crate::error::{Error, Result};
use crate::folder::Folder;

/// The names of its files.
const NAMES: [&str; 2] = ["edbres00001.jrs", "edbres00002.jrs"];

/// The most that one file takes, in bytes: a CA with logs of 1 GiB need not give 2 GiB away.
const MAX_LEN: u64 = 64 << 20;

/// How much room has to be left when it is made, in logs: as much as `show` wants to be free.
const ROOM: u64 = 2;

/// Whether the file of this name is a part of the reserve.
#[must_use]
pub fn is_reserve(path: &Path) -> bool {
    path.file_name().is_some_and(|name| NAMES.iter().any(|reserve| name == *reserve))
}

/// Whether the CA of a folder has any space kept.
#[must_use]
pub fn has_reserve(folder: &Folder) -> bool {
    NAMES.iter().any(|name| folder.log_dir().join(name).exists())
}

/// The space kept for the CA in a folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
    log_size: u64,
}

impl Reserve {
    pub(crate) fn of(folder: &Folder, log_size: u64) -> Self {
        Self { dir: folder.log_dir(), log_size }
    }

    /// Makes what is missing of it, as long as there is room enough beside it. A reserve that cannot be made is none: `show`
    /// warns of a disk that is nearly full.
    pub(crate) fn keep(&self) {
        for path in self.paths().filter(|path| !path.exists()) {
            let len = self.log_size.min(MAX_LEN);
            let needed = len.saturating_mul(1 + ROOM);
            if space::available(&self.dir).is_ok_and(|free| free.is_none_or(|free| needed <= free))
                && let Err(error) = space::occupy(&path, len)
            {
                // The space was there a moment ago; the work does not fail for want of a reserve.
                tracing::debug!(error = %chain_of(&error), "no space is kept for a full disk");
            }
        }
    }

    /// Does `work`, and again with each part of the reserve given up, while there is no space for it. It must be such work
    /// that can begin anew after it failed.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn lend<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match work() {
                Err(error) if is_no_space(&error) && self.give_up_one() => {
                    tracing::warn!(error = %chain_of(&error), "the disk of the CA is full; some of the reserve is used");
                }
                other => return other,
            }
        }
    }

    fn give_up_one(&self) -> bool {
        self.paths().any(|path| std::fs::remove_file(path).is_ok())
    }

    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        NAMES.iter().map(|name| self.dir.join(name))
    }
}

/// Whether an error says that the disk is full.
pub(crate) fn is_no_space(error: &Error) -> bool {
    [Hresult::DISK_FULL, Hresult::LOG_DISK_FULL, Hresult::ERROR_DISK_FULL].contains(&error.hresult())
}
