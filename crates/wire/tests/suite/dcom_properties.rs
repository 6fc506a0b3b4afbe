//! What is written reads the same again, and arbitrary bytes neither panic nor change by being written and read.

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, InterfaceResult,
    RemoteActivation, RemoteActivationReply,
};
use certadm_wire::dcom::{
    Clsid, ComVersion, DualStringArray, Iid, InterfaceReferences, Ipid, ObjRef, Oid, Oxid, QueryResult,
    RemUnknownInterface, RemUnknownRequest, RemUnknownResponse, Resolution, ResolverRequest,
    ResolverResponse, ResolverStatus, SecurityBinding, SetId, StdObjRef, StringBinding,
};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 16]>().prop_map(Guid::from_le_bytes)
}

fn iids() -> impl Strategy<Value = Vec<Iid>> {
    vec(guid().prop_map(Iid), 1..4)
}

fn bindings() -> impl Strategy<Value = DualStringArray> {
    let string = (1u16.., "[^\u{0}]{0,12}").prop_map(|(tower, address)| StringBinding { tower, address });
    let security =
        (1u16.., "[^\u{0}]{0,12}").prop_map(|(service, principal)| SecurityBinding { service, principal });
    (vec(string, 0..4), vec(security, 0..4))
        .prop_map(|(strings, security)| DualStringArray::new(strings, security).unwrap())
}

fn reference() -> impl Strategy<Value = StdObjRef> {
    (any::<(u32, u32, u64, u64)>(), guid()).prop_map(|((flags, references, oxid, oid), ipid)| StdObjRef {
        flags,
        references,
        oxid: Oxid(oxid),
        oid: Oid(oid),
        ipid: Ipid(ipid),
    })
}

fn objref() -> impl Strategy<Value = ObjRef> {
    (guid(), reference(), bindings()).prop_map(|(iid, reference, resolver)| ObjRef {
        iid: Iid(iid),
        reference,
        resolver,
    })
}

fn version() -> impl Strategy<Value = ComVersion> {
    any::<(u16, u16)>().prop_map(|(major, minor)| ComVersion { major, minor })
}

fn properties() -> impl Strategy<Value = ActivationProperties> {
    let server = prop::option::of("[a-zé.]{0,9}");
    let optional =
        (any::<Option<u32>>(), any::<u32>(), server, prop::option::of(guid()), vec(any::<u16>(), 0..4));
    (guid(), iids(), any::<[u32; 3]>(), version(), optional).prop_map(
        |(class, interfaces, flags, version, (session, level, server, context, towers))| {
            ActivationProperties {
                class: Clsid(class),
                interfaces,
                class_context: flags[0],
                flags: flags[1],
                instance_flags: flags[2],
                version,
                session,
                // It travels with the session.
                default_level: if session.is_some() { level } else { 0 },
                server,
                context,
                towers,
            }
        },
    )
}

fn exporter() -> impl Strategy<Value = Exporter> {
    (any::<u64>(), bindings(), guid(), any::<u32>(), version()).prop_map(
        |(oxid, bindings, rem_unknown, authentication_hint, version)| Exporter {
            oxid: Oxid(oxid),
            bindings,
            rem_unknown: Ipid(rem_unknown),
            authentication_hint,
            version,
        },
    )
}

fn code() -> impl Strategy<Value = Hresult> {
    any::<u32>().prop_map(Hresult::from_bits)
}

fn results() -> impl Strategy<Value = Vec<InterfaceResult>> {
    let result = (guid(), code(), prop::option::of(objref()));
    vec(result.prop_map(|(iid, code, reference)| InterfaceResult { iid: Iid(iid), code, reference }), 1..4)
}

fn oids() -> impl Strategy<Value = Vec<Oid>> {
    vec(any::<u64>().prop_map(Oid), 0..4)
}

fn resolver_requests() -> impl Strategy<Value = ResolverRequest> {
    let resolve = || (any::<u64>().prop_map(Oxid), vec(any::<u16>(), 0..4));
    prop_oneof![
        resolve().prop_map(|(oxid, towers)| ResolverRequest::ResolveOxid { oxid, towers }),
        resolve().prop_map(|(oxid, towers)| ResolverRequest::ResolveOxid2 { oxid, towers }),
        any::<u64>().prop_map(|set| ResolverRequest::SimplePing { set: SetId(set) }),
        (any::<(u64, u16)>(), oids(), oids()).prop_map(|((set, sequence), add, delete)| {
            ResolverRequest::ComplexPing { set: SetId(set), sequence, add, delete }
        }),
        Just(ResolverRequest::ServerAlive),
        Just(ResolverRequest::ServerAlive2),
    ]
}

