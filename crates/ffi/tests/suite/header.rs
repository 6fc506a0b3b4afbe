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

/// The header in every language that may include it; literals where the language has them, and one line where not.
#[test]
fn it_is_c90_and_its_literals_are_c11() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.c");
    let compiled = |standard: &str, text: &str| {
        std::fs::write(&source, format!("#include <certbcli.h>\n{text}\n")).unwrap();
        let language = if standard.contains("++") { "c++" } else { "c" };
        let mut command = Command::new(if language == "c" { "gcc" } else { "g++" });
        command.args([
            "-x",
            language,
            &format!("-std={standard}"),
            "-pedantic",
            "-Wall",
            "-Wextra",
            "-Werror",
        ]);
        command.arg("-I").arg(repository("include")).arg("-c").arg(&source);
        let output = command.arg("-o").arg(dir.path().join("object")).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (function, literal) =
        ("HRESULT (*f)(HCSBC) = CertSrvBackupEnd;", "const WCHAR *w = CERTBCLI_W(\"a\");");
    for standard in ["c90", "gnu90", "c99", "gnu99", "c11", "c17", "gnu17", "c++11", "c++17", "gnu++17"] {
        let (good, said) = compiled(standard, function);
        assert!(good, "{standard}: {said}");
        let (good, said) = compiled(standard, literal);
        let has_literals = !["c90", "gnu90", "c99"].contains(&standard);
        assert_eq!(good, has_literals, "{standard}: {said}");
        assert!(
            good || said.contains("CERTBCLI_W_needs_C11_or_gnu99") && said.matches("error:").count() == 1,
            "{said}"
        );
    }
}

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
