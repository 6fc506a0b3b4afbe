//! Objects without some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::objects::{ObjectError, Objects};

/// Objects without some of them: what is damaged, the engine would fail or panic at (repository.md 9).
#[derive(Debug)]
pub(crate) struct Hiding {
    pub(crate) inner: Arc<dyn Objects>,
    pub(crate) hidden: BTreeSet<String>,
    /// Objects that its lists lack, with their lengths.
    pub(crate) late: BTreeMap<String, u64>,
}

impl Hiding {
    fn seen(&self, action: &'static str, name: &str) -> Result<(), ObjectError> {
        match self.hidden.contains(name) {
            true => Err(ObjectError::new(action, name, io::ErrorKind::NotFound.into())),
            false => Ok(()),
        }
    }
}

impl Objects for Hiding {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.inner.put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.inner.create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.seen("read", name)?;
        self.inner.get(name)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.seen("read", name)?;
        self.inner.range(name, offset, len)
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        if self.hidden.contains(name) { Ok(None) } else { self.inner.len(name) }
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let mut listed = self.inner.list(folder)?;
        let seen: BTreeSet<String> = listed.iter().map(|(name, _)| name.clone()).collect();
        let inside = |name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let late = self.late.iter().filter(|(name, _)| inside(name) && !seen.contains(*name));
        listed.extend(late.map(|(name, len)| (name.clone(), *len)));
        listed.retain(|(name, _)| !self.hidden.contains(name));
        Ok(listed)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner.delete(name)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}
