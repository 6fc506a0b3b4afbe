//! Looking again at a set whose snapshot stands (repository.md 6).
//!
//! A prune beside a writer that had read the snapshots before may mark packs that the new set leans on. The prune looks at all
//! snapshots once more when it ends, and the writer at the indexes when its snapshot stands, so one of both notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustic_core::{FileType, Id, TreeId};

use crate::bridge::name_of;
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::reader::Reader;
use crate::secret::Secret;

/// The names of the indexes that are there.
///
/// # Errors
/// [`Error::Storage`].
pub(crate) fn indexes(objects: &dyn Objects) -> Result<BTreeSet<String>> {
    let listed = objects.list(FileType::Index.dirname());
    let listed = listed.map_err(|source| Error::Storage { place: objects.place(), source })?;
    Ok(listed.into_iter().map(|(name, _)| name).collect())
}

/// One of the packs that a backup has stored and that is not there any more.
///
/// # Errors
/// [`Error::Storage`].
pub(crate) fn gone(objects: &dyn Objects, stored: &BTreeSet<Id>) -> Result<Option<String>> {
    let storage = |source| Error::Storage { place: objects.place(), source };
    let listed = objects.list(FileType::Pack.dirname()).map_err(storage)?;
    let listed: BTreeSet<String> = listed.into_iter().map(|(name, _)| name).collect();
    for name in stored.iter().map(|pack| name_of(FileType::Pack, pack)).filter(|name| !listed.contains(name))
    {
        // A list may be late.
        if objects.len(&name).map_err(storage)?.is_none() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Looks again where the indexes are no longer those of the proof. A set that lacks something then does not count: its
/// snapshot goes.
///
/// # Errors
/// [`Error::NotStored`], and as [`Reader::open`].
pub(crate) fn still_holds(
    objects: &Arc<dyn Objects>,
    secret: &Secret,
    address: &str,
    (tree, id): (TreeId, &str),
    before: &BTreeSet<String>,
) -> Result<()> {
    if indexes(objects.as_ref())? == *before {
        return Ok(());
    }
    let reader = Reader::open(objects, secret)?;
    match reader.lacks(tree, &reader.lost_packs()?)? {
        None => Ok(()),
        Some(detail) => {
            // Where that fails, the set lacks something until the next expiry takes its packs back.
            objects.delete(&format!("{}/{id}", FileType::Snapshot.dirname())).ok();
            Err(Error::NotStored { place: address.to_owned(), detail })
        }
    }
}
