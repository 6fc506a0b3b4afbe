//! Copying sets into another repository, and proving them there.

use std::sync::Arc;

use certadm_files::cancel;
use certadm_set::Progress;
use rustic_core::TreeId;
use rustic_core::repofile::SnapshotFile;

use crate::bridge::Bridge;
use crate::engine::{self, Unexplained, call, of_storage};
use crate::error::{Error, Result};
use crate::point::Point;
use crate::proof;
use crate::reader::Reader;
use crate::vault::CaRepository;

/// What became of a set that was to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is there now, under this id.
    Stored(String),
    /// It was there already, under this id.
    There(String),
}

impl CaRepository {
    /// Copies a set of another repository into this one: what is not there yet, encrypted with the key of this one. A fresh
    /// reader has compared every file with the manifest before the snapshot appears.
    ///
    /// # Errors
    /// [`Error::NotStored`] for a set of another CA; [`Error::Damaged`] when either repository lacks something; as
    /// [`CaRepository::points`] of both.
    pub fn copy_from(
        &self,
        source: &CaRepository,
        point: &Point,
        progress: &mut dyn Progress,
    ) -> Result<Copied> {
        if let Some(there) = self.points()?.into_iter().find(|there| there.is_copy_of(point)) {
            return Ok(Copied::There(there.id));
        }
        if source.ca != self.ca {
            let detail =
                format!("the set is of the CA {:?}, and this is the repository of {:?}", source.ca, self.ca);
            return Err(self.not_stored(detail));
        }
        let from = Reader::open(&source.objects, &source.secret)?;
        let snapshot = snapshot_of(&from, source, point)?;
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some((_, detail)) = reader.lost_packs()?.into_values().next() {
            return Err(Error::Damaged { place: self.address(), detail });
        }
        cancel::check()?;
        let bridge = Bridge::new(Arc::clone(&self.objects));
        let to = engine::twice(|| {
            let opened = engine::open(&bridge, &self.secret)?;
            call(&bridge, "read the index", Unexplained::Damage, || opened.to_indexed_ids())
        })?;
        let copied =
            call(&bridge, "copy a set", Unexplained::Damage, || from.repository.copy(&to, [&snapshot]));
        copied.map_err(|error| match from.bridge.take_trouble() {
            Some(trouble) => of_storage(source.address(), trouble),
            None => error,
        })?;
        bridge.barrier()?;
        let indexes = proof::indexes(self.objects.as_ref())?;
        self.prove(&from, snapshot.tree, progress)?;
        let id = bridge.commit()?.to_hex().to_string();
        proof::still_holds(&self.objects, &self.secret, &self.address(), (snapshot.tree, &id), &indexes)?;
        Ok(Copied::Stored(id))
    }

    /// The set as a fresh reader finds it here is that of the source, byte for byte.
    fn prove(&self, from: &Reader, tree: TreeId, progress: &mut dyn Progress) -> Result<()> {
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some(detail) = reader.lacks(tree, &reader.lost_packs()?)? {
            return Err(self.not_stored(detail));
        }
        let files = reader.files(tree)?;
        let (manifest, _) = reader.manifest(&files)?;
        let (first, _) = from.manifest(&from.files(tree)?)?;
        if manifest != first || manifest.ca.name != self.ca {
            return Err(self.not_stored("the set that a fresh reader finds is another one".to_owned()));
        }
        let (signature, beside) = (reader.signature(&files)?, reader.beside(&files)?);
        let own = from.files(tree)?;
        if signature != from.signature(&own)? || beside != from.beside(&own)? {
            return Err(self.not_stored("signature or identity differ for a fresh reader".to_owned()));
        }
        reader.read_all(&files, &manifest, None, progress)
    }

    fn not_stored(&self, detail: String) -> Error {
        Error::NotStored { place: self.address(), detail }
    }
}

fn snapshot_of(from: &Reader, source: &CaRepository, point: &Point) -> Result<SnapshotFile> {
    let snapshots = call(&from.bridge, "read the snapshots", Unexplained::Damage, || {
        from.repository.get_all_snapshots()
    })?;
    let found = snapshots.into_iter().find(|snapshot| *snapshot.id.to_hex() == *point.id);
    found.ok_or_else(|| Error::NoPoint { place: source.address(), detail: format!("{} is gone", point.id) })
}
