//! Callers with tickets of a domain: who may call what, PACs that are broken on the way, roles that change.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certadm_auth::{Framing, kerberos_initiator};
use certadm_ca::{RolesConfig, Shutdown};
use certadm_kerberos::client::Secret;
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Credential, Keytab, Principal};
use certadm_server::{KerberosSettings, Limits, Settings};
use certadm_toy_kdc::{Kdc, Network, PacHooks, PacMaker, World as Clock, keytab_file};
use certadm_wire::csra::Request;
use certadm_wire::dcom::Iid;
use certadm_wire::rpc::AuthLevel;
use tempfile::TempDir;

use crate::access::{DENIED, every_cell};
use crate::peer::{Failed, Object, Peer, activate, prepare};
use crate::world::{USERS, World};

const REALM: &str = "TOY.TEST";
const HOST: &str = "ca01";
/// A call for operators alone.
const LOCATIONS: Request = Request::RestoreGetDatabaseLocations;

/// A realm with the accounts of [`USERS`], and a service of ours in it.
struct Domain {
    world: World,
    network: Network,
    clock: Arc<Clock>,
    _keys: TempDir,
}

impl Domain {
    fn new(kdc_change: impl FnOnce(&mut Kdc), change: impl FnOnce(&mut Settings)) -> Self {
        let mut kdc = Kdc::new(REALM);
        for (user, _) in USERS {
            kdc.add_account(user, user);
        }
        let services = ["RPCSS", "HOST"].map(|class| kdc.add_service(class, HOST, Etype::Aes256Sha1));
        kdc_change(&mut kdc);
        let entries = services.iter().flat_map(|keytab| keytab.entries().to_vec()).collect();
        let keys = TempDir::new().unwrap();
        let keytab = keys.path().join("keytab");
        std::fs::write(&keytab, keytab_file(&Keytab::new(entries))).unwrap();
        std::fs::set_permissions(&keytab, PermissionsExt::from_mode(0o600)).unwrap();
        let world = World::with_settings(|settings| {
            settings.kerberos = Some(KerberosSettings {
                keytab,
                host: HOST.into(),
                realms: Vec::new(),
                skew_seconds: 300,
                danger_unsigned_headers: false,
                danger_names_without_pac: false,
            });
            settings.roles = by_name();
            change(settings);
        });
        Self { world, network: Network::of([kdc]), clock: Arc::new(Clock::real()), _keys: keys }
    }

    fn granting(&self, user: &str) -> Credential {
        let secret = Secret::Password(user.to_owned().into());
        self.network.granting(Principal::account(user, REALM), secret, &*self.clock).unwrap()
    }

    fn ticket(&self, granting: &Credential, class: &str) -> Credential {
        let service = Principal::service(class, HOST, REALM);
        self.network.ticket(granting.clone(), &service, &*self.clock).unwrap()
    }

    /// A connection that is logged on with a ticket.
    fn logged_on(&self, granting: &Credential, class: &str, iid: Iid) -> Result<Peer, Failed> {
        self.logged_on_at(AuthLevel::Privacy, granting, class, iid)
    }

    fn logged_on_at(
        &self,
        level: AuthLevel,
        granting: &Credential,
        class: &str,
        iid: Iid,
    ) -> Result<Peer, Failed> {
        let addresses = &self.world.addresses;
        let address = if class == "HOST" { addresses.exporter } else { addresses.resolver };
        let ticket = self.ticket(granting, class);
        let mut peer = Peer::tcp(address);
        let initiator = kerberos_initiator(ticket, 0, Framing::Raw, self.clock.clone());
        peer.bind_with(iid, level, initiator)?;
        Ok(peer)
    }

    fn object(&self, user: &str) -> Object {
        let granting = self.granting(user);
        let mut resolver = self.logged_on(&granting, "RPCSS", Iid::REMOTE_SCM_ACTIVATOR).unwrap();
        let (ipid, oid, rem_unknown) = activate(&mut resolver, 0).unwrap();
        let peer = self.logged_on(&granting, "HOST", Iid::CERT_ADMIN_2).unwrap();
        Object { peer, ipid, oid, rem_unknown, context: 0 }
    }
}

