//! Looking at the places of a job: what each holds of a CA.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable};
use certadm_repository::{Address, CaRepository, Point, Selector};
use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::{Diagnosis, Hresult};
use certadm_set::Set;
use certadm_set::manifest::{Manifest, SetKind};
use jiff::Timestamp;

use crate::config::{Ca, Config, Target};
use crate::held::{Held, HeldSet};
use crate::record::Trouble;

/// The folder of notes about what is proven, among the sets of a CA.
const PROVEN: &str = ".proven";
/// No more sets of a CA are looked at than this.
const MOST_SETS: usize = 100_000;

/// A place could not be looked at.
#[derive(Debug)]
pub struct Unseen {
    /// What is wrong.
    pub trouble: Trouble,
    /// Whose fault it is.
    pub class: Class,
}

impl<E: Diagnosis> From<E> for Unseen {
    fn from(error: E) -> Self {
        let class = error.class();
        let trouble = Trouble {
            code: format!("0x{:08x}", error.hresult().to_bits()),
            kind: class.to_string(),
            message: chain_of(&error),
            remedy: Some(error.remedy().into_owned()),
        };
        Self { trouble, class }
    }
}

/// What a place holds of a CA.
///
/// # Errors
/// When a vault or a folder cannot be read.
pub fn look(config: &Config, target: &Target, ca: &Ca) -> Result<Held, Unseen> {
    match target {
        Target::Vault(vault) => look_into_vault(&config.vault(vault)?.repository(Some(&ca.own_name))?),
        Target::Folder(folder) => look_into_folder(folder, ca),
    }
}

fn look_into_vault(repository: &CaRepository) -> Result<Held, Unseen> {
    let points = repository.points()?;
    let noted = repository.proven()?;
    let newest = points.iter().rev().find(|point| noted.contains(&point.id));
    let proven = match newest {
        // A note that went meanwhile is none.
        Some(point) => repository.proven_at(point)?.map(|when| (point.id.clone(), when)),
        None => None,
    };
    let sets = points.into_iter().map(held_of).collect();
    Ok(Held { proven, ..Held::new(sets) })
}

fn held_of(point: Point) -> HeldSet {
    HeldSet {
        id: point.id,
        time: point.time,
        kind: point.kind,
        stream: (point.database, point.stream),
        generations: point.generations,
        bytes: point.bytes,
        seconds: point.seconds,
    }
}

fn look_into_folder(folder: &Path, ca: &Ca) -> Result<Held, Unseen> {
    // A disk that is not mounted must not look like an empty one, and get sets on the disk below it.
    fs::read_dir(folder).during("list", folder)?;
    let dir = folder_of(folder, ca);
    let entries = match fs::read_dir(&dir).during("list", &dir) {
        Err(error) if error.is_not_found() => return Ok(Held::default()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries.take(MOST_SETS) {
        let name = entry.during("list", &dir)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && certadm_files::found::is_folder(&dir.join(&name)) {
            names.push(name);
        }
    }
    let (mut sets, mut unreadable) = (Vec::new(), Vec::new());
    for name in names {
        let path = dir.join(&name);
        match Set::open(&path) {
            Ok(set) => match set.manifest.as_ref().and_then(|manifest| held_of_manifest(&name, manifest)) {
                Some(held) => sets.push(held),
                None => unreadable.push((name, "it has no manifest: its backup has not ended".to_owned())),
            },
            Err(certadm_set::Error::NotASet { .. }) => {}
            Err(error) => unreadable.push((name, chain_of(&error))),
        }
    }
    let proven = sets.iter().max_by_key(|set| proven_at(&dir, &set.id).map(|when| (when, set.time)));
    let proven = proven.and_then(|set| Some((set.id.clone(), proven_at(&dir, &set.id)?)));
    Ok(Held { proven, unreadable, ..Held::new(sets) })
}

fn held_of_manifest(name: &str, manifest: &Manifest) -> Option<HeldSet> {
    let (began, ended) = (seconds_of(&manifest.started), seconds_of(&manifest.finished)?);
    Some(HeldSet {
        id: name.to_owned(),
        time: ended,
        kind: manifest.kind,
        stream: (manifest.ca.database_signature.clone(), manifest.ca.stream_signature.clone()),
        generations: (manifest.generations.low, manifest.generations.high),
        bytes: manifest.total_size(),
        seconds: began.and_then(|began| u64::try_from(ended - began).ok()).unwrap_or_default(),
    })
}

/// A moment as RFC 3339 has it, in seconds since 1970.
#[must_use]
pub fn seconds_of(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// A moment for a person and a program, as RFC 3339 has it.
#[must_use]
pub fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}

/// The folder of a CA's sets in a folder that backups go to.
#[must_use]
pub fn folder_of(folder: &Path, ca: &Ca) -> PathBuf {
    folder.join(ca.name.as_str())
}

fn proven_at(dir: &Path, set: &str) -> Option<i64> {
    let note = certadm_files::Found::below(dir, Path::new(PROVEN).join(set)).read(64).ok()?;
    seconds_of(std::str::from_utf8(&note).ok()?.trim())
}

/// Notes that the newest state of a folder is proven. A vault's notes are the business of the command that proves.
///
/// # Errors
/// Those of the system.
pub fn note_proven(folder: &Path, ca: &Ca, set: &str, now: i64) -> certadm_files::Result<()> {
    let dir = folder_of(folder, ca).join(PROVEN);
    durable::create_dir(&dir)?;
    durable::replace(&dir.join(set), moment(now).as_bytes())
}

/// How the newest state of a CA at a place is named for commands: an address, or its sets.
#[must_use]
pub fn newest_state(target: &Target, ca: &Ca, held: &Held) -> Vec<PathBuf> {
    match target {
        Target::Vault(vault) => vec![PathBuf::from(address(vault, ca, "latest"))],
        Target::Folder(folder) => {
            held.newest_state().into_iter().map(|set| folder_of(folder, ca).join(&set.id)).collect()
        }
    }
}

/// `vault:CA/POINT`
#[must_use]
pub fn address(vault: &str, ca: &Ca, point: &str) -> String {
    debug_assert!(matches!(
        Address::parse(&format!("{vault}:{}/{point}", ca.own_name)),
        Some(Ok(Address { point: Selector::Latest, .. }))
    ));
    format!("{vault}:{}/{point}", ca.own_name)
}

/// The folder of a new set, which is not there yet.
#[must_use]
pub fn new_set(folder: &Path, ca: &Ca, kind: SetKind, now: i64) -> PathBuf {
    let moment: String = moment(now).chars().filter(|letter| !matches!(letter, '-' | ':')).collect();
    let name = |ending: &str| folder_of(folder, ca).join(format!("{moment}-{kind}{ending}"));
    let further = (2_u32..).map(|number| name(&format!("-{number}")));
    let mut names = std::iter::once(name("")).chain(further);
    names.find(|path| path.symlink_metadata().is_err()).unwrap_or_else(|| name(""))
}

/// A failure that is no error of another crate.
#[must_use]
pub fn trouble(code: Hresult, message: String, remedy: &str) -> Trouble {
    Trouble {
        code: format!("0x{:08x}", code.to_bits()),
        kind: code.class().to_string(),
        message,
        remedy: Some(remedy.to_owned()),
    }
}
