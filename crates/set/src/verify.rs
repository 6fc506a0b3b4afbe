//! Verifying sets: every byte, every link, and the database that would come out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use certadm_files::IoContext;
use certadm_rules::{Generation, GenerationRange, Hresult};
use certadm_store::chain::check_image;
use certadm_store::log_file::LogFile;

use crate::chain::{Combined, combine};
use crate::copy::hash_file;
use crate::error::{Error, Result};
use crate::layout::{LOCATIONS_FILE, file_of};
use crate::manifest::{FileEntry, Role};
use crate::progress::{Progress, Stage};
use crate::reader::Set;
use crate::scratch::{self, Content};
use crate::windows::{self, WindowsSet};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth looking into; the set can be restored.
    Warning,
    /// The set cannot be trusted or restored.
    Error,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The code for it (certbcli.md 9.2 and 14).
    pub code: Hresult,
    /// The set or file concerned.
    pub path: PathBuf,
    /// What was found.
    pub detail: String,
    /// What to do next.
    pub remedy: String,
}

/// What verification found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Everything found, in the order of discovery.
    pub findings: Vec<Finding>,
    /// Bytes read and compared with hashes.
    pub bytes: u64,
    /// The generations that a restore would apply, when the chain holds.
    pub range: Option<GenerationRange>,
    /// What the recovered database holds, when it could be looked at.
    pub content: Option<Content>,
    /// What only sets of a Windows CA have to tell.
    pub windows: Option<windows::Outcome>,
}

impl Report {
    /// The gravest finding, [`Severity::Note`] when there is none.
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Note)
    }

    /// Whether nothing was found that keeps the sets from being restored.
    pub fn is_good(&self) -> bool {
        self.severity() < Severity::Error
    }

    /// Whether a restore or recovery of just these sets would work.
    pub fn is_restorable(&self) -> bool {
        let replayed = match &self.windows {
            Some(windows) => windows.replay.is_some(),
            None => self.range.is_some(),
        };
        self.is_good() && replayed
    }

    /// The verdict in one sentence.
    pub fn verdict(&self) -> String {
        let grave = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if let Some(windows) = &self.windows {
            return self.windows_verdict(windows, grave);
        }
        match (grave, self.range, &self.content) {
            (0, Some(range), Some(content)) => format!(
                "restorable: generations {:x} to {:x}, {} certificates, database sound",
                range.low(),
                range.high(),
                content.certificates
            ),
            (0, _, _) => "sound, but only restorable together with the full set it continues".to_owned(),
            (1, _, _) => "NOT restorable: 1 finding".to_owned(),
            (count, _, _) => format!("NOT restorable: {count} findings"),
        }
    }

    fn windows_verdict(&self, windows: &windows::Outcome, grave: usize) -> String {
        let first = self.findings.iter().find(|finding| finding.severity == Severity::Error);
        match (first, &windows.replay) {
            (Some(first), _) => {
                let more = match grave {
                    1 => String::new(),
                    2 => ", and 1 further finding".to_owned(),
                    more => format!(", and {} further findings", more - 1),
                };
                format!("NOT restorable: {} [{}]{more}", first.detail, first.code)
            }
            (None, Some(replay)) => replay.sentence(),
            (None, None) => "sound, but only restorable together with the full set it continues".to_owned(),
        }
    }

    fn add(&mut self, severity: Severity, path: &Path, error: &Error) {
        self.findings.push(Finding {
            severity,
            code: error.hresult(),
            path: path.to_owned(),
            detail: crate::error::chain_of(error),
            remedy: error.remedy(),
        });
    }
}

