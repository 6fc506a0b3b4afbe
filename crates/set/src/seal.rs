//! Sealing: a manifest for what `certutil -backupDB` wrote, so that a change of its bytes shows, and so that what lists and
//! deletes sets knows it. No other file of the set is touched.

use std::path::{Path, PathBuf};

use certadm_files::{Found, durable};
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_rules::{FileTime, Generation};

use crate::copy::hash_file;
use crate::ends::Signatures;
use crate::error::{Error, Result};
use crate::folder::FolderSet;
use crate::hashes::Hashing;
use crate::layout::{DATABASE_DIR, file_of};
use crate::manifest::{self, CaIdentity, FileEntry, Generations, Manifest, Role, SetKind};
use crate::neighbours::{Neighbours, generation_of, last_generation, stream_of};
use crate::open::{Opened, open};
use crate::progress::Progress;
use crate::signing::{self, Signer};
use crate::strangers;
use crate::take::{identify, not_included};
use crate::verify::{Report, verify};
use crate::windows::WindowsSet;

/// A set that has got its manifest.
#[derive(Debug)]
pub struct Sealed {
    /// The manifest.
    pub manifest: Manifest,
    /// What was found beside, no worse than a warning.
    pub findings: Vec<Finding>,
}

impl Sealed {
    /// Whether something is worth looking into.
    #[must_use]
    pub fn has_warnings(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity != Severity::Note)
    }
}

/// Checks the set of a Windows CA at `path` as [`verify`] does, and adds its manifest, and a signature if there is a signer.
///
/// # Errors
/// [`Error::CannotSeal`] for what is no such set, or has a manifest; [`Error::Unsound`] when the check finds damage;
/// [`Error::File`].
pub fn seal(
    path: &Path,
    hashing: Hashing,
    signer: Option<&Signer>,
    progress: &mut dyn Progress,
) -> Result<Sealed> {
    let path = certadm_files::absolute(path)?;
    let (sealed, bytes) = describe_sound(&path, hashing, &mut Neighbours::default(), progress)?;
    if let Some(signer) = signer {
        // The signature stands before the manifest does: no complete set lacks a signature that was asked for.
        durable::replace(&path.join(signing::FILE_NAME), signer.sign(&bytes).as_bytes())?;
    }
    durable::replace(&path.join(manifest::FILE_NAME), &bytes)?;
    Ok(sealed)
}

/// Checks the set of a Windows CA at `path` as [`seal`] does, and makes its manifest, whose bytes come beside it. Nothing is written:
/// for whoever stores the set elsewhere. The full set that a log set follows is looked for among `neighbours`.
///
/// # Errors
/// As [`seal`].
pub fn describe_sound(
    path: &Path,
    hashing: Hashing,
    neighbours: &mut Neighbours,
    progress: &mut dyn Progress,
) -> Result<(Sealed, Vec<u8>)> {
    let set = find(path)?;
    let mut findings = sound(path, progress)?.findings;
    findings.retain(|finding| finding.kind != Kind::Incomplete);
    findings.extend(strangers::keys_in(path));
    let mut manifest = describe(path, &set, hashing, neighbours)?;
    let bad = |detail| Error::BadManifest { path: path.join(manifest::FILE_NAME), detail };
    manifest.check_entries().map_err(bad)?;
    let bytes = manifest.complete().map_err(bad)?;
    // What was written can be read again, and names only what lies in the set.
    Manifest::parse(&bytes).map_err(bad)?;
    Ok((Sealed { manifest, findings }, bytes))
}

/// The set, if it is one that can be sealed.
fn find(path: &Path) -> Result<WindowsSet> {
    let cannot = |detail: &str| Error::CannotSeal { path: path.to_owned(), detail: detail.to_owned() };
    if file_of(path, manifest::FILE_NAME).is_there() {
        return Err(cannot("it has a manifest already"));
    }
    if file_of(path, signing::FILE_NAME).is_there() {
        return Err(cannot("it has the signature of a manifest that is gone"));
    }
    match open(&[path.to_owned()])? {
        Opened::Windows(mut sets) => {
            let set = sets.pop().filter(|set| !set.is_single_file());
            let set = set.ok_or_else(|| cannot("it is a file, and no set"))?;
            if set.checkpoint.is_some() {
                return Err(cannot("it has a checkpoint: it is a copy of a CA's folders, and no backup"));
            }
            Ok(set)
        }
        Opened::Ours(_) => Err(cannot("it is a set of our own whose backup has not ended")),
        Opened::Folder(_) => Err(cannot("it is the folder of a CA")),
    }
}

fn sound(path: &Path, progress: &mut dyn Progress) -> Result<Report> {
    let report = verify(&[path.to_owned()], progress);
    match report.findings.iter().find(|finding| finding.severity == Severity::Error) {
        None => Ok(report),
        Some(worst) => {
            Err(Error::Unsound { path: path.to_owned(), detail: worst.detail.clone(), code: worst.code })
        }
    }
}

