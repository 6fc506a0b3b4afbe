//! The backup example over Kerberos: what `client.toml` says of keys and KDC is all that the library needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use certadm_kerberos::crypto::{Etype, string_to_key};
use certadm_kerberos::{Keytab, KeytabEntry, Principal};
use certadm_toy_kdc::{Kdc, Listener, Network, World as Clock, keytab_file};

use crate::world::{World, both};

const REALM: &str = "TOY.TEST";
const PASSWORD: &str = "Al1ce-Pa55";

fn private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_backup_by_a_keytab_that_client_toml_names() {
    let mut world = World::new();
    let mut kdc = Kdc::new(REALM);
    kdc.add_account("alice", PASSWORD);
    let services = ["RPCSS", "HOST"].map(|class| kdc.add_service(class, "localhost", Etype::Aes256Sha1));
    let kdc = Listener::start(Network::of([kdc]), Arc::new(Clock::real())).unwrap();
    let entries = services.iter().flat_map(|keytab| keytab.entries().to_vec()).collect();
    private(&world.path("ca/ca.keytab"), &keytab_file(&Keytab::new(entries)));
    let key =
        |password| string_to_key(Etype::Aes256Sha1, password, b"TOY.TESTalice", &64_u32.to_be_bytes()).ok();
    let entry = |password| KeytabEntry {
        principal: Principal::account("alice", REALM),
        key_version: 1,
        etype: Etype::Aes256Sha1.to_wire(),
        key: key(password),
    };
    private(&world.path("alice.keytab"), &keytab_file(&Keytab::new(vec![entry(PASSWORD)])));
    let settings = world.path("ca/ca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let text = text
        .replace("# keytab = \"ca.keytab\"", "keytab = \"ca.keytab\"")
        .replace("# host = \"ca1.corp.example\"", "host = \"localhost\"")
        .replace("ntlm = true", "ntlm = false")
        .replace("operator = [", "operator = [\"krb:alice@TOY.TEST\", ");
    fs::write(&settings, text).unwrap();
    let address = world.start_with("--allow-remote-backup");
    let port = address.rsplit_once(':').unwrap().1;
    let keytab = world.path("alice.keytab");
    let config = format!(
        "[server.network]\nhost = 'localhost:{port}'\nkeytab = {keytab:?}\nmechanism = 'kerberos'\nrealm = '{REALM}'\n\
         kdc = ['{}']\n",
        kdc.address()
    );
    fs::write(world.path("client.toml"), config).unwrap();

    let backup = world.program("backup");
    let said = world.run(&backup, &["network", "set"]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    assert!(world.certadm("verify {set}").contains("restorable"));
    let asked = kdc.asked();
    assert!(4 <= asked, "{asked}");

    // A keytab of an older password: the code is that of a denial, and the log says why.
    private(&keytab, &keytab_file(&Keytab::new(vec![entry("another")])));
    let mut command = Command::new(&backup);
    let output =
        world.equip(&mut command).env("CERTADM_LOG", "debug").args(["network", "stale"]).output().unwrap();
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CertSrvIsServerOnline failed: 0x8007"), "{said}");
    assert!(said.contains("PREAUTH_FAILED"), "{said}");
}
