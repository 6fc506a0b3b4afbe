//! Restoring: plan and check first, then register, copy, complete; the CA's next start recovers (certbcli.md 9.1).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_rules::names::{is_safe_component, last_component};
use certadm_rules::registration::{MapArgument, Registration};
use certadm_rules::unc::{UncRoot, host_of};
use certadm_rules::{Generation, GenerationRange, Hresult, RestoreType};
use certadm_session::restore::RestoreContext;
use certadm_store::{FileTime, Folder, record};

use crate::chain::{Combined, combine};
use crate::copy::{self, ReadBack};
use crate::error::{Error, Result};
use crate::layout::{DYNAMIC_DIR, LOCATIONS_FILE, file_of};
use crate::manifest::Role;
use crate::progress::{Progress, Stage};
use crate::reader::Set;
use certadm_files::{IoContext, durable};

/// Everything a restore will do, checked against the sets and the target, before anything is done.
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
    /// Generations the CA will be recovered to.
    pub last: Generation,
    /// Bytes to copy.
    pub bytes: u64,
    /// Files of the target that have to be moved aside first.
    pub in_the_way: Vec<PathBuf>,
    /// Dynamic files that will be put back.
    pub dynamic: Vec<PathBuf>,
}

/// What a restore did; recovery is the next start's.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The registered range.
    pub range: GenerationRange,
    /// Bytes copied.
    pub bytes: u64,
    /// Where files that were in the way are now.
    pub moved_aside: Option<PathBuf>,
}

/// Plans the restore of `paths` (the full set, then its sets of logs) into the CA's folder at `target`, and checks the
/// whole chain. With `force`, files in the way are planned to be moved aside instead of refused.
///
/// # Errors
/// What [`combine`] and [`Combined::check`] find; [`Error::TargetInUse`] (0x80070091) for a target with a database;
/// [`Error::Damaged`] with 0x8007000D when the full set's restore map is missing or names no database.
pub fn plan(paths: &[PathBuf], target: &Path, force: bool) -> Result<Plan> {
    let sets = paths.iter().map(|path| Set::open(path)).collect::<Result<Vec<_>>>()?;
    let combined = combine(&sets)?;
    let last = combined.check()?.last();
    let original = original_database(&sets[0])?;
    let folder = Folder::new(std::path::absolute(target).during("resolve", target)?);
    let name = last_component(&original);
    if !is_safe_component(name) {
        return Err(Error::BadName { name: original });
    }
    let in_the_way = in_the_way(&folder)?;
    // What an unfinished restore left is not a CA's; it is moved aside all the same, never deleted.
    let unfinished =
        record::read(&folder)?.is_some_and(|record| !record.database_recovered && !record.is_complete());
    if !in_the_way.is_empty() && !force && !unfinished {
        return Err(Error::TargetInUse { path: folder.path().to_owned() });
    }
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).during("look at", path);
    let mut bytes = size(&combined.image)?;
    for (_, log) in &combined.logs {
        bytes += size(log)?;
    }
    let dynamic = dynamic_files(&sets);
    Ok(Plan {
        database: folder.database_dir().join(name),
        folder,
        original,
        sets,
        combined,
        last,
        bytes,
        in_the_way,
        dynamic,
    })
}

impl Plan {
    /// The plan as steps for a person, in order.
    pub fn steps(&self) -> Vec<String> {
        let range = self.combined.range;
        let mut steps = Vec::new();
        if !self.in_the_way.is_empty() {
            steps.push(format!(
                "move {} files of {} aside",
                self.in_the_way.len(),
                self.folder.path().display()
            ));
        }
        steps.push(format!("register a full restore of generations {:x} to {:x}", range.low(), range.high()));
        steps.push(format!("copy {} to {}", self.combined.image.display(), self.database.display()));
        steps.push(format!("copy {} logs to {}", self.combined.logs.len(), self.folder.log_dir().display()));
        steps.push("complete the registration".to_owned());
        steps.push(format!(
            "at the CA's next start: apply the logs up to generation {:x} and serve",
            self.last
        ));
        if !self.dynamic.is_empty() {
            steps.push(format!(
                "put {} dynamic files back into {}",
                self.dynamic.len(),
                self.folder.crl_dir().display()
            ));
        }
        steps.push(
            "take a new full backup: sets made before and after a restore do not go together".to_owned(),
        );
        steps
    }

    /// Carries the plan out. Interrupted at any point, the CA does not start before the restore is repeated or a
    /// completed one is carried out; the set is never touched.
    ///
    /// # Errors
    /// 0x80070420 while the CA runs, [`Error::Damaged`] when a file changed since it was planned, [`Error::Store`]. The
    /// registration is then completed with the failure.
    pub fn execute(&self, host: &str, progress: &mut dyn Progress) -> Result<Restored> {
        let folder = &self.folder;
        for dir in [folder.path().to_owned(), folder.database_dir(), folder.log_dir(), folder.crl_dir()] {
            durable::create_dir(&dir)?;
        }
        let mut names =
            UncRoot::of_this_system(host).map_err(|_| Error::BadName { name: host.to_owned() })?;
        if let Some(original) = host_of(&self.original) {
            names = names.accepting(original).map_err(|_| Error::BadName { name: self.original.clone() })?;
        }
        let mut context = RestoreContext::prepare(folder.clone(), names, RestoreType::Full);
        context.abandon_pending()?;
        let pending = context.register(self.registration(self.full_range(), true))?;
        let outcome = self.copy_all(progress);
        match outcome {
            Ok(moved_aside) => {
                pending.complete(Hresult::S_OK)?;
                for set in &self.sets[1..] {
                    if let Some(range) = set.range() {
                        context.register(self.registration(range, false))?.complete(Hresult::S_OK)?;
                    }
                }
                Ok(Restored { range: self.combined.range, bytes: self.bytes, moved_aside })
            }
            Err(error) => {
                pending.complete(error.hresult())?;
                Err(error)
            }
        }
    }

