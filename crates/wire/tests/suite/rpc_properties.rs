//! Properties of all PDUs: decode-encode-decode, truncation at every byte, arbitrary bytes, fragments, trailers.

use certadm_wire::ndr::{ByteOrder, Guid};
use certadm_wire::rpc::{
    AckBody, Assembly, AssemblyError, AuthLevel, AuthType, BindBody, BindOutcome, Body, Command,
    ContextElement, EncodeError, FaultBody, FaultStatus, Features, Flags, FragmentPlan, Header, Layout,
    MAX_FRAGMENT, NakBody, NakReason, Pdu, PduError, PduKind, ProviderReason, RequestBody, ResponseBody,
    SyntaxId, TrailerContext, TrailerEntry, TrailerError, VerificationTrailer, Verifier,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn guid() -> impl Strategy<Value = Guid> {
    any::<[u8; 16]>().prop_map(Guid::from_le_bytes)
}

fn syntax() -> impl Strategy<Value = SyntaxId> {
    (guid(), any::<u16>(), any::<u16>()).prop_map(|(uuid, major, minor)| SyntaxId::new(uuid, major, minor))
}

fn bind() -> impl Strategy<Value = BindBody> {
    let element =
        (any::<u16>(), syntax(), vec(syntax(), 0..4)).prop_map(|(id, abstract_syntax, transfer_syntaxes)| {
            ContextElement { id, abstract_syntax, transfer_syntaxes }
        });
    (any::<u16>(), any::<u16>(), any::<u32>(), vec(element, 0..4)).prop_map(
        |(max_transmit, max_receive, association_group, elements)| BindBody {
            max_transmit,
            max_receive,
            association_group,
            elements,
        },
    )
}

fn ack() -> impl Strategy<Value = AckBody> {
    let outcome = prop_oneof![
        syntax().prop_map(BindOutcome::Accepted),
        any::<u16>().prop_map(|reason| BindOutcome::UserRejection { reason }),
        any::<u16>().prop_map(|reason| BindOutcome::ProviderRejection(ProviderReason(reason))),
        any::<u16>().prop_map(|bits| BindOutcome::NegotiateAck(Features::from_bits(bits))),
    ];
    (any::<u16>(), any::<u32>(), vec(any::<u8>(), 0..8), vec(outcome, 0..4)).prop_map(
        |(size, association_group, secondary_address, results)| AckBody {
            max_transmit: size,
            max_receive: size.wrapping_add(1),
            association_group,
            secondary_address,
            results,
        },
    )
}

/// A PDU with owned bytes for its stub and token.
fn with_pdus(
    check: impl Fn(&Pdu<'_>) -> Result<(), TestCaseError>,
) -> impl Fn(Parts) -> Result<(), TestCaseError> {
    move |(choice, flags, call_id, words, object, bind, ack, stub, token)| {
        let (alloc_hint, context_id, opnum, byte) = words;
        let body = match choice {
            0 => Body::Request(RequestBody { alloc_hint, context_id, opnum, object, stub: &stub }),
            1 => Body::Response(ResponseBody { alloc_hint, context_id, cancel_count: byte, stub: &stub }),
            2 => Body::Fault(FaultBody {
                alloc_hint,
                context_id,
                cancel_count: byte,
                status: FaultStatus(call_id.rotate_left(7)),
                extended: &stub,
            }),
            3 => Body::Bind(bind),
            4 => Body::AlterContext(bind),
            5 => Body::BindAck(ack),
            6 => Body::AlterContextResponse(ack),
            7 => Body::BindNak(NakBody {
                reason: NakReason(opnum),
                versions: vec![(5, byte); usize::from(byte) % 4],
                extended: &stub,
            }),
            8 => Body::Auth3,
            9 => Body::Shutdown,
            10 => Body::Cancel,
            _ => Body::Orphaned,
        };
        let (auth_type, level, token) = (AuthType(token.0), token.1, token.2);
        let verifier = (!token.is_empty()).then_some(Verifier {
            auth_type,
            level,
            context_id: alloc_hint,
            token: &token,
        });
        check(&Pdu { flags: Flags::from_bits(flags & 0x7f), call_id, body, verifier })
    }
}

type Parts =
    (u8, u8, u32, (u32, u16, u16, u8), Option<Guid>, BindBody, AckBody, Vec<u8>, (u8, AuthLevel, Vec<u8>));

fn parts() -> impl Strategy<Value = Parts> {
    let level = (1u8..7).prop_map(|level| AuthLevel::from_wire(level).unwrap());
    (
        0u8..12,
        any::<u8>(),
        any::<u32>(),
        any::<(u32, u16, u16, u8)>(),
        prop::option::of(guid()),
        bind(),
        ack(),
        vec(any::<u8>(), 0..70),
        (any::<u8>(), level, vec(any::<u8>(), 0..30)),
    )
}

proptest! {
    #[test]
    fn decode_encode_decode(parts in parts()) {
        with_pdus(|pdu| {
            let mut bytes = vec![0xaa; 3];
            let layout = pdu.encode(&mut bytes).unwrap();
            let decoded = Pdu::decode(&bytes).unwrap();
            if let (Body::BindAck(sent) | Body::AlterContextResponse(sent),
                    Body::BindAck(got) | Body::AlterContextResponse(got)) = (&pdu.body, &decoded.body) {
                prop_assert_eq!(sent, got);
            }
            prop_assert_eq!(&decoded, pdu);
            prop_assert_eq!(Layout::of(&Header::decode(&bytes).unwrap(), &bytes), Ok(layout));
            let mut again = Vec::new();
            decoded.encode(&mut again).unwrap();
            prop_assert_eq!(again, bytes);
            Ok(())
        })(parts)?;
    }

    #[test]
    fn truncation_at_every_byte_is_an_error(parts in parts()) {
        with_pdus(|pdu| {
            let mut bytes = Vec::new();
            pdu.encode(&mut bytes).unwrap();
            for length in 0..bytes.len() {
                prop_assert!(Pdu::decode(&bytes[..length]).is_err(), "{} of {}", length, bytes.len());
                // The same with a header that agrees with what is left: must not panic, may be a smaller PDU.
                let mut shorter = bytes[..length].to_vec();
                if let Some(place) = shorter.get_mut(8..10) {
                    place.copy_from_slice(&u16::try_from(length).unwrap().to_le_bytes());
                }
                let _ = Pdu::decode(&shorter);
            }
            bytes.push(0);
            prop_assert!(Pdu::decode(&bytes).is_err());
            Ok(())
        })(parts)?;
    }

    #[test]
    fn one_changed_byte_never_panics(parts in parts(), place in any::<prop::sample::Index>(), value in any::<u8>()) {
        with_pdus(|pdu| {
            let mut bytes = Vec::new();
            pdu.encode(&mut bytes).unwrap();
            let place = place.index(bytes.len());
            bytes[place] = value;
            if let Ok(decoded) = Pdu::decode(&bytes) {
                let mut again = Vec::new();
                decoded.encode(&mut again).unwrap();
                prop_assert_eq!(Pdu::decode(&again), Ok(decoded));
            }
            Ok(())
        })(parts)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        mut bytes in vec(any::<u8>(), 0..200), likely in any::<bool>(), kind in 0u8..20, auth in 0u8..40,
    ) {
        if likely && bytes.len() >= 16 {
            let length = u8::try_from(bytes.len()).unwrap();
            bytes[..12].copy_from_slice(&[5, 0, kind, 3, 0x10, 0, 0, 0, length, 0, auth, 0]);
        }
        let _ = Pdu::decode(&bytes);
        let _ = Header::peek(&bytes, 5840);
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let _ = VerificationTrailer::find(&bytes, usize::from(auth), order);
        }
    }

    #[test]
    fn fragments_come_together(
        length in 0usize..5000, max in 60u16..1500, object in any::<bool>(), token in prop::option::of(1u16..80),
    ) {
        let stub: Vec<u8> = (0..length).map(|byte| byte.to_le_bytes()[0]).collect();
        let overhead = if object { 40 } else { 24 } + token.map_or(0, |token| 8 + token);
        let Ok(plan) = FragmentPlan::new(length, max, object, token) else {
            prop_assert!(max < overhead + 16);
            return Ok(());
        };
        let fragments: Vec<_> = plan.collect();
        let mut assembly = Assembly::new(length);
        for (index, fragment) in fragments.iter().enumerate() {
            let piece = &stub[fragment.range.clone()];
            prop_assert!(index + 1 == fragments.len() || piece.len().is_multiple_of(16));
            prop_assert!(usize::from(overhead) + piece.len().next_multiple_of(16) <= usize::from(max));
            prop_assert_eq!(usize::try_from(fragment.alloc_hint).unwrap(), length - fragment.range.start);
            match assembly.push(7, fragment.flags, piece).unwrap() {
                Some(whole) => {
                    prop_assert_eq!(index + 1, fragments.len());
                    prop_assert_eq!(whole.as_ref(), &stub[..]);
                }
                None => prop_assert!(index + 1 < fragments.len()),
            }
        }
        prop_assert!(!assembly.is_open());
    }

    #[test]
    fn trailers_come_back(
        lead in 0usize..20, bits in any::<u32>(), interface in syntax(), must in any::<[bool; 4]>(),
        number in 4u16..0x4000, data in vec(any::<u8>(), 0..20), numbers in any::<(u32, u16, u16)>(),
    ) {
        let (call_id, context_id, opnum) = numbers;
        let commands = [
            Command::Bitmask(bits),
            Command::PresentationContext { interface, transfer: SyntaxId::NDR },
            Command::Header { ptype: 0, representation: [0x10, 0, 0, 0], call_id, context_id, opnum },
            Command::Unknown { number, data },
        ];
        let entries = commands.into_iter().zip(must).map(|(command, must_process)| TrailerEntry { must_process, command });
        let trailer = VerificationTrailer { entries: entries.collect() };
        let mut stub = vec![0; lead];
        trailer.append_to(&mut stub);
        for cut in lead..stub.len() {
            let found = VerificationTrailer::find(&stub[..cut], lead, ByteOrder::Little);
            prop_assert!(matches!(found, Ok(None) | Err(TrailerError::Malformed)), "{:?}", found);
        }
        let found = VerificationTrailer::find(&stub, lead, ByteOrder::Little).unwrap();
        prop_assert_eq!(found.as_ref(), Some(&trailer));
        let transfer = SyntaxId::NDR;
        let context = TrailerContext { interface, transfer, call_id, context_id, opnum, header_signing: true };
        let verdict = if must[3] { Err(TrailerError::UnknownCommand { number }) } else { Ok(()) };
        prop_assert_eq!(trailer.check(&context), verdict);
        let other = TrailerContext { opnum: !opnum, ..context };
        prop_assert_eq!(trailer.check(&other), Err(TrailerError::Header));
        let other = TrailerContext { interface: SyntaxId::NDR64, ..context };
        prop_assert_eq!(trailer.check(&other), Err(TrailerError::PresentationContext));
        let other = TrailerContext { header_signing: false, ..context };
        let verdict = if bits & 1 == 1 { Err(TrailerError::StrippedHeaderSigning) } else { verdict };
        prop_assert_eq!(trailer.check(&other), verdict);
    }
}

#[test]
fn the_trailer_of_the_reference_has_this_form() {
    let bitmask = TrailerEntry { must_process: false, command: Command::Bitmask(1) };
    let mut stub = vec![1];
    VerificationTrailer { entries: vec![bitmask] }.append_to(&mut stub);
    let expected =
        [1, 0, 0, 0, 0x8a, 0xe3, 0x13, 0x71, 0x02, 0xf4, 0x36, 0x71, 0x01, 0x40, 0x04, 0x00, 0x01, 0, 0, 0];
    assert_eq!(stub, expected);
    assert_eq!(VerificationTrailer::find(&[1, 2, 3, 4], 0, ByteOrder::Little), Ok(None));
    VerificationTrailer { entries: Vec::new() }.append_to(&mut stub);
    assert_eq!(stub, expected);
}

#[test]
fn room_in_a_fragment() {
    // wire.md 2.8
    let room = |object, token| FragmentPlan::new(0, 5840, object, Some(token)).unwrap().room();
    assert_eq!((room(false, 16), room(true, 16)), (5792, 5776));
    assert_eq!((room(false, 76), room(true, 76)), (5728, 5712));
    assert!(FragmentPlan::new(0, 39, false, None).is_err());
}

#[test]
fn fragments_that_do_not_belong_are_refused() {
    let mut assembly = Assembly::new(8);
    let middle = Flags::default();
    assert_eq!(assembly.push(1, middle, b"ab"), Err(AssemblyError::NotBegun));
    assert_eq!(assembly.push(1, Flags::LAST, b"ab"), Err(AssemblyError::NotBegun));
    assert_eq!(assembly.push(1, Flags::FIRST, b""), Err(AssemblyError::Empty));
    assert_eq!(assembly.push(1, Flags::FIRST, b"ab"), Ok(None));
    assert_eq!(assembly.push(1, Flags::FIRST, b"ab"), Err(AssemblyError::BegunTwice));
    assert_eq!(assembly.push(1, Flags::FIRST, b"ab"), Ok(None));
    assert_eq!(assembly.push(2, Flags::LAST, b"ab"), Err(AssemblyError::OtherCall));
    assert_eq!(assembly.push(1, Flags::FIRST, b"abcdefgh"), Ok(None));
    let too_large = AssemblyError::TooLarge { limit: 8 };
    assert_eq!(assembly.push(1, Flags::LAST, b"i"), Err(too_large));
    assert_eq!(too_large.fault(), FaultStatus::ACCESS_DENIED);
    assert_eq!(AssemblyError::OtherCall.fault(), FaultStatus::PROTOCOL_ERROR);
    assert_eq!(assembly.push(1, Flags::ONLY, b"abcdefghi"), Err(too_large));
    assert_eq!(assembly.push(1, Flags::ONLY, b""), Ok(Some(b"".as_slice().into())));
}

#[test]
fn storage_that_is_given_back_serves_the_next_stub() {
    let mut assembly = Assembly::new(usize::MAX);
    let mut whole = |storage: Vec<u8>| {
        assembly.recycle(storage);
        assert_eq!(assembly.push(1, Flags::FIRST, b"abc"), Ok(None));
        assembly.push(1, Flags::LAST, b"def").unwrap().unwrap().into_owned()
    };
    let mut storage = vec![0xff; 600_000];
    let place = storage.as_ptr();
    for _ in 0..3 {
        storage = whole(storage);
        assert_eq!((storage.as_slice(), storage.as_ptr()), (b"abcdef".as_slice(), place));
    }
    let too_large = whole(Vec::with_capacity(100 << 20));
    assert!(too_large.capacity() < 1024);
}

#[test]
fn headers_are_checked_one_by_one() {
    let good = [5, 0, 11, 3, 0x10, 0, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0];
    let with = |place: usize, value: u8| {
        let mut bytes = good;
        bytes[place] = value;
        Header::decode(&bytes)
    };
    assert!(Header::decode(&good).is_ok());
    assert_eq!(with(0, 4), Err(PduError::Version { version: 4, minor: 0 }));
    assert_eq!(with(1, 2), Err(PduError::Version { version: 5, minor: 2 }));
    assert_eq!(with(2, 1), Err(PduError::Kind { ptype: 1 }));
    assert_eq!(with(4, 0x11), Err(PduError::DataRepresentation { integers: 0x11, floats: 0 }));
    assert_eq!(with(5, 1), Err(PduError::DataRepresentation { integers: 0x10, floats: 1 }));
    assert_eq!(with(8, 15), Err(PduError::Lengths { fragment_length: 15, auth_length: 0 }));
    assert_eq!(with(10, 1), Err(PduError::Lengths { fragment_length: 24, auth_length: 1 }));
    let (mut request, limit) = (good, 23);
    request[2] = PduKind::Request.to_wire();
    assert_eq!(Header::peek(&request, limit), Err(PduError::FragmentTooLarge { fragment_length: 24, limit }));
    // What begins an association is not cut into fragments, so that no size of them was agreed for it.
    for ptype in 0..=20 {
        let Some(kind) = PduKind::from_wire(ptype) else { continue };
        let large = [5, 0, ptype, 3, 0x10, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
        let is_whole = matches!(ptype, 11 | 12 | 14 | 15 | 16);
        assert_eq!(Header::peek(&large, MAX_FRAGMENT).is_ok(), is_whole, "{kind:?}");
    }
    assert_eq!(Header::peek(&good[..15], 24), Ok(None));
    assert!(Header::peek(&good, 24).unwrap().is_some());
}

#[test]
fn what_does_not_fit_is_not_encoded() {
    let stub = vec![0; 65_535];
    let body = Body::Response(ResponseBody { alloc_hint: 0, context_id: 0, cancel_count: 0, stub: &stub });
    let mut pdu = Pdu { flags: Flags::ONLY, call_id: 1, body, verifier: None };
    assert_eq!(pdu.encode(&mut Vec::new()), Err(EncodeError::TooLong));
    pdu.body = Body::Auth3;
    let (auth_type, level) = (AuthType::NTLM, AuthLevel::Connect);
    pdu.verifier = Some(Verifier { auth_type, level, context_id: 0, token: &[] });
    assert_eq!(pdu.encode(&mut Vec::new()), Err(EncodeError::EmptyToken));
}
