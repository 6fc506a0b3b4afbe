//! Taking a set: read everything the CA lists, store it, read it back, commit, and only then truncate.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Take};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use certadm_ca::MAX_CRL;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Severity};
use certadm_rules::flags::{BackupType, MAX_READ_BUFFER};
use certadm_rules::names::{folded, last_component};
use certadm_rules::{BackupKind, Generation, Hresult, TaggedList};
use certadm_session::{CallError, CallResult, FileOpen, Logs, Opens, Session, Source, Truncated};
use certadm_store::Folder;

use crate::copy::ReadBack;
use crate::ends::{Ends, Signatures};
use crate::error::{Error, Result};
use crate::hashes::Hashing;
use crate::layout::{DYNAMIC_DIR, database_entry, is_published, locations_entry, log_entry, log_generation};
use crate::limits::{Allowance, Limits, check_databases, check_logs};
use crate::manifest::{CaIdentity, Generations, Manifest, Role, SetKind};
use crate::progress::{Progress, Stage};
use crate::readers::Readers;
use crate::signing::Signer;
use crate::sink::{Committed, NewFile, SetSink, Stream};
use crate::verify::check_content;
use crate::writer::SetWriter;
use certadm_files::{Found, IoContext, Pace, cancel, unfinished};

/// What a backup is asked to do.
#[derive(Clone, Debug)]
pub struct TakeOptions {
    /// Full or logs only.
    pub kind: BackupType,
    /// Delete the logs at the CA that the committed set makes redundant.
    pub truncate: bool,
    /// How what is stored is compared. Logs that truncation then deletes at the CA are read from the medium in any case.
    pub read_back: ReadBack,
    /// When the database that the set gives is checked.
    pub check: Check,
    /// Who may read the set.
    pub readers: Readers,
    /// The CA's folder on this machine, from whose `crl` listed dynamic files may be copied into the set; `None` where they
    /// are out of reach.
    pub ca_folder: Option<Folder>,
    /// What the CA is granted of disk and time.
    pub limits: Limits,
    /// How fast files are read from the CA; `None` for as fast as they come.
    pub pace: Option<Arc<Pace>>,
    /// Who signs the set's manifest; nobody if there is none.
    pub signer: Option<Arc<Signer>>,
    /// Which hashes of the files the manifest gets.
    pub hashing: Hashing,
}

impl TakeOptions {
    /// The usual backup: a full one deletes the logs that it makes redundant, one of logs leaves them; the set is checked
    /// before any log is deleted, and is its owner's alone; no dynamic file is in reach, and nobody signs.
    pub const fn new(kind: BackupType) -> Self {
        Self {
            kind,
            truncate: matches!(kind, BackupType::Full),
            read_back: ReadBack::System,
            check: Check::BeforeTruncation,
            readers: Readers::Owner,
            ca_folder: None,
            limits: Limits::STANDARD,
            pace: None,
            signer: None,
            hashing: Hashing::Blake3,
        }
    }
}

/// When the database that a set gives is checked as `verify` does: its chain, and SQLite's integrity check or a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Before any log is deleted at the CA. A database that is not sound may be mended with the logs, so they stay then.
    #[default]
    BeforeTruncation,
    /// Not now: no log is deleted.
    Later,
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where the committed set stands.
    pub set: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// The fingerprint of the key that signed it, `SHA256:...`, if one did.
    pub signed_with: Option<String>,
    /// What kind of backup the CA counts it as: where it refused to delete its logs, one whose logs were kept.
    pub kind: BackupKind,
    /// Whether log sets may build on it: the CA answered BackupEnd with success, and counts the backup as full.
    pub is_base: bool,
    /// Listed logs that the CA deleted, with the bytes they had in the set: those that were found gone where they were asked for
    /// again, otherwise all, as the CA says.
    pub truncated: Vec<(Generation, u64)>,
    /// Whether the listed logs were asked for again after truncation. A CA over the network is not asked: it may be a Windows CA.
    pub asked_again: bool,
    /// After a full backup, the generation below which the CA deleted all logs, too. The set does not hold them: what was in them
    /// stands in its database.
    pub truncated_below: Option<Generation>,
    /// Listed logs that are still at the CA after truncation.
    pub still_there: Vec<Generation>,
    /// Folders beside the set that earlier backups had begun, and whose processes are gone; they were removed.
    pub removed: Vec<PathBuf>,
    /// Whether the database was checked.
    pub checked: bool,
    /// What the check found. After an error, no log was deleted.
    pub findings: Vec<Finding>,
    /// The CA's answer to TruncateLogs or BackupEnd, when it was not success: the set is whole, but the CA may not
    /// remember it.
    pub end_error: Option<String>,
    /// The code of TruncateLogs, when it was that call which was not answered with success.
    pub truncation_refused: Option<Hresult>,
    /// From Prepare to End.
    pub duration: Duration,
}

