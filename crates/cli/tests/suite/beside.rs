//! Commands on the folder of a CA whose service runs; the shipped unit and the schedule of the documents, as they are written.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::serve::Service;
use crate::support::{Run, Work};

#[test]
fn a_backup_of_the_folder_goes_through_the_service_by_itself() {
    let work = Work::with_ca();
    work.issue("ca", "web");
    let service = Service::start(&work, "--dir {ca} --socket {socket}");
    let run = work.run("backup --dir {ca} --to {full}");
    assert_eq!(run.code, 0, "{run:?}");
    let said = format!("socket {}", work.path("socket").display());
    assert!(run.stdout.contains(&said) && run.stdout.contains("process "), "{run:?}");
    assert!(work.path("full/DynamicFiles/Test-CA.crl").is_file(), "the CRL comes along");
    assert!(!run.stdout.contains("dynamic files"), "{run:?}");
    let logs = work.result("backup --dir {ca} --to {logs} --type logs");
    assert_eq!(logs["socket"], work.path("socket").to_str().unwrap());
    work.run("verify {full} {logs}").good();
    assert_ne!(work.result("show --dir {ca}")["last_check"], serde_json::Value::Null);

    // The socket alone, without the folder: the same set, but nothing of the folder.
    let alone = work.result("backup --socket {socket} --to {alone}");
    assert!(alone["not_included"].to_string().contains(".crl"), "{alone}");
    assert!(work.result("doctor --socket {socket}")["ready"].as_bool().unwrap());
    let there = work.result("restore --socket {socket} --from {full} --dry-run");
    assert_eq!(there["locations"][0]["same"], true, "{there}");
    assert_eq!(service.stop(), 0);
    assert_eq!(work.result("backup --dir {ca} --to {after}")["socket"], serde_json::Value::Null);
}

/// Nothing opens such a file by its name, so that it costs no backup; the set says that it lacks it.
#[cfg(unix)]
#[test]
fn a_dynamic_file_that_no_list_can_name_is_named_as_missing() {
    let work = Work::with_ca();
    std::fs::write(work.path(r"ca/crl/x\y.crl"), "a CRL").unwrap();
    let full = work.result("backup --dir {ca} --to {full}");
    assert!(full["not_included"].to_string().contains("y.crl"), "{full}");
    assert!(work.path("full/DynamicFiles/Test-CA.crl").is_file(), "the others come along");
    let logs = work.result("backup --dir {ca} --to {logs} --type logs");
    assert!(logs["not_included"].to_string().contains("y.crl"), "{logs}");
    work.run("verify {full} {logs}").good();
}

#[test]
fn a_socket_of_another_ca_is_refused() {
    let work = Work::with_ca();
    work.run("ca init --dir {other} --name Other --passphrase-file {pass}").good();
    let _service = Service::start(&work, "--dir {other} --socket {socket}");
    let run = work.run("backup --dir {ca} --socket {socket} --to {set}");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("Other.db") && run.stderr.contains("leave --socket out"), "{run:?}");
    assert!(!work.path("set").exists());
}

#[test]
fn other_commands_beside_the_service_work_or_say_to_stop_it() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {full}");
    let service = Service::start(&work, "--dir {ca} --socket {socket}");
    let serial = work.issue("ca", "web");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial}"));
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
    work.result("ca list --dir {ca} revoked");
    for line in [
        "restore --from {full} --dir {ca} --force --dry-run",
        "restore --from {full} --dir {ca} --force",
        "restore --abandon --dir {ca}",
    ] {
        let run = work.run(line);
        assert_eq!(run.code, 3, "{line}: {run:?}");
        assert!(run.stderr.contains("its service") && run.stderr.contains("stop the service"), "{run:?}");
    }
    let second = work.run("serve --dir {ca} --listen 127.0.0.1:0 --socket {other}");
    assert!(second.code == 3 && second.stderr.contains("stop the service"), "{second:?}");
    assert_eq!(work.result("ca list --dir {ca} revoked")["count"], 1);
    assert_eq!(service.stop(), 0);
}

