//! The folder of evidence: files that are added and never changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use certadm_files::{Access, Found, IoContext, durable, found, lock};
use certadm_rules::diagnosis::chain_of;

use super::page::page;
use super::record::{Evidence, Link, MAX_LEN, sha256};
use crate::error::{Error, Result};
use crate::step::{Outcome, Step};
use crate::wishes::{CountedBefore, Previous};

/// Locked while a file is added.
const LOCK: &str = "evidence.lock";
const ENDING: &str = "json";
/// So many entries of a folder are looked at for others to name.
const MOST_LOOKED_AT: usize = 1000;
/// All files of a folder together, in bytes: ten years of nights are less than half of it. They are all held in memory.
const MAX_TOTAL: u64 = 256 << 20;

/// A file of evidence as it lies in its folder.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name in the folder.
    pub file: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What it says.
    pub evidence: Evidence,
}

impl Kept {
    /// How the next file names it.
    #[must_use]
    pub fn link(&self) -> Link {
        Link { file: self.file.clone(), sha256: self.sha256.clone() }
    }
}

/// A folder of evidence.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What lies in a folder.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// By their number.
    pub(super) kept: Vec<Kept>,
    /// Files that cannot be read, and why.
    pub(super) broken: Vec<(String, String)>,
}

impl Folder {
    /// The folder at `path`, whether it is there or not.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first folder in it with files that could be evidence: a job keeps that of each CA in a folder of its own.
    pub(super) fn first_below(&self) -> Option<PathBuf> {
        let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().take(MOST_LOOKED_AT).flatten();
        // Their names are the moments at which the rehearsals began.
        let is_named_so = |path: PathBuf| {
            let begins = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"2"));
            begins && path.extension().is_some_and(|ending| ending == ENDING)
        };
        let has_some =
            |dir: &PathBuf| found::is_folder(dir) && entries(dir).any(|entry| is_named_so(entry.path()));
        entries(&self.path).map(|entry| entry.path()).filter(has_some).min()
    }

    /// Reads every file of evidence in it.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be listed, or holds more than [`MAX_TOTAL`].
    pub(super) fn read(&self) -> Result<Content> {
        self.read_up_to(MAX_TOTAL)
    }

    fn read_up_to(&self, limit: u64) -> Result<Content> {
        let mut content = Content::default();
        let mut total = 0_u64;
        let entries = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(content),
            other => other.during("list", &self.path)?,
        };
        for entry in entries {
            let path = entry.during("list", &self.path)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.extension().is_none_or(|ending| ending != ENDING) || name.starts_with('.') {
                continue;
            }
            let read = Found::below(&self.path, &name).read(MAX_LEN).map_err(Error::from).and_then(|bytes| {
                total = total.saturating_add(bytes.len() as u64);
                Ok(Kept {
                    sha256: sha256(&bytes),
                    evidence: Evidence::parse(&bytes, &path)?,
                    file: name.clone(),
                })
            });
            if total > limit {
                return Err(certadm_files::Error::TooLong { path: self.path.clone(), limit }.into());
            }
            match read {
                Ok(kept) => content.kept.push(kept),
                Err(Error::Evidence { reason, .. }) => content.broken.push((name, reason)),
                Err(error) => content.broken.push((name, chain_of(&error))),
            }
        }
        content
            .kept
            .sort_by(|one, other| (one.evidence.run, &one.file).cmp(&(other.evidence.run, &other.file)));
        Ok(content)
    }

    /// The evidence that is there, the newest last.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Evidence`] when a file cannot be read: the next one would not know what it follows.
    pub fn all(&self) -> Result<Vec<Kept>> {
        let content = self.read()?;
        match content.broken.into_iter().next() {
            Some((name, reason)) => Err(Error::Evidence { path: self.path.join(name), reason }),
            None => Ok(content.kept),
        }
    }

    /// Adds the evidence that `make` makes from what is there, and its page. Returns the file and what it says.
    ///
    /// # Errors
    /// [`Error::Busy`] while another rehearsal adds its own, [`Error::File`], and as [`Folder::all`].
    pub fn add(&self, make: impl FnOnce(&[Kept]) -> Evidence) -> Result<Kept> {
        durable::create_dir_as(&self.path, 0o700)?;
        let _lock = self.lock()?;
        let evidence = make(&self.all()?);
        let bytes = evidence.to_bytes()?;
        let file = self.free_name(&evidence);
        let html = page(&evidence);
        durable::create(&self.path.join(&file).with_extension("html"), html.as_bytes(), Access::Owner)?;
        durable::create(&self.path.join(&file), &bytes, Access::Owner)?;
        Ok(Kept { file, sha256: sha256(&bytes), evidence })
    }

    fn lock(&self) -> Result<File> {
        let path = self.path.join(LOCK);
        lock::try_lock(&path)?.ok_or_else(|| Error::Busy { path: self.path.clone() })
    }

    /// `2026-11-27T065500Z.json`, with a number where two rehearsals began in one second.
    fn free_name(&self, evidence: &Evidence) -> String {
        let stem = evidence.started.replace(':', "");
        let is_free = |name: &String| {
            let path = self.path.join(name);
            path.symlink_metadata().is_err() && path.with_extension("html").symlink_metadata().is_err()
        };
        let numbered = (2..).map(|number: u32| format!("{stem}-{number}.{ENDING}"));
        let mut names = std::iter::once(format!("{stem}.{ENDING}")).chain(numbered);
        names.find(is_free).unwrap_or_default() // there are as many names as it takes
    }
}

/// What the next rehearsal compares itself with. One that did not count, or whose counts were refused, does not hide what an
/// earlier one counted: else a loss would be told once, and be the measure from then on.
#[must_use]
pub fn previous_of(earlier: &[Kept]) -> Option<Previous> {
    let mut previous = Previous { ended: earlier.last()?.evidence.ended_at(), counted: Vec::new() };
    for evidence in earlier.iter().rev().map(|kept| &kept.evidence) {
        let key = &evidence.ca.key_identifier;
        let is_known = previous.counted.iter().any(|counted| counted.key_identifier == *key);
        let passed = evidence.steps.iter().any(|one| (one.step, one.outcome) == (Step::Count, Outcome::Pass));
        if let Some(counts) = evidence.counts.clone().filter(|_| passed && !is_known) {
            let (key_identifier, started) = (key.clone(), evidence.started_at());
            previous.counted.push(CountedBefore { key_identifier, started, counts });
        }
    }
    Some(previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_more_than_memory_should_hold_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["one.json", "two.json", "two.html"] {
            fs::write(dir.path().join(name), vec![b' '; 100]).unwrap();
        }
        let folder = Folder::at(dir.path());
        assert_eq!(folder.read_up_to(200).unwrap().broken.len(), 2);
        let error = folder.read_up_to(199).unwrap_err();
        assert!(matches!(error, Error::File(certadm_files::Error::TooLong { limit: 199, .. })), "{error}");
    }
}
