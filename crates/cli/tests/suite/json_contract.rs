//! docs/json.md is the contract: what it shows for a command is what the command prints, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::serve::Service;
use crate::support::{Work, openssl, text};
use crate::windows_files::{backup as backup_of_windows, ca_database};

/// The example of every command: the JSON block under the heading that names it.
fn examples() -> BTreeMap<String, Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md");
    let text = fs::read_to_string(path).expect("docs/json.md");
    let mut examples = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').expect("a heading");
        let Some((_, block)) = body.split_once("```json\n") else { continue };
        let block = block.split_once("```").expect("the end of the block").0;
        let value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{heading}: {error}"));
        examples.insert(heading.trim_matches('`').to_owned(), value);
    }
    examples
}

/// The heading of an example whose run takes long.
pub(crate) const FLEET: &str = "drill --fleet";

/// Compares what a command printed with the example under this heading.
pub(crate) fn as_documented(heading: &str, found: &Value) {
    let example = examples().remove(heading).unwrap_or_else(|| panic!("docs/json.md shows no {heading:?}"));
    same_shape(heading, &example, found);
    assert_eq!(example["command"], found["command"], "{heading}");
}

/// Whether two values have the same shape: the same keys, and the same types but for null. Lists are compared by their
/// first elements.
fn same_shape(place: &str, documented: &Value, found: &Value) {
    match (documented, found) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(documented), Value::Object(found)) => {
            let keys =
                |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(documented), keys(found), "keys of {place}");
            for (key, value) in documented {
                same_shape(&format!("{place}.{key}"), value, &found[key]);
            }
        }
        (Value::Array(documented), Value::Array(found)) => {
            if let (Some(documented), Some(found)) = (documented.first(), found.first()) {
                same_shape(&format!("{place}[]"), documented, found);
            }
        }
        _ => assert_eq!(
            std::mem::discriminant(documented),
            std::mem::discriminant(found),
            "type of {place}: {documented} in the document, {found} from the command"
        ),
    }
}

/// Runs a command and compares what it prints with the example of that heading, which is then done with.
fn check_in(work: &Work, examples: &mut BTreeMap<String, Value>, heading: &str, line: &str) {
    let example = examples.remove(heading).unwrap_or_else(|| panic!("docs/json.md shows no {heading:?}"));
    let run = work.run(&format!("--json {line}"));
    let found = run.json();
    assert_eq!(found["exit_code"], run.code);
    assert_eq!(found["format"], 1);
    same_shape(heading, &example, &found);
    assert_eq!(example["command"], found["command"], "{heading}");
}

/// A checkpoint that says nothing but its kind (ese.md 11.1).
fn checkpoint() -> Vec<u8> {
    let mut copy = vec![0; 4096];
    copy[667] = 4;
    let words = copy.as_chunks::<4>().0.iter().skip(1);
    let checksum = words.fold(0x89AB_CDEF, |sum, word| sum ^ u32::from_le_bytes(*word));
    copy[..4].copy_from_slice(&checksum.to_le_bytes());
    [copy.clone(), copy].concat()
}

#[test]
fn every_kind_of_finding_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.md");
    let text = fs::read_to_string(path).expect("docs/json.md");
    for kind in certadm_rules::finding::Kind::ALL {
        let row = format!("| `{}` | {} |", kind.key(), kind.text());
        assert!(text.contains(&row), "docs/json.md has no row {row}");
    }
}

/// A set in the folder `set`.
/// The id of one of the repository's keys.
fn first_key(vault: &Work) -> String {
    let keys = crate::repository::run(vault, "--json repository key list vault:").json();
    keys["result"]["keys"][0]["id"].as_str().unwrap().to_owned()
}

fn work_set(work: &Work) {
    work.result("backup --dir {ca} --to {set}");
}

/// What has to do with jobs.
fn check_jobs(examples: &mut BTreeMap<String, Value>) {
    let work = crate::alarms::with_alarms("to = 'backups'\nfull = 'monthly 1 00:00'");
    let mut check = |heading: &str, line: &str| {
        let example = examples.remove(heading).unwrap_or_else(|| panic!("docs/json.md shows no {heading:?}"));
        let found = crate::jobs::run(&work, &format!("--json {line}")).json();
        same_shape(heading, &example, &found);
        assert_eq!(example["command"], found["command"], "{heading}");
    };
    check("config init", "config init --ca {ca} --to {backups} --file {new.toml}");
    check("config check", "config check");
    check("config show", "config show");
    check("check", "check");
    check("run", "run nightly");
    check("status", "status");
    check("timers", "timers --to {units}");
    let agent = crate::alarms::Agent::start(&work, "--json agent");
    crate::alarms::until("the agent judges", || work.path("state/status.html").exists().then_some(()));
    agent.stop();
    let said: Value = serde_json::from_str(&fs::read_to_string(work.path("agent.out")).unwrap()).unwrap();
    same_shape("agent", &examples.remove("agent").expect("docs/json.md shows `agent`"), &said);
    crate::jobs::run(&work, "run nightly --now verify");
    fs::remove_dir_all(work.path("backups")).unwrap();
    crate::jobs::run(&work, "status --notify");
    let told = fs::read_to_string(work.path("told")).unwrap();
    let alarm: Value = serde_json::from_str(told.lines().next().expect("an alarm")).unwrap();
    same_shape("An alarm", &examples.remove("An alarm").expect("docs/json.md shows an alarm"), &alarm);
}

