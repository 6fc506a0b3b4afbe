//! The security contexts of a connection: whose each of them is, how long it counts, and what its caller may do at this moment.

use std::collections::HashMap;
use std::time::Instant;

use certadm_auth::{Protection, Sealer, Unsealer};
use certadm_rules::flags::Roles;

use crate::identity::Identity;
use crate::shared::Shared;

/// A finished security context. At a level below integrity nothing can be called under it, so it has no keys.
pub(crate) struct Context {
    pub(crate) caller: Identity,
    /// When its ticket is over; none of a context of NTLM.
    pub(crate) until: Option<Instant>,
    pub(crate) keys: Option<Keys>,
    /// Whether a message under it has verified: the peer then has the key of the session, and did not only relay the logon
    /// of somebody who has.
    pub(crate) is_proven: bool,
}

pub(crate) struct Keys {
    pub(crate) protection: Protection,
    pub(crate) sealer: Sealer,
    pub(crate) unsealer: Unsealer,
}

/// Whose time was over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Retired {
    None,
    Some,
    All,
}

/// Ends the contexts whose tickets are over. Nothing verifies under them any more; the others go on, such as that of a newer
/// ticket of the same caller.
pub(crate) fn retire(contexts: &mut HashMap<u32, Context>, now: Instant) -> Retired {
    let before = contexts.len();
    contexts.retain(|_, context| context.until.is_none_or(|until| now < until));
    match contexts.len() {
        after if after == before => Retired::None,
        0 => Retired::All,
        _ => Retired::Some,
    }
}

/// The roles of this moment of a caller over TCP; none when the account is gone or is not what it was when it logged on.
pub(crate) fn roles_of(shared: &Shared, caller: &Identity) -> Option<Roles> {
    match caller {
        Identity::Account { name, incarnation } => {
            let (now, roles) = shared.accounts.find(name)?;
            (now == *incarnation).then_some(roles)
        }
        // What the ticket says of the holder stays; what that gives him is looked up at each call.
        Identity::Principal(holder) => Some(shared.granted.of_ticket(holder)),
        Identity::Local { .. } => None,
    }
}

pub(crate) fn has_role(shared: &Shared, caller: &Identity) -> bool {
    roles_of(shared, caller).is_some_and(|roles| roles != Roles::NONE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ticket_that_ends_takes_its_own_context_with_it_and_no_other() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let context = |until: Option<u64>| Context {
            caller: Identity::Local { uid: 0, gid: 0 },
            until: until.map(after),
            keys: None,
            is_proven: true,
        };
        let mut contexts = HashMap::from([(1, context(Some(10))), (2, context(Some(20)))]);
        assert_eq!(retire(&mut contexts, after(9)), Retired::None);
        assert_eq!(retire(&mut contexts, after(10)), Retired::Some);
        assert!(!contexts.contains_key(&1) && contexts.contains_key(&2));
        assert_eq!(retire(&mut contexts, after(20)), Retired::All);
        assert_eq!(retire(&mut contexts, after(21)), Retired::None, "nobody has logged on");
        // A logon by NTLM has no end.
        let mut contexts = HashMap::from([(1, context(Some(10))), (2, context(None))]);
        assert_eq!(retire(&mut contexts, after(1000)), Retired::Some);
        assert_eq!(retire(&mut contexts, after(2000)), Retired::None);
    }
}
