//! What a fresh reader sees: the files of a set, in packs that are there, with the bytes that were delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use certadm_files::{Access, cancel, durable};
use certadm_rules::finding::Kind;
use certadm_set::attached;
use certadm_set::manifest::{self, FileEntry, Manifest, Role};
use certadm_set::{Progress, Stage, signing};
use rustic_core::repofile::{BlobType, IndexFile, Node};
use rustic_core::{FileType, Id, IndexedFullStatus, Repository, RusticResult, TreeId};

use crate::beside;
use crate::bridge::{Bridge, id_of, is_named_after, name_of};
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::point::Point;
use crate::secret::Secret;
use crate::tree::{self, Files};

/// A repository that was opened just now, with its whole index.
pub(crate) struct Reader {
    pub(crate) repository: Repository<IndexedFullStatus>,
    pub(crate) bridge: Bridge,
    /// Each pack that an index names, with the length it should have.
    packs: BTreeMap<Id, u32>,
    /// Each index that marks packs, with these: no set needed them then, and a later expiry deletes them.
    marks: BTreeMap<Id, BTreeSet<Id>>,
    /// The indexes that are there and were not read, with what is wrong with each: see [`Reader::open_readable`].
    pub(crate) passed_over: BTreeMap<String, &'static str>,
}

impl Reader {
    /// Opens the repository and reads its index anew.
    ///
    /// # Errors
    /// As [`engine::open`]; [`Error::Damaged`].
    pub(crate) fn open(objects: &Arc<dyn Objects>, secret: &Secret) -> Result<Self> {
        Self::over(Bridge::new(Arc::clone(objects)), secret)
    }

