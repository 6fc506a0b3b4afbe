//! Replay of log records onto the pages of one database (ese.md 9).
//!
//! Every record names the database time of its page before and after, so each page is judged by itself: already
//! there, to be changed, or not fitting. A log that does not fit its database cannot be replayed by accident.

mod attach;
mod closed;
mod fit;
mod merge;
mod node;
mod pages;
mod settle;
mod split;
mod transaction;
mod tree;
mod undo;
mod waiting;

use std::collections::HashMap;

use crate::code::Code;
use crate::error::Error;
use crate::header::{DatabaseHeader, State};
use crate::lgpos::Lgpos;
use crate::log::Record;
use crate::log::record::PageChange;
use crate::page::flag;
use crate::pager::{FilePager, PagerMut};
use crate::pagesize::PageSize;
use crate::stamps::{LogTime, Signature};

pub use node::apply_difference;
pub use split::decode_image;

use closed::Closed;
use fit::{Misfit, Verdict, fits};
use pages::{Pages, Slot};
use transaction::{Before, Session};
use waiting::Waiting;

/// Largest page number a log may make a file grow to: 16 TiB of the largest pages.
const LARGEST_PAGE: u32 = 1 << 29;

/// So many bytes a database may own behind what was ever written, beside several times that.
const ROOM_TO_GROW: u64 = 1 << 30;

/// Memory for the changes of open transactions, about. The engine has such a bound itself, its version store.
const MOST_REMEMBERED: usize = 256 << 20;

/// So many records come between two looks at that bound.
const RECORDS_BETWEEN: u64 = 512;

/// What a replay did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Records seen.
    pub records: u64,
    /// Page changes made.
    pub applied: u64,
    /// Page changes that were already there.
    pub skipped: u64,
    /// Transactions rolled back at the end.
    pub rolled_back: u32,
    /// Single changes undone for that.
    pub undone: u64,
}

/// The state of a database in the middle of a replay.
///
/// Feed it the records of each generation in order ([`Replayer::begin_log`], [`Replayer::apply`]), then
/// [`Replayer::finish`]. A record may be applied later than it comes, in the order of the file; an error names the record
/// that it is about. Memory: a cache of pages of at most about 4 MiB, at most about 36 MiB of records that wait for their
/// page, about 8 MiB while they are applied, and the changes of open transactions, which may take 256 MiB and are a few KiB
/// in the log of a CA.
#[derive(Clone, Debug)]
pub struct Replayer<T> {
    pages: Pages<T>,
    waiting: Waiting,
    header: Option<DatabaseHeader>,
    /// Number of the database in the records while it is attached.
    number: Option<u8>,
    /// The logs have spoken of the database.
    attached: bool,
    /// Where it was clean before the replay, until the logs open it.
    closed: Option<Closed>,
    /// Where the engine began to end in good order.
    shut_down: Option<Lgpos>,
    /// Page changes when the header was last made clean.
    applied_when_clean: u64,
    sessions: HashMap<u16, Session>,
    /// What a split learned about the node of the operation that follows it, which has this version number.
    prepared: Option<(u32, Before)>,
    position: Lgpos,
    log_signature: Signature,
    dbtime: u64,
    last_object: u32,
    last_page: u32,
    /// Last page that the file had or that a record made. A record that only makes the file longer does not count.
    last_made: u32,
    counts: Counts,
    /// Time stamp for the clean header: that of the last log.
    time: LogTime,
}

impl Counts {
    fn note(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Apply => self.applied += 1,
            Verdict::AlreadyThere => self.skipped += 1,
        }
    }
}

