//! A server with accounts, a clock and a random source for the tests.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use certadm_auth::{
    Acceptor, AccountName, AccountStore, AuthError, AuthType, Credentials, Environment, Established,
    FileTime, Flavour, Initiator, Level, NtHash, Password, PeerIdentity, Protection, Sealer, Segments,
    ServerNames, Service, Unsealer, Workstation, initiator, same_name,
};

pub(crate) const PRIVACY: Protection = Protection { level: Level::Privacy, header_signing: true };

pub(crate) const INTEGRITY: Protection = Protection { level: Level::Integrity, header_signing: true };

/// Accounts of the test server, in any domain: name and password.
pub(crate) const ACCOUNTS: [(&str, &str); 5] =
    [("alice", "Pa55-wörd"), ("jörg", "geheim €"), ("groß", "straße"), ("empty", ""), ("guest", "")];

struct Accounts;

impl AccountStore for Accounts {
    fn nt_hash(&self, _domain: &str, user: &str) -> Option<NtHash> {
        ACCOUNTS
            .iter()
            .find(|(name, _)| same_name(name, user))
            .map(|(_, password)| NtHash::from_password(password))
    }
}

pub(crate) struct RealWorld;

impl Environment for RealWorld {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        getrandom::fill(bytes).map_err(|_| AuthError::NoRandomness)
    }
}

pub(crate) fn workstation() -> Workstation {
    Workstation::new("backup.corp.example", Arc::new(RealWorld))
}

pub(crate) fn service() -> Service {
    Service::new(
        ServerNames::new("CA1", "CORP", Some("ca1.corp.example")).unwrap(),
        Arc::new(Accounts),
        Arc::new(RealWorld),
    )
}

pub(crate) fn acceptor(auth_type: AuthType) -> Box<dyn Acceptor> {
    service().acceptor(auth_type, Level::Privacy).unwrap()
}

pub(crate) fn credentials(domain: &str, user: &str, password: &str) -> Credentials {
    Credentials { account: AccountName::new(domain, user), password: Password::new(password.to_owned()) }
}

pub(crate) fn alice() -> Credentials {
    credentials("CORP", "alice", "Pa55-wörd")
}

/// Runs a handshake to its end; counts the tokens that were sent.
pub(crate) fn shake(
    client: &mut dyn Initiator,
    server: &mut dyn Acceptor,
) -> Result<(Established, Established, usize), AuthError> {
    let mut legs = 0;
    let mut token = Vec::new();
    let mut client_done = None;
    loop {
        let step = client.step(&token)?;
        client_done = client_done.or(step.done);
        legs += usize::from(!step.token_out.is_empty());
        let step = server.step(&step.token_out)?;
        legs += usize::from(!step.token_out.is_empty());
        token = step.token_out;
        if let Some(server_done) = step.done {
            if client_done.is_none() {
                let step = client.step(&token)?;
                assert!(step.token_out.is_empty());
                client_done = step.done;
            }
            return Ok((client_done.unwrap(), server_done, legs));
        }
    }
}

pub(crate) fn connect(flavour: Flavour, level: Level) -> (Established, Established) {
    let mut client = initiator(flavour, &alice(), "HOST/ca1.corp.example", level, &workstation()).unwrap();
    let mut server = service().acceptor(client.auth_type(), level).unwrap();
    let (client, server, _) = shake(client.as_mut(), server.as_mut()).unwrap();
    (client, server)
}

/// A PDU as RPC cuts it: 24 bytes of header, `body`, sec_trailer, room for the token.
pub(crate) fn pdu(body: &[u8]) -> Vec<u8> {
    let mut pdu = (0..24).collect::<Vec<u8>>();
    pdu.extend(body);
    pdu.extend([10, 6, 0, 0, 0, 0, 0, 0]);
    pdu.extend([0; 16]);
    pdu
}

pub(crate) fn seal(sealer: &mut Sealer, protection: Protection, body: &[u8]) -> Vec<u8> {
    let mut pdu = pdu(body);
    let size = sealer.token_size(protection.level);
    let (segments, token) = Segments::split(&mut pdu, 24, size).unwrap();
    sealer.seal(protection, segments, token).unwrap();
    pdu
}

pub(crate) fn unseal(
    unsealer: &mut Unsealer,
    protection: Protection,
    pdu: &mut [u8],
) -> Result<Vec<u8>, certadm_auth::SealError> {
    let size = 16;
    let range = Segments::body_range(pdu.len(), 24, size)?;
    let (segments, token) = Segments::split(pdu, 24, size)?;
    unsealer.unseal(protection, segments, token)?;
    Ok(pdu[range].to_vec())
}

/// Many PDUs one way.
pub(crate) fn stream(from: &mut Sealer, to: &mut Unsealer, protection: Protection) {
    for number in 0..200_u8 {
        let body = vec![number; 4000];
        let mut pdu = seal(from, protection, &body);
        if protection.level == Level::Privacy {
            assert_ne!(pdu[24..4024], body[..]);
        }
        assert_eq!(unseal(to, protection, &mut pdu).unwrap(), body);
    }
    for _ in 0..2 {
        let body: Vec<u8> = (0..1 << 20).map(|byte: u32| byte.to_le_bytes()[1]).collect();
        let mut pdu = seal(from, protection, &body);
        assert!(unseal(to, protection, &mut pdu).unwrap() == body);
    }
}

pub(crate) fn account_of(peer: &PeerIdentity) -> AccountName {
    match peer {
        PeerIdentity::Account { account, .. } => account.clone(),
        other => panic!("not an account: {other:?}"),
    }
}
