//! What a backup is read from: a CA, wherever it is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use certadm_rules::diagnosis::Class;
use certadm_rules::flags::BackupType;
use certadm_rules::{Diagnosis, Hresult, PlainList, TaggedList};

/// A call on a CA that failed. Where the cause is known on this side, text, class and advice are those of the cause.
#[derive(Debug)]
pub struct CallError {
    /// The call, by its name in the C API without its prefix (`BackupPrepare`).
    pub call: &'static str,
    /// Its result (certbcli.md 14).
    pub code: Hresult,
    /// What lay behind the result, where it is known on this side.
    pub source: Option<Box<dyn Diagnosis>>,
}

impl CallError {
    /// An error that is nothing but its code.
    pub fn new(call: &'static str, code: Hresult) -> Self {
        Self { call, code, source: None }
    }

    /// An error with what caused it, which also has its code.
    pub fn because(call: &'static str, source: impl Diagnosis + 'static) -> Self {
        Self { call, code: source.hresult(), source: Some(Box::new(source)) }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f),
            None => write!(f, "{} failed: {}", self.call, self.code.text()),
        }
    }
}

impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().and_then(|source| source.source())
    }
}

impl Diagnosis for CallError {
    fn hresult(&self) -> Hresult {
        self.code
    }

    fn class(&self) -> Class {
        self.source.as_ref().map_or(self.code.class(), |source| source.class())
    }

    fn remedy(&self) -> Cow<'static, str> {
        self.source.as_ref().map_or_else(|| self.code.remedy(), |source| source.remedy())
    }
}

/// Another backup runs: whose it is and since when, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherBackup(pub String);

impl fmt::Display for OtherBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another backup of this CA is running ({})", self.0)
    }
}

impl Error for OtherBackup {}

impl Diagnosis for OtherBackup {
    fn hresult(&self) -> Hresult {
        Hresult::BACKUP_IN_PROGRESS
    }

    fn class(&self) -> Class {
        self.hresult().class()
    }

    fn remedy(&self) -> Cow<'static, str> {
        self.hresult().remedy()
    }
}

/// The result of a call on a CA.
pub type CallResult<T> = Result<T, CallError>;

/// One server object of a CA: the backup half of the API, call by call (certbcli.md 6, MS-CSRA 3.1.4.1).
///
/// The object *is* the session: there is at most one backup on it. It answers calls out of order with the codes of
/// certbcli.md 7.1; [`crate::Session`] makes them impossible to write.
pub trait Source {
    /// Whether the CA serves requests and the caller may read it (certbcli.md 6.1, D7).
    ///
    /// # Errors
    /// 0x800706BA when it does not run.
    fn is_online(&mut self) -> CallResult<bool>;

    /// Begins a backup (6.2).
    ///
    /// # Errors
    /// 0xC80001F9 while another runs, 0xC8000230 and 0xC800020E for logs only, `E_ACCESSDENIED`.
    fn prepare(&mut self, kind: BackupType) -> CallResult<()>;

    /// The restore map: database file, log directory, system directory (6.17).
    ///
    /// # Errors
    /// Access and transport only.
    fn database_locations(&mut self) -> CallResult<TaggedList>;

    /// The databases of a full backup (6.3).
    ///
    /// # Errors
    /// 0xC8000209 in a logs-only backup.
    fn database_names(&mut self) -> CallResult<TaggedList>;

    /// Opens a listed file, its tag removed; returns the bytes that reads will deliver (6.4). `read_hint` is the size
    /// of the reads to come in bytes, 0 for no idea.
    ///
    /// # Errors
    /// As certbcli.md 7.1 and D9.
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64>;

    /// Reads on; fills `buffer` except at the end, 0 bytes after it (6.5, D10).
    ///
    /// # Errors
    /// A failed read of a database closes it; of a log, it ends the backup.
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize>;

    /// Closes the open file (6.6).
    ///
    /// # Errors
    /// `E_UNEXPECTED` when none is open.
    fn close_file(&mut self) -> CallResult<()>;

