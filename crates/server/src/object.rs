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
}

/// What the calls of an object work on.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) source: LocalSource,
    pub(crate) session: Option<Session>,
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
        let state = State { source, session: None, connections: HashSet::new(), lost_since: None };
        Self { state: Mutex::new(state) }
    }

    /// Waits until no other call runs on it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Notes that a connection has ended. Nobody calls on it any more, so the wait is for other connections' calls.
    pub(crate) fn disconnected(&self, connection: ConnectionId, now: Instant) {
        self.lock().disconnected(connection, now);
    }

    /// Whether nobody works with it: no backup, no open connection, no call.
    pub(crate) fn is_unused(&self) -> bool {
        self.state.try_lock().is_ok_and(|state| {
            let backup_runs = state.session.as_ref().is_some_and(|session| !session.aborted);
            !backup_runs && state.connections.is_empty()
        })
    }

    /// For how long nobody has been connected that drives its backup. An object that is at work is not looked at.
    pub(crate) fn lost_for(&self, now: Instant) -> Option<Duration> {
        let state = self.state.try_lock().ok()?;
        state.session.as_ref().filter(|session| !session.aborted)?;
        state.lost_since.map(|since| now.saturating_duration_since(since))
    }

    /// Aborts a backup that nobody drives any more; answers whether one runs on. An object that is at work is not idle.
    pub(crate) fn sweep(&self, limits: &Limits, now: Instant) -> bool {
        match self.state.try_lock() {
            Ok(mut state) => state.sweep(limits, now),
            Err(TryLockError::Poisoned(state)) => state.into_inner().sweep(limits, now),
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

impl State {
    /// Notes a call that was allowed.
    pub(crate) fn called(&mut self, connection: ConnectionId, now: Instant) {
        self.connections.insert(connection);
        self.lost_since = None;
        if let Some(session) = &mut self.session {
            session.last_call = now;
        }
    }

    pub(crate) fn abort(&mut self, loss: Loss) {
        let Some(session) = self.session.as_mut().filter(|session| !session.aborted) else { return };
        session.aborted = true;
        self.source.give_up(loss);
    }

    fn disconnected(&mut self, connection: ConnectionId, now: Instant) {
        if self.connections.remove(&connection) && self.connections.is_empty() {
            self.lost_since = Some(now);
            if self.session.as_ref().is_some_and(|session| session.local) {
                self.abort(Loss::Client);
            }
        }
    }

    fn sweep(&mut self, limits: &Limits, now: Instant) -> bool {
        let Some(session) = self.session.as_ref().filter(|session| !session.aborted) else { return false };
        let since = |then: Instant| now.saturating_duration_since(then);
        if self.lost_since.is_some_and(|lost| limits.lost_client <= since(lost)) {
            self.abort(Loss::Client);
        } else if limits.session_idle <= since(session.last_call) {
            self.abort(Loss::Idle);
        } else {
            return !self.connections.is_empty();
        }
        false
    }
}
