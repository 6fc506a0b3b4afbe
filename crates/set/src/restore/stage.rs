//! The staging folder: where the files of the sets are copied to, or get a second name, before anything of the target changes.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, durable, second_name, unfinished};
use certadm_rules::Generation;
use certadm_store::chain::read_trailer;
use certadm_store::{Folder, locks};

use super::plan::Plan;
use crate::chain::Combined;
use crate::copy::{self, ReadBack};
use crate::error::Result;
use crate::progress::{Progress, Stage};

/// The name of the folder, inside the CA's folder so that a rename brings its files into place. There is one at a time,
/// because a restore holds the owner's lock.
const NAME: &str = "restore.staging";
/// The folders in it, named as those of a CA.
const PARTS: [&str; 3] = ["database", "log", "crl"];

/// Image and logs of the sets. What has not been given its name goes away with it.
#[derive(Debug)]
pub(super) struct Staging {
    dir: PathBuf,
    image: Found,
    logs: Vec<(Generation, Found)>,
    /// Files of the sets that were not copied: each with its second name here.
    taken_over: Vec<(Found, Found, File)>,
}

impl Staging {
    /// Copies the files of a plan, and compares each with its manifest on the way. Files that may be taken over get a second name
    /// instead, and are compared by [`Staging::compare_taken_over`].
    ///
    /// # Errors
    /// [`crate::Error::Damaged`], [`crate::Error::File`]; the folder is then gone.
    pub(super) fn fill(plan: &Plan, progress: &mut dyn Progress) -> Result<Self> {
        let dir = path(&plan.folder);
        remove(&plan.folder)?;
        // The copies are as open as what they replace, once they are there, and not before.
        durable::create_private_dir(&dir)?;
        let name = plan.database.file_name().unwrap_or_default();
        let mut staging = Self {
            image: Found::below(&dir, Path::new("database").join(name)),
            logs: Vec::new(),
            taken_over: Vec::new(),
            dir,
        };
        for part in PARTS {
            durable::create_new_dir(&staging.dir.join(part))?;
        }
        publish_as(&staging.dir.join("crl"), &plan.folder.crl_dir())?;
        let mut done = 0;
        let mut taken_over = Vec::new();
        let mut bring = |from: &Found, to: &Found, stage: Stage| -> Result<()> {
            if plan.options.own_copies
                && let Some(file) = second_name::take_over(from, to)?
            {
                taken_over.push((from.clone(), to.clone(), file));
                return Ok(());
            }
            let before = done;
            // The recovery in a scratch copy reads every byte of image and logs again.
            done += copy_file(plan, from, to, ReadBack::Skip, |copied| {
                progress.at(stage, before + copied, plan.bytes);
            })?;
            Ok(())
        };
        bring(&plan.combined.image, &staging.image, Stage::Database)?;
        for (generation, log) in &plan.combined.logs {
            let to = Found::below(&staging.dir, Path::new("log").join(generation.log_file_name()));
            bring(log, &to, Stage::Logs)?;
            staging.logs.push((*generation, to));
        }
        staging.taken_over = taken_over;
        for part in PARTS {
            durable::sync_dir(&staging.dir.join(part))?;
        }
        Ok(staging)
    }

    /// Copies a dynamic file, and compares it with its manifest on the way. Returns where the copy is.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`], [`crate::Error::File`]; the copy is then gone.
    pub(super) fn copy_dynamic(&self, plan: &Plan, file: &Found) -> Result<PathBuf> {
        let to = self.dir.join("crl").join(file.file_name().unwrap_or_default());
        let copied = copy_file(plan, file, &to, ReadBack::System, |_| ()).inspect_err(|_| {
            fs::remove_file(&to).ok(); // best effort: the staging folder goes away as a whole
        });
        copied.map(|_| to)
    }

    /// Reads what was taken over to its end, compares each file with its manifest, and flushes it.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`], [`crate::Error::File`].
    pub(super) fn compare_taken_over(&self, plan: &Plan) -> Result<()> {
        for (from, to, file) in &self.taken_over {
            let (announced, hashing) = plan.announced(from);
            plan.compare(from, &copy::hash_file(to, announced, hashing, |_| ())?)?;
            durable::flush_data(file, to)?;
        }
        Ok(())
    }

    /// The image here.
    pub(super) fn image(&self) -> &Found {
        &self.image
    }

    /// The sets' chain with the files here in the place of the originals: they are what is compared with the manifests.
    ///
    /// # Errors
    /// As [`read_trailer`].
    pub(super) fn combined(&self, original: &Combined) -> Result<Combined> {
        Ok(Combined {
            image: self.image.clone(),
            trailer: read_trailer(&self.image)?,
            logs: self.logs.clone(),
            range: original.range,
        })
    }

