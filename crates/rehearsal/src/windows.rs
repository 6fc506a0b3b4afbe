//! A set of a Windows CA, recovered: its logs are replayed into a clean copy of its database.

use std::path::Path;

use certadm_ese::Database;
use certadm_ese::pager::FilePager;
use certadm_files::Found;
use certadm_files::IoContext;
use certadm_set::progress::Progress;
use certadm_set::windows::{WindowsSet, recover};

use crate::error::{Error, Result};
use crate::step::{Notes, Trouble};

/// The clean copy, open for reading.
pub(crate) struct Windows {
    pub(crate) database: Database<FilePager>,
}

impl Windows {
    pub(crate) fn recover(
        sets: &[WindowsSet],
        dir: &Path,
        progress: &mut dyn Progress,
        notes: &mut Notes,
    ) -> Result<Self, Trouble> {
        let recovered = recover(sets, dir, progress).map_err(Error::from)?;
        notes.detail = match recovered.outcome.reached.is_none() {
            true => "the database was clean and needed no log; every page of the copy was checked".to_owned(),
            false => format!(
                "{} records were replayed up to {}; every page of the copy was checked",
                recovered.outcome.counts.records, recovered.outcome.reached
            ),
        };
        notes.findings.extend(recovered.outcome.findings);
        let file = Found::named(&recovered.database);
        let pager = FilePager::new(file.open()?).during("look at", &recovered.database)?;
        Ok(Self { database: Database::open(pager)? })
    }
}
