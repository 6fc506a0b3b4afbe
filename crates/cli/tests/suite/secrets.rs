//! Invariant 10: a passphrase is nowhere but where its owner keeps it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Run, Work, command};

const MARKER: &str = "x7Qmarker-never-to-be-seen";

#[test]
fn a_passphrase_shows_nowhere() {
    let work = Work::new();
    fs::write(work.path("pass"), MARKER).unwrap();
    work.request("web");
    let mut seen = String::new();
    for line in [
        "ca init --dir {ca} --name Marked --passphrase-file {pass}",
        "--json ca issue --dir {ca} --passphrase-file {pass} --out {issued} {web.csr}",
        "ca crl --dir {ca} --passphrase-file {pass}",
        "backup --dir {ca} --to {set}",
        "--json verify {set}",
        "--json emergency-crl {set} --key {ca/ca.key} --passphrase-file {pass} --no-published --to {crl}",
        "--json attach {set} --key {ca/ca.key} --passphrase-file {pass} --keep",
        "--json complete {set} --key {ca/ca.key} --passphrase-file {pass}",
        "--json show {set}",
        "--json show --dir {ca}",
        "--json list --dir {ca} requests",
        "--json list {set} attributes",
        "--json restore --from {set} --dir {new}",
    ] {
        let run = Run::of(command(&work.path(""), line).env("CERTADM_LOG", "trace"));
        assert!(run.code <= 1, "{line}: {run:?}");
        seen.push_str(&run.stdout);
        seen.push_str(&run.stderr);
    }
    fs::write(work.path("wrong"), format!("{MARKER}2")).unwrap();
    for line in
        ["--json ca crl --dir {ca} --passphrase-file {wrong}", "ca crl --dir {ca} --passphrase-file {wrong}"]
    {
        let run = Run::of(command(&work.path(""), line).env("CERTADM_LOG", "trace"));
        assert_eq!(run.code, 3, "{run:?}");
        seen.push_str(&run.stdout);
        seen.push_str(&run.stderr);
    }
    assert!(!seen.contains(MARKER), "printed or logged");
    for dir in ["ca", "set", "new", "issued", "crl"] {
        scan(&work.path(dir));
    }
}

/// No file below `dir` contains the marker.
fn scan(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(
                !bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_passphrase_comes_through_a_descriptor_and_leaves_no_core_dump() {
    let work = Work::new();
    let mut init = command(&work.path(""), "ca init --dir {ca} --name Marked --passphrase-fd 0");
    let mut child = init.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = Path::new("/proc").join(child.id().to_string());
    // It waits for the passphrase now, so there is time to look at it.
    let started = Instant::now();
    loop {
        let limits = fs::read_to_string(process.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        if core.split_whitespace().nth(4) == Some("0") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "core dumps are allowed: {core}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(MARKER.as_bytes()).unwrap();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(process.join(file)).unwrap();
        assert!(!bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()), "{file}");
    }
    drop(stdin);
    Run::from(child.wait_with_output().unwrap()).good();
    fs::write(work.path("pass"), MARKER).unwrap();
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
}

/// What a shell has read of it before is read, and what comes then is the secret.
#[test]
#[cfg(target_os = "linux")]
fn a_descriptor_is_read_from_where_it_is() {
    use std::io::{Seek, SeekFrom};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    let work = Work::new();
    fs::write(work.path("two"), format!("the first line\n{MARKER}\n")).unwrap();
    let mut behind = fs::File::open(work.path("two")).unwrap();
    behind.seek(SeekFrom::Start(15)).unwrap();
    let init = |name: &str, stdin: Stdio| {
        let line = format!("ca init --dir {{{name}}} --name Marked --passphrase-fd 0");
        Run::from(command(&work.path(""), &line).stdin(stdin).output().unwrap()).good();
    };
    init("ca", behind.into());
    // A socket has no name that could be opened.
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(MARKER.as_bytes()).unwrap();
    drop(ours);
    init("other", OwnedFd::from(theirs).into());
    fs::write(work.path("pass"), MARKER).unwrap();
    for name in ["ca", "other"] {
        work.result(&format!("ca crl --dir {{{name}}} --passphrase-file {{pass}}"));
    }
    let missing = work.run("ca crl --dir {ca} --passphrase-fd 99");
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stderr.contains("/dev/fd/99"), "{missing:?}");
}

/// Windows PowerShell and Notepad begin a file with a byte order mark, or write UTF-16.
#[test]
fn a_byte_order_mark_is_no_part_of_a_secret() {
    let work = Work::with_ca();
    let passphrase = crate::support::PASSPHRASE;
    fs::write(work.path("marked"), format!("\u{feff}{passphrase}\r\n")).unwrap();
    work.result("ca crl --dir {ca} --passphrase-file {marked}");
    let wide: Vec<u8> =
        format!("\u{feff}{passphrase}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(work.path("wide"), wide).unwrap();
    let refused = work.run("ca crl --dir {ca} --passphrase-file {wide}");
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("UTF-16") && refused.stderr.contains("UTF-8"), "{refused:?}");
}

#[test]
fn there_is_no_way_to_put_a_secret_on_the_command_line() {
    let work = Work::with_ca();
    for line in ["ca crl --dir {ca} --passphrase geheim", "ca crl --dir {ca} --password geheim"] {
        assert_eq!(work.run(line).code, 2, "{line}");
    }
    let run = work.run("ca crl --dir {ca}");
    assert_eq!(run.code, 2, "without a terminal there is nobody to ask");
    assert!(run.stderr.contains("--passphrase-file"), "{run:?}");
}
