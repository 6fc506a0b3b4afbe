//! The journal of an exchange: `restore-swap.json` in the CA's folder.

use std::path::PathBuf;

use certadm_files::{durable, read};
use certadm_rules::Hresult;
use certadm_store::Folder;
use certadm_store::chain::read_trailer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The journal is far shorter.
const MAX_JOURNAL: u64 = 4096;
/// What the names of folders with replaced files begin with.
pub(super) const ASIDE: &str = "replaced-";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    /// The folder, inside the CA's, with what was there; none when nothing was.
    pub(super) aside: Option<String>,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    MovingAside,
    Placing,
}

impl Journal {
    /// Reads the journal; `None` where there is none.
    pub(super) fn read(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.restore_swap_path();
        let bytes = match read::bounded(&path, MAX_JOURNAL) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let damaged =
            |detail: String| Error::Damaged { path: path.clone(), detail, code: Hresult::ERROR_INVALID_DATA };
        let journal: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let is_name = |name: &String| {
            name.strip_prefix(ASIDE).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if journal.aside.as_ref().is_some_and(|name| !is_name(name)) {
            return Err(damaged("it names no folder of replaced files".to_owned()));
        }
        Ok(Some(journal))
    }

    pub(super) fn write(&self, folder: &Folder) -> Result<()> {
        let path = folder.restore_swap_path();
        let mut bytes = serde_json::to_vec(self).map_err(|error| Error::Damaged {
            path: path.clone(),
            detail: error.to_string(),
            code: Hresult::E_FAIL,
        })?;
        bytes.push(b'\n');
        Ok(durable::replace(&path, &bytes)?)
    }

    /// Whether what was moved aside is no longer there, although files of the restore have taken its place.
    pub(super) fn has_lost(&self, folder: &Folder) -> bool {
        self.phase == Phase::Placing && self.aside_dir(folder).is_some_and(|aside| !aside.is_dir())
    }

    pub(super) fn aside_dir(&self, folder: &Folder) -> Option<PathBuf> {
        self.aside.as_ref().map(|name| folder.path().join(name))
    }
}

/// Whether a restore that is not carried out has files of the CA aside.
///
/// # Errors
/// [`Error::File`], [`Error::Damaged`] for a journal that cannot be read.
pub(super) fn has_moved_aside(folder: &Folder) -> Result<bool> {
    Ok(Journal::read(folder)?
        .and_then(|journal| journal.aside_dir(folder))
        .is_some_and(|aside| aside.is_dir()))
}

/// Whether the database in the folder is the image of a backup that nothing has made whole.
pub(super) fn is_restored_image(folder: &Folder) -> bool {
    folder.database_path().is_ok_and(|path| read_trailer(&path).is_ok())
}
