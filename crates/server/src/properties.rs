//! The methods beside backup that a client asks before it, and "not implemented" for all others (wire.md 5.2).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use certadm_rules::{Diagnosis, Hresult, names};
use certadm_wire::csra::{
    CaInfo, CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
    RequestError, Variant, encode_numbers,
};
use certadm_wire::ndr::Reader;
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::call::{Answer, Circumstances, check_trailer};
use crate::shared::Shared;

/// A value that is ours and no Windows CA has: whose backup runs, since when. To a backup that is refused because of it,
/// the protocol says nothing but 0xC80001F9.
const RUNNING_BACKUP: &str = "RunningBackup";
/// Our version where a Windows CA has its own (wire.md 5.2): major and minor, 16 bits each.
const VERSION: i32 = 0x0000_0001;

/// The type of a CA whose certificate it issued itself, and of one with a parent; neither is in a directory (WCCE
/// 3.2.1.4.3.2, `CR_PROP_CATYPE`).
const STANDALONE_ROOT: u32 = 3;
const STANDALONE_SUBORDINATE: u32 = 4;
/// The type of a CA whose certificate cannot be read.
const UNKNOWN: u32 = 5;
/// What a certificate and a CRL that are there are: valid (WCCE 3.2.1.4.3.2, `CR_PROP_CACERTSTATE`).
const VALID: u8 = 3;
/// A CATRANSPROP of a property with several values (WCCE 2.2.2.3).
const INDEXED: u16 = 1;
/// A certificate or CRL of more bytes is not read.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// The index of the newest certificate or CRL.
const NEWEST: i32 = -1;

/// A property of the CA, by its number in WCCE 3.2.1.4.3.2.
struct Property {
    id: i32,
    name: &'static str,
    kind: u8,
    flags: u16,
}

/// A number, which is answered as CAINFO; with an index, an array of bytes or numbers (wire.md 5.12).
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
const PROPERTIES: [Property; 21] = [
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
    Property::new(24, "KRA Certificates Used Count", LONG),
    Property::new(25, "KRA Certificate Count", LONG),
    Property::indexed(27, "KRA Certificate State", LONG),
    Property::new(28, "Advanced Server", LONG),
    Property::indexed(39, "CA Certificate Version", LONG),
];

impl Property {
    /// The CA has one certificate and one CRL, number 0, which is the newest too. Without an index, it is ignored (CSRA
    /// 3.1.4.2.2).
    const fn has(&self, index: i32) -> bool {
        self.flags & INDEXED == 0 || index == 0 || self.kind == BINARY && index == NEWEST
    }
}

/// The value of a property, as it travels.
fn value(shared: &Shared, id: i32) -> Result<Vec<u8>, Hresult> {
    let name = &shared.settings.name;
    let folder = shared.store.folder();
    let certificate = || {
        certadm_ca::certificate_in(folder).map_err(|error| {
            tracing::warn!(%error, "the CA's certificate cannot be told");
            error.hresult()
        })
    };
    let crl = || read_file(&folder.crl_dir().join(format!("{}.crl", names::sanitize(name))));
    let text = |text: &str| PropertyValue::Text(text.to_owned()).encode();
    Ok(match id {
        1 | 2 => text(env!("CARGO_PKG_VERSION")),
        5 => text("certadm"),
        6 => text(name),
        7 => text(&names::sanitize(name)),
        22 => text(&shared.settings.host),
        3 | 10 | 11 | 14 | 21 | 23 | 24 | 25 | 28 => {
            let ca_type = certificate().map_or(UNKNOWN, |certificate| match certificate.self_issued {
                true => STANDALONE_ROOT,
                false => STANDALONE_SUBORDINATE,
            });
            info(ca_type).encode()
        }

        12 => certificate()?.der,
        17 => crl()?,
        19 => certificate().map(|_| vec![VALID])?,
        20 => crl().map(|_| vec![VALID])?,
        // There is no key recovery agent.
        27 => Vec::new(),
        // Key 0 and certificate 0.
        39 => certificate().map(|_| encode_numbers(&[0]))?,
        _ => return Err(Hresult::E_INVALIDARG),
    })
}

/// What every property that is a number is answered with.
fn info(ca_type: u32) -> CaInfo {
    let highest = PROPERTIES.last().map_or(0, |property| property.id);
    CaInfo { ca_type, certificates: 1, highest_property: highest.cast_unsigned(), ..CaInfo::default() }
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
    let request = match OtherRequest::read(table, call.opnum, reader) {
        Ok(request) => request,
        Err(error) => {
            return error.code().map(|code| failure(method, code)).ok_or_else(|| fault(error));
        }
    };
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
            match known.filter(|known| known.has(*index) && *kind == i32::from(known.kind)) {
                Some(known) => match value(shared, known.id) {
                    Ok(value) => {
                        blob = value;
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
    if names::same_ignoring_case(RUNNING_BACKUP, entry) {
        return shared.running_backup().map(|running| text(&running)).ok_or(Hresult::ERROR_FILE_NOT_FOUND);
    }
    let found = entries.into_iter().find(|(name, _)| names::same_ignoring_case(name, entry));
    found.map(|(_, value)| value).or_else(|| last_backup(shared, entry)).ok_or(Hresult::ERROR_FILE_NOT_FOUND)
}

/// When the last backup of a type ended, as the eight bytes of a FILETIME (certbcli.md 12). A Windows CA has these values
/// above the key of the CA; here there is one CA, and any node does.
fn last_backup(shared: &Shared, entry: &str) -> Option<Variant> {
    let is = |name| names::same_ignoring_case(name, entry);
    let (full, logs) = (is("DBLastFullBackup"), is("DBLastIncrementalBackup"));
    if !full && !logs {
        return None;
    }
    let marks = shared.store.marks().ok()?;
    let marks = if full { [marks.full, marks.copy] } else { [marks.incremental, marks.differential] };
    let taken = marks.into_iter().flatten().map(|mark| mark.taken).max()?;
    Some(Variant::Bytes(taken.0.to_le_bytes().to_vec()))
}

/// The fault that answers a request which does not decode.
pub(crate) fn fault(error: RequestError) -> Answer {
    error.fault().unwrap_or(FaultStatus::BAD_STUB_DATA).into()
}

/// The complete answer to `method`, not to BackupReadFile, that says nothing but `code`.
pub(crate) fn failure(method: Method, code: Hresult) -> Answer {
    Answer::orpc(|writer| method.write_failure(code, writer))
}
