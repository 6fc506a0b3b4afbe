//! Folders of sets that an attacker made, as a table: each part of a set as a link, a device, a pipe, a folder, a huge file
//! with a hole, one cut short and one that has grown, under each command that reads sets. Each command ends by itself, with
//! little memory, and nothing from outside the set comes into what a restore leaves.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use certadm_set::Manifest;
use certadm_set::manifest::Role;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::Value;

use crate::support::{Work, command};
use crate::windows_files::backup;

/// What lies outside the set and must stay there.
const SECRET: &[u8] = b"what only the account of the restore may read";
/// A busy machine is slow; a command that never ends is caught all the same.
const WATCHDOG: Duration = Duration::from_secs(180);

/// What stands in the place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instead {
    Link,
    LinkToDevice,
    Device,
    Pipe,
    Folder,
    Huge,
    Short,
    Grown,
}

const ALL: [Instead; 8] = [
    Instead::Link,
    Instead::LinkToDevice,
    Instead::Device,
    Instead::Pipe,
    Instead::Folder,
    Instead::Huge,
    Instead::Short,
    Instead::Grown,
];

impl Instead {
    /// Puts it there; false where this account may not make such a thing.
    fn put(self, path: &Path, secret: &Path) -> bool {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        match self {
            Self::Link => symlink(secret, path).unwrap(),
            Self::LinkToDevice => symlink("/dev/zero", path).unwrap(),
            Self::Device => {
                let zero = makedev(1, 5);
                return mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, zero).is_ok();
            }
            Self::Pipe => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Huge => File::create(path).unwrap().set_len(4 << 40).unwrap(),
            Self::Short => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Self::Grown => {
                fs::write(path, &bytes).unwrap();
                let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
                file.write_all(&[b'x'; 8192]).unwrap();
            }
        }
        true
    }
}

/// Runs a command with little memory and a limit on what it may write; kills it, and fails, when it does not end.
fn run(work: &Work, line: &str) -> (i32, String) {
    let plain = command(&work.path(""), line);
    let mut limited = Command::new("sh");
    // 3 GiB of addresses, 400,000 blocks of 512 or 1024 bytes.
    limited.args(["-c", "ulimit -v 3000000; ulimit -f 400000; exec \"$@\"", "sh"]);
    limited.arg(plain.get_program()).args(plain.get_args()).current_dir(work.path(""));
    let said = work.path("said");
    let out = File::create(&said).unwrap();
    limited.stdin(Stdio::null()).stderr(out.try_clone().unwrap()).stdout(out);
    let mut child = limited.spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > WATCHDOG {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{line} does not end: {}", fs::read_to_string(&said).unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned();
    (status.code().unwrap_or_else(|| panic!("{line}: {status}: {said}")), said)
}

/// Every path below a folder, and the content of the files, links as what they are.
fn tree(path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap();
        if kind.is_dir() {
            tree(&path, found);
        }
        let content =
            if kind.is_file() && kind.len() < 64 << 20 { fs::read(&path).unwrap() } else { Vec::new() };
        found.push((path, content));
    }
}

/// A set whose manifest says what lies there, as an attacker would write it.
fn agree(set: &Path, inside: &str) {
    let path = set.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let bytes = fs::metadata(set.join(inside)).map_or(0, |metadata| metadata.len());
    for entry in manifest.files.iter_mut().filter(|entry| entry.path == inside) {
        entry.size = bytes;
    }
    fs::write(&path, manifest.complete().unwrap()).unwrap();
}

