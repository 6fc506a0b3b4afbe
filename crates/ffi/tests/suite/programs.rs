//! The test programs in C: arguments, the sequence table, loops, threads, lost servers; with two compilers, linked and
//! loaded, and under valgrind.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::world::{PACKAGE, World, compile, installed, library};

/// How often a backup is prepared and ended: often enough that a hundred bytes a turn are seen. `CERTADM_C_LOOPS` asks for
/// another number. Each turn makes two connections.
fn turns() -> String {
    std::env::var("CERTADM_C_LOOPS").unwrap_or_else(|_| "10000".to_owned())
}

/// What a program printed, when nothing in it is wrong.
fn right(said: &str) -> &str {
    assert!(!said.contains("WRONG") && said.contains(" 0 wrong"), "{said}");
    said
}

#[test]
fn every_export_with_every_kind_of_bad_argument() {
    let world = World::serving();
    let loaded = world.run(&world.program("arguments"), &["localhost"]);
    assert!(right(&loaded).lines().count() > 250, "{loaded}");
    // As C++, and linked against the library by its own name.
    let source = Path::new(PACKAGE).join("tests/c/arguments.c");
    let (folder, program) = (world.path("lib"), world.path("linked"));
    fs::create_dir(&folder).unwrap();
    for name in ["libcertadm.so", "libcertadm.so.1"] {
        std::os::unix::fs::symlink(library(), folder.join(name)).unwrap();
    }
    let search = format!("-L{}", folder.display());
    let run_path = format!("-Wl,-rpath,{}", folder.display());
    for compiler in ["gcc", "g++"] {
        compile(compiler, &source, &program, &["-DLINKED", &search, &run_path, "-lcertadm", "-ldl"]);
        assert_eq!(world.run(&program, &["localhost"]), loaded, "{compiler}");
    }
}

#[test]
fn every_call_in_every_state() {
    let world = World::serving();
    right(&world.run(&world.program("sequence"), &["localhost"]));
}

#[test]
fn nothing_stays_behind_after_many_backups() {
    let world = World::serving();
    right(&world.run(&world.program("loops"), &["localhost", "prepare-end", &turns()]));
}

#[test]
fn threads_share_contexts() {
    let world = World::serving();
    right(&world.run(&world.program("loops"), &["localhost", "threads", "100"]));
}

#[test]
fn a_server_that_stops_takes_its_backups_along() {
    let mut world = World::serving();
    right(&world.run(&world.program("loops"), &["localhost", "lost"]));
    world.wait();
}

/// Writing to a dead server's socket is an error, not a signal.
#[test]
fn a_server_that_dies_does_not_take_the_program_along() {
    let mut world = World::serving();
    let mut command = Command::new(world.program("loops"));
    world.equip(&mut command).args(["localhost", "killed"]);
    let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut said = lines.next().unwrap().unwrap();
    world.kill();
    program.stdin.take().unwrap().write_all(b"go\n").unwrap();
    for line in lines {
        said += &format!("\n{}", line.unwrap());
    }
    assert!(program.wait().unwrap().success(), "{said}");
    right(&said);
}

#[test]
fn valgrind_finds_no_error_and_no_leak() {
    if !installed("valgrind") {
        return;
    }
    let mut world = World::serving();
    let programs: [PathBuf; 3] = ["arguments", "sequence", "loops"].map(|name| world.program(name));
    let [arguments, sequence, loops] = programs;
    right(&world.run_checked(&arguments, &["localhost"]));
    right(&world.run_checked(&sequence, &["localhost"]));
    right(&world.run_checked(&loops, &["localhost", "prepare-end", "50"]));
    right(&world.run_checked(&loops, &["localhost", "threads", "10"]));
    right(&world.run_checked(&loops, &["localhost", "lost"]));
    world.wait();
    let database = world.path("ca/database/Test-CA.db");
    right(&world.run_checked(&world.program("registration"), &["localhost", database.to_str().unwrap()]));
}
