//! Which states were proven to come back: verified as a whole, or rehearsed. One empty object for each, so that whoever
//! expires sets on another machine knows (repository.md 6).

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::point::Point;
use crate::vault::CaRepository;

/// The folder of these objects; each is named after the snapshot of the last set of the state.
const FOLDER: &str = "certadm/proven";

impl CaRepository {
    /// Notes that the state which ends with `last` was proven: its whole chain was verified, its database too, as
    /// [`CaRepository::fetch`] gave it, which reads no set that is another one than its point says. Sets of a
    /// proven state outlive the rules of [`CaRepository::expiry`] while no newer one is proven. A server of restic's protocol
    /// keeps no such notes.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn note_proven(&self, last: &Point) -> Result<()> {
        if !self.objects.has_notes() {
            return Ok(());
        }
        let noted = self.objects.put(&name_of(&last.id), &[]);
        noted.map_err(|source| Error::Storage { place: self.objects.place(), source })
    }

    /// When it was noted that the state of a point was proven, in seconds since 1970, by the clock of the storage; `None` where
    /// no note is there.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn proven_at(&self, point: &Point) -> Result<Option<i64>> {
        for id in [&point.id, &point.original].into_iter().filter(|id| !id.is_empty()) {
            match self.objects.stored_at(&name_of(id)) {
                Ok(when) => return Ok(Some(when)),
                Err(error) if error.is_not_found() => {}
                Err(source) => return Err(Error::Storage { place: self.objects.place(), source }),
            }
        }
        Ok(None)
    }

    /// The ids under which it was noted that a state is proven: see [`Point::is_noted`].
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn proven(&self) -> Result<BTreeSet<String>> {
        let listed = self.objects.list(FOLDER);
        let listed = listed.map_err(|source| Error::Storage { place: self.objects.place(), source })?;
        Ok(listed.into_iter().filter_map(|(name, _)| Some(name.rsplit('/').next()?.to_owned())).collect())
    }
}

/// Forgets that the state of an expired point was proven.
///
/// # Errors
/// [`Error::Storage`].
pub(crate) fn forget(objects: &dyn Objects, id: &str) -> Result<()> {
    objects.delete(&name_of(id)).map_err(|source| Error::Storage { place: objects.place(), source })
}

fn name_of(id: &str) -> String {
    format!("{FOLDER}/{id}")
}
