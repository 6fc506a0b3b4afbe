//! The server's side of a connection: binds, several security contexts, calls in fragments, refusals.

use certadm_wire::dcom::{Iid, level_rule};
use certadm_wire::rpc::{
    AuthLevel, AuthType, BindBody, BindOutcome, Body, ContextElement, FaultStatus, Flags, LegResult,
    NakReason, Pdu, PduError, ProviderReason, RequestBody, SecurityState, ServerConnection, ServerEvent,
    ServerLimits, SyntaxId, Verifier,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn served() -> SyntaxId {
    SyntaxId::new("99fcfec4-5260-101b-bbcb-00aa0021347a".parse().unwrap(), 0, 0)
}

fn connection() -> ServerConnection<impl Fn(&SyntaxId) -> bool + Clone> {
    let limits =
        ServerLimits { presentation_contexts: 2, security_contexts: 2, max_stub: 64, ..Default::default() };
    ServerConnection::new(limits, b"135".to_vec(), 9, |interface| *interface == served())
}

fn bind_of(ids: &[u16], abstract_syntax: SyntaxId) -> BindBody {
    let transfer_syntaxes = vec![SyntaxId::NDR];
    let element = |&id| ContextElement { id, abstract_syntax, transfer_syntaxes: transfer_syntaxes.clone() };
    let elements = ids.iter().map(element).collect();
    BindBody { max_transmit: 4280, max_receive: 4280, association_group: 0, elements }
}

fn pdu(body: Body<'_>) -> Pdu<'_> {
    Pdu { flags: Flags::ONLY, call_id: 3, body, verifier: None }
}

fn verifier(context_id: u32, token: &[u8]) -> Option<Verifier<'_>> {
    Some(Verifier { auth_type: AuthType::NTLM, level: AuthLevel::Privacy, context_id, token })
}

fn request(context_id: u16, stub: &[u8]) -> Body<'_> {
    Body::Request(RequestBody { alloc_hint: 0, context_id, opnum: 5, object: None, stub })
}

