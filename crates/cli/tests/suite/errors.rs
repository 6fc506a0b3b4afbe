//! Bad input gets one clear message: cause, code, remedy, exit code; and nothing is lost or half-written.

use std::fs;
use std::path::Path;

use certadm_store::{Folder, locks};

use crate::support::{Run, Work, command};

/// Runs a command that must fail, for a person and for a program. Both say the same.
fn refused(work: &Work, line: &str, exit: i32, code: &str, remedy: &str) {
    let run = work.run(&format!("--json {line}"));
    let json = run.json();
    let error = &json["error"];
    assert_eq!(run.code, exit, "{line}: {json}");
    assert_eq!(json["exit_code"], exit, "{json}");
    assert_eq!(json["ok"], false, "{json}");
    assert_eq!(error["code"], code, "{line}: {json}");
    assert!(error["remedy"].as_str().unwrap().contains(remedy), "{line}: {error}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");

    let run = work.run(line);
    assert_eq!(run.code, exit, "{line}: {run:?}");
    assert!(run.stderr.contains(" FAILED: ") && run.stderr.contains(code), "{line}: {run:?}");
    assert!(run.stderr.contains("What to do: ") && run.stderr.contains(remedy), "{line}: {run:?}");
}

/// Runs `verify`, which must find the code and say what to do.
fn found(work: &Work, sets: &str, code: &str) {
    let run = work.run(&format!("--json verify {sets}"));
    let json = run.json();
    assert_eq!((run.code, &json["ok"]), (5, &false.into()), "{json}");
    let findings = json["result"]["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["code"] == code);
    let finding = finding.unwrap_or_else(|| panic!("{sets}: no {code} in {json}"));
    assert!(!finding["remedy"].as_str().unwrap().is_empty(), "{finding}");
    assert_eq!(json["result"]["restorable"], false, "{json}");
}

/// A CA with a full set (`full`), and two truncating log sets after it (`logs1`, `logs2`).
fn with_sets() -> Work {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {full}");
    work.issue("ca", "two");
    work.result("backup --dir {ca} --to {logs1} --type logs --truncate");
    work.issue("ca", "three");
    work.result("backup --dir {ca} --to {logs2} --type logs --truncate");
    work
}

#[test]
fn not_a_ca_folder() {
    let work = Work::with_ca();
    work.request("web");
    fs::create_dir(work.path("empty")).unwrap();
    for line in [
        "backup --dir {empty} --to {set}",
        "list --dir {empty}",
        "show --dir {empty}",
        "ca list --dir {empty}",
        "ca export --dir {empty} --request 1",
        "ca revoke --dir {empty} --serial 01",
        "ca issue --dir {empty} --passphrase-file {pass} {web.csr}",
        "ca crl --dir {absent} --passphrase-file {pass}",
    ] {
        refused(&work, line, 3, "0x80070424", "`certadm ca init`");
    }
    assert!(!work.path("set").exists());
    assert_eq!(fs::read_dir(work.path("empty")).unwrap().count(), 0, "nothing was left there");
    fs::remove_file(work.path("ca/database/Test-CA.db")).unwrap();
    refused(&work, "backup --dir {ca} --to {set}", 5, "0xc8000713", "restore the latest verified set");
}

#[test]
fn not_a_set() {
    let work = Work::new();
    fs::create_dir(work.path("empty")).unwrap();
    for line in ["show {empty}", "list {empty}", "restore --from {empty} --dir {new}"] {
        refused(&work, line, 3, "0x8007010b", "holds DataBase");
    }
    refused(&work, "list {absent}", 3, "0x8007010b", "check the path");
    assert!(!work.path("new").exists());
}

/// What is there and is no set: each verb refuses it, says what it is, and what to name instead. `verify` has no verdict on
/// bytes then, since it read none.
#[test]
fn what_is_no_set_is_refused_by_every_verb() {
    let work = with_sets();
    for (file, content) in [
        ("plain", "hello"),
        ("page.html", "<html>"),
        ("junk/readme.txt", "x"),
        ("pair/x/manifest.json", "{}"),
    ] {
        fs::create_dir_all(work.path(file).parent().unwrap()).unwrap();
        fs::write(work.path(file), content).unwrap();
    }
    let log = fs::read_dir(work.path("ca/log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let log = log.into_iter().find(|name| name.starts_with("edb0")).map(|name| format!("{{ca/log/{name}}}"));
    let cases = [
        ("{plain}", "holds DataBase"),
        ("{page.html}", "holds DataBase"),
        ("{junk}", "holds DataBase"),
        ("{pair}", "such as"),
        ("{full/manifest.json}", "name the folder of the set"),
        ("{full/DataBase/Test-CA.db}", "name the folder of the set"),
        ("{ca/database}", "certadm show --dir"),
        ("{ca/log}", "certadm show --dir"),
        ("{ca/database/Test-CA.db}", "certadm show --dir"),
        ("/dev/null", "holds DataBase"),
    ];
    for (thing, remedy) in cases.into_iter().chain(log.as_deref().map(|log| (log, "certadm show --dir"))) {
        for verb in [
            "show",
            "list",
            "recover --to {out}",
            "restore --dir {new} --from",
            "emergency-crl --no-published --to {crl} --passphrase-file {pass} --key {ca/ca.key}",
        ] {
            refused(&work, &format!("{verb} {thing}"), 3, "0x8007010b", remedy);
        }
        not_verified(&work, thing, remedy);
    }
    // A CA's folder is for `show` and `list`, and no set.
    for verb in ["recover --to {out}", "restore --dir {new} --from"] {
        refused(&work, &format!("{verb} {{ca}}"), 3, "0x8007010b", "certadm backup --dir");
    }
    not_verified(&work, "{ca}", "certadm backup --dir");
    refused(&work, "recover --to {out} {full}", 3, "0x8007010b", "certadm restore --from");
    // Two things that are something, and do not go together.
    for pair in ["{ca} {full}", "{full} {ca}", "{ca} {ca}"] {
        for verb in ["show", "list"] {
            refused(&work, &format!("{verb} {pair}"), 3, "0x8007010b", "a command of its own");
        }
        not_verified(&work, pair, "a command of its own");
    }
    let together = work.run("show {ca} {full}").stderr;
    assert!(
        together.contains("is a set of certadm's own CA, and") && !together.contains("not a backup set"),
        "{together}"
    );
    for made in ["out", "new", "crl"] {
        assert!(!work.path(made).exists(), "{made}");
    }
    // A set whose bytes are wrong stays damaged, beside what is no set, too.
    fs::write(work.path("full/manifest.json"), "{}").unwrap();
    for line in ["verify {full}", "verify {full} {plain}"] {
        assert_eq!(work.run(line).code, 5, "{line}");
    }
}

/// Runs `verify` on what is no set.
fn not_verified(work: &Work, things: &str, remedy: &str) {
    let run = work.run(&format!("--json verify {things}"));
    let json = run.json();
    assert_eq!((run.code, &json["ok"]), (3, &false.into()), "{things}: {json}");
    let findings = json["result"]["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["kind"] == "not-a-set"), "{json}");
    assert!(
        findings.iter().any(|finding| finding["remedy"].as_str().unwrap().contains(remedy)),
        "{things}: {json}"
    );
    assert!(json["result"]["verdict"].as_str().unwrap().starts_with("nothing was verified"), "{json}");
    assert_eq!(
        (&json["result"]["restorable"], &json["result"]["bytes"]),
        (&false.into(), &0.into()),
        "{json}"
    );
}

#[test]
fn a_listing_of_no_rows_is_a_mistake() {
    let work = Work::with_ca();
    for line in ["list --dir {ca} --limit 0", "ca list --dir {ca} --limit 0", "list --dir {ca} --limit x"] {
        let run = work.run(line);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    }
    let text = work.run("list --dir {ca} --limit 0").stderr;
    assert!(text.contains("leave the option out"), "{text}");
}

#[test]
fn a_set_of_another_ca() {
    let work = with_sets();
    let other = with_sets();
    other.copy("logs1", "stranger");
    fs::rename(other.path("stranger"), work.path("stranger")).unwrap();
    let (code, remedy) = ("0xc800022b", "of one CA");
    refused(&work, "restore --from {full} --from {stranger} --dir {new}", 5, code, remedy);
    refused(&work, "list {full} {stranger}", 5, code, remedy);
    found(&work, "{full} {stranger}", code);
    assert!(!work.path("new").exists(), "refused before anything was written");
}

#[test]
fn a_missing_log() {
    let work = with_sets();
    let (code, remedy) = ("0xc800022d", "one unbroken sequence");
    refused(&work, "restore --from {full} --from {logs2} --dir {new}", 5, code, remedy);
    found(&work, "{full} {logs2}", code);
    let log = fs::read_dir(work.path("logs1/DataBase")).unwrap().map(|entry| entry.unwrap().path());
    let log =
        log.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "log")).unwrap();
    fs::remove_file(log).unwrap();
    found(&work, "{full} {logs1}", code);
    let show = work.run("--json show {logs1}");
    assert_eq!(show.code, 1, "{show:?}");
    assert!(show.stdout.contains("is missing"), "{show:?}");
}

#[test]
fn a_log_without_its_full_set() {
    let work = with_sets();
    refused(
        &work,
        "restore --from {logs1} --dir {new}",
        3,
        "0xc7ff000c",
        "name the full set before the log sets",
    );
    refused(&work, "list {logs1}", 3, "0xc7ff000c", "name the full set before the log sets");
    // By itself a log set can be verified, not restored.
    let verified = work.result("verify {logs1}");
    assert_eq!(verified["restorable"], false);
}

#[test]
fn truncated_and_flipped_files_are_found_and_never_restored() {
    let work = with_sets();
    let image = "DataBase/Test-CA.db";
    let log = "DataBase/edb00002.log";
    type Damage = fn(&Work, &str);
    let cases: [(&str, Damage, &str, &str); 8] = [
        (image, |work, file| work.flip(file), "0xc80003fa", "0xc80003fa"),
        (image, |work, file| work.cut(file, 100), "0xc80003fa", "0xc8000231"),
        (image, |work, file| work.cut(file, 8192), "0xc80003fa", "0xc8000267"),
        (log, |work, file| work.flip(file), "0xc800023d", "0xc800023d"),
        (log, |work, file| work.cut(file, 1), "0xc800023a", "0xc800023a"),
        ("manifest.json", |work, file| work.flip(file), "0x8007000d", "0x8007000d"),
        ("manifest.json", |work, file| work.cut(file, 10), "0x8007000d", "0x8007000d"),
        ("DataBase/certbkxp.dat", |work, file| work.cut(file, 2), "0x8007000d", "0x8007000d"),
    ];
    for (number, (file, damage, verify_code, restore_code)) in cases.into_iter().enumerate() {
        let set = format!("damaged{number}");
        work.copy("full", &set);
        damage(&work, &format!("{set}/{file}"));
        found(&work, &format!("{{{set}}}"), verify_code);
        let target = format!("new{number}");
        let line = format!("restore --from {{{set}}} --dir {{{target}}}");
        refused(&work, &line, 5, restore_code, "another copy");
        // Whatever was copied before the damage was met, no CA starts from it, and the good set is still good.
        let started = work.run(&format!("backup --dir {{{target}}} --to {{never}}"));
        assert_ne!(started.code, 0, "{started:?}");
        work.result(&format!("restore --from {{full}} --dir {{{target}}}"));
        assert_eq!(work.result(&format!("list --dir {{{target}}}"))["count"], 2);
    }
    assert!(!work.path("never").exists());
}

#[test]
fn a_wrong_passphrase() {
    let work = Work::with_ca();
    work.request("web");
    fs::write(work.path("wrong"), "not it").unwrap();
    fs::write(work.path("nothing"), "\n").unwrap();
    for line in [
        "ca crl --dir {ca} --passphrase-file {wrong}",
        "ca issue --dir {ca} --passphrase-file {wrong} --out {issued} {web.csr}",
    ] {
        refused(&work, line, 3, "0x80070056", "give the passphrase of this CA");
    }
    refused(&work, "ca crl --dir {ca} --passphrase-file {nothing}", 3, "0x80070056", "1 to 1024 bytes");
    refused(&work, "ca crl --dir {ca} --passphrase-file {absent}", 3, "0x80070002", "check the path");
    assert_eq!(work.result("list --dir {ca}")["count"], 1, "nothing was issued");
}

/// Where nobody may create a folder, not even root: the kernel's own file system.
#[test]
fn a_target_that_cannot_be_written() {
    let sealed = Path::new("/sys/kernel");
    if !sealed.is_dir() {
        eprintln!("skipped: this system has no {}", sealed.display());
        return;
    }
    let work = with_sets();
    let before = logs_of(&work, "ca");
    let remedy = "an account that has the right";
    refused(&work, "backup --dir {ca} --to /sys/kernel/certadm-set", 3, "0x80070005", remedy);
    refused(&work, "restore --from {full} --dir /sys/kernel/certadm-ca", 3, "0x80070005", remedy);
    assert_eq!(logs_of(&work, "ca"), before, "no log is gone");
    work.result("backup --dir {ca} --to {set} --type logs");
}

/// A dry run tells what the restore would have told.
#[cfg(target_os = "linux")]
#[test]
fn a_dry_run_sees_that_the_target_is_on_a_file_system_that_is_read_only() {
    use std::process::Command;
    let work = with_sets();
    fs::create_dir(work.path("sealed")).unwrap();
    // A namespace of its own, so that nobody else sees the mount.
    let mounted = |program: &Command| {
        let script = "mount --bind sealed sealed && mount -o remount,bind,ro sealed && exec \"$0\" \"$@\"";
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-c", script]).current_dir(work.path(""));
        shell.arg(program.get_program()).args(program.get_args());
        shell
    };
    if !mounted(&Command::new("true")).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this account may not mount anything");
        return;
    }
    for dry_run in [" --dry-run", ""] {
        let line = format!("--json restore --from {{full}} --dir sealed/ca{dry_run}");
        let run = Run::of(&mut mounted(&command(&work.path(""), &line)));
        let json = run.json();
        assert_eq!((run.code, &json["error"]["code"]), (3, &"0x80070013".into()), "{dry_run}: {json}");
    }
    // A folder that may be written is fine.
    work.result("restore --from {full} --dir sealed/ca --dry-run");
}

fn logs_of(work: &Work, ca: &str) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(work.path(ca).join("log")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_restore_target_that_is_not_empty() {
    let work = with_sets();
    work.issue("ca", "four");
    let before = work.tables("--dir {ca}");
    refused(&work, "restore --from {full} --dir {ca}", 3, "0x80070091", "--force");
    assert_eq!(work.tables("--dir {ca}"), before, "the CA is as it was");
    let restored = work.result("restore --from {full} --dir {ca} --force");
    let aside = restored["moved_aside"].as_str().expect("a folder");
    assert!(
        Path::new(aside).join("database/Test-CA.db").is_file(),
        "what was there is moved, not deleted: {aside}"
    );
}

#[test]
fn a_second_set_of_the_same_name() {
    let work = with_sets();
    let before = fs::read(work.path("full/manifest.json")).unwrap();
    refused(&work, "backup --dir {ca} --to {full}", 3, "0x80070091", "a set is never overwritten");
    assert_eq!(fs::read(work.path("full/manifest.json")).unwrap(), before);
    refused(
        &work,
        "ca init --dir {ca} --name Other --passphrase-file {pass}",
        3,
        "0x800700b7",
        "another folder",
    );
}

#[test]
fn an_owner_runs() {
    let work = with_sets();
    let owner = locks::own(&Folder::new(work.path("ca"))).unwrap();
    let remedy = "wait for it to end";
    refused(&work, "restore --from {full} --dir {ca} --force", 3, "0x80070420", remedy);
    refused(&work, "backup --dir {ca} --to {set}", 3, "0x80070420", remedy);
    drop(owner);
    assert!(!work.path("set").exists());
    assert_eq!(work.result("show --dir {ca}")["restore_state"], "none", "nothing was registered");
    work.result("backup --dir {ca} --to {set}");
}

#[test]
fn logs_without_a_base() {
    let work = Work::with_ca();
    let remedy = "take a full backup first";
    refused(&work, "backup --dir {ca} --to {logs} --type logs", 3, "0xc8000230", remedy);
    let kept = work.result("backup --dir {ca} --to {copy} --keep-logs");
    assert_eq!((&kept["kind"], &kept["is_base"]), (&"copy".into(), &false.into()));
    refused(&work, "backup --dir {ca} --to {logs} --type logs", 3, "0xc8000230", remedy);
    assert!(!work.path("logs").exists());

    let settings = fs::read_to_string(work.path("ca/ca.toml")).unwrap();
    fs::write(
        work.path("ca/ca.toml"),
        settings.replace("circular_logging = false", "circular_logging = true"),
    )
    .unwrap();
    work.result("backup --dir {ca} --to {full}");
    refused(&work, "backup --dir {ca} --to {logs} --type logs", 3, "0xc800020e", "turn circular logging off");
}

#[test]
fn the_log_was_taken_away_by_somebody_else() {
    let work = with_sets();
    work.issue("ca", "four");
    let database = work.path("ca/database/Test-CA.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    refused(&work, "backup --dir {ca} --to {logs} --type logs", 3, "0xc8000230", "take a full backup first");
    work.result("backup --dir {ca} --to {again}");
    assert_eq!(
        work.result("verify {again}")["content"]["certificates"],
        4,
        "the commits themselves are not lost"
    );
}

#[test]
fn unknown_and_impossible_requests() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "web");
    let list = "`certadm ca list --dir DIR certificates`";
    refused(&work, "ca export --dir {ca} --serial 0badcafe", 3, "0x80092004", list);
    refused(&work, "ca export --dir {ca} --request 77", 3, "0x80092004", "`certadm ca list requests`");
    refused(&work, "ca revoke --dir {ca} --serial zz", 2, "0x80070057", list);
    let because = |reason| format!("ca revoke --dir {{ca}} --serial {serial} --reason {reason}");
    refused(&work, &because("boredom"), 2, "0x80070057", "RFC 5280");
    refused(&work, &because("removeFromCRL"), 3, "0x8007139f", "final");
    work.result(&because("superseded"));
    refused(&work, &because("superseded"), 3, "0x80092010", "nothing has to be done");
    let issue = |options| format!("ca issue --dir {{ca}} --passphrase-file {{pass}} {options} {{web.csr}}");
    refused(&work, &issue("--profile none"), 3, "0x80094800", "ca.toml");
    refused(&work, &issue("--profile subca"), 3, "0x80070005", "allow it explicitly");
    refused(&work, &issue("--days 100000"), 3, "0x80070057", "fewer days");
}

/// Rows of the table of wrong inputs: each remedy names the option, command or mode that helps.
#[test]
fn remedies_name_what_to_type() {
    let work = Work::with_ca();
    work.request("web");
    let issue = "ca issue --dir {ca} --passphrase-file {pass} {web.csr}";
    std::fs::write(work.path("file"), "x").unwrap();
    for (line, code, words) in [
        (format!("{issue} --profile subca"), 3, "with --allow-ca"),
        (format!("{issue} --days 0"), 2, "0 is not in 1.."),
        (format!("{issue} --days -1"), 2, "-1 is not in 1.."),
        (format!("{issue} --days 99999"), 3, "(--days)"),
        (
            "ca init --dir {n} --name X --passphrase-file {pass} --days 0".to_owned(),
            2,
            "0 is not in 1..=36525",
        ),
        (
            "ca init --dir {n} --name X --passphrase-file {pass} --subject-suffix foo".to_owned(),
            2,
            "subject suffix",
        ),
        ("ca issue --dir {ca} {web.csr}".to_owned(), 2, "--passphrase-file FILE"),
        ("ca list --dir {nowhere}".to_owned(), 3, "there is no such folder"),
        ("ca crl --dir {nowhere} --passphrase-file {pass}".to_owned(), 3, "there is no such folder"),
        ("backup --dir {ca} --to {file}".to_owned(), 3, "is a file"),
        ("backup --to {x}".to_owned(), 2, "--server <NAME>"),
        ("backup --dir {ca} --to {x} --max-size 1GB".to_owned(), 2, "such as 32MiB"),
        ("backup --dir {ca} --to {x} --max-size 100k".to_owned(), 3, "and 102400 are allowed"),
        ("restore --from {x}".to_owned(), 2, "--dir <DIR>"),
        ("doctor".to_owned(), 2, "--socket <PATH>"),
        ("verify {ca}".to_owned(), 3, "certadm show --dir"),
        ("list {file} certs".to_owned(), 2, "requests, certificates, revoked"),
        ("list --dir {ca} --export-certs {x} requests".to_owned(), 2, "`certificates` or `revoked`"),
        ("-backupDB {x}".to_owned(), 2, "certadm backup"),
        ("drill --size 10".to_owned(), 2, "64KiB to 1TiB"),
    ] {
        let run = work.run(&line);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code, code, "{line}: {said}");
        assert!(said.contains(words) && !said.contains("ca.toml cannot be used"), "{line}: {said}");
        assert!(!said.contains("see --help"), "{line}: {said}");
    }
    assert!(!work.path("n").exists(), "nothing was begun");
    let evil = work.path("new\n\u{1b}[31mset");
    let mut command = crate::support::command(&work.path(""), "backup --dir {ca} --to");
    let run = crate::support::Run::of(command.arg(evil));
    assert!(run.code == 0 && !run.stdout.contains('\u{1b}') && run.stdout.contains("\\u{1b}[31m"), "{run:?}");
}
