//! Objects in memory, and objects that fail, lose things or come late.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use certadm_repository::objects::{ObjectError, Objects};

type Map = BTreeMap<String, Bytes>;

/// Objects in memory, how far their clock is ahead, and how old some of them are. Clones share them. Everything else was
/// stored just now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Map>>, Arc<AtomicI64>, Arc<Mutex<Vec<(&'static str, i64)>>>);

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

impl Memory {
    /// Another storage with the same objects.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.all())), Arc::default(), Arc::default())
    }

    /// What is named so was stored so many seconds ago.
    pub(crate) fn set_age(&self, beginning: &'static str, seconds: i64) {
        self.2.lock().unwrap().push((beginning, seconds));
    }

    /// Sets the clock of the storage so many seconds ahead.
    pub(crate) fn set_ahead(&self, seconds: i64) {
        self.1.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn all(&self) -> Map {
        self.0.lock().unwrap().clone()
    }

    /// The names that begin so.
    pub(crate) fn names(&self, beginning: &str) -> Vec<String> {
        self.all().into_keys().filter(|name| name.starts_with(beginning)).collect()
    }

    /// Removes an object.
    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
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

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        let mut map = self.0.lock().unwrap();
        if map.contains_key(name) {
            return Err(ObjectError::new("write", name, io::Error::from(io::ErrorKind::AlreadyExists)));
        }
        map.insert(name.to_owned(), Bytes::copy_from_slice(content));
        Ok(())
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.get(name)?;
        let old: i64 = self
            .2
            .lock()
            .unwrap()
            .iter()
            .filter(|(beginning, _)| name.starts_with(beginning))
            .map(|(_, age)| age)
            .sum();
        Ok(self.1.load(Ordering::SeqCst) + now() - old)
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
    /// Before this call, somebody else does something: see [`Faulty::beside`].
    Beside(u64),
    /// Before each list of this folder, somebody else does something: see [`Faulty::before_lists`].
    BesideLists(&'static str),
    /// A byte of the first pack changes on its way.
    FlipsFirst,
    /// One call, if it reads of a pack, comes back with a byte that is another one.
    Misreads(u64),
    /// When an index is stored, somebody deletes a pack that it names: a prune beside a writer.
    PrunedAtIndex,
}

type Action = Box<dyn FnMut() + Send>;

/// Objects with a fault.
pub(crate) struct Faulty {
    inner: Memory,
    fault: Fault,
    calls: AtomicU64,
    /// The pack that was stored last.
    last: Mutex<String>,
    beside: Mutex<Option<Action>>,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Faulty({:?})", self.fault)
    }
}

impl Faulty {
    pub(crate) fn new(inner: Memory, fault: Fault) -> Arc<Self> {
        let (last, beside) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner, fault, calls: AtomicU64::new(0), last, beside })
    }

    /// Objects beside whose call `at` something else happens to the same storage.
    pub(crate) fn beside(inner: Memory, at: u64, action: Action) -> Arc<Self> {
        let (last, beside) = (Mutex::default(), Mutex::new(Some(action)));
        Arc::new(Self { inner, fault: Fault::Beside(at), calls: AtomicU64::new(0), last, beside })
    }

    /// Objects before whose lists of `folder` something else happens to the same storage.
    pub(crate) fn before_lists(inner: Memory, folder: &'static str, action: Action) -> Arc<Self> {
        let (last, beside) = (Mutex::default(), Mutex::new(Some(action)));
        Arc::new(Self { inner, fault: Fault::BesideLists(folder), calls: AtomicU64::new(0), last, beside })
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
        if self.fault == Fault::Beside(number) {
            let action = self.beside.lock().unwrap().take();
            action.into_iter().for_each(|mut action| action());
        }
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

    fn read(
        &self,
        name: &str,
        work: impl FnOnce(&Memory) -> Result<Bytes, ObjectError>,
    ) -> Result<Bytes, ObjectError> {
        let is_misread = self.fault == Fault::Misreads(self.calls()) && name.starts_with("data/");
        let mut read = self.call("read", name, work)?.to_vec();
        if is_misread && !read.is_empty() {
            let middle = read.len() / 2;
            read[middle] ^= 1;
        }
        Ok(read.into())
    }
}

