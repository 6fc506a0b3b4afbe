//! The archive for Windows: command, library, import library, header, examples, a script that starts the service with the
//! machine, documents and licences.

use std::path::Path;
use std::process::{Command, Stdio};

use super::notices;
use super::plan::{Run, VERSION, fresh};
use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::tree::Tree;
use crate::windows;

/// Beside what `cargo xtask windows` leaves.
const DOCUMENTS: &[(&str, &str)] = &[
    ("README.md", "README.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("docs/windows.md", "windows.md"),
    ("docs/c-api.md", "c-api.md"),
    ("dist/windows/service.ps1", "service.ps1"),
];

/// What the archive and the folder in it are called.
pub(super) fn name() -> String {
    format!("certadm-{VERSION}-windows-x86_64")
}

/// Writes it into the folder of packages.
pub(super) fn build(run: &Run<'_>) -> Result<()> {
    let bundle = windows::release(run.workspace, &run.epoch)?;
    let stage = run.folder.join("stage").join("windows");
    let root = stage.join(name());
    fresh(&root)?;
    process::run(Command::new("cp").arg("-r").arg(bundle.join(".")).arg(&root))?;
    let tree = Tree { root: &root };
    for (from, to) in DOCUMENTS {
        tree.copy(&run.workspace.path(from), to)?;
    }
    let licences =
        notices::text(run.workspace, windows::TARGET, &["/usr/share/doc/mingw-w64-common/copyright"])?;
    tree.write("LICENCES.txt", licences)?;
    zip(run, &stage, &run.out.join(format!("{}.zip", name())))
}

/// Files in the order of their names, with one time.
fn zip(run: &Run<'_>, stage: &Path, to: &Path) -> Result<()> {
    let files = process::output(Command::new("find").current_dir(stage).args([&name(), "-type", "f"]))?;
    let mut files: Vec<&str> = files.lines().collect();
    files.sort_unstable();
    let mut touch = Command::new("touch");
    process::run(touch.current_dir(stage).arg(format!("--date=@{}", run.epoch)).args(&files))?;
    let mut zip = Command::new("zip");
    zip.current_dir(stage).env("TZ", "UTC").args(["-9", "-X", "-q"]).arg(to).args(&files);
    let status = zip.stdin(Stdio::null()).status().context("cannot start `zip`")?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`zip` failed ({status})"))) }
}
