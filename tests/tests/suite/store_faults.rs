//! Every file operation of commit, roll, packing, backup with truncation, and recovery fails once, in every way it can.

use std::collections::BTreeSet;

use certadm_tests::case::{Template, every_fault, one_fault};
use certadm_tests::fault::{self, Kind};

const DRIVER: &str = env!("CARGO_BIN_EXE_store_driver");

/// One test for each scenario and kind of fault, so that they run side by side.
macro_rules! faults {
    ($($module:ident: $scenario:literal from $template:expr;)*) => {$(
        mod $module {
            use super::*;

            faults!(@tests $scenario, $template;
                eio Eio, enospc Enospc, short_write Short, read_error Read, kill Kill, torn_write Torn, full_disk Full,
                dead_disk Dead);
        }
    )*};
    (@tests $scenario:literal, $template:expr; $($test:ident $kind:ident),*) => {$(
        #[test]
        fn $test() {
            assert!(every_fault(DRIVER, $scenario, &$template, Kind::$kind) > 3);
        }
    )*};
}

faults! {
    commit: "commit" from Template::running();
    roll: "roll" from Template::running();
    pack: "pack" from Template::running();
    backup: "backup" from Template::running();
    recover: "recover" from Template::restored();
}

/// The suite proves nothing about calls that the shim does not see.
#[test]
fn the_shim_sees_the_calls_of_rust_and_of_sqlite() {
    let dir = certadm_tests::scratch();
    let mut seen = BTreeSet::new();
    for (scenario, template) in [("backup", Template::running()), ("recover", Template::restored())] {
        let dir = dir.path().join(scenario);
        std::fs::create_dir(&dir).unwrap();
        template.place(&dir);
        let mut command = std::process::Command::new(DRIVER);
        command.arg(scenario).args(["ca", "ledger", "sets"].map(|name| dir.join(name)));
        for (name, path) in fault::operations(command, &dir.join("ca"), &dir) {
            let name = name.trim_start_matches('p').trim_end_matches("64").to_owned();
            let file = if path.contains(".db") { "SQLite" } else { "the store" };
            seen.insert((file, name));
        }
    }
    for name in ["open", "open-read", "read", "write", "fsync", "ftruncate"] {
        assert!(seen.contains(&("SQLite", name.to_owned())), "{name} on SQLite's files: {seen:?}");
    }
    for name in
        ["open", "open-read", "create", "read", "write", "fsync", "fdatasync", "rename", "unlink", "mkdir"]
    {
        assert!(seen.contains(&("the store", name.to_owned())), "{name} on the store's files: {seen:?}");
    }
}

/// Space for the reserve is asked for where the shim sees it. An owner that gets none works without a reserve, and leaves no
/// half of one.
#[test]
fn a_reserve_that_finds_no_space_is_none() {
    let template = Template::running();
    let mut hits = 0;
    for at in 1.. {
        let dir = certadm_tests::scratch();
        template.place(dir.path());
        let log = dir.path().join("ca/log");
        let reserve = ["edbres00001.jrs", "edbres00002.jrs"].map(|name| log.join(name));
        for file in &reserve {
            std::fs::remove_file(file).ok(); // there or not: the owner makes it anew
        }
        let mut command = std::process::Command::new(DRIVER);
        command.arg("roll").args(["ca", "ledger", "sets"].map(|name| dir.path().join(name)));
        let run = fault::run(command, &dir.path().join("ca"), Kind::Enospc, at, dir.path());
        let Some(fired) = run.fired else { break };
        if !fired.starts_with("fallocate") {
            continue;
        }
        hits += 1;
        assert!(fired.contains(".jrs"), "{fired}");
        assert!(run.status.success(), "{fired}: {}", run.errors);
        // The next roll may have made it.
        for file in reserve.iter().filter(|file| file.exists()) {
            assert_eq!(file.metadata().unwrap().len(), certadm_tests::case::OPTIONS.log_size);
        }
    }
    assert!(hits >= 2, "{hits} allocations were seen");
}

/// Repeats one case: `CERTADM_CASE='roll Torn 61 FOLDER' cargo test -p certadm-tests --test suite one_case -- --ignored`.
/// The folder must not exist; what the case leaves stays in it.
#[test]
#[ignore = "repeats the one case that CERTADM_CASE names"]
fn one_case() {
    let case = std::env::var("CERTADM_CASE").expect("CERTADM_CASE names the case");
    let words: Vec<&str> = case.split(' ').collect();
    let [scenario, kind, at, dir] = words[..] else { panic!("CERTADM_CASE is 'SCENARIO KIND K FOLDER'") };
    let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind).expect("a kind of fault");
    let template = if scenario == "recover" { Template::restored() } else { Template::running() };
    std::fs::create_dir(dir).expect("the folder can be created");
    one_fault(DRIVER, scenario, &template, kind, at.parse().expect("a number"), std::path::Path::new(dir));
}
