//! What must not pass: altered, repeated, reordered, reflected PDUs, and altered handshakes.

use certadm_auth::{AuthError, AuthType, Flavour, Level, SealError, initiator};

use crate::world::{INTEGRITY, PRIVACY, acceptor, alice, connect, seal, unseal, workstation};

const BODY: [u8; 64] = [0xb0; 64];

#[test]
fn every_altered_byte_is_noticed_and_reveals_nothing() {
    for protection in [PRIVACY, INTEGRITY] {
        let (mut client, _) = connect(Flavour::Ntlm, protection.level);
        let length = seal(&mut client.sealer, protection, &BODY).len();
        for position in 0..length {
            let (mut client, mut server) = connect(Flavour::Ntlm, protection.level);
            let mut pdu = seal(&mut client.sealer, protection, &BODY);
            pdu[position] ^= 1 << (position % 8);
            assert_eq!(
                unseal(&mut server.unsealer, protection, &mut pdu),
                Err(SealError::BadSignature),
                "byte {position}"
            );
            assert_eq!(pdu[24..24 + BODY.len()], [0; BODY.len()], "nothing is left of the body");
            // and the context stays broken
            let mut next = seal(&mut client.sealer, protection, &BODY);
            assert_eq!(unseal(&mut server.unsealer, protection, &mut next), Err(SealError::Broken));
        }
    }
}

#[test]
fn replay_reorder_and_loss_are_noticed() {
    for protection in [PRIVACY, INTEGRITY] {
        let orders: [&[usize]; 4] = [&[0, 0], &[1], &[0, 2], &[0, 1, 0]];
        for order in orders {
            let (mut client, mut server) = connect(Flavour::Spnego, protection.level);
            let pdus: Vec<_> = (0..3).map(|_| seal(&mut client.sealer, protection, &BODY)).collect();
            let (last, before) = order.split_last().unwrap();
            for index in before {
                unseal(&mut server.unsealer, protection, &mut pdus[*index].clone()).unwrap();
            }
            assert_eq!(
                unseal(&mut server.unsealer, protection, &mut pdus[*last].clone()),
                Err(SealError::BadSignature),
                "{order:?}"
            );
        }
    }
}

#[test]
fn reflection_is_noticed() {
    for protection in [PRIVACY, INTEGRITY] {
        let (mut client, _) = connect(Flavour::Ntlm, protection.level);
        let mut pdu = seal(&mut client.sealer, protection, &BODY);
        assert_eq!(unseal(&mut client.unsealer, protection, &mut pdu), Err(SealError::BadSignature));
    }
}

#[test]
fn a_pdu_of_another_context_is_noticed() {
    let (mut client, _) = connect(Flavour::Ntlm, Level::Privacy);
    let (_, mut server) = connect(Flavour::Ntlm, Level::Privacy);
    let mut pdu = seal(&mut client.sealer, PRIVACY, &BODY);
    assert_eq!(unseal(&mut server.unsealer, PRIVACY, &mut pdu), Err(SealError::BadSignature));
}

/// wire.md 7, item 4: a context that authenticated at privacy must not be used below it. RPC compares the level of each
/// trailer; should it ever fail to, the bytes do not verify at the other level either.
#[test]
fn a_sealed_pdu_does_not_verify_as_signed_and_a_signed_one_not_as_sealed() {
    for (sent, received) in [(PRIVACY, INTEGRITY), (INTEGRITY, PRIVACY)] {
        let (mut client, mut server) = connect(Flavour::Ntlm, Level::Privacy);
        let mut pdu = seal(&mut client.sealer, sent, &BODY);
        assert_eq!(unseal(&mut server.unsealer, received, &mut pdu), Err(SealError::BadSignature));
    }
}

#[test]
fn a_token_of_another_size_is_refused() {
    let (mut client, _) = connect(Flavour::Ntlm, Level::Privacy);
    for size in [0, 15, 17, 76] {
        let mut pdu = vec![0; 200];
        let (segments, token) = certadm_auth::Segments::split(&mut pdu, 24, size).unwrap();
        assert_eq!(
            client.sealer.seal(PRIVACY, segments, token),
            Err(SealError::TokenSize { expected: 16, actual: size })
        );
    }
    assert!(matches!(certadm_auth::Segments::split(&mut [0; 47], 24, 16), Err(SealError::TooShort)));
}

/// The number in the client's negState, behind three headers. Nothing protects it and nothing depends on it: `incomplete`
/// and `completed` mean the same from a client that goes on.
const CLIENT_STATE: (Flavour, bool, usize, usize) = (Flavour::Spnego, true, 1, 12);

/// Every byte of every token but one, altered one at a time: the handshake fails.
#[test]
fn an_altered_handshake_fails() {
    for (flavour, auth_type, tokens) in [
        (Flavour::Ntlm, AuthType::NTLM, &[(true, 0), (false, 0), (true, 1)][..]),
        (Flavour::Spnego, AuthType::SPNEGO, &[(true, 0), (false, 0), (true, 1), (false, 1)]),
    ] {
        for (from_client, round) in tokens {
            let mut position = 0;
            while let Some(outcome) = altered(flavour, auth_type, *from_client, *round, position) {
                assert!(
                    outcome.is_err() || (flavour, *from_client, *round, position) == CLIENT_STATE,
                    "{flavour:?} {from_client} {round} {position}"
                );
                position += 1;
            }
            assert!(16 <= position, "the token was reached");
        }
    }
}

/// Runs a handshake with one byte altered; `None` when there is no such byte.
fn altered(
    flavour: Flavour,
    auth_type: AuthType,
    from_client: bool,
    round: usize,
    position: usize,
) -> Option<Result<(), AuthError>> {
    let mut client = initiator(flavour, &alice(), "HOST/ca1", Level::Privacy, &workstation()).unwrap();
    let mut server = acceptor(auth_type);
    let mut token = Vec::new();
    let mut hit = false;
    let mut alter = |token: &mut Vec<u8>, sender_is_client: bool, now: usize| {
        if sender_is_client == from_client
            && now == round
            && let Some(byte) = token.get_mut(position)
        {
            *byte ^= 0x01;
            hit = true;
        }
    };
    let mut outcome = Ok(());
    for now in 0..3 {
        let step = match client.step(&token) {
            Ok(step) => step,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        };
        let client_done = step.done.is_some();
        let mut out = step.token_out;
        if out.is_empty() {
            break;
        }
        alter(&mut out, true, now);
        let step = match server.step(&out) {
            Ok(step) => step,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        };
        token = step.token_out;
        alter(&mut token, false, now);
        if client_done && step.done.is_some() {
            break;
        }
    }
    hit.then_some(outcome)
}