    /// The same over a backend that is there.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub(crate) fn over(bridge: Bridge, secret: &Secret) -> Result<Self> {
        engine::twice(|| Self::once(bridge.clone(), secret))
    }

    fn once(bridge: Bridge, secret: &Secret) -> Result<Self> {
        let opened = engine::open(&bridge, secret)?;
        let (packs, marks) = call(&bridge, "read the index", Unexplained::Damage, || {
            let (mut packs, mut marks) = (BTreeMap::new(), BTreeMap::new());
            for index in opened.stream_files::<IndexFile>()? {
                let (id, index) = index?;
                packs.extend(index.packs.iter().map(|pack| (*pack.id, pack.pack_size())));
                if !index.packs_to_delete.is_empty() {
                    marks.insert(*id, index.packs_to_delete.iter().map(|pack| *pack.id).collect());
                }
            }
            Ok((packs, marks))
        })?;
        let repository = call(&bridge, "read the index", Unexplained::Damage, || opened.to_indexed())?;
        Ok(Self { repository, bridge, packs, marks, passed_over: BTreeMap::new() })
    }

    /// How many packs wait for a later expiry to delete them. One that an index names otherwise does not.
    pub(crate) fn waiting(&self) -> u64 {
        let marked: BTreeSet<&Id> =
            self.marks.values().flatten().filter(|pack| !self.packs.contains_key(pack)).collect();
        marked.len() as u64
    }

    /// The names of the indexes that mark a pack which `of` is true for. It hears whether an index names it otherwise.
    pub(crate) fn marking(&self, of: impl Fn(bool) -> bool) -> BTreeSet<String> {
        let marks = self.marks.iter();
        let marks = marks.filter(|(_, packs)| packs.iter().any(|pack| of(self.packs.contains_key(pack))));
        marks.map(|(index, _)| name_of(FileType::Index, index)).collect()
    }

    /// What a set lacks: a part that no index names, or a pack of `lost`, as [`Reader::lost_packs`] tells them. `None` when
    /// everything is there.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn lacks(&self, tree: TreeId, lost: &BTreeMap<Id, (Kind, String)>) -> Result<Option<String>> {
        match self.packs_of(tree) {
            Ok(packs) => Ok(packs.iter().find_map(|pack| lost.get(pack)).map(|(_, detail)| detail.clone())),
            Err(Error::Damaged { detail, .. }) => Ok(Some(detail)),
            Err(error) => Err(error),
        }
    }

    /// Packs that an index names and that are not there, or have another length; with what is wrong.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn lost_packs(&self) -> Result<BTreeMap<Id, (Kind, String)>> {
        let objects = self.bridge.objects();
        let storage = |source| Error::Storage { place: objects.place(), source };
        let there: BTreeMap<Id, u64> = objects
            .list(FileType::Pack.dirname())
            .map_err(storage)?
            .into_iter()
            .filter_map(|(name, len)| Some((id_of(&name)?, len)))
            .collect();
        let mut lost = BTreeMap::new();
        for (id, len) in &self.packs {
            let name = name_of(FileType::Pack, id);
            // A list may be late: what it lacks is asked for by name before it counts as missing.
            let found = match there.get(id) {
                Some(found) => Some(*found),
                None => objects.len(&name).map_err(storage)?,
            };
            match found {
                Some(found) if found == u64::from(*len) => {}
                Some(found) => {
                    let text = format!("{name} has {found} bytes instead of {len}");
                    lost.insert(*id, (Kind::FileSize, text));
                }
                None => {
                    lost.insert(*id, (Kind::FileMissing, format!("{name} is missing")));
                }
            }
        }
        Ok(lost)
    }

    /// Whether there are packs that no index names.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn has_unnamed_packs(&self) -> Result<bool> {
        let objects = self.bridge.objects();
        let listed = objects.list(FileType::Pack.dirname());
        let listed = listed.map_err(|source| Error::Storage { place: objects.place(), source })?;
        Ok(listed.iter().filter_map(|(name, _)| id_of(name)).any(|id| !self.packs.contains_key(&id)))
    }

    /// All packs that an index names, with their lengths.
    pub(crate) fn packs(&self) -> &BTreeMap<Id, u32> {
        &self.packs
    }

    /// The packs that a set leans on. A blob that no index names is damage.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub(crate) fn packs_of(&self, tree: TreeId) -> Result<BTreeSet<Id>> {
        let mut packs = BTreeSet::new();
        self.each_tree(tree, &mut |tree, nodes| {
            packs.insert(*self.repository.get_index_entry(&tree)?.pack);
            for id in nodes.iter().flat_map(|node| node.content.iter().flatten()) {
                packs.insert(*self.repository.get_index_entry(id)?.pack);
            }
            Ok(())
        })?;
        Ok(packs)
    }

    /// Shows `visit` each tree of a set once, with what is in it.
    fn each_tree(
        &self,
        root: TreeId,
        visit: &mut dyn FnMut(TreeId, &[Node]) -> RusticResult<()>,
    ) -> Result<()> {
        tree::each(root, &mut |tree| {
            call(&self.bridge, "read a set", Unexplained::Damage, || {
                let nodes = self.repository.get_tree(&tree)?.nodes;
                visit(tree, &nodes)?;
                Ok(nodes.iter().filter_map(|node| node.subtree).collect())
            })
        })
    }

    /// The ids of everything that a set is made of: its data, its folders.
    ///
    /// # Errors
    /// As [`Reader::packs_of`].
    pub(crate) fn blobs_of(&self, tree: TreeId) -> Result<BTreeSet<Id>> {
        let mut blobs = BTreeSet::new();
        self.each_tree(tree, &mut |tree, nodes| {
            blobs.insert(*tree);
            blobs.extend(nodes.iter().flat_map(|node| node.content.iter().flatten()).map(|id| **id));
            Ok(())
        })?;
        Ok(blobs)
    }

    /// What lies in some packs: each blob with the packs of these that have it. One blob may lie in several packs.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`].
    pub(crate) fn blobs_in(&self, packs: &BTreeSet<Id>) -> Result<BTreeMap<Id, BTreeSet<Id>>> {
        call(&self.bridge, "read the index", Unexplained::Damage, || {
            let mut blobs: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
            for index in self.repository.stream_files::<IndexFile>()? {
                for pack in index?.1.packs.iter().filter(|pack| packs.contains(&*pack.id)) {
                    for blob in &pack.blobs {
                        blobs.entry(*blob.id).or_default().insert(*pack.id);
                    }
                }
            }
            Ok(blobs)
        })
    }

    /// The packs that a file lies in.
    ///
    /// # Errors
    /// As [`Reader::packs_of`].
    pub(crate) fn packs_of_file(&self, node: &Node) -> Result<BTreeSet<Id>> {
        call(&self.bridge, "read a set", Unexplained::Damage, || {
            let ids = node.content.iter().flatten();
            ids.map(|id| Ok(*self.repository.get_index_entry(id)?.pack)).collect()
        })
    }

    /// The files of a set.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what no set holds; as [`Reader::packs_of`].
    pub(crate) fn files(&self, tree: TreeId) -> Result<Files> {
        tree::files(tree, &mut |tree| self.tree(tree), &|detail| self.damaged(detail))
    }

    /// Bytes of the files of a set: as its snapshot says, or where restic has changed its tags, as the files do.
    ///
    /// # Errors
    /// As [`Reader::files`].
    pub(crate) fn bytes_of(&self, point: &Point) -> Result<u64> {
        if point.bytes != 0 {
            return Ok(point.bytes);
        }
        let files = self.files(point.tree)?;
        Ok(files.values().map(|node| node.meta.size).fold(0, u64::saturating_add))
    }

    /// What stands beside the database of a set, which its manifest does not list.
    ///
    /// # Errors
    /// [`Error::Damaged`], also when it is more than any set has.
    pub(crate) fn beside(&self, files: &Files) -> Result<beside::Files> {
        let mut found = beside::Files::new();
        let mut left = attached::MAX_BYTES;
        for (path, node) in files.iter().filter(|(path, _)| beside::is_beside(path)) {
            let mut content = Vec::new();
            self.dump(path, node, left, &mut content)?;
            left = left.saturating_sub(content.len() as u64);
            found.push((path.clone(), content.into()));
        }
        beside::sorted(found).map_err(|detail| self.damaged(detail))
    }

    fn tree(&self, tree: TreeId) -> Result<Vec<Node>> {
        cancel::check()?;
        let read = call(&self.bridge, "read a folder of a set", Unexplained::Damage, || {
            self.repository.get_tree(&tree)
        });
        Ok(read.map_err(|error| in_part("a folder of the set", error))?.nodes)
    }

    /// The manifest of a set, checked against its own checksum, and its bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn manifest(&self, files: &Files) -> Result<(Manifest, Vec<u8>)> {
        let node =
            files.get(manifest::FILE_NAME).ok_or_else(|| self.damaged("a set has no manifest".to_owned()))?;
        let mut bytes = Vec::new();
        self.dump(manifest::FILE_NAME, node, manifest::MAX_LEN, &mut bytes)?;
        let manifest = Manifest::parse(&bytes)
            .map_err(|detail| self.damaged(format!("a set's manifest cannot be trusted: {detail}")))?;
        Ok((manifest, bytes))
    }

    /// The signature of a set's manifest, where it has one. Whose it is, and whether it fits, is for `--allowed-signers`.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn signature(&self, files: &Files) -> Result<Option<Vec<u8>>> {
        let Some(node) = files.get(signing::FILE_NAME) else { return Ok(None) };
        let mut bytes = Vec::new();
        self.dump(signing::FILE_NAME, node, signing::MAX_LEN, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Reads what of the files lies in some packs, each blob by itself: it is decrypted, and its id is the SHA-256 of its
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the pack; [`Error::Storage`].
    pub(crate) fn read_new(&self, files: &Files, packs: &BTreeSet<Id>) -> Result<()> {
        let lies_in = self.blobs_in(packs)?;
        let blobs: BTreeSet<Id> =
            files.values().flat_map(|node| node.content.iter().flatten()).map(|id| **id).collect();
        // In the order of packs, so that neighbours are read by one request.
        let mut wanted: Vec<(Id, Id)> =
            blobs.iter().filter_map(|blob| Some((*lies_in.get(blob)?.iter().next()?, *blob))).collect();
        wanted.sort();
        for (pack, blob) in wanted {
            cancel::check()?;
            let read = call(&self.bridge, "read a part of a file", Unexplained::Damage, || {
                self.repository.cat_blob(BlobType::Data, &blob.to_hex())
            })?;
            if !is_named_after(&blob, &read) {
                let name = name_of(FileType::Pack, &pack);
                return Err(self.damaged(format!("{name} differs from what was stored")));
            }
        }
        Ok(())
    }

    /// Reads every file that a manifest names, compares it with its entry, and puts it into `target` if there is one.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming the file; [`Error::File`] when the copy cannot be written.
    pub(crate) fn read_all(
        &self,
        files: &Files,
        manifest: &Manifest,
        target: Option<&Target<'_>>,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let total = manifest.total_size();
        let mut done = 0;
        for entry in &manifest.files {
            cancel::check()?;
            let node =
                files.get(&entry.path).ok_or_else(|| self.damaged(format!("{} is missing", entry.path)))?;
            let file = target.map(|target| target.create(entry)).transpose()?;
            let mut sieve =
                Sieve { hash: blake3::Hasher::new(), left: entry.size, file, total, done, progress };
            self.dump(&entry.path, node, entry.size, &mut sieve)?;
            if sieve.left != 0 || sieve.hash.finalize().to_hex().as_str() != entry.blake3 {
                let detail = format!("{} differs from what was backed up", entry.path);
                return Err(self.damaged(detail));
            }
            if let (Some(file), Some(target)) = (&sieve.file, target) {
                target.finish(file, entry)?;
            }
            done += entry.size;
        }
        Ok(())
    }

    /// Reads the file at a path of a set. What is longer than `limit` is damage.
    fn dump(&self, path: &str, node: &Node, limit: u64, to: &mut impl Write) -> Result<()> {
        if limit < node.meta.size {
            return Err(
                self.damaged(format!("{:?} has {} bytes, which is too long", node.name, node.meta.size))
            );
        }
        let mut bounded = Bounded { left: limit, failed: None, to };
        let read = call(&self.bridge, "read a file", Unexplained::Damage, || {
            self.repository.dump(node, &mut bounded)
        });
        match bounded.failed {
            Some(source) => Err(certadm_files::Error::Io {
                action: "write a copy of",
                path: node.name().into_owned().into(),
                source,
            }
            .into()),
            None => read.map_err(|error| in_part(path, error)),
        }
    }

    fn damaged(&self, detail: String) -> Error {
        Error::Damaged { place: self.bridge.objects().place(), detail }
    }

    /// Sees to it that what a file lies in is read from the medium next.
    ///
    /// # Errors
    /// As [`Reader::packs_of_file`].
    pub(crate) fn forget(
        &self,
        files: &Files,
        fits: impl Fn(Role) -> bool,
        manifest: &Manifest,
    ) -> Result<()> {
        let mut packs = BTreeSet::new();
        for entry in manifest.files.iter().filter(|entry| fits(entry.role)) {
            if let Some(node) = files.get(&entry.path) {
                packs.extend(self.packs_of_file(node)?);
            }
        }
        for pack in packs {
            self.bridge.objects().forget(&name_of(FileType::Pack, &pack));
        }
        // The manifest lies in the same pack as the logs do, and was read before.
        self.bridge.forget_read();
        Ok(())
    }
}

