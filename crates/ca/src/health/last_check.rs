//! When the database of a CA was last checked, and by what: a file in the CA's folder.

use std::path::Path;

use certadm_files::{durable, read};
use certadm_rules::FileTime;
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
    /// The signature of the database, in hexadecimal; older versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl LastCheck {
    /// What the folder says; `None` when it says nothing that can be read.
    #[must_use]
    pub fn read(folder: &Folder) -> Option<Self> {
        let bytes = read::bounded(&path(folder.path()), MAX_LEN).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether it tells anything of the database that is there now, which has this signature and was recovered then: a restore puts
    /// another one in the place of what was checked.
    #[must_use]
    pub(super) fn is_of(&self, signature: &str, recovered: Option<FileTime>) -> bool {
        // Both are in UTC and of one form.
        let is_later = recovered.is_none_or(|recovered| recovered.to_rfc3339() <= self.when);
        is_later && self.database.as_deref().is_none_or(|of| of == signature)
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
