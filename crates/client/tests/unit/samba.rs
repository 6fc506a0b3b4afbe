//! Samba's RPC services as the judge of our RPC and NTLM: the endpoint mapper, and `srvsvc` over TCP, authenticated and
//! sealed. Off by default: it needs Debian's samba, and root or sudo, since the endpoint mapper has a port below 1024.
//!
//! ```text
//! cargo test -p certadm-client samba -- --ignored
//! ```

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use certadm_auth::{AccountName, Credentials, Flavour, Level, Password, Workstation, initiator};
use certadm_rules::{Diagnosis, Hresult};
use certadm_wire::ndr::{ByteOrder, Guid, Reader, Writer};
use certadm_wire::rpc::{LookupHandle, MapperRequest, MapperResponse, SyntaxId, TcpTower, Tower};
use tempfile::TempDir;

use crate::connection::{Connection, Interface};
use crate::error::Error;
use crate::kerberos::System;
use crate::outlet::Ready;
use crate::stream::Stream;
use crate::target::Timeouts;

const MAPPER: Interface = Interface { syntax: SyntaxId::ENDPOINT_MAPPER, name: "the endpoint mapper" };
/// MS-SRVS 1.9.
const SERVER: Interface = Interface {
    syntax: SyntaxId::new(
        Guid::new(0x4B32_4FC8, 0x1670, 0x01D3, [0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88]),
        3,
        0,
    ),
    name: "the server service",
};
/// MS-WKST 1.9.
const WORKSTATION: Interface = Interface {
    syntax: SyntaxId::new(
        Guid::new(0x6BFF_D098, 0xA112, 0x3610, [0x98, 0x33, 0x46, 0xC3, 0xF8, 0x7E, 0x34, 0x5A]),
        1,
        0,
    ),
    name: "the workstation service",
};
/// What our Samba is called, and says of itself.
const NAME: &str = "JUDGE";
const COMMENT: &str = "judged by a stranger";
const PASSWORD: &str = "Pa55-wörd";
/// Enough for a list of several fragments.
const SHARES: usize = 300;
const DURING: &str = "the call on Samba";

/// Samba's RPC services on an address of loopback, with folders of their own. Dropping it ends them.
struct Samba {
    dir: TempDir,
    address: Ipv4Addr,
    child: Child,
}

