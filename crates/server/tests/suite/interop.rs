//! impacket as the client. Off by default: it needs a Python that has it.
//!
//! ```text
//! python3 -m venv V && V/bin/pip install -r tests/interop/requirements.txt
//! CERTADM_PYTHON=V/bin/python cargo test -p certadm-server --test suite -- --ignored
//! ```

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use certadm_rules::flags::InterfaceFlags;
use certadm_server::Limits;
use serde_json::{Value, json};

use crate::world::{CA_NAME, PASSWORD, World, rows, wait_until};

struct Impacket {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Impacket {
    fn start() -> Self {
        let python = std::env::var_os("CERTADM_PYTHON")
            .expect("CERTADM_PYTHON names a Python with tests/interop/requirements.txt installed");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/csra_impacket.py");
        let mut child = Command::new(python)
            .arg("-B")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { input, output: BufReader::new(output), child }
    }

    fn order(&mut self, order: &Value) -> Value {
        writeln!(self.input, "{order}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {line}: {error}"))
    }

    /// What came of an order that must go well.
    fn good(&mut self, order: &Value) -> Value {
        let answer = self.order(order);
        assert!(answer.get("ok").is_some(), "{order}: {answer}");
        answer["ok"].clone()
    }

    fn login(&mut self, world: &World, user: &str) {
        let port = world.addresses.resolver.port();
        self.good(&json!({"do": "login", "port": port, "user": user, "password": PASSWORD}));
    }

    fn call(&mut self, opnum: u16) -> Value {
        self.order(&json!({"do": "simple", "opnum": opnum}))
    }

    fn prepare(&mut self, grbit: u32) -> Value {
        let order =
            json!({"do": "simple", "opnum": 20, "grbit": grbit, "flags": 0, "annotation": 67, "client": 0});
        self.order(&order)
    }
}