fn describe(
    path: &Path,
    set: &WindowsSet,
    hashing: Hashing,
    neighbours: &mut Neighbours,
) -> Result<Manifest> {
    let cannot = |detail: String| Error::CannotSeal { path: path.to_owned(), detail };
    let kind = if set.database.is_some() { SetKind::Full } else { SetKind::Logs };
    let taken = taken(path, set, neighbours).map(FileTime::to_rfc3339);
    let taken = taken.ok_or_else(|| cannot("nothing says when it was taken".to_owned()))?;
    let ca = whose(set).ok_or_else(|| cannot("it has no restore map that says whose it is".to_owned()))?;
    let mut manifest = Manifest::new(ca, kind, taken.clone());
    manifest.finished = taken;
    manifest.not_included = not_included(&[], false);
    let mut generations = Vec::new();
    for log in &set.logs {
        let name = log.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let generation = Generation::from_log_file_name(name)
            .ok_or_else(|| cannot(format!("the log {name} is not named after its generation")))?;
        generations.push(generation.number());
    }
    let (Some(low), Some(high)) = (generations.iter().min(), generations.iter().max()) else {
        return Err(cannot("it has no logs".to_owned()));
    };
    manifest.generations = Generations { low: *low, high: *high };
    let database = set.database.iter().map(|file| (file, Role::Database));
    let logs = set.logs.iter().map(|file| (file, Role::Log));
    let locations = set.locations.iter().map(|file| (file, Role::Locations));
    for (file, role) in database.chain(logs).chain(locations) {
        manifest.files.push(entry(path, file, role, hashing)?);
    }
    Ok(manifest)
}

/// Whose it is, by its restore map; a full set without one is named after its database.
fn whose(set: &WindowsSet) -> Option<CaIdentity> {
    let locations = set.read_locations().ok().flatten().filter(|list| list.database().is_some());
    let signatures = Signatures { stream: stream_of(set).unwrap_or_default(), ..Signatures::default() };
    match (locations, &set.database) {
        (Some(locations), _) => Some(identify(&locations, signatures)),
        (None, Some(database)) => Some(CaIdentity {
            name: Path::new(database.file_name()?).file_stem()?.to_str()?.to_owned(),
            host: String::new(),
            database_signature: signatures.database,
            stream_signature: signatures.stream,
        }),
        (None, None) => None,
    }
}

/// What a set without a manifest would say of itself if it were sealed; `None` for what is no set of a Windows CA, and where
/// nothing tells. None of its files is checked. The full set that a log set follows is looked for among `neighbours`.
#[must_use]
pub fn unsealed(path: &Path, neighbours: &mut Neighbours) -> Option<FolderSet> {
    let Ok(Opened::Windows(mut sets)) = open(&[path.to_owned()]) else { return None };
    let set = sets.pop().filter(|set| !set.is_single_file() && set.complete.is_none())?;
    let ca = whose(&set)?;
    let first = set.logs.iter().filter_map(generation_of).min()?;
    let files = set.database.iter().chain(&set.logs).chain(&set.locations);
    Some(FolderSet {
        name: path.to_string_lossy().into_owned(),
        path: path.to_owned(),
        time: taken(path, &set, neighbours)?.unix_seconds(),
        seconds: 0,
        ca: ca.name,
        kind: if set.database.is_some() { SetKind::Full } else { SetKind::Logs },
        signatures: (ca.database_signature, ca.stream_signature),
        generations: (first, last_generation(&set)?),
        bytes: files.filter_map(|file| file.size().ok()).sum(),
        held: false,
        links: None,
    })
}

/// When a set was taken. A log set was not taken before the full set beside it that it follows, whatever the clocks say.
fn taken(path: &Path, set: &WindowsSet, neighbours: &mut Neighbours) -> Option<FileTime> {
    let mut full_before = || match set.database {
        Some(_) => None,
        None => neighbours.full_before(path, &stream_of(set)?, last_generation(set)?),
    };
    set.taken().or_else(|| set.written()).max(full_before())
}

fn entry(path: &Path, file: &Found, role: Role, hashing: Hashing) -> Result<FileEntry> {
    let below: PathBuf = file.path().strip_prefix(path).unwrap_or(file.path()).to_owned();
    let parts: Option<Vec<&str>> = below.iter().map(|part| part.to_str()).collect();
    let parts = parts.filter(|parts| parts.len() == 2 && parts[0].eq_ignore_ascii_case(DATABASE_DIR));
    let Some(parts) = parts else {
        let detail = format!("{} lies elsewhere than in {DATABASE_DIR}", below.display());
        return Err(Error::CannotSeal { path: path.to_owned(), detail });
    };
    let hashes = hash_file(file, None, hashing, |_| ())?;
    Ok(FileEntry {
        path: parts.join("/"),
        role,
        source: String::new(),
        size: hashes.size,
        blake3: hashes.blake3,
        sha256: hashes.sha256,
    })
}
