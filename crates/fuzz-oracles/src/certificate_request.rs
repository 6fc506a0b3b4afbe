//! A request for a certificate, and what the CA makes of it.
//!
//! Whatever is asked for: no certificate of a CA without leave, none in the CA's own name however it is spelled, none for
//! another key than the requested one, no extension that the profile does not have, no day beyond the CA's own. What is
//! signed is canonical DER that another parser reads, too.

use std::sync::LazyLock;

use certadm_ca::{Request, Terms};
use certadm_rules::FileTime;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::script::Script;
use crate::small_ca::CA;

/// The requester's key; its public half as SubjectPublicKeyInfo.
static KEY: LazyLock<(SigningKey, Vec<u8>)> = LazyLock::new(|| {
    let key = SigningKey::from_slice(&[0x33; 32]).expect("a number below the order of the curve");
    let point = key.verifying_key().to_sec1_point(false);
    let algorithm = tlv(0x30, &[&oid(EC_KEY), &oid(P256)]);
    let public = tlv(0x30, &[&algorithm, &tlv(0x03, &[&[0], point.as_bytes()])]);
    (key, public)
});

const EC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const ECDSA_SHA256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
const EXTENSION_REQUEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x0E];
/// Attributes of names: common name, country, organisation, mail, domain component, serial number, unit.
const ATTRIBUTES: [&[u8]; 7] = [
    &[0x55, 4, 3],
    &[0x55, 4, 6],
    &[0x55, 4, 10],
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 1],
    &[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 1, 25],
    &[0x55, 4, 5],
    &[0x55, 4, 11],
];
/// UTF8String, PrintableString, TeletexString, BMPString, IA5String, OCTET STRING.
const STRINGS: [u8; 6] = [0x0C, 0x13, 0x14, 0x1E, 0x16, 0x04];
/// The CA's own name, spelled anew, and other texts.
const TEXTS: [&str; 12] = [
    "a.example",
    "Fuzzed CA",
    "fuzzed ca",
    "  FUZZED   CA ",
    "Fuzzed\u{a0}CA",
    "Fuzzed\u{ad} CA",
    "\u{ff26}uzzed CA",
    "Fuzzed CA\0",
    "*.example",
    "DE",
    "me@a.example",
    "b.example",
];
/// subjectAltName, basicConstraints, keyUsage, extKeyUsage, authorityKeyIdentifier, nameConstraints, certificatePolicies.
const EXTENSIONS: [u8; 7] = [17, 19, 15, 37, 35, 30, 32];
const PROFILES: [&str; 5] = ["server", "client", "email", "code-signing", "subca"];

/// The first octet says which profile (its lower half), and what the rest is: below 0x40 a request as it came, else a
/// script that a request is made of and signed, see [`made`].
pub(crate) fn run(data: &[u8]) {
    play(data);
}

/// Whether a request is granted.
fn play(data: &[u8]) -> bool {
    LazyLock::force(&CA);
    let Some((&first, rest)) = data.split_first() else { return false };
    let mut script = Script::new(rest);
    let input = if first < 0x40 { rest.to_vec() } else { made(&mut script) };
    let Ok(request) = Request::parse(&input) else { return false };
    let again = Request::parse(certadm_rules::pem::encode("CERTIFICATE REQUEST", request.der()).as_bytes());
    assert!(again.is_ok_and(|again| again.der() == request.der()), "not the same in PEM");
    let profile = PROFILES[usize::from(first & 0xF) % PROFILES.len()];
    let allow_ca = first & 0x10 != 0;
    let terms = Terms { profile: Some(profile), days: None, requester: "fuzzer", allow_ca };
    let Ok(pending) = CA.authority.prepare_issue(&request, &terms, certadm_store::now()) else {
        return false;
    };
    judge(pending.der(), &request, profile, allow_ca);
    true
}

fn judge(der: &[u8], request: &Request, profile: &str, allow_ca: bool) {
    assert!(is_canonical(der), "not canonical DER");
    let (rest, certificate) = X509Certificate::from_der(der).expect("another parser reads it");
    assert!(rest.is_empty(), "something behind the certificate");
    let (_, own) = X509Certificate::from_der(CA.authority.certificate_der()).expect("the CA's own");
    assert_eq!(certificate.issuer().as_raw(), own.subject().as_raw());
    assert_ne!(spelling(certificate.subject()), spelling(own.subject()), "a certificate in the CA's own name");
    let is_ca = profile == "subca";
    assert!(!is_ca || allow_ca, "a profile of CAs without leave");
    assert_eq!(certificate.is_ca(), is_ca, "{profile}");
    let asked = requested_key(request.der());
    assert_eq!(certificate.public_key().raw, asked, "another key than was asked for");
    let (not_before, not_after) = CA.authority.validity();
    let seconds = |time: FileTime| time.unix_seconds();
    let validity = certificate.validity();
    assert!(seconds(not_before) <= validity.not_before.timestamp(), "valid before the CA is");
    assert!(validity.not_after.timestamp() <= seconds(not_after), "valid after the CA is");
    for extension in certificate.extensions() {
        judge_extension(extension.parsed_extension(), profile);
    }
}

