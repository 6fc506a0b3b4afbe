//! Building for other systems than this one, without rustup: Debian's own compiler builds the standard library from Debian's
//! sources. Its version differs from the workspace's, so it has target folders of its own.

use std::path::Path;
use std::process::Command;

use crate::workspace::{self, Workspace};

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";

/// What the cargo that runs this program tells its children, and Debian's must not hear.
const OTHER_TOOLCHAIN: &[&str] = &[
    "CARGO",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTUP_TOOLCHAIN",
    "RUSTDOC",
    "LD_LIBRARY_PATH",
];

/// Debian's cargo, which builds for `target` into `folder` and links by `linker`; what it builds is for the caller to add.
pub(crate) fn cargo(workspace: &Workspace, verb: &str, target: &str, folder: &Path, linker: &str) -> Command {
    let mut cargo = Command::new(CARGO);
    cargo.current_dir(workspace.path("")).args([verb, "--locked", "-Zbuild-std=std,panic_unwind"]);
    cargo.args(["--target", target, "--target-dir"]).arg(folder);
    for variable in OTHER_TOOLCHAIN {
        cargo.env_remove(variable);
    }
    workspace::forget_own_package(&mut cargo);
    cargo.env("RUSTC", RUSTC).env("RUSTC_BOOTSTRAP", "1");
    let target = target.to_ascii_uppercase().replace('-', "_");
    cargo.env(format!("CARGO_TARGET_{target}_LINKER"), linker);
    cargo
}

/// Flags that leave the folders of this machine out of what is built.
pub(crate) fn without_paths(workspace: &Workspace) -> String {
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
    let mut flags = format!("--remap-path-prefix={}=/certadm", workspace.path("").display());
    if let Some(home) = home {
        flags += &format!(" --remap-path-prefix={}=/cargo", home.display());
    }
    flags
}
