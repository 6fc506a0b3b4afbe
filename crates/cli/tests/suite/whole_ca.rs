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

/// The components of a verdict by their names: state, and the details of the checks that did not go well.
fn components(result: &serde_json::Value) -> std::collections::BTreeMap<String, (String, String)> {
    let all = result["components"].as_array().unwrap().iter().map(|component| {
        let checks = component["checks"].as_array().unwrap();
        let bad = checks.iter().filter(|check| check["ok"] != true).map(|check| check["detail"].to_string());
        let text = |key: &str| component[key].as_str().unwrap().to_owned();
        (text("id"), (text("state"), bad.collect::<String>()))
    });
    all.collect()
}

#[test]
fn a_set_with_the_files_of_our_ca_needs_nothing_from_anywhere_else() {
    let work = world();
    work.result("backup --dir {ca} --to {set}");
    let bare = work.run("--json complete {set}").json();
    assert_eq!((&bare["exit_code"], &bare["result"]["missing"]), (&1.into(), &serde_json::json!(["key"])));
    // A wrong passphrase changes nothing.
    let list = fs::read(work.path("set/Identity/identity.json")).unwrap();
    assert_eq!(work.run("attach {set} --dir {ca} --users --passphrase-file {wrong}").code, 3);
    assert_eq!(fs::read(work.path("set/Identity/identity.json")).unwrap(), list);
    let attached = work.result("attach {set} --dir {ca} --users --passphrase-file {pass}");
    let paths: Vec<&str> =
        attached["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    // What a backup has taken already is not there twice.
    assert_eq!(paths, ["Attachments/users.toml", "Attachments/ca.key"]);
    assert_eq!(attached["keys"][0]["kept"], "Attachments/ca.key");
    let again = work.result("attach {set} --dir {ca} --users --passphrase-file {pass}");
    assert_eq!(again["files"], serde_json::json!([]), "{again}");
    let renewed = |result: &serde_json::Value| {
        let files = result["renewed"].as_array().unwrap().iter();
        files.map(|file| file["path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (settings, certificate) = ("Config/ca.toml".to_owned(), "Certificates/ca.crt".to_owned());
    for known in [&settings, &certificate] {
        assert!(renewed(&attached).contains(known) && renewed(&again).contains(known), "{attached} {again}");
    }
    let verdict = work.result("complete {set}");
    assert_eq!(verdict["verdict"], "complete", "{verdict:#}");
    assert_eq!(work.result("verify {set}")["findings"], serde_json::json!([]));
    // The CA is lost with everything that it had.
    let tables = work.tables("--dir {ca}");
    fs::remove_dir_all(work.path("ca")).unwrap();
    let plan = work.result("restore --from {set} --dir {new} --dry-run");
    let files = serde_json::json!(["ca.toml", "ca.crt", "ca.key", "users.toml"]);
    assert_eq!((&plan["written"], work.path("new").exists()), (&files, false));
    let restored = work.result("restore --from {set} --dir {new}");
    assert_eq!(restored["written"], files);
    assert_eq!(work.tables("--dir {new}"), tables);
    work.issue("new", "after");
    #[cfg(unix)]
    for name in ["ca.key", "users.toml"] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(work.path("new").join(name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    // What is there stays.
    fs::write(
        work.path("new/ca.toml"),
        format!("{}\n# mine\n", fs::read_to_string(work.path("new/ca.toml")).unwrap()),
    )
    .unwrap();
    fs::remove_file(work.path("new/ca.crt")).unwrap();
    let restored = work.result("restore --from {set} --dir {new} --force");
    assert_eq!(restored["written"], serde_json::json!(["ca.crt"]));
    assert!(fs::read_to_string(work.path("new/ca.toml")).unwrap().ends_with("# mine\n"));
}

#[test]
fn a_subordinate_ca_comes_back_with_its_files_whatever_stands_first_in_its_certificate() {
    let work = Work::with_ca();
    work.result("ca init --dir {sub} --name Sub-CA --subordinate --passphrase-file {pass}");
    // It waits for its parent, and its settings are all that is there to give back.
    assert_eq!(work.run("backup --dir {sub} --to {early}").code, 1, "no certificate and no CRL yet");
    let restored = work.result("restore --from {early} --dir {waiting}");
    assert_eq!(restored["written"], serde_json::json!(["ca.toml"]), "{restored}");
    let answer = work.result(
        "ca issue --dir {ca} --passphrase-file {pass} --profile subca --allow-ca --out {issued} {sub/ca.csr}",
    );
    fs::copy(answer["results"][0]["file"].as_str().unwrap(), work.path("answer.pem")).unwrap();
    work.result("ca import --dir {sub} --passphrase-file {pass} {answer.pem}");
    let read = |file: &str| fs::read_to_string(work.path(file)).unwrap();
    fs::write(work.path("sub/ca.crt"), format!("{}{}", read("ca/ca.crt"), read("answer.pem"))).unwrap();
    work.issue("sub", "web");
    work.result("backup --dir {sub} --to {set}");
    work.result("attach {set} --dir {sub} --passphrase-file {pass}");
    let restored = work.result("restore --from {set} --dir {new}");
    assert_eq!(restored["written"], serde_json::json!(["ca.toml", "ca.crt", "ca.key"]), "{restored}");
    work.issue("new", "after");
}

#[test]
fn a_key_is_checked_and_forgotten_and_one_of_another_ca_is_refused() {
    let work = world();
    work.result("backup --dir {ca} --to {set}");
    let passin = format!("file:{}", work.path("pass").display());
    // openssl takes the second line of a file that is named twice.
    fs::copy(work.path("pass"), work.path("pass2")).unwrap();
    let passout = format!("file:{}", work.path("pass2").display());
    let pkcs12 = |name: &str, options: &[&str]| {
        let (key, certificate, out) = (work.path("ca/ca.key"), work.path("ca/ca.crt"), work.path(name));
        let mut line =
            vec!["pkcs12", "-export", "-inkey", text(&key), "-passin", &passin, "-in", text(&certificate)];
        line.extend(["-passout", &passout, "-out", text(&out)]);
        line.extend(options);
        openssl(&line);
    };
    pkcs12("ca.p12", &[]);
    pkcs12("bare.p12", &["-nomac"]);
    pkcs12("clear.p12", &["-keypbe", "NONE", "-certpbe", "NONE"]);
    let run = |line: &str| work.run(&format!("--json attach {{set}} --passphrase-file {{pass}} {line}"));
    let seen = run("--key {ca.p12} --place safe").json();
    assert_eq!((&seen["exit_code"], &seen["result"]["files"]), (&0.into(), &serde_json::json!([])), "{seen}");
    assert_eq!(seen["result"]["keys"][0]["place"], "safe");
    assert!(!work.path("set/Identity/Attachments").exists());
    let verdict = work.result("complete {set}");
    assert_eq!(components(&verdict)["key"].0, "external", "{verdict:#}");
    // Seen without a word about where it is: that may be the CA's own file.
    let copied = work.path("copy");
    work.copy("set", "copy");
    fs::remove_dir_all(copied.join("Identity")).unwrap();
    work.result("attach {copy} --key {ca.p12} --passphrase-file {pass}");
    let run_of_copy = work.run("--json complete {copy}").json()["result"].clone();
    assert_eq!(components(&run_of_copy)["key"].0, "cannot-tell", "{run_of_copy:#}");
    // Nothing shows that a file without MAC is whole; a bare key is not kept.
    let bare = run("--key {bare.p12}").json();
    assert_eq!(
        (&bare["exit_code"], &bare["result"]["findings"][0]["kind"]),
        (&1.into(), &"key-unprotected".into())
    );
    assert_eq!(run("--key {clear.p12} --keep").code, 3);
    let clear = run("--file {clear.p12}");
    assert_eq!(clear.code, 3, "{clear:?}");
    assert!(
        clear.json()["error"]["remedy"].as_str().unwrap().contains("openssl pkcs12 -export"),
        "{clear:?}"
    );
    let kept = run("--key {ca.p12} --keep").json();
    let note = &kept["result"]["findings"][0];
    assert_eq!((&kept["exit_code"], &note["severity"]), (&0.into(), &"note".into()), "{kept}");
    assert!(note["remedy"].as_str().unwrap().contains("openssl pkcs8 -topk8"), "{kept}");
    assert_eq!(
        fs::read(work.path("set/Identity/Attachments/ca.p12")).unwrap(),
        fs::read(work.path("ca.p12")).unwrap()
    );
    assert_eq!(components(&work.result("complete {set}"))["key"].0, "present");
    // Our CA reads PEM alone. Kept as both, it gets that one, whichever came last.
    work.copy("set", "both");
    // Of that in PKCS#12 alone it is told that the CA comes back without it, unless it is there.
    work.copy_key_and_configuration("ca", "with-key");
    fs::remove_file(work.path("with-key/ca.crt")).unwrap();
    for (line, code) in
        [("--dir {new} --dry-run", 1), ("--dir {without-key}", 1), ("--dir {with-key} --dry-run", 0)]
    {
        let run = work.run(&format!("--json restore --from {{both}} {line}"));
        let warnings = run.json()["result"]["warnings"].to_string();
        let is_told =
            warnings.contains("ca.p12 has the CA's key") && warnings.contains("openssl pkcs12 -in FILE");
        assert_eq!((run.code, is_told), (code, code == 1), "{run:?}");
        assert!(!run.json()["result"]["written"].to_string().contains("ca.key"), "{run:?}");
    }
    let written = || work.result("restore --from {both} --dir {new} --dry-run")["written"].to_string();
    for key in ["ca/ca.key", "ca.p12"] {
        work.result(&format!("attach {{both}} --key {{{key}}} --passphrase-file {{pass}} --keep"));
    }
    assert!(written().contains("ca.key"), "{}", written());
    // Nor is one that comes with something else, or behind another option.
    openssl(&[
        "pkey",
        "-in",
        text(&work.path("ca/ca.key")),
        "-passin",
        &passin,
        "-out",
        text(&work.path("bare.key")),
    ]);
    let bare = fs::read_to_string(work.path("bare.key")).unwrap();
    let certificate = fs::read_to_string(work.path("ca/ca.crt")).unwrap();
    fs::write(work.path("combined.pem"), certificate + &bare).unwrap();
    fs::write(work.path("letter.txt"), format!("The key:\n{bare}")).unwrap();
    for option in
        ["--certificate {combined.pem}", "--file {letter.txt}", "--file {bare.key}", "--capolicy {bare.key}"]
    {
        let refused = run(option);
        assert_eq!(
            (refused.code, refused.json()["error"]["name"].as_str()),
            (3, Some("NTE_BAD_KEY")),
            "{option}"
        );
    }
    let kept = fs::read_dir(work.path("set/Identity/Attachments")).unwrap().count();
    assert_eq!(kept, 1, "ca.p12 alone");
    // What is put into the folder of a CA is in no backup.
    let in_a_ca = work.run("--json attach {ca} --note hello");
    assert_eq!(in_a_ca.code, 2, "{in_a_ca:?}");
    assert!(!work.path("ca/Identity").exists());
    // Another CA of the same name.
    work.result("ca init --dir {other} --name Test-CA --passphrase-file {pass}");
    for line in ["attach {set} --key {other/ca.key}", "attach {set} --dir {other}"] {
        let run = work.run(&format!("--json {line} --passphrase-file {{pass}}"));
        assert_eq!(run.code, 5, "{run:?}");
        let message = run.json()["error"]["message"].to_string();
        assert_eq!(message.matches("key id ").count(), 2, "{message}");
    }
    let other = work.run("--json complete {set} --key {other/ca.key} --passphrase-file {pass}");
    assert_eq!((other.code, &other.json()["result"]["contradicts"]), (5, &true.into()), "{other:?}");
    assert_eq!(work.run("attach {set} --crl {other/crl/Test-CA.crl}").code, 5);
}

/// Each of them begins the identity part, or adds to what another has begun.
#[test]
fn of_several_commands_that_attach_at_a_time_nothing_is_lost() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    fs::remove_dir_all(work.path("set/Identity")).unwrap();
    let attach = |number: usize| {
        fs::write(work.path(&format!("{number}.txt")), number.to_string()).unwrap();
        let line = format!("attach {{set}} --file {{{number}.txt}} --note {number}");
        let mut command = crate::support::command(&work.path(""), &line);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let running: Vec<_> = (0..6).map(attach).collect();
    for mut run in running {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    let part = Part::open(&work.path("set/Identity")).unwrap();
    assert_eq!((part.manifest.files.len(), part.manifest.notes.len()), (6, 6), "{:?}", part.manifest);
    assert_eq!(part.check(), []);
}

#[test]
fn a_database_alone_gets_a_verdict_and_takes_what_a_person_has() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), crate::windows_files::ca_database()).unwrap();
    let now = "--now 2025-10-03T12:00:00Z";
    let run = work.run(&format!("--json complete {{CertLog.edb}} {now}"));
    let result = run.json()["result"].clone();
    assert_eq!((run.code, &result["verdict"]), (1, &"incomplete".into()));
    assert_eq!(result["missing"], serde_json::json!(["key", "configuration", "templates"]), "{result:#}");
    let found = components(&result);
    for (id, state) in [
        ("database", "present"),
        ("ca-certificates", "present"),
        ("crl", "present"),
        ("cross-certificates", "not-applicable"),
        ("kra-keys", "not-applicable"),
        ("capolicy", "absent"),
    ] {
        assert_eq!(found[id].0, state, "{id}: {result:#}");
    }
    let key =
        result["components"].as_array().unwrap().iter().find(|component| component["id"] == "key").unwrap();
    assert!(key["checks"][0]["remedy"].as_str().unwrap().contains("certutil -p * -backupKey"), "{key}");
    // What a person has stands beside the file.
    let mut configuration = certadm_identity::Configuration::default();
    configuration.set("", "Active", Value::Text("SEVENKINGDOMS-CA".into()));
    configuration.set("SEVENKINGDOMS-CA", "CommonName", Value::Text("SEVENKINGDOMS-CA".into()));
    configuration.set("SEVENKINGDOMS-CA\\CSP", "Provider", Value::Text("Vendor KSP".into()));
    let export = |configuration: &certadm_identity::Configuration, name: &str| {
        let written = registry::to_text(configuration, &registry::root(registry::CERTSVC));
        fs::write(work.path(name), registry::to_bytes(&written.text)).unwrap();
    };
    export(&configuration, "certsvc.reg");
    fs::write(work.path("CAPolicy.inf"), "[Version]\n").unwrap();
    fs::write(work.path("pki.ldif"), "dn: x\n").unwrap();
    work.result("attach {CertLog.edb} --registry {certsvc.reg} --capolicy {CAPolicy.inf} --ldif {pki.ldif} --note twice-a-year");
    assert!(work.path("CertLog.edb.identity/identity.json").is_file());
    let result = work.run(&format!("--json complete {{CertLog.edb}} {now}")).json()["result"].clone();
    let found = components(&result);
    // A key with the provider of an HSM cannot leave it, so it is not missing.
    assert_eq!(result["missing"], serde_json::json!(["templates"]), "{result:#}");
    assert_eq!(found["key"].0, "external", "{result:#}");
    assert_eq!((found["configuration"].0.as_str(), found["capolicy"].0.as_str()), ("present", "present"));
    assert!(result.to_string().contains("Vendor KSP"), "{result:#}");
    // What was attached today may be years old, and an LDIF file need not have the objects of a CA.
    let component = |id: &str| {
        let all = result["components"].as_array().unwrap();
        all.iter().find(|component| component["id"] == id).unwrap().clone()
    };
    for id in ["configuration", "capolicy"] {
        let component = component(id);
        let checks = component["checks"].as_array().unwrap();
        let age: Vec<_> = checks.iter().filter(|check| check["name"] == "age").collect();
        assert_eq!((age.len(), &age[0]["ok"]), (1, &serde_json::Value::Null), "{component}");
        assert!(age[0]["detail"].as_str().unwrap().starts_with("it was attached at "), "{component}");
    }
    for id in ["template-definitions", "directory"] {
        assert_ne!(found[id].0, "present", "{result:#}");
    }
    let services = "CN=Public Key Services,CN=Services,CN=Configuration,DC=x";
    let entries = format!("dn: CN=Web,CN=Certificate Templates,{services}\n\ndn: CN=A,CN=AIA,{services}\n");
    fs::write(work.path("objects.ldif"), entries).unwrap();
    work.result("attach {CertLog.edb} --ldif {objects.ldif}");
    let later = work.run(&format!("--json complete {{CertLog.edb}} {now}")).json()["result"].clone();
    assert_eq!(components(&later)["template-definitions"].0, "present", "{later:#}");
    assert_eq!(components(&later)["directory"].0, "present", "{later:#}");
    // Files of another kind are refused, and nothing is attached.
    fs::write(work.path("README.md"), "# A title\n\nSome text: with a colon.\n").unwrap();
    for option in ["--ldif", "--events", "--capolicy"] {
        let run = work.run(&format!("attach {{CertLog.edb}} {option} {{README.md}}"));
        assert_eq!(run.code, 5, "{option}: {run:?}");
    }
    // A log of a quiet day is attached with a warning; of a damaged one nothing says that it was quiet.
    let quiet = crate::gap::empty_event_log();
    fs::write(work.path("cut.evtx"), &quiet[..4096]).unwrap();
    assert_eq!(work.run("attach {CertLog.edb} --events {cut.evtx}").code, 5);
    fs::write(work.path("quiet.evtx"), quiet).unwrap();
    fs::write(work.path("quiet.xml"), "<Events></Events>").unwrap();
    for name in ["quiet.evtx", "quiet.xml"] {
        let run = work.run(&format!("--json attach {{CertLog.edb}} --events {{{name}}}"));
        let result = run.json()["result"].clone();
        assert_eq!((run.code, &result["findings"][0]["kind"]), (1, &"source-silent".into()), "{run:?}");
        assert!(result["files"][0]["path"].as_str().unwrap().ends_with(name), "{result}");
    }
    // Remarks are part of INF.
    let policy = |text: &str, code: i32| {
        fs::write(work.path("remark.inf"), text).unwrap();
        let run = work.run("attach {CertLog.edb} --capolicy {remark.inf}");
        assert_eq!(run.code, code, "{text}: {run:?}");
    };
    policy("\u{feff}; policy\r\n[Version] ; of this CA\r\nSignature=\"$Windows NT$\"\r\n", 0);
    policy("; [Version]\r\n", 5);
    work.result("attach {CertLog.edb} --external-key HSM-7");
    let result = work.run(&format!("--json complete {{CertLog.edb}} {now}")).json()["result"].clone();
    assert_eq!(components(&result)["key"].0, "external");
    // The page says the same.
    work.run("show {CertLog.edb} --html {page.html}");
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    assert!(page.contains("What the CA needs to come back") && page.contains("HSM-7"), "{page}");
    // A file that is none, and a configuration of another CA.
    assert_eq!(work.run("attach {CertLog.edb} --registry {pki.ldif}").code, 5);
    configuration.set("SEVENKINGDOMS-CA", "CommonName", Value::Text("Other".into()));
    export(&configuration, "other.reg");
    work.result("attach {CertLog.edb} --registry {other.reg}");
    let run = work.run(&format!("complete {{CertLog.edb}} {now}"));
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.stdout.contains("CONTRADICTION"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn no_link_in_a_set_is_followed_and_damage_beside_it_is_told() {
    use std::os::unix::fs::symlink;
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    fs::create_dir(work.path("elsewhere")).unwrap();
    symlink(work.path("elsewhere"), work.path("set/Identity/Attachments")).unwrap();
    symlink(work.path("elsewhere/list"), work.path("set/Identity/identity.json.new")).unwrap();
    fs::write(work.path("note.txt"), "x").unwrap();
    assert_eq!(work.run("attach {set} --file {note.txt}").code, 3);
    assert_eq!(fs::read_dir(work.path("elsewhere")).unwrap().count(), 0);
    fs::remove_file(work.path("set/Identity/Attachments")).unwrap();
    work.result("attach {set} --file {note.txt} --note hello");
    assert_eq!(fs::read_dir(work.path("elsewhere")).unwrap().count(), 0);
    work.flip("set/Identity/Config/ca.toml");
    let run = work.run("--json verify {set}");
    assert_eq!(
        (run.code, &run.json()["result"]["findings"][0]["kind"]),
        (1, &"file-changed".into()),
        "{run:?}"
    );
    assert_eq!(run.json()["result"]["restorable"], true);
    fs::rename(work.path("set/Identity"), work.path("moved")).unwrap();
    symlink(work.path("moved"), work.path("set/Identity")).unwrap();
    let result = work.run("--json complete {set}").json()["result"].clone();
    assert_eq!(result["identity"], serde_json::json!([]), "{result}");
    let named = work.run("--json complete {set} --identity {moved}").json()["result"].clone();
    assert_eq!(named["identity"].as_array().unwrap().len(), 1, "{named}");
}
