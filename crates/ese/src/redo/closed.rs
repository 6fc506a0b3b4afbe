//! Where in the logs a clean database is.

use crate::header::{DatabaseHeader, State};
use crate::lgpos::Lgpos;

/// A database that was clean before the replay.
///
/// Its pages may be newer than its place in the logs: a rollback gives them new times. So the rule of database times does
/// not protect it, and a change of the logs would be taken for one that is already there.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    /// The record that made it clean.
    pub(super) at: Lgpos,
    /// That record as the logs have it: behind the first position, up to the second one.
    record: Option<(Lgpos, Lgpos)>,
    /// Its number in the records while the logs have it open.
    pub(super) number: Option<u8>,
    /// The first word of the logs about it that is newer than it is.
    pub(super) missed: Option<Lgpos>,
}

impl Closed {
    pub(super) fn of(header: &DatabaseHeader) -> Option<Self> {
        let is_clean = header.state() == State::CleanShutdown;
        is_clean.then(|| Self { at: header.consistent_position(), record: None, number: None, missed: None })
    }

    /// Notes the next record and the one before it.
    pub(super) fn pass(&mut self, before: Lgpos, position: Lgpos) {
        if self.record.is_none() && self.at <= position {
            let start = Lgpos { generation: position.generation, ..Lgpos::default() };
            self.record = Some((if before.is_none() { start } else { before }, position));
        }
    }

    /// Whether the position is that of the record that made it clean. The engine counts a record from the end of the one
    /// before it, so the first record of a segment has several positions.
    pub(super) fn is_at(&self, position: Lgpos) -> bool {
        let is_of_record =
            |position| self.record.is_some_and(|(before, record)| before < position && position <= record);
        position == self.at || (is_of_record(position) && is_of_record(self.at))
    }

    pub(super) fn miss(&mut self, position: Lgpos) {
        self.missed.get_or_insert(position);
    }
}
