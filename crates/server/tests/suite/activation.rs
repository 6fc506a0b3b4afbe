//! Activation the old way, by a factory, and what the CA tells of itself (wire.md 4.6, 4.13, 5.2).

use certadm_auth::Flavour;
use certadm_ca::{Authority, Config, Initialized, KeyType, Passphrase, Role};
use certadm_rules::Hresult;
use certadm_store::Folder;
use certadm_wire::csra::{
    CaInfo, CaProperty, Interface, Method, OtherCall, OtherOut, OtherRequest, OtherResponse, PropertyValue,
};
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivatorRequest, ActivatorResponse, FactoryRequest, FactoryResponse,
    RemoteActivation, RemoteActivationReply,
};
use certadm_wire::dcom::{
    Clsid, Iid, InterfaceReferences, Ipid, OrpcThat, RemUnknownInterface, RemUnknownRequest,
    RemUnknownResponse,
};
use certadm_wire::ndr::{ByteOrder, Guid, Reader};
use certadm_wire::rpc::AuthLevel;

use crate::peer::{Failed, Object, Peer, prepare, stub};
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
    assert_eq!(code(activate(Clsid::CERT_ADMIN, factory, &[Iid::CERT_ADMIN])), Hresult::E_NOINTERFACE);
    assert_eq!(activate(Clsid::CERT_ADMIN, factory, &[Iid::CLASS_FACTORY]).code, Hresult::S_OK);
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

/// As .NET and PowerShell do it: the factory, an object of it, the factory given back.
#[test]
fn a_factory_makes_objects() {
    let world = World::new();
    let mut resolver = logged_on(&world, Iid::REMOTE_SCM_ACTIVATOR);
    let mut ask = |class, iid| {
        let properties = ActivationProperties::of(class, vec![iid], Guid::new(9, 9, 9, [9; 8]), None);
        let request = ActivatorRequest::GetClassObject(properties);
        let answer = resolver.request(0, 3, None, &stub(|writer| request.write(writer))).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        assert_eq!(OrpcThat::read(&mut reader), Ok(OrpcThat::ACTIVATION));
        let response = ActivatorResponse::read(&mut reader).unwrap();
        response.reply.ok_or(response.code)
    };
    assert_eq!(ask(Clsid::CERT_ADMIN, Iid::CERT_ADMIN_2), Err(Hresult::E_NOINTERFACE));
    assert_eq!(ask(other_class(), Iid::CLASS_FACTORY), Err(Hresult::REGDB_E_CLASSNOTREG));
    let reply = ask(Clsid::CERT_ADMIN, Iid::CLASS_FACTORY).unwrap();
    let factory = reply.interfaces[0].reference.as_ref().unwrap().reference;

    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind_as(Iid::CLASS_FACTORY, "operator", PASSWORD, AuthLevel::Privacy, Flavour::Ntlm).unwrap();
    let mut call = |ipid: Ipid, request: &FactoryRequest| {
        let stub = stub(|writer| request.write(writer));
        peer.request(0, request.opnum(), Some(ipid.0), &stub).map(|answer| {
            let mut reader = Reader::new(&answer, ByteOrder::Little);
            OrpcThat::read(&mut reader).unwrap();
            FactoryResponse::read(request, &mut reader).unwrap()
        })
    };
    let create = |iid| FactoryRequest::CreateInstance { iid };
    let response = call(factory.ipid, &create(Iid::CERT_ADMIN_2)).unwrap();
    let FactoryResponse::Created { reference: Some(made), code: Hresult::S_OK } = response else {
        panic!("{response:?}")
    };
    assert_ne!(made.reference.oid, factory.oid);
    let none = FactoryResponse::Created { reference: None, code: Hresult::E_NOINTERFACE };
    assert_eq!(call(factory.ipid, &create(Iid::CLASS_FACTORY)), Ok(none));
    for lock in [true, false] {
        let locked = call(factory.ipid, &FactoryRequest::LockServer { lock });
        assert_eq!(locked, Ok(FactoryResponse::Locked(Hresult::S_OK)));
    }
    // Neither an object nor a stranger is a factory.
    for ipid in [made.reference.ipid, Ipid(Guid::new(5, 5, 5, [5; 8]))] {
        assert_eq!(call(ipid, &create(Iid::CERT_ADMIN_2)), Err(Failed::Fault(0x8001_0108)));
    }

    peer.bind(1, Iid::REM_UNKNOWN, true).unwrap();
    let given = InterfaceReferences { ipid: factory.ipid, public: factory.references, private: 0 };
    let release = RemUnknownRequest::Release(vec![given]);
    let rem_unknown = reply.exporter.rem_unknown;
    let released = stub(|writer| release.write(writer));
    peer.request(1, release.opnum(), Some(rem_unknown.0), &released).unwrap();
    let again = stub(|writer| create(Iid::CERT_ADMIN_2).write(writer));
    assert_eq!(peer.request(0, 3, Some(factory.ipid.0), &again), Err(Failed::Fault(0x8001_0108)));

    // The object lives on without its factory; a factory is no object.
    peer.bind(2, Iid::CERT_ADMIN_2, true).unwrap();
    let (ipid, oid) = (made.reference.ipid, made.reference.oid);
    let mut object = Object { peer, ipid, oid, rem_unknown, context: 2 };
    object.full_backup().unwrap();
    let mut strange = Object { ipid: factory.ipid, ..object };
    assert_eq!(strange.call(&prepare(0)), Err(Failed::Fault(0x8001_0108)));
}

