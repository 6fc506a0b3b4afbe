//! The methods beyond those of a backup: every one of wire.md 5.2, both ways.

use certadm_rules::wide::MAX_PATH_UNITS;
use certadm_rules::{FileTime, Hresult};
use certadm_wire::csra::{
    Interface, MAX_BLOB, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, OutParameters, Request,
    RequestError, Variant, ViewRestriction,
};
use certadm_wire::ndr::{ByteOrder, NdrError, Reader, Writer};
use certadm_wire::rpc::FaultStatus;
use proptest::collection::vec;
use proptest::prelude::*;

/// One call of every method.
fn calls<'a>(text: Option<String>, number: u32, blob: &'a [u8], value: &Variant) -> Vec<OtherCall<'a>> {
    let (signed, time) = (number.cast_signed(), FileTime(i64::from(number) << 20));
    let entry = text.clone().unwrap_or_default();
    let restriction = |value| ViewRestriction { column: number, operator: 1, sort: signed, value };
    vec![
        OtherCall::SetExtension {
            request_id: number,
            extension: text.clone(),
            kind: 3,
            flags: number,
            value: blob,
        },
        OtherCall::SetAttributes { request_id: number, attributes: text.clone() },
        OtherCall::ResubmitRequest { request_id: number },
        OtherCall::DenyRequest { request_id: number },
        OtherCall::IsValidCertificate { serial: text.clone() },
        OtherCall::PublishCrl { next_update: time },
        OtherCall::GetCrl,
        OtherCall::RevokeCertificate { serial: text.clone(), reason: number, at: time },
        OtherCall::EnumViewColumn { first: number, count: 7 },
        OtherCall::GetViewDefaultColumnSet { set: number },
        OtherCall::EnumAttributesOrExtensions { row: number, flags: 1, last: text.clone(), count: 7 },
        OtherCall::OpenView {
            restrictions: vec![restriction(Some(blob)), restriction(None)],
            columns: vec![1, number],
            first: number,
            count: 7,
        },
        OtherCall::EnumView { first: number, count: 7 },
        OtherCall::CloseView,
        OtherCall::ImportCertificate { certificate: blob, flags: signed },
        OtherCall::PublishCrls { next_update: time, flags: number },
        OtherCall::GetCaProperty { property: 6, index: signed, kind: 4 },
        OtherCall::SetCaProperty { property: 6, index: signed, kind: 4, value: blob },
        OtherCall::GetCaPropertyInfo,
        OtherCall::EnumViewColumnTable { table: 0x3000, first: number, count: 7 },
        OtherCall::GetCaSecurity,
        OtherCall::SetCaSecurity { descriptor: blob },
        OtherCall::GetArchivedKey { request_id: number },
        OtherCall::GetAuditFilter,
        OtherCall::SetAuditFilter { filter: number },
        OtherCall::GetOfficerRights,
        OtherCall::SetOfficerRights { enabled: 1, rights: blob },
        OtherCall::GetConfigEntry { node: text.clone(), entry: entry.clone() },
        OtherCall::SetConfigEntry { node: text.clone(), entry, value: Some(value.clone()) },
        OtherCall::ImportKey { request_id: number, certificate_hash: text, flags: number, key: blob },
        OtherCall::GetMyRoles,
        OtherCall::DeleteRow { flags: number, before: time, table: 0, row: number },
    ]
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

fn read(opnum: u16, bytes: &[u8]) -> Result<OtherRequest<'_>, RequestError> {
    OtherRequest::read(Interface::CertAdmin2, opnum, &mut Reader::new(bytes, ByteOrder::Little))
}

#[test]
fn every_method_is_in_exactly_one_of_both_enumerations() {
    let calls: Vec<u16> = calls(None, 0, b"", &Variant::Empty).iter().map(OtherCall::opnum).collect();
    for opnum in 0..60 {
        let method = Method::from_opnum(Interface::CertAdmin2, opnum);
        let is_other = method.is_some_and(|method| !method.serves_backup());
        assert_eq!(calls.contains(&opnum), is_other, "{opnum}");
        if !is_other {
            assert_eq!(read(opnum, &[0; 64]), Err(RequestError::Opnum { opnum }));
        }
    }
    let reader = &mut Reader::new(&[0; 64], ByteOrder::Little);
    assert!(OtherRequest::read(Interface::CertAdmin, 47, reader).is_err());
}

