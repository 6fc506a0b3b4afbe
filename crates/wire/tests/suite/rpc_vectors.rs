//! The PDUs of wire.md 2.17 and the plain parts of 3.9, byte for byte.

use certadm_wire::ndr::{ByteOrder, Guid};
use certadm_wire::rpc::{
    AckBody, AuthLevel, AuthType, BindBody, BindOutcome, Body, ContextElement, FaultBody, FaultStatus,
    Features, Flags, Header, Layout, Pdu, ProviderReason, RequestBody, ResponseBody, SyntaxId, Verifier,
    negotiate,
};

use crate::common::hex;

fn same_both_ways(bytes: &[u8], pdu: &Pdu<'_>) {
    assert_eq!(&Pdu::decode(bytes).unwrap(), pdu);
    let mut encoded = Vec::new();
    let layout = pdu.encode(&mut encoded).unwrap();
    assert_eq!(encoded, bytes);
    assert_eq!(Layout::of(&Header::decode(bytes).unwrap(), bytes), Ok(layout));
}

fn exporter() -> SyntaxId {
    SyntaxId::new("99fcfec4-5260-101b-bbcb-00aa0021347a".parse().unwrap(), 0, 0)
}

const BIND: &str = "05 00 0b 03 10 00 00 00 48 00 00 00 01 00 00 00
    d0 16 d0 16 00 00 00 00 01 00 00 00 00 00 01 00
    c4 fe fc 99 60 52 1b 10 bb cb 00 aa 00 21 34 7a
    00 00 00 00 04 5d 88 8a eb 1c c9 11 9f e8 08 00
    2b 10 48 60 02 00 00 00";

fn bind() -> BindBody {
    BindBody {
        max_transmit: 5840,
        max_receive: 5840,
        association_group: 0,
        elements: vec![ContextElement {
            id: 0,
            abstract_syntax: exporter(),
            transfer_syntaxes: vec![SyntaxId::NDR],
        }],
    }
}

#[test]
fn bind_to_the_object_exporter() {
    let bytes = hex(BIND);
    assert_eq!(bytes.len(), 72);
    let body = Body::Bind(bind());
    same_both_ways(&bytes, &Pdu { flags: Flags::ONLY, call_id: 1, body, verifier: None });
}

