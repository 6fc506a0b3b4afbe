//! Who may read and write what: a CA's folder is its owner's alone, whatever the umask, and who opens it up is told.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Run, Work, command};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a command under this umask.
fn with_umask(work: &Work, umask: &str, line: &str) -> Run {
    let plain = command(&work.path(""), line);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask \"$0\"; exec \"$@\"", umask]);
    shell.arg(plain.get_program()).args(plain.get_args()).current_dir(work.path(""));
    Run::of(&mut shell)
}

/// Looks at everything below a CA's folder: private, but for what is published.
fn check_private(ca: &Path, published: u32) {
    assert_eq!(mode(ca), 0o700);
    let mut folders = vec![ca.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_folder = path.is_dir();
            let is_public = path.starts_with(ca.join("crl")) || path == ca.join("ca.crt");
            let wanted = match (is_folder, is_public) {
                (true, true) => 0o700 | (published & 0o055),
                (true, false) => 0o700,
                (false, true) => 0o600 | (published & 0o044),
                (false, false) => 0o600,
            };
            assert_eq!(mode(&path), wanted, "{}: {:o}", path.display(), mode(&path));
            if is_folder {
                folders.push(path);
            }
        }
    }
}

#[test]
fn a_new_ca_is_its_owners_alone_whatever_the_umask() {
    for (umask, published) in [("000", 0o755), ("022", 0o755), ("077", 0o700)] {
        let work = Work::new();
        let init = "ca init --dir {ca} --name Test-CA --passphrase-file {pass}";
        with_umask(&work, umask, init).good();
        work.request("one");
        let issue = "ca issue --dir {ca} --passphrase-file {pass} --out {issued} {one.csr}";
        with_umask(&work, umask, issue).good();
        with_umask(&work, umask, "ca crl --dir {ca} --passphrase-file {pass}").good();
        check_private(&work.path("ca"), published);
        with_umask(&work, umask, "backup --dir {ca} --to {set}").good();
        check_private(&work.path("ca"), published);
        with_umask(&work, umask, "restore --from {set} --dir {new}").good();
        check_private(&work.path("new"), published);
    }
}

/// The folder was made to be read by a web server; then a job with a strict umask publishes.
#[test]
fn a_crl_is_as_open_as_its_folder_whatever_the_umask() {
    let work = Work::with_ca();
    let crl = "ca/crl/Test-CA.crl";
    for (folder, file) in [(0o755, 0o644), (0o700, 0o600)] {
        set_mode(&work.path("ca/crl"), folder);
        with_umask(&work, "077", "ca crl --dir {ca} --passphrase-file {pass}").good();
        assert_eq!(mode(&work.path(crl)), file);
    }
    set_mode(&work.path("ca/crl"), 0o755);
    work.run("backup --dir {ca} --to {set}").good();
    fs::remove_file(work.path(crl)).unwrap();
    with_umask(&work, "077", "restore --from {set} --dir {ca} --force").good();
    assert_eq!(mode(&work.path(crl)), 0o644);
}

#[test]
fn an_open_folder_is_closed_when_it_is_empty_and_refused_when_not() {
    let work = Work::new();
    fs::create_dir(work.path("ca")).unwrap();
    set_mode(&work.path("ca"), 0o777);
    work.run("ca init --dir {ca} --name Test-CA --passphrase-file {pass}").good();
    check_private(&work.path("ca"), 0o755);
    fs::create_dir(work.path("home")).unwrap();
    fs::write(work.path("home/letter"), "x").unwrap();
    set_mode(&work.path("home"), 0o755);
    let run = work.run("ca init --dir {home} --name Test-CA --passphrase-file {pass}");
    assert!(run.code == 3 && run.stderr.contains("chmod -R go="), "{run:?}");
    assert!(!work.path("home/ca.key").exists());
    assert_eq!(mode(&work.path("home")), 0o755);
}

