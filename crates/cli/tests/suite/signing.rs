//! Signed sets from the command line: each way that makes them, each command that reads them.

use std::fs;
use std::path::Path;

use certadm_tests::signers::{KEY, LOCKED, LOCKED_PUBLIC, OTHER, OTHER_PUBLIC, PUBLIC, write_key};
use serde_json::Value;

use crate::remote::{Serving, configured, world};
use crate::support::{Run, Work, command};
use crate::windows_files::backup as backup_of_windows;

/// Puts keys and lists of allowed signers into a work folder.
fn with_keys(work: Work) -> Work {
    for (name, key) in [("key", KEY), ("other", OTHER), ("locked", LOCKED)] {
        write_key(&work.path(name), key);
    }
    fs::write(work.path("allowed"), format!("# test\none@ca,uno@ca {PUBLIC}\n")).unwrap();
    fs::write(work.path("strangers"), format!("two@ca {OTHER_PUBLIC}\n")).unwrap();
    fs::write(work.path("of-locked"), format!("locked@ca {LOCKED_PUBLIC}\n")).unwrap();
    work
}

/// A CA, a signed full set and a signed log set.
fn with_sets() -> Work {
    let work = with_keys(Work::with_ca());
    work.issue("ca", "one");
    let taken = work.result("backup --dir {ca} --to {full} --sign-key {key}");
    assert!(taken["signed_with"].as_str().unwrap().starts_with("SHA256:"), "{taken}");
    work.issue("ca", "two");
    work.result("backup --dir {ca} --to {logs} --type logs --sign-key {key}");
    work
}

fn refused(work: &Work, line: &str) -> (i32, Value) {
    let run = work.run(&format!("--json {line}"));
    let json = run.json();
    assert_eq!(json["ok"], run.code == 1, "{line}: {json}");
    (run.code, json)
}

#[test]
fn a_signed_chain_is_told_by_every_command_and_comes_back() {
    let work = with_sets();
    let plain = work.result("verify {full} {logs}");
    assert_eq!(plain["signatures"][1]["state"], "not-checked");
    let verified = work.result("verify {full} {logs} --allowed-signers {allowed}");
    assert_eq!(verified["restorable"], true);
    for signature in verified["signatures"].as_array().unwrap() {
        assert_eq!((&signature["state"], &signature["signer"]), (&"signed".into(), &"one@ca,uno@ca".into()));
    }
    let one = work.result("verify {full} {logs} --allowed-signers {allowed} --signer uno@ca");
    assert_eq!(one["signatures"][0]["signer"], "uno@ca");
    assert_eq!(refused(&work, "verify {full} --allowed-signers {allowed} --signer two@ca").0, 3);
    let shown = work.result("show {full} --allowed-signers {allowed}");
    assert_eq!(shown["signature"]["state"], "signed");
    let text = work.run("show {full}").good();
    assert!(text.contains("Signature      by the key SHA256:") && text.contains("not checked"), "{text}");
    let listed = work.result("list {full} {logs} certificates --allowed-signers {allowed}");
    assert_eq!(listed["count"], 3, "with that of the CA itself");
    work.copy_key_and_configuration("ca", "new");
    let dry =
        work.result("restore --from {full} --from {logs} --dir {new} --dry-run --allowed-signers {allowed}");
    assert_eq!(dry["signatures"][1]["signer"], "one@ca,uno@ca");
    work.result("restore --from {full} --from {logs} --dir {new} --allowed-signers {allowed}");
    assert_eq!(work.tables("--dir {new}"), work.tables("--dir {ca}"));
    // What lies beside the database is not signed, and so not taken.
    work.result("restore --from {full} --from {logs} --dir {bare} --no-recover --allowed-signers {allowed}");
    assert!(!work.path("bare/ca.toml").exists() && !work.path("bare/ca.crt").exists());
    let line = "emergency-crl {full} {logs} --tbs-only --no-published --to {crl} --allowed-signers {allowed}";
    assert_ne!(work.run(line).code, 3);
    assert!(work.path("crl").is_dir());
    let allowed = "--allowed-signers {allowed}";
    let compared = work.result(&format!("diff {{full}} {{full}} --logs-b {{logs}} {allowed}"));
    assert_eq!((&compared["count"], &compared["counts"]["issued"]), (&1.into(), &1.into()), "{compared}");
    let gap = work.result(&format!("gap {{full}} {{logs}} --certificates {{issued}} --to {{gap}} {allowed}"));
    assert_eq!(gap["certificates"], 2, "{gap}");
    let key = "--passphrase-file {pass} --key {ca/ca.key}";
    let told = work.run(&format!("complete {{full}} {{logs}} {key} {allowed}")).good();
    assert!(told.contains("No signature speaks for") && told.contains("full/Identity"), "{told}");
    work.result(&format!("attach {{full}} {key} {allowed}"));
}

