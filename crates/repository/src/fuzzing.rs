//! Ways in for the fuzz targets, which no other crate uses.

use std::collections::BTreeSet;

use certadm_set::manifest::SetKind;
use certadm_set::stored::chain;
use rustic_core::TreeId;
use rustic_core::repofile::{Node, SnapshotFile};

use crate::point::Point;
use crate::tree;

/// What a snapshot says, in the JSON of restic's format; `None` when certadm did not make it, or it is no snapshot.
#[must_use]
pub fn snapshot(json: &[u8]) -> Option<Point> {
    Point::of(&serde_json::from_slice::<SnapshotFile>(json).ok()?)
}

/// The paths of a set whose trees are lists of nodes in JSON; the first octet of a subtree's id chooses among them.
///
/// # Errors
/// Why it can be no set.
pub fn paths(json: &[u8]) -> Result<Vec<String>, String> {
    let trees: Vec<Vec<Node>> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    let mut read = |id: TreeId| {
        let first = u8::from_str_radix(&id.to_hex()[..2], 16).unwrap_or_default();
        let place = usize::from(first) % trees.len().max(1);
        trees.get(place).cloned().ok_or_else(|| "there is no tree".to_owned())
    };
    let files = tree::files(TreeId::default(), &mut read, &|wrong| wrong)?;
    assert!(files.values().all(Node::is_file), "a set holds what is no file");
    Ok(files.into_keys().collect())
}

/// A point of a history.
#[must_use]
pub fn point(
    id: u64,
    time: i64,
    kind: SetKind,
    database: &str,
    generations: (u32, u32),
    held: bool,
) -> Point {
    Point {
        id: format!("{id:064x}"),
        time,
        ca: "CA".to_owned(),
        kind,
        database: database.to_owned(),
        stream: "aa".to_owned(),
        generations,
        bytes: 0,
        files: 0,
        seconds: 0,
        held,
        version: 0,
        tree: TreeId::default(),
        links: None,
    }
}

/// The ids of the points whose state can be restored from `points` alone at `now`, in seconds since 1970.
#[must_use]
pub fn restorable(points: &[Point], now: i64) -> BTreeSet<String> {
    let all: Vec<&Point> = points.iter().collect();
    all.iter().filter(|point| chain(&all, point, now).is_ok()).map(|point| point.id.clone()).collect()
}

/// Reads bytes as what a server of SFTP sends: its greeting, and an answer.
pub fn sftp(message: &[u8]) {
    crate::objects::fuzz_sftp(message);
}
