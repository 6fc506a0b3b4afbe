//! Text files of Windows as UTF-8: many of them are UTF-16, because PowerShell writes what is redirected so.

use std::io::{self, BufRead, Read};

/// So many bytes are read at once.
const PIECE: usize = 64 << 10;

/// Text in UTF-8. The file may be UTF-16 in either order, or UTF-8; with a byte order mark, or without one where the first
/// character tells. What is no text becomes U+FFFD.
pub(crate) struct Utf8Text<R> {
    file: R,
    encoding: Option<Encoding>,
    /// Bytes that are not decoded yet: part of a character.
    rest: Vec<u8>,
    text: Vec<u8>,
    place: usize,
    is_at_end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { is_big_endian: bool },
}

impl<R: Read> Utf8Text<R> {
    pub(crate) fn new(file: R) -> Self {
        Self { file, encoding: None, rest: Vec::new(), text: Vec::new(), place: 0, is_at_end: false }
    }

    /// Decodes the next piece.
    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.place = 0;
        while self.text.is_empty() && !self.is_at_end {
            let before = self.rest.len();
            self.rest.resize(before + PIECE, 0);
            let read = loop {
                match self.file.read(&mut self.rest[before..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            self.rest.truncate(before + read);
            self.is_at_end = read == 0;
            if self.encoding.is_none() {
                if self.rest.len() < 3 && !self.is_at_end {
                    continue;
                }
                self.encoding = Some(self.detect());
            }
            match self.encoding {
                Some(Encoding::Utf16 { is_big_endian }) => self.utf16(is_big_endian),
                _ => self.utf8(),
            }
        }
        Ok(())
    }

    fn detect(&mut self) -> Encoding {
        let (encoding, mark) = match self.rest.as_slice() {
            [0xff, 0xfe, ..] => (Encoding::Utf16 { is_big_endian: false }, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16 { is_big_endian: true }, 2),
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
            [first, 0, ..] if *first != 0 => (Encoding::Utf16 { is_big_endian: false }, 0),
            [0, second, ..] if *second != 0 => (Encoding::Utf16 { is_big_endian: true }, 0),
            _ => (Encoding::Utf8, 0),
        };
        self.rest.drain(..mark);
        encoding
    }

    fn utf8(&mut self) {
        let mut taken = 0;
        for chunk in self.rest.utf8_chunks() {
            self.text.extend_from_slice(chunk.valid().as_bytes());
            taken += chunk.valid().len();
            let bad = chunk.invalid();
            let is_last = taken + bad.len() == self.rest.len();
            let is_cut = std::str::from_utf8(bad).is_err_and(|error| error.error_len().is_none());
            // Part of a character at the end of the piece waits for the rest of it.
            if bad.is_empty() || is_last && is_cut && !self.is_at_end {
                continue;
            }
            taken += bad.len();
            self.text.extend_from_slice("\u{fffd}".as_bytes());
        }
        self.rest.drain(..taken);
    }

    fn utf16(&mut self, is_big_endian: bool) {
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if is_big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let mut whole = self.rest.len() & !1;
        // The first half of a pair waits for the second.
        let is_half = |pair: &[u8]| (0xd800..0xdc00).contains(&unit(pair));
        if !self.is_at_end && 2 <= whole && is_half(&self.rest[whole - 2..whole]) {
            whole -= 2;
        }
        let units = self.rest[..whole].chunks_exact(2).map(unit);
        let mut letter = [0; 4];
        for decoded in char::decode_utf16(units) {
            let decoded = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.text.extend_from_slice(decoded.encode_utf8(&mut letter).as_bytes());
        }
        self.rest.drain(..whole);
        if self.is_at_end && !self.rest.is_empty() {
            self.rest.clear();
            self.text.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

impl<R: Read> Read for Utf8Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Utf8Text<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.place == self.text.len() {
            self.refill()?;
        }
        Ok(&self.text[self.place..])
    }

    fn consume(&mut self, amount: usize) {
        self.place = (self.place + amount).min(self.text.len());
    }
}

/// Ends with an error when more is read than was allowed; the allowance is renewed for each part of a file.
pub(crate) struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Bounded<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, left: 0 }
    }

    /// From here on so many bytes may be read.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Reads a line without its end into `line`. False at the end of the file.
    pub(crate) fn line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        let read = self.read_until(b'\n', line)?;
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        Ok(read != 0)
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.left;
        let found = self.inner.fill_buf()?;
        if left == 0 && !found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a part of it is longer than any should be",
            ));
        }
        Ok(&found[..found.len().min(left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, so that every character is cut.
    struct Slowly<'a>(&'a [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn decoded(bytes: &[u8]) -> String {
        let mut whole = String::new();
        Utf8Text::new(bytes).read_to_string(&mut whole).unwrap();
        let mut slow = String::new();
        Utf8Text::new(Slowly(bytes)).read_to_string(&mut slow).unwrap();
        assert_eq!(whole, slow);
        whole
    }

    #[test]
    fn each_encoding_is_read() {
        let text = "<Event a='é€𝄞'/>\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decoded(text.as_bytes()), text);
        assert_eq!(decoded(&[&[0xef, 0xbb, 0xbf], text.as_bytes()].concat()), text);
        assert_eq!(decoded(&[&[0xff, 0xfe][..], &little].concat()), text);
        assert_eq!(decoded(&[&[0xfe, 0xff][..], &big].concat()), text);
        assert_eq!(decoded(&little), text);
        assert_eq!(decoded(&big), text);
    }

    #[test]
    fn what_is_no_text_is_shown_as_such() {
        assert_eq!(decoded(b"a\xffb\xe2\x82"), "a\u{fffd}b\u{fffd}");
        assert_eq!(decoded(b"\xff\xfea\0\0\xd8b\0"), "a\u{fffd}b");
        assert_eq!(decoded(b"\xff\xfea\0b"), "a\u{fffd}");
        assert_eq!(decoded(b""), "");
    }

    #[test]
    fn a_part_that_is_too_long_is_an_error() {
        let mut lines = Bounded::new(&b"short\r\nfar too long\n"[..]);
        let mut line = Vec::new();
        lines.allow(8);
        assert!(lines.line(&mut line).unwrap());
        assert_eq!(line, b"short");
        lines.allow(8);
        assert_eq!(lines.line(&mut line).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
