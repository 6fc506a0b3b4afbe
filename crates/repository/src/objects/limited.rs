//! Objects whose bytes go no faster than they may: a line that others need, too.

use std::sync::Arc;

use bytes::Bytes;
use certadm_files::Pace;

use super::{Locks, ObjectError, Objects};

/// How fast bytes may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a second to the storage; `None` for as fast as they go.
    pub upload: Option<u64>,
    /// Bytes a second from it.
    pub download: Option<u64>,
}

impl Limits {
    /// Objects that keep to these limits; as they are where there are none.
    #[must_use]
    pub fn over(self, inner: Arc<dyn Objects>) -> Arc<dyn Objects> {
        if self == Self::default() {
            return inner;
        }
        let [upload, download] = [self.upload, self.download].map(|limit| limit.map(Pace::new));
        Arc::new(Limited { inner, upload, download })
    }
}

/// Objects that keep to limits.
#[derive(Debug)]
struct Limited {
    inner: Arc<dyn Objects>,
    upload: Option<Pace>,
    download: Option<Pace>,
}

/// Takes the line for so many bytes. Who is asked to stop goes on at once: what is under way says so by itself.
fn wait(pace: Option<&Pace>, bytes: u64) {
    if let Some(pace) = pace {
        pace.wait(bytes).ok();
    }
}

impl Limited {
    /// What has come takes the line: the next read waits for it.
    fn read(&self, read: Result<Bytes, ObjectError>) -> Result<Bytes, ObjectError> {
        wait(self.download.as_ref(), read.as_ref().map_or(0, |read| read.len() as u64));
        read
    }
}

impl Objects for Limited {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        wait(self.upload.as_ref(), parts.iter().map(|part| part.len() as u64).sum());
        self.inner.put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.inner.create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.read(self.inner.get(name))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.read(self.inner.range(name, offset, len))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.inner.len(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.inner.list(folder)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner.delete(name)
    }

    fn forget(&self, name: &str) {
        self.inner.forget(name);
    }

    fn clock(&self, random: &str) -> Result<i64, ObjectError> {
        self.inner.clock(random)
    }

    fn has_notes(&self) -> bool {
        self.inner.has_notes()
    }

    fn tidy(&self, folder: &str, now: i64) -> Result<(), ObjectError> {
        self.inner.tidy(folder, now)
    }

    fn free(&self) -> Result<Option<u64>, ObjectError> {
        self.inner.free()
    }

    fn vault_is_there(&self) -> Result<bool, ObjectError> {
        self.inner.vault_is_there()
    }

    fn caveat(&self) -> Option<String> {
        self.inner.caveat()
    }

    fn locks(&self) -> Option<&dyn Locks> {
        self.inner.locks()
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// A speed, such as `50MiB` or `50MiB/s`, in bytes a second.
///
/// # Errors
/// A sentence.
pub fn speed(text: &str) -> Result<u64, String> {
    let size = text.strip_suffix("/s").unwrap_or(text).parse::<bytesize::ByteSize>();
    match size.map(|size| size.as_u64()) {
        Ok(bytes @ 1..) => Ok(bytes),
        _ => Err("a speed is written such as 50MiB/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_bytes_a_second() {
        assert_eq!(speed("50MiB/s"), Ok(50 << 20));
        assert_eq!(speed("1kB"), Ok(1000));
        for wrong in ["", "0", "fast", "-1MiB"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
