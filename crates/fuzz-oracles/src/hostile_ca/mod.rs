//! A CA for the target `client_connection`: it answers what a script says. It may know the password of its caller or not; it
//! seals what it sends as soon as it can, unless the script wants otherwise.

mod connection;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certadm_auth::{AccountStore, AuthError, Environment, FileTime, NtHash, ServerNames, Service};
use certadm_rules::Tag;

pub(crate) use self::connection::Connection;
use crate::script::Script;

/// The account that logs on, with its password.
pub(crate) const ACCOUNT: (&str, &str) = ("backup", "Pa55-word-of-all");

/// Names that a list may have: of a CA, and of who wants something else written.
const NAMES: [&str; 16] = [
    r"\\ca01\C$\CA\ca.edb",
    r"\\ca01\C$\CA\edb00001.log",
    r"\\ca01\C$\CA\edb00002.log",
    r"\\ca01\C$\CA\edb00001.LOG",
    r"\\ca01\C$\CA\..\..\..\outside.edb",
    r"..\..\..\outside",
    "/etc/passwd",
    "../../outside",
    r"\\ca01\C$\CA\manifest.json",
    r"\\ca01\C$\CA\certbkxp.dat",
    r"\\ca01\C$\CA\CON.edb",
    r"\\ca01\C$\CA\ca.edb:stream",
    r"\\ca01\C$\CA\..",
    "\\\\ca01\\C$\\CA\\e\u{202e}x.edb",
    r"\\ca01\C$\CA\edb00000.log",
    r"\\ca01\C$\CA\",
];
const TAGS: [Tag; 4] = [Tag::Database, Tag::Log, Tag::LogDirectory, Tag::CheckpointDirectory];
/// No answer is longer than this, in bytes: the client then looks at the next answer only when it has taken this one.
const MOST_DATA: u32 = 16 * 1024;

/// What the script has said so far, on whichever connection.
pub(crate) struct Hostile {
    data: Arc<[u8]>,
    at: usize,
    service: Service,
    /// Steps that were taken: answers, roughly.
    pub(crate) steps: usize,
    /// Connections.
    pub(crate) dials: usize,
    /// PDUs that the client sent.
    pub(crate) taken: usize,
    /// Logons in which the client's proof was right.
    pub(crate) logons: usize,
    /// An answer was sent that a client may not take for a success.
    pub(crate) broke_protocol: bool,
    /// A read was answered by a fault. A client asks for the next piece of a file before it knows whether anybody wants it, so
    /// that this may be an answer that nobody waits for when the file is closed.
    pub(crate) failed_read: bool,
    /// Bytes that files of the CA had.
    pub(crate) delivered: u64,
}

pub(crate) type Shared = Arc<Mutex<Hostile>>;

pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Hostile> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hostile {
    pub(crate) fn new(data: &[u8], knows_password: bool) -> Shared {
        let password = if knows_password { ACCOUNT.1 } else { "another password" };
        let names = ServerNames::new("CA01", "CA01", None).expect("these names are valid");
        let service = Service::new(names, Arc::new(One(NtHash::from_password(password))), Arc::new(Still));
        Arc::new(Mutex::new(Self {
            data: data.into(),
            at: 0,
            service,
            steps: 0,
            dials: 0,
            taken: 0,
            logons: 0,
            broke_protocol: false,
            failed_read: false,
            delivered: 0,
        }))
    }

    /// Takes a decision of the script.
    fn decide<T>(&mut self, decide: impl FnOnce(&mut Script<'_>) -> T) -> T {
        let data = Arc::clone(&self.data);
        let mut script = Script::new(data.get(self.at..).unwrap_or_default());
        let decided = decide(&mut script);
        self.at = data.len() - script.rest().len();
        decided
    }

    fn is_over(&self) -> bool {
        self.data.len() <= self.at
    }
}

/// One account, and a world in which nothing changes.
struct One(NtHash);

impl AccountStore for One {
    fn nt_hash(&self, _domain: &str, _user: &str) -> Option<NtHash> {
        Some(self.0.clone())
    }
}

/// A clock that stands, and random octets that are none.
pub(crate) struct Still;

impl Environment for Still {
    fn now(&self) -> FileTime {
        FileTime::from_unix_seconds(1_800_000_000)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        bytes.fill(0x42);
        Ok(())
    }
}
