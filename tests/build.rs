//! Compiles the C helpers of the suites: the fault shim, which is preloaded into the processes under test, and the
//! program that holds one of SQLite's locks. Any C compiler called `cc` will do; SQLite needs one anyway.

use std::path::Path;
use std::process::Command;

fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    compile("shim/faults.c", &Path::new(&out).join("libfaults.so"), &["-shared", "-fPIC"]);
    compile("shim/hold_lock.c", &Path::new(&out).join("hold_lock"), &[]);
}

fn compile(source: &str, output: &Path, flags: &[&str]) {
    println!("cargo::rerun-if-changed={source}");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let status = Command::new(&compiler)
        .args(["-O1", "-Wall", "-Wextra", "-Werror"])
        .args(flags)
        .arg("-o")
        .arg(output)
        .arg(source)
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => panic!("{compiler} cannot compile tests/{source}: {other:?}"),
    }
}
