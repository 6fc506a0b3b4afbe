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
    /// Why further keys of the file cannot be used, such as those of a kind that no CRL is signed with, or with another passphrase.
    pub left_out: Vec<String>,
}

/// Longer ones are no key files.
pub const MAX_KEY_FILE: u64 = 1 << 20;

impl KeyFile {
    /// Reads a PKCS#12 file, or encrypted PKCS#8 in PEM.
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
        // An encrypted key in DER begins as PKCS#12 does, and is refused with what converts it.
        let is_key = || Recognised::of(content) == Some(Recognised::EncryptedKey);
        if content.first() == Some(&SEQUENCE) && !is_key() {
            return Self::of_pkcs12(path, content, passphrase);
        }
        let found = certadm_ca::decrypted_keys_in(path, content, passphrase)?;
        let (keys, mut left_out) = usable(path, found.keys.iter().map(der::SecretDocument::as_bytes))?;
        left_out.extend(found.left_out);
        Ok(Self { keys, unprotected: false, in_clear: false, left_out })
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
        let archive = Pkcs12Archive::from_pkcs12(content, text).map_err(|error| {
            match is_passphrase(&error, unprotected) {
                true => certadm_ca::Error::WrongPassphrase { path: path.to_owned() }.into(),
                false => refused(path, &reason_of(content, &error)),
            }
        })?;
        let (keys, left_out) = usable(path, archive.keys.iter().map(|bag| bag.key.as_der()))?;
        if keys.is_empty() {
            return Err(unusable("it holds no private key".to_owned()));
        }
        let in_clear = Recognised::holds_key(content);
        Ok(Self { keys, unprotected, in_clear, left_out })
    }
}

/// The keys of a file that can be used, and why the others cannot. A file often holds more than the key of the CA.
///
/// # Errors
/// [`Error::UnusableKey`] when none of several can be used.
fn usable<'d>(
    path: &Path,
    documents: impl Iterator<Item = &'d [u8]>,
) -> Result<(Vec<PrivateKey>, Vec<String>)> {
    let (mut keys, mut left_out) = (Vec::new(), Vec::new());
    for document in documents {
        match PrivateKey::from_pkcs8(document) {
            Ok(key) => keys.push(key),
            Err(reason) => left_out.push(reason),
        }
    }
    match left_out.is_empty() || !keys.is_empty() {
        true => Ok((keys, left_out)),
        false => Err(Error::UnusableKey { path: path.to_owned(), reason: left_out.remove(0) }),
    }
}

/// 1.3.6.1.4.1.11591.4.11 in DER.
const SCRYPT: [u8; 11] = [6, 9, 0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 0x0b];

/// The first octet of DER.
const SEQUENCE: u8 = 0x30;

/// The kinds of encryption that openssl reads with `-legacy` alone: 1.2.840.113549.1.12.1 and their number (RFC 7292 C).
const LEGACY: [(u8, &str); 4] = [(1, "RC4-128"), (2, "RC4-40"), (4, "2DES"), (5, "RC2-128")];
const PKCS12_PBE: [u8; 11] = [6, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1];

/// Whether it was the passphrase. Without a MAC a wrong one shows in what it makes of the content: bad padding or, now and then,
/// nonsense behind it.
fn is_passphrase(error: &p12_keystore::error::Error, unprotected: bool) -> bool {
    use p12_keystore::error::Error as Refused;
    match error {
        Refused::MacError(_) | Refused::UnpadError => true,
        Refused::Pkcs5Error(reason) => reason.contains("decryption failed"),
        Refused::DerError(error) => unprotected && !matches!(error.kind(), der::ErrorKind::OidUnknown { .. }),
        Refused::InvalidPrivateKey => unprotected,
        _ => false,
    }
}

/// What the library says, with the kind of encryption where it does not know that: it names none.
fn reason_of(content: &[u8], error: &p12_keystore::error::Error) -> String {
    let is_there =
        |number: u8| content.windows(12).any(|bytes| bytes[..11] == PKCS12_PBE && bytes[11] == number);
    let legacy = LEGACY.iter().find(|(number, _)| is_there(*number));
    match (error, legacy) {
        (p12_keystore::error::Error::UnsupportedEncryptionScheme, Some((number, name))) => {
            format!("it is encrypted with {name} (1.2.840.113549.1.12.1.{number}), which is not supported")
        }
        _ => error.to_string(),
    }
}

fn refused(path: &Path, reason: &str) -> Error {
    // What needs the option in any version of openssl is read with it, too.
    let legacy = if reason.contains("1.2.840.113549.1.12.1.") { "-legacy " } else { "" };
    let convert = format!(
        "openssl pkcs12 {legacy}-in FILE -nocerts -nodes | openssl pkcs8 -topk8 -v2 aes-256-cbc -out ca.key"
    );
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
