//! The table of open connections: bounded, and able to end them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::Identity;
use crate::limits::Limits;
use crate::object::ConnectionId;
use crate::transport::Stream;

/// Open connections in the order in which they came.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
    limit_per_caller: usize,
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
    /// Who is at the other end, once that is proven.
    caller: Option<Identity>,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Self {
        let Limits { connections: limit, connections_per_caller: limit_per_caller, .. } = limits;
        Self { limit, limit_per_caller, table: Mutex::default(), left: Condvar::new() }
    }

    /// Enters a connection. When the table is full, the oldest caller that never proved who he is makes room; without
    /// one, and for a caller with too many, there is none.
    pub(crate) fn enter(&self, stream: &Arc<Stream>, caller: Option<&Identity>) -> Option<ConnectionId> {
        let mut table = self.table();
        if caller.is_some_and(|caller| self.limit_per_caller <= table.connections_of(caller, 0)) {
            return None;
        }
        if self.limit <= table.open.len() {
            let oldest = table.open.iter().find(|(_, open)| open.caller.is_none()).map(|(id, _)| *id)?;
            if let Some(open) = table.open.remove(&oldest) {
                open.stream.end();
            }
        }
        table.last += 1;
        let id = table.last;
        table.open.insert(id, Open { stream: Arc::clone(stream), caller: caller.cloned() });
        Some(id)
    }

    /// The caller has proved who he is; answers whether he may have this connection, too.
    pub(crate) fn authenticated(&self, id: ConnectionId, caller: &Identity) -> bool {
        let mut table = self.table();
        if self.limit_per_caller <= table.connections_of(caller, id) {
            return false;
        }
        if let Some(open) = table.open.get_mut(&id) {
            open.caller = Some(caller.clone());
        }
        true
    }

    /// The connection has ended.
    pub(crate) fn leave(&self, id: ConnectionId) {
        self.table().open.remove(&id);
        self.left.notify_all();
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
            **id != beside && open.caller.as_ref().is_some_and(|other| other.is_same(caller))
        };
        self.open.iter().filter(own).count()
    }
}
