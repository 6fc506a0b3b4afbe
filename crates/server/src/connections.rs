//! The table of open connections: bounded, and able to end them all.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::object::ConnectionId;
use crate::transport::Stream;

/// Open connections in the order in which they came.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
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
    is_proven: bool,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, table: Mutex::default(), left: Condvar::new() }
    }

    /// Enters a connection. When the table is full, the oldest caller that never proved who he is makes room; without
    /// one there is none.
    pub(crate) fn enter(&self, stream: &Arc<Stream>, is_proven: bool) -> Option<ConnectionId> {
        let mut table = self.table();
        if self.limit <= table.open.len() {
            let oldest = table.open.iter().find(|(_, open)| !open.is_proven).map(|(id, _)| *id)?;
            if let Some(open) = table.open.remove(&oldest) {
                open.stream.end();
            }
        }
        table.last += 1;
        let id = table.last;
        table.open.insert(id, Open { stream: Arc::clone(stream), is_proven });
        Some(id)
    }

    /// The caller has proved who he is.
    pub(crate) fn authenticated(&self, id: ConnectionId) {
        if let Some(open) = self.table().open.get_mut(&id) {
            open.is_proven = true;
        }
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
