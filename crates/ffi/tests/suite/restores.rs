//! The examples: a backup through the C API is a good set, and a restore through it brings the CA back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::world::{World, good};

/// Takes a backup by the example and has `certadm` check it.
fn back_up(world: &World, set: &str) {
    let said = world.run(&world.program("backup"), &["localhost", set]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    assert!(said.contains("copy this by other means: \\\\"), "{said}");
    let checked = world.certadm(&format!("verify {{{set}}}"));
    assert!(checked.contains("it has no manifest") && checked.contains("restorable"), "{checked}");
}

/// Loses the database, and brings it back by the example.
fn lose_and_restore(form: &[&str]) {
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
    let said = good(world.equip(&mut command));
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
    lose_and_restore(&[]);
}

#[test]
fn a_restore_through_a_file() {
    lose_and_restore(&["through-file"]);
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
