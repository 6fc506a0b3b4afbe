//! Recovery of a database from its logs: planned from headers alone, rehearsed in memory, or done to a new file
//! (ese.md 9.2, 11.5; codes: certbcli.md 9.2).
//!
//! The header of a database that was in use says which logs it needs. That of a backup copy says where to begin, but
//! not where to end, because the copy was read while work went on: the end is in the patch page, which was made last.
//! Replaying a log twice does no harm, so it begins with the first record of the first log, however old some pages
//! are. In a log that the database needs, damage is an error. In a later one it only ends the replay: what comes
//! before it is whole.

use std::cell::Cell;
use std::collections::BTreeMap;

use certadm_rules::finding::{Finding, Kind, Severity, Spot};

use crate::backup::{CUT_SHORT, PatchPage, without_patch_page};
use crate::code::Code;
use crate::copy::copy_corrected;
use crate::database::Database;
use crate::error::Error;
use crate::header::{DatabaseHeader, State};
use crate::lgpos::Lgpos;
use crate::log::chain::{ChainCodes, Predecessor, check_link, check_name, generation_of_name};
use crate::log::{LogFile, LogHeader};
use crate::overlay::Overlay;
use crate::pager::{FilePager, Pager, PagerMut, same_bytes};
use crate::pagesize::PageSize;
use crate::redo::{Counts, Replayer};
use crate::space::SpaceMap;
use crate::verify::{judge_state, needs_unnamed_logs};
use damage::{fatal, is_damage, problem_of};
use signatures::{not_its_own, two_sequences};

pub use range::Range;
use range::required_range;

mod current;
mod damage;
mod mandatory;
mod needless;
mod range;
mod signatures;

/// A log file given to a recovery.
#[derive(Clone, Copy)]
pub struct LogInput<'a> {
    /// Its file name, which says the generation of a closed log.
    pub name: &'a str,
    /// Its bytes.
    pub file: &'a dyn Pager,
}

/// What a recovery would use and what stands in its way.
pub struct Plan<'a> {
    database: Option<&'a dyn Pager>,
    header: Option<DatabaseHeader>,
    patch: Option<PatchPage>,
    page_size: Option<PageSize>,
    logs: BTreeMap<u32, (LogHeader, LogInput<'a>)>,
    /// The highest generation of a log whose name has a number.
    last_numbered: Option<u32>,
    required: Option<Range>,
    /// Logs that were given and are those of another database.
    foreign: usize,
    /// A file for records that wait for their page, until a replay takes it.
    aside: Cell<Option<FilePager>>,
    /// What was found; damage means that [`Plan::recover`] refuses.
    pub findings: Vec<Finding>,
}

/// What is going on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The database is copied.
    Copying,
    /// Logs are read and checked.
    CheckingLogs,
    /// Logs are replayed.
    Replaying,
}

/// How far a step has come, for a progress bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// Bytes of the database, or of logs, that are through.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What a recovery did.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The clean header that was written.
    pub header: DatabaseHeader,
    /// What was replayed.
    pub counts: Counts,
    /// Position of the last record.
    pub reached: Lgpos,
    /// Logs that were given and are those of another database: none of them was replayed.
    pub foreign_logs: usize,
    /// What was noticed on the way without stopping it.
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// How many transactions were rolled back, in words.
    pub fn rolled_back(&self) -> String {
        match self.counts.rolled_back {
            1 => "1 transaction rolled back".to_owned(),
            number => format!("{number} transactions rolled back"),
        }
    }

    /// The outcome in one sentence.
    pub fn sentence(&self) -> String {
        let clean = "restorable: the database is clean and needs no log";
        match self.foreign_logs {
            0 if self.reached.is_none() => return clean.to_owned(),
            0 => {}
            1 => return format!("{clean}; the log given is not its own"),
            logs => return format!("{clean}; the {logs} logs given are not its own"),
        }
        format!("restorable: replay reached {}, 0 mismatches, {}", self.reached, self.rolled_back())
    }
}

