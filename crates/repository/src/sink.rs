//! Writing a set into a repository, in the order that never leaves a snapshot without its data (repository.md 4.1):
//! packs durable, index durable, everything read back by a fresh reader, then the snapshot.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use certadm_files::{Access, cancel};
use certadm_rules::FileTime;
use certadm_rules::names::folded;
use certadm_set::hashes::{Hasher, Hashes};
use certadm_set::manifest::{self, FileEntry, Manifest, Role, SetKind};
use certadm_set::signing::{self, Signer};
use certadm_set::sink::{Committed, NewFile, SetSink, Stream};
use certadm_set::stored::same_backup;
use certadm_set::{Progress, ReadBack};
use rustic_core::repofile::{SnapshotFile, SnapshotSummary};
use rustic_core::{Id, IndexedIdsStatus, Repository, TreeId, last_modified_node};
use serde::Deserialize;

use crate::beside::{Beside, Files, sorted};
use crate::bridge::Bridge;
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::lately::{Lately, now};
use crate::objects::Objects;
use crate::point::{self, Earlier, Point, points, refuse_other_ca, snapshot_of};
use crate::proof;
use crate::reader::{Reader, Target};
use crate::run::Run;
use crate::scratch::Scratch;
use crate::secret::Secret;
use crate::tree;

/// A file up to this length is handed over whole, beside others; a longer one is a run by itself.
const WHOLE: u64 = 32 << 20;
/// Length of one part of a file.
const PART: usize = 512 * 1024;
/// Parts under way to the hashes.
const PARTS: usize = 4;

/// How a set is written.
#[derive(Clone, Debug, Default)]
pub struct SinkOptions {
    /// Where a copy of the set is made for the check of its database; `None` for none.
    pub scratch: Option<PathBuf>,
    /// From where what was stored is read back.
    pub read_back: ReadBack,
    /// The same for logs.
    pub logs_read_back: ReadBack,
    /// The key that signs the manifest.
    pub signer: Option<Arc<Signer>>,
    /// What is to stand beside the database.
    pub beside: Option<Beside>,
}

/// How much of a set is read out of the repository before it counts. Logs that the CA may then delete always are, and so is all of
/// it where its database is checked before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// Every file, whenever its bytes were stored.
    #[default]
    All,
    /// What this backup has stored, and what nobody has read for a while. What was read lately must be there with its length.
    New,
    /// The logs alone. Everything must be there with its length.
    None,
}

/// How much is read back, and what was read lately.
#[derive(Clone, Debug)]
pub(crate) struct Depth {
    pub(crate) extent: Extent,
    /// `None` where nobody remembers: then what earlier backups have stored is relied on.
    pub(crate) lately: Option<Lately>,
}

impl Depth {
    /// The record, where one is kept: it is of no use where everything is read, or nothing.
    pub(crate) fn notes(&self) -> Option<&Lately> {
        self.lately.as_ref().filter(|_| self.extent == Extent::New)
    }
}

/// A set on its way into a repository. Dropped before its commit, it leaves packs that nothing names.
pub struct RepositorySink {
    bridge: Bridge,
    secret: Secret,
    ca: String,
    /// The vault and the CA, as people write them: `vault:Example CA`.
    address: String,
    options: SinkOptions,
    depth: Depth,
    /// What it is a later version of.
    pub(crate) earlier: Option<Earlier>,
    /// The sets that the CA's logs lead on from, which the CA deletes for the sake of this set.
    continued: Vec<Point>,
    /// Other snapshots of the same backups.
    versions: Vec<Point>,
    repository: Arc<Repository<IndexedIdsStatus>>,
    /// The run that takes small files.
    run: Option<Run>,
    done: Vec<SnapshotFile>,
    files: Vec<FileEntry>,
    names: HashSet<String>,
}

