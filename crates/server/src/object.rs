//! The CA's administration object: one backup session at most, and who it belongs to (wire.md 5.6).

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use certadm_session::{LocalSource, Loss};

use crate::identity::Identity;
use crate::limits::Limits;

/// Names a connection while the service runs.
pub(crate) type ConnectionId = u64;

/// One object. Its calls run one at a time.
#[derive(Debug)]
pub(crate) struct AdminObject {
    state: Mutex<State>,
    /// Beside the state, which a call keeps for as long as it runs: a connection that never called the object leaves without a wait.
    callers: Mutex<Callers>,
}

/// What the calls of an object work on.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) source: LocalSource,
    pub(crate) session: Option<Session>,
}

#[derive(Debug, Default)]
struct Callers {
    /// Open connections that have called the object.
    connections: HashSet<ConnectionId>,
    /// Since when there is none of them.
    lost_since: Option<Instant>,
}

/// A backup from BackupPrepare to BackupEnd.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) owner: Identity,
    pub(crate) last_call: Instant,
    /// The server has given it up.
    pub(crate) aborted: bool,
    /// Whether it came over the Unix socket, whose end is the session's end.
    pub(crate) local: bool,
}

impl AdminObject {
    pub(crate) fn new(source: LocalSource) -> Self {
        Self { state: Mutex::new(State { source, session: None }), callers: Mutex::default() }
    }

    /// Waits until no other call runs on it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call that was allowed, and that works on `state`.
    pub(crate) fn called(&self, state: &mut State, connection: ConnectionId, now: Instant) {
        let mut callers = self.callers();
        callers.connections.insert(connection);
        callers.lost_since = None;
        if let Some(session) = &mut state.session {
            session.last_call = now;
        }
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `len` bytes of an open database ahead, unless another call runs.
    pub(crate) fn read_ahead(&self, len: usize) {
        if let Ok(mut state) = self.state.try_lock() {
            state.source.read_ahead(len);
        }
    }

    /// Gives its backup up; without one nothing happens.
    pub(crate) fn abort(&self, loss: Loss) {
        self.lock().abort(loss);
    }

    /// Gives its backup up if its owner is gone. A caller may drive a backup on another caller's object. An object that is at
    /// work is looked at the next time.
    pub(crate) fn abort_if_gone(&self, is_gone: impl Fn(&Identity) -> bool) {
        if let Ok(mut state) = self.state.try_lock()
            && state.session.as_ref().is_some_and(|session| is_gone(&session.owner))
        {
            state.abort(Loss::Account);
        }
    }

    /// Notes that a connection has ended. Only the last one of those that have called the object waits for a call: a backup over the
    /// Unix socket ends with it.
    pub(crate) fn disconnected(&self, connection: ConnectionId, now: Instant) {
        {
            let mut callers = self.callers();
            if !callers.connections.remove(&connection) || !callers.connections.is_empty() {
                return;
            }
            callers.lost_since = Some(now);
        }
        let mut state = self.lock();
        let is_lost = self.callers().connections.is_empty();
        if is_lost && state.session.as_ref().is_some_and(|session| session.local) {
            state.abort(Loss::Client);
        }
    }

    /// Whether nobody works with it: no backup, no open connection, no call.
    pub(crate) fn is_unused(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| {
            let backup_runs = state.session.as_ref().is_some_and(|session| !session.aborted);
            !backup_runs && self.callers().connections.is_empty()
        })
    }

    /// For how long nobody has been connected that drives its backup. An object that is at work is not looked at.
    pub(crate) fn lost_for(&self, now: Instant) -> Option<Duration> {
        let state = self.state.try_lock().ok()?;
        state.session.as_ref().filter(|session| !session.aborted)?;
        self.callers().lost_since.map(|since| now.saturating_duration_since(since))
    }

    /// Aborts a backup that nobody drives any more; answers whether one runs on. An object that is at work is not idle.
    pub(crate) fn sweep(&self, limits: &Limits, now: Instant) -> bool {
        match self.state.try_lock() {
            Ok(mut state) => state.sweep(&self.callers(), limits, now),
            Err(TryLockError::Poisoned(state)) => state.into_inner().sweep(&self.callers(), limits, now),
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

impl State {
    pub(crate) fn abort(&mut self, loss: Loss) {
        let Some(session) = self.session.as_mut().filter(|session| !session.aborted) else { return };
        session.aborted = true;
        self.source.give_up(loss);
    }

    fn sweep(&mut self, callers: &Callers, limits: &Limits, now: Instant) -> bool {
        let Some(session) = self.session.as_ref().filter(|session| !session.aborted) else { return false };
        let since = |then: Instant| now.saturating_duration_since(then);
        if callers.lost_since.is_some_and(|lost| limits.lost_client <= since(lost)) {
            self.abort(Loss::Client);
        } else if limits.session_idle <= since(session.last_call) {
            self.abort(Loss::Idle);
        } else {
            return !callers.connections.is_empty();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use certadm_rules::unc::UncRoot;
    use certadm_store::{Folder, Options, Store};

    use super::*;

    #[test]
    fn who_never_called_does_not_wait_for_a_call() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::create(&Folder::new(place.path().join("ca")), "CA", Options::default()).unwrap();
        let source = LocalSource::new(Arc::new(store), UncRoot::new("ca1.example").unwrap());
        let (object, now) = (AdminObject::new(source), Instant::now());
        let mut state = object.lock();
        object.called(&mut state, 1, now);
        object.called(&mut state, 2, now);
        // A call still holds the state.
        object.disconnected(3, now);
        object.disconnected(2, now);
        assert!(!object.is_unused());
        drop(state);
        assert!(!object.is_unused(), "1 is there");
        object.disconnected(1, now);
        assert!(object.is_unused());
    }
}
