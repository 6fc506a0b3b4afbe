//! Where the encrypted keys stand in a file: in PEM, with whatever stands around them.

use std::path::Path;

use certadm_rules::pem;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::recognised::Recognised;

/// The PEM label of a key file.
pub(crate) const ENCRYPTED_KEY: &str = "ENCRYPTED PRIVATE KEY";

/// How OpenSSL marked a key that it encrypted before PKCS#8 (`openssl rsa -aes256`).
const OLD_ENCRYPTION: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// How keystores of Java begin: JKS and JCEKS.
const KEYSTORES: [[u8; 4]; 2] = [[0xfe, 0xed, 0xfe, 0xed], [0xce, 0xce, 0xce, 0xce]];

/// Finds the encrypted keys of a file as certificates and CRLs are found: what stands around a block is skipped, whatever it is, and
/// the Base64 may be broken into lines in any way. What comes back has at least one key in DER, each in a buffer that is wiped, or why
/// it cannot be decoded.
///
/// # Errors
/// [`Error::KeyNotEncrypted`], [`Error::KeyUnsupported`], [`Error::WrongKind`], [`Error::KeyDamaged`].
pub(crate) fn encrypted_keys(path: &Path, content: &[u8]) -> Result<Vec<Result<Zeroizing<Vec<u8>>>>> {
    let damaged = |reason: String| Error::KeyDamaged { path: path.into(), reason };
    let (mut keys, mut broken, mut is_old, mut is_clear) = (Vec::new(), None, false, false);
    for block in pem::raw_blocks(content) {
        match block {
            Ok(block) if block.label == ENCRYPTED_KEY => keys.push(decoded(block.encoded).map_err(damaged)),
            Ok(block) if block.label.ends_with("PRIVATE KEY") => {
                let is_encrypted = contains(block.encoded, OLD_ENCRYPTION);
                is_old |= is_encrypted;
                is_clear |= !is_encrypted;
            }
            Ok(_) => {}
            Err(reason) => broken = Some(reason),
        }
    }
    let what = path.display().to_string();
    match broken {
        _ if !keys.is_empty() => Ok(keys),
        _ if is_old => {
            Err(unknown_encryption(path, "it is encrypted in the old way of OpenSSL, which PEM headers tell"))
        }
        _ if is_clear => Err(Error::KeyNotEncrypted { path: path.into() }),
        Some(reason) => Err(damaged(reason)),
        None => Err(of_another_form(path, content)
            .or_else(|| Error::of_wrong_kind(&what, content, Recognised::EncryptedKey))
            .unwrap_or_else(|| damaged("it holds no encrypted private key in PEM".to_owned()))),
    }
}

fn decoded(encoded: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut buffer = Zeroizing::new(encoded.to_vec());
    let der = pem::decode_in_place(&mut buffer).map(|der| Zeroizing::new(der.to_vec()));
    der.map_err(|reason| format!("the block {ENCRYPTED_KEY:?} cannot be decoded: {reason}"))
}

/// The refusal of a file whose keys cost too much together. None of them is decrypted.
pub(crate) fn too_costly(path: &Path, reason: String) -> Error {
    let remedy = "put the key of the CA into a file of its own, and give that";
    Error::KeyUnsupported { path: path.to_owned(), reason, remedy }
}

/// A file that may hold the key, in a form that is converted first.
fn of_another_form(path: &Path, content: &[u8]) -> Option<Error> {
    let unsupported = |reason: &str, remedy: &'static str| Error::KeyUnsupported {
        path: path.to_owned(),
        reason: reason.to_owned(),
        remedy,
    };
    if KEYSTORES.iter().any(|magic| content.starts_with(magic)) {
        return Some(unsupported(
            "it is a keystore of Java",
            "take the key out of it: `keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12`, then `openssl pkcs12 -in NEW.p12 -nocerts -nodes | openssl pkcs8 -topk8 -v2 aes-256-cbc -out NEW.key`",
        ));
    }
    let dashes =
        |wide: fn(u16) -> [u8; 2]| -> Vec<u8> { "-----BEGIN ".encode_utf16().flat_map(wide).collect() };
    let wide = "it is text in UTF-16";
    if contains(content, &dashes(u16::to_le_bytes)) {
        return Some(unsupported(
            wide,
            "convert it: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`; without iconv, save it as UTF-8 in an editor",
        ));
    }
    if contains(content, &dashes(u16::to_be_bytes)) {
        return Some(unsupported(
            wide,
            "convert it: `iconv -f UTF-16BE -t UTF-8 FILE > NEW`; without iconv, save it as UTF-8 in an editor",
        ));
    }
    match Recognised::of(content) {
        Some(Recognised::EncryptedKey) => Some(unsupported(
            "it is an encrypted private key in DER, and PEM is read",
            "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -inform der -in FILE -out NEW`, and put NEW in its place",
        )),
        _ => None,
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

/// The refusal of a key whose encryption is of a kind that is not read.
pub(crate) fn unknown_encryption(path: &Path, reason: &str) -> Error {
    Error::KeyUnsupported {
        path: path.to_owned(),
        reason: reason.to_owned(),
        remedy: "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW`, and put NEW in its place; if openssl cannot read it either, it is damaged: take it from a copy",
    }
}
