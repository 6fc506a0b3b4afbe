//! Samba's domain controller as the judge: its KDC of our logons and requests, its tickets and PACs of our acceptor, and
//! the files of MIT's `kinit`. Off by default: it needs Debian's samba-ad-dc, krb5-user and ldb-tools, and root or sudo,
//! since a KDC has a port below 1024.
//!
//! ```text
//! cargo test -p certadm-kerberos samba_dc -- --ignored
//! ```

use std::sync::Arc;

use certadm_kerberos::client::{ClientError, Secret, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::message::ErrorCode;
use certadm_kerberos::{Acceptor, Credential, Demand, Initiator, Moment, Principal};
use certadm_toy_kdc::World;

use crate::samba_domain::{Domain, HOST, PASSWORD, REALM, present};

fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned().into())
}

fn account(name: &str) -> Principal {
    Principal::account(name, REALM)
}

fn host() -> Principal {
    Principal::service("HOST", HOST, REALM)
}

/// A context with a ticket of Samba's. The world's clock is the client's; the server has that of this machine.
fn accept(
    credential: Credential,
    offset: i64,
    world: &World,
    acceptor: &Acceptor,
) -> certadm_kerberos::Accepted {
    let server = present(0);
    let (initiator, first) = Initiator::start(credential, offset, world).unwrap();
    let (pending, second) = acceptor.accept(&first, Demand::Privacy, &server).unwrap();
    pending.finish(&initiator.finish(&second, world).unwrap().third).unwrap()
}

#[test]
#[ignore = "needs Samba's domain controller, kinit, and root; run with --ignored"]
fn a_domain_of_samba() {
    let domain = Domain::start();
    for name in ["alice", "off"] {
        domain.manage(&["user", "create", name, PASSWORD]);
    }
    domain.manage(&["user", "disable", "off"]);
    domain.manage(&["user", "create", "new", PASSWORD, "--must-change-at-next-login"]);
    for group in ["inner", "outer"] {
        domain.manage(&["group", "add", group]);
    }
    domain.manage(&["group", "addmembers", "inner", "alice"]);
    domain.manage(&["group", "addmembers", "outer", "inner"]);
    let acceptor = Acceptor::new(Arc::new(domain.add_service()), Arc::default());

    // Password and keytab, both etypes of session keys, clocks right and wrong.
    let keys = domain.keytab("alice").keys_of(&account("alice"));
    assert!(keys.iter().any(|key| key.etype() == Etype::Aes256Sha1));
    for offset in [0, -1200, 3 * 86_400] {
        let world = present(offset);
        for secret in [password(PASSWORD), Secret::Keys(keys.clone())] {
            let done = domain.log_on(account("alice"), secret, &world).unwrap();
            assert!((done.clock_offset + offset).abs() <= 60, "{}", done.clock_offset);
            for etype in [Etype::Aes256Sha1, Etype::Aes128Sha1] {
                let request =
                    TicketRequest::new(done.credential.clone(), &host(), done.clock_offset).unwrap();
                let granted = domain.get_ticket(request.with_etypes(&[etype]), &world).unwrap();
                assert_eq!(granted.credential.session_key.etype(), etype);
                let accepted = accept(granted.credential, granted.clock_offset, &world, &acceptor);
                assert_eq!(accepted.client, account("alice"));
                let logon = accepted.pac.unwrap().logon.unwrap();
                assert_eq!((&*logon.user_name, &*logon.domain), ("alice", "LOOP"));
                // Domain Users, inner, outer, and that the domain controller asserts the identity.
                assert!(4 <= logon.groups.len(), "{:?}", logon.groups);
                assert!(logon.groups.iter().any(|sid| sid.to_string() == "S-1-18-1"), "{:?}", logon.groups);
            }
        }
    }

    // The domain by its short name: the answer has the right one.
    let world = present(0);
    let done = domain.log_on(Principal::account("alice", "LOOP"), password(PASSWORD), &world).unwrap();
    assert_eq!(done.credential.client, account("alice"));
    let name = Principal::enterprise("alice@loop.test", REALM);
    assert_eq!(domain.log_on(name, password(PASSWORD), &world).unwrap().credential.client, account("alice"));

    // The cache of MIT's kinit.
    let cache = domain.kinit();
    let now = Moment::from(certadm_kerberos::Environment::now(&present(1))).time;
    let granting = cache.ticket_granting(now).expect("a ticket that is good").clone();
    let request = TicketRequest::new(granting, &host(), cache.clock_offset.unwrap_or_default()).unwrap();
    let granted = domain.get_ticket(request, &world).unwrap();
    assert_eq!(accept(granted.credential, 0, &world, &acceptor).client, account("alice"));

    // What it refuses, and what it says then.
    for (name, secret, code, words) in [
        ("alice", "wrong", ErrorCode::PREAUTH_FAILED, "PREAUTH_FAILED"),
        ("nobody", PASSWORD, ErrorCode::CLIENT_UNKNOWN, "C_PRINCIPAL_UNKNOWN"),
        ("off", PASSWORD, ErrorCode::CLIENT_REVOKED, "the account is disabled"),
        ("new", PASSWORD, ErrorCode::KEY_EXPIRED, "the password must be changed"),
    ] {
        let error = domain.log_on(account(name), password(secret), &world).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(matches!(error, ClientError::Refused { error, .. } if error.code == code), "{name}");
    }
    let request =
        TicketRequest::new(done.credential, &Principal::service("RPCSS", "127.0.0.1", REALM), 0).unwrap();
    match domain.get_ticket(request, &world) {
        Err(ClientError::Refused { error, .. }) => assert_eq!(error.code, ErrorCode::SERVICE_UNKNOWN),
        other => panic!("{other:?}"),
    }
}
