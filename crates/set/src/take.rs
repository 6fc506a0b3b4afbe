//! Taking a set: read everything the CA lists, store it, read it back, commit, and only then truncate.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certadm_rules::finding::{self, Finding, Severity};
use certadm_rules::flags::BackupType;
use certadm_rules::names::{folded, is_safe_component, last_component};
use certadm_rules::{BackupKind, Generation, TaggedList};
use certadm_session::{CallResult, FileOpen, Logs, Session, Source, Truncated};
use certadm_store::chain::read_trailer;
use certadm_store::log_file::LogFile;
use certadm_store::trailer::sqlite_page_size;

use crate::copy::{BUFFER_LEN, ReadBack, Stream};
use crate::error::{Error, Result};
use crate::layout::{DYNAMIC_DIR, database_entry, file_of, locations_entry, log_entry, log_generation};
use crate::manifest::{CaIdentity, Generations, MAX_DYNAMIC, Manifest, Role, SetKind};
use crate::progress::{Progress, Stage};
use crate::readers::Readers;
use crate::verify::check_content;
use crate::writer::SetWriter;
use certadm_files::{Found, IoContext, cancel, unfinished};

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
    /// Folder of this machine from which listed dynamic files may be copied into the set; `None` where they are out
    /// of reach.
    pub dynamic_dir: Option<PathBuf>,
}

