//! The `certadm` command as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The `certadm` binary: `CERTADM_BIN`, which `cargo xtask test` sets, or the one that cargo builds, now, into the target
/// folder of the driver `near`.
///
/// # Panics
/// When cargo cannot build it.
pub fn binary(near: &str) -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(chosen) = std::env::var_os("CERTADM_BIN") {
            return PathBuf::from(chosen);
        }
        let profile_dir = Path::new(near).parent().expect("a binary lies in a folder");
        let target_dir = profile_dir.parent().expect("that of its profile, in the target folder");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .args(["build", "--quiet", "--package", "certadm", "--bin", "certadm", "--target-dir"])
            .arg(target_dir);
        if profile_dir.ends_with("release") {
            build.arg("--release");
        }
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().expect("cargo runs").success(), "certadm does not build");
        profile_dir.join("certadm")
    })
}

/// Runs a command to its end; its exit code and all it wrote, for messages.
///
/// # Panics
/// When it cannot be started or was killed.
pub fn outcome(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the command starts");
    let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (status.code().expect("the command ended by itself"), format!("{command:?}\n{text}"))
}
