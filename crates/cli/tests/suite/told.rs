//! Mail, the logs of this machine, and figures: what others make of what jobs tell them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use crate::jobs::{configure, result, run, world};
use crate::support::Work;

/// A job that has an alarm from its beginning on: no backup was taken yet.
const LATE: &str = "to = 'backups'\nfull = 'monthly 1 00:00'";

/// How a server of the tests behaves.
#[derive(Clone, Copy)]
enum Manner {
    /// It takes mail.
    Takes,
    /// It takes mail, but for an address that nobody has any more.
    Refuses(&'static str),
    /// It says that it cannot now.
    Busy,
    /// It goes away in the middle.
    Cuts,
}

/// A mail server that knows enough of SMTP for one mail at a time.
fn mail_server(manner: Manner) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mails) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(mail) = converse(stream, manner) {
                sender.send(mail).ok();
            }
        }
    });
    (address, mails)
}

fn converse(stream: TcpStream, manner: Manner) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 localhost\r\n").ok()?;
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let answer = match (line.to_ascii_uppercase().split_whitespace().next()?, manner) {
            ("RCPT", Manner::Busy) => "451 try again later",
            ("RCPT", Manner::Refuses(whom)) if line.contains(whom) => "550 no such mailbox",
            ("DATA", Manner::Cuts) => return None,
            ("EHLO", _) => "250 localhost",
            ("DATA", _) => "354 go on",
            ("QUIT", _) => return Some(mail).filter(|mail| !mail.is_empty()),
            _ => "250 good",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        if answer.starts_with("354") {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                if line == ".\r\n" {
                    break;
                }
                mail.push_str(&line);
            }
            writer.write_all(b"250 taken\r\n").ok()?;
            return Some(mail);
        }
    }
}

fn with_mail(work: &Work, settings: &str) {
    let mail = format!("{settings}, from = 'certadm <certadm@corp.example>', to = ['ops@corp.example']");
    configure(work, &format!("{LATE}\n[notify.ops]\nmail = {{ {mail} }}"));
}

#[test]
fn an_alarm_is_mailed_and_a_server_that_fails_is_tried_the_next_time() {
    let work = world("");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (busy, _) = mail_server(Manner::Busy);
    let (cuts, _) = mail_server(Manner::Cuts);
    for (address, why) in [
        (gone, "127.0.0.1 has not taken the mail"),
        (busy, "try again later"),
        (cuts, "127.0.0.1 has not taken"),
    ] {
        with_mail(&work, &format!("server = '127.0.0.1', port = {}, tls = 'none'", address.port()));
        let said = run(&work, "status --notify");
        assert!(
            said.stdout.contains("ops could not be told") && said.stdout.contains(why),
            "{why}: {said:?}"
        );
    }
    let (address, mails) = mail_server(Manner::Takes);
    with_mail(&work, &format!("server = '127.0.0.1', port = {}, tls = 'none'", address.port()));
    let said = run(&work, "status --notify");
    assert!(!said.stdout.contains("could not be told"), "{said:?}");
    let mail = mails.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(mail.contains("Subject: [certadm] web: late begins\r\n"), "{mail}");
    assert!(mail.contains("To: ops@corp.example\r\n") && mail.contains("What to do: "), "{mail}");
    run(&work, "status --notify");
    result(&work, "run nightly");
    let mail = mails.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(mail.contains("Subject: [certadm] web: late ends\r\n"), "nothing is told twice: {mail}");
}

