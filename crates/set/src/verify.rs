//! Verifying sets: every byte, every link, and the database that would come out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use certadm_files::Found;
use certadm_rules::finding::{self, Finding, Kind, Place, Severity, Spot};
use certadm_rules::words::counted;
use certadm_rules::{Diagnosis, Generation, GenerationRange, Hresult};
use certadm_store::chain::{check_image, read_trailer};
use certadm_store::log_file::LogFile;
use certadm_store::trailer::Trailer;

use crate::aside::Aside;
use crate::chain::{Combined, combine};
use crate::copy::{hash_and_sum, yielding_thread};
use crate::error::Error;
use crate::hashes::PagesSum;
use crate::judge::{incomplete, place_of};
use crate::manifest::{self, FileEntry, Manifest, Role};
use crate::open::{Opened, open, open_each, together};
use crate::progress::{Progress, Stage};
use crate::reader::Set;
use crate::scratch::{self, Content};
use crate::signing::{self, AllowedSigners, Standing};
use crate::strangers;
use crate::until::Until;
use crate::windows::{self, WindowsSet};

/// What verification found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Everything found: grave findings first, causes before their consequences.
    pub findings: Vec<Finding>,
    /// What is known of the signature of each set that was named.
    pub signatures: Vec<Signature>,
    /// Bytes read and compared with hashes.
    pub bytes: u64,
    /// The generations that a restore would apply, when the chain holds.
    pub range: Option<GenerationRange>,
    /// What the recovered database holds, when it could be looked at.
    pub content: Option<Content>,
    /// What only sets of a Windows CA have to tell.
    pub windows: Option<windows::Outcome>,
}

/// A set's signature.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The set, or the file that was named.
    pub set: PathBuf,
    /// What is known of it; nothing when it does not count, which a finding says.
    pub standing: Option<Standing>,
}

impl Report {
    /// The gravest finding, [`Severity::Note`] when there is none.
    pub fn severity(&self) -> Severity {
        finding::worst(&self.findings).unwrap_or(Severity::Note)
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

    /// Whether what was named is no set, so that nothing was verified: that tells nothing of a set's bytes.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        let mut grave = self.findings.iter().filter(|finding| finding.severity == Severity::Error).peekable();
        grave.peek().is_some() && grave.all(|finding| finding.kind == Kind::NotASet)
    }

    /// The verdict in one sentence.
    pub fn verdict(&self) -> String {
        if self.is_foreign() {
            return "nothing was verified: what was named is no backup set, or does not go together"
                .to_owned();
        }
        let grave = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if let Some(windows) = &self.windows {
            return self.windows_verdict(windows, grave);
        }
        match (grave, self.range, &self.content) {
            (0, Some(range), Some(content)) => format!(
                "restorable: generations {:#x} to {:#x}, {}, database sound",
                range.low(),
                range.high(),
                counted(content.certificates, "certificate")
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
                let place = Place { file: None, ..first.place.clone() };
                format!("NOT restorable: {}{more}", Finding { place, ..first.clone() })
            }
            (None, Some(replay)) => replay.sentence(),
            (None, None) => "sound, but only restorable together with the full set it continues".to_owned(),
        }
    }

    fn add(&mut self, error: &Error, path: &Path) {
        self.findings.push(error.to_finding(path));
    }
}

/// Verifies a full set and the log sets that continue it, or log sets alone.
///
/// Hashes are compared on one thread while another checks links and lets SQLite look at a scratch recovery. Short sets need
/// neither.
///
/// Sets and loose files of a Windows CA are recognised and replayed in memory.
pub fn verify(paths: &[PathBuf], progress: &mut dyn Progress) -> Report {
    sorted(look(paths, None, None, progress))
}

/// As [`verify`], for an earlier state of the sets: what lies behind it is not looked at.
pub fn verify_until(paths: &[PathBuf], until: Option<Until>, progress: &mut dyn Progress) -> Report {
    sorted(look(paths, None, until, progress))
}

