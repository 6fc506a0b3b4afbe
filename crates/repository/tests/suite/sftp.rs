//! Vaults on another machine, against the servers of OpenSSH: its SFTP server as a child, and a whole sshd on loopback.

use std::ffi::OsString;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use certadm_repository::objects::{Objects, SftpObjects};
use certadm_repository::{
    CaRepository, Error, ExpiryOptions, Keep, Label, Part, Profiles, Secret, Vault, examine,
};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::Silent;

use crate::common::{Ca, assert_whole, over};

/// Where Debian and others have it.
const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// The server with arguments; `None` where it is not installed, which `cargo xtask test` sees to.
fn server(arguments: &[&str]) -> Option<Vec<OsString>> {
    let there = Path::new(SERVER).exists();
    there.then(|| std::iter::once(&SERVER).chain(arguments).map(OsString::from).collect())
}

fn objects(command: Vec<OsString>, root: &Path, allow_no_fsync: bool) -> SftpObjects {
    SftpObjects::over(command, root.display().to_string(), "sftp://test".to_owned(), allow_no_fsync)
}

#[test]
fn an_object_is_there_whole_and_never_replaced() {
    let Some(command) = server(&[]) else { return };
    let dir = certadm_tests::scratch();
    let root = dir.path().join("vault/CA");
    let objects = objects(command, &root, false);
    assert_eq!(objects.list("data").unwrap(), []);
    assert_eq!(objects.len("config").unwrap(), None);
    // Longer than all requests that are under way at the same time, and no multiple of a part.
    let long: Vec<u8> = (0..5_000_001_u32).map(|number| number.to_le_bytes()[1]).collect();
    let parts = [Bytes::from_static(b"head"), Bytes::from(long.clone())];
    let all = [b"head".as_slice(), &long].concat();
    objects.put("data/ab/abcd", &parts).unwrap();
    objects.put("data/ab/abcd", &parts).unwrap();
    assert_eq!(objects.get("data/ab/abcd").unwrap(), all);
    assert_eq!(objects.len("data/ab/abcd").unwrap(), Some(5_000_005));
    assert_eq!(objects.range("data/ab/abcd", 4_000_000, 40_000).unwrap(), all[4_000_000..4_040_000]);
    assert_eq!(objects.range("data/ab/abcd", 5_000_000, 100).unwrap(), all[5_000_000..]);
    assert_eq!(objects.range("data/ab/abcd", 9_000_000, 1).unwrap(), [0_u8; 0].as_slice());
    let other = objects.put("data/ab/abcd", &parts[..1]).unwrap_err();
    assert_eq!(other.source.kind(), io::ErrorKind::AlreadyExists, "{other}");
    objects.put("config", &parts[..1]).unwrap();
    assert!(objects.put("config", &parts[..1]).is_err(), "a repository is never made over another");

    objects.create("certadm/turn/0", b"mine").unwrap();
    let second = objects.create("certadm/turn/0", b"yours").unwrap_err();
    assert_eq!(second.source.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(objects.get("certadm/turn/0").unwrap(), b"mine".as_slice());
    assert!(objects.stored_at("certadm/turn/0").unwrap().abs_diff(crate::objects::now()) < 600);

    // What a cut write has left is no object, and goes when it is old.
    for (name, age) in [(".old.part", 2 * 86_400), (".new.part", 60)] {
        let file = std::fs::File::create(root.join("data/ab").join(name)).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(age);
        file.set_modified(then).unwrap();
    }
    assert_eq!(objects.list("data").unwrap(), [("data/ab/abcd".to_owned(), 5_000_005)]);
    objects.tidy("data", crate::objects::now()).unwrap();
    let left = |name| root.join("data/ab").join(name).exists();
    assert!(!left(".old.part") && left(".new.part") && left("abcd"));
    for _ in 0..2 {
        objects.delete("data/ab/abcd").unwrap();
    }
    let gone = objects.get("data/ab/abcd").unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    assert!(0 < objects.free().unwrap().unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("data"), mode("config")), (0o700, 0o600));
    }
}

