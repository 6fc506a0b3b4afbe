//! Options about signatures of sets, and how they are told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_rules::finding::Finding;
use certadm_set::Set;
use certadm_set::progress::Progress;
use certadm_set::signing::{AllowedSigners, KeyFile, SignedBy, Signer, Standing, compare_files};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::path_text;
use crate::secrets::{Descriptor, read_passphrase, warn_if_exposed};

/// Who signs a new set.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// Sign the set with this key: an Ed25519 key of OpenSSH, as `ssh-keygen -t ed25519` makes it
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// File that holds the passphrase of that key; a newline at its end does not count
    #[arg(long, value_name = "FILE", requires = "sign_key", conflicts_with = "sign_passphrase_fd")]
    sign_passphrase_file: Option<PathBuf>,
    /// Open descriptor to read the passphrase of that key from
    #[arg(long, value_name = "N", requires = "sign_key")]
    sign_passphrase_fd: Option<Descriptor>,
}

impl SignArgs {
    /// Reads the key, and its passphrase if it has one: before anything is backed up.
    pub(crate) fn read(&self) -> Result<Option<Arc<Signer>>, Failure> {
        let Some(path) = &self.sign_key else { return Ok(None) };
        warn_if_exposed(path);
        let signer = match KeyFile::read(path)? {
            KeyFile::Open(signer) => signer,
            KeyFile::Locked(locked) => {
                let options = "--sign-passphrase-file FILE or --sign-passphrase-fd N";
                let (file, descriptor) = (self.sign_passphrase_file.as_deref(), self.sign_passphrase_fd);
                let prompt = format!("Passphrase of {}: ", path.display());
                locked.unlock(&read_passphrase(file, descriptor, &prompt, options, false)?)?
            }
        };
        Ok(Some(Arc::new(signer)))
    }
}

/// Whose signatures count.
#[derive(Debug, Default, Args)]
pub(crate) struct AllowedArgs {
    /// Take only sets that one of these has signed: a file with lines as in ssh-keygen(1), ALLOWED SIGNERS
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Of these, take only this one
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    signer: Option<String>,
}

impl AllowedArgs {
    /// Whether only signed sets are to be taken.
    pub(crate) const fn is_asked(&self) -> bool {
        self.allowed_signers.is_some()
    }

    /// Reads the list.
    pub(crate) fn read(&self) -> Result<Option<AllowedSigners>, Failure> {
        let Some(path) = &self.allowed_signers else { return Ok(None) };
        let all = AllowedSigners::read(path)?;
        Ok(Some(match &self.signer {
            Some(signer) => all.only(signer),
            None => all,
        }))
    }
}

/// What `show` has to tell of a set's signature, for a person and as JSON. With a list, the files are compared, too: only then
/// does what it shows stand under the signature.
pub(crate) fn look(
    set: &Set,
    allowed: Option<&AllowedSigners>,
    findings: &mut Vec<Finding>,
    progress: &mut dyn Progress,
) -> (String, Value) {
    let standing = Standing::of(set, allowed);
    let standing = match (standing, allowed) {
        (Ok(standing), Some(_)) => compare_files(set, progress).map(|()| standing),
        (standing, _) => standing,
    };
    if let Err(error) = &standing {
        findings.push(error.to_finding(&set.path));
    }
    let standing = standing.ok();
    let text = match &standing {
        Some(Standing::NotSigned) => "none".to_owned(),
        Some(Standing::NotChecked { key }) => {
            format!("by the key {key}; not checked whose it is (--allowed-signers)")
        }
        Some(Standing::By(by)) => format!("by {} (key {})", by.principals, by.key),
        None => "refused".to_owned(),
    };
    (text, to_json(&set.path, standing.as_ref()))
}

/// As the JSON contract has it (docs/json.md, "A signature").
pub(crate) fn to_json(set: &Path, standing: Option<&Standing>) -> Value {
    let (state, signer, key) = match standing {
        Some(Standing::NotSigned) => ("not-signed", None, None),
        Some(Standing::NotChecked { key }) => ("not-checked", None, Some(key)),
        Some(Standing::By(by)) => ("signed", Some(&by.principals), Some(&by.key)),
        None => ("refused", None, None),
    };
    json!({ "set": path_text(set), "state": state, "signer": signer, "key": key })
}

/// The same of sets that were all signed by somebody who may.
pub(crate) fn list(sets: &[PathBuf], signed: &[SignedBy]) -> Vec<Value> {
    sets.iter().zip(signed).map(|(set, by)| to_json(set, Some(&Standing::By(by.clone())))).collect()
}

/// For a person.
pub(crate) fn lines<'a>(sets: &'a [PathBuf], signed: &'a [SignedBy]) -> impl Iterator<Item = String> + 'a {
    sets.iter().zip(signed).map(|(set, by)| line(set, by))
}

/// One of them.
pub(crate) fn line(set: &Path, by: &SignedBy) -> String {
    format!("{} is signed by {} (key {}).", set.display(), by.principals, by.key)
}