impl RepositorySink {
    /// Opens the repository, and refuses one that has lost packs: a set would lean on them.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NoKeyFits`], [`Error::Storage`], [`Error::Damaged`].
    pub(crate) fn begin(
        objects: &Arc<dyn Objects>,
        secret: &Secret,
        ca: &str,
        address: String,
        (options, depth): (SinkOptions, Depth),
    ) -> Result<Self> {
        let lost = Reader::open(objects, secret)?.lost_packs()?;
        if let Some((_, detail)) = lost.values().next() {
            let more = if lost.len() == 1 { String::new() } else { format!(", and {} more", lost.len() - 1) };
            return Err(Error::Damaged { place: objects.place(), detail: format!("{detail}{more}") });
        }
        let bridge = Bridge::new(Arc::clone(objects));
        // Not the engine's "checked" form: it takes blobs of packs that no index names for known ones (repository.md 9).
        let repository = engine::twice(|| {
            let opened = engine::open(&bridge, secret)?;
            call(&bridge, "read the index", Unexplained::Damage, || opened.to_indexed_ids())
        })?;
        Ok(Self {
            bridge,
            secret: secret.clone(),
            ca: ca.to_owned(),
            address,
            options,
            depth,
            earlier: None,
            continued: Vec::new(),
            versions: Vec::new(),
            repository: Arc::new(repository),
            run: None,
            done: Vec::new(),
            files: Vec::new(),
            names: HashSet::new(),
        })
    }

    /// As [`SetSink::commit`], for a set whose manifest exists: its bytes, its signature and what stands beside its database
    /// are stored as they are.
    ///
    /// # Errors
    /// As [`SetSink::commit`].
    pub(crate) fn commit_as(
        mut self,
        manifest: Manifest,
        bytes: Vec<u8>,
        signature: Option<Vec<u8>>,
        beside: Files,
        progress: &mut dyn Progress,
    ) -> Result<Committed> {
        refuse_other_ca(&self.address, &self.ca, &manifest.ca.name)?;
        let beside = sorted(beside).map_err(|detail| self.not_stored(detail))?;
        for (path, content) in &beside {
            self.small(path, content.clone())?;
        }
        self.small(manifest::FILE_NAME, bytes.into())?;
        if let Some(signature) = &signature {
            self.small(signing::FILE_NAME, signature.clone().into())?;
        }
        self.end_run()?;
        self.bridge.barrier()?;
        // Those of the runs, which nobody shall ever see.
        self.bridge.discard_held();
        let (tree, summary) = self.merge().map_err(|error| self.explained(error))?;
        self.bridge.barrier()?;
        let indexes = proof::indexes(self.bridge.objects().as_ref())?;
        let proven = self.prove(tree, &manifest, signature.as_deref(), &beside, progress);
        let scratch = proven.map_err(|error| self.explained(error))?;
        let id = self.publish(&manifest, tree, summary)?;
        proof::still_holds(self.bridge.objects(), &self.secret, &self.address, (tree, &id), &indexes)?;
        Ok(Committed {
            set: PathBuf::from(format!("{}/{}", self.address, id.get(..8).unwrap_or(&id))),
            manifest,
            folder: scratch.as_ref().map(Scratch::set),
            scratch: scratch.map(Scratch::into_folder),
        })
    }

    /// What is missing may have been there: the prune of another program knows of no writer, and takes the index away, too.
    fn explained(&self, error: Error) -> Error {
        if !matches!(error, Error::Damaged { .. } | Error::NotStored { .. }) {
            return error;
        }
        match proof::gone(self.bridge.objects().as_ref(), &self.bridge.stored()) {
            Ok(Some(name)) => self.not_stored(format!(
                "{name} was stored just now and is gone, so another program prunes beside this backup"
            )),
            _ => error,
        }
    }

    /// Takes a small file, whose bytes are at hand.
    fn small(&mut self, entry: &str, content: Bytes) -> Result<()> {
        let run = self.run.get_or_insert_with(|| Run::begin(&self.repository, &self.bridge, &self.ca));
        run.whole(entry, content)
    }

    fn end_run(&mut self) -> Result<()> {
        if let Some(run) = self.run.take() {
            self.done.push(run.end()?);
        }
        Ok(())
    }