fn outcomes(event: &ServerEvent<'_>) -> Vec<BindOutcome> {
    match event {
        ServerEvent::Send(Pdu { body: Body::BindAck(ack) | Body::AlterContextResponse(ack), .. }) => {
            assert_eq!((ack.max_transmit, ack.association_group), (4280, 9));
            ack.results.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn refused(event: ServerEvent<'_>) -> FaultStatus {
    match event {
        ServerEvent::Refuse(Some(Pdu { body: Body::Fault(fault), .. })) => fault.status,
        other => panic!("{other:?}"),
    }
}

/// wire.md 2.3: Windows clients join the group of their first connection, and give up where another one is answered.
#[test]
fn a_group_that_the_client_names_is_the_one_it_gets() {
    let group_of = |event: ServerEvent<'_>| match event {
        ServerEvent::Send(Pdu { body: Body::BindAck(ack) | Body::AlterContextResponse(ack), .. }) => {
            ack.association_group
        }
        other => panic!("{other:?}"),
    };
    let bind = |group| BindBody { association_group: group, ..bind_of(&[0], served()) };
    for (asked, answered) in [(0, 9), (0x53f0, 0x53f0), (u32::MAX, u32::MAX)] {
        let mut server = connection();
        assert_eq!(group_of(server.receive(&pdu(Body::Bind(bind(asked))))), answered);
        // Later legs name it again, or none.
        assert_eq!(group_of(server.receive(&pdu(Body::AlterContext(bind(asked))))), answered);
        assert_eq!(group_of(server.receive(&pdu(Body::AlterContext(bind(0))))), answered);
    }
}

#[test]
fn contexts_are_accepted_refused_and_limited() {
    let mut server = connection();
    let accepted = BindOutcome::Accepted(SyntaxId::NDR);
    assert_eq!(outcomes(&server.receive(&pdu(Body::Bind(bind_of(&[0], served()))))), [accepted]);
    let unknown = server.receive(&pdu(Body::AlterContext(bind_of(&[1], SyntaxId::NDR64))));
    assert_eq!(outcomes(&unknown), [BindOutcome::ProviderRejection(ProviderReason::ABSTRACT_SYNTAX)]);
    let full = server.receive(&pdu(Body::AlterContext(bind_of(&[0, 1, 2], served()))));
    assert_eq!(
        outcomes(&full),
        [accepted, accepted, BindOutcome::ProviderRejection(ProviderReason::LOCAL_LIMIT)]
    );
    let ServerEvent::Call(call) = server.receive(&pdu(request(1, b"ab"))) else { panic!("no call") };
    assert_eq!(
        (call.interface, call.opnum, call.security, call.stub.as_ref()),
        (served(), 5, None, &b"ab"[..])
    );
    assert_eq!(refused(server.receive(&pdu(request(2, b"")))), FaultStatus::INVALID_PRESENTATION_CONTEXT);
}

#[test]
fn security_contexts_live_side_by_side() {
    let mut server = connection();
    let bind = Pdu {
        flags: Flags::ONLY.with(Flags::HEADER_SIGNING),
        verifier: verifier(1, b"one"),
        ..pdu(Body::Bind(bind_of(&[0], served())))
    };
    let ServerEvent::Authenticate(leg) = server.receive(&bind) else { panic!("no leg") };
    assert!(leg.is_first && leg.header_signing);
    assert_eq!((leg.context_id, leg.token), (1, &b"one"[..]));
    assert_eq!(server.receive(&bind), ServerEvent::Refuse(None), "one leg at a time");
    let ack = server.authenticated(LegResult::Continue, b"challenge").unwrap();
    assert!(ack.flags.has(Flags::HEADER_SIGNING));
    assert_eq!(ack.verifier, verifier(1, b"challenge"));
    // A request before the last leg is refused.
    let early = Pdu { verifier: verifier(1, b"x"), ..pdu(request(0, b"")) };
    assert_eq!(refused(server.clone().receive(&early)), FaultStatus::ACCESS_DENIED);
    let auth3 = Pdu { verifier: verifier(1, b"last"), ..pdu(Body::Auth3) };
    assert!(matches!(server.receive(&auth3), ServerEvent::Authenticate(leg) if !leg.is_first));
    assert_eq!(server.authenticated(LegResult::Complete, b""), None);
    // A second context in an alter_context, which fails; the first one stays.
    let alter = Pdu { verifier: verifier(2, b"two"), ..pdu(Body::AlterContext(bind_of(&[1], served()))) };
    assert!(matches!(server.receive(&alter), ServerEvent::Authenticate(leg) if leg.is_first));
    let answer = server.authenticated(LegResult::Failed, b"").unwrap();
    assert!(matches!(answer.body, Body::Fault(fault) if fault.status == FaultStatus::ACCESS_DENIED));
    assert_eq!(server.security(2).map(|context| context.state), Some(SecurityState::Failed));
    let bad = Pdu { verifier: verifier(2, b"x"), ..pdu(request(0, b"")) };
    assert_eq!(refused(server.receive(&bad)), FaultStatus::ACCESS_DENIED);
    let good = Pdu { verifier: verifier(1, b"x"), ..pdu(request(0, b"ab")) };
    assert!(matches!(server.receive(&good), ServerEvent::Call(call) if call.security == Some(1)));
    // Neither a third context nor an id a second time.
    for id in [1, 2, 3] {
        let alter = Pdu { verifier: verifier(id, b"x"), ..pdu(Body::AlterContext(bind_of(&[0], served()))) };
        assert!(
            matches!(server.receive(&alter), ServerEvent::Send(Pdu { body: Body::Fault(_), .. })),
            "{id}"
        );
    }
    // A level or mechanism that changes between the bind and a request.
    let weaker = Verifier { level: AuthLevel::Connect, ..verifier(1, b"x").unwrap() };
    let weaker = Pdu { verifier: Some(weaker), ..pdu(request(0, b"ab")) };
    assert_eq!(refused(server.receive(&weaker)), FaultStatus::ACCESS_DENIED);
}

#[test]
fn a_failed_bind_is_a_bind_nak() {
    let mut server = connection();
    let bind = Pdu { verifier: verifier(0, b"bad"), ..pdu(Body::Bind(bind_of(&[0], served()))) };
    assert!(matches!(server.receive(&bind), ServerEvent::Authenticate(_)));
    let answer = server.authenticated(LegResult::Failed, b"").unwrap();
    assert!(matches!(answer.body, Body::BindNak(nak) if nak.reason == NakReason::INVALID_CHECKSUM));
    let small = BindBody { max_receive: 1431, ..bind_of(&[0], served()) };
    let ServerEvent::Send(answer) = server.receive(&pdu(Body::Bind(small))) else { panic!("no answer") };
    assert!(matches!(answer.body, Body::BindNak(nak) if nak.reason == NakReason::LOCAL_LIMIT));
}

#[test]
fn fragments_become_one_call_and_mixed_ones_a_fault() {
    let mut server = connection();
    server.receive(&pdu(Body::Bind(bind_of(&[0], served()))));
    let first = Pdu { flags: Flags::FIRST, ..pdu(request(0, b"ab")) };
    let last = Pdu { flags: Flags::LAST, ..pdu(request(0, b"c")) };
    assert_eq!(server.receive(&first), ServerEvent::Wait);
    assert!(matches!(server.receive(&last), ServerEvent::Call(call) if call.stub.as_ref() == b"abc"));
    assert_eq!(refused(server.receive(&last)), FaultStatus::PROTOCOL_ERROR);
    assert_eq!(server.receive(&first), ServerEvent::Wait);
    let other = Pdu { call_id: 4, ..last.clone() };
    assert_eq!(refused(server.receive(&other)), FaultStatus::PROTOCOL_ERROR);
    assert_eq!(server.receive(&first), ServerEvent::Wait);
    // A fragment under another security context than the first one.
    let signed = Pdu { verifier: verifier(0, b"x"), ..last.clone() };
    assert_eq!(refused(server.receive(&signed)), FaultStatus::ACCESS_DENIED);
    assert_eq!(server.receive(&first), ServerEvent::Wait);
    assert_eq!(server.receive(&pdu(Body::Cancel)), ServerEvent::Wait);
    assert_eq!(server.receive(&pdu(Body::Orphaned)), ServerEvent::Orphaned { call_id: 3 });
    assert_eq!(refused(server.receive(&last)), FaultStatus::PROTOCOL_ERROR);
    assert_eq!(refused(server.receive(&pdu(request(0, &[0; 65])))), FaultStatus::ACCESS_DENIED);
    assert_eq!(refused(server.receive(&pdu(Body::Shutdown))), FaultStatus::PROTOCOL_ERROR);
}

/// A connection under wire.md 4.18, with `interface` bound and a security context of `level`, if any.
fn ruled(interface: Iid, level: Option<AuthLevel>) -> ServerConnection<impl Fn(&SyntaxId) -> bool + Clone> {
    let limits = ServerLimits::default();
    let mut server = ServerConnection::new(limits, b"135".to_vec(), 9, |_: &SyntaxId| true);
    server = server.with_level_rule(level_rule);
    let verifier = level.map(|level| Verifier { level, ..verifier(0, b"x").unwrap() });
    let bind = Pdu { verifier, ..pdu(Body::Bind(bind_of(&[0], interface.syntax()))) };
    if matches!(server.receive(&bind), ServerEvent::Authenticate(_)) {
        server.authenticated(LegResult::Complete, b"").unwrap();
    }
    server
}

#[test]
fn calls_below_the_minimum_level_are_refused() {
    let answered = |interface, level: Option<AuthLevel>, opnum| {
        let verifier = level.map(|level| Verifier { level, ..verifier(0, b"x").unwrap() });
        let body = RequestBody { alloc_hint: 0, context_id: 0, opnum, object: None, stub: b"" };
        let call = Pdu { verifier, ..pdu(Body::Request(body)) };
        match ruled(interface, level).receive(&call) {
            ServerEvent::Call(_) => None,
            ServerEvent::Send(Pdu { body: Body::Fault(fault), .. }) => Some(fault.status.0),
            other => panic!("{other:?}"),
        }
    };
    let levels = [
        (None, true),
        (Some(AuthLevel::Connect), true),
        (Some(AuthLevel::Packet), true),
        (Some(AuthLevel::Integrity), false),
        (Some(AuthLevel::Privacy), false),
    ];
    for (level, below) in levels {
        let refused = |status| below.then_some(status);
        for opnum in [3, 5] {
            assert_eq!(answered(Iid::OBJECT_EXPORTER, level, opnum), None);
        }
        assert_eq!(answered(Iid::OBJECT_EXPORTER, level, 4), refused(5));
        assert_eq!(answered(Iid::REMOTE_SCM_ACTIVATOR, level, 4), refused(5));
        assert_eq!(answered(Iid::CERT_ADMIN_2, level, 20), refused(5));
        assert_eq!(answered(Iid::REM_UNKNOWN, level, 3), refused(0x8007_0005));
        assert_eq!(answered(Iid::REM_UNKNOWN_2, level, 6), refused(0x8007_0005));
    }
    // The first fragment of several is answered at once, and costs the connection.
    let first = Pdu { flags: Flags::FIRST, ..pdu(request(0, b"ab")) };
    let status = refused(ruled(Iid::CERT_ADMIN, None).receive(&first));
    assert_eq!(status, FaultStatus::ACCESS_DENIED);
}

#[test]
fn big_endian_integers_are_refused() {
    let server = connection();
    let mut bytes = Vec::new();
    pdu(request(0, b"")).encode(&mut bytes).unwrap();
    assert_eq!(server.peek(&bytes).unwrap().map(|header| header.call_id), Some(3));
    assert_eq!(server.peek(&bytes[..15]), Ok(None));
    let big = [5, 0, 0, 3, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 3];
    let error = server.peek(&big).unwrap_err();
    assert_eq!(error, PduError::BigEndian { call_id: 3 });
    let answer = server.refusal(&error).unwrap();
    assert!(matches!(answer.body, Body::Fault(fault) if fault.status == FaultStatus::PROTOCOL_ERROR));
}

proptest! {
    #[test]
    fn any_order_of_pdus_is_survived(steps in vec((0u8..7, 0u8..4, 0u32..4, 0u8..4), 0..40)) {
        let mut server = connection();
        for (kind, flags, context, leg) in steps {
            let id = u16::try_from(context).unwrap();
            let body = match kind {
                0 => Body::Bind(bind_of(&[id], served())),
                1 => Body::AlterContext(bind_of(&[id], served())),
                2 => Body::Auth3,
                3 => Body::Orphaned,
                _ => request(id % 2, b"0123456789abcdef"),
            };
            let verifier = if leg == 0 { None } else { verifier(context, b"token") };
            let event = server.receive(&Pdu { flags: Flags::from_bits(flags), call_id: 1, body, verifier });
            if let ServerEvent::Call(call) = &event {
                // No call under a context that is not ready.
                if let Some(id) = call.security {
                    prop_assert_eq!(server.security(id).unwrap().state, SecurityState::Ready);
                }
            }
            if let ServerEvent::Authenticate(_) = event {
                let result = [LegResult::Continue, LegResult::Complete, LegResult::Failed][usize::from(leg) % 3];
                server.authenticated(result, b"answer");
            }
        }
    }
}