fn each_command(work: &Work, commands: &[&str], what: &str, role: Option<Role>) {
    let mut before = Vec::new();
    tree(&work.path("set"), &mut before);
    for line in commands {
        let (code, said) = run(work, line);
        let is_read = ["show", "list", "gap", "diff", "complete"].iter().any(|verb| line.starts_with(verb));
        match (role, code) {
            // A CRL copy does not stand between a CA and its coming back, and who lists rows does not ask for it.
            (Some(Role::Dynamic), 0 | 1) => {}
            (_, 0 | 1) if is_read => {}
            // What is said to be damaged or refused, in words and not by a signal.
            (_, 2 | 3 | 5) => {}
            _ => panic!("{what}: {line} ended with {code}: {said}"),
        }
        let mut left = Vec::new();
        for dir in ["new", "out"].map(|name| work.path(name)).iter().filter(|dir| dir.exists()) {
            tree(dir, &mut left);
        }
        for (path, content) in &left {
            assert!(
                !content.windows(SECRET.len()).any(|window| window == SECRET),
                "{what}: {line}: {path:?}"
            );
            assert!(!path.is_symlink(), "{what}: {line}: {path:?}");
        }
        if line.starts_with("restore") && code != 0 && role != Some(Role::Dynamic) {
            assert!(left.is_empty(), "{what}: {line} left {left:?}");
        }
        let mut after = Vec::new();
        tree(&work.path("set"), &mut after);
        assert_eq!(before.len(), after.len(), "{what}: {line} changed the set");
        for dir in ["new", "out"] {
            fs::remove_dir_all(work.path(dir)).ok();
        }
    }
    assert_eq!(fs::read(work.path("secret")).unwrap(), SECRET);
    let scratch = fs::read_dir(work.path("scratch")).into_iter().flatten();
    assert_eq!(scratch.count(), 0, "{what}");
}

const OURS: [&str; 12] = [
    "verify {set}",
    "show {set}",
    "list {set} requests",
    "list {set} certificates --export-certs {out}",
    "gap {set} --certificates {ca/ca.crt} --to {new}",
    "diff {set} {good}",
    "complete {set}",
    "emergency-crl {set} --tbs-only --no-published --to {new}",
    "rehearse {set} --within {scratch}",
    "restore --from {set} --dir {new} --dry-run",
    "restore --from {set} --dir {new}",
    "show {set} --html {out.html}",
];

/// A CA with a good set, and a file that none of the commands may take.
fn world() -> Work {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {good}");
    fs::write(work.path("secret"), SECRET).unwrap();
    fs::create_dir(work.path("scratch")).unwrap();
    work
}

/// A set of our own with one part replaced, once with a manifest that knows nothing of it, once with one that agrees, once
/// with none.
fn ours(role: Option<Role>) {
    let work = world();
    let manifest = Manifest::parse(&fs::read(work.path("good/manifest.json")).unwrap()).unwrap();
    let inside = match role {
        Some(role) => manifest.files.iter().find(|entry| entry.role == role).expect("each role").path.clone(),
        None => "manifest.json".to_owned(),
    };
    for instead in ALL {
        for sealing in ["as it was", "agreeing", "gone"] {
            if role.is_none() && sealing != "as it was" {
                continue;
            }
            fs::remove_dir_all(work.path("set")).ok();
            fs::remove_file(work.path("out.html")).ok();
            work.copy("good", "set");
            if !instead.put(&work.path("set").join(&inside), &work.path("secret")) {
                continue;
            }
            match sealing {
                "agreeing" => agree(&work.path("set"), &inside),
                "gone" => fs::remove_file(work.path("set/manifest.json")).unwrap(),
                _ => {}
            }
            let what = format!("{inside} as {instead:?}, manifest {sealing}");
            each_command(&work, &OURS, &what, role);
            if sealing == "as it was" && !matches!(instead, Instead::Huge | Instead::Short | Instead::Grown) {
                let (_, said) = run(&work, "verify {set}");
                assert!(said.contains("a regular file is expected"), "{what}: {said}");
            }
        }
    }
}

#[test]
fn a_manifest_that_is_none() {
    ours(None);
}

#[test]
fn an_image_that_is_none() {
    ours(Some(Role::Database));
}

#[test]
fn a_log_that_is_none() {
    ours(Some(Role::Log));
}

#[test]
fn a_restore_map_that_is_none() {
    ours(Some(Role::Locations));
}

#[test]
fn a_dynamic_file_that_is_none() {
    ours(Some(Role::Dynamic));
}

