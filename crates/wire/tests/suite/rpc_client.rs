//! The client's side of a connection, against the server's side and against a server that misbehaves.

use certadm_wire::rpc::{
    AuthLevel, AuthType, BindOutcome, Body, ClientConnection, ClientError, ClientEvent, ClientLimits,
    FaultBody, FaultStatus, Features, Flags, FragmentPlan, LegResult, Pdu, ResponseBody, ServerConnection,
    ServerEvent, ServerLimits, SyntaxId, Verifier,
};

fn interface() -> SyntaxId {
    SyntaxId::new("7fe0d935-dda6-443f-85d0-1cfb58fe41dd".parse().unwrap(), 0, 0)
}

fn verifier(token: &[u8]) -> Verifier<'_> {
    Verifier { auth_type: AuthType::SPNEGO, level: AuthLevel::Privacy, context_id: 0, token }
}

/// Sends a PDU over an imagined wire.
fn encoded(pdu: &Pdu<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    pdu.encode(&mut bytes).unwrap();
    bytes
}

fn bound() -> (ClientConnection, u32) {
    let mut client = ClientConnection::new(ClientLimits::default(), 0);
    let mut server = ServerConnection::new(ServerLimits::default(), b"135".to_vec(), 7, |_: &SyntaxId| true);
    let bind = client.bind(&[interface()], Features::default(), None).unwrap();
    let ServerEvent::Send(ack) = server.receive(&bind) else { panic!("no ack") };
    client.receive(&ack).unwrap();
    let call = client.call(interface(), 21, None, 0, None).unwrap();
    (client, call.call_id)
}

