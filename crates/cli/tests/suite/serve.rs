//! The service as a process, and its accounts.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Work, command};

/// A running `certadm serve`, and what it said when it began to listen.
pub(crate) struct Service {
    child: Child,
    pub(crate) said: Value,
}

impl Service {
    pub(crate) fn start(work: &Work, line: &str) -> Self {
        Self::start_logging(work, line, Stdio::inherit())
    }

    /// One whose events go where `log` says.
    fn start_logging(work: &Work, line: &str, log: Stdio) -> Self {
        Self::start_with(work, line, log, &[])
    }

    /// One with more in its environment.
    pub(crate) fn start_with(work: &Work, line: &str, log: Stdio, environment: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1", work, line, log, environment)
    }

    /// One at another address.
    pub(crate) fn start_at(
        address: &str,
        work: &Work,
        line: &str,
        log: Stdio,
        environment: &[(&str, &str)],
    ) -> Self {
        let line = format!("--json serve --listen {address}:0 {line}");
        let mut command: Command = command(&work.path(""), &line);
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let said = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{first:?}: {error}"));
        Self { child, said }
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as an init system does; answers its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap().code().expect("it ended by itself")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_serves_beside_others_and_stops_in_order() {
    let work = Work::with_ca();
    let service = Service::start(&work, "--dir {ca} --socket {socket}");
    assert_eq!(service.said["result"]["socket"], work.path("socket").to_str().unwrap());
    UnixStream::connect(work.path("socket")).unwrap();
    let port = service.said["result"]["listen"].as_str().unwrap();
    std::net::TcpStream::connect(port).unwrap();
    work.issue("ca", "web");
    assert_eq!(work.result("show --dir {ca}")["owned"], true);
    assert_eq!(service.stop(), 0);
    assert!(!work.path("socket").exists());
    let show = work.result("show --dir {ca}");
    assert_eq!((&show["owned"], &show["requests"]["issued"]), (&false.into(), &1.into()));
    work.result("backup --dir {ca} --to {set}");
}

#[test]
fn it_recovers_a_restore_and_refuses_half_of_one() {
    let work = Work::with_ca();
    work.issue("ca", "web");
    work.result("backup --dir {ca} --to {set}");
    work.result("restore --from {set} --dir {new} --no-recover");
    for file in ["ca.toml", "ca.crt", "ca.key"] {
        std::fs::copy(work.path(&format!("ca/{file}")), work.path(&format!("new/{file}"))).unwrap();
    }
    let service = Service::start(&work, "--dir {new} --socket {socket}");
    assert_eq!(service.stop(), 0);
    assert_eq!(
        work.result("list --dir {new} requests")["count"],
        work.result("list --dir {ca} requests")["count"]
    );
    let pending = r#"{"RestoreStatus":2147483658,"DatabaseRecovered":0}"#;
    std::fs::write(work.path("new/restore.json"), pending).unwrap();
    let refused = work.run("--json serve --dir {new} --listen 127.0.0.1:0 --socket {socket}");
    assert_ne!(refused.code, 0);
    assert!(!refused.json()["error"]["remedy"].as_str().unwrap().is_empty());
}

#[test]
fn accounts_are_added_listed_and_removed() {
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --role read --password-file {pw}");
    let listed = work.result("user list --dir {ca}");
    assert_eq!(listed["users"][0]["roles"], serde_json::json!(["operator", "read"]));
    assert_eq!(work.run("user add --dir {ca} BACKUP --role read --password-file {pw}").code, 3);
    assert_eq!(work.run("user add --dir {ca} other --role root --password-file {pw}").code, 2);
    std::fs::write(work.path("empty"), "\n").unwrap();
    assert_eq!(work.run("user add --dir {ca} other --role read --password-file {empty}").code, 3);
    std::fs::write(work.path("short"), "eleven char\n").unwrap();
    for line in ["user add --dir {ca} other --role read", "user passwd --dir {ca} backup"] {
        let short = work.run(&format!("--json {line} --password-file {{short}}"));
        assert_eq!((short.code, short.json()["error"]["code"].as_str()), (3, Some("0x80070057")));
    }
    let hash = |work: &Work| std::fs::read_to_string(work.path("ca/users.toml")).unwrap();
    let before = hash(&work);
    std::fs::write(work.path("pw2"), "another Pa55-word\n").unwrap();
    work.result("user passwd --dir {ca} BACKUP --password-file {pw2}");
    assert_ne!(hash(&work), before);
    assert_eq!(listed["users"][0]["disabled"], false);
    assert_eq!(work.result("user disable --dir {ca} backup")["disabled"], true);
    assert_eq!(work.result("user list --dir {ca}")["users"][0]["disabled"], true);
    work.result("user enable --dir {ca} backup");
    let now = &work.result("user list --dir {ca}")["users"][0];
    assert_eq!((&now["disabled"], &now["last_logon"]), (&false.into(), &serde_json::Value::Null));
    work.result("user remove --dir {ca} backup");
    for verb in ["disable", "enable", "passwd --password-file {pw}"] {
        assert_eq!(work.run(&format!("user {verb} --dir {{ca}} backup")).code, 3);
    }
    assert_eq!(work.result("user list --dir {ca}")["users"], serde_json::json!([]));
    assert_eq!(work.run("user remove --dir {ca} backup").code, 3);
}

#[test]
fn the_log_says_who_did_what_and_why_it_was_refused() {
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --password-file {pw}");
    let backup = |options: &str, set: &str| {
        let log = std::fs::File::create(work.path("log")).unwrap();
        let line = format!("--dir {{ca}} --socket {{socket}} --log-json {options}");
        let service = Service::start_logging(&work, &line, log.into());
        let address = service.said["result"]["listen"].as_str().unwrap();
        let line = format!("backup --server {address} --user backup --password-file {{pw}} --to {{{set}}}");
        let code = work.run(&line).code;
        assert_eq!(service.stop(), 0);
        let log = std::fs::read_to_string(work.path("log")).unwrap();
        assert!(!log.contains("Pa55"), "{log}");
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        (code, lines)
    };
    let numbers = |lines: &[Value], key: &str| -> Vec<u64> {
        lines.iter().filter_map(|line| line[key].as_u64()).collect()
    };
    let (code, refused) = backup("", "none");
    assert_eq!(code, 3);
    assert_eq!(numbers(&refused, "audit"), [0_u64; 0]);
    let reason = refused.iter().filter_map(|line| line["refusal"].as_str()).next().expect("a reason");
    assert!(reason.contains("--allow-remote-backup"), "{reason}");
    let (code, lines) = backup("--allow-remote-backup", "set");
    assert_eq!(code, 0);
    assert_eq!(numbers(&lines, "audit"), [4876, 4877]);
    let audited = lines.iter().find(|line| line["audit"] == 4876).unwrap();
    assert_eq!((&audited["caller"], &audited["address"]), (&"backup".into(), &"127.0.0.1".into()));
    let events = numbers(&lines, "event");
    for event in [26, 210, 221, 223, 213, 38] {
        assert!(events.contains(&event), "no event {event}: {events:?}");
    }
}

/// Whoever read the events has ended, such as a program behind a pipe: nobody is told any more, and everything else goes on.
#[test]
fn a_service_whose_events_nobody_reads_goes_on() {
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --password-file {pw}");
    for format in ["", "--log-json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        let line = format!("--dir {{ca}} --socket {{socket}} --allow-remote-backup {format}");
        let service = Service::start_logging(&work, &line, writer.into());
        drop(reader);
        let address = service.said["result"]["listen"].as_str().unwrap();
        let set = format!("set{format}");
        let line = format!("backup --server {address} --user backup --password-file {{pw}} --to {{{set}}}");
        work.result(&line);
        assert_eq!(service.stop(), 0, "{format}");
    }
}

/// Who is refused again and again has some lines in the log, and then one now and then that counts the others.
#[test]
fn refusals_without_end_fill_no_log() {
    const GUESSES: usize = 200;
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "a wrong password\n").unwrap();
    let log = std::fs::File::create(work.path("log")).unwrap();
    let service = Service::start_logging(&work, "--dir {ca} --socket {socket} --log-json", log.into());
    let address = service.said["result"]["listen"].as_str().unwrap().to_owned();
    let guess = |number: usize| {
        let line = format!("doctor --server {address} --user guess{number} --password-file {{pw}}");
        assert_ne!(work.run(&line).code, 0);
    };
    (0..GUESSES).for_each(guess);
    assert_eq!(service.stop(), 0);
    let log = std::fs::read_to_string(work.path("log")).unwrap();
    let refused = log.lines().filter(|line| line.contains("127.0.0.1")).count();
    assert!((10..GUESSES * 3 / 4).contains(&refused), "{refused} lines: {log}");
}

/// `kill -9` of the service or of its client at any moment of a backup over the sealed wire: what was issued stays, a set is
/// whole or not there, and the next backup works.
#[test]
fn thirty_kills_during_backups_over_the_wire() {
    const ROUNDS: u64 = 30;
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --password-file {pw}");
    let (mut issued, mut finished) = (0, 0);
    for round in 0..ROUNDS {
        work.issue("ca", "web");
        issued += 1;
        let service = Service::start(&work, "--dir {ca} --socket {socket} --allow-remote-backup");
        let address = service.said["result"]["listen"].as_str().unwrap().to_owned();
        let line = format!(
            "--json backup --server {address} --user backup --password-file {{pw}} --to {{set{round}}}"
        );
        let mut client = command(&work.path(""), &line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round * 37 % 211));
        if round % 2 == 0 {
            drop(service); // by SIGKILL
            client.wait().unwrap();
        } else {
            client.kill().unwrap();
            client.wait().unwrap();
            assert_eq!(service.stop(), 0);
        }
        let set = format!("set{round}");
        if work.path(&set).join("manifest.json").exists() {
            let verified = work.run(&format!("verify {{{set}}}"));
            assert_eq!(verified.code, 0, "round {round}: {verified:?}");
            finished += 1;
        }
        assert_eq!(work.result("show --dir {ca}")["requests"]["issued"], issued, "round {round}");
    }
    let service = Service::start(&work, "--dir {ca} --socket {socket} --allow-remote-backup");
    let address = service.said["result"]["listen"].as_str().unwrap().to_owned();
    work.result(&format!("backup --server {address} --user backup --password-file {{pw}} --to {{last}}"));
    assert_eq!(service.stop(), 0);
    work.result("verify {last}");
    assert!(finished < ROUNDS, "no kill came in time");
    certadm_tests::proven::proven("kills", ROUNDS);
}
