//! What all threads of the service share.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use certadm_auth::Service;
use certadm_rules::Hresult;
use certadm_rules::flags::{AUDIT_BACKUP, Roles};
use certadm_rules::names::names_ca;
use certadm_rules::unc::UncRoot;
use certadm_session::LocalSource;
use certadm_store::Store;
use certadm_wire::dcom::{DualStringArray, SecurityBinding, StringBinding};
use certadm_wire::rpc::AuthType;

use crate::accounts::Accounts;
use crate::brake::{Brake, network};
use crate::connections::{Connections, Place};
use crate::granted::Granted;
use crate::identity::Identity;
use crate::listeners::Addresses;
use crate::logons::Logons;
use crate::objects::Objects;
use crate::rates::{Lines, Rates};
use crate::settings::Settings;
use crate::tickets::Tickets;
use crate::wake::Wake;

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) addresses: Addresses,
    pub(crate) store: Arc<Store>,
    pub(crate) names: UncRoot,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) logons: Service,
    pub(crate) tickets: Option<Arc<Tickets>>,
    pub(crate) granted: Granted,
    pub(crate) objects: Objects,
    pub(crate) connections: Connections,
    pub(crate) brake: Brake,
    pub(crate) last_logons: Logons,
    /// The calls that write, of each caller.
    pub(crate) writes: Rates<Identity>,
    pub(crate) lines: Lines,
    pub(crate) own_uid: u32,
    /// No new objects and backups.
    pub(crate) stopping: AtomicBool,
    /// Connections end.
    pub(crate) closing: AtomicBool,
    pub(crate) wake: Wake,
}

impl Shared {
    /// A server object of the CA.
    pub(crate) fn source(&self) -> LocalSource {
        LocalSource::new(Arc::clone(&self.store), self.names.clone())
            .with_audits(self.settings.audit_filter & AUDIT_BACKUP != 0)
    }

    /// Whether `authority` names this CA (wire.md 5.1).
    ///
    /// # Errors
    /// `E_INVALIDARG`.
    pub(crate) fn check_authority(&self, authority: Option<&str>) -> Result<(), Hresult> {
        if names_ca(authority, &self.settings.name) { Ok(()) } else { Err(Hresult::E_INVALIDARG) }
    }

    /// Who takes the backup that runs, since when, and whether he is still there.
    pub(crate) fn running_backup(&self) -> Option<String> {
        let running = self.store.running_backup()?.to_string();
        Some(match self.objects.lost_for(Instant::now()) {
            Some(gone) => format!(
                "{running}; its connection has been gone for {} s, and it is given up after {} s",
                gone.as_secs(),
                self.settings.limits.lost_client.as_secs()
            ),
            None => running,
        })
    }

    /// The roles of a caller of the Unix socket.
    pub(crate) fn local_roles(&self, identity: &Identity) -> Roles {
        match identity {
            Identity::Local { uid, gid } => self.granted.local(*uid, *gid, self.own_uid),
            Identity::Account { .. } | Identity::Principal(_) => Roles::NONE,
        }
    }

    /// Which place a new connection takes.
    pub(crate) fn place(&self, address: Option<IpAddr>, local: Option<&Identity>, now: Instant) -> Place {
        match local {
            Some(identity) => {
                let has_role = self.local_roles(identity) != Roles::NONE;
                Place::Local { identity: identity.clone(), has_role }
            }
            None => {
                // A peer that has left again has no address.
                let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
                Place::Unproven { network: network(address), is_known: self.brake.is_known(address, now) }
            }
        }
    }

    /// Ends what accounts have left behind that are changed, disabled or removed.
    pub(crate) fn end_gone(&self) {
        let is_gone = |identity: &Identity| self.accounts.is_gone(identity);
        self.connections.end_those(is_gone);
        self.objects.end_those(is_gone);
    }

    /// Our names and addresses as this caller may know them: host name, the address we listen on, the address he
    /// reached (wire.md 4.4). With a port for the exporter, without for the resolver.
    pub(crate) fn bindings(&self, reached: Option<IpAddr>, port: Option<u16>) -> DualStringArray {
        let host = &self.settings.host;
        // The name that clients have tickets for comes first: some look no further.
        let in_domain = self.tickets.as_ref().map(|tickets| &tickets.settings().host);
        let mut names: Vec<String> = in_domain.into_iter().chain([host]).cloned().collect();
        let listening = Some(self.addresses.resolver.ip()).filter(|ip| !ip.is_unspecified());
        let addresses = reached.into_iter().chain(listening);
        let is_loopback = reached.or(listening).is_none_or(|ip| ip.is_loopback());
        names.extend(is_loopback.then(|| "localhost".to_owned()));
        names.extend(addresses.map(|address| address.to_string()));
        names.extend(host.split_once('.').map(|(label, _)| label.to_owned()));
        let mut strings: Vec<StringBinding> = Vec::new();
        for name in names {
            let binding = match port {
                Some(port) => StringBinding::exporter(&name, port),
                None => StringBinding::resolver(&name),
            };
            if !strings.contains(&binding) {
                strings.push(binding);
            }
        }
        let security = security_bindings(in_domain.map(String::as_str), self.settings.ntlm);
        // Host names are checked at the start and short, so the array is always good.
        DualStringArray::new(strings, security).unwrap_or_default()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Takes no new work and aborts the running backup; callers are still answered.
    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.objects.abort_all();
    }

    /// Lets [`Server::run`] return.
    pub(crate) fn stop(&self) {
        self.begin_stop();
        self.wake.wake();
    }
}

/// How to log on here. A client of Windows has a ticket only for a principal that stands here (kerberos.md 5); the order is
/// that of its services.
fn security_bindings(host: Option<&str>, has_ntlm: bool) -> Vec<SecurityBinding> {
    let Some(host) = host else {
        return [AuthType::SPNEGO, AuthType::NTLM].map(SecurityBinding::of).to_vec();
    };
    let ntlm = has_ntlm.then(|| SecurityBinding::of(AuthType::NTLM));
    let with_name =
        |service| SecurityBinding { principal: format!("host/{host}"), ..SecurityBinding::of(service) };
    ntlm.into_iter().chain([AuthType::KERBEROS, AuthType::SPNEGO].map(with_name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_keys_says_for_whom() {
        let shown = |host, has_ntlm| {
            let bindings = security_bindings(host, has_ntlm).into_iter();
            bindings.map(|binding| (binding.service, binding.principal)).collect::<Vec<_>>()
        };
        let host = || "host/ca1.toy.test".to_owned();
        assert_eq!(shown(None, true), [(9, String::new()), (10, String::new())]);
        assert_eq!(shown(Some("ca1.toy.test"), true), [(10, String::new()), (16, host()), (9, host())]);
        assert_eq!(shown(Some("ca1.toy.test"), false), [(16, host()), (9, host())]);
    }
}
