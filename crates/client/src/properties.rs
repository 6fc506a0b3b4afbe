//! What a CA says of itself: its properties and its configuration (wire.md 5.12). All of it needs the right to read, and
//! the newer interface.

use certadm_rules::Hresult;
use certadm_wire::csra::{
    CaInfo, MAX_BLOB, MAX_CRL_BLOB, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
    Variant, decode_numbers,
};
use certadm_wire::dcom::OrpcThat;
use certadm_wire::ndr::{ByteOrder, Reader};

use crate::ca::RemoteCa;
use crate::error::Error;

const GET_PROPERTY: &str = "GetCAProperty";

/// Numbers of properties (WCCE 3.2.1.4.3.2).
pub(crate) const CA_NAME: i32 = 6;
const CA_TYPE: i32 = 10;
const CA_CERTIFICATE: i32 = 12;
const BASE_CRL: i32 = 17;
const DELTA_CRL: i32 = 18;
const CERTIFICATE_STATES: i32 = 19;
const CRL_STATES: i32 = 20;
const RECOVERY_AGENT_STATES: i32 = 27;
const CERTIFICATE_VERSIONS: i32 = 39;
/// Kinds of properties: a number or an array, bytes, a string.
const LONG: i32 = 1;
const BINARY: i32 = 3;
pub(crate) const TEXT: i32 = 4;
/// The index of the newest certificate or CRL.
const NEWEST: i32 = -1;

impl RemoteCa {
    /// The CA's common name.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn name(&mut self) -> Result<String, Error> {
        self.property(CA_NAME, TEXT, |blob| match PropertyValue::decode(TEXT, blob) {
            Ok(PropertyValue::Text(name)) => Some(name),
            _ => None,
        })
    }

    /// The CA's newest certificate, in DER.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn certificate(&mut self) -> Result<Vec<u8>, Error> {
        self.indexed(CA_CERTIFICATE, NEWEST, BINARY, |blob| Some(blob.to_vec()))
    }

    /// The CA's newest base CRL, in DER.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn base_crl(&mut self) -> Result<Vec<u8>, Error> {
        self.indexed(BASE_CRL, NEWEST, BINARY, |blob| Some(blob.to_vec()))
    }

    /// CAINFO: the type of the CA, and how many it has of what. Every property that is a number answers it.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn info(&mut self) -> Result<CaInfo, Error> {
        self.property(CA_TYPE, LONG, |blob| CaInfo::decode(blob).ok())
    }

    /// The state of each of the CA's certificates: 0 incomplete, 1 error, 2 revoked, 3 valid, 4 expired.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn certificate_states(&mut self) -> Result<Vec<u8>, Error> {
        self.property(CERTIFICATE_STATES, LONG, |blob| Some(blob.to_vec()))
    }

    /// The state of the CRL of each of the CA's certificates, in the same numbers; 1 where the key has a newer
    /// certificate.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn crl_states(&mut self) -> Result<Vec<u8>, Error> {
        self.property(CRL_STATES, LONG, |blob| Some(blob.to_vec()))
    }

    /// The state of the certificate of each key recovery agent.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn recovery_agent_states(&mut self) -> Result<Vec<u8>, Error> {
        self.property(RECOVERY_AGENT_STATES, LONG, |blob| Some(blob.to_vec()))
    }

    /// The version of each of the CA's certificates: the number of its key in the high 16 bits, its own in the low.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn certificate_versions(&mut self) -> Result<Vec<u32>, Error> {
        self.property(CERTIFICATE_VERSIONS, LONG, |blob| decode_numbers(blob).ok())
    }

    /// GetConfigEntry for a value of the CA's own key. The empty node means that key, and only beside the CA's name: a
    /// caller that does not name the CA is asked about the key above it.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn config_entry(&mut self, entry: &str) -> Result<Variant, Error> {
        let authority = match self.authority() {
            Some(name) => Some(name),
            None => self.name().ok(),
        };
        let call = OtherCall::GetConfigEntry { node: Some(String::new()), entry: entry.to_owned() };
        self.ask_of(authority, call, "GetConfigEntry", |out| match out {
            OtherOut::Variant(value) => Some(value),
            _ => None,
        })
    }

    /// GetCAProperty: the value of any property, as it travels. A CRL may have up to `most` bytes, however many these are;
    /// every other value has few.
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface. A larger answer ends the connection.
    pub fn raw_property(
        &mut self,
        property: i32,
        index: i32,
        kind: i32,
        most: usize,
    ) -> Result<Vec<u8>, Error> {
        self.indexed_up_to(most, property, index, kind, |blob| Some(blob.to_vec()))
    }

    /// GetConfigEntry for any key: an empty `authority` is the key above that of the CA, an empty `entry` asks for the names
    /// of all values (wire.md 5.12).
    ///
    /// # Errors
    /// [`Error`]; `E_NOTIMPL` on the older interface.
    pub fn config_value(&mut self, authority: &str, node: &str, entry: &str) -> Result<Variant, Error> {
        let call = OtherCall::GetConfigEntry { node: Some(node.to_owned()), entry: entry.to_owned() };
        self.ask_of(Some(authority.to_owned()), call, "GetConfigEntry", |out| match out {
            OtherOut::Variant(value) => Some(value),
            _ => None,
        })
    }

    /// The value of a property; of an indexed one, number 0 or the whole array.
    fn property<T>(
        &mut self,
        property: i32,
        kind: i32,
        take: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        self.indexed(property, 0, kind, take)
    }

    fn indexed<T>(
        &mut self,
        property: i32,
        index: i32,
        kind: i32,
        take: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        self.indexed_up_to(MAX_CRL_BLOB, property, index, kind, take)
    }

    fn indexed_up_to<T>(
        &mut self,
        most: usize,
        property: i32,
        index: i32,
        kind: i32,
        take: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Error> {
        let most = if matches!(property, BASE_CRL | DELTA_CRL) { most.min(MAX_CRL_BLOB) } else { MAX_BLOB };
        let call = OtherCall::GetCaProperty { property, index, kind };
        self.ask_up_to(most, self.authority(), call, GET_PROPERTY, |out| match out {
            OtherOut::Blob(blob) => take(blob),
            _ => None,
        })
    }

    /// A call of a method that is none of the backup methods.
    pub(crate) fn ask<T>(
        &mut self,
        call: OtherCall<'_>,
        name: &'static str,
        take: impl FnOnce(OtherOut<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let authority = self.authority();
        self.ask_of(authority, call, name, take)
    }

    /// The same about a CA of this name; without one, about whatever CA the server has.
    pub(crate) fn ask_of<T>(
        &mut self,
        authority: Option<String>,
        call: OtherCall<'_>,
        name: &'static str,
        take: impl FnOnce(OtherOut<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.ask_up_to(MAX_BLOB, authority, call, name, take)
    }

    fn ask_up_to<T>(
        &mut self,
        most: usize,
        authority: Option<String>,
        call: OtherCall<'_>,
        name: &'static str,
        take: impl FnOnce(OtherOut<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        let absent = || Error::Method { call: name, code: Hresult::E_NOTIMPL };
        let method = Method::from_opnum(self.method_table(), call.opnum()).ok_or_else(absent)?;
        let request = OtherRequest { authority, call };
        let ready = self.ready_stub(request.call.opnum(), |writer| request.write(writer))?;
        let stub = self.exchange_up_to(most, &ready, name)?;
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
