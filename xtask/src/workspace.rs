//! Where things are: the folders of this repository and what cargo knows about its packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::failure::{Context, Failure, Result};
use crate::process;

/// This repository.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// How the variables begin that cargo sets for a program that it runs, about that program's package.
const OWN_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// What `cargo metadata` says, as far as it is used here.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Every package that the lock file names, on any platform, or only the members with `--no-deps`.
    pub(crate) packages: Vec<Package>,
    target_directory: PathBuf,
}

/// One package.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The licence expression that it states.
    pub(crate) license: Option<String>,
}

impl Workspace {
    /// The repository that this program was built from.
    pub(crate) fn load() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or_else(|| Failure::new("xtask does not lie in a workspace"))?
            .to_owned();
        let mut workspace = Self { root, target: PathBuf::new() };
        let metadata = workspace.metadata(&workspace.root.join("Cargo.toml"), &["--no-deps"])?;
        workspace.target = metadata.target_directory;
        Ok(workspace)
    }

    /// A path of this repository, such as `fuzz/Cargo.toml`.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder of what is built.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The same cargo that runs this program, in the root folder.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(arguments);
        forget_own_package(&mut command);
        command
    }

    /// Runs cargo with its output on ours.
    pub(crate) fn run_cargo(&self, arguments: &[&str]) -> Result<()> {
        process::run(&mut self.cargo(arguments))
    }

    /// What cargo knows of a manifest's workspace, without the network.
    pub(crate) fn metadata(&self, manifest: &Path, arguments: &[&str]) -> Result<Metadata> {
        let mut cargo = self.cargo(&["metadata", "--format-version", "1", "--offline", "--manifest-path"]);
        let json = process::output(cargo.arg(manifest).args(arguments))?;
        serde_json::from_str(&json).context("cannot understand what `cargo metadata` wrote")
    }

    /// The text of one of the repository's files.
    pub(crate) fn read(&self, relative: &str) -> Result<String> {
        std::fs::read_to_string(self.path(relative)).context(format_args!("cannot read {relative}"))
    }
}

/// Keeps from a cargo what the cargo that runs this program has told it of its own package. A build script that asks for that, as ring's
/// does, would run again whenever somebody calls cargo by hand in between, and half of the workspace would be built again after it.
pub(crate) fn forget_own_package(cargo: &mut Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    let is_own = |name: &OsString| {
        name.to_str().is_some_and(|name| OWN_PACKAGE.iter().any(|prefix| name.starts_with(prefix)))
    };
    for name in names.filter(is_own) {
        cargo.env_remove(name);
    }
}

/// Every file below a folder whose name has one of these endings, sorted. What is hidden or built is left out.
///
/// # Errors
/// When a folder cannot be listed.
pub(crate) fn files_below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).context(format_args!("cannot list {}", folder.display()))? {
            let entry = entry.context(format_args!("cannot list {}", folder.display()))?;
            let (name, path) = (entry.file_name(), entry.path());
            if path.is_dir() {
                let name = name.to_string_lossy();
                if !name.starts_with('.') && name != "target" && !name.starts_with("target-") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
