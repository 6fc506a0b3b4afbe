//! The two lock files: `fuzz/` is a workspace of its own, and must fuzz the same versions that are shipped.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::failure::{Context, Failure, Result};
use crate::workspace::Workspace;

const REMEDY: &str = "run `cargo xtask lock` and commit fuzz/Cargo.lock";

/// Checks that both lock files are complete and agree, and downloads the sources that they name.
pub(crate) fn fetch(workspace: &Workspace) -> Result<()> {
    workspace.run_cargo(&["fetch", "--locked"])?;
    workspace
        .run_cargo(&["fetch", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
        .map_err(|failure| Failure::new(format!("{failure}; if the lock file is out of date, {REMEDY}")))?;
    let differing = disagreements(&workspace.read("Cargo.lock")?, &workspace.read("fuzz/Cargo.lock")?)?;
    if differing.is_empty() {
        println!("sources: fetched; both lock files agree");
        return Ok(());
    }
    Err(Failure::new(format!("fuzz/Cargo.lock has {}, unlike Cargo.lock; {REMEDY}", differing.join(", "))))
}

/// Makes `fuzz/Cargo.lock` anew from `Cargo.lock`: cargo keeps the versions that it finds, drops the packages that
/// `fuzz` does not use and adds the few that only `fuzz` uses.
pub(crate) fn align(workspace: &Workspace) -> Result<()> {
    let lock = workspace.read("Cargo.lock")?;
    std::fs::write(workspace.path("fuzz/Cargo.lock"), lock).context("cannot write fuzz/Cargo.lock")?;
    workspace.run_cargo(&["fetch", "--manifest-path", "fuzz/Cargo.toml"])?;
    fetch(workspace)
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Locked>,
}

/// A package of a lock file.
#[derive(Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// The packages of a lock file with this text.
pub(crate) fn packages(text: &str) -> std::result::Result<Vec<Locked>, toml::de::Error> {
    Ok(toml::from_str::<LockFile>(text)?.package)
}

/// Packages of `other` that `main` has too, but not in that version: `name version`.
fn disagreements(main: &str, other: &str) -> Result<Vec<String>> {
    let main = packages(main).context("cannot understand Cargo.lock")?;
    let other = packages(other).context("cannot understand fuzz/Cargo.lock")?;
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for package in &main {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let differs = |package: &&Locked| {
        versions.get(package.name.as_str()).is_some_and(|known| !known.contains(package.version.as_str()))
    };
    let differing = other.iter().filter(differs);
    Ok(differing.map(|package| format!("{} {}", package.name, package.version)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        let packages = packages
            .iter()
            .map(|(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n"));
        format!("version = 4\n{}", packages.collect::<String>())
    }

    #[test]
    fn only_shared_packages_are_compared() {
        let main = lock(&[("pkcs1", "0.8.0-rc.4"), ("rand", "0.8.5"), ("rand", "0.10.1"), ("clap", "4.6.0")]);
        let same = lock(&[("pkcs1", "0.8.0-rc.4"), ("rand", "0.10.1"), ("libfuzzer-sys", "0.4.10")]);
        assert_eq!(disagreements(&main, &same).unwrap(), [""; 0]);
        let other = lock(&[("pkcs1", "0.8.0"), ("rand", "0.9.0"), ("clap", "4.6.0")]);
        assert_eq!(disagreements(&main, &other).unwrap(), ["pkcs1 0.8.0", "rand 0.9.0"]);
    }
}
