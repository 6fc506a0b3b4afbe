//! What is handed out, tried out: the packages in a fresh Debian in a folder, installed, used, upgraded, removed, purged; the static
//! command and the image where there is nothing else; the archive for Windows under Wine; and everything made once more.
//!
//! The fresh Debian has no systemd that runs. What needs one, such as the restart of services, is for a real machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::plan::{Package, Run, VERSION, equal, fresh};
use super::{debian, image, windows};
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

/// The jobs whose agent goes on during an upgrade.
const JOBS: &str = "[ca]\nexample = { dir = \"/var/lib/certadm/ca\", name = \"Example\" }\n\
    [job.often]\nca = \"all\"\nto = \"/var/lib/certadm/backup\"\nfull = \"daily 02:00\"\nlogs = \"every 1m\"\n";

/// Runs everything, and removes the system. `again` makes everything once more, of what was built.
pub(super) fn run(run: &Run<'_>, command: &Package, again: impl FnOnce() -> Result<()>) -> Result<()> {
    alone(run)?;
    contained(run)?;
    under_wine(run)?;
    let system = System::make(run)?;
    let result = system.walk(run, command);
    system.remove()?;
    result?;
    twice(run, again)
}

/// The static command in a folder that holds nothing else, not even a folder of devices.
fn alone(run: &Run<'_>) -> Result<()> {
    let root = run.folder.join("empty");
    fresh(&root)?;
    let name = format!("certadm-{VERSION}-linux-{}-static", std::env::consts::ARCH);
    process::run(
        Command::new("tar")
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(run.out.join(format!("{name}.tar.gz")))
            .arg("--directory")
            .arg(&root),
    )?;
    let place = root.join("work");
    fresh(&place)?;
    process::run(Command::new("chown").arg(image::ACCOUNT).arg(&place))?;
    drill(&root, "/bin/certadm", "/work")?;
    fs::remove_dir_all(&root).context(format_args!("cannot remove {}", root.display()))
}