/// A command that fails, a mailbox that is gone: whoever stands behind them hears of the alarm all the same, and once.
#[test]
fn one_way_that_fails_keeps_no_alarm_from_the_others() {
    let work = world("");
    let (address, mails) = mail_server(Manner::Refuses("gone@"));
    let mail = format!(
        "server = '127.0.0.1', port = {}, tls = 'none', from = 'certadm@corp.example'",
        address.port()
    );
    let to = "to = ['gone@corp.example', 'ops@corp.example']";
    configure(
        &work,
        &format!(
            "{LATE}\ncertificate = '5000w'\n[notify.ops]\ncommand = ['false']\nmail = {{ {mail}, {to} }}\nsyslog = 'syslog'"
        ),
    );
    let syslog = UnixDatagram::bind(work.path("syslog")).unwrap();
    syslog.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let said = run(&work, "status --notify");
    for why in ["false ended with", "for gone@corp.example", "no such mailbox"] {
        assert!(said.stdout.contains(why), "{why}: {said:?}");
    }
    for about in ["certificate", "late"] {
        let mail = mails.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(mail.contains(&format!("web: {about} begins\r\n")), "{mail}");
        let mut buffer = [0; 65_536];
        let length = syslog.recv(&mut buffer).unwrap();
        assert!(String::from_utf8_lossy(&buffer[..length]).contains(&format!("{about}: ")), "{about}");
    }
    // Who could not be told is tried again, and nobody else.
    let said = run(&work, "status --notify");
    assert!(said.stdout.contains("false ended with") && said.stdout.contains("gone@"), "{said:?}");
    assert!(mails.try_recv().is_err());
    syslog.set_nonblocking(true).unwrap();
    assert!(syslog.recv(&mut [0; 16]).is_err());
}

#[test]
fn mail_that_would_tell_a_secret_or_reach_nobody_is_refused() {
    let work = world("");
    for (settings, why) in [
        ("server = 'mail.corp.example', tls = 'none'", "of this machine alone"),
        ("server = 'localhost', tls = 'none', user = 'x', password-file = 'pw'", "no password without TLS"),
        ("server = 'mail.corp.example', user = 'x'", "or neither"),
        ("server = 'mail.corp.example', password = 'x'", "password"),
    ] {
        with_mail(&work, settings);
        let said = run(&work, "config check");
        assert!(said.code == 2 && said.stderr.contains(why), "{settings}: {said:?}");
    }
    configure(
        &work,
        &format!(
            "{LATE}\n[notify.ops]\nmail = {{ server = 'localhost', from = 'a@b.example', to = 'no address' }}"
        ),
    );
    let said = run(&work, "config check");
    assert!(said.code == 2 && said.stderr.contains("is no mail address"), "{said:?}");
}

#[test]
fn the_journal_and_syslog_get_a_datagram_each() {
    let work = world("");
    let sockets = ["journal", "syslog"].map(|name| {
        let socket = UnixDatagram::bind(work.path(name)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    });
    configure(&work, &format!("{LATE}\n[notify.log]\njournal = 'journal'\nsyslog = 'syslog'"));
    let said = run(&work, "status --notify");
    assert!(!said.stdout.contains("could not be told"), "{said:?}");
    let [journal, syslog] = sockets.map(|socket| {
        let mut buffer = [0; 65_536];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    });
    assert!(journal.contains("CERTADM_ABOUT=late\n") && journal.contains("PRIORITY=2\n"), "{journal}");
    assert!(syslog.starts_with("<26>") && syslog.contains("late: no state of the CA"), "{syslog}");
    fs::remove_file(work.path("journal")).unwrap();
    result(&work, "run nightly");
    let said = run(&work, "status --notify");
    assert!(said.stdout.contains("log could not be told"), "{said:?}");
}

/// That log is one of Windows, as these are of Unix.
#[test]
fn the_event_log_of_windows_is_refused() {
    let work = world("");
    configure(&work, &format!("{LATE}\n[notify.log]\nevent-log = true"));
    let said = run(&work, "config check");
    assert!(said.code == 2 && said.stderr.contains("event-log is the log of Windows"), "{said:?}");
    configure(&work, &format!("{LATE}\n[notify.log]\nevent-log = false"));
    let said = run(&work, "config check");
    assert!(said.code == 2 && said.stderr.contains("name a command, a webhook"), "{said:?}");
}

/// The interpreter with what `tests/interop/requirements.txt` lists.
fn python(script: &str) -> Command {
    let python = std::env::var_os("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter");
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script));
    command
}

