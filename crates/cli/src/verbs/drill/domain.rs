//! `drill --kerberos`: a domain controller of Samba on an address of loopback, for as long as the drill takes.
//!
//! ```text
//! provision -> start -> the machine's account and its SPN -> its keytab -> an account that backs up -> its keytab
//! ```
//!
//! No password appears anywhere: Samba makes each by itself, and both ends log on by keytabs, which lie in the folder of the
//! drill and go with it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certadm_files::{IoContext, cancel, durable};
use certadm_rehearsal::service::Membership;
use certadm_rules::Hresult;

use crate::failure::{Exit, Failure};

const REALM: &str = "DRILL.TEST";
/// The name of the domain for clients without DNS.
const DOMAIN: &str = "DRILL";
/// The service's machine: the one name that leads to loopback everywhere.
const HOST: &str = "localhost";
/// The account of that machine.
const MACHINE: &str = "DRILLCA";
/// The account that backs up.
const ACCOUNT: &str = "drill-backup";
/// The port of a KDC.
const KDC_PORT: u16 = 88;
/// How long the controller may take until it listens.
const START: Duration = Duration::from_secs(180);

/// The longest path of its folder, in bytes: names of sockets in it are up to 31 bytes longer, and an address holds 107.
const LONGEST: usize = 76;

/// The domain. Dropping it ends its controller.
pub(super) struct Domain {
    controller: Child,
    membership: Membership,
}

impl Domain {
    /// Makes the domain in `dir` and starts its controller.
    pub(super) fn start(dir: &Path) -> Result<Self, Failure> {
        let folder = dir.join("domain");
        if LONGEST < folder.as_os_str().len() {
            return Err(refused(
                format!("the path {} is too long for the sockets of a domain controller", folder.display()),
                "name a folder with a shorter path by --within DIR",
            ));
        }
        durable::create_dir(&folder)?;
        let address = address();
        let configuration = provision(&folder, address)?;
        let manage = |arguments: &[&str]| tool(&configuration, arguments);
        manage(&["computer", "create", MACHINE])?;
        manage(&["spn", "add", &format!("host/{HOST}"), &format!("{MACHINE}$")])?;
        // A machine that never joined has no keys before it has a password.
        manage(&["user", "setpassword", &format!("{MACHINE}$"), "--random-password"])?;
        manage(&["user", "create", ACCOUNT, "--random-password"])?;
        let keytab = |principal: &str, name: &str| -> Result<PathBuf, Failure> {
            let path = folder.join(name);
            let of = format!("--principal={principal}");
            manage(&["domain", "exportkeytab", &path.display().to_string(), &of])?;
            Ok(path)
        };
        let membership = Membership {
            realm: REALM.to_owned(),
            kdc: SocketAddr::from((address, KDC_PORT)).into(),
            host: HOST.to_owned(),
            service_keytab: keytab(&format!("host/{HOST}"), "service.keytab")?,
            account: ACCOUNT.to_owned(),
            account_keytab: keytab(ACCOUNT, "account.keytab")?,
        };
        let domain = Self { controller: control(&folder, &configuration)?, membership };
        domain.wait(address)
    }

    /// How service and client stand in it.
    pub(super) const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Until the KDC listens.
    fn wait(mut self, address: Ipv4Addr) -> Result<Self, Failure> {
        let until = Instant::now() + START;
        while TcpStream::connect((address, KDC_PORT)).is_err() {
            cancel::check()?;
            let ended = self.controller.try_wait().ok().flatten();
            if ended.is_some() || until < Instant::now() {
                let what = if ended.is_some() { "ended at once" } else { "does not listen" };
                return Err(refused(
                    format!("the domain controller of the drill {what}"),
                    "run the drill as root: a KDC listens on port 88; with --keep, the log in the folder of the drill tells more",
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(self)
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // It ends with its standard input, and so it does when this process is killed.
        drop(self.controller.stdin.take());
        self.controller.wait().ok();
    }
}

/// An address of loopback that no other drill has, as long as process ids do not repeat.
fn address() -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 89, high, low)
}

/// Makes the databases of the domain. Returns the path of its configuration.
fn provision(folder: &Path, address: Ipv4Addr) -> Result<PathBuf, Failure> {
    let mut command = Command::new("samba-tool");
    command.args([
        "domain",
        "provision",
        "--server-role=dc",
        "--dns-backend=SAMBA_INTERNAL",
        "--host-name=dc",
    ]);
    command.arg(format!("--realm={REALM}")).arg(format!("--domain={DOMAIN}"));
    command.arg(format!("--host-ip={address}")).arg(format!("--targetdir={}", folder.display()));
    for option in [
        &format!("interfaces={address}/8"),
        "bind interfaces only=yes",
        // for folders without extended attributes
        "vfs objects=dfs_samba4 acl_xattr xattr_tdb",
        // AES alone: RC4 is what domains switch off
        "kdc default domain supported enctypes=aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96",
    ] {
        command.arg(format!("--option={option}"));
    }
    succeed(&mut command, "provision")?;
    Ok(folder.join("etc/smb.conf"))
}

/// samba-tool on the databases of the domain.
fn tool(configuration: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let mut command = Command::new("samba-tool");
    succeed(command.args(arguments).arg("-s").arg(configuration), arguments.first().unwrap_or(&""))
}

/// Runs a program to its end. What it prints is shown only where it fails, and then its last line.
fn succeed(command: &mut Command, what: &str) -> Result<(), Failure> {
    cancel::check()?;
    let output = command.stdin(Stdio::null()).output().map_err(|error| missing("samba-tool", &error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    Err(refused(
        format!("samba-tool {what} failed for the domain of the drill: {last}"),
        "run the drill as root, and make sure that Samba's domain controller is whole (Debian: samba-ad-dc)",
    ))
}

/// Starts the controller with the services that logons need, and its folders inside of `folder`.
fn control(folder: &Path, configuration: &Path) -> Result<Child, Failure> {
    let log = folder.join("controller.log");
    let printed = durable::open_or_create(&log)?;
    let told = printed.try_clone().during("open", &log)?;
    let mut command = Command::new("samba");
    command.args(["-i", "-M", "single", "--debug-stdout", "-d1", "-s"]).arg(configuration);
    command.arg("--option=server services=ldap,cldap,kdc,rpc");
    for (option, name) in [("pid directory", "pid"), ("ncalrpc dir", "ncalrpc"), ("log file", "log")] {
        command.arg(format!("--option={option}={}", folder.join(name).display()));
    }
    // A pipe: the controller ends when the other end is closed.
    command.stdin(Stdio::piped()).stdout(printed).stderr(told);
    command.spawn().map_err(|error| missing("samba", &error))
}

/// A program of Samba that cannot be started.
fn missing(program: &str, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "is not there".to_owned(),
        _ => format!("does not start: {error}"),
    };
    refused(
        format!("the drill needs a domain controller of Samba, and the program {program} {why}"),
        "install Samba's domain controller (Debian: apt install samba-ad-dc), or leave --kerberos out",
    )
}

fn refused(message: String, remedy: &str) -> Failure {
    Failure {
        message,
        code: Hresult::ERROR_NOT_SUPPORTED,
        remedy: remedy.to_owned(),
        exit: Exit::Refused,
        done: None,
        set: None,
    }
}
