//! SEALED and SEALED-KRB: a full backup through DCOM, privacy by NTLM or Kerberos, and loopback, to nowhere; beside what two cores
//! can seal and unseal at all, and beside other clients of sealed transports.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use certadm_auth::Credentials;
use certadm_client::credentials::{account, password_from_file};
use certadm_client::{Config, RemoteCa, ServerName};
use certadm_session::{FileOpen, Session, Source};
use serde_json::{Value, json};

use crate::data::CaFolder;
use crate::domain::Domain;
use crate::error::Result;
use crate::process::{peak_of, processor_seconds, run, wait_until_idle};
use crate::run::Bench;
use crate::samba::Samba;
use crate::seal_speed::SealSpeed;
use crate::table::{Row, median};

pub(crate) const USER: &str = "bench";
pub(crate) const PASSWORD: &str = "Bench-Pa55word";
/// The size of a read of SEALED (wire.md 5.7).
const READ: u32 = 512 * 1024;
/// What a backup asks for, where the server gives it.
pub(crate) const LARGE_READ: u32 = 4 << 20;
/// impacket reads so much of the database: the whole would take minutes.
const PEER_BYTES: u32 = 64 << 20;
/// What makes this program the client under measurement; see [`client`].
pub(crate) const CLIENT: &str = "--sealed-client";

/// What one side did, one value a round.
#[derive(Debug, Default)]
struct Side {
    /// MB/s.
    rates: Vec<f64>,
    /// Nanoseconds of processor time for a byte, of client and service.
    client: Vec<f64>,
    service: Vec<f64>,
    client_peak: u64,
}

/// How the client logs on.
pub(crate) enum Logon {
    Ntlm,
    Kerberos(Box<Domain>),
}

/// SEALED-KRB.
pub(crate) fn run_kerberos(bench: &mut Bench) -> Result<()> {
    let domain = Domain::start(&bench.root.join("domain"), USER, PASSWORD)?;
    let logon = Logon::Kerberos(Box::new(domain));
    let service = Service::start(bench, "sealed-krb", &logon, Ipv4Addr::LOCALHOST)?;
    let samba = Samba::start(&bench.root.join("samba"), &service.database, USER, PASSWORD);
    let mut speed = SealSpeed::kerberos();
    let (mut ours, mut smb, mut shares) = (Side::default(), Vec::new(), Vec::new());
    let address = format!("localhost:{}", service.resolver.port());
    for round in 0..bench.options.rounds {
        println!("round {} of {}", round + 1, bench.options.rounds);
        wait_until_idle();
        let before = speed.measure()?;
        ours.add(our_backup(&service, &logon, &address, LARGE_READ)?);
        let ceiling = f64::midpoint(before, speed.measure()?);
        shares.push(ours.rates.last().unwrap_or(&f64::NAN) / ceiling);
        if let Ok(samba) = &samba {
            wait_until_idle();
            smb.push(samba.fetch()?);
        }
    }
    speed.print();
    ours.print("certadm, Kerberos");
    let rate = median(&ours.rates);
    let rows = &mut bench.rows;
    rows.push(Row::plain("SEALED-KRB MB a second", rate).goal(">= 600"));
    let share =
        Row::plain("SEALED-KRB / sealed on one core, unsealed on another, in-process", median(&shares));
    rows.push(share.goal(">= 0.8"));
    rows.push(match samba {
        Ok(_) => {
            println!("smbclient: {:.0} MB/s", median(&smb));
            Row::plain("SEALED-KRB / smbclient get, SMB3 encrypted", rate / median(&smb)).goal(">= 1")
        }
        Err(error) => Row::plain(&format!("SEALED-KRB / smbclient: {error}"), f64::NAN),
    });
    let (client, service) = (mib(ours.client_peak), mib(peak_of(service.child.id())));
    rows.push(Row::plain("SEALED-KRB peak memory of the client, MiB", client).goal("<= 64"));
    rows.push(Row::plain("SEALED-KRB peak memory of the service, MiB", service).goal("<= 64"));
    Ok(())
}

