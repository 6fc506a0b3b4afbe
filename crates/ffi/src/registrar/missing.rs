//! Systems on which nothing is registered yet.

use certadm_proto::csra::registration::Registration;
use certadm_proto::csra::{Hresult, RestoreType};

use super::Form;

/// Refuses every registration.
#[derive(Debug)]
pub(crate) struct Registrar;

impl Registrar {
    pub(crate) const fn new(_: RestoreType) -> Self {
        Self
    }

    /// Registers nothing.
    ///
    /// # Errors
    /// `E_NOTIMPL`.
    pub(crate) fn record(&mut self, _: Form, _: Registration) -> Result<(), Hresult> {
        Err(Hresult::E_NOTIMPL)
    }

    /// Completes nothing.
    ///
    /// # Errors
    /// `E_NOTIMPL`.
    pub(crate) fn complete(&self, _: Hresult) -> Result<(), Hresult> {
        Err(Hresult::E_NOTIMPL)
    }
}