#[test]
fn bind_ack_with_its_port() {
    let bytes = hex("05 00 0c 03 10 00 00 00 3c 00 00 00 01 00 00 00
        d0 16 d0 16 f0 53 00 00 04 00 31 33 35 00 00 00
        01 00 00 00 00 00 00 00 04 5d 88 8a eb 1c c9 11
        9f e8 08 00 2b 10 48 60 02 00 00 00");
    let body = Body::BindAck(AckBody {
        max_transmit: 5840,
        max_receive: 5840,
        association_group: 0x53f0,
        secondary_address: b"135".to_vec(),
        results: vec![BindOutcome::Accepted(SyntaxId::NDR)],
    });
    same_both_ways(&bytes, &Pdu { flags: Flags::ONLY, call_id: 1, body, verifier: None });
}

#[test]
fn server_alive_request() {
    let bytes = hex("05 00 00 03 10 00 00 00 18 00 00 00 02 00 00 00 00 00 00 00 00 00 05 00");
    let body = Body::Request(RequestBody { alloc_hint: 0, context_id: 0, opnum: 5, object: None, stub: &[] });
    same_both_ways(&bytes, &Pdu { flags: Flags::ONLY, call_id: 2, body, verifier: None });
}

#[test]
fn fault_opnum_out_of_range() {
    let bytes = hex("05 00 03 03 10 00 00 00 20 00 00 00 05 00 00 00
        20 00 00 00 00 00 00 00 02 00 01 1c 00 00 00 00");
    let status = FaultStatus::OPNUM_OUT_OF_RANGE;
    let body = Body::Fault(FaultBody::plain(0, status));
    same_both_ways(&bytes, &Pdu { flags: Flags::ONLY, call_id: 5, body, verifier: None });
    assert_eq!(status.client_code(), 0x6D1);
}

#[test]
fn feature_negotiation_of_windows() {
    // wire.md 2.4
    let proposal = Features::from_bits(3).proposal();
    assert_eq!(proposal.uuid.to_le_bytes().to_vec(), hex("2c 1c b7 6c 12 98 40 45 03 00 00 00 00 00 00 00"));
    assert_eq!((proposal.major, proposal.minor), (1, 0));
    assert_eq!(Features::proposed_by(&proposal), Some(Features::from_bits(3)));
    assert_eq!(Features::proposed_by(&SyntaxId::NDR), None);
    let element =
        |id, syntax| ContextElement { id, abstract_syntax: exporter(), transfer_syntaxes: vec![syntax] };
    let elements = [element(0, SyntaxId::NDR), element(1, SyntaxId::NDR64), element(2, proposal)];
    let multiplexing = Features::SECURITY_CONTEXT_MULTIPLEXING;
    assert_eq!(
        negotiate(&elements, multiplexing, |interface| *interface == exporter()),
        [
            BindOutcome::Accepted(SyntaxId::NDR),
            BindOutcome::ProviderRejection(ProviderReason::TRANSFER_SYNTAXES),
            BindOutcome::NegotiateAck(multiplexing),
        ]
    );
    assert_eq!(
        negotiate(&elements[..1], multiplexing, |_| false),
        [BindOutcome::ProviderRejection(ProviderReason::ABSTRACT_SYNTAX)]
    );
}

const READ_STUB: &str = "05 00 07 00 00 00 00 00 00 00 00 00 11 11 11 11
    22 22 33 33 44 44 55 55 55 55 55 55 00 00 00 00 00 00 01 00";

#[test]
fn read_request_before_sealing() {
    let stub = hex(READ_STUB);
    let bytes = hex("05 00 00 83 10 00 00 00 70 00 10 00 05 00 00 00
        24 00 00 00 00 00 19 00
        02 1c 00 00 5c 0a 00 00 8d 1e 7f 5f 2a 9b 3c 4d
        05 00 07 00 00 00 00 00 00 00 00 00 11 11 11 11
        22 22 33 33 44 44 55 55 55 55 55 55 00 00 00 00
        00 00 01 00
        00 00 00 00 00 00 00 00 00 00 00 00
        0a 06 0c 00 00 00 00 00
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
    let object: Guid = "00001c02-0a5c-0000-8d1e-7f5f2a9b3c4d".parse().unwrap();
    let body = Body::Request(RequestBody {
        alloc_hint: 36,
        context_id: 0,
        opnum: 25,
        object: Some(object),
        stub: &stub,
    });
    let (auth_type, level) = (AuthType::NTLM, AuthLevel::Privacy);
    let verifier = Some(Verifier { auth_type, level, context_id: 0, token: &[0; 16] });
    let pdu = Pdu { flags: Flags::ONLY, call_id: 5, body, verifier };
    same_both_ways(&bytes, &pdu);
    let layout = pdu.encode(&mut Vec::new()).unwrap();
    assert_eq!(
        layout,
        Layout { header: 0..0x28, body: 0x28..0x58, sec_trailer: 0x58..0x60, token: 0x60..0x70, padding: 12 }
    );
}

#[test]
fn sealed_pdus_show_their_parts() {
    let request = hex("05 00 00 83 10 00 00 00 70 00 10 00 05 00 00 00
        24 00 00 00 00 00 19 00 02 1c 00 00 5c 0a 00 00
        8d 1e 7f 5f 2a 9b 3c 4d 01 e5 6a 65 de 19 5f dc
        f7 60 54 c1 f5 0a 66 17 ad 7d 3c b5 e2 d0 62 5e
        5f 2a 61 96 64 e0 ff a2 5f e7 9b 23 51 53 ac 4a
        79 e7 74 fa 37 38 58 cd 0a 06 0c 00 00 00 00 00
        01 00 00 00 fd 50 54 b0 fb 76 ad 8e 00 00 00 00");
    let header = Header::decode(&request).unwrap();
    let layout = Layout::of(&header, &request).unwrap();
    assert_eq!((layout.header.clone(), layout.body.clone(), layout.padding), (0..40, 40..88, 12));
    let verifier = layout.verifier(&header, &request).unwrap().unwrap();
    assert_eq!(verifier.token, hex("01 00 00 00 fd 50 54 b0 fb 76 ad 8e 00 00 00 00"));
    // Unsealing in place gives the plain request again.
    let mut plain = request.clone();
    plain[layout.body].copy_from_slice(&[hex(READ_STUB), vec![0; 12]].concat());
    let Body::Request(body) = Pdu::decode(&plain).unwrap().body else { panic!("not a request") };
    assert_eq!((body.opnum, body.stub), (25, hex(READ_STUB).as_slice()));

    let response = hex("05 00 02 03 10 00 00 00 60 00 10 00 05 00 00 00
        24 00 00 00 00 00 00 00 46 08 1d b7 51 ba 1d e9
        38 c4 27 d7 82 f9 8f 83 5c d0 14 8b 21 03 64 18
        15 d2 6d b8 c7 18 69 36 b5 ee d5 a7 1d 46 cf b5
        91 69 bd 77 48 94 54 5c 0a 06 0c 00 00 00 00 00
        01 00 00 00 eb 02 25 81 49 09 5f 90 00 00 00 00");
    let sealed = Pdu::decode(&response).unwrap();
    let token = hex("01 00 00 00 eb 02 25 81 49 09 5f 90 00 00 00 00");
    let (auth_type, level) = (AuthType::NTLM, AuthLevel::Privacy);
    assert_eq!(sealed.verifier, Some(Verifier { auth_type, level, context_id: 0, token: &token }));
    let stub = &response[24..60];
    let body = Body::Response(ResponseBody { alloc_hint: 36, context_id: 0, cancel_count: 0, stub });
    assert_eq!((sealed.call_id, &sealed.body), (5, &body));
    // Encoding the same plain answer makes the same headers, padding and trailer around the sealed body.
    let plain = hex("00 00 00 00 00 00 00 00 10 00 00 00 a1 a2 a3 a4 a5 00 00 00 00 00 00 00 00 00 00 00
        05 00 00 00 00 00 00 00");
    let body = Body::Response(ResponseBody { alloc_hint: 36, context_id: 0, cancel_count: 0, stub: &plain });
    let mut encoded = Vec::new();
    let layout = Pdu { body, ..sealed }.encode(&mut encoded).unwrap();
    assert_eq!(encoded[layout.body.clone()], [plain, vec![0; 12]].concat());
    encoded[layout.body.clone()].copy_from_slice(&response[layout.body]);
    assert_eq!(encoded, response);
}

#[test]
fn big_endian_is_decoded_and_named() {
    let bytes = hex("05 00 00 83 00 00 00 00 00 2a 00 00 00 00 00 05
        00 00 00 24 00 01 00 19
        00 00 1c 02 0a 5c 00 00 8d 1e 7f 5f 2a 9b 3c 4d 61 62");
    assert_eq!(Header::decode(&bytes).unwrap().order, ByteOrder::Big);
    let object = "00001c02-0a5c-0000-8d1e-7f5f2a9b3c4d".parse().ok();
    let body = Body::Request(RequestBody { alloc_hint: 36, context_id: 1, opnum: 25, object, stub: b"ab" });
    assert_eq!(Pdu::decode(&bytes), Ok(Pdu { flags: Flags::ONLY, call_id: 5, body, verifier: None }));
}

#[test]
fn foreign_habits_are_understood() {
    // bind_nak of Windows: reason, one version, then a signature and more (wire.md 2.3)
    let nak = hex("05 00 0d 03 10 00 00 00 27 00 00 00 01 00 00 00 04 00 01 05 00 00 00
        20 03 74 90 d0 fa d3 11 82 d7 00 90 27 b1 30 ab");
    let Body::BindNak(plain) = Pdu::decode(&nak).unwrap().body else { panic!("not a bind_nak") };
    assert_eq!((plain.reason.0, plain.versions.as_slice(), plain.extended), (4, &[(5, 0)][..], &[][..]));
    // Extended error data stand behind the signature, whatever padding stands before it; other bytes there are nothing.
    for padding in 0..9 {
        let mut nak = nak[..21].to_vec();
        nak.extend(vec![0; padding]);
        nak.extend(hex("20 03 74 90 d0 fa d3 11 82 d7 00 90 27 b1 30 ab 01 10 08 00"));
        nak[8] = u8::try_from(nak.len()).unwrap();
        let Body::BindNak(body) = Pdu::decode(&nak).unwrap().body else { panic!("not a bind_nak") };
        let expected: &[u8] = if padding < 8 { &[1, 0x10, 8, 0] } else { &[] };
        assert_eq!(body.extended, expected, "{padding}");
        *nak.last_mut().unwrap() = 1;
        nak[21 + padding] ^= 1;
        let Body::BindNak(body) = Pdu::decode(&nak).unwrap().body else { panic!("not a bind_nak") };
        assert!(body.extended.is_empty(), "another signature");
    }
    // impacket pads a stub to 4 bytes, with bf (wire.md 2.8)
    let request = hex("05 00 00 03 10 00 00 00 28 00 04 00 01 00 00 00 02 00 00 00 00 00 03 00
        61 62 bf bf 0a 05 02 00 07 00 00 00 01 02 03 04");
    let decoded = Pdu::decode(&request).unwrap();
    let Body::Request(body) = decoded.body else { panic!("not a request") };
    assert_eq!(body.stub, b"ab");
    assert_eq!(decoded.verifier.map(|verifier| verifier.context_id), Some(7));
    // minor version 1, and auth3 with any four bytes
    let auth3 =
        hex("05 01 10 03 10 00 00 00 1e 00 02 00 01 00 00 00 20 20 20 20 0a 06 00 00 00 00 00 00 4e 54");
    assert_eq!(Pdu::decode(&auth3).unwrap().body, Body::Auth3);
}
