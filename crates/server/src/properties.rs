//! The methods beside backup that a client asks before it, and "not implemented" for all others (wire.md 5.2).

use certadm_ca::{Reason, RevocationOrder, Serial};
use certadm_identity::property::Property;
use certadm_identity::{ConfigKey, OwnCa};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::{BackupMarks, Diagnosis, FileTime, Hresult, names};
use certadm_wire::csra::{
    CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, RequestError, Variant,
};
use certadm_wire::ndr::Reader;
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::audit;
use crate::call::{Answer, Circumstances, check_trailer};
use crate::shared::Shared;

/// A value that is ours and no Windows CA has: whose backup runs, since when. To a backup that is refused because of it,
/// the protocol says nothing but 0xC80001F9.
const RUNNING_BACKUP: &str = "RunningBackup";
/// A CATRANSPROP of a property with several values (WCCE 2.2.2.3).
const INDEXED: u16 = 1;

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
            match own(shared).property(*property, *index, *kind) {
                Ok(value) => {
                    blob = value;
                    Ok(OtherOut::Blob(&blob))
                }
                Err(code) => {
                    if code != Hresult::E_INVALIDARG {
                        tracing::warn!(property, %code, "a property of the CA cannot be told");
                    }
                    Err(code)
                }
            }
        }
        OtherCall::GetCaPropertyInfo => {
            let descriptions: Vec<CaProperty> = OwnCa::properties().iter().map(describe).collect();
            blob = CaProperty::encode_all(&descriptions);
            let count = u32::try_from(descriptions.len()).unwrap_or(u32::MAX);
            Ok(OtherOut::NumberAndBlob(count, &blob))
        }
        OtherCall::GetConfigEntry { node, entry } => {
            let names = (request.authority.as_deref(), node.as_deref());
            config_entry(shared, names, entry).map(OtherOut::Variant)
        }
        OtherCall::RevokeCertificate { serial, reason, at } => {
            let order = (serial.as_deref().unwrap_or_default(), *reason, *at);
            revoke(shared, caller, order).map(|()| OtherOut::None)
        }
        _ => Err(Hresult::E_NOTIMPL),
    };
    Ok(match out {
        Ok(out) => Answer::orpc(|writer| OtherResponse { out, code: Hresult::S_OK }.write(writer)),
        Err(code) => failure(method, code),
    })
}

/// RevokeCertificate (recovery.md 4.4): durable before it is answered. The date counts in the CRL; one that is still to come
/// is refused, because nobody would list the certificate then. A client's clock may be ahead by as much as clocks may: then the date is
/// now.
fn revoke(
    shared: &Shared,
    caller: &Caller,
    (serial, reason, at): (&str, u32, FileTime),
) -> Result<(), Hresult> {
    let now = certadm_store::now();
    let reason = match i32::try_from(reason).map(Reason::from_code) {
        Ok(reason) if Reason::is_named(reason) => reason,
        // The reason that ends a hold is -1 on the wire.
        Err(_) if reason == u32::MAX => Reason::REMOVE_FROM_CRL,
        _ => return Err(Hresult::E_INVALIDARG),
    };
    let effective = effective(at, now)?;
    let serial: Serial = serial.parse().map_err(|_| Hresult::E_INVALIDARG)?;
    let by = caller.identity.to_string();
    let order = RevocationOrder { serial: &serial, reason, by: &by, now, effective };
    let done = shared
        .store
        .writer()
        .map_err(certadm_ca::Error::from)
        .and_then(|mut writer| writer.commit(|transaction| certadm_ca::revoke(transaction, &order)));
    match done {
        Ok(_) => {
            audit::revoked(shared, caller, &serial, reason);
            Ok(())
        }
        Err(error) => {
            tracing::warn!(caller = %caller.identity, serial = serial.as_str(), error = %chain_of(&error), "a certificate is not revoked");
            Err(error.hresult())
        }
    }
}

/// From when on a revocation counts that was ordered `at`; none for now.
fn effective(at: FileTime, now: FileTime) -> Result<Option<FileTime>, Hresult> {
    if at.is_ahead_of(now) {
        return Err(Hresult::E_INVALIDARG);
    }
    Ok(Some(at.min(now)).filter(|at| at.0 != 0))
}

fn describe(property: &Property) -> CaProperty {
    let Property { id, name, kind, is_indexed } = *property;
    // Kinds are 1, 3 and 4.
    let kind = u8::try_from(kind).unwrap_or_default();
    CaProperty { id, kind, flags: if is_indexed { INDEXED } else { 0 }, name: name.to_owned() }
}

fn own(shared: &Shared) -> OwnCa<'_> {
    OwnCa {
        folder: shared.store.folder(),
        name: &shared.settings.name,
        host: &shared.settings.host,
        interface_flags: shared.settings.interface_flags.to_bits(),
        audit_filter: shared.settings.audit_filter,
        marks: shared.store.marks().unwrap_or(BackupMarks::NONE),
    }
}

/// A value of the configuration, or the names of all values of a key (wire.md 5.12). The node of the CA's own key is NULL,
/// empty or the CA's name. Only an empty authority with an empty node asks for the key above; NULL is what clients write that
/// know one CA.
fn config_entry(
    shared: &Shared,
    (authority, node): (Option<&str>, Option<&str>),
    entry: &str,
) -> Result<Variant, Hresult> {
    let name = &shared.settings.name;
    let node = node.filter(|node| shared.check_authority(Some(node)).is_err()).unwrap_or_default();
    let key = match (authority, node) {
        (Some(""), "") => ConfigKey::Top,
        (Some(""), _) => return Err(Hresult::E_INVALIDARG),
        _ => ConfigKey::Ca { name, node },
    };
    if node.is_empty() && names::same_ignoring_case(RUNNING_BACKUP, entry) {
        let running = shared.running_backup().ok_or(Hresult::ERROR_FILE_NOT_FOUND)?;
        return Ok(Variant::Text(Some(running)));
    }
    own(shared).config(key, entry)
}

/// The fault that answers a request which does not decode.
pub(crate) fn fault(error: RequestError) -> Answer {
    error.fault().unwrap_or(FaultStatus::BAD_STUB_DATA).into()
}

/// The complete answer to `method`, not to BackupReadFile, that says nothing but `code`.
pub(crate) fn failure(method: Method, code: Hresult) -> Answer {
    Answer::orpc(|writer| method.write_failure(code, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_a_moment_ahead_revokes_now() {
        let now = certadm_store::now();
        let in_seconds = |seconds: i64| FileTime(now.0 + seconds * 10_000_000);
        assert_eq!(effective(in_seconds(-60), now), Ok(Some(in_seconds(-60))));
        assert_eq!(effective(in_seconds(1), now), Ok(Some(now)));
        assert_eq!(effective(in_seconds(300), now), Ok(Some(now)));
        assert_eq!(effective(in_seconds(301), now), Err(Hresult::E_INVALIDARG));
        assert_eq!(effective(FileTime(0), now), Ok(None));
    }
}