impl Objects for Faulty {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        if self.fault == Fault::PrunedAtIndex && name.starts_with("index/") {
            self.inner.delete(&self.last.lock().unwrap())?;
        }
        let is_first = self.last.lock().unwrap().is_empty();
        if name.starts_with("data/") {
            name.clone_into(&mut self.last.lock().unwrap());
            if is_first && self.fault == Fault::FlipsFirst {
                let mut content = parts.concat();
                let middle = content.len() / 2;
                content[middle] ^= 1;
                return self.call("write", name, |inner| inner.put(name, &[content.into()]));
            }
        }
        self.call("write", name, |inner| inner.put(name, parts))
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.call("write", name, |inner| inner.create(name, content))
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.call("look at", name, |inner| inner.stored_at(name))
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.read(name, |inner| inner.get(name))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.read(name, |inner| inner.range(name, offset, len))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.call("look at", name, |inner| inner.len(name))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        if matches!(self.fault, Fault::BesideLists(at) if at == folder) {
            self.beside.lock().unwrap().iter_mut().for_each(|action| action());
        }
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

/// Objects that note what is forgotten, read and stored, in its order.
#[derive(Debug, Default)]
pub(crate) struct Noting {
    pub(crate) inner: Memory,
    pub(crate) notes: Mutex<Vec<(&'static str, String)>>,
}

impl Noting {
    fn note(&self, action: &'static str, name: &str) -> &Memory {
        self.notes.lock().unwrap().push((action, name.to_owned()));
        &self.inner
    }
}

impl Objects for Noting {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.note("put", name).put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.note("put", name).create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.note("read", name).get(name)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.note("read", name).range(name, offset, len)
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
        self.note("forget", name);
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// Lets two writers at one storage make their calls in an order that follows from a seed, as far as their threads allow.
#[derive(Debug)]
pub(crate) struct Gate {
    passed: Mutex<Passed>,
    changed: Condvar,
}

#[derive(Debug)]
struct Passed {
    calls: [u64; 2],
    ended: [bool; 2],
    dice: u64,
}

/// Whoever waits for a call of the other goes on after so long: the other may be computing, or wait for its own threads.
const AT_MOST: Duration = Duration::from_millis(2);

impl Gate {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let passed = Mutex::new(Passed { calls: [0; 2], ended: [false; 2], dice: seed | 1 });
        Arc::new(Self { passed, changed: Condvar::new() })
    }

    /// The storage of one side, 0 or 1.
    pub(crate) fn side(self: &Arc<Self>, side: usize, inner: Arc<dyn Objects>) -> Arc<dyn Objects> {
        Arc::new(Gated { gate: Arc::clone(self), side, inner })
    }

    /// When this is dropped, nobody waits for that side any more.
    pub(crate) fn ends(self: &Arc<Self>, side: usize) -> Ends {
        Ends(Arc::clone(self), side)
    }

    fn lock(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap()
    }

    /// One call of a side: it waits until the other one has made a few, or none.
    fn pass(&self, side: usize) {
        let other = 1 - side;
        let mut passed = self.lock();
        passed.calls[side] += 1;
        self.changed.notify_all();
        passed.dice ^= passed.dice << 13;
        passed.dice ^= passed.dice >> 7;
        passed.dice ^= passed.dice << 17;
        let until = match passed.dice % 4 {
            0 => passed.calls[other] + 1 + passed.dice / 4 % 8,
            _ => 0,
        };
        let waits = |passed: &mut Passed| passed.calls[other] < until && !passed.ended[other];
        drop(self.changed.wait_timeout_while(passed, AT_MOST, waits).unwrap());
    }
}

/// See [`Gate::ends`].
pub(crate) struct Ends(Arc<Gate>, usize);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.lock().ended[self.1] = true;
        self.0.changed.notify_all();
    }
}

#[derive(Debug)]
struct Gated {
    gate: Arc<Gate>,
    side: usize,
    inner: Arc<dyn Objects>,
}

impl Gated {
    fn inner(&self) -> &dyn Objects {
        self.gate.pass(self.side);
        self.inner.as_ref()
    }
}

impl Objects for Gated {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.inner().put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.inner().create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner().stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.inner().get(name)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.inner().range(name, offset, len)
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.inner().len(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.inner().list(folder)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner().delete(name)
    }

    fn place(&self) -> String {
        "memory of two".to_owned()
    }
}
