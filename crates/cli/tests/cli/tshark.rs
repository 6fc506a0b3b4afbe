//! tshark as the judge of a session: it takes a captured backup apart, unseals it with the account's password, and may find
//! no frame malformed. Off by default: it needs Debian's tshark.
//!
//! ```text
//! cargo test -p certadm --test cli -- --ignored tshark
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::capture::{Passed, RELAY, Relay, pcap};
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
    /// What unseals it. tshark follows the key stream only of a logon that is announced as NTLM (auth type 10).
    password: Option<&'static str>,
}

impl Session {
    /// A full backup, one of the logs and a doctor's visit through a relay.
    fn capture(mechanism: &str) -> Self {
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
        let run = |line: &str| configured(&work, &format!("{line} --server relay")).good();
        run("backup --to {full}");
        work.issue("ca", "three");
        run("backup --to {logs} --type logs");
        run("doctor");
        assert_eq!(service.stop(), 0);
        let record = relay.record();
        Self { work, ports, record, password: (mechanism == "ntlm").then_some(PASSWORD) }
    }

    /// What tshark says of the session, or of a mangled record of it.
    fn dissect(&self, record: &[Passed]) -> Vec<Frame> {
        let path = self.work.path("session.pcap");
        fs::write(&path, pcap(record)).unwrap();
        let mut tshark = Command::new("tshark");
        tshark.arg("-n").arg("-r").arg(path);
        for port in self.ports {
            tshark.arg("-d").arg(format!("tcp.port=={port},dcerpc"));
        }
        if let Some(password) = self.password {
            tshark.arg("-o").arg(format!("ntlmssp.nt_password:{password}"));
        }
        tshark.args(["-T", "fields", "-E", "separator=/t"]);
        for field in FIELDS {
            tshark.args(["-e", field]);
        }
        let output = tshark.output().expect("tshark runs; `cargo xtask test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(Frame::of).collect()
    }
}

/// What tshark prints of each frame, in this order.
const FIELDS: [&str; 7] = [
    "frame.number",
    "frame.protocols",
    "dcerpc.pkt_type",
    "_ws.malformed",
    "_ws.expert.message",
    "dcerpc.encrypted_stub_data",
    "dcerpc.decrypted_stub_data",
];

/// What tshark says of one frame.
struct Frame {
    number: u32,
    protocols: String,
    packet_types: String,
    malformed: bool,
    complaints: String,
    is_sealed: bool,
    unsealed: String,
}

impl Frame {
    fn of(line: &str) -> Self {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, protocols, packet_types, malformed, complaints, sealed, unsealed] = fields[..] else {
            panic!("{line:?}")
        };
        Self {
            number: number.parse().unwrap(),
            protocols: protocols.to_owned(),
            packet_types: packet_types.to_owned(),
            malformed: !malformed.is_empty() || protocols.contains("malformed"),
            complaints: complaints.to_owned(),
            is_sealed: !sealed.is_empty(),
            unsealed: unsealed.to_owned(),
        }
    }
}

/// What tshark objects to: number of the frame, protocols, and why.
fn malformed(frames: &[Frame]) -> Vec<(u32, &str, &str)> {
    let bad = frames.iter().filter(|frame| frame.malformed || frame.complaints.contains("Malformed"));
    bad.map(|frame| (frame.number, frame.protocols.as_str(), frame.complaints.as_str())).collect()
}

#[test]
#[ignore = "needs tshark"]
fn a_captured_session_has_no_malformed_frame() {
    for mechanism in MECHANISMS {
        let session = Session::capture(mechanism);
        let frames = session.dissect(&session.record);
        let bad = malformed(&frames);
        assert!(bad.is_empty(), "{mechanism}: {} of {} frames: {bad:#?}", bad.len(), frames.len());

        let protocols: BTreeSet<&str> = frames.iter().flat_map(|frame| frame.protocols.split(':')).collect();
        let opened = ["isystemactivator", "remunk"];
        let expected =
            ["dcerpc", "ntlmssp", "oxid"].iter().chain(session.password.iter().flat_map(|_| &opened));
        for protocol in expected {
            assert!(protocols.contains(protocol), "{mechanism}: no {protocol} in {protocols:?}");
        }
        let types: BTreeSet<&str> = frames.iter().flat_map(|frame| frame.packet_types.split(',')).collect();
        // request, response, bind, bind_ack, alter_context and its answer
        for packet_type in ["0", "2", "11", "12", "14", "15"] {
            assert!(types.contains(packet_type), "{mechanism}: no PDU of type {packet_type} in {types:?}");
        }
        // auth3, unless SPNEGO takes another alter_context
        assert_eq!(types.contains("16"), mechanism != "spnego", "{mechanism}");
        let sealed: Vec<&Frame> = frames.iter().filter(|frame| frame.is_sealed).collect();
        assert!(sealed.len() > 30, "{mechanism}: {} sealed frames", sealed.len());
        if session.password.is_some() {
            assert!(sealed.iter().all(|frame| !frame.unsealed.is_empty()), "{mechanism}");
        }
    }
}

/// The judge does object: to a bind_ack that announces more results than it has, and to a stub that says one thing and
/// holds another.
#[test]
#[ignore = "needs tshark"]
fn a_mangled_capture_has_malformed_frames() {
    let session = Session::capture("ntlm");
    let is_kind = |passed: &Passed, kind: u8| passed.bytes.get(..3) == Some(&[5, 0, kind]);
    let mangled = |kind: u8, from_client: bool, mangle: &dyn Fn(&mut Vec<u8>)| {
        let mut record = session.record.clone();
        let passed =
            record.iter_mut().find(|passed| passed.from_client == from_client && is_kind(passed, kind));
        mangle(&mut passed.expect("a PDU of that kind").bytes);
        malformed(&session.dissect(&record)).len()
    };
    // The count of results stands behind the port's four digits or five, NUL and what aligns it (wire.md 2.3).
    let results = |bytes: &mut Vec<u8>| {
        let address = usize::from(bytes[24]);
        let count = (26 + address).next_multiple_of(4);
        bytes[count] = 200;
    };
    assert!(0 < mangled(12, false, &results));
    // One bit of a sealed activation: what tshark makes of it is not an object reference.
    assert!(0 < mangled(0, true, &|bytes| bytes.iter_mut().skip(24).take(64).for_each(|byte| *byte ^= 0xff)));
}
