//! A package for Debian, by `dpkg-deb`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::{Package, Run, VERSION, c_library};
use crate::failure::{Context, Result};
use crate::process;
use crate::tree::Tree;
use crate::workspace::files_below;

/// Debian's number for the package of one version of ours.
pub(super) const REVISION: &str = "1";

/// Builds it into the folder of packages.
pub(super) fn build(run: &Run<'_>, package: &Package) -> Result<()> {
    build_as(run, package, REVISION, &run.out).map(drop)
}

/// The same with another revision, as a later version would have it. Returns the file.
pub(super) fn build_as(run: &Run<'_>, package: &Package, revision: &str, out: &Path) -> Result<PathBuf> {
    let tree = Tree { root: &package.root };
    let architecture = process::output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    tree.write("DEBIAN/control", control(package, architecture, revision)?)?;
    if package.name == "certadm" {
        for name in ["postinst", "prerm", "postrm"] {
            tree.script(&format!("DEBIAN/{name}"), &run.workspace.read(&format!("dist/debian/{name}"))?)?;
        }
    }
    if package.name == "libcertadm1" {
        tree.write("DEBIAN/triggers", "activate-noawait ldconfig\n")?;
    }
    let file = out.join(format!("{}_{VERSION}-{revision}_{architecture}.deb", package.name));
    let mut build = Command::new("dpkg-deb");
    build.env("SOURCE_DATE_EPOCH", &run.epoch).args(["--root-owner-group", "-Zxz", "--build"]);
    process::run(build.arg(&package.root).arg(&file))?;
    fs::remove_dir_all(package.root.join("DEBIAN")).context("cannot remove the control files")?;
    Ok(file)
}

fn control(package: &Package, architecture: &str, revision: &str) -> Result<String> {
    let usr = package.root.join("usr");
    let mut needs: Vec<String> =
        package.needs.iter().map(|name| format!("{name} (= {VERSION}-{revision})")).collect();
    for program in ["bin/certadm".into(), library_of(&usr)?].iter().map(|place: &PathBuf| usr.join(place)) {
        if program.is_file() {
            needs.extend(c_library(&program)?.map(|version| format!("libc6 (>= {version})")));
            needs.push("libgcc-s1".to_owned());
        }
    }
    if package.name == "certadm" {
        needs.push("passwd".to_owned());
    }
    let needs = if needs.is_empty() { String::new() } else { format!("Depends: {}\n", needs.join(", ")) };
    let kilobytes = process::output(Command::new("du").args(["-sk", "--apparent-size"]).arg(&usr))?;
    let kilobytes = kilobytes.split_whitespace().next().unwrap_or("0").to_owned();
    let description: String = package.description.lines().map(|line| format!(" {}\n", line.trim())).collect();
    Ok(format!(
        "Package: {}\nVersion: {VERSION}-{revision}\nArchitecture: {architecture}\nMaintainer: The certadm project <certadm@example.invalid>\n\
         Section: {}\nPriority: optional\nInstalled-Size: {kilobytes}\n{needs}Description: {}\n{description}",
        package.name, package.section, package.summary
    ))
}

/// The shared library of a package, relative to `usr`; a path that leads nowhere where there is none.
fn library_of(usr: &Path) -> Result<PathBuf> {
    let lib = usr.join("lib");
    if !lib.is_dir() {
        return Ok(PathBuf::from("none"));
    }
    let found = files_below(&lib, &["1"])?;
    Ok(found.into_iter().next().unwrap_or_else(|| PathBuf::from("none")))
}
