//! Every PDU that Windows machines sent in the captures is understood, and what they do there is what we believe of them.

use std::collections::BTreeMap;

use certadm_wire::rpc::{Body, Pdu};

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

/// Of what Windows writes with padding that is not zeros, or with more behind what we know of, less comes back: alter_context_resp
/// with an empty secondary address, auth3, and the fault with extended error data.
const WRITTEN_OTHERWISE: [&str; 3] = ["AlterContextResponse", "Auth3", "Fault"];

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

/// A server of Windows tells more of a fault than its status: our reader takes the status and leaves the rest.
#[test]
fn a_fault_with_extended_error_data_has_its_status() {
    let mut statuses = Vec::new();
    for bytes in captures().iter().flat_map(|(_, connections)| connections).flat_map(|sent| &sent.pdus) {
        if let Body::Fault(fault) = Pdu::decode(bytes).unwrap().body {
            statuses.push((fault.status.0, bytes.len()));
        }
    }
    assert!(folder().is_none() || statuses == [(0x721, 152)], "{statuses:x?}");
}
