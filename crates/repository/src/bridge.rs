//! The engine's backend over [`Objects`], with what a backup of a CA needs on top (repository.md 4.2): packs go up in
//! parallel, an index waits for the packs that it names, and a snapshot is held back until [`Bridge::commit`].

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use certadm_rules::hex;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::key_object::{KeyFault, MAX_KEY, refusal};
use crate::objects::{ObjectError, Objects};
use crate::segments::Segments;

/// Packs under way to the storage at the same time. Each has 8 MiB of memory.
const UPLOADS: usize = 2;
/// Segments that are kept of what is read.
const SEGMENTS: usize = 4;
/// The engine's code for what does not decrypt.
const SEALED: &str = "C001";

/// The backend of one repository. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Bridge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    objects: Arc<dyn Objects>,
    state: Mutex<State>,
    changed: Condvar,
    segments: Segments,
    /// Packs are read whole and compared with their names: see [`Bridge::checking`].
    is_checking: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Packs under way.
    running: usize,
    /// Something could not be written: everything that is written later fails, too, and nothing is committed.
    broken: bool,
    /// The first write that failed.
    failed: Option<ObjectError>,
    /// What a call of the engine failed at, for whoever made it.
    trouble: Option<ObjectError>,
    /// Packs that were stored.
    stored: BTreeSet<Id>,
    /// What lies among the keys of passwords and is none.
    no_keys: BTreeSet<String>,
    /// The configuration was read. The engine does that when it has a key.
    configured: bool,
    /// Snapshots that nobody can see yet.
    held: Vec<(Id, Vec<Bytes>)>,
}

impl Bridge {
    /// A backend over these objects.
    pub(crate) fn new(objects: Arc<dyn Objects>) -> Self {
        Self::with(objects, false)
    }

    /// The same for what copies parts of packs into new packs: nothing of a pack is handed over whose bytes have changed. Otherwise
    /// the new pack would be named after them, and nobody could tell any more.
    pub(crate) fn checking(objects: Arc<dyn Objects>) -> Self {
        Self::with(objects, true)
    }

