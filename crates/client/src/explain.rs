//! What a CA says of itself and of its caller: roles, interface flags, name; and, with it, why it denies access (wire.md
//! 5.2 to 5.4).

use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_rules::{Diagnosis, Hresult};
use certadm_wire::csra::{Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue, Variant};
use certadm_wire::dcom::OrpcThat;
use certadm_wire::ndr::{ByteOrder, Reader};

use crate::ca::RemoteCa;
use crate::error::Error;
use crate::refusal::{Cause, Evidence};

/// The property that holds the CA's common name (wire.md 5.2).
const PROPERTY_CA_NAME: i32 = 6;
/// The kind of a property that is a string.
const KIND_TEXT: i32 = 4;

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
        // NULL is the CA's own node; a CA that sees it otherwise refuses, and we do without (wire.md 5.2).
        let call = OtherCall::GetConfigEntry { node: None, entry: "InterfaceFlags".to_owned() };
        self.ask(call, "GetConfigEntry", |out| match out {
            OtherOut::Variant(Variant::Long(bits)) => Some(InterfaceFlags::from_bits(bits.cast_unsigned())),
            _ => None,
        })
    }

    /// GetCAProperty for the CA's common name. Needs Read, and the newer interface.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn name(&mut self) -> Result<String, Error> {
        let call = OtherCall::GetCaProperty { property: PROPERTY_CA_NAME, index: 0, kind: KIND_TEXT };
        self.ask(call, "GetCAProperty", |out| match out {
            OtherOut::Blob(blob) => match PropertyValue::decode(KIND_TEXT, blob) {
                Ok(PropertyValue::Text(name)) => Some(name),
                _ => None,
            },
            _ => None,
        })
    }

    /// What the CA says of itself and of this caller. What it does not answer stays unknown.
    pub(crate) fn evidence(&mut self) -> Evidence {
        Evidence {
            may_read: self.server_state().ok(),
            roles: self.my_roles().ok(),
            flags: self.interface_flags().ok(),
        }
    }

    /// Puts the cause in the place of a bare denial of access to `call`.
    pub(crate) fn explain(&mut self, call: &'static str, error: Error) -> Error {
        let denied = error.hresult() == Hresult::E_ACCESSDENIED
            && matches!(error, Error::Method { .. } | Error::Fault { .. });
        if !denied {
            return error;
        }
        Error::Denied { call, cause: Cause::find(self.evidence(), self.origin()) }
    }

    /// A call of a method that is none of the backup methods.
    fn ask<T>(
        &mut self,
        call: OtherCall<'_>,
        name: &'static str,
        take: impl FnOnce(OtherOut<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let absent = || Error::Method { call: name, code: Hresult::E_NOTIMPL };
        let method = Method::from_opnum(self.method_table(), call.opnum()).ok_or_else(absent)?;
        let request = OtherRequest { authority: self.authority(), call };
        let ready = self.ready_stub(request.call.opnum(), |writer| request.write(writer))?;
        let stub = self.exchange(&ready, name)?;
        let mut reader = Reader::new(&stub, ByteOrder::Little);
        let response = OrpcThat::read(&mut reader)
            .and_then(|_| OtherResponse::read(method, &mut reader))
            .map_err(|source| Error::answer(name, source))?
            .ok_or_else(absent)?;
        match response.code {
            Hresult::S_OK => take(response.out).ok_or_else(|| Error::BadAnswer {
                call: name,
                detail: "the value is of another kind".to_owned(),
            }),
            code => Err(Error::Method { call: name, code }),
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
