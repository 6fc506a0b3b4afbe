//! A domain with our service in it: a KDC in memory, or another one, and a service with a keytab.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use certadm_auth::{AccountName, NtHash, Password};
use certadm_client::{
    Credentials, Endpoint, Error, KerberosTarget, Mechanism, OtherEntries, RemoteCa, Target, Timeouts,
};
use certadm_kerberos::client::{Logon, Question, Secret, Step, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Credential, Keytab, Principal};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_server::{KerberosSettings, Server, Settings, SocketWish, Stopped, Stopper, User, UserFile};
use certadm_set::{Silent, TakeOptions, take};
use certadm_store::{Folder, Options, Store};
use certadm_toy_kdc::{Kdc, Listener, Network, World};
use tempfile::TempDir;

use crate::stores::write_keytab;

pub(crate) const REALM: &str = "TOY.TEST";
pub(crate) const HOST: &str = "localhost";
pub(crate) const PASSWORD: &str = "Al1ce-Pa55";
/// The group that every account of the toy KDC is in.
pub(crate) const GROUP: &str = "sid:S-1-5-21-1-2-3-1106";

/// Our service with a keytab, in a domain.
pub(crate) struct Ca {
    dir: TempDir,
    realm: &'static str,
    /// Where the KDC is.
    kdc: String,
    pub(crate) resolver: SocketAddr,
    stopper: Stopper,
    running: Option<JoinHandle<Stopped>>,
}

/// A domain in memory with one account and one service, and that service.
pub(crate) struct Domain {
    ca: Ca,
    pub(crate) kdc: Listener,
}

/// What a test does to something before it is used.
pub(crate) type Change<T> = Option<Box<dyn FnOnce(&mut T)>>;

/// What is different from one test to the next.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) kdc: Change<Kdc>,
    pub(crate) settings: Change<Settings>,
    /// Other realms.
    pub(crate) others: Vec<Kdc>,
}

impl Domain {
    pub(crate) fn new() -> Self {
        Self::with(Changes::default())
    }

    pub(crate) fn with(changes: Changes) -> Self {
        let mut kdc = Kdc::new(REALM);
        kdc.add_account("alice", PASSWORD);
        let mut entries = Vec::new();
        for class in ["RPCSS", "HOST"] {
            entries.extend(kdc.add_service(class, HOST, Etype::Aes256Sha1).entries().to_vec());
        }
        if let Some(change) = changes.kdc {
            change(&mut kdc);
        }
        let network = Network::of([kdc].into_iter().chain(changes.others));
        let kdc = Listener::start(network, Arc::new(World::real())).unwrap();
        let change = changes.settings.unwrap_or_else(|| Box::new(|_| {}));
        let ca = Ca::start(&Keytab::new(entries), REALM, kdc.address().to_string(), change);
        Self { ca, kdc }
    }
}

impl Deref for Domain {
    type Target = Ca;

    fn deref(&self) -> &Ca {
        &self.ca
    }
}