impl TakeOptions {
    /// The usual backup: a full one deletes the logs that it makes redundant, one of logs leaves them; the set is checked
    /// before any log is deleted, and is its owner's alone; no dynamic file is in reach.
    pub const fn new(kind: BackupType) -> Self {
        Self {
            kind,
            truncate: matches!(kind, BackupType::Full),
            read_back: ReadBack::System,
            check: Check::BeforeTruncation,
            readers: Readers::Owner,
            dynamic_dir: None,
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
    /// What kind of backup the CA counts it as.
    pub kind: BackupKind,
    /// Listed logs that were asked for again after truncation and are gone, with the bytes they had in the set.
    pub truncated: Vec<(Generation, u64)>,
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
    /// From Prepare to End.
    pub duration: Duration,
}

/// Takes a backup of the CA behind `source` into a new folder `target`.
///
/// # Errors
/// The CA's refusals, [`Error::TargetNotEmpty`], [`Error::BadName`], [`Error::SizeLied`], [`Error::Damaged`],
/// [`Error::Store`]. Then no set exists, and the CA's logs are as they were.
pub fn take(
    source: &mut dyn Source,
    target: &Path,
    options: &TakeOptions,
    progress: &mut dyn Progress,
) -> Result<Taken> {
    let begun = Instant::now();
    // Truncation deletes the logs at the CA, and then they are nowhere else: they are worth a look at the medium itself.
    let logs_read_back = if options.truncate { ReadBack::Medium } else { options.read_back };
    let removed = remove_abandoned(target)?;
    let mut writer = SetWriter::create(target, options.readers, options.read_back, logs_read_back)?;
    let started = certadm_store::now().to_rfc3339();
    let mut taking = Taking { writer: &mut writer, progress };
    let (session, names, locations, dynamic, kind) = match options.kind {
        BackupType::Full => {
            let mut session = Session::prepare_full(source)?;
            let locations = session.database_locations()?;
            for name in session.database_names()? {
                let file = session.open(&name, READ_HINT)?;
                session = taking.store(file, database_entry(&name)?, Role::Database, &name)?;
            }
            let dynamic = session.dynamic_files()?;
            let (session, names) = session.logs()?;
            (session, names, locations, dynamic, SetKind::Full)
        }
        BackupType::LogsOnly => {
            let mut session = Session::prepare_logs_only(source)?;
            let locations = session.database_locations()?;
            let dynamic = session.dynamic_files()?;
            let (session, names) = session.logs()?;
            (session, names, locations, dynamic, SetKind::Logs)
        }
    };
    let (session, generations) = taking.store_logs(session, &names)?;
    writer.add_bytes(locations_entry(), Role::Locations, "", &locations.to_bytes())?;
    let left_out = copy_dynamic(&mut writer, dynamic.paths(), options.dynamic_dir.as_deref())?;

    let mut manifest = Manifest::new(identify(&locations, writer.building(), &names)?, kind, started);
    manifest.generations = generations;
    manifest.dynamic_files = dynamic.paths().to_vec();
    manifest.not_included = not_included(&left_out, options.dynamic_dir.is_some());
    manifest.finished = certadm_store::now().to_rfc3339();
    let (set, manifest) = writer.commit(manifest)?;

    // From here on the set exists whatever the CA answers: a failure is told in the report.
    let mut findings = match options.check {
        Check::BeforeTruncation => check_content(&set, progress),
        Check::Later => Vec::new(),
    };
    // A check that was broken off says nothing about the database.
    let checked = options.check == Check::BeforeTruncation && cancel::requested().is_none();
    if !checked {
        findings.clear();
    }
    let is_sound = finding::worst(&findings) < Some(Severity::Error);
    let truncate = options.truncate && checked && is_sound;
    let mut truncated = Vec::new();
    let mut still_there = Vec::new();
    let ended = if truncate {
        progress.at(Stage::Truncate, 0, 1);
        session.truncate().and_then(|mut after| {
            (truncated, still_there) = ask_again(&mut after, &manifest)?;
            progress.at(Stage::Truncate, 1, 1);
            after.end()
        })
    } else {
        session.end()
    };
    Ok(Taken {
        set,
        manifest,
        kind: BackupKind::of(options.kind, truncate),
        truncated,
        still_there,
        checked,
        removed,
        findings,
        end_error: ended.err().map(|error| format!("{error} ({})", error.code)),
        duration: begun.elapsed(),
    })
}

/// Removes what backups that were killed have left beside the target.
fn remove_abandoned(target: &Path) -> Result<Vec<PathBuf>> {
    let target = std::path::absolute(target).during("resolve", target)?;
    match target.parent() {
        Some(parent) if parent.is_dir() => Ok(unfinished::remove_abandoned(parent)?),
        _ => Ok(Vec::new()),
    }
}

/// Reads of one buffer each.
#[expect(clippy::cast_possible_truncation, reason = "half a megabyte")]
const READ_HINT: u32 = BUFFER_LEN as u32;

struct Taking<'a> {
    writer: &'a mut SetWriter,
    progress: &'a mut dyn Progress,
}

impl Taking<'_> {
    /// Reads an open file to its announced end into the set and closes it.
    fn store<S: Source, P>(
        &mut self,
        mut file: Session<S, FileOpen<P>>,
        entry: String,
        role: Role,
        name: &str,
    ) -> Result<Session<S, P>> {
        let announced = file.size();
        let stage = if role == Role::Database { Stage::Database } else { Stage::Logs };
        let stream = FromCa { file: &mut file, progress: self.progress, stage, name, delivered: 0 };
        let stored = self.writer.add(entry, role, name, stream)?;
        if stored.size != announced {
            return Err(Error::SizeLied { name: name.to_owned(), announced, delivered: stored.size });
        }
        Ok(file.close()?)
    }

    fn store_logs<S: Source>(
        &mut self,
        mut session: Session<S, Logs>,
        names: &[String],
    ) -> Result<(Session<S, Logs>, Generations)> {
        let mut generations: Option<Generations> = None;
        for name in names {
            let generation = log_generation(name)?;
            let file = session.open(name, READ_HINT)?;
            session = self.store(file, log_entry(generation), Role::Log, name)?;
            let number = generation.number();
            generations = Some(generations.map_or(Generations { low: number, high: number }, |range| {
                Generations { low: range.low.min(number), high: range.high.max(number) }
            }));
        }
        Ok((session, generations.unwrap_or(Generations { low: 0, high: 0 })))
    }
}