impl<T: PagerMut> Replayer<T> {
    /// Starts on `target`, which holds a database with this header, without the patch page of a backup copy; with no
    /// header it waits for the log to create one.
    pub fn new(target: T, header: Option<DatabaseHeader>, page_size: PageSize) -> Self {
        let slots = (target.size() / page_size.bytes64()).saturating_sub(2);
        let last_page = header.as_ref().map_or(0, |_| u32::try_from(slots).unwrap_or(u32::MAX));
        Self {
            dbtime: header.as_ref().map_or(0, DatabaseHeader::dbtime),
            last_object: header.as_ref().map_or(0, DatabaseHeader::last_object_id),
            pages: Pages::new(target, page_size),
            waiting: Waiting::new(),
            closed: header.as_ref().and_then(Closed::of),
            header,
            number: None,
            attached: false,
            shut_down: None,
            applied_when_clean: 0,
            sessions: HashMap::new(),
            prepared: None,
            position: Lgpos::default(),
            log_signature: Signature([0; 28]),
            last_page,
            last_made: last_page,
            counts: Counts::default(),
            time: LogTime::default(),
        }
    }

    /// Lets at most so many records wait for their page. 0 applies each record as it comes; what comes out is the same.
    #[must_use]
    pub fn let_wait_at_most(self, records: usize) -> Self {
        Self { waiting: self.waiting.up_to(records), ..self }
    }

    /// Keeps records that wait for their page in `file`, which is empty and nobody else uses, and not in memory: more of
    /// them may wait, so that each page is read and written fewer times. The file grows to at most about 256 MiB.
    /// Where it cannot be written, records wait in memory.
    #[must_use]
    pub fn let_wait_in(self, file: FilePager) -> Self {
        Self { waiting: self.waiting.aside(file), ..self }
    }

    /// The header as it would be written now; `None` before the log created the database.
    pub fn header(&self) -> Option<&DatabaseHeader> {
        self.header.as_ref()
    }

