//! What a CA needs beside its database: fetched over the network and from a folder, kept in sets, judged, given back.

use std::fs;

use certadm_identity::{Part, Role, Value, registry};

use crate::remote::{Serving, configured, world};
use crate::support::{Work, openssl, text};

#[test]
fn a_reader_fetches_what_the_ca_says_of_itself_over_the_network() {
    let work = world();
    let serving = Serving::start(&work, "");
    let login = format!("--server {} --user reader --password-file {{pw}}", serving.address);
    let run = configured(&work, &format!("--json identity {login} --to {{identity}}"));
    let result = run.json()["result"].clone();
    assert_eq!(run.code, 0, "{result}");
    assert_eq!(result["ca"]["name"], "Test-CA");
    let part = Part::open(&work.path("identity")).unwrap();
    assert_eq!(part.check(), []);
    // The certificate, the CRL and the configuration are those of the CA.
    let certificate = work.path("identity/Certificates/ca-0.crt");
    let own = openssl(&[
        "x509",
        "-in",
        text(&work.path("ca/ca.crt")),
        "-outform",
        "DER",
        "-out",
        text(&work.path("own.der")),
    ]);
    assert_eq!((own.as_str(), fs::read(certificate).unwrap()), ("", fs::read(work.path("own.der")).unwrap()));
    assert_eq!(
        fs::read(work.path("identity/Crls/base-0.crl")).unwrap(),
        fs::read(work.path("ca/crl/Test-CA.crl")).unwrap()
    );
    let chain = openssl(&[
        "pkcs7",
        "-inform",
        "DER",
        "-in",
        text(&work.path("identity/Chains/ca-0.p7b")),
        "-print_certs",
    ]);
    assert!(chain.contains("Test-CA") && chain.contains("BEGIN CERTIFICATE"), "{chain}");
    let configuration = part.configuration().unwrap().unwrap();
    assert_eq!(configuration.get("Test-CA", "InterfaceFlags"), Some(&Value::Number(0x641)));
    assert_eq!(configuration.get("Test-CA\\ExitModules", "Active"), Some(&Value::List(Vec::new())));
    let file = part.manifest.of_role(Role::Registry).next().unwrap();
    let file = registry::parse(&part.read(file).unwrap()).unwrap();
    assert_eq!(registry::of_certsvc(&file), configuration);
    // Not over what is there, and nothing from a CA that does not answer.
    assert_eq!(configured(&work, &format!("identity {login} --to {{identity}}")).code, 3);
    assert_eq!(
        configured(&work, "identity --server 127.0.0.1:1 --user reader --password-file {pw} --to {x}").code,
        4
    );
    assert!(!work.path("x").exists());
}

#[test]
fn every_backup_takes_the_identity_part_unless_it_is_told_not_to() {
    let work = world();
    let local = work.result("backup --dir {ca} --to {local}");
    let files = |result: &serde_json::Value| {
        let files = result["identity"]["files"].as_array().unwrap().clone();
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(files(&local).contains(&"Config/ca.toml".to_owned()), "{local}");
    assert_eq!(
        fs::read(work.path("local/Identity/Config/ca.toml")).unwrap(),
        fs::read(work.path("ca/ca.toml")).unwrap()
    );
    let signature = Part::open(&work.path("local/Identity")).unwrap().manifest.database_signature;
    assert_eq!(signature.len(), 32, "{signature}");
    let serving = Serving::start(&work, "--allow-remote-backup");
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    let remote = work.result(&format!("backup {login} --to {{remote}}"));
    assert!(files(&remote).contains(&"Config/config.reg".to_owned()), "{remote}");
    let through = work.result("backup --dir {ca} --to {through} --type logs");
    assert!(files(&through).contains(&"Config/ca.toml".to_owned()), "{through}");
    let none = work.result(&format!("backup {login} --to {{none}} --no-identity"));
    assert!(none["identity"].is_null() && !work.path("none/Identity").exists(), "{none}");
    // The sets are as good as ever.
    for line in ["verify {local}", "verify {remote} {through}", "verify {none}"] {
        let verified = work.result(line);
        assert_eq!(
            (&verified["restorable"], &verified["findings"]),
            (&true.into(), &serde_json::json!([])),
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_fetched_is_a_finding_and_the_set_stands() {
    let work = Work::with_ca();
    fs::remove_file(work.path("ca/crl/Test-CA.crl")).unwrap();
    let run = work.run("--json backup --dir {ca} --to {set}");
    let json = run.json();
    assert_eq!((run.code, json["ok"].as_bool()), (1, Some(true)), "{json}");
    let findings = json["result"]["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["kind"] == "identity-part").unwrap();
    assert!(finding["detail"].as_str().unwrap().contains("Base CRL"), "{finding}");
    assert!(work.path("set/Identity/Certificates/ca-0.crt").is_file());
    assert_eq!(work.result("verify {set}")["restorable"], true);
}