#[test]
fn every_verb_prints_what_the_document_shows() {
    let work = Work::with_ca();
    let mut examples = examples();
    // Examples that need files which may not stand in the repository.
    let mut unchecked = Vec::new();
    // And those that need a bucket, which the crate of repositories has a stub for.
    unchecked.extend(["repository extend-locks", "repository undelete"]);
    // The test of that drill compares it.
    unchecked.push(FLEET);
    let mut check = |heading: &str, line: &str| check_in(&work, &mut examples, heading, line);
    let serial = work.issue("ca", "web");
    check("ca init", "ca init --dir {other} --name Other --passphrase-file {pass}");
    work.result("ca init --dir {sub} --name Sub --subordinate --passphrase-file {pass}");
    let answer = work.result(
        "ca issue --dir {ca} --passphrase-file {pass} --profile subca --allow-ca --out {issued} {sub/ca.csr}",
    );
    fs::copy(answer["results"][0]["file"].as_str().unwrap(), work.path("answer.pem")).unwrap();
    check("ca import", "ca import --dir {sub} --passphrase-file {pass} {answer.pem}");
    check("ca issue", "ca issue --dir {ca} --passphrase-file {pass} --out {issued} {web.csr}");
    check("ca revoke", &format!("ca revoke --dir {{ca}} --serial {serial} --reason superseded"));
    check("ca crl", "ca crl --dir {ca} --passphrase-file {pass}");
    check("ca export", &format!("ca export --dir {{ca}} --serial {serial} --out {{one.pem}}"));
    check("ca list", "ca list --dir {ca} crls");
    check("list: requests", "list --dir {ca} requests");
    check("list: certificates", "list --dir {ca} certificates --export-certs {certs}");
    check("list: revoked", "list --dir {ca} revoked");
    check("list: extensions", "list --dir {ca} extensions");
    check("list: attributes", "list --dir {ca} attributes");
    check("list: crls", "list --dir {ca} crls");
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    check("list: a Windows set", "list {CertLog.edb} certificates");
    check("list: a table of the file", "list {CertLog.edb} --table RequestAttributes");
    check("show: a Windows database", "show {CertLog.edb}");
    fs::write(work.path("edb.chk"), checkpoint()).unwrap();
    check("show: a checkpoint", "show {edb.chk}");
    if backup_of_windows(&work.path("windows")).is_some() {
        check("verify: a Windows set", "verify {windows/full} {windows/logs}");
        check("show: a Windows set", "show {windows/full}");
        check("show: a Windows log", "show {windows/logs/DataBase/edb00002.log}");
        check("recover", "recover {windows/full} {windows/logs} --to {recovered}");
        check("seal", "seal {windows/full}");
    } else {
        for heading in
            ["verify: a Windows set", "show: a Windows set", "show: a Windows log", "recover", "seal"]
        {
            unchecked.push(heading);
        }
    }
    let line = "emergency-crl {CertLog.edb} --tbs-only --no-published --now 2025-10-03T12:00:00Z";
    check("emergency-crl", &format!("{line} --to {{emergency}}"));
    fs::write(work.path("events.xml"), crate::gap::after_the_backup()).unwrap();
    check("gap", "gap {CertLog.edb} --events {events.xml} --to {gap}");
    check("backup", "backup --dir {ca} --to {set}");
    check("copy", "copy {set} --to {second}");
    check("identity", "identity --dir {ca} --to {asked}");
    check("attach", "attach {set} --dir {ca} --passphrase-file {pass}");
    check("complete", "complete {set}");
    work.run("emergency-crl {set} --tbs-only --no-published --to {tbs}");
    let (pass, key) = (work.path("pass"), work.path("ca/ca.key"));
    openssl(&[
        "dgst",
        "-sha256",
        "-sign",
        text(&key),
        "-passin",
        &format!("file:{}", pass.display()),
        "-out",
        text(&work.path("base.sig")),
        text(&work.path("tbs/Test-CA.tbs")),
    ]);
    let signature = work.path("base.sig");
    check(
        "emergency-crl finish",
        &format!("emergency-crl finish {{tbs}} --signature 0={}", signature.display()),
    );
    work.issue("ca", "two");
    work.result("backup --dir {ca} --to {logs} --type logs");
    work.result("backup --dir {ca} --to {many/one}");
    check("sets", "sets {many}");
    check("prune", "prune {many} --keep-last 1");
    check("diff", "diff {set} {ca}");
    check("verify", "verify {set} {logs}");
    check("show: a set", "show {set}");
    check("show: a folder", "show --dir {ca}");
    fs::create_dir_all(work.path("identity")).unwrap();
    let line = "rehearse {set} {logs} --key {ca/ca.key} --passphrase-file {pass}";
    check("rehearse", &format!("{line} --evidence {{evidence}}"));
    check("rehearse history", "rehearse history {evidence} --every 1d");
    check("restore", "restore --from {set} --from {logs} --dir {new}");
    check("restore: dry run", "restore --from {set} --dir {new2} --dry-run");
    check("drill", "drill --size 1MiB --seconds 1 --workers 2");
    let local = work.result("drill --local --size 1MiB --seconds 1 --workers 2");
    assert_eq!((&local["passed"], &local["way"]["name"]), (&true.into(), &"local".into()));
    check("man", "man {man}");
    check("An error", "backup --dir {ca} --to {set}");
    fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    check("user add", "user add --dir {ca} backup --role operator --password-file {pw}");
    check("user passwd", "user passwd --dir {ca} backup --password-file {pw}");
    check("user disable", "user disable --dir {ca} backup");
    check("user enable", "user enable --dir {ca} backup");
    check("user list", "user list --dir {ca}");
    check("user remove", "user remove --dir {ca} backup");
    work.flip("set/DataBase/edb00002.log");
    check("verify: findings", "verify {set} {logs}");
    let remote = crate::remote::world();
    let serving = crate::remote::Serving::start(&remote, "--allow-remote-backup");
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    remote.result(&format!("backup {login} --to {{set}}"));
    check_in(&remote, &mut examples, "doctor", &format!("doctor {login}"));
    remote.result("ca crl --dir {ca} --passphrase-file {pass}");
    let reader = format!("--server {} --user reader --password-file {{pw}}", serving.address);
    check_in(&remote, &mut examples, "publish-crl", &format!("publish-crl {reader} --until-number 9"));
    let serial = remote.issue("ca", "leaving");
    fs::write(remote.path("list.csv"), format!("{serial},keyCompromise\n")).unwrap();
    check_in(&remote, &mut examples, "apply-revocations", "apply-revocations {list.csv} --dir {ca}");
    let plan = format!("restore {login} --from {{set}} --dry-run");
    check_in(&remote, &mut examples, "restore: another machine", &plan);
    let service = Service::start(&work, "--dir {ca} --socket {socket}");
    let vault = crate::repository::world();
    let mut check = |heading: &str, line: &str| {
        let example = examples.remove(heading).unwrap_or_else(|| panic!("docs/json.md shows no {heading:?}"));
        let found = crate::repository::run(&vault, &format!("--json {line}")).json();
        same_shape(heading, &example, &found);
        assert_eq!(example["command"], found["command"], "{heading}");
    };
    check("repository init", "repository init vault: --ca Test-CA --recovery-file {code}");
    work_set(&vault);
    check("repository import", "repository import --to vault: {set}");
    check("repository info", "repository info vault:");
    check("repository check", "repository check vault: --read all");
    check("repository key list", "repository key list vault:");
    fs::write(vault.path("password"), "correct horse").unwrap();
    check("repository key add", "repository key add vault: --password-file {password}");
    check(
        "repository key rotate",
        &format!("repository key rotate vault: {} --recovery-file {{code2}}", first_key(&vault)),
    );
    check("repository key remove", &format!("repository key remove vault: {}", first_key(&vault)));
    check("repository expire", "repository expire vault: --keep-last 1");
    check("doctor: a vault", "doctor vault:");
    check("repository repair", "repository repair vault:");
    let text = fs::read_to_string(vault.path("repositories.toml")).unwrap();
    let other =
        text.replace("[vault]", "[other]").replace("/vault'", "/other'").replace(".vaultkey", ".otherkey");
    fs::write(vault.path("repositories.toml"), format!("{text}{other}")).unwrap();
    let made = crate::repository::run(&vault, "repository init other: --ca Test-CA --recovery-file {code5}");
    assert_eq!(made.code, 0, "{made:?}");
    check("repository copy", "repository copy vault: other:");
    check("repository export", "repository export vault:latest --to {out}");
    check_jobs(&mut examples);
    same_shape("serve", &examples.remove("serve").expect("docs/json.md shows `serve`"), &service.said);
    assert_eq!(service.stop(), 0);
    examples.retain(|heading, _| !unchecked.contains(&heading.as_str()));
    assert!(examples.is_empty(), "docs/json.md shows what nothing prints: {:?}", examples.keys());
}
