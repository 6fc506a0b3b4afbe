//! Our initiator against a server that breaks the rules: it must stop before sending more, or refuse the context.

use certadm_auth::{AuthError, AuthType, Flavour, Initiator, Level, initiator};

use crate::client::{FLAGS, SEAL, resp};
use crate::world::{acceptor, alice, workstation};

fn client(flavour: Flavour) -> Box<dyn Initiator> {
    initiator(flavour, &alice(), "HOST/ca1", Level::Privacy, &workstation()).unwrap()
}

/// A right challenge for a new client, and the client.
fn challenged() -> (Box<dyn Initiator>, Vec<u8>) {
    let mut client = client(Flavour::Ntlm);
    let negotiate = client.step(&[]).unwrap().token_out;
    let challenge = acceptor(AuthType::NTLM).step(&negotiate).unwrap().token_out;
    (client, challenge)
}

/// The server's answer to NegTokenInit, taken apart: the challenge that it carried.
fn spnego_challenged() -> (Box<dyn Initiator>, Vec<u8>) {
    let mut client = client(Flavour::Spnego);
    let init = client.step(&[]).unwrap().token_out;
    let token = acceptor(AuthType::SPNEGO).step(&init).unwrap().token_out;
    let start = token.windows(8).position(|window| window == b"NTLMSSP\0").unwrap();
    (client, token[start..].to_vec())
}

fn with_flags(challenge: &[u8], flags: u32) -> Vec<u8> {
    [&challenge[..20], &flags.to_le_bytes()[..], &challenge[24..]].concat()
}

#[test]
fn a_weak_challenge_is_refused_before_anything_is_answered() {
    let strong = FLAGS | 0x0080_0000;
    let (mut client, challenge) = challenged();
    assert!(client.step(&with_flags(&challenge, strong)).is_ok());
    for flag in [
        0x0000_0001, // Unicode
        0x0000_0010, // sign
        SEAL,
        0x0000_0200, // NTLM
        0x0008_0000, // extended session security
        0x0080_0000, // target info, without which a client falls back to NTLMv1
        0x2000_0000, // 128 bit
        0x4000_0000, // key exchange
    ] {
        let (mut client, challenge) = challenged();
        let weak = with_flags(&challenge, strong & !flag);
        assert!(matches!(client.step(&weak), Err(AuthError::WeakNegotiation { .. })), "{flag:#x}");
        assert_eq!(client.step(&challenge).err(), Some(AuthError::Finished));

        let (mut client, challenge) = spnego_challenged();
        let weak = resp(Some(1), Some(&with_flags(&challenge, strong & !flag)), None);
        assert!(matches!(client.step(&weak), Err(AuthError::WeakNegotiation { .. })));
    }
}

#[test]
fn a_damaged_challenge_is_refused() {
    let (_, challenge) = challenged();
    for length in 0..challenge.len() {
        assert!(client_after_first().step(&challenge[..length]).is_err());
    }
}

fn client_after_first() -> Box<dyn Initiator> {
    let mut client = client(Flavour::Ntlm);
    client.step(&[]).unwrap();
    client
}

#[test]
fn a_spnego_answer_must_be_a_challenge_and_nothing_else() {
    let mic = [1; 16];
    type Broken = fn(&[u8], &[u8]) -> Vec<u8>;
    let broken: [(Broken, &str); 6] = [
        (|_, _| resp(Some(2), None, None), "reject"),
        (|_, _| resp(Some(0), None, None), "completed at once"),
        (|_, mic| resp(Some(0), None, Some(mic)), "completed with a MIC"),
        (|challenge, _| resp(Some(0), Some(challenge), None), "completed with a challenge"),
        (|challenge, mic| resp(Some(1), Some(challenge), Some(mic)), "MIC too early"),
        (|_, _| resp(Some(1), None, None), "no challenge"),
    ];
    for (token, what) in broken {
        let (mut client, challenge) = spnego_challenged();
        let error = client.step(&token(&challenge, &mic)).unwrap_err();
        if what == "reject" {
            assert_eq!(error, AuthError::RejectedByPeer);
        } else {
            assert!(matches!(error, AuthError::UnexpectedToken { .. }), "{what}: {error}");
        }
        assert_eq!(client.step(&[]).err(), Some(AuthError::Finished));
    }
}

#[test]
fn a_spnego_completion_needs_the_servers_mic() {
    let outcome = |token: Vec<u8>| {
        let (mut client, challenge) = spnego_challenged();
        client.step(&resp(Some(1), Some(&challenge), None)).unwrap();
        client.step(&token).map(|step| step.done.is_some())
    };
    for state in [None, Some(0)] {
        assert!(matches!(outcome(resp(state, None, None)), Err(AuthError::Tampered { .. })));
        assert!(matches!(outcome(resp(state, None, Some(&[1; 16]))), Err(AuthError::Tampered { .. })));
    }
    for state in [Some(1), Some(3)] {
        assert!(matches!(outcome(resp(state, None, Some(&[1; 16]))), Err(AuthError::UnexpectedToken { .. })));
    }
    assert_eq!(outcome(resp(Some(2), None, None)), Err(AuthError::RejectedByPeer));
    assert!(matches!(outcome(vec![0xa1, 0x80]), Err(AuthError::Malformed { .. })));
}

/// RFC 4178 4.2.2: negState is optional in every reply, in the last one too. The MIC is what counts.
#[test]
fn the_servers_last_word_needs_no_state() {
    for state in [None, Some(0)] {
        let (mut client, mut server) = (client(Flavour::Spnego), acceptor(AuthType::SPNEGO));
        let init = client.step(&[]).unwrap().token_out;
        let challenge = server.step(&init).unwrap().token_out;
        let answer = client.step(&challenge).unwrap().token_out;
        let last = server.step(&answer).unwrap().token_out;
        // [3] mechListMIC, a context tag around 16 bytes, is the end of the token.
        let mic = &last[last.len() - 16..];
        assert!(client.step(&resp(state, None, Some(mic))).unwrap().done.is_some(), "{state:?}");
    }
}