/// What was done to the sets, by a name, and the exit code of commands that refuse them.
const HARM: [(&str, i32); 6] = [
    ("full unsigned", 3),
    ("logs unsigned", 3),
    ("stranger", 3),
    ("no manifest", 3),
    ("flipped", 5),
    ("file", 5),
];

/// What lies where a set is expected and can have no signature is refused, whatever it looks like: also a folder of a CA, which
/// would be opened as one that runs.
#[test]
fn what_takes_the_place_of_a_set_is_refused_too() {
    let work = with_sets();
    work.copy("ca", "set");
    for line in [
        "gap {set} --certificates {ca/ca.crt}",
        "diff {full} {set}",
        "diff {set} {full}",
        "list {set}",
        "show {set}",
    ] {
        let (code, json) = refused(&work, &format!("{line} --allowed-signers {{allowed}}"));
        assert_eq!((code, &json["error"]["code"]), (3, &"0x800b0100".into()), "{line}: {json}");
    }
    // Files beside a database, without the set.
    let (code, json) = refused(&work, "attach {full/Identity} --note text --allowed-signers {allowed}");
    assert_eq!(code, 2, "{json}");
    // What cannot be read counts as unknown only where nobody asks for signatures.
    let line = "gap {full} --certificates {ca/ca.crt} --force-damaged --allowed-signers {allowed}";
    assert_eq!(work.run(line).code, 2);
}

/// Whoever can put a folder beside the sets must not decide by it which one is rehearsed, or with which configuration.
#[test]
fn a_rehearsal_of_the_newest_sets_passes_over_those_that_nobody_signed() {
    let work = with_keys(Work::with_ca());
    for name in ["backup", "scratch"] {
        fs::create_dir(work.path(name)).unwrap();
    }
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {backup/signed} --sign-key {key} --keep-logs");
    work.copy_key_and_configuration("ca", "identity");
    std::thread::sleep(std::time::Duration::from_millis(1100)); // manifests have whole seconds
    for (name, key) in [("bare", ""), ("foreign", "--sign-key {other}")] {
        work.result(&format!("backup --dir {{ca}} --to {{backup/{name}}} --keep-logs {key}"));
    }
    let sign = "--key {ca/ca.key} --passphrase-file {pass} --within {scratch} --allowed-signers {allowed}";
    let identity = "--identity {identity}";
    let line = format!("--json rehearse --latest-in {{backup}} {identity} {sign}");
    let shown = work.run(&line).json()["result"].clone();
    assert_eq!(shown["verdict"]["proof"], "proven", "{shown}");
    let find = shown["steps"][0]["detail"].as_str().unwrap();
    assert!(find.contains("backup/signed and") && find.ends_with("signed by one@ca,uno@ca"), "{find}");
    let told = shown["findings"].to_string();
    for left_out in ["backup/bare", "backup/foreign"] {
        assert!(told.contains(left_out), "{told}");
    }
    // As a restore does, it takes nothing from beside the set: no signature speaks for that.
    let shown = work.run(&format!("--json rehearse {{backup/signed}} {sign}")).json()["result"].clone();
    assert_eq!(shown["verdict"]["except"][0], "complete", "{shown}");
}

fn harm(work: &Work, how: &str) {
    let remove = |name: &str| fs::remove_file(work.path(name)).unwrap();
    match how {
        "full unsigned" => remove("full/manifest.json.sig"),
        "logs unsigned" => remove("logs/manifest.json.sig"),
        "no manifest" => remove("logs/manifest.json"),
        "flipped" => work.flip("full/manifest.json.sig"),
        "file" => work.flip("full/DataBase/Test-CA.db"),
        _ => {}
    }
}

