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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::Workspace;

    /// The order of files and their times are no matter of when and how they were made.
    #[test]
    fn an_archive_is_always_the_same() {
        if ["zip", "unzip"].iter().any(|tool| Command::new(tool).arg("-v").output().is_err()) {
            println!("skipped: zip or unzip is not installed");
            return;
        }
        let workspace = Workspace::load().unwrap();
        let run = Run::of_test(&workspace, "zip");
        let folder = &run.folder;
        let make = |names: [&str; 2]| {
            let stage = folder.join("stage");
            fresh(&run.out).unwrap();
            fresh(&stage.join(name())).unwrap();
            for file in names {
                fs::write(stage.join(name()).join(file), file.repeat(100)).unwrap();
            }
            zip(&run, &stage, &run.out.join("made.zip")).unwrap();
            fs::read(run.out.join("made.zip")).unwrap()
        };
        let first = make(["a.txt", "b.txt"]);
        assert!(first == make(["b.txt", "a.txt"]));
        let listed = process::output(Command::new("unzip").arg("-Z1").arg(run.out.join("made.zip"))).unwrap();
        assert_eq!(listed, format!("{0}/a.txt\n{0}/b.txt\n", name()));
        fs::remove_dir_all(folder).unwrap();
    }

    /// A PowerShell script has the ends of lines that Windows' editors write.
    #[test]
    fn what_is_packed_is_there() {
        let workspace = Workspace::load().unwrap();
        for (from, _) in DOCUMENTS {
            assert!(workspace.path(from).is_file(), "{from}");
        }
        let script = workspace.read("dist/windows/service.ps1").unwrap();
        assert!(
            script.lines().count() > 20 && script.matches('\n').count() == script.matches("\r\n").count()
        );
    }
}
