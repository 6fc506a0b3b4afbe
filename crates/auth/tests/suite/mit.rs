//! MIT krb5 against both of our halves, with tickets of a KDC in memory. Off by default: it needs Debian's `python3-gssapi`, which
//! `cargo xtask setup` installs. `kerberos_mit.py` in `tests/interop` has the other side.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use certadm_auth::{
    AccountStore, AuthType, Established, Framing, Level, NtHash, PeerIdentity, Segments, ServerNames,
    Service, Tickets, kerberos_initiator,
};
use certadm_kerberos::client::Secret;
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Acceptor, Credential, Keytab, Principal};
use certadm_toy_kdc::{Kdc, Network, World, cache_file, keytab_file};

use crate::world::{PRIVACY, RealWorld};

const REALM: &str = "TOY.TEST";
const HOST: &str = "ca1.toy.test";
const HEADER: usize = 24;
const TRAILER: usize = 8;
/// Debian's own interpreter, which has its packages.
const PYTHON: &str = "/usr/bin/python3";

/// A running script, and the folder with its keys, tickets and configuration.
struct Mit {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Mit {
    fn start(arguments: &[&str], keytab: &Keytab, cache: &[Credential]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let private = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            path
        };
        let conf = format!(
            "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n\
             dns_canonicalize_hostname = false\n"
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/kerberos_mit.py");
        let cache = cache_file(&Principal::account("alice", REALM), cache);
        let mut child = Command::new(PYTHON)
            .arg("-B")
            .arg(script)
            .args(arguments)
            .env("KRB5_CONFIG", private("krb5.conf", conf.as_bytes()))
            .env("KRB5_KTNAME", private("keytab", &keytab_file(keytab)))
            .env("KRB5CCNAME", private("cache", &cache))
            .env("KRB5RCACHENAME", "none:")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output), _folder: folder }
    }

    fn send(&mut self, word: &str, data: &[u8]) {
        let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.input, "{word} {digits}").unwrap();
    }

    fn receive(&mut self, word: &str) -> Vec<u8> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (got, data) = line.trim_end_matches('\n').split_once(' ').expect("the script says why it left");
        assert_eq!(got, word);
        let digits = data.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// Bodies of many sizes both ways, and one that was altered.
    fn talk(mut self, ours: Established) {
        let Established { mut sealer, mut unsealer, .. } = ours;
        let size = sealer.token_size(Level::Privacy);
        let mut seal = |body: &[u8]| {
            let mut pdu = [&[0x5a; HEADER][..], body, &[0xa5; TRAILER], &vec![0; size]].concat();
            let (segments, token) = Segments::split(&mut pdu, HEADER, size).unwrap();
            sealer.seal(PRIVACY, segments, token).unwrap();
            pdu
        };
        let length = [u8::try_from(size).unwrap()];
        for expected in [16, 48, 4, 100, 4096, 5712].repeat(3) {
            let token = usize::from(self.receive("size")[0]);
            let mut pdu = self.receive("pdu");
            let range = Segments::body_range(pdu.len(), HEADER, token).unwrap();
            let (segments, token) = Segments::split(&mut pdu, HEADER, token).unwrap();
            unsealer.unseal(PRIVACY, segments, token).unwrap();
            let body = &pdu[range];
            assert_eq!(body.len(), expected);
            self.send("body", body);
            if body.len().is_multiple_of(16) {
                self.send("size", &length);
                self.send("pdu", &seal(body));
                assert_eq!(self.receive("body"), body);
            }
        }
        let mut altered = seal(&[7; 64]);
        altered[HEADER] ^= 1;
        self.send("size", &length);
        self.send("pdu", &altered);
        assert_eq!(self.receive("failed"), []);
        assert!(self.child.wait().unwrap().success());
    }
}

/// A ticket of this etype for the service, and the service's keys.
fn ticket(etype: Etype, clock: &World) -> (Credential, Keytab) {
    let mut kdc = Kdc::new(REALM);
    kdc.add_account("alice", "Al1ce-Pa55");
    kdc.session_etypes = vec![etype];
    let keytab = kdc.add_service("HOST", HOST, etype);
    let network = Network::of([kdc]);
    let secret = Secret::Password("Al1ce-Pa55".to_owned().into());
    let granting = network.granting(Principal::account("alice", REALM), secret, clock).unwrap();
    let service = Principal::service("HOST", HOST, REALM);
    (network.ticket(granting, &service, clock).unwrap(), keytab)
}

struct Keys(Acceptor);

impl Tickets for Keys {
    fn acceptor(&self) -> Option<Acceptor> {
        Some(self.0.clone())
    }
}

struct Nobody;

impl AccountStore for Nobody {
    fn nt_hash(&self, _domain: &str, _user: &str) -> Option<NtHash> {
        None
    }
}

#[test]
#[ignore = "needs python3-gssapi"]
fn mit_accepts_us_with_every_etype() {
    for etype in Etype::ALL {
        let clock = Arc::new(World::real());
        let (credential, keytab) = ticket(etype, &clock);
        let mut mit = Mit::start(&["accept"], &keytab, &[]);
        let mut ours = kerberos_initiator(credential, 0, Framing::Raw, clock);
        mit.send("token", &ours.step(&[]).unwrap().token_out);
        let step = ours.step(&mit.receive("token")).unwrap();
        mit.send("token", &step.token_out);
        assert_eq!(mit.receive("name"), b"alice@TOY.TEST", "{etype:?}");
        mit.talk(step.done.unwrap());
    }
}

#[test]
#[ignore = "needs python3-gssapi"]
fn mit_is_accepted_by_us_with_every_etype() {
    for etype in Etype::ALL {
        let (credential, keytab) = ticket(etype, &World::real());
        let names = ServerNames::new("CA1", "TOY", Some(HOST)).unwrap();
        let service = Service::new(names, Arc::new(Nobody), Arc::new(RealWorld));
        let keys = Keys(Acceptor::new(Arc::new(keytab.clone()), Arc::default()));
        let mut ours =
            service.with_tickets(Arc::new(keys)).acceptor(AuthType::KERBEROS, Level::Privacy).unwrap();
        let principal = credential.service.to_string();
        let mut mit = Mit::start(&["initiate", &principal], &keytab, &[credential]);
        let step = ours.step(&mit.receive("token")).unwrap();
        mit.send("token", &step.token_out);
        let done = ours.step(&mit.receive("token")).unwrap().done.unwrap();
        let PeerIdentity::Principal(holder) = &done.peer else { panic!("{:?}", done.peer) };
        assert_eq!(holder.client.to_string(), "alice@TOY.TEST", "{etype:?}");
        mit.talk(done);
    }
}
