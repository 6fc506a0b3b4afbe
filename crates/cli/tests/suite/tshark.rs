//! tshark as the judge of a session: it takes a captured backup apart, and, with the account's password, what is sealed in it;
//! and it may find no frame malformed. Off by default: it needs Debian's tshark.
//!
//! ```text
//! cargo test -p certadm --test suite -- --ignored tshark
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use crate::capture::{Passed, RELAY, Relay, pcap};
use crate::kerberos::{REALM, realm};
use crate::remote::{PASSWORD, configured, world};
use crate::serve::Service;
use crate::support::Work;

/// How the client authenticates (docs/remote.md, `mechanism`).
const MECHANISMS: [&str; 3] = ["negotiate", "spnego", "ntlm"];

/// A captured session.
struct Session {
    work: Work,
    ports: [u16; 2],
    record: Vec<Passed>,
}

impl Session {
    /// Commands through a relay, as the account `backup`.
    fn capture(mechanism: &str, commands: &[&str]) -> Self {
        let work = world();
        let service = Service::start(&work, "--dir {ca} --socket {socket} --allow-remote-backup");
        let ports = ["listen", "exporter"].map(|key| {
            let address = service.said["result"][key].as_str().unwrap();
            address.parse::<SocketAddr>().unwrap().port()
        });
        let relay = Relay::start(&ports);
        let entry = format!(
            "[server.relay]\nhost = '{RELAY}:{}'\nuser = 'backup'\npassword_file = {:?}\nmechanism = '{mechanism}'\n",
            ports[0],
            work.path("pw")
        );
        fs::write(work.path("client.toml"), entry).unwrap();
        for command in commands {
            work.issue("ca", "another");
            configured(&work, &format!("{command} --server relay")).good();
        }
        assert_eq!(service.stop(), 0);
        let record = relay.record();
        Self { work, ports, record }
    }

    /// What tshark says of the session, or of a mangled record of it; with the password, if there is one, it unseals.
    fn dissect(&self, record: &[Passed], password: Option<&str>) -> Vec<Frame> {
        self.dissect_with(record, &|tshark| {
            if let Some(password) = password {
                tshark.arg("-o").arg(format!("ntlmssp.nt_password:{password}"));
            }
        })
    }

    /// What tshark says of a record by further options.
    fn dissect_with(&self, record: &[Passed], more: &dyn Fn(&mut Command)) -> Vec<Frame> {
        let path = self.work.path("session.pcap");
        fs::write(&path, pcap(record)).unwrap();
        let mut tshark = Command::new("tshark");
        tshark.arg("-n").arg("-r").arg(path);
        for port in self.ports {
            tshark.arg("-d").arg(format!("tcp.port=={port},dcerpc"));
        }
        more(&mut tshark);
        tshark.args(["-T", "fields", "-E", "separator=/t"]);
        for field in FIELDS {
            tshark.args(["-e", field]);
        }
        let output = tshark.output().expect("tshark runs; `cargo xtask test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(Frame::of).collect()
    }
}

/// A backup and a doctor's visit with tickets: by the service's keytab tshark follows from the tickets to what is sealed.
#[test]
#[ignore = "needs tshark"]
fn a_session_with_tickets_is_unsealed_by_the_keytab_without_a_malformed_frame() {
    let (work, kdc) = realm();
    // The client has to dial a name, so that the relay stands where that name leads to.
    let (near, far) = (IpAddr::V4(Ipv4Addr::LOCALHOST), RELAY);
    let line = "--dir {ca} --socket {socket} --allow-remote-backup";
    let service = Service::start_at(&far.to_string(), &work, line, Stdio::inherit(), &[]);
    let ports = ["listen", "exporter"].map(|key| {
        let address = service.said["result"][key].as_str().unwrap();
        address.parse::<SocketAddr>().unwrap().port()
    });
    let relay = Relay::between(near, far, &ports);
    let place = format!("--server localhost:{} --realm {REALM} --kdc {}", ports[0], kdc.address());
    let keytab = work.path("ca").join("ca.keytab");
    let mut session = Session { work, ports, record: Vec::new() };
    for command in ["doctor", "backup --to {one}"] {
        configured(&session.work, &format!("{command} {place} --keytab {{alice.keytab}}")).good();
        session.record = relay.record();
        let frames = session.dissect_with(&session.record, &|tshark| {
            tshark.arg("-2").arg("-K").arg(&keytab).args(["-o", "kerberos.decrypt:TRUE"]);
        });
        let bad = malformed(&frames);
        assert!(bad.is_empty(), "{command}: {} of {} frames: {bad:#?}", bad.len(), frames.len());
        let named = protocols(&frames);
        for protocol in ["DCERPC", "ISystemActivator", "IRemUnknown"] {
            assert!(named.contains(protocol), "{command}: no {protocol} in {named:?}");
        }
        let sealed: Vec<&Frame> = frames.iter().filter(|frame| frame.is_sealed).collect();
        let unsealed = sealed.iter().filter(|frame| !frame.unsealed.is_empty()).count();
        println!("{command}: {unsealed} of {} sealed frames were unsealed", sealed.len());
        // Fragments before the last of an answer are shown sealed.
        assert!(16 <= sealed.len() && sealed.len() * 2 < unsealed * 3, "{unsealed} of {}", sealed.len());
    }
    assert_eq!(service.stop(), 0);
}

/// What tshark prints of each frame, in this order.
const FIELDS: [&str; 8] = [
    "frame.number",
    "_ws.col.Protocol",
    "dcerpc.pkt_type",
    "ntlmssp.messagetype",
    "_ws.malformed",
    "_ws.expert.message",
    "dcerpc.encrypted_stub_data",
    "dcerpc.decrypted_stub_data",
];

/// What tshark says of one frame.
struct Frame {
    number: u32,
    protocol: String,
    packet_types: String,
    logs_on: bool,
    malformed: bool,
    complaints: String,
    is_sealed: bool,
    unsealed: String,
}

impl Frame {
    fn of(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, protocol, packet_types, logon, malformed, complaints, sealed, unsealed] = fields[..]
        else {
            panic!("{line:?}")
        };
        Self {
            number: number.parse().unwrap(),
            protocol: protocol.to_owned(),
            packet_types: packet_types.to_owned(),
            logs_on: !logon.is_empty(),
            malformed: !malformed.is_empty() || complaints.contains("Malformed"),
            complaints: complaints.to_owned(),
            is_sealed: !sealed.is_empty(),
            unsealed: unsealed.to_owned(),
        }
    }
}

