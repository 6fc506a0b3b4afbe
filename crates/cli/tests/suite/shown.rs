//! Who may look at the agent's page: those whom the socket's mode lets in, and those who bring the token by TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::alarms::{Agent, until};
use crate::jobs::{run, world};
use crate::support::Work;

const JOB: &str = "to = 'backups'\nfull = 'monthly 1 00:00'";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A work folder whose configuration has this section `[agent]`.
fn with_agent(section: &str) -> Work {
    let work = world(JOB);
    let file = work.path("certadm.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[agent]\n{section}\n")).unwrap();
    work
}

/// Sends a GET, and reads the answer to its end.
fn ask(mut stream: impl Read + Write, path: &str, headers: &str) -> std::io::Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: page.example\r\n{headers}\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8(answer).unwrap())
}

/// What the agent has printed so far.
fn said(work: &Work) -> String {
    fs::read_to_string(work.path("agent.out")).unwrap()
}

#[test]
fn an_address_that_others_can_call_needs_tls_and_a_token() {
    for section in ["listen = '0.0.0.0:9464'", "listen = '[::]:0'", "listen = '192.0.2.7:80'\nsocket = 's'"] {
        let work = with_agent(section);
        for line in ["config check", "agent", "run --all"] {
            let refused = run(&work, line);
            assert_eq!(refused.code, 2, "{section}, {line}: {refused:?}");
            assert!(
                refused.stderr.contains("others can call") && refused.stderr.contains("line "),
                "{refused:?}"
            );
        }
    }
    let parts = [
        ("listen = '0.0.0.0:0'\ncertificate = 'c'\nkey = 'k'", "go together"),
        ("listen = '127.0.0.1:0'\ntoken-file = 't'", "go together"),
        ("group = 'staff'", "name one by `socket`"),
        ("listen = 'localhost'", "line "),
        ("token = 'abc'", "unknown field `token`"),
    ];
    for (section, why) in parts {
        let work = with_agent(section);
        let refused = run(&work, "config check");
        assert_eq!(refused.code, 2, "{section}: {refused:?}");
        assert!(refused.stderr.contains(why), "{section}: {refused:?}");
    }
}

