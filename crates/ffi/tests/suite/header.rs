//! Our header against that of mingw-w64: one table of constants, sizes and offsets, compiled with each.

use std::path::Path;
use std::process::Command;

use crate::world::{PACKAGE, good, repository};

const MINGW: &str = "/usr/x86_64-w64-mingw32/include";

/// What mingw-w64's own compiler defines, as far as its headers ask for it.
const MINGW_COMPILER: &[&str] = &[
    "-D_WIN32",
    "-D_WIN64",
    "-D__MINGW32__",
    "-D__MINGW64__",
    "-DUNICODE",
    "-D__int64=long long",
    "-D__int32=int",
    "-D__int16=short",
    "-D__int8=char",
    "-D__declspec(x)=__attribute__((x))",
    "-D__stdcall=",
    "-D__cdecl=",
    "-D_cdecl=",
    "-D__fastcall=",
    "-D_stdcall=",
];

#[test]
fn names_values_and_layouts_are_those_of_mingw() {
    if !Path::new(MINGW).join("certbcli.h").exists() {
        println!("skipped: mingw-w64-x86-64-dev is not installed; `cargo xtask setup` installs it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let table = Path::new(PACKAGE).join("tests/c/table.c");
    let object = |name: &str| dir.path().join(name);
    let own_headers = good(Command::new("gcc").arg("-print-file-name=include"));
    for (compiler, language) in [("gcc", "c"), ("g++", "c++")] {
        let mut ours = Command::new(compiler);
        ours.args(["-x", language, "-Wall", "-Wextra", "-Werror", "-DTABLE=ours", "-c"])
            .arg(&table)
            .arg("-I");
        good(ours.arg(repository("include")).arg("-o").arg(object("ours.o")));
        let mut program = Command::new(compiler);
        program.args(["-x", language, "-Wall", "-Wextra", "-Werror", "-DCOMPARE"]).arg(&table);
        if compiler == "gcc" {
            let mut theirs = Command::new("gcc");
            // Its 16-bit wchar_t, and its headers before the compiler's own.
            theirs.args(["-nostdinc", "-isystem", MINGW, "-isystem", own_headers.trim(), "-fshort-wchar"]);
            theirs.args(MINGW_COMPILER).args(["-w", "-DTABLE=theirs", "-DMINGW", "-c"]).arg(&table);
            good(theirs.arg("-o").arg(object("theirs.o")));
        }
        program.args(["-x", "none"]).arg(object("ours.o")).arg(object("theirs.o"));
        good(program.arg("-o").arg(object("compare")));
        let said = good(&mut Command::new(object("compare")));
        assert!(said.ends_with("0 differ\n"), "{said}");
    }
}
