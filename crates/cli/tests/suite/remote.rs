//! Backups of a served CA: over TCP, over its socket, by name from the configuration; what is said when a gate is shut.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::serve::Service;
use crate::support::{Run, Work, command};

pub(crate) const PASSWORD: &str = "Kq9-marker-of-the-password";

/// The service of a work folder's CA, and where it listens.
pub(crate) struct Serving {
    _service: Service,
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn start(work: &Work, options: &str) -> Self {
        let service = Service::start(work, &format!("--dir {{ca}} --socket {{socket}} {options}"));
        let address = service.said["result"]["listen"].as_str().expect("an address").to_owned();
        Self { _service: service, address }
    }
}

/// A CA with two certificates and three accounts, and their passwords.
pub(crate) fn world() -> Work {
    let work = Work::with_ca();
    fs::write(work.path("pw"), format!("{PASSWORD}\n")).unwrap();
    // One that others can read is told in results.
    fs::set_permissions(work.path("pw"), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(work.path("wrong"), "not it").unwrap();
    for (name, role) in [("backup", "operator"), ("reader", "read"), ("root", "administrator")] {
        work.result(&format!("user add --dir {{ca}} {name} --role {role} --password-file {{pw}}"));
    }
    work.issue("ca", "one");
    work.issue("ca", "two");
    fs::write(work.path("client.toml"), format!("socket = {:?}\n", work.path("socket"))).unwrap();
    work
}

/// Runs a command with the work folder's configuration.
pub(crate) fn configured(work: &Work, line: &str) -> Run {
    Run::of(command(&work.path(""), line).env("CERTADM_CONFIG", work.path("client.toml")))
}

fn result(work: &Work, line: &str) -> Value {
    let run = configured(work, &format!("--json {line}"));
    let json = run.json();
    assert_eq!(run.code, 0, "{line}: {json}");
    json["result"].clone()
}

#[test]
fn a_ca_is_backed_up_over_the_network_and_comes_back_the_same() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    let full = result(&work, &format!("backup {login} --to {{full}}"));
    assert_eq!(
        (&full["kind"], &full["is_base"], &full["end_error"]),
        (&"full".into(), &true.into(), &Value::Null)
    );
    work.issue("ca", "three");
    let logs = result(&work, &format!("backup {login} --to {{logs}} --type logs"));
    assert_eq!(logs["kind"], "differential");
    let verified = result(&work, "verify {full} {logs}");
    assert_eq!(verified["restorable"], true, "{verified}");
    let tables = work.tables("--dir {ca}");
    drop(serving);
    work.copy_key_and_configuration("ca", "new");
    work.result("restore --from {full} --from {logs} --dir {new}");
    assert_eq!(work.tables("--dir {new}"), tables);
}

#[test]
fn a_service_that_deletes_no_logs_is_not_said_to_have_done_so() {
    let work = world();
    let settings = fs::read_to_string(work.path("ca/ca.toml")).unwrap();
    let switched_off = settings.replace("truncation = true", "truncation = false");
    assert_ne!(switched_off, settings);
    fs::write(work.path("ca/ca.toml"), switched_off).unwrap();
    let _serving = Serving::start(&work, "");
    let run = configured(&work, "backup --dir {ca} --to {full}");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("`truncation = true`") && !run.stdout.contains("truncated:"), "{run:?}");
    let json = configured(&work, "--json backup --dir {ca} --to {again}").json();
    let taken = &json["result"];
    assert_eq!((&taken["kind"], &taken["is_base"]), (&"copy".into(), &false.into()), "{json}");
    result(&work, "backup --dir {ca} --to {kept} --keep-logs");
}

#[test]
fn the_socket_of_this_machine_needs_no_account_and_ignores_the_remote_gate() {
    let work = world();
    let serving = Serving::start(&work, "");
    result(&work, "backup --server localhost --to {full}");
    let refused =
        configured(&work, "--json backup --server localhost --user backup --password-file {pw} --to {x}");
    assert_eq!(refused.code, 2, "{refused:?}");
    let doctor = result(&work, "doctor --server .");
    assert_eq!(doctor["ready"], true, "{doctor}");
    drop(serving);
    assert_eq!(configured(&work, "backup --server localhost --to {x}").code, 4);
    assert!(!work.path("x").exists());
}