#[test]
fn what_others_can_read_or_write_is_told_and_not_served() {
    let work = Work::with_ca();
    work.request("one");
    for (name, open, kind, mends) in [
        ("ca", 0o755, "folder-exposed", "chmod -R go= "),
        ("ca", 0o722, "folder-exposed", "chmod -R go= "),
        ("ca/database", 0o770, "folder-exposed", "chmod -R go= "),
        ("ca/ca.key", 0o644, "key-exposed", "chmod 600 "),
    ] {
        let before = mode(&work.path(name));
        set_mode(&work.path(name), open);
        let served = work.run("serve --dir {ca} --listen 127.0.0.1:0 --socket {socket}");
        assert!(served.code == 3 && served.stderr.contains(mends), "{name}: {served:?}");
        let shown = work.run("--json show --dir {ca}").json();
        let findings = shown["result"]["health"]["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["kind"] == kind);
        assert!(found.is_some_and(|found| found["remedy"].as_str().unwrap().contains(mends)), "{shown}");
        for line in [
            "ca issue --dir {ca} --passphrase-file {pass} --out {issued} {one.csr}",
            "ca crl --dir {ca} --passphrase-file {pass}",
            "ca revoke --dir {ca} --serial 77",
        ] {
            let run = work.run(line);
            assert!(run.stderr.contains(mends), "{line}: {run:?}");
            fs::remove_dir_all(work.path("issued")).ok();
        }
        set_mode(&work.path(name), before);
    }
    // A web server may pass through to what is published.
    set_mode(&work.path("ca"), 0o711);
    let run = work.run("ca crl --dir {ca} --passphrase-file {pass}");
    assert!(run.code == 0 && !run.stderr.contains("not safe"), "{run:?}");
}

/// A CA that an older version made has a database and locks that everyone may read, which its folder's mode kept from them. Then the
/// way to the CRL is opened.
#[test]
fn what_lies_open_below_a_folder_that_others_pass_through_is_told_and_not_served() {
    let work = Work::with_ca();
    work.request("one");
    work.run("backup --dir {ca} --to {set} --keep-logs").good();
    fs::write(work.path("ca/commit.lock"), "").unwrap();
    set_mode(&work.path("ca/commit.lock"), 0o600);
    fs::create_dir_all(work.path("ca/restore.d")).unwrap();
    set_mode(&work.path("ca/restore.d"), 0o700);
    let database = "ca/database/Test-CA.db";
    for (opened, mends) in [
        (vec![("ca/database", 0o755), (database, 0o644)], "chmod -R go= */ca/database"),
        (vec![("ca/log", 0o711), ("ca/log/edb.chk", 0o604)], "chmod -R go= */ca/log"),
        (vec![("ca/commit.lock", 0o644)], "chmod go= */ca/commit.lock"),
        (vec![("ca/ca.toml", 0o666)], "chmod go-w */ca/ca.toml"),
        (vec![("ca/restore.d", 0o777)], "chmod -R o-w */ca/restore.d"),
        (vec![("ca/crl", 0o777)], "chmod -R go-w */ca/crl"),
        (vec![("ca/crl/Test-CA.crl", 0o646)], "chmod -R go-w */ca/crl"),
    ] {
        let before: Vec<u32> = opened.iter().map(|(name, _)| mode(&work.path(name))).collect();
        opened.iter().for_each(|(name, open)| set_mode(&work.path(name), *open));
        let (start, end) = mends.split_once('*').unwrap();
        let is_told = |text: &str| text.contains(start) && text.contains(end);
        // Nobody comes there: as open as it may be, it is nobody's business.
        set_mode(&work.path("ca"), 0o700);
        let closed = work.run("show --dir {ca}");
        assert!(!is_told(&closed.stdout), "{opened:?}: {closed:?}");
        set_mode(&work.path("ca"), 0o711);
        let served = work.run("serve --dir {ca} --listen 127.0.0.1:0 --socket {socket}");
        assert!(served.code == 3 && is_told(&served.stderr), "{opened:?}: {served:?}");
        let shown = work.run("show --dir {ca}");
        assert!(shown.code == 1 && is_told(&shown.stdout), "{opened:?}: {shown:?}");
        let issued = work.run("ca issue --dir {ca} --passphrase-file {pass} --out {issued} {one.csr}");
        assert!(is_told(&issued.stderr), "{opened:?}: {issued:?}");
        fs::remove_dir_all(work.path("issued")).ok();
        // The remedy that is named mends it, and nothing else is told.
        let named = served.stderr.lines().find_map(|line| Some(&line[line.find("chmod ")?..])).unwrap();
        let command = named.trim_end_matches(['`', '.']);
        let mended = Command::new("sh").args(["-c", command]).current_dir(work.path("")).status().unwrap();
        assert!(mended.success(), "{command}");
        let issued = work.run("ca issue --dir {ca} --passphrase-file {pass} --out {issued} {one.csr}");
        assert!(issued.code == 0 && !issued.stderr.contains("not safe"), "{command}: {issued:?}");
        fs::remove_dir_all(work.path("issued")).ok();
        opened.iter().zip(before).for_each(|((name, _), before)| set_mode(&work.path(name), before));
    }
    // A group may restore without owning the CA, and the request is for the service's account to read (docs/c-api.md).
    fs::write(work.path("ca/restore.d/other.json"), "{}").unwrap();
    for (name, open) in [("ca/restore.d", 0o771), ("ca/restore.d/other.json", 0o644), ("ca/lock", 0o640)] {
        set_mode(&work.path(name), open);
    }
    // What a restore moves aside is its owner's alone.
    let restored = work.run("restore --from {set} --dir {ca} --force");
    assert!(restored.code <= 1, "{restored:?}");
    let aside = fs::read_dir(work.path("ca")).unwrap().flatten().map(|entry| entry.path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().contains("replaced-")).collect();
    assert!(!aside.is_empty() && aside.iter().all(|path| mode(path) & 0o777 == 0o700), "{aside:?}");
    // What is closed to those who pass is not looked at, and what is published may be read.
    for (name, open) in [("ca/database", 0o700), (database, 0o644), ("ca/ca.toml", 0o644), ("ca/crl", 0o755)]
    {
        set_mode(&work.path(name), open);
    }
    let run = work.run("ca crl --dir {ca} --passphrase-file {pass}");
    assert!(run.code == 0 && !run.stderr.contains("not safe"), "{run:?}");
}

/// A file of root's in the folder of a service account keeps the service from starting: `show` says so, and how to mend it.
#[test]
fn a_file_of_another_account_is_told_with_the_command_that_mends_it() {
    use std::os::unix::fs::chown;
    let work = Work::with_ca();
    let log = fs::read_dir(work.path("ca/log")).unwrap().next().unwrap().unwrap().path();
    if chown(&log, Some(4711), None).is_err() {
        println!("only root gives files away: mixed owners are not tested");
        return;
    }
    let show = work.run("--json show --dir {ca}");
    let result = show.json()["result"]["health"]["findings"].clone();
    let told = result.as_array().unwrap().iter().find(|finding| finding["kind"] == "mixed-owners");
    let remedy = told.unwrap_or_else(|| panic!("{result}"))["remedy"].as_str().unwrap();
    assert!(show.code == 1 && remedy.contains("chown -R 0:0 "), "{remedy}");
    chown(&log, Some(0), None).unwrap();
    assert!(!work.run("show --dir {ca}").stdout.contains("another account"));
}

/// Whoever can change them decides what is run, and where backups go.
#[test]
fn settings_that_everyone_can_change_are_refused() {
    let work = Work::with_ca();
    let files = [
        ("certadm.toml", "CERTADM_JOBS", "state = 'state'\n[ca]\nweb = { dir = 'ca' }\n", "config show"),
        ("repositories.toml", "CERTADM_REPOSITORIES", "", "repository info vault:"),
        ("client.toml", "CERTADM_CONFIG", "", "doctor --server ca1"),
    ];
    for (name, variable, text, line) in files {
        let path = work.path(name);
        fs::write(&path, text).unwrap();
        let run = |mode| {
            set_mode(&path, mode);
            Run::of(command(&work.path(""), &format!("--json {line}")).env(variable, &path))
        };
        let open = run(0o646);
        let error = &open.json()["error"];
        assert_eq!((open.code, error["code"].as_str()), (3, Some("0x80070005")), "{name}: {open:?}");
        assert!(error["remedy"].as_str().unwrap().contains("chmod o-w"), "{open:?}");
        let closed = run(0o644);
        assert!(!closed.stdout.contains("chmod o-w"), "{name}: {closed:?}");
    }
}