impl Samba {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // An address of its own, so that port 135 is free whatever else runs.
        static STARTED: AtomicU8 = AtomicU8::new(0);
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 71 + STARTED.fetch_add(1, Ordering::Relaxed), high, low);
        fs::write(dir.path().join("smb.conf"), configuration(dir.path(), address)).unwrap();
        for folder in ["private", "state", "cache", "lock", "pid", "ncalrpc", "log"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let mut smbpasswd = as_root("smbpasswd")
            .arg("-c")
            .arg(dir.path().join("smb.conf"))
            .args(["-s", "-a", "root"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("smbpasswd runs; `cargo xtask test` installs it");
        write!(smbpasswd.stdin.take().unwrap(), "{PASSWORD}\n{PASSWORD}\n").unwrap();
        assert!(smbpasswd.wait().unwrap().success());
        let child = as_root("timeout")
            .args(["600", "/usr/libexec/samba/samba-dcerpcd", "--foreground", "--libexec-rpcds"])
            .arg("--configfile")
            .arg(dir.path().join("smb.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let samba = Self { dir, address, child };
        let begun = Instant::now();
        while TcpStream::connect((address, 135)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(120), "Samba does not listen; it needs root");
            std::thread::sleep(Duration::from_millis(50));
        }
        samba
    }

    fn connect(&self, port: u16) -> Connection {
        let seconds = Duration::from_secs;
        let timeouts = Timeouts { connect: seconds(60), call: seconds(60), ..Timeouts::default() };
        let stream = Stream::tcp(&self.address.to_string(), port, timeouts.connect).unwrap();
        Connection::over(stream, "Samba".to_owned(), timeouts).unwrap()
    }

    /// A connection that is bound, authenticated, to the server service.
    fn log_on(&self, flavour: Flavour, user: &str, password: &str) -> Result<Connection, Error> {
        let port = self.port_of(SERVER).expect("Samba serves it over TCP");
        let account = AccountName::new("", user);
        let credentials = Credentials { account, password: Password::new(password.to_owned()) };
        let workstation = Workstation::new("judge", Arc::new(System));
        let initiator = initiator(flavour, &credentials, "HOST/judge", Level::Privacy, &workstation).unwrap();
        let mut connection = self.connect(port);
        connection.bind(SERVER, Some(initiator), DURING)?;
        assert!(connection.is_sealed());
        Ok(connection)
    }

    /// The port of an interface; none when nobody serves it over TCP.
    fn port_of(&self, interface: Interface) -> Option<u16> {
        let mut connection = self.connect(135);
        connection.bind(MAPPER, None, DURING).unwrap();
        let tower = TcpTower {
            interface: interface.syntax(),
            transfer_syntax: SyntaxId::NDR,
            port: 0,
            address: [0; 4],
        };
        let request = MapperRequest::Map {
            object: None,
            tower: Some(Tower::tcp(tower)),
            handle: LookupHandle::default(),
            max_towers: 4,
        };
        let stub = call(&mut connection, MAPPER, request.opnum(), |writer| request.write(writer)).unwrap();
        let answer = MapperResponse::read(&request, &mut Reader::new(&stub, ByteOrder::Little)).unwrap();
        let found = answer.towers.first().and_then(Tower::as_tcp)?;
        assert_eq!((answer.status, found.interface), (0, interface.syntax()));
        assert_eq!(found.address, self.address.octets());
        Some(found.port)
    }
}

impl Drop for Samba {
    fn drop(&mut self) {
        // `timeout` hands it on to the services.
        let pid = self.child.id().to_string();
        as_root("kill").args(["-TERM", &pid]).status().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("Samba's folder was {}", self.dir.path().display());
        }
    }
}

/// A program as root, who alone may run Samba's services.
fn as_root(program: &str) -> Command {
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    if user == b"0\n" {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}

fn configuration(dir: &Path, address: Ipv4Addr) -> String {
    let dir = dir.display();
    let mut text = format!(
        "[global]\nworkgroup = STRANGERS\nnetbios name = {NAME}\nserver string = {COMMENT}\n\
         server role = standalone server\ninterfaces = {address}/8\nbind interfaces only = yes\n\
         private dir = {dir}/private\nstate directory = {dir}/state\ncache directory = {dir}/cache\n\
         lock directory = {dir}/lock\npid directory = {dir}/pid\nncalrpc dir = {dir}/ncalrpc\n\
         log file = {dir}/log/samba\npassdb backend = smbpasswd:{dir}/private/smbpasswd\n\
         rpc start on demand helpers = no\nntlm auth = ntlmv2-only\nmap to guest = never\n\
         load printers = no\nprintcap name = /dev/null\ndisable spoolss = yes\n"
    );
    for number in 0..SHARES {
        text.push_str(&format!("[share{number:04}]\npath = {dir}\ncomment = number {number}\n"));
    }
    text
}

fn call(
    connection: &mut Connection,
    interface: Interface,
    opnum: u16,
    write: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::new();
    write(&mut writer);
    let stub = writer.into_bytes();
    connection.call(&Ready { interface: interface.syntax(), opnum, object: None, stub }, DURING)
}

/// NetrServerGetInfo, level 101 (MS-SRVS 3.1.4.17): name and comment of the server that is asked under `name`.
fn server_info(connection: &mut Connection, name: &str) -> Result<(String, String), Error> {
    let stub = call(connection, SERVER, 21, |writer| {
        writer.referent().wide_string(name).u32(101);
    })?;
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    assert_eq!((reader.u32().unwrap(), reader.referent().unwrap()), (101, true));
    let _platform = reader.u32().unwrap();
    assert!(reader.referent().unwrap());
    let _major_minor_type = [(); 3].map(|()| reader.u32().unwrap());
    assert!(reader.referent().unwrap());
    let texts = [(); 2].map(|()| reader.wide_string(200).unwrap());
    assert_eq!((reader.u32().unwrap(), reader.remaining()), (0, &[][..]));
    Ok(texts.into())
}

/// NetrShareEnum, level 1 (MS-SRVS 3.1.4.8): the names of the shares, and their comments.
fn shares(connection: &mut Connection) -> Vec<(String, String)> {
    let stub = call(connection, SERVER, 15, |writer| {
        writer.referent().wide_string(NAME).u32(1).u32(1).referent().u32(0).null().u32(u32::MAX).null();
    });
    let stub = stub.unwrap();
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    assert_eq!([(); 2].map(|()| reader.u32().unwrap()), [1, 1]);
    assert!(reader.referent().unwrap());
    let count = reader.u32().unwrap();
    assert!(reader.referent().unwrap());
    assert_eq!(reader.u32().unwrap(), count);
    for _ in 0..count {
        assert!(reader.referent().unwrap());
        let _type = reader.u32().unwrap();
        assert!(reader.referent().unwrap());
    }
    let text = |reader: &mut Reader<'_>| reader.wide_string(200).unwrap();
    let found = (0..count).map(|_| (text(&mut reader), text(&mut reader))).collect();
    assert_eq!((reader.u32().unwrap(), reader.referent().unwrap()), (count, false));
    assert_eq!((reader.u32().unwrap(), reader.remaining()), (0, &[][..]));
    found
}

const FLAVOURS: [Flavour; 3] = [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego];

#[test]
#[ignore = "needs samba and root"]
fn samba_understands_us_and_we_understand_samba() {
    let samba = Samba::start();
    // DCOM's objects are not in anybody's endpoint mapper.
    assert_eq!(samba.port_of(Interface::CERT_ADMIN_2), None);
    for flavour in FLAVOURS {
        let mut connection = samba.log_on(flavour, "root", PASSWORD).unwrap();
        let expected = (NAME.to_owned(), COMMENT.to_owned());
        assert_eq!(server_info(&mut connection, NAME).unwrap(), expected, "{flavour:?}");
        // An answer of several fragments,
        let listed = shares(&mut connection);
        for number in 0..SHARES {
            let share = (format!("share{number:04}"), format!("number {number}"));
            assert!(listed.contains(&share), "{flavour:?}: no {share:?}");
        }
        // a request of several,
        assert_eq!(server_info(&mut connection, &"x".repeat(20_000)).unwrap(), expected, "{flavour:?}");
        // and a second interface under the same security context (wire.md 2.8).
        connection.add_interface(WORKSTATION, DURING).unwrap();
        let stub = call(&mut connection, WORKSTATION, 0, |writer| {
            writer.referent().wide_string(NAME).u32(100);
        });
        let stub = stub.unwrap();
        let mut reader = Reader::new(&stub, ByteOrder::Little);
        assert_eq!((reader.u32().unwrap(), reader.referent().unwrap()), (100, true), "{flavour:?}");
        assert_eq!(server_info(&mut connection, NAME).unwrap(), expected, "{flavour:?}");
    }
}

#[test]
#[ignore = "needs samba and root"]
fn samba_refuses_a_wrong_logon_and_we_say_so() {
    let samba = Samba::start();
    for flavour in FLAVOURS {
        for (user, password) in [("root", "wrong"), ("nobody-there", PASSWORD)] {
            // After auth3 the refusal comes with the first call.
            let refused = samba
                .log_on(flavour, user, password)
                .and_then(|mut connection| server_info(&mut connection, NAME));
            let error = refused.expect_err("a wrong logon");
            // Within SPNEGO the last leg has an answer: the fault of the security package (wire.md 2.10).
            let package_error = Hresult::from_win32(0x721);
            let expected = if flavour == Flavour::Spnego { package_error } else { Hresult::E_ACCESSDENIED };
            assert_eq!(error.hresult(), expected, "{flavour:?} {user} {error:?}");
        }
    }
}
