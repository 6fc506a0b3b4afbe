//! The same programs over TCP: authenticated and sealed, with the account from `client.toml`.

use std::fs;
use std::process::Command;

use crate::world::{World, both};

/// A CA with an operator, whose service lets remote backups in, known as `network`.
fn world() -> World {
    let mut world = World::new();
    world.account("operator");
    let address = world.start_with("--allow-remote-backup");
    world.name_network(&address);
    world
}

/// What the backup example says when it fails.
fn refused(world: &World) -> String {
    let mut command = Command::new(world.program("backup"));
    let output = world.equip(&mut command).args(["network", "refused"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    both(&output)
}

#[test]
fn a_backup_across_the_network_is_a_good_set() {
    let world = world();
    let said = world.run(&world.program("backup"), &["network", "set"]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    let checked = world.certadm("verify {set}");
    assert!(checked.contains("restorable"), "{checked}");
}

/// A second backup into the same folder is refused before the CA is asked, and nobody is told to remove the first one.
#[test]
fn a_folder_with_a_backup_is_left_alone() {
    let world = world();
    let backup = world.program("backup");
    let said = world.run(&backup, &["network", "set"]);
    assert!(said.ends_with("The backup is complete.\n"), "{said}");
    let mut again = Command::new(&backup);
    let output = world.equip(&mut again).args(["network", "set"]).output().unwrap();
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a backup goes into a new folder") && !said.contains("remove"), "{said}");
    assert!(world.certadm("verify {set}").contains("restorable"));
    // The CA has no backup that waits for its end.
    assert!(world.run(&backup, &["network", "other"]).ends_with("The backup is complete.\n"));
}

#[test]
fn every_call_in_every_state_over_the_wire() {
    let world = world();
    let said = world.run(&world.program("sequence"), &["network"]);
    assert!(said.contains(" 0 wrong"), "{said}");
}

#[test]
fn threads_and_loops_over_the_wire() {
    let world = world();
    let loops = world.program("loops");
    for work in [["network", "prepare-end", "30"], ["network", "threads", "20"]] {
        let said = world.run(&loops, &work);
        assert!(said.contains(" 0 wrong"), "{said}");
    }
}

#[test]
fn without_a_right_nothing_is_told() {
    let mut world = World::new();
    world.account("read");
    let address = world.start_with("");
    world.name_network(&address);
    let said = refused(&world);
    assert!(said.contains("CertSrvBackupPrepare failed: 0x80070005"), "{said}");
    fs::write(world.path("password"), "wrong\n").unwrap();
    let said = refused(&world);
    assert!(said.contains("CertSrvIsServerOnline failed: 0x80070005"), "{said}");
    fs::remove_file(world.path("password")).unwrap();
    let said = refused(&world);
    assert!(said.contains("CertSrvIsServerOnline failed: 0x80070002"), "{said}");
    world.kill();
}
