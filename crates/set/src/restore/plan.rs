//! What a restore will do, found out by looking at the sets and the target.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, absolute, space};
use certadm_rules::names::last_component;
use certadm_rules::unc::check_path;
use certadm_rules::words::counted;
use certadm_rules::{FileTime, Generation, GenerationRange, is_ahead};
use certadm_store::{Folder, is_reserve, locks, record, recovery};

use super::journal::{self, Journal};
use crate::chain::{Combined, combine};
use crate::error::{Error, Result};
use crate::layout::{DYNAMIC_DIR, is_published};
use crate::manifest::{FileEntry, Manifest, Role};
use crate::open::{Opened, open};
use crate::reader::Set;
use crate::signing::{AllowedSigners, SignedBy};
use crate::until::{Cut, Until};

/// What the caller allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Move a database that is there aside instead of refusing.
    pub force: bool,
    /// The CA's key was renewed after the set was taken: the database may know another key of a CA of the same name.
    pub renewed_key: bool,
    /// Restore a set without a manifest, too: only the checksums in its image and logs then tell damage.
    pub incomplete: bool,
    /// Restore only what is signed by one of these: every set of the chain.
    pub allowed_signers: Option<AllowedSigners>,
    /// Restore an earlier state than the last one: what lies behind is not brought into the target.
    pub until: Option<Until>,
    /// The sets are copies that nobody else needs: where the file system can, image and logs become the CA's own files and are not
    /// copied once more. They are then no sets any longer as soon as the CA starts.
    pub own_copies: bool,
}

/// Everything a restore will do.
#[derive(Debug)]
pub struct Plan {
    /// The CA's folder.
    pub folder: Folder,
    /// The restored database's place.
    pub database: PathBuf,
    /// Where the database was when it was backed up, as its restore map says.
    pub original: String,
    /// The sets, full one first.
    pub sets: Vec<Set>,
    /// Image, logs, range.
    pub combined: Combined,
    /// What the manifests say, by the place of each file.
    entries: HashMap<PathBuf, FileEntry>,
    /// The generation that the CA will be recovered to.
    pub last: Generation,
    /// Bytes to copy.
    pub bytes: u64,
    /// Those of the logs among them.
    pub(super) log_bytes: u64,
    /// Files of the target that have to be moved aside first.
    pub in_the_way: Vec<PathBuf>,
    /// Dynamic files that will be put back.
    pub dynamic: Vec<Found>,
    /// What is left out, where an earlier state was asked for.
    pub cut: Option<Cut>,
    /// Who signed each of the sets, if only some may.
    pub signed_by: Vec<SignedBy>,
    /// What the caller allows.
    pub options: Options,
}

/// Plans the restore of `paths` (the full set, then its log sets) into the CA's folder at `target`. Signatures are checked
/// first. The headers of image and logs are read; their content is checked by [`Plan::check`] or while the plan is carried
/// out.
///
/// # Errors
/// [`Error::Signing`] when a set is not signed by one of those who may; [`Error::Incomplete`] (0x8007139F) for a set without a manifest, unless it is allowed; what [`combine`] and
/// [`Combined::check_headers`] find; [`Error::TargetInUse`] (0x80070091) for a target with a database,
/// unless it is to be moved aside; [`Error::NotReachable`] for a state that the sets do not give; [`Error::Damaged`] with 0x8007000D when the full set's restore map is missing or names no
/// database.
pub fn plan(paths: &[PathBuf], target: &Path, options: Options) -> Result<Plan> {
    let opened = open(paths)?;
    // Everything that a restore takes out of a set is compared with its manifest, and the manifest is judged here.
    let signed_by = match &options.allowed_signers {
        Some(allowed) => allowed.check(&opened)?,
        None => Vec::new(),
    };
    let (opened, cut) = match options.until {
        // Sets of a Windows CA are refused for what they are.
        Some(until) if matches!(opened, Opened::Ours(_)) => {
            let (opened, cut) = opened.until(until)?;
            (opened, Some(cut))
        }
        _ => (opened, None),
    };
    let sets = opened.into_ours()?;
    if let Some(set) = sets.iter().find(|set| set.manifest.is_none() && !options.incomplete) {
        return Err(Error::Incomplete { path: set.path.clone(), is_of_certutil: false });
    }
    let combined = combine(&sets)?;
    combined.check_headers()?;
    let original = sets[0].original_database()?;
    let folder = Folder::new(absolute(target)?);
    if folder.path().to_str().is_none_or(|path| check_path(path).is_err()) {
        return Err(Error::TargetName { path: folder.path().to_owned() });
    }
    let name = last_component(&original);
    let in_the_way = in_the_way(&folder)?;
    if !options.force {
        refuse_occupied(&folder, &in_the_way)?;
    }
    let mut log_bytes = 0;
    for (_, log) in &combined.logs {
        log_bytes += log.size()?;
    }
    Ok(Plan {
        database: folder.database_dir().join(name),
        folder,
        original,
        last: combined.range.high(),
        dynamic: dynamic_files(&sets),
        entries: entries_of(&sets),
        cut,
        signed_by,
        sets,
        bytes: combined.image.size()?.saturating_add(log_bytes),
        log_bytes,
        combined,
        in_the_way,
        options,
    })
}

