//! What is packaged, and where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// What packages are called after.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Small programs (`Cargo.toml` says how).
pub(super) const PROFILE: &str = "dist";

/// One package: its name, what it is for, and the tree of its files.
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// In sentences, each on a line.
    pub(super) description: &'static str,
    /// Other packages of ours that it needs.
    pub(super) needs: &'static [&'static str],
    /// The section of Debian's archive that it would be in.
    pub(super) section: &'static str,
    pub(super) root: PathBuf,
}

/// Where things of this run are.
pub(super) struct Run<'a> {
    pub(super) workspace: &'a Workspace,
    /// Everything of packages.
    pub(super) folder: PathBuf,
    pub(super) out: PathBuf,
    /// Seconds since 1970 of the last commit.
    pub(super) epoch: String,
}

#[cfg(test)]
impl<'a> Run<'a> {
    /// One of a test, with a folder of its own, which the test removes.
    pub(super) fn of_test(workspace: &'a Workspace, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("certadm-{name}-{}", std::process::id()));
        Run { workspace, out: folder.join("out"), folder, epoch: "1700000000".to_owned() }
    }
}

/// Whom the files of an archive belong to: `USER:GROUP`.
#[derive(Clone, Copy)]
pub(super) struct Owner(pub(super) &'static str);

impl Owner {
    pub(super) const ROOT: Self = Self("0:0");
}

impl Run<'_> {
    /// Makes an archive, or adds to one: the same bytes each time, whoever makes it, wherever and whenever. `what` is relative to
    /// `root`.
    pub(super) fn tar(
        &self,
        to: &Path,
        root: &Path,
        owner: Owner,
        options: &[&str],
        what: &str,
    ) -> Result<()> {
        let (user, group) = owner.0.split_once(':').unwrap_or((owner.0, owner.0));
        let mut tar = Command::new("tar");
        tar.args(["--sort=name", "--format=gnu", "--numeric-owner"]).arg(format!("--mtime=@{}", self.epoch));
        tar.arg(format!("--owner={user}")).arg(format!("--group={group}")).args(options);
        process::run(tar.arg("--file").arg(to).arg("--directory").arg(root).arg(what))
    }

    /// An archive that unpacks into a folder of its name.
    pub(super) fn pack(&self, root: &Path, name: &str) -> Result<()> {
        let transform = format!("--transform=s,^\\.,{name},");
        let options =
            ["--create", "--use-compress-program=gzip -9 -n", "--mode=u=rwX,go=rX", transform.as_str()];
        self.tar(&self.out.join(format!("{name}.tar.gz")), root, Owner::ROOT, &options, ".")
    }
}

/// An empty folder.
pub(super) fn fresh(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context(format_args!("cannot remove {}", folder.display()));
        }
        _ => {}
    }
    fs::create_dir_all(folder).context(format_args!("cannot create {}", folder.display()))
}

/// Fails with the names of files that two lists of checksums tell apart.
pub(super) fn equal(first: &str, second: &str) -> Result<()> {
    let (one, other): (BTreeSet<&str>, BTreeSet<&str>) = (first.lines().collect(), second.lines().collect());
    let names: BTreeSet<&str> =
        one.symmetric_difference(&other).filter_map(|line| line.split_whitespace().last()).collect();
    if names.is_empty() {
        println!("made twice, {} files are equal", one.len());
        return Ok(());
    }
    Err(Failure::new(format!("made twice, these files differ: {names:?}")))
}

/// The newest version of the C library that a program or library asks for: `2.34`.
pub(super) fn c_library(program: &Path) -> Result<Option<String>> {
    let symbols = process::output(Command::new("objdump").arg("-T").arg(program))?;
    Ok(newest(&symbols, "GLIBC_"))
}

fn newest(symbols: &str, prefix: &str) -> Option<String> {
    let versions = symbols.split(prefix).skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_ascii_digit() && letter != '.').next().unwrap_or_default()
    });
    let numbers =
        |version: &str| version.split('.').map(|number| number.parse().unwrap_or(0)).collect::<Vec<u32>>();
    versions.filter(|version| !version.is_empty()).max_by_key(|version| numbers(version)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_no_matter_of_letters() {
        let symbols =
            "0 DF *UND* 0 (GLIBC_2.9) read\n0 DF *UND* 0 (GLIBC_2.34) x\n0 DF *UND* 0 (GLIBC_2.2.5) y\n";
        assert_eq!(newest(symbols, "GLIBC_").as_deref(), Some("2.34"));
        assert_eq!(newest("nothing", "GLIBC_"), None);
    }

    #[test]
    fn the_library_has_the_number_of_its_package() {
        assert_eq!(crate::library::SONAME, "libcertadm.so.1");
    }

    #[test]
    fn files_that_differ_are_named() {
        assert!(equal("1  a.deb\n2  b.rpm\n", "1  a.deb\n2  b.rpm\n").is_ok());
        let said = equal("1  a.deb\n2  b.rpm\n4  d.zip\n", "1  a.deb\n3  b.rpm\n").unwrap_err().to_string();
        assert_eq!(said, r#"made twice, these files differ: {"b.rpm", "d.zip"}"#);
    }
}
