//! When the logs speak of the database: they create, open and close it, and one that was clean before the replay takes part
//! only from where they open it as it was (ese.md 9.2; codes: certbcli.md 9.2).

use super::closed::Closed;
use super::{Replayer, part_of_macro};
use crate::code::Code;
use crate::error::Error;
use crate::header::{DatabaseHeader, State};
use crate::lgpos::Lgpos;
use crate::log::{LogHeader, Record};
use crate::pager::PagerMut;
use crate::stamps::Signature;

impl<T: PagerMut> Replayer<T> {
    /// Notes the header of the next generation: which number the database has in its records.
    pub fn begin_log(&mut self, log: &LogHeader) {
        self.log_signature = log.signature;
        self.time = log.created;
        let own = self.header.as_ref().map(DatabaseHeader::database_signature);
        let Some(attachment) = log.attachments.iter().find(|attachment| Some(attachment.signature) == own)
        else {
            return;
        };
        self.opened(attachment.database);
        if let Some(closed) = &mut self.closed
            && closed.at.generation < log.generation
        {
            closed.miss(Lgpos { generation: log.generation, segment: log.header_sectors, offset: 0 });
        }
    }

    /// The logs have the database open under this number.
    fn opened(&mut self, number: u8) {
        self.attached = true;
        match &mut self.closed {
            Some(closed) => closed.number = Some(number),
            None => self.number = Some(number),
        }
    }

    pub(super) fn create_database(&mut self, database: u8, signature: Signature) -> Result<(), Error> {
        match &self.header {
            // The copy at hand is of this database or younger: its creation is history.
            Some(header) if header.database_signature() == signature => self.opened(database),
            Some(_) => {}
            None => {
                // Format 0x620, update 20: what every engine creates unless a later record says otherwise.
                let mut header =
                    DatabaseHeader::create(self.pages.size, 0x620, 20, signature, self.log_signature);
                header.set_database_number(database);
                header.set_dirty(self.position, self.position.generation);
                self.header = Some(header);
                self.opened(database);
                self.write_header()?;
            }
        }
        Ok(())
    }

    /// The logs open a database that was closed at `consistent`, in the sequence `log`.
    pub(super) fn attach(
        &mut self,
        database: u8,
        signature: Signature,
        log: Signature,
        consistent: Lgpos,
    ) -> Result<(), Error> {
        let position = self.position;
        let Some(header) = self.header.as_mut().filter(|header| header.database_signature() == signature)
        else {
            return Ok(());
        };
        if let Some(closed) = self.closed.as_ref().filter(|closed| closed.at < position) {
            if log != header.log_signature() || !closed.is_at(consistent) {
                let (code, problem) = (
                    Code::CONSISTENT_TIME_MISMATCH,
                    format!(
                        "the database was closed at {}, but the logs go on with it as it was closed at {consistent}",
                        closed.at
                    ),
                );
                return Err(self.fault(None, code, problem));
            }
            self.closed = None;
        }
        if self.closed.is_none()
            && header.state() == State::CleanShutdown
            && header.consistent_position() < position
        {
            header.set_dirty(position, position.generation);
        }
        self.opened(database);
        Ok(())
    }

    /// The logs close the database.
    pub(super) fn detach(&mut self, database: u8) -> Result<(), Error> {
        if let Some(closed) = self.closed.as_mut().filter(|closed| closed.number == Some(database)) {
            closed.number = None;
        }
        if self.number == Some(database) {
            self.mark_clean(self.position)?;
            self.number = None;
        }
        Ok(())
    }

    /// The engine ended in good order, and closed what was open. As where it was closed counts the mark with which the engine
    /// began to end.
    pub(super) fn end_of_engine(&mut self) -> Result<(), Error> {
        self.drop_macros();
        let position = self.shut_down.take().unwrap_or(self.position);
        if let Some(closed) = &mut self.closed {
            closed.number = None;
        }
        if self.number.is_some() && self.open_transactions().is_empty() {
            self.mark_clean(position)?;
            self.number = None;
        }
        Ok(())
    }

    /// The database was closed in good order at this position.
    pub(super) fn mark_clean(&mut self, position: Lgpos) -> Result<(), Error> {
        self.settle_all()?;
        self.pages.flush()?;
        self.applied_when_clean = self.counts.applied;
        let time = self.time;
        if let Some(header) = &mut self.header {
            header.set_clean(position, time, self.dbtime, self.last_object);
        }
        self.write_header()
    }

    /// Notes what a record, which comes behind the position `before`, means for a database that is clean.
    pub(super) fn pass_closed(&mut self, before: Lgpos, record: &Record<'_>) {
        let position = self.position;
        let Some(closed) = &mut self.closed else { return };
        closed.pass(before, position);
        // What was rolled back as the database was recovered may have its commit here.
        let commits = matches!(record, Record::Commit { to: 0, .. });
        let is_of_it = closed.number.is_some() && (commits || closed.number == database_of(record));
        if closed.at < position && is_of_it {
            closed.miss(position);
        }
    }

    /// Refuses a database that the logs go on with, but not from where it is.
    pub(super) fn refuse_missed(&mut self) -> Result<(), Error> {
        let Some(Closed { at, missed: Some(missed), .. }) = self.closed else {
            return Ok(());
        };
        self.position = missed;
        let problem = format!(
            "the database was closed at {at}, but the logs have it open here: they do not continue it, and what they \
             committed since would be missing"
        );
        Err(self.fault(None, Code::ATTACHED_DATABASE_MISMATCH, problem))
    }
}

/// The number of the database that a record changes.
fn database_of(record: &Record<'_>) -> Option<u8> {
    match record {
        Record::NewPage { database, .. }
        | Record::ExtendDatabase { database, .. }
        | Record::ShrinkDatabase { database, .. }
        | Record::SetVersion { database, .. } => Some(*database),
        other => part_of_macro(other).map(|page| page.database),
    }
}
