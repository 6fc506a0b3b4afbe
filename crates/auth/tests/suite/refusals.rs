//! What the acceptor must refuse, and what it must not: every rule of wire.md 2.12, 2.13, and the defects that other
//! acceptors were found to have, numbered below.

use certadm_auth::{AccountName, AuthError, AuthType, Established, Level, SealError, Step};

use crate::client::{
    Client, FLAGS, KERBEROS_OID, Mic, NTLM_OID, Response, SEAL, attributes_of, client_mic, init,
    mechanism_list, resp, server_mic,
};
use crate::world::{INTEGRITY, PRIVACY, acceptor, account_of, pdu, seal, service, unseal};

/// Runs raw NTLM.
fn log_on(client: &Client) -> Result<Established, AuthError> {
    let mut server = acceptor(AuthType::NTLM);
    let challenge = server.step(&client.negotiate())?.token_out;
    let step = server.step(&client.authenticate(&challenge).0)?;
    assert!(step.token_out.is_empty(), "auth3 has no answer");
    Ok(step.done.unwrap())
}

fn refused(user: &str) -> Option<AuthError> {
    Some(AuthError::LogonRefused { account: AccountName::new("CORP", user) })
}

/// Our own client is right where it should be, so that the refusals below are refusals of the one wrong thing.
#[test]
fn the_right_client_gets_in() {
    for mic in [Mic::Right, Mic::Absent] {
        let done = log_on(&Client { mic, ..Client::alice() }).unwrap();
        assert_eq!(account_of(&done.peer), AccountName::new("corp", "Alice"));
    }
}

/// Defect 1: a wrong password without a MIC is accepted by sspi's acceptor.
#[test]
fn a_wrong_password_is_refused_with_and_without_a_mic() {
    for mic in [Mic::Right, Mic::Absent] {
        for (user, password) in
            [("alice", "pa55-wörd"), ("alice", ""), ("nobody", ""), ("nobody", "Pa55-wörd")]
        {
            let client = Client { user, password, mic, ..Client::alice() };
            assert_eq!(log_on(&client).err(), refused(user));
        }
    }
}

/// The acceptor works on for an account that does not exist; whatever secret it works with must not open that account.
#[test]
fn an_unknown_account_has_no_secret_at_all() {
    for mic in [Mic::Right, Mic::Absent] {
        for hash in [[0; 16], [0xff; 16]] {
            let client = Client { user: "nobody", hash: Some(hash), mic, ..Client::alice() };
            assert_eq!(log_on(&client).err(), refused("nobody"));
        }
    }
}

/// Defect 2, the raw half: no name opens a door by itself; an account without a password opens none either.
#[test]
fn guest_anonymous_and_empty_passwords_are_refused() {
    for user in ["guest", "GUEST", "/GUEST", "empty"] {
        for mic in [Mic::Right, Mic::Absent] {
            let client = Client { user, password: "", mic, ..Client::alice() };
            assert_eq!(log_on(&client).err(), refused(user));
        }
    }
    for response in [Response::V2, Response::LmOnly, Response::None] {
        let client = Client { user: "", domain: "", password: "", response, ..Client::alice() };
        assert_eq!(log_on(&client).err(), Some(AuthError::Anonymous));
    }
    let client = Client { authenticate_flags: FLAGS | 0x0000_0800, ..Client::alice() };
    assert_eq!(log_on(&client).err(), Some(AuthError::Anonymous));
}

/// Defect 2, the SPNEGO half: claims without a secret, at either place in the exchange.
#[test]
fn a_completed_spnego_without_a_secret_is_refused() {
    for claim in [resp(Some(0), None, None), resp(Some(0), None, Some(&[0; 16])), resp(None, None, None)] {
        let mut server = acceptor(AuthType::SPNEGO);
        assert!(server.step(&claim).is_err(), "as the first token");
        assert_eq!(server.step(&claim).err(), Some(AuthError::Finished));

        let mut server = acceptor(AuthType::SPNEGO);
        let client = Client::alice();
        server.step(&init(&[&NTLM_OID], Some(&client.negotiate()))).unwrap();
        assert!(server.step(&claim).is_err(), "as the last token");
        assert_eq!(server.step(&claim).err(), Some(AuthError::Finished));
    }
    let mut server = acceptor(AuthType::SPNEGO);
    let guest = Client { user: "/GUEST", password: "", ..Client::alice() };
    let step = server.step(&init(&[&NTLM_OID], Some(&guest.negotiate()))).unwrap();
    let (authenticate, _) = guest.authenticate(challenge_in(&step));
    let claim = resp(Some(0), Some(&authenticate), None);
    assert_eq!(server.step(&claim).err(), refused("/GUEST"));
}

/// Defect 3: RFC 4178 makes negState optional, and impacket omits it.
#[test]
fn a_resp_without_state_is_understood() {
    for state in [None, Some(0), Some(1)] {
        assert!(spnego_log_on(&[&NTLM_OID], state, Sent::Right).is_ok());
    }
    assert_eq!(spnego_log_on(&[&NTLM_OID], Some(2), Sent::Right).err(), Some(AuthError::RejectedByPeer));
    assert!(spnego_log_on(&[&NTLM_OID], Some(3), Sent::Right).is_err());
}

