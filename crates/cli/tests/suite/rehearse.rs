//! `certadm rehearse` from the command line: exit codes, evidence, history, and what is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{Work, command, openssl, text};
use crate::windows_files::ca_database;

/// A CA with two certificates, one of them revoked, a set, and what is kept beside it.
fn world() -> Work {
    let work = Work::with_ca();
    let early = work.issue("ca", "early");
    work.issue("ca", "good");
    work.result(&format!("ca revoke --dir {{ca}} --serial {early} --reason superseded"));
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
    // Without what the CA says of itself, which a backup puts into the set by itself.
    work.result("backup --dir {ca} --to {set} --no-identity");
    work.copy_key_and_configuration("ca", "identity");
    fs::create_dir(work.path("scratch")).unwrap();
    work
}

const SIGN: &str = "--passphrase-file {pass} --within {scratch}";

/// What one who relies on the CA's certificate sees of a CRL.
fn crl_seen_by_openssl(crl: &Path, issuer: &Path) -> String {
    let look = ["crl", "-inform", "DER", "-noout", "-text", "-CAfile", text(issuer), "-in", text(crl)];
    openssl(&look)
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_proof_has_exit_code_0_and_its_crl_is_good_for_openssl() {
    let work = world();
    // The encrypted key of the identity part is used when there is a passphrase.
    let line = format!("rehearse {{set}} {SIGN} --identity {{identity}} --evidence {{evidence}}");
    let shown = work.result(&format!(
        "{line} --rpo 1d --rto 1h --spare-crl {{spare}} --html {{page}} --prometheus {{prom}}"
    ));
    assert_eq!(shown["verdict"]["proof"], "proven", "{shown}");
    assert_eq!((shown["rpo"]["met"].as_bool(), shown["rto"]["met"].as_bool()), (Some(true), Some(true)));
    assert_eq!(count(&work.path("scratch")), 0);
    let said = crl_seen_by_openssl(&work.path("spare/Test-CA.crl"), &work.path("ca/ca.crt"));
    assert!(said.contains("verify OK") && said.contains("Superseded"), "{said}");
    assert!(fs::read_to_string(work.path("page")).unwrap().contains("PROVEN"));
    assert!(
        fs::read_to_string(work.path("prom"))
            .unwrap()
            .contains("certadm_rehearsal_verdict{ca=\"Test-CA\"} 0")
    );
    // Nothing is overwritten, and that is known before.
    assert_eq!(work.run(&format!("{line} --html {{page}}")).code, 3);
    assert_eq!(work.run(&format!("{line} --spare-crl {{spare}}")).code, 3);
    let again = work.run(&line);
    assert_eq!(
        (again.code, count(&work.path("evidence"))),
        (0, 5),
        "two files a rehearsal, and the lock: {again:?}"
    );
    let told = work.run("rehearse history {evidence}");
    assert!(told.code == 0 && told.stdout.contains("Longest time without proof"), "{told:?}");
}

/// The passphrase was changed, and the key was attached anew: a rehearsal with the old one would prove what no restore gives.
#[test]
fn the_kept_key_is_the_one_that_a_restore_writes() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    work.result("attach {set} --dir {ca} --passphrase-file {pass}");
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {logs} --type logs");
    fs::write(work.path("pass2"), "another passphrase\n").unwrap();
    let [old, new] = ["pass", "pass2"].map(|name| format!("file:{}", work.path(name).display()));
    let (key, changed) = (work.path("ca/ca.key"), work.path("changed"));
    let line = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", text(&key), "-passin", &old];
    openssl(&[&line[..], &["-passout", &new, "-out", text(&changed)]].concat());
    fs::write(&key, fs::read(&changed).unwrap()).unwrap();
    work.result("attach {logs} --dir {ca} --passphrase-file {pass2}");
    let shown = work.result("rehearse {set} {logs} --passphrase-file {pass2}");
    assert_eq!(shown["verdict"]["proof"], "proven", "{shown}");
    let refused = work.run("rehearse {set} {logs} --passphrase-file {pass}");
    assert_eq!(refused.code, 3, "{refused:?}");
    work.result("restore --from {set} --from {logs} --dir {new}");
    assert_eq!(fs::read(work.path("new/ca.key")).unwrap(), fs::read(&key).unwrap());
}

