//! `windows`: library and command for 64-bit Windows, built here with Debian's packages and tried out under Wine.
//!
//! Debian's own compiler builds (`cross.rs`), and mingw-w64 links.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cross;
use crate::failure::{Context, Failure, Result};
use crate::journal::{Journal, Outcome};
use crate::library;
use crate::process::Beside;
use crate::workspace::Workspace;
use crate::{process, setup, suites};

pub(crate) const TARGET: &str = "x86_64-pc-windows-gnu";
/// Where the tests find what was built.
const BUNDLE_VARIABLE: &str = "CERTADM_WINDOWS";
/// Where they find a Windows for it.
const PREFIX_VARIABLE: &str = "WINEPREFIX";

/// Packages that the workspace's manifest names as optimised in its dev profile.
const OPTIMISED_ELSEWHERE: &[&str] =
    &["certadm-auth", "certadm-ese", "certadm-files", "certadm-kerberos", "certadm-store", "zstd-sys"];

/// How to build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As it is handed out.
    Release,
    /// Soon ready: nothing is optimised but what derives keys from passphrases.
    Quick,
}

impl Build {
    fn arguments(self) -> Vec<String> {
        let settings: Vec<String> = match self {
            Self::Release => vec!["profile.dist.strip=true".into()],
            Self::Quick => {
                let package = |name: &str, level: u8| format!("profile.dev.package.{name}.opt-level={level}");
                ["\"*\""]
                    .iter()
                    .chain(OPTIMISED_ELSEWHERE)
                    .map(|name| package(name, 0))
                    .chain(["hmac", "pbkdf2", "pkcs5", "sha2"].map(|name| package(name, 2)))
                    .collect()
            }
        };
        let profile = if self == Self::Release { "dist" } else { "dev" };
        let configured = settings.into_iter().flat_map(|setting| ["--config".to_owned(), setting]);
        ["--profile".to_owned(), profile.to_owned()].into_iter().chain(configured).collect()
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Release => "dist",
            Self::Quick => "debug",
        }
    }
}

/// [`run`] as a verb of its own: it ends with the time and the sum of the tests.
pub(crate) fn alone(workspace: &Workspace, build: Build) -> ExitCode {
    let mut journal = Journal::default();
    journal.step("windows", || run(workspace, build));
    journal.close(0, &[])
}

/// [`alone`] with the quick build, in a process of its own that works beside its caller.
pub(crate) fn beside() -> Result<Beside> {
    Beside::of_this_program(&["windows", "--profile", "dev"])
}

/// Installs what it needs, builds, puts the bundle together, and runs the tests under Wine.
pub(crate) fn run(workspace: &Workspace, build: Build) -> Result<Outcome> {
    setup::for_windows()?;
    let folder = workspace.target().join("windows");
    compile(workspace, &folder, build, None)?;
    let bundle = bundle(workspace, &folder, build)?;
    println!("library, import library and command for Windows: {}", bundle.display());
    try_out(workspace, &folder, &bundle)
}

/// What is handed out, built without tests. Whatever stands for a time in it is `epoch`, in seconds since 1970. Returns the folder.
pub(crate) fn release(workspace: &Workspace, epoch: &str) -> Result<PathBuf> {
    setup::for_windows()?;
    let folder = workspace.target().join("windows");
    compile(workspace, &folder, Build::Release, Some(epoch))?;
    bundle(workspace, &folder, Build::Release)
}

/// The tests under Wine of a folder that holds what [`release`] made.
pub(crate) fn test(workspace: &Workspace, bundle: &Path) -> Result<Outcome> {
    try_out(workspace, &workspace.target().join("windows"), bundle)
}

fn compile(workspace: &Workspace, folder: &Path, build: Build, epoch: Option<&str>) -> Result<()> {
    let mut cargo = cross::cargo(workspace, "build", TARGET, folder, "x86_64-w64-mingw32-gcc");
    cargo.args(build.arguments()).args(["--package", "certadm", "--package", "certadm-ffi"]);
    if build == Build::Release {
        let flags = cross::without_paths(workspace);
        cargo.env("RUSTFLAGS", format!("{flags} -C link-arg=-Wl,--no-insert-timestamp"));
    }
    if let Some(epoch) = epoch {
        cargo.env("SOURCE_DATE_EPOCH", epoch);
    }
    process::run(&mut cargo)
}