    /// Reads a file whole: it may not deliver more than it announced.
    fn read_whole(&self, file: &NewFile<'_>, stream: &mut dyn Stream) -> certadm_set::Result<Bytes> {
        let size = usize::try_from(file.size).unwrap_or(usize::MAX);
        let mut content = vec![0; size];
        let mut filled = 0;
        loop {
            cancel::check()?;
            if filled == content.len() {
                // One more byte would be one too many.
                let mut beyond = [0; 1];
                if stream.read(&mut beyond)? != 0 {
                    return Err(self.too_long(file).into());
                }
                break;
            }
            let end = content.len().min(filled + PART);
            match stream.read(&mut content[filled..end])? {
                0 => break,
                len => filled += len.min(end - filled),
            }
        }
        content.truncate(filled);
        Ok(content.into())
    }

    /// Hands a long file over while it comes; hashing overlaps with it.
    fn stream(&mut self, file: &NewFile<'_>, stream: &mut dyn Stream) -> certadm_set::Result<Hashes> {
        self.end_run()?;
        let mut run = Run::begin(&self.repository, &self.bridge, &self.ca);
        let to = run.streamed(&file.entry, file.size)?;
        let hashing = file.hashing;
        let hashes = std::thread::scope(|scope| {
            let (to_hash, parts) = sync_channel::<Bytes>(PARTS);
            let hasher = scope.spawn(move || {
                let mut hasher = Hasher::new(hashing);
                parts.iter().for_each(|part| hasher.update(&part));
                hasher.finish()
            });
            let mut delivered = 0_u64;
            let ended: certadm_set::Result<()> = loop {
                let mut part = vec![0; PART];
                let read = cancel::check().map_err(Into::into).and_then(|()| stream.read(&mut part));
                let len = match read {
                    Ok(0) => break Ok(()),
                    Ok(len) => len,
                    Err(error) => {
                        // So that the engine does not take what has come for the whole file.
                        to.send(Err(io::Error::other("the source failed"))).ok();
                        break Err(error);
                    }
                };
                delivered += len as u64;
                if file.size < delivered {
                    to.send(Err(io::Error::other("the source lied"))).ok();
                    break Err(self.too_long(file).into());
                }
                part.truncate(len);
                let part = Bytes::from(part);
                to_hash.send(part.clone()).ok(); // the hasher ends when this is dropped, not before
                if to.send(Ok(part)).is_err() {
                    break Err(run.stopped().into());
                }
            };
            drop((to, to_hash));
            ended.map(|()| hasher.join())
        })?;
        self.done.push(run.end()?);
        hashes.map_err(|_| self.not_stored("a hash ended early".to_owned()).into())
    }

    /// Joins what the runs have stored into one tree, whose names are sorted as newer restics demand.
    fn merge(&self) -> Result<(TreeId, SnapshotSummary)> {
        let mut total = SnapshotSummary::default();
        for run in self.done.iter().filter_map(|run| run.summary.as_ref()) {
            total.total_files_processed += run.total_files_processed;
            total.total_bytes_processed += run.total_bytes_processed;
            total.files_new += run.files_new;
            total.data_blobs += run.data_blobs;
            total.tree_blobs += run.tree_blobs;
            total.data_added += run.data_added;
            total.data_added_packed += run.data_added_packed;
        }
        let trees: Vec<TreeId> = self.done.iter().map(|run| run.tree).collect();
        let tree = match trees.as_slice() {
            [one] => *one,
            several => {
                // The index of this run's own packs is needed, so it is read anew.
                let fresh = Reader::over(self.bridge.clone(), &self.secret)?;
                call(&self.bridge, "join the parts of a set", Unexplained::Damage, || {
                    let mut ignored = SnapshotSummary::default();
                    fresh.repository.merge_trees(several, &last_modified_node, &mut ignored)
                })?
            }
        };
        Ok((tree, total))
    }

