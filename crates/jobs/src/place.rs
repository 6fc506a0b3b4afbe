//! Looking at the places of a job: what each holds of a CA.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use certadm_files::IoContext;
use certadm_repository::{Address, CaRepository, Point, Selector};
use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::{Diagnosis, FileTime, Hresult};
use certadm_set::folder::{self, FolderSet, proven_at};
use certadm_set::stored::newest_first;

use crate::config::{Ca, Config, Job, Target};
use crate::held::{Held, HeldSet, is_past};
use crate::record::{Attempts, OfSet, Trouble};
use crate::step::Step;
use crate::unreadable::Unreadable;
use crate::vouched::{Signers, Vouched};

/// A place could not be looked at.
#[derive(Debug)]
pub struct Unseen {
    /// What is wrong.
    pub trouble: Box<Trouble>,
    /// Whose fault it is.
    pub class: Class,
}

impl<E: Diagnosis> From<E> for Unseen {
    fn from(error: E) -> Self {
        let class = error.class();
        let code = error.hresult().hex();
        let trouble = Trouble {
            id: Trouble::id_of(class, &code),
            code,
            kind: class.to_string(),
            message: chain_of(&error),
            remedy: Some(error.remedy().into_owned()),
            set: OfSet::NoSet,
        };
        Self { trouble: Box::new(trouble), class }
    }
}

/// What to do about a folder for sets that is not there.
pub const MAKE_OR_MOUNT: &str = "make it or mount it: a job makes no folder where a disk may be missing";

/// What a place holds of a CA for a job at `now`, in seconds since 1970.
///
/// # Errors
/// When a vault or a folder cannot be read.
pub fn look(config: &Config, target: &Target, (job, ca): (&Job, &Ca), now: i64) -> Result<Held, Unseen> {
    let signers = Signers::of(job);
    match target {
        Target::Vault(vault) => {
            look_into_vault(&config.vault(vault)?.repository(Some(ca.own_name()))?, &signers, now)
        }
        Target::Folder(folder) => look_into_folder(folder, ca, &signers, now),
    }
}

/// The same, of the first place of a job, which has seen it before.
///
/// # Errors
/// As [`look`], and when backups were taken into a folder, and that of the CA in it is gone: a disk may not be mounted.
pub fn look_again(
    config: &Config,
    target: &Target,
    (job, ca, attempts): (&Job, &Ca, &Attempts),
    now: i64,
) -> Result<Held, Unseen> {
    let held = look(config, target, (job, ca), now)?;
    // A place that was named anew has nothing yet.
    let was_here = [Step::Full, Step::Logs].iter().any(|step| {
        let attempt = attempts.of(*step);
        attempt.succeeded.is_some() && attempt.place == target.to_string()
    });
    if was_here {
        refuse_gone(target, ca, "backups were taken into")?;
    }
    Ok(held)
}

/// Refuses a folder that had sets of a CA, by `what` was done there, and in which that of the CA is gone.
///
/// # Errors
/// A disk may not be mounted.
pub(crate) fn refuse_gone(target: &Target, ca: &Ca, what: &str) -> Result<(), Unseen> {
    let Target::Folder(folder) = target else { return Ok(()) };
    let dir = folder_of(folder, ca);
    if !fs::symlink_metadata(&dir).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    let text = format!("{what} {}, which is gone", dir.display());
    let remedy = format!(
        "mount the disk that has it; if its sets are gone for good, make the folder by hand: {}",
        dir.display()
    );
    let trouble = Box::new(trouble(Hresult::ERROR_PATH_NOT_FOUND, text, &remedy));
    Err(Unseen { trouble, class: Class::Refused })
}

fn look_into_vault(repository: &CaRepository, signers: &Signers, now: i64) -> Result<Held, Unseen> {
    let certadm_repository::Readable { points, unreadable } = repository.readable()?;
    let Vouched { sets: points, unsigned, unreadable: untold } = signers.sort_points(repository, points)?;
    let noted = repository.proven()?;
    let sorted = newest_first(&points.iter().collect::<Vec<_>>(), now);
    let newest = sorted.into_iter().find(|point| point.is_noted(&noted));
    let proven = match newest {
        // A note that went meanwhile is none.
        Some(point) => repository.proven_at(point)?.map(|when| (point.id.clone(), when)),
        None => None,
    };
    let sets: Vec<_> = points.into_iter().map(held_of).collect();
    let address = repository.address();
    let unreadable = unreadable.into_iter().map(|name| Unreadable::in_vault(name, &address));
    let unreadable = unreadable.chain(untold.into_iter().map(Unreadable::untold)).collect();
    let unsigned = not_ahead(unsigned.into_iter().map(|(point, why)| (held_of(point), why)), now);
    Ok(Held { proven, unreadable, unsigned, ..Held::new(&sets, now) })
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
        links: point.links,
    }
}

