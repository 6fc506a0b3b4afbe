//! Every PDU that Windows machines sent in the captures is understood, and what they do there is what we believe of them.

use std::collections::BTreeMap;

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{
    ActivationProperties, ActivatorRequest, ActivatorResponse, FactoryRequest, FactoryResponse,
};
use certadm_wire::dcom::{ComVersion, Iid, OrpcThat, OrpcThis, ResolverRequest, ResolverResponse};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};
use certadm_wire::rpc::{Body, ErrorParameter, ErrorRecord, Pdu, VerificationTrailer};

use crate::capture::{Sent, folder, read};

/// The captures by name.
fn captures() -> Vec<(String, Vec<Sent>)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "zst"));
    paths.sort();
    assert!(6 <= paths.len(), "captures are missing");
    paths.iter().map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(path))).collect()
}

/// Of what Windows writes with padding that is not zeros, less comes back: alter_context_resp with an empty secondary address, and
/// auth3.
const WRITTEN_OTHERWISE: [&str; 2] = ["AlterContextResponse", "Auth3"];

#[test]
fn every_pdu_decodes_and_is_written_as_it_was() {
    let mut count: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (name, connections) in captures() {
        for bytes in connections.iter().flat_map(|sent| &sent.pdus) {
            let pdu = Pdu::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}: {bytes:02x?}"));
            let (all, equal) = count.entry(format!("{:?}", pdu.body.kind())).or_default();
            *all += 1;
            let mut again = Vec::new();
            pdu.encode(&mut again).unwrap();
            // The token is the writer's to fill in.
            *equal += u32::from(&again == bytes);
        }
    }
    println!("{count:?}");
    for (kind, (all, equal)) in count {
        assert!(all == equal || WRITTEN_OTHERWISE.contains(&kind.as_str()), "{kind}: {equal} of {all}");
    }
}

/// Who names an association group joins it: the answer has the same number. Without a number there is a new one.
#[test]
fn a_group_that_is_named_is_joined() {
    let (mut joined, mut made) = (0, 0);
    for (name, connections) in captures() {
        for sent in &connections {
            let Some(answers) = sent.answers(&connections) else { continue };
            for pdu in sent.pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()) {
                let (Body::Bind(bind) | Body::AlterContext(bind)) = &pdu.body else { continue };
                let answer = answers.pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()).find(|answer| {
                    answer.call_id == pdu.call_id
                        && matches!(answer.body, Body::BindAck(_) | Body::AlterContextResponse(_))
                });
                let Some(Body::BindAck(ack) | Body::AlterContextResponse(ack)) =
                    answer.map(|answer| answer.body)
                else {
                    continue;
                };
                match bind.association_group {
                    0 => {
                        assert_ne!(ack.association_group, 0, "{name}");
                        made += 1;
                    }
                    group => {
                        assert_eq!(ack.association_group, group, "{name}");
                        joined += 1;
                    }
                }
            }
        }
    }
    assert!(folder().is_none() || (joined, made) == (6, 25), "{joined} joined, {made} made");
}

/// A server of Windows tells more of a fault than its status: which component said what, on which machine.
#[test]
fn a_fault_with_extended_error_data_is_read_and_written_as_it_was() {
    let mut faults = Vec::new();
    for bytes in captures().iter().flat_map(|(_, connections)| connections).flat_map(|sent| &sent.pdus) {
        if let Body::Fault(fault) = Pdu::decode(bytes).unwrap().body {
            let [record] = &ErrorRecord::read_all(fault.extended).unwrap()[..] else { panic!("one record") };
            faults.push((fault.status.0, bytes.len(), record.clone()));
        }
    }
    if folder().is_none() {
        return;
    }
    let [(0x721, 152, record)] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((record.computer.as_deref(), record.process), (Some("w2k8-211"), 572));
    assert_eq!((record.component_name(), record.location), (Some("the security provider"), 130));
    // SEC_E_MESSAGE_ALTERED: the client's signature did not verify.
    assert_eq!(record.codes().collect::<Vec<_>>(), [0x721, 0x8009_030F]);
    let long = ErrorParameter::Long;
    assert_eq!(record.parameters, [long(0x8009_030F), long(9), long(5)]);
}

/// The requests and answers of activations and resolvers, their stubs in the clear: what Windows wrote is what we write of it.
#[test]
fn activations_and_resolvers_are_written_as_they_were() {
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, connections) in captures() {
        for sent in &connections {
            let Some(answers) = sent.answers(&connections) else { continue };
            for (call, answer) in calls(sent, answers) {
                let what = match (call.interface, call.opnum) {
                    (Iid::REMOTE_SCM_ACTIVATOR, 3 | 4) => {
                        activation(&call, answer, &name);
                        "activation"
                    }
                    (Iid::CLASS_FACTORY, _) => {
                        factory(&call, answer, &name);
                        "factory"
                    }
                    (Iid::OBJECT_EXPORTER, _) => {
                        resolver(&call, answer, &name);
                        "resolver"
                    }
                    _ => continue,
                };
                *count.entry(what).or_default() += 1;
            }
        }
    }
    println!("{count:?}");
    let expected = BTreeMap::from([("activation", 4), ("factory", 2), ("resolver", 3)]);
    assert!(folder().is_none() || count == expected, "{count:?}");
}

