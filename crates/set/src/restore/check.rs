//! The checks of a restore: of the target, and of the database that the sets give.

use std::path::Path;

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_files::{IoContext, space};
use certadm_rules::Hresult;
use certadm_store::chain::{Chain, check_image};
use certadm_store::locks;

use super::plan::{Plan, in_the_way};
use super::stage::Staging;
use super::{Checked, swap};
use crate::copy::{Hashes, hash_file};
use crate::error::{Error, Result};
use crate::manifest::Role;
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
        // Who runs the CA holds the lock; where there is no such file, nobody does. Taking it would create the file.
        let path = self.folder.owner_lock_path();
        let _down = if path.exists() { Some(locks::own(&self.folder)?) } else { None };
        self.check_target()?;
        let mut done = 0;
        let files =
            std::iter::once(&self.combined.image).chain(self.combined.logs.iter().map(|(_, log)| log));
        for file in files {
            let hashes = hash_file(file, |read| progress.at(Stage::Verify, done + read, self.bytes))?;
            done += hashes.size;
            self.compare(file, &hashes)?;
        }
        let chain = self.combined.check()?;
        self.examine(&self.combined.image, &chain, progress)
    }

    /// Checks what was copied, in the staging folder.
    pub(super) fn check_staged(&self, staging: &Staging, progress: &mut dyn Progress) -> Result<Checked> {
        let chain = staging.combined(&self.combined).check()?;
        self.examine(staging.image(), &chain, progress)
    }

    /// Whether the target can take the restore: its file systems, its free space, and whether anything has come into the
    /// way since the plan was made.
    pub(super) fn check_target(&self) -> Result<()> {
        let folder = &self.folder;
        let there = folder.path().ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        for dir in [folder.database_dir(), folder.log_dir()] {
            if dir.is_dir() && !space::same_file_system(&dir, folder.path())? {
                return Err(Error::NotOneFileSystem { path: dir, folder: folder.path().to_owned() });
            }
        }
        if !self.options.force
            && !in_the_way(folder)?.is_empty()
            && certadm_store::record::read(folder)?.is_none()
        {
            return Err(Error::TargetInUse { path: folder.path().to_owned() });
        }
        // The logs are laid down a second time when the copy is checked.
        let logs: u64 = self.combined.logs.iter().try_fold(0, |sum, (_, log)| {
            let len = std::fs::metadata(log).during("look at", log)?.len();
            Ok::<_, Error>(sum + len)
        })?;
        let needed = self.bytes + logs + SPARE;
        match space::available(there)? {
            Some(available) if available + swap::reclaimable(folder) < needed => {
                Err(Error::NoSpace { path: folder.path().to_owned(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// Compares a file's hashes with the manifest.
    pub(super) fn compare(&self, file: &Path, hashes: &Hashes) -> Result<()> {
        let Some(entry) = self.entry_of(file) else { return Ok(()) };
        if entry.blake3 == hashes.blake3 && entry.sha256 == hashes.sha256 {
            return Ok(());
        }
        let code = match entry.role {
            Role::Database => Hresult::READ_VERIFY_FAILURE,
            Role::Log => Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
            Role::Locations | Role::Dynamic => Hresult::ERROR_INVALID_DATA,
        };
        let detail = "its bytes differ from what was backed up".to_owned();
        Err(Error::Damaged { path: file.to_owned(), detail, code })
    }

    /// Recovers in a scratch folder beside `image`, lets SQLite check the database, and compares its CA with the folder's.
    fn examine(&self, image: &Path, chain: &Chain, progress: &mut dyn Progress) -> Result<Checked> {
        if self.sets[0].manifest.is_none() {
            // Without a manifest, the image's own checksum is what tells a damaged page.
            check_image(image, &chain.trailer, |read| progress.at(Stage::Verify, read, self.bytes))?;
        }
        progress.at(Stage::Integrity, 0, 0);
        let recovered = Recovered::open(image, chain)?;
        let content = recovered.examine(image)?;
        if let Some(complaint) = content.complaints.first() {
            return Err(Error::Damaged {
                path: self.combined.image.clone(),
                detail: format!("the recovered database is not sound: {complaint}"),
                code: Hresult::READ_VERIFY_FAILURE,
            });
        }
        let identity = DatabaseIdentity::read(recovered.connection())?;
        if let Some(own) = Identity::of_folder(&self.folder)? {
            match identity.check(&own) {
                Err(certadm_ca::Error::AnotherCa { same_name: true, .. }) if self.options.renewed_key => {}
                other => other?,
            }
        }
        Ok(Checked { content, identity })
    }
}
