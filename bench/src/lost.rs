//! A lost CA: its emergency CRL beside `openssl ca -gencrl`, and its gap.
//!
//! The CA has 1,000,000 requests, each with a certificate, every tenth of them revoked. One certificate is issued for real;
//! the others are copies of it with serial numbers of their own, because nobody looks at signatures of known certificates.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use certadm_store::{Error, Folder, Options, Store, Writer};
use rusqlite::params;

use crate::error::Result;
use crate::ese_ca;
use crate::process::{measure_accepting, run, wait_until_idle};
use crate::run::Bench;
use crate::table::{Row, Samples};

/// The CA, at full size; smaller with `--size-mib` below 1024.
const REQUESTS: u64 = 1_000_000;
/// Every so many is revoked (as in [`ese_ca`]), and so many events come for each of them.
const TENTH: u64 = ese_ca::TENTH as u64;
/// Rows a commit.
const BATCH: u64 = 5000;
/// Nobody wants the logs of filling.
pub(crate) const FILLING: Options = Options { log_size: 16 << 20, circular_logging: true, backup_rate: 0 };
/// certadm ends with 1 when it has findings, which it always has here.
const WITH_FINDINGS: [i32; 2] = [0, 1];

/// CRL and GAP.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if !bench.wants("CRL") && !bench.wants("GAP") {
        return Ok(());
    }
    let requests = REQUESTS * bench.options.size.min(1 << 30) / (1 << 30);
    let root = bench.root.join("lost");
    fs::create_dir_all(&root)?;
    let ca = Ca::create(bench, &root, requests)?;
    if bench.wants("CRL") {
        ca.crl(bench)?;
    }
    if bench.wants("GAP") {
        ca.gap(bench)?;
    }
    Ok(fs::remove_dir_all(&root)?)
}

/// A CA with a set.
pub(crate) struct Ca<'r> {
    root: &'r Path,
    requests: u64,
}

impl<'r> Ca<'r> {
    pub(crate) fn create(bench: &Bench, root: &'r Path, requests: u64) -> Result<Self> {
        let path = |name: &str| root.join(name).into_os_string();
        fs::write(root.join("pass"), "a passphrase of the benchmarks\n")?;
        let pass = ["--passphrase-file".into(), path("pass")];
        let certadm = |args: &[std::ffi::OsString]| run(&bench.certadm, args);
        certadm(&[&["ca".into(), "init".into(), "--dir".into(), path("ca"), "--name".into(), "Bench".into()][..], &pass].concat())?;
        let csr = [
            "req",
            "-new",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            "/CN=host.example",
        ];
        let mut request = Command::new("openssl");
        request.args(csr).args(["-addext", "subjectAltName=DNS:host.example", "-keyout"]).arg(path("key"));
        measure_accepting(request.arg("-out").arg(path("csr")), &[0])?;
        certadm(&[&["ca".into(), "issue".into(), "--dir".into(), path("ca"), "--out".into(), path("issued")][..], &pass, &[path("csr")]].concat())?;
        let folder = Folder::new(root.join("ca"));
        let store = Store::open(&folder, FILLING)?;
        let mut writer = store.writer()?;
        let model = Model::read(&writer)?;
        let mut first = 0;
        while first < requests {
            model.fill(&mut writer, first, BATCH.min(requests - first))?;
            first += BATCH;
        }
        drop(writer);
        store.close()?;
        certadm(&["backup".into(), "--dir".into(), path("ca"), "--to".into(), path("set")])?;
        Ok(Self { root, requests })
    }

