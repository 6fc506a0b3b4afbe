//! Connections in memory, for fuzzing: while a thread has a dialler, whatever it connects to is a peer of the dialler's, and
//! no socket is opened. Compiled only with the feature `fuzzing`; not meant for anything else.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kerberos::dns::{answered, question};
use crate::kerberos::krb5_conf::Krb5Conf;

/// The other end of a connection.
pub trait Peer: Send {
    /// Takes what the client sends.
    fn take(&mut self, bytes: &[u8]);

    /// Gives what it answers: at least one byte, 0 when it has closed the connection. It is asked only when the client waits.
    fn give(&mut self, buffer: &mut [u8]) -> usize;
}

/// Makes the peer of each connection, one after the other.
pub type Dialler = Box<dyn FnMut() -> Box<dyn Peer>>;

thread_local! {
    static DIALLER: RefCell<Option<Dialler>> = const { RefCell::new(None) };
}

/// Runs `body`, whose connections go to the peers of `dialler`.
pub fn with_dialler<T>(dialler: Dialler, body: impl FnOnce() -> T) -> T {
    DIALLER.set(Some(dialler));
    let result = body();
    DIALLER.set(None);
    result
}

/// A connection to the next peer of this thread's dialler; none where it has no dialler.
pub(crate) fn dialled() -> Option<MemoryStream> {
    DIALLER.with_borrow_mut(|dialler| dialler.as_mut().map(|dial| MemoryStream(Arc::new(Mutex::new(dial())))))
}

/// A handle of a connection in memory.
#[derive(Clone)]
pub(crate) struct MemoryStream(Arc<Mutex<Box<dyn Peer>>>);

impl MemoryStream {
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.peer().give(buffer))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.peer().take(bytes);
        Ok(bytes.len())
    }

    fn peer(&self) -> MutexGuard<'_, Box<dyn Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStream(..)")
    }
}

/// Reads a text as krb5.conf: the realm of `host`, and the KDCs of that realm, else of the default one.
#[must_use]
pub fn krb5_conf(text: &str, host: &str) -> (Option<String>, Vec<String>) {
    let mut conf = Krb5Conf::default();
    let _files_that_are_not_opened = conf.take(text);
    let realm = conf.realm_of(host).or(conf.default_realm.as_deref()).map(str::to_owned);
    let kdcs = realm.as_deref().map(|realm| conf.kdcs(realm).to_vec()).unwrap_or_default();
    (realm, kdcs)
}

/// Reads what DNS answers to the question, of number 0, for the SRV records of `name`: host and port of each record, and
/// whether the answer was cut short; none for what is no answer to it.
#[must_use]
pub fn dns_answer(name: &str, answer: &[u8]) -> Option<(Vec<(String, u16)>, bool)> {
    let (records, is_cut) = answered(&question([0, 0], name)?, answer)?;
    Some((records.into_iter().map(|record| (record.host, record.port)).collect(), is_cut))
}