#[test]
fn the_page_behind_a_socket_is_for_those_who_may_open_it() {
    let work = with_agent("socket = 'page.sock'");
    let agent = Agent::start(&work, "agent");
    let path = work.path("page.sock");
    until("it says so", || said(&work).contains("behind the socket").then_some(()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let get = |at: &str| ask(UnixStream::connect(&path).unwrap(), at, "").unwrap();
    assert!(get("/healthz").ends_with("ok\n"), "whatever the host is called");
    for what in ["/", "/metrics"] {
        until("the CAs are judged", || get(what).starts_with("HTTP/1.1 200").then_some(()));
    }
    assert!(get("/metrics").contains("certadm_alarm{"));
    agent.stop();
    assert!(!path.exists(), "the agent has removed it");
}

/// Nobody protects anything, and nobody is told, when runs and judgements cannot read the configuration.
#[test]
fn an_agent_whose_folder_of_records_is_emptied_goes_on_and_a_failed_judgement_is_seen() {
    let work = with_agent("socket = 'page.sock'");
    let file = work.path("certadm.toml");
    let text = fs::read_to_string(&file).unwrap().replace("[agent]", "logs = 'every 1m'\n[agent]");
    fs::write(&file, &text).unwrap();
    let agent = Agent::start(&work, "agent");
    let sets = |ending: &str| {
        let sets = fs::read_dir(work.path("backups/web")).into_iter().flatten();
        sets.filter(|set| set.as_ref().unwrap().path().join("manifest.json").exists())
            .filter(|set| set.as_ref().unwrap().file_name().to_str().unwrap().ends_with(ending))
            .count()
    };
    until("a full set is there, and the CAs are judged", || {
        (sets("-full") == 1 && work.path("state/status.html").exists()).then_some(())
    });
    let before = sets("-logs");
    fs::remove_dir_all(work.path("state")).unwrap();
    until("logs are backed up all the same", || (before < sets("-logs")).then_some(()));
    until("the folder is there again, and that is told", || {
        (work.path("state/agent.toml").exists() && said(&work).contains("is there again")).then_some(())
    });
    let health = || ask(UnixStream::connect(work.path("page.sock")).unwrap(), "/healthz", "").unwrap();
    // A judgement that cannot write its page fails. A changed configuration is judged at once.
    fs::remove_file(work.path("state/status.html")).ok();
    fs::create_dir(work.path("state/status.html")).unwrap();
    fs::write(&file, format!("{text}# changed\n")).unwrap();
    until("it is seen", || health().contains("judgement of all CAs has failed").then_some(()));
    until("it is told", || {
        said(&work).contains("the judgement of all CAs has ended with code").then_some(())
    });
    fs::remove_dir(work.path("state/status.html")).unwrap();
    fs::write(&file, &text).unwrap();
    until("it is well again", || health().ends_with("ok\n").then_some(()));
    agent.stop();
}

/// A certificate of the CA for page.example, its key, and a token.
fn with_guard(listen: &str) -> Work {
    let section =
        format!("listen = '{listen}'\ncertificate = 'page.pem'\nkey = 'page.key'\ntoken-file = 'token'");
    let work = with_agent(&section);
    renew(&work);
    fs::write(work.path("token"), format!("{TOKEN}\n")).unwrap();
    for file in ["token", "page.key"] {
        fs::set_permissions(work.path(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    work
}

/// Puts a new certificate there.
fn renew(work: &Work) {
    let serial = work.issue("ca", "page");
    fs::rename(work.path(&format!("issued/{serial}.pem")), work.path("page.pem")).unwrap();
}

/// A caller by TLS who knows the CA.
fn call(work: &Work, port: u16) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(work.path("ca/ca.crt")).unwrap()).unwrap();
    let settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("page.example").unwrap();
    let connection = ClientConnection::new(Arc::new(settings), name).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    StreamOwned::new(connection, stream)
}

#[test]
fn others_look_by_tls_with_the_token_and_not_otherwise() {
    let work = with_guard("0.0.0.0:0");
    let checked = run(&work, "config check");
    assert_eq!(checked.code, 0, "{checked:?}");
    let agent = Agent::start(&work, "agent");
    let port = until("the agent says where it is", || {
        let said = said(&work);
        said.split_once("https://0.0.0.0:")?.1.split_once('/')?.0.parse::<u16>().ok()
    });
    let get = |at: &str, headers: &str| ask(call(&work, port), at, headers).unwrap();
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert!(get("/healthz", &bearer).ends_with("ok\n"));
    // As a browser sends it: user `x`, the token as the password.
    let basic = "Authorization: Basic eDowMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==\r\n";
    for what in ["/", "/metrics"] {
        until("the CAs are judged", || get(what, basic).starts_with("HTTP/1.1 200").then_some(()));
    }
    assert!(get("/metrics", &bearer).contains("certadm_alarm{"));
    let cut = format!("Authorization: Bearer {}\r\n", &TOKEN[1..]);
    let address = format!("/?token={TOKEN}");
    let strangers =
        [("/", ""), ("/metrics", cut.as_str()), (address.as_str(), ""), ("/healthz", "Cookie: x\r\n")];
    for (at, headers) in strangers {
        let answer = get(at, headers);
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Basic"), "{answer}");
        assert!(!answer.contains("web") && !answer.contains(TOKEN), "{answer}");
    }
    // Who speaks no TLS gets no page, whatever he shows.
    let plain = ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), "/", &bearer);
    assert!(plain.is_err() || !plain.as_ref().unwrap().contains("HTTP/1.1 2"), "{plain:?}");
    // A new certificate and a new token count at once.
    renew(&work);
    until("the new certificate is shown", || {
        let mut stream = call(&work, port);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        let shown = stream.conn.peer_certificates().unwrap()[0].clone();
        let new = CertificateDer::from_pem_file(work.path("page.pem")).unwrap();
        (shown == new).then_some(())
    });
    fs::write(work.path("token"), "another-token-of-the-same-place").unwrap();
    assert!(get("/", &bearer).starts_with("HTTP/1.1 401"));
    fs::write(work.path("token"), "").unwrap();
    assert!(get("/", "Authorization: Bearer \r\n").starts_with("HTTP/1.1 503"), "no token opens nothing");
    agent.stop();
    let said = said(&work);
    assert!(!said.contains(TOKEN), "{said}");
}

#[test]
fn files_that_cannot_be_used_are_told_before_anybody_calls() {
    type Harm = (&'static str, fn(&Work), &'static str);
    let harms: [Harm; 5] = [
        ("a short token", |work| fs::write(work.path("token"), "abc").unwrap(), "at least 16"),
        ("no token", |work| fs::remove_file(work.path("token")).unwrap(), "there is no file"),
        ("no certificate", |work| fs::write(work.path("page.pem"), "x").unwrap(), "holds no certificate"),
        (
            "the key of another",
            |work| {
                work.request("other");
                fs::copy(work.path("other.key"), work.path("page.key")).unwrap();
            },
            "page.pem",
        ),
        (
            "a token for all",
            |work| {
                fs::set_permissions(work.path("token"), PermissionsExt::from_mode(0o644)).unwrap();
            },
            "others can read",
        ),
    ];
    for (what, harm, why) in harms {
        let work = with_guard("127.0.0.1:0");
        harm(&work);
        let checked = run(&work, "config check");
        assert_eq!(checked.code, 1, "{what}: {checked:?}");
        assert!(checked.stdout.contains(why), "{what}: {checked:?}");
        assert!(!checked.stdout.contains("abc") && !checked.stdout.contains(TOKEN), "{checked:?}");
        if what != "a token for all" {
            let agent = Agent::start(&work, "agent");
            until("it is told", || {
                said(&work).contains("cannot show its page at 127.0.0.1:0: ").then_some(())
            });
            agent.stop();
            assert!(!said(&work).contains(TOKEN), "{what}: {}", said(&work));
        }
    }
}

/// What was told to the hook that [`with_hook`] names, as `event about`, without what is told of CAs.
fn told_of_all(work: &Work) -> Vec<String> {
    let text = fs::read_to_string(work.path("told")).unwrap_or_default();
    let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let all = all.filter(|alarm| alarm["ca"] == "");
    all.map(|alarm| format!("{} {}", alarm["event"].as_str().unwrap(), alarm["about"].as_str().unwrap()))
        .collect()
}

/// Adds somebody who is told of alarms to the configuration.
fn with_hook(work: &Work) {
    let (hook, told, file) = (work.path("hook"), work.path("told"), work.path("certadm.toml"));
    fs::write(&hook, format!("#!/bin/sh\ncat >> '{0}'\necho >> '{0}'\n", told.display())).unwrap();
    fs::set_permissions(&hook, PermissionsExt::from_mode(0o700)).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[notify.ops]\ncommand = ['{}']\n", hook.display())).unwrap();
}

fn has_full_set(work: &Work) -> bool {
    let sets = fs::read_dir(work.path("backups/web")).into_iter().flatten();
    sets.map(|set| set.unwrap().path()).any(|set| set.join("manifest.json").exists())
}

#[test]
fn an_agent_that_cannot_show_its_page_works_and_tells_and_shows_it_when_it_can() {
    let work = with_agent("socket = 'folder/page.sock'\nlisten = '127.0.0.1:0'");
    with_hook(&work);
    let agent = Agent::start(&work, "agent");
    until("a full set is there", || has_full_set(&work).then_some(()));
    until("it is told", || (told_of_all(&work) == ["begins page"]).then_some(()));
    let text = said(&work);
    assert!(text.contains("cannot show its page at ") && text.contains("folder/page.sock: "), "{text}");
    assert!(text.contains("shows itself at http://127.0.0.1:"), "the other way is open: {text}");
    // Who judges without the agent ends nothing.
    run(&work, "status --notify");
    fs::create_dir(work.path("folder")).unwrap();
    until("its end is told", || (told_of_all(&work) == ["begins page", "ends page"]).then_some(()));
    let get = |at: &str| ask(UnixStream::connect(work.path("folder/page.sock")).unwrap(), at, "").unwrap();
    assert!(get("/healthz").ends_with("ok\n"));
    assert!(!get("/metrics").contains("about=\"page\""), "it is of no CA");
    agent.stop();
}

#[test]
fn an_agent_whose_records_cannot_be_written_tells_and_begins_when_they_can() {
    let work = world(JOB);
    with_hook(&work);
    // No folder can be made there, whatever rights somebody has.
    fs::write(work.path("state"), "").unwrap();
    let agent = Agent::start(&work, "agent");
    until("it is told", || told_of_all(&work).contains(&"begins failed".to_owned()).then_some(()));
    assert!(said(&work).contains("no run begins, because the records cannot be written"), "{}", said(&work));
    let reasons = || said(&work).matches("state: it is not a folder").count();
    until("the warning and the alarm name the reason", || (2 <= reasons()).then_some(()));
    assert!(!has_full_set(&work));
    fs::remove_file(work.path("state")).unwrap();
    until("a full set is there", || has_full_set(&work).then_some(()));
    let second = run(&work, "agent");
    assert_eq!(second.code, 3, "{second:?}");
    until("copies are kept again", || work.path("state/agent.toml").exists().then_some(()));
    agent.stop();
}
