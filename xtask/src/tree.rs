//! A tree of files that is installed, or that a package is made of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Result};
use crate::process;

/// Names and line numbers for debuggers and profilers: most of what the linker writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbols {
    /// They stay in the target folder.
    Left,
    /// They go into a file beside the program, which the program names, so that debuggers find it.
    Beside,
}

/// The tree. Files of an earlier installation are replaced.
pub(crate) struct Tree<'a> {
    /// What the places of its files are relative to.
    pub(crate) root: &'a Path,
}

impl Tree<'_> {
    pub(crate) fn folder(&self, place: &str) -> Result<PathBuf> {
        let folder = self.root.join(place);
        fs::create_dir_all(&folder).context(format_args!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// A free place for a file: what was there is removed and not written over, since somebody may be running it.
    fn place(&self, place: &str) -> Result<PathBuf> {
        let path = self.root.join(place);
        if let Some((folder, _)) = place.rsplit_once('/') {
            self.folder(folder)?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(format_args!("cannot replace {}", path.display()))
            }
            _ => Ok(path),
        }
    }

    pub(crate) fn copy(&self, from: &Path, place: &str) -> Result<PathBuf> {
        let path = self.place(place)?;
        fs::copy(from, &path).context(format_args!("cannot copy {}", from.display()))?;
        Ok(path)
    }

    /// A program or library without its symbols.
    pub(crate) fn program(&self, from: &Path, place: &str, symbols: Symbols) -> Result<PathBuf> {
        let path = self.place(place)?;
        // What an earlier installation left would not fit.
        let debug = self.place(&format!("{place}.debug"))?;
        let mut strip = Command::new("objcopy");
        strip.arg("--strip-all");
        if symbols == Symbols::Beside {
            process::run(Command::new("objcopy").arg("--only-keep-debug").arg(from).arg(&debug))?;
            set_mode(&debug, 0o644)?;
            strip.arg(format!("--add-gnu-debuglink={}", debug.display()));
        }
        process::run(strip.arg(from).arg(&path))?;
        Ok(path)
    }

    pub(crate) fn write(&self, place: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.place(place)?;
        fs::write(&path, content).context(format_args!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A file that is run, such as the scripts of a package.
    pub(crate) fn script(&self, place: &str, content: &str) -> Result<()> {
        set_mode(&self.write(place, content)?, 0o755)
    }

    pub(crate) fn link(&self, target: &str, place: &str) -> Result<()> {
        let path = self.place(place)?;
        std::os::unix::fs::symlink(target, &path).context(format_args!("cannot create {}", path.display()))
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .context(format_args!("cannot change {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is installed is without symbols, and still runs; they are beside it where that was asked for.
    #[test]
    fn programs_are_installed_without_symbols() {
        if Command::new("objcopy").arg("--version").output().is_err() {
            println!("skipped: objcopy is not installed");
            return;
        }
        let root = std::env::temp_dir().join(format!("certadm strip {}", std::process::id()));
        let own = std::env::current_exe().unwrap();
        let len = |path: &Path| fs::metadata(path).unwrap().len();
        for symbols in [Symbols::Left, Symbols::Beside] {
            let path = Tree { root: &root }.program(&own, "bin/program", symbols).unwrap();
            assert!(len(&path) < len(&own) * 3 / 4, "{} of {} bytes", len(&path), len(&own));
            let listed = Command::new(&path).arg("--list").output().unwrap();
            assert!(listed.status.success() && !listed.stdout.is_empty());
            assert_eq!(root.join("bin/program.debug").exists(), symbols == Symbols::Beside);
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