#[test]
fn not_implemented_answers_are_complete() {
    for opnum in 3..49 {
        let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
        let Some(failure) = OtherResponse::failure(method, Hresult::E_NOTIMPL) else {
            assert!(method.serves_backup());
            continue;
        };
        let bytes = written(|writer| failure.write(writer));
        assert_eq!(bytes, written(|writer| method.write_failure(Hresult::E_NOTIMPL, writer)), "{opnum}");
        let mut reader = Reader::new(&bytes, ByteOrder::Little);
        assert_eq!(OtherResponse::read(method, &mut reader), Ok(Some(failure)));
    }
}

#[test]
fn config_entry_names_have_no_referent() {
    // wire.md 5.2: the node is a unique pointer, the entry a ref one.
    let call = OtherCall::GetConfigEntry { node: None, entry: "Version".to_owned() };
    let bytes = written(|writer| OtherRequest { authority: None, call }.write(writer));
    assert_eq!(bytes[..20], [0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0]);
    assert_eq!(bytes.len(), 20 + 16);
}

#[test]
fn a_variant_to_set_may_be_null() {
    let call = OtherCall::SetConfigEntry { node: None, entry: "Version".to_owned(), value: None };
    let request = OtherRequest { authority: None, call };
    let bytes = written(|writer| request.write(writer));
    assert_eq!(bytes.last_chunk(), Some(&[0; 4]), "the NULL pointer");
    assert_eq!(read(45, &bytes), Ok(request));
    // In an answer it may not.
    let reader = &mut Reader::new(&[0; 8], ByteOrder::Little);
    let method = Method::from_opnum(Interface::CertAdmin2, 44).unwrap();
    assert_eq!(OtherResponse::read(method, reader), Err(NdrError::NullPointer { offset: 0 }));
}

/// Every string of every method, one unit longer than any path: the stub is right, and the method says no.
#[test]
fn strings_that_are_too_long_are_for_the_method_to_refuse() {
    let (fits, long) = ("x".repeat(MAX_PATH_UNITS), "x".repeat(MAX_PATH_UNITS + 1));
    let mut found = 0;
    for (fitting, call) in calls(Some(fits.clone()), 0, b"", &Variant::Text(Some(fits.clone())))
        .into_iter()
        .zip(calls(Some(long.clone()), 0, b"", &Variant::Empty))
    {
        let opnum = call.opnum();
        let longer = OtherRequest { authority: None, call };
        let named = OtherRequest { authority: Some(long.clone()), call: fitting.clone() };
        let fitting = OtherRequest { authority: Some(fits.clone()), call: fitting };
        assert_eq!(read(opnum, &written(|writer| fitting.write(writer))), Ok(fitting));
        let refused = |request: &OtherRequest<'_>| {
            let bytes = written(|writer| request.write(writer));
            let error = read(opnum, &bytes).err()?;
            assert_eq!((error.fault(), error.code()), (None, Some(Hresult::E_INVALIDARG)), "{opnum}");
            // Cut short it is a stub that does not decode.
            let cut = read(opnum, &bytes[..MAX_PATH_UNITS]).unwrap_err();
            assert_eq!(cut.fault(), Some(FaultStatus::BAD_STUB_DATA));
            Some(())
        };
        assert!(refused(&named).is_some(), "{opnum}");
        found += usize::from(refused(&longer).is_some());
    }
    assert_eq!(found, 8, "methods with a string behind the authority");
    let value = Some(Variant::Text(Some(long)));
    let call = OtherCall::SetConfigEntry { node: None, entry: String::new(), value };
    let bytes = written(|writer| OtherRequest { authority: None, call }.write(writer));
    assert_eq!(read(45, &bytes).unwrap_err().code(), Some(Hresult::E_INVALIDARG));
}

