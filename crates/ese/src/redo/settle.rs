//! Applies the records that wait for their page: of one page that is needed, or of all pages, several at a time.
//!
//! What a record does depends on its page and on nothing else, so the pages of a batch are read, changed and put together
//! by all processors at once. What has an order keeps it: pages are written, changes are remembered and the first error is
//! found as if one page had come after the other.

use std::collections::HashMap;
use std::thread;

use certadm_files::AlignedBuffer;

use super::fit::{Misfit, Verdict, fits};
use super::node::{change_page, waits};
use super::pages::Slot;
use super::transaction::{Before, Session};
use super::waiting::{Entry, Newest, Waiting};
use super::{Counts, Replayer};
use crate::error::Error;
use crate::log::Record;
use crate::pager::{Pager, PagerMut};
use crate::pagesize::PageSize;

/// Bytes of the pages that are changed at a time.
const BATCH_BYTES: usize = 2 << 20;

/// Pages that nothing waits for are read along where so few of them lie between others: one call reads all.
const LARGEST_GAP: u32 = 3;

/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// A thread has at least so many pages to change: it takes as long to start as some pages take.
const PAGES_A_THREAD: usize = 32;

/// More threads would wait for whoever writes.
const MOST_THREADS: usize = 4;

/// What the records of a page did.
#[derive(Default)]
struct Redone {
    counts: Counts,
    /// What nodes were before changes that are not committed: session, number of the change, node.
    before: Vec<(u16, u32, Before)>,
}

/// A page of a batch, and what became of it.
struct Done {
    page: u32,
    redone: Redone,
    /// The page as it has to be written; `None` where nothing changed.
    bytes: Option<Vec<u8>>,
}

impl<T: PagerMut> Replayer<T> {
    /// Applies everything that waits, where it is much.
    pub(super) fn settle_if_full(&mut self) -> Result<(), Error> {
        if self.waiting.is_full() { self.settle_all() } else { Ok(()) }
    }

    /// Applies what waits for this page.
    pub(super) fn settle(&mut self, page: u32) -> Result<(), Error> {
        let Some(newest) = self.waiting.take(page) else { return Ok(()) };
        let (waiting, sessions) = (&self.waiting, &self.sessions);
        let redone = self.pages.with_slot(page, |slot| {
            let redone = redo(page, slot, newest, waiting, sessions);
            let changed = redone.as_ref().is_ok_and(|redone| redone.counts.applied != 0);
            (redone, changed)
        })??;
        self.note(redone);
        self.waiting.forget_applied();
        Ok(())
    }

    /// Applies everything that waits, in the order of the file.
    pub(super) fn settle_all(&mut self) -> Result<(), Error> {
        let taken = self.waiting.take_all();
        if taken.is_empty() {
            return Ok(());
        }
        // What is read below is what the target holds.
        self.pages.forget()?;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let batch = (BATCH_BYTES / self.pages.size.bytes()).max(1);
        for pages in taken.chunks(batch) {
            self.settle_batch(pages, cores)?;
        }
        self.waiting.forget_applied();
        Ok(())
    }

    fn settle_batch(&mut self, taken: &Taken, cores: usize) -> Result<(), Error> {
        let (target, size) = (&self.pages.target, self.pages.size);
        let worker = Worker { target, size, waiting: &self.waiting, sessions: &self.sessions };
        let threads = cores.min(MOST_THREADS).min(taken.len() / PAGES_A_THREAD).max(1);
        let parts = taken.chunks(taken.len().div_ceil(threads).max(1));
        let done: Vec<Result<Vec<Done>, Error>> = thread::scope(|scope| {
            let mut parts: Vec<_> = parts.collect();
            let own = parts.pop();
            let others: Vec<_> =
                parts.into_iter().map(|part| scope.spawn(|| worker.redo_all(part))).collect();
            let own = own.map(|part| worker.redo_all(part));
            others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .chain(own)
                .collect()
        });
        for part in done {
            self.write(part?)?;
        }
        Ok(())
    }

    /// Writes pages that were changed; neighbours in one go.
    fn write(&mut self, done: Vec<Done>) -> Result<(), Error> {
        let mut run: Option<(u32, Vec<u8>)> = None;
        let mut next = 0;
        for Done { page, redone, bytes } in done {
            self.note(redone);
            let Some(bytes) = bytes else { continue };
            match &mut run {
                Some((_, run)) if page == next => run.extend_from_slice(&bytes),
                _ => {
                    self.write_run(run.take())?;
                    run = Some((page, bytes));
                }
            }
            next = page + 1;
        }
        self.write_run(run)
    }