    /// True when the logs have spoken of this database: what they did to others is none of its business.
    pub fn was_attached(&self) -> bool {
        self.attached
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Sessions with an open transaction.
    pub fn open_transactions(&self) -> Vec<u16> {
        let open = self.sessions.iter().filter(|(_, session)| session.is_open());
        open.map(|(number, _)| *number).collect()
    }

    /// Replays one record.
    ///
    /// # Errors
    /// [`Error::Replay`] naming the position: -566 or -567 (HRESULT 0xC8000236, 0xC8000237) when a page does not fit,
    /// -501 (0xC80001F5) when the record contradicts its page, -514 (0xC8000202) for a record whose replay is not
    /// supported, -1069 (0xC800042D) when open transactions take more memory than is allowed. [`Error::Io`]. After an
    /// error the replay must not go on.
    pub fn apply(&mut self, position: Lgpos, bytes: &[u8]) -> Result<(), Error> {
        let before = std::mem::replace(&mut self.position, position);
        self.counts.records += 1;
        self.pages.trim()?;
        self.check_remembered()?;
        let record = Record::parse(bytes)?;
        self.pass_closed(before, &record);
        if self.collect(&record, bytes) {
            return Ok(());
        }
        match record {
            Record::MacroCommit { session, dbtime } => self.apply_macro(session, dbtime),
            other if self.let_wait(&other, bytes) => self.settle_if_full(),
            other => self.apply_parsed(&other),
        }
    }

    fn check_remembered(&self) -> Result<(), Error> {
        if !self.counts.records.is_multiple_of(RECORDS_BETWEEN) {
            return Ok(());
        }
        if MOST_REMEMBERED < self.sessions.values().map(Session::weight).sum() {
            return Err(self.fault(
                None,
                Code::VERSION_STORE_OUT_OF_MEMORY,
                "more changes are not committed than a version store holds: recover on Windows",
            ));
        }
        Ok(())
    }

    /// Errors of records carry their position.
    fn fault(&self, page: Option<u32>, code: Code, problem: impl Into<String>) -> Error {
        let problem = match page {
            Some(page) => format!("page {page}: {}", problem.into()),
            None => problem.into(),
        };
        Error::Replay { position: self.position, page, code, problem }
    }

    fn contradiction(&self, page: u32, problem: &str) -> Error {
        Misfit::contradiction(problem).at(self.position, page)
    }

    /// Keeps a record that belongs to a macro until the macro's end; false for one that belongs to none.
    fn collect(&mut self, record: &Record<'_>, bytes: &[u8]) -> bool {
        let Some(page) = part_of_macro(record) else { return false };
        let session = self.sessions.get_mut(&page.session);
        session.is_some_and(|session| session.collect(page.dbtime, self.position, bytes))
    }

    fn apply_parsed(&mut self, record: &Record<'_>) -> Result<(), Error> {
        match record {
            Record::Begin { session, from, levels } => self.session(*session).begin(*from, *levels),
            Record::Commit { session, to } => self.session(*session).commit(*to),
            Record::Rollback { session, levels } => self.session(*session).rollback(*levels),
            Record::MacroBegin { session, dbtime } => self.session(*session).macro_begin(*dbtime),
            Record::MacroAbort { session, dbtime } => {
                self.session(*session).macro_end(*dbtime);
            }
            Record::CreateDatabase { database, signature, .. } => {
                self.create_database(*database, *signature)?;
            }
            Record::AttachDatabase { database, consistent, signature, log, .. } => {
                self.attach(*database, *signature, *log, *consistent)?;
            }
            Record::DetachDatabase { database, .. } => self.detach(*database)?,
            Record::ShutDown => self.shut_down = Some(self.position),
            Record::Term | Record::RecoveryQuit => self.end_of_engine()?,
            // Its databases stay open.
            Record::RecoveryKept => self.drop_macros(),
            // The engine started, or began to recover: a macro without an end never happened.
            Record::RecoveryUndo | Record::Init => {
                self.drop_macros();
                self.shut_down = None;
            }
            Record::ExtendDatabase { database, last_page } if self.is_ours(*database) => {
                self.extend(*last_page)?;
            }
            Record::ShrinkDatabase { database, last_page } if self.is_ours(*database) => {
                self.shrink(*last_page)?;
            }
            Record::SetVersion { database, version } if self.is_ours(*database) => {
                if let Some(header) = &mut self.header {
                    header.set_update(version[1], version[2]);
                }
            }
            Record::NotReplayed { kind } => {
                return Err(self.fault(
                    None,
                    Code::BAD_LOG_VERSION,
                    format!("replay of a {} record is not supported: recover on Windows", kind.name()),
                ));
            }
            Record::Split(split) => self.apply_splits(&[(*split, self.position)], None)?,
            Record::Merge(merge) => self.apply_merges(&[*merge])?,
            other => self.apply_page_record(other)?,
        }
        Ok(())
    }

    fn session(&mut self, number: u16) -> &mut Session {
        self.sessions.entry(number).or_default()
    }

    fn drop_macros(&mut self) {
        for session in self.sessions.values_mut() {
            session.drop_macros();
        }
    }

    fn is_ours(&self, database: u8) -> bool {
        self.number == Some(database) && self.header.is_some()
    }

    /// Applies what a session collected; splits and merges with all their levels at once.
    fn apply_macro(&mut self, number: u16, dbtime: u64) -> Result<(), Error> {
        let end = self.position;
        let collected = self.session(number).macro_end(dbtime);
        let mut records = Vec::with_capacity(collected.len());
        for (position, bytes) in &collected {
            records.push((*position, Record::parse(bytes)?));
        }
        let mut rest = records.as_slice();
        while let Some((position, record)) = rest.first() {
            self.pages.trim()?;
            self.position = *position;
            match record {
                Record::Split(_) => {
                    let levels = run_of(rest, |position, record| match record {
                        Record::Split(split) => Some((*split, position)),
                        _ => None,
                    });
                    rest = &rest[levels.len()..];
                    let operation = rest.first().map(|(_, record)| record);
                    self.apply_splits(&levels, operation)?;
                }
                Record::Merge(_) => {
                    let levels = run_of(rest, |_, record| match record {
                        Record::Merge(merge) => Some(*merge),
                        _ => None,
                    });
                    rest = &rest[levels.len()..];
                    self.apply_merges(&levels)?;
                }
                other => {
                    rest = &rest[1..];
                    self.apply_parsed(other)?;
                }
            }
        }
        self.position = end;
        Ok(())
    }

    /// True for a number that a page can have.
    const fn is_possible(page: u32) -> bool {
        page != 0 && page <= LARGEST_PAGE
    }

    /// The rule of ese.md 9.1 for a page that exists.
    fn judge(&mut self, page: u32, dbtime: u64, before: u64) -> Result<Verdict, Error> {
        self.dbtime = self.dbtime.max(dbtime);
        if !Self::is_possible(page) {
            return Err(self.contradiction(page, "the record names a page that cannot exist"));
        }
        self.settle(page)?;
        match fits(self.pages.slot(page)?, dbtime, before) {
            Ok(verdict) => {
                self.counts.note(verdict);
                Ok(verdict)
            }
            Err(misfit) => Err(misfit.at(self.position, page)),
        }
    }

    /// The rule for a page that the record makes anew.
    fn judge_new(&mut self, page: u32, dbtime: u64) -> Result<Verdict, Error> {
        self.dbtime = self.dbtime.max(dbtime);
        if !Self::is_possible(page) {
            return Err(self.contradiction(page, "the record makes a page that cannot exist"));
        }
        self.settle(page)?;
        match self.pages.slot(page)? {
            Slot::Present(image) if dbtime <= image.dbtime => {
                self.counts.skipped += 1;
                Ok(Verdict::AlreadyThere)
            }
            _ => {
                self.counts.applied += 1;
                self.last_page = self.last_page.max(page);
                self.last_made = self.last_made.max(page);
                Ok(Verdict::Apply)
            }
        }
    }

    fn write_header(&mut self) -> Result<(), Error> {
        if let Some(header) = &self.header {
            let target = &mut self.pages.target;
            target.write_at(0, header.bytes())?;
            target.write_at(self.pages.size.bytes64(), header.bytes())?;
        }
        Ok(())
    }

    fn extend(&mut self, last_page: u32) -> Result<(), Error> {
        if LARGEST_PAGE < last_page {
            return Err(self.contradiction(last_page, "the file would grow beyond all bounds"));
        }
        self.last_page = self.last_page.max(last_page);
        Ok(())
    }

    fn shrink(&mut self, last_page: u32) -> Result<(), Error> {
        if last_page < self.last_page {
            self.settle_all()?;
            self.pages.flush()?;
            self.pages.cut(last_page);
            self.last_page = last_page;
            self.last_made = self.last_made.min(last_page);
            let end = self.pages.size.offset_of(last_page.saturating_add(1));
            if end < self.pages.target.size() {
                self.pages.target.set_size(end)?;
            }
        }
        Ok(())
    }

    /// Writes all changed pages to the target without ending the replay.
    ///
    /// # Errors
    /// As [`Replayer::apply`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.settle_all()?;
        self.pages.flush()?;
        self.write_header()
    }

