//! What an LDIF file has of the objects that a CA has in a directory (recovery.md 1.1, 8 and 9): told by their names, because an export
//! of chosen attributes has nothing else of every object.

use base64ct::{Base64, Encoding};

use super::text::{Bounded, Utf8Text};

/// The longest line that is looked at.
const LONGEST_LINE: usize = 64 << 20;

/// The entries of an LDIF file, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryObjects {
    /// All entries.
    pub entries: u64,
    /// Definitions of templates.
    pub templates: u64,
    /// What else is below Public Key Services: enrollment services, AIA, CDP, certification authorities, NTAuthCertificates.
    pub services: u64,
}

impl DirectoryObjects {
    /// Counts the entries of a file. What is no LDIF has none.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut found = Self::default();
        let mut lines = Bounded::new(Utf8Text::new(content));
        let (mut line, mut name) = (Vec::new(), None::<Vec<u8>>);
        loop {
            lines.allow(LONGEST_LINE);
            let is_there = lines.line(&mut line).unwrap_or(false);
            // A line that begins with a blank continues the one before.
            if is_there && let (Some(name), Some((b' ', more))) = (&mut name, line.split_first()) {
                name.extend_from_slice(more);
                continue;
            }
            if let Some(name) = name.take() {
                found.count(&name);
            }
            if !is_there {
                return found;
            }
            let is_name = line.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"dn:"));
            name = is_name.then(|| line[3..].to_vec());
        }
    }

    /// Takes a distinguished name as it stands behind `dn:`.
    fn count(&mut self, value: &[u8]) {
        let text = String::from_utf8_lossy(value);
        let name = match text.strip_prefix(':') {
            Some(digits) => {
                let decoded = Base64::decode_vec(digits.trim()).unwrap_or_default();
                String::from_utf8_lossy(&decoded).to_lowercase()
            }
            None => text.trim().to_lowercase(),
        };
        if name.is_empty() {
            return;
        }
        self.entries += 1;
        // The containers themselves are there in every forest.
        self.templates += u64::from(name.contains(",cn=certificate templates,cn=public key services,"));
        let is_service =
            name.contains(",cn=public key services,") && !name.contains("cn=certificate templates,");
        self.services += u64::from(is_service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_by_their_names() {
        let services = "CN=Public Key Services,CN=Services,CN=Configuration,DC=corp,DC=example";
        let encoded =
            Base64::encode_string(format!("CN=Bürger,CN=Certificate Templates,{services}").as_bytes());
        let text = format!(
            "version: 1\r\n\r\ndn: CN=WebServer,CN=Certificate Templates,CN=Public Key Ser\r\n vices,CN=Services,DC=x\r\n\
             objectClass: pKICertificateTemplate\r\n\r\nDN:: {encoded}\n\ndn: CN=Certificate Templates,{services}\n\n\
             dn: CN=CA,CN=Enrollment Services,{services}\n\ndn: CN=someone,DC=x\nuserCertificate:: MAA=\n"
        );
        let expected = DirectoryObjects { entries: 5, templates: 2, services: 1 };
        assert_eq!(DirectoryObjects::of(text.as_bytes()), expected);
        let wide: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(DirectoryObjects::of(&wide), expected);
        for other in ["", "# Title\n\ntext: more\n", "DN,userCertificate\r\nCN=a,x\r\n", "dn:\n"] {
            assert_eq!(DirectoryObjects::of(other.as_bytes()), DirectoryObjects::default(), "{other}");
        }
    }
}
