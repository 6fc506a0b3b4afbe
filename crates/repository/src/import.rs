//! Sets that are folders come into a repository.

use std::path::Path;

use certadm_set::manifest::{self, Manifest, Role};
use certadm_set::sink::{Committed, NewFile, SetSink};
use certadm_set::stored::same_backup;
use certadm_set::{Opened, Progress, Set, signing};

use crate::beside;
use crate::error::{Error, Result};
use crate::point::{Earlier, Point, refuse_other_ca};
use crate::sink::{SinkOptions, finished};
use crate::vault::CaRepository;

/// What became of a set that was to be stored.
#[derive(Debug)]
pub enum Imported {
    /// It is stored now.
    Stored(Box<Committed>),
    /// It was there already.
    There(Point),
}

impl CaRepository {
    /// Stores a set that is a folder, with its manifest as it is. One that is there already, and whole, stays as it is; where it
    /// lacks something, it is stored once more, and [`CaRepository::repair`] can let the other one go. Where more is attached to
    /// the folder than to the set that is there, it becomes a later version of it.
    ///
    /// # Errors
    /// As [`CaRepository::sink`]; [`Error::OtherCa`]; [`Error::Set`] when the folder is no complete set, or a file of it differs from its
    /// manifest; [`Error::Damaged`] when what is there in its place has other files; [`Error::OtherThings`].
    pub fn import(&self, path: &Path, progress: &mut dyn Progress) -> Result<Imported> {
        let set = complete_set(path)?;
        let incomplete = || certadm_set::Error::Incomplete { path: path.to_owned() };
        let manifest = set.manifest.clone().ok_or_else(incomplete)?;
        refuse_other_ca(&self.address(), &self.ca, &manifest.ca.name)?;
        let time = finished(&manifest);
        let attached = self.attached_to_folder(&set)?;
        let points = self.points()?;
        let mut newest: Option<(&Point, beside::Attached)> = None;
        for point in &points {
            if point.time != time
                || point.contradiction(&manifest).is_some()
                || !self.has_whole(point, Some(&manifest))?
            {
                continue;
            }
            let there = self.attached_to(point)?;
            if there.has_all_of(&attached) {
                return Ok(Imported::There(point.clone()));
            }
            if newest.as_ref().is_none_or(|(newest, _)| newest.version < point.version) {
                newest = Some((point, there));
            }
        }
        Ok(Imported::Stored(Box::new(match newest {
            None => self.store(&set, manifest, None, progress)?,
            // Every state takes the later version from then on.
            Some((point, there)) if attached.has_all_of(&there) => {
                self.store_later(point, &points, &set, manifest, progress)?
            }
            Some((point, _)) => return Err(self.has_other_things(point)),
        })))
    }

    /// Stores a set again with what was attached to a copy of it in the meantime. The set as it was stays: it is the same backup
    /// with less beside its database, and an expiry lets it go.
    ///
    /// # Errors
    /// [`Error::NotStored`] when the copy is of another set; [`Error::OtherThings`] when a later version has something that the copy
    /// lacks; as [`CaRepository::import`].
    pub fn store_attached(
        &self,
        point: &Point,
        copy: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Committed> {
        let set = complete_set(copy)?;
        let manifest =
            set.manifest.clone().ok_or_else(|| certadm_set::Error::Incomplete { path: copy.to_owned() })?;
        let points = self.points()?;
        if finished(&manifest) != point.time || !points.contains(point) {
            let detail = format!("{} is no copy of the set {}", copy.display(), point.short_id());
            return Err(Error::NotStored { place: self.address(), detail });
        }
        self.refuse_to_hide(point, &points, &self.attached_to_folder(&set)?)?;
        self.store_later(point, &points, &set, manifest, progress)
    }

    /// Stores a set as the next version of one of `points`.
    fn store_later(
        &self,
        point: &Point,
        points: &[Point],
        set: &Set,
        manifest: Manifest,
        progress: &mut dyn Progress,
    ) -> Result<Committed> {
        let versions = points.iter().filter(|other| same_backup(*other, point)).map(|other| other.version);
        let earlier = Earlier {
            version: versions.max().unwrap_or_default().saturating_add(1),
            held: point.held,
            original: point.id.parse().ok(),
        };
        let committed = self.store(set, manifest, Some(earlier), progress)?;
        // The database is the one that was proven, to the last byte.
        if point.is_noted(&self.proven()?) {
            let later = self.points()?.into_iter().rfind(|later| same_backup(later, point));
            later.iter().try_for_each(|later| self.note_proven(later))?;
        }
        Ok(committed)
    }

    /// Stores a set that is a folder, with its manifest, its signature and what stands beside its database as they are.
    fn store(
        &self,
        set: &Set,
        manifest: Manifest,
        earlier: Option<Earlier>,
        progress: &mut dyn Progress,
    ) -> Result<Committed> {
        let mut sink = self.sink(SinkOptions::default())?;
        sink.earlier = earlier;
        let mut entries: Vec<_> = manifest.files.iter().collect();
        entries.sort_by_key(|entry| (entry.role != Role::Database, &entry.path));
        for entry in entries {
            let found = certadm_files::Found::below(&set.path, &entry.path);
            let mut file = found.open_up_to(Some(entry.size))?;
            let new = NewFile {
                entry: entry.path.clone(),
                role: entry.role,
                source: &entry.source,
                size: entry.size,
                hashing: entry.hashing(),
            };
            let stored = sink.add(new, &mut |buffer: &mut [u8]| {
                let read = std::io::Read::read(&mut file, buffer);
                read.map_err(|source| {
                    let (action, path) = ("read", found.path().to_owned());
                    certadm_files::Error::Io { action, path, source }.into()
                })
            })?;
            if (&stored.blake3, &stored.sha256) != (&entry.blake3, &entry.sha256) {
                return Err(Error::Set(certadm_set::Error::Damaged {
                    path: found.path().to_owned(),
                    detail: "its bytes differ from what was backed up".to_owned(),
                    code: certadm_rules::Hresult::ERROR_INVALID_DATA,
                }));
            }
        }
        let bytes = certadm_files::Found::below(&set.path, manifest::FILE_NAME).read(manifest::MAX_LEN)?;
        if Manifest::parse(&bytes).ok().as_ref() != Some(&manifest) {
            let detail = "it changed while the set was stored".to_owned();
            let path = set.path.join(manifest::FILE_NAME);
            return Err(Error::Set(certadm_set::Error::BadManifest { path, detail }));
        }
        let signature = certadm_files::Found::below(&set.path, signing::FILE_NAME);
        let signature = signature.is_there().then(|| signature.read(signing::MAX_LEN)).transpose()?;
        let beside = beside::of_folder(&set.path, &self.address())?;
        sink.commit_as(manifest, bytes, signature, beside, progress)
    }
}

/// The set at a path, of our own CA or of a Windows CA.
fn complete_set(path: &Path) -> Result<Set> {
    let incomplete = || certadm_set::Error::Incomplete { path: path.to_owned() };
    let set = match certadm_set::open(&[path.to_owned()])? {
        Opened::Windows(sets) => sets.into_iter().next().and_then(|set| set.complete),
        other => other.into_ours()?.into_iter().next(),
    };
    Ok(set.ok_or_else(incomplete)?)
}