/// The image, unpacked by another's program.
fn contained(run: &Run<'_>) -> Result<()> {
    let (layout, bundle) = (run.folder.join("image"), run.folder.join("image-unpacked"));
    fresh(&layout)?;
    fresh(&bundle)?;
    let mut unpack = Command::new("tar");
    process::run(
        unpack.arg("--extract").arg("--file").arg(image::file(run)).arg("--directory").arg(&layout),
    )?;
    let mut umoci = Command::new("umoci");
    process::run(
        umoci.args(["unpack", "--image"]).arg(format!("{}:{VERSION}", layout.display())).arg(&bundle),
    )?;
    let runtime = fs::read_to_string(bundle.join("config.json")).context("cannot read what umoci wrote")?;
    let runtime: serde_json::Value =
        serde_json::from_str(&runtime).context("cannot understand what umoci wrote")?;
    let process = &runtime["process"];
    if (process["user"]["uid"].as_u64(), process["args"][0].as_str())
        != (Some(65532), Some("/usr/bin/certadm"))
    {
        return Err(Failure::new(format!("the image would run {process}")));
    }
    drill(&bundle.join("rootfs"), "/usr/bin/certadm", "/var/lib/certadm")?;
    for folder in [&layout, &bundle] {
        fs::remove_dir_all(folder).context(format_args!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// A drill below another root, by an account that is not root.
fn drill(root: &Path, command: &str, within: &str) -> Result<()> {
    println!("$ {command} drill --size 4MiB --within {within}     # in {}", root.display());
    let mut chroot = Command::new("chroot");
    chroot.arg(format!("--userspec={}", image::ACCOUNT)).arg(root).arg(command).env_clear();
    // What starts the command still has to be found.
    chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    process::run(chroot.args(["drill", "--size", "4MiB", "--within", within]))
}

/// The tests under Wine, of what the archive unpacks to.
fn under_wine(run: &Run<'_>) -> Result<()> {
    let folder = run.folder.join("unzipped");
    fresh(&folder)?;
    let zip = run.out.join(format!("{}.zip", windows::name()));
    process::run(Command::new("unzip").arg("-q").arg(zip).arg("-d").arg(&folder))?;
    let (_, ended) = crate::windows::test(run.workspace, &folder.join(windows::name()))?;
    ended?;
    fs::remove_dir_all(&folder).context(format_args!("cannot remove {}", folder.display()))
}

/// Made once more, every file is equal.
fn twice(run: &Run<'_>, again: impl FnOnce() -> Result<()>) -> Result<()> {
    let sums = || fs::read_to_string(run.out.join("SHA256SUMS")).context("cannot read SHA256SUMS");
    let first = sums()?;
    again()?;
    equal(&first, &sums()?)
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
        self.root("readelf --version-info /tmp/uses | grep -q CERTADM_1.0")?;
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

    /// A later version is installed while a service and an agent of the one before run: both go on, and their backups are good.
    /// The one before is what an upgrade replaces, so it is the same program under a lower number.
    fn upgrade(&self, run: &Run<'_>, command: &Package) -> Result<()> {
        debian::build_as(run, command, "2", &self.root.join("packages"))?;
        let mut agent = self.agent()?;
        let upgraded = self.upgrade_service().and_then(|()| {
            let sets = self.sets();
            // A step that began before the upgrade may end after it: the second one is of the new version.
            self.wait_for_sets(sets + 2, &mut agent)?;
            // The backup through the service has truncated logs, so that the agent has taken a second full set.
            self.certadm("for set in /var/lib/certadm/backup/example/*-full; do certadm verify $set; done")
        });
        let stopped = process::run(Command::new("kill").arg(agent.id().to_string()));
        agent.wait().context("cannot wait for the agent")?;
        upgraded.and(stopped)
    }

    /// An agent that has taken its first set.
    fn agent(&self) -> Result<Child> {
        self.root("test -f /usr/share/certadm/monitoring/certadm-alerts.yml && test -f /usr/share/doc/certadm/examples/certadm.toml")?;
        self.give_text("etc/certadm.toml", JOBS)?;
        // A job makes no folder where a disk may be missing.
        self.certadm("mkdir /var/lib/certadm/backup")?;
        let mut agent = self.service("CERTADM_JOBS=/etc/certadm.toml certadm agent")?;
        self.wait_for_sets(1, &mut agent)?;
        Ok(agent)
    }

    /// How many sets the agent has taken.
    fn sets(&self) -> usize {
        fs::read_dir(self.root.join("var/lib/certadm/backup/example")).map_or(0, |entries| {
            entries.flatten().filter(|entry| entry.path().join("manifest.json").is_file()).count()
        })
    }

    fn wait_for_sets(&self, many: usize, agent: &mut Child) -> Result<()> {
        wait_until(600, agent, || self.sets() >= many)
    }

    fn upgrade_service(&self) -> Result<()> {
        let socket = self.root.join("var/lib/certadm/ca.sock");
        let mut service = self.service(
            "certadm serve --dir /var/lib/certadm/ca --listen 127.0.0.1:0 --socket /var/lib/certadm/ca.sock",
        )?;
        let upgraded = (|| {
            wait_until(60, &mut service, || socket.exists())?;
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

    /// A service, which sees `/proc` as it would on a machine, because it looks there for its own file. The mount is seen by nobody
    /// else and goes with the service, so that whoever removes the folder does not meet it.
    fn service(&self, line: &str) -> Result<Child> {
        println!("$ {line} &");
        let inside = self.enter(&["--userspec=certadm:certadm"]);
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec", "mount -t proc proc \"$0\"; exec \"$@\""])
            .arg(self.root.join("proc"));
        command.arg(inside.get_program()).args(inside.get_args());
        command.args(["sh", "-ec", &format!("exec env {line}")]).spawn().context("cannot start the service")
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

/// Waits until something is so that a running program brings about.
fn wait_until(seconds: u32, program: &mut Child, mut so: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..seconds * 10 {
        if so() {
            return Ok(());
        }
        if let Ok(Some(status)) = program.try_wait() {
            return Err(Failure::new(format!("what ran during the upgrade ended ({status})")));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Err(Failure::new(format!("what was waited for did not come within {seconds} s")))
}