/// When a connection ends behind the rename, the call is made again, and finds the object there: its name is put onto the disk
/// then, which the first one had not come to.
#[test]
fn what_is_there_already_is_put_onto_its_disk() {
    if server(&[]).is_none() {
        return;
    }
    let dir = certadm_tests::scratch();
    let sent = dir.path().join("sent");
    let command = ["sh".to_owned(), "-c".to_owned(), format!("tee -a '{}' | {SERVER}", sent.display())];
    let objects = objects(command.map(OsString::from).into(), &dir.path().join("vault/CA"), false);
    let flushes = || {
        let sent = std::fs::read(&sent).unwrap_or_default();
        sent.windows(17).filter(|bytes| *bytes == b"fsync@openssh.com").count()
    };
    let mut expected = 0;
    for (name, first) in [("snapshots/ab", 2), ("index/ab", 2), ("data/ab/abcd", 1), ("certadm/proven/ab", 2)]
    {
        for _ in 0..2 {
            objects.put(name, &[Bytes::from_static(b"content")]).unwrap();
        }
        expected += first + 1;
        // The server answers before `tee` has noted the request.
        let since = Instant::now();
        while flushes() < expected && since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(flushes(), expected, "{name}");
    }
}

#[test]
fn many_folders_are_listed_and_many_write_at_the_same_time() {
    let Some(command) = server(&[]) else { return };
    let dir = certadm_tests::scratch();
    let objects = Arc::new(objects(command, &dir.path().join("CA"), false));
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let objects = &objects;
            scope.spawn(move || {
                for number in 0..50_u8 {
                    let name = format!("data/{:02x}/{number}", number.wrapping_mul(7) ^ thread);
                    objects.put(&name, &[Bytes::from(vec![thread; usize::from(number)])]).unwrap();
                }
            });
        }
    });
    assert_eq!(objects.list("data").unwrap().len(), 200);
    // Of all that try, one alone makes it.
    let made: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(objects.create("certadm/turn/1", b"x").is_ok())))
            .collect();
        tries.into_iter().map(|tried| tried.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
}

#[test]
fn a_server_without_fsync_is_refused_unless_that_is_accepted() {
    let Some(command) = server(&["-P", "fsync"]) else { return };
    let dir = certadm_tests::scratch();
    let refusing = objects(command.clone(), &dir.path().join("one"), false);
    let refused = refusing.put("config", &[Bytes::from_static(b"x")]).unwrap_err();
    assert!(refused.to_string().contains("allow-no-fsync"), "{refused}");
    assert!(!dir.path().join("one").exists());
    let accepting = objects(command, &dir.path().join("two"), true);
    accepting.put("config", &[Bytes::from_static(b"x")]).unwrap();
    assert!(accepting.caveat().unwrap().contains("power"));
    let whole = objects(server(&[]).unwrap(), &dir.path().join("two"), false);
    assert_eq!(whole.caveat(), None);
}