#[test]
fn the_exit_code_tells_exceptions_from_failures() {
    let work = world();
    work.result("backup --dir {ca} --to {bare} --no-identity --keep-logs");
    let run = work.run(&format!("--json rehearse {{bare}} --key {{ca/ca.key}} {SIGN}"));
    assert_eq!((run.code, &run.json()["result"]["verdict"]["except"][0]), (1, &"complete".into()), "{run:?}");
    work.result("backup --dir {ca} --to {whole}");
    let whole = work.result(&format!("rehearse {{whole}} --key {{ca/ca.key}} {SIGN}"));
    assert_eq!(whole["verdict"]["proof"], "proven", "a backup takes ca.toml and ca.crt along: {whole}");
    let late = work.run(&format!("rehearse {{set}} {SIGN} --identity {{identity}} --rto 0s"));
    assert!(late.code == 1 && late.stdout.contains("PROVEN EXCEPT: rpo and rto"), "{late:?}");
    let external = work.run("rehearse {set} --external-key --identity {identity} --within {scratch}");
    assert!(external.code == 1 && external.stdout.contains("does the key fit"), "{external:?}");
    fs::write(work.path("wrong"), "nonsense\n").unwrap();
    let run = work.run("rehearse {set} --key {ca/ca.key} --passphrase-file {wrong}");
    assert_eq!(run.code, 3, "a wrong passphrase shows nothing of the backup: {run:?}");
    let live = work.run("rehearse {ca} --external-key");
    assert_eq!(live.code, 2, "{live:?}");
    assert_eq!(work.run("rehearse").code, 2);
    assert_eq!(work.run("rehearse {set} --rpo 24").code, 2);
    work.run("ca init --dir {other} --name Other --passphrase-file {pass}").good();
    let run = work.run(&format!("rehearse {{set}} --key {{other/ca.key}} {SIGN} --evidence {{evidence}}"));
    assert!(run.code == 5 && run.stdout.contains("NOT PROVEN"), "{run:?}");
    work.flip("set/DataBase/Test-CA.db");
    let run =
        work.run(&format!("--json rehearse {{set}} {SIGN} --identity {{identity}} --evidence {{evidence}}"));
    assert_eq!(
        (run.code, run.json()["result"]["verdict"]["proof"].as_str()),
        (5, Some("not-proven")),
        "{run:?}"
    );
    assert_eq!(work.run("rehearse history {evidence}").code, 5);
    assert_eq!(work.run("rehearse history {scratch}").code, 3, "a folder without evidence");
    assert_eq!(work.run("rehearse history {absent}").code, 3);
    let around = work.run("rehearse history .");
    assert!(around.code == 3 && around.stderr.contains("such as ./evidence"), "{around:?}");
    assert_eq!(count(&work.path("scratch")), 0);
}

/// The CA comes back without the copy of its CRL, and `verify` and `restore` warn of it, too.
#[test]
fn a_proof_with_a_warning_has_exit_code_1() {
    let work = world();
    work.flip("set/DynamicFiles/Test-CA.crl");
    let run = work.run(&format!("--json rehearse {{set}} {SIGN} --identity {{identity}}"));
    let result = run.json()["result"].clone();
    assert_eq!((run.code, result["verdict"]["proof"].as_str()), (1, Some("proven")), "{result}");
    let findings = result["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["severity"] == "warning"), "{result}");
    assert_eq!(work.run("verify {set}").code, 1);
}

#[test]
fn a_windows_database_is_rehearsed_and_its_chain_of_evidence_checked() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    let line = "--json rehearse {CertLog.edb} --external-key --sample all --evidence {evidence}";
    let run = work.run(line);
    let shown = run.json()["result"].clone();
    assert_eq!((run.code, &shown["ca"]["name"]), (1, &"SEVENKINGDOMS-CA".into()), "{shown}");
    assert_eq!(shown["sample"]["checked"], 7);
    let kinds: Vec<_> =
        shown["findings"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"crl-expired"), "{kinds:?}");
    assert_eq!(work.run(line).code, 1);
    let mut files: Vec<PathBuf> = fs::read_dir(work.path("evidence"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    // Two of one second: the first one has the shorter name.
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let history = work.run("--json rehearse history {evidence} --html {history.html}");
    assert_eq!(
        (history.code, &history.json()["result"]["breaks"]),
        (1, &serde_json::json!([])),
        "{history:?}"
    );
    fs::remove_file(&files[0]).unwrap();
    let history = work.run("rehearse history {evidence}");
    assert!(history.code == 5 && history.stdout.contains("which is not there"), "{history:?}");
}

#[test]
fn a_drill_has_a_good_crl_before_it_restores_and_ends_with_evidence() {
    let work = Work::new();
    fs::create_dir(work.path("scratch")).unwrap();
    let line =
        "drill --local --size 1MiB --seconds 1 --workers 2 --keep --within {scratch} --evidence {evidence}";
    let shown = work.result(line);
    assert_eq!(
        (&shown["passed"], &shown["evidence"]["verdict"]["proof"]),
        (&true.into(), &"proven".into()),
        "{shown}"
    );
    assert!(shown["emergency_crl"]["number"].as_i64() < shown["crl_number"].as_i64(), "{shown}");
    let crl = PathBuf::from(shown["emergency_crl"]["file"].as_str().unwrap());
    let root = crl.parent().unwrap();
    // openssl is one who relies on it.
    let said = crl_seen_by_openssl(&crl, &root.join("kept/ca.crt"));
    assert!(said.contains("verify OK") && said.contains("Key Compromise"), "{said}");
    assert_eq!(work.run("rehearse history {evidence}").code, 0);
    assert!(
        fs::read_dir(root)
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with("certadm-rehearsal-") })
    );
}

#[cfg(unix)]
#[test]
fn what_an_interrupted_and_a_killed_rehearsal_leave_is_gone() {
    use rustix::process::{Pid, Signal, kill_process};
    let work = world();
    let scratch = work.path("scratch");
    let line = format!("rehearse {{set}} {SIGN} --identity {{identity}} --evidence {{evidence}}");
    for signal in [Signal::INT, Signal::KILL] {
        let mut child = command(scratch.parent().unwrap(), &line);
        let mut child =
            child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = || {
            fs::read_dir(&scratch).unwrap().any(|entry| entry.unwrap().path().join("scratch.lock").exists())
        };
        while !begun() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&child), signal).ok();
        let ended = child.wait().unwrap();
        if signal == Signal::INT {
            assert!(matches!(ended.code(), Some(130 | 0)), "{ended:?}");
            assert_eq!(count(&scratch), 0);
        }
    }
    // A second look removes what the killed one has left.
    work.result(&line);
    assert_eq!(count(&scratch), 0);
    assert_eq!(work.run("rehearse history {evidence}").code, 0);
}
