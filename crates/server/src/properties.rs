//! The methods beside backup that a client asks before it, and "not implemented" for all others (wire.md 5.2).

use certadm_proto::csra::methods::{
    CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
    RequestError, Variant,
};
use certadm_proto::csra::{Hresult, names};
use certadm_proto::ndr::Reader;
use certadm_proto::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::dispatch::{Answer, Circumstances, check_trailer};
use crate::service::Shared;

/// Our version where a Windows CA has its own (wire.md 5.2): major and minor, 16 bits each.
const VERSION: i32 = 0x0000_0001;

/// The properties that are served: identifier, name, value (WCCE 3.2.1.4.3.2).
fn property(shared: &Shared, id: i32) -> Option<(&'static str, PropertyValue)> {
    let name = &shared.settings.name;
    Some(match id {
        1 => ("File Version", PropertyValue::Text(env!("CARGO_PKG_VERSION").to_owned())),
        2 => ("Product Version", PropertyValue::Text(env!("CARGO_PKG_VERSION").to_owned())),
        6 => ("CA Name", PropertyValue::Text(name.clone())),
        7 => ("Sanitized CA Name", PropertyValue::Text(names::sanitize(name))),
        22 => ("DNS Name", PropertyValue::Text(shared.settings.host.clone())),
        23 => ("Role Separation Enabled", PropertyValue::Long(0)),
        _ => return None,
    })
}

/// Identifiers above this one are not served.
const LAST_PROPERTY: i32 = 23;

/// Answers a method that is none of the backup methods; access has been checked.
///
/// # Errors
/// The fault to answer by.
pub(crate) fn answer(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    call: &Call<'_>,
    (table, method): (Interface, Method),
    reader: &mut Reader<'_>,
) -> Result<Answer, Answer> {
    let request = OtherRequest::read(table, call.opnum, reader).map_err(fault)?;
    check_trailer(circumstances, call, reader)?;
    let shared = circumstances.shared;
    if let Err(code) = shared.check_authority(request.authority.as_deref()) {
        return Ok(failure(method, code));
    }
    let blob;
    let out = match &request.call {
        OtherCall::GetMyRoles => Ok(OtherOut::Number(caller.roles.to_bits())),
        OtherCall::GetAuditFilter => Ok(OtherOut::Number(shared.settings.audit_filter)),
        OtherCall::GetCaProperty { property: id, index, kind } => match property(shared, *id) {
            Some((_, value)) if *index == 0 && *kind == value.kind() => {
                blob = value.encode();
                Ok(OtherOut::Blob(&blob))
            }
            _ => Err(Hresult::E_INVALIDARG),
        },
        OtherCall::GetCaPropertyInfo => {
            let descriptions: Vec<CaProperty> =
                (1..=LAST_PROPERTY).filter_map(|id| describe(shared, id)).collect();
            blob = CaProperty::encode_all(&descriptions);
            let count = u32::try_from(descriptions.len()).unwrap_or(u32::MAX);
            Ok(OtherOut::NumberAndBlob(count, &blob))
        }
        OtherCall::GetConfigEntry { node, entry } => {
            config_entry(shared, node.as_deref(), entry).map(OtherOut::Variant)
        }
        _ => Err(Hresult::E_NOTIMPL),
    };
    Ok(match out {
        Ok(out) => Answer::orpc(|writer| OtherResponse { out, code: Hresult::S_OK }.write(writer)),
        Err(code) => failure(method, code),
    })
}

fn describe(shared: &Shared, id: i32) -> Option<CaProperty> {
    let (name, value) = property(shared, id)?;
    let kind = u8::try_from(value.kind()).unwrap_or(0);
    Some(CaProperty { id, kind, flags: 0, name: name.to_owned() })
}

/// A value of the CA's configuration key, whose node path is NULL, empty or the CA's name (wire.md 5.2).
fn config_entry(shared: &Shared, node: Option<&str>, entry: &str) -> Result<Variant, Hresult> {
    let settings = &shared.settings;
    shared.check_authority(node)?;
    let long = |bits: u32| Variant::Long(bits.cast_signed());
    let text = |text: &str| Variant::Text(Some(text.to_owned()));
    let entries: [(&str, Variant); 6] = [
        ("InterfaceFlags", long(settings.interface_flags.to_bits())),
        ("CommonName", text(&settings.name)),
        ("SanitizedCAName", text(&names::sanitize(&settings.name))),
        ("CAServerName", text(&settings.host)),
        ("AuditFilter", long(settings.audit_filter)),
        ("Version", Variant::Long(VERSION)),
    ];
    let found = entries.into_iter().find(|(name, _)| names::same_ignoring_case(name, entry));
    found.map(|(_, value)| value).ok_or(Hresult::ERROR_FILE_NOT_FOUND)
}

fn fault(error: RequestError) -> Answer {
    error.fault().unwrap_or(FaultStatus::BAD_STUB_DATA).into()
}

/// The complete answer to `method`, none of the backup methods, that says nothing but `code`.
pub(crate) fn failure(method: Method, code: Hresult) -> Answer {
    match OtherResponse::failure(method, code) {
        Some(response) => Answer::orpc(|writer| response.write(writer)),
        None => FaultStatus::OPNUM_OUT_OF_RANGE.into(),
    }
}