impl<'a> Plan<'a> {
    /// Reads the headers of the database and of all logs and judges whether they make one sequence.
    ///
    /// Without a database the logs must create it (version 8, from generation 1 on).
    ///
    /// # Errors
    /// [`Error::NotADatabase`] (HRESULT 0xC80004B6) and [`Error::Io`]; everything else becomes findings.
    pub fn new(database: Option<&'a dyn Pager>, logs: &[LogInput<'a>]) -> Result<Self, Error> {
        let mut plan = Self {
            database,
            header: None,
            patch: None,
            page_size: None,
            logs: BTreeMap::new(),
            last_numbered: None,
            required: None,
            foreign: 0,
            aside: Cell::new(None),
            findings: Vec::new(),
        };
        if let Some(file) = database {
            plan.read_database(file)?;
        }
        let is_numbered = |log: &&LogInput<'_>| generation_of_name(log.name).is_some();
        for log in logs.iter().filter(is_numbered) {
            plan.read_log(*log)?;
        }
        let current: Vec<_> = logs.iter().filter(|log| !is_numbered(log)).copied().collect();
        plan.read_current(current)?;
        // Which logs are missing is only known of logs of one sequence.
        if plan.judge_signatures() {
            plan.judge_range();
        }
        plan.judge_links();
        let findings = core::mem::take(&mut plan.findings);
        plan.findings = findings.into_iter().map(|finding| plan.weighed(plan.in_its_file(finding))).collect();
        Ok(plan)
    }

    /// Gives the next replay an empty file, which nobody else uses, for records that wait for their page
    /// ([`Replayer::let_wait_in`]): it is faster with one.
    #[must_use]
    pub fn with_aside(self, file: FilePager) -> Self {
        Self { aside: Cell::new(Some(file)), ..self }
    }

    /// The generations that the database needs; `None` when it is clean or there is none.
    pub fn required(&self) -> Option<Range> {
        self.required
    }

    /// The first and the last generation given.
    pub fn given(&self) -> Option<Range> {
        let (low, high) = (self.logs.keys().next()?, self.logs.keys().next_back()?);
        Some(Range { low: *low, high: *high })
    }

    /// Headers of the logs given, by generation.
    pub fn logs(&self) -> impl Iterator<Item = &LogHeader> {
        self.logs.values().map(|(header, _)| header)
    }

    /// True when nothing found so far forbids a recovery. Only a replay proves it: [`Plan::rehearse`].
    pub fn is_promising(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity < Severity::Error)
    }

    /// Replays in memory: the strongest check, without writing anything. `cap` bounds the bytes of changed pages.
    ///
    /// # Errors
    /// As [`Plan::recover`]; [`Error::Io`] of kind `OutOfMemory` when the cap is reached.
    pub fn rehearse(&self, cap: usize, progress: &mut dyn FnMut(Progress)) -> Result<Outcome, Error> {
        self.check_promising()?;
        Ok(match self.database {
            Some(file) => self.replay(Overlay::new(file, cap), progress)?.1,
            None => self.replay(Overlay::new(Vec::new(), cap), progress)?.1,
        })
    }

    /// Replays onto `target`, which holds the same bytes as the database given, and gives it back recovered: an
    /// [`Overlay`] over the database, to look at what a recovery would give.
    ///
    /// # Errors
    /// As [`Plan::recover`].
    pub fn replay_onto<T: PagerMut>(
        &self,
        target: T,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(T, Outcome), Error> {
        self.check_promising()?;
        self.replay(target, progress)
    }

    /// Copies the database to `output` and brings it to the state of the last log. The input is never changed.
    ///
    /// On an error `output` holds an unfinished database: throw it away.
    ///
    /// # Errors
    /// [`Error::Refused`] with the code of the first damage found by planning; [`Error::Log`] for damage inside a
    /// required log (-573, -570; HRESULT 0xC800023D, 0xC800023A); [`Error::Replay`]; [`Error::UnknownRecord`];
    /// [`Error::Io`].
    pub fn recover(
        &self,
        output: &mut dyn PagerMut,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Outcome, Error> {
        self.check_promising()?;
        match self.database {
            Some(file) => {
                let total = file.size();
                let mut told = |done| progress(Progress { step: Step::Copying, done, total });
                copy_corrected(file, output, self.page_size, &mut told)?;
            }
            None => output.set_size(0)?,
        }
        Ok(self.replay(output, progress)?.1)
    }

    /// Reads every log given, not only those a recovery needs: size, framing to the end, records by their lengths,
    /// and that each is the one its successor was made after. The strongest check of logs without their database.
    ///
    /// # Errors
    /// [`Error::Io`] only: what the logs contain becomes findings.
    pub fn inspect_logs(&self, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Finding>, Error> {
        let last = self.given().map_or(0, |given| given.high);
        let mut findings = Vec::new();
        let mut at = self.at(Step::CheckingLogs, 0);
        let mut previous: Option<Predecessor> = None;
        for (generation, (_, input)) in &self.logs {
            let log = LogFile::open(input.file)?;
            let codes = self.codes_of(*generation);
            findings.extend(previous.and_then(|previous| previous.check(log.header(), codes)));
            findings.extend(self.judge_inside(&log, last));
            for record in log.records() {
                if let Err(error) = record {
                    findings.push(self.damaged_record(*generation, &error));
                }
            }
            at.done += input.file.size();
            progress(at);
            previous = Some(Predecessor::of(&log));
        }
        Ok(findings.into_iter().map(|finding| self.weighed(self.in_its_file(finding))).collect())
    }

    /// The beginning of a step over the logs from generation `low` on.
    fn at(&self, step: Step, low: u32) -> Progress {
        let total = self.logs.range(low..).map(|(_, (_, input))| input.file.size()).sum();
        Progress { step, done: 0, total }
    }

    /// Which column of the table of codes counts.
    fn codes(&self) -> ChainCodes {
        let in_use = |header: &DatabaseHeader| {
            header.state() != State::CleanShutdown && !header.current_full_backup().is_set()
        };
        if self.header.as_ref().is_some_and(in_use) { ChainCodes::START } else { ChainCodes::RESTORE }
    }

    /// The same for one log. The range of a restore is told by the names of its logs (certbcli.md 9.2): a current log,
    /// whose name has no number, lies behind it.
    fn codes_of(&self, generation: u32) -> ChainCodes {
        if self.is_behind_the_range(generation) { ChainCodes::EXISTING } else { self.codes() }
    }

    fn is_copy(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.current_full_backup().is_set())
    }

    fn check_promising(&self) -> Result<(), Error> {
        let worst = self.findings.iter().find(|finding| finding.severity == Severity::Error);
        match worst {
            None => Ok(()),
            Some(finding) => Err(Error::Refused {
                code: Code::from_hresult(finding.code).unwrap_or(Code::DATABASE_CORRUPTED),
                problem: problem_of(finding, true),
            }),
        }
    }

    fn read_database(&mut self, file: &'a dyn Pager) -> Result<(), Error> {
        let database = Database::open(file)?;
        let header = database.header().clone();
        let current = header.current_full_backup();
        let is_copy = current.is_set() && header.state() != State::CleanShutdown;
        let patch = if is_copy { database.patch_page()? } else { None };
        if let Some(patch) = &patch
            && let Err(error) = patch.check_against(&header)
        {
            self.findings.push(
                error
                    .to_finding(Kind::PatchPage, Some(Spot::Page(database.page_slots())))
                    .remedy("take the database and its logs from one backup"),
            );
        }
        if is_copy && patch.is_none() && current.high == 0 {
            let owned = SpaceMap::read(&database, []).map_or(0, |space| space.last_owned);
            let is_damaged = database.has_damaged_patch_page(owned)?;
            let text = "a backup copy without the patch page at its end";
            self.findings.push(without_patch_page(is_damaged, text));
        }
        if !file.size().is_multiple_of(header.page_size().bytes64()) {
            let text = "the size of the database is no multiple of its page size";
            self.findings.push(Finding::error(Kind::FileSize, Code::BAD_BACKUP_SIZE, text).remedy(CUT_SHORT));
        }
        self.required = required_range(&header, patch.as_ref());
        // Nothing may be replayed onto a database that is being reseeded or reverted.
        match judge_state(&header) {
            Some(finding) if finding.kind == Kind::UnusualState => self.findings.push(finding),
            Some(_) if self.required.is_none() => self.findings.push(needs_unnamed_logs()),
            _ => {}
        }
        self.page_size = Some(header.page_size());
        self.header = Some(header);
        self.patch = patch;
        Ok(())
    }

    fn read_log(&mut self, log: LogInput<'a>) -> Result<(), Error> {
        let header = match LogFile::read_header(log.file) {
            Ok(header) => header,
            Err(error @ Error::Io(_)) => return Err(error),
            Err(error) => {
                let kind = match error.code() {
                    Code::BAD_LOG_VERSION => Kind::LogVersion,
                    _ => Kind::LogHeader,
                };
                let code = match error.code() {
                    Code::LOG_CORRUPT => self.codes().damaged,
                    other => other,
                };
                let mut finding = error
                    .to_finding(kind, generation_of_name(log.name).map(Spot::Log))
                    .code(code)
                    .in_file(log.name)
                    .remedy("take this log from the backup again");
                finding.detail = error.detail();
                self.findings.push(finding);
                return Ok(());
            }
        };
        self.findings.extend(check_name(log.name, &header));
        let page_size = *self.page_size.get_or_insert(header.page_size);
        if header.page_size != page_size {
            let text = "it was written for another page size";
            self.findings.push(
                Finding::error(Kind::LogForeign, self.codes().foreign_database, text)
                    .at(Spot::Log(header.generation))
                    .remedy("take the database and its logs from one CA"),
            );
        }
        if let Some((known, other)) = self.logs.get(&header.generation) {
            if known.signature != header.signature {
                let finding = two_sequences(known, &header, self.codes_of(header.generation));
                self.findings.push(finding.in_file(log.name));
            } else if !same_bytes(other.file, log.file)? {
                let text = format!("{} and {} differ but hold the same generation", other.name, log.name);
                self.findings.push(
                    Finding::error(Kind::LogChain, self.codes().link, text)
                        .at(Spot::Log(header.generation))
                        .remedy("keep the one that belongs to the neighbouring logs"),
                );
            }
            return Ok(());
        }
        if generation_of_name(log.name).is_some() {
            self.last_numbered = self.last_numbered.max(Some(header.generation));
        }
        self.logs.insert(header.generation, (header, log));
        Ok(())
    }

    /// True where all logs are of one sequence: then gaps between them mean something.
    fn judge_signatures(&mut self) -> bool {
        let judge = |plan: &Self| {
            let logs: Vec<_> = plan.logs.values().map(|(header, _)| header).collect();
            signatures::judge(plan.header.as_ref(), &logs, |generation| plan.codes_of(generation))
        };
        let mut judged = judge(self);
        let mut older = Vec::new();
        if !judged.alike && !judged.left_out {
            older = self.leave_out_older_sequences();
            judged = judge(self);
        }
        if judged.left_out {
            self.foreign = self.logs.len();
            self.logs.clear();
        }
        let is_foreign = |known: &Finding| known.kind == Kind::LogForeign;
        let mut known = self.findings.iter().filter(|known| is_foreign(known));
        let known = known.any(|known| self.weighed(known.clone()).severity == Severity::Error);
        self.findings.extend(judged.findings);
        self.findings.extend(older);
        judged.alike && !known
    }

    fn judge_range(&mut self) {
        let missing = |code: Code, generation, text: String| {
            Finding::error(Kind::LogMissing, code, text)
                .at(Spot::Log(generation))
                .remedy("add this log from the backup it belongs to")
        };
        let is_copy = self.is_copy();
        let given = self.given();
        if let Some(required) = self.required {
            let low = given.map_or(u32::MAX, |given| given.low);
            let high = given.map_or(0, |given| given.high);
            if required.low < low {
                let code = match given {
                    None if is_copy => Code::MISSING_RESTORE_LOGS,
                    Some(_) if is_copy => Code::STARTING_LOG_TOO_HIGH,
                    _ => Code::REQUIRED_LOGS_MISSING,
                };
                let text = format!(
                    "missing: the database needs generations {:#x} to {:#x}",
                    required.low, required.high
                );
                let finding = missing(code, required.low, text);
                let last = if given.is_some() { required.high.min(low - 1) } else { required.high };
                self.findings.push(finding.at(Spot::logs(required.low, last)));
            }
            if given.is_some() && high < required.high {
                let code = match (is_copy, required.high - high) {
                    (true, _) => Code::ENDING_LOG_TOO_LOW,
                    (false, 1) => Code::MISSING_LOG,
                    (false, _) => Code::REQUIRED_LOGS_MISSING,
                };
                let text = format!("missing: the database needs them, the logs end with {high:#x}");
                let finding = missing(code, required.high, text);
                let first = required.low.max(high.saturating_add(1));
                self.findings.push(finding.at(Spot::logs(first, required.high)));
            }
        }
        let Some(given) = given else {
            return;
        };
        // What lies before the first log that is replayed may be gone.
        let mut expected = given.low.max(self.start());
        let mut gaps = Vec::new();
        for generation in self.logs.keys() {
            if expected < *generation {
                let code = self.codes_of(*generation).missing;
                let gap = missing(code, expected, "missing between the others".to_owned());
                gaps.push(gap.at(Spot::logs(expected, generation - 1)));
            }
            expected = expected.max(generation.saturating_add(1));
        }
        self.findings.extend(gaps);
    }

    fn judge_links(&mut self) {
        let mut previous: Option<&LogHeader> = None;
        let mut found = Vec::new();
        for (header, _) in self.logs.values() {
            if let Some(previous) = previous
                && previous.generation + 1 == header.generation
                && previous.signature == header.signature
            {
                let mut link = check_link(previous, header, self.codes_of(header.generation));
                // What the first log that is replayed was made after is of no use.
                if let Some(finding) = link.as_mut().filter(|_| previous.generation < self.start()) {
                    finding.severity = Severity::Warning;
                }
                found.extend(link);
            }
            previous = Some(header);
        }
        self.findings.extend(found);
    }

    fn replay<T: PagerMut>(
        &self,
        mut target: T,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(T, Outcome), Error> {
        let page_size = self.page_size.ok_or_else(|| Error::Refused {
            code: Code::ATTACHED_DATABASE_MISMATCH,
            problem: "neither a database nor a log was given".to_owned(),
        })?;
        let start = self.start();
        if self.patch.is_some() {
            // Its last page is the patch page, which is no page of the database.
            target.set_size(target.size().saturating_sub(page_size.bytes64()))?;
        }
        let last = self.given().map_or(0, |given| given.high);
        let mut replayer = Replayer::new(target, self.header.clone(), page_size);
        if let Some(file) = self.aside.take() {
            replayer = replayer.let_wait_in(file);
        }
        let foreign = self.findings.iter().filter(|finding| finding.kind == Kind::LogForeign);
        let mut findings: Vec<_> = foreign.cloned().collect();
        let mut reached = Lgpos::default();
        let mut at = self.at(Step::Replaying, start);
        let mut previous: Option<Predecessor> = None;
        for (generation, (_, input)) in self.logs.range(start..) {
            let log = LogFile::open(input.file)?;
            let codes = self.codes_of(*generation);
            if let Some(finding) = previous.and_then(|previous| previous.check(log.header(), codes)) {
                return Err(fatal(*generation, &finding));
            }
            let inside: Vec<_> =
                self.judge_inside(&log, last).into_iter().map(|finding| self.in_its_file(finding)).collect();
            let damage = inside.iter().find(|finding| is_damage(finding));
            if let Some(finding) = damage
                && self.is_mandatory(*generation)
            {
                return Err(fatal(*generation, finding));
            }
            let mut ends_here = damage.is_some();
            findings.extend(inside);
            replayer.begin_log(log.header());
            for record in log.records() {
                let record = match record {
                    Err(error) if self.only_ends_the_replay(*generation, &error) => {
                        findings.push(self.damaged_record(*generation, &error));
                        ends_here = true;
                        break;
                    }
                    record => record?,
                };
                replayer.apply(record.position, &record.bytes)?;
                reached = record.position;
            }
            at.done += input.file.size();
            progress(at);
            if ends_here {
                break;
            }
            previous = Some(Predecessor::of(&log));
        }
        // Logs of the same sequence may speak of other databases only.
        let stranger = !reached.is_none() && self.header.is_some() && !replayer.was_attached();
        if stranger && self.required.is_some() {
            return Err(Error::Refused {
                code: Code::ATTACHED_DATABASE_MISMATCH,
                problem: "the logs do not speak of this database: take it and its logs from one CA"
                    .to_owned(),
            });
        }
        let (target, header, counts) = replayer.finish()?;
        let foreign_logs = self.foreign + if stranger { self.logs.len() } else { 0 };
        if stranger {
            findings.push(not_its_own(self.logs.len()));
        }
        Ok((target, Outcome { header, counts, reached, foreign_logs, findings }))
    }

    /// Generation to start with: replaying too much is safe, too little is not.
    fn start(&self) -> u32 {
        match (&self.required, &self.header) {
            (Some(required), _) => required.low,
            (None, Some(header)) => header.consistent_position().generation,
            (None, None) => 0,
        }
    }
}
