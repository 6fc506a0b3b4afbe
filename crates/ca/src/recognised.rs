//! What a file is that was given in the place of another: told by its outside, so that the refusal can name it.

use certadm_rules::pem;
use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// The files that people have to do with around a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// A PKCS#10 request.
    Request,
    /// A certificate.
    Certificate,
    /// A CRL.
    Crl,
    /// A private key that everyone can read who can read the file.
    Key,
    /// An encrypted private key (PKCS#8).
    EncryptedKey,
    /// A public key.
    PublicKey,
    /// Keys and certificates in PKCS#12 (`.pfx`, `.p12`).
    Pkcs12,
    /// Certificates in PKCS#7 (`.p7b`).
    Pkcs7,
}

/// No kind is told by more parts than these.
const MOST_PARTS: usize = 10;

impl Recognised {
    /// Looks at a file in PEM or DER; of several PEM blocks the first counts. Nothing of a private key is decoded or kept.
    #[must_use]
    pub fn of(input: &[u8]) -> Option<Self> {
        match pem::first_label(input) {
            Some("ENCRYPTED PRIVATE KEY") => Some(Self::EncryptedKey),
            Some(label) if label.ends_with("PRIVATE KEY") => Some(Self::Key),
            Some(_) => {
                // Of the blocks behind it, which may be keys, nothing is decoded.
                let mut encoded = pem::raw_blocks(input).next()?.ok()?.encoded.to_vec();
                Self::of_der(pem::decode_in_place(&mut encoded).ok()?)
            }
            None => Self::of_der(input),
        }
    }

    /// Whether a file holds a private key that everyone can read who can read the file, also behind something else, as in a file of
    /// certificate and key, or in a PKCS#12 file. What is in an encrypted part of that one cannot be seen.
    #[must_use]
    pub fn holds_key(input: &[u8]) -> bool {
        let is_key = |label: &str| label.ends_with("PRIVATE KEY") && label != "ENCRYPTED PRIVATE KEY";
        Self::of(input) == Some(Self::Key)
            || pem::labels(input).flatten().any(is_key)
            || is_pkcs12(input) && input.windows(KEY_BAG.len()).any(|octets| octets == KEY_BAG)
    }