/// What stands beside the database never stands between a lost CA and its coming back.
#[test]
fn parts_of_an_identity_that_are_none() {
    let work = world();
    for inside in ["identity.json", "Config/ca.toml", "Certificates/ca-0.crt"] {
        for instead in ALL {
            fs::remove_dir_all(work.path("set")).ok();
            fs::remove_file(work.path("out.html")).ok();
            work.copy("good", "set");
            if !instead.put(&work.path("set/Identity").join(inside), &work.path("secret")) {
                continue;
            }
            let what = format!("{inside} as {instead:?}");
            each_command(&work, &OURS, &what, Some(Role::Dynamic));
            let (code, said) = run(&work, "restore --from {set} --dir {new}");
            assert!(code <= 1, "{what}: {code}: {said}");
            let (code, said) = run(&work, "ca list --dir {new}");
            assert_eq!(code, 0, "{what}: {said}");
            fs::remove_dir_all(work.path("new")).unwrap();
        }
    }
}

#[test]
fn a_folder_that_is_a_link_leads_nowhere() {
    let work = world();
    for sealed in [true, false] {
        for name in ["DataBase", "DynamicFiles"] {
            fs::remove_dir_all(work.path("set")).ok();
            work.copy("good", "set");
            fs::remove_dir_all(work.path("set").join(name)).unwrap();
            symlink(work.path("good").join(name), work.path("set").join(name)).unwrap();
            if !sealed {
                fs::remove_file(work.path("set/manifest.json")).unwrap();
            }
            let role = (name == "DynamicFiles").then_some(Role::Dynamic);
            each_command(&work, &OURS[..11], &format!("{name} as a link"), role);
            if role.is_none() {
                let (code, said) = run(&work, "verify {set}");
                assert!(code == 5 && said.contains("link"), "{said}");
            }
        }
    }
}

/// Adds files with a hole to the set that take no space where they lie.
fn add_sparse(set: &Path, count: usize, size: u64) {
    let path = set.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let crl = manifest.files.iter().find(|entry| entry.role == Role::Dynamic).unwrap().clone();
    let hash = blake3::hash(&vec![0; usize::try_from(size).unwrap().min(64 << 20)]).to_hex().to_string();
    for number in 0..count {
        let mut entry = crl.clone();
        entry.path = format!("DynamicFiles/{number}-{size}.crl");
        entry.size = size;
        entry.blake3.clone_from(&hash);
        File::create(set.join(&entry.path)).unwrap().set_len(size).unwrap();
        manifest.files.push(entry);
    }
    fs::write(&path, manifest.complete().unwrap()).unwrap();
}

/// A CRL of a set is worth no restore: what is longer than any CRL is left out, and the dry run says so.
#[test]
fn what_is_longer_than_any_crl_is_not_put_back() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    add_sparse(&work.path("set"), 1, 600 << 20);
    let mut told = Vec::new();
    for line in ["restore --from {set} --dir {new} --dry-run", "restore --from {set} --dir {new}"] {
        let run = work.run(&format!("--json {line}"));
        assert_eq!(run.code, 1, "{run:?}");
        told.push(run.json()["result"]["warnings"].clone());
    }
    let warning = told[0][0].as_str().unwrap();
    assert!(warning.contains("-629145600.crl cannot be put back: ") && told[0] == told[1], "{told:?}");
    let names: Vec<_> =
        fs::read_dir(work.path("new/crl")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["Test-CA.crl"]);
}

/// A mounted tmpfs of 64 MiB; dropping it unmounts it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a line that says so, where this process may not mount.
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&path).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: this process may not mount a tmpfs");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// A set of less than a megabyte whose CRLs are longer than the disk.
#[test]
fn sparse_crls_fill_no_disk_and_stop_no_restore() {
    let work = Work::with_ca();
    let Some(disk) = SmallDisk::mount(work.path("disk")) else { return };
    work.result("backup --dir {ca} --to {set}");
    add_sparse(&work.path("set"), 122, 544 << 10);
    let line = "--json restore --from {set} --dir {disk/new}";
    let tried = work.run(&format!("{line} --dry-run"));
    let done = work.run(line);
    assert_eq!((tried.code, done.code), (1, 1), "{tried:?} {done:?}");
    let warnings = |run: &crate::support::Run| run.json()["result"]["warnings"].as_array().unwrap().len();
    assert!(0 < warnings(&tried) && 0 < warnings(&done), "{done:?}");
    // The CRL of the CA itself came first, and the CA has room to go on.
    assert!(disk.0.join("new/crl/Test-CA.crl").is_file());
    let free = certadm_files::space::available(&disk.0).unwrap().unwrap();
    assert!((512 << 10) < free, "{free} bytes are left");
    work.copy_key_and_configuration("ca", "disk/new");
    work.result("ca crl --dir {disk/new} --passphrase-file {pass}");
}

