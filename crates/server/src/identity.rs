//! Who calls: an account that logged on, somebody with a ticket, or a process of this machine.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use certadm_auth::{TicketHolder, folded, same_name};

/// Who calls, as far as it was proven.
///
/// Two are equal when they are the same caller (wire.md 7, item 7): an account in whatever letters its client writes the name,
/// a user whatever its group. So a caller cannot be several by spelling himself anew. An account of the service, one of a
/// realm and a user of this machine are never the same caller, whatever their names are.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A context of NTLM.
    Account {
        /// The account's user name as the client wrote it.
        name: String,
        /// What the account was when it logged on: with another password it is another caller.
        incarnation: Incarnation,
    },
    /// A context of Kerberos: an account of a realm. By its SID where the domain controller says it, else by its name; one
    /// ticket with a SID and one without are two callers.
    Principal(Arc<TicketHolder>),
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
            (Self::Principal(left), Self::Principal(right)) => match (&left.user, &right.user) {
                (Some(left), Some(right)) => left == right,
                (None, None) => left.client == right.client,
                _ => false,
            },
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
            Self::Principal(holder) => match &holder.user {
                Some(sid) => sid.hash(state),
                None => (holder.client.components(), holder.client.realm()).hash(state),
            },
            Self::Local { uid, .. } => uid.hash(state),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { name, .. } => write!(f, "{}", name.escape_debug()),
            Self::Principal(holder) => {
                holder.client.fmt(f)?;
                holder.user.iter().try_for_each(|sid| write!(f, " ({sid})"))
            }
            Self::Local { uid, gid } => write!(f, "uid {uid} gid {gid}"),
        }
    }
}

/// Tells an account from the one that had its name before: with another password, or added again. It means something
/// within one run of the service only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub(crate) u64);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use certadm_kerberos::Principal;
    use certadm_rules::FileTime;

    use super::*;

    fn holder(name: &str, realm: &str, user: Option<&str>) -> Identity {
        Identity::Principal(Arc::new(TicketHolder {
            client: Principal::account(name, realm),
            service: Principal::service("HOST", "ca1", realm),
            has_pac: true,
            user: user.map(|sid| sid.parse().unwrap()),
            account: None,
            groups: BTreeSet::new(),
            end: FileTime(0),
        }))
    }

    #[test]
    fn kinds_of_callers_are_never_the_same() {
        let (one, two) = (Some("S-1-5-21-1-2-3-1"), Some("S-1-5-21-1-2-3-2"));
        let all = [
            Identity::Account { name: "alice".into(), incarnation: Incarnation(1) },
            Identity::Account { name: "alice@TOY.TEST".into(), incarnation: Incarnation(1) },
            Identity::Account { name: "alice".into(), incarnation: Incarnation(2) },
            holder("alice", "TOY.TEST", None),
            holder("alice", "OTHER.TEST", None),
            holder("Alice", "TOY.TEST", None),
            holder("alice", "TOY.TEST", one),
            holder("alice", "TOY.TEST", two),
            Identity::Local { uid: 1, gid: 1 },
        ];
        for (place, left) in all.iter().enumerate() {
            for (other, right) in all.iter().enumerate() {
                assert_eq!(left == right, place == other, "{left} {right}");
            }
        }
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        // Renamed, and the same.
        let renamed = holder("alice.b", "TOY.TEST", one);
        assert_eq!(renamed, all[6]);
        assert!(HashSet::from([&renamed]).contains(&all[6]));
    }
}