/// Damage, with the part of the set that has it: the engine knows of packs alone.
fn in_part(part: &str, error: Error) -> Error {
    match error {
        Error::Damaged { place, detail } => Error::Damaged { place, detail: format!("{part}: {detail}") },
        other => other,
    }
}

/// A folder that files of a set are copied into.
pub(crate) struct Target<'a> {
    /// The set's folder.
    pub(crate) folder: &'a Path,
    /// Whether the copy must survive a crash.
    pub(crate) durable: bool,
    /// Who may read the files.
    pub(crate) access: Access,
}

impl Target<'_> {
    /// Creates the file of an entry, whose path was checked when its manifest was parsed.
    fn create(&self, entry: &FileEntry) -> Result<File> {
        let path = self.folder.join(&entry.path);
        if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
            durable::create_new_dir(parent)?;
        }
        Ok(durable::open_new(&path, self.access)?)
    }

    fn finish(&self, file: &File, entry: &FileEntry) -> Result<()> {
        if self.durable {
            durable::flush(file, &self.folder.join(&entry.path))?;
        }
        Ok(())
    }

    /// Writes what stands beside the database. It is its owner's alone, whoever may read the set.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn put_beside(&self, files: &beside::Files) -> Result<()> {
        for (path, content) in files {
            let mut folder = self.folder.to_owned();
            let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
            for part in folders.split('/') {
                folder.push(part);
                if !folder.is_dir() {
                    durable::create_new_dir(&folder)?;
                }
            }
            if self.durable {
                durable::create(&folder.join(name), content, Access::Owner)?;
                durable::sync_parent(&folder)?;
                continue;
            }
            let path = folder.join(name);
            let mut file = durable::open_new(&path, Access::Owner)?;
            file.write_all(content).map_err(|source| certadm_files::Error::Io {
                action: "write",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// Writes the manifest, the last of the files.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn seal(&self, manifest: &[u8], signature: Option<&[u8]>) -> Result<()> {
        let path = self.folder.join(manifest::FILE_NAME);
        // The signature stands before the manifest does, as in a set that a backup writes.
        let signature = signature.map(|signature| (self.folder.join(signing::FILE_NAME), signature));
        if !self.durable {
            return signature.into_iter().chain([(path, manifest)]).try_for_each(|(path, content)| {
                let mut file = durable::open_new(&path, self.access)?;
                file.write_all(content)
                    .map_err(|source| certadm_files::Error::Io { action: "write", path, source }.into())
            });
        }
        if let Some((path, signature)) = signature {
            durable::create(&path, signature, self.access)?;
        }
        for name in [certadm_set::layout::DATABASE_DIR, certadm_set::layout::DYNAMIC_DIR] {
            let folder = self.folder.join(name);
            if folder.is_dir() {
                durable::sync_dir(&folder)?;
            }
        }
        Ok(durable::create(&path, manifest, self.access)?)
    }
}

/// Hashes what comes, and passes it on.
struct Sieve<'a> {
    hash: blake3::Hasher,
    /// Bytes that are still to come.
    left: u64,
    file: Option<File>,
    total: u64,
    done: u64,
    progress: &'a mut dyn Progress,
}

impl Write for Sieve<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        self.hash.update(bytes);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        self.done += bytes.len() as u64;
        self.progress.at(Stage::ReadBack, self.done, self.total);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes no more than was announced, and remembers why the writer behind it failed.
struct Bounded<'a, W: Write> {
    left: u64,
    failed: Option<io::Error>,
    to: &'a mut W,
}

impl<W: Write> Write for Bounded<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if self.left < len {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a file is longer than it says"));
        }
        self.left -= len;
        if let Err(error) = self.to.write_all(bytes) {
            let text = error.to_string();
            self.failed = Some(error);
            return Err(io::Error::other(text));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
