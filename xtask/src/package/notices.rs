//! What is in a package that is not ours: the licences of dependencies, and a bill of materials.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::plan::VERSION;
use crate::failure::{Context, Result};
use crate::process;
use crate::workspace::Workspace;

/// A dependency that is in command or library.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    licence: String,
    folder: PathBuf,
}

/// The parts of `cargo metadata` that are read here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    /// Nothing for what is ours.
    source: Option<String>,
}

/// Our licence, and those of what is linked into command and library for a target: each text once, with the packages that it is
/// of. `also` are files that Debian has, of what is linked beside crates.
pub(super) fn text(workspace: &Workspace, target: &str, also: &[&str]) -> Result<String> {
    let mut text = String::from(
        "certadm may be used under the MIT licence or the Apache licence, version 2.0, as you like.\n\
         What is linked into it stands below.\n",
    );
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        text += &format!("\n==== {name}\n\n{}", workspace.read(name)?);
    }
    text += "\n==== Dependencies\n\n";
    let dependencies = dependencies(workspace, target)?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for dependency in &dependencies {
        let Dependency { name, version, licence, folder } = dependency;
        text += &format!("{name} {version}: {licence}\n");
        for file in licence_files(folder)? {
            texts.entry(file).or_default().push(format!("{name} {version}"));
        }
    }
    for (licence, of) in texts {
        text += &format!("\n==== of {}\n\n{}\n", of.join(", "), licence.trim_end());
    }
    for file in also {
        let licence = fs::read_to_string(file).context(format_args!("cannot read {file}"))?;
        text += &format!("\n==== {file} of Debian\n\n{}\n", licence.trim_end());
    }
    Ok(text)
}

/// The dependencies in the format of CycloneDX 1.5, for programs that look for vulnerable ones.
pub(super) fn bill(workspace: &Workspace) -> Result<String> {
    let url = |name: &str, version: &str| format!("pkg:cargo/{name}@{version}");
    let components: Vec<_> = dependencies(workspace, "all")?
        .iter()
        .map(|Dependency { name, version, licence, .. }| {
            let reference = url(name, version);
            json!({
                "type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference,
                "licenses": [{ "expression": licence.replace('/', " OR ") }],
            })
        })
        .collect();
    let own = url("certadm", VERSION);
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": { "type": "application", "bom-ref": own, "name": "certadm", "version": VERSION, "purl": own } },
        "components": components,
    });
    serde_json::to_string_pretty(&bill).context("cannot write the bill of materials")
}

/// What is linked into command and library, sorted; for a target, or for `all` of them.
fn dependencies(workspace: &Workspace, target: &str) -> Result<BTreeSet<Dependency>> {
    let mut tree =
        workspace.cargo(&["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    tree.args(["--target", target]);
    let listed = process::output(tree.args(["--package", "certadm", "--package", "certadm-ffi"]))?;
    let linked: BTreeSet<(String, String)> = listed.lines().filter_map(named).collect();
    let json = process::output(&mut workspace.cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Metadata =
        serde_json::from_str(&json).context("cannot understand what `cargo metadata` wrote")?;
    let foreign = metadata.packages.into_iter().filter(|package| {
        package.source.is_some() && linked.contains(&(package.name.clone(), package.version.clone()))
    });
    Ok(foreign
        .map(|package| Dependency {
            folder: package.manifest_path.parent().map(Path::to_owned).unwrap_or_default(),
            name: package.name,
            version: package.version,
            licence: package.license.unwrap_or_default(),
        })
        .collect())
}

/// `aes v0.9.4 (*)` is the package aes of version 0.9.4.
fn named(line: &str) -> Option<(String, String)> {
    let (name, rest) = line.split_once(" v")?;
    let version = rest.split(' ').next()?;
    Some((name.to_owned(), version.to_owned()))
}

/// The texts that lie beside the source of a dependency, or in a folder there: what a crate brings in C has its own.
fn licence_files(folder: &Path) -> Result<Vec<String>> {
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .context(format_args!("cannot list {}", folder.display()))
    };
    let mut paths = list(folder)?;
    for inner in paths.clone().iter().filter(|path| path.is_dir()) {
        paths.extend(list(inner)?);
    }
    paths.retain(|path| {
        let name =
            path.file_name().map(|name| name.to_string_lossy().to_ascii_uppercase()).unwrap_or_default();
        path.is_file()
            && ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|begin| name.starts_with(begin))
    });
    paths.sort();
    Ok(paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .map(|text| text.replace("\r\n", "\n"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_tree_names_a_package() {
        let named = |line| named(line).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(named("aes v0.9.4 (*)").as_deref(), Some("aes 0.9.4"));
        assert_eq!(named("certadm v0.1.0 (/somewhere/crates/cli)").as_deref(), Some("certadm 0.1.0"));
        assert_eq!(named(""), None);
    }
}
