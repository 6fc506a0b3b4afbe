//! The PDUs of connection-oriented DCE/RPC, as they come off a connection (wire.md 2).

use certadm_wire::ndr::ByteOrder;
use certadm_wire::rpc::{Assembly, Body, Header, Layout, MAX_FRAGMENT, Pdu, VerificationTrailer};

/// What one call may bring, in bytes.
const MAX_STUB: usize = 4096;

/// The input is a stream of PDUs.
pub(crate) fn run(data: &[u8]) {
    let mut rest = data;
    let mut assembly = Assembly::new(MAX_STUB);
    while let Ok(Some(header)) = Header::peek(rest, MAX_FRAGMENT) {
        let Some((bytes, after)) = rest.split_at_checked(header.fragment_length.into()) else {
            break;
        };
        assert!(!bytes.is_empty(), "a PDU without bytes would never end");
        rest = after;
        let Ok(pdu) = Pdu::decode(bytes) else {
            continue;
        };
        round_trip(&pdu);
        if let Body::Request(request) = &pdu.body {
            trailer(request.stub);
            let key = (pdu.call_id, request.context_id, request.opnum);
            if let Ok(Some(stub)) = assembly.push(key, pdu.flags, request.stub) {
                assert!(stub.len() <= MAX_STUB);
            }
        }
    }
    trailer(data);
}

/// What was read and can be written reads the same again.
fn round_trip(pdu: &Pdu<'_>) {
    let mut encoded = Vec::new();
    let Ok(layout) = pdu.encode(&mut encoded) else {
        return; // with our padding it may be too long
    };
    let header = Header::decode(&encoded);
    let Ok(header) = header else {
        panic!("our own header is refused: {header:?}");
    };
    assert_eq!(Layout::of(&header, &encoded).as_ref(), Ok(&layout));
    assert_eq!(Pdu::decode(&encoded).as_ref(), Ok(pdu));
}

fn trailer(stub: &[u8]) {
    let Ok(Some(trailer)) = VerificationTrailer::find(stub, 0, ByteOrder::Little) else {
        return;
    };
    let mut encoded = Vec::new();
    trailer.append_to(&mut encoded);
    assert_eq!(VerificationTrailer::find(&encoded, 0, ByteOrder::Little), Ok(Some(trailer)));
}
