//! Where the new CRLs go, for the person who puts them there: `publish.txt` for all places, `publish.ldif` for those in a
//! directory (recovery.md 4.3).

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

/// A place that clients fetch a CRL from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which CRL belongs there: `0` for the base CRL of key 0, `0+` for its delta CRL.
    pub(crate) crl: String,
    pub(crate) url: String,
    /// How many certificates in force name it; 0 where only a CRL does.
    pub(crate) certificates: u64,
}

impl Place {
    pub(crate) fn to_json(&self) -> Value {
        json!({ "crl": self.crl, "url": self.url, "certificates": self.certificates })
    }

    pub(crate) fn of_json(value: &Value) -> Option<Self> {
        Some(Self {
            crl: value["crl"].as_str()?.to_owned(),
            url: value["url"].as_str()?.to_owned(),
            certificates: value["certificates"].as_u64()?,
        })
    }
}

/// A signed CRL, ready to be published.
pub(crate) struct Ready<'a> {
    /// Such as `0` or `0+`.
    pub(crate) crl: &'a str,
    pub(crate) file_name: &'a str,
    pub(crate) der: &'a [u8],
}

/// What to put where, in words.
pub(crate) fn text(ready: &[Ready<'_>], places: &[Place]) -> String {
    let mut text = String::from("Put the new CRLs where their users look for them.\n");
    for crl in ready {
        text.push_str(&format!(
            "\n{}.crl ({} bytes; {}.pem is the same in PEM)\n",
            crl.file_name,
            crl.der.len(),
            crl.file_name
        ));
        let mut found = false;
        for place in places.iter().filter(|place| place.crl == crl.crl) {
            found = true;
            let who = match place.certificates {
                0 => "named by the last CRL".to_owned(),
                1 => "1 certificate in force looks there".to_owned(),
                count => format!("{count} certificates in force look there"),
            };
            text.push_str(&format!("  {} ({who})\n", shown(&place.url)));
            text.push_str(&format!("    {}\n", what_to_do(&place.url, crl.file_name)));
        }
        if !found {
            text.push_str("  No certificate in force and no CRL names a place for it.\n");
        }
    }
    text.push_str(
        "\nMachines that have checked before keep the old CRL until it ends. On Windows this makes them fetch the new one:\n  \
         certutil -setreg chain\\ChainCacheResyncFiletime @now\n",
    );
    text
}

fn what_to_do(url: &str, file_name: &str) -> String {
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.as_str() {
        "ldap" | "ldaps" => {
            format!("ldapmodify -f publish.ldif, or on Windows: certutil -dspublish -f \"{file_name}.crl\"")
        }
        "http" | "https" => {
            "copy the file to the folder that the web server shows there, under the name in the URL"
                .to_owned()
        }
        "file" => "copy the file there, under the name in the URL".to_owned(),
        _ => "put the file there".to_owned(),
    }
}

/// A URL for a person: control characters cannot play with his terminal.
fn shown(url: &str) -> String {
    url.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// The changes to the directory; nothing where no place is in one.
pub(crate) fn ldif(ready: &[Ready<'_>], places: &[Place]) -> Option<String> {
    let mut done: Vec<(String, &str)> = Vec::new();
    let mut text = String::new();
    for crl in ready {
        for place in places.iter().filter(|place| place.crl == crl.crl) {
            let Some(name) = distinguished_name(&place.url) else { continue };
            let attribute = if crl.crl.ends_with('+') {
                "deltaRevocationList;binary"
            } else {
                "certificateRevocationList;binary"
            };
            if done.contains(&(name.clone(), attribute)) {
                continue;
            }
            let value = Base64::encode_string(crl.der);
            text.push_str(&line("dn", &name));
            text.push_str("changetype: modify\n");
            text.push_str(&format!("replace: {attribute}\n"));
            text.push_str(&folded(&format!("{attribute}:: {value}")));
            text.push_str("-\n\n");
            done.push((name, attribute));
        }
    }
    (!text.is_empty()).then(|| format!("version: 1\n\n{text}"))
}

/// The name of the entry that an LDAP URL (RFC 4516) stands for.
fn distinguished_name(url: &str) -> Option<String> {
    let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("ldap://"))?;
    let rest = &url[scheme.len()..];
    let path = rest.split_once('/')?.1;
    let name = path.split('?').next().unwrap_or_default();
    let decoded = decoded(name)?;
    (!decoded.is_empty()).then_some(decoded)
}

/// Text with `%20` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.extend(certadm_rules::hex::decode(digits)?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

/// A line of LDIF (RFC 2849): in Base64 where its value is not plain text.
fn line(key: &str, value: &str) -> String {
    let is_plain = value.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
        && !value.starts_with([' ', ':', '<'])
        && !value.ends_with(' ');
    if is_plain {
        folded(&format!("{key}: {value}"))
    } else {
        folded(&format!("{key}:: {}", Base64::encode_string(value.as_bytes())))
    }
}

/// Long lines go on behind a blank.
fn folded(line: &str) -> String {
    const WIDTH: usize = 76;
    let mut text = String::with_capacity(line.len() + line.len() / WIDTH * 2 + 1);
    for (place, part) in line.as_bytes().chunks(WIDTH - 1).enumerate() {
        if place != 0 {
            text.push(' ');
        }
        // What is folded is ASCII: see `line`.
        text.push_str(&String::from_utf8_lossy(part));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_directory_come_out_of_their_urls() {
        let name = |url| distinguished_name(url);
        assert_eq!(
            name("ldap:///CN=Example%20CA,CN=CDP,DC=example?certificateRevocationList?base"),
            Some("CN=Example CA,CN=CDP,DC=example".to_owned())
        );
        assert_eq!(name("LDAP://dc1/CN=a"), Some("CN=a".to_owned()));
        for wrong in
            ["http://x/CN=a", "ldap:///", "ldap://dc1", "ldap:///%", "ldap:///%g0", "ldap:///%ff", ""]
        {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_plain_is_in_base64() {
        assert_eq!(line("dn", "CN=a"), "dn: CN=a\n");
        assert_eq!(line("dn", "CN=a\nchangetype: delete"), "dn:: Q049YQpjaGFuZ2V0eXBlOiBkZWxldGU=\n");
        assert_eq!(line("dn", " CN=a"), "dn:: IENOPWE=\n");
        assert!(folded(&"x".repeat(200)).lines().all(|line| line.len() <= 76));
    }
}
