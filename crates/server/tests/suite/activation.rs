//! Activation the old way, the factory that nobody serves, and what the CA tells of itself (wire.md 4.6, 4.13, 5.2).

use certadm_auth::Flavour;
use certadm_ca::{Authority, Config, Initialized, KeyType, Passphrase, Role};
use certadm_rules::Hresult;
use certadm_store::Folder;
use certadm_wire::csra::{
    CaInfo, CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
};
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivatorRequest, ActivatorResponse, RemoteActivation, RemoteActivationReply,
};
use certadm_wire::dcom::{Clsid, Iid, OrpcThat};
use certadm_wire::ndr::{ByteOrder, Guid, Reader};
use certadm_wire::rpc::AuthLevel;

use crate::peer::{Failed, Object, Peer, stub};
use crate::world::{CA_NAME, PASSWORD, World};

fn logged_on(world: &World, iid: Iid) -> Peer {
    let mut peer = Peer::tcp(world.addresses.resolver);
    peer.bind_as(iid, "operator", PASSWORD, AuthLevel::Privacy, Flavour::Ntlm).unwrap();
    peer
}

fn other_class() -> Clsid {
    Clsid(Guid::new(7, 7, 7, [7; 8]))
}

#[test]
fn remote_activation_makes_an_object_that_answers() {
    let world = World::new();
    let mut resolver = logged_on(&world, Iid::ACTIVATION);
    let mut activate = |class, mode, interfaces: &[Iid]| {
        let request = RemoteActivation {
            class,
            impersonation_level: 2,
            mode,
            interfaces: interfaces.to_vec(),
            towers: vec![7],
        };
        let answer = resolver.request(0, 0, None, &stub(|writer| request.write(writer))).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        OrpcThat::read(&mut reader).unwrap();
        let reply = RemoteActivationReply::read(&request, &mut reader).unwrap();
        assert_eq!((reader.remaining(), reply.status), (&[][..], 0));
        reply
    };
    let nothing = Iid(Guid::new(8, 8, 8, [8; 8]));
    let reply = activate(Clsid::CERT_ADMIN, 0, &[Iid::CERT_ADMIN, nothing, Iid::CERT_ADMIN_2]);
    let codes: Vec<Hresult> = reply.interfaces.iter().map(|result| result.code).collect();
    assert_eq!(codes, [Hresult::S_OK, Hresult::E_NOINTERFACE, Hresult::S_OK]);
    assert_eq!(reply.code, Hresult::S_OK);
    let exporter = reply.exporter.unwrap();
    let port = world.addresses.exporter.port();
    assert!(exporter.bindings.tcp().all(|binding| binding.host_and_port().1 == Some(port)));
    let reference = reply.interfaces[2].reference.as_ref().unwrap().reference;
    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind_as(Iid::CERT_ADMIN_2, "operator", PASSWORD, AuthLevel::Privacy, Flavour::Ntlm).unwrap();
    let (ipid, oid) = (reference.ipid, reference.oid);
    let mut object = Object { peer, ipid, oid, rem_unknown: exporter.rem_unknown, context: 0 };
    object.full_backup().unwrap();

    let code = |reply: RemoteActivationReply| {
        assert!(reply.exporter.is_none() && reply.interfaces.iter().all(|one| one.reference.is_none()));
        reply.code
    };
    let factory = RemoteActivation::CLASS_FACTORY;
    assert_eq!(code(activate(Clsid::CERT_ADMIN, factory, &[Iid::CERT_ADMIN])), Hresult::E_NOTIMPL);
    assert_eq!(code(activate(other_class(), 0, &[Iid::CERT_ADMIN])), Hresult::REGDB_E_CLASSNOTREG);
    assert_eq!(code(activate(Clsid::CERT_ADMIN, 0, &[nothing])), Hresult::E_NOINTERFACE);
    assert_eq!(resolver.request(0, 1, None, &stub(|_| ())), Err(Failed::Fault(0x1C01_0002)));
}

#[test]
fn remote_activation_wants_a_logon() {
    let world = World::new();
    let mut peer = Peer::tcp(world.addresses.resolver);
    peer.bind(0, Iid::ACTIVATION, false).unwrap();
    assert_eq!(peer.request(0, 0, None, &stub(|_| ())), Err(Failed::Fault(5)));
}

