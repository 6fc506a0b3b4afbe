//! The table of open connections: bounded, fair between addresses, and able to end them all.
//!
//! Who has proven nothing holds a place only until somebody else needs it. Room is made by whoever holds the most such
//! places, so that one address that connects again and again takes the places of its own connections, and not those of a
//! client that is slow because it is far away. The Unix socket has places of its own.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::identity::Identity;
use crate::limits::Limits;
use crate::object::ConnectionId;
use crate::transport::Stream;

/// Open connections in the order in which they came.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    table: Mutex<Table>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    last: ConnectionId,
    open: BTreeMap<ConnectionId, Open>,
}

#[derive(Debug)]
struct Open {
    stream: Arc<Stream>,
    place: Place,
}

/// What is known of the other end, and which places it uses up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Over TCP, and nothing is proven.
    Unproven {
        /// What one neighbour holds: an address, or the network of an IPv6 address.
        network: IpAddr,
        /// Whether somebody was proven from there a short while ago.
        is_known: bool,
    },
    /// Over TCP, proven.
    Proven {
        /// Who it is.
        identity: Identity,
        /// Whether that caller has any role: a realm has many accounts, and each may show a ticket.
        has_role: bool,
    },
    /// Over the Unix socket.
    Local {
        /// Who the kernel says it is.
        identity: Identity,
        /// Whether that caller has any role.
        has_role: bool,
    },
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, table: Mutex::default(), left: Condvar::new() }
    }

    /// Enters a connection, and ends another one where there is no room for both; none when there is no room and nobody
    /// who can be asked to make it.
    pub(crate) fn enter(&self, stream: &Arc<Stream>, place: Place) -> Option<ConnectionId> {
        let mut table = self.table();
        table.make_room(&place, &self.limits)?;
        table.last += 1;
        let id = table.last;
        table.open.insert(id, Open { stream: Arc::clone(stream), place });
        Some(id)
    }

    /// Whether this caller may have one more proven connection.
    pub(crate) fn may_prove(&self, id: ConnectionId, caller: &Identity) -> bool {
        self.table().connections_of(caller, id) < self.limits.connections_per_caller
    }

    /// The caller has proved who he is; answers whether he may have this connection, too. Without any role he has a handful, and the
    /// oldest goes.
    pub(crate) fn proven(&self, id: ConnectionId, caller: &Identity, has_role: bool) -> bool {
        let mut table = self.table();
        if has_role {
            if self.limits.connections_per_caller <= table.connections_of(caller, id) {
                return false;
            }
        } else {
            // The others make room, not this one.
            let this = table.open.remove(&id);
            let roleless = |other: &Place| matches!(other, Place::Proven { has_role: false, .. });
            let own = |other: &Place| matches!(other, Place::Proven { identity, has_role: false } if identity == caller);
            table.end_surplus(self.limits.roleless_per_caller, own);
            table.end_surplus(self.limits.roleless_connections, roleless);
            table.open.extend(this.map(|open| (id, open)));
        }
        if let Some(open) = table.open.get_mut(&id) {
            open.place = Place::Proven { identity: caller.clone(), has_role };
        }
        true
    }

    /// A caller who had no role when he was proven has one now.
    pub(crate) fn has_role(&self, id: ConnectionId) {
        if let Some(Open { place: Place::Proven { has_role, .. }, .. }) = self.table().open.get_mut(&id) {
            *has_role = true;
        }
    }

    /// The connection has ended.
    pub(crate) fn leave(&self, id: ConnectionId) {
        self.table().open.remove(&id);
        self.left.notify_all();
    }

    /// Ends the connections of the callers for whom `is_gone` says so.
    pub(crate) fn end_those(&self, is_gone: impl Fn(&Identity) -> bool) {
        for open in self.table().open.values() {
            if let Place::Proven { identity, .. } = &open.place
                && is_gone(identity)
            {
                open.stream.end();
            }
        }
    }

    /// Ends all connections and waits until their threads have left, up to `patience`; answers whether they have.
    pub(crate) fn end_all(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut table = self.table();
        for open in table.open.values() {
            open.stream.end();
        }
        while !table.open.is_empty() {
            let Some(remaining) = deadline.checked_duration_since(Instant::now()) else { return false };
            table = self.left.wait_timeout(table, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    pub(crate) fn count(&self) -> usize {
        self.table().open.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// How many connections a caller has beside the one of this number.
    fn connections_of(&self, caller: &Identity, beside: ConnectionId) -> usize {
        let own = |(id, open): &(&ConnectionId, &Open)| {
            let identity = match &open.place {
                Place::Proven { identity, has_role: true } | Place::Local { identity, has_role: true } => {
                    Some(identity)
                }
                _ => None,
            };
            **id != beside && identity == Some(caller)
        };
        self.open.iter().filter(own).count()
    }

    /// Makes room for one in this place.
    fn make_room(&mut self, place: &Place, limits: &Limits) -> Option<()> {
        match place {
            Place::Unproven { network, .. } => {
                let of_network =
                    |other: &Place| matches!(other, Place::Unproven { network: its, .. } if its == network);
                if limits.unproven_per_address <= self.count(of_network) {
                    return self.end_oldest(of_network);
                }
                let remote = |other: &Place| !matches!(other, Place::Local { .. });
                if limits.connections <= self.count(remote) {
                    let victim = self.fullest_network()?;
                    return self.end_oldest(
                        |other| matches!(other, Place::Unproven { network, .. } if *network == victim),
                    );
                }
            }
            Place::Local { identity, has_role: true } => {
                let with_role = |other: &Place| matches!(other, Place::Local { has_role: true, .. });
                if limits.connections_per_caller <= self.connections_of(identity, 0)
                    || limits.local_connections <= self.count(with_role)
                {
                    return None;
                }
            }
            Place::Local { identity, has_role: false } => {
                let roleless = |other: &Place| matches!(other, Place::Local { has_role: false, .. });
                let own = |other: &Place| matches!(other, Place::Local { identity: its, has_role: false } if its == identity);
                self.end_surplus(limits.roleless_per_caller, own);
                self.end_surplus(limits.roleless_connections, roleless);
            }
            // A connection is entered before anything is proven on it.
            Place::Proven { .. } => {}
        }
        Some(())
    }

    /// The network with the most connections that have proven nothing: one from which nobody was proven before, if there is any;
    /// of several the one that was there first.
    fn fullest_network(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, (bool, usize, ConnectionId)> = HashMap::new();
        for (id, open) in &self.open {
            if let Place::Unproven { network, is_known } = &open.place {
                counts.entry(*network).or_insert((*is_known, 0, *id)).1 += 1;
            }
        }
        let rank = |(is_known, count, first): &(bool, usize, ConnectionId)| {
            (!*is_known, *count, std::cmp::Reverse(*first))
        };
        counts.iter().max_by_key(|(_, held)| rank(held)).map(|(network, _)| *network)
    }

    fn count(&self, counts: impl Fn(&Place) -> bool) -> usize {
        self.open.values().filter(|open| counts(&open.place)).count()
    }

    /// Ends the oldest of those that `counts` picks, if there is no room for one more.
    fn end_surplus(&mut self, most: usize, counts: impl Fn(&Place) -> bool) {
        if most <= self.count(&counts) {
            self.end_oldest(counts);
        }
    }

    fn end_oldest(&mut self, may_end: impl Fn(&Place) -> bool) -> Option<()> {
        let oldest = self.open.iter().find(|(_, open)| may_end(&open.place)).map(|(id, _)| *id)?;
        self.open.remove(&oldest)?.stream.end();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const LIMITS: fn() -> Limits = || Limits {
        connections: 8,
        unproven_per_address: 6,
        connections_per_caller: 3,
        local_connections: 4,
        roleless_connections: 3,
        roleless_per_caller: 2,
        ..Limits::default()
    };

    struct Tables {
        connections: Connections,
        stream: Arc<Stream>,
    }

    impl Tables {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            Self { connections: Connections::new(LIMITS()), stream: Arc::new(Stream::tcp(stream).unwrap()) }
        }

        fn remote(&self, last: u8, is_known: bool) -> Option<ConnectionId> {
            self.connections
                .enter(&self.stream, Place::Unproven { network: [192, 0, 2, last].into(), is_known })
        }

        fn local(&self, uid: u32, has_role: bool) -> Option<ConnectionId> {
            let identity = Identity::Local { uid, gid: 0 };
            self.connections.enter(&self.stream, Place::Local { identity, has_role })
        }

        fn is_open(&self, id: Option<ConnectionId>) -> bool {
            self.connections.table().open.contains_key(&id.unwrap())
        }
    }

    #[test]
    fn who_floods_takes_the_places_of_his_own() {
        let tables = Tables::new();
        let slow = tables.remote(2, false);
        for _ in 0..50 {
            assert!(tables.remote(1, false).is_some());
        }
        assert!(tables.is_open(slow));
        assert_eq!(tables.connections.count(), 7, "six of the one that floods, and the slow one");
        let others: Vec<_> = (3..6).map(|last| tables.remote(last, false)).collect();
        assert!(others.iter().all(|id| tables.is_open(*id)) && tables.is_open(slow));
        assert_eq!(tables.connections.count(), 8);
    }

    #[test]
    fn of_many_addresses_the_known_ones_stay_longest() {
        let tables = Tables::new();
        let known = tables.remote(200, true);
        for last in 1..100 {
            assert!(tables.remote(last, false).is_some());
        }
        assert!(tables.is_open(known));
        assert_eq!(tables.connections.count(), 8);
    }

    #[test]
    fn proven_callers_keep_their_places_and_have_only_so_many() {
        let tables = Tables::new();
        let caller = |uid| Identity::Local { uid, gid: 0 };
        let mut proven = Vec::new();
        for uid in 0..8 {
            let id = tables.remote(1, false);
            assert!(tables.connections.proven(id.unwrap(), &caller(uid / 3), true));
            proven.push(id);
        }
        assert_eq!(tables.remote(1, false), None, "all have proven who they are");
        assert!(proven.iter().all(|id| tables.is_open(*id)));
        assert!(
            !tables.connections.may_prove(99, &caller(0)) && tables.connections.may_prove(99, &caller(9))
        );
        assert!(tables.connections.may_prove(proven[0].unwrap(), &caller(0)), "it is one of the three");
        assert!(tables.local(7, true).is_some(), "the Unix socket has places of its own");
    }

    #[test]
    fn proven_callers_without_a_role_have_a_handful_and_keep_nobody_out() {
        let tables = Tables::new();
        for uid in 0..20 {
            for _ in 0..5 {
                let id = tables.remote(1, false).unwrap();
                assert!(tables.connections.proven(id, &Identity::Local { uid, gid: 0 }, false));
            }
        }
        assert_eq!(tables.connections.count(), 3, "roleless_connections");
        let mut proven = Vec::new();
        for uid in 0..5 {
            let id = tables.remote(1, false).unwrap();
            assert!(tables.connections.proven(id, &Identity::Local { uid, gid: 0 }, true));
            proven.push(Some(id));
        }
        assert!(proven.iter().all(|id| tables.is_open(*id)));
    }

    #[test]
    fn callers_without_a_role_have_a_handful_and_keep_nobody_out() {
        let tables = Tables::new();
        let first = tables.local(1, false);
        for uid in 2..20 {
            assert!(tables.local(uid, false).is_some());
            assert!(tables.local(uid, false).is_some());
            assert!(tables.local(uid, false).is_some());
        }
        assert!(!tables.is_open(first));
        assert_eq!(tables.connections.count(), 3);
        assert!((0..3).all(|_| tables.local(50, true).is_some()));
        assert_eq!(tables.local(50, true), None);
        assert!(tables.local(51, true).is_some());
        assert_eq!(tables.local(52, true), None);
        assert!((0..6).all(|_| tables.remote(1, false).is_some()));
    }
}
