//! Retention in a folder of plain sets: which may go by the rules that repositories have, too ([`crate::retain`]), and how
//! they go.
//!
//! ```no_run
//! use certadm_set::prune::Prune;
//! use certadm_set::retain::Keep;
//!
//! let keep = Keep { last: 3, daily: 14, ..Keep::default() };
//! let prune = Prune::plan("/backup".as_ref(), &keep, &mut |_| false, 1_800_000_000)?;
//! for fate in prune.fates() {
//!     println!("{}: {:?}", fate.set.name, fate.kept_by);
//! }
//! prune.carry_out(&mut |set| println!("{} is gone", set.name))?;
//! # Ok::<(), certadm_set::Error>(())
//! ```

use std::path::{Path, PathBuf};

use certadm_files::unfinished::{self, Turn};
use certadm_files::{cancel, found};

use crate::error::{Error, Result};
use crate::folder::{self, FolderSet, Listed};
use crate::layout::IDENTITY_DIR;
use crate::reader::Set;
use crate::retain::{Fate, Keep, judge, to_delete};

/// The folder `Identity` has no more levels, and no more entries are looked at.
const IDENTITY_DEPTH: usize = 3;

/// What would go. Nobody else can prune this folder while it lives.
#[derive(Debug)]
pub struct Prune {
    dir: PathBuf,
    listed: Listed,
    fates: Vec<Fate<FolderSet>>,
    strangers: Vec<(PathBuf, PathBuf)>,
    /// In seconds since 1970.
    now: i64,
    _turn: Turn,
}

impl Prune {
    /// Judges the sets in `dir` at `now`, in seconds since 1970, and deletes nothing. States that were noted as proven there are,
    /// and those that end with a set of which `is_proven` says so.
    ///
    /// A set without a manifest, or one that is damaged, is never deleted: nothing tells what it belongs to. Nor is one of which a file
    /// is missing or has another length; it stands for no state, so that no rule counts it for a newer one. A set in which
    /// anything lies that is not of it stays, with what it needs. While the system cannot read a set, none is judged.
    ///
    /// # Errors
    /// [`Error::NoRules`], [`Error::Pruning`], and as [`folder::list`].
    pub fn plan(
        dir: &Path,
        keep: &Keep,
        is_proven: &mut dyn FnMut(&FolderSet) -> bool,
        now: i64,
    ) -> Result<Self> {
        if keep.is_empty() {
            return Err(Error::NoRules);
        }
        // Before the look at the folder: another prune may be at work there.
        let turn = unfinished::take_turn(dir)?.ok_or_else(|| Error::Pruning { path: dir.to_owned() })?;
        let mut listed = folder::list(dir)?.with_all_files().told_by_the_disk()?;
        let mut proven = folder::proven(dir, &listed.sets, now);
        let evident = listed.sets.iter().filter(|set| is_proven(set)).map(|set| set.name.clone());
        proven.extend(evident.collect::<Vec<_>>());
        let mut strangers = Vec::new();
        // Only what would go is looked through: sets may be on a slow disk.
        let may_go = |sets: &[FolderSet]| {
            let fates = judge(sets, &proven, keep, now);
            to_delete(&fates, now).into_iter().map(|set| set.name.clone()).collect::<Vec<_>>()
        };
        let going = may_go(&listed.sets);
        for set in listed.sets.iter_mut().filter(|set| going.contains(&set.name)) {
            if let Some(stranger) = stranger_in(&set.path)? {
                set.held = true;
                strangers.push((set.path.clone(), stranger));
            }
        }
        let fates = judge(&listed.sets, &proven, keep, now);
        Ok(Self { dir: dir.to_owned(), listed, fates, strangers, now, _turn: turn })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All complete sets, the oldest first, with the rules that keep them.
    #[must_use]
    pub fn fates(&self) -> &[Fate<FolderSet>] {
        &self.fates
    }

    /// What else lies in the folder.
    #[must_use]
    pub const fn listed(&self) -> &Listed {
        &self.listed
    }

    /// The sets that would go if nothing unexpected lay in them, each with the first thing that does.
    #[must_use]
    pub fn strangers(&self) -> &[(PathBuf, PathBuf)] {
        &self.strangers
    }

    /// Whether the sets that no rule keeps can be deleted, as far as the rights tell. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn check(&self) -> Result<()> {
        let going = to_delete(&self.fates, self.now);
        if !going.is_empty() {
            certadm_files::check_writable(&self.dir)?;
        }
        for set in going {
            certadm_files::check_writable(&set.path)?;
        }
        Ok(())
    }

    /// Deletes the sets that no rule keeps: log sets from the newest back, then their full sets, so that a cut leaves no orphan.
    /// `gone` hears of each. Each loses its name first, so that half of a set is never taken for one. Returns what was unfinished
    /// there, of processes that are gone, and is removed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn carry_out(&self, gone: &mut dyn FnMut(&FolderSet)) -> Result<Vec<PathBuf>> {
        for set in to_delete(&self.fates, self.now) {
            cancel::check()?;
            unfinished::discard(&set.path)?;
            gone(set);
            folder::forget_proven(&self.dir, &set.name)?;
        }
        Ok(unfinished::remove_abandoned(&self.dir)?)
    }
}

/// The first thing in a set that is not of it.
fn stranger_in(path: &Path) -> Result<Option<PathBuf>> {
    if let Some(stranger) = Set::open(path)?.strangers().into_iter().next() {
        return Ok(Some(stranger));
    }
    let identity = path.join(IDENTITY_DIR);
    if identity.symlink_metadata().is_err() {
        return Ok(None);
    }
    Ok(strange(&identity, IDENTITY_DEPTH))
}

/// The first entry that is neither a file nor a folder, or lies deeper than an identity part goes.
fn strange(path: &Path, depth: usize) -> Option<PathBuf> {
    if !found::is_folder(path) {
        let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
        return (!is_file).then(|| path.to_owned());
    }
    let Some(depth) = depth.checked_sub(1) else { return Some(path.to_owned()) };
    let mut entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.find_map(|entry| strange(&entry.path(), depth))
}