#[test]
fn what_is_not_signed_by_an_allowed_signer_is_refused_by_every_command() {
    let work = with_sets();
    for name in ["full", "logs"] {
        work.copy(name, &format!("whole-{name}"));
    }
    fs::create_dir(work.path("scratch")).unwrap();
    for (how, code) in HARM {
        for name in ["full", "logs"] {
            fs::remove_dir_all(work.path(name)).unwrap();
            work.copy(&format!("whole-{name}"), name);
        }
        harm(&work, how);
        let list = if how == "stranger" { "{strangers}" } else { "{allowed}" };
        for line in [
            "verify {full} {logs}",
            "list {full} {logs}",
            "restore --from {full} --from {logs} --dir {new} --dry-run",
            "restore --from {full} --from {logs} --dir {new}",
            "restore --from {full} --from {logs} --dir {new} --incomplete --force",
            "emergency-crl {full} {logs} --tbs-only --no-published --to {new}",
            "gap {full} {logs} --certificates {ca/ca.crt} --to {new}",
            "diff {full} {full} --logs-b {logs}",
            "diff {whole-full} {full} --logs-b {logs}",
            "complete {full} {logs}",
        ] {
            let (found, json) = refused(&work, &format!("{line} --allowed-signers {list}"));
            assert_eq!(found, code, "{how}: {line}: {json}");
            assert!(!work.path("new").exists(), "{how}: {line}");
        }
        if !how.starts_with("logs") && how != "no manifest" {
            let key = "--key {ca/ca.key} --passphrase-file {pass}";
            let (found, json) = refused(&work, &format!("attach {{full}} {key} --allowed-signers {list}"));
            assert_eq!(found, code, "{how}: {json}");
        }
        // A rehearsal ends in the step that saw it.
        let line = format!("rehearse {{full}} {{logs}} --within {{scratch}} --allowed-signers {list}");
        let run = work.run(&format!("--json {line}"));
        let steps = run.json()["result"]["steps"].clone();
        let failed = steps.as_array().unwrap().iter().find(|step| step["outcome"] == "fail").unwrap();
        assert_eq!(
            (run.code, &failed["step"]),
            (5, &(if how == "file" { "verify" } else { "find" }).into()),
            "{how}"
        );
        assert_eq!(steps[2]["outcome"], "skipped", "{how}: nothing is restored: {steps}");
        // `show` says it.
        let (found, json) = refused(&work, &format!("show {{full}} {{logs}} --allowed-signers {list}"));
        let told = json.to_string();
        assert_eq!(found, 1, "{how}: {json}");
        assert!(told.contains("\"signature\"") || told.contains("file-changed"), "{how}: {json}");
    }
    // Without a list, a signature that does not fit is something to look into, and keeps nobody from restoring.
    fs::remove_dir_all(work.path("full")).unwrap();
    work.copy("whole-full", "full");
    harm(&work, "flipped");
    let (code, json) = refused(&work, "verify {full}");
    assert_eq!((code, &json["result"]["findings"][0]["kind"]), (1, &"signature".into()), "{json}");
    work.result("restore --from {full} --dir {new} --no-recover");
}

#[test]
fn a_key_with_a_passphrase_signs_and_none_is_asked_too_late() {
    let work = with_keys(Work::with_ca());
    fs::write(work.path("wrong"), "not it").unwrap();
    for (options, code) in [
        ("--sign-key {locked}", 2),
        ("--sign-key {locked} --sign-passphrase-file {wrong}", 3),
        ("--sign-key {pass}", 3),
        ("--sign-key {nothing}", 3),
        ("--sign-passphrase-file {pass}", 2),
    ] {
        let run = work.run(&format!("backup --dir {{ca}} --to {{set}} {options}"));
        assert_eq!(run.code, code, "{options}: {run:?}");
        assert!(!work.path("set").exists(), "{options}");
    }
    work.result("backup --dir {ca} --to {set} --sign-key {locked} --sign-passphrase-file {pass}");
    let by_descriptor = format!(
        "exec {} backup --dir ca --to second --sign-key locked --sign-passphrase-fd 7 7< pass",
        env!("CARGO_BIN_EXE_certadm")
    );
    let mut shell = std::process::Command::new("sh");
    Run::of(shell.args(["-c", &by_descriptor]).current_dir(work.path(""))).good();
    for set in ["set", "second"] {
        let line = format!("verify {{{set}}} --allowed-signers {{of-locked}}");
        assert_eq!(work.result(&line)["signatures"][0]["signer"], "locked@ca");
    }
    // A list that is wrong anywhere is told by its line, and nothing is read.
    fs::write(work.path("list"), format!("locked@ca {LOCKED_PUBLIC}\n*@ca cert-authority {PUBLIC}\n"))
        .unwrap();
    for line in ["verify {set}", "list {set}", "restore --from {set} --dir {new}", "show {set}"] {
        let run = work.run(&format!("{line} --allowed-signers {{list}}"));
        assert_eq!(run.code, 2, "{line}: {run:?}");
        assert!(run.stderr.contains("line 2") && run.stderr.contains("cert-authority"), "{run:?}");
    }
}