fn rem_unknown_requests() -> impl Strategy<Value = RemUnknownRequest> {
    let references = || {
        let one = (guid(), any::<(u32, u32)>());
        vec(
            one.prop_map(|(ipid, (public, private))| InterfaceReferences {
                ipid: Ipid(ipid),
                public,
                private,
            }),
            0..4,
        )
    };
    prop_oneof![
        (guid(), any::<u32>(), iids()).prop_map(|(ipid, references, interfaces)| {
            RemUnknownRequest::QueryInterface { ipid: Ipid(ipid), references, interfaces }
        }),
        references().prop_map(RemUnknownRequest::AddRef),
        references().prop_map(RemUnknownRequest::Release),
        (guid(), iids()).prop_map(|(ipid, interfaces)| RemUnknownRequest::QueryInterface2 {
            ipid: Ipid(ipid),
            interfaces
        }),
    ]
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

/// Reads `bytes` whole, and finds every shorter part of them wrong.
fn read_back<T, E>(bytes: &[u8], read: impl Fn(&mut Reader<'_>) -> Result<T, E>) -> Option<T> {
    for cut in 0..bytes.len() {
        if read(&mut Reader::new(&bytes[..cut], ByteOrder::Little)).is_ok() {
            return None;
        }
    }
    read(&mut Reader::new(bytes, ByteOrder::Little)).ok()
}

proptest! {
    #[test]
    fn object_references(objref in objref()) {
        let bytes = objref.encode();
        prop_assert_eq!(ObjRef::decode(&bytes), Ok(objref));
    }

    #[test]
    fn activations(
        properties in properties(), interfaces in results(), exporter in exporter(), code in code(),
        succeeds in any::<bool>(), creates in any::<bool>(),
    ) {
        let request = if creates {
            ActivatorRequest::CreateInstance(properties)
        } else {
            ActivatorRequest::GetClassObject(properties)
        };
        let bytes = written(|writer| request.write(writer));
        let read = read_back(&bytes, |reader| ActivatorRequest::read(request.opnum(), reader));
        prop_assert_eq!(read, Some(request));
        let reply = succeeds.then_some(ActivationReply { interfaces, exporter });
        let response = ActivatorResponse { reply, code };
        let bytes = written(|writer| response.write(writer));
        prop_assert_eq!(read_back(&bytes, ActivatorResponse::read), Some(response));
    }

    #[test]
    fn activations_of_old(
        properties in properties(), mut interfaces in results(), exporter in exporter(), code in code(),
        succeeds in any::<bool>(),
    ) {
        let request = RemoteActivation {
            class: properties.class,
            impersonation_level: 2,
            mode: 0,
            interfaces: interfaces.iter().map(|result| result.iid).collect(),
            towers: properties.towers,
        };
        let bytes = written(|writer| request.write(writer));
        prop_assert_eq!(read_back(&bytes, RemoteActivation::read), Some(request.clone()));
        let failure = RemoteActivationReply::failure(&request, code);
        interfaces.truncate(request.interfaces.len());
        let response = if succeeds {
            RemoteActivationReply { exporter: Some(exporter), interfaces, code, status: 0 }
        } else {
            failure
        };
        let bytes = written(|writer| response.write(writer));
        let read = read_back(&bytes, |reader| RemoteActivationReply::read(&request, reader));
        prop_assert_eq!(read, Some(response));
    }

    #[test]
    fn resolver_calls(
        request in resolver_requests(), bindings in bindings(), ipid in guid(), number in any::<u32>(),
        version in version(), status in any::<u32>(),
    ) {
        let opnum = request.opnum();
        let bytes = written(|writer| request.write(writer));
        let read = read_back(&bytes, |reader| ResolverRequest::read(opnum, reader));
        prop_assert_eq!(read.as_ref(), Some(&request));
        let failure = ResolverResponse::failure(&request, ResolverStatus(status));
        let success = match failure.clone() {
            ResolverResponse::Resolved { version, status, .. } => {
                let rem_unknown = Ipid(ipid);
                let resolution = Resolution { bindings, rem_unknown, authentication_hint: number };
                ResolverResponse::Resolved { resolution: Some(resolution), version, status }
            }
            ResolverResponse::Alive { status, .. } => {
                ResolverResponse::Alive { version, bindings: Some(bindings), status }
            }
            other => other,
        };
        for response in [failure, success] {
            let bytes = written(|writer| response.write(writer));
            let read = read_back(&bytes, |reader| ResolverResponse::read(opnum, reader));
            prop_assert_eq!(read, Some(response));
        }
    }

    #[test]
    fn rem_unknown_calls(
        request in rem_unknown_requests(), reference in reference(), objref in objref(), one in code(),
        code in code(),
    ) {
        let bytes = written(|writer| request.write(writer));
        let interface = RemUnknownInterface::RemUnknown2;
        let read = read_back(&bytes, |reader| RemUnknownRequest::read(interface, request.opnum(), reader));
        prop_assert_eq!(read.as_ref(), Some(&request));
        let failure = RemUnknownResponse::failure(&request, code);
        let success = match (&request, failure.clone()) {
            (RemUnknownRequest::QueryInterface { interfaces, .. }, _) => {
                let results = vec![QueryResult { code: one, reference }; interfaces.len()];
                RemUnknownResponse::Interfaces { results, code }
            }
            (_, RemUnknownResponse::References { mut results, code }) => {
                results[0] = (one, Some(objref));
                RemUnknownResponse::References { results, code }
            }
            (_, other) => other,
        };
        for response in [failure, success] {
            let bytes = written(|writer| response.write(writer));
            let read = read_back(&bytes, |reader| RemUnknownResponse::read(&request, reader));
            prop_assert_eq!(read, Some(response));
        }
    }
}
