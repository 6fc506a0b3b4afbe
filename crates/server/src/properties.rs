//! The methods beside backup that a client asks before it, and "not implemented" for all others (wire.md 5.2).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use certadm_rules::{Diagnosis, Hresult, names};
use certadm_wire::csra::{
    CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
    RequestError, Variant,
};
use certadm_wire::ndr::Reader;
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::call::{Answer, Circumstances, check_trailer};
use crate::shared::Shared;

/// Our version where a Windows CA has its own (wire.md 5.2): major and minor, 16 bits each.
const VERSION: i32 = 0x0000_0001;

/// The type of a CA whose certificate it issued itself, and of one with a parent; neither is in a directory (WCCE
/// 3.2.1.4.3.2, `CR_PROP_CATYPE`).
const STANDALONE_ROOT: i32 = 3;
const STANDALONE_SUBORDINATE: i32 = 4;
/// What a certificate and a CRL that are there are: valid (WCCE 3.2.1.4.3.2, `CR_PROP_CACERTSTATE`).
const VALID: i32 = 3;
/// A CATRANSPROP of a property with several values (WCCE 2.2.2.3).
const INDEXED: u16 = 1;
/// A certificate or CRL of more bytes is not read.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A property of the CA, by its number in WCCE 3.2.1.4.3.2.
struct Property {
    id: i32,
    name: &'static str,
    kind: u8,
    flags: u16,
}

const LONG: u8 = 1;
const BINARY: u8 = 3;
const TEXT: u8 = 4;

impl Property {
    const fn new(id: i32, name: &'static str, kind: u8) -> Self {
        Self { id, name, kind, flags: 0 }
    }

    const fn indexed(id: i32, name: &'static str, kind: u8) -> Self {
        Self { id, name, kind, flags: INDEXED }
    }
}

/// The properties that are served.
const PROPERTIES: [Property; 17] = [
    Property::new(1, "File Version", TEXT),
    Property::new(2, "Product Version", TEXT),
    Property::new(3, "Exit Count", LONG),
    Property::new(5, "Policy Description", TEXT),
    Property::new(6, "CA Name", TEXT),
    Property::new(7, "Sanitized CA Name", TEXT),
    Property::new(10, "CA Type", LONG),
    Property::new(11, "CA Certificate Count", LONG),
    Property::indexed(12, "CA Certificate", BINARY),
    Property::new(14, "CA Exchange Certificate Count", LONG),
    Property::indexed(17, "Base CRL", BINARY),
    Property::indexed(19, "CA Certificate State", LONG),
    Property::indexed(20, "CRL State", LONG),
    Property::new(21, "Maximum Property Id", LONG),
    Property::new(22, "DNS Name", TEXT),
    Property::new(23, "Role Separation Enabled", LONG),
    Property::new(28, "Advanced Server", LONG),
];

/// The value of a property. The CA has one certificate and one CRL, so that every index is 0.
fn value(shared: &Shared, id: i32) -> Result<PropertyValue, Hresult> {
    let name = &shared.settings.name;
    let folder = shared.store.folder();
    let certificate = || {
        certadm_ca::certificate_in(folder).map_err(|error| {
            tracing::warn!(%error, "the CA's certificate cannot be told");
            error.hresult()
        })
    };
    let crl = || read_file(&folder.crl_dir().join(format!("{}.crl", names::sanitize(name))));
    Ok(match id {
        1 | 2 => PropertyValue::Text(env!("CARGO_PKG_VERSION").to_owned()),
        3 | 14 | 23 | 28 => PropertyValue::Long(0),
        5 => PropertyValue::Text("certadm".to_owned()),
        6 => PropertyValue::Text(name.clone()),
        7 => PropertyValue::Text(names::sanitize(name)),
        10 if certificate()?.self_issued => PropertyValue::Long(STANDALONE_ROOT),
        10 => PropertyValue::Long(STANDALONE_SUBORDINATE),
        11 => PropertyValue::Long(1),
        12 => PropertyValue::Binary(certificate()?.der),
        17 => PropertyValue::Binary(crl()?),
        19 => certificate().map(|_| PropertyValue::Long(VALID))?,
        20 => crl().map(|_| PropertyValue::Long(VALID))?,
        21 => PropertyValue::Long(PROPERTIES.last().map_or(0, |property| property.id)),
        22 => PropertyValue::Text(shared.settings.host.clone()),
        _ => return Err(Hresult::E_INVALIDARG),
    })
}

/// The bytes of a small file.
fn read_file(path: &Path) -> Result<Vec<u8>, Hresult> {
    let failed = |error: io::Error| certadm_files::io_hresult(&error);
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if MAX_FILE < size {
        return Err(Hresult::ERROR_INVALID_DATA);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

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
        OtherCall::GetCaProperty { property, index, kind } => {
            let known = PROPERTIES.iter().find(|known| known.id == *property);
            match known.filter(|known| *index == 0 && *kind == i32::from(known.kind)) {
                Some(known) => match value(shared, known.id) {
                    Ok(value) => {
                        blob = value.encode();
                        Ok(OtherOut::Blob(&blob))
                    }
                    Err(code) => Err(code),
                },
                None => Err(Hresult::E_INVALIDARG),
            }
        }
        OtherCall::GetCaPropertyInfo => {
            let descriptions: Vec<CaProperty> = PROPERTIES.iter().map(describe).collect();
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

fn describe(property: &Property) -> CaProperty {
    let Property { id, name, kind, flags } = property;
    CaProperty { id: *id, kind: *kind, flags: *flags, name: (*name).to_owned() }
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