    /// Image and logs, and where each belongs.
    pub(super) fn places<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a Path, PathBuf)> {
        let image = (self.image.path(), plan.database.clone());
        let logs = self.logs.iter().map(|(generation, log)| (log.path(), plan.folder.log_path(*generation)));
        std::iter::once(image).chain(logs)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.dir).ok(); // what stays is removed by the next restore, or by giving this one up
    }
}

/// Gives the staged folder of published files the mode of the one that they go to, so that they are as public there.
#[cfg(unix)]
fn publish_as(staged: &Path, published: &Path) -> Result<()> {
    let permissions = fs::metadata(published).during("look at", published)?.permissions();
    Ok(fs::set_permissions(staged, permissions).during("set the mode of", staged)?)
}

/// Windows decides by the rights of the folder.
#[cfg(not(unix))]
fn publish_as(_staged: &Path, _published: &Path) -> Result<()> {
    Ok(())
}

/// Where the staging folder of a CA is.
pub(super) fn path(folder: &Folder) -> PathBuf {
    folder.path().join(NAME)
}

/// Removes what a restore that was killed left behind.
///
/// # Errors
/// [`crate::Error::File`].
pub(super) fn remove(folder: &Folder) -> Result<()> {
    // Copies of sets that were fetched to be restored, too: best effort, they keep nothing from going on.
    unfinished::remove_abandoned(folder.path()).unwrap_or_default();
    let dir = path(folder);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => Ok(other.during("remove", &dir)?),
    }
}

/// Copies one file of the sets and compares it with the manifest on the way.
fn copy_file(
    plan: &Plan,
    from: &Found,
    to: &Path,
    read_back: ReadBack,
    mut progress: impl FnMut(u64),
) -> Result<u64> {
    let (announced, hashing) = plan.announced(from);
    let mut file = from.open_up_to(announced)?;
    let mut copied = 0;
    let hashes = copy::store(to, read_back, announced, hashing, &mut |buffer: &mut [u8]| {
        let len = file.read(buffer).during("read", from)?;
        copied += len as u64;
        progress(copied);
        Ok(len)
    })?;
    plan.compare(from, &hashes)?;
    Ok(hashes.size)
}

/// Bytes that a restore that was killed has left, and that the next one frees before it begins.
pub(super) fn leftover_bytes(folder: &Folder) -> u64 {
    let dir = path(folder);
    let files = PARTS.iter().filter_map(|part| fs::read_dir(dir.join(part)).ok()).flatten().flatten();
    files.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

/// The folders of a CA that a restore made. Unless they are kept, they go away when this is dropped, as far as nothing
/// but lock files is in them: a restore that is refused leaves none behind.
#[derive(Debug)]
pub(super) struct MadeFolders<'a> {
    folder: &'a Folder,
    made: Vec<PathBuf>,
}

impl<'a> MadeFolders<'a> {
    /// Creates what is missing of the CA's folder, its parents, and the folders in it.
    ///
    /// # Errors
    /// [`crate::Error::File`].
    pub(super) fn of(folder: &'a Folder) -> Result<Self> {
        folder.parts().iter().try_for_each(|(dir, _)| durable::refuse_no_folder(dir))?;
        let mut made = Self { folder, made: Vec::new() };
        for (dir, mode) in folder.parts() {
            let missing: Vec<PathBuf> =
                dir.ancestors().take_while(|path| !path.is_dir()).map(Path::to_owned).collect();
            made.made.extend(missing.into_iter().rev());
            Folder::create_part(&dir, mode)?;
        }
        Ok(made)
    }

    /// They stay.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }
}

impl Drop for MadeFolders<'_> {
    fn drop(&mut self) {
        // Best effort throughout: an empty folder harms nobody. Whoever works in one has its lock.
        if self.made.is_empty() {
            return;
        }
        let Ok(alone) = locks::own(self.folder) else { return };
        // Windows removes no file that is open.
        #[cfg(not(unix))]
        drop(alone);
        if self.made.iter().any(|path| path == self.folder.path()) {
            for lock in
                [self.folder.owner_lock_path(), self.folder.use_lock_path(), self.folder.commit_lock_path()]
            {
                fs::remove_file(lock).ok();
            }
        }
        #[cfg(unix)]
        let _alone = alone;
        for dir in self.made.iter().rev() {
            fs::remove_dir(dir).ok();
        }
    }
}
