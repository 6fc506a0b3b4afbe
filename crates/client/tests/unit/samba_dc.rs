//! Samba's domain controller as the judge of our RPC with Kerberos: its `samr` over TCP, mutually authenticated and sealed,
//! raw and in SPNEGO. Off by default: it needs Debian's samba-ad-dc, krb5-user and ldb-tools, and root or sudo.
//!
//! ```text
//! cargo test -p certadm-client samba_dc -- --ignored
//! ```

use std::sync::Arc;
use std::time::Duration;

use certadm_auth::{Framing, kerberos_initiator};
use certadm_kerberos::client::{Secret, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Credential, Principal};
use certadm_rules::diagnosis::chain_of;
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use certadm_wire::rpc::{LookupHandle, MapperRequest, MapperResponse, SyntaxId, TcpTower, Tower};

use self::samba_domain::{Domain, PASSWORD, REALM, present};
use crate::connection::{Connection, Interface};
use crate::error::Error;
use crate::outlet::Ready;
use crate::stream::Stream;
use crate::target::Timeouts;

#[allow(dead_code)] // the tests of certadm-kerberos use all of it
#[path = "../../../kerberos/tests/suite/samba_domain.rs"]
mod samba_domain;

const MAPPER: Interface = Interface { syntax: SyntaxId::ENDPOINT_MAPPER, name: "the endpoint mapper" };
/// MS-SAMR 1.9.
const ACCOUNTS: Interface = Interface {
    syntax: SyntaxId::new(
        Guid::new(0x1234_5778, 0x1234, 0xABCD, [0xEF, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAC]),
        1,
        0,
    ),
    name: "the account service",
};
const DURING: &str = "the call on Samba";
/// SamrConnect2 and SamrEnumerateDomainsInSamServer.
const CONNECT: u16 = 57;
const ENUMERATE: u16 = 6;

fn connect(domain: &Domain, port: u16) -> Connection {
    let seconds = Duration::from_secs;
    let timeouts = Timeouts { connect: seconds(60), call: seconds(60), ..Timeouts::default() };
    let stream = Stream::tcp(&domain.address.to_string(), port, timeouts.connect).unwrap();
    Connection::over(stream, "Samba".to_owned(), timeouts).unwrap()
}

fn call(
    connection: &mut Connection,
    interface: Interface,
    opnum: u16,
    write: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    write(&mut writer);
    let call = Ready { interface: interface.syntax(), opnum, object: None, stub: writer.into_bytes() };
    connection.call(&call, DURING)
}

/// The port of the account service.
fn port(domain: &Domain) -> u16 {
    let mut connection = connect(domain, 135);
    connection.bind(MAPPER, None, DURING).unwrap();
    let tower =
        TcpTower { interface: ACCOUNTS.syntax(), transfer_syntax: SyntaxId::NDR, port: 0, address: [0; 4] };
    let request = MapperRequest::Map {
        object: None,
        tower: Some(Tower::tcp(tower)),
        handle: LookupHandle::default(),
        max_towers: 4,
    };
    let stub = call(&mut connection, MAPPER, request.opnum(), |writer| request.write(writer)).unwrap();
    let answer = MapperResponse::read(&request, &mut Reader::new(&stub, ByteOrder::Little)).unwrap();
    answer.towers.first().and_then(Tower::as_tcp).expect("Samba serves it over TCP").port
}

/// Sealed calls under one context: small ones, and a request of several fragments.
fn talk(domain: &Domain, port: u16, credential: Credential, framing: Framing) {
    let mut connection = connect(domain, port);
    let initiator = kerberos_initiator(credential, 0, framing, Arc::new(present(0)));
    connection.bind(ACCOUNTS, Some(initiator), DURING).unwrap();
    assert!(connection.is_sealed());
    let open = |connection: &mut Connection, name: &str| {
        let opened = call(connection, ACCOUNTS, CONNECT, |writer| {
            writer.referent().wide_string(name).u32(0x0200_0000);
        });
        let opened = opened.unwrap();
        assert_eq!((opened.len(), &opened[20..]), (24, &[0; 4][..]), "a handle, and no error");
        opened
    };
    let handle = open(&mut connection, "x");
    let domains = call(&mut connection, ACCOUNTS, ENUMERATE, |writer| {
        writer.bytes(&handle[..20]).u32(0).u32(0xFFFF);
    });
    let units: Vec<_> =
        domains.unwrap().as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let text = String::from_utf16_lossy(&units);
    assert!(text.contains("LOOP") && text.contains("BUILTIN"), "{text:?}");
    open(&mut connection, &"x".repeat(20_000));
}

#[test]
#[ignore = "needs Samba's domain controller, kinit, and root; run with --ignored"]
fn sealed_calls_with_kerberos() {
    let domain = Domain::start();
    domain.manage(&["user", "create", "alice", PASSWORD]);
    let world = present(0);
    let secret = Secret::Password(PASSWORD.to_owned().into());
    let granting = domain.log_on(Principal::account("alice", REALM), secret, &world).unwrap().credential;
    let ticket = |host: &str, etype| {
        let service = Principal::service("HOST", host, REALM);
        let request = TicketRequest::new(granting.clone(), &service, 0).unwrap().with_etypes(&[etype]);
        domain.get_ticket(request, &world).unwrap().credential
    };
    let port = port(&domain);
    for etype in [Etype::Aes256Sha1, Etype::Aes128Sha1] {
        for framing in [Framing::Raw, Framing::Spnego] {
            talk(&domain, port, ticket("dc2.loop.test", etype), framing);
        }
    }

    // A clock that is wrong, and a ticket for another service.
    domain.add_service();
    for (credential, offset) in [
        (ticket("dc2.loop.test", Etype::Aes256Sha1), 1000),
        (ticket(samba_domain::HOST, Etype::Aes256Sha1), 0),
    ] {
        for framing in [Framing::Raw, Framing::Spnego] {
            let mut connection = connect(&domain, port);
            let initiator = kerberos_initiator(credential.clone(), offset, framing, Arc::new(present(0)));
            let error = connection.bind(ACCOUNTS, Some(initiator), DURING).unwrap_err();
            let text = chain_of(&error);
            println!("{framing:?} {offset}: {text}");
            assert!(offset == 0 || text.contains("37 (SKEW)"), "{text}");
        }
    }
}