/// What goes to a Windows machine, in one folder.
fn bundle(workspace: &Workspace, folder: &Path, build: Build) -> Result<PathBuf> {
    let bundle = folder.join("certadm");
    fs::create_dir_all(&bundle).context(format_args!("cannot create {}", bundle.display()))?;
    let built = folder.join(TARGET).join(build.folder());
    let mut files: Vec<PathBuf> =
        ["certadm.dll", "certadm.exe", "libcertadm.dll.a"].iter().map(|name| built.join(name)).collect();
    files.extend(
        ["include/certbcli.h", "examples/c/backup.c", "examples/c/restore.c", "examples/c/portable.h"]
            .iter()
            .map(|name| workspace.path(name)),
    );
    for file in &files {
        let copied = fs::copy(file, bundle.join(file.file_name().unwrap_or_default()));
        copied.context(format_args!("cannot copy {}", file.display()))?;
    }
    let definition = definition(&workspace.read("include/certbcli.h")?);
    fs::write(bundle.join("certadm.def"), definition).context("cannot write certadm.def")?;
    Ok(bundle)
}

/// The module definition file, from which any linker's tools make an import library: every function of the header.
fn definition(header: &str) -> String {
    let lines: String = library::functions(header).map(|name| format!("    {name}\r\n")).collect();
    format!("LIBRARY certadm.dll\r\nEXPORTS\r\n{lines}")
}

/// Runs the tests that were skipped for want of a Windows, on a fresh one, which is removed afterwards: it is large.
fn try_out(workspace: &Workspace, folder: &Path, bundle: &Path) -> Result<Outcome> {
    let prefix = folder.join("wine");
    let remove = || match fs::remove_dir_all(&prefix) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(format_args!("cannot remove {}", prefix.display()))
        }
        _ => Ok(()),
    };
    remove()?;
    // The whole workspace, so that nothing is built again with other features than before.
    let mut cargo =
        workspace.cargo(&["test", "--locked", "--no-fail-fast", "--workspace", "--test", "suite"]);
    cargo.args(["--", "--ignored", "windows::"]);
    cargo.env(suites::COMMAND_VARIABLE, suites::command(workspace));
    let outcome = process::count(cargo.env(BUNDLE_VARIABLE, bundle).env(PREFIX_VARIABLE, &prefix))?;
    if outcome.0.run() == 0 && outcome.1.is_ok() {
        return Err(Failure::new("no test for Windows was found in certadm-ffi"));
    }
    // The prefix's own server ends with its last program; until then it holds the folder.
    process::succeeds(Command::new("wineserver").arg("--wait").env(PREFIX_VARIABLE, &prefix));
    remove()?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_list_the_functions_of_the_header() {
        let header = "HRESULT CERTBCLI_API CertSrvBackupClose(HCSBC hbc);\nint CERTBCLI_API other(void);\n\
                      #define CERTBCLI_API x\nHRESULT CERTBCLI_API CertSrvBackupEnd(HCSBC hbc);\n";
        let text = "LIBRARY certadm.dll\r\nEXPORTS\r\n    CertSrvBackupClose\r\n    CertSrvBackupEnd\r\n";
        assert_eq!(definition(header), text);
    }

    #[test]
    fn a_quick_build_optimises_almost_nothing() {
        let arguments = Build::Quick.arguments();
        assert_eq!(arguments[..2], ["--profile", "dev"]);
        assert!(arguments.contains(&"profile.dev.package.\"*\".opt-level=0".to_owned()), "{arguments:?}");
        assert!(!Build::Release.arguments().iter().any(|word| word.contains("opt-level")));
    }

    #[test]
    fn every_package_that_the_manifest_optimises_is_named_here() {
        let manifest = include_str!("../../Cargo.toml");
        let mut found: Vec<&str> = manifest
            .split("[profile.dev.package.")
            .skip(1)
            .filter(|table| !table.lines().nth(1).unwrap().ends_with("= 0"))
            .map(|table| table.lines().next().unwrap().trim_end_matches(']'))
            .filter(|name| *name != "\"*\"")
            .collect();
        found.sort_unstable();
        assert_eq!(found, OPTIMISED_ELSEWHERE);
    }
}