    /// Gives the target back as a crash at this point would leave it, everything changed so far written.
    ///
    /// # Errors
    /// As [`Replayer::apply`].
    pub fn into_crashed(mut self) -> Result<T, Error> {
        self.flush()?;
        Ok(self.pages.target)
    }

    /// Ends the replay: rolls back open transactions, writes the pages and a clean header, and gives the target back.
    ///
    /// # Errors
    /// [`Error::Replay`] when an open transaction cannot be rolled back, and with -1216 (HRESULT 0xC80004C0) when the
    /// database was clean and the logs go on with it without having opened it as it was; [`Error::Refused`] with -1216
    /// when the logs never spoke of a database, [`Error::Io`].
    pub fn finish(mut self) -> Result<(T, DatabaseHeader, Counts), Error> {
        self.refuse_missed()?;
        self.roll_back()?;
        if self.header.is_some() {
            self.pages.flush()?;
            self.set_file_size()?;
        }
        let state = self.header.as_ref().map(DatabaseHeader::state);
        let changed = self.counts.applied != self.applied_when_clean || self.counts.undone != 0;
        if state != Some(State::CleanShutdown) || changed {
            self.mark_clean(self.position)?;
        } else {
            self.write_header()?;
        }
        self.pages.target.sync()?;
        match self.header {
            Some(header) => Ok((self.pages.target, header, self.counts)),
            None => Err(Error::Refused {
                code: Code::ATTACHED_DATABASE_MISMATCH,
                problem: "there is no database, and the logs create none".to_owned(),
            }),
        }
    }

