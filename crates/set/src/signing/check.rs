//! Whether sets as they lie somewhere are signed, and by whom.

use super::allowed::{AllowedSigners, SignedBy};
use super::error::{Error, Misfit};
use super::signature::{FILE_NAME, MAX_LEN, ManifestSignature};
use crate::copy::hash_file;
use crate::error::Result;
use crate::layout::file_of;
use crate::manifest::{self, Role};
use crate::open::Opened;
use crate::progress::{Progress, Stage};
use crate::reader::Set;

/// What is known of a set's signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    NotSigned,
    /// There is one that fits the manifest. Whose key it is, nobody asked.
    NotChecked {
        /// The fingerprint of the key, `SHA256:...`.
        key: String,
    },
    /// It is by one whose signature counts.
    By(SignedBy),
}

impl Standing {
    /// Looks at a set's signature: whether it fits, and, with a list, whether it counts.
    ///
    /// # Errors
    /// [`Error::Refused`]; with a list [`Error::NotSigned`] too; [`crate::Error::File`].
    pub fn of(set: &Set, allowed: Option<&AllowedSigners>) -> Result<Self> {
        if let Some(allowed) = allowed {
            return Ok(Self::By(allowed.check_set(set)?));
        }
        let (Some(bytes), Some(signature)) = (bytes_of_manifest(set)?, signature_of(set)?) else {
            return Ok(Self::NotSigned);
        };
        signature.check(&bytes).map_err(|misfit| refused(set, misfit))?;
        Ok(Self::NotChecked { key: signature.key() })
    }
}

/// The signature that lies beside a set's manifest.
///
/// # Errors
/// [`Error::Refused`], [`crate::Error::File`].
pub fn signature_of(set: &Set) -> Result<Option<ManifestSignature>> {
    let file = file_of(&set.path, FILE_NAME);
    if !file.is_there() {
        return Ok(None);
    }
    let text = match file.read(MAX_LEN) {
        Err(certadm_files::Error::TooLong { limit, .. }) => {
            let problem = format!("it is longer than {limit} bytes");
            return Err(refused(set, Misfit::Damaged { problem }).into());
        }
        other => other?,
    };
    Ok(Some(ManifestSignature::parse(&text).map_err(|misfit| refused(set, misfit))?))
}

impl AllowedSigners {
    /// Checks that each of the sets is signed by one whose signature counts, as the clock of this machine stands. The manifests
    /// are judged as they were when the sets were opened, whatever has become of their files since.
    ///
    /// # Errors
    /// [`Error::NotSigned`] also for what can have no signature: sets without a manifest, and loose files;
    /// [`Error::Refused`], [`crate::Error::File`].
    pub fn check(&self, opened: &Opened) -> Result<Vec<SignedBy>> {
        let judge = |(path, set)| match set {
            Some(set) => self.check_set(set),
            None => Err(Error::without_manifest(path).into()),
        };
        opened.named().into_iter().map(judge).collect()
    }

    /// As [`AllowedSigners::check`], and then as [`compare_files`]: for commands that show or recover what is in a set and do
    /// not compare it themselves.
    ///
    /// # Errors
    /// As both.
    pub fn check_files(&self, opened: &Opened, progress: &mut dyn Progress) -> Result<Vec<SignedBy>> {
        let signed = self.check(opened)?;
        for (_, set) in opened.named() {
            set.map(|set| compare_files(set, progress)).transpose()?;
        }
        Ok(signed)
    }

    /// One set.
    pub(crate) fn check_set(&self, set: &Set) -> Result<SignedBy> {
        let Some(bytes) = bytes_of_manifest(set)? else {
            return Err(Error::without_manifest(&set.path).into());
        };
        let Some(signature) = signature_of(set)? else {
            let detail = "it has no manifest.json.sig beside its manifest";
            return Err(Error::NotSigned { set: set.path.clone(), detail }.into());
        };
        Ok(self.judge(&bytes, &signature, certadm_store::now()).map_err(|misfit| refused(set, misfit))?)
    }
}

/// Compares the files of a set with its manifest: every one that goes into its database. Dynamic files are left to whoever
/// uses them.
///
/// # Errors
/// [`crate::Error::Damaged`] for the first file that is not the one that was backed up, [`crate::Error::File`].
pub fn compare_files(set: &Set, progress: &mut dyn Progress) -> Result<()> {
    let entries = set.manifest.iter().flat_map(|manifest| &manifest.files);
    let entries = entries.filter(|entry| entry.role != Role::Dynamic);
    let total = entries.clone().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
    let mut done = 0u64;
    for entry in entries {
        let file = file_of(&set.path, &entry.path);
        let hashes = hash_file(&file, Some(entry.size), entry.hashing(), |read| {
            progress.at(Stage::Verify, done.saturating_add(read), total);
        })?;
        done = done.saturating_add(hashes.size);
        if !entry.has(&hashes) {
            return Err(crate::Error::Damaged {
                path: file.path().to_owned(),
                detail: manifest::CHANGED.to_owned(),
                code: entry.role.code_of_damage(false),
            });
        }
    }
    Ok(())
}

fn bytes_of_manifest(set: &Set) -> Result<Option<Vec<u8>>> {
    // A manifest has one form only, so these are the bytes of its file.
    let bytes = set.manifest.as_ref().map(manifest::Manifest::to_bytes).transpose();
    bytes.map_err(|detail| crate::Error::BadManifest { path: set.path.clone(), detail })
}

fn refused(set: &Set, misfit: Misfit) -> Error {
    Error::Refused { set: set.path.clone(), misfit }
}