/// A call of the captures.
struct Called<'a> {
    interface: Iid,
    opnum: u16,
    stub: &'a [u8],
}

/// Calls and answers of a connection that have one fragment each and are not encrypted.
fn calls<'a>(sent: &'a Sent, answers: &'a Sent) -> Vec<(Called<'a>, &'a [u8])> {
    let mut contexts: BTreeMap<u16, Iid> = BTreeMap::new();
    let mut calls = Vec::new();
    for pdu in sent.pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()) {
        match pdu.body {
            Body::Bind(bind) | Body::AlterContext(bind) => {
                let ids = bind.elements.iter().map(|element| (element.id, Iid(element.abstract_syntax.uuid)));
                contexts.extend(ids);
            }
            Body::Request(request) => {
                let answer =
                    answers.pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()).find_map(|answer| {
                        match answer.body {
                            Body::Response(response) if answer.call_id == pdu.call_id => Some(response.stub),
                            _ => None,
                        }
                    });
                if let (Some(&interface), Some(answer)) = (contexts.get(&request.context_id), answer) {
                    calls.push((Called { interface, opnum: request.opnum, stub: request.stub }, answer));
                }
            }
            _ => {}
        }
    }
    calls
}

/// Everything up to a verification trailer, which is 4-aligned behind the parameters.
fn without_trailer<'a>(stub: &'a [u8], reader: &Reader<'_>) -> &'a [u8] {
    let found = VerificationTrailer::find(stub, reader.position(), ByteOrder::Little).unwrap();
    let rest = reader.remaining();
    assert!(found.is_some() || rest.len() < 8 && rest.iter().all(|&byte| byte == 0), "{rest:02x?}");
    &stub[..reader.position()]
}

fn activation(call: &Called<'_>, answer: &[u8], name: &str) {
    let mut reader = Reader::new(call.stub, ByteOrder::Little);
    let this = OrpcThis::read(&mut reader).unwrap();
    assert_eq!((this.flags, this.version), (OrpcThis::ACTIVATION, ComVersion::OURS), "{name}");
    let request = ActivatorRequest::read(call.opnum, &mut reader).unwrap();
    let (ActivatorRequest::GetClassObject(wanted) | ActivatorRequest::CreateInstance(wanted)) = &request
    else {
        panic!("{name}: {request:?}")
    };
    assert!(wanted.server.is_some(), "{name}");
    // What we ask differs from what Windows asked in these alone.
    let ours = ActivationProperties::of(
        wanted.class,
        wanted.interfaces.clone(),
        wanted.context.unwrap(),
        wanted.server.clone(),
    );
    let ActivationProperties { class_context, default_level, .. } = *wanted;
    assert_eq!(ActivationProperties { class_context, default_level, ..ours }, *wanted, "{name}");
    let mut writer = Writer::new();
    this.write(&mut writer);
    request.write(&mut writer);
    let written = writer.into_bytes();
    assert_eq!(written, without_trailer(call.stub, &reader), "{name}");

    let mut reader = Reader::new(answer, ByteOrder::Little);
    let that = OrpcThat::read(&mut reader).unwrap();
    assert_eq!(that, OrpcThat::ACTIVATION, "{name}");
    let response = ActivatorResponse::read(&mut reader).unwrap();
    let mut writer = Writer::new();
    that.write(&mut writer);
    response.write(&mut writer);
    let written = writer.into_bytes();
    assert_eq!(written, without_trailer(answer, &reader), "{name}");
}

fn factory(call: &Called<'_>, answer: &[u8], name: &str) {
    let mut reader = Reader::new(call.stub, ByteOrder::Little);
    let this = OrpcThis::read(&mut reader).unwrap();
    let request = FactoryRequest::read(call.opnum, &mut reader).unwrap();
    assert_eq!(request, FactoryRequest::CreateInstance { iid: Iid::UNKNOWN }, "{name}");
    let mut writer = Writer::new();
    this.write(&mut writer);
    request.write(&mut writer);
    assert_eq!(writer.into_bytes(), without_trailer(call.stub, &reader), "{name}");

    let mut reader = Reader::new(answer, ByteOrder::Little);
    let that = OrpcThat::read(&mut reader).unwrap();
    assert_eq!(that, OrpcThat::CALL, "{name}");
    let response = FactoryResponse::read(&request, &mut reader).unwrap();
    let FactoryResponse::Created { reference: Some(_), code: Hresult::S_OK } = response else {
        panic!("{name}: {response:?}")
    };
    let mut writer = Writer::new();
    that.write(&mut writer);
    response.write(&mut writer);
    assert_eq!(writer.into_bytes(), without_trailer(answer, &reader), "{name}");
}

fn resolver(call: &Called<'_>, answer: &[u8], name: &str) {
    let mut reader = Reader::new(call.stub, ByteOrder::Little);
    let request = ResolverRequest::read(call.opnum, &mut reader).unwrap();
    let mut writer = Writer::new();
    request.write(&mut writer);
    assert_eq!(writer.into_bytes(), call.stub, "{name}");
    let mut reader = Reader::new(answer, ByteOrder::Little);
    let response = ResolverResponse::read(call.opnum, &mut reader).unwrap();
    let mut writer = Writer::new();
    response.write(&mut writer);
    assert_eq!(writer.into_bytes(), answer, "{name}");
}
