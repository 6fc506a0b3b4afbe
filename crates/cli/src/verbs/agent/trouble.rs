//! What keeps the agent from a part of its work: it says so, goes on, and tries again.

use std::time::Duration;

use super::manager;
use crate::output::Output;
use crate::terminal::Tone;

/// How soon what keeps the page from being shown, or runs from beginning, is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(15);

/// Says what is not as it should be.
pub(super) fn warn(output: Output, text: &str) {
    manager::warn(text);
    output.toned("", "warning", Some(Tone::Warn), &format!(": {text}"));
}