    fn of_der(input: &[u8]) -> Option<Self> {
        let parts = parts_of(AnyRef::from_der(input).ok()?)?;
        let tags: Vec<Tag> = parts.iter().map(Tagged::tag).collect();
        match tags.as_slice() {
            [Tag::Sequence, Tag::Sequence, Tag::BitString] => Self::of_signed(parts[0]),
            [Tag::Integer, Tag::OctetString, ..] | [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => {
                Some(Self::Key)
            }
            [first @ .., _] if first.len() >= 8 && first.iter().all(|tag| *tag == Tag::Integer) => {
                Some(Self::Key)
            }
            [Tag::Integer, Tag::Sequence] | [Tag::Integer, Tag::Sequence, Tag::Sequence] => {
                Some(Self::Pkcs12)
            }
            [Tag::Sequence, Tag::OctetString] => Some(Self::EncryptedKey),
            [Tag::Sequence, Tag::BitString] => Some(Self::PublicKey),
            [Tag::ObjectIdentifier, Tag::ContextSpecific { .. }] => Some(Self::Pkcs7),
            _ => None,
        }
    }

    /// What was signed: the three kinds have the same outside (RFC 2986 4.1, RFC 5280 4.1 and 5.1).
    fn of_signed(content: AnyRef<'_>) -> Option<Self> {
        let tags: Vec<Tag> = parts_of(content)?.iter().map(Tagged::tag).collect();
        let is_time = |tag: &Tag| matches!(tag, Tag::UtcTime | Tag::GeneralizedTime);
        match tags.as_slice() {
            [Tag::ContextSpecific { .. }, Tag::Integer, ..] => Some(Self::Certificate),
            [Tag::Sequence, Tag::Sequence, time, ..]
            | [Tag::Integer, Tag::Sequence, Tag::Sequence, time, ..]
                if is_time(time) =>
            {
                Some(Self::Crl)
            }
            [Tag::Integer, Tag::Sequence, Tag::Sequence]
            | [Tag::Integer, Tag::Sequence, Tag::Sequence, Tag::ContextSpecific { .. }] => {
                Some(Self::Request)
            }
            // Version 1 has no number.
            [Tag::Integer, Tag::Sequence, Tag::Sequence, Tag::Sequence, Tag::Sequence, ..] => {
                Some(Self::Certificate)
            }
            _ => None,
        }
    }

    /// What it is, in words that can stand alone.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Request => "a certificate request",
            Self::Certificate => "a certificate",
            Self::Crl => "a CRL",
            Self::Key => "a private key",
            Self::EncryptedKey => "an encrypted private key",
            Self::PublicKey => "a public key",
            Self::Pkcs12 => "a PKCS#12 file",
            Self::Pkcs7 => "a PKCS#7 file",
        }
    }

    /// What to give in the place of `self`, where `wanted` was asked for.
    pub(crate) const fn instead(self, wanted: Self) -> &'static str {
        match (wanted, self) {
            (Self::Request, Self::Key | Self::EncryptedKey) => {
                "keep the key to yourself, and give a request that is made with it: `openssl req -new -key KEY -out NEW.csr`"
            }
            (Self::Request, _) => {
                "give a PKCS#10 request, which is made with the private key: `openssl req -new -key KEY -out NEW.csr`, or certreq"
            }
            (Self::Certificate, Self::Request) => "give the certificate that was made from the request",
            (Self::Certificate, Self::Pkcs7) => {
                "give the certificates in it: `openssl pkcs7 -print_certs -in FILE -out NEW.pem` (-inform der for DER)"
            }
            (Self::Certificate, Self::Pkcs12) => {
                "give the certificates in it: `openssl pkcs12 -in FILE -nokeys -out NEW.pem`"
            }
            (Self::Certificate, _) => "give a certificate in PEM or DER",
            (Self::Crl, _) => "give the CRL that the CA published, in PEM or DER",
            (Self::EncryptedKey, Self::Key) => {
                "encrypt it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out NEW.key` (-inform der for DER)"
            }
            (_, Self::Pkcs12) => {
                "take the key out of it: `openssl pkcs12 -in FILE -nocerts -nodes | openssl pkcs8 -topk8 -v2 aes-256-cbc -out NEW.key`"
            }
            _ => "give the private key, as an encrypted PKCS#8 file in PEM",
        }
    }
}

/// The name of a bag with a bare key, 1.2.840.113549.1.12.10.1.1, in DER (RFC 7292 4.2.1).
const KEY_BAG: [u8; 13] = [6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x01];

/// Whether it begins as PKCS#12 does: a sequence in DER or BER, with the version 3 (RFC 7292 4).
fn is_pkcs12(input: &[u8]) -> bool {
    let content = match input {
        [0x30, 0..=0x80, rest @ ..] => rest,
        [0x30, length, rest @ ..] => rest.get(usize::from(length & 0x7f)..).unwrap_or_default(),
        _ => return false,
    };
    content.starts_with(&[2, 1, 3])
}

/// The first parts of a sequence.
fn parts_of(sequence: AnyRef<'_>) -> Option<Vec<AnyRef<'_>>> {
    if sequence.tag() != Tag::Sequence {
        return None;
    }
    let mut reader = SliceReader::new(sequence.value()).ok()?;
    let mut parts = Vec::new();
    while !reader.is_finished() && parts.len() < MOST_PARTS {
        parts.push(reader.decode().ok()?);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_key_in_a_pkcs12_file_is_seen_in_der_and_in_ber() {
        for head in [&[0x30, 0x82, 1, 0][..], &[0x30, 0x80], &[0x30, 0x20], &[0x30, 0x81, 0x90]] {
            let file = |bag: &[u8]| [head, &[2, 1, 3, 0x30, 0x80], bag, &[0; 16]].concat();
            assert!(Recognised::holds_key(&file(&KEY_BAG)));
            let mut shrouded = KEY_BAG;
            shrouded[12] = 2;
            assert!(!Recognised::holds_key(&file(&shrouded)));
        }
        // A program that knows the name holds no key.
        assert!(!Recognised::holds_key(&[&b"MZ\x90"[..], &KEY_BAG].concat()));
    }
}