/// Each interface that is asked for is answered with bindings: a request of one megabyte would be answered with twenty.
#[test]
fn a_query_asks_for_a_few_interfaces() {
    let world = World::new();
    let Object { mut peer, ipid, rem_unknown, .. } = Object::tcp(&world, "operator");
    let both = [(1, RemUnknownInterface::RemUnknown), (2, RemUnknownInterface::RemUnknown2)];
    for (context, interface) in both {
        let iid = [Iid::REM_UNKNOWN, Iid::REM_UNKNOWN_2][usize::from(context) - 1];
        peer.bind(context, iid, true).unwrap();
        for (count, expected) in
            [(64, Hresult::S_OK), (65, Hresult::E_INVALIDARG), (40_000, Hresult::E_INVALIDARG)]
        {
            let interfaces = vec![Iid::CERT_ADMIN; count];
            let request = match interface {
                RemUnknownInterface::RemUnknown => {
                    RemUnknownRequest::QueryInterface { ipid, references: 1, interfaces }
                }
                _ => RemUnknownRequest::QueryInterface2 { ipid, interfaces },
            };
            let asked = stub(|writer| request.write(writer));
            let answer = peer.request(context, request.opnum(), Some(rem_unknown.0), &asked).unwrap();
            let mut reader = Reader::new(&answer, ByteOrder::Little);
            OrpcThat::read(&mut reader).unwrap();
            let code = match RemUnknownResponse::read(&request, &mut reader).unwrap() {
                RemUnknownResponse::Interfaces { code, .. } | RemUnknownResponse::References { code, .. } => {
                    code
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(code, expected, "{count} at {context}");
        }
    }
}

#[test]
fn a_factory_wants_a_logon_and_clients_release_what_they_forget() {
    let world = World::new();
    let mut peer = Peer::tcp(world.addresses.exporter);
    peer.bind(0, Iid::CLASS_FACTORY, false).unwrap();
    let create = stub(|writer| FactoryRequest::CreateInstance { iid: Iid::CERT_ADMIN_2 }.write(writer));
    assert_eq!(peer.request(0, 3, Some(Guid::new(5, 5, 5, [5; 8])), &create), Err(Failed::Fault(5)));
    // More factories than a caller may have: the one that was not used for longest goes.
    let mut resolver = logged_on(&world, Iid::REMOTE_SCM_ACTIVATOR);
    for _ in 0..100 {
        let iids = vec![Iid::CLASS_FACTORY];
        let properties = ActivationProperties::of(Clsid::CERT_ADMIN, iids, Guid::new(9, 9, 9, [9; 8]), None);
        let request = ActivatorRequest::GetClassObject(properties);
        let answer = resolver.request(0, 3, None, &stub(|writer| request.write(writer))).unwrap();
        let mut reader = Reader::new(&answer, ByteOrder::Little);
        OrpcThat::read(&mut reader).unwrap();
        assert_eq!(ActivatorResponse::read(&mut reader).unwrap().code, Hresult::S_OK);
    }
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