/// Refuses a target that no set can be restored to, before the sets are there: the CA runs, or has a database that is not to be
/// moved aside.
///
/// # Errors
/// 0x80070420 while the CA runs, [`Error::TargetInUse`] (0x80070091), [`Error::File`].
pub fn check_target(target: &Path, force: bool) -> Result<()> {
    let folder = Folder::new(absolute(target)?);
    locks::refuse_owned(&folder)?;
    if force { Ok(()) } else { refuse_occupied(&folder, &in_the_way(&folder)?) }
}

/// Refuses a folder that holds a CA's database. What a restore put there that was not carried out is none: it is replaced all the
/// same, also where it was killed as its registration was complete and the CA's own files were not written yet. What that restore had
/// moved aside is one.
pub(super) fn refuse_occupied(folder: &Folder, in_the_way: &[PathBuf]) -> Result<()> {
    let occupied = match record::read(folder)?.filter(|record| !record.database_recovered) {
        None => !in_the_way.is_empty(),
        Some(record) => {
            let has_own = record.is_complete() && has_log_above(in_the_way, record.range.high());
            journal::has_moved_aside(folder)? || is_put_back(folder)? || has_own
        }
    };
    if occupied { Err(Error::TargetInUse { path: folder.path().to_owned() }) } else { Ok(()) }
}

/// Whether the database is the one that was there before an earlier restore, which was taken back.
fn is_put_back(folder: &Folder) -> Result<bool> {
    Ok(Journal::read(folder)?.is_none()
        && folder.database_path().is_ok()
        && !journal::is_restored_image(folder)
        && !recovery::is_under_way(folder))
}

/// Whether there is a log above those that a restore has registered: it is the CA's own, and the start would roll it forward.
fn has_log_above(files: &[PathBuf], last: Generation) -> bool {
    let logs = files.iter().filter_map(|path| Generation::from_log_file_name(path.file_name()?.to_str()?));
    logs.max().is_some_and(|log| last < log)
}

impl Plan {
    /// The plan as steps for a person, in order.
    pub fn steps(&self) -> Vec<String> {
        let range = self.combined.range;
        let folder = self.folder.path().display();
        let mut steps: Vec<String> = self.cut.iter().map(|cut| format!("go back in time: {cut}")).collect();
        steps.extend([
            format!(
                "copy {} and {} into {folder}, compare them with their hashes, and check the database that they give",
                self.combined.image.display(),
                counted(self.combined.logs.len() as u64, "log"),
            ),
            format!("register a full restore of generations {} to {}", range.low(), range.high()),
        ]);
        if !self.in_the_way.is_empty() {
            steps.push(format!("move {} of {folder} aside", counted(self.in_the_way.len() as u64, "file")));
        }
        steps.push(format!(
            "give the copies their names: {}, and logs in {}",
            self.database.display(),
            self.folder.log_dir().display()
        ));
        steps.push("complete the registration".to_owned());
        if !self.dynamic.is_empty() {
            steps.push(format!(
                "put {} dynamic files back into {}",
                self.dynamic.len(),
                self.folder.crl_dir().display()
            ));
        }
        steps
            .push(format!("at the CA's next start: apply the logs up to generation {} and serve", self.last));
        steps.push(
            "take a new full backup: sets made before and after a restore do not go together".to_owned(),
        );
        steps
    }

    /// The range of the full set's own logs, at least up to what its image needs.
    pub(super) fn full_range(&self) -> GenerationRange {
        self.sets[0].range().unwrap_or(self.combined.range)
    }

