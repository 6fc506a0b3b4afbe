//! The key that signs sets: an Ed25519 key in a file of OpenSSH.

use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_ca::Passphrase;
use certadm_files::{Found, IoContext};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::error::Error;
use super::signature::NAMESPACE;

/// No key file is longer than this, 64 KiB. One of Ed25519 has some 400 bytes.
const MAX_KEY: usize = 64 << 10;

/// A key that can sign manifests. It is wiped from memory when it is dropped, and cannot be printed.
pub struct Signer {
    key: PrivateKey,
}

/// A key with a passphrase.
pub struct LockedKey {
    key: PrivateKey,
    path: PathBuf,
}

/// What a key file holds.
#[derive(Debug)]
pub enum KeyFile {
    /// A key that can be used at once.
    Open(Signer),
    /// One that needs its passphrase.
    Locked(LockedKey),
}

impl KeyFile {
    /// Reads a key file that a person named.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when it holds no Ed25519 key in the format of OpenSSH; what [`Found::open`] finds.
    pub fn read(path: &Path) -> crate::Result<Self> {
        // The buffer never moves, so no copy of the key is left behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY + 2));
        let file = Found::named(path).open_up_to(Some(MAX_KEY as u64))?;
        { file }.read_to_end(&mut text).during("read", path)?;
        Ok(Self::of(&text, path)?)
    }

    /// Takes a key from the text of its file.
    ///
    /// # Errors
    /// As [`KeyFile::read`].
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        Self::of(text, Path::new("the key"))
    }

    fn of(text: &[u8], path: &Path) -> Result<Self, Error> {
        let refuse = |problem: String| Err(Error::KeyFile { path: path.to_owned(), problem });
        if text.len() > MAX_KEY {
            return refuse(format!("it is longer than {MAX_KEY} bytes"));
        }
        let key = match PrivateKey::from_openssh(text) {
            Ok(key) => key,
            Err(_) if text.starts_with(b"ssh-") => {
                return refuse(
                    "it is the public part of a key; the private one is the file without .pub".to_owned(),
                );
            }
            Err(ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. }) => {
                return refuse(
                    "it is a key of another kind than ssh-ed25519, which alone signs sets".to_owned(),
                );
            }
            Err(error) => return refuse(format!("it is no private key of OpenSSH ({error})")),
        };
        match key.algorithm() {
            Algorithm::Ed25519 if key.is_encrypted() => {
                Ok(Self::Locked(LockedKey { key, path: path.to_owned() }))
            }
            Algorithm::Ed25519 => Ok(Self::Open(Signer { key })),
            _ => refuse("it is a key of another kind than ssh-ed25519, which alone signs sets".to_owned()),
        }
    }
}

impl LockedKey {
    /// Opens the key.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Signer, Error> {
        let wrong = |_| Error::WrongPassphrase { path: self.path.clone() };
        Ok(Signer { key: self.key.decrypt(passphrase.as_bytes()).map_err(wrong)? })
    }

    /// The file that it is in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Signer {
    /// Signs the manifest with these bytes: the content of `manifest.json.sig`.
    ///
    /// # Panics
    /// Never: an Ed25519 key that was read signs everything.
    #[must_use]
    pub fn sign(&self, manifest: &[u8]) -> String {
        let signed = self.key.sign(NAMESPACE, HashAlg::Sha512, manifest);
        let text = signed.and_then(|signature| signature.to_pem(LineEnding::LF));
        text.expect("an Ed25519 key that was read signs everything")
    }

    /// The key's fingerprint, as ssh-keygen writes it: `SHA256:...`.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The public part, as it stands in a `.pub` file and, behind who signs, in a list of allowed signers.
    ///
    /// # Panics
    /// Never: a key that was read can be written.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.key.public_key().to_openssh().expect("a key that was read can be written")
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.key()).finish()
    }
}

impl std::fmt::Debug for LockedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LockedKey").field(&self.path).finish()
    }
}
