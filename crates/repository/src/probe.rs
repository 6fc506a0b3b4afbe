//! Whether a key fits a repository that it does not open: then the configuration is damaged, and not the key wrong.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustic_core::repofile::IndexFile;
use rustic_core::{
    BytesList, ConfigOptions, Credentials, ErrorKind, FileType, Id, KeyOptions, ReadBackend, Repository,
    RepositoryBackends, RepositoryOptions, RusticError, RusticResult, WriteBackend,
};

use crate::bridge::Bridge;

/// Whether a key, which is no password, decrypts an index of the repository. Nothing is written. Where there is no index, nobody
/// can tell, and the answer is no.
///
/// # Errors
/// Those of the engine.
pub(crate) fn fits(bridge: &Bridge, key: &Credentials) -> RusticResult<bool> {
    let probe = Probe { bridge: bridge.clone(), config: Mutex::default() };
    let backends = RepositoryBackends::new(Arc::new(probe), None);
    let repository = Repository::new(&RepositoryOptions::default().no_cache(true), &backends)?;
    let opened = repository.init(key, &KeyOptions::default(), &ConfigOptions::default())?;
    Ok(opened.stream_files::<IndexFile>()?.into_iter().any(|index| index.is_ok()))
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