    /// CRL: from a set, checked byte by byte, against a text file.
    fn crl(&self, bench: &mut Bench) -> Result<()> {
        self.index()?;
        let windows_database = self.root.join("CertLog.edb");
        ese_ca::create(&windows_database, u32::try_from(self.requests)?)?;
        let (mut ours, mut windows, mut openssl) =
            (Samples::default(), Samples::default(), Samples::default());
        for round in 0..bench.options.rounds {
            wait_until_idle();
            let to = self.root.join(format!("crl-{round}"));
            let mut command = Command::new(&bench.certadm);
            command
                .arg("emergency-crl")
                .arg(self.root.join("set"))
                .arg("--key")
                .arg(self.root.join("ca/ca.key"));
            command
                .arg("--passphrase-file")
                .arg(self.root.join("pass"))
                .arg("--no-published")
                .arg("--to")
                .arg(&to);
            ours.add(measure_accepting(&mut command, &WITH_FINDINGS)?);
            fs::remove_dir_all(&to)?;
            wait_until_idle();
            // The key of that CA is nowhere, so what is to be signed is made, and not signed.
            let mut command = Command::new(&bench.certadm);
            command.arg("emergency-crl").arg(&windows_database).args([
                "--no-published",
                "--tbs-only",
                "--to",
            ]);
            windows.add(measure_accepting(command.arg(&to), &WITH_FINDINGS)?);
            fs::remove_dir_all(&to)?;
            wait_until_idle();
            let mut command = Command::new("openssl");
            command.current_dir(self.root).args([
                "ca",
                "-gencrl",
                "-config",
                "openssl.cnf",
                "-out",
                "peer.crl",
            ]);
            openssl.add(measure_accepting(&mut command, &[0])?);
        }
        let name = format!("CRL of {} requests, {} revoked", self.requests, self.requests / TENTH);
        bench.rows.push(Row::ratio(&name, &ours, "openssl ca -gencrl", &openssl));
        bench.rows.push(Row::plain("CRL seconds", ours.median()).goal("<= 15"));
        bench.rows.push(Row::plain("CRL peak memory, MiB", ours.peak_mib()).goal("<= 128"));
        bench.rows.push(Row::ratio(
            "CRL of a Windows database of that size",
            &windows,
            "openssl ca -gencrl",
            &openssl,
        ));
        bench.rows.push(Row::plain("CRL of a Windows database, seconds", windows.median()).goal("<= 15"));
        bench.rows.push(
            Row::plain("CRL of a Windows database, peak memory, MiB", windows.peak_mib()).goal("<= 128"),
        );
        bench.rows.push(Row::plain("CRL peak memory of openssl, MiB", openssl.peak_mib()));
        Ok(())
    }

    /// What `openssl ca` keeps instead of a database, at the same size.
    fn index(&self) -> Result<()> {
        let mut index = BufWriter::new(fs::File::create(self.root.join("index.txt"))?);
        for number in 0..self.requests {
            let serial = serial_of(number).to_uppercase();
            let state = if is_revoked(number) {
                "R\t351127100000Z\t261127100000Z,superseded"
            } else {
                "V\t351127100000Z\t"
            };
            writeln!(index, "{state}\t{serial}\tunknown\t/CN=host.example")?;
        }
        index.into_inner()?;
        fs::write(self.root.join("index.txt.attr"), "unique_subject = no\n")?;
        fs::write(self.root.join("crlnumber"), "01\n")?;
        let config = "[ca]\ndefault_ca = peer\n[peer]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\n\
            default_crl_days = 14\nprivate_key = plain.key\ncertificate = ca/ca.crt\n";
        fs::write(self.root.join("openssl.cnf"), config)?;
        let mut plain = Command::new("openssl");
        plain.current_dir(self.root).args([
            "pkcs8",
            "-in",
            "ca/ca.key",
            "-passin",
            "file:pass",
            "-out",
            "plain.key",
        ]);
        measure_accepting(&mut plain, &[0])?;
        Ok(())
    }

    /// GAP: nobody else does it.
    fn gap(&self, bench: &mut Bench) -> Result<()> {
        let events = self.root.join("events.xml");
        self.events(&events)?;
        let mut ours = Samples::default();
        for round in 0..bench.options.rounds {
            wait_until_idle();
            let to = self.root.join(format!("gap-{round}"));
            let mut command = Command::new(&bench.certadm);
            command.arg("gap").arg(self.root.join("set")).arg("--events").arg(&events).arg("--to").arg(&to);
            ours.add(measure_accepting(&mut command, &WITH_FINDINGS)?);
            fs::remove_dir_all(&to)?;
        }
        let name = format!("GAP of {} requests and {} events, seconds", self.requests, self.requests / TENTH);
        bench.rows.push(Row::plain(&name, ours.median()).goal("<= 30"));
        bench.rows.push(Row::plain("GAP peak memory, MiB", ours.peak_mib()));
        Ok(())
    }