    /// Bytes that will be copied into the CA's folder, or the one that it will be made in.
    pub(super) fn bytes_to_copy(&self, folder: &Path) -> Result<u64> {
        let is_taken_over = self.options.own_copies && space::same_file_system(&self.sets[0].path, folder)?;
        Ok(if is_taken_over { 0 } else { self.bytes })
    }

    /// Bytes that the CA's next start may take when it brings the changes of the logs into the database: by way of a log of SQLite.
    pub(super) fn bytes_of_start(&self) -> u64 {
        self.log_bytes.saturating_mul(2)
    }

    /// What the manifests say of a file of the sets; `None` for a set without one.
    pub(super) fn entry_of(&self, file: &Path) -> Option<&FileEntry> {
        self.entries.get(file)
    }
}

/// Whatever lies where the restore will write: in the database and the log folder.
pub(super) fn in_the_way(folder: &Folder) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in [folder.database_dir(), folder.log_dir()] {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).during("list", &dir)? {
            let path = entry.during("list", &dir)?.path();
            // The space that is kept for a full disk stays where it is.
            found.extend((!is_reserve(&path)).then_some(path));
        }
    }
    Ok(found)
}

/// Whether a dynamic file is one that a restore puts back: a CRL or a certificate, right in its folder. They go where
/// the CA publishes, so nothing else does.
fn is_restored(entry: &str) -> bool {
    entry.strip_prefix(DYNAMIC_DIR).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_published)
}

/// The entries of all manifests, each under the place of its file: a restore asks for each file in turn.
pub(super) fn entries_of(sets: &[Set]) -> HashMap<PathBuf, FileEntry> {
    let all = sets.iter().flat_map(Set::entries);
    all.map(|(entry, place)| (place.path().to_owned(), entry.clone())).collect()
}

/// The newest copy of each dynamic file in the sets, in whatever order these are named.
pub(super) fn dynamic_files(sets: &[Set]) -> Vec<Found> {
    let now = certadm_store::now().unix_seconds();
    let mut oldest_first: Vec<(&Manifest, &Set)> =
        sets.iter().filter_map(|set| Some((set.manifest.as_ref()?, set))).collect();
    oldest_first.sort_by_key(|(manifest, _)| recency(manifest, now));
    let mut files = std::collections::BTreeMap::new();
    for (_, set) in oldest_first {
        for (entry, place) in set.entries() {
            if entry.role == Role::Dynamic && is_restored(&entry.path) {
                files.insert(entry.path.clone(), place.clone());
            }
        }
    }
    files.into_values().collect()
}

/// Sorts sets of one stream of logs, the newest last. Their generations decide, whatever clocks they were dated by: each CRL is
/// a commit, so a set with a later CRL ends with a later log. Of sets that end with the same log the date tells, if it can be:
/// one in the future hides no other set (invariant 13). An earlier state leaves logs out, so the manifest is asked and not the
/// set.
fn recency(manifest: &Manifest, now: i64) -> impl Ord + use<> {
    let finished = manifest.finished_at().map(FileTime::unix_seconds);
    let is_believed = finished.is_some_and(|finished| !is_ahead(finished, now));
    (manifest.generations.high, is_believed, finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{CaIdentity, Generations, SetKind};

    #[test]
    fn generations_tell_which_set_is_newer_and_dates_only_where_they_are_equal() {
        let set = |high: u32, finished: &str| {
            let [name, host, database_signature, stream_signature] = [(); 4].map(|()| String::new());
            let ca = CaIdentity { name, host, database_signature, stream_signature };
            let mut manifest = Manifest::new(ca, SetKind::Logs, finished.to_owned());
            manifest.generations = Generations { low: 1, high };
            finished.clone_into(&mut manifest.finished);
            manifest
        };
        let now = 1_800_000_000;
        let oldest_first = [
            set(3, "2099-01-01T00:00:00Z"),
            set(4, "no date"),
            set(4, "2098-01-01T00:00:00Z"),
            set(4, "2026-01-01T00:00:00Z"),
            set(4, "2026-01-02T00:00:00Z"),
            set(5, "2020-01-01T00:00:00Z"),
        ];
        assert!(oldest_first.is_sorted_by(|one, other| recency(one, now) < recency(other, now)));
    }
}
