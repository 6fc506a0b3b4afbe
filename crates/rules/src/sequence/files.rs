//! The files of one session: what was listed, what is open, what was read.

use std::collections::HashMap;

use crate::names;

/// A file of a session: its place in the list of databases or of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileRef {
    /// Place in the database names given to [`super::Sequence::prepared`].
    Database(usize),
    /// Place in the log names given to [`super::Sequence::logs_listed`].
    Log(usize),
}

/// The file that a session has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFile {
    file: FileRef,
    size: u64,
    delivered: u64,
    read_failed: bool,
}

impl OpenFile {
    pub(super) const fn new(file: FileRef, size: u64) -> Self {
        Self { file, size, delivered: 0, read_failed: false }
    }

    /// Which file it is.
    #[must_use]
    pub const fn file(self) -> FileRef {
        self.file
    }

    /// Its size in bytes, frozen when it was opened (certbcli.md D10).
    #[must_use]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// The bytes that this opening has delivered so far.
    #[must_use]
    pub const fn delivered(self) -> u64 {
        self.delivered
    }

    /// The bytes still to come: a read delivers as many as it has room for, and none once this is 0.
    #[must_use]
    pub const fn remaining(self) -> u64 {
        self.size - self.delivered // never negative: `deliver` keeps to the size
    }

    /// Whether a read of this opening failed or was refused.
    #[must_use]
    pub const fn read_failed(self) -> bool {
        self.read_failed
    }

    pub(super) const fn note_failed_read(&mut self) {
        self.read_failed = true;
    }

    /// Counts delivered bytes, up to the size.
    pub(super) fn deliver(&mut self, bytes: u64) {
        self.delivered += bytes.min(self.remaining());
    }
}

/// A list of names, found without regard to case, each with the note whether it was read.
#[derive(Debug, Default)]
pub(super) struct FileList {
    names: Vec<String>,
    read: Vec<bool>,
    places: HashMap<String, usize>,
}

impl FileList {
    /// A list of these names, all unread. Of names that differ in case only the first is found.
    pub(super) fn new(names: Vec<String>) -> Self {
        let mut places = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            places.entry(names::folded(name)).or_insert(place);
        }
        Self { read: vec![false; names.len()], names, places }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of a name, compared whole: case does not count, anything else does (certbcli.md D9).
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.places.get(&names::folded(name)).copied()
    }

    pub(super) fn mark_read(&mut self, place: usize) {
        if let Some(read) = self.read.get_mut(place) {
            *read = true;
        }
    }

    pub(super) fn all_read(&self) -> bool {
        self.read.iter().all(|&read| read)
    }
}