/// Takes a backup of the CA behind `source` into a new folder `target`.
///
/// # Errors
/// The CA's refusals, [`Error::TargetNotEmpty`], [`Error::BadName`], [`Error::SizeLied`], [`Error::Damaged`],
/// [`Error::Store`]; [`Error::SetTooLarge`], [`Error::NoRoom`], [`Error::NoProgress`], [`Error::TooManyLogs`] and
/// [`Error::BadList`] when the CA wants more than it is granted. Then no set exists, and the CA's logs are as they were.
pub fn take(
    source: &mut dyn Source,
    target: &Path,
    options: &TakeOptions,
    progress: &mut dyn Progress,
) -> Result<Taken> {
    // Truncation deletes the logs at the CA, and then they are nowhere else: they are worth a look at the medium itself.
    let logs_read_back = if options.truncate { ReadBack::Medium } else { options.read_back };
    let removed = remove_abandoned(target)?;
    let mut writer = SetWriter::create(target, options.readers, options.read_back, logs_read_back)?;
    writer.signer.clone_from(&options.signer);
    let signed_with = options.signer.as_ref().map(|signer| signer.key());
    Ok(Taken { removed, signed_with, ..take_into(source, Box::new(writer), options, progress)? })
}

/// Takes a backup of the CA behind `source` into `sink`. What `options` say of readers, of reading back and of the signer
/// is for folders: a sink has promises of its own.
///
/// # Errors
/// As [`take`], and those of the sink. Then no set exists, and the CA's logs are as they were.
pub fn take_into(
    source: &mut dyn Source,
    mut sink: Box<dyn SetSink + '_>,
    options: &TakeOptions,
    progress: &mut dyn Progress,
) -> Result<Taken> {
    let begun = Instant::now();
    let started = certadm_store::now().to_rfc3339();
    let mut allowance = Allowance::new(sink.folder(), options.limits);
    let pace = options.pace.as_deref();
    let hashing = options.hashing;
    let mut taking = Taking { sink: sink.as_mut(), progress, allowance: &mut allowance, pace, hashing };
    let (session, names, locations, (dynamic, unlisted), kind) = match options.kind {
        BackupType::Full => {
            let mut session = Session::prepare_full(source)?;
            let locations = session.database_locations()?;
            let names = session.database_names()?;
            check_databases(&names)?;
            for name in names {
                let mut ends = Ends::of_image();
                session =
                    taking.store(session, database_entry(&name)?, Role::Database, &name, Some(&mut ends))?;
                // An image whose trailer does not fit, or that changed on its way, must not become a set.
                ends.check_image(&name)?;
            }
            let dynamic = (session.dynamic_files()?, session.unlisted_files().to_vec());
            let (session, names) = session.logs()?;
            (session, names, locations, dynamic, SetKind::Full)
        }
        BackupType::LogsOnly => {
            let mut session = Session::prepare_logs_only(source)?;
            let locations = session.database_locations()?;
            let dynamic = (session.dynamic_files()?, session.unlisted_files().to_vec());
            let (session, names) = session.logs()?;
            (session, names, locations, dynamic, SetKind::Logs)
        }
    };
    let mut manifest = Manifest::new(identify(&locations, Signatures::default()), kind, started);
    manifest.dynamic_files = dynamic.paths().to_vec();
    let may_be_left_out = [dynamic.paths(), unlisted.as_slice()].concat();
    manifest.not_included = not_included(&may_be_left_out, options.ca_folder.is_some());
    check_logs(&names, manifest.clone())?;
    taking.store_bytes(locations_entry(), Role::Locations, &locations.to_bytes())?;
    let (session, generations, whose) = taking.store_logs(session, &names)?;
    let mut left_out = copy_dynamic(sink.as_mut(), &mut allowance, dynamic.paths(), options)?;
    left_out.extend(unlisted);

    manifest.ca = identify(&locations, whose);
    manifest.generations = generations;
    manifest.not_included = not_included(&left_out, options.ca_folder.is_some());
    manifest.finished = certadm_store::now().to_rfc3339();
    let Committed { set, manifest, folder, scratch } = sink.commit(manifest, progress)?;

    // From here on the set exists whatever the CA answers: a failure is told in the report.
    let to_check = folder.filter(|_| options.check == Check::BeforeTruncation);
    let mut findings = to_check.as_ref().map_or_else(Vec::new, |folder| check_content(folder, progress));
    drop(scratch);
    // A check that was broken off says nothing about the database.
    let checked = to_check.is_some() && cancel::requested().is_none();
    if !checked {
        findings.clear();
    }
    let is_sound = finding::worst(&findings) < Some(Severity::Error);
    let truncate = options.truncate && checked && is_sound;
    let Ending { truncated, asked_again, still_there, is_ended, refused, error } = match truncate {
        true => truncate_and_end(session, &manifest, &mut allowance, progress),
        false => Ending::of(session.end()),
    };
    let lowest = Generation::new(manifest.generations.low);
    let truncated_below = lowest.filter(|_| options.kind == BackupType::Full && !truncated.is_empty());
    let kind = BackupKind::of(options.kind, truncate && refused.is_none());
    Ok(Taken {
        set,
        manifest,
        signed_with: None,
        kind,
        is_base: kind.is_base() && is_ended,
        truncated,
        asked_again,
        truncated_below,
        still_there,
        checked,
        removed: Vec::new(),
        findings,
        end_error: error.map(|error| format!("{} ({})", chain_of(&error), error.code)),
        truncation_refused: refused,
        duration: begun.elapsed(),
    })
}