/// The role of each of [`USERS`], by the name of its account in the realm.
fn by_name() -> RolesConfig {
    let of = |name: &str| vec![format!("krb:{name}@{REALM}")];
    RolesConfig {
        administrator: of("admin"),
        officer: of("officer"),
        auditor: of("auditor"),
        operator: of("operator"),
        read: of("reader"),
        enroll: of("enrollee"),
    }
}

#[test]
fn every_method_for_every_role_of_a_ticket() {
    let domain = Domain::new(|_| {}, |settings| settings.allowed.shutdown = Shutdown::Everybody);
    every_cell(|user| domain.object(user));
}

/// As with NTLM: the logon passes, and the call is told why (wire.md 5.1). Headers are signed by nobody there, so that no setting
/// about them is what lacks.
#[test]
fn a_ticket_below_packet_integrity_gets_fault_5() {
    let domain = Domain::new(|_| {}, |_| {});
    let operator = domain.object("operator");
    let granting = domain.granting("operator");
    for level in [AuthLevel::Connect, AuthLevel::Packet] {
        for (class, iid, object) in
            [("RPCSS", Iid::REMOTE_SCM_ACTIVATOR, None), ("HOST", Iid::CERT_ADMIN_2, Some(operator.ipid.0))]
        {
            let mut peer = domain.logged_on_at(level, &granting, class, iid).unwrap();
            assert_eq!(peer.request(0, 4, object, &[0; 64]), Err(Failed::Fault(5)), "{level:?} {class}");
        }
    }
}

/// As those of `users.toml` are: a role that is taken away is gone at the next call, over the same connection.
#[test]
fn roles_of_ca_toml_are_those_of_the_moment() {
    let place = TempDir::new().unwrap();
    let file = place.path().join("ca.toml");
    let write = |roles: &str| {
        let text = format!("name = \"Test CA\"\n[roles]\n{roles}\n");
        let new = place.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &file).unwrap();
    };
    write("operator = [\"krb:operator@TOY.TEST\", \"uid:self\"]");
    let domain = Domain::new(|_| {}, |settings| settings.roles_file = Some(file.clone()));
    let (mut remote, mut local) = (domain.object("operator"), Object::unix(&domain.world));
    let mut codes = || [remote.code(&LOCATIONS), local.code(&LOCATIONS)];
    assert_eq!(codes(), [0, 0]);
    write("operator = []\nadministrator = []");
    assert_eq!(codes(), [DENIED, DENIED]);
    write("operator = [\"sid:S-1-5-21-1-2-3-1106\"]\nadministrator = []");
    assert_eq!(codes(), [0, DENIED], "by a group of the ticket that was shown before");
    // Nobody has a role by a file that cannot be used, and nobody loses his connection by it.
    for broken in ["operator = [\"CA Operators\"]", "operator = 7", "operators = []"] {
        write(broken);
        assert_eq!(codes(), [DENIED, DENIED], "{broken}");
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(codes(), [DENIED, DENIED], "without a file");
    write("operator = [\"krb:operator@TOY.TEST\", \"uid:self\"]");
    assert_eq!(codes(), [0, 0]);
    assert_eq!(remote.code(&prepare(0)), 0);
    write("auditor = [\"krb:operator@TOY.TEST\"]");
    assert_eq!(remote.code(&Request::BackupGetAttachmentInformation), DENIED);
}

/// Whoever has an account in the realm may show a ticket; that takes nobody's place who has a role.
#[test]
fn tickets_without_a_role_keep_nobody_out() {
    let small = |settings: &mut Settings| {
        settings.limits = Limits { connections: 8, roleless_connections: 3, objects: 4, ..Limits::default() };
        settings.roles =
            RolesConfig { operator: vec![format!("krb:operator@{REALM}")], ..RolesConfig::default() };
    };
    // Without SIDs each account is another caller.
    let hooks = PacHooks {
        make: Some(Arc::new(|pac: &mut PacMaker| (pac.domain, pac.requestor) = (None, None))),
        ..PacHooks::default()
    };
    let domain = Domain::new(|kdc| kdc.pac = hooks, small);
    let state = Request::GetServerState { authority: None };
    let mut crowd: Vec<_> = ["reader", "auditor", "officer", "admin"].map(|user| domain.object(user)).into();
    let mut answered = || crowd.iter_mut().filter_map(|object| object.call(&state).ok()).count();
    answered();
    // A connection that just ends may still have its place.
    let answered = answered();
    assert!((1..=3).contains(&answered), "of four connections at least one had to go: {answered}");
    let mut operators: Vec<_> = (0..2).map(|_| domain.object("operator")).collect();
    for operator in &mut operators {
        assert_eq!(operator.code(&LOCATIONS), 0);
    }
}

