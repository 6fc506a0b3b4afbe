//! What calls reach, for fuzzing: told on the thread that serves them, while somebody listens there. Compiled only with the
//! feature `fuzzing`.

use std::cell::RefCell;

use certadm_wire::rpc::{AuthLevel, Call, SyntaxId};

use crate::access::Caller;
use crate::call::Circumstances;
use crate::identity::Identity;

/// A call that got somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The interface.
    pub interface: SyntaxId,
    /// The method.
    pub opnum: u16,
    /// The level of its security context; none without one.
    pub level: Option<AuthLevel>,
    /// The account that it came from, as it was written at the logon; none for callers of the Unix socket and without any.
    pub account: Option<String>,
    /// Whether it passed every check, so that its method was run. Otherwise it was looked at by its interface.
    pub has_run: bool,
}

thread_local! {
    /// The calls of this thread that got somewhere, while somebody wants to know.
    static REACHED: RefCell<Option<Vec<Reached>>> = const { RefCell::new(None) };
}

/// A call has come to its interface.
pub(crate) fn looked_at(circumstances: &Circumstances<'_>, call: &Call<'_>) {
    REACHED.with_borrow_mut(|reached| {
        let Some(reached) = reached else { return };
        let caller = circumstances.caller.as_ref();
        reached.push(Reached {
            interface: call.interface,
            opnum: call.opnum,
            level: call.security.and(caller).map(|caller| caller.level),
            account: caller.and_then(account_of),
            has_run: false,
        });
    });
}

/// The call that has come last passed every check.
pub(crate) fn has_run() {
    REACHED.with_borrow_mut(|reached| {
        if let Some(last) = reached.as_mut().and_then(|reached| reached.last_mut()) {
            last.has_run = true;
        }
    });
}

fn account_of(caller: &Caller) -> Option<String> {
    match &caller.identity {
        Identity::Account { name, .. } => Some(name.clone()),
        Identity::Principal(holder) => Some(holder.client.to_string()),
        Identity::Local { .. } => None,
    }
}

/// From now on calls of this thread are noted.
pub(crate) fn listen() {
    REACHED.set(Some(Vec::new()));
}

/// The calls since then; no more are noted.
pub(crate) fn take() -> Vec<Reached> {
    REACHED.take().unwrap_or_default()
}