/// Verifies a full set and the sets of logs that continue it, or sets of logs alone.
///
/// Hashes are compared on one thread while another checks links and lets SQLite look at a scratch recovery.
///
/// Sets and loose files of a Windows CA are recognised and replayed in memory.
pub fn verify(paths: &[PathBuf], progress: &mut dyn Progress) -> Report {
    let mut report = Report::default();
    match WindowsSet::find_all(paths) {
        Ok(Some(sets)) => return verify_windows(&sets, progress),
        Ok(None) => {}
        Err(error) => {
            report.add(Severity::Error, paths.first().map_or(Path::new(""), PathBuf::as_path), &error);
            return report;
        }
    }
    let mut sets = Vec::new();
    for path in paths {
        match Set::open(path) {
            Ok(set) => sets.push(set),
            Err(error) => report.add(Severity::Error, path, &error),
        }
    }
    if sets.len() < paths.len() || sets.is_empty() {
        return report;
    }
    for set in &sets {
        note_strangers(set, &mut report);
    }
    std::thread::scope(|scope| {
        let (sender, results) = channel();
        let hashed = &sets;
        scope.spawn(move || hash_all(hashed, &sender));
        // Small next to the hashing of the image: it runs meanwhile.
        let examined = scope.spawn(|| examine(&sets));
        for result in results {
            match result {
                Hashed::Progress { done, total } => progress.at(Stage::Verify, done, total),
                Hashed::At(stage, done, total) => progress.at(stage, done, total),
                Hashed::Done(bytes) => report.bytes += bytes,
                Hashed::Failed(path, error) => report.add(Severity::Error, &path, &error),
            }
        }
        progress.at(Stage::Integrity, 0, 0);
        match examined.join() {
            Ok(Ok((range, content))) => {
                report.range = range;
                if let Some(content) = content {
                    for complaint in &content.complaints {
                        report.findings.push(Finding {
                            severity: Severity::Error,
                            code: Hresult::READ_VERIFY_FAILURE,
                            path: sets[0].image.clone().unwrap_or_default(),
                            detail: format!("the recovered database is not sound: {complaint}"),
                            remedy: "take this set from another copy, or use an older one".to_owned(),
                        });
                    }
                    report.content = Some(content);
                }
            }
            Ok(Err(error)) => {
                // What the hashes found already need not be said twice.
                let path = sets[0].path.clone();
                let known = report.findings.iter().any(|finding| finding.severity == Severity::Error);
                if !known || !matches!(error, Error::Store(certadm_store::Error::LogDamaged { .. })) {
                    report.add(Severity::Error, &path, &error);
                }
            }
            Err(_) => report.add(
                Severity::Error,
                &sets[0].path,
                &Error::NotASet { path: sets[0].path.clone(), detail: "a worker thread failed".to_owned() },
            ),
        }
    });
    report
}

/// Hashes on one thread, pages and replay on another.
fn verify_windows(sets: &[WindowsSet], progress: &mut dyn Progress) -> Report {
    let mut report = Report::default();
    for set in sets {
        match &set.sealed {
            Some(sealed) => note_strangers(sealed, &mut report),
            None if set.path.is_dir() => note_unsealed(&set.path, &mut report),
            None => {}
        }
    }
    let sealed: Vec<Set> = sets.iter().filter_map(|set| set.sealed.clone()).collect();
    let examined = std::thread::scope(|scope| {
        let (sender, results) = channel();
        let to_hash = &sealed;
        let hash_sender = sender.clone();
        scope.spawn(move || hash_all(to_hash, &hash_sender));
        let examiner = scope.spawn(move || windows::examine(sets, &mut Forward(sender)));
        let (mut hashed, mut read) = ((0, 0), (0, 0));
        for result in results {
            match result {
                Hashed::Progress { done, total } => hashed = (done, total),
                Hashed::At(Stage::Verify, done, total) => read = (done, total),
                Hashed::At(stage, done, total) => {
                    progress.at(stage, done, total);
                    continue;
                }
                Hashed::Done(bytes) => report.bytes += bytes,
                Hashed::Failed(path, error) => report.add(Severity::Error, &path, &error),
            }
            progress.at(Stage::Verify, hashed.0 + read.0, hashed.1 + read.1);
        }
        examiner.join()
    });
    match examined {
        Ok(examined) => {
            report.findings.extend(examined.findings);
            report.bytes = report.bytes.max(examined.bytes);
            report.range = examined.range;
            report.content = examined.content;
            report.windows = Some(examined.outcome);
        }
        Err(_) => {
            let path = sets.first().map(|set| set.path.clone()).unwrap_or_default();
            let detail = "a worker thread failed".to_owned();
            report.add(Severity::Error, &path.clone(), &Error::NotASet { path, detail });
        }
    }
    report
}

/// Progress of the examining thread, told by the one that shows it.
struct Forward(Sender<Hashed>);

impl Progress for Forward {
    fn at(&mut self, stage: Stage, done: u64, total: u64) {
        // The receiver goes away only when the verification is over.
        self.0.send(Hashed::At(stage, done, total)).ok();
    }
}

fn note_unsealed(path: &Path, report: &mut Report) {
    report.findings.push(Finding {
        severity: Severity::Note,
        code: Hresult::S_OK,
        path: path.to_owned(),
        detail: "the set is unsealed: it has no manifest to compare its files with".to_owned(),
        remedy: "take sets with `certadm backup` to have them sealed".to_owned(),
    });
}

/// Files in a sealed set that its manifest does not know, and sets without a seal.
fn note_strangers(set: &Set, report: &mut Report) {
    let Some(manifest) = &set.manifest else {
        note_unsealed(&set.path, report);
        return;
    };
    let known: BTreeSet<PathBuf> =
        manifest.files.iter().map(|entry| file_of(&set.path, &entry.path)).collect();
    let Ok(entries) = fs::read_dir(set.database_dir()) else {
        return; // the missing files are found by their hashes
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| !known.contains(path)) {
        report.findings.push(Finding {
            severity: Severity::Warning,
            code: Hresult::S_OK,
            path,
            detail: "the manifest does not know this file".to_owned(),
            remedy: "find out who put it there; a restore ignores it".to_owned(),
        });
    }
}

enum Hashed {
    Progress { done: u64, total: u64 },
    At(Stage, u64, u64),
    Done(u64),
    Failed(PathBuf, Error),
}