/// What the documents say is run as it stands there, but in a folder of the test: the unit's own set-up, its ExecStart, and
/// the schedule of docs/operations.md beside the service.
#[test]
fn the_schedule_works_beside_the_unit_as_both_are_written() {
    let machine = Machine::new();
    let unit = repository("dist/systemd/certadm@.service");
    let setup: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let [useradd, folder, init, start] = setup[..] else { panic!("{setup:?}") };
    assert!(useradd.starts_with("useradd ") && start == "systemctl enable --now certadm@example");
    machine.run(&folder.replace("-o certadm -g certadm ", "")).good();
    fs::write(machine.place("/root/example.pass"), "a passphrase\n").unwrap();
    machine.run(init).good();
    let configuration = machine.place("/var/lib/certadm/example/ca.toml");
    let text = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, text.replace("127.0.0.1:135", "127.0.0.1:0")).unwrap();

    let value =
        |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).expect(key).replace("%i", "example");
    // What systemd does for the socket unit; callers who come before the service has started wait.
    let sockets = repository("dist/systemd/certadm@.socket");
    let path = sockets.lines().find_map(|line| line.strip_prefix("ListenStream=/")).expect("a Unix socket");
    let path = machine.place(&format!("/{}", path.replace("%i", "example")));
    fs::create_dir(path.parent().unwrap()).unwrap();
    let socket = UnixListener::bind(path).unwrap();
    let service = machine.service(&value("ExecStart="), socket);
    let begun = Instant::now();
    while machine.run("certadm doctor --no-prepare --socket /run/certadm-example/certadm.sock").code > 1 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the service does not answer");
    }

    let operations = repository("docs/operations.md");
    let section = operations.split("## A schedule").nth(1).expect("the section");
    let block = section.split("```").nth(1).expect("a block of commands");
    let commands: Vec<&str> = block.lines().filter(|line| line.starts_with("certadm ")).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for line in &commands {
        // Three blanks part a command from the remark behind it.
        let command = line.split("   ").next().unwrap();
        let run = machine.run(&command.replace("FULL", "????-??-??").replace("LOGS...", "*-*-*-*"));
        assert_eq!(run.code, 0, "{line}: {run:?}");
        if command.contains(" backup ") {
            assert!(run.stdout.contains("certadm-example/certadm.sock"), "{line}: {run:?}");
        }
    }
    let sets = fs::read_dir(machine.place("/backup")).unwrap().count();
    assert_eq!(sets, 2);
    drop(service);
}

fn repository(file: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(file)).unwrap()
}

/// The places of a machine that the documents name, in a folder of a test.
struct Machine(Work);

impl Machine {
    fn new() -> Self {
        let machine = Self(Work::new());
        for place in ["/usr/bin", "/run", "/root", "/backup"] {
            fs::create_dir_all(machine.place(place)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_certadm"), machine.place("/usr/bin/certadm")).unwrap();
        machine
    }

    fn place(&self, path: &str) -> PathBuf {
        self.0.path(&path[1..])
    }

    /// A command line of the documents.
    fn shell(&self, line: &str) -> Command {
        let mut line = line.to_owned();
        for place in ["/usr/bin/", "/var/lib/certadm", "/run/", "/root/", "/backup"] {
            line = line.replace(place, &format!("{}{place}", self.0.path("").display()).replace("//", "/"));
        }
        let mut shell = Command::new("sh");
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.place("/usr/bin").display());
        shell.args(["-c", &line]).env("PATH", path).stdin(Stdio::null());
        shell
    }

    fn run(&self, line: &str) -> Run {
        Run::of(&mut self.shell(line))
    }

    /// Started with an open socket, as its third descriptor.
    fn service(&self, exec_start: &str, socket: UnixListener) -> Running {
        let handed = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1";
        let mut shell = self.shell(&format!("{handed} exec {exec_start} --listen 127.0.0.1:0"));
        shell.stdin(OwnedFd::from(socket));
        Running(shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// Killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