    fn with(objects: Arc<dyn Objects>, is_checking: bool) -> Self {
        let (state, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Inner { objects, state, changed, segments: Segments::new(SEGMENTS), is_checking }))
    }

    /// The storage.
    pub(crate) fn objects(&self) -> &Arc<dyn Objects> {
        &self.0.objects
    }

    /// What the storage said to the last call that failed, for the one who sees the engine's error.
    pub(crate) fn take_trouble(&self) -> Option<ObjectError> {
        self.lock().trouble.take()
    }

    /// Waits until every pack that was handed over is durable.
    ///
    /// # Errors
    /// [`Error::Storage`] when one is not.
    pub(crate) fn barrier(&self) -> Result<()> {
        let mut state = self.wait_for_uploads();
        if !state.broken {
            return Ok(());
        }
        let again = || ObjectError::new("write", "it", io::Error::other("an earlier write has failed"));
        let source = state.failed.take().unwrap_or_else(again);
        Err(Error::Storage { place: self.0.objects.place(), source })
    }

    /// The packs that were stored through it.
    pub(crate) fn stored(&self) -> BTreeSet<Id> {
        self.lock().stored.clone()
    }

    /// Whether the configuration was read since this was asked last.
    pub(crate) fn take_configured(&self) -> bool {
        std::mem::take(&mut self.lock().configured)
    }

    /// What lay among the keys of passwords and was none, since this was asked last.
    pub(crate) fn take_no_keys(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().no_keys)
    }

    /// Forgets the snapshots that were held back.
    pub(crate) fn discard_held(&self) {
        self.lock().held.clear();
    }

    /// Forgets what was read of packs, so that it is read again.
    pub(crate) fn forget_read(&self) {
        self.0.segments.clear();
    }

    /// The commit point: the snapshot that was held back last appears in the repository, and is read and listed there.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::NotStored`] when what is read back differs.
    pub(crate) fn commit(&self) -> Result<Id> {
        self.barrier()?;
        let place = self.0.objects.place();
        let not_stored = |detail: &str| Error::NotStored { place: place.clone(), detail: detail.to_owned() };
        let storage = |source| Error::Storage { place: place.clone(), source };
        let held = self.lock().held.pop();
        let (id, parts) = held.ok_or_else(|| not_stored("there is no snapshot to commit"))?;
        let name = name_of(FileType::Snapshot, &id);
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        self.0.objects.put(&name, &parts).map_err(storage)?;
        let back = self.0.objects.get(&name).map_err(storage)?;
        if !is_named_after(&id, &back) {
            return Err(not_stored("the snapshot that was read back differs"));
        }
        if self.0.objects.len(&name).map_err(storage)? != Some(len) {
            return Err(not_stored("the snapshot is not listed"));
        }
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is in it stays right when a thread that held it has panicked: every change is a single step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_uploads(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        let idle = self.0.changed.wait_while(state, |state| state.running > 0);
        idle.unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the storage said, and makes an error of the engine's of it.
    fn failed(&self, error: ObjectError) -> Box<RusticError> {
        let text = error.to_string();
        self.lock().trouble.get_or_insert(error);
        RusticError::new(ErrorKind::Backend, text)
    }

    /// Reads the key of a password. As with one that another password opens, the engine goes on to the next one where this cannot be
    /// tried, whatever the reason: whoever may add an object could keep every password from opening the repository otherwise.
    fn read_key(&self, id: &Id) -> RusticResult<Bytes> {
        let name = name_of(FileType::Key, id);
        let error = match get_key(self.0.objects.as_ref(), id) {
            Ok((content, None)) => return Ok(content),
            Ok((_, Some(KeyFault::Changed))) => self.key_failed(ObjectError::changed(&name)),
            Ok((_, Some(KeyFault::NoKey(detail)))) => {
                let text = format!("{name} is no key: {detail}");
                self.lock().no_keys.insert(name);
                RusticError::new(ErrorKind::Backend, text)
            }
            // It was removed since the list was made.
            Err(error) if error.is_not_found() => RusticError::new(ErrorKind::Backend, error.to_string()),
            Err(error) => self.key_failed(error),
        };
        Err(error.attach_error_code(SEALED))
    }

    /// Notes what one of several keys cannot be tried for. What the storage says counts more than that another one has changed: that
    /// one may be nobody's, and this one the one that fits.
    fn key_failed(&self, error: ObjectError) -> Box<RusticError> {
        let text = error.to_string();
        let mut state = self.lock();
        if state.trouble.as_ref().is_none_or(is_changed) {
            state.trouble = Some(error);
        }
        RusticError::new(ErrorKind::Backend, text)
    }

    /// After a write that failed, whatever is written now would lean on it.
    fn refuse_after_failure(state: &State) -> RusticResult<()> {
        match state.broken {
            true => Err(RusticError::new(ErrorKind::Backend, "an earlier write has failed")),
            false => Ok(()),
        }
    }

    /// Stores an object, and remembers when that fails.
    fn put(&self, name: &str, parts: &[Bytes]) -> RusticResult<()> {
        self.0.objects.put(name, parts).map_err(|error| {
            let text = error.to_string();
            let mut state = self.lock();
            state.broken = true;
            state.failed.get_or_insert(error);
            RusticError::new(ErrorKind::Backend, text)
        })
    }

    fn upload(&self, name: String, parts: Vec<Bytes>) -> RusticResult<()> {
        let state = self.lock();
        let free = self.0.changed.wait_while(state, |state| state.running >= UPLOADS);
        let mut state = free.unwrap_or_else(PoisonError::into_inner);
        Self::refuse_after_failure(&state)?;
        state.running += 1;
        drop(state);
        let this = self.clone();
        std::thread::spawn(move || {
            // A failure is remembered, and told by the barrier.
            this.put(&name, &parts).ok();
            drop(parts);
            this.lock().running -= 1;
            this.0.changed.notify_all();
        });
        Ok(())
    }
}

/// An object has other bytes than those that it is named after.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it has other bytes than were stored")]
pub(crate) struct Changed;

/// Whether an object, or a part of a pack, has the bytes that it is named after: its name is their SHA-256.
pub(crate) fn is_named_after(id: &Id, content: &[u8]) -> bool {
    hex::encode(&Sha256::digest(content)) == *id.to_hex()
}

/// Reads a whole object that is named after its bytes.
///
/// # Errors
/// [`Changed`] within it when they are others; as [`Objects::get`].
pub(crate) fn get_unchanged(objects: &dyn Objects, kind: FileType, id: &Id) -> Result<Bytes, ObjectError> {
    let name = name_of(kind, id);
    let content = objects.get(&name)?;
    match is_named_after(id, &content) {
        true => Ok(content),
        false => Err(ObjectError::changed(&name)),
    }
}

impl ObjectError {
    /// It was read, and has other bytes than were stored.
    fn changed(name: &str) -> Self {
        Self::new("read", name, io::Error::other(Changed))
    }
}

/// Reads the object with the key of a password, up to where it is too long, and judges whether a password may be tried at it.
///
/// # Errors
/// As [`Objects::range`].
pub(crate) fn get_key(objects: &dyn Objects, id: &Id) -> Result<(Bytes, Option<KeyFault>), ObjectError> {
    let content = objects.range(&name_of(FileType::Key, id), 0, MAX_KEY + 1)?;
    let fault = if MAX_KEY < content.len() as u64 {
        Some(KeyFault::NoKey(format!("it has more than {MAX_KEY} bytes")))
    } else if is_named_after(id, &content) {
        refusal(&content).map(KeyFault::NoKey)
    } else {
        Some(KeyFault::Changed)
    };
    Ok((content, fault))
}

/// Whether it is that an object has other bytes than were stored.
pub(crate) fn is_changed(error: &ObjectError) -> bool {
    error.source.get_ref().is_some_and(|inner| inner.is::<Changed>())
}

/// The name of a file in a repository of restic's format.
pub(crate) fn name_of(kind: FileType, id: &Id) -> String {
    let digits = id.to_hex();
    match kind {
        FileType::Config => "config".to_owned(),
        FileType::Pack => format!("data/{}/{}", &digits[..2], &*digits),
        _ => format!("{}/{}", kind.dirname(), &*digits),
    }
}

/// The id in such a name; `None` for what is no file of the repository.
pub(crate) fn id_of(name: &str) -> Option<Id> {
    let digits = name.rsplit('/').next()?;
    (digits.len() == 64).then(|| digits.parse().ok()).flatten()
}

/// The id in the name of a file of this kind; `None` for what lies elsewhere, where the engine does not look for it.
pub(crate) fn id_of_kind(kind: FileType, name: &str) -> Option<Id> {
    id_of(name).filter(|id| name_of(kind, id) == name)
}

fn short(len: u64, name: &str) -> RusticResult<u32> {
    u32::try_from(len).map_err(|_| {
        RusticError::new(ErrorKind::Backend, format!("{name} has {len} bytes, which no file has"))
    })
}

impl ReadBackend for Bridge {
    fn location(&self) -> String {
        self.0.objects.place()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let objects = &self.0.objects;
        if kind == FileType::Config {
            let len = objects.len("config").map_err(|error| self.failed(error))?;
            return len.map(|len| Ok((Id::default(), short(len, "config")?))).into_iter().collect();
        }
        let listed = objects.list(kind.dirname()).map_err(|error| self.failed(error))?;
        if kind == FileType::Key {
            // One that is too long is passed over when it is read.
            let len = |len| u32::try_from(len).unwrap_or(u32::MAX);
            let keys = listed.iter().filter_map(|(name, all)| Some((id_of_kind(kind, name)?, len(*all))));
            return Ok(keys.collect());
        }
        listed
            .into_iter()
            .filter_map(|(name, len)| Some((id_of(&name)?, name, len)))
            .map(|(id, name, len)| Ok((id, short(len, &name)?)))
            .collect()
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        if kind == FileType::Config {
            // It alone is not named after its content.
            let content = self.0.objects.get("config").map_err(|error| self.failed(error))?;
            self.lock().configured = true;
            return Ok(content);
        }
        if kind == FileType::Key {
            return self.read_key(id);
        }
        get_unchanged(self.0.objects.as_ref(), kind, id).map_err(|error| self.failed(error))
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let name = name_of(kind, id);
        let (objects, segments) = (self.0.objects.as_ref(), &self.0.segments);
        let read = if self.0.is_checking {
            let get = || get_unchanged(objects, kind, id).map_err(|error| self.failed(error));
            segments.read_of_whole(*id, offset.into(), length.into(), get)?
        } else {
            let get = |offset, len| objects.range(&name, offset, len).map_err(|error| self.failed(error));
            segments.read(*id, offset.into(), length.into(), get)?
        };
        if read.len() as u64 != u64::from(length) {
            let text = format!("{name} is shorter than its index says");
            let cut = io::Error::new(io::ErrorKind::UnexpectedEof, text);
            return Err(self.failed(ObjectError::new("read", &name, cut)));
        }
        Ok(read)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        name_of(kind, id)
    }
}

impl WriteBackend for Bridge {
    fn write_bytes(&self, kind: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        let (name, parts) = (name_of(kind, id), content.into_vec());
        match kind {
            FileType::Snapshot => {
                self.lock().held.push((*id, parts));
                Ok(())
            }
            FileType::Pack => {
                self.lock().stored.insert(*id);
                self.upload(name, parts)
            }
            _ => {
                // An index must not name a pack that is not there.
                Self::refuse_after_failure(&self.wait_for_uploads())?;
                self.put(&name, &parts)
            }
        }
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        self.0.objects.delete(&name_of(kind, id)).map_err(|error| self.failed(error))
    }
}
