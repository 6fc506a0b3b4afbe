//! The secret that opens the CA's key file.

use std::io::Read;
use std::path::Path;

use certadm_files::read::without_byte_order_mark;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// A passphrase. Its bytes are wiped when it is dropped, and it can not be printed: there is no
/// `Debug`, `Display` or `Serialize`.
pub struct Passphrase(Zeroizing<Vec<u8>>);

/// More than this in a passphrase file means that it is the wrong file.
const MAX_LENGTH: usize = 1024;

impl Passphrase {
    /// Takes the bytes over.
    ///
    /// # Errors
    /// [`Error::PassphraseUnusable`] when it is empty or longer than 1024 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self> {
        Self::checked(Zeroizing::new(bytes))
    }

    /// Reads a passphrase from a file. One line end at the end of the file does not belong to it, nor does one byte order mark at
    /// its beginning.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::PassphraseUnusable`] for UTF-16, otherwise as [`Passphrase::new`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { what: "read the passphrase file", path: path.into(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        Self::read(file).map_err(io).and_then(Self::of_text)
    }

    /// Reads a passphrase from an open descriptor up to its end, as [`Passphrase::from_file`].
    ///
    /// # Errors
    /// [`Error::Io`] when reading fails, otherwise as [`Passphrase::new`].
    pub fn from_reader(reader: impl Read) -> Result<Self> {
        let io = |source| Error::Io {
            what: "read the passphrase from",
            path: "the given descriptor".into(),
            source,
        };
        Self::read(reader).map_err(io).and_then(Self::of_text)
    }

    /// Its bytes, for whatever decrypts.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn read(mut reader: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
        // Room for the longest passphrase, its mark and its line end, and one byte that shows it is too long:
        // the buffer never moves, so no copy of the secret is left behind.
        let mut buffer = Zeroizing::new(vec![0u8; MAX_LENGTH + 6]);
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        if buffer.last() == Some(&b'\n') {
            buffer.pop();
            if buffer.last() == Some(&b'\r') {
                buffer.pop();
            }
        }
        Ok(buffer)
    }

    fn of_text(mut bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        let text = without_byte_order_mark(&bytes);
        let text = text.ok_or(Error::PassphraseUnusable("it is UTF-16, and not UTF-8"))?;
        let mark = bytes.len() - text.len();
        bytes.drain(..mark);
        Self::checked(bytes)
    }

    fn checked(bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        match bytes.len() {
            0 => Err(Error::PassphraseUnusable("it is empty")),
            1..=MAX_LENGTH => Ok(Self(bytes)),
            _ => Err(Error::PassphraseUnusable("it is longer than 1024 bytes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped() {
        for (text, expected) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\n\n", "secret\n"),
            ("pä$$ wörd\n", "pä$$ wörd"),
            ("\u{feff}secret\r\n", "secret"),
            // Whoever has the mark in his passphrase writes it twice.
            ("\u{feff}\u{feff}secret", "\u{feff}secret"),
        ] {
            let passphrase = Passphrase::from_reader(text.as_bytes()).unwrap();
            assert_eq!(passphrase.as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn empty_and_endless_are_refused() {
        for bytes in [&b"\n"[..], b"\xEF\xBB\xBF\r\n", b"\xFF\xFEs\0\r\0\n\0", b"\xFE\xFF\0s"] {
            assert!(Passphrase::from_reader(bytes).is_err(), "{bytes:?}");
        }
        assert!(Passphrase::from_reader(std::io::repeat(b'x')).is_err());
        let longest = vec![b'x'; MAX_LENGTH];
        assert!(Passphrase::from_reader([&longest[..], b"\r\n"].concat().as_slice()).is_ok());
        assert!(Passphrase::new(vec![b'x'; MAX_LENGTH + 1]).is_err());
    }
}
