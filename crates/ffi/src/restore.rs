//! A restore context: no connection, and registrations on this machine alone (certbcli.md 6.13 to 6.18, 7.2).

use std::sync::{Mutex, MutexGuard};

use certadm_rules::registration::Registration;
use certadm_rules::{Hresult, RestoreType, TaggedList};
use certadm_session::Source;

use crate::log;
use crate::registrar::{Form, Registrar};
use crate::server;

/// One registration at a time in this process: the CA's folder has one lock, and two contexts must not take each other
/// for the running service.
static REGISTERING: Mutex<()> = Mutex::new(());

/// A restore context.
#[derive(Debug)]
pub(crate) struct Restore {
    name: String,
    is_here: bool,
    registrar: Mutex<Registrar>,
}

impl Restore {
    /// RestorePrepare: makes no connection and touches no file, since the service is stopped.
    ///
    /// # Errors
    /// `E_INVALIDARG` for the name and for the flags (D15).
    pub(crate) fn prepare(name: &str, restore_flags: u32) -> Result<Self, Hresult> {
        let (is_here, ca) = server::on_this_machine(name)?;
        let registrar = Mutex::new(Registrar::new(RestoreType::from_api(restore_flags)?, ca));
        Ok(Self { name: name.to_owned(), is_here, registrar })
    }

    /// RestoreRegister, RestoreRegisterThroughFile.
    ///
    /// # Errors
    /// 0x80070032 for another machine, `E_INVALIDARG` for another CA of this one, and those of D16 in their order.
    pub(crate) fn register(&self, form: Form, arguments: Registration) -> Result<(), Hresult> {
        let mut registrar = self.registrar()?;
        let _alone = alone()?;
        registrar.record(form, arguments)
    }

    /// RestoreRegisterComplete.
    ///
    /// # Errors
    /// `E_UNEXPECTED` without a pending registration; 0x80070032 for another machine, `E_INVALIDARG` for another CA of this one.
    pub(crate) fn complete(&self, outcome: Hresult) -> Result<(), Hresult> {
        let registrar = self.registrar()?;
        let _alone = alone()?;
        registrar.complete(outcome)
    }

    /// RestoreGetDatabaseLocations on a connection of its own (6.17), to whoever has the name now.
    ///
    /// # Errors
    /// Those of [`server::connect`]; 0x800706BA when the service does not run.
    pub(crate) fn database_locations(&self) -> Result<TaggedList, Hresult> {
        let mut ca = server::connect(server::target(&self.name)?)?;
        ca.database_locations().map_err(|error| log::why(&error))
    }

    fn registrar(&self) -> Result<MutexGuard<'_, Registrar>, Hresult> {
        if self.is_here {
            self.registrar.lock().map_err(|_| Hresult::E_FAIL)
        } else {
            Err(Hresult::ERROR_NOT_SUPPORTED)
        }
    }
}

/// RestoreRegister without a context: a full restore of the CA on this machine (D16).
///
/// # Errors
/// As [`Restore::register`].
pub(crate) fn register_here(form: Form, arguments: Registration) -> Result<(), Hresult> {
    let _alone = alone()?;
    Registrar::new(RestoreType::Full, None).record(form, arguments)
}

/// RestoreRegisterComplete without a context.
///
/// # Errors
/// As [`Restore::complete`].
pub(crate) fn complete_here(outcome: Hresult) -> Result<(), Hresult> {
    let _alone = alone()?;
    Registrar::new(RestoreType::Full, None).complete(outcome)
}

fn alone() -> Result<MutexGuard<'static, ()>, Hresult> {
    REGISTERING.lock().map_err(|_| Hresult::E_FAIL)
}