/// Compares every file with the manifest's two hashes; the image of an unsealed set with its trailer's.
fn hash_all(sets: &[Set], results: &Sender<Hashed>) {
    // The receiver goes away only when the verification is over.
    let send = |result| results.send(result).ok();
    let total: u64 =
        sets.iter().filter_map(|set| set.manifest.as_ref()).map(|manifest| manifest.total_size()).sum();
    let mut done = 0;
    for set in sets {
        for entry in set.manifest.iter().flat_map(|manifest| &manifest.files) {
            let path = file_of(&set.path, &entry.path);
            let before = done;
            match compare(&path, entry, |read| {
                if read.is_multiple_of(16 << 20) {
                    send(Hashed::Progress { done: before + read, total });
                }
            }) {
                Ok(()) => send(Hashed::Done(entry.size)),
                Err(error) => send(Hashed::Failed(path, error)),
            };
            done += entry.size;
        }
        if let (None, Some(image)) = (&set.manifest, &set.image) {
            let checked = certadm_store::chain::read_trailer(image)
                .and_then(|trailer| check_image(image, &trailer, |_| ()));
            match checked {
                Ok(()) => send(Hashed::Done(fs::metadata(image).map_or(0, |metadata| metadata.len()))),
                Err(error) => send(Hashed::Failed(image.clone(), error.into())),
            };
        }
    }
    send(Hashed::Progress { done: total, total });
}

fn compare(path: &Path, entry: &FileEntry, progress: impl FnMut(u64)) -> Result<()> {
    let damaged = |detail: String, torn: bool| {
        let code = match entry.role {
            Role::Database => Hresult::READ_VERIFY_FAILURE,
            Role::Log if torn => Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
            Role::Log => Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
            Role::Locations | Role::Dynamic => Hresult::ERROR_INVALID_DATA,
        };
        Err(Error::Damaged { path: path.to_owned(), detail, code })
    };
    let len = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let code = match entry.role {
                Role::Database => Hresult::ATTACHED_DATABASE_MISMATCH,
                Role::Log => Hresult::MISSING_RESTORE_LOG_FILES,
                Role::Locations | Role::Dynamic => Hresult::ERROR_FILE_NOT_FOUND,
            };
            return Err(Error::Damaged { path: path.to_owned(), detail: "it is missing".to_owned(), code });
        }
        Err(error) => return Err(error).during("look at", path)?,
    };
    if len != entry.size {
        let detail = format!("it has {len} bytes, the manifest says {}", entry.size);
        return damaged(detail, len < entry.size);
    }
    let hashes = hash_file(path, progress)?;
    if hashes.blake3 != entry.blake3 || hashes.sha256 != entry.sha256 {
        return damaged("its bytes differ from what was backed up".to_owned(), false);
    }
    Ok(())
}

type Examined = (Option<GenerationRange>, Option<Content>);

/// Trailer, chain, restore map and the recovered database of a full set; the links of a set of logs.
fn examine(sets: &[Set]) -> Result<Examined> {
    for set in sets {
        let locations = set.locations()?;
        if set.image.is_some() && locations.as_ref().is_some_and(|list| list.database().is_none()) {
            return Err(Error::Damaged {
                path: set.database_dir().join(LOCATIONS_FILE),
                detail: "it names no database".to_owned(),
                code: Hresult::ERROR_INVALID_DATA,
            });
        }
    }
    if sets.iter().all(|set| set.image.is_none()) {
        check_logs_alone(sets)?;
        return Ok((None, None));
    }
    let combined: Combined = combine(sets)?;
    let chain = combined.check()?;
    let content = scratch::examine(&combined.image, &chain)?;
    Ok((Some(combined.range), Some(content)))
}

/// Without the full set only the logs themselves and their links can be checked.
fn check_logs_alone(sets: &[Set]) -> Result<()> {
    for set in sets {
        let mut before: Option<LogFile> = None;
        for (generation, path) in &set.logs {
            let log = LogFile::open(path)?;
            log.check()?;
            if let Some(before) = before {
                let follows = before.header().generation.next() == Some(*generation);
                check_link(path, follows, before.header().own == log.header().previous)?;
            }
            before = Some(log);
        }
        // The names tell what was there; the manifest tells what should be.
        let low = set.manifest.as_ref().map(|manifest| manifest.generations.low).and_then(Generation::new);
        if let (Some(low), Some(range)) = (low, set.range()) {
            check_link(&set.path, range.low() == low, true)?;
        }
    }
    Ok(())
}

fn check_link(path: &Path, complete: bool, linked: bool) -> Result<()> {
    let refuse = |detail: &str, code| {
        Err(Error::Combination { detail: format!("{}: {detail}", path.display()), code })
    };
    if !complete {
        return refuse("a log generation is missing before it", Hresult::MISSING_RESTORE_LOG_FILES);
    }
    if !linked {
        return refuse("it does not continue the log before it", Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS);
    }
    Ok(())
}