/// Every string of every method with half of a surrogate pair in it: the stub is right, and the method says no.
#[test]
fn half_a_surrogate_is_for_the_method_to_refuse() {
    const MARK: [u8; 4] = [b'q', 0, b'z', 0];
    let text = || Some("aqzb".to_owned());
    let mut stubs: Vec<(u16, Vec<u8>)> = calls(text(), 0, b"", &Variant::Text(text()))
        .into_iter()
        .map(|call| (call.opnum(), written(|writer| OtherRequest { authority: None, call }.write(writer))))
        .collect();
    for request in [
        Request::Ping { authority: text() },
        Request::Ping2 { authority: text() },
        Request::GetServerState { authority: text() },
        Request::ServerControl { authority: text(), flags: 1 },
        Request::BackupPrepare { authority: text(), grbit_jet: 0, backup_flags: 0 },
        Request::BackupOpenFile { path: text() },
    ] {
        stubs.push((request.opnum(), written(|writer| request.write(writer))));
    }
    let mut found = 0;
    for (opnum, stub) in stubs {
        for place in (0..stub.len()).filter(|place| stub[*place..].starts_with(&MARK)) {
            for half in [0xD800_u16, 0xDFFF] {
                let mut stub = stub.clone();
                stub[place..place + 2].copy_from_slice(&half.to_le_bytes());
                let mut reader = Reader::new(&stub, ByteOrder::Little);
                let error = match Request::read(Interface::CertAdmin2, opnum, &mut reader) {
                    Err(RequestError::NotBackup { .. }) => read(opnum, &stub).unwrap_err(),
                    other => other.map(drop).unwrap_err(),
                };
                assert_eq!((error.fault(), error.code()), (None, Some(Hresult::E_INVALIDARG)), "{opnum}");
                found += 1;
            }
        }
    }
    assert_eq!(found, 2 * (6 + 11), "strings of all methods");
}

#[test]
fn blobs_and_their_counts_must_agree() {
    let call = OtherCall::SetCaSecurity { descriptor: b"abcd" };
    let mut bytes = written(|writer| OtherRequest { authority: None, call }.write(writer));
    bytes[4] = 3;
    let error = read(37, &bytes).unwrap_err();
    assert_eq!(error.fault().map(|status| status.0), Some(0x6F7));
    assert!(matches!(error, RequestError::Stub(NdrError::CountMismatch { .. })));
}

fn values() -> impl Strategy<Value = Variant> {
    prop_oneof![
        Just(Variant::Empty),
        any::<i32>().prop_map(Variant::Long),
        prop::option::of(".{0,12}").prop_map(Variant::Text),
    ]
}

proptest! {
    #[test]
    fn requests_come_back(
        authority in prop::option::of("[^\u{0}]{0,12}"), text in prop::option::of("[^\u{0}]{0,12}"),
        number in any::<u32>(), blob in vec(any::<u8>(), 0..20), value in values(),
    ) {
        for call in calls(text, number, &blob, &value) {
            let opnum = call.opnum();
            let request = OtherRequest { authority: authority.clone(), call };
            let bytes = written(|writer| request.write(writer));
            for cut in 0..bytes.len() {
                prop_assert!(read(opnum, &bytes[..cut]).is_err(), "{} {}", opnum, cut);
            }
            prop_assert_eq!(read(opnum, &bytes), Ok(request));
        }
    }

    #[test]
    fn responses_come_back(
        opnum in 3u16..49, number in any::<u32>(), blob in vec(any::<u8>(), 0..20), value in values(),
        code in any::<u32>(),
    ) {
        let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
        let out = match method.out_parameters() {
            OutParameters::None => OtherOut::None,
            OutParameters::Number => OtherOut::Number(number),
            OutParameters::TwoNumbers => OtherOut::TwoNumbers(number, !number),
            OutParameters::Blob => OtherOut::Blob(&blob),
            OutParameters::NumberAndBlob => OtherOut::NumberAndBlob(number, &blob),
            OutParameters::Variant => OtherOut::Variant(value),
            _ => return Ok(()),
        };
        let response = OtherResponse { out, code: Hresult::from_bits(code) };
        let bytes = written(|writer| response.write(writer));
        for cut in 0..bytes.len() {
            let mut reader = Reader::new(&bytes[..cut], ByteOrder::Little);
            prop_assert!(OtherResponse::read(method, &mut reader).is_err(), "{}", cut);
        }
        let mut reader = Reader::new(&bytes, ByteOrder::Little);
        prop_assert_eq!(OtherResponse::read(method, &mut reader), Ok(Some(response)));
    }
}

/// A CRL may be larger than the other values.
#[test]
fn a_blob_is_as_large_as_its_method_needs() {
    let blob = vec![0x30; MAX_BLOB + 1];
    for (opnum, is_read) in [(9, true), (32, true), (36, false), (39, false)] {
        let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
        let mut writer = Writer::new();
        OtherResponse { out: OtherOut::Blob(&blob), code: Hresult::S_OK }.write(&mut writer);
        let bytes = writer.into_bytes();
        let read = OtherResponse::read(method, &mut Reader::new(&bytes, ByteOrder::Little));
        assert_eq!(read.is_ok(), is_read, "{opnum}");
    }
}
