//! What `certadm verify` tells of sets of a Windows CA beyond its findings.

use certadm_set::windows::Outcome;
use serde_json::{Value, json};

use crate::verbs::replay;

/// State, pages, range and replay (docs/json.md).
pub(super) fn to_json(windows: &Outcome) -> Value {
    let pages = windows.pages.map(|pages| {
        json!({
            "valid": pages.valid,
            "zero": pages.zero,
            "free": pages.free,
            "free_garbage": pages.free_garbage,
            "beyond": pages.beyond,
            "correctable": pages.correctable,
            "damaged": pages.damaged,
        })
    });
    json!({
        "state": windows.state,
        "required": windows.required.map(|range| json!({ "low": range.low, "high": range.high })),
        "pages": pages,
        "replay": windows.replay.as_ref().map(replay::to_json),
    })
}