    /// What readers would see in every tree: object identifier, key and data of all nodes that are not deleted,
    /// sorted. Space trees are left out, because a rollback does not give space back.
    ///
    /// # Errors
    /// As [`Replayer::apply`].
    pub fn visible_nodes(&mut self) -> Result<Vec<VisibleNode>, Error> {
        self.settle_all()?;
        let mut visible = Vec::new();
        for number in 1..=self.last_page {
            let Slot::Present(page) = self.pages.slot(number)? else {
                continue;
            };
            let is_leaf = page.has(flag::LEAF);
            if !is_leaf || page.flags & (flag::SPACE_TREE | flag::EMPTY) != 0 {
                continue;
            }
            let nodes = page.nodes.iter().filter(|node| !node.is_deleted());
            visible.extend(nodes.map(|node| VisibleNode {
                object: page.object,
                key: page.key(node),
                data: node.data.to_vec(),
            }));
        }
        visible.sort_unstable();
        Ok(visible)
    }

    /// The file ends behind the last page the database owns; pages that were never written are zero. So much longer than
    /// what was ever written is no real database.
    fn set_file_size(&mut self) -> Result<(), Error> {
        let database = crate::Database::open(PagerRef(&self.pages.target))?;
        let owned = crate::space::SpaceMap::read(&database, []);
        let owned = owned.map_or(0, |space| space.last_owned);
        drop(database);
        // What no page of a real database can be is left to a verification to report.
        let owned = if LARGEST_PAGE < owned { 0 } else { owned };
        let longest =
            (ROOM_TO_GROW / self.pages.size.bytes64()).saturating_add(4 * u64::from(self.last_made));
        if longest < u64::from(owned) {
            return Err(Error::Refused {
                code: Code::DATABASE_CORRUPTED,
                problem: format!(
                    "the database would have {owned} pages, but none behind page {} was ever written",
                    self.last_made
                ),
            });
        }
        let last = owned.max(self.last_made);
        let size = self.pages.size.offset_of(last.saturating_add(1));
        if self.pages.target.size() != size {
            self.pages.target.set_size(size)?;
        }
        Ok(())
    }
}

/// A node as readers see it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct VisibleNode {
    /// Object identifier of its tree.
    pub object: u32,
    /// Its full key.
    pub key: Vec<u8>,
    /// Its data.
    pub data: Vec<u8>,
}

/// Reads a target without taking it.
struct PagerRef<'a, T>(&'a T);

impl<T: PagerMut> crate::pager::Pager for PagerRef<'_, T> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

/// The first records, as long as `level` takes them: the levels of one split or of one merge.
fn run_of<'a, L>(records: &[(Lgpos, Record<'a>)], level: impl Fn(Lgpos, &Record<'a>) -> Option<L>) -> Vec<L> {
    records.iter().map_while(|(position, record)| level(*position, record)).collect()
}

/// The page part of a record that changes pages: its session and its time say which macro it belongs to, if any.
fn part_of_macro<'r>(record: &'r Record<'_>) -> Option<&'r PageChange> {
    match record {
        Record::CreateMultipleExtentTree { page, .. }
        | Record::CreateSingleExtentTree { page, .. }
        | Record::ConvertTree { page, .. } => Some(page),
        Record::Split(split) => Some(&split.page),
        Record::Merge(merge) => Some(&merge.page),
        Record::EmptyTree { at, .. } => Some(&at.page),
        // It changes no page. Whoever writes a page logs it in the name of the session whose change is on it, also while
        // that session is inside a macro.
        Record::UndoInfo { .. } => None,
        other => other.node_change().map(|at| &at.page),
    }
}
