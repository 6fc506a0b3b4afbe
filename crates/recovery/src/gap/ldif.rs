//! Certificates in an LDIF file (RFC 2849), as `ldifde` and `ldapsearch` write it: the values of `userCertificate`.

use std::io::BufRead;

use base64ct::{Base64, Encoding};
use certadm_files::cancel;

use super::text::Bounded;
use crate::error::{Error, Result};

/// The longest line, and the longest value: a photo may be long, a certificate is not.
const LONGEST_LINE: usize = 64 << 20;
const LONGEST_VALUE: usize = 1 << 20;

/// Hands each certificate to `visit`. Values that are no Base64, and those that name a file or a URL instead of bytes, are
/// counted and passed over: nothing that the file names is opened. Returns how many there were.
///
/// # Errors
/// [`Error::Source`] when a line is too long or cannot be read; what `visit` returns.
pub(crate) fn read(
    name: &str,
    text: impl BufRead,
    visit: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let broken = |error: std::io::Error| Error::Source { name: name.to_owned(), reason: error.to_string() };
    let mut lines = Bounded::new(text);
    let mut line = Vec::new();
    let mut value = Value::default();
    let mut unusable = 0;
    loop {
        lines.allow(LONGEST_LINE);
        let is_there = lines.line(&mut line).map_err(broken)?;
        // A line that begins with a blank continues the one before.
        if is_there && let Some((b' ', more)) = line.split_first() {
            value.add(more);
            continue;
        }
        match value.take() {
            Taken::Nothing => {}
            Taken::Certificate(der) => {
                cancel::check()?;
                visit(&der)?;
            }
            Taken::Unusable => unusable += 1,
        }
        if !is_there {
            return Ok(unusable);
        }
        value.begin(&line);
    }
}

/// The value that is being read.
#[derive(Default)]
struct Value {
    is_wanted: bool,
    is_reference: bool,
    is_too_long: bool,
    digits: Vec<u8>,
}

enum Taken {
    Nothing,
    Certificate(Vec<u8>),
    Unusable,
}

impl Value {
    fn begin(&mut self, line: &[u8]) {
        *self = Self::default();
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (attribute, rest) = (&line[..colon], &line[colon + 1..]);
        let attribute = attribute.split(|byte| *byte == b';').next().unwrap_or_default();
        if !attribute.eq_ignore_ascii_case(b"userCertificate") {
            return;
        }
        self.is_wanted = true;
        match rest.split_first() {
            Some((b':', digits)) => self.add(digits),
            _ => self.is_reference = true,
        }
    }

    fn add(&mut self, more: &[u8]) {
        if !self.is_wanted {
            return;
        }
        self.is_too_long |= LONGEST_VALUE < self.digits.len() + more.len();
        if !self.is_too_long {
            self.digits.extend(more.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }

    fn take(&mut self) -> Taken {
        let value = std::mem::take(self);
        if !value.is_wanted {
            return Taken::Nothing;
        }
        let digits =
            std::str::from_utf8(&value.digits).ok().filter(|_| !value.is_reference && !value.is_too_long);
        match digits.and_then(|digits| Base64::decode_vec(digits).ok()) {
            Some(der) if !der.is_empty() => Taken::Certificate(der),
            _ => Taken::Unusable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_together_from_their_lines() {
        let text = "version: 1\r\ndn: CN=a\r\nuserCertificate:: YW\r\n Jj\r\ncn: userCertificate:: YWJj\r\n\
            usercertificate;binary:: ZGVm\nuserCertificate:< file:///etc/passwd\nuserCertificate: plain\n\
            userCertificate:: ?\n \nuserCertificate:: eHl6";
        let mut found = Vec::new();
        let unusable = read("x.ldif", text.as_bytes(), &mut |der| {
            found.push(der.to_vec());
            Ok(())
        });
        assert_eq!(unusable.unwrap(), 3);
        assert_eq!(found, [&b"abc"[..], b"def", b"xyz"]);
    }

    #[test]
    fn a_value_without_end_is_passed_over() {
        let text =
            format!("userCertificate:: AAAA\n{}cn: x\n", format!(" {}\n", "A".repeat(4096)).repeat(400));
        let unusable = read("x.ldif", text.as_bytes(), &mut |_| panic!("too long"));
        assert_eq!(unusable.unwrap(), 1);
    }
}
