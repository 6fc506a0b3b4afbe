//! What a CA says of its caller and of who may call: roles, interface flags; and, with it, why it denies access (wire.md
//! 5.2 to 5.4).

use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_rules::names::names_ca;
use certadm_rules::{Diagnosis, Hresult};
use certadm_session::OtherBackup;
use certadm_wire::csra::{OtherCall, OtherOut, Variant};

use crate::ca::RemoteCa;
use crate::error::Error;
use crate::refusal::{Cause, Evidence};

impl RemoteCa {
    /// GetMyRoles (wire.md 5.3): what this caller may do. Needs Read, and the newer interface.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn my_roles(&mut self) -> Result<Roles, Error> {
        self.ask(OtherCall::GetMyRoles, "GetMyRoles", |out| match out {
            OtherOut::Number(bits) => Some(roles(bits)),
            _ => None,
        })
    }

    /// GetConfigEntry for `InterfaceFlags` (wire.md 5.4). Needs Read, and the newer interface.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn interface_flags(&mut self) -> Result<InterfaceFlags, Error> {
        match self.config_entry("InterfaceFlags")? {
            Variant::Long(bits) => Ok(InterfaceFlags::from_bits(bits.cast_unsigned())),
            _ => Err(Error::BadAnswer {
                call: "GetConfigEntry",
                detail: "the value is of another kind".to_owned(),
            }),
        }
    }

    /// What the CA says of itself and of this caller. What it does not answer stays unknown.
    pub(crate) fn evidence(&mut self) -> Evidence {
        Evidence {
            may_read: self.server_state().ok(),
            roles: self.my_roles().ok(),
            flags: self.interface_flags().ok(),
        }
    }

    /// Puts the name of the CA that the server has in the place of a refusal of the one that was given, or of none. Only
    /// the calls that carry a name can be refused for it (wire.md 5.1).
    pub(crate) fn explain_name(&mut self, error: Error) -> Error {
        let Error::Method { call: "GetServerState" | "BackupPrepare", code: Hresult::E_INVALIDARG } = error
        else {
            return error;
        };
        // An empty name is none: whoever insists on a name refuses it, too.
        match (self.authority().filter(|given| !given.is_empty()), self.name_of_server()) {
            (None, None) => error,
            (Some(given), Some(has)) if names_ca(Some(&given), &has) => error,
            (given, has) => Error::WrongCa { given, has },
        }
    }

    /// Puts the cause in the place of a bare denial of access to `call`, or of a refusal of the CA's name.
    pub(crate) fn explain(&mut self, call: &'static str, error: Error) -> Error {
        if matches!(error, Error::Method { code: Hresult::BACKUP_IN_PROGRESS, .. }) {
            return Error::OtherBackup(OtherBackup(self.whose_backup()));
        }
        let error = self.explain_name(error);
        let denied = error.hresult() == Hresult::E_ACCESSDENIED
            && matches!(error, Error::Method { .. } | Error::Fault { .. });
        if !denied {
            return error;
        }
        Error::Denied { call, cause: Cause::find(self.evidence(), self.origin()) }
    }
}

impl RemoteCa {
    /// Whose backup runs, where the CA says so: ours does, a Windows CA has no such value.
    fn whose_backup(&mut self) -> String {
        // What a server sends goes to a terminal.
        const MOST: usize = 300;
        let plain = |text: String| text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
        match self.config_entry("RunningBackup") {
            Ok(Variant::Text(Some(text))) => plain(text),
            _ => "the CA does not say whose; where it audits backups, event 4876 in its security log does"
                .to_owned(),
        }
    }
}

/// The roles that this program knows among the bits.
fn roles(bits: u32) -> Roles {
    [Roles::ADMINISTRATOR, Roles::OFFICER, Roles::AUDITOR, Roles::OPERATOR, Roles::READ, Roles::ENROLL]
        .into_iter()
        .filter(|role| bits & role.to_bits() != 0)
        .fold(Roles::NONE, Roles::union)
}