/// As [`verify`]; each set must also be signed by one whose signature counts. If one is not, no further byte of them is read.
pub fn verify_signed(paths: &[PathBuf], allowed: &AllowedSigners, progress: &mut dyn Progress) -> Report {
    sorted(look(paths, Some(allowed), None, progress))
}

fn sorted(mut report: Report) -> Report {
    finding::sort(&mut report.findings);
    report
}

fn look(
    paths: &[PathBuf],
    allowed: Option<&AllowedSigners>,
    until: Option<Until>,
    progress: &mut dyn Progress,
) -> Report {
    let mut report = Report::default();
    let mut opened = Vec::new();
    for (path, result) in paths.iter().zip(open_each(paths)) {
        match result {
            Ok(found) => opened.push(found),
            Err(error) => report.add(&error, path),
        }
    }
    if opened.len() < paths.len() || opened.is_empty() {
        return report;
    }
    let refused = match together(paths, opened) {
        Ok(opened @ (Opened::Windows(_) | Opened::Ours(_))) => {
            judge_signatures(&opened, allowed, &mut report);
            let opened = match until.map(|until| opened.clone().until(until)) {
                None => opened,
                Some(Ok((earlier, _))) => earlier,
                Some(Err(error)) => {
                    report.add(&error, &paths[0]);
                    return report;
                }
            };
            return match opened {
                _ if !report.is_good() => report,
                Opened::Windows(sets) => verify_windows(&sets, report, progress),
                Opened::Ours(sets) => verify_ours(&sets, report, progress),
                Opened::Folder(_) => report, // another arm
            };
        }
        Ok(folder @ Opened::Folder(_)) => folder.into_ours().err(),
        Err(error) => Some(error),
    };
    if let Some(error) = refused {
        report.add(&error, &paths[0]);
    }
    report
}

/// Says of each set how it is signed. Without a list of those who may, a signature that does not fit keeps nobody from
/// restoring.
fn judge_signatures(opened: &Opened, allowed: Option<&AllowedSigners>, report: &mut Report) {
    for (path, set) in opened.named() {
        let standing = match (set, allowed) {
            (None, None) => Ok(Standing::NotSigned),
            (None, Some(_)) => Err(signing::Error::without_manifest(path).into()),
            (Some(set), allowed) => Standing::of(set, allowed),
        };
        if let Err(error) = &standing {
            let mut finding = error.to_finding(path);
            if allowed.is_none() {
                finding.severity = Severity::Warning;
            }
            report.findings.push(finding);
        }
        report.signatures.push(Signature { set: path.to_owned(), standing: standing.ok() });
    }
}

/// Hashes on one thread, chain and scratch recovery on another.
fn verify_ours(sets: &[Set], mut report: Report, progress: &mut dyn Progress) -> Report {
    for set in sets {
        note_strangers(set, &mut report);
    }
    let bytes = bytes_of(sets);
    std::thread::scope(|scope| {
        let (sender, results) = channel();
        let hashing = Aside::begin(scope, bytes, move || hash_all(sets, Headers::Ours, &sender));
        // Small next to the hashing of the image: it runs meanwhile.
        let examined = Aside::begin(scope, bytes, || examine(sets));
        for result in results {
            match result {
                Hashed::Progress { done, total } => progress.at(Stage::Verify, done, total),
                Hashed::At(stage, done, total) => progress.at(stage, done, total),
                Hashed::Done(bytes) => report.bytes += bytes,
                Hashed::Failed(finding) => report.findings.push(*finding),
            }
        }
        progress.at(Stage::Integrity, 0, 0);
        match examined.join() {
            Ok(Ok((range, content))) => {
                report.range = range;
                if let Some(content) = content {
                    report.findings.extend(unsound(&content, &sets[0]));
                    report.content = Some(content);
                }
            }
            Ok(Err(finding)) => {
                // What the hashes found already need not be said twice.
                let known = finding::worst(&report.findings) == Some(Severity::Error);
                let again =
                    report.findings.iter().any(|told| told.kind == finding.kind && told.code == finding.code);
                if !known || !(again || matches!(finding.kind, Kind::LogDamaged | Kind::LogTorn)) {
                    report.findings.push(*finding);
                }
            }
            Err(_) => report.findings.push(worker_failed(&sets[0].path)),
        }
        if hashing.join().is_err() {
            report.findings.push(worker_failed(&sets[0].path));
        }
    });
    report
}