/// A mail server of aiosmtpd.
struct Server {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    port: String,
}

impl Server {
    fn start(work: &Work, mode: &str) -> Self {
        let mut command = python("smtp.py");
        command.arg(mode).args([work.path("tls.crt"), work.path("tls.key")]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        lines.read_line(&mut port).unwrap();
        Self { child, lines, port: port.trim().to_owned() }
    }

    fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn a_server_of_aiosmtpd_takes_mail_by_starttls_and_by_tls_with_an_account() {
    let work = world("");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-days",
            "2",
        ])
        .arg("-keyout")
        .arg(work.path("tls.key"))
        .arg("-out")
        .arg(work.path("tls.crt"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::write(work.path("pw"), "s3cret\n").unwrap();
    fs::write(work.path("wrong"), "s3cre\n").unwrap();
    let account = |file: &str| format!("user = 'ops', password-file = '{file}'");
    for mode in ["starttls", "tls"] {
        let mut server = Server::start(&work, mode);
        let settings = format!("server = 'localhost', port = {}, tls = '{mode}'", server.port);
        // An authority that the system does not know, and a password that is wrong.
        with_mail(&work, &format!("{settings}, {}", account("pw")));
        let said = run(&work, "status --notify");
        assert!(said.stdout.contains("ops could not be told"), "{said:?}");
        with_mail(&work, &format!("{settings}, ca-file = 'tls.crt', {}", account("wrong")));
        let said = run(&work, "status --notify");
        assert!(said.stdout.contains("ops could not be told") && !said.stdout.contains("s3cre"), "{said:?}");
        with_mail(&work, &format!("{settings}, ca-file = 'tls.crt', {}", account("pw")));
        let said = run(&work, "status --notify");
        assert!(!said.stdout.contains("could not be told"), "{said:?}");
        let mail = server.mail();
        assert_eq!((&mail["tls"], &mail["account"]), (&true.into(), &"ops".into()), "{mail:#}");
        assert_eq!(mail["subject"], "[certadm] web: late begins", "{mail:#}");
        assert_eq!(mail["to"], serde_json::json!(["ops@corp.example"]), "{mail:#}");
        fs::remove_dir_all(work.path("state")).unwrap();
    }
    let server = Server::start(&work, "busy");
    with_mail(&work, &format!("server = 'localhost', port = {}, tls = 'none'", server.port));
    let said = run(&work, "status --notify");
    assert!(said.stdout.contains("try again later"), "{said:?}");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn the_python_client_of_prometheus_reads_the_figures() {
    let work = world(LATE);
    result(&work, "run nightly");
    result(&work, "status --prometheus {figures}");
    let mut judge = python("openmetrics.py");
    let mut judge = judge.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    judge.stdin.take().unwrap().write_all(&fs::read(work.path("figures")).unwrap()).unwrap();
    let mut said = String::new();
    judge.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(judge.wait().unwrap().success());
    let understood: Value = serde_json::from_str(&said).unwrap();
    let families = understood["families"].as_array().unwrap();
    let samples = |name: &str| {
        let family = families.iter().find(|family| family["name"] == name);
        let family = family.unwrap_or_else(|| panic!("no {name}: {understood:#}"));
        assert_eq!(family["type"], "gauge", "{name}");
        assert!(!family["help"].as_str().unwrap().is_empty(), "{name}");
        family["samples"].as_array().unwrap().clone()
    };
    assert_eq!(samples("certadm_alarm").len(), 9);
    let sets = samples("certadm_sets");
    assert_eq!(sets[0]["labels"], serde_json::json!({ "backup_job": "nightly", "ca": "web" }));
    assert_eq!(sets[0]["value"], 1.0);
    assert_eq!(samples("certadm_judged_timestamp_seconds").len(), 1);
    let older = understood["older"].as_array().unwrap();
    assert!(older.contains(&"certadm_sets".into()), "{older:?}");
}
