//! Cargo's own tools from crates.io, of one version, whatever else is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::process::{self, Beside};
use crate::workspace::Workspace;

/// A tool and the version that is used.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The arguments with which it says its name and version.
    pub(crate) asks_version: &'static [&'static str],
}

/// Settings for a build that takes less time than the tool then needs more: it works for seconds, and its own settings ask for the
/// smallest program, whatever that takes to build.
const SOON_READY: &[&str] =
    &["profile.release.lto=\"off\"", "profile.release.codegen-units=16", "profile.release.opt-level=0"];

/// The tool on the search path if it is of the right version, or else the one in the target folder, where it is installed
/// once.
pub(crate) fn find(workspace: &Workspace, tool: &Tool) -> Result<PathBuf> {
    if let Some(path) = there(workspace, tool) {
        return Ok(path);
    }
    println!("installing {} {}, which takes some minutes", tool.name, tool.version);
    process::run(&mut installation(workspace, tool))?;
    Ok(own(workspace, tool))
}

/// Installs the tool beside its caller, where it is not there yet.
pub(crate) fn beside(workspace: &Workspace, tool: &Tool) -> Option<Result<Beside>> {
    there(workspace, tool).is_none().then(|| Beside::start(&mut installation(workspace, tool)))
}

fn there(workspace: &Workspace, tool: &Tool) -> Option<PathBuf> {
    [search(tool.name), Some(own(workspace, tool))].into_iter().flatten().find(|path| is_right(path, tool))
}

fn own(workspace: &Workspace, tool: &Tool) -> PathBuf {
    folder(workspace).join("bin").join(tool.name)
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target().join("tools")
}

fn installation(workspace: &Workspace, tool: &Tool) -> Command {
    let mut cargo =
        workspace.cargo(&["install", tool.name, "--version", tool.version, "--locked", "--force"]);
    cargo.args(SOON_READY.iter().flat_map(|setting| ["--config", *setting]));
    cargo.arg("--root").arg(folder(workspace));
    cargo
}

/// Its place, since compilers are told of one.
fn search(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_right(program: &Path, tool: &Tool) -> bool {
    let output = Command::new(program).args(tool.asks_version).output();
    let wanted = format!("{} {}", tool.name, tool.version);
    output.is_ok_and(|output| output.stdout.trim_ascii() == wanted.as_bytes())
}