/// How much there is to read, as far as names and manifests tell.
fn bytes_of(sets: &[Set]) -> u64 {
    let image = |set: &Set| set.image.as_ref().and_then(|image| image.size().ok()).unwrap_or_default();
    let bytes = |set: &Set| set.manifest.as_ref().map_or_else(|| image(set), Manifest::total_size);
    sets.iter().map(bytes).fold(0, u64::saturating_add)
}

/// Looks at a set as [`verify`] does, but for the hashes: for a set whose files were compared while they were stored.
pub(crate) fn check_content(path: &Path, progress: &mut dyn Progress) -> Vec<Finding> {
    progress.at(Stage::Integrity, 0, 0);
    match open(&[path.to_owned()]) {
        Ok(Opened::Windows(sets)) => {
            let mut findings = windows::examine(&sets, progress).findings;
            finding::sort(&mut findings);
            findings
        }
        Ok(Opened::Ours(sets)) => match yielding_thread(|| examine(&sets)) {
            Ok((_, content)) => {
                let unsound = |content| sets.first().map(|full| unsound(content, full));
                content.iter().filter_map(unsound).flatten().collect()
            }
            Err(finding) => vec![*finding],
        },
        Ok(folder @ Opened::Folder(_)) => {
            folder.into_ours().err().iter().map(|error| error.to_finding(path)).collect()
        }
        Err(error) => vec![error.to_finding(path)],
    }
}

/// What SQLite's check complains about, as findings on the image.
fn unsound<'a>(content: &'a Content, full: &'a Set) -> impl Iterator<Item = Finding> + 'a {
    content.unsound().map(|text| {
        Finding::error(Kind::DatabaseUnsound, Hresult::READ_VERIFY_FAILURE, text)
            .in_file(full.image.as_ref().map(|image| image.path().to_owned()).unwrap_or_default())
            .remedy("take this set from another copy, or use an older one")
    })
}

