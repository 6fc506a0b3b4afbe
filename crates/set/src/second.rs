//! A second copy of a set, in another folder of sets: on another disk, or on one that is carried away.

use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, Unfinished, durable, space, unfinished};

use crate::attached;
use crate::copy::{self, ReadBack};
use crate::error::{Error, Result};
use crate::folder::{self, FolderSet};
use crate::hashes::Hashes;
use crate::manifest::{self, CHANGED, FileEntry, Manifest};
use crate::open::complete;
use crate::progress::{Progress, Stage};
use crate::reader::Set;
use crate::readers::Readers;
use crate::signing;
use crate::stored::{Stored, same_backup};
use crate::writer::{open_to, refuse_occupied};

/// A set that is in the other folder now.
#[derive(Debug)]
pub struct Second {
    /// Its folder there.
    pub path: PathBuf,
    /// Whether it was written now. Otherwise it was there already, with all its files, each as long as its manifest says.
    pub is_new: bool,
    /// Its manifest.
    pub manifest: Manifest,
    /// What was attached to the set since its copy was made, and was brought to the copy now: paths in the set.
    pub brought: Vec<String>,
    /// What lies in the set and is no part of it. It was not copied.
    pub left: Vec<PathBuf>,
}

/// A folder of sets that gets copies of others. What lies there is listed once, however many sets are copied.
#[derive(Debug)]
pub struct Copies {
    dir: PathBuf,
    sets: Vec<FolderSet>,
}

