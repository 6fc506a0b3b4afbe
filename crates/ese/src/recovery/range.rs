//! Which logs a database needs, by its header and its patch page.

use crate::backup::PatchPage;
use crate::header::{DatabaseHeader, State};

/// The generations that a database needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// First generation.
    pub low: u32,
    /// Last generation that it needs to be consistent and to lose nothing that was committed.
    pub high: u32,
}

/// What header and patch page say together; `None` for a database that is clean.
pub(super) fn required_range(header: &DatabaseHeader, patch: Option<&PatchPage>) -> Option<Range> {
    if header.state() == State::CleanShutdown {
        return None;
    }
    let current = header.current_full_backup();
    let lows = [header.required_low(), current.low, patch.map_or(0, |patch| patch.required_low)];
    let highs = [
        header.required_high(),
        header.committed_high(),
        current.high,
        patch.map_or(0, |patch| patch.backup.high),
        patch.map_or(0, |patch| patch.required_high),
        patch.map_or(0, |patch| patch.committed_high),
    ];
    let low = lows.into_iter().filter(|low| *low != 0).min()?;
    let high = highs.into_iter().max().unwrap_or(low).max(low);
    Some(Range { low, high })
}
