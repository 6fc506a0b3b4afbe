//! What the shared library shows to the world.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::world::{good, library, repository};

/// The functions that the header declares.
pub(crate) fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(repository("include/certbcli.h")).unwrap();
    header
        .lines()
        .filter_map(|line| line.split_once("CERTBCLI_API ")?.1.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("CertSrv"))
        .collect()
}

#[test]
fn exactly_the_18_names_are_exported() {
    let listed = good(Command::new("nm").args(["-D", "--defined-only"]).arg(library()));
    let exported: BTreeSet<String> =
        listed.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    assert_eq!(exported.len(), 18);
    assert_eq!(exported, declared());
}

#[test]
fn programs_that_are_linked_ask_for_the_first_version() {
    let dynamic = good(Command::new("readelf").arg("-d").arg(library()));
    assert!(dynamic.contains("Library soname: [libcertadm.so.1]"), "{dynamic}");
}

/// Nothing but the system's own libraries.
#[test]
fn it_needs_no_other_library() {
    let dynamic = good(Command::new("readelf").arg("-d").arg(library()));
    let needed: Vec<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.strip_suffix(']'))
        .collect();
    let own =
        ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"];
    assert!(needed.iter().all(|name| own.contains(name)), "{needed:?}");
}
