//! What a replay of Windows logs did, as `verify` and `recover` tell it.

use certadm_ese::recovery::Outcome;
use serde_json::{Value, json};

/// What a replay did (docs/json.md).
pub(crate) fn to_json(replay: &Outcome) -> Value {
    let reached = (!replay.reached.is_none()).then(|| replay.reached.to_string());
    json!({
        "reached": reached,
        "records": replay.counts.records,
        "applied": replay.counts.applied,
        "skipped": replay.counts.skipped,
        "rolled_back": replay.counts.rolled_back,
        "undone": replay.counts.undone,
    })
}
