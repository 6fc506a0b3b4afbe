//! Whether a set that is to be stored is there already, and whole: a snapshot alone does not say so.

use std::collections::BTreeMap;

use bytes::Bytes;
use certadm_set::manifest::FileEntry;
use certadm_set::{Manifest, signing};

use crate::beside::{Files, LIST};
use crate::error::{Error, Result};
use crate::point::Point;
use crate::vault::CaRepository;

impl CaRepository {
    /// The manifest of a set that is here.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub(crate) fn manifest_of(&self, point: &Point) -> Result<Manifest> {
        let known = self.kept.reader(&self.objects, &self.secret)?;
        Ok(known.reader.manifest(&known.reader.files(point.tree)?)?.0)
    }

    /// Whether all of a set is here, and its files are those of a manifest. Without one, they are not compared.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it has other files; [`Error::Storage`].
    pub(crate) fn has_whole(&self, point: &Point, manifest: Option<&Manifest>) -> Result<bool> {
        let known = self.kept.reader(&self.objects, &self.secret)?;
        if known.reader.lacks(point.tree, &known.lost)?.is_some() {
            return Ok(false);
        }
        let Some(manifest) = manifest else { return Ok(true) };
        if !has_same_files(&self.manifest_of(point)?, manifest) {
            return Err(Error::Damaged {
                place: format!("{}/{}", self.address(), point.short_id()),
                detail: "it has other files than the set of its time and generations that was to be stored"
                    .to_owned(),
            });
        }
        Ok(true)
    }
}

/// What belongs to a set and is not in its manifest: what stands beside its database, and whether somebody has signed it.
pub(crate) struct Attached(BTreeMap<String, Bytes>);

impl Attached {
    /// Of these files. The list of them is made anew whenever one comes, so it is left out; and of two signatures, each fits its
    /// own manifest.
    pub(crate) fn of(beside: Files, is_signed: bool) -> Self {
        let mut all: BTreeMap<String, Bytes> = beside.into_iter().collect();
        all.remove(LIST);
        if is_signed {
            all.insert(signing::FILE_NAME.to_owned(), Bytes::new());
        }
        Self(all)
    }

    /// Whether everything of `other` is here, too.
    pub(crate) fn has_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|(path, content)| self.0.get(path) == Some(content))
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

    /// The error for a set that is here, but with other things attached.
    pub(crate) fn has_other_things(&self, point: &Point) -> Error {
        Error::OtherThings { place: format!("{}/{}", self.address(), point.short_id()) }
    }
}

/// Whether two manifests name the same files with the same bytes. A set that was sealed twice has two manifests.
fn has_same_files(one: &Manifest, other: &Manifest) -> bool {
    let files = |manifest: &Manifest| {
        let named = |file: &FileEntry| (file.path.clone(), (file.size, file.blake3.clone()));
        manifest.files.iter().map(named).collect::<BTreeMap<_, _>>()
    };
    files(one) == files(other)
}