fn judge_extension(extension: &ParsedExtension<'_>, profile: &str) {
    match extension {
        ParsedExtension::KeyUsage(usage) => {
            let signs = usage.key_cert_sign() || usage.crl_sign();
            assert_eq!(signs, profile == "subca", "{usage}");
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let found = (usage.server_auth, usage.client_auth, usage.email_protection, usage.code_signing);
            let expected =
                (profile == "server", profile == "client", profile == "email", profile == "code-signing");
            assert_eq!(found, expected, "{profile}");
            assert!(!usage.any && usage.other.is_empty() && !usage.time_stamping && !usage.ocsp_signing);
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            for name in &names.general_names {
                let is_allowed = match name {
                    GeneralName::DNSName(_) => ["server", "client"].contains(&profile),
                    GeneralName::IPAddress(_) => profile == "server",
                    GeneralName::RFC822Name(_) => ["client", "email"].contains(&profile),
                    GeneralName::URI(_) | GeneralName::OtherName(..) => profile == "client",
                    _ => false,
                };
                assert!(is_allowed, "{name:?} in a certificate of {profile}");
            }
        }
        ParsedExtension::BasicConstraints(_)
        | ParsedExtension::SubjectKeyIdentifier(_)
        | ParsedExtension::AuthorityKeyIdentifier(_) => {}
        other => panic!("{other:?} is in no profile"),
    }
}

/// A name without what does not count in a comparison; simpler than the CA's own rules, and by other code.
fn spelling(name: &X509Name<'_>) -> Vec<(String, String)> {
    name.iter_attributes()
        .map(|attribute| {
            let value = attribute.attr_value();
            let text = match value.tag().0 {
                30 => {
                    let units = value.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                    char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
                }
                20 => value.data.iter().map(|&octet| char::from(octet)).collect(),
                4 => format!("{:?}", value.data),
                _ => String::from_utf8_lossy(value.data).into_owned(),
            };
            let words: Vec<&str> = text.split_whitespace().collect();
            (attribute.attr_type().to_id_string(), words.join(" ").to_lowercase())
        })
        .collect()
}

/// SubjectPublicKeyInfo of a request, as its octets stand there: the third part of its first part.
fn requested_key(der: &[u8]) -> &[u8] {
    let (_, outer, _) = element(der).expect("a request");
    let (_, info, _) = element(outer).expect("its information");
    let (_, _, after_version) = element(info).expect("its version");
    let (_, _, after_subject) = element(after_version).expect("its subject");
    let (_, _, after_key) = element(after_subject).expect("its key");
    &after_subject[..after_subject.len() - after_key.len()]
}

/// The first element of some DER: tag, content, and what follows; none where its length is not written as DER wants it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(short & 0x7F))?;
        let length = octets.iter().try_fold(0_usize, |sum, &octet| sum.checked_mul(256)?.checked_add(octet.into()))?;
        let is_shortest = octets.first().is_some_and(|first| *first != 0) && 0x80 <= length;
        (is_shortest.then_some(length)?, rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    (tag & 0x1F != 0x1F).then_some((tag, content, after))
}

/// Whether this is one element, and everything in it is written in the one way of DER.
fn is_canonical(der: &[u8]) -> bool {
    let Some((tag, content, [])) = element(der) else { return false };
    match tag {
        0x01 => [&[0][..], &[0xFF]].contains(&content),
        0x02 => !content.is_empty() && !matches!(content, [0, 0..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..]),
        _ if tag & 0x20 == 0 => true,
        _ => {
            let (mut rest, mut before) = (content, None);
            while !rest.is_empty() {
                let Some((_, _, after)) = element(rest) else { return false };
                let part = &rest[..rest.len() - after.len()];
                // The parts of a set come in the order of their octets.
                let is_in_order = tag != 0x31 || before.is_none_or(|before| before <= part);
                if !is_in_order || !is_canonical(part) {
                    return false;
                }
                (rest, before) = (after, Some(part));
            }
            true
        }
    }
}

