//! Sets that are folders come into a repository.

use std::path::{Path, PathBuf};

use certadm_files::Found;
use certadm_rules::finding::Finding;
use certadm_set::hashes::Hashing;
use certadm_set::manifest::{self, Manifest, Role};
use certadm_set::seal::describe_sound;
use certadm_set::sink::{Committed, NewFile, SetSink};
use certadm_set::stored::same_backup;
use certadm_set::{Neighbours, Progress, Set, signing};

use crate::beside;
use crate::error::{Error, Result};
use crate::point::{Earlier, Point, continued, refuse_other_ca};
use crate::sink::{SinkOptions, finished};
use crate::vault::CaRepository;

/// What became of a set that was to be stored.
#[derive(Debug)]
pub enum Imported {
    /// It is stored now; with what was found when it was sealed on the way, no worse than a warning.
    Stored(Box<Committed>, Vec<Finding>),
    /// It was there already.
    There(Point),
}

impl CaRepository {
    /// Stores a set that is a folder, with its manifest as it is. What certutil wrote, which has none, is checked as
    /// [`certadm_set::seal::seal`] does, and stored with the manifest that this would write; the folder stays as it is. The full set that a log
    /// set of certutil follows is looked for among `neighbours`. A set that is there already, and whole, stays as it is, and one of
    /// certutil is known by its files, whatever its date; where it lacks something, it is stored once more, and [`CaRepository::repair`] can
    /// let the other one go. Where more is attached to the folder than to the set that is there, it becomes a later version of it.
    ///
    /// # Errors
    /// As [`CaRepository::sink`]; [`Error::OtherCa`]; [`Error::Set`] when the folder is no complete set, cannot be sealed, or a file of
    /// it differs from its manifest; [`Error::ContinuesNothing`] for a log set whose full set is not here, or a set between;
    /// [`Error::Damaged`] when what is there in its place has other files; [`Error::OtherThings`].
    pub fn import(
        &self,
        path: &Path,
        neighbours: &mut Neighbours,
        progress: &mut dyn Progress,
    ) -> Result<Imported> {
        let set = Folder::complete(path, neighbours, progress)?;
        refuse_other_ca(&self.address(), &self.ca, &set.manifest.ca.name)?;
        let points = self.snapshots()?;
        let set = self.as_stored_before(set, &points)?;
        let manifest = &set.manifest;
        let time = finished(manifest);
        let attached = self.attached_to_folder(&set.path)?;
        let mut newest: Option<(&Point, beside::Attached)> = None;
        for point in &points {
            if point.time != time
                || point.contradiction(manifest).is_some()
                || !self.has_whole(point, Some(manifest))?
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
        let findings = set.findings.clone();
        let committed = match newest {
            None => {
                continued(&points, manifest, time)
                    .map_err(|detail| Error::ContinuesNothing { place: self.address(), detail })?;
                self.store(set, None, progress)?
            }
            // Every state takes the later version from then on.
            Some((point, there)) if attached.has_all_of(&there) => {
                self.store_later(point, &points, set, progress)?
            }
            Some((point, _)) => return Err(self.has_other_things(point)),
        };
        Ok(Imported::Stored(Box::new(committed), findings))
    }

    /// A set whose manifest was made on the way, with the manifest under which its files are here already. That one may have another date:
    /// what lies beside a log set tells when it was taken, and earlier versions went by the times of files.
    fn as_stored_before(&self, set: Folder, points: &[Point]) -> Result<Folder> {
        if set.bytes.is_none() {
            return Ok(set);
        }
        let mut before = None;
        for point in points.iter().filter(|point| point.differs_in(&set.manifest).is_none()) {
            let (manifest, bytes) = match self.manifest_of(point) {
                Ok(read) => read,
                Err(Error::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            if point.contradiction(&manifest).is_none() && manifest.has_same_files(&set.manifest) {
                let is_whole = self.has_whole(point, None)?;
                before = Some((manifest, bytes));
                if is_whole {
                    break;
                }
            }
        }
        let Some((manifest, bytes)) = before else { return Ok(set) };
        Ok(Folder { manifest, bytes: Some(bytes), ..set })
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
        let set = Folder::with_manifest(copy)?;
        let points = self.snapshots()?;
        if finished(&set.manifest) != point.time || points.iter().all(|there| there.id != point.id) {
            let detail = format!("{} is no copy of the set {}", copy.display(), point.short_id());
            return Err(Error::NotStored { place: self.address(), detail });
        }
        self.refuse_to_hide(point, &points, &self.attached_to_folder(&set.path)?)?;
        self.store_later(point, &points, set, progress)
    }

    /// Stores a set as the next version of one of `points`.
    fn store_later(
        &self,
        point: &Point,
        points: &[Point],
        set: Folder,
        progress: &mut dyn Progress,
    ) -> Result<Committed> {
        let versions = points.iter().filter(|other| same_backup(*other, point)).map(|other| other.version);
        let earlier = Earlier {
            version: versions.max().unwrap_or_default().saturating_add(1),
            held: point.held,
            original: point.id.parse().ok(),
        };
        let committed = self.store(set, Some(earlier), progress)?;
        // The database is the one that was proven, to the last byte.
        if point.is_noted(&self.proven()?) {
            let is_stored = |later: &Point| Path::new(&self.address_of(later)) == committed.set;
            let later =
                self.snapshots()?.into_iter().find(|later| same_backup(later, point) && is_stored(later));
            later.iter().try_for_each(|later| self.note_proven(later))?;
        }
        Ok(committed)
    }

    /// Stores a set that is a folder, with its manifest, its signature and what stands beside its database as they are.
    fn store(&self, set: Folder, earlier: Option<Earlier>, progress: &mut dyn Progress) -> Result<Committed> {
        let Folder { path: folder, manifest, bytes, findings: _ } = set;
        let mut sink = self.sink(SinkOptions::default())?;
        sink.earlier = earlier;
        let mut entries: Vec<_> = manifest.files.iter().collect();
        entries.sort_by_key(|entry| (entry.role != Role::Database, &entry.path));
        for entry in entries {
            let found = Found::below(&folder, &entry.path);
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
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => Found::below(&folder, manifest::FILE_NAME).read(manifest::MAX_LEN)?,
        };
        if Manifest::parse(&bytes).ok().as_ref() != Some(&manifest) {
            let detail = "it changed while the set was stored".to_owned();
            let path = folder.join(manifest::FILE_NAME);
            return Err(Error::Set(certadm_set::Error::BadManifest { path, detail }));
        }
        let signature = Found::below(&folder, signing::FILE_NAME);
        let signature = signature.is_there().then(|| signature.read(signing::MAX_LEN)).transpose()?;
        let beside = beside::of_folder(&folder, &self.address())?;
        sink.commit_as(manifest, bytes, signature, beside, progress)
    }
}

/// A set that is a folder, with its manifest.
struct Folder {
    path: PathBuf,
    manifest: Manifest,
    /// The manifest's bytes, where no file has them.
    bytes: Option<Vec<u8>>,
    findings: Vec<Finding>,
}

impl Folder {
    /// The set at a path, of our own CA or of a Windows CA. One of certutil gets the manifest that it lacks.
    fn complete(path: &Path, neighbours: &mut Neighbours, progress: &mut dyn Progress) -> Result<Self> {
        match Self::with_manifest(path) {
            Err(Error::Set(certadm_set::Error::Incomplete { .. })) => {}
            other => return other,
        }
        let absolute = certadm_files::absolute(path)?;
        let (sealed, bytes) = describe_sound(&absolute, Hashing::Blake3, neighbours, progress)?;
        let (path, bytes) = (path.to_owned(), Some(bytes));
        Ok(Self { path, manifest: sealed.manifest, bytes, findings: sealed.findings })
    }

    /// The same, where its manifest is there.
    fn with_manifest(path: &Path) -> Result<Self> {
        let Set { path: folder, manifest, .. } = certadm_set::complete(path)?;
        let lacking = || certadm_set::Error::Incomplete { path: path.to_owned(), is_of_certutil: false };
        let manifest = manifest.ok_or_else(lacking)?;
        Ok(Self { path: folder, manifest, bytes: None, findings: Vec::new() })
    }
}