    /// The logs of this backup; the first call ends the database phase and the current log (6.7).
    ///
    /// # Errors
    /// 0xC8000209 while a file is open.
    fn backup_logs(&mut self) -> CallResult<TaggedList>;

    /// Deletes the logs this backup makes redundant (6.8).
    ///
    /// # Errors
    /// 0xC8000268 when anything listed is unread.
    fn truncate_logs(&mut self) -> CallResult<()>;

    /// Whether logs may be asked for once more between [`Source::truncate_logs`] and [`Source::end`]. A Windows CA may cancel the
    /// backup when a log is not there (6.4), and writes its marks at the end alone (6.9): with its logs gone and no mark, it takes
    /// no log backup any more. So only a CA that is certainly our own says yes.
    fn may_ask_again(&self) -> bool {
        false
    }

    /// Files outside the database to copy by other means (6.11).
    ///
    /// # Errors
    /// Access and transport only.
    fn dynamic_files(&mut self) -> CallResult<PlainList>;

    /// The files that the last [`Source::dynamic_files`] left out, for messages: their names have no UNC form
    /// (certbcli.md D29). None where the CA is asked over a protocol, which has no place for them.
    fn unlisted_files(&self) -> &[String] {
        &[]
    }

    /// Ends the backup; success is the CA's word that it is complete (6.9).
    ///
    /// # Errors
    /// 0xC8000320 when a full backup ends before everything was read.
    fn end(&mut self) -> CallResult<()>;

    /// Gives the backup up, so that the CA notes none, although it may have delivered everything: what it delivered became no set.
    /// Where the logs were deleted the set stands, and this is [`Source::end`].
    ///
    /// # Errors
    /// 0xC8000320 as a rule: the backup is over.
    fn abort(&mut self) -> CallResult<()>;
}

impl<S: Source + ?Sized> Source for &mut S {
    fn is_online(&mut self) -> CallResult<bool> {
        (**self).is_online()
    }

    fn prepare(&mut self, kind: BackupType) -> CallResult<()> {
        (**self).prepare(kind)
    }

    fn database_locations(&mut self) -> CallResult<TaggedList> {
        (**self).database_locations()
    }

    fn database_names(&mut self) -> CallResult<TaggedList> {
        (**self).database_names()
    }

    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        (**self).open_file(name, read_hint)
    }

    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        (**self).read(buffer)
    }

    fn close_file(&mut self) -> CallResult<()> {
        (**self).close_file()
    }

    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        (**self).backup_logs()
    }

    fn truncate_logs(&mut self) -> CallResult<()> {
        (**self).truncate_logs()
    }

    fn may_ask_again(&self) -> bool {
        (**self).may_ask_again()
    }

    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        (**self).dynamic_files()
    }

    fn unlisted_files(&self) -> &[String] {
        (**self).unlisted_files()
    }

    fn end(&mut self) -> CallResult<()> {
        (**self).end()
    }

    fn abort(&mut self) -> CallResult<()> {
        (**self).abort()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the tape is torn")]
    struct Torn(#[source] std::io::Error);

    impl Diagnosis for Torn {
        fn hresult(&self) -> Hresult {
            Hresult::E_FAIL
        }

        fn class(&self) -> Class {
            Class::Damaged
        }

        fn remedy(&self) -> Cow<'static, str> {
            Cow::Borrowed("take another tape")
        }
    }

    #[test]
    fn a_call_says_what_its_cause_says() {
        let torn = CallError::because("BackupRead", Torn(std::io::Error::other("at byte 7")));
        assert_eq!(certadm_rules::diagnosis::chain_of(&torn), "the tape is torn: at byte 7");
        assert_eq!((torn.hresult(), torn.class()), (Hresult::E_FAIL, Class::Damaged));
        assert_eq!(torn.remedy(), "take another tape");
        let bare = CallError::new("BackupPrepare", Hresult::BACKUP_IN_PROGRESS);
        assert!(bare.to_string().starts_with("BackupPrepare failed: another backup"), "{bare}");
        assert_eq!((bare.class(), bare.remedy()), (Class::Refused, Hresult::BACKUP_IN_PROGRESS.remedy()));
    }
}
