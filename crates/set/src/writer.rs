//! Writing a set aside under another name: files, then the manifest, then the folder gets its name (invariant 5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, Unfinished, durable};

use crate::copy::{self, Hashes, ReadBack, Stream};
use crate::error::{Error, Result};
use crate::layout::{DATABASE_DIR, DYNAMIC_DIR};
use crate::manifest::{self, FileEntry, Manifest, Role};
use crate::readers::Readers;

/// A set being written. Dropped before [`SetWriter::commit`], it takes everything it wrote away.
#[derive(Debug)]
pub(crate) struct SetWriter {
    /// The folder, under another name until the commit.
    building: Unfinished,
    read_back: ReadBack,
    logs_read_back: ReadBack,
    files: Vec<FileEntry>,
}

impl SetWriter {
    /// Begins a set that will stand at `target`. `logs_read_back` is for the logs, `read_back` for all else.
    ///
    /// # Errors
    /// [`Error::TargetNotEmpty`] (0x80070091) when something is there, [`Error::Store`].
    pub(crate) fn create(
        target: &Path,
        readers: Readers,
        read_back: ReadBack,
        logs_read_back: ReadBack,
    ) -> Result<Self> {
        let target = std::path::absolute(target).during("resolve", target)?;
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
        let writer = Self { building, read_back, logs_read_back, files: Vec::new() };
        let dir = writer.building.path().join(DATABASE_DIR);
        durable::create_new_dir(&dir)?;
        Ok(writer)
    }

    /// Stores a stream as one file of the set, reads it back and adds it to the manifest.
    ///
    /// # Errors
    /// As [`copy::store`].
    pub(crate) fn add(
        &mut self,
        entry: String,
        role: Role,
        source: &str,
        stream: impl Stream,
    ) -> Result<&FileEntry> {
        if role == Role::Dynamic {
            let dir = self.building.path().join(DYNAMIC_DIR);
            if !dir.is_dir() {
                durable::create_new_dir(&dir)?;
            }
        }
        let read_back = if role == Role::Log { self.logs_read_back } else { self.read_back };
        let Hashes { size, blake3, sha256 } =
            copy::store(&self.building.path().join(&entry), read_back, stream)?;
        self.files.push(FileEntry { path: entry, role, source: source.to_owned(), size, blake3, sha256 });
        Ok(&self.files[self.files.len() - 1])
    }

    /// Stores bytes as one file of the set.
    ///
    /// # Errors
    /// As [`copy::store`].
    pub(crate) fn add_bytes(&mut self, entry: String, role: Role, source: &str, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        self.add(entry, role, source, |buffer: &mut [u8]| {
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            Ok(len)
        })?;
        Ok(())
    }

    /// Where the files are until the commit.
    pub(crate) fn building(&self) -> &Path {
        self.building.path()
    }

    /// Makes the set exist: every file is durable and read back, the manifest lists them, the folder gets its name.
    ///
    /// # Errors
    /// [`Error::TargetNotEmpty`] when something took the target's place meanwhile, [`Error::Store`].
    pub(crate) fn commit(mut self, mut manifest: Manifest) -> Result<(PathBuf, Manifest)> {
        manifest.files = std::mem::take(&mut self.files);
        let target = self.building.target().to_owned();
        let bytes =
            manifest.complete().map_err(|detail| Error::BadManifest { path: target.clone(), detail })?;
        for dir in [DATABASE_DIR, DYNAMIC_DIR].map(|dir| self.building.path().join(dir)) {
            if dir.is_dir() {
                durable::sync_dir(&dir)?;
            }
        }
        // The manifest stands before the folder gets its name: no crash leaves one without the other.
        durable::replace(&self.building.path().join(manifest::FILE_NAME), &bytes)?;
        refuse_occupied(&target)?;
        self.building.place()?;
        Ok((target, manifest))
    }
}

/// Sets the mode of a new set's folder before anything is in it. What is created in it takes what it allows.
fn open_to(dir: &Path, readers: Readers) -> Result<()> {
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

/// A target must be absent or an empty folder.
fn refuse_occupied(target: &Path) -> Result<()> {
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
