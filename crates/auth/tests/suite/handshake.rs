//! Our initiator against our acceptor, in every flavour.

use certadm_auth::{AccountName, AuthError, AuthType, Flavour, LastLeg, Level, PeerIdentity, initiator};

use crate::world::{
    ACCOUNTS, INTEGRITY, PRIVACY, acceptor, account_of, alice, connect, credentials, service, shake, stream,
    workstation,
};

const FLAVOURS: [(Flavour, AuthType, LastLeg, usize); 3] = [
    (Flavour::Ntlm, AuthType::NTLM, LastLeg::Auth3, 3),
    (Flavour::NtlmAsNegotiate, AuthType::SPNEGO, LastLeg::Auth3, 3),
    (Flavour::Spnego, AuthType::SPNEGO, LastLeg::AlterContext, 4),
];

#[test]
fn every_flavour_completes_in_its_legs() {
    for (flavour, auth_type, last_leg, legs) in FLAVOURS {
        let mut client = initiator(flavour, &alice(), "HOST/ca1", Level::Privacy, &workstation()).unwrap();
        assert_eq!(client.auth_type(), auth_type);
        assert_eq!(client.last_leg(), last_leg);
        let mut server = acceptor(auth_type);
        let (_, done, count) = shake(client.as_mut(), server.as_mut()).unwrap();
        assert_eq!(count, legs, "{flavour:?}");
        assert_eq!(account_of(&done.peer), AccountName::new("corp", "ALICE"));
        assert_eq!(client.step(&[]).err(), Some(AuthError::Finished));
        assert_eq!(server.step(&[]).err(), Some(AuthError::Finished));
    }
}

#[test]
fn two_hundred_pdus_and_two_megabytes_each_way() {
    for (flavour, ..) in FLAVOURS {
        for protection in [PRIVACY, INTEGRITY] {
            let (mut client, mut server) = connect(flavour, protection.level);
            stream(&mut client.sealer, &mut server.unsealer, protection);
            stream(&mut server.sealer, &mut client.unsealer, protection);
        }
    }
}

/// The halves share nothing: each runs on a thread of its own.
#[test]
fn the_halves_work_on_two_threads() {
    let (client, server) = connect(Flavour::Spnego, Level::Privacy);
    let (mut client_sealer, mut client_unsealer) = (client.sealer, client.unsealer);
    let (mut server_sealer, mut server_unsealer) = (server.sealer, server.unsealer);
    std::thread::scope(|scope| {
        scope.spawn(|| stream(&mut client_sealer, &mut server_unsealer, PRIVACY));
        scope.spawn(|| stream(&mut server_sealer, &mut client_unsealer, PRIVACY));
    });
}

#[test]
fn every_account_with_a_password_logs_on_whatever_its_letters() {
    for (user, password) in ACCOUNTS.iter().filter(|(_, password)| !password.is_empty()) {
        for domain in ["", "CORP", "corp", "другой"] {
            for flavour in [Flavour::Ntlm, Flavour::Spnego] {
                let mut client = initiator(
                    flavour,
                    &credentials(domain, user, password),
                    "HOST/ca1",
                    Level::Privacy,
                    &workstation(),
                )
                .unwrap();
                let mut server = acceptor(client.auth_type());
                let (_, done, _) = shake(client.as_mut(), server.as_mut()).unwrap();
                assert_eq!(account_of(&done.peer), AccountName::new(domain, *user));
            }
        }
    }
}

#[test]
fn wrong_password_and_unknown_account_look_the_same() {
    for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
        for (user, password) in
            [("alice", "pa55-wörd"), ("alice", "x"), ("nobody", "Pa55-wörd"), ("empty", "x")]
        {
            let mut client = initiator(
                flavour,
                &credentials("CORP", user, password),
                "HOST/ca1",
                Level::Privacy,
                &workstation(),
            )
            .unwrap();
            let mut server = acceptor(client.auth_type());
            let error = shake(client.as_mut(), server.as_mut()).err();
            assert_eq!(error, Some(AuthError::LogonRefused { account: AccountName::new("CORP", user) }));
            assert_eq!(error.unwrap().fault_status(), 5);
        }
    }
}

/// wire.md 2.8: several contexts on one connection, each with its own state.
#[test]
fn contexts_are_independent() {
    let (mut first, mut first_server) = connect(Flavour::Ntlm, Level::Privacy);
    let (mut second, mut second_server) = connect(Flavour::Spnego, Level::Privacy);
    stream(&mut first.sealer, &mut first_server.unsealer, PRIVACY);
    stream(&mut second.sealer, &mut second_server.unsealer, PRIVACY);
    stream(&mut first_server.sealer, &mut first.unsealer, PRIVACY);
}

#[test]
fn a_server_that_requires_a_mic_gets_one() {
    let mut client = initiator(Flavour::Ntlm, &alice(), "HOST/ca1", Level::Privacy, &workstation()).unwrap();
    let mut server = service().require_mic().acceptor(AuthType::NTLM, Level::Privacy).unwrap();
    shake(client.as_mut(), server.as_mut()).unwrap();
}

#[test]
fn kerberos_is_refused_until_it_exists() {
    assert!(matches!(
        service().acceptor(AuthType::KERBEROS, Level::Privacy),
        Err(AuthError::NoCommonMechanism { .. })
    ));
}

/// The client's AUTHENTICATE names the service, has a MIC over what travelled, and no LMv2 response beside the server's
/// time (wire.md 7, item 4).
#[test]
fn authenticate_names_its_target_and_has_no_lm_response() {
    for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
        let target = "HOST/ca1.corp.example";
        let mut client = initiator(flavour, &alice(), target, Level::Privacy, &workstation()).unwrap();
        let mut server = service().require_mic().acceptor(client.auth_type(), Level::Privacy).unwrap();
        let first = client.step(&[]).unwrap().token_out;
        assert!(server.claimed(&first).is_none());
        let challenge = server.step(&first).unwrap().token_out;
        let answer = client.step(&challenge).unwrap().token_out;
        let start = answer.windows(8).position(|bytes| bytes == b"NTLMSSP\0").unwrap();
        let authenticate = &answer[start..];
        let offset = usize::try_from(u32::from_le_bytes(authenticate[16..20].try_into().unwrap())).unwrap();
        assert_eq!(authenticate[12..14], [24, 0]);
        assert_eq!(authenticate[offset..offset + 24], [0; 24]);
        assert!(server.claimed(&challenge).is_none());
        let claimed = server.claimed(&answer).unwrap();
        assert_eq!((claimed.user(), claimed.folded_user().as_str()), ("alice", "ALICE"));
        let done = server.step(&answer).unwrap().done.unwrap();
        let PeerIdentity::Account { target: named, .. } = done.peer else { panic!("not an account") };
        assert_eq!(named.as_deref(), Some(target), "{flavour:?}");
        assert!(server.claimed(&answer).is_none(), "it is over");
    }
    for unusable in [String::new(), "x".repeat(5000)] {
        assert!(initiator(Flavour::Ntlm, &alice(), &unusable, Level::Privacy, &workstation()).is_err());
    }
}
