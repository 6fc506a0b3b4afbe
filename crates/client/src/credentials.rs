//! Who logs on: accounts as users write them, and passwords that never pass through a command line (invariant 10).

use std::io::Read;
use std::path::Path;

use certadm_auth::{AccountName, Password};
use zeroize::Zeroizing;

use crate::error::Error;

/// More bytes than this mean that it is the wrong file.
const MAX_PASSWORD: usize = 1024;

/// An account as a user writes it: `DOMAIN\user`, `user@domain`, or `user` alone.
///
/// `user@domain` is kept whole, as Windows sends it: the server finds the domain by it.
///
/// # Errors
/// [`Error::Account`] when there is no user in it, or more than one separator.
pub fn account(text: &str) -> Result<AccountName, Error> {
    let wrong = || Error::Account { account: text.to_owned() };
    let (domain, user) = text.split_once('\\').unwrap_or(("", text));
    let whole_name = domain.is_empty() && !text.starts_with('\\');
    let at_signs = user.matches('@').count();
    if user.is_empty()
        || user.contains('\\')
        || text.chars().any(char::is_control)
        || (!whole_name && (domain.is_empty() || at_signs > 0))
        || at_signs > 1
        || user.starts_with('@')
        || user.ends_with('@')
    {
        return Err(wrong());
    }
    Ok(AccountName::new(domain, user))
}

/// Reads a password from a file. One line end at the end of the file does not belong to it.
///
/// # Errors
/// [`Error::PasswordSource`] when the file cannot be read; otherwise as [`password_from`].
pub fn password_from_file(path: &Path) -> Result<Password, Error> {
    let file = std::fs::File::open(path)
        .map_err(|source| Error::PasswordSource { place: path.display().to_string(), source })?;
    password_from(file, &path.display().to_string())
}

/// Reads a password up to the end of `reader`, which messages call `place`.
///
/// # Errors
/// [`Error::PasswordSource`] when reading fails, [`Error::PasswordUnusable`] when it is empty, longer than 1024 bytes,
/// or not UTF-8.
pub fn password_from(mut reader: impl Read, place: &str) -> Result<Password, Error> {
    // Room for the longest password, its line end and one byte more: the buffer never moves, so that no copy stays.
    let mut buffer = Zeroizing::new([0u8; MAX_PASSWORD + 3]);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match reader.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::PasswordSource { place: place.to_owned(), source }),
        }
    }
    let unusable = |detail| Error::PasswordUnusable { place: place.to_owned(), detail };
    let bytes = buffer.get(..filled).unwrap_or_default();
    let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if MAX_PASSWORD < bytes.len() {
        return Err(unusable("longer than 1024 bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| unusable("not UTF-8 text"))?;
    if text.is_empty() {
        return Err(unusable("empty"));
    }
    Ok(Password::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_in_every_form() {
        for (text, domain, user) in [
            ("CORP\\alice", "CORP", "alice"),
            ("alice@corp.example", "", "alice@corp.example"),
            ("alice", "", "alice"),
        ] {
            let account = account(text).unwrap();
            assert_eq!((account.domain(), account.user()), (domain, user));
        }
        for text in
            ["", "\\", "CORP\\", "\\alice", "A\\B\\c", "a@b@c", "@corp", "alice@", "CORP\\a@b", "a\nb"]
        {
            assert!(account(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_one_line_and_bounded() {
        for text in ["secret", "secret\n", "secret\r\n", "pä$$ wörd\n"] {
            assert!(password_from(text.as_bytes(), "test").is_ok(), "{text:?}");
        }
        assert!(password_from(&b""[..], "test").is_err());
        assert!(password_from(&b"\n"[..], "test").is_err());
        assert!(password_from(&b"\xff"[..], "test").is_err());
        assert!(password_from(std::io::repeat(b'x'), "test").is_err());
        let longest = vec![b'x'; MAX_PASSWORD];
        assert!(password_from([&longest[..], b"\r\n"].concat().as_slice(), "test").is_ok());
        let shown = format!("{:?}", password_from(&b"hunter2"[..], "test"));
        assert!(!shown.contains("hunter2"));
    }
}