    /// Events of issued certificates: half of them known, half of them not.
    fn events(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(fs::File::create(path)?);
        let count = self.requests / TENTH;
        writeln!(file, "<Events>")?;
        for place in 0..count {
            let number = self.requests - count / 2 + place;
            // The CA's own row and the first certificate come before.
            let (id, serial) = (number + 3, serial_of(number));
            writeln!(
                file,
                "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
                 <Provider Name='Microsoft-Windows-Security-Auditing' Guid='{{54849625-5478-4994-a5ba-3e3b0328c30d}}'/>\
                 <EventID>4887</EventID><Version>1</Version><Level>0</Level><Task>12805</Task><Opcode>0</Opcode>\
                 <Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime='2026-11-27T10:00:00.1234567Z'/>\
                 <EventRecordID>{place}</EventRecordID><Channel>Security</Channel><Computer>ca1.example</Computer>\
                 <Security/></System><EventData><Data Name='RequestId'>{id}</Data><Data Name='Requester'>EXAMPLE\\host$</Data>\
                 <Data Name='Attributes'>CertificateTemplate:Machine</Data><Data Name='Disposition'>3</Data>\
                 <Data Name='SubjectKeyIdentifier'>1a 91 32 9b 4a 10 75 8f b5 bc 46 52 61 88 f5 a0 b6 eb 93 6e</Data>\
                 <Data Name='Subject'>CN=host{number}.example</Data><Data Name='SubjectAlternativeName'>DNS:host.example</Data>\
                 <Data Name='CertificateTemplate'>Machine</Data><Data Name='SerialNumber'>{serial}</Data></EventData></Event>"
            )?;
        }
        writeln!(file, "</Events>")?;
        file.into_inner()?;
        Ok(())
    }
}

const fn is_revoked(number: u64) -> bool {
    number.is_multiple_of(TENTH)
}

/// 16 octets that look random and are the same in each run (splitmix64).
fn serial_of(number: u64) -> String {
    let mut text = String::with_capacity(32);
    for half in 0..2 {
        let mut word = (2 * number + half + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        if half == 0 {
            word = word & 0x3fff_ffff_ffff_ffff | 0x4000_0000_0000_0000;
        }
        // Writing to a string cannot fail.
        write!(text, "{word:016x}").ok();
    }
    text
}

/// The certificate that was issued, to be copied.
struct Model {
    request: i64,
    certificate: Vec<u8>,
    /// Where its serial number stands.
    place: usize,
}

impl Model {
    fn read(writer: &Writer) -> Result<Self> {
        let (request, serial, certificate): (i64, String, Vec<u8>) = writer.connection().query_row(
            "SELECT RequestID, SerialNumber, RawCertificate FROM Certificates JOIN Requests USING (RequestID) WHERE Disposition = 20",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let octets = octets_of(&serial);
        let place = certificate.windows(octets.len()).position(|window| window == octets);
        Ok(Self { request, certificate, place: place.ok_or("the certificate has no serial number")? })
    }

    fn fill(&self, writer: &mut Writer, first: u64, count: u64) -> Result<()> {
        writer.commit(|transaction| {
            let mut request = transaction.prepare_cached(
                "INSERT INTO Requests (RequestType, Disposition, SubmittedWhen, ResolvedWhen, RevokedWhen, RevokedEffectiveWhen, \
                 RevokedReason, RequesterName, CommonName, RawRequest) \
                 SELECT RequestType, ?2, SubmittedWhen, ResolvedWhen, ?3, ?3, ?4, RequesterName, CommonName, RawRequest \
                 FROM Requests WHERE RequestID = ?1",
            )?;
            let mut certificate = transaction.prepare_cached(
                "INSERT INTO Certificates (RequestID, SerialNumber, NotBefore, NotAfter, CommonName, RawCertificate) \
                 SELECT ?2, ?3, NotBefore, NotAfter, CommonName, ?4 FROM Certificates WHERE RequestID = ?1",
            )?;
            let mut der = self.certificate.clone();
            for number in first..first + count {
                let serial = serial_of(number);
                let octets = octets_of(&serial);
                der[self.place..self.place + octets.len()].copy_from_slice(&octets);
                let revoked = is_revoked(number);
                let disposition = if revoked { 21 } else { 20 };
                let when = revoked.then_some(134_000_000_000_000_000_i64);
                request.execute(params![self.request, disposition, when, revoked.then_some(4)])?;
                let id = transaction.last_insert_rowid();
                certificate.execute(params![self.request, id, serial, der])?;
            }
            Ok::<_, Error>(())
        })?;
        Ok(())
    }
}

fn octets_of(serial: &str) -> Vec<u8> {
    let pair = |place: usize| u8::from_str_radix(&serial[place..place + 2], 16).unwrap_or_default();
    (0..serial.len() / 2).map(|place| pair(2 * place)).collect()
}
