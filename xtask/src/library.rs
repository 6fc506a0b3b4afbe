//! The shared library as it is handed out: linked from the static one, so that each of its functions has a version.
//!
//! rustc gives the linker a version script of its own, which leaves no room for ours. Without versions, a program that needs a
//! function of a later library breaks down when it calls it; with them, the loader says so when the program starts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::process;
use crate::workspace::Workspace;

/// The name that programs linked against the library look for at run time; `crates/ffi/build.rs` puts it into what cargo links.
pub(crate) const SONAME: &str = "libcertadm.so.1";

/// The functions, each with its version.
const MAP: &str = "crates/ffi/libcertadm.map";

/// Builds the static library by `cargo`, which runs it with these arguments, and links the shared one beside it.
pub(crate) fn build(
    workspace: &Workspace,
    profile: &str,
    built: &Path,
    cargo: impl FnOnce(&[&str]) -> Result<()>,
) -> Result<()> {
    cargo(&[
        "rustc",
        "--locked",
        "--profile",
        profile,
        "--package",
        "certadm-ffi",
        "--lib",
        "--crate-type",
        "staticlib",
    ])?;
    link(&workspace.path(MAP), &built.join("libcertadm.a"), &built.join(SONAME))?;
    let header = workspace.read("include/certbcli.h")?;
    let declared: BTreeSet<String> = functions(&header).map(|name| format!("{name}@@CERTADM_1.0")).collect();
    let exported = exported(&built.join(SONAME))?;
    if exported == declared {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{SONAME} exports {exported:?}, and the header declares {declared:?}; see {MAP}"
    )))
}

fn link(map: &Path, static_library: &Path, to: &PathBuf) -> Result<()> {
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-Wl,--gc-sections,--as-needed,-z,relro,-z,now,--no-undefined"]);
    gcc.arg(format!("-Wl,-soname,{SONAME}")).arg(format!("-Wl,--version-script={}", map.display()));
    gcc.arg("-Wl,--whole-archive").arg(static_library).arg("-Wl,--no-whole-archive");
    process::run(gcc.args(["-lgcc_s", "-lm", "-lpthread", "-ldl", "-o"]).arg(to))
}

/// What a library exports, with versions: `CertSrvBackupEnd@@CERTADM_1.0`.
fn exported(library: &Path) -> Result<BTreeSet<String>> {
    let listed = process::output(
        Command::new("nm").args(["-D", "--defined-only", "--with-symbol-versions"]).arg(library),
    )?;
    let names = listed.lines().filter_map(|line| line.split_whitespace().last());
    // The version itself is listed as well.
    Ok(names.filter(|name| !name.starts_with("CERTADM_")).map(str::to_owned).collect())
}

/// The functions that the header declares.
pub(crate) fn functions(header: &str) -> impl Iterator<Item = &str> {
    header
        .lines()
        .filter_map(|line| line.split_once("CERTBCLI_API ")?.1.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("CertSrv"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Every function of the header has its version, and nothing else is seen from outside.
    #[test]
    fn each_function_of_the_header_has_a_version() {
        if ["gcc", "nm", "ar"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
            println!("skipped: gcc or binutils is not installed");
            return;
        }
        let workspace = Workspace::load().unwrap();
        let header = workspace.read("include/certbcli.h").unwrap();
        let folder = std::env::temp_dir().join(format!("certadm versions {}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let functions: String =
            functions(&header).map(|name| format!("int {name}(void) {{ return 0; }}\n")).collect();
        fs::write(folder.join("all.c"), format!("{functions}int internal(void) {{ return 1; }}\n")).unwrap();
        let in_folder = |program: &str, arguments: &[&str]| {
            assert!(Command::new(program).current_dir(&folder).args(arguments).status().unwrap().success());
        };
        in_folder("gcc", &["-fPIC", "-c", "all.c"]);
        in_folder("ar", &["rc", "liball.a", "all.o"]);
        link(&workspace.path(MAP), &folder.join("liball.a"), &folder.join(SONAME)).unwrap();
        let exported = exported(&folder.join(SONAME)).unwrap();
        let expected: BTreeSet<String> =
            super::functions(&header).map(|name| format!("{name}@@CERTADM_1.0")).collect();
        assert_eq!((exported.len(), exported), (18, expected));
        // What a program that is linked with it asks for.
        fs::write(
            folder.join("uses.c"),
            "int CertSrvBackupEnd(void);\nint main(void) { return CertSrvBackupEnd(); }\n",
        )
        .unwrap();
        in_folder("gcc", &["uses.c", SONAME, "-Wl,-rpath,$ORIGIN", "-o", "uses"]);
        in_folder("./uses", &[]);
        let asks =
            Command::new("readelf").current_dir(&folder).args(["--version-info", "uses"]).output().unwrap();
        assert!(String::from_utf8_lossy(&asks.stdout).contains("CERTADM_1.0"), "{asks:?}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
