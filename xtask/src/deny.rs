//! cargo-deny: licences, bans and sources of both workspaces by `deny.toml`, and the advisories where their database can
//! be had.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::journal::Outcome;
use crate::process;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// The version that is used, whatever else is installed.
const VERSION: &str = "0.20.2";

const MANIFESTS: &[&str] = &["Cargo.toml", "fuzz/Cargo.toml"];

/// Whether cargo-deny may use the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Used,
    Unused,
}

/// Checks licences, bans and sources. Installs cargo-deny first when it is missing.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let program = program(workspace)?;
    for manifest in MANIFESTS {
        let mut command = deny(&program, workspace, manifest, Network::Unused);
        process::run(command.args(["check", "licenses", "bans", "sources"]))?;
    }
    Ok(())
}

/// Checks for known vulnerabilities. Counts as skipped where the database of advisories cannot be had.
pub(crate) fn advisories(workspace: &Workspace) -> Result<Outcome> {
    let program = program(workspace)?;
    let mut fetch = deny(&program, workspace, "Cargo.toml", Network::Used);
    if !process::succeeds(fetch.args(["fetch", "db"])) {
        println!("skipped: the database of advisories cannot be had from here");
        return Ok((Tally { skipped: 1, ..Tally::default() }, Ok(())));
    }
    for manifest in MANIFESTS {
        let mut command = deny(&program, workspace, manifest, Network::Unused);
        process::run(command.args(["check", "advisories"]))?;
    }
    Ok((Tally::ONE_PASSED, Ok(())))
}

fn deny(program: &Path, workspace: &Workspace, manifest: &str, network: Network) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace.path("")).arg("--locked").args(["--config", "deny.toml"]);
    if network == Network::Unused {
        command.arg("--offline");
    }
    command.args(["--manifest-path", manifest]);
    command
}

/// cargo-deny, the one on the search path if it is of the right version, or else the one in the target folder, where it
/// is installed once.
fn program(workspace: &Workspace) -> Result<PathBuf> {
    let on_path = PathBuf::from("cargo-deny");
    if is_right(&on_path) {
        return Ok(on_path);
    }
    let tools = workspace.target().join("tools");
    let own = tools.join("bin/cargo-deny");
    if !is_right(&own) {
        println!("installing cargo-deny {VERSION}, which takes some minutes");
        let mut cargo = workspace.cargo(&["install", "cargo-deny", "--version", VERSION, "--locked"]);
        process::run(cargo.arg("--force").arg("--root").arg(&tools))?;
    }
    Ok(own)
}

fn is_right(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == format!("cargo-deny {VERSION}").as_bytes())
}
