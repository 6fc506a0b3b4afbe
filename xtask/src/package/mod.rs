//! `package`: what is handed out, in `target/package/out`: packages for Debian and for RPM, an archive for other Linux systems,
//! the list of what is in them, and checksums.
//!
//! Packed twice from one build, the files are equal: paths are left out of programs, and every time is that of the last commit
//! (`SOURCE_DATE_EPOCH`, which the builders of packages know).

mod debian;
mod notices;
mod plan;
mod rpm;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plan::{Package, Run, VERSION, fresh};

use crate::failure::{Context, Failure, Result};
use crate::install::Parts;
use crate::process;
use crate::setup;
use crate::tree::{Symbols, Tree};
use crate::workspace::Workspace;

const DESCRIPTION: &str = "certadm takes online backups of Windows Certificate Services and of its own small certification\n\
     authority, verifies them, restores them, and rehearses the restore.";

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
    fresh(&run.out)?;
    let packages = run.stage(&built)?;
    for package in &packages {
        debian::build(&run, package)?;
        rpm::build(&run, package)?;
    }
    run.archive(&packages[0])?;
    fs::write(run.out.join("certadm.cdx.json"), notices::bill(workspace)?)
        .context("cannot write the bill of materials")?;
    run.checksums()?;
    println!("packages: {}", run.out.display());
    if try_out { trial::run(&run, &packages[0]) } else { Ok(()) }
}

impl Run<'_> {
    /// Command and library without paths of this machine. Other flags than elsewhere need a target folder of their own.
    fn build(&self) -> Result<PathBuf> {
        let target = self.folder.join("build");
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
        let mut flags = format!("--remap-path-prefix={}=/certadm", self.workspace.path("").display());
        if let Some(home) = home {
            flags += &format!(" --remap-path-prefix={}=/cargo", home.display());
        }
        let cargo = |arguments: &[&str]| {
            let mut cargo = self.workspace.cargo(arguments);
            cargo
                .arg("--target-dir")
                .arg(&target)
                .env("RUSTFLAGS", &flags)
                .env("SOURCE_DATE_EPOCH", &self.epoch);
            process::run(&mut cargo)
        };
        cargo(&["build", "--locked", "--release", "-p", "certadm", "-p", "certadm-ffi"])?;
        cargo(&["rustc", "--locked", "--release", "-p", "certadm-ffi", "--crate-type", "staticlib"])?;
        Ok(target.join("release"))
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
        let notices = notices::text(self.workspace)?;
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

    /// Command, unit, completions and pages for systems without a package.
    fn archive(&self, package: &Package) -> Result<()> {
        let name = format!("certadm-{VERSION}-linux-{}", std::env::consts::ARCH);
        let to = self.out.join(format!("{name}.tar.gz"));
        let mut tar = Command::new("tar");
        tar.args([
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--use-compress-program=gzip -9 -n",
        ]);
        tar.arg(format!("--mtime=@{}", self.epoch)).arg(format!("--transform=s,^\\.,{name},"));
        process::run(
            tar.arg("--create")
                .arg("--file")
                .arg(to)
                .arg("--directory")
                .arg(package.root.join("usr"))
                .arg("."),
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