/// How the CA answered once the set stood.
#[derive(Default)]
struct Ending {
    truncated: Vec<(Generation, u64)>,
    asked_again: bool,
    still_there: Vec<Generation>,
    /// Whether it answered BackupEnd with success.
    is_ended: bool,
    /// The code of TruncateLogs that failed.
    refused: Option<Hresult>,
    error: Option<CallError>,
}

impl Ending {
    fn of(ended: CallResult<()>) -> Self {
        Self { is_ended: ended.is_ok(), error: ended.err(), ..Self::default() }
    }
}

/// Has the CA delete its logs, looks at what became of them where that is safe, and ends the backup whatever was seen.
fn truncate_and_end<S: Source>(
    session: Session<S, Logs>,
    manifest: &Manifest,
    allowance: &mut Allowance,
    progress: &mut dyn Progress,
) -> Ending {
    progress.at(Stage::Truncate, 0, 1);
    let mut after = match session.truncate() {
        Ok(after) => after,
        Err(error) => {
            return Ending { refused: Some(error.code), error: Some(error), ..Ending::default() };
        }
    };
    let asked = after.may_ask_again().then(|| ask_again(&mut after, manifest, allowance)).transpose();
    progress.at(Stage::Truncate, 1, 1);
    let ending = Ending::of(after.end());
    match asked {
        Ok(Some((truncated, still_there))) => Ending { truncated, still_there, asked_again: true, ..ending },
        Ok(None) => Ending { truncated: listed(manifest), ..ending },
        Err(error) => Ending { truncated: listed(manifest), error: Some(error), ..ending },
    }
}

/// The logs that the CA has listed, with their bytes.
fn listed(manifest: &Manifest) -> Vec<(Generation, u64)> {
    // Every log of the set was stored under the name of its generation.
    manifest.logs().filter_map(|entry| Some((log_generation(&entry.source).ok()?, entry.size))).collect()
}

/// Removes what backups that were killed have left beside the target.
fn remove_abandoned(target: &Path) -> Result<Vec<PathBuf>> {
    let target = certadm_files::absolute(target)?;
    match target.parent() {
        Some(parent) if parent.is_dir() => Ok(unfinished::remove_abandoned(parent)?),
        _ => Ok(Vec::new()),
    }
}

/// As large reads as the protocol has: over a long line their number decides how long a backup takes.
const READ_HINT: u32 = MAX_READ_BUFFER;

/// The smallest read of a backup that keeps to a pace.
const SMALLEST_PART: u64 = 16 << 10;

/// How large the reads of a backup are: where it keeps to a pace, what goes in a quarter of a second, so that the line is free
/// in between.
fn part(pace: Option<&Pace>) -> u32 {
    let quarter = pace.map(|pace| (pace.bytes_a_second() / 4).max(SMALLEST_PART));
    quarter.and_then(|quarter| u32::try_from(quarter).ok()).map_or(READ_HINT, |part| part.min(READ_HINT))
}

