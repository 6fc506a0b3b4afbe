//! Keys in PKCS#12 files (`.pfx`, `.p12`), as Windows and openssl write them (recovery.md 3).

use std::path::Path;

use certadm_ca::{Passphrase, Recognised};
use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader};
use p12_keystore::Pkcs12Archive;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::signature::PrivateKey;

/// What was in a key file.
#[derive(Debug)]
pub struct KeyFile {
    /// The keys, in the order of the file.
    pub keys: Vec<PrivateKey>,
    /// Nothing in the file says that it is whole: it has no MAC, so it may have been changed.
    pub unprotected: bool,
    /// A key stands in the file as it is: whoever can read the file has it.
    pub in_clear: bool,
}

/// Longer ones are no key files.
pub const MAX_KEY_FILE: u64 = 1 << 20;

impl KeyFile {
    /// Reads a PKCS#12 file, or an encrypted PKCS#8 file in PEM.
    ///
    /// # Errors
    /// [`Error::Ca`] for a wrong passphrase and for what is no encrypted key in PEM, [`Error::UnusableKey`],
    /// [`Error::File`].
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let content = Zeroizing::new(certadm_files::read::bounded(path, MAX_KEY_FILE)?);
        Self::parse(path, &content, passphrase)
    }

    /// The same, of a file that was read already; `path` names it in errors.
    ///
    /// # Errors
    /// As [`KeyFile::open`].
    pub fn parse(path: &Path, content: &[u8], passphrase: &Passphrase) -> Result<Self> {
        if content.first() != Some(&SEQUENCE) {
            return Ok(Self {
                keys: vec![PrivateKey::parse(path, content, passphrase)?],
                unprotected: false,
                in_clear: false,
            });
        }
        Self::of_pkcs12(path, content, passphrase)
    }

    fn of_pkcs12(path: &Path, content: &[u8], passphrase: &Passphrase) -> Result<Self> {
        let name = path.display().to_string();
        let other = certadm_ca::Error::of_wrong_kind(&name, content, Recognised::EncryptedKey);
        if let Some(error) = other.filter(|_| Recognised::of(content) != Some(Recognised::Pkcs12)) {
            return Err(error.into());
        }
        let unusable = |reason: String| Error::UnusableKey { path: path.to_owned(), reason };
        let text = std::str::from_utf8(passphrase.as_bytes())
            .map_err(|_| unusable("its passphrase must be text in UTF-8".to_owned()))?;
        if text.chars().any(|letter| 0xffff < u32::from(letter)) {
            return Err(unusable(
                "its passphrase has characters outside of the basic plane, which no two programs encode alike; convert it with openssl"
                    .to_owned(),
            ));
        }
        // Its parameters may be such that the library ends the process; no tool writes it.
        if content.windows(SCRYPT.len()).any(|bytes| bytes == SCRYPT) {
            return Err(unusable("it uses scrypt, which no PKCS#12 file of a Windows CA does".to_owned()));
        }
        // Such as one in BER, as NSS writes it: other programs read that.
        let no_der = |error| refused(path, &format!("it is no PKCS#12 file in DER ({error})"));
        let unprotected = !has_mac(content).map_err(no_der)?;
        let archive =
            Pkcs12Archive::from_pkcs12(content, text).map_err(|error| refused(path, &error.to_string()))?;
        let mut keys = Vec::new();
        for bag in &archive.keys {
            keys.push(PrivateKey::from_pkcs8(bag.key.as_der()).map_err(unusable)?);
        }
        if keys.is_empty() {
            return Err(unusable("it holds no private key".to_owned()));
        }
        let in_clear = Recognised::holds_key(content);
        Ok(Self { keys, unprotected, in_clear })
    }
}

/// 1.3.6.1.4.1.11591.4.11 in DER.
const SCRYPT: [u8; 11] = [6, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 0x0b];

/// The first octet of DER.
const SEQUENCE: u8 = 0x30;

/// A wrong passphrase is told apart by the words of the library, which has no type for it.
fn refused(path: &Path, reason: &str) -> Error {
    let is_passphrase =
        reason.contains("MAC") && reason.contains("mismatch") || reason.contains("decryption failed");
    if is_passphrase {
        return certadm_ca::Error::WrongPassphrase { path: path.to_owned() }.into();
    }
    let convert =
        "openssl pkcs12 -in FILE -nocerts -nodes | openssl pkcs8 -topk8 -v2 aes-256-cbc -out ca.key";
    Error::UnusableKey { path: path.to_owned(), reason: format!("{reason}; `{convert}` converts it") }
}

/// Whether a third field stands behind version and content: the MAC.
fn has_mac(content: &[u8]) -> der::Result<bool> {
    let outer = AnyRef::from_der(content)?;
    let mut fields = SliceReader::new_with_encoding_rules(outer.value(), der::EncodingRules::Der)?;
    fields.tlv_bytes()?;
    fields.tlv_bytes()?;
    Ok(!fields.is_finished())
}
