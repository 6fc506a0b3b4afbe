//! Whether a set that is to be stored is there already, and whole: a snapshot alone does not say so.

use std::path::Path;

use certadm_files::Found;
use certadm_set::stored::same_backup;
use certadm_set::{Manifest, signing};

use crate::beside::{Attached, of_folder};
use crate::error::{Error, Result};
use crate::point::Point;
use crate::vault::CaRepository;

impl CaRepository {
    /// The manifest of a set that is here, and its bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub(crate) fn manifest_of(&self, point: &Point) -> Result<(Manifest, Vec<u8>)> {
        let known = self.kept.reader(&self.objects, &self.secret)?;
        known.reader.manifest(&known.reader.files(point.tree)?)
    }

    /// Whether all of a set is here, it is what its snapshot says, and its files are those of a manifest. Without one, they are not
    /// compared.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it has other files; [`Error::Storage`].
    pub(crate) fn has_whole(&self, point: &Point, manifest: Option<&Manifest>) -> Result<bool> {
        let known = self.kept.reader(&self.objects, &self.secret)?;
        if known.reader.lacks(point.tree, &known.lost)?.is_some() {
            return Ok(false);
        }
        let Ok(seen) = known.reader.seen(point)? else { return Ok(false) };
        if manifest.is_some_and(|manifest| !seen.manifest.has_same_files(manifest)) {
            return Err(Error::Damaged {
                place: format!("{}/{}", self.address(), point.short_id()),
                detail: "it has other files than the set of its time and generations that was to be stored"
                    .to_owned(),
            });
        }
        Ok(true)
    }
}

impl CaRepository {
    /// What is attached to a set that is here.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub(crate) fn attached_to(&self, point: &Point) -> Result<Attached> {
        let known = self.kept.reader(&self.objects, &self.secret)?;
        let files = known.reader.files(point.tree)?;
        Ok(Attached::of(known.reader.beside(&files)?, known.reader.signature(&files)?.is_some()))
    }

    /// What was attached to a set after it was stored: paths in the set, and their content. Empty for a set that was not stored again, so
    /// that nothing is asked of the storage for it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub fn attached_later(&self, point: &Point) -> Result<Vec<(String, Vec<u8>)>> {
        if point.version == 0 {
            return Ok(Vec::new());
        }
        let known = self.kept.reader(&self.objects, &self.secret)?;
        let beside = known.reader.beside(&known.reader.files(point.tree)?)?;
        Ok(beside.into_iter().map(|(path, content)| (path, content.to_vec())).collect())
    }

    /// What is attached to a set that is a folder.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::NotStored`] for what no set holds.
    pub(crate) fn attached_to_folder(&self, set: &Path) -> Result<Attached> {
        let is_signed = Found::below(set, signing::FILE_NAME).is_there();
        Ok(Attached::of(of_folder(set, &self.address())?, is_signed))
    }

    /// The error for a set that is here, but with other things attached.
    pub(crate) fn has_other_things(&self, point: &Point) -> Error {
        Error::OtherThings { place: format!("{}/={}", self.address(), point.short_id()) }
    }

    /// Refuses to store a copy of one of `points`, with something attached to it, as the newest version: what the newest one has that
    /// the copy lacks would come back with no state, and expire. A copy of the newest has what somebody wants it to have.
    ///
    /// # Errors
    /// [`Error::OtherThings`]; as [`CaRepository::attached_to`].
    pub(crate) fn refuse_to_hide(&self, point: &Point, points: &[Point], attached: &Attached) -> Result<()> {
        let versions = points.iter().filter(|other| same_backup(*other, point) && other.id != point.id);
        let later: Vec<&Point> = versions.filter(|other| point.version <= other.version).collect();
        let newest = later.iter().map(|other| other.version).max();
        for other in later.into_iter().filter(|other| Some(other.version) == newest) {
            // One that lacks something comes back with no state either way.
            if self.has_whole(other, None)? && !attached.has_all_of(&self.attached_to(other)?) {
                return Err(self.has_other_things(other));
            }
        }
        Ok(())
    }
}
