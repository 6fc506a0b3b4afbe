//! cargo-deny: licences, bans and sources of both workspaces by `deny.toml`, and the advisories where their database can
//! be had.

use std::path::Path;
use std::process::Command;

use crate::failure::Result;
use crate::journal::Outcome;
use crate::process::{self, Beside};
use crate::tally::Tally;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

const TOOL: Tool = Tool { name: "cargo-deny", version: "0.20.2", asks_version: &["--version"] };

const MANIFESTS: &[&str] = &["Cargo.toml", "fuzz/Cargo.toml"];

/// Whether cargo-deny may use the network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Used,
    Unused,
}

/// Installs cargo-deny beside its caller when it is missing.
pub(crate) fn beside(workspace: &Workspace) -> Option<Result<Beside>> {
    tools::beside(workspace, &TOOL)
}

/// Checks licences, bans and sources. Installs cargo-deny first when it is missing.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let program = tools::find(workspace, &TOOL)?;
    for manifest in MANIFESTS {
        let mut command = deny(&program, workspace, manifest, Network::Unused);
        process::run(command.args(["check", "licenses", "bans", "sources"]))?;
    }
    Ok(())
}

/// Checks for known vulnerabilities. Counts as skipped where the database of advisories cannot be had.
pub(crate) fn advisories(workspace: &Workspace) -> Result<Outcome> {
    let program = tools::find(workspace, &TOOL)?;
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
