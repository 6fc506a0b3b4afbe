//! The exit code of each situation (docs/json.md, "Exit codes"): what the system refuses is no damage, and damage is
//! never taken for a refusal.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Run, Work, command};

/// Runs a command that must fail; checks the exit code and the HRESULT, and returns the error.
fn fails(work: &Work, line: &str, exit: i32, code: &str) -> Value {
    let run = work.run(&format!("--json {line}"));
    let json = run.json();
    assert_eq!((run.code, &json["exit_code"]), (exit, &exit.into()), "{line}: {json}");
    assert_eq!(json["error"]["code"], code, "{line}: {json}");
    assert!(json["error"]["name"].is_string(), "{line}: {json}");
    json["error"].clone()
}

/// A CA, a set of it in `set`, and an account's password in `pw`.
fn with_set() -> Work {
    let work = Work::with_ca();
    fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("backup --dir {ca} --to {set}");
    work
}

#[test]
fn a_path_that_does_not_exist_is_refused() {
    let work = with_set();
    for (line, code) in [
        ("verify {absent}", "0x80070002"),
        ("verify {set} {absent}", "0x80070002"),
        ("show {absent}", "0x8007010b"),
        ("list {absent}", "0x8007010b"),
        ("recover {absent} --to {out}", "0x8007010b"),
        ("restore --from {absent} --dir {new}", "0x8007010b"),
        ("backup --dir {absent} --to {out}", "0x80070424"),
        ("serve --dir {absent}", "0x80070424"),
        ("ca crl --dir {ca} --passphrase-file {absent}", "0x80070002"),
        ("ca issue --dir {ca} --passphrase-file {pass} {absent}", "0x80070002"),
        ("user add --dir {ca} name --role read --password-file {absent}", "0x80070002"),
        ("backup --server 127.0.0.1:1 --user a --password-file {absent} --to {out}", "0x80070002"),
    ] {
        fails(&work, line, 3, code);
    }
    assert!(!work.path("out").exists() && !work.path("new").exists());
}