/// Defect 6: sspi's challenge echoes the client's flags and enforces none.
#[test]
fn each_required_flag_is_enforced_in_both_messages() {
    for flag in [
        0x0000_0001, // Unicode
        0x0000_0010, // sign
        SEAL,
        0x0000_0200, // NTLM
        0x0008_0000, // extended session security
        0x2000_0000, // 128 bit
        0x4000_0000, // key exchange
    ] {
        let weak = FLAGS & !flag;
        let client = Client { negotiate_flags: weak, ..Client::alice() };
        assert!(matches!(log_on(&client), Err(AuthError::WeakNegotiation { .. })), "{flag:#x} in NEGOTIATE");
        let client = Client { authenticate_flags: weak, ..Client::alice() };
        assert!(
            matches!(log_on(&client), Err(AuthError::WeakNegotiation { .. })),
            "{flag:#x} in AUTHENTICATE"
        );
    }
}

/// Defect 6, the other half: what our challenge says, and the pair that it must not contain (wire.md 2.12).
#[test]
fn the_challenge_is_ours() {
    let mut server = acceptor(AuthType::NTLM);
    let client = Client {
        // everything a client can set, reserved bits and NTLMv1 session keys included
        negotiate_flags: u32::MAX,
        ..Client::alice()
    };
    let challenge = server.step(&client.negotiate()).unwrap().token_out;
    let flags = u32::from_le_bytes(challenge[20..24].try_into().unwrap());
    assert_eq!(flags, 0xe28a_8235);
    let attributes = attributes_of(&challenge);
    let ids: Vec<u16> = attributes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [2, 1, 3, 4, 7]);
    assert!(attributes.iter().all(|(_, value)| !value.is_empty()));

    let mut other = acceptor(AuthType::NTLM);
    let again = other.step(&client.negotiate()).unwrap().token_out;
    assert_ne!(challenge[24..32], again[24..32], "challenges are random");
}

#[test]
fn obsolete_responses_are_refused() {
    for response in [Response::V1, Response::LmOnly, Response::None] {
        let client = Client { response, ..Client::alice() };
        assert_eq!(log_on(&client).err(), Some(AuthError::ObsoleteResponse));
    }
}

#[test]
fn an_announced_mic_is_checked() {
    let log_on_with = |mic| log_on(&Client { mic, ..Client::alice() });
    assert!(matches!(log_on_with(Mic::Wrong), Err(AuthError::Tampered { .. })));
    assert!(matches!(log_on_with(Mic::NoRoom), Err(AuthError::Malformed { .. })));
}

#[test]
fn a_required_mic_may_not_be_missing() {
    let client = Client { mic: Mic::Absent, ..Client::alice() };
    let mut server = service().require_mic().acceptor(AuthType::NTLM, Level::Privacy).unwrap();
    let challenge = server.step(&client.negotiate()).unwrap().token_out;
    assert!(matches!(server.step(&client.authenticate(&challenge).0), Err(AuthError::Tampered { .. })));
}

/// Somebody between the two hosts takes attributes out of the challenge, the timestamp above all, so that the client sends
/// no MIC: the client's own proof gives it away.
#[test]
fn attributes_stripped_on_the_way_are_noticed() {
    for dropped in [1, 2, 3, 4, 7] {
        let client = Client { dropped: vec![dropped], mic: Mic::Absent, ..Client::alice() };
        assert!(matches!(log_on(&client), Err(AuthError::Tampered { .. })), "{dropped}");
    }
}

#[test]
fn the_target_name_of_the_client_is_reported() {
    let name: Vec<u8> = "HOST/ca1".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let done = log_on(&Client { extra_attributes: vec![(9, name)], ..Client::alice() }).unwrap();
    let certadm_auth::PeerIdentity::Account { target, workstation, .. } = done.peer else {
        panic!("not an account");
    };
    assert_eq!(target.as_deref(), Some("HOST/ca1"));
    assert_eq!(workstation, "WS");
}

#[test]
fn the_exchanged_key_has_sixteen_bytes() {
    for key_size in [0, 15, 17, 32] {
        let client = Client { key_size, ..Client::alice() };
        assert!(matches!(log_on(&client), Err(AuthError::Malformed { .. })));
    }
}

#[test]
fn an_answer_to_another_challenge_is_refused() {
    let client = Client::alice();
    let mut first = acceptor(AuthType::NTLM);
    let mut second = acceptor(AuthType::NTLM);
    let challenge = first.step(&client.negotiate()).unwrap().token_out;
    second.step(&client.negotiate()).unwrap();
    let (authenticate, _) = client.authenticate(&challenge);
    assert_eq!(second.step(&authenticate).err(), refused("alice"));
}

