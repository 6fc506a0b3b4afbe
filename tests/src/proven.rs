//! What the suites proved, in numbers, for the summary of `cargo xtask test`.

use std::fs::OpenOptions;
use std::io::Write;

/// Adds `number` of a kind, such as `kills`, to the file that `CERTADM_COUNTS` names. Without it nothing is written.
/// Call it when all of it is proven.
///
/// # Panics
/// When the file cannot be written.
pub fn proven(kind: &str, number: u64) {
    let Some(path) = std::env::var_os("CERTADM_COUNTS") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("the counts can be opened");
    // One write, since other tests append at the same time.
    file.write_all(format!("{number} {kind}\n").as_bytes()).expect("the counts can be written");
}
