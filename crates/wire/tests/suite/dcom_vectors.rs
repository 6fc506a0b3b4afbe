//! The worked examples of wire.md 4, decoded and encoded byte for byte.

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, InterfaceResult,
};
use certadm_wire::dcom::{
    Clsid, ComVersion, CustomObjRef, DcomError, DualStringArray, Iid, InterfaceReferences, Ipid, ObjRef,
    ObjRefError, Oid, OrpcThat, OrpcThis, Oxid, QueryResult, RemUnknownInterface, RemUnknownRequest,
    RemUnknownResponse, ResolverRequest, ResolverResponse, ResolverStatus, SecurityBinding, StdObjRef,
    StringBinding,
};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use certadm_wire::rpc::AuthType;

use crate::common::hex;

const THIS: &str = "05000700 00000000 00000000 11111111222233334444555555555555 00000000";
const ADMIN_2: &str = "35d9e07fa6dd3f4485d01cfb58fe41dd";
const COM: &str = "00000000c000000000000046";
const STD_OBJREF: &str =
    "00000000 05000000 8877665544332211 01ffeeddccbbaa99 021c00005c0a00008d1e7f5f2a9b3c4d";
/// The resolver of wire.md 4.4: CA01 and 10.0.0.5, SPNEGO and NTLM.
const RESOLVER: &str = "07004300410030003100 0000 0700310030002e0030002e0030002e003500 0000 0000
    0900ffff0000 0a00ffff0000 0000";

fn zeros(count: usize) -> String {
    "00".repeat(count)
}

fn causality() -> Guid {
    "11111111-2222-3333-4444-555555555555".parse().unwrap()
}

fn ipid() -> Ipid {
    Ipid("00001c02-0a5c-0000-8d1e-7f5f2a9b3c4d".parse().unwrap())
}

fn security() -> Vec<SecurityBinding> {
    vec![SecurityBinding::of(AuthType::SPNEGO), SecurityBinding::of(AuthType::NTLM)]
}

fn resolver() -> DualStringArray {
    let strings = vec![StringBinding::resolver("CA01"), StringBinding::resolver("10.0.0.5")];
    DualStringArray::new(strings, security()).unwrap()
}

fn reference() -> StdObjRef {
    let (oxid, oid) = (Oxid(0x1122_3344_5566_7788), Oid(0x99aa_bbcc_ddee_ff01));
    StdObjRef { flags: 0, references: 5, oxid, oid, ipid: ipid() }
}

fn objref() -> ObjRef {
    ObjRef { iid: Iid::CERT_ADMIN_2, reference: reference(), resolver: resolver() }
}

fn objref_bytes() -> Vec<u8> {
    hex(&format!("4d454f57 01000000 {ADMIN_2} {STD_OBJREF} 18001100 {RESOLVER}"))
}

#[test]
fn object_reference() {
    let bytes = objref_bytes();
    assert_eq!(bytes.len(), 116);
    assert_eq!(objref().encode(), bytes);
    assert_eq!(ObjRef::decode(&bytes), Ok(objref()));
    for cut in 0..bytes.len() {
        assert!(ObjRef::decode(&bytes[..cut]).is_err(), "{cut}");
    }
    // wire.md 4.4: a handler and an extended one hold the same and more; a custom one is refused.
    let mut other = bytes.clone();
    other[4] = 2;
    other.splice(64..64, [0xEE; 16]);
    assert_eq!(ObjRef::decode(&other), Ok(objref()));
    let mut other = bytes.clone();
    other[4] = 8;
    other.splice(64..64, *b"VYSN");
    assert_eq!(ObjRef::decode(&other), Ok(objref()));
    let custom = CustomObjRef { iid: Iid::CONTEXT, class: Clsid::CONTEXT_MARSHALER, data: b"data" };
    assert_eq!(CustomObjRef::decode(&custom.encode()), Ok(custom));
    assert_eq!(ObjRef::decode(&custom.encode()), Err(ObjRefError::Kind { flags: 4 }));
    assert_eq!(CustomObjRef::decode(&bytes), Err(ObjRefError::Kind { flags: 1 }));
    assert_eq!(ObjRef::decode(b"MEOV\x01\0\0\0"), Err(ObjRefError::Signature { found: 0x564F_454D }));
}

