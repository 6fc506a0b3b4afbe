//! What can be wrong with a signature, and with the files that make or judge it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

/// An error while a set is signed, or while its signature is judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file does not hold a key that can sign.
    #[error("{path} cannot sign sets: {problem}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {path}")]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// A file does not list allowed signers.
    #[error("{path} is no list of allowed signers: {problem}")]
    SignersFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and in which line.
        problem: String,
    },
    /// Nobody signed the set.
    #[error("{set} is not signed: {detail}")]
    NotSigned {
        /// The set, or the file that was named.
        set: PathBuf,
        /// What is missing.
        detail: &'static str,
    },
    /// There is a signature, and it does not count.
    #[error("the signature of {set} does not count: {misfit}")]
    Refused {
        /// The set.
        set: PathBuf,
        /// Why.
        misfit: Misfit,
    },
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// It cannot be read.
    #[error("it is damaged: {problem}")]
    Damaged {
        /// What is wrong with it.
        problem: String,
    },
    /// It is not of these bytes, or not by the key that it names.
    #[error("it does not fit the manifest: one of the two was changed")]
    Wrong,
    /// It was made for something else.
    #[error("it was made for {namespace:?}, and not for the manifest of a set")]
    Purpose {
        /// What for.
        namespace: String,
    },
    /// It is by a kind of key that is not looked at.
    #[error("it was made with another kind of key than ssh-ed25519, which alone signs sets")]
    Algorithm,
    /// It is in a form that this program does not know.
    #[error("it has a field that this program does not know")]
    Unknown,
    /// No line of the list names the key.
    #[error("it is by the key {key}, which no line of the list names")]
    Stranger {
        /// The key's fingerprint.
        key: String,
    },
    /// Lines name the key, but for others than the one who is asked for.
    #[error("it is by the key {key}, which is not one of {signer:?}")]
    AnotherSigner {
        /// The key's fingerprint.
        key: String,
        /// Who was asked for.
        signer: String,
    },
    /// A line names the key, and does not let it sign manifests.
    #[error("line {line} of the list lets the key {key} sign other things, not {namespace}")]
    Namespace {
        /// The line, from 1.
        line: usize,
        /// The key's fingerprint.
        key: String,
        /// What it may not sign.
        namespace: &'static str,
    },
    /// A line names the key for a later time.
    #[error("line {line} of the list lets the key {key} sign from {from} on")]
    NotYet {
        /// The line, from 1.
        line: usize,
        /// The key's fingerprint.
        key: String,
        /// From when on, RFC 3339.
        from: String,
    },
    /// A line names the key for a time that is over.
    #[error("line {line} of the list let the key {key} sign until {until}")]
    Over {
        /// The line, from 1.
        line: usize,
        /// The key's fingerprint.
        key: String,
        /// Until when, RFC 3339.
        until: String,
    },
}

impl Error {
    /// Of what can have no signature: a set without a manifest, or a loose file.
    pub(crate) fn without_manifest(path: &Path) -> Self {
        let detail = "it has no manifest, and nothing else of it is signed";
        Self::NotSigned { set: path.to_owned(), detail }
    }
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::KeyFile { .. } => Hresult::NTE_BAD_KEY,
            Self::WrongPassphrase { .. } => Hresult::ERROR_INVALID_PASSWORD,
            Self::SignersFile { .. } => Hresult::E_INVALIDARG,
            Self::NotSigned { .. } => Hresult::TRUST_E_NOSIGNATURE,
            Self::Refused { misfit: Misfit::Wrong | Misfit::Damaged { .. }, .. } => {
                Hresult::TRUST_E_BAD_DIGEST
            }
            Self::Refused { .. } => Hresult::TRUST_E_SUBJECT_NOT_TRUSTED,
        }
    }

    fn class(&self) -> Class {
        self.hresult().class()
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::KeyFile { .. } => "make a key with `ssh-keygen -t ed25519 -f FILE` and name FILE",
            Self::WrongPassphrase { .. } => {
                "give the passphrase of this key; `ssh-keygen -y -f FILE` tries it"
            }
            Self::SignersFile { .. } => {
                "write one line for each key: who signs, and the line of the .pub file (ssh-keygen(1), ALLOWED SIGNERS)"
            }
            Self::NotSigned { .. } => {
                "find out where the set comes from; take sets with --sign-key, or leave --allowed-signers out if nobody signs"
            }
            Self::Refused { misfit: Misfit::Wrong | Misfit::Damaged { .. }, .. } => {
                "take the set from another copy; if all are so, somebody changed it"
            }
            Self::Refused { .. } => {
                "find out who signed it; add a line for the key only if you know whose it is"
            }
        })
    }
}
