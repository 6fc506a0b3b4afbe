//! Asking the CA why it denies access (wire.md 5.2, 5.4).

use certadm_proto::csra::Hresult;

use crate::ca::RemoteCa;
use crate::error::Error;
use crate::refusal::{Evidence, Gate};

impl RemoteCa {
    /// What the CA says of itself and of this caller. What it does not answer stays unknown.
    pub(crate) fn evidence(&mut self) -> Evidence {
        Evidence { may_read: self.server_state().ok(), roles: None, flags: None }
    }

    /// Puts the gate that is shut in the place of a bare denial of access to `call`.
    pub(crate) fn explain(&mut self, call: &'static str, error: Error) -> Error {
        let denied = error.hresult() == Hresult::E_ACCESSDENIED
            && matches!(error, Error::Method { .. } | Error::Fault { .. });
        if !denied {
            return error;
        }
        match Gate::find(self.evidence(), self.origin()) {
            Gate::Unknown => error,
            gate => Error::Denied { call, gate },
        }
    }
}