fn look_into_folder(folder: &Path, ca: &Ca, signers: &Signers, now: i64) -> Result<Held, Unseen> {
    // A disk that is not mounted must not look like an empty one, and get sets on the disk below it.
    if let Err(error) = fs::read_dir(folder).during("list", folder) {
        let mut unseen = Unseen::from(error);
        if !folder.exists() {
            unseen.trouble.message = format!("there is no folder {}", folder.display());
            unseen.trouble.remedy = Some(MAKE_OR_MOUNT.to_owned());
        }
        return Err(unseen);
    }
    let dir = folder_of(folder, ca);
    if let Err(error) = fs::read_dir(&dir).during("list", &dir)
        && error.is_not_found()
    {
        return Ok(Held::default());
    }
    let mut listed = folder::list(&dir)?;
    let (unsealed, damaged) = (std::mem::take(&mut listed.unsealed), std::mem::take(&mut listed.unreadable));
    let Vouched { sets, unsigned, unreadable: untold } = signers.sort_folder(listed);
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // One that has got its manifest meanwhile is seen the next time.
    let unsealed = unsealed.iter().filter_map(|path| Some((path, certadm_set::complete(path).err()?)));
    let unsealed = unsealed.map(|(path, error)| Unreadable::in_folder(name(path), &error));
    let damaged = damaged.iter().map(|(path, error)| Unreadable::in_folder(name(path), error));
    let unreadable = unsealed.chain(damaged).chain(untold.into_iter().map(Unreadable::untold)).collect();
    // A note from the future does not hide those that came after it.
    let noted = |set: &FolderSet| proven_at(&dir, set, now).map(|when| (is_past(when, now), when, set.time));
    let proven = sets.iter().filter_map(|set| Some((noted(set)?, set))).max_by_key(|(noted, _)| *noted);
    let proven = proven.map(|((_, when, _), set)| (set.name.clone(), when));
    let sets: Vec<HeldSet> = sets.into_iter().map(held_of_folder).collect();
    let unsigned = not_ahead(unsigned.into_iter().map(|(set, why)| (held_of_folder(set), why)), now);
    Ok(Held { proven, unreadable, unsigned, ..Held::new(&sets, now) })
}

/// Of sets that do not count, those whose date can be right: what somebody has stored with one of the future would stand behind every full
/// set to come, and ask for another one at each run.
fn not_ahead(unsigned: impl Iterator<Item = (HeldSet, String)>, now: i64) -> Vec<(HeldSet, String)> {
    unsigned.filter(|(set, _)| is_past(set.time, now)).collect()
}

fn held_of_folder(set: FolderSet) -> HeldSet {
    HeldSet {
        id: set.name,
        time: set.time,
        kind: set.kind,
        stream: set.signatures,
        generations: set.generations,
        bytes: set.bytes,
        seconds: set.seconds,
        links: set.links,
    }
}

/// A moment as RFC 3339 has it, in seconds since 1970.
#[must_use]
pub fn seconds_of(text: &str) -> Option<i64> {
    FileTime::from_rfc3339(text).map(FileTime::unix_seconds)
}

/// A moment for a person and a program, as RFC 3339 has it.
#[must_use]
pub fn moment(seconds: i64) -> String {
    FileTime::from_unix_seconds(seconds).to_rfc3339()
}

/// The folder of a CA's sets in a folder that backups go to.
#[must_use]
pub fn folder_of(folder: &Path, ca: &Ca) -> PathBuf {
    folder.join(ca.name.as_str())
}

/// Notes that the newest state of a folder is proven. A vault's notes are the business of the command that proves.
///
/// # Errors
/// Those of the system.
pub fn note_proven(folder: &Path, ca: &Ca, set: &str, now: i64) -> certadm_files::Result<()> {
    certadm_set::folder::note_proven(&folder_of(folder, ca), set, &moment(now))
}

/// Forgets at a place that states were proven which lean on sets that were found damaged there since, by the ids of these.
///
/// # Errors
/// When the place cannot be read, or nothing may be deleted there.
pub fn withdraw_proven(
    config: &Config,
    target: &Target,
    ca: &Ca,
    damaged: &[String],
    now: i64,
) -> Result<(), Unseen> {
    match target {
        Target::Vault(vault) => {
            Ok(config.vault(vault)?.repository(Some(ca.own_name()))?.withdraw_proven(damaged)?)
        }
        Target::Folder(folder) => Ok(folder::withdraw_proven(&folder_of(folder, ca), damaged, now)?),
    }
}

/// How the newest state of a CA at a place that can be restored is named for commands: an address, or its sets.
#[must_use]
pub fn newest_state(target: &Target, ca: &Ca, held: &Held) -> Vec<PathBuf> {
    let (newest, stored) = (held.newest_state(), held.stored_state());
    // What a vault calls the latest lies behind a set that was found damaged, or may be one that does not count.
    let is_cut = newest.last().map(|set| &set.id) != stored.last().map(|set| &set.id);
    let is_cut = is_cut || !held.unsigned.is_empty();
    let point = newest.last().filter(|_| is_cut).map_or("latest", |last| last.id.as_str());
    named(target, ca, &newest, point)
}

/// The same of the newest state by manifests alone, whatever was found damaged.
#[must_use]
pub fn stored_state(target: &Target, ca: &Ca, held: &Held) -> Vec<PathBuf> {
    let stored = held.stored_state();
    let point = stored.last().filter(|_| !held.unsigned.is_empty()).map_or("latest", |last| last.id.as_str());
    named(target, ca, &stored, point)
}

fn named(target: &Target, ca: &Ca, state: &[&HeldSet], point: &str) -> Vec<PathBuf> {
    match target {
        Target::Vault(vault) => vec![PathBuf::from(address(vault, ca, point))],
        Target::Folder(folder) => state.iter().map(|set| folder_of(folder, ca).join(&set.id)).collect(),
    }
}

/// `vault:CA/POINT`
#[must_use]
pub fn address(vault: &str, ca: &Ca, point: &str) -> String {
    debug_assert!(matches!(
        Address::parse(&format!("{vault}:{}/{point}", ca.own_name())),
        Some(Ok(Address { point: Selector::Latest | Selector::Id(_), .. }))
    ));
    format!("{vault}:{}/{point}", ca.own_name())
}

/// A failure that is no error of another crate.
#[must_use]
pub fn trouble(code: Hresult, message: String, remedy: &str) -> Trouble {
    Trouble::of_code(code, message, remedy)
}
