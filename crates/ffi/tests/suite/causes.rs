//! Why a call failed: codes that differ where the causes do, and the words for them, when the environment asks.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::world::{World, both, repository};

/// What the backup example says when it fails on this server.
fn refused(world: &World, program: &Path, server: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    world.equip(&mut command).env_remove("CERTADM_LOG").envs(environment.iter().copied());
    let output = command.args([server, "refused"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    both(&output)
}

#[test]
fn different_causes_have_different_codes() {
    let mut world = World::new();
    world.account("operator");
    let address = world.start_with("--allow-remote-backup");
    let password = world.path("password");
    let entries = format!(
        "[server.whole]\nhost = {address:?}\nuser = 'backup'\npassword_file = {password:?}\n\
         [server.half]\nhost = {address:?}\nuser = 'backup'\n\
         [server.other-half]\nhost = {address:?}\npassword_file = {password:?}\n\
         [server.lost]\nhost = {address:?}\nuser = 'backup'\npassword_file = '/no/such/file'\n\
         [server.closed]\nhost = '127.0.0.1:1'\nuser = 'backup'\npassword_file = {password:?}\n\
         [server.unknown]\nhost = 'no.such.host.invalid'\nuser = 'backup'\npassword_file = {password:?}\n"
    );
    fs::write(world.path("client.toml"), entries).unwrap();
    let program = world.program("backup");
    world.run(&program, &["whole", "set"]);
    for (server, code, cause) in [
        (address.as_str(), "0x80070005", "no account"),
        ("half", "0x80070057", "a user and no password"),
        ("other-half", "0x80070057", "a password and no user"),
        ("lost", "0x80070002", "no such password file"),
        ("closed", "0x800706ba", "nobody listens"),
        ("unknown", "0x80070035", "the host of the entry is not there"),
        ("no.such.host.invalid", "0x80070035", "no entry, and no such host"),
        ("a:b:c", "0x80070057", "no name of a server"),
    ] {
        let said = refused(&world, &program, server, &[]);
        assert!(said.contains(&format!("CertSrvIsServerOnline failed: {code}")), "{cause}: {said}");
    }
    fs::write(world.path("client.toml"), "[server.whole]\nno_such_key = 1\n").unwrap();
    assert!(refused(&world, &program, "whole", &[]).contains("0x80070057"), "the file cannot be used");
}

#[test]
fn the_log_says_why_a_call_failed() {
    let world = World::new();
    let program = world.program("backup");
    let words = [
        "call=\"CertSrvIsServerOnlineW\"",
        "no account is given",
        "user and password_file",
        "0x80070005 (WIN32: 5 E_ACCESSDENIED)",
    ];
    // Nobody asked.
    let said = refused(&world, &program, "127.0.0.1:1", &[]);
    assert!(!said.contains("no account"), "{said}");
    // To standard error, without colours.
    let said = refused(&world, &program, "127.0.0.1:1", &[("CERTADM_LOG", "warn")]);
    assert!(words.iter().all(|word| said.contains(word)) && !said.contains('\u{1b}'), "{said}");
    // To a file, which nobody else may read, and which grows.
    let file = world.path("events");
    let named = file.to_str().unwrap();
    for turn in 1..=2 {
        let said = refused(&world, &program, "127.0.0.1:1", &[("CERTADM_LOG_FILE", named)]);
        assert!(!said.contains("no account"), "{said}");
        let events = fs::read_to_string(&file).unwrap();
        assert!(words.iter().all(|word| events.matches(word).count() >= turn), "{events}");
    }
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    // No link is followed; the program goes on, and the words are not lost.
    let (victim, link) = (world.path("victim"), world.path("link"));
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, &link).unwrap();
    let said = refused(&world, &program, "127.0.0.1:1", &[("CERTADM_LOG_FILE", link.to_str().unwrap())]);
    assert!(said.contains("cannot open the event file") && said.contains("no account"), "{said}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

/// A C program cannot be asked for a password, so a file has it; that others can read the file is said where it can be.
#[test]
fn the_log_says_that_others_can_read_the_password() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new();
    world.account("operator");
    let address = world.start_with("--allow-remote-backup");
    world.name_network(&address);
    for (mode, is_told) in [(0o644, true), (0o640, true), (0o600, false)] {
        fs::set_permissions(world.path("password"), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(world.program("backup"));
        world.equip(&mut command).env("CERTADM_LOG", "warn");
        let output = command.args(["network", &format!("set-{mode:o}")]).output().unwrap();
        let said = both(&output);
        assert!(output.status.success(), "{said}");
        let told = said.contains("others can read the password file") && said.contains("chmod 600");
        assert_eq!(told, is_told, "{mode:o}: {said}");
    }
}

/// A password is no part of an event, at the most talkative level either (ARCHITECTURE.md, invariant 10).
#[test]
fn the_log_has_no_password() {
    let mut world = World::new();
    world.account("operator");
    let address = world.start_with("--allow-remote-backup");
    world.name_network(&address);
    let file = world.path("events");
    let mut command = Command::new(world.program("backup"));
    world.equip(&mut command).env("CERTADM_LOG", "trace").env("CERTADM_LOG_FILE", &file);
    let output = command.args(["network", "set"]).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let events = fs::read_to_string(&file).unwrap();
    assert!(events.contains("CertSrvBackupEnd") && !events.contains("Pa55-word-of-tests"), "{events}");
}

/// The two commands of the README, as they stand there, after an installation whose library the system finds.
#[test]
fn the_block_of_the_readme_runs_as_written() {
    let world = World::serving();
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let block = readme.split("cargo xtask install --prefix /usr/local\ncc ").nth(1).expect("the block for C");
    let line = format!("cc {}", block.lines().next().unwrap());
    assert!(
        line.contains("examples/c/backup.c") && line.ends_with("./backup localhost /backup/monday"),
        "{line}"
    );
    // What `install` leaves below its prefix, as far as the line needs it; a system whose loader knows the folder.
    let lib = world.path("lib");
    fs::create_dir(&lib).unwrap();
    symlink(crate::world::library(), lib.join("libcertadm.so.1")).unwrap();
    let (include, examples) = (repository("include"), repository("examples"));
    symlink(&examples, world.path("examples")).unwrap();
    let pkg_config = format!(
        "prefix=/nowhere\nName: certadm\nDescription: test\nVersion: 1\nLibs: -L{}\nCflags: -I{}\n",
        lib.display(),
        include.display()
    );
    fs::write(lib.join("certadm.pc"), pkg_config).unwrap();
    let line = line.replace("/backup/monday", world.path("monday").to_str().unwrap());
    let mut command = Command::new("sh");
    world.equip(&mut command).env_remove("CERTADM_LIBRARY");
    command.args(["-ec", &line]).env("PKG_CONFIG_PATH", &lib).env("LD_LIBRARY_PATH", &lib);
    if !crate::world::installed("pkg-config") {
        return;
    }
    let output = command.output().unwrap();
    let said = both(&output);
    assert!(output.status.success() && said.ends_with("The backup is complete.\n"), "{said}");
}
