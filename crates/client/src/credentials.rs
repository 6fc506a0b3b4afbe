//! Who logs on: accounts as users write them, and passwords that never pass through a command line (invariant 10).

use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_auth::{AccountName, Password};
use certadm_files::read::without_byte_order_mark;
use zeroize::Zeroizing;

use crate::error::Error;

/// Who logs on, and what proves it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// An account and its password.
    Password(certadm_auth::Credentials),
    /// A file with the keys of an account, for Kerberos.
    Keytab {
        /// The account; without it the only one that the file has keys of.
        account: Option<AccountName>,
        /// The file.
        path: PathBuf,
    },
    /// Tickets that somebody got before, for instance by `kinit`.
    Cache {
        /// The file; without it where this user's tickets are (`KRB5CCNAME`, krb5.conf).
        path: Option<PathBuf>,
    },
}

impl From<certadm_auth::Credentials> for Credentials {
    fn from(credentials: certadm_auth::Credentials) -> Self {
        Self::Password(credentials)
    }
}

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

/// Reads a password from a file, as [`read_password`] does. A file that others can read is told in an event and used all the
/// same: refusing it would keep no secret.
///
/// # Errors
/// [`Error::PasswordSource`] when the file cannot be read; otherwise as [`read_password`].
pub fn password_from_file(path: &Path) -> Result<Password, Error> {
    let file = std::fs::File::open(path)
        .map_err(|source| Error::PasswordSource { place: path.display().to_string(), source })?;
    if certadm_files::is_exposed(path) {
        let remedy = "give it mode 0600 (chmod 600)";
        tracing::warn!(remedy, "others can read the password file {}", path.display());
    }
    let mut password = read_password(file, &path.display().to_string())?;
    Ok(Password::new(std::mem::take(&mut *password)))
}

/// Reads a password up to the end of `reader`, which messages call `place`. One line end at the end does not belong to it, nor
/// does one byte order mark at the beginning.
///
/// # Errors
/// [`Error::PasswordSource`] when reading fails, [`Error::PasswordUnusable`] when it is empty, longer than 1024 bytes,
/// not UTF-8, of more than one line, or holds a NUL.
pub fn read_password(mut reader: impl Read, place: &str) -> Result<Zeroizing<String>, Error> {
    // Room for the longest password, its mark and line end, and one byte more: the buffer never moves, so that no copy stays.
    let mut buffer = Zeroizing::new([0u8; MAX_PASSWORD + 6]);
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
    let bytes = without_byte_order_mark(buffer.get(..filled).unwrap_or_default());
    let bytes = bytes.ok_or_else(|| unusable("UTF-16, and not UTF-8"))?;
    let bytes = bytes.strip_suffix(b"\n").map_or(bytes, |line| line.strip_suffix(b"\r").unwrap_or(line));
    if MAX_PASSWORD < bytes.len() {
        return Err(unusable("longer than 1024 bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| unusable("not UTF-8 text"))?;
    if text.is_empty() {
        return Err(unusable("empty"));
    }
    if text.contains(['\n', '\0']) {
        return Err(unusable("more than one line, or holds a NUL"));
    }
    Ok(Zeroizing::new(text.to_owned()))
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
        for text in ["secret", "secret\n", "secret\r\n", "\u{feff}secret\r\n"] {
            assert_eq!(read_password(text.as_bytes(), "test").unwrap().as_str(), "secret", "{text:?}");
        }
        assert_eq!(read_password("pä$$ wörd\n".as_bytes(), "test").unwrap().as_str(), "pä$$ wörd");
        for bytes in [&b""[..], b"\n", b"\r\n", b"\xff", b"one\ntwo", b"one\n\n", b"a\0b", b"\xEF\xBB\xBF"] {
            let error = read_password(bytes, "test").unwrap_err();
            assert!(matches!(error, Error::PasswordUnusable { .. }), "{bytes:?} {error}");
        }
        let error = read_password(&b"\xFF\xFEs\0"[..], "test").unwrap_err();
        assert!(error.to_string().contains("UTF-16"), "{error}");
        assert!(read_password(std::io::repeat(b'x'), "test").is_err());
        let longest = vec![b'x'; MAX_PASSWORD];
        assert!(read_password([&longest[..], b"\r\n"].concat().as_slice(), "test").is_ok());
    }
}
