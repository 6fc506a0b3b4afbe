//! What several tests begin with: a realm with an account and a service.

use certadm_kerberos::client::{ClientError, Granted, LoggedOn, Logon, Secret, Step, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Credential, Keytab, Principal};
use certadm_toy_kdc::{Kdc, Network, World};

pub(crate) const REALM: &str = "TOY.TEST";
pub(crate) const HOST: &str = "ca1.toy.test";
pub(crate) const PASSWORD: &str = "Al1ce-Pa55";

pub(crate) fn alice() -> Principal {
    Principal::account("alice", REALM)
}

pub(crate) fn service() -> Principal {
    Principal::service("HOST", HOST, REALM)
}

pub(crate) fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned().into())
}

/// A realm with alice and a service, and the service's keytab.
pub(crate) fn realm(etype: Etype) -> (Kdc, Keytab) {
    let mut kdc = Kdc::new(REALM);
    kdc.add_account("alice", PASSWORD);
    let keytab = kdc.add_service("HOST", HOST, etype);
    (kdc, keytab)
}

/// Drives a logon to its end; with it, how many questions it took.
pub(crate) fn log_on(
    mut logon: Logon,
    network: &Network,
    world: &World,
) -> (Result<LoggedOn, ClientError>, usize) {
    let mut question = match logon.start(world) {
        Ok(question) => question,
        Err(error) => return (Err(error), 0),
    };
    for asked in 1.. {
        match logon.answer(&network.ask(&question, world), world) {
            Ok(Step::Ask(next)) => question = next,
            Ok(Step::Done(done)) => return (Ok(done), asked),
            Err(error) => return (Err(error), asked),
        }
    }
    unreachable!("a logon ends")
}

/// Drives a request for a ticket to its end.
pub(crate) fn get_ticket(
    mut request: TicketRequest,
    network: &Network,
    world: &World,
) -> (Result<Granted, ClientError>, usize) {
    let mut question = match request.start(world) {
        Ok(question) => question,
        Err(error) => return (Err(error), 0),
    };
    for asked in 1.. {
        match request.answer(&network.ask(&question, world), world) {
            Ok(Step::Ask(next)) => question = next,
            Ok(Step::Done(done)) => return (Ok(done), asked),
            Err(error) => return (Err(error), asked),
        }
    }
    unreachable!("a request ends")
}

/// A ticket for the service, the whole way.
pub(crate) fn ticket(network: &Network, world: &World) -> (Credential, i64) {
    let logged_on = log_on(Logon::new(alice(), password(PASSWORD)), network, world).0.unwrap();
    let request = TicketRequest::new(logged_on.credential, &service(), logged_on.clock_offset).unwrap();
    let granted = get_ticket(request, network, world).0.unwrap();
    (granted.credential, granted.clock_offset)
}
