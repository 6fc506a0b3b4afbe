//! A PKCS#7 file that holds certificates and CRLs and signs nothing, as a CA hands out its chain (RFC 5652 5.1).

use certadm_rules::hex;

/// Makes one of certificates and CRLs in DER.
pub(crate) fn certificates(certificates: &[&[u8]], crls: &[&[u8]]) -> Vec<u8> {
    // ContentInfo { signedData, [0] SignedData { version 1, no digests, content without content, [0] certificates,
    // [1] CRLs, no signers } }
    let oid = |last: &str| hex::decode(&format!("06092a864886f70d0107{last}")).unwrap_or_default();
    let mut content = vec![0x02, 0x01, 0x01, 0x31, 0x00];
    content.extend(wrapped(0x30, &oid("01")));
    content.extend(wrapped(0xA0, &certificates.concat()));
    if !crls.is_empty() {
        content.extend(wrapped(0xA1, &crls.concat()));
    }
    content.extend([0x31, 0x00]);
    let signed = wrapped(0xA0, &wrapped(0x30, &content));
    wrapped(0x30, &[oid("02"), signed].concat())
}

/// Tag, length, content.
fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    match content.len() {
        0..0x80 => bytes.push(length[length.len() - 1]),
        _ => {
            let digits = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
            let digits = &length[digits..];
            // At most eight.
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            bytes.extend(digits);
        }
    }
    bytes.extend(content);
    bytes
}
