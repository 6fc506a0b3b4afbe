//! Packs the logs that were rolled, on a thread of its own: a roll holds committers up, and packing does not have to.
//!
//! A packed log is written beside the plain one, flushed, read back and compared, and then takes its name. So at every
//! instant one whole log stands there, and it does not matter which: a crash leaves work for the next start at most.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::{MutexGuard, Weak};

use certadm_files::{IoContext, durable};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::{Diagnosis, Generation};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::log_file::LogFile;
use crate::reserve::is_no_space;

/// Pages of fewer bytes stay as they are: a file system hands out whole blocks.
const SMALLEST: u64 = 32 * 1024;

/// The store whose logs are packed.
pub(crate) trait Rolls {
    /// The CA's folder.
    fn folder(&self) -> &Folder;
    /// The generation that is current since the last roll.
    fn rolled_to(&self) -> Generation;
    /// Waits until a later generation is current than the one `looked` at, and no backup runs, which needs the processor more.
    /// Answers that generation, none when the store stops.
    fn wait_for_packing(&self, looked: Option<Generation>) -> Option<Generation>;
    /// Whether a backup runs.
    fn is_backed_up(&self) -> bool;
    /// Whether a log that is being packed may be finished.
    ///
    /// # Errors
    /// [`Error::Closed`] when the store stops.
    fn go_on_packing(&self) -> Result<()>;
    /// Held by whoever deletes logs, or gives another file the name of one.
    fn log_names(&self) -> MutexGuard<'_, ()>;
    /// All logs below `current` were looked at; what is plain stays so for now.
    fn packed_below(&self, current: Generation);
}

/// Packs what is rolled until the store stops.
pub(crate) fn run<S: Rolls>(shared: &Weak<S>) {
    certadm_files::background::give_way();
    let Some(first) = shared.upgrade() else { return };
    let mut packer = Packer { queue: VecDeque::new(), next: first.rolled_to(), is_due: true };
    if let Err(error) = packer.begin(&*first) {
        tracing::warn!(error = %chain_of(&error), code = %error.hresult(), "logs that are there are not packed");
    }
    drop(first);
    while let Some(shared) = shared.upgrade() {
        match shared.wait_for_packing((!packer.is_due).then_some(packer.next)) {
            Some(current) => packer.pack_below(&*shared, current),
            None => return,
        }
    }
}

#[derive(Debug)]
struct Packer {
    /// Logs that may have to be packed.
    queue: VecDeque<Generation>,
    /// All below were put into the queue, if they were there.
    next: Generation,
    /// Whether the queue is to be looked at before anything else is rolled.
    is_due: bool,
}

impl Packer {
    /// Finds what an earlier process has left.
    fn begin(&mut self, shared: &impl Rolls) -> Result<()> {
        let dir = shared.folder().log_dir();
        for entry in fs::read_dir(&dir).during("list", &dir)? {
            let path = entry.during("list", &dir)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // The temporary file of a log that is there already. That of the current generation belongs to a roll.
            let unfinished = name.strip_suffix(".new").and_then(Generation::from_log_file_name);
            if unfinished.is_some_and(|generation| generation < self.next) {
                durable::remove_if_present(&path)?;
            }
        }
        let logs = shared.folder().archived_logs()?;
        self.queue.extend(logs.into_iter().map(|(generation, _)| generation).filter(|old| *old < self.next));
        Ok(())
    }

    fn pack_below(&mut self, shared: &impl Rolls, current: Generation) {
        self.queue.extend((self.next.number()..current.number()).filter_map(Generation::new));
        self.next = current;
        self.is_due = false;
        let mut changed = false;
        while let Some(generation) = self.queue.pop_front() {
            if shared.is_backed_up() {
                self.queue.push_front(generation);
                self.is_due = true;
                break;
            }
            match pack(shared, generation) {
                Ok(packed) => changed |= packed,
                Err(Error::Closed) => break,
                // What has no room now may have it after the next roll; the log is whole as it is.
                Err(error) if is_no_space(&error) => {
                    self.queue.push_front(generation);
                    break;
                }
                Err(error) => {
                    let generation = generation.number();
                    tracing::warn!(error = %chain_of(&error), code = %error.hresult(), generation, "a log is not packed");
                }
            }
        }
        if changed && let Err(error) = durable::sync_dir(&shared.folder().log_dir()) {
            tracing::warn!(error = %chain_of(&error), "the folder of the logs cannot be flushed");
        }
        if !self.is_due {
            shared.packed_below(current);
        }
    }
}

/// Packs one log, if it is there, large enough, and not packed yet. Answers whether its file is another one now.
///
/// # Errors
/// [`Error::Closed`] when the store stops; [`Error::LogDamaged`] for a log that is damaged, which stays as it is;
/// [`Error::File`].
fn pack(shared: &impl Rolls, generation: Generation) -> Result<bool> {
    let path = shared.folder().log_path(generation);
    if !path.exists() {
        return Ok(false); // truncated
    }
    let plain = LogFile::open(&path)?;
    if plain.header().is_packed() || plain.header().file_len() < SMALLEST {
        return Ok(false);
    }
    let temporary = durable::temporary_beside(&path);
    let packed = write_and_rename(shared, &plain, &temporary, &path);
    if !matches!(packed, Ok(true)) {
        fs::remove_file(&temporary).ok(); // best effort: the next start removes it
    }
    packed
}

fn write_and_rename(shared: &impl Rolls, plain: &LogFile, temporary: &Path, path: &Path) -> Result<bool> {
    let header = plain.write_packed(temporary, || shared.go_on_packing())?;
    if !header.is_packed() {
        return Ok(false);
    }
    // Whoever truncates holds this, too: a log that was deleted must not come back.
    let _names = shared.log_names();
    if !path.exists() {
        return Ok(false);
    }
    durable::rename(temporary, path)?;
    Ok(true)
}