#[test]
fn the_factory_is_not_served() {
    let world = World::new();
    let mut resolver = logged_on(&world, Iid::REMOTE_SCM_ACTIVATOR);
    let mut code = |class| {
        let properties = ActivationProperties::of(class, vec![Iid::CERT_ADMIN_2], Guid::new(9, 9, 9, [9; 8]));
        let request = ActivatorRequest::GetClassObject(properties);
        let answer = resolver.request(0, 3, None, &stub(|writer| request.write(writer))).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        OrpcThat::read(&mut reader).unwrap();
        ActivatorResponse::read(&mut reader).unwrap().code
    };
    assert_eq!(code(Clsid::CERT_ADMIN), Hresult::E_NOTIMPL);
    assert_eq!(code(other_class()), Hresult::REGDB_E_CLASSNOTREG);
}

/// Calls a method beside backup; its blob, or its code.
fn blob_of(object: &mut Object, call: OtherCall<'_>) -> Result<Vec<u8>, Hresult> {
    let request = OtherRequest { authority: None, call };
    let opnum = request.call.opnum();
    let method = Method::from_opnum(Interface::CertAdmin2, opnum).unwrap();
    let stub = stub(|writer| request.write(writer));
    let answer = object.peer.request(0, opnum, Some(object.ipid.0), &stub).unwrap();
    let mut reader = Reader::new(&answer, ByteOrder::Little);
    OrpcThat::read(&mut reader).unwrap();
    let response = OtherResponse::read(method, &mut reader).unwrap().unwrap();
    match response.out {
        _ if response.code.is_failure() => Err(response.code),
        OtherOut::Blob(blob) | OtherOut::NumberAndBlob(_, blob) => Ok(blob.to_vec()),
        out => panic!("{out:?}"),
    }
}

#[test]
fn the_common_properties_are_told() {
    let world = World::new();
    let other = Folder::new(world.path("other"));
    let config = Config::new(CA_NAME.parse().unwrap(), KeyType::P256);
    let passphrase = Passphrase::new(b"correct horse battery".to_vec()).unwrap();
    let made = Authority::init(&other, &config, Role::Root, &passphrase, certadm_store::now()).unwrap();
    let Initialized::Root(authority) = made else { panic!("a root was asked for") };
    let mut object = Object::tcp(&world, "reader");
    let mut get = |property, index, kind| {
        blob_of(&mut object, OtherCall::GetCaProperty { property, index, kind })
            .map(|blob| PropertyValue::decode(kind, &blob).unwrap())
    };
    // Without its certificate the service says that, and nothing wrong.
    assert_eq!(get(12, 0, 3), Err(Hresult::ERROR_FILE_NOT_FOUND));
    std::fs::copy(other.certificate_path(), world.folder().certificate_path()).unwrap();
    std::fs::copy(authority.crl_path(), world.folder().crl_dir().join("Test CA.crl")).unwrap();
    let crl = std::fs::read(authority.crl_path()).unwrap();
    let text = |text: &str| Ok(PropertyValue::Text(text.to_owned()));
    assert_eq!((get(6, 0, 4), get(7, 0, 4), get(22, 0, 4)), (text(CA_NAME), text(CA_NAME), text("ca01")));
    assert_eq!(get(12, 0, 3), Ok(PropertyValue::Binary(authority.certificate_der().to_vec())));
    assert_eq!(get(17, 0, 3), Ok(PropertyValue::Binary(crl)));
    assert_eq!(get(12, -1, 3), get(12, 0, 3), "the newest");
    for (property, index, kind) in [(6, 0, 1), (12, 1, 3), (12, -2, 3), (4, 0, 4), (0, 0, 1), (99, 0, 1)] {
        assert_eq!(get(property, index, kind), Err(Hresult::E_INVALIDARG), "{property} {index} {kind}");
    }
    let mut raw = |property| blob_of(&mut object, OtherCall::GetCaProperty { property, index: 0, kind: 1 });
    let root = CaInfo { ca_type: 3, certificates: 1, highest_property: 43, ..CaInfo::default() };
    assert_eq!(raw(10), Ok(root.encode()));
    assert_eq!((raw(19), raw(20), raw(39)), (Ok(vec![3]), Ok(vec![3]), Ok(vec![0; 4])));
    let info = blob_of(&mut object, OtherCall::GetCaPropertyInfo).unwrap();
    let described = CaProperty::decode_all(26, &info).unwrap();
    for CaProperty { id, kind, .. } in described {
        let call = OtherCall::GetCaProperty { property: id, index: 0, kind: kind.into() };
        assert!(blob_of(&mut object, call).is_ok(), "{id}");
    }
}
