//! What a service manager gives to `serve` and what it takes from it: sockets that are open already, the news that it is ready,
//! rights that it does not need.
#![cfg(unix)]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::serve::Service;
use crate::support::{Work, command};

/// Starts `serve` with an open Unix socket and an open TCP socket as its descriptors 3 and 4, as a service manager does.
fn start_handed(work: &Work, socket: UnixListener, resolver: TcpListener, count: u32) -> (Child, Value) {
    let plain = command(&work.path(""), "--json serve --dir {ca}");
    let mut shell = Command::new("sh");
    // A shell keeps its number when it becomes the command.
    let script = format!(
        "exec 3<&0 4>&1 </dev/null >said 2>log; LISTEN_PID=$$ LISTEN_FDS={count} NOTIFY_SOCKET=$PWD/notify exec \"$@\""
    );
    shell.args(["-c", &script, "sh"]).arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(work.path("")).stdin(OwnedFd::from(socket)).stdout(OwnedFd::from(resolver));
    let manager = UnixDatagram::bind(work.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let child = shell.spawn().unwrap();
    let mut told = [0; 100];
    let length = manager.recv(&mut told).unwrap_or_else(|error| {
        panic!("it is not ready: {error}: {}", fs::read_to_string(work.path("log")).unwrap_or_default())
    });
    assert_eq!(String::from_utf8_lossy(&told[..length]).trim_end(), "READY=1");
    let said = fs::read_to_string(work.path("said")).unwrap();
    (child, serde_json::from_str(&said).unwrap())
}

#[test]
fn sockets_that_are_open_already_are_served() {
    let work = Work::with_ca();
    let socket = UnixListener::bind(work.path("socket")).unwrap();
    let resolver = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = resolver.local_addr().unwrap().to_string();
    let (mut child, said) = start_handed(&work, socket, resolver, 2);
    assert_eq!(said["result"]["listen"], *address, "and not what ca.toml says");
    assert_eq!(said["result"]["socket"], work.path("socket").to_str().unwrap());
    TcpStream::connect(address).unwrap();
    work.result("backup --socket {socket} --to {set}");
    work.result("backup --dir {ca} --to {other}");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(work.path("socket").exists(), "the name is its maker's");
}

#[test]
fn what_is_no_socket_is_refused() {
    let work = Work::with_ca();
    let plain = command(&work.path(""), "--json serve --dir {ca}");
    let mut shell = Command::new("sh");
    shell.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3</dev/null", "sh"]);
    shell.arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    let run = crate::support::Run::of(&mut shell);
    let error = run.json()["error"].clone();
    assert_eq!((run.code, error["code"].as_str()), (3, Some("0x80070057")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("is no stream socket"), "{error}");
}

/// A file of the CA's folder becomes a link to one outside: the running service cannot follow it.
#[test]
fn a_running_service_reaches_nothing_outside_of_its_folder() {
    let work = Work::with_ca();
    let log = File::create(work.path("log")).unwrap();
    let service = Service::start_with(&work, "--dir {ca} --socket {socket}", Stdio::from(log), &[]);
    let said = fs::read_to_string(work.path("log")).unwrap();
    let crl =
        || work.run("--json doctor --socket {socket}").json()["result"]["ca"]["crl_next_update"].clone();
    let before = crl();
    assert!(!before.is_null(), "{before}");
    let (published, outside) = (work.path("ca/crl/Test-CA.crl"), work.path("outside.crl"));
    fs::copy(&published, &outside).unwrap();
    fs::remove_file(&published).unwrap();
    symlink(&outside, &published).unwrap();
    let after = crl();
    if cfg!(target_os = "linux") {
        let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    if said.contains("not confined") {
        eprintln!("SKIPPED: this kernel has no Landlock");
        assert_eq!(before, after);
    } else {
        assert!(said.contains("confined"), "{said}");
        assert_ne!(before, after, "it was read through the link");
    }
    assert_eq!(service.stop(), 0);
}

/// systemd's own judgement of the unit, from 0 (nothing can happen) to 10.
#[test]
fn the_unit_is_confined_as_far_as_it_can_be() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/systemd");
    let work = Work::new();
    for name in ["certadm@.service", "certadm@.socket", "certadm-agent.service"] {
        let text = fs::read_to_string(dist.join(name)).unwrap();
        let text = text.replace("/usr/bin/certadm ", "/bin/true ");
        fs::write(work.path(&name.replace('@', "@example")), text).unwrap();
    }
    let analyze = |arguments: &[&str], unit: &str| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(work.path(unit)).current_dir(work.path(""));
        match command.output() {
            Ok(output) => Some(format!(
                "{}{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )),
            Err(error) => {
                eprintln!("SKIPPED: no systemd-analyze: {error}");
                None
            }
        }
    };
    let threshold = ["security", "--offline=true", "--threshold=12", "--no-pager"];
    let Some(said) = analyze(&threshold, "certadm@example.service") else { return };
    if said.contains("Unknown option") || said.contains("unrecognized option") {
        eprintln!("SKIPPED: a systemd-analyze that cannot judge a file: {said}");
        return;
    }
    assert!(said.starts_with("exit status: 0"), "{said}");
    assert!(said.contains("exposure level"), "{said}");
    for unit in ["certadm@example.service", "certadm@example.socket", "certadm-agent.service"] {
        let said = analyze(&["verify", "--man=no"], unit).unwrap();
        assert!(!said.contains("certadm@example") || said.contains("Unit "), "{said}");
        for word in ["Unknown key", "Unknown lvalue", "Failed to parse", "Invalid", "ignoring"] {
            assert!(!said.contains(word), "{said}");
        }
    }
}
