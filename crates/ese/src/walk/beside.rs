//! Leaves that another core looks at beside the walk.
//!
//! The walk hands over batches of leaves and takes back what was seen, in the same order. It never waits for the other core
//! as long as it has leaves of its own: on a busy machine it looks at nearly all of them itself.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::leaf::{Batch, Looker, Seen, Visit};
use crate::error::Error;
use crate::pager::Pager;

/// Batches that the other core has at a time: one that it looks at, and the next ones.
const MOST: usize = 3;

/// So few leaves are sooner looked at than handed over.
const FEW: usize = 4;

/// The other core, and what it has.
pub(super) struct Beside<'s, V> {
    batches: SyncSender<Batch>,
    seen: Receiver<Result<Vec<Seen>, Error>>,
    thread: ScopedJoinHandle<'s, V>,
    under_way: usize,
}

impl<'s, V: Visit + 's> Beside<'s, V> {
    /// Begins; `None` where the system gives no other thread. `part` sees the leaves.
    pub(super) fn start<'w: 's, P: Pager>(
        scope: &'s Scope<'s, '_>,
        mut looker: Looker<'w, P>,
        mut part: V,
    ) -> Option<Self> {
        let (batches, to_look) = sync_channel::<Batch>(MOST);
        let (tell, seen) = channel();
        let work = move || {
            for batch in to_look {
                if tell.send(looker.look(&batch, &mut part)).is_err() {
                    break;
                }
            }
            part
        };
        let thread = Builder::new().spawn_scoped(scope, work).ok()?;
        Some(Self { batches, seen, thread, under_way: 0 })
    }
}

impl<V> Beside<'_, V> {
    /// Takes a batch, or gives it back if it has enough.
    pub(super) fn take(&mut self, batch: Batch) -> Option<Batch> {
        if MOST <= self.under_way || batch.wanted.len() < FEW {
            return Some(batch);
        }
        match self.batches.try_send(batch) {
            Ok(()) => {
                self.under_way += 1;
                None
            }
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Some(batch),
        }
    }

    /// What was seen of the first batch that is under way. Waits for it only if it `must`; otherwise `None` says that it is
    /// not ready.
    pub(super) fn next(&mut self, must: bool) -> Option<Result<Vec<Seen>, Error>> {
        let next = if must { self.seen.recv().ok() } else { self.seen.try_recv().ok() };
        self.under_way -= usize::from(next.is_some());
        next
    }

    /// Ends, and gives what saw the leaves. A panic there goes on here.
    pub(super) fn end(self) -> V {
        drop(self.batches);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
