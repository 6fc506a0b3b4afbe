//! What a file says at each moment, for a service that runs for months: the file is read again when it has changed.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;

/// What tells a file from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// When it was written.
    modified: SystemTime,
    /// When it or its mode, owner or names changed, in seconds and nanoseconds; zeros on Windows. A mode that was put right
    /// shows here alone.
    changed: (i64, i64),
    size: u64,
    /// What tells it from the one that it replaced: its inode, on Windows the time of its creation.
    number: u64,
}

impl Stamp {
    /// That of a file at this moment; none of one that is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let (changed, number) = {
            use std::os::unix::fs::MetadataExt;
            ((metadata.ctime(), metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(windows)]
        let (changed, number) = ((0, 0), std::os::windows::fs::MetadataExt::creation_time(&metadata));
        Some(Self { modified: metadata.modified().ok()?, changed, size: metadata.len(), number })
    }
}

/// Why a file cannot be used.
pub(crate) type Failure = Box<dyn Diagnosis>;

/// Any error as one.
pub(crate) fn failure(error: impl Diagnosis + 'static) -> Failure {
    Box::new(error)
}

/// What a file says. While the file cannot be used it says nothing, and each look reads it again: what keeps it from being read,
/// such as too many open files, may go without a trace in the file.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    /// Of the file before it was read, so that a change in between is seen. None where the next look reads it again.
    stamp: Option<Stamp>,
    /// None while the file cannot be used.
    value: Option<T>,
    /// What the log has of the failure that lasts, so that the log gets it once.
    failure: Option<String>,
}

impl<T> Watched<T> {
    /// Of a file that was not read yet.
    pub(crate) const fn unread() -> Self {
        Self { stamp: None, value: None, failure: None }
    }

    /// With what was read of the file when it had this stamp; without a stamp, until the first look.
    pub(crate) const fn with(stamp: Option<Stamp>, value: T) -> Self {
        Self { stamp, value: Some(value), failure: None }
    }

    /// What it says without a look at the file.
    pub(crate) const fn held(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// What the file says now. A failure goes into the log with what follows from it, once as long as it is the same, and
    /// so does its end.
    pub(crate) fn look(
        &mut self,
        path: &Path,
        read: impl FnOnce() -> Result<T, Failure>,
        consequence: &'static str,
    ) -> Option<&T> {
        let stamp = Stamp::of(path);
        if stamp.is_none() || stamp != self.stamp {
            match read() {
                Ok(value) => {
                    (self.stamp, self.value) = (stamp, Some(value));
                    if self.failure.take().is_some() {
                        tracing::warn!(path = %path.display(), "the file can be used again");
                    }
                }
                Err(error) => {
                    (self.stamp, self.value) = (None, None);
                    self.tell(&*error, consequence);
                }
            }
        }
        self.value.as_ref()
    }

    fn tell(&mut self, error: &dyn Diagnosis, consequence: &'static str) {
        let text = chain_of(error);
        if self.failure.as_ref() != Some(&text) {
            let code = error.hresult();
            tracing::error!(error = %text, %code, remedy = %error.remedy(), "{consequence}");
            self.failure = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use certadm_rules::Hresult;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "text").unwrap();
        (folder, path)
    }

    /// What fails although nothing of the file changes, such as too many open files.
    #[test]
    fn a_failure_that_passes_without_a_trace_is_forgotten() {
        let (_folder, path) = file();
        let mut watched = Watched::unread();
        let mut look = |result: Result<u32, Hresult>| {
            let read = || result.map_err(failure);
            watched.look(&path, read, "nothing works").copied()
        };
        assert_eq!(look(Err(Hresult::E_OUTOFMEMORY)), None);
        assert_eq!(look(Ok(7)), Some(7));
        assert_eq!(look(Ok(8)), Some(7), "it has not changed, and is not read");
    }

    #[cfg(unix)]
    #[test]
    fn a_mode_is_a_change() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = file();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let before = Stamp::of(&path);
        // The clock of a file system may stand still for some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(before.is_some() && before != Stamp::of(&path));
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_its_end() {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (_folder, path) = file();
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(subscriber.finish(), || {
            let mut watched = Watched::unread();
            let mut look = |result: Result<(), Hresult>| {
                let read = || result.map_err(failure);
                watched.look(&path, read, "nothing works");
            };
            for _ in 0..3 {
                look(Err(Hresult::E_OUTOFMEMORY));
            }
            look(Err(Hresult::E_ACCESSDENIED));
            look(Ok(()));
            look(Ok(()));
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("nothing works").count(), 2, "{text}");
        assert_eq!(text.matches("can be used again").count(), 1, "{text}");
    }
}