#[test]
fn a_folder_or_another_thing_in_the_place_of_a_file_is_refused() {
    let work = with_set();
    std::os::unix::fs::symlink(work.path("circle"), work.path("circle")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(work.path("socket")).unwrap();
    for (path, code) in [
        ("ca", "0x80070150"),          // ERROR_DIRECTORY_NOT_SUPPORTED
        ("pass/beyond", "0x8007010b"), // ERROR_DIRECTORY
        ("circle", "0x80070781"),      // ERROR_CANT_RESOLVE_FILENAME
        ("socket", "0x80004005"),      // E_FAIL: the system gives no kind
    ] {
        fails(&work, &format!("ca crl --dir {{ca}} --passphrase-file {{{path}}}"), 3, code);
        fails(&work, &format!("user add --dir {{ca}} name --role read --password-file {{{path}}}"), 3, code);
        fails(&work, &format!("ca issue --dir {{ca}} --passphrase-file {{pass}} {{{path}}}"), 3, code);
    }
    for (path, code) in [
        ("ca", "0x80070150"),        // ERROR_DIRECTORY_NOT_SUPPORTED
        ("socket", "0x80070032"),    // ERROR_NOT_SUPPORTED
        ("/dev/null", "0x80070032"), // joined to the work folder, it stays as it is
    ] {
        for line in [
            "backup --dir {ca} --to {out} --sign-key",
            "verify {set} --allowed-signers",
            "gap {set} --to {out} --certificates",
            "gap {set} --to {out} --crl",
        ] {
            // A folder of certificates is one of the ways to name them.
            if !(path == "ca" && line.ends_with("--certificates")) {
                fails(&work, &format!("{line} {{{path}}}"), 3, code);
            }
        }
    }
    fails(&work, "ca crl --dir {ca} --passphrase-file /dev/null", 3, "0x80070056");
    fails(&work, "ca crl --dir {ca} --passphrase-file /dev/zero", 3, "0x80070056");
    fails(&work, "backup --dir {ca} --to {pass/set}", 3, "0x8007010b");
    fails(&work, "verify {pass/set}", 3, "0x8007010b");
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let work = with_set();
    let long = "n".repeat(300);
    let code = "0x800700ce"; // ERROR_FILENAME_EXCED_RANGE
    for line in [
        "backup --dir {ca} --to {LONG}",
        "restore --from {set} --dir {LONG}",
        "verify {LONG}",
        "show {LONG}",
        "list {LONG}",
        "restore --from {LONG} --dir {new}",
        "ca crl --dir {ca} --passphrase-file {LONG}",
        "ca issue --dir {ca} --passphrase-file {pass} {LONG}",
    ] {
        fails(&work, &line.replace("LONG", &long), 3, code);
    }
    // The name of a socket has room for 107 bytes.
    let line = format!("serve --dir {{ca}} --listen 127.0.0.1:0 --socket {{{}}}", "s".repeat(120));
    fails(&work, &line, 3, "0x800700a0");
}

/// The kernel's own file system lets not even root create anything.
#[test]
fn a_missing_right_is_refused() {
    let work = with_set();
    if std::path::Path::new("/sys/kernel").is_dir() {
        for line in [
            "backup --dir {ca} --to /sys/kernel/certadm",
            "restore --from {set} --dir /sys/kernel/certadm",
            "man /sys/kernel/certadm",
        ] {
            fails(&work, line, 3, "0x80070005");
        }
    }
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped in part: root may read every file");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let close = |path: &str| fs::set_permissions(work.path(path), fs::Permissions::from_mode(0o000)).unwrap();
    close("pass");
    fails(&work, "ca crl --dir {ca} --passphrase-file {pass}", 3, "0x80070005");
    close("set/DataBase/Test-CA.db");
    let run = work.run("--json verify {set}");
    assert_eq!(run.code, 3, "{run:?}");
    close("set");
    fails(&work, "verify {set/DataBase}", 3, "0x80070005");
    fs::set_permissions(work.path("set"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn an_address_that_cannot_be_had_is_refused() {
    let work = with_set();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let serve = |address: &str| format!("serve --dir {{ca}} --listen {address} --socket {{socket}}");
    let error = fails(&work, &serve(&address.to_string()), 3, "0x80072740");
    assert!(error["message"].as_str().unwrap().contains(&address.to_string()), "{error}");
    // An address of the documentation's network (RFC 5737): no machine has it.
    fails(&work, &serve("192.0.2.1:0"), 3, "0x80072741");
}

#[test]
fn a_full_disk_is_refused() {
    let work = with_set();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&work.path(""), "completions bash").stdout(Stdio::from(full)).output().unwrap();
    let run = Run::from(output);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("0x80070070") && run.stderr.contains("standard output"), "{run:?}");
}

/// What was asked for is not there, so the command has not done what it was to do.
#[test]
fn a_result_that_cannot_be_written_is_told() {
    let work = with_set();
    let serial = work.issue("ca", "www.example.com");
    let lines = [
        format!("ca export --dir {{ca}} --serial {serial}"),
        format!("--json ca export --dir {{ca}} --serial {serial}"),
        "ca list --dir {ca}".to_owned(),
        "--json ca list --dir {ca}".to_owned(),
        "list {set}".to_owned(),
        "--json list {set}".to_owned(),
        "show {set}".to_owned(),
        "verify {set}".to_owned(),
    ];
    for line in lines {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Run::from(command(&work.path(""), &line).stdout(Stdio::from(full)).output().unwrap());
        assert_eq!(run.code, 3, "{line}: {run:?}");
        assert!(
            run.stderr.contains("0x80070070") && run.stderr.contains("standard output"),
            "{line}: {run:?}"
        );
    }
    // Whoever reads as much as he wants and goes is no failure.
    for line in ["list {set}", "--json list {set}", "--json backup --dir {ca} --to {another}"] {
        let gone = command(&work.path(""), line).stdout(closed_pipe()).output().unwrap();
        assert_eq!(Run::from(gone).code, 0, "{line}");
    }
    // Damage stays what it is, whether anybody can read of it or not.
    work.flip("set/DataBase/certbkxp.dat");
    for line in ["verify {set}", "--json verify {set}"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Run::from(command(&work.path(""), line).stdout(Stdio::from(full)).output().unwrap());
        assert!(run.code == 5 && run.stderr.contains("its result could not be written"), "{line}: {run:?}");
    }
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[cfg(unix)]
#[test]
fn words_that_are_no_text_are_usage() {
    use std::os::unix::ffi::OsStrExt;
    let word = std::ffi::OsStr::from_bytes(b"pr\xfcfe");
    let work = Work::new();
    let run = Run::from(command(&work.path(""), "").arg(word).output().unwrap());
    assert_eq!(run.code, 2, "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

#[test]
fn what_is_written_wrong_is_usage() {
    let work = with_set();
    for line in ["ca revoke --dir {ca} --serial zz", "ca init --dir {other} --name  --passphrase-file {pass}"]
    {
        assert_eq!(work.run(line).code, 2, "{line}");
    }
    let settings = work.path("ca/ca.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\nno such line\n")).unwrap();
    fails(&work, "serve --dir {ca}", 2, "0x80070057");
    fails(&work, "backup --server 127.0.0.1:1 --to {out}", 2, "0x80070005");
}

#[test]
fn a_ca_that_cannot_be_reached_is_neither_refused_nor_damaged() {
    let work = with_set();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (server, code) in
        [(closed.to_string(), "0x800706ba"), ("no.such.host.invalid".to_owned(), "0x80070035")]
    {
        let line = format!("backup --server {server} --user a --password-file {{pw}} --to {{out}}");
        fails(&work, &line, 4, code);
    }
}

#[test]
fn wrong_and_missing_bytes_are_damage() {
    let work = with_set();
    work.copy("set", "short");
    work.copy("set", "flipped");
    work.cut("short/DataBase/Test-CA.db", 4096);
    work.flip("flipped/manifest.json");
    assert_eq!(work.run("verify {short}").code, 5);
    fails(&work, "restore --from {short} --dir {new}", 5, "0xc8000231");
    fails(&work, "show {flipped}", 5, "0x8007000d");
    fs::remove_file(work.path("set/DataBase/certbkxp.dat")).unwrap();
    assert_eq!(work.run("verify {set}").code, 5);
    fs::remove_file(work.path("ca/database/Test-CA.db")).unwrap();
    fails(&work, "backup --dir {ca} --to {out}", 5, "0xc8000713");
    let key = work.path("ca/ca.key");
    fs::write(&key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    assert_eq!(work.run("ca crl --dir {ca} --passphrase-file {pass}").code, 5);
}

/// What was committed since the last roll is lost with the log: a CRL of what is left would take revocations back.
#[test]
fn a_ca_whose_write_ahead_log_is_gone_does_nothing_more() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial}"));
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
    let crl = fs::read(work.path("ca/crl/Test-CA.crl")).unwrap();
    for end in ["wal", "shm"] {
        fs::remove_file(work.path(&format!("ca/database/Test-CA.db-{end}"))).unwrap();
    }
    fails(&work, "ca crl --dir {ca} --passphrase-file {pass}", 5, "0xc8000210");
    fails(&work, &format!("ca revoke --dir {{ca}} --serial {serial}"), 5, "0xc8000210");
    assert_eq!(fs::read(work.path("ca/crl/Test-CA.crl")).unwrap(), crl);
    let shown = work.run("--json show {ca}").json();
    let found = &shown["result"]["health"]["findings"][0];
    assert_eq!((&found["severity"], &found["code"]), (&"error".into(), &"0xc8000210".into()), "{shown}");
}

/// The unit starts what was refused again, and leaves what only an administrator can mend.
#[test]
fn the_unit_restarts_what_may_pass() {
    let unit =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/systemd/certadm@.service"));
    let unit = unit.unwrap();
    let setting = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    assert_eq!(setting("Restart"), Some("on-failure"));
    assert_eq!(setting("RestartPreventExitStatus"), Some("2 5"));
    assert_eq!(setting("StartLimitIntervalSec"), Some("0"));
    assert_eq!(
        (setting("After"), setting("Wants")),
        (Some("network-online.target"), Some("network-online.target"))
    );
}