struct Taking<'a> {
    sink: &'a mut dyn SetSink,
    progress: &'a mut dyn Progress,
    allowance: &'a mut Allowance,
    pace: Option<&'a Pace>,
    hashing: Hashing,
}

impl Taking<'_> {
    /// Opens a file, reads it to its announced end into the set and closes it.
    fn store<S: Source, P: Opens>(
        &mut self,
        session: Session<S, P>,
        entry: String,
        role: Role,
        name: &str,
        ends: Option<&mut Ends>,
    ) -> Result<Session<S, P>> {
        let opening = Instant::now();
        let mut file = session.open(name, part(self.pace))?;
        let announced = file.size();
        self.allowance.waited(name, opening, 0, announced)?;
        self.allowance.announced(name, announced)?;
        let stage = if role == Role::Database { Stage::Database } else { Stage::Logs };
        let progress = &mut *self.progress;
        let allowance = &mut *self.allowance;
        let pace = self.pace;
        let mut stream =
            FromCa { file: &mut file, progress, allowance, pace, stage, name, delivered: 0, ends };
        let new = NewFile { entry, role, source: name, size: announced, hashing: self.hashing };
        let stored = self.sink.add(new, &mut stream)?;
        if stored.size != announced {
            return Err(Error::SizeLied { name: name.to_owned(), announced, delivered: stored.size });
        }
        let closing = Instant::now();
        let session = file.close()?;
        self.allowance.waited(name, closing, 0, 0)?;
        Ok(session)
    }

    /// Stores the logs, ascending: a set that is kept elsewhere may need that order. Returns whose they are, too, as the first of
    /// them says.
    fn store_logs<S: Source>(
        &mut self,
        mut session: Session<S, Logs>,
        names: &[String],
    ) -> Result<(Session<S, Logs>, Generations, Signatures)> {
        let mut logs = Vec::new();
        for name in names {
            logs.push((log_generation(name)?, name));
        }
        logs.sort_by_key(|(generation, _)| *generation);
        let mut first = None;
        for (generation, name) in &logs {
            let mut ends = Ends::default();
            let watched = first.is_none().then_some(&mut ends);
            session = self.store(session, log_entry(*generation), Role::Log, name, watched)?;
            first = first.or(Some((*generation, ends)));
        }
        let bound =
            |log: Option<&(Generation, &String)>| log.map_or(0, |(generation, _)| generation.number());
        let generations = Generations { low: bound(logs.first()), high: bound(logs.last()) };
        let whose = first.map(|(generation, ends)| ends.signatures(generation)).unwrap_or_default();
        Ok((session, generations, whose))
    }

    fn store_bytes(&mut self, entry: String, role: Role, bytes: &[u8]) -> Result<()> {
        let (size, hashing) = (bytes.len() as u64, self.hashing);
        let new = NewFile { entry, role, source: "", size, hashing };
        let mut rest = bytes;
        self.sink.add(new, &mut |buffer: &mut [u8]| {
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            Ok(len)
        })?;
        Ok(())
    }
}

/// Copies the dynamic files that lie in the CA's folder, by name: CRLs and certificates, which a restore puts back. Returns those
/// that it did not copy.
fn copy_dynamic(
    sink: &mut dyn SetSink,
    allowance: &mut Allowance,
    paths: &[String],
    options: &TakeOptions,
) -> Result<Vec<String>> {
    let Some(folder) = &options.ca_folder else {
        return Ok(paths.to_vec());
    };
    let mut left_out = Vec::new();
    let mut names = HashSet::new();
    let mut paths: Vec<&String> = paths.iter().collect();
    paths.sort_by_key(|path| last_component(path));
    for path in paths {
        let name = last_component(path);
        let local = folder.own(&folder.crl_dir().join(name));
        let opened =
            if is_published(name) && names.insert(folded(name)) { open_dynamic(&local) } else { None };
        // Nobody may read it, say: a CRL is published elsewhere, too, and is not worth the backup.
        let Some((mut file, size)) = opened else {
            left_out.push(path.clone());
            continue;
        };
        allowance.announced(path, size)?;
        let entry = format!("{DYNAMIC_DIR}/{name}");
        let new = NewFile { entry, role: Role::Dynamic, source: path, size, hashing: options.hashing };
        sink.add(new, &mut |buffer: &mut [u8]| Ok(file.read(buffer).during("read", &local)?))?;
    }
    Ok(left_out)
}

