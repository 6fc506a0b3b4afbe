//! When the database of a CA was last checked, and by what: a file in the CA's folder.

use std::path::Path;

use certadm_files::{durable, read};
use certadm_store::Folder;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The file is far shorter.
const MAX_LEN: u64 = 4096;

/// The last check of a CA's database that found it sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastCheck {
    /// When, as RFC 3339 text.
    pub when: String,
    /// What checked it, such as `backup`.
    pub by: String,
}

impl LastCheck {
    /// What the folder says; `None` when it says nothing that can be read.
    #[must_use]
    pub fn read(folder: &Folder) -> Option<Self> {
        let bytes = read::bounded(&path(folder.path()), MAX_LEN).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Records the check in the folder.
    ///
    /// # Errors
    /// [`crate::Error::File`].
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let mut text = serde_json::to_vec(self).map_err(crate::Error::encoding("record of the check"))?;
        text.push(b'\n');
        Ok(durable::replace(&path(folder.path()), &text)?)
    }
}

fn path(dir: &Path) -> std::path::PathBuf {
    dir.join("last-check.json")
}
