//! Who calls: an account that logged on, or a process of this machine.

use std::fmt;
use std::hash::{Hash, Hasher};

use certadm_auth::{folded, same_name};

/// Who calls, as far as it was proven.
///
/// Two are equal when they are the same caller (wire.md 7, item 7): an account in whatever letters its client writes the name,
/// a user whatever its group. So a caller cannot be several by spelling himself anew.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A context of NTLM.
    Account {
        /// The account's user name as the client wrote it.
        name: String,
        /// What the account was when it logged on: with another password it is another caller.
        incarnation: Incarnation,
    },
    /// The process at the other end of the Unix socket.
    Local {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Account { name: left, incarnation },
                Self::Account { name: right, incarnation: other },
            ) => incarnation == other && same_name(left, right),
            (Self::Local { uid: left, .. }, Self::Local { uid: right, .. }) => left == right,
            _ => false,
        }
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Account { name, incarnation } => (folded(name), incarnation).hash(state),
            Self::Local { uid, .. } => uid.hash(state),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { name, .. } => write!(f, "{}", name.escape_debug()),
            Self::Local { uid, gid } => write!(f, "uid {uid} gid {gid}"),
        }
    }
}

/// Tells an account from the one that had its name before: with another password, or added again. It means something
/// within one run of the service only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub(crate) u64);