    /// The range of the full set's own logs, at least up to what its image needs.
    fn full_range(&self) -> GenerationRange {
        self.sets[0].range().unwrap_or(self.combined.range)
    }

    fn registration(&self, range: GenerationRange, full: bool) -> Registration {
        let map = full.then(|| {
            vec![MapArgument {
                database: Some(self.original.clone()),
                new_database: Some(self.database.to_string_lossy().into_owned()),
            }]
        });
        Registration {
            map_count: i32::from(full),
            map,
            low: range.low().number(),
            high: range.high().number(),
            ..Registration::default()
        }
    }

    fn copy_all(&self, progress: &mut dyn Progress) -> Result<Option<PathBuf>> {
        let moved_aside = self.move_aside()?;
        let mut done = 0;
        let mut copy_one = |from: &Path, to: &Path, stage: Stage| -> Result<()> {
            let before = done;
            // The recovery reads every byte of image and logs before it changes one.
            let tell = |copied| progress.at(stage, before + copied, self.bytes);
            done += self.copy_file(from, to, ReadBack::Skip, tell)?;
            Ok(())
        };
        copy_one(&self.combined.image, &self.database, Stage::Database)?;
        for (generation, log) in &self.combined.logs {
            copy_one(log, &self.folder.log_path(*generation), Stage::Logs)?;
        }
        for file in &self.dynamic {
            let Some(name) = file.file_name() else { continue };
            let to = self.folder.crl_dir().join(name);
            if !to.exists() {
                self.copy_file(file, &to, ReadBack::System, |_| ())?;
            }
        }
        for dir in [self.folder.database_dir(), self.folder.log_dir(), self.folder.crl_dir()] {
            durable::sync_dir(&dir)?;
        }
        Ok(moved_aside)
    }

    /// Copies one file of the set and compares it with the manifest on the way.
    fn copy_file(
        &self,
        from: &Path,
        to: &Path,
        read_back: ReadBack,
        mut progress: impl FnMut(u64),
    ) -> Result<u64> {
        let mut file = fs::File::open(from).during("open", from)?;
        let mut copied = 0;
        let hashes = copy::store(to, read_back, |buffer: &mut [u8]| {
            let len = file.read(buffer).during("read", from)?;
            copied += len as u64;
            progress(copied);
            Ok(len)
        })?;
        let entry = self.sets.iter().find_map(|set| {
            let files = &set.manifest.as_ref()?.files;
            files.iter().find(|entry| file_of(&set.path, &entry.path) == from)
        });
        if entry.is_some_and(|entry| entry.blake3 != hashes.blake3 || entry.sha256 != hashes.sha256) {
            let code = match entry.map(|entry| entry.role) {
                Some(Role::Database) => Hresult::READ_VERIFY_FAILURE,
                _ => Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
            };
            let detail = "its bytes differ from what was backed up".to_owned();
            return Err(Error::Damaged { path: from.to_owned(), detail, code });
        }
        Ok(hashes.size)
    }

    /// Moves database, logs and checkpoint of the target into a folder of their own; nothing is ever deleted.
    fn move_aside(&self) -> Result<Option<PathBuf>> {
        let in_the_way = in_the_way(&self.folder)?;
        if in_the_way.is_empty() {
            return Ok(None);
        }
        let stamp = FileTime::now().0;
        let aside = self.folder.path().join(format!("replaced-{stamp}"));
        durable::create_dir(&aside)?;
        for path in in_the_way {
            if let Some(name) = path.file_name() {
                durable::rename(&path, &aside.join(name))?;
            }
        }
        for dir in [aside.clone(), self.folder.database_dir(), self.folder.log_dir()] {
            durable::sync_dir(&dir)?;
        }
        Ok(Some(aside))
    }
}

/// Whatever lies where the restore will write: in the database and the log folder, but the unfinished nothing.
fn in_the_way(folder: &Folder) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for dir in [folder.database_dir(), folder.log_dir()] {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).during("list", &dir)? {
            found.push(entry.during("list", &dir)?.path());
        }
    }
    Ok(found)
}

/// The `D` entry of the full set's restore map (certbcli.md D23).
fn original_database(full: &Set) -> Result<String> {
    let missing = |detail: &str| Error::Damaged {
        path: full.database_dir().join(LOCATIONS_FILE),
        detail: detail.to_owned(),
        code: Hresult::ERROR_INVALID_DATA,
    };
    let locations = full.locations()?.ok_or_else(|| missing("the restore map of the full set is missing"))?;
    let database = locations.database().ok_or_else(|| missing("it names no database"))?;
    Ok(database.to_owned())
}

/// The newest copy of each dynamic file in the sets.
fn dynamic_files(sets: &[Set]) -> Vec<PathBuf> {
    let mut files = std::collections::BTreeMap::new();
    for set in sets {
        for entry in set.manifest.iter().flat_map(|manifest| &manifest.files) {
            if entry.role == Role::Dynamic && entry.path.starts_with(DYNAMIC_DIR) {
                files.insert(entry.path.clone(), file_of(&set.path, &entry.path));
            }
        }
    }
    files.into_values().collect()
}