#[test]
fn a_call_travels_in_fragments_both_ways() {
    let mut client = ClientConnection::new(ClientLimits::default(), 0);
    let limits = ServerLimits { max_fragment: 1432, ..Default::default() };
    let mut server =
        ServerConnection::new(limits, b"135".to_vec(), 7, |offered: &SyntaxId| *offered == interface());
    // Three legs of authentication: bind, bind_ack, alter_context, its answer.
    let features = Features::SECURITY_CONTEXT_MULTIPLEXING;
    let wire = encoded(&client.bind(&[interface()], features, Some(verifier(b"first"))).unwrap());
    assert_eq!(client.alter_context(&[], None), Err(ClientError::Busy));
    let ServerEvent::Authenticate(leg) = server.receive(&Pdu::decode(&wire).unwrap()) else {
        panic!("no leg")
    };
    assert_eq!((leg.token, leg.header_signing), (&b"first"[..], true));
    let wire = encoded(&server.authenticated(LegResult::Continue, b"second").unwrap());
    let event = client.receive(&Pdu::decode(&wire).unwrap()).unwrap();
    let results = vec![BindOutcome::Accepted(SyntaxId::NDR), BindOutcome::NegotiateAck(features)];
    assert_eq!(event, ClientEvent::Bound { results: results.clone(), verifier: Some(verifier(b"second")) });
    assert_eq!((client.group(), client.features(), client.header_signing()), (7, features, true));
    let wire = encoded(&client.next_leg(verifier(b"third")).unwrap());
    assert!(
        matches!(server.receive(&Pdu::decode(&wire).unwrap()), ServerEvent::Authenticate(leg) if !leg.is_first)
    );
    let wire = encoded(&server.authenticated(LegResult::Complete, b"").unwrap());
    let event = client.receive(&Pdu::decode(&wire).unwrap());
    assert_eq!(event, Ok(ClientEvent::Bound { results, verifier: None }));
    // A call of several fragments.
    let stub: Vec<u8> = (0..5000u16).map(|byte| byte.to_le_bytes()[0]).collect();
    let object = Some(interface().uuid);
    let call = client.call(interface(), 24, object, stub.len(), Some(16)).unwrap();
    let mut arrived = None;
    for fragment in call.fragments.clone() {
        let wire = encoded(&call.pdu(&fragment, &stub, Some(verifier(&[0; 16]))));
        assert!(wire.len() <= 1432);
        match server.receive(&Pdu::decode(&wire).unwrap()) {
            ServerEvent::Wait => {}
            ServerEvent::Call(call) => arrived = Some((call.opnum, call.object, call.stub.into_owned())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(arrived, Some((24, object, stub.clone())));
    // The answer.
    let mut answer = None;
    for fragment in FragmentPlan::new(stub.len(), server.max_transmit(), false, None).unwrap() {
        let stub = &stub[fragment.range];
        let body = ResponseBody { alloc_hint: fragment.alloc_hint, context_id: 0, cancel_count: 0, stub };
        let body = Body::Response(body);
        let wire = encoded(&Pdu { flags: fragment.flags, call_id: call.call_id, body, verifier: None });
        if let ClientEvent::Answer { call_id, stub } = client.receive(&Pdu::decode(&wire).unwrap()).unwrap() {
            answer = Some((call_id, stub.into_owned()));
        }
    }
    assert_eq!(answer, Some((call.call_id, stub)));
}

#[test]
fn what_nobody_asked_for_is_refused() {
    let (client, call_id) = bound();
    let pdu = |call_id, body| Pdu { flags: Flags::ONLY, call_id, body, verifier: None };
    let response =
        |context_id| Body::Response(ResponseBody { alloc_hint: 0, context_id, cancel_count: 0, stub: b"" });
    let unexpected =
        |pdu: &Pdu<'_>| matches!(client.clone().receive(pdu), Err(ClientError::Unexpected { .. }));
    assert!(unexpected(&pdu(call_id + 1, response(0))));
    assert!(unexpected(&pdu(call_id, response(1))));
    assert!(unexpected(&pdu(call_id, Body::Auth3)));
    let status = FaultStatus(0);
    let fault = Body::Fault(FaultBody::plain(9, status));
    assert!(unexpected(&pdu(call_id + 1, fault.clone())));
    // A fault is a failure even with status 0, and frees the connection for the next call.
    let mut faulted = client.clone();
    let event = faulted.receive(&pdu(call_id, fault));
    assert_eq!(event, Ok(ClientEvent::Fault { call_id, status, did_not_execute: false }));
    assert_eq!(status.client_code(), 0x6BE);
    assert!(matches!(faulted.receive(&pdu(call_id, response(0))), Err(ClientError::Unexpected { .. })));
    assert!(matches!(client.clone().receive(&pdu(call_id, Body::Shutdown)), Ok(ClientEvent::Shutdown)));
}

#[test]
fn calls_are_bounded_and_answered_in_order() {
    let (mut client, first) = bound();
    let second = client.call(interface(), 25, None, 4, None).unwrap().call_id;
    assert!(second > first);
    assert_eq!(client.call(interface(), 25, None, 4, None), Err(ClientError::Busy));
    assert_eq!(client.alter_context(&[interface()], None), Err(ClientError::Busy));
    let answer = |call_id| {
        let body = Body::Response(ResponseBody { alloc_hint: 0, context_id: 0, cancel_count: 0, stub: b"x" });
        Pdu { flags: Flags::ONLY, call_id, body, verifier: None }
    };
    assert!(matches!(client.clone().receive(&answer(second)), Err(ClientError::Unexpected { .. })));
    assert!(
        matches!(client.receive(&answer(first)), Ok(ClientEvent::Answer { call_id, .. }) if call_id == first)
    );
    assert_eq!(client.call(SyntaxId::NDR64, 3, None, 0, None), Err(ClientError::NotBound));
    assert!(
        matches!(client.receive(&answer(second)), Ok(ClientEvent::Answer { call_id, .. }) if call_id == second)
    );
}

#[test]
fn grants_of_what_was_not_proposed_are_refused() {
    let mut client = ClientConnection::new(ClientLimits::default(), 0);
    let bind = client.bind(&[interface()], Features::default(), None).unwrap();
    let mut server = ServerConnection::new(ServerLimits::default(), b"135".to_vec(), 7, |_: &SyntaxId| true);
    let ServerEvent::Send(mut ack) = server.receive(&bind) else { panic!("no ack") };
    let Body::BindAck(body) = &mut ack.body else { panic!("no bind_ack") };
    for result in [BindOutcome::NegotiateAck(Features::from_bits(3)), BindOutcome::Accepted(SyntaxId::NDR64)]
    {
        body.results = vec![result];
        let ack =
            Pdu { body: Body::BindAck(body.clone()), flags: ack.flags, call_id: ack.call_id, verifier: None };
        assert_eq!(client.clone().receive(&ack), Err(ClientError::BadAck));
    }
}
