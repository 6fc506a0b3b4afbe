//! `package`: what is handed out, in `target/package/out`: packages for Debian and for RPM, an archive with the static command for
//! other Linux systems, an image for containers, an archive for Windows, the list of what is in them, and checksums.
//!
//! Made twice, the files are equal: paths are left out of programs, and every time is that of the last commit
//! (`SOURCE_DATE_EPOCH`, which the builders of packages know).

mod debian;
mod image;
mod musl;
mod notices;
mod plan;
mod rpm;
mod trial;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plan::{PROFILE, Package, Run, equal, fresh};

use crate::cross;
use crate::failure::{Context, Failure, Result};
use crate::install::Parts;
use crate::library;
use crate::process;
use crate::setup;
use crate::tree::{Symbols, Tree};
use crate::workspace::Workspace;

const DESCRIPTION: &str = "certadm takes online backups of Windows Certificate Services and of its own small certification\n\
     authority, verifies them, restores them, and rehearses the restore.";

/// What an installed command may weigh: what it weighs now, and a little. The goal is 16 MiB.
const LARGEST: u64 = 43 * 512 * 1024;

/// Makes everything, and once more from a clone of the last commit in another folder: the files have to be equal.
pub(crate) fn twice(workspace: &Workspace) -> Result<()> {
    let changed =
        Command::new("git").current_dir(workspace.path("")).args(["diff", "--quiet", "HEAD"]).status();
    if !changed.context("cannot start `git`")?.success() {
        return Err(Failure::new("commit your changes first: a clone has what is committed"));
    }
    run(workspace, false)?;
    let folder = workspace.target().join("package");
    let clone = folder.join("again");
    fresh(&clone)?;
    process::run(Command::new("git").args(["clone", "--quiet"]).arg(workspace.path("")).arg(&clone))?;
    let mut again = workspace.cargo(&["xtask", "package"]);
    process::run(again.current_dir(&clone).env("CARGO_TARGET_DIR", clone.join("target")))?;
    let sums = |folder: &Path| {
        fs::read_to_string(folder.join("out/SHA256SUMS")).context("cannot read the checksums")
    };
    equal(&sums(&folder)?, &sums(&clone.join("target/package"))?)?;
    fs::remove_dir_all(&clone).context(format_args!("cannot remove {}", clone.display()))
}

/// Builds everything, and with `try_out` installs the packages for Debian in a system of its own.
pub(crate) fn run(workspace: &Workspace, try_out: bool) -> Result<()> {
    setup::for_packages()?;
    let epoch = process::output(Command::new("git").current_dir(workspace.path("")).args([
        "log",
        "-1",
        "--format=%ct",
    ]))?;
    let folder = workspace.target().join("package");
    let run = Run { workspace, out: folder.join("out"), folder, epoch: epoch.trim().to_owned() };
    let built = run.build()?;
    let portable = musl::build(&run)?;
    let packages = run.make(&built, &portable)?;
    if try_out { trial::run(&run, &packages[0], || run.make(&built, &portable).map(drop)) } else { Ok(()) }
}

