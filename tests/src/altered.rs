//! A real CA of which a test alters some calls.

use certadm_rules::{BackupType, PlainList, TaggedList};
use certadm_session::{CallResult, LocalSource, Source};

/// A CA, and what is different with it: a call that is not written anew is the CA's own.
#[allow(clippy::missing_errors_doc)] // those of `Source`
pub trait Altered {
    /// The CA.
    fn ca(&mut self) -> &mut LocalSource;

    /// See [`Source::open_file`].
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        self.ca().open_file(name, read_hint)
    }

    /// See [`Source::read`].
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        self.ca().read(buffer)
    }

    /// See [`Source::truncate_logs`].
    fn truncate_logs(&mut self) -> CallResult<()> {
        self.ca().truncate_logs()
    }

    /// See [`Source::may_ask_again`].
    fn may_ask_again(&self) -> bool {
        true
    }

    /// See [`Source::dynamic_files`].
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        self.ca().dynamic_files()
    }
}

/// Such a CA as a source of backups.
#[derive(Debug)]
pub struct Through<T>(pub T);

impl<T: Altered> Source for Through<T> {
    fn is_online(&mut self) -> CallResult<bool> {
        self.0.ca().is_online()
    }
    fn prepare(&mut self, kind: BackupType) -> CallResult<()> {
        self.0.ca().prepare(kind)
    }
    fn database_locations(&mut self) -> CallResult<TaggedList> {
        self.0.ca().database_locations()
    }
    fn database_names(&mut self) -> CallResult<TaggedList> {
        self.0.ca().database_names()
    }
    fn open_file(&mut self, name: &str, read_hint: u32) -> CallResult<u64> {
        self.0.open_file(name, read_hint)
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        self.0.read(buffer)
    }
    fn close_file(&mut self) -> CallResult<()> {
        self.0.ca().close_file()
    }
    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        self.0.ca().backup_logs()
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        self.0.truncate_logs()
    }
    fn may_ask_again(&self) -> bool {
        self.0.may_ask_again()
    }
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        self.0.dynamic_files()
    }
    fn end(&mut self) -> CallResult<()> {
        self.0.ca().end()
    }
    fn abort(&mut self) -> CallResult<()> {
        self.0.ca().abort()
    }
}
