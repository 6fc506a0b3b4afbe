//! A domain of Samba, for the tests of several crates that need a real domain controller.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use certadm_kerberos::client::{
    ClientError, Granted, LoggedOn, Logon, Question, Secret, Step, TicketRequest, answer_size,
};
use certadm_kerberos::{CredentialCache, Keytab, Principal};
use certadm_rules::FileTime;
use certadm_toy_kdc::World;
use tempfile::TempDir;

pub(crate) const REALM: &str = "LOOP.TEST";
pub(crate) const HOST: &str = "ca1.loop.test";
pub(crate) const PASSWORD: &str = "Al1ce-Pa55";

/// This machine's clock, so many seconds off.
pub(crate) fn present(offset: i64) -> World {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    World::at(FileTime::from_unix(now).unix_seconds() + offset)
}

/// A domain controller on an address of loopback, with folders of its own. Dropping it ends it.
pub(crate) struct Domain {
    dir: TempDir,
    /// Where all its services listen.
    pub(crate) address: Ipv4Addr,
    child: Child,
}

impl Domain {
    /// Provisions and starts it as kerberos.md 10 says.
    pub(crate) fn start() -> Self {
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
    pub(crate) fn manage(&self, arguments: &[&str]) {
        tool(&[arguments, &["-s", &self.path("dc/etc/smb.conf")]].concat());
    }

    /// The same, and what it says.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let configuration = self.path("dc/etc/smb.conf");
        let output = as_root("samba-tool").args(arguments).args(["-s", &configuration]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The service's account, with AES keys, and its keytab.
    pub(crate) fn add_service(&self) -> Keytab {
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

    pub(crate) fn keytab(&self, principal: &str) -> Keytab {
        let path = self.path("one.keytab");
        as_root("rm").args(["-f", &path]).status().unwrap();
        self.manage(&["domain", "exportkeytab", &path, &format!("--principal={principal}")]);
        let file = as_root("cat").arg(path).output().unwrap().stdout;
        Keytab::parse(&file).unwrap()
    }

    /// A credential cache, written by MIT's kinit.
    pub(crate) fn kinit(&self) -> CredentialCache {
        let cache = self.dir.path().join("cache");
        self.kinit_into(&cache);
        CredentialCache::parse(&std::fs::read(cache).unwrap()).unwrap()
    }

    /// The same, into this file.
    pub(crate) fn kinit_into(&self, cache: &Path) {
        let configuration = self.path("krb5.conf");
        let text = format!(
            "[libdefaults]\ndefault_realm={REALM}\nrdns=false\ndns_canonicalize_hostname=false\n\
             [realms]\n{REALM} = {{\nkdc = {}\n}}\n",
            self.address
        );
        std::fs::write(&configuration, text).unwrap();
        let mut kinit = Command::new("kinit")
            .env("KRB5_CONFIG", configuration)
            .args(["-c", &format!("FILE:{}", cache.display()), "alice"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kinit runs; `cargo xtask test` installs it");
        writeln!(kinit.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(kinit.wait().unwrap().success());
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

    pub(crate) fn log_on(
        &self,
        client: Principal,
        secret: Secret,
        world: &World,
    ) -> Result<LoggedOn, ClientError> {
        let mut logon = Logon::new(client, secret);
        let mut question = logon.start(world)?;
        loop {
            match logon.answer(&self.ask(&question), world)? {
                Step::Ask(next) => question = next,
                Step::Done(done) => return Ok(done),
            }
        }
    }

    pub(crate) fn get_ticket(
        &self,
        mut request: TicketRequest,
        world: &World,
    ) -> Result<Granted, ClientError> {
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