impl Ca {
    /// With these keys; with what `change` makes of the settings.
    pub(crate) fn start(
        keys: &Keytab,
        realm: &'static str,
        kdc: String,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let keytab = dir.path().join("service.keytab");
        write_keytab(&keytab, keys);
        // What a target names has to be there.
        std::fs::write(dir.path().join("krb5.conf"), "").unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, "Toy CA", Options::default()).unwrap();
        // An account of the service that has the name of one of the realm, and no role.
        let same = User::new("alice", NtHash::from_password("Other-Pa55"), Roles::NONE).unwrap();
        UserFile::in_folder(folder.path()).add(same).unwrap();
        let mut settings = Settings {
            name: "Toy CA".into(),
            host: "ca1".into(),
            resolver: "127.0.0.1:0".parse().unwrap(),
            exporter_port: 0,
            socket: SocketWish::None,
            interface_flags: InterfaceFlags::from_bits(0x601),
            audit_filter: 0x7f,
            kerberos: Some(KerberosSettings {
                keytab,
                host: HOST.into(),
                realms: Vec::new(),
                skew_seconds: 300,
                danger_unsigned_headers: false,
                danger_names_without_pac: false,
            }),
            ntlm: true,
            roles: certadm_ca::RolesConfig { operator: vec![GROUP.into()], ..Default::default() },
            roles_file: None,
            allowed: Default::default(),
            limits: Default::default(),
        };
        change(&mut settings);
        let server = Server::start(store, settings).unwrap();
        let (resolver, stopper) = (server.addresses().resolver, server.stopper());
        let running = Some(std::thread::spawn(move || server.run()));
        Self { dir, realm, kdc, resolver, stopper, running }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            endpoint: Endpoint::Tcp { host: HOST.into(), port: self.resolver.port() },
            authority: None,
            account: None,
            password_file: None,
            keytab: None,
            ticket_cache: None,
            mechanism: Mechanism::Kerberos,
            kerberos: KerberosTarget {
                realm: Some(self.realm.into()),
                kdc: vec![self.kdc.parse().unwrap()],
                krb5_conf: Some(self.path("krb5.conf")),
            },
            timeouts: Timeouts {
                connect: Duration::from_secs(60),
                call: Duration::from_secs(60),
                ..Timeouts::default()
            },
            other_entries: OtherEntries::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A whole backup; answers into which folder.
    pub(crate) fn back_up(
        &self,
        target: Target,
        credentials: Credentials,
        name: &str,
    ) -> Result<PathBuf, Error> {
        let mut ca = RemoteCa::connect(target, Some(credentials))?;
        let taken = take(&mut ca, &self.path(name), &TakeOptions::new(BackupType::Full), &mut Silent);
        let taken = taken.unwrap_or_else(|error| panic!("{}", chain_of(&error)));
        assert_eq!(taken.end_error, None);
        certadm_set::Set::open(&taken.set).unwrap();
        Ok(taken.set)
    }

    /// Why somebody who gets in may not take a backup.
    pub(crate) fn denial(&self, credentials: Credentials) -> Hresult {
        let mut ca = RemoteCa::connect(self.target(), Some(credentials)).unwrap();
        let taken = take(&mut ca, &self.path("denied"), &TakeOptions::new(BackupType::Full), &mut Silent);
        taken.map(|_| ()).unwrap_err().hresult()
    }

    /// Why a logon is refused: the error with its causes, and what is to be done.
    pub(crate) fn refusal(&self, target: Target, credentials: Credentials) -> (Hresult, String, String) {
        let error = RemoteCa::connect(target, Some(credentials)).map(|_| ()).unwrap_err();
        (error.hresult(), chain_of(&error), error.remedy().into_owned())
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(running) = self.running.take() {
            let stopped = running.join();
            if !std::thread::panicking() {
                let stopped = stopped.unwrap();
                assert!(stopped.all_left && stopped.close_error.is_none(), "{stopped:?}");
            }
        }
    }
}

pub(crate) fn password(user: &str, password: &str) -> Credentials {
    let (account, password) = (AccountName::new("", user), Password::new(password.to_owned()));
    certadm_auth::Credentials { account, password }.into()
}

pub(crate) fn alice() -> Credentials {
    password("alice", PASSWORD)
}

/// What a program with a socket asks a KDC.
fn ask(world: &Domain, question: &Question) -> Vec<u8> {
    let mut stream = TcpStream::connect(world.kdc.address()).unwrap();
    stream.write_all(&question.framed()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer.split_off(4)
}

/// What `kinit` would leave in a cache.
pub(crate) fn kinit(world: &Domain) -> Credential {
    let clock = World::real();
    let secret = Secret::Password(PASSWORD.to_owned().into());
    let mut logon = Logon::new(Principal::account("alice", REALM), secret);
    let mut question = logon.start(&clock).unwrap();
    loop {
        match logon.answer(&ask(world, &question), &clock).unwrap() {
            Step::Ask(next) => question = next,
            Step::Done(done) => break done.credential,
        }
    }
}

/// What a program that uses a cache would add to it.
pub(crate) fn ticket(world: &Domain, class: &str) -> Credential {
    let clock = World::real();
    let service = Principal::service(class, HOST, REALM);
    let mut request = TicketRequest::new(kinit(world), &service, 0).unwrap();
    let question = request.start(&clock).unwrap();
    match request.answer(&ask(world, &question), &clock).unwrap() {
        Step::Done(granted) => granted.credential,
        Step::Ask(_) => panic!("one question is enough"),
    }
}