/// wire.md 4.11.
fn activation_request() -> Vec<u8> {
    let text = [
        "05000700 01000000 00000000 11111111222233334444555555555555 00000000",
        "00000000 00000200 b8020000 b8020000 4d454f57 04000000",
        &format!("a2010000{COM} 38030000{COM} 00000000 90020000 80020000 00000000"),
        "01100800cccccccc b0000000 00000000 80020000 c0000000 00000000 02000000 06000000",
        &zeros(16),
        "00000200 04000200 00000000 06000000",
        &format!("b9010000{COM} ab010000{COM} a5010000{COM} a6010000{COM} a4010000{COM} aa010000{COM}"),
        "06000000 68000000 58000000 90000000 20000000 20000000 30000000",
        "01100800cccccccc 58000000 00000000 ffffffff",
        &zeros(12),
        "05000000",
        &zeros(16),
        "00000000 14000000 02000000",
        &zeros(40),
        "01100800cccccccc 48000000 00000000 736e9ed988fcd011b49800a0c90312f3",
        "14000000 00000000 00000000 01000000 00000000 00000200 58000000 05000700 01000000",
        ADMIN_2,
        "00000000 01100800cccccccc 80000000 00000000",
        &zeros(16),
        "00000200 00000000 60000000 60000000 4d454f57 04000000",
        &format!("c0010000{COM} 3b030000{COM} 00000000 30000000"),
        "01000100 11111111222233334444555555555555 02000000",
        &zeros(20),
        "01000000",
        "01100800cccccccc 10000000 00000000",
        &zeros(16),
        "01100800cccccccc 10000000 00000000",
        &zeros(16),
        "01100800cccccccc 20000000 00000000 00000000 00000200 02000000 01000000",
        "04000200 01000000 07000000 00000000",
    ];
    hex(&text.concat())
}

#[test]
fn activation_request_of_six_properties() {
    let expected = activation_request();
    assert_eq!(expected.len(), 744);
    let properties = ActivationProperties::of(Clsid::CERT_ADMIN, vec![Iid::CERT_ADMIN_2], causality(), None);
    let request = ActivatorRequest::CreateInstance(properties.clone());
    let mut writer = Writer::new();
    OrpcThis { version: ComVersion::OURS, flags: 1, causality: causality() }.write(&mut writer);
    request.write(&mut writer);
    assert_eq!(writer.into_bytes(), expected);

    let read = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, ByteOrder::Little);
        assert_eq!(OrpcThis::read(&mut reader)?.flags, 1);
        Ok::<_, DcomError>((ActivatorRequest::read(request.opnum(), &mut reader)?, reader.position()))
    };
    assert_eq!(read(&expected), Ok((request.clone(), 744)));
    for cut in 32..744 {
        let error = read(&expected[..cut]).unwrap_err();
        assert_eq!(error.fault().map(|status| status.0), Some(0x6F7), "{cut}");
    }
    // Without the properties that a server does not need, and with one that nobody knows.
    let towers = Vec::new();
    let few = ActivationProperties { session: None, default_level: 0, context: None, towers, ..properties };
    let mut objref = few.encode();
    assert_eq!(ActivationProperties::decode(&objref), Ok(few));
    let security = objref.windows(4).position(|window| window == [0xa6, 1, 0, 0]).unwrap();
    objref[security] = 0xee;
    assert!(ActivationProperties::decode(&objref).is_ok());
    let instantiation = objref.windows(4).position(|window| window == [0xab, 1, 0, 0]).unwrap();
    objref[instantiation] = 0xee;
    let error = ActivationProperties::decode(&objref).unwrap_err();
    assert_eq!(error, ObjRefError::Missing { name: "InstantiationInfo" });
    assert_eq!(error.hresult(), Hresult::from_bits(0x8001_011D));
}

#[test]
fn activation_response_of_two_properties() {
    let bindings = "0700430041003000310 05b003400390036003700300 05d000000
        0700310030002e0030002e0030002e0035005b003400390036003700300 05d00 0000 0000
        0900ffff0000 0a00ffff0000 0000";
    let listing: String = objref_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let text = [
        "00000000 00000000 00000200 f8010000 f8010000 4d454f57 04000000",
        &format!("a3010000{COM} 39030000{COM} 00000000 d0010000 c0010000 00000000"),
        "01100800cccccccc 60000000 00000000 c0010000 70000000 00000000 02000000 02000000",
        &zeros(16),
        "00000200 04000200 00000000 02000000",
        &format!("39030000{COM} b6010000{COM} 02000000 c0000000 90000000"),
        "01100800cccccccc b0000000 00000000 01000000 00000200 04000200 08000200",
        &format!("01000000 {ADMIN_2} 01000000 00000000 01000000 0c000200 74000000 74000000"),
        &listing,
        "01100800cccccccc 80000000 00000000 00000000 00000200 8877665544332211 04000200",
        "000400005c0a0000aaaabbbbccccdddd 05000000 05000700 26000000 26001f00",
        bindings,
        "00000000",
    ];
    let expected = hex(&text.concat());
    assert_eq!(expected.len(), 528);
    let strings = vec![StringBinding::exporter("CA01", 49670), StringBinding::exporter("10.0.0.5", 49670)];
    let exporter = Exporter {
        oxid: Oxid(0x1122_3344_5566_7788),
        bindings: DualStringArray::new(strings, security()).unwrap(),
        rem_unknown: Ipid("00000400-0a5c-0000-aaaa-bbbbccccdddd".parse().unwrap()),
        authentication_hint: 5,
        version: ComVersion::OURS,
    };
    let iid = Iid::CERT_ADMIN_2;
    let interfaces = vec![InterfaceResult { iid, code: Hresult::S_OK, reference: Some(objref()) }];
    let response = ActivatorResponse {
        reply: Some(ActivationReply { interfaces, exporter: exporter.clone() }),
        code: Hresult::S_OK,
    };
    let encode = |response: &ActivatorResponse| {
        let mut writer = Writer::new();
        OrpcThat::CALL.write(&mut writer);
        response.write(&mut writer);
        writer.into_bytes()
    };
    let decode = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes, ByteOrder::Little);
        OrpcThat::read(&mut reader)?;
        ActivatorResponse::read(&mut reader)
    };
    assert_eq!(encode(&response), expected);
    assert_eq!(decode(&expected), Ok(response));
    for cut in 0..expected.len() {
        assert!(decode(&expected[..cut]).is_err(), "{cut}");
    }
    // An interface that the class lacks beside one that it has, and a failure as a whole.
    let missing = InterfaceResult { iid: Iid::UNKNOWN, code: Hresult::E_NOINTERFACE, reference: None };
    let found = InterfaceResult { iid, code: Hresult::S_OK, reference: Some(objref()) };
    let reply = ActivationReply { interfaces: vec![missing, found], exporter };
    let response = ActivatorResponse { reply: Some(reply), code: Hresult::S_OK };
    assert_eq!(decode(&encode(&response)), Ok(response));
    let failure = ActivatorResponse::failure(Hresult::REGDB_E_CLASSNOTREG);
    assert_eq!(encode(&failure), hex("00000000 00000000 00000000 54010480"));
    assert_eq!(decode(&encode(&failure)), Ok(failure));
}

