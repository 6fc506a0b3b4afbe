//! The ledger of a suite: which serials were tried and which were acknowledged, kept outside the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// A ledger open for appending. Each line is one write, so it is complete or absent when the process is killed.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

impl Ledger {
    /// Opens the ledger at `path`, creating it if need be.
    ///
    /// # Panics
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path).expect("the ledger can be opened");
        Self { file }
    }

    /// Notes that `serial` is about to be committed.
    pub fn tried(&mut self, serial: u64) {
        self.line(&format!("try {serial:016x}\n"));
    }

    /// Notes that the commit of `serial` as request `request` returned success.
    pub fn acknowledged(&mut self, serial: u64, request: i64) {
        self.line(&format!("ok {serial:016x} {request}\n"));
    }

    fn line(&mut self, line: &str) {
        self.file.write_all(line.as_bytes()).expect("the ledger can be written");
    }
}

/// What a ledger says.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// Every serial that a commit was begun for.
    pub tried: BTreeSet<u64>,
    /// Every serial whose commit was acknowledged, and its request number.
    pub acknowledged: BTreeMap<u64, i64>,
}

impl Entries {
    /// Reads a ledger; an absent one is empty.
    ///
    /// # Panics
    /// On a malformed line, and on a serial or request number that was acknowledged twice.
    pub fn read(path: &Path) -> Self {
        let mut entries = Self::default();
        entries.add(path);
        entries
    }

    /// Adds the lines of another ledger.
    ///
    /// # Panics
    /// As [`Entries::read`].
    pub fn add(&mut self, path: &Path) {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let serial = words.get(1).and_then(|word| u64::from_str_radix(word, 16).ok());
            match (words[0], serial, words.get(2).and_then(|word| word.parse().ok())) {
                ("try", Some(serial), None) => {
                    assert!(self.tried.insert(serial), "serial {serial:016x} was tried twice");
                }
                ("ok", Some(serial), Some(request)) => {
                    let before = self.acknowledged.insert(serial, request);
                    assert!(before.is_none(), "serial {serial:016x} was acknowledged twice");
                }
                _ => panic!("{} has a malformed line: {line}", path.display()),
            }
        }
        let requests: BTreeSet<i64> = self.acknowledged.values().copied().collect();
        assert_eq!(requests.len(), self.acknowledged.len(), "a request number was given twice");
    }
}