    fn write_run(&mut self, run: Option<(u32, Vec<u8>)>) -> Result<(), Error> {
        if let Some((first, bytes)) = run {
            self.pages.target.write_at(self.pages.size.offset_of(first), &bytes)?;
        }
        Ok(())
    }

    fn note(&mut self, redone: Redone) {
        self.counts.applied += redone.counts.applied;
        self.counts.skipped += redone.counts.skipped;
        for (session, made, before) in redone.before {
            if let Some(session) = self.sessions.get_mut(&session) {
                session.complete_made(u64::from(made), before);
            }
        }
    }
}

/// Pages by number, with the newest of the records that wait for each.
type Taken = [(u32, Newest)];

/// What each of the threads needs to know.
struct Worker<'a, T> {
    target: &'a T,
    size: PageSize,
    waiting: &'a Waiting,
    sessions: &'a HashMap<u16, Session>,
}

impl<T: Pager> Worker<'_, T> {
    fn redo_all(&self, pages: &Taken) -> Result<Vec<Done>, Error> {
        let mut done = Vec::with_capacity(pages.len());
        let most = (READ_BYTES / self.size.bytes()).max(1);
        let span = pages.first().zip(pages.last()).map_or(1, |(first, last)| last.0 - first.0 + 1);
        let longest = most.min(usize::try_from(span).unwrap_or(most));
        let mut buffer = AlignedBuffer::new(longest * self.size.bytes());
        for run in runs(pages, most) {
            let first = run.first().map_or(0, |(page, _)| *page);
            let last = run.last().map_or(0, |(page, _)| *page);
            let start = self.size.offset_of(first);
            // Pages behind the end of the file were never written.
            let end = self.size.offset_of(last.saturating_add(1)).min(self.target.size()).max(start);
            // At most the length of the buffer, because a run has at most so many pages.
            let read = &mut buffer[..usize::try_from(end - start).unwrap_or(0)];
            if !read.is_empty() {
                self.target.read_at(start, read)?;
            }
            for (page, newest) in run {
                let at = usize::try_from(self.size.offset_of(*page) - start).unwrap_or(usize::MAX);
                let bytes = read.get(at..).and_then(|rest| rest.get(..self.size.bytes()));
                let mut slot = bytes.map_or(Ok(Slot::Blank), |bytes| Slot::of(*page, bytes.to_vec()))?;
                let redone = redo(*page, &mut slot, *newest, self.waiting, self.sessions)?;
                let bytes = match slot {
                    Slot::Present(image) if redone.counts.applied != 0 => Some(image.to_bytes()?),
                    _ => None,
                };
                done.push(Done { page: *page, redone, bytes });
            }
        }
        Ok(done)
    }
}

/// Divides pages into runs that are read in one go, of at most so many pages.
fn runs(pages: &Taken, most: usize) -> impl Iterator<Item = &Taken> {
    let mut rest = pages;
    core::iter::from_fn(move || {
        let first = rest.first()?.0;
        let mut last = first;
        let reach = u32::try_from(most).unwrap_or(1);
        let length = rest
            .iter()
            .take_while(|(page, _)| {
                let belongs = *page - last <= LARGEST_GAP + 1 && *page - first < reach;
                last = *page;
                belongs
            })
            .count();
        let (run, others) = rest.split_at(length);
        rest = others;
        Some(run)
    })
}

/// Applies the records that waited for a page, in their order.
fn redo(
    page: u32,
    slot: &mut Slot,
    newest: Newest,
    waiting: &Waiting,
    sessions: &HashMap<u16, Session>,
) -> Result<Redone, Error> {
    let mut redone = Redone::default();
    for number in waiting.numbers(newest) {
        let Some((Entry { position, made, .. }, bytes)) = waiting.record(number)? else { continue };
        let record = Record::parse(&bytes)?;
        let Some(at) = waits(&record) else { continue };
        let (dbtime, session) = (at.page.dbtime, at.page.session);
        let verdict = fits(slot, dbtime, at.page.before).map_err(|misfit| misfit.at(position, page))?;
        redone.counts.note(verdict);
        if verdict == Verdict::AlreadyThere {
            continue;
        }
        let image = slot.readable(page)?;
        let wants_before =
            made != 0 && sessions.get(&session).is_some_and(|session| session.remembers(u64::from(made)));
        let done = change_page(image, at, &record, wants_before);
        image.dbtime = dbtime;
        let before = done.map_err(|problem| Misfit::contradiction(problem).at(position, page))?;
        redone.before.extend(before.map(|before| (session, made, before)));
    }
    Ok(redone)
}