#[test]
fn what_the_server_does_not_allow_is_told() {
    let Some(command) = server(&["-R"]) else { return };
    let dir = certadm_tests::scratch();
    let reading = objects(command, dir.path(), true);
    let refused = reading.put("config", &[Bytes::from_static(b"x")]).unwrap_err();
    assert_eq!(refused.source.kind(), io::ErrorKind::PermissionDenied, "{refused}");
    for (command, says) in
        [(vec!["/no/such/program"], "cannot start"), (vec!["sh", "-c", "echo no way >&2"], "no way")]
    {
        let broken = objects(command.into_iter().map(OsString::from).collect(), dir.path(), false);
        let error = broken.len("config").unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let greeting: Vec<OsString> = ["sh", "-c", "echo Welcome to this machine"].map(OsString::from).into();
    let error = objects(greeting, dir.path(), false).len("config").unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}

fn used(ca: &mut Ca, repository: &CaRepository) {
    ca.back_up(repository, BackupType::Full).unwrap();
    for _ in 0..2 {
        ca.issue(2);
        let taken = ca.back_up(repository, BackupType::LogsOnly).unwrap();
        assert!(taken.checked && !taken.truncated.is_empty());
    }
    assert_eq!(assert_whole(repository, ca.beside()), 3);
    ca.back_up(repository, BackupType::Full).unwrap();
    let keep = Keep { last: 1, ..Keep::default() };
    for _ in 0..2 {
        let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
        repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    }
    assert_eq!(assert_whole(repository, ca.beside()), 1);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
}

#[test]
fn a_repository_behind_sftp_does_all_that_one_in_a_folder_does() {
    let Some(command) = server(&[]) else { return };
    let mut ca = Ca::create();
    let root = ca.beside().join("vault/ca");
    let secret = Secret::generate(Path::new("a test"));
    let repository = over(Arc::new(objects(command, &root, false)), &secret);
    repository.init().unwrap();
    used(&mut ca, &repository);
}

/// Each connection takes so many bytes, and is then cut.
#[test]
fn a_connection_that_is_cut_gives_a_whole_set_or_none() {
    if server(&[]).is_none() {
        return;
    }
    let mut ca = Ca::create();
    let root = ca.beside().join("vault/ca");
    let secret = Secret::generate(Path::new("a test"));
    let sound = over(Arc::new(objects(server(&[]).unwrap(), &root, false)), &secret);
    sound.init().unwrap();
    for bytes in [2_000, 60_000, 400_000] {
        ca.issue(2);
        let logs = ca.logs();
        let cut = ["sh".to_owned(), "-c".to_owned(), format!("dd bs=1 count={bytes} status=none | {SERVER}")];
        let cut = over(Arc::new(objects(cut.map(OsString::from).into(), &root, false)), &secret);
        if let Err(error) = ca.back_up(&cut, BackupType::Full) {
            assert_eq!(error.class(), Class::Unreachable, "{bytes}: {error}");
            assert!(logs.iter().all(|log| ca.logs().contains(log)), "{bytes}: a log is gone");
        }
        let kept = assert_whole(&sound, ca.beside());
        ca.back_up(&sound, BackupType::Full).unwrap();
        assert_eq!(assert_whole(&sound, ca.beside()), kept + 1, "{bytes}");
    }
}

/// A sshd on loopback with keys of its own. Nothing of the machine's configuration is read or changed.
struct Sshd {
    child: Child,
    dir: PathBuf,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Sshd {
    fn start(dir: &Path, subsystem: &str) -> Self {
        let dir = dir.join("ssh");
        std::fs::create_dir_all(&dir).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        for key in ["host", "other", "login", "stranger"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]).status();
            assert!(made.unwrap().success());
        }
        std::fs::copy(at("login.pub"), at("authorized")).unwrap();
        // A root's sshd wants this folder, which the machine's own makes when it starts.
        if !Path::new("/run/sshd").exists() {
            std::fs::create_dir("/run/sshd").ok();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp {subsystem}\n",
            at("host"),
            at("authorized")
        );
        std::fs::write(at("sshd_config"), server).unwrap();
        let client = |login: &str| {
            format!(
                "Host vault-host\nHostName 127.0.0.1\nPort {port}\nIdentityFile {}\nIdentitiesOnly yes\n\
                 UserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\nHostKeyAlias vault-host\n",
                at(login),
                at("known")
            )
        };
        std::fs::write(at("config"), client("login")).unwrap();
        std::fs::write(at("stranger_config"), client("stranger")).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("sshd is installed");
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(at("log")).unwrap_or_default();
            assert!(since.elapsed() < Duration::from_secs(60), "sshd does not listen: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let sshd = Self { child, dir };
        sshd.know("host");
        sshd
    }

    /// The host key that the client expects.
    fn know(&self, key: &str) {
        let key = std::fs::read_to_string(self.dir.join(format!("{key}.pub"))).unwrap();
        std::fs::write(self.dir.join("known"), format!("vault-host {key}")).unwrap();
    }

    fn vault(&self, config: &str, more: &str) -> Vault {
        let (dir, work) = (self.dir.display(), self.dir.parent().unwrap().display());
        let text = format!(
            "[vault]\nurl = 'sftp://vault-host{work}/a vault'\nssh-config = '{dir}/{config}'\nkey-file = '{work}/{{ca}}.key'\n{more}"
        );
        Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
    }
}

#[test]
#[ignore = "needs sshd"]
fn openssh_keeps_a_vault_and_its_refusals_are_told() {
    let mut ca = Ca::named("Drill CA");
    let sshd = Sshd::start(ca.beside(), "internal-sftp");
    let vault = sshd.vault("config", "");
    let repository = vault.create("Drill CA", "a code", Label { host: "tests", user: "code" }).unwrap();
    used(&mut ca, &repository);
    assert_eq!(vault.cas().unwrap(), ["Drill CA"]);
    let steps = examine(&vault, None, &mut |_| {});
    assert!(steps.iter().all(|step| step.seen.is_ok()), "{steps:?}");
    let told = |name| steps.iter().find(|step| step.name == name).unwrap().seen.as_ref().unwrap().clone();
    assert!(told("session").contains("fsync@openssh.com"), "{steps:?}");
    assert!(told("space").contains(" are free"), "{steps:?}");
    let refused = |vault: &Vault| {
        let error = vault.cas().unwrap_err();
        assert_eq!(error.class(), Class::Unreachable, "{error}");
        let logs = ca.logs();
        // Where the storage does not answer, nobody knows which repository is the newest.
        match vault.repository(Some("Drill CA")) {
            Ok(repository) => {
                let failed = ca.back_up(&repository, BackupType::Full).unwrap_err();
                assert_eq!(failed.class(), Class::Unreachable, "{failed}");
            }
            Err(failed) => assert_eq!(failed.class(), Class::Unreachable, "{failed}"),
        }
        assert!(logs.iter().all(|log| ca.logs().contains(log)), "a log is gone");
        error.to_string()
    };
    assert!(refused(&sshd.vault("stranger_config", "")).contains("Permission denied"));
    sshd.know("other");
    let told = refused(&vault);
    assert!(told.contains("Host key verification failed"), "{told}");
}

#[test]
#[ignore = "needs sshd"]
fn a_server_behind_ssh_without_fsync_is_named_by_doctor() {
    let ca = Ca::named("Drill CA");
    let sshd = Sshd::start(ca.beside(), &format!("{SERVER} -P fsync"));
    let vault = sshd.vault("config", "");
    let steps = examine(&vault, None, &mut |_| {});
    let last = steps.last().unwrap();
    assert_eq!(last.name, "session");
    assert!(last.seen.as_ref().unwrap_err().to_string().contains("allow-no-fsync"), "{last:?}");
    let label = Label { host: "tests", user: "code" };
    let refused = vault.create("Drill CA", "a code", label).unwrap_err();
    assert!(matches!(refused, Error::Storage { .. }), "{refused}");
    let accepting = sshd.vault("config", "allow-no-fsync = true\n");
    let repository = accepting.create("Drill CA", "a code", label).unwrap();
    ca.back_up(&repository, BackupType::Full).unwrap();
    assert_eq!(assert_whole(&repository, ca.beside()), 1);
    assert!(repository.caveat().unwrap().contains("power"));
    let steps = examine(&accepting, None, &mut |_| {});
    assert!(steps.iter().all(|step| step.seen.is_ok()), "{steps:?}");
}
