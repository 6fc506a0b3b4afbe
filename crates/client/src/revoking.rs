//! Calls that change the CA: a certificate is revoked, CRLs are published (wire.md 5.2). They need the newer interface for
//! nothing, but the CA checks a role for each.

use certadm_rules::FileTime;
use certadm_wire::csra::{OtherCall, OtherOut};

use crate::ca::RemoteCa;
use crate::error::Error;

/// A base CRL, and no delta CRL (wire.md 5.2, opnum 31).
const BASE: u32 = 1;
/// The reason that ends a hold (CSRA 3.1.4.1.8).
const RELEASE: u32 = u32::MAX;

impl RemoteCa {
    /// RevokeCertificate: for this reason of RFC 5280 5.3.1, or to end a hold with `None`, counted from `at` on. Needs the role
    /// of an officer.
    ///
    /// `serial` has lower-case hexadecimal digits: a Windows CA compares them letter by letter.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Method`] with what the CA says of this certificate.
    pub fn revoke(&mut self, serial: &str, reason: Option<u32>, at: FileTime) -> Result<(), Error> {
        let reason = reason.unwrap_or(RELEASE);
        let call = OtherCall::RevokeCertificate { serial: Some(serial.to_owned()), reason, at };
        self.ask(call, "RevokeCertificate", nothing)
    }

    /// PublishCRLs: a new base CRL for each key, as long as the CA's configuration says. Needs the role of an administrator.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface, and from services of certadm, which have no key.
    pub fn publish_base_crl(&mut self) -> Result<(), Error> {
        let call = OtherCall::PublishCrls { next_update: FileTime(0), flags: BASE };
        self.ask(call, "PublishCRLs", nothing)
    }
}

fn nothing(out: OtherOut<'_>) -> Option<()> {
    matches!(out, OtherOut::None).then_some(())
}