/// What tshark objects to: number of the frame, protocol, and why.
fn malformed(frames: &[Frame]) -> Vec<(u32, &str, &str)> {
    let bad = frames.iter().filter(|frame| frame.malformed);
    bad.map(|frame| (frame.number, frame.protocol.as_str(), frame.complaints.as_str())).collect()
}

/// The protocols that tshark names.
fn protocols(frames: &[Frame]) -> BTreeSet<&str> {
    frames.iter().map(|frame| frame.protocol.as_str()).collect()
}

#[test]
#[ignore = "needs tshark"]
fn captured_backups_have_no_malformed_frame() {
    for mechanism in MECHANISMS {
        let session =
            Session::capture(mechanism, &["backup --to {full}", "backup --to {logs} --type logs", "doctor"]);
        let frames = session.dissect(&session.record, None);
        let bad = malformed(&frames);
        assert!(bad.is_empty(), "{mechanism}: {} of {} frames: {bad:#?}", bad.len(), frames.len());
        let named = protocols(&frames);
        assert!(named.contains("DCERPC") && named.contains("IOXIDResolver"), "{mechanism}: {named:?}");
        let types: BTreeSet<&str> = frames.iter().flat_map(|frame| frame.packet_types.split(',')).collect();
        // request, response, bind, bind_ack, alter_context and its answer
        for packet_type in ["0", "2", "11", "12", "14", "15"] {
            assert!(types.contains(packet_type), "{mechanism}: no PDU of type {packet_type} in {types:?}");
        }
        // auth3, unless SPNEGO takes another alter_context
        assert_eq!(types.contains("16"), mechanism != "spnego", "{mechanism}");
        let count = |is: fn(&Frame) -> bool| frames.iter().filter(|frame| is(frame)).count();
        // Each backup logs on twice, in three messages.
        let (logons, sealed) = (count(|frame| frame.logs_on), count(|frame| frame.is_sealed));
        assert!(
            12 <= logons && 30 < sealed,
            "{mechanism}: {logons} messages of logons, {sealed} sealed frames"
        );
    }
}

/// tshark follows the key stream of a logon that is announced as NTLM, as long as no answer has several fragments; so it can
/// read a doctor's visit.
#[test]
#[ignore = "needs tshark"]
fn an_unsealed_session_has_no_malformed_frame() {
    let session = Session::capture("ntlm", &["doctor"]);
    let frames = session.dissect(&session.record, Some(PASSWORD));
    let bad = malformed(&frames);
    assert!(bad.is_empty(), "{} of {} frames: {bad:#?}", bad.len(), frames.len());
    let named = protocols(&frames);
    for protocol in ["DCERPC", "IOXIDResolver", "ISystemActivator", "IRemUnknown"] {
        assert!(named.contains(protocol), "no {protocol} in {named:?}");
    }
    let sealed: Vec<&Frame> = frames.iter().filter(|frame| frame.is_sealed).collect();
    assert!(16 <= sealed.len(), "{} sealed frames", sealed.len());
    for frame in sealed {
        // What it has a dissector for, else a stub that begins as ORPCTHIS or ORPCTHAT does (wire.md 4.3).
        let is_read = frame.protocol != "DCERPC"
            || ["05000700", "00000000"].iter().any(|head| frame.unsealed.starts_with(head));
        assert!(is_read, "frame {} is {:?}", frame.number, frame.unsealed);
    }
}

/// The judge does object: to a bind_ack that announces more results than it has, and to an activation that holds something
/// else than it says.
#[test]
#[ignore = "needs tshark"]
fn a_mangled_capture_has_malformed_frames() {
    let session = Session::capture("ntlm", &["doctor"]);
    let is_kind = |passed: &Passed, kind: u8| passed.bytes.get(..3) == Some(&[5, 0, kind]);
    let mangled = |place: usize, mangle: &dyn Fn(&mut Vec<u8>)| {
        let mut record = session.record.clone();
        mangle(&mut record[place].bytes);
        malformed(&session.dissect(&record, Some(PASSWORD))).len()
    };
    let bind_ack = session.record.iter().position(|passed| is_kind(passed, 12)).expect("a bind_ack");
    // The count of results stands behind the port's digits and NUL, and what aligns it (wire.md 2.3).
    let results = |bytes: &mut Vec<u8>| {
        let count = (26 + usize::from(bytes[24])).next_multiple_of(4);
        bytes[count] = 200;
    };
    assert!(0 < mangled(bind_ack, &results));
    // The largest thing that the client sends, perhaps behind its auth3.
    let activation = session.record.iter().position(|passed| passed.from_client && 700 < passed.bytes.len());
    let sealed =
        |bytes: &mut Vec<u8>| bytes.iter_mut().rev().skip(64).take(256).for_each(|byte| *byte ^= 0xff);
    assert!(0 < mangled(activation.expect("an activation"), &sealed));
}
