//! Whether two distinguished names are the same for whoever checks a certificate (RFC 5280 7.1): capitals, spaces and the
//! type of string do not count.

use certadm_rules::printable::is_hidden;
use der::Encode;
use icu_normalizer::ComposingNormalizerBorrowed;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

use crate::name::text_of;

/// Whether both name the same. The parts have to come in the same order; within one part, order does not count.
pub(crate) fn is_same_name(left: &Name, right: &Name) -> bool {
    parts_of(left) == parts_of(right)
}

/// Whether a name begins with all parts of another one: it lies below that in a directory.
pub(crate) fn begins_with(name: &Name, base: &Name) -> bool {
    parts_of(name).starts_with(&parts_of(base))
}

/// Each part with its attributes in a form that is the same for every spelling.
fn parts_of(name: &Name) -> Vec<Vec<(String, Spelling)>> {
    let part = |attributes: &mut dyn Iterator<Item = &AttributeTypeAndValue>| {
        let mut part: Vec<_> =
            attributes.map(|attribute| (attribute.oid.to_string(), Spelling::of(attribute))).collect();
        part.sort();
        part
    };
    name.iter_rdn().map(|rdn| part(&mut rdn.iter())).collect()
}

/// A value as it is compared.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// The text, prepared.
    Text(String),
    /// The DER of what is no text.
    Other(Vec<u8>),
}

impl Spelling {
    fn of(attribute: &AttributeTypeAndValue) -> Self {
        match text_of(&attribute.value) {
            Some(text) => Self::Text(prepared(&text)),
            // What cannot be encoded again is like nothing else.
            None => Self::Other(attribute.value.to_der().unwrap_or_default()),
        }
    }
}

/// Prepares text for comparison as RFC 4518 2 does: some characters are left out, all that separate words are a space, case
/// is folded, compatible characters are one, and spaces at the ends and beside other spaces do not count.
fn prepared(text: &str) -> String {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    let mapped: String = text.chars().filter(|c| !is_left_out(*c)).collect();
    // Folding can undo what the normal form made, and the other way round.
    let folded = nfkc.normalize(&nfkc.normalize(&mapped).to_uppercase()).to_lowercase();
    let words: Vec<&str> = nfkc_words(&folded).collect();
    words.join(" ")
}

fn nfkc_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(char::is_whitespace).filter(|word| !word.is_empty())
}

/// Characters that are mapped to nothing (RFC 4518 2.2), and those that nobody sees. Tabs and line ends are spaces instead.
fn is_left_out(c: char) -> bool {
    !c.is_whitespace() && is_hidden(c) || matches!(u32::from(c), 0x6DD | 0x70F | 0x1806 | 0xFFFC)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    #[test]
    fn spellings_of_one_name() {
        let ours = name("CN=Straße CA 1,O=Example,C=DE");
        for same in [
            "CN=Straße CA 1,O=Example,C=DE",
            "CN=STRASSE ca 1,O=EXAMPLE,C=de",
            "CN=Straße  CA   1,O=Example,C=DE",
            "CN=\\20Straße CA 1\\20,O=Example,C=DE",
            "CN=Straße\\C2\\A0CA 1,O=Example,C=DE",
            "CN=Stra\\C2\\ADße CA\\E2\\80\\8B 1,O=Example,C=DE",
            "CN=Straße CA\\F0\\9B\\B2\\A0 1\\E3\\85\\A4,O=Example,C=DE",
            "CN=Straße \\EF\\BC\\A3\\EF\\BC\\A1 1,O=Example,C=DE",
        ] {
            assert!(is_same_name(&ours, &name(same)), "{same}");
        }
        for other in
            ["CN=Straße CA 2,O=Example,C=DE", "O=Example,CN=Straße CA 1,C=DE", "CN=Straße CA 1,O=Example"]
        {
            assert!(!is_same_name(&ours, &name(other)), "{other}");
        }
        assert!(is_same_name(&name("CN=a+O=b"), &name("O=B+CN=A")));
        assert!(!is_same_name(&name("CN=a+O=b"), &name("CN=a,O=b")));
    }
}