#[test]
fn messages_out_of_turn_are_refused() {
    let client = Client::alice();
    for auth_type in [AuthType::NTLM, AuthType::SPNEGO] {
        let mut server = acceptor(auth_type);
        let challenge = server.step(&client.negotiate()).unwrap().token_out;
        assert!(server.step(&client.negotiate()).is_err());
        let (authenticate, _) = client.authenticate(&challenge);
        assert_eq!(server.step(&authenticate).err(), Some(AuthError::Finished));
        assert!(acceptor(auth_type).step(&authenticate).is_err());
        assert!(acceptor(auth_type).step(&challenge).is_err());
        assert!(acceptor(auth_type).step(&[]).is_err());
    }
}

/// A context for integrity needs no SEAL, and cannot be used to seal then (wire.md 4.18).
#[test]
fn a_context_for_integrity_only_signs() {
    let client =
        Client { negotiate_flags: FLAGS & !SEAL, authenticate_flags: FLAGS & !SEAL, ..Client::alice() };
    let mut server = service().acceptor(AuthType::NTLM, Level::Integrity).unwrap();
    let challenge = server.step(&client.negotiate()).unwrap().token_out;
    let mut done = server.step(&client.authenticate(&challenge).0).unwrap().done.unwrap();
    seal(&mut done.sealer, INTEGRITY, b"signed");
    let mut received = pdu(b"sealed?");
    assert_eq!(unseal(&mut done.unsealer, PRIVACY, &mut received), Err(SealError::NotNegotiated));
}

/// What a client sends as mechListMIC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Right,
    Wrong,
    /// A right MIC over a list that somebody altered.
    OtherList,
    Nothing,
}

/// Runs SPNEGO; gives the server's last token, the key and the list with the context.
fn spnego_log_on(
    mechanisms: &[&[u8]],
    state: Option<u8>,
    sent: Sent,
) -> Result<(Vec<u8>, [u8; 16], Established), AuthError> {
    let client = Client::alice();
    let mut server = acceptor(AuthType::SPNEGO);
    let preferred = mechanisms[0] == NTLM_OID;
    let first = if preferred { client.negotiate() } else { vec![0x6e, 0] };
    let mut step = server.step(&init(mechanisms, Some(&first)))?;
    if !preferred {
        // request-mic, NTLM named, no token
        assert_eq!(step.token_out[..9], [0xa1, 0x15, 0x30, 0x13, 0xa0, 0x03, 0x0a, 0x01, 0x03]);
        step = server.step(&resp(state, Some(&client.negotiate()), None))?;
    }
    let (authenticate, exported) = client.authenticate(challenge_in(&step));
    let list = match sent {
        Sent::OtherList => mechanism_list(&[&KERBEROS_OID, &NTLM_OID, &NTLM_OID]),
        _ => mechanism_list(mechanisms),
    };
    let mut mic = client_mic(&exported, &list);
    if sent == Sent::Wrong {
        mic[5] ^= 1;
    }
    let mic = (sent != Sent::Nothing).then_some(&mic[..]);
    let step = server.step(&resp(state, Some(&authenticate), mic))?;
    Ok((step.token_out, exported, step.done.unwrap()))
}

/// The CHALLENGE inside a NegTokenResp.
fn challenge_in(step: &Step) -> &[u8] {
    let token = &step.token_out;
    let start = token.windows(8).position(|window| window == b"NTLMSSP\0").unwrap();
    &token[start..]
}

#[test]
fn the_mech_list_mic_is_checked_and_answered() {
    for mechanisms in [&[&NTLM_OID[..]][..], &[&NTLM_OID, &KERBEROS_OID], &[&KERBEROS_OID, &NTLM_OID]] {
        let (answer, exported, mut done) = spnego_log_on(mechanisms, Some(1), Sent::Right).unwrap();
        let ours = server_mic(&exported, &mechanism_list(mechanisms));
        assert_eq!(answer, resp(Some(0), None, Some(&ours)));
        // the MIC took the first sequence number (wire.md 2.13)
        let sealed = seal(&mut done.sealer, PRIVACY, b"first");
        assert_eq!(sealed[sealed.len() - 4..], [1, 0, 0, 0]);
        for wrong in [Sent::Wrong, Sent::OtherList] {
            assert!(matches!(spnego_log_on(mechanisms, Some(1), wrong), Err(AuthError::Tampered { .. })));
        }
    }
}

#[test]
fn the_mech_list_mic_may_be_missing_only_for_the_first_choice() {
    let (answer, _, mut done) = spnego_log_on(&[&NTLM_OID, &KERBEROS_OID], None, Sent::Nothing).unwrap();
    assert_eq!(answer, resp(Some(0), None, None));
    let sealed = seal(&mut done.sealer, PRIVACY, b"first");
    assert_eq!(sealed[sealed.len() - 4..], [0, 0, 0, 0]);

    assert!(matches!(
        spnego_log_on(&[&KERBEROS_OID, &NTLM_OID], None, Sent::Nothing),
        Err(AuthError::Tampered { .. })
    ));
}

#[test]
fn a_list_without_ntlm_is_refused() {
    let mut server = acceptor(AuthType::SPNEGO);
    assert_eq!(
        server.step(&init(&[&KERBEROS_OID], Some(&[0x6e, 0]))).err(),
        Some(AuthError::NoCommonMechanism { ours: "NTLM" })
    );
}