    /// The proof (repository.md 4.4 b): whoever opens the repository now finds every blob of the set in a pack that is there,
    /// and every file has the bytes that the CA delivered. Returns the copy that was made on the way, if one was asked for.
    fn prove(
        &self,
        tree: TreeId,
        manifest: &Manifest,
        signature: Option<&[u8]>,
        beside: &Files,
        progress: &mut dyn Progress,
    ) -> Result<Option<Scratch>> {
        let reader = Reader::open(self.bridge.objects(), &self.secret)?;
        let lost = reader.lost_packs()?;
        for before in &self.continued {
            let (logs, id) = (point::logs(manifest), before.short_id());
            let detail = if let Some(lacks) = reader.lacks(before.tree, &lost)? {
                format!("{logs} continue the set {id}, which lacks something: {lacks}")
            } else if let Some(belied) = self.doubt(&reader, before)? {
                format!("{logs} would continue the set {id}: {belied}")
            } else {
                continue;
            };
            return Err(Error::ContinuesNothing { place: self.address.clone(), detail });
        }
        let needed = reader.packs_of(tree)?;
        if let Some((_, (_, detail))) = lost.iter().find(|(pack, _)| needed.contains(pack)) {
            return Err(self.not_stored(detail.clone()));
        }
        let files = reader.files(tree)?;
        let (stored, bytes) = reader.manifest(&files)?;
        let count = manifest.files.len() + 1 + usize::from(signature.is_some()) + beside.len();
        let same_signature = reader.signature(&files)?.as_deref() == signature;
        if stored != *manifest || !same_signature || files.len() != count {
            return Err(self.not_stored("the set that a fresh reader finds is another one".to_owned()));
        }
        if reader.beside(&files)? != *beside {
            return Err(
                self.not_stored("what stands beside the database differs for a fresh reader".to_owned())
            );
        }
        let from_medium = |role| match role {
            Role::Log => self.options.logs_read_back == ReadBack::Medium,
            _ => self.options.read_back == ReadBack::Medium,
        };
        reader.forget(&files, from_medium, manifest)?;
        let scratch = match &self.options.scratch {
            Some(folder) => Some(Scratch::create(folder, manifest.total_size(), "set")?),
            None => None,
        };
        let folder = scratch.as_ref().map(Scratch::set);
        let target = folder.as_deref().map(|folder| Target { folder, durable: false, access: Access::Owner });
        match (&target, self.depth.extent) {
            (Some(_), _) | (None, Extent::All) => {
                reader.read_all(&files, manifest, target.as_ref(), progress)?;
            }
            (None, extent) => {
                let mut read = manifest.clone();
                read.files.retain(|file| file.role != Role::Database);
                reader.read_all(&files, &read, None, progress)?;
                if extent == Extent::New {
                    self.read_new(&reader, &files, needed.clone())?;
                }
            }
        }
        if let (Some(lately), Some(_)) = (self.depth.notes(), &target) {
            lately.note(&needed);
        }
        if let Some(target) = &target {
            target.seal(&bytes, signature)?;
        }
        Ok(scratch)
    }

    /// Why a set that is here may not be what it seems: it is not what its snapshot says, or another snapshot of its backup has
    /// other data.
    fn doubt(&self, reader: &Reader, before: &Point) -> Result<Option<String>> {
        let seen = match reader.seen(before)? {
            Ok(seen) => seen,
            Err(belied) => return Ok(Some(belied)),
        };
        for other in self.versions.iter().filter(|other| same_backup(*other, before)) {
            if reader.seen(other)?.is_ok_and(|other| other.data != seen.data) {
                let id = other.short_id();
                return Ok(Some(format!("{id} is a snapshot of the same backup, and has other data")));
            }
        }
        Ok(None)
    }

    /// Reads what this run has stored, and what nobody has read lately.
    fn read_new(&self, reader: &Reader, files: &tree::Files, needed: BTreeSet<Id>) -> Result<()> {
        let Some(lately) = &self.depth.lately else { return reader.read_new(files, &self.bridge.stored()) };
        let read = lately.packs();
        let stored = self.bridge.stored();
        let chosen =
            needed.into_iter().filter(|pack| stored.contains(pack) || !read.contains(pack)).collect();
        reader.read_new(files, &chosen)?;
        lately.note(&chosen);
        Ok(())
    }

