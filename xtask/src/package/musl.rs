//! The command for any Linux system: linked with musl, it needs no library of the system, not even for C.
//!
//! Debian has musl, but no standard library of Rust for it: `cross.rs` builds one. Its panics unwind by gcc's `libgcc_eh`, which
//! asks for one function that glibc alone has; `dist/musl/find_object.c` is that function. Debian's `musl-gcc` compiles, but it
//! links no program that is both static and loaded at any address, so gcc links, with the files of musl named one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::{PROFILE, Run, VERSION, fresh};
use crate::cross;
use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::tree::{Symbols, Tree};

const COMPILER: &str = "musl-gcc";

/// What whoever unpacks it looks for first.
const DOCUMENTS: &[&str] = &["README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Rust's name of what is built for.
pub(super) fn target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Builds the command, and returns where it is.
pub(super) fn build(run: &Run<'_>) -> Result<PathBuf> {
    let folder = run.folder.join("musl");
    let unwinder = unwinder(run, &folder)?;
    let mut cargo = cross::cargo(run.workspace, "build", &target(), &folder, "gcc");
    cargo.args(["--profile", PROFILE, "--package", "certadm"]);
    // The folder of the unwinder is no flag: flags are part of the names of symbols, and those are to be the same everywhere.
    let musl = format!("/usr/lib/{}-linux-musl", std::env::consts::ARCH);
    cargo.env("LIBRARY_PATH", format!("{}:{musl}", unwinder.display()));
    cargo.env(format!("CC_{}", target().replace('-', "_")), COMPILER);
    let start = ["rcrt1.o", "crti.o", "crtn.o"].map(|file| format!("{musl}/{file}")).join(" -C link-arg=");
    let flags = format!(
        "{} -C target-feature=+crt-static -C link-self-contained=no -C link-arg=-nostartfiles -C link-arg=-L{musl} \
         -C link-arg={start} -C link-arg=-l:libc.a",
        cross::without_paths(run.workspace)
    );
    process::run(cargo.env("RUSTFLAGS", flags).env("SOURCE_DATE_EPOCH", &run.epoch))?;
    let command = folder.join(target()).join(PROFILE).join("certadm");
    let parts =
        process::output(Command::new("readelf").args(["--segments", "--dynamic", "--wide"]).arg(&command))?;
    if parts.contains("INTERP") || parts.contains("(NEEDED)") {
        return Err(Failure::new(format!("{} is not static", command.display())));
    }
    Ok(command)
}

/// A folder with the library `unwind`, which Rust's standard library for musl links.
fn unwinder(run: &Run<'_>, folder: &Path) -> Result<PathBuf> {
    let unwinder = folder.join("unwinder");
    fresh(&unwinder)?;
    let (object, library) = (unwinder.join("find_object.o"), unwinder.join("libunwind.a"));
    let mut compile = Command::new(COMPILER);
    compile.args(["-Os", "-fPIC", "-Wall", "-Wextra", "-Werror", "-c", "-o"]).arg(&object);
    process::run(compile.arg(run.workspace.path("dist/musl/find_object.c")))?;
    let gcc = process::output(Command::new("gcc").arg("-print-file-name=libgcc_eh.a"))?;
    fs::copy(gcc.trim(), &library).context(format_args!("cannot copy {}", gcc.trim()))?;
    process::run(Command::new("ar").arg("rcsD").arg(&library).arg(&object))?;
    Ok(unwinder)
}

/// The archive: the command, pages, completions, units, documents and licences of `from`, which is the package of the command,
/// with the static command in place of its own.
pub(super) fn archive(run: &Run<'_>, command: &Path, from: &Path, licences: &str) -> Result<()> {
    let name = format!("certadm-{VERSION}-linux-{}-static", std::env::consts::ARCH);
    let root = run.folder.join("stage").join("static");
    process::run(Command::new("cp").args(["-a", "--no-target-directory"]).arg(from).arg(&root))?;
    let tree = Tree { root: &root };
    tree.program(command, "bin/certadm", Symbols::Left)?;
    tree.write("share/doc/certadm/copyright", licences)?;
    for document in DOCUMENTS {
        tree.copy(&run.workspace.path(document), document)?;
    }
    run.pack(&root, &name)
}
