//! The command with Kerberos, against the command as a confined service, and a KDC in memory.

use std::fs;
use std::sync::Arc;

use certadm_kerberos::crypto::{Etype, string_to_key};
use certadm_kerberos::{Keytab, KeytabEntry, Principal};
use certadm_toy_kdc::{Kdc, Listener, Network, World};

use self::stores::write_keytab;
use crate::remote::{Serving, configured, world};
use crate::serve::Service;
use crate::support::Work;

#[allow(dead_code)] // the tests of certadm-client use all of it
#[path = "../../../client/tests/suite/stores.rs"]
mod stores;

pub(crate) const REALM: &str = "TOY.TEST";
const PASSWORD: &str = "Al1ce-Pa55";

/// A KDC with an account, and a CA whose service has its keys.
fn domain() -> (Work, Listener, Serving) {
    let (work, kdc) = realm();
    let serving = Serving::start(&work, "--allow-remote-backup");
    (work, kdc, serving)
}

/// The same before the service runs.
pub(crate) fn realm() -> (Work, Listener) {
    let work = world();
    let mut kdc = Kdc::new(REALM);
    kdc.add_account("alice", PASSWORD);
    let mut entries = Vec::new();
    for class in ["RPCSS", "HOST"] {
        entries.extend(kdc.add_service(class, "localhost", Etype::Aes256Sha1).entries().to_vec());
    }
    let account = KeytabEntry {
        principal: Principal::account("alice", REALM),
        key_version: 1,
        etype: Etype::Aes256Sha1.to_wire(),
        key: string_to_key(Etype::Aes256Sha1, PASSWORD, b"TOY.TESTalice", &64_u32.to_be_bytes()).ok(),
    };
    write_keytab(&work.path("alice.keytab"), &Keytab::new(vec![account.clone()]));
    // The account's keys as well: by them the service's own doctor logs on.
    entries.push(account);
    write_keytab(&work.path("ca").join("ca.keytab"), &Keytab::new(entries));
    let path = work.path("ca").join("ca.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("# keytab = \"ca.keytab\"", "keytab = \"ca.keytab\"")
        .replace("# host = \"ca1.corp.example\"", "host = \"localhost\"")
        .replace("ntlm = true", "ntlm = false")
        .replace("operator = [", "operator = [\"krb:alice@TOY.TEST\", ");
    fs::write(&path, text).unwrap();
    let kdc = Listener::start(Network::of([kdc]), Arc::new(World::real())).unwrap();
    (work, kdc)
}

/// Needs Debian's samba-ad-dc, and root: a KDC listens on port 88.
#[test]
#[ignore = "needs Samba's domain controller, and root; run with --ignored"]
fn a_drill_logs_on_in_a_domain_of_its_own() {
    let work = Work::new();
    let refused = work.run("drill --kerberos --size 1MiB --within {x}");
    assert!(refused.code == 3 && !refused.stderr.contains("Samba"), "{refused:?}");
    let deep = work.path("a-folder-whose-path-is-too-long-for-an-address-of-a-socket");
    fs::create_dir(&deep).unwrap();
    let refused = work.run(&format!("drill --kerberos --size 1MiB --within {}", deep.display()));
    assert!(refused.code == 3 && refused.stderr.contains("shorter path"), "{refused:?}");
    let within = tempfile::tempdir().unwrap();
    let within = within.path();
    let result =
        work.result(&format!("drill --kerberos --size 1MiB --seconds 1 --within {}", within.display()));
    assert_eq!(result["passed"], true, "{result}");
    assert_eq!(result["way"]["authentication"], "kerberos");
    assert!(fs::read_dir(within).unwrap().next().is_none(), "the domain went with the drill's folder");
}

#[test]
fn a_backup_by_tickets_from_a_service_that_is_confined_and_takes_nothing_else() {
    let (work, kdc, serving) = domain();
    let port = serving.address.rsplit_once(':').unwrap().1.to_owned();
    fs::write(work.path("alice.pw"), PASSWORD).unwrap();
    let place = format!("--server localhost:{port} --realm {REALM} --kdc {}", kdc.address());
    let good = |line: &str| {
        let run = configured(&work, &format!("--json {line}"));
        let json = run.json();
        assert_eq!(run.code, 0, "{line}: {json}");
        json["result"].clone()
    };
    let login = format!("{place} --user alice --password-file {{alice.pw}}");
    good(&format!("backup {login} --mechanism kerberos --to {{one}}"));
    good(&format!("backup {place} --keytab {{alice.keytab}} --to {{two}} --type logs"));
    good("verify {one} {two}");
    let walk = good(&format!("doctor {place} --keytab {{alice.keytab}}"));
    let gates = walk["gates"].as_array().unwrap();
    let detail = |gate: &str| {
        gates.iter().find(|found| found["gate"] == gate).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("kdc").contains(&kdc.address().to_string()), "{}", detail("kdc"));
    assert!(detail("authentication").contains("Kerberos"), "{}", detail("authentication"));

    // The same out of client.toml, as the C library takes it.
    let entry = format!(
        "[server.toy]\nhost = \"localhost:{port}\"\nkeytab = {:?}\nmechanism = \"kerberos\"\nkdc = [\"{}\"]\n",
        work.path("alice.keytab"),
        kdc.address()
    );
    fs::write(work.path("client.toml"), entry).unwrap();
    good("backup --server toy --to {three}");

    // An account of the service has no way in any more, and a wrong password is refused by the KDC.
    for (line, code) in [
        (
            format!("doctor --server localhost:{port} --user backup --password-file {{pw}} --mechanism ntlm"),
            3,
        ),
        (format!("doctor {place} --user alice --password-file {{wrong}} --mechanism kerberos"), 3),
        (format!("doctor {place} --keytab {{alice.keytab}} --mechanism ntlm"), 2),
        (format!("doctor {place} --keytab {{alice.keytab}} --user bob"), 3),
    ] {
        let run = configured(&work, &line);
        assert_eq!(run.code, code, "{line}: {} {}", run.stdout, run.stderr);
    }
}

/// Who has a ticket and no role finds his SIDs in the log of the service, where the administrator can copy them.
#[test]
fn the_log_has_the_sids_of_a_caller_without_a_role() {
    let (work, kdc, serving) = domain();
    drop(serving);
    let path = work.path("ca").join("ca.toml");
    let text = fs::read_to_string(&path).unwrap().replace("\"krb:alice@TOY.TEST\", ", "");
    fs::write(&path, text).unwrap();
    let log = work.path("log");
    let line = "--dir {ca} --socket {socket} --allow-remote-backup --log-json";
    let service = Service::start_with(&work, line, fs::File::create(&log).unwrap().into(), &[]);
    let address = service.said["result"]["listen"].as_str().unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let place = format!("--server localhost:{port} --kdc {}", kdc.address());
    let run = configured(&work, &format!("backup {place} --keytab {{alice.keytab}} --to {{one}}"));
    assert_eq!(run.code, 3, "{} {}", run.stdout, run.stderr);
    drop(service);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("S-1-5-21-1-2-3-1105") && log.contains("S-1-5-21-1-2-3-1106"), "{log}");
}

