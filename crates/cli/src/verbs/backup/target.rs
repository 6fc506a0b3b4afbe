//! Where a backup goes: a new folder, or the repository of the CA.

use std::path::{Path, PathBuf};

use certadm_session::Source;
use certadm_set::{Progress, TakeOptions, Taken, take};

use certadm_identity::Fetched;

use crate::failure::Failure;
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::identity::Kept;
#[cfg(feature = "repository")]
use crate::verbs::identity::files_for;
use crate::verbs::places::ScratchArgs;

/// What `--to` names.
pub(super) enum Target {
    /// A new folder.
    Folder(PathBuf),
    /// A vault; the CA's own name chooses the repository in it where none is named.
    #[cfg(feature = "repository")]
    Vault {
        vault: Box<certadm_repository::Vault>,
        ca: Option<String>,
        /// How much of a set is read back, where the command line says it.
        extent: Option<certadm_repository::Extent>,
    },
}

impl Target {
    /// Looks at what was typed.
    ///
    /// # Errors
    /// Usage for a path that the shell should have replaced, and for an address that names a set.
    pub(super) fn find(to: &Path) -> Result<Self, Failure> {
        #[cfg(feature = "repository")]
        if let Some(address) = crate::verbs::places::address(to)? {
            if address.names_point {
                let text = format!("{} names a set, and a set is never overwritten", to.display());
                return Err(Failure::usage(text, "name the repository alone, such as vault: or vault:CA/"));
            }
            let vault = Box::new(crate::verbs::places::vault(&address.vault)?);
            return Ok(Self::Vault { vault, ca: address.ca, extent: None });
        }
        refuse_wrong_place(to)?;
        Ok(Self::Folder(to.to_owned()))
    }

    /// The same, with what the command line says of reading back.
    #[cfg(feature = "repository")]
    pub(super) fn reading_back(self, extent: Option<certadm_repository::Extent>) -> Self {
        match self {
            Self::Vault { vault, ca, .. } => Self::Vault { vault, ca, extent },
            folder => folder,
        }
    }

    /// Whether it is a vault, which keeps the files of the manifest alone.
    pub(super) fn is_vault(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// A folder that has to be made first.
    pub(super) fn new_folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => {
                folder.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
            }
            #[cfg(feature = "repository")]
            Self::Vault { .. } => None,
        }
    }

    /// The folder that the set is in, or the vault; `None` where it is in no folder.
    pub(super) fn place(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            #[cfg(feature = "repository")]
            Self::Vault { vault, .. } => vault.folder(),
        }
    }

    /// Takes the backup. A repository also gets what the CA says of itself, and its findings come back; a folder gets it
    /// when its set stands.
    ///
    /// # Errors
    /// As [`take()`], and those of the repository.
    pub(super) fn take(
        &self,
        source: &mut dyn Source,
        options: &TakeOptions,
        (scratch, identity): (&ScratchArgs, Option<&Fetched>),
        progress: &mut dyn Progress,
    ) -> Result<(Taken, Option<Kept>), Failure> {
        match self {
            Self::Folder(folder) => {
                let _ = (scratch, identity);
                Ok((take(source, folder, options, progress)?, None))
            }
            #[cfg(feature = "repository")]
            Self::Vault { vault, ca, extent } => {
                into_vault((vault, ca.as_deref(), *extent), source, options, (scratch, identity), progress)
            }
        }
    }
}

#[cfg(feature = "repository")]
fn into_vault(
    (vault, ca, extent): (&certadm_repository::Vault, Option<&str>, Option<certadm_repository::Extent>),
    source: &mut dyn Source,
    options: &TakeOptions,
    (scratch, identity): (&ScratchArgs, Option<&Fetched>),
    progress: &mut dyn Progress,
) -> Result<(Taken, Option<Kept>), Failure> {
    use std::sync::{Arc, Mutex, PoisonError};

    use certadm_files::{IoContext, scratch as scratch_folder};
    use certadm_repository::{Beside, SinkOptions};
    use certadm_rules::finding::{Finding, Kind};
    use certadm_set::{Check, ReadBack, database_name, take_into};

    let own = database_name(&source.database_locations().map_err(certadm_set::Error::from)?);
    let repository = vault.repository(Some(ca.unwrap_or(&own)))?;
    let repository = match extent {
        Some(extent) => repository.reading_back(extent),
        None => repository,
    };
    crate::secrets::warn_if_exposed(repository.secret_file());
    let kept: Arc<Mutex<Option<Kept>>> = Arc::default();
    let told = Arc::clone(&kept);
    let parent = scratch.folder();
    let aside = scratch_folder::folder_in(&parent).during("create a scratch folder in", &parent)?;
    let dir = aside.path().to_owned();
    let beside = identity.cloned().map(|fetched| {
        Beside::new(move |manifest| {
            let (files, of_part) = files_for(&fetched, &manifest.ca.database_signature, &dir);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(of_part);
            files
        })
    });
    let sink = repository.sink(SinkOptions {
        scratch: (options.check == Check::BeforeTruncation).then(|| scratch.folder()),
        read_back: options.read_back,
        // Truncation deletes the logs at the CA, and then they are nowhere else.
        logs_read_back: if options.truncate { ReadBack::Medium } else { options.read_back },
        signer: options.signer.clone(),
        beside,
    })?;
    let signed_with = options.signer.as_ref().map(|signer| signer.key());
    let mut taken = Taken { signed_with, ..take_into(source, Box::new(sink), options, progress)? };
    taken.findings.extend(repository.caveat().map(|caveat| {
        Finding::note(Kind::Configuration, caveat)
            .in_file(repository.address())
            .remedy("keep the vault on a server that can, such as OpenSSH's, and leave allow-no-fsync out")
    }));
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Without an answer of the CA there is nothing to say either.
    Ok((taken, Some(kept.unwrap_or_default())))
}
