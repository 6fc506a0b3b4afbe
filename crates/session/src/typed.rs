//! Backup sessions whose phase is their type: a call out of order does not compile (certbcli.md 7.1).

use std::marker::PhantomData;

use certadm_rules::flags::BackupType;
use certadm_rules::{PlainList, Tag, TaggedList};

use crate::source::{CallError, CallResult, Source};

/// The phase in which a full backup's databases are read.
#[derive(Debug)]
pub struct Databases;
/// The phase of a logs-only backup before its logs have been listed.
#[derive(Debug)]
pub struct LogsOnly;
/// The phase in which listed logs are read.
#[derive(Debug)]
pub struct Logs;
/// The phase after truncation.
#[derive(Debug)]
pub struct Truncated;
/// A file is open; afterwards the session is in phase `P` again.
#[derive(Debug)]
pub struct FileOpen<P>(PhantomData<P>);

/// A phase in which listed files may be opened.
pub trait Opens {}
impl Opens for Databases {}
impl Opens for Logs {}
impl Opens for Truncated {}

/// A phase that may end with success.
pub trait Ends {}
impl Ends for Logs {}
impl Ends for Truncated {}

/// A running backup. Dropping it in any phase ends it at the CA as aborted, and the CA notes no backup, although everything may have been
/// read: what was read became no set. A failed call ends it likewise, but for [`Session::truncate`].
///
/// ```
/// use certadm_session::{CallResult, Session, Source};
///
/// fn full(ca: &mut dyn Source) -> CallResult<()> {
///     let mut session = Session::prepare_full(ca)?;
///     let names: Vec<String> = session.database_names()?;
///     for name in &names {
///         let mut file = session.open(name, 0)?;
///         let mut buffer = vec![0; 512 * 1024];
///         while file.read(&mut buffer)? > 0 {}
///         session = file.close()?;
///     }
///     let (mut session, logs) = session.logs()?;
///     for name in &logs {
///         let mut file = session.open(name, 0)?;
///         let mut buffer = vec![0; 512 * 1024];
///         while file.read(&mut buffer)? > 0 {}
///         session = file.close()?;
///     }
///     session.truncate()?.end()
/// }
/// ```
///
/// No truncation before the logs were listed:
/// ```compile_fail,E0599
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<()> {
///     Session::prepare_full(ca)?.truncate()?.end()
/// }
/// ```
/// No second file while one is open:
/// ```compile_fail,E0382
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<()> {
///     let session = Session::prepare_full(ca)?;
///     let first = session.open("a", 0)?;
///     let second = session.open("b", 0)?;
///     Ok(())
/// }
/// ```
/// No read without an open file:
/// ```compile_fail,E0599
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<usize> {
///     Session::prepare_full(ca)?.read(&mut [0; 8192])
/// }
/// ```
/// No databases in a logs-only backup:
/// ```compile_fail,E0599
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<Vec<String>> {
///     Session::prepare_logs_only(ca)?.database_names()
/// }
/// ```
/// No success before the logs were listed:
/// ```compile_fail,E0599
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<()> {
///     Session::prepare_full(ca)?.end()
/// }
/// ```
/// Nothing after the end:
/// ```compile_fail,E0382
/// # use certadm_session::{CallResult, Session, Source};
/// fn wrong(ca: &mut dyn Source) -> CallResult<()> {
///     let (session, _) = Session::prepare_logs_only(ca)?.logs()?;
///     session.end()?;
///     session.truncate()?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Session<S: Source, P> {
    /// `None` once the session has moved on or ended.
    source: Option<S>,
    size: u64,
    phase: PhantomData<P>,
}

impl<S: Source> Session<S, Databases> {
    /// Begins a full backup.
    ///
    /// # Errors
    /// As [`Source::prepare`].
    pub fn prepare_full(mut source: S) -> CallResult<Self> {
        source.prepare(BackupType::Full)?;
        Ok(Self::new(source, 0))
    }

    /// The paths of the databases to read, without their tags.
    ///
    /// # Errors
    /// As [`Source::database_names`].
    pub fn database_names(&mut self) -> CallResult<Vec<String>> {
        Ok(names(&self.source()?.database_names()?, Tag::Database))
    }

    /// Ends the database phase: the CA closes its current log and lists the logs to read.
    ///
    /// # Errors
    /// As [`Source::backup_logs`].
    pub fn logs(self) -> CallResult<(Session<S, Logs>, Vec<String>)> {
        self.list_logs()
    }
}

impl<S: Source> Session<S, LogsOnly> {
    /// Begins a backup of the logs alone.
    ///
    /// # Errors
    /// As [`Source::prepare`].
    pub fn prepare_logs_only(mut source: S) -> CallResult<Self> {
        source.prepare(BackupType::LogsOnly)?;
        Ok(Self::new(source, 0))
    }

    /// The CA closes its current log and lists the logs to read.
    ///
    /// # Errors
    /// As [`Source::backup_logs`].
    pub fn logs(self) -> CallResult<(Session<S, Logs>, Vec<String>)> {
        self.list_logs()
    }
}

impl<S: Source> Session<S, Logs> {
    /// Deletes the logs that this backup makes redundant. Every listed byte must be safely stored before (invariant 4).
    ///
    /// # Errors
    /// As [`Source::truncate_logs`]. What is stored stands all the same: the backup has ended as one whose logs are kept.
    pub fn truncate(mut self) -> CallResult<Session<S, Truncated>> {
        if let Err(error) = self.source()?.truncate_logs() {
            if let Some(mut source) = self.source.take() {
                // The caller hears why the logs stay.
                source.end().ok();
            }
            return Err(error);
        }
        self.into_phase(0)
    }
}

impl<S: Source, P: Opens> Session<S, P> {
    /// Opens a listed file. `read_hint` is the size of the reads to come in bytes, 0 for no idea.
    ///
    /// # Errors
    /// As [`Source::open_file`].
    pub fn open(mut self, name: &str, read_hint: u32) -> CallResult<Session<S, FileOpen<P>>> {
        let size = self.source()?.open_file(name, read_hint)?;
        self.into_phase(size)
    }
}

impl<S: Source> Session<S, Truncated> {
    /// Whether [`Session::is_still_there`] may be asked, as [`Source::may_ask_again`].
    pub fn may_ask_again(&self) -> bool {
        self.source.as_ref().is_some_and(Source::may_ask_again)
    }

    /// Whether a listed log is still at the CA. Ask only where [`Session::may_ask_again`]: another CA may cancel the backup.
    ///
    /// # Errors
    /// As [`Source::open_file`], but for the code that says it is gone.
    pub fn is_still_there(&mut self, name: &str) -> CallResult<bool> {
        let source = self.source()?;
        match source.open_file(name, 0) {
            Ok(_) => source.close_file().map(|()| true),
            Err(error) if error.code == certadm_rules::Hresult::MISSING_FILE_TO_BACKUP => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl<S: Source, P> Session<S, FileOpen<P>> {
    /// Bytes that the reads will deliver in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads on; 0 bytes at the end.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        self.source()?.read(buffer)
    }

    /// Closes the file. One that was not read to its end counts as not backed up.
    ///
    /// # Errors
    /// As [`Source::close_file`].
    pub fn close(mut self) -> CallResult<Session<S, P>> {
        self.source()?.close_file()?;
        self.into_phase(0)
    }
}

impl<S: Source, P: Ends> Session<S, P> {
    /// Ends the backup.
    ///
    /// # Errors
    /// As [`Source::end`]; the session has ended all the same.
    pub fn end(mut self) -> CallResult<()> {
        match self.source.take() {
            Some(mut source) => source.end(),
            None => Err(ended("BackupEnd")),
        }
    }
}

impl<S: Source, P> Session<S, P> {
    /// The restore map, to be stored with the set.
    ///
    /// # Errors
    /// As [`Source::database_locations`].
    pub fn database_locations(&mut self) -> CallResult<TaggedList> {
        self.source()?.database_locations()
    }

    /// The files to copy by other means.
    ///
    /// # Errors
    /// As [`Source::dynamic_files`].
    pub fn dynamic_files(&mut self) -> CallResult<PlainList> {
        self.source()?.dynamic_files()
    }

    /// The files that the last [`Session::dynamic_files`] left out, as [`Source::unlisted_files`].
    pub fn unlisted_files(&self) -> &[String] {
        self.source.as_ref().map_or(&[], Source::unlisted_files)
    }

    /// Gives the backup up.
    ///
    /// # Errors
    /// As [`Source::abort`].
    pub fn abort(mut self) -> CallResult<()> {
        match self.source.take() {
            Some(mut source) => source.abort(),
            None => Ok(()),
        }
    }

    fn new(source: S, size: u64) -> Self {
        Self { source: Some(source), size, phase: PhantomData }
    }

    fn source(&mut self) -> CallResult<&mut S> {
        self.source.as_mut().ok_or_else(|| ended("the session"))
    }

    fn into_phase<Q>(mut self, size: u64) -> CallResult<Session<S, Q>> {
        self.source.take().map(|source| Session::new(source, size)).ok_or_else(|| ended("the session"))
    }

    fn list_logs(mut self) -> CallResult<(Session<S, Logs>, Vec<String>)> {
        let list = self.source()?.backup_logs()?;
        let mut paths = names(&list, Tag::Log);
        // Only a Windows 2000 era server lists these; they belong to the set as well (certbcli.md 6.7).
        paths.extend(names(&list, Tag::PatchFile));
        Ok((self.into_phase(0)?, paths))
    }
}

impl<S: Source, P> Drop for Session<S, P> {
    fn drop(&mut self) {
        if let Some(mut source) = self.source.take() {
            // The backup is given up; whatever the CA answers, there is nobody left to tell.
            source.abort().ok();
        }
    }
}

fn names(list: &TaggedList, tag: Tag) -> Vec<String> {
    list.paths(tag).map(str::to_owned).collect()
}

fn ended(call: &'static str) -> CallError {
    CallError::new(call, certadm_rules::Hresult::E_HANDLE)
}
