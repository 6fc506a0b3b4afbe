//! What the suites proved, by kind: they append lines such as `18 kills` to a file, since runners keep to themselves what a
//! test that passed has printed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::failure::{Context, Result};
use crate::workspace::Workspace;

/// Where the tests learn of the file.
pub(crate) const VARIABLE: &str = "CERTADM_COUNTS";

/// The file.
pub(crate) fn path(workspace: &Workspace) -> PathBuf {
    workspace.target().join("xtask-counts")
}

/// Forgets the last run.
pub(crate) fn begin(workspace: &Workspace) -> Result<()> {
    match fs::remove_file(path(workspace)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).context("cannot remove the old counts")
        }
        _ => Ok(()),
    }
}

/// Adds to the file.
pub(crate) fn add(workspace: &Workspace, kind: &str, number: u64) -> Result<()> {
    let opened = OpenOptions::new().append(true).create(true).open(path(workspace));
    let written = opened.and_then(|mut file| file.write_all(format!("{number} {kind}\n").as_bytes()));
    written.context("cannot write the counts")
}

/// A line for each kind: what was counted since [`begin`].
pub(crate) fn summary(workspace: &Workspace) -> Vec<String> {
    let text = fs::read_to_string(path(workspace)).unwrap_or_default();
    sums(&text).into_iter().map(|(kind, number)| format!("{kind:<24} {number:>12}")).collect()
}

fn sums(text: &str) -> BTreeMap<&str, u64> {
    let mut sums = BTreeMap::new();
    for (number, kind) in text.lines().filter_map(|line| line.split_once(' ')) {
        *sums.entry(kind).or_default() += number.parse().unwrap_or(0);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_kind_are_added_up() {
        let sums = sums("18 kills\n7 fault points\n30 kills\nnonsense\n");
        assert_eq!(sums, BTreeMap::from([("kills", 48), ("fault points", 7)]));
    }
}
