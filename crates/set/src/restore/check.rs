//! The checks of a restore: of the target, and of the database that the sets give.

use std::path::Path;

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_files::{Found, durable, space};
use certadm_rules::Hresult;
use certadm_store::chain::{Chain, check_image};
use certadm_store::locks;

use super::Checked;
use super::plan::{Plan, in_the_way, refuse_occupied};
use super::replaced::Replaced;
use super::stage::{self, Staging};
use crate::aside::Aside;
use crate::copy::hash_file;
use crate::error::{Error, Result};
use crate::hashes::{Hashes, Hashing};
use crate::manifest::{self, FileEntry};
use crate::progress::{Progress, Stage};
use crate::scratch::Recovered;

/// Room beyond the copied bytes: for the registration, and for what a file system takes for names.
const SPARE: u64 = 1 << 20;

impl Plan {
    /// Makes every check that a restore makes, on the sets themselves, and changes nothing: what a dry run does.
    ///
    /// # Errors
    /// As [`Plan::execute`], and before it would have changed anything.
    pub fn check(&self, progress: &mut dyn Progress) -> Result<Checked> {
        self.check_and_recover(progress).map(|(checked, _)| checked)
    }

    /// The same; returns the database that was checked, too. Whoever looks at it need not recover it once more.
    ///
    /// # Errors
    /// As [`Plan::check`].
    pub fn check_and_recover(&self, progress: &mut dyn Progress) -> Result<(Checked, Recovered)> {
        locks::refuse_owned(&self.folder)?;
        self.check_target()?;
        let mut done = 0;
        let files =
            std::iter::once(&self.combined.image).chain(self.combined.logs.iter().map(|(_, log)| log));
        for file in files {
            let (announced, hashing) = self.announced(file);
            let mut told = |read| progress.at(Stage::Verify, done + read, self.bytes);
            let hashes = hash_file(file, announced, hashing, &mut told)?;
            done += hashes.size;
            self.compare(file, &hashes)?;
        }
        let chain = self.combined.check()?;
        let (checked, recovered) = self.examine(&self.combined.image, &chain, progress)?;
        Ok((Checked { warnings: self.check_dynamic(self.there())?, ..checked }, recovered))
    }

    /// Checks what lies in the staging folder. What was taken over and not copied is read to its end beside SQLite's check, flushed,
    /// and compared with its manifest.
    pub(super) fn check_staged(&self, staging: &Staging, progress: &mut dyn Progress) -> Result<Checked> {
        std::thread::scope(|scope| {
            let compared = scope.spawn(|| staging.compare_taken_over(self));
            let checked = staging
                .combined(&self.combined)
                .and_then(|combined| combined.check())
                .and_then(|chain| self.examine(staging.image(), &chain, progress));
            // What a changed file leads to comes second.
            compared.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            checked.map(|(checked, _)| checked)
        })
    }

    /// Whether the target can take the restore: its folders, its file systems, the right to write to them, their free space, and whether
    /// anything has come into the way since the plan was made.
    pub(super) fn check_target(&self) -> Result<()> {
        let folder = &self.folder;
        let there = self.there();
        certadm_files::check_writable(there)?;
        for dir in [folder.database_dir(), folder.log_dir()].iter().filter(|dir| dir.is_dir()) {
            certadm_files::check_writable(dir)?;
            if !space::same_file_system(dir, folder.path())? {
                return Err(Error::NotOneFileSystem { path: dir.clone(), folder: folder.path().to_owned() });
            }
        }
        for (part, _) in folder.parts() {
            durable::refuse_no_folder(&part)?;
        }
        let in_the_way = in_the_way(folder)?;
        in_the_way.iter().try_for_each(|file| certadm_files::refuse_immutable(file))?;
        if !self.options.force {
            refuse_occupied(folder, &in_the_way)?;
        }
        // The logs are laid down a second time when the copy is checked.
        let needed = self.bytes_to_copy(there)? + self.log_bytes + SPARE;
        match space::available(there)? {
            Some(available) if available + stage::leftover_bytes(folder) < needed => {
                Err(Error::NoSpace { path: folder.path().to_owned(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// The CA's folder, or the nearest one above it that is there.
    fn there(&self) -> &Path {
        self.folder.path().ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
    }

    /// How long a file is, and which hashes it is compared by, as far as a manifest tells.
    pub(super) fn announced(&self, file: &Path) -> (Option<u64>, Hashing) {
        let entry = self.entry_of(file);
        let hashing = entry.map_or(Hashing::Blake3, FileEntry::hashing);
        (entry.map(|entry| entry.size), hashing)
    }

    /// Compares a file's hashes with the manifest.
    pub(super) fn compare(&self, file: &Path, hashes: &Hashes) -> Result<()> {
        match self.entry_of(file).filter(|entry| !entry.has(hashes)) {
            None => Ok(()),
            Some(entry) => Err(Error::Damaged {
                path: file.to_owned(),
                detail: manifest::CHANGED.to_owned(),
                code: entry.role.code_of_damage(false),
            }),
        }
    }

    /// Recovers in a scratch folder beside `image`, lets SQLite check the database, and compares its CA with the folder's.
    ///
    /// The image is compared with its trailer beside that, as the CA's start will: SQLite's check passes over free space, and a
    /// manifest may have been made of an image that had changed.
    fn examine(
        &self,
        image: &Found,
        chain: &Chain,
        progress: &mut dyn Progress,
    ) -> Result<(Checked, Recovered)> {
        progress.at(Stage::Integrity, 0, 0);
        let (recovered, content) = std::thread::scope(|scope| {
            let summed =
                Aside::begin(scope, chain.trailer.pages_len(), || check_image(image, &chain.trailer, |_| ()));
            let examined = Recovered::open(image, chain).and_then(|recovered| {
                let content = recovered.examine(image)?;
                Ok((recovered, content))
            });
            // What a changed page leads to comes second.
            summed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            examined
        })?;
        if let Some(detail) = content.unsound().next() {
            let code = Hresult::READ_VERIFY_FAILURE;
            return Err(Error::Damaged { path: self.combined.image.path().to_owned(), detail, code });
        }
        let identity = DatabaseIdentity::read(recovered.connection())?;
        let replaced = Replaced::of(&self.folder);
        let newest = || replaced.as_ref().and_then(Replaced::newest).cloned();
        // Where ca.crt is gone, the database that is there still tells whose key lies beside it.
        if let Some(own) = Identity::of_folder(&self.folder)?.or_else(newest) {
            match identity.check(&own) {
                Err(certadm_ca::Error::AnotherCa { same_name: true, .. }) if self.options.renewed_key => {}
                other => other?,
            }
        }
        if let Some(replaced) = &replaced {
            replaced.refuse_unknown(&chain.trailer.database.0, &identity)?;
        }
        Ok((Checked { content, identity, warnings: Vec::new() }, recovered))
    }
}