fn no_brake(settings: &mut Settings) {
    settings.limits =
        Limits { free_failures: u32::MAX, free_failures_of_address: u32::MAX, ..Limits::default() };
}

/// Nobody gets in with a PAC in which a byte was changed, other than in the KDC's own signature, which no service can check.
#[test]
fn a_pac_that_was_altered_lets_nobody_in() {
    let (place, length) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(0)));
    let (at, seen) = (Arc::clone(&place), Arc::clone(&length));
    let alter = move |pac: &mut Vec<u8>| {
        seen.store(pac.len(), Ordering::SeqCst);
        if let Some(byte) = pac.get_mut(at.load(Ordering::SeqCst)) {
            *byte ^= 1;
        }
    };
    let hooks = PacHooks { alter: Some(Arc::new(alter)), ..PacHooks::default() };
    let domain = Domain::new(|kdc| kdc.pac = hooks, no_brake);
    let granting = domain.granting("operator");
    let log_on = || domain.logged_on(&granting, "RPCSS", Iid::REMOTE_SCM_ACTIVATOR).map(|_| ());
    assert_eq!(log_on(), Ok(()), "as it was made");
    let length = length.load(Ordering::SeqCst);
    assert!(300 < length, "{length}");
    for at in 0..length {
        place.store(at, Ordering::SeqCst);
        if log_on().is_ok() {
            assert!(length - 16 <= at, "byte {at} of {length}");
        }
    }
    place.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(log_on(), Ok(()), "the service goes on");
}

#[test]
fn pacs_that_are_wrong_missing_or_newer() {
    type Make = fn(&mut PacMaker);
    let cases: [(&str, Make, bool); 7] = [
        ("as it is", |_| {}, true),
        ("without a signature", |pac| pac.is_signed = false, false),
        ("signed by RC4", |pac| pac.signature_kind = Some(-138), false),
        ("of another account", |pac| pac.client_name = "admin".into(), false),
        ("of another logon", |pac| pac.auth_time = pac.auth_time.plus(1), false),
        ("without SIDs, as MIT's", |pac| (pac.domain, pac.requestor) = (None, None), true),
        ("with buffers of the future", |pac| pac.others.extend([(19, vec![1; 20]), (4711, vec![7])]), true),
    ];
    for (name, make, is_good) in cases {
        let hooks = PacHooks { make: Some(Arc::new(make)), ..PacHooks::default() };
        let domain = Domain::new(|kdc| kdc.pac = hooks, no_brake);
        let granting = domain.granting("operator");
        let logged_on = domain.logged_on(&granting, "RPCSS", Iid::REMOTE_SCM_ACTIVATOR);
        assert_eq!(logged_on.is_ok(), is_good, "{name}");
        if is_good {
            assert_eq!(domain.object("operator").code(&prepare(0)), 0, "{name}: by the account's name");
        }
    }
    // Without any PAC there is no group, and nobody says whose the name is: the client may have asked for that.
    let (name, group) = ("krb:operator@TOY.TEST", "sid:S-1-5-21-1-2-3-1106");
    for (role, is_allowed, code) in [(name, false, DENIED), (name, true, 0), (group, true, DENIED)] {
        let change = |settings: &mut Settings| {
            settings.kerberos.as_mut().unwrap().danger_names_without_pac = is_allowed;
            settings.roles = RolesConfig { operator: vec![role.to_owned()], ..RolesConfig::nobody() };
        };
        let domain = Domain::new(|kdc| kdc.has_pac = false, change);
        assert_eq!(domain.object("operator").code(&prepare(0)), code, "{role} {is_allowed}");
    }
}