    /// Makes the snapshot appear.
    fn publish(&self, manifest: &Manifest, tree: TreeId, mut summary: SnapshotSummary) -> Result<String> {
        let time = finished(manifest);
        call(&self.bridge, "write the snapshot", Unexplained::Mistake, || {
            let mut snapshot = snapshot_of(manifest, time, self.earlier.as_ref())?;
            snapshot.tree = tree;
            summary.backup_duration = took(manifest);
            snapshot.summary = Some(summary);
            if let Some(run) = self.done.first() {
                snapshot.paths = run.paths.clone();
            }
            self.repository.save_snapshots(vec![snapshot])
        })?;
        Ok(self.bridge.commit()?.to_hex().to_string())
    }

    /// The CA deletes its logs for the sake of this set: it must lead on from one that is here, which a repair or an expiry
    /// may have let go since the CA was asked for logs alone. Whether all of that one is here, the proof looks up.
    fn refuse_loose_logs(&mut self, manifest: &Manifest) -> Result<()> {
        if manifest.kind == SetKind::Full {
            return Ok(());
        }
        let points = points(self.bridge.objects(), &self.secret)?;
        self.continued = point::continued(&points, manifest, finished(manifest))
            .map_err(|detail| Error::ContinuesNothing { place: self.address.clone(), detail })?;
        let is_other = |point: &Point| {
            let mut continued = self.continued.iter();
            continued.any(|before| same_backup(before, point) && before.id != point.id)
        };
        self.versions = points.into_iter().filter(is_other).collect();
        Ok(())
    }

    fn too_long(&self, file: &NewFile<'_>) -> Error {
        self.not_stored(format!("{} has more than the {} bytes that were announced", file.entry, file.size))
    }

    fn not_stored(&self, detail: String) -> Error {
        Error::NotStored { place: self.address.clone(), detail }
    }
}

/// How long the backup took, in seconds; 0 where its manifest does not tell.
fn took(manifest: &Manifest) -> f64 {
    let (from, to) = (manifest.started_at(), manifest.finished_at());
    let took = from.zip(to).map(|(from, to)| to.unix_seconds().saturating_sub(from.unix_seconds()));
    let took = took.and_then(|took| u32::try_from(took).ok());
    took.map_or(0.0, f64::from)
}

/// When the backup ended, in seconds since 1970; now, where its manifest does not tell.
pub(crate) fn finished(manifest: &Manifest) -> i64 {
    manifest.finished_at().map_or_else(now, FileTime::unix_seconds)
}

impl SetSink for RepositorySink {
    fn add(&mut self, file: NewFile<'_>, stream: &mut dyn Stream) -> certadm_set::Result<FileEntry> {
        if !self.names.insert(folded(&file.entry)) {
            return Err(self.not_stored(format!("{} came twice", file.entry)).into());
        }
        let Hashes { size, blake3, sha256 } = if file.role == Role::Database || WHOLE < file.size {
            self.stream(&file, stream)?
        } else {
            let content = self.read_whole(&file, stream)?;
            let mut hasher = Hasher::new(file.hashing);
            hasher.update(&content);
            self.small(&file.entry, content)?;
            hasher.finish()
        };
        let NewFile { entry, role, source, size: announced, hashing: _ } = file;
        if size != announced {
            let detail = format!("{entry} has {size} bytes, and {announced} were announced");
            return Err(self.not_stored(detail).into());
        }
        let entry = FileEntry { path: entry, role, source: source.to_owned(), size, blake3, sha256 };
        self.files.push(entry.clone());
        Ok(entry)
    }

    fn commit(
        mut self: Box<Self>,
        mut manifest: Manifest,
        progress: &mut dyn Progress,
    ) -> certadm_set::Result<Committed> {
        manifest.files = std::mem::take(&mut self.files);
        let bytes = manifest.complete().map_err(|detail| certadm_set::Error::BadManifest {
            path: Path::new(&self.address).join(manifest::FILE_NAME),
            detail,
        })?;
        self.refuse_loose_logs(&manifest)?;
        let signature = self.options.signer.as_ref().map(|signer| signer.sign(&bytes).into_bytes());
        let beside = self.options.beside.as_ref().map(|beside| beside.files(&manifest)).unwrap_or_default();
        Ok(self.commit_as(manifest, bytes, signature, beside, progress)?)
    }
}