/// Copies the dynamic files that lie in a folder of this machine. Returns those that it did not copy.
fn copy_dynamic(writer: &mut SetWriter, paths: &[String], dir: Option<&Path>) -> Result<Vec<String>> {
    let Some(dir) = dir else {
        return Ok(paths.to_vec());
    };
    let mut left_out = Vec::new();
    let mut names = HashSet::new();
    for path in paths {
        let name = last_component(path);
        let local = Found::named(dir.join(name));
        let fits = || local.size().is_ok_and(|bytes| bytes <= MAX_DYNAMIC);
        if !is_safe_component(name) || !fits() || !names.insert(folded(name)) {
            left_out.push(path.clone());
            continue;
        }
        let mut file = local.open_up_to(Some(MAX_DYNAMIC))?;
        writer.add(format!("{DYNAMIC_DIR}/{name}"), Role::Dynamic, path, |buffer: &mut [u8]| {
            Ok(file.read(buffer).during("read", &local)?)
        })?;
    }
    Ok(left_out)
}

/// Whose set it is: the names from the restore map, the signatures from what was stored.
fn identify(locations: &TaggedList, building: &Path, logs: &[String]) -> Result<CaIdentity> {
    let database = locations.database().unwrap_or_default();
    let name = last_component(database);
    let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let host = database.trim_start_matches('\\').split('\\').next().unwrap_or_default();
    let mut identity = CaIdentity {
        name: name.to_owned(),
        host: host.to_owned(),
        database_signature: String::new(),
        stream_signature: String::new(),
    };
    // Sets of other engines have no signatures of ours; every log of ours names both.
    if let Some(first) = logs.first() {
        let path = file_of(building, &log_entry(log_generation(first)?));
        if let Ok(log) = LogFile::open(&path) {
            identity.database_signature = log.header().database.to_string();
            identity.stream_signature = log.header().stream.to_string();
        }
    }
    if is_safe_component(last_component(database)) {
        let image = file_of(building, &database_entry(database)?);
        let mut first = [0; 100];
        let is_ours = image.open().is_ok_and(|mut file| file.read_exact(&mut first).is_ok())
            && sqlite_page_size(&first).is_some();
        if is_ours {
            // An image whose trailer does not fit must not become a set.
            read_trailer(&image)?;
        }
    }
    Ok(identity)
}

fn not_included(left_out: &[String], here: bool) -> Vec<String> {
    let parts = if here {
        [
            "the CA's private key (ca.key): keep a copy of that file and its passphrase elsewhere",
            "the CA's configuration (ca.toml)",
        ]
    } else {
        [
            "the CA's private key: back it up on the CA's own machine (ca.key, on Windows `certutil -backupKey`)",
            "the CA's configuration (ca.toml, on Windows the registry key CertSvc\\Configuration)",
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

/// After truncation the listed logs are asked for once more: which are really gone, and how many bytes had they?
fn ask_again<S: Source>(session: &mut Session<S, Truncated>, manifest: &Manifest) -> CallResult<Truncation> {
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    for entry in manifest.logs() {
        // Every log of the set was stored under the name of its generation.
        let Ok(generation) = log_generation(&entry.source) else { continue };
        if session.is_still_there(&entry.source)? {
            there.push(generation);
        } else {
            gone.push((generation, entry.size));
        }
    }
    Ok((gone, there))
}

/// An open file of the CA, watched: it may not deliver more than it announced.
struct FromCa<'a, S: Source, P> {
    file: &'a mut Session<S, FileOpen<P>>,
    progress: &'a mut dyn Progress,
    stage: Stage,
    name: &'a str,
    delivered: u64,
}

impl<S: Source, P> Stream for FromCa<'_, S, P> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let announced = self.file.size();
        let len = self.file.read(buffer)?;
        self.delivered += len as u64;
        if self.delivered > announced || len > buffer.len() {
            let delivered = self.delivered;
            return Err(Error::SizeLied { name: self.name.to_owned(), announced, delivered });
        }
        self.progress.at(self.stage, self.delivered, announced);
        Ok(len)
    }
}
