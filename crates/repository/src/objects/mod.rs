//! Where bytes lie: one small trait, so that a storage promises what a backup needs, and tests can break each promise.

#[cfg(feature = "object-store")]
mod cloud;
mod file;
#[cfg(feature = "object-store")]
mod http;
mod limited;
#[cfg(feature = "object-store")]
mod rest;
mod sftp;

use std::fmt::Debug;
use std::io;

use bytes::Bytes;

use crate::place::Lock;

#[cfg(feature = "object-store")]
pub use cloud::CloudObjects;
pub use file::FileObjects;
pub(crate) use file::repositories;
#[cfg(feature = "object-store")]
pub(crate) use http::reach;
pub use limited::{Limits, speed};
#[cfg(feature = "object-store")]
pub use rest::RestObjects;
pub use sftp::SftpObjects;
#[cfg(any(feature = "fuzzing", test))]
pub(crate) use sftp::fuzz as fuzz_sftp;

/// No object is longer than this, in bytes: packs have 8 MiB, and no index or snapshot comes near it.
const MAX_OBJECT: u64 = 1 << 30;

/// A write that began so long ago, in seconds, was cut off.
const STALE: i64 = 24 * 3_600;

/// The folder of objects that are written to read the clock, and go away.
pub(crate) const CLOCK: &str = "certadm/clock";

/// Bytes by name. Names are our own: lower-case letters, digits and `/`.
pub trait Objects: Send + Sync + Debug {
    /// Stores an object. It is there completely and durably when this returns, and not at all before. Another object of
    /// that name is never replaced.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is one of another length; whatever the storage says.
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError>;

    /// Stores an object where there is none, whatever its content: of two that try, one alone succeeds.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when there is one; whatever the storage says.
    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError>;

    /// When an object was stored, in seconds since 1970, by the clock of the storage.
    ///
    /// # Errors
    /// As [`Objects::get`].
    fn stored_at(&self, name: &str) -> Result<i64, ObjectError>;

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is none; whatever the storage says.
    fn get(&self, name: &str) -> Result<Bytes, ObjectError>;

    /// Reads `len` bytes from `offset` on; fewer at the object's end, which is no error.
    ///
    /// # Errors
    /// As [`Objects::get`].
    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError>;

    /// The length of an object in bytes, `None` when there is none.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError>;

    /// The names and lengths of all objects whose names begin with `folder/`.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError>;

    /// Removes an object. One that is not there is fine.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;

    /// Sees to it that the next read of the object comes from the medium, where something else keeps a copy. A hint.
    fn forget(&self, name: &str) {
        let _ = name;
    }

    /// What time it is at the storage, in seconds since 1970. An object is written for it and removed again, whose name ends
    /// with `random`, unless the storage tells it otherwise. It stays where this account may delete nothing.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn clock(&self, random: &str) -> Result<i64, ObjectError> {
        let name = format!("{CLOCK}/{random}");
        self.create(&name, b"")?;
        let now = self.stored_at(&name);
        match self.delete(&name) {
            Err(error) if !error.is_denied() => Err(error),
            _ => now,
        }
    }

    /// Whether it keeps objects beside those of the repository's format: whose turn it is, and which states were proven.
    fn has_notes(&self) -> bool {
        true
    }

    /// Removes what writes that were cut off long before `now`, in seconds since 1970 by the clock of the storage, have left in
    /// `folder` under names that are no object's.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn tidy(&self, folder: &str, now: i64) -> Result<(), ObjectError> {
        let _ = (folder, now);
        Ok(())
    }

    /// How many bytes can still be stored; `None` where the storage does not say.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn free(&self) -> Result<Option<u64>, ObjectError> {
        Ok(None)
    }

    /// Whether the place is there that the repository's own folder lies in, or would be made in. Storages without folders, and those
    /// that cannot tell, say yes.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn vault_is_there(&self) -> Result<bool, ObjectError> {
        Ok(true)
    }

    /// What the storage does not promise although a backup needs it, and the profile accepts that.
    fn caveat(&self) -> Option<String> {
        None
    }

    /// Its locks and versions, where it has any.
    fn locks(&self) -> Option<&dyn Locks> {
        None
    }

    /// Where the objects are, for messages.
    fn place(&self) -> String;
}

/// Objects that nobody can delete before their time, and of which earlier versions are kept: what is deleted is only hidden
/// by a marker.
pub trait Locks {
    /// The lock that each object gets; `None` where none was asked for.
    fn lock(&self) -> Option<Lock>;

    /// Whether the storage can lock at all.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn is_possible(&self) -> Result<bool, ObjectError>;

    /// Until when a version is locked, in seconds since 1970; `None` when it is not.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn locked_until(&self, version: &Version) -> Result<Option<i64>, ObjectError>;

    /// Locks a version longer.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn lock_until(&self, version: &Version, lock: &Lock, until: i64) -> Result<(), ObjectError>;

    /// All versions of all objects, the newest of each first. Between markers and other versions some services have no order.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn versions(&self) -> Result<Vec<Version>, ObjectError>;

    /// Removes a marker, so that what it hides is seen again.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn remove_marker(&self, version: &Version) -> Result<(), ObjectError>;

    /// The bytes of a version.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn bytes_of(&self, version: &Version) -> Result<Bytes, ObjectError>;

    /// Stores an object over what has its name now.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn put_over(&self, name: &str, content: Bytes) -> Result<(), ObjectError>;
}

/// One version of an object, or a marker that it was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The object.
    pub name: String,
    /// What the storage calls this version; empty for whichever is the newest.
    pub id: String,
    /// Whether it is what the storage shows under the name.
    pub is_newest: bool,
    /// Since when there is this version, in seconds since 1970, by the clock of the storage.
    pub since: i64,
    /// Whether it says that the object was deleted.
    pub is_marker: bool,
}

impl Version {
    /// Whichever version the storage shows under this name.
    pub(crate) fn newest(name: &str) -> Self {
        Self { name: name.to_owned(), is_newest: true, ..Self::default() }
    }
}

/// The bucket is not there. A list alone says so: asked for an object, a service says the same as where that one is missing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no such bucket")]
pub(crate) struct NoBucket;

/// A call of a storage that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {name}: {source}")]
pub struct ObjectError {
    /// What was being done, as a verb.
    pub action: &'static str,
    /// The object, or the folder of objects.
    pub name: String,
    /// What the storage said.
    pub source: io::Error,
}

impl ObjectError {
    /// Says what was being done to which object.
    #[must_use]
    pub fn new(action: &'static str, name: &str, source: io::Error) -> Self {
        Self { action, name: name.to_owned(), source }
    }

    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the whole bucket is not there.
    pub(crate) fn is_no_bucket(&self) -> bool {
        self.source.get_ref().is_some_and(|inner| inner.is::<NoBucket>())
    }

    /// Whether the storage refuses it for this object, and others may fare better: this account may not do it, or the object wants
    /// something that nobody has, such as a key of its own.
    pub(crate) fn is_refused(&self) -> bool {
        self.is_denied() || self.source.kind() == io::ErrorKind::InvalidInput
    }

    /// Whether this account may not do it.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }
}
