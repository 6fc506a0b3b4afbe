//! Samba's domain controller as the judge: its KDC of our logons and requests, its tickets and PACs of our acceptor, and
//! the files of MIT's `kinit`. Off by default: it needs Debian's samba-ad-dc, krb5-user and ldb-tools, and root or sudo,
//! since a KDC has a port below 1024.
//!
//! ```text
//! cargo test -p certadm-kerberos samba_dc -- --ignored
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use certadm_kerberos::client::{
    ClientError, Granted, LoggedOn, Logon, Question, Secret, Step, TicketRequest, answer_size,
};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::message::ErrorCode;
use certadm_kerberos::{Acceptor, Credential, CredentialCache, Demand, Initiator, Keytab, Moment, Principal};
use certadm_rules::FileTime;
use certadm_toy_kdc::World;
use tempfile::TempDir;

const REALM: &str = "LOOP.TEST";
const HOST: &str = "ca1.loop.test";
const PASSWORD: &str = "Al1ce-Pa55";

/// A domain controller on an address of loopback, with folders of its own. Dropping it ends it.
struct Domain {
    dir: TempDir,
    address: Ipv4Addr,
    child: Child,
}

impl Domain {
    /// Provisions and starts it as kerberos.md 10 says.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 88, high, low);
        let dc = dir.path().join("dc").display().to_string();
        tool(&[
            "domain",
            "provision",
            "--realm=LOOP.TEST",
            "--domain=LOOP",
            "--server-role=dc",
            "--dns-backend=SAMBA_INTERNAL",
            "--adminpass=Adm1n-Pa55",
            "--host-name=dc2",
            &format!("--host-ip={address}"),
            &format!("--targetdir={dc}"),
            &format!("--option=interfaces={address}/8"),
            "--option=bind interfaces only=yes",
            // for folders without extended attributes
            "--option=vfs objects=dfs_samba4 acl_xattr xattr_tdb",
        ]);
        let child = as_root("timeout")
            .args(["600", "samba", "-i", "-M", "single", "--debug-stdout", "-d1", "-s"])
            .arg(format!("{dc}/etc/smb.conf"))
            .arg("--option=server services=ldap,cldap,kdc,rpc,dns")
            .args(["pid directory", "ncalrpc dir"].map(|what| format!("--option={what}={dc}/{}", &what[..3])))
            .arg(format!("--option=log file={dc}/log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let domain = Self { dir, address, child };
        let begun = Instant::now();
        while TcpStream::connect((address, 88)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the KDC does not listen; it needs root");
            std::thread::sleep(Duration::from_millis(50));
        }
        domain
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// samba-tool on the databases of this domain.
    fn manage(&self, arguments: &[&str]) {
        tool(&[arguments, &["-s", &self.path("dc/etc/smb.conf")]].concat());
    }

    /// The service's account, with AES keys, and its keytab.
    fn add_service(&self) -> Keytab {
        self.manage(&["computer", "create", "CA1"]);
        self.manage(&["spn", "add", &format!("host/{HOST}"), "CA1$"]);
        let mut ldbmodify = as_root("ldbmodify")
            .args(["-H", &self.path("dc/private/sam.ldb")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("ldbmodify runs; `cargo xtask test` installs it");
        // 24: AES with 128 and with 256 bits. Before the password is set: its keys are made then.
        let change = "dn: CN=CA1,CN=Computers,DC=loop,DC=test\nchangetype: modify\n\
                      replace: msDS-SupportedEncryptionTypes\nmsDS-SupportedEncryptionTypes: 24\n";
        ldbmodify.stdin.take().unwrap().write_all(change.as_bytes()).unwrap();
        assert!(ldbmodify.wait().unwrap().success());
        self.manage(&["user", "setpassword", "CA1$", "--newpassword=C0mputer-Secret-Pa55word"]);
        self.keytab(&format!("host/{HOST}"))
    }

    fn keytab(&self, principal: &str) -> Keytab {
        let path = self.path("one.keytab");
        as_root("rm").args(["-f", &path]).status().unwrap();
        self.manage(&["domain", "exportkeytab", &path, &format!("--principal={principal}")]);
        let file = as_root("cat").arg(path).output().unwrap().stdout;
        Keytab::parse(&file).unwrap()
    }

    /// A credential cache, written by MIT's kinit.
    fn kinit(&self) -> CredentialCache {
        let (configuration, cache) = (self.path("krb5.conf"), self.path("cache"));
        let text = format!(
            "[libdefaults]\ndefault_realm={REALM}\nrdns=false\ndns_canonicalize_hostname=false\n\
             [realms]\n{REALM} = {{\nkdc = {}\n}}\n",
            self.address
        );
        std::fs::write(&configuration, text).unwrap();
        let mut kinit = Command::new("kinit")
            .env("KRB5_CONFIG", configuration)
            .args(["-c", &format!("FILE:{cache}"), "alice"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kinit runs; `cargo xtask test` installs it");
        writeln!(kinit.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(kinit.wait().unwrap().success());
        CredentialCache::parse(&std::fs::read(cache).unwrap()).unwrap()
    }

    fn ask(&self, question: &Question) -> Vec<u8> {
        let mut stream = TcpStream::connect((self.address, 88)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(&question.framed()).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; answer_size(length).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        answer
    }

    fn log_on(&self, client: Principal, secret: Secret, world: &World) -> Result<LoggedOn, ClientError> {
        let mut logon = Logon::new(client, secret);
        let mut question = logon.start(world)?;
        loop {
            match logon.answer(&self.ask(&question), world)? {
                Step::Ask(next) => question = next,
                Step::Done(done) => return Ok(done),
            }
        }
    }

    fn get_ticket(&self, mut request: TicketRequest, world: &World) -> Result<Granted, ClientError> {
        let mut question = request.start(world)?;
        loop {
            match request.answer(&self.ask(&question), world)? {
                Step::Ask(next) => question = next,
                Step::Done(done) => return Ok(done),
            }
        }
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // `timeout` hands the signal on.
        let _ = as_root("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = as_root("rm").arg("-rf").arg(self.dir.path()).status();
    }
}

fn as_root(program: &str) -> Command {
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    if user == b"0\n" {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

fn tool(arguments: &[&str]) {
    let output = as_root("samba-tool").args(arguments).output().expect("samba-tool runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned().into())
}

/// This machine's clock, so many seconds off.
fn present(offset: i64) -> World {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    World::at(FileTime::from_unix(now).unix_seconds() + offset)
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