/// Hashes on one thread, pages and replay on another.
fn verify_windows(sets: &[WindowsSet], mut report: Report, progress: &mut dyn Progress) -> Report {
    for set in sets {
        match &set.complete {
            Some(complete) => note_strangers(complete, &mut report),
            None if set.path.is_dir() => report.findings.push(incomplete(&set.path)),
            None => {}
        }
    }
    let complete: Vec<Set> = sets.iter().filter_map(|set| set.complete.clone()).collect();
    let examined = std::thread::scope(|scope| {
        let (sender, results) = channel();
        let to_hash = &complete;
        let hash_sender = sender.clone();
        scope.spawn(move || hash_all(to_hash, Headers::OfWindows, &hash_sender));
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
                Hashed::Failed(finding) => report.findings.push(*finding),
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
            report.findings.push(worker_failed(&path));
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

fn worker_failed(path: &Path) -> Finding {
    Finding::error(Kind::Internal, Hresult::E_UNEXPECTED, "a part of the check ended early")
        .in_file(path)
        .remedy("verify again; if it happens again, report it as an error of this program")
}

/// Files in a complete set that its manifest does not know, and sets without a manifest.
fn note_strangers(set: &Set, report: &mut Report) {
    if set.manifest.is_none() {
        report.findings.push(incomplete(&set.path));
        return;
    }
    for path in set.strangers() {
        report.findings.push(strangers::unknown(path));
    }
}

enum Hashed {
    Progress { done: u64, total: u64 },
    At(Stage, u64, u64),
    Done(u64),
    Failed(Box<Finding>),
}

/// Compares every file with the manifest's hashes, and each image of ours with its trailer's checksum.
fn hash_all(sets: &[Set], headers: Headers, results: &Sender<Hashed>) {
    // The receiver goes away only when the verification is over.
    let send = |result| results.send(result).ok();
    let total: u64 =
        sets.iter().filter_map(|set| set.manifest.as_ref()).map(|manifest| manifest.total_size()).sum();
    let mut done = 0;
    for set in sets {
        for (entry, path) in set.entries() {
            let before = done;
            let trailer = match headers {
                Headers::Ours => check_header(path, entry),
                Headers::OfWindows => Ok(None),
            };
            match trailer.and_then(|trailer| {
                compare(path, entry, trailer.as_ref(), |read| {
                    if read.is_multiple_of(16 << 20) {
                        send(Hashed::Progress { done: before + read, total });
                    }
                })
            }) {
                Ok(()) => send(Hashed::Done(entry.size)),
                Err(finding) => send(Hashed::Failed(finding)),
            };
            done += entry.size;
        }
        if let (None, Some(image)) = (&set.manifest, &set.image) {
            let checked = read_trailer(image).and_then(|trailer| check_image(image, &trailer, |_| ()));
            match checked {
                Ok(()) => send(Hashed::Done(image.size().unwrap_or_default())),
                Err(error) => send(Hashed::Failed(Box::new(Error::from(error).to_finding(image)))),
            };
        }
    }
    send(Hashed::Progress { done: total, total });
}

/// Whose headers are looked at before a file is read to its end.
#[derive(Clone, Copy)]
enum Headers {
    /// Those of our own images and logs.
    Ours,
    /// None: the examination of a Windows set reads them.
    OfWindows,
}

/// Looks at the trailer of an image or the header of a log of the right size. A file that is not what its name says may have any
/// length that the manifest agrees to, so it is not read to its end. Answers the trailer.
fn check_header(path: &Found, entry: &FileEntry) -> std::result::Result<Option<Trailer>, Box<Finding>> {
    if path.size().ok() != Some(entry.size) {
        return Ok(None); // told by whoever compares
    }
    let checked = match entry.role {
        Role::Database => read_trailer(path).map(Some),
        Role::Log => LogFile::open(path).map(|_| None),
        Role::Locations | Role::Dynamic => Ok(None),
    };
    checked.map_err(|error| Box::new(Error::from(error).to_finding(path)))
}

/// What to do about a dynamic file that is not the one that was backed up, or cannot be read.
const LEFT_OUT: &str = "a restore leaves this copy out: publish a new CRL after it";

/// Compares a file with its entry, and an image with its trailer: the two bind an image to what the CA delivered, and a manifest may have
/// been made of one that had changed.
fn compare(
    path: &Found,
    entry: &FileEntry,
    trailer: Option<&Trailer>,
    progress: impl FnMut(u64),
) -> std::result::Result<(), Box<Finding>> {
    let refuse = |kind, code: Hresult, detail: String| {
        let mut finding = match entry.role {
            // The CA can publish a new one at any time.
            Role::Dynamic => Finding::warning(kind, detail).code(code).remedy(LEFT_OUT),
            _ => Finding::error(kind, code, detail)
                .remedy("take this file from another copy of the set, or use an older set"),
        };
        finding.place = place_of(path);
        Err(Box::new(finding))
    };
    let failed = |error: Error| {
        let mut finding = error.to_finding(path);
        if entry.role == Role::Dynamic {
            finding.severity = Severity::Warning;
            finding = finding.remedy(LEFT_OUT);
        }
        Box::new(finding)
    };
    let len = match path.size() {
        Ok(len) => len,
        Err(error) if error.is_not_found() => {
            return refuse(Kind::FileMissing, entry.role.code_of_absence(), "it is missing".to_owned());
        }
        Err(error @ certadm_files::Error::NotAFile { .. }) => {
            return refuse(Kind::NotAFile, error.hresult(), error.to_string());
        }
        Err(error) => return Err(failed(error.into())),
    };
    if len != entry.size {
        let detail = format!("it has {len} bytes, the manifest says {}", entry.size);
        return refuse(Kind::FileSize, entry.role.code_of_damage(len < entry.size), detail);
    }
    let mut sum = PagesSum::before(trailer);
    let hashes = hash_and_sum(path, Some(entry.size), entry.hashing(), &mut sum, progress).map_err(failed)?;
    if !entry.has(&hashes) {
        let code = entry.role.code_of_damage(false);
        return refuse(Kind::FileChanged, code, manifest::CHANGED.to_owned());
    }
    sum.compare(path, trailer).map_err(failed)
}

type Examined = (Option<GenerationRange>, Option<Content>);

/// Trailer, chain, restore map and the recovered database of a full set; the links of a log set.
fn examine(sets: &[Set]) -> std::result::Result<Examined, Box<Finding>> {
    let failed = |error: Error| Box::new(error.to_finding(&sets[0].path));
    for set in sets {
        match set.image {
            // A restore refuses what has no such name.
            Some(_) => drop(set.original_database().map_err(failed)?),
            None => drop(set.locations().map_err(failed)?),
        }
    }
    if sets.iter().all(|set| set.image.is_none()) {
        check_logs_alone(sets)?;
        return Ok((None, None));
    }
    let combined: Combined = combine(sets).map_err(failed)?;
    let chain = combined.check().map_err(failed)?;
    let content = scratch::examine(&combined.image, &chain).map_err(failed)?;
    Ok((Some(combined.range), Some(content)))
}

/// Without the full set only the logs themselves and their links can be checked: whether each is whole, whether all are of
/// one CA, and whether each continues the one before it.
fn check_logs_alone(sets: &[Set]) -> std::result::Result<(), Box<Finding>> {
    let mut logs: BTreeMap<Generation, (&Set, LogFile)> = BTreeMap::new();
    for set in sets {
        let failed = |error: certadm_store::Error| Box::new(Error::from(error).to_finding(&set.path));
        // The names tell what was there; the manifest tells what should be.
        let low = set.manifest.as_ref().map(|manifest| manifest.generations.low).and_then(Generation::new);
        if let (Some(low), Some(range)) = (low, set.range()) {
            let place = Place { file: Some(set.path.clone()), spot: Some(Spot::Log(range.low().number())) };
            check_link(place, range.low() == low, true)?;
        }
        for (generation, path) in &set.logs {
            let log = LogFile::open(path).map_err(failed)?;
            log.check().map_err(failed)?;
            if let Some((_, first)) = logs.values().next() {
                check_one_ca(first, &log)?;
            }
            // Sets may overlap, with copies of one log, of which one may be packed.
            let same = logs.get(generation).is_none_or(|(_, other)| other.header().is_same_log(log.header()));
            check_link(place_of(path), true, same)?;
            logs.entry(*generation).or_insert((set, log.closed()));
        }
    }
    let mut before: Option<&LogFile> = None;
    for (generation, (_, log)) in &logs {
        if let Some(before) = before {
            let follows = before.header().generation.next() == Some(*generation);
            check_link(place_of(log.path()), follows, before.header().own == log.header().previous)?;
        }
        before = Some(log);
    }
    Ok(())
}

fn check_one_ca(first: &LogFile, other: &LogFile) -> std::result::Result<(), Box<Finding>> {
    let identity = |log: &LogFile| (log.header().database, log.header().stream);
    if identity(first) == identity(other) {
        return Ok(());
    }
    let text = format!("it is of another CA, or of another era of it, than {}", first.path().display());
    let mut finding = Finding::error(Kind::LogForeign, Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE, text)
        .remedy("verify the sets of each CA by themselves; `certadm show SET` names it");
    finding.place = place_of(other.path());
    Err(Box::new(finding))
}

fn check_link(place: Place, complete: bool, linked: bool) -> std::result::Result<(), Box<Finding>> {
    let refuse = |kind, detail: &str, code: Hresult| {
        let finding = Finding::error(kind, code, detail)
            .remedy("bring the full set and every log set after it, of one CA");
        Err(Box::new(Finding { place, ..finding }))
    };
    if !complete {
        let code = Hresult::MISSING_RESTORE_LOG_FILES;
        return refuse(Kind::LogMissing, "a log generation is missing before it", code);
    }
    if !linked {
        let code = Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS;
        return refuse(Kind::LogChain, "it does not continue the log before it", code);
    }
    Ok(())
}
