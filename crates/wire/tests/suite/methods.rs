//! The stubs of the backup methods: the vectors of wire.md 3.3 to 3.8, round trips, truncation, arbitrary bytes.

use certadm_rules::flags::MAX_READ_BUFFER;
use certadm_rules::{Entry, Hresult, Tag, TaggedList};
use certadm_wire::csra::{Interface, Method, Request, RequestError, Response};
use certadm_wire::dcom::{ComVersion, OrpcThat, OrpcThis};
use certadm_wire::ndr::{ByteOrder, NdrError, Reader, Writer};
use certadm_wire::rpc::FaultStatus;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::hex;

const PATH: &str = r"\\CA01\c$\DB\RootCA.edb";
const THIS: &str = "05000700 00000000 00000000 11111111222233334444555555555555 00000000";
const ROOT_CA: &str = "00000200 07000000 00000000 07000000 52006f006f007400430041000000";

fn request_stub(request: &Request) -> Vec<u8> {
    let causality = "11111111-2222-3333-4444-555555555555".parse().unwrap();
    let mut writer = Writer::new();
    OrpcThis { version: ComVersion::OURS, flags: 0, causality }.write(&mut writer);
    request.write(&mut writer);
    writer.into_bytes()
}

fn read_request(opnum: u16, stub: &[u8]) -> Result<(Request, usize), RequestError> {
    let mut reader = Reader::new(stub, ByteOrder::Little);
    OrpcThis::read(&mut reader)?;
    let request = Request::read(Interface::CertAdmin2, opnum, &mut reader)?;
    Ok((request, reader.position()))
}

fn response_stub(response: &Response<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    OrpcThat::CALL.write(&mut writer);
    response.write(&mut writer);
    writer.into_bytes()
}

fn read_response<'a>(request: &Request, stub: &'a [u8]) -> Result<Response<'a>, NdrError> {
    let mut reader = Reader::new(stub, ByteOrder::Little);
    OrpcThat::read(&mut reader)?;
    Response::read(request, &mut reader)
}

fn request_vector(request: &Request, length: usize, expected: &str) {
    let expected = hex(&format!("{THIS}{expected}"));
    assert_eq!(expected.len(), length);
    assert_eq!(request_stub(request), expected);
    let (decoded, consumed) = read_request(request.opnum(), &expected).unwrap();
    assert_eq!(&decoded, request);
    let unread = if matches!(request, Request::BackupPrepare { .. }) { 8 } else { 0 };
    assert_eq!(consumed, length - unread);
}

fn response_vector(request: &Request, response: &Response<'_>, length: usize, expected: &str) {
    let expected = hex(expected);
    assert_eq!(expected.len(), length);
    assert_eq!(response_stub(response), expected);
    assert_eq!(&read_response(request, &expected).unwrap(), response);
    for cut in 0..length {
        assert!(read_response(request, &expected[..cut]).is_err(), "{cut}");
    }
}

fn root_ca() -> Option<String> {
    Some("RootCA".to_owned())
}

#[test]
fn ping_and_server_state() {
    let state = Request::GetServerState { authority: root_ca() };
    for request in
        [Request::Ping { authority: root_ca() }, state.clone(), Request::Ping2 { authority: root_ca() }]
    {
        request_vector(&request, 62, ROOT_CA);
    }
    let ping = Request::Ping { authority: None };
    response_vector(&ping, &Response::Code(Hresult::S_OK), 12, "00000000 00000000 00000000");
    let response = Response::State { state: 1, code: Hresult::S_OK };
    response_vector(&state, &response, 16, "00000000 00000000 01000000 00000000");
}

