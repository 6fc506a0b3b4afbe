//! Certificates in files as people hand them in: DER, PEM with any number of them, PKCS#7.

use certadm_rules::pem;
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, SequenceRef};
use der::{Decode, EncodingRules, Reader, SliceReader, Tag, TagNumber};

use crate::x509::CertificateRef;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// The longest file with certificates.
pub(super) const MAX_CERTIFICATES: u64 = 64 << 20;

/// Every certificate in a file, in DER.
///
/// # Errors
/// A fragment of a sentence when it holds none in a form that is known.
pub(crate) fn in_file(content: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if pem::looks_like_pem(content) {
        let mut found = Vec::new();
        for block in pem::blocks(content)? {
            match block.label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => found.push(block.der),
                "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => {
                    found.extend(in_signed_data(&block.der).map_err(|error| error.to_string())?);
                }
                _ => {}
            }
        }
        return if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(found) };
    }
    if CertificateRef::parse(content).is_ok() {
        return Ok(vec![content.to_vec()]);
    }
    match in_signed_data(content) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("it is no certificate in DER or PEM, and no PKCS#7 with certificates".to_owned()),
    }
}

/// The certificates of a SignedData (RFC 5652 5.1).
fn in_signed_data(der: &[u8]) -> der::Result<Vec<Vec<u8>>> {
    let mut outer = content(<&SequenceRef>::from_der(der)?.as_bytes())?;
    if ObjectIdentifier::decode(&mut outer)? != SIGNED_DATA {
        return Err(der::ErrorKind::Value { tag: Tag::ObjectIdentifier }.into());
    }
    let explicit = AnyRef::decode(&mut outer)?;
    let mut inner = content(<&SequenceRef>::from_der(explicit.value())?.as_bytes())?;
    let certificates = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let mut found = Vec::new();
    while !inner.is_finished() {
        let field = AnyRef::decode(&mut inner)?;
        if field.header().tag() == certificates {
            let mut set = content(field.value())?;
            while !set.is_finished() {
                found.push(set.tlv_bytes()?.to_vec());
            }
        }
    }
    Ok(found)
}

fn content(bytes: &[u8]) -> der::Result<SliceReader<'_>> {
    SliceReader::new_with_encoding_rules(bytes, EncodingRules::Der)
}
