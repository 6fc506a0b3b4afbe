//! The examples: a backup through the C API is a good set, and a restore through it brings the CA back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::Value;

use crate::world::{World, both, compile, good, library, source};

/// Takes a backup by the example and has `certadm` check it.
fn back_up(world: &World, set: &str) {
    let said = world.run(&world.program("backup"), &["localhost", set]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    assert!(said.contains("copy this by other means: \\\\"), "{said}");
    let checked = world.certadm(&format!("verify {{{set}}}"));
    assert!(checked.contains("it has no manifest") && checked.contains("restorable"), "{checked}");
}

/// A library in which some calls fail: the list of dynamic files, the end of a restore, and what `define` names.
fn failing(world: &World, define: &str) -> PathBuf {
    let (folder, failing) = (world.path("lib"), world.path(&format!("failing{define}.so")));
    fs::create_dir_all(&folder).unwrap();
    for name in ["libcertadm.so", "libcertadm.so.1"] {
        symlink(library(), folder.join(name)).ok();
    }
    let (search, run_path) = (format!("-L{}", folder.display()), format!("-Wl,-rpath,{}", folder.display()));
    let flags = ["-shared", "-fPIC", define, &search, &run_path, "-Wl,--no-as-needed", "-lcertadm"];
    compile("gcc", &source("failing"), &failing, &flags);
    failing
}

/// Loses the database, and brings it back by the example.
fn lose_and_restore(form: &[&str], end_fails: bool) {
    let mut world = World::serving();
    back_up(&world, "set");
    let restore = world.program("restore");
    // The CA runs, and its files are in the way: nothing is done.
    let mut refused = std::process::Command::new(&restore);
    let refused = world.equip(&mut refused).args(["localhost", "set"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    world.kill();
    fs::create_dir(world.path("lost")).unwrap();
    for folder in ["database", "log"] {
        fs::rename(world.path(&format!("ca/{folder}")), world.path(&format!("lost/{folder}"))).unwrap();
        fs::create_dir(world.path(&format!("ca/{folder}"))).unwrap();
    }
    // Somebody who lets nobody read what he writes.
    let mut command = std::process::Command::new("sh");
    command.args(["-c", r#"umask 077; exec "$0" "$@""#]).arg(&restore).args(["localhost", "set"]).args(form);
    let command = world.equip(&mut command);
    if end_fails {
        command.env("CERTADM_LIBRARY", failing(&world, "-DEND"));
    }
    let said = good(command);
    assert!(said.starts_with("The restore is registered."), "{said}");
    let request = world.path("ca/restore.d/request.json");
    if let Ok(found) = request.metadata() {
        assert_eq!(found.permissions().mode() & 0o777, 0o644, "the service is another account");
    }
    assert_eq!(request.exists(), !form.is_empty());
    assert_eq!(world.path("ca/restore.json").exists(), form.is_empty());
    world.start();
    assert!(!request.exists() && !world.path("ca/restore.json").exists());
    back_up(&world, "after");
}

#[test]
fn a_restore_through_the_record() {
    lose_and_restore(&[], false);
}

/// What was completed counts, whatever becomes of the end.
#[test]
fn a_restore_whose_end_fails() {
    lose_and_restore(&[], true);
}

#[test]
fn a_restore_through_a_file() {
    lose_and_restore(&["through-file"], false);
}

#[test]
fn logs_alone_continue_a_full_backup() {
    let world = World::serving();
    back_up(&world, "full");
    let said = world.run(&world.program("backup"), &["localhost", "logs", "logs"]);
    assert!(said.contains("edb") && !said.contains(".db\n"), "{said}");
    // Without a truncating full backup there is nothing that they could continue.
    let fresh = World::serving();
    let program = fresh.program("backup");
    let mut command = std::process::Command::new(program);
    let output = fresh.equip(&mut command).args(["localhost", "logs", "logs"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("0xc8000230"), "{output:?}");
}

/// What fails once the files are whole takes nothing from the backup: the CA may have deleted the logs that are in it.
#[test]
fn a_backup_whose_files_are_whole_is_not_called_none() {
    let world = World::serving();
    let backup = world.program("backup");
    let run = |set: &str, define: &str| {
        let mut command = std::process::Command::new(&backup);
        world.equip(&mut command).env("CERTADM_LIBRARY", failing(&world, define)).args(["localhost", set]);
        let output = command.output().unwrap();
        let checked = world.certadm(&format!("verify {{{set}}}"));
        assert!(checked.contains("restorable"), "{checked}");
        both(&output)
    };
    let said = run("unlisted", "-DLIST");
    assert!(said.contains("The backup is complete.") && said.contains("GetDynamicFileList"), "{said}");
    let said = run("untruncated", "-DTRUNCATION");
    assert!(said.contains("Keep its files") && said.contains("keep ") && !said.contains("remove"), "{said}");
}

/// As the service has it (wire.md 5.1): an empty name means whatever CA is asked.
#[test]
fn an_empty_name_is_that_of_no_other_ca() {
    let world = World::new();
    let config = fs::read_to_string(world.path("client.toml")).unwrap();
    let entry = "[server.mine]\nhost = 'localhost'\nca = ''\n";
    fs::write(world.path("client.toml"), config + entry).unwrap();
    let database = world.path("ca/database/Test-CA.db");
    let said = world.run(&world.program("registration"), &["mine", database.to_str().unwrap()]);
    assert!(said.contains(" 0 wrong"), "{said}");
    assert!(world.path("ca/restore.json").exists());
}

#[test]
fn registrations_follow_their_rules() {
    let mut world = World::new();
    let database = world.path("ca/database/Test-CA.db");
    let said = world.run(&world.program("registration"), &["localhost", database.to_str().unwrap()]);
    assert!(said.contains(" 0 wrong"), "{said}");
    let record: Value = serde_json::from_slice(&fs::read(world.path("ca/restore.json")).unwrap()).unwrap();
    assert_eq!((&record["LowLogNumber"], &record["HighLogNumber"]), (&1.into(), &9.into()));
    assert_eq!(record["RestoreMap"], serde_json::json!([[database, database]]));
    assert_eq!(record["RestoreStatus"], 0);
    assert!(!world.path("ca/restore.d/request.json").exists());
    // Nothing was copied: the CA does not start on it.
    let refused = world.command("serve --dir {ca} --socket {socket} --listen 127.0.0.1:0").output().unwrap();
    assert!(!refused.status.success());
    world.kill();
}