/// A request of a script's: attributes of the subject, then extensions, then one octet to change or none, signed at the end.
fn made(script: &mut Script<'_>) -> Vec<u8> {
    let mut names = Vec::new();
    for _ in 0..script.byte() % 5 {
        let (attribute, string) = (*script.choose(&ATTRIBUTES), *script.choose(&STRINGS));
        let text = match script.byte() {
            0xFF => script.bytes().to_vec(),
            text if string == 0x1E => {
                let text = TEXTS[usize::from(text) % TEXTS.len()];
                text.encode_utf16().flat_map(u16::to_be_bytes).collect()
            }
            text => TEXTS[usize::from(text) % TEXTS.len()].as_bytes().to_vec(),
        };
        let pair = tlv(0x30, &[&oid(attribute), &tlv(string, &[&text])]);
        names.push(tlv(0x31, &[&pair]));
    }
    let mut extensions = Vec::new();
    for _ in 0..script.byte() % 4 {
        let id = tlv(0x06, &[&[0x55, 0x1D, *script.choose(&EXTENSIONS)]]);
        let critical = if script.byte() & 1 == 0 { Vec::new() } else { tlv(0x01, &[&[0xFF]]) };
        let value = tlv(0x04, &[&extension_value(script)]);
        extensions.push(tlv(0x30, &[&id, &critical, &value]));
    }
    let wishes = if extensions.is_empty() {
        Vec::new()
    } else {
        let extensions = tlv(0x30, &[&extensions.concat()]);
        tlv(0x30, &[&oid(EXTENSION_REQUEST), &tlv(0x31, &[&extensions])])
    };
    let (key, public) = &*KEY;
    let mut info =
        tlv(0x30, &[&tlv(0x02, &[&[0]]), &tlv(0x30, &[&names.concat()]), public, &tlv(0xA0, &[&wishes])]);
    let (at, change) = (usize::from(script.word()), script.byte());
    if let Some(octet) = info.get_mut(at) {
        *octet ^= change;
    }
    let signature: DerSignature = key.sign(&info);
    let algorithm = tlv(0x30, &[&oid(ECDSA_SHA256)]);
    tlv(0x30, &[&info, &algorithm, &tlv(0x03, &[&[0], signature.as_bytes()])])
}

/// 0 basicConstraints of a CA, 1 to 9 alternative names, more the script's octets.
fn extension_value(script: &mut Script<'_>) -> Vec<u8> {
    match script.byte() {
        0 => tlv(0x30, &[&tlv(0x01, &[&[0xFF]])]),
        count @ 1..=9 => {
            let name = |script: &mut Script<'_>| {
                let (kind, text) = (script.byte() % 9, *script.choose(&TEXTS));
                // Other names, X.400 addresses, directory names and EDI parties are made of parts.
                let tag = if [0, 3, 4, 5].contains(&kind) { 0xA0 | kind } else { 0x80 | kind };
                let content = if kind == 7 { vec![192, 0, 2, 1] } else { text.as_bytes().to_vec() };
                tlv(tag, &[&content])
            };
            let names: Vec<Vec<u8>> = (0..count).map(|_| name(script)).collect();
            tlv(0x30, &[&names.concat()])
        }
        _ => script.bytes().to_vec(),
    }
}

fn oid(content: &[u8]) -> Vec<u8> {
    tlv(0x06, &[content])
}

/// An element of DER with these parts as its content.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut element = vec![tag];
    match length {
        0..0x80 => element.push(length.to_le_bytes()[0]),
        _ => {
            let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
            element.push(0x80 | octets.len().to_le_bytes()[0]);
            element.extend(octets);
        }
    }
    element.extend(content);
    element
}

#[cfg(test)]
mod tests {
    use super::play;

    /// A seed that gets nowhere would let a fuzzer get nowhere.
    #[test]
    fn seeds_reach_what_they_are_named_for() {
        macro_rules! is_granted {
            ($name:literal) => {
                play(include_bytes!(concat!("../../../fuzz/seeds/certificate_request/", $name)))
            };
        }
        assert!(is_granted!("server") && is_granted!("client-mail") && is_granted!("subca-allowed"));
        assert!(!is_granted!("own-name") && !is_granted!("own-name-in-capitals"));
        assert!(!is_granted!("asks-to-be-a-ca") && !is_granted!("subca-without-leave"));
        assert!(!is_granted!("changed-octet") && !is_granted!("directory-name"));
    }
}