/// The service's own keytab, by krb5.conf as on any machine of a domain.
#[test]
fn the_service_proves_its_own_keytab() {
    let (work, kdc, _serving) = domain();
    let conf = work.path("krb5.conf");
    fs::write(&conf, format!("[realms]\n{REALM} = {{\nkdc = {}\n}}\n", kdc.address())).unwrap();
    let own = || {
        let mut command = crate::support::command(&work.path(""), "--json doctor --dir {ca}");
        crate::support::Run::of(command.env("KRB5_CONFIG", &conf))
    };
    let run = own();
    assert_eq!((run.code, &run.json()["result"]["ready"]), (0, &true.into()), "{}", run.json());
    // By options, on a machine that is in no domain.
    let named = || {
        let line = format!("--json doctor --dir {{ca}} --realm {REALM} --kdc {}", kdc.address());
        configured(&work, &line)
    };
    let run = named();
    assert_eq!((run.code, &run.json()["result"]["ready"]), (0, &true.into()), "{}", run.json());
    for line in
        ["doctor --kdc kdc.toy.test", "backup --to {two} --realm TOY.TEST", "doctor --dir {ca} --server x"]
    {
        assert_eq!(configured(&work, line).code, 2, "{line}");
    }
    // A mistyped KDC is told, and no other one asked.
    for kdc in ["vm:8x8", "vm:70000", "vm:0", "https://vm/KdcProxy", "udp/vm"] {
        let run = configured(&work, &format!("doctor --dir {{ca}} --realm {REALM} --kdc {kdc}"));
        assert!(run.code == 2 && run.stderr.contains(kdc), "{run:?}");
    }
    // The key is right, and the service would refuse every ticket.
    let config = work.path("ca").join("ca.toml");
    let text = fs::read_to_string(&config).unwrap();
    let mistyped = text.replace("\nrealms = []", "\nrealms = [\"toy.elsewhere\"]");
    assert_ne!(mistyped, text);
    fs::write(&config, mistyped).unwrap();
    let run = own();
    assert_eq!((run.code, &run.json()["result"]["shut"]), (3, &serde_json::json!(["acceptance"])), "{run:?}");
    fs::write(&config, text).unwrap();
    // Stale, as after a change of the machine's password.
    let path = work.path("ca").join("ca.keytab");
    let mut bytes = fs::read(&path).unwrap();
    let keys = Keytab::parse(&bytes).unwrap();
    let key = keys.entries()[1].key.as_ref().unwrap().expose().to_vec();
    let at = bytes.windows(key.len()).position(|part| part == key).unwrap();
    let first = keys.entries()[0].key.as_ref().unwrap().expose().to_vec();
    let also = bytes.windows(first.len()).position(|part| part == first).unwrap();
    (bytes[at], bytes[also]) = (bytes[at] ^ 1, bytes[also] ^ 1);
    fs::write(&path, bytes).unwrap();
    let run = own();
    let json = run.json();
    assert_eq!((run.code, &json["result"]["shut"]), (3, &serde_json::json!(["acceptance"])), "{json}");
    assert_eq!(named().json()["result"]["shut"], serde_json::json!(["acceptance"]));
}