/// SEALED.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    let service = Service::start(bench, "sealed", &Logon::Ntlm, Ipv4Addr::LOCALHOST)?;
    let samba = Samba::start(&bench.root.join("samba"), &service.database, USER, PASSWORD);
    let python = interop_python();
    let mut speed = SealSpeed::ntlm();
    let address = service.resolver.to_string();
    let (mut ours, mut impacket, mut smb) = (Side::default(), Side::default(), Vec::new());
    let mut shares = Vec::new();
    for round in 0..bench.options.rounds {
        println!("round {} of {}", round + 1, bench.options.rounds);
        wait_until_idle();
        let before = speed.measure()?;
        ours.add(our_backup(&service, &Logon::Ntlm, &address, READ)?);
        // The machine may have changed its pace meanwhile: what bounds the backup is measured on both sides of it.
        let ceiling = f64::midpoint(before, speed.measure()?);
        shares.push(ours.rates.last().unwrap_or(&f64::NAN) / ceiling);
        if let Some(python) = &python {
            wait_until_idle();
            impacket.add(impacket_backup(&service, python)?);
        }
        if let Ok(samba) = &samba {
            wait_until_idle();
            smb.push(samba.fetch()?);
        }
    }
    speed.print();
    ours.print("certadm");
    impacket.print("impacket");
    let rate = median(&ours.rates);
    let rows = &mut bench.rows;
    rows.push(Row::plain("SEALED MB a second", rate));
    let share = Row::plain("SEALED / sealed on one core, unsealed on another, in-process", median(&shares));
    rows.push(share.goal(">= 0.8"));
    let unrelated = rate / speed.ceiling_unrelated();
    rows.push(Row::plain("SEALED / the same of unrelated PDUs, both at once", unrelated));
    rows.push(Row::plain("SEALED / in-process, one core alone", rate / speed.ceiling_alone()));
    let separate = rate / speed.ceiling_separate();
    rows.push(Row::plain("SEALED / seal by the crates rc4, hmac and md-5, one core", separate));
    rows.push(match python {
        Some(_) => {
            Row::plain("SEALED / impacket, the same read", rate / median(&impacket.rates)).goal(">= 2")
        }
        None => Row::plain("SEALED / impacket: no interop-venv, run `cargo xtask setup`", f64::NAN),
    });
    rows.push(match samba {
        Ok(_) => Row::plain("SEALED / smbclient get, SMB3 encrypted", rate / median(&smb)),
        Err(error) => Row::plain(&format!("SEALED / smbclient: {error}"), f64::NAN),
    });
    rows.push(Row::plain("SEALED peak memory of the client, MiB", mib(ours.client_peak)).goal("<= 64"));
    rows.push(
        Row::plain("SEALED peak memory of the service, MiB", mib(peak_of(service.child.id()))).goal("<= 64"),
    );
    Ok(())
}

/// The client under measurement: a full backup of `server` into nothing. Tells as JSON what it did.
pub(crate) fn client(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || {
        arguments
            .next()
            .ok_or("the client takes a server, a password file, a size, and perhaps a configuration")
    };
    let (server, password_file, read) = (next()?, next()?, next()?.parse()?);
    let config = match next() {
        Ok(path) => Config::from_file(Path::new(&path))?,
        Err(_) => Config::default(),
    };
    let begun = Instant::now();
    let name: ServerName = server.parse()?;
    let password = password_from_file(Path::new(&password_file))?;
    let credentials = Credentials { account: account(USER)?, password };
    let mut ca = RemoteCa::connect(config.target(&name)?, Some(credentials.into()))?;
    let mut session = Session::prepare_full(&mut ca)?;
    session.database_locations()?;
    let mut buffer = vec![0; READ.try_into()?];
    let mut bytes = 0;
    for name in session.database_names()? {
        let mut file = session.open(&name, read)?;
        bytes += drain(&mut file, &mut buffer)?;
        session = file.close()?;
    }
    let (mut session, logs) = session.logs()?;
    for name in logs {
        let mut file = session.open(&name, read)?;
        bytes += drain(&mut file, &mut buffer)?;
        session = file.close()?;
    }
    session.end()?;
    let process = std::process::id();
    let report = json!({
        "bytes": bytes,
        "seconds": begun.elapsed().as_secs_f64(),
        "processor": processor_seconds(process),
        "peak_kib": peak_of(process),
    });
    println!("{report}");
    Ok(())
}

fn drain<S: Source, P>(file: &mut Session<S, FileOpen<P>>, buffer: &mut [u8]) -> Result<u64> {
    let mut bytes = 0;
    while let len @ 1.. = file.read(buffer)? {
        black_box(&buffer[..len]);
        bytes += len as u64;
    }
    Ok(bytes)
}

/// What a client did, and what the service spent on it.
pub(crate) struct Transfer {
    pub(crate) report: Value,
    service: f64,
}