impl Run<'_> {
    /// Command and library without paths of this machine. Other flags than elsewhere need a target folder of their own.
    fn build(&self) -> Result<PathBuf> {
        let target = self.folder.join("build");
        let flags = cross::without_paths(self.workspace);
        let cargo = |arguments: &[&str]| {
            let mut cargo = self.workspace.cargo(arguments);
            cargo
                .arg("--target-dir")
                .arg(&target)
                .env("RUSTFLAGS", &flags)
                .env("SOURCE_DATE_EPOCH", &self.epoch);
            process::run(&mut cargo)
        };
        cargo(&["build", "--locked", "--profile", PROFILE, "--package", "certadm"])?;
        let built = target.join(PROFILE);
        library::build(self.workspace, PROFILE, &built, cargo)?;
        Ok(built)
    }

    /// Everything that is handed out, of what was built.
    fn make(&self, built: &Path, portable: &Path) -> Result<Vec<Package>> {
        fresh(&self.out)?;
        let packages = self.stage(built)?;
        let command = packages[0].root.join("usr/bin/certadm");
        let size = fs::metadata(&command).context("cannot look at the command")?.len();
        println!("the command has {size} bytes");
        if size > LARGEST {
            return Err(Failure::new(format!("the command has {size} bytes; it may have {LARGEST}")));
        }
        for package in &packages {
            debian::build(self, package)?;
            rpm::build(self, package)?;
        }
        let licences = notices::text(self.workspace, &musl::target(), &["/usr/share/doc/musl/copyright"])?;
        musl::archive(self, portable, &packages[0].root.join("usr"), &licences)?;
        image::build(self, portable, &licences)?;
        windows::build(self)?;
        fs::write(self.out.join("certadm.cdx.json"), notices::bill(self.workspace)?)
            .context("cannot write the bill of materials")?;
        self.checksums()?;
        println!("packages: {}", self.out.display());
        Ok(packages)
    }

    /// The files of each package, as they will lie below the root of a system.
    fn stage(&self, built: &Path) -> Result<Vec<Package>> {
        let triplet = process::output(Command::new("gcc").arg("-print-multiarch"))?;
        let libraries = format!("lib/{}", triplet.trim());
        let stage = self.folder.join("stage");
        fresh(&stage)?;
        let parts = Parts {
            workspace: self.workspace,
            built,
            symbols: Symbols::Left,
            prefix: Path::new("/usr"),
            libraries: &libraries,
        };
        let package = |name: &'static str, summary, description, needs, section| Package {
            name,
            summary,
            description,
            needs,
            section,
            root: stage.join(name),
        };
        let packages = vec![
            package("certadm", "backup and restore of certification authorities", DESCRIPTION, &[], "admin"),
            package(
                "libcertadm1",
                "functions of certbcli.h: backup and restore of certification authorities",
                "The functions CertSrvBackup... and CertSrvRestore... as Windows has them in Certadm.dll.",
                &[],
                "libs",
            ),
            package(
                "libcertadm-dev",
                "files for building programs with libcertadm",
                "Header, static library, pkg-config file and examples.",
                &["libcertadm1"],
                "libdevel",
            ),
        ];
        let usr = |package: &Package| package.root.join("usr");
        let [command, library, development] = packages.as_slice() else {
            return Err(Failure::new("there are three packages"));
        };
        parts.command(&Tree { root: &usr(command) })?;
        self.of_system(&Tree { root: &usr(command) })?;
        parts.library(&Tree { root: &usr(library) })?;
        parts.development(&Tree { root: &usr(development) })?;
        let static_library = Tree { root: &usr(development) }
            .copy(&built.join("libcertadm.a"), &format!("{libraries}/libcertadm.a"))?;
        process::run(
            Command::new("objcopy")
                .arg("--strip-debug")
                .arg("--enable-deterministic-archives")
                .arg(&static_library),
        )?;
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let notices = notices::text(self.workspace, &host, &[])?;
        for package in &packages {
            let tree = Tree { root: &usr(package) };
            tree.write(&format!("share/doc/{}/copyright", package.name), &notices)?;
            let changes = self.workspace.read("CHANGELOG.md")?;
            let changes = tree.write(&format!("share/doc/{}/changelog", package.name), changes)?;
            process::run(Command::new("gzip").args(["-9", "-n"]).arg(&changes))?;
        }
        self.pages(command)?;
        Ok(packages)
    }

    /// What a system needs beside the files of an installation: the account of the service, and its folders.
    fn of_system(&self, tree: &Tree<'_>) -> Result<()> {
        for (file, place) in [
            ("certadm.sysusers", "lib/sysusers.d/certadm.conf"),
            ("certadm.tmpfiles", "lib/tmpfiles.d/certadm.conf"),
        ] {
            tree.copy(&self.workspace.path("dist/system").join(file), place)?;
        }
        for file in ["certadm-alerts.yml", "certadm-dashboard.json"] {
            let from = self.workspace.path("dist/monitoring").join(file);
            tree.copy(&from, &format!("share/certadm/monitoring/{file}"))?;
        }
        tree.copy(&self.workspace.path("dist/certadm.toml"), "share/doc/certadm/examples/certadm.toml")?;
        let documents = ["README.md", "SECURITY.md", "docs"];
        for document in documents {
            let from = self.workspace.path(document);
            let to = tree.folder("share/doc/certadm")?;
            process::run(Command::new("cp").args(["-r", "--no-preserve=ownership"]).arg(from).arg(to))?;
        }
        Ok(())
    }

    /// Manual pages are compressed, as Debian wants them.
    fn pages(&self, package: &Package) -> Result<()> {
        let manual = package.root.join("usr/share/man");
        process::run(
            Command::new("find").arg(manual).args(["-type", "f", "-exec", "gzip", "-9", "-n", "{}", "+"]),
        )
    }

    fn checksums(&self) -> Result<()> {
        let mut names: Vec<_> = fs::read_dir(&self.out)
            .context("cannot list the packages")?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<std::io::Result<_>>()
            .context("cannot list the packages")?;
        names.sort();
        let sums = process::output(Command::new("sha256sum").current_dir(&self.out).args(&names))?;
        print!("{sums}");
        fs::write(self.out.join("SHA256SUMS"), sums).context("cannot write SHA256SUMS")
    }
}
