//! The licence check: every package of both lock files against the list in `deny.toml`.
//!
//! cargo-deny reads the same file and knows more, but has to be had from crates.io first; this check needs nothing.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::failure::{Context, Failure, Result};
use crate::spdx;
use crate::workspace::{Package, Workspace};

/// Checks the packages of the main workspace and of `fuzz`.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let config: Config =
        toml::from_str(&workspace.read("deny.toml")?).context("cannot understand deny.toml")?;
    let mut bad = BTreeSet::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let packages = workspace.metadata(&workspace.path(manifest), &["--locked"])?.packages;
        println!("{manifest}: {} packages", packages.len());
        bad.extend(packages.iter().filter_map(|package| objection(package, &config.licenses)));
    }
    for objection in &bad {
        println!("{objection}");
    }
    if !bad.is_empty() {
        return Err(Failure::new("the packages above may not be used; do without them, or change deny.toml"));
    }
    Ok(())
}

/// The part of deny.toml that is read here.
#[derive(Deserialize)]
struct Config {
    licenses: Licences,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// Licences that one package may have besides.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: BTreeSet<String>,
}

/// What speaks against a package, if anything.
fn objection(package: &Package, licences: &Licences) -> Option<String> {
    let Package { name, version, license } = package;
    let Some(expression) = license else {
        return Some(format!("{name} {version} states no licence"));
    };
    let mut allowed = licences.allow.clone();
    let exceptions = licences.exceptions.iter().filter(|exception| exception.package == *name);
    allowed.extend(exceptions.flat_map(|exception| exception.allow.clone()));
    match spdx::is_satisfied(expression, &allowed) {
        Some(true) => None,
        Some(false) => Some(format!("{name} {version} is under {expression}, which is not allowed")),
        None => Some(format!("{name} {version} states {expression:?}, which is no licence expression")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_holds_for_its_package_alone() {
        let text =
            "[licenses]\nallow = [\"MIT\"]\n[[licenses.exceptions]]\ncrate = \"one\"\nallow = [\"NCSA\"]\n";
        let config: Config = toml::from_str(text).unwrap();
        let package = |name: &str, license: Option<&str>| Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
        };
        let objects = |name, license| objection(&package(name, license), &config.licenses).is_some();
        assert!(!objects("one", Some("MIT AND NCSA")));
        assert!(objects("two", Some("MIT AND NCSA")));
        assert!(!objects("two", Some("MIT")));
        assert!(objects("two", Some("MIT MIT")));
        assert!(objects("two", None));
    }
}