impl Drop for Impacket {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn restored_rows(world: &World, sets: &[&str]) -> usize {
    let paths: Vec<_> = sets.iter().map(|set| world.path(set)).collect();
    let target = world.path("restored");
    // Whoever speaks the protocol writes files and no manifest.
    let options = certadm_set::restore::Options { incomplete: true, ..Default::default() };
    let plan = certadm_set::restore::plan(&paths, &target, options).unwrap();
    plan.execute("ca01", &mut certadm_set::Silent).unwrap();
    rows(&plan.folder)
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn a_full_backup_restores_to_the_same_ca() {
    let world = World::new();
    world.commit_rows(700);
    let mut client = Impacket::start();
    let port = world.addresses.resolver.port();
    let addresses = client.good(&json!({"do": "alive", "port": port}));
    assert!(addresses.as_array().unwrap().contains(&json!("127.0.0.1")), "{addresses}");
    client.login(&world, "operator");
    assert_eq!(client.good(&json!({"do": "simple", "opnum": 19, "pwszAuthority": CA_NAME})), 1);
    assert_eq!(client.call(18)["code"], "0x80070005");
    let logs = client.good(&json!({"do": "full", "folder": world.path("set")}));
    assert!(logs.as_u64().unwrap() >= 1, "{logs}");
    // impacket gives one reference back at a time; an activation hands out five
    for left in (0..5).rev() {
        assert_eq!(world.stopper.load().1, 1, "{left}");
        client.good(&json!({"do": "release"}));
    }
    assert_eq!(world.stopper.load().1, 0, "the object is gone");
    assert_eq!(restored_rows(&world, &["set"]), 700);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn logs_only_follows_a_full_backup_and_not_before() {
    let world = World::new();
    let mut client = Impacket::start();
    client.login(&world, "operator");
    assert_eq!(client.prepare(1)["code"], "0xc8000230");
    client.good(&json!({"do": "full", "folder": world.path("set")}));
    world.commit_rows(20);
    assert_eq!(client.prepare(1)["ok"], true);
    assert_eq!(client.order(&json!({"do": "list", "opnum": 22}))["code"], "0xc8000209");
    let logs = client.good(&json!({"do": "list", "opnum": 23}));
    assert_eq!(client.call(27)["code"], "0xc8000268");
    for entry in logs.as_array().unwrap() {
        client.good(&json!({"do": "fetch", "path": &entry.as_str().unwrap()[1..], "size": 4096}));
    }
    assert_eq!(client.call(27)["ok"], true);
    assert_eq!(client.call(21)["ok"], true);
    assert_eq!(client.call(21)["code"], "0x8000ffff");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn the_base_interface_serves_and_the_remote_unknown_answers() {
    let world = World::new();
    let mut client = Impacket::start();
    let port = world.addresses.resolver.port();
    client.good(&json!({"do": "login", "port": port, "user": "admin", "password": PASSWORD, "iid": 1}));
    assert_eq!(client.call(18)["ok"], true);
    assert_eq!(
        client.order(&json!({"do": "simple", "opnum": 18, "pwszAuthority": "Other CA"}))["code"],
        "0x80070057"
    );
    client.good(&json!({"do": "query", "iid": 2}));
    client.good(&json!({"do": "add_reference"}));
    client.good(&json!({"do": "ping"}));
    client.good(&json!({"do": "again"}));
    assert_eq!(client.call(18)["ok"], true);
    assert_eq!(client.prepare(0)["code"], "0x80070005", "an administrator is no operator");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn the_properties_that_clients_ask_for() {
    let world = World::new();
    let mut client = Impacket::start();
    client.login(&world, "operator");
    assert_eq!(client.call(47)["ok"], 0x108);
    assert_eq!(client.call(40)["ok"], 0x7f);
    for id in [6, 7] {
        let name = client.good(&json!({"do": "simple", "opnum": 32, "id": id, "index": 0, "type": 4}));
        let expected: String =
            CA_NAME.encode_utf16().chain([0]).map(|unit| format!("{:04x}", unit.swap_bytes())).collect();
        assert_eq!(name, expected.as_str());
    }
    let wrong = client.order(&json!({"do": "simple", "opnum": 32, "id": 6, "index": 0, "type": 1}));
    assert_eq!(wrong["code"], "0x80070057");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn the_configuration_is_listed_and_read() {
    let world = World::new();
    let mut client = Impacket::start();
    client.login(&world, "reader");
    let ask = |authority: &str, node: &str, entry: &str| json!({"do": "simple", "opnum": 44, "pwszAuthority": authority, "node": node, "entry": entry});
    let top = client.good(&ask("", "", ""));
    assert_eq!(top, json!(["Active", "Version", "DBDirectory", "DBLogDirectory"]));
    assert_eq!(client.good(&ask("", "", "Active")), CA_NAME);
    let own = client.good(&ask(CA_NAME, "", ""));
    assert!(own.as_array().unwrap().contains(&json!("InterfaceFlags")), "{own}");
    for name in own.as_array().unwrap() {
        client.good(&ask(CA_NAME, "", name.as_str().unwrap()));
    }
    assert_eq!(client.good(&ask(CA_NAME, "", "CACertHash")), json!([]), "it has no certificate");
    assert_eq!(client.order(&ask("", "CSP", ""))["code"], "0x80070057");
    assert_eq!(client.order(&ask(CA_NAME, "absent", ""))["code"], "0x80070002");
    // CAINFO, little-endian: size, type unknown, one certificate.
    let info = client.good(&json!({"do": "simple", "opnum": 32, "id": 10, "index": 0, "type": 1}));
    assert!(info.as_str().unwrap().starts_with("280000000500000001000000"), "{info}");
    // After a backup, a moment in eight bytes.
    let mut operator = Impacket::start();
    operator.login(&world, "operator");
    operator.good(&json!({"do": "full", "folder": world.path("set")}));
    let moment = client.good(&ask("", "", "DBLastFullBackup"));
    assert_eq!(moment.as_str().unwrap().len(), 16, "{moment}");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn who_may_not_is_told_so_and_nothing_else() {
    let world = World::new();
    let port = world.addresses.resolver.port();
    let mut client = Impacket::start();
    let login = |user: &str, password: &str, level: u8| json!({"do": "login", "port": port, "user": user, "password": password, "level": level});
    // wrong password, unknown account, anonymous
    for (user, password) in [("operator", "wrong"), ("stranger", PASSWORD), ("", "")] {
        let answer = client.order(&login(user, password, 6));
        assert!(answer.get("ok").is_none(), "{user}: {answer}");
    }
    // activation below integrity
    for level in [2, 4] {
        let answer = Impacket::start().order(&login("operator", PASSWORD, level));
        assert!(answer.get("ok").is_none(), "{level}: {answer}");
    }
    // calls below privacy
    let mut weak = Impacket::start();
    let mut order = login("operator", PASSWORD, 5);
    order["call_level"] = 5.into();
    weak.good(&order);
    assert_eq!(weak.prepare(0)["code"], "0x80070005");
    assert_eq!(weak.call(19)["code"], "0x80070005");
    // right missing
    let mut reader = Impacket::start();
    reader.login(&world, "reader");
    assert_eq!(reader.prepare(0)["code"], "0x80070005");
    assert_eq!(reader.call(19)["ok"], 1);
    assert_eq!(world.stopper.load().1, 2, "one object for each who logged on");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn remote_backup_is_shut_by_default() {
    let world = World::with(InterfaceFlags::DEFAULT, Limits::default());
    let mut client = Impacket::start();
    client.login(&world, "operator");
    assert_eq!(client.call(19)["ok"], 1);
    assert_eq!(client.prepare(0)["code"], "0x80070005");
    assert_eq!(client.order(&json!({"do": "list", "opnum": 30}))["code"], "0x80070005");
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn a_lost_client_frees_the_ca() {
    let limits = Limits { lost_client: std::time::Duration::from_secs(1), ..Limits::default() };
    let world = World::with(crate::world::OPEN, limits);
    let mut lost = Impacket::start();
    lost.login(&world, "operator");
    assert_eq!(lost.prepare(0)["ok"], true);
    let mut other = Impacket::start();
    other.login(&world, "other");
    assert_eq!(other.prepare(0)["code"], "0xc80001f9");
    drop(lost);
    wait_until("the CA is free again", || other.prepare(0)["ok"] == true);
}

#[test]
#[ignore = "needs CERTADM_PYTHON"]
fn server_control_stops_the_service() {
    let everybody = certadm_ca::Shutdown::Everybody;
    let mut world = World::with_settings(|settings| settings.allowed.shutdown = everybody);
    let mut operator = Impacket::start();
    operator.login(&world, "operator");
    assert_eq!(operator.prepare(0)["ok"], true);
    let mut admin = Impacket::start();
    admin.login(&world, "admin");
    assert_eq!(admin.order(&json!({"do": "simple", "opnum": 17, "flags": 9}))["code"], "0x80070057");
    assert!(admin.order(&json!({"do": "simple", "opnum": 17, "flags": 2}))["ok"].is_string());
    assert!(admin.order(&json!({"do": "simple", "opnum": 17, "flags": 1}))["ok"].is_string());
    assert_eq!(operator.order(&json!({"do": "list", "opnum": 22}))["code"], "0xc8000321");
    assert!(world.wait().close_error.is_none());
}