#[test]
fn only_crls_and_certificates_are_put_back() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    let path = work.path("set/manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let crl = manifest.files.iter().find(|entry| entry.role == Role::Dynamic).unwrap().clone();
    for name in ["index.html", "DynamicFiles/index.html", "DynamicFiles/a/b.crl", "DynamicFiles/more.CRT"] {
        let mut entry = crl.clone();
        name.clone_into(&mut entry.path);
        let to = work.path("set").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(work.path("set").join(&crl.path), to).unwrap();
        manifest.files.push(entry);
    }
    fs::write(&path, manifest.complete().unwrap()).unwrap();
    work.result("restore --from {set} --dir {new}");
    let mut names: Vec<_> =
        fs::read_dir(work.path("new/crl")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["Test-CA.crl", "more.CRT"]);
}

#[test]
fn an_incomplete_set_is_restored_when_it_is_asked_for() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    fs::remove_file(work.path("set/manifest.json")).unwrap();
    let refused = work.run("--json restore --from {set} --dir {new}");
    let error = refused.json()["error"].clone();
    assert_eq!((refused.code, &error["code"]), (3, &Value::from("0x8007139f")), "{error}");
    assert!(error["remedy"].as_str().unwrap().contains("--incomplete"), "{error}");
    assert!(!work.path("new").exists());
    work.result("restore --from {set} --dir {new} --incomplete --dry-run");
    work.result("restore --from {set} --dir {new} --incomplete");
}

#[test]
fn parts_of_a_windows_set_that_are_none() {
    const COMMANDS: [&str; 8] = [
        "verify {set/full}",
        "show {set/full}",
        "list {set/full} --table MSysObjects",
        "recover {set/full} --to {new}",
        "diff {set/full} {set/full}",
        "complete {set/full}",
        "emergency-crl {set/full} --tbs-only --no-published --to {new}",
        "rehearse {set/full} --within {scratch}",
    ];
    let work = Work::new();
    fs::write(work.path("secret"), SECRET).unwrap();
    fs::create_dir(work.path("scratch")).unwrap();
    let make = || {
        fs::remove_dir_all(work.path("set")).ok();
        backup(&work.path("set")).is_some()
    };
    if !make() {
        return;
    }
    let (code, said) = run(&work, "verify {set/full}");
    assert!(code < 2, "{said}");
    let mut parts = Vec::new();
    tree(&work.path("set"), &mut parts);
    for (part, _) in
        parts.iter().filter(|(part, _)| part.is_file() && part.to_string_lossy().contains("/full/"))
    {
        for instead in ALL {
            make();
            if instead.put(part, &work.path("secret")) {
                // A part that is not there may be one that a recovery does without.
                let is_map = part.ends_with("certbkxp.dat");
                let role = (is_map || instead == Instead::Folder).then_some(Role::Dynamic);
                each_command(&work, &COMMANDS, &format!("{} as {instead:?}", part.display()), role);
            }
        }
    }
}

#[test]
fn loose_files_that_are_none() {
    let work = Work::new();
    fs::write(work.path("secret"), SECRET).unwrap();
    fs::create_dir(work.path("set")).unwrap();
    for name in ["CertLog.edb", "edb00001.log", "edb.chk"] {
        for instead in ALL {
            fs::write(work.path("set").join(name), [0; 100]).unwrap();
            if instead.put(&work.path("set").join(name), &work.path("secret")) {
                for verb in ["verify", "show", "list", "recover"] {
                    let rest = if verb == "recover" { "--to {new}" } else { "" };
                    let (code, said) = run(&work, &format!("{verb} {{set/{name}}} {rest}"));
                    assert!(matches!(code, 2 | 3 | 5), "{name} as {instead:?}: {verb}: {code}: {said}");
                }
            }
            fs::remove_dir_all(work.path("set")).unwrap();
            fs::create_dir(work.path("set")).unwrap();
        }
    }
}
