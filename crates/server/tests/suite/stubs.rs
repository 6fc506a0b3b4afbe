//! Answers byte by byte: the one that is not written by its codec, those to values that no method takes, and what the
//! properties of the CA are.

use certadm_rules::Hresult;
use certadm_rules::wide::MAX_PATH_UNITS;
use certadm_wire::csra::{
    CaInfo, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue, Request,
    Response, Variant,
};
use certadm_wire::dcom::OrpcThat;
use certadm_wire::ndr::{ByteOrder, Reader, Writer};

use crate::peer::{Object, code_of, prepare, stub};
use crate::world::World;

/// What a response is as a whole.
fn whole(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    OrpcThat::CALL.write(&mut writer);
    write(&mut writer);
    writer.into_bytes()
}

/// An object with a backup of which the database is open.
fn reading(world: &World) -> Object {
    world.commit_rows(10);
    let mut object = Object::unix(world);
    assert_eq!(object.code(&prepare(0)), 0);
    let database = object.list(&Request::BackupGetAttachmentInformation).unwrap().remove(0);
    assert_eq!(object.code(&Request::BackupOpenFile { path: Some(database) }), 0);
    object
}

#[test]
fn the_answer_to_a_read_is_what_its_codec_writes() {
    let world = World::new();
    let mut object = reading(&world);
    let mut refused = 0;
    for size in (0..=20).chain(4095..=4100).chain([8191, 8192, 12_289]) {
        let request = Request::BackupReadFile { size };
        let answer = object.call(&request).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        OrpcThat::read(&mut reader).unwrap();
        let response = Response::read(&request, &mut reader).unwrap();
        assert_eq!(reader.remaining(), b"", "{size}: nothing is left over");
        assert_eq!(answer, whole(|writer| response.write(writer)), "{size}");
        if size != 0 && size % 4096 == 0 {
            assert_eq!(response.code(), Hresult::S_OK);
        } else {
            // No success with 0 bytes, which would be the end of the file.
            assert_eq!(response, Response::Data { size, data: &[], code: Hresult::E_INVALIDARG });
            refused += 1;
        }
    }
    assert_eq!(refused, 28);
}

/// A call of a method that is none of the backup methods.
fn ask(object: &mut Object, authority: Option<&str>, call: OtherCall<'_>) -> Result<Vec<u8>, u32> {
    let opnum = call.opnum();
    let request = OtherRequest { authority: authority.map(str::to_owned), call };
    let stub = stub(|writer| request.write(writer));
    let answer = object.peer.request(object.context, opnum, Some(object.ipid.0), &stub).unwrap();
    let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
    let mut reader = Reader::new(&answer, ByteOrder::Little);
    OrpcThat::read(&mut reader).unwrap();
    let response = OtherResponse::read(method, &mut reader).unwrap().unwrap();
    assert_eq!(reader.remaining(), b"", "{opnum}");
    match (response.code, response.out) {
        (Hresult::S_OK, OtherOut::Blob(blob)) => Ok(blob.to_vec()),
        (Hresult::S_OK, OtherOut::Variant(Variant::Long(number))) => Ok(number.to_le_bytes().to_vec()),
        (Hresult::S_OK, _) => Ok(Vec::new()),
        (code, _) => Err(code.to_bits()),
    }
}

/// What decodes and is no value that the method takes is the method's to refuse: an HRESULT, and no fault.
#[test]
fn values_that_no_method_takes_get_an_hresult() {
    const INVALID: u32 = 0x8007_0057;
    let world = World::new();
    let mut object = Object::unix(&world);
    let long = "x".repeat(MAX_PATH_UNITS + 1);
    let text = || Some(long.clone());
    for request in [
        Request::Ping { authority: text() },
        Request::Ping2 { authority: text() },
        Request::GetServerState { authority: text() },
        Request::ServerControl { authority: text(), flags: 1 },
        Request::BackupPrepare { authority: text(), grbit_jet: 0, backup_flags: 0 },
        Request::BackupOpenFile { path: text() },
    ] {
        let answer = object.call(&request).unwrap();
        assert_eq!(code_of(&answer), INVALID, "{}", request.opnum());
        let failure = Response::failure(&request, Hresult::E_INVALIDARG);
        assert_eq!(answer, whole(|writer| failure.write(writer)), "{}", request.opnum());
    }
    let property = |kind| OtherCall::GetCaProperty { property: 6, index: 0, kind };
    assert_eq!(ask(&mut object, Some(&long), property(4)), Err(INVALID));
    let entry = |node: &str, entry: &str| OtherCall::GetConfigEntry {
        node: Some(node.to_owned()),
        entry: entry.to_owned(),
    };
    assert_eq!(ask(&mut object, None, entry(&long, "Version")), Err(INVALID));
    assert_eq!(ask(&mut object, None, entry("", &long)), Err(INVALID));
    // The administrator's own: not implemented, however the value looks.
    let set = |value| OtherCall::SetConfigEntry { node: None, entry: "Version".to_owned(), value };
    for value in [None, Some(Variant::Empty), Some(Variant::Long(1)), Some(Variant::Text(None))] {
        assert_eq!(ask(&mut object, None, set(value)), Err(0x8000_4001));
    }
    assert_eq!(ask(&mut object, None, set(Some(Variant::Text(text())))), Err(INVALID));
    assert_eq!(object.code(&prepare(0)), 0, "the connection is as good as before");
}

#[test]
fn properties_are_structures_and_arrays() {
    let world = World::new();
    let mut object = Object::unix(&world);
    let mut get =
        |property, index, kind| ask(&mut object, None, OtherCall::GetCaProperty { property, index, kind });
    let expected = CaInfo { ca_type: 5, certificates: 1, highest_property: 43, ..CaInfo::default() };
    for property in [3, 10, 11, 14, 21, 23, 24, 25, 28] {
        // The index is ignored.
        for index in [0, 7, -1] {
            let blob = get(property, index, 1).unwrap();
            assert_eq!((blob.len(), &blob[..4]), (40, &[40, 0, 0, 0][..]), "{property}");
            assert_eq!(CaInfo::decode(&blob), Ok(expected), "{property}");
        }
        assert!(get(property, 0, 4).is_err(), "{property} is no string");
    }
    assert_eq!(get(20, 0, 1), Ok(vec![3]), "the CRL is valid");
    assert_eq!(get(27, 0, 1), Ok(Vec::new()), "no key recovery agent");
    for property in [19, 39] {
        assert!(get(property, 0, 1).is_err(), "this CA has no certificate");
        assert_eq!(get(property, 1, 1), Err(0x8007_0057));
    }
    for index in [0, -1] {
        assert_eq!(get(17, index, 3), Ok(b"crl".to_vec()), "the newest");
    }
    assert_eq!(get(17, 1, 3), Err(0x8007_0057));
    let name = get(6, 9, 4).unwrap();
    assert_eq!(PropertyValue::decode(4, &name), Ok(PropertyValue::Text("Test CA".to_owned())));
}

#[test]
fn the_empty_node_is_the_cas_own_key() {
    let world = World::new();
    let mut object = Object::unix(&world);
    for node in [Some(""), None, Some("Test CA")] {
        let call =
            OtherCall::GetConfigEntry { node: node.map(str::to_owned), entry: "interfaceflags".to_owned() };
        assert_eq!(ask(&mut object, Some("Test CA"), call).map(|bytes| bytes.len()), Ok(4), "{node:?}");
    }
    let call = OtherCall::GetConfigEntry { node: Some("PolicyModules".to_owned()), entry: String::new() };
    assert!(ask(&mut object, Some("Test CA"), call).is_err());
}
