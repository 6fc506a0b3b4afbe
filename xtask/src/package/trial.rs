//! The packages tried out in a system of their own: a fresh Debian in a folder, installed, used, upgraded, removed, purged.
//!
//! The folder has no systemd that runs. What needs one, such as the restart of services, is for a real machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::debian;
use super::plan::{Package, Run, VERSION};
use crate::failure::{Context, Failure, Result};
use crate::process;

/// The release of Debian that is tried.
const RELEASE: &str = "bookworm";
/// What a minimal system does not have, and the examples in C need.
const COMPILER: &str = "gcc,libc6-dev,pkg-config";

/// A program that uses the library.
const USES: &str = "#include <certbcli.h>\nint main(void) { CertSrvBackupFree(0); return 0; }\n";

/// A drill that takes seconds.
const DRILL: &str = "certadm drill --size 4MiB --within /var/lib/certadm";

/// The system, unpacked anew from the one that was made first.
struct System {
    root: PathBuf,
}

/// Runs everything, and removes the system.
pub(super) fn run(run: &Run<'_>, command: &Package) -> Result<()> {
    let system = System::make(run)?;
    let result = system.walk(run, command);
    system.remove()?;
    result
}

impl System {
    fn make(run: &Run<'_>) -> Result<Self> {
        let (kept, root) = (run.folder.join("debian.tar"), run.folder.join("debian"));
        let system = Self { root };
        system.remove()?;
        if !kept.is_file() {
            let mut bootstrap = Command::new("debootstrap");
            bootstrap.args(["--variant=minbase", &format!("--include={COMPILER}"), RELEASE]);
            process::run(bootstrap.arg(&system.root))?;
            let mut keep = Command::new("tar");
            process::run(
                keep.arg("--create").arg("--file").arg(&kept).arg("--directory").arg(&system.root).arg("."),
            )?;
        } else {
            fs::create_dir_all(&system.root).context("cannot create the folder of the system")?;
            let mut unpack = Command::new("tar");
            process::run(
                unpack.arg("--extract").arg("--file").arg(&kept).arg("--directory").arg(&system.root),
            )?;
        }
        Ok(system)
    }

    fn walk(&self, run: &Run<'_>, command: &Package) -> Result<()> {
        self.give(&run.out)?;
        self.root("cd /packages && apt-get install -y --no-install-recommends ./certadm_*.deb ./libcertadm1_*.deb ./libcertadm-dev_*.deb")?;
        self.certadm("certadm --version && test \"$(stat -c %a /var/lib/certadm)\" = 700")?;
        self.certadm(DRILL)?;
        self.root("man_pages=$(ls /usr/share/man/man1/certadm*.1.gz | wc -l); test \"$man_pages\" -ge 20")?;
        self.give_text("tmp/uses.c", USES)?;
        self.root("cd /tmp && cc -o uses uses.c $(pkg-config --cflags --libs certadm) && ldd uses | grep -q libcertadm.so.1 && ./uses")?;
        self.root("cd /tmp && cc -o static uses.c -l:libcertadm.a -lm && ./static")?;
        // The examples look for the library themselves.
        self.root("cd /tmp && cc -o backup /usr/share/doc/certadm/examples/backup.c && ./backup 2>&1 | grep -q usage")?;
        self.certadm(
            "cd /var/lib/certadm && printf 'a long passphrase' > pass && chmod 600 pass && \
             certadm ca init --dir ca --name Example --passphrase-file pass && certadm backup --dir ca --to set",
        )?;
        self.upgrade(run, command)?;
        self.root("apt-get remove -y certadm && ! command -v certadm")?;
        self.root("apt-get purge -y certadm && test -f /var/lib/certadm/ca/ca.key && getent passwd certadm")?;
        Ok(())
    }

    /// A later version is installed while a service of the one before runs: it goes on, and its backup is good.
    fn upgrade(&self, run: &Run<'_>, command: &Package) -> Result<()> {
        debian::build_as(run, command, "2", &self.root.join("packages"))?;
        let socket = self.root.join("var/lib/certadm/ca.sock");
        let mut service = self.service(
            "certadm serve --dir /var/lib/certadm/ca --listen 127.0.0.1:0 --socket /var/lib/certadm/ca.sock",
        )?;
        let upgraded = (|| {
            wait_for(&socket, &mut service)?;
            self.root(&format!("cd /packages && apt-get install -y ./certadm_{VERSION}-2_*.deb"))?;
            self.certadm(
                "cd /var/lib/certadm && certadm backup --socket ca.sock --to set2 && certadm verify set2",
            )
        })();
        let stopped = process::run(Command::new("kill").arg(service.id().to_string()));
        service.wait().context("cannot wait for the service")?;
        upgraded.and(stopped)
    }

    fn give(&self, out: &Path) -> Result<()> {
        process::run(Command::new("cp").arg("-r").arg(out).arg(self.root.join("packages")))
    }

    fn give_text(&self, place: &str, text: &str) -> Result<()> {
        fs::write(self.root.join(place), text).context(format_args!("cannot write {place}"))
    }

    /// A line of a shell, as root of that system.
    fn root(&self, line: &str) -> Result<()> {
        println!("# {line}");
        process::run(self.enter(&[]).arg("sh").args(["-ec", line]))
    }

    /// A line of a shell, as the account of the services.
    fn certadm(&self, line: &str) -> Result<()> {
        println!("$ {line}");
        process::run(self.enter(&["--userspec=certadm:certadm"]).arg("sh").args(["-ec", line]))
    }

    fn service(&self, line: &str) -> Result<Child> {
        println!("$ {line} &");
        let mut command = self.enter(&["--userspec=certadm:certadm"]);
        command.args(["sh", "-ec", &format!("exec {line}")]).spawn().context("cannot start the service")
    }

    fn enter(&self, options: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.args(options).arg(&self.root).args([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/tmp",
        ]);
        command.arg("DEBIAN_FRONTEND=noninteractive");
        command
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(format_args!("cannot remove {}", self.root.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Waits until a service has made its socket.
fn wait_for(socket: &Path, service: &mut Child) -> Result<()> {
    for _ in 0..600 {
        if socket.exists() {
            return Ok(());
        }
        if let Ok(Some(status)) = service.try_wait() {
            return Err(Failure::new(format!("the service ended ({status})")));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(Failure::new("the service did not come up within a minute"))
}
