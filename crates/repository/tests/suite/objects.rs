//! Objects in memory, and objects that fail, lose things or come late.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use certadm_repository::objects::{ObjectError, Objects};

type Map = BTreeMap<String, Bytes>;

/// Objects in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Map>>);

impl Memory {
    /// Another storage with the same objects.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.all())))
    }

    pub(crate) fn all(&self) -> Map {
        self.0.lock().unwrap().clone()
    }

    /// The names that begin so.
    pub(crate) fn names(&self, beginning: &str) -> Vec<String> {
        self.all().into_keys().filter(|name| name.starts_with(beginning)).collect()
    }

    /// Puts bytes in the place of an object.
    pub(crate) fn overwrite(&self, name: &str, content: Vec<u8>) {
        self.0.lock().unwrap().insert(name.to_owned(), content.into());
    }
}

fn missing(action: &'static str, name: &str) -> ObjectError {
    ObjectError::new(action, name, io::Error::from(io::ErrorKind::NotFound))
}

impl Objects for Memory {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        let mut map = self.0.lock().unwrap();
        let content: Vec<u8> = parts.concat();
        match map.get(name) {
            Some(there) if *there != content => {
                Err(ObjectError::new("write", name, io::Error::from(io::ErrorKind::AlreadyExists)))
            }
            _ => {
                map.insert(name.to_owned(), content.into());
                Ok(())
            }
        }
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| missing("read", name))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        let all = self.get(name)?;
        let from = usize::try_from(offset).unwrap().min(all.len());
        let to = usize::try_from(offset + len).unwrap().min(all.len());
        Ok(all.slice(from..to))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        Ok(self.0.lock().unwrap().get(name).map(|content| content.len() as u64))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let beginning = format!("{folder}/");
        let map = self.0.lock().unwrap();
        let listed = map.iter().filter(|(name, _)| name.starts_with(&beginning));
        Ok(listed.map(|(name, content)| (name.clone(), content.len() as u64)).collect())
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// What goes wrong, and from which call on. Calls count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Never,
    /// One call fails and does nothing.
    Fails(u64),
    /// One call does its work, and then fails: the answer is lost.
    LosesAnswer(u64),
    /// From this call on, all fail: the machine or the network is gone.
    Dead(u64),
    /// Lists lack what was stored last.
    LateLists,
    /// When an index is stored, somebody deletes a pack that it names: a prune beside a writer.
    PrunedAtIndex,
}

/// Objects with a fault.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Memory,
    fault: Fault,
    calls: AtomicU64,
    /// The pack that was stored last.
    last: Mutex<String>,
}

impl Faulty {
    pub(crate) fn new(inner: Memory, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, fault, calls: AtomicU64::new(0), last: Mutex::default() })
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn call<T>(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce(&Memory) -> Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let broken = || {
            ObjectError::new(action, name, io::Error::new(io::ErrorKind::ConnectionReset, "injected fault"))
        };
        match self.fault {
            Fault::Fails(at) if at == number => Err(broken()),
            Fault::Dead(at) if at <= number => Err(broken()),
            Fault::LosesAnswer(at) if at == number => {
                work(&self.inner)?;
                Err(broken())
            }
            _ => work(&self.inner),
        }
    }
}

impl Objects for Faulty {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        if self.fault == Fault::PrunedAtIndex && name.starts_with("index/") {
            self.inner.delete(&self.last.lock().unwrap())?;
        }
        if name.starts_with("data/") {
            name.clone_into(&mut self.last.lock().unwrap());
        }
        self.call("write", name, |inner| inner.put(name, parts))
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.call("read", name, |inner| inner.get(name))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.call("read", name, |inner| inner.range(name, offset, len))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.call("look at", name, |inner| inner.len(name))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        let mut listed = self.call("list", folder, |inner| inner.list(folder))?;
        if self.fault == Fault::LateLists && folder == "data" {
            listed.pop();
        }
        Ok(listed)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.call("delete", name, |inner| inner.delete(name))
    }

    fn place(&self) -> String {
        "memory with faults".to_owned()
    }
}
