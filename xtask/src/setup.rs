//! Set-up: what the suites need from Debian, PyPI and crates.io, installed if it is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process::Beside;
use crate::workspace::Workspace;
use crate::{lockfiles, process};

/// A Debian package and what shows that it, or another's build of the same, is there.
struct Need {
    package: &'static str,
    evidence: Evidence,
    purpose: &'static str,
}

/// What shows that a package is installed.
enum Evidence {
    /// A program on the search path.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// Python can import these modules.
    PythonModules(&'static str),
}

const NEEDS: &[Need] = &[
    Need::new("gcc", Evidence::Program("gcc"), "SQLite, the fault shim and the C callers"),
    Need::new("g++", Evidence::Program("g++"), "libFuzzer, and the C callers once more as C++"),
    Need::new(
        "mingw-w64-x86-64-dev",
        Evidence::File("/usr/x86_64-w64-mingw32/include/certbcli.h"),
        "the second opinion on the C header",
    ),
    Need::new("libc6-dev", Evidence::File("/usr/include/stdlib.h"), "everything in C"),
    Need::new("openssl", Evidence::Program("openssl"), "the second opinion on certificates and CRLs"),
    Need::new("openssh-client", Evidence::Program("ssh-keygen"), "the second opinion on signatures of sets"),
    Need::new("openssh-server", Evidence::File("/usr/sbin/sshd"), "vaults on another machine"),
    Need::new(
        "openssh-sftp-server",
        Evidence::File("/usr/lib/openssh/sftp-server"),
        "vaults on another machine, without a network",
    ),
    Need::new("sqlite3", Evidence::Program("sqlite3"), "the second opinion on databases"),
    Need::new("libesedb-utils", Evidence::Program("esedbexport"), "the second opinion on ESE databases"),
    Need::new("python3-venv", Evidence::PythonModules("ensurepip, venv"), "the Python peers"),
    Need::new("valgrind", Evidence::Program("valgrind"), "leak checks and instruction counts"),
    Need::new("tshark", Evidence::Program("tshark"), "the second opinion on captured sessions"),
    Need::new("samba", Evidence::File(SAMBA_RPC), "the second opinion on our client's RPC and NTLM"),
    Need::new("samba-common-bin", Evidence::Program("smbpasswd"), "accounts for Samba"),
    Need::new("gnutls-bin", Evidence::Program("certtool"), "a further opinion on CRLs"),
    Need::new("libnss3-tools", Evidence::Program("crlutil"), "a further opinion on CRLs"),
    Need::new("samba-ad-dc", Evidence::File(SAMBA_DC), "the second opinion on our Kerberos"),
    Need::new("samba-ad-provision", Evidence::File(SAMBA_SCHEMA), "making a domain for it"),
    Need::new("ldb-tools", Evidence::Program("ldbmodify"), "accounts with AES keys for it"),
    Need::new("python3-gssapi", Evidence::File(PYTHON_GSSAPI), "MIT's opinion on our Kerberos"),
    Need::new("krb5-user", Evidence::Program("kinit"), "credential caches as people have them"),
    Need::new("restic", Evidence::Program("restic"), "the second opinion on repositories, and a peer"),
    Need::new("rclone", Evidence::Program("rclone"), "a server that only appends, for repositories"),
    Need::new("borgbackup", Evidence::Program("borg"), "a peer of the benchmarks"),
    Need::new("smbclient", Evidence::Program("smbclient"), "a peer of the benchmarks"),
];

/// What `windows` needs beside it. The compiler is the one that Debian keeps for its browsers, newer than its own.
const WINDOWS_NEEDS: &[Need] = &[
    Need::new(
        "rustc-web",
        Evidence::File("/usr/bin/rustc"),
        "a compiler whose standard library is there as source",
    ),
    Need::new("cargo-web", Evidence::File("/usr/bin/cargo"), "a cargo that goes with it"),
    Need::new(
        "rust-web-src",
        Evidence::File("/usr/lib/rustlib/src/rust/library/std/Cargo.toml"),
        "the standard library as source",
    ),
    Need::new("gcc-mingw-w64-x86-64", Evidence::Program("x86_64-w64-mingw32-gcc"), "linking for Windows"),
    Need::new(
        "g++-mingw-w64-x86-64",
        Evidence::Program("x86_64-w64-mingw32-g++"),
        "the examples as C++ for Windows",
    ),
    Need::new(
        "mingw-w64-x86-64-dev",
        Evidence::File("/usr/x86_64-w64-mingw32/include/windows.h"),
        "the headers of Windows",
    ),
    Need::new("wine64", Evidence::File("/usr/lib/wine/wine64"), "running what was built for Windows"),
    Need::new("wine", Evidence::Program("wine"), "the command for it"),
];

/// What `package` needs beside it.
const PACKAGE_NEEDS: &[Need] = &[
    Need::new("binutils", Evidence::Program("objcopy"), "command and library without symbols"),
    Need::new("dpkg", Evidence::Program("dpkg-deb"), "packages for Debian"),
    Need::new("rpm", Evidence::Program("rpmbuild"), "packages for RPM"),
    Need::new("debootstrap", Evidence::Program("debootstrap"), "a fresh Debian to try the packages in"),
    Need::new("musl-tools", Evidence::Program("musl-gcc"), "the static command"),
    Need::new("zip", Evidence::Program("zip"), "the archive for Windows"),
    Need::new("unzip", Evidence::Program("unzip"), "trying that archive"),
    Need::new("umoci", Evidence::Program("umoci"), "the second opinion on the image for containers"),
];

/// Samba's host of RPC services, which is not on the search path.
const SAMBA_RPC: &str = "/usr/libexec/samba/samba-dcerpcd";

/// A package that only depends on others leaves nothing else behind.
const SAMBA_DC: &str = "/usr/share/doc/samba-ad-dc/copyright";

/// What MIT krb5 is called by; of Debian's own Python, whichever comes first on the search path.
const PYTHON_GSSAPI: &str = "/usr/lib/python3/dist-packages/gssapi/__init__.py";

/// What a new domain is made of.
const SAMBA_SCHEMA: &str = "/usr/share/samba/setup/provision.ldif";

/// apt-get without questions; another apt that holds the lock is waited for.
const APT_GET: &[&str] =
    &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"];

/// What the later steps learn from the set-up.
pub(crate) struct Installed {
    /// The interpreter with the Python peers; nothing when no suite asks for any.
    pub(crate) python: Option<PathBuf>,
    /// Azurite, Microsoft's emulator of Azure's storage, as a script for node; nothing where there is no node.
    pub(crate) azurite: Option<PathBuf>,
    /// Whether cargo-nextest is there.
    pub(crate) nextest: bool,
}

/// What the target folder takes after a run from nothing, in GiB, as measured.
const TARGET_GIB: u64 = 7;

/// Looks for everything the steps need, installs what is missing, and says so.
pub(crate) fn run(workspace: &Workspace) -> Result<Installed> {
    for_building(workspace)?;
    let python = python_environment(workspace)?;
    let azurite = node_peers(workspace)?;
    let nextest = has_tool(workspace, "nextest");
    println!(
        "test runner: {}",
        if nextest { "cargo nextest" } else { "cargo test (cargo-nextest is not installed; it need not be)" }
    );
    Ok(Installed { python, azurite, nextest })
}

/// The part of [`run`] that steps need which run no tests.
pub(crate) fn for_building(workspace: &Workspace) -> Result<()> {
    tell_room(workspace);
    debian_packages(NEEDS)?;
    lockfiles::fetch(workspace)
}

/// [`run`] in a process of its own that works beside its caller: installing peers waits for the network and for one processor.
pub(crate) fn beside() -> Result<Beside> {
    Beside::of_this_program(&["setup"])
}

/// Says how much room the disk has: a full one ends steps with errors that name anything but that.
fn tell_room(workspace: &Workspace) {
    let mut df = Command::new("df");
    df.args(["--output=avail", "--block-size=1G"]).arg(workspace.path(""));
    if let Some(free) = process::output(&mut df).ok().as_deref().and_then(free_of) {
        println!("disk: {free} GiB free; from nothing, the target folder grows to about {TARGET_GIB} GiB");
    }
}

/// The number below the heading of `df`.
fn free_of(said: &str) -> Option<u64> {
    said.lines().nth(1)?.trim().parse().ok()
}

/// Looks for what a build for Windows needs, installs what is missing, and says so.
pub(crate) fn for_windows() -> Result<()> {
    debian_packages(WINDOWS_NEEDS)
}

/// Looks for what packages are made with, installs what is missing, and says so.
pub(crate) fn for_packages() -> Result<()> {
    debian_packages(PACKAGE_NEEDS)?;
    debian_packages(WINDOWS_NEEDS)
}

impl Need {
    const fn new(package: &'static str, evidence: Evidence, purpose: &'static str) -> Self {
        Self { package, evidence, purpose }
    }