#[test]
fn every_shut_gate_is_named_with_the_command_that_opens_it() {
    let work = world();
    let serving = Serving::start(&work, "");
    let server = &serving.address;
    let error = |line: &str, exit: i32| {
        let run = configured(&work, &format!("--json {line}"));
        assert_eq!(run.code, exit, "{line}: {run:?}");
        assert!(!work.path("x").exists());
        run.json()["error"].clone()
    };
    let remedy = |error: &Value| error["remedy"].as_str().unwrap().to_owned();
    // The flag.
    let shut = error(&format!("backup --server {server} --user backup --password-file {{pw}} --to {{x}}"), 3);
    assert_eq!(shut["code"], "0x80070005");
    assert!(shut["message"].as_str().unwrap().contains("IF_NOREMOTEICERTADMINBACKUP"), "{shut}");
    assert!(remedy(&shut).contains("certutil -setreg CA\\InterfaceFlags -IF_NOREMOTEICERTADMINBACKUP"));
    assert!(remedy(&shut).contains("--allow-remote-backup"));
    // The role, and the flag besides.
    let walk =
        configured(&work, &format!("--json doctor --server {server} --user reader --password-file {{pw}}"));
    assert_eq!(walk.code, 3);
    let walk = walk.json();
    assert_eq!(walk["result"]["shut"], serde_json::json!(["role", "interface_flags"]), "{walk}");
    // A stranger, an absent server, a name that is none, a server without account.
    let stranger =
        error(&format!("backup --server {server} --user backup --password-file {{wrong}} --to {{x}}"), 3);
    assert_eq!(stranger["code"], "0x80070005");
    assert_eq!(
        error("backup --server 127.0.0.1:1 --user backup --password-file {pw} --to {x}", 4)["code"],
        "0x800706ba"
    );
    assert_eq!(
        error("backup --server no.such.host.invalid --user a --password-file {pw} --to {x}", 4)["code"],
        "0x80070035"
    );
    error("backup --server a:b:c --user backup --password-file {pw} --to {x}", 2);
    error(&format!("backup --server {server} --to {{x}}"), 2);
    error(&format!("backup --server {server} --user backup --to {{x}}"), 2);
}

#[test]
fn doctor_tells_a_wrong_password_from_an_absent_service() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let server = serving.address.clone();
    let walk = |user: &str, password: &str| {
        configured(
            &work,
            &format!("--json doctor --server {server} --user {user} --password-file {{{password}}}"),
        )
    };
    let good = walk("backup", "pw");
    assert_eq!(good.code, 0, "{good:?}");
    let gates = good.json()["result"]["gates"].clone();
    let last = gates.as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["gate"], &last["name"]),
        (&"last_full".into(), &"JET_errMissingFullBackup".into()),
        "{gates}"
    );
    let wrong = walk("backup", "wrong");
    assert_eq!(wrong.code, 3);
    assert_eq!(wrong.json()["result"]["shut"], serde_json::json!(["authentication"]), "{wrong:?}");
    drop(serving);
    let absent = walk("backup", "pw");
    assert_eq!(absent.code, 4);
    assert_eq!(absent.json()["result"]["shut"], serde_json::json!(["port"]));
}

#[test]
fn the_configuration_names_server_account_and_password() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let text = |mechanism: &str| {
        format!(
            "[server.production]\nhost = {:?}\nuser = 'backup'\npassword_file = {:?}\nmechanism = '{mechanism}'\n",
            serving.address,
            work.path("pw")
        )
    };
    for mechanism in ["negotiate", "spnego", "ntlm"] {
        fs::write(work.path("client.toml"), text(mechanism)).unwrap();
        let set = format!("set-{mechanism}");
        result(&work, &format!("backup --server production --to {{{set}}} --keep-logs"));
        assert!(work.path(&set).join("manifest.json").exists());
    }
    let plan = result(&work, "restore --server production --from {set-ntlm} --dry-run");
    assert_eq!(plan["locations"][0]["same"], true, "{plan}");
    fs::write(work.path("client.toml"), "[server.production]\npassword = 'x'\n").unwrap();
    assert_eq!(configured(&work, "backup --server production --to {x}").code, 2);
}

#[test]
fn the_password_shows_nowhere() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    let mut seen = String::new();
    for line in [format!("backup {login} --to {{set}}"), format!("--json doctor {login}")] {
        let mut command = command(&work.path(""), &line);
        let run =
            Run::of(command.env("CERTADM_LOG", "trace").env("CERTADM_CONFIG", work.path("client.toml")));
        assert_eq!(run.code, 0, "{run:?}");
        seen.push_str(&run.stdout);
        seen.push_str(&run.stderr);
    }
    assert!(!seen.contains(PASSWORD), "printed or logged");
    let direct = configured(
        &work,
        &format!("backup --server {} --user backup --password x --to {{y}}", serving.address),
    );
    assert_eq!(direct.code, 2, "no password on the command line");
    assert!(!has_marker(&work.path("set")));
}

fn has_marker(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            has_marker(&path)
        } else {
            fs::read(path).unwrap().windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes())
        }
    })
}
