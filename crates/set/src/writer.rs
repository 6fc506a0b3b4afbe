//! Writing a set aside under another name: files, then the manifest, then the folder gets its name (invariant 5).

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use certadm_files::{IoContext, Unfinished, durable, space};

use crate::copy::{self, ReadBack};
use crate::error::{Error, Result};
use crate::hashes::Hashes;
use crate::layout::{DATABASE_DIR, DYNAMIC_DIR};
use crate::manifest::{self, FileEntry, Manifest, Role};
use crate::progress::Progress;
use crate::readers::Readers;
use crate::signing::{self, Signer};
use crate::sink::{Committed, NewFile, SetSink, Stream};

/// A set being written. Dropped before its commit, it takes everything it wrote away.
#[derive(Debug)]
pub(crate) struct SetWriter {
    /// The folder, under another name until the commit.
    building: Unfinished,
    read_back: ReadBack,
    logs_read_back: ReadBack,
    files: Vec<FileEntry>,
    /// Who signs the manifest.
    pub(crate) signer: Option<Arc<Signer>>,
}

impl SetWriter {
    /// Begins a set that will stand at `target`. `logs_read_back` is for the logs, `read_back` for all else.
    ///
    /// # Errors
    /// [`Error::TargetNotEmpty`] (0x80070091) when something is there, [`Error::TargetIsMountPoint`] (0x80070011), [`Error::Store`].
    pub(crate) fn create(
        target: &Path,
        readers: Readers,
        read_back: ReadBack,
        logs_read_back: ReadBack,
    ) -> Result<Self> {
        let target = certadm_files::absolute(target)?;
        refuse_occupied(&target)?;
        if target.file_name().is_none() {
            return Err(Error::TargetNotEmpty { path: target });
        }
        let parent = target.parent().unwrap_or(Path::new("/"));
        if !parent.is_dir() {
            durable::create_dir(parent)?;
        }
        let building = Unfinished::folder(&target)?;
        open_to(building.path(), readers)?;
        let writer = Self { building, read_back, logs_read_back, files: Vec::new(), signer: None };
        let dir = writer.building.path().join(DATABASE_DIR);
        durable::create_new_dir(&dir)?;
        Ok(writer)
    }
}

impl SetSink for SetWriter {
    fn folder(&self) -> Option<&Path> {
        Some(self.building.path())
    }

    fn add(&mut self, file: NewFile<'_>, stream: &mut dyn Stream) -> Result<FileEntry> {
        let NewFile { entry, role, source, size: _, hashing } = file;
        if role == Role::Dynamic {
            let dir = self.building.path().join(DYNAMIC_DIR);
            if !dir.is_dir() {
                durable::create_new_dir(&dir)?;
            }
        }
        let read_back = if role == Role::Log { self.logs_read_back } else { self.read_back };
        let Hashes { size, blake3, sha256 } =
            copy::store(&self.building.path().join(&entry), read_back, None, hashing, stream)?;
        let entry = FileEntry { path: entry, role, source: source.to_owned(), size, blake3, sha256 };
        self.files.push(entry.clone());
        Ok(entry)
    }

    /// Every file is durable and read back already; the manifest lists them, its signature stands if there is a signer, and the
    /// folder gets its name.
    fn commit(
        mut self: Box<Self>,
        mut manifest: Manifest,
        _progress: &mut dyn Progress,
    ) -> Result<Committed> {
        manifest.files = std::mem::take(&mut self.files);
        let target = self.building.target().to_owned();
        manifest.check_entries().map_err(|detail| Error::BadManifest { path: target.clone(), detail })?;
        let bytes =
            manifest.complete().map_err(|detail| Error::BadManifest { path: target.clone(), detail })?;
        for dir in [DATABASE_DIR, DYNAMIC_DIR].map(|dir| self.building.path().join(dir)) {
            if dir.is_dir() {
                durable::sync_dir(&dir)?;
            }
        }
        // The signature stands before the manifest does: no complete set lacks a signature that was asked for.
        if let Some(signer) = &self.signer {
            let signature = signer.sign(&bytes);
            durable::replace(&self.building.path().join(signing::FILE_NAME), signature.as_bytes())?;
        }
        // The manifest stands before the folder gets its name: no crash leaves one without the other.
        durable::replace(&self.building.path().join(manifest::FILE_NAME), &bytes)?;
        refuse_occupied(&target)?;
        self.building.place()?;
        Ok(Committed { folder: Some(target.clone()), set: target, manifest, scratch: None })
    }
}

/// Sets the mode of a new set's folder before anything is in it. What is created in it takes what it allows.
pub(crate) fn open_to(dir: &Path, readers: Readers) -> Result<()> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(readers.folder_mode());
        fs::set_permissions(dir, mode).during("set the mode of", dir)?;
    }
    // Windows gives a new folder the rights of the folder that it is in.
    #[cfg(not(unix))]
    let _ = (dir, readers);
    Ok(())
}

/// A target must be absent or an empty folder, and no mount point. A link in its place is neither, wherever it leads: the set gets
/// its name by a rename, and that does not follow it.
pub(crate) fn refuse_occupied(target: &Path) -> Result<()> {
    if target.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        return Err(Error::TargetNotEmpty { path: target.to_owned() });
    }
    if target.is_dir() && space::is_mount_point(target)? {
        return Err(Error::TargetIsMountPoint { path: target.to_owned() });
    }
    match fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::TargetNotEmpty { path: target.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory && target.symlink_metadata().is_ok() => {
            Err(Error::TargetNotEmpty { path: target.to_owned() })
        }
        Err(error) => Ok(Err(error).during("list", target)?),
    }
}