#[test]
fn sets_over_the_network_and_through_the_socket_are_signed_too() {
    let work = with_keys(world());
    let serving = Serving::start(&work, "--allow-remote-backup");
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    for (set, ca) in [("a", login.as_str()), ("b", "--socket {socket}"), ("c", "--dir {ca}")] {
        let line = format!("--json backup {ca} --to {{{set}}} --keep-logs --sign-key {{key}}");
        let run = configured(&work, &line);
        assert_eq!(run.code, 0, "{run:?}");
        let verified = work.result(&format!("verify {{{set}}} --allowed-signers {{allowed}}"));
        assert_eq!(verified["signatures"][0]["state"], "signed", "{ca}");
    }
    let plan = format!("restore {login} --from {{a}} --dry-run --allowed-signers");
    assert_eq!(configured(&work, &format!("{plan} {{allowed}}")).code, 0);
    assert_eq!(configured(&work, &format!("{plan} {{strangers}}")).code, 3);
}

/// Signs a set of a Windows CA after the fact, as `ssh-keygen -Y sign` would.
fn sign(set: &Path) {
    let certadm_set::signing::KeyFile::Open(signer) =
        certadm_set::signing::KeyFile::parse(KEY.as_bytes()).unwrap()
    else {
        panic!("it has no passphrase")
    };
    let signature = signer.sign(&fs::read(set.join("manifest.json")).unwrap());
    fs::write(set.join("manifest.json.sig"), signature).unwrap();
}

/// Gives files of a Windows CA the manifest that a backup over the network writes.
pub(crate) fn complete(set: &Path, kind: certadm_set::manifest::SetKind) {
    use certadm_set::manifest::{CaIdentity, FileEntry, Manifest, Role};
    let ca = CaIdentity {
        name: "Store".to_owned(),
        host: "ca1.example".to_owned(),
        database_signature: String::new(),
        stream_signature: String::new(),
    };
    let mut manifest = Manifest::new(ca, kind, "2026-11-23T09:00:00Z".to_owned());
    for entry in fs::read_dir(set.join("DataBase")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let role = match name.rsplit_once('.').unwrap().1 {
            "edb" => Role::Database,
            "log" => Role::Log,
            _ => Role::Locations,
        };
        manifest.files.push(FileEntry {
            path: format!("DataBase/{name}"),
            role,
            source: name,
            size: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
            sha256: Some(certadm_rules::hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(&bytes))),
        });
    }
    manifest.generations = certadm_set::manifest::Generations { low: 1, high: 2 };
    fs::write(set.join("manifest.json"), manifest.complete().unwrap()).unwrap();
}

#[test]
fn sets_of_a_windows_ca_are_recovered_only_if_signed() {
    use certadm_set::manifest::SetKind;
    let work = with_keys(Work::new());
    let Some((full, logs)) = backup_of_windows(&work.path("windows")) else { return };
    let line = "recover {windows/full} {windows/logs} --to {out} --allowed-signers {allowed}";
    assert_eq!(refused(&work, line).0, 3, "it has no manifest");
    complete(&full, SetKind::Full);
    complete(&logs, SetKind::Logs);
    assert_eq!(refused(&work, line).0, 3, "nobody signed it");
    sign(&full);
    assert_eq!(refused(&work, line).0, 3, "the logs are not signed");
    sign(&logs);
    work.flip("windows/logs/DataBase/edb00002.log");
    assert_eq!(refused(&work, line).0, 5, "a file was changed");
    assert!(!work.path("out").exists());
    work.flip("windows/logs/DataBase/edb00002.log");
    let recovered = work.result(line);
    assert_eq!(recovered["signatures"][1]["signer"], "one@ca,uno@ca", "{recovered}");
    assert_eq!(
        work.result("show {windows/full} --allowed-signers {allowed}")["signature"]["state"],
        "signed"
    );
    assert_eq!(refused(&work, "verify {windows/full} {windows/logs} --allowed-signers {strangers}").0, 3);
    for (line, code) in
        [("complete {windows/full} {windows/logs}", 3), ("diff {windows/full} {windows/full}", 3)]
    {
        assert_eq!(refused(&work, &format!("{line} --allowed-signers {{strangers}}")).0, code, "{line}");
    }
    let line = "--json rehearse {windows/full} {windows/logs} --within {.} --allowed-signers";
    let first_step = |list: &str| work.run(&format!("{line} {list}")).json()["result"]["steps"][0].clone();
    assert_eq!(first_step("{strangers}")["code"], "0x800b0004");
    assert_eq!(first_step("{allowed}")["outcome"], "pass");
    let database =
        command(&work.path(""), "verify {windows/full/DataBase/Store.edb} --allowed-signers {allowed}");
    let mut database = database;
    assert_eq!(Run::of(&mut database).code, 3, "a loose file has no signature");
}
