//! What a snapshot and a tree of a repository may hold, as whoever has its key can write them.

use certadm_repository::fuzzing::{paths, snapshot};
use certadm_rules::names::is_safe_component;

/// The first octet says what the rest is: 0 a snapshot, 1 trees.
pub(crate) fn run(data: &[u8]) {
    match data.split_first() {
        Some((kind, rest)) if kind % 2 == 0 => {
            let Some(point) = snapshot(rest) else { return };
            assert!(point.generations.0 <= point.generations.1);
            assert!(point.database.len() <= 64 && point.stream.len() <= 64);
            assert!(!point.short_id().is_empty());
        }
        Some((_, rest)) => {
            for path in paths(rest).unwrap_or_default() {
                assert!(path.split('/').all(is_safe_component), "{path:?}");
                assert!(path.split('/').count() <= 3, "{path:?}");
            }
        }
        None => {}
    }
}