impl Copies {
    /// Looks at what lies in `dir`, and removes what killed processes have left there.
    ///
    /// # Errors
    /// [`Error::NoFolderOfSets`], [`Error::TooManySets`]; [`Error::File`], also where `dir` is not there.
    pub fn in_folder(dir: &Path) -> Result<Self> {
        let dir = certadm_files::absolute(dir)?;
        unfinished::remove_abandoned(&dir)?;
        let sets = folder::list(&dir)?.sets;
        Ok(Self { dir, sets })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The sets that lie there, with those that came since.
    #[must_use]
    pub fn sets(&self) -> &[FolderSet] {
        &self.sets
    }

    /// The copy of a set that is there with all its files, each as long as its manifest says.
    pub fn of<S: Stored>(&self, set: &S) -> Option<&FolderSet> {
        self.each_of(set).into_iter().next()
    }

    fn each_of<S: Stored>(&self, set: &S) -> Vec<&FolderSet> {
        let copies = self.sets.iter().filter(|there| same_backup(set, *there));
        copies.filter(|there| folder::check_lengths(&there.path).is_ok()).collect()
    }

    /// Refuses a name that a damaged copy of a set has: no other one can get it.
    fn refuse_damaged<S: Stored>(&self, set: &S, path: &Path) -> Result<()> {
        let damage = match self.sets.iter().find(|there| there.path == path) {
            Some(there) if same_backup(set, there) => folder::check_lengths(path).err(),
            Some(_) => None,
            None if Found::below(path, manifest::FILE_NAME).is_there() => Set::open(path).err(),
            None => None,
        };
        match damage {
            None => Ok(()),
            // What the disk does not tell now it may tell tomorrow.
            Some(error) if error.is_of_disk() => Err(error),
            Some(error) => Err(Error::DamagedCopy { path: path.to_owned(), source: Box::new(error) }),
        }
    }

    /// Brings to a copy what is attached to its set, by `files`: paths in the set and their content. Returns the paths of what came.
    ///
    /// # Errors
    /// [`Error::OtherThings`] when the copy has something else attached to it; [`Error::File`].
    pub fn bring(&self, files: &[(String, Vec<u8>)], copy: &FolderSet) -> Result<Vec<String>> {
        bring(files, &copy.path)
    }

    /// Notes a set that somebody else has written there.
    ///
    /// # Errors
    /// As [`Set::open`].
    pub fn note(&mut self, path: &Path) -> Result<()> {
        let manifest = Set::open(path)?.manifest;
        self.sets.extend(manifest.and_then(|manifest| FolderSet::of(path.to_owned(), &manifest)));
        Ok(())
    }

    /// Copies the set at `set`, with its manifest as it is, its signature and what is attached to it, under the name that its own folder
    /// has. Every file is compared with the manifest while it is read, and with what was read after it was written. A set that is there
    /// already under any name stays as it is.
    ///
    /// # Errors
    /// [`Error::Incomplete`] for a set without a manifest; [`Error::TargetNotEmpty`] (0x80070091) when something else has its name
    /// there, and [`Error::DamagedCopy`] when that is a copy that has lost bytes; [`Error::OtherThings`] when the copy there has something else attached to it; [`Error::Damaged`] when a file differs from
    /// its manifest; [`Error::NoSpace`]; [`Error::File`].
    pub fn copy(&mut self, set: &Path, readers: Readers, progress: &mut dyn Progress) -> Result<Second> {
        let set = complete(set)?;
        let manifest = set.manifest.clone();
        let manifest =
            manifest.ok_or_else(|| Error::Incomplete { path: set.path.clone(), is_of_certutil: false })?;
        let own = FolderSet::of(set.path.clone(), &manifest);
        for there in own.iter().flat_map(|own| self.each_of(own)) {
            let copy = Set::open(&there.path)?;
            if copy.manifest.as_ref().is_some_and(|copy| copy.has_same_files(&manifest)) {
                let (path, brought) = (there.path.clone(), bring(&attached_to(&set.path)?, &there.path)?);
                return Ok(Second { path, is_new: false, manifest, brought, left: set.strangers() });
            }
        }
        let name = set.path.file_name().ok_or_else(|| Error::TargetNotEmpty { path: self.dir.clone() })?;
        let path = self.dir.join(name);
        own.iter().try_for_each(|own| self.refuse_damaged(own, &path))?;
        write(&set, &manifest, &path, readers, progress)?;
        self.sets.extend(FolderSet::of(path.clone(), &manifest));
        Ok(Second { path, is_new: true, manifest, brought: Vec::new(), left: set.strangers() })
    }
}

/// Writes all of the set aside, then the manifest, and then gives the folder its name (invariant 5).
fn write(
    set: &Set,
    manifest: &Manifest,
    target: &Path,
    readers: Readers,
    progress: &mut dyn Progress,
) -> Result<()> {
    refuse_occupied(target)?;
    let attached = attached::files(&set.path)?;
    let beside = attached.iter().map(|inside| Found::below(&set.path, inside).size());
    let beside = beside.sum::<certadm_files::Result<u64>>()?;
    let total = manifest.total_size().saturating_add(beside);
    let dir = target.parent().unwrap_or(target);
    if let Some(available) = space::available(dir)?.filter(|available| *available < total) {
        return Err(Error::NoSpace { path: dir.to_owned(), needed: total, available });
    }
    let building = Unfinished::folder(target)?;
    open_to(building.path(), readers)?;
    let mut done = 0;
    let mut folders = Vec::new();
    for (entry, file) in set.entries() {
        make_folders(building.path(), &entry.path, &mut folders)?;
        let copy = building.path().join(&entry.path);
        let len = entry.size;
        store(entry, file, &copy, &mut |read| progress.at(Stage::Copy, done + read, total))?;
        done += len;
    }
    for inside in &attached {
        make_folders(building.path(), inside, &mut folders)?;
        let content = Found::below(&set.path, inside).read(attached::MAX_BYTES)?;
        durable::replace(&building.path().join(inside), &content)?;
    }
    folders.iter().try_for_each(|folder| durable::sync_dir(folder))?;
    let signature = Found::below(&set.path, signing::FILE_NAME);
    if signature.is_there() {
        let signature = signature.read(signing::MAX_LEN)?;
        durable::replace(&building.path().join(signing::FILE_NAME), &signature)?;
    }
    let found = Found::below(&set.path, manifest::FILE_NAME);
    let bytes = found.read(manifest::MAX_LEN)?;
    if Manifest::parse(&bytes).ok().as_ref() != Some(manifest) {
        let detail = "it changed while the set was copied".to_owned();
        return Err(Error::BadManifest { path: found.path().to_owned(), detail });
    }
    durable::replace(&building.path().join(manifest::FILE_NAME), &bytes)?;
    refuse_occupied(target)?;
    Ok(building.place()?)
}

/// Makes the folders on the way to a file of the set, and notes them.
fn make_folders(root: &Path, inside: &str, made: &mut Vec<PathBuf>) -> Result<()> {
    for (at, _) in inside.match_indices('/') {
        let folder = root.join(&inside[..at]);
        if !made.contains(&folder) {
            durable::create_new_dir(&folder)?;
            made.push(folder);
        }
    }
    Ok(())
}

/// Copies one file. `told` hears how many of its bytes were read.
fn store(entry: &FileEntry, file: &Found, copy: &Path, told: &mut dyn FnMut(u64)) -> Result<()> {
    let mut reader = file.open_up_to(Some(entry.size))?;
    let mut read = 0;
    let mut stream = |buffer: &mut [u8]| -> Result<usize> {
        let len = std::io::Read::read(&mut reader, buffer).during("read", file.path())?;
        read += len as u64;
        told(read.min(entry.size));
        Ok(len)
    };
    let hashes: Hashes = copy::store(copy, ReadBack::System, Some(entry.size), entry.hashing(), &mut stream)?;
    if entry.size == hashes.size && entry.has(&hashes) {
        return Ok(());
    }
    let code = entry.role.code_of_damage(hashes.size < entry.size);
    Err(Error::Damaged { path: file.path().to_owned(), detail: CHANGED.to_owned(), code })
}

/// What is attached to a set that is a folder.
fn attached_to(set: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |inside: String| {
        let content = Found::below(set, &inside).read(attached::MAX_BYTES)?;
        Ok((inside, content))
    };
    attached::files(set)?.into_iter().map(read).collect()
}

/// Brings to a copy what was attached to its set since, and the list of all of it last: a copy that was cut off gets the rest the next
/// time. Nothing is brought to a copy that has something of its own, because no list would name both.
fn bring(files: &[(String, Vec<u8>)], copy: &Path) -> Result<Vec<String>> {
    let there = attached::files(copy)?;
    let mut lacking: Vec<&(String, Vec<u8>)> = Vec::new();
    for file in files {
        let (inside, content) = file;
        if !there.contains(inside) {
            lacking.push(file);
        } else if Found::below(copy, inside).read(attached::MAX_BYTES)? != *content {
            match inside == attached::LIST {
                true => lacking.push(file),
                false => return Err(Error::OtherThings { path: copy.join(inside) }),
            }
        }
    }
    let own = there.iter().find(|inside| files.iter().all(|(other, _)| other != *inside));
    match own {
        Some(_) if lacking.iter().all(|(inside, _)| inside == attached::LIST) => return Ok(Vec::new()),
        Some(own) => return Err(Error::OtherThings { path: copy.join(own) }),
        None => {}
    }
    lacking.sort_by_key(|(inside, _)| inside == attached::LIST);
    for (inside, content) in &lacking {
        let target = copy.join(inside);
        durable::create_dir(target.parent().unwrap_or(copy))?;
        durable::replace(&target, content)?;
    }
    Ok(lacking.into_iter().map(|(inside, _)| inside.clone()).collect())
}
