//! Which states were proven to come back: verified as a whole, or rehearsed. One empty object for each, so that whoever
//! expires sets on another machine knows (repository.md 6).

use std::collections::BTreeSet;

use certadm_set::stored::leaning_on;

use crate::error::{Error, Result};
use crate::lately::now;
use crate::objects::{ObjectError, Objects};
use crate::point::Point;
use crate::vault::CaRepository;

/// The folder of these objects; each is named after the last set of the state, as [`Point::noted_as`] has it.
const FOLDER: &str = "certadm/proven";

impl CaRepository {
    /// Notes that the state which ends with `last` was proven: its whole chain was verified, its database too, as
    /// [`CaRepository::fetch`] gave it, which reads no set that is another one than its point says. Sets of a
    /// proven state outlive the rules of [`CaRepository::expiry`] while no newer one is proven. A server of restic's protocol
    /// keeps no such notes. A note that is there is replaced by one of now; where nothing may be deleted, it keeps its date.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn note_proven(&self, last: &Point) -> Result<()> {
        if !self.objects.has_notes() {
            return Ok(());
        }
        let noted = note(self.objects.as_ref(), &last.noted_as());
        noted.map_err(|source| Error::Storage { place: self.objects.place(), source })
    }

    /// When it was noted last that the state of a point was proven, in seconds since 1970, by the clock of the storage; `None` where
    /// no note is there.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn proven_at(&self, point: &Point) -> Result<Option<i64>> {
        let mut newest = None;
        // Programs of before have noted its id.
        for noted_as in [&point.noted_as(), &point.id] {
            for name in names_of(noted_as) {
                match self.objects.stored_at(&name) {
                    Ok(when) => newest = newest.max(Some(when)),
                    Err(error) if error.is_not_found() => {}
                    Err(source) => return Err(Error::Storage { place: self.objects.place(), source }),
                }
            }
            if newest.is_some() {
                break;
            }
        }
        Ok(newest)
    }

    /// Forgets that states were proven which lean on points that were found damaged since, by the ids of these: what is known to be broken
    /// must not stand for the newest proven state, for which older ones expire.
    ///
    /// # Errors
    /// As [`CaRepository::readable`].
    pub fn withdraw_proven(&self, damaged: &[String]) -> Result<()> {
        let noted = self.proven()?;
        if noted.is_empty() {
            return Ok(());
        }
        let points = self.readable()?.points;
        for point in leaning_on(&points.iter().collect::<Vec<_>>(), damaged, now()) {
            if point.is_noted(&noted) {
                forget(self.objects.as_ref(), point, &[])?;
            }
        }
        Ok(())
    }

    /// The names under which it was noted that a state is proven: see [`Point::is_noted`].
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn proven(&self) -> Result<BTreeSet<String>> {
        let listed = self.objects.list(FOLDER);
        let listed = listed.map_err(|source| Error::Storage { place: self.objects.place(), source })?;
        Ok(listed.into_iter().filter_map(|(name, _)| Some(name.rsplit('/').next()?.to_owned())).collect())
    }
}

/// Writes a note, whose date is that of its object. An object is never replaced, so the new note takes the name of the two that is
/// free, and the other one goes behind it.
fn note(objects: &dyn Objects, noted_as: &str) -> Result<(), ObjectError> {
    let [first, second] = names_of(noted_as);
    let is_there = |name: &str| objects.len(name).map(|len| len.is_some());
    let (free, old) = match (is_there(&first)?, is_there(&second)?) {
        (false, false) => return objects.put(&first, &[]),
        (true, false) => (second, first),
        (false, true) => (first, second),
        // A note was cut off before its last step, or nothing may be deleted here.
        (true, true) => match objects.delete(&second) {
            Err(error) if error.is_denied() => return Ok(()),
            deleted => deleted.map(|()| (second, first))?,
        },
    };
    objects.put(&free, &[])?;
    match objects.delete(&old) {
        Err(error) if !error.is_denied() => return Err(error),
        _ => {}
    }
    // Somebody who noted the same at the same time may have removed this one.
    if is_there(&free)? { Ok(()) } else { objects.put(&free, &[]) }
}

/// Forgets that the state of a point which is gone was proven, unless one that `stays` holds and says the same: somebody may have
/// stored its snapshot twice.
///
/// # Errors
/// [`Error::Storage`].
pub(crate) fn forget(objects: &dyn Objects, gone: &Point, stays: &[&Point]) -> Result<()> {
    let noted_as = gone.noted_as();
    let stays = stays.iter().any(|point| point.tree == gone.tree && point.noted_as() == noted_as);
    let names = [(&gone.id, false), (&noted_as, stays)].into_iter().filter(|(_, stays)| !stays);
    let mut names = names.flat_map(|(noted_as, _)| names_of(noted_as));
    let forgotten = names.try_for_each(|name| objects.delete(&name));
    forgotten.map_err(|source| Error::Storage { place: objects.place(), source })
}

/// The two names that the note of a state may have.
fn names_of(noted_as: &str) -> [String; 2] {
    [format!("{FOLDER}/{noted_as}"), format!("{FOLDER}/again/{noted_as}")]
}