impl Side {
    fn add(&mut self, transfer: Transfer) {
        let number = |field: &str| transfer.report[field].as_f64().unwrap_or(f64::NAN);
        let bytes = number("bytes");
        self.rates.push(bytes / 1e6 / number("seconds"));
        self.client.push(number("processor") * 1e9 / bytes);
        self.service.push(transfer.service * 1e9 / bytes);
        self.client_peak = self.client_peak.max(transfer.report["peak_kib"].as_u64().unwrap_or(0));
    }

    fn print(&self, name: &str) {
        let (rate, client, service) = (median(&self.rates), median(&self.client), median(&self.service));
        println!(
            "{name}: {rate:.0} MB/s; processor time a byte: client {client:.2} ns, service {service:.2} ns"
        );
    }
}

/// A backup of the service at `address`, which may lead to it over a detour.
pub(crate) fn our_backup(service: &Service, logon: &Logon, address: &str, read: u32) -> Result<Transfer> {
    let before = processor_seconds(service.child.id());
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CLIENT, address]).arg(&service.password_file).arg(read.to_string());
    command.stderr(Stdio::inherit());
    if let Logon::Kerberos(domain) = logon {
        command.arg(&domain.config);
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err("the backup failed".into());
    }
    let service = processor_seconds(service.child.id()) - before;
    Ok(Transfer { report: serde_json::from_slice(&output.stdout)?, service })
}

/// impacket reads the beginning of the database with reads of the same size, and throws it away.
fn impacket_backup(service: &Service, python: &Path) -> Result<Transfer> {
    let before = processor_seconds(service.child.id());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/csra_impacket.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut orders = child.stdin.take().ok_or("no pipe")?;
    let port = service.resolver.port();
    writeln!(orders, "{}", json!({"do": "login", "port": port, "user": USER, "password": PASSWORD}))?;
    writeln!(orders, "{}", json!({"do": "drain", "size": READ, "most": PEER_BYTES}))?;
    drop(orders);
    let output = child.wait_with_output()?;
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    let answer: Value = serde_json::from_slice(last.unwrap_or_default())?;
    if answer["ok"]["bytes"].is_null() {
        return Err(format!("impacket failed: {answer}").into());
    }
    let service = processor_seconds(service.child.id()) - before;
    Ok(Transfer { report: answer["ok"].clone(), service })
}

/// The Python with the peers, as the set-up of the tests leaves it beside the build.
fn interop_python() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let python = program.parent()?.parent()?.join("interop-venv/bin/python");
    python.exists().then_some(python)
}

/// The certificate service as a process of its own, with a database of the wanted size.
pub(crate) struct Service {
    child: Child,
    pub(crate) resolver: SocketAddr,
    pub(crate) exporter: SocketAddr,
    password_file: PathBuf,
    pub(crate) database: PathBuf,
}

impl Service {
    /// Starts one below the run's folder under this name, which listens there.
    ///
    /// # Errors
    /// It does not start, or its database cannot be filled.
    pub(crate) fn start(bench: &Bench, name: &str, logon: &Logon, listen: Ipv4Addr) -> Result<Self> {
        let folder = bench.root.join(name);
        let password_file = bench.root.join(format!("{name}-password"));
        std::fs::write(&password_file, PASSWORD)?;
        let dir = folder.as_os_str();
        let certadm = &bench.certadm;
        let ca = CaFolder::of_a_ca(certadm, "Bench", &folder, &password_file, bench.options.size)?;
        let user = ["user", "add", USER, "--role", "operator", "--dir"].map(AsRef::as_ref);
        run(certadm, user.into_iter().chain([dir, "--password-file".as_ref(), password_file.as_os_str()]))?;
        if let Logon::Kerberos(domain) = logon {
            domain.enter(&folder.join("ca.toml"))?;
        }
        let mut child = Command::new(certadm)
            .args(["--json", "serve", "--exporter-port", "0", "--listen", &format!("{listen}:0")])
            .args(["--allow-remote-backup", "--dir"])
            .arg(&folder)
            .arg("--socket")
            .arg(bench.root.join(format!("{name}.sock")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let nowhere = SocketAddr::from(([0; 4], 0));
        let (resolver, exporter) = (nowhere, nowhere);
        let mut service = Self { child, resolver, exporter, password_file, database: ca.database()? };
        let said: Value = serde_json::from_str(&line)?;
        let address = |field: &str| -> Result<SocketAddr> {
            Ok(said["result"][field].as_str().ok_or("the service did not start")?.parse()?)
        };
        (service.resolver, service.exporter) = (address("listen")?, address("exporter")?);
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to lose in its folder.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[expect(clippy::cast_precision_loss, reason = "mebibytes of memory fit")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