#[test]
fn backup_prepare() {
    let request = Request::BackupPrepare { authority: root_ca(), grbit_jet: 0, backup_flags: 0 };
    request_vector(&request, 80, &format!("{ROOT_CA} 0000 00000000 00000000 0000 0000 00000000"));
    // What Windows probably sends as annotation, anything else, and nothing at all: all ignored (wire.md 3.2).
    let mut stub = request_stub(&request);
    stub.truncate(72);
    assert_eq!(read_request(20, &stub), Ok((request.clone(), 72)));
    stub.extend_from_slice(&[0x43, 0, 0xbf, 0xbf, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(read_request(20, &stub), Ok((request, 72)));
}

#[test]
fn attachment_information() {
    let request = Request::BackupGetAttachmentInformation;
    request_vector(&request, 32, "");
    let list = TaggedList::new(vec![Entry::new(Tag::Database, PATH).unwrap()]);
    let response = Response::List { units: list.to_units(), code: Hresult::S_OK };
    response_vector(
        &request,
        &response,
        76,
        "0000000000000000 00000200 1a000000
         44005c005c0043004100300031005c00 630024005c00440042005c0052006f00
         6f007400430041002e00650064006200 00000000 1a000000 00000000",
    );
    let Response::List { units, .. } = response else { panic!("not a list") };
    assert_eq!(TaggedList::decode_wire(&units), Ok(list));
    let empty = Response::List { units: Vec::new(), code: Hresult::S_OK };
    response_vector(&request, &empty, 20, "0000000000000000 00000000 00000000 00000000");
    let failed = Response::failure(&request, Hresult::from_jet(521));
    response_vector(&request, &failed, 20, "0000000000000000 00000000 00000000 090200c8");
    // An odd number of units: two bytes of padding before the count.
    let odd = Response::List { units: vec![0x41, 0, 0], code: Hresult::S_OK };
    response_vector(
        &request,
        &odd,
        32,
        "0000000000000000 00000200 03000000 410000000000 0000 03000000 00000000",
    );
    // Counts that disagree.
    let lying = hex("0000000000000000 00000200 03000000 410000000000 0000 02000000 00000000");
    assert_eq!(
        read_response(&request, &lying),
        Err(NdrError::CountMismatch { offset: 24, found: 2, expected: 3 })
    );
}

#[test]
fn open_file() {
    let request = Request::BackupOpenFile { path: Some(PATH.to_owned()) };
    request_vector(
        &request,
        96,
        "00000200 18000000 00000000 18000000 5c005c0043004100300031005c006300
         24005c00440042005c0052006f006f00 7400430041002e006500640062000000",
    );
    let response = Response::Length { length: 0x0080_1000, code: Hresult::S_OK };
    response_vector(&request, &response, 20, "0000000000000000 0010800000000000 00000000");
    assert_eq!(
        read_request(24, &hex(&format!("{THIS} 00000000"))).unwrap().0,
        Request::BackupOpenFile { path: None }
    );
}

#[test]
fn read_file() {
    request_vector(&Request::BackupReadFile { size: 65_536 }, 36, "00000100");
    let request = Request::BackupReadFile { size: 16 };
    let response = Response::Data { size: 16, data: &[0xa1, 0xa2, 0xa3, 0xa4, 0xa5], code: Hresult::S_OK };
    let expected = "0000000000000000 10000000 a1a2a3a4a50000000000000000000000 05000000 00000000";
    response_vector(&request, &response, 36, expected);
    // A server that returns more than asked, or claims to have read more than the buffer holds.
    let other = Request::BackupReadFile { size: 8 };
    let mismatch = NdrError::CountMismatch { offset: 8, found: 16, expected: 8 };
    assert_eq!(read_response(&other, &hex(expected)), Err(mismatch));
    let mut lying = hex(expected);
    lying[28] = 17;
    assert_eq!(read_response(&request, &lying), Err(NdrError::TooLarge { offset: 28, count: 17, limit: 16 }));
    // A failure carries the whole buffer all the same.
    assert_eq!(response_stub(&Response::failure(&request, Hresult::E_UNEXPECTED)).len(), 36);
    // Sizes that no answer can carry: fault 0x6F7.
    for (size, good) in [(MAX_READ_BUFFER, true), (MAX_READ_BUFFER + 1, false), (u32::MAX, false), (0, true)]
    {
        let stub = request_stub(&Request::BackupReadFile { size });
        let decoded = read_request(25, &stub);
        assert_eq!(decoded.is_ok(), good, "{size}");
        if let Err(error) = decoded {
            assert_eq!(error.fault(), Some(FaultStatus::BAD_STUB_DATA));
        }
    }
}

#[test]
fn server_control() {
    let request = Request::ServerControl { authority: root_ca(), flags: 1 };
    request_vector(&request, 68, &format!("{ROOT_CA} 0000 01000000"));
    let response = Response::Control { blob: &[], code: Hresult::S_OK };
    response_vector(&request, &response, 20, "0000000000000000 00000000 00000000 00000000");
}

#[test]
fn every_method_has_a_complete_not_implemented_answer() {
    // wire.md 5.2: how many bytes the zeroed out parameters take after ORPCTHAT, the code not counted
    let sizes: [usize; 46] = [
        0, 0, 4, 0, 8, 0, 8, 0, 12, 12, 12, 12, 12, 0, 8, 0, 4, 0, 0, 8, 8, 8, 8, 0, 0, 4, 8,
        8, // 3 to 30
        0, 8, 0, 12, 12, 8, 0, 0, 8, 4, 0, 12, 0, 28, 0, 0, 4, 4, // 31 to 48
    ];
    for (opnum, size) in (3..).zip(sizes) {
        let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
        let mut writer = Writer::new();
        OrpcThat::CALL.write(&mut writer);
        method.write_failure(Hresult::E_NOTIMPL, &mut writer);
        let stub = writer.into_bytes();
        assert_eq!(stub.len(), 8 + size + 4, "{opnum}");
        assert_eq!(stub[8 + size..], 0x8000_4001u32.to_le_bytes(), "{opnum}");
        let decoded = read_request(opnum, &[hex(THIS), vec![0; 12]].concat());
        match &decoded {
            Ok((request, _)) => {
                assert!(method.serves_backup());
                assert_eq!(request.opnum(), opnum);
                assert!(Response::failure(request, Hresult::E_FAIL).fits(method), "{opnum}");
            }
            Err(error) => {
                assert!(!method.serves_backup());
                assert_eq!(*error, RequestError::NotBackup { method });
                assert_eq!(error.fault(), None);
            }
        }
    }
    for opnum in [0, 1, 2, 49, u16::MAX] {
        assert_eq!(read_request(opnum, &hex(THIS)), Err(RequestError::Opnum { opnum }));
    }
    let mut reader = Reader::new(&[], ByteOrder::Little);
    let ping2 = Request::read(Interface::CertAdmin, 38, &mut reader);
    assert_eq!(ping2.unwrap_err().fault(), Some(FaultStatus::OPNUM_OUT_OF_RANGE));
}

fn requests() -> impl Strategy<Value = Request> {
    let text = || prop::option::of("[^\u{0}]{0,40}");
    prop_oneof![
        (text(), any::<u32>()).prop_map(|(authority, flags)| Request::ServerControl { authority, flags }),
        text().prop_map(|authority| Request::Ping { authority }),
        text().prop_map(|authority| Request::GetServerState { authority }),
        text().prop_map(|authority| Request::Ping2 { authority }),
        text().prop_map(|path| Request::BackupOpenFile { path }),
        (text(), any::<u32>(), any::<u32>()).prop_map(|(authority, grbit_jet, backup_flags)| {
            Request::BackupPrepare { authority, grbit_jet, backup_flags }
        }),
        (0u32..200).prop_map(|size| Request::BackupReadFile { size }),
        Just(Request::BackupEnd),
        Just(Request::BackupGetBackupLogs),
        Just(Request::BackupCloseFile),
        Just(Request::BackupTruncateLogs),
        Just(Request::BackupGetDynamicFiles),
        Just(Request::RestoreGetDatabaseLocations),
    ]
}

proptest! {
    #[test]
    fn requests_come_back_and_truncation_is_an_error(request in requests()) {
        let stub = request_stub(&request);
        let (decoded, consumed) = read_request(request.opnum(), &stub).unwrap();
        prop_assert_eq!(&decoded, &request);
        for cut in 0..consumed {
            prop_assert!(read_request(request.opnum(), &stub[..cut]).is_err(), "{}", cut);
        }
    }

    #[test]
    fn responses_come_back(
        request in requests(), code in any::<u32>(), bytes in vec(any::<u8>(), 0..200), number in any::<u64>(),
        junk in vec(any::<u8>(), 0..9),
    ) {
        let code = Hresult::from_bits(code);
        let response = match Response::failure(&request, code) {
            Response::State { code, .. } => Response::State { state: u32::try_from(number >> 32).unwrap(), code },
            Response::Control { code, .. } => Response::Control { blob: &bytes, code },
            Response::List { code, .. } if code.is_success() => {
                Response::List { units: bytes.iter().copied().map(u16::from).collect(), code }
            }
            Response::Length { code, .. } => Response::Length { length: number, code },
            Response::Data { size, code, .. } => {
                let read = bytes.len().min(usize::try_from(size).unwrap());
                Response::Data { size, data: &bytes[..read], code }
            }
            other => other,
        };
        let mut stub = response_stub(&response);
        for cut in 0..stub.len() {
            prop_assert!(read_response(&request, &stub[..cut]).is_err(), "{}", cut);
        }
        stub.extend_from_slice(&junk);
        prop_assert_eq!(read_response(&request, &stub), Ok(response));
    }

    #[test]
    fn arbitrary_stubs_never_panic(bytes in vec(any::<u8>(), 0..120), opnum in 0u16..50, request in requests()) {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let _ = Request::read(Interface::CertAdmin2, opnum, &mut Reader::new(&bytes, order));
            let _ = OrpcThis::read(&mut Reader::new(&bytes, order));
            let _ = Response::read(&request, &mut Reader::new(&bytes, order));
        }
    }
}
