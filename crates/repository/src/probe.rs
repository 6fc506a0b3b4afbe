//! Whether a key fits a repository that it does not open: then the configuration is damaged, and not the key wrong.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustic_core::repofile::{IndexFile, SnapshotFile};
use rustic_core::{
    BytesList, ConfigOptions, Credentials, ErrorKind, FileType, Id, KeyOptions, ReadBackend, Repository,
    RepositoryBackends, RepositoryOptions, RusticError, RusticResult, WriteBackend,
};

use crate::bridge::{Bridge, get_unchanged, id_of, is_changed};
use crate::objects::{ObjectError, Objects};

/// So many objects of a kind are looked at before a key is called wrong.
const LOOKED_AT: usize = 8;

/// Whether a key, which is no password, decrypts an index of the repository, or a snapshot. Nothing is written. Where there are none,
/// nobody can tell, and the answer is no.
///
/// # Errors
/// Those of the engine.
pub(crate) fn fits(bridge: &Bridge, key: &Credentials) -> RusticResult<bool> {
    let probe = Probe { bridge: bridge.clone(), config: Mutex::default() };
    let backends = RepositoryBackends::new(Arc::new(probe), None);
    let repository = Repository::new(&RepositoryOptions::default().no_cache(true), &backends)?;
    let opened = repository.init(key, &KeyOptions::default(), &ConfigOptions::default())?;
    let fits = opened.stream_files::<IndexFile>()?.into_iter().any(|index| index.is_ok());
    Ok(fits || opened.stream_files::<SnapshotFile>()?.into_iter().any(|snapshot| snapshot.is_ok()))
}

/// Looks at some objects whose bytes tell whether they are as they were stored, before a key is called wrong: the first that is not, where
/// none is. Of indexes and snapshots, which any key can be tried at; where there are none, of the keys of passwords.
///
/// # Errors
/// Those of the storage.
pub(crate) fn all_changed(objects: &dyn Objects) -> Result<Option<String>, ObjectError> {
    for kinds in [&[FileType::Index, FileType::Snapshot][..], &[FileType::Key]] {
        let mut changed = None;
        for kind in kinds {
            let names = objects.list(kind.dirname())?.into_iter().map(|(name, _)| name);
            for (name, id) in names.filter_map(|name| id_of(&name).map(|id| (name, id))).take(LOOKED_AT) {
                match get_unchanged(objects, *kind, &id) {
                    Ok(_) => return Ok(None),
                    Err(error) if is_changed(&error) => drop(changed.get_or_insert(name)),
                    // It went since the list was made: sets expire.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if changed.is_some() {
            return Ok(changed);
        }
    }
    Ok(None)
}

/// The repository with a configuration of its own, which is made for the key and stays in memory.
#[derive(Debug)]
struct Probe {
    bridge: Bridge,
    config: Mutex<Option<Bytes>>,
}

impl Probe {
    fn config(&self) -> Option<Bytes> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ReadBackend for Probe {
    fn location(&self) -> String {
        self.bridge.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        match kind {
            FileType::Config => Ok(self.config().iter().map(|_| (Id::default(), 0)).collect()),
            _ => self.bridge.list_with_size(kind),
        }
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let missing = || RusticError::new(ErrorKind::Backend, "there is no configuration");
        match kind {
            FileType::Config => self.config().ok_or_else(missing),
            _ => self.bridge.read_full(kind, id),
        }
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.bridge.read_partial(kind, id, cacheable, offset, length)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.bridge.warmup_path(kind, id)
    }
}

impl WriteBackend for Probe {
    fn write_bytes(
        &self,
        kind: FileType,
        _id: &Id,
        _cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        match kind {
            FileType::Config => {
                let content = content.into_vec().concat().into();
                *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
                Ok(())
            }
            _ => Err(RusticError::new(ErrorKind::Backend, "nothing is written while a key is tried")),
        }
    }

    fn remove(&self, _kind: FileType, _id: &Id, _cacheable: bool) -> RusticResult<()> {
        Err(RusticError::new(ErrorKind::Backend, "nothing is removed while a key is tried"))
    }
}
