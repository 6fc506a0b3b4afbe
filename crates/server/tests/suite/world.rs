//! A CA with some rows, and a service on it that stops by itself.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use certadm_auth::NtHash;
use certadm_ca::{RolesConfig, ServiceConfig};
use certadm_rules::flags::{InterfaceFlags, Roles};
use certadm_server::{Addresses, Limits, Server, Settings, SocketWish, Stopped, Stopper, User, UserFile};
use certadm_store::{Folder, Options, Store};
use tempfile::TempDir;

pub(crate) const CA_NAME: &str = "Test CA";
pub(crate) const PASSWORD: &str = "Pa55-wörd";

/// Accounts of every test service.
pub(crate) const USERS: [(&str, Roles); 8] = [
    ("operator", Roles::OPERATOR),
    ("other", Roles::OPERATOR),
    ("admin", Roles::ADMINISTRATOR),
    ("officer", Roles::OFFICER),
    ("auditor", Roles::AUDITOR),
    ("reader", Roles::READ),
    ("enrollee", Roles::ENROLL),
    ("nobody", Roles::NONE),
];

/// Remote backup allowed; everything else as by default.
pub(crate) const OPEN: InterfaceFlags = InterfaceFlags::from_bits(0x601);

/// Waits until `done`, for up to two minutes: the machine may be busy.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) addresses: Addresses,
    pub(crate) stopper: Stopper,
    running: Option<JoinHandle<Stopped>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(OPEN, Limits::default())
    }

    pub(crate) fn with(flags: InterfaceFlags, limits: Limits) -> Self {
        Self::with_settings(|settings| {
            settings.interface_flags = flags;
            settings.limits = limits;
        })
    }

    /// With what `change` makes of the settings.
    pub(crate) fn with_settings(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = TempDir::new().unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let store = Store::create(&folder, CA_NAME, Options::default()).unwrap();
        for (name, roles) in USERS {
            let user = User::new(name, NtHash::from_password(PASSWORD), roles).unwrap();
            UserFile::in_folder(folder.path()).add(user).unwrap();
        }
        std::fs::write(folder.crl_dir().join("Test CA.crl"), b"crl").unwrap();
        Self::serve(dir, store, change)
    }

    fn serve(dir: TempDir, store: Store, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            name: CA_NAME.into(),
            host: "ca01".into(),
            resolver: "127.0.0.1:0".parse().unwrap(),
            exporter_port: 0,
            socket: SocketWish::Path(dir.path().join("socket")),
            interface_flags: OPEN,
            audit_filter: 0x7f,
            kerberos: None,
            ntlm: true,
            roles: RolesConfig::default(),
            roles_file: None,
            allowed: ServiceConfig::default(),
            limits: Limits::default(),
        };
        change(&mut settings);
        let server = Server::start(store, settings).unwrap();
        let (addresses, stopper) = (server.addresses().clone(), server.stopper());
        let running = Some(std::thread::spawn(move || server.run()));
        Self { dir, addresses, stopper, running }
    }

    pub(crate) fn folder(&self) -> Folder {
        Folder::new(self.dir.path().join("ca"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Commits `count` rows while the service runs, as `certadm ca issue` does from another process.
    pub(crate) fn commit_rows(&self, count: usize) {
        let mut writer = certadm_store::Writer::open(&self.folder()).unwrap();
        let text = "x".repeat(2000);
        for _ in 0..count {
            writer
                .commit(|transaction| {
                    transaction.execute(
                        "INSERT INTO Requests (Disposition, DispositionMessage) VALUES (31, ?1)",
                        [&text],
                    )?;
                    Ok::<_, certadm_store::Error>(())
                })
                .unwrap();
        }
    }

    /// Waits for the service to stop by itself.
    pub(crate) fn wait(&mut self) -> Stopped {
        self.running.take().unwrap().join().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(running) = self.running.take() {
            let stopped = running.join();
            if !std::thread::panicking() {
                let stopped = stopped.unwrap();
                assert!(stopped.all_left && stopped.close_error.is_none(), "{stopped:?}");
            }
        }
    }
}

/// The rows of a CA's folder that nobody serves.
pub(crate) fn rows(folder: &Folder) -> usize {
    let store = Store::open(folder, Options::default()).unwrap();
    let writer = store.writer().unwrap();
    let count: i64 =
        writer.connection().query_row("SELECT count(*) FROM Requests", [], |row| row.get(0)).unwrap();
    usize::try_from(count).unwrap()
}
