//! Releases that are none: each package of the lock files whose version is a pre-release stands in SECURITY.md with the
//! reason why it is there.

use std::collections::BTreeSet;

use crate::failure::{Context, Failure, Result};
use crate::lockfiles::{Locked, packages};
use crate::workspace::Workspace;

const TOLD_IN: &str = "SECURITY.md";

/// Checks both lock files.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let told = workspace.read(TOLD_IN)?;
    let mut found = BTreeSet::new();
    for file in ["Cargo.lock", "fuzz/Cargo.lock"] {
        found.extend(prereleases(&workspace.read(file)?).context(format_args!("cannot understand {file}"))?);
    }
    let objections = objections(&found, &told);
    if objections.is_empty() {
        println!("pre-releases: {}, each with a reason in {TOLD_IN}", found.len());
        return Ok(());
    }
    Err(Failure::new(objections.join("; ")))
}

/// The pre-releases of a lock file: `name version`. What follows a plus is a note, and not a part of the version.
fn prereleases(lock: &str) -> std::result::Result<Vec<String>, toml::de::Error> {
    let is_prerelease =
        |package: &Locked| package.version.split('+').next().is_some_and(|version| version.contains('-'));
    let found = packages(lock)?.into_iter().filter(is_prerelease);
    Ok(found.map(|package| format!("{} {}", package.name, package.version)).collect())
}

/// What `told` lacks, and what it tells of that is not there: rows of a table that begin with the package in backticks.
fn objections(found: &BTreeSet<String>, told: &str) -> Vec<String> {
    let rows: BTreeSet<String> = told
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(package, _)| package.to_owned())
        .filter(|package| package.split_once(' ').is_some_and(|(_, version)| version.contains('-')))
        .collect();
    let missing = found.difference(&rows).map(|package| {
        format!("{package} is a pre-release: use a release, or say in the table of {TOLD_IN} why not")
    });
    let gone =
        rows.difference(found).map(|package| format!("{TOLD_IN} tells of {package}, which is not used"));
    missing.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_row_and_each_row_its_package() {
        let lock = "version = 4\n\
            [[package]]\nname = \"rsa\"\nversion = \"0.10.0-rc.18\"\n\
            [[package]]\nname = \"wasi\"\nversion = \"0.11.1+wasi-snapshot-preview1\"\n\
            [[package]]\nname = \"der\"\nversion = \"0.8.0\"\n";
        let found: BTreeSet<String> = prereleases(lock).unwrap().into_iter().collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), ["rsa 0.10.0-rc.18"]);
        assert!(objections(&found, "| `rsa 0.10.0-rc.18` | reasons |\n| `x` | y |\n").is_empty());
        assert!(objections(&found, "rsa 0.10.0-rc.18")[0].contains("is a pre-release"));
        let gone = "| `rsa 0.10.0-rc.18` | reasons |\n| `cms 0.3.0-pre.1` | reasons |\n";
        assert_eq!(objections(&found, gone), ["SECURITY.md tells of cms 0.3.0-pre.1, which is not used"]);
    }
}
