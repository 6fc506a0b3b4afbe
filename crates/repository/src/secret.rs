//! What opens a repository: a key file for machines, a password for people (repository.md 7).

use std::fmt;
use std::path::Path;

use certadm_files::{Access, durable, read};
use rustic_core::Credentials;
use rustic_core::repofile::MasterKey;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::words::{self, Typed};

/// No key file and no password is longer, in bytes.
const MAX_FILE: u64 = 4096;
/// A key or a password, and where it came from. It cannot be printed.
#[derive(Clone)]
pub struct Secret {
    credentials: Credentials,
    origin: String,
    /// Whether it is the key of one repository alone, which was made then: the file is written before the repository.
    vouches: bool,
    /// What keeps a password from being the recovery code that it seems to be.
    doubt: Option<String>,
}

impl Secret {
    /// Makes a new random key.
    #[must_use]
    pub fn generate(origin: &Path) -> Self {
        let credentials = Credentials::Masterkey(MasterKey::new());
        Self { credentials, origin: origin.display().to_string(), vouches: true, doubt: None }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`Error::Secret`] when the file holds something else, [`Error::File`].
    pub fn from_key_file(path: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(read::bounded(path, MAX_FILE)?);
        let wrong = |detail: &str| Error::Secret { path: path.to_owned(), detail: detail.to_owned() };
        let key: MasterKey =
            serde_json::from_slice(&bytes).map_err(|_| wrong("it is not what `repository init` writes"))?;
        // The engine takes lengths on trust.
        if (key.encrypt.len(), key.mac.k.len(), key.mac.r.len()) != (32, 16, 16) {
            return Err(wrong("its keys have the wrong lengths"));
        }
        let credentials = Credentials::Masterkey(key);
        Ok(Self { credentials, origin: path.display().to_string(), vouches: true, doubt: None })
    }

    /// Reads a password from a file; one line end behind it does not count, nor does one byte order mark before it.
    ///
    /// # Errors
    /// [`Error::Secret`] when there is none, [`Error::File`].
    pub fn from_password_file(path: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(read::bounded(path, MAX_FILE)?);
        let text = read::without_byte_order_mark(&bytes).unwrap_or_default();
        let text = std::str::from_utf8(text).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            let detail = "it is empty, or no text in UTF-8".to_owned();
            return Err(Error::Secret { path: path.to_owned(), detail });
        }
        Ok(Self::from_password(text, path))
    }

    /// A password from elsewhere. A recovery code is read as people write it.
    #[must_use]
    pub fn from_password(password: &str, origin: &Path) -> Self {
        let origin = origin.display().to_string();
        let (credentials, doubt) = match words::read(password) {
            Typed::Code(code) => (Credentials::password(code.as_str()), None),
            Typed::Nearly(doubt) => (Credentials::password(password), Some(doubt)),
            Typed::Password => (Credentials::password(password), None),
        };
        Self { credentials, origin, vouches: false, doubt }
    }

    /// Writes the key into a new file that its owner alone can read.
    ///
    /// # Errors
    /// [`Error::Secret`] for a password, which is no key; [`Error::File`], also when there is a file already.
    pub fn write_key_file(&self, path: &Path) -> Result<()> {
        let Credentials::Masterkey(key) = &self.credentials else {
            let detail = "a password is no key".to_owned();
            return Err(Error::Secret { path: path.to_owned(), detail });
        };
        let text = serde_json::to_vec(key)
            .map_err(|error| Error::Secret { path: path.to_owned(), detail: error.to_string() })?;
        Ok(durable::create(path, &Zeroizing::new(text), Access::Owner)?)
    }

    /// The same key where other repositories have it, too: that it is there does not say that this one was made.
    pub(crate) fn of_several(self) -> Self {
        Self { vouches: false, ..self }
    }

    /// The file of a key that says that its repository was made.
    pub(crate) fn voucher(&self) -> Option<&Path> {
        self.vouches.then_some(Path::new(&self.origin))
    }

    /// The password; `None` for a key.
    pub(crate) fn password(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Password(password) => Some(password),
            Credentials::Masterkey(_) => None,
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }

    /// Where it came from, for messages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The same for whoever hears that it opens nothing, with what may be the reason.
    pub(crate) fn told(&self) -> String {
        match &self.doubt {
            Some(doubt) => format!("{} ({doubt})", self.origin),
            None => self.origin.clone(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("origin", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_as_it_was_written_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vault.key");
        let secret = Secret::generate(&path);
        secret.write_key_file(&path).unwrap();
        assert!(secret.write_key_file(&path).is_err());
        let (Credentials::Masterkey(one), Credentials::Masterkey(other)) =
            (secret.credentials(), Secret::from_key_file(&path).unwrap().credentials())
        else {
            panic!("both are keys")
        };
        assert_eq!((one.encrypt, one.mac.k, one.mac.r), (other.encrypt, other.mac.k, other.mac.r));
        assert!(!format!("{secret:?}").contains("Masterkey"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        for wrong in ["", "{}", r#"{"mac":{"k":"AAAA","r":"AAAA"},"encrypt":"AAAA"}"#] {
            std::fs::write(&path, wrong).unwrap();
            assert!(matches!(Secret::from_key_file(&path), Err(Error::Secret { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_what_stands_before_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (content, expected) in
            [("a b\n", Some("a b")), ("\u{feff}a\r\n", Some("a")), ("a", Some("a")), ("\u{feff}\n", None)]
        {
            std::fs::write(&path, content).unwrap();
            let read = Secret::from_password_file(&path).ok().map(|secret| match secret.credentials() {
                Credentials::Password(password) => password,
                Credentials::Masterkey(_) => String::new(),
            });
            assert_eq!(read.as_deref(), expected, "{content:?}");
        }
    }
}
