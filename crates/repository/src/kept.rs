//! A reader that looks many sets up one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use certadm_rules::finding::Kind;
use rustic_core::Id;

use crate::error::Result;
use crate::objects::Objects;
use crate::proof;
use crate::reader::Reader;
use crate::secret::Secret;

/// Keeps a reader while no index comes or goes: a night has one set to copy, and a hundred to look up. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Arc<Known>>>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// What one reader has found.
pub(crate) struct Known {
    indexes: BTreeSet<String>,
    pub(crate) reader: Reader,
    /// What [`Reader::lost_packs`] tells.
    pub(crate) lost: BTreeMap<Id, (Kind, String)>,
}

impl Kept {
    /// The reader that was kept, or a new one where the indexes are others.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub(crate) fn reader(&self, objects: &Arc<dyn Objects>, secret: &Secret) -> Result<Arc<Known>> {
        let indexes = proof::indexes(objects.as_ref())?;
        // What is in it stays right when a thread that held it has panicked: every change is a single step.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.as_ref().filter(|known| known.indexes == indexes) {
            return Ok(Arc::clone(known));
        }
        let reader = Reader::open_readable(objects, secret)?;
        let lost = reader.lost_packs()?;
        Ok(Arc::clone(kept.insert(Arc::new(Known { indexes, reader, lost }))))
    }
}