/// A dynamic file and its length; nothing where it is a link, which may lead to what is no business of the CA's, or longer than a
/// set may hold.
fn open_dynamic(local: &Found) -> Option<(Take<File>, u64)> {
    let file = local.open_up_to(Some(MAX_CRL)).ok()?;
    let size = file.get_ref().metadata().ok()?.len();
    (size <= MAX_CRL).then_some((file, size))
}

/// The name of the CA's database in its restore map: the sanitized name of the CA. It came from elsewhere, so it is no path.
pub fn database_name(locations: &TaggedList) -> String {
    let name = last_component(locations.database().unwrap_or_default());
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

/// Whose set it is: the names from the restore map, the signatures from the first log.
pub(crate) fn identify(locations: &TaggedList, signatures: Signatures) -> CaIdentity {
    let database = locations.database().unwrap_or_default();
    let host = database.trim_start_matches('\\').split('\\').next().unwrap_or_default();
    CaIdentity {
        name: database_name(locations),
        host: host.to_owned(),
        database_signature: signatures.database,
        stream_signature: signatures.stream,
    }
}

pub(crate) fn not_included(left_out: &[String], here: bool) -> Vec<String> {
    let parts = if here {
        [
            "the CA's private key (ca.key): keep a copy of that file and its passphrase elsewhere",
            "the CA's configuration (ca.toml), where the set has no folder Identity",
        ]
    } else {
        [
            "the CA's private key: back it up on the CA's own machine (ca.key, on Windows `certutil -backupKey`)",
            "the CA's configuration (ca.toml, on Windows the registry key CertSvc\\Configuration), where the set has no \
             folder Identity",
        ]
    };
    let mut missing: Vec<String> = parts.map(str::to_owned).to_vec();
    if !left_out.is_empty() {
        missing.push(format!("the dynamic files, to be copied by other means: {}", left_out.join(", ")));
    }
    missing
}

/// Logs that are gone, with their bytes, and logs that are still there.
type Truncation = (Vec<(Generation, u64)>, Vec<Generation>);

/// After truncation the listed logs are asked for once more: which are really gone, and how many bytes had they? Only of a CA that
/// may be asked ([`Session::may_ask_again`]).
fn ask_again<S: Source>(
    session: &mut Session<S, Truncated>,
    manifest: &Manifest,
    allowance: &mut Allowance,
) -> CallResult<Truncation> {
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    for entry in manifest.logs() {
        let Ok(generation) = log_generation(&entry.source) else { continue };
        let asking = Instant::now();
        if session.is_still_there(&entry.source)? {
            there.push(generation);
        } else {
            gone.push((generation, entry.size));
        }
        allowance
            .waited(&entry.source, asking, 0, 0)
            .map_err(|error| CallError::because("BackupOpenFile", error))?;
    }
    Ok((gone, there))
}

/// An open file of the CA, watched: it may not deliver more than it announced.
struct FromCa<'a, S: Source, P> {
    file: &'a mut Session<S, FileOpen<P>>,
    progress: &'a mut dyn Progress,
    allowance: &'a mut Allowance,
    pace: Option<&'a Pace>,
    stage: Stage,
    name: &'a str,
    delivered: u64,
    ends: Option<&'a mut Ends>,
}

impl<S: Source, P> Stream for FromCa<'_, S, P> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Some(pace) = self.pace else { return self.read_part(buffer) };
        let part = part(Some(pace)) as usize;
        let mut filled = 0;
        for part in buffer.chunks_mut(part) {
            let len = self.read_part(part)?;
            pace.wait(len as u64)?;
            filled += len;
            if len < part.len() {
                break;
            }
        }
        Ok(filled)
    }
}

impl<S: Source, P> FromCa<'_, S, P> {
    /// Fills the buffer, except at the end.
    fn read_part(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let announced = self.file.size();
        let reading = Instant::now();
        let len = self.file.read(buffer)?;
        self.delivered += len as u64;
        if self.delivered > announced || len > buffer.len() {
            let delivered = self.delivered;
            return Err(Error::SizeLied { name: self.name.to_owned(), announced, delivered });
        }
        if let Some(ends) = &mut self.ends {
            ends.see(&buffer[..len]);
        }
        self.allowance.waited(self.name, reading, len as u64, announced - self.delivered)?;
        self.progress.at(self.stage, self.delivered, announced);
        Ok(len)
    }
}
