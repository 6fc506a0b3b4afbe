//! A backup context: one CA's administration object, one call at a time (certbcli.md 6.2 to 6.9, D12, D24, D30).

use std::sync::{Mutex, PoisonError};

use certadm_client::RemoteCa;
use certadm_rules::flags::{BackupType, Control};
use certadm_rules::{Hresult, PlainList, TaggedList};
use certadm_session::{CallResult, Source};

use crate::log;
use crate::memory::{self, CallersList};
use crate::server;

/// A backup context. Calls from several threads queue.
#[derive(Debug)]
pub(crate) struct Backup {
    /// Nothing once the context has ended; a call may still be waiting for the lock then.
    ca: Mutex<Option<RemoteCa>>,
}

impl Backup {
    /// BackupPrepare: connects, and begins a backup on an object of its own.
    ///
    /// # Errors
    /// `E_INVALIDARG` or 0xC8000384 for the flags (D1, D8); those of [`server::connect`]; the CA's own (6.2).
    pub(crate) fn prepare(name: &str, grbit_jet: u32, backup_flags: u32) -> Result<Self, Hresult> {
        let target = server::target(name)?;
        let kind = BackupType::from_api(grbit_jet, backup_flags)?;
        let mut ca = server::connect(target)?;
        ca.prepare(kind).map_err(|error| log::why(&error))?;
        Ok(Self { ca: Mutex::new(Some(ca)) })
    }

    /// One call on the CA.
    ///
    /// # Errors
    /// `E_HANDLE` when the context has ended meanwhile, `E_FAIL` after a defect in an earlier call, else the call's own.
    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut RemoteCa) -> CallResult<T>) -> Result<T, Hresult> {
        let mut ca = self.ca.lock().map_err(|_| Hresult::E_FAIL)?;
        let ca = ca.as_mut().ok_or(Hresult::E_HANDLE)?;
        call(ca).map_err(|error| log::why(&error))
    }

    /// BackupEnd: whatever the CA answers, the context is gone afterwards. A call under way is waited for.
    ///
    /// # Errors
    /// The CA's (6.9); `E_FAIL` after a defect in an earlier call.
    pub(crate) fn end(&self) -> Result<(), Hresult> {
        let (ca, sound) = match self.ca.lock() {
            Ok(mut ca) => (ca.take(), true),
            Err(poisoned) => (PoisonError::into_inner(poisoned).take(), false),
        };
        let mut ca = ca.ok_or(Hresult::E_HANDLE)?;
        let ended = ca.end().map_err(|error| log::why(&error));
        if sound { ended } else { Err(Hresult::E_FAIL) }
    }

    #[cfg(test)]
    pub(crate) const fn ended() -> Self {
        Self { ca: Mutex::new(None) }
    }
}

/// IsServerOnline (6.1).
///
/// # Errors
/// Those of [`server::target`] and [`server::connect`]; 0x800706BA when the service does not run.
pub(crate) fn is_online(name: &str) -> Result<bool, Hresult> {
    server::connect(server::target(name)?)?.is_online().map_err(|error| log::why(&error))
}

/// ServerControl (6.12, D14).
///
/// # Errors
/// `E_INVALIDARG` for another value, before anybody is asked; those of [`server::connect`]; the CA's own.
pub(crate) fn control(name: &str, flags: u32) -> Result<(), Hresult> {
    let target = server::target(name)?;
    let control = Control::from_flags(flags)?;
    server::connect(target)?.control(control).map_err(|error| log::why(&error))
}

/// A tagged list for a caller.
///
/// # Errors
/// `E_OUTOFMEMORY`.
pub(crate) fn tagged(list: &TaggedList) -> Result<CallersList, Hresult> {
    memory::list(&list.to_units())
}

/// A plain list for a caller.
///
/// # Errors
/// `E_OUTOFMEMORY`.
pub(crate) fn plain(list: &PlainList) -> Result<CallersList, Hresult> {
    memory::list(&list.to_units())
}
