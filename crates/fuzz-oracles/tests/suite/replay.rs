//! Every stored input through its target: seeds, past crashes, and seeds with simple damage.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_fuzz_oracles::{TARGETS, Target};

/// `fuzz/seeds` holds good and nearly good inputs, `fuzz/regressions` what once broke a promise.
const KINDS: [&str; 2] = ["seeds", "regressions"];
/// Larger seeds are replayed, but not damaged byte by byte.
const MAX_DAMAGED_LEN: usize = 2048;

/// Targets that work on files, or seal what they send: their seeds are damaged in one way only.
const SLOW: [&str; 4] = ["client_connection", "server_connection", "set_folder", "store_content"];

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind)
}

fn inputs(kind: &str, target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder(kind).join(target.name)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn every_stored_input_keeps_every_promise() {
    for target in TARGETS {
        for kind in KINDS {
            for (path, data) in inputs(kind, target) {
                println!("{}", path.display()); // shown only when the target panics
                (target.run)(&data);
            }
        }
    }
}

#[test]
fn every_target_has_seeds() {
    for target in TARGETS {
        assert!(!inputs("seeds", target).is_empty(), "fuzz/seeds/{} holds nothing", target.name);
    }
}

#[test]
fn every_folder_belongs_to_a_target() {
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    for kind in KINDS {
        let Ok(entries) = std::fs::read_dir(folder(kind)) else {
            continue;
        };
        for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
            let name = entry.file_name().into_string().unwrap();
            assert!(names.contains(&name), "fuzz/{kind}/{name} belongs to no target");
        }
    }
}

/// Truncated after every byte, and every byte in turn replaced by its complement, 0, 0xFF and its neighbours.
#[test]
fn damaged_seeds_keep_every_promise() {
    for target in TARGETS {
        for (path, seed) in inputs("seeds", target) {
            println!("{}", path.display());
            if MAX_DAMAGED_LEN < seed.len() {
                continue;
            }
            for len in 0..seed.len() {
                (target.run)(&seed[..len]);
            }
            let mut damaged = seed.clone();
            for (at, &byte) in seed.iter().enumerate() {
                let replacements = [!byte, 0, 0xFF, byte.wrapping_add(1), byte.wrapping_sub(1)];
                let count = if SLOW.contains(&target.name) { 1 } else { replacements.len() };
                for &replacement in &replacements[..count] {
                    damaged[at] = replacement;
                    (target.run)(&damaged);
                }
                damaged[at] = byte;
            }
        }
    }
}