    fn is_met(&self) -> bool {
        match self.evidence {
            Evidence::Program(name) => on_path(name),
            Evidence::File(path) => Path::new(path).exists(),
            Evidence::PythonModules(names) => {
                process::succeeds(Command::new("python3").args(["-c", &format!("import {names}")]))
            }
        }
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn debian_packages(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        println!("Debian packages: all {} are there", needs.len());
        return Ok(());
    }
    for need in &missing {
        println!("missing: {} ({})", need.package, need.purpose);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let by_hand = format!("install {} and run this again", packages.join(" "));
    if !on_path("apt-get") {
        return Err(Failure::new(format!("this system has no apt-get; {by_hand}")));
    }
    let Some(as_root) = root_prefix() else {
        let command = format!("sudo apt-get install -y {}", packages.join(" "));
        return Err(Failure::new(format!("only root can install Debian packages; run `{command}`")));
    };
    println!("installing {}", packages.join(" "));
    let apt_get = |arguments: &[&str]| {
        let mut words = as_root.iter().chain(APT_GET);
        let mut command = Command::new(words.next().unwrap_or(&"env"));
        process::run(command.args(words).args(arguments))
    };
    apt_get(&["update"])?;
    // Nothing is removed for it, such as another compiler: then this fails, and whoever owns the machine decides.
    apt_get(&[&["install", "-y", "--no-install-recommends", "--no-remove"], packages.as_slice()].concat())?;
    match missing.iter().find(|need| !need.is_met()) {
        Some(need) => {
            Err(Failure::new(format!("{} is installed, but what it should bring is not there", need.package)))
        }
        None => Ok(()),
    }
}

/// What to put before a command so that it runs as root: nothing, `sudo`, or `None` when it cannot be done unasked.
fn root_prefix() -> Option<&'static [&'static str]> {
    let user = process::output(Command::new("id").arg("-u")).unwrap_or_default();
    if user.trim() == "0" {
        Some(&[])
    } else if on_path("sudo") && process::succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// A virtual environment with what the requirements files of the suites list. It is made anew when they change.
fn python_environment(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let files = requirements(workspace)?;
    if files.is_empty() {
        println!("Python peers: no suite asks for any");
        return Ok(None);
    }
    let folder = workspace.target().join("interop-venv");
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.stamp");
    let wanted = files
        .iter()
        .map(|file| std::fs::read_to_string(file).context(format_args!("cannot read {}", file.display())))
        .collect::<Result<String>>()?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && process::succeeds(Command::new(&python).arg("--version"))
    {
        println!("Python peers: already in {}", folder.display());
        return Ok(Some(python));
    }
    println!("Python peers: installing into {}", folder.display());
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for file in &files {
        pip.arg("--requirement").arg(file);
    }
    process::run(&mut pip)?;
    std::fs::write(&stamp, wanted).context(format_args!("cannot write {}", stamp.display()))?;
    Ok(Some(python))
}

/// What `tests/interop/package.json` lists, where node and npm are there: no Debian package is asked for, because what Debian has
/// of node differs much from release to release.
fn node_peers(workspace: &Workspace) -> Result<Option<PathBuf>> {
    if !on_path("node") || !on_path("npm") {
        println!("node peers: skipped, because this machine has no node with npm");
        return Ok(None);
    }
    let list = workspace.path("tests/interop/package.json");
    let wanted = std::fs::read_to_string(&list).context(format_args!("cannot read {}", list.display()))?;
    let folder = workspace.target().join("interop-node");
    let azurite = folder.join("node_modules/azurite/dist/src/blob/main.js");
    let stamp = folder.join("installed.stamp");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && azurite.is_file() {
        println!("node peers: already in {}", folder.display());
        return Ok(Some(azurite));
    }
    println!("node peers: installing into {}", folder.display());
    std::fs::create_dir_all(&folder).context(format_args!("cannot make {}", folder.display()))?;
    std::fs::write(folder.join("package.json"), &wanted).context("cannot write package.json")?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--ignore-scripts",
        "--silent",
        "--prefix",
    ]);
    process::run(npm.arg(&folder))?;
    std::fs::write(&stamp, wanted).context(format_args!("cannot write {}", stamp.display()))?;
    Ok(Some(azurite))
}

/// Every `tests/interop/requirements.txt`: of the system suites, and of single crates.
fn requirements(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let crates = workspace.path("crates");
    let mut files = vec![workspace.path("tests/interop/requirements.txt")];
    for entry in std::fs::read_dir(&crates).context("cannot list crates")? {
        let folder = entry.context("cannot list crates")?.path();
        files.push(folder.join("tests/interop/requirements.txt"));
    }
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn has_tool(workspace: &Workspace, tool: &str) -> bool {
    process::succeeds(&mut workspace.cargo(&[tool, "--version"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_the_number_below_the_heading() {
        assert_eq!(free_of(" Avail\n   42\n"), Some(42));
        assert_eq!(free_of("Avail\n"), None);
    }
}
