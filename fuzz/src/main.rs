//! One libFuzzer program for all targets; the environment variable `CERTADM_FUZZ_TARGET` names the one to run.
//!
//! One program instead of one for each target keeps adding a target to a line, and the build to one link.

#![no_main]

use std::sync::OnceLock;

use certadm_fuzz_oracles::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target named in the environment. Without one, or with a wrong one, the program ends and lists them.
fn target() -> Target {
    let name = std::env::var("CERTADM_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| {
        eprintln!("CERTADM_FUZZ_TARGET must be one of:");
        for target in TARGETS {
            eprintln!("{}", target.name);
        }
        std::process::exit(2)
    })
}

// The empty input comes first, without a limit of time: with it a target makes what all its inputs share, such as a key.
fuzz_target!(init: (TARGET.get_or_init(target).run)(&[]), |data: &[u8]| {
    (TARGET.get_or_init(target).run)(data);
});
