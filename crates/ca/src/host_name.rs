//! Host names and mail addresses as certificates carry them.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

/// A host name in the form of RFC 5280 4.2.1.6 (RFC 1034 3.5, RFC 1123 2.1), in small letters: what it is compared by. The
/// first label may be `*` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName {
    text: String,
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl HostName {
    /// Reads a host name.
    ///
    /// # Errors
    /// Why it is none, as a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.to_ascii_lowercase();
        if text.is_empty() {
            return Err("it is empty");
        }
        if MAX_NAME < text.len() {
            return Err("it is longer than 253 characters");
        }
        if !text.is_ascii() {
            return Err(
                "it has letters outside ASCII; a host name in a certificate has them in Punycode (xn--)",
            );
        }
        if text.ends_with('.') {
            return Err("it ends in a dot; a host name in a certificate has none there");
        }
        let host = match text.strip_prefix("*.") {
            Some(host) if !host.contains('.') => return Err("a wildcard needs two labels behind it"),
            Some(host) => host,
            None => &text,
        };
        host.split('.').try_for_each(check_label)?;
        // What reads such a name as an address takes it for another host (URL Standard, "ends in a number").
        let last = host.rsplit('.').next().unwrap_or(host);
        let hexadecimal =
            last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(
                "its last label is a number, so it is taken for an IP address; an address is a name of the kind ip",
            );
        }
        if host.split('.').any(|label| label.starts_with("xn--")) {
            check_punycode(host)?;
        }
        Ok(Self { text })
    }

    /// Whether the first label is `*`.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.text.starts_with('*')
    }
}

fn check_label(label: &str) -> Result<(), &'static str> {
    if label.is_empty() {
        return Err("it has an empty label");
    }
    if MAX_LABEL < label.len() {
        return Err("it has a label of more than 63 characters");
    }
    if label.contains('*') {
        return Err("a wildcard is the whole first label, and nothing else");
    }
    if label.contains('_') {
        return Err("it has an underscore, which no host name has");
    }
    if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err("it has a character that no host name has");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("a label begins or ends with a hyphen");
    }
    if label.as_bytes().get(2..4) == Some(b"--") && !label.starts_with("xn--") {
        return Err("a label has two hyphens at its third place, which is reserved (RFC 5890 2.3.1)");
    }
    Ok(())
}

/// Punycode that stands for letters, and is the only way to write them (RFC 5891 5.4, UTS 46).
fn check_punycode(host: &str) -> Result<(), &'static str> {
    let again = Uts46::new().to_ascii(
        host.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Verify,
    );
    match again {
        Ok(again) if again == host => Ok(()),
        _ => Err("its Punycode (xn--) does not stand for letters that a host name may have"),
    }
}

/// A mail address: a local part of RFC 5321 4.1.2 without quotes, and a host name that is no wildcard. Two are equal when
/// their local parts are the same, and their hosts but for capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailAddress {
    local: String,
    host: HostName,
}

impl MailAddress {
    /// Reads a mail address.
    ///
    /// # Errors
    /// Why it is none, as a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const NONE: &str = "it is not a mail address";
        if 254 < text.len() {
            return Err("it is longer than 254 characters");
        }
        let (local, host) = text.rsplit_once('@').ok_or(NONE)?;
        let is_atom = |atom: &str| {
            !atom.is_empty()
                && atom
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte))
        };
        if 64 < local.len() || !local.split('.').all(is_atom) {
            return Err(NONE);
        }
        let host = HostName::parse(host).map_err(|_| "what follows its @ is not a host name")?;
        if host.is_wildcard() {
            return Err("what follows its @ is a wildcard");
        }
        Ok(Self { local: local.to_owned(), host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for name in [
            "a",
            "WWW.Example.com",
            "*.example.com",
            "3com.example",
            "a--b.example",
            "xn--kse-qla.example",
            "*.xn--kse-qla.example",
            &format!("{}.example", "a".repeat(63)),
        ] {
            assert!(HostName::parse(name).is_ok(), "{name}: {:?}", HostName::parse(name));
        }
        assert_eq!(HostName::parse("WWW.Example.com"), HostName::parse("www.example.COM"));
        assert_eq!(HostName::parse("XN--KSE-QLA.example"), HostName::parse("xn--kse-qla.example"));
        for (name, reason) in [
            ("", "empty"),
            (".", "ends in a dot"),
            ("a.example.", "ends in a dot"),
            ("a..b", "empty label"),
            (".example", "empty label"),
            ("*", "wildcard"),
            ("*.com", "two labels"),
            ("*.*.example.com", "wildcard"),
            ("a.*.com", "wildcard"),
            ("w*.example.com", "wildcard"),
            ("*a.example.com", "wildcard"),
            ("_sip.example", "underscore"),
            ("a b", "character"),
            ("a\0.example.com", "character"),
            ("a.example\n", "character"),
            ("a/b.example", "character"),
            ("[::1]", "character"),
            ("-a.example", "hyphen"),
            ("a-.example", "hyphen"),
            ("ab--c.example", "reserved"),
            ("käse.example", "Punycode"),
            ("192.0.2.1", "IP address"),
            ("*.2.0.192", "IP address"),
            ("host.1", "IP address"),
            ("a.0x7f", "IP address"),
            ("2130706433", "IP address"),
            ("xn--a.example", "Punycode"),
            ("xn--.example", "hyphen"),
            ("xn--example-.example", "hyphen"),
            // an a and a b with a character of no width between them
            ("xn--ab-j1t.example", "Punycode"),
            (&format!("{}.example", "a".repeat(64)), "63"),
            (&"a.".repeat(130), "253"),
        ] {
            let error = HostName::parse(name).expect_err(name);
            assert!(error.contains(reason), "{name:?}: {error}");
        }
    }

    #[test]
    fn mail_addresses() {
        for text in ["me@example.com", "first.last+tag@Example.com", "o'neil@a.example"] {
            assert!(MailAddress::parse(text).is_ok(), "{text}");
        }
        assert_eq!(MailAddress::parse("me@EXAMPLE.com"), MailAddress::parse("me@example.com"));
        assert_ne!(MailAddress::parse("Me@example.com"), MailAddress::parse("me@example.com"));
        for text in [
            "",
            "nobody",
            "@example.com",
            "a@",
            "a@b@c",
            "a@*.example.com",
            "a@example.com.",
            "a..b@example.com",
            ".a@example.com",
            "a b@example.com",
            "a\0@example.com",
            "\"a\"@example.com",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a <a@example.com>",
            "ä@example.com",
            &format!("{}@example.com", "a".repeat(65)),
        ] {
            assert!(MailAddress::parse(text).is_err(), "{text:?}");
        }
    }
}