#[test]
fn server_alive() {
    let expected = hex(&format!("05000700 00000200 18000000 18001100 {RESOLVER} 00000000 00000000"));
    assert_eq!(expected.len(), 72);
    let response = ResolverResponse::Alive {
        version: ComVersion::OURS,
        bindings: Some(resolver()),
        status: ResolverStatus::OK,
    };
    let mut writer = Writer::new();
    response.write(&mut writer);
    assert_eq!(writer.into_bytes(), expected);
    assert_eq!(ResolverResponse::read(5, &mut Reader::new(&expected, ByteOrder::Little)), Ok(response));
    assert!(ResolverRequest::is_open_to_all(5) && ResolverRequest::is_open_to_all(3));
    assert!(!ResolverRequest::is_open_to_all(4));
}

#[test]
fn query_interface() {
    let request = RemUnknownRequest::QueryInterface {
        ipid: ipid(),
        references: 5,
        interfaces: vec![Iid::CERT_ADMIN_2],
    };
    let expected =
        hex(&format!("{THIS} 021c00005c0a00008d1e7f5f2a9b3c4d 05000000 0100 0000 01000000 {ADMIN_2}"));
    assert_eq!(expected.len(), 76);
    rem_unknown_request(&request, &expected);
    let results = vec![QueryResult { code: Hresult::S_OK, reference: reference() }];
    let response = RemUnknownResponse::Interfaces { results, code: Hresult::S_OK };
    let expected =
        hex(&format!("0000000000000000 00000200 01000000 00000000 00000000 {STD_OBJREF} 00000000"));
    assert_eq!(expected.len(), 68);
    let mut writer = Writer::new();
    OrpcThat::CALL.write(&mut writer);
    response.write(&mut writer);
    assert_eq!(writer.into_bytes(), expected);
    let mut reader = Reader::new(&expected, ByteOrder::Little);
    OrpcThat::read(&mut reader).unwrap();
    assert_eq!(RemUnknownResponse::read(&request, &mut reader), Ok(response));
}

#[test]
fn release() {
    let references = vec![InterfaceReferences { ipid: ipid(), public: 5, private: 0 }];
    let expected =
        hex(&format!("{THIS} 01000000 01000000 021c00005c0a00008d1e7f5f2a9b3c4d 05000000 00000000"));
    assert_eq!(expected.len(), 64);
    rem_unknown_request(&RemUnknownRequest::Release(references), &expected);
}

fn rem_unknown_request(request: &RemUnknownRequest, expected: &[u8]) {
    let mut writer = Writer::new();
    OrpcThis { version: ComVersion::OURS, flags: 0, causality: causality() }.write(&mut writer);
    request.write(&mut writer);
    assert_eq!(writer.into_bytes(), expected);
    for cut in 32..=expected.len() {
        let mut reader = Reader::new(&expected[..cut], ByteOrder::Little);
        OrpcThis::read(&mut reader).unwrap();
        let decoded = RemUnknownRequest::read(RemUnknownInterface::RemUnknown, request.opnum(), &mut reader);
        assert_eq!(decoded.is_ok(), cut == expected.len(), "{cut}");
        if let Ok(decoded) = decoded {
            assert_eq!(&decoded, request);
        }
    }
}
