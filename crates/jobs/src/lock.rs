//! One run a CA at a time. The lock is held by the run and, through an inherited descriptor, by the command that it has
//! started: when a run is killed, its command still holds it until it ends. Not on Windows, where a lock is its process's alone
//! (`children.rs`).

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use certadm_files::{Error, IoContext, Result, cancel, durable};

use crate::config::{Ca, Config};

/// The file among the records that an agent holds the lock of while it runs.
pub const OF_AGENT: &str = "agent.lock";
/// How often it is tried again.
const GLANCE: Duration = Duration::from_millis(50);

/// The lock of a CA.
#[derive(Debug)]
pub struct CaLock {
    file: File,
}

impl CaLock {
    /// Takes it; `None` while another run has it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn take(config: &Config, ca: &Ca) -> Result<Option<Self>> {
        let path = config.state.join("locks").join(format!("{}.lock", ca.name));
        durable::create_dir(path.parent().unwrap_or(Path::new(".")))?;
        let file = durable::open_or_create(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
        }
    }

    /// Takes it, and waits up to so many seconds while another run has it.
    ///
    /// # Errors
    /// Those of the system, and [`Error::Cancelled`].
    pub fn wait(config: &Config, ca: &Ca, seconds: u64) -> Result<Option<Self>> {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            match Self::take(config, ca)? {
                None if Instant::now() < end => {
                    cancel::check()?;
                    thread::sleep(GLANCE);
                }
                other => return Ok(other),
            }
        }
    }

    /// A second handle of the same lock, for a process that is to hold it, too.
    ///
    /// # Errors
    /// Those of the system.
    pub fn share(&self) -> Result<File> {
        self.file.try_clone().during("share", Path::new("the lock of a CA"))
    }
}

/// Whether no agent works with these records. Where that cannot be told, one does.
#[must_use]
pub fn is_agent_gone(records: &Path) -> bool {
    let path = records.join(OF_AGENT);
    match path.try_exists() {
        Ok(true) => durable::open_or_create(&path).is_ok_and(|file| file.try_lock_shared().is_ok()),
        Ok(false) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_runs_one_has_the_ca_and_a_shared_handle_holds_it() {
        let dir = certadm_files::scratch::for_test();
        let text = "[ca]\na = { dir = 'x' }\nb = { dir = 'y' }\n";
        let mut config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        config.state = dir.path().to_owned();
        let [a, b] = ["a", "b"].map(|name| config.ca(name).unwrap().clone());
        let lock = CaLock::take(&config, &a).unwrap().unwrap();
        assert!(CaLock::take(&config, &a).unwrap().is_none());
        assert!(CaLock::take(&config, &b).unwrap().is_some());
        assert!(CaLock::wait(&config, &a, 0).unwrap().is_none());
        assert!(CaLock::wait(&config, &b, 60).unwrap().is_some(), "there is nothing to wait for");
        let shared = lock.share().unwrap();
        drop(lock);
        assert!(CaLock::take(&config, &a).unwrap().is_none(), "whoever has a handle has the lock");
        let waiting = thread::spawn({
            let (config, a) = (config.clone(), a.clone());
            move || CaLock::wait(&config, &a, 600).map(|lock| lock.is_some())
        });
        drop(shared);
        assert!(waiting.join().unwrap().unwrap(), "who waits gets it");
        assert!(CaLock::take(&config, &a).unwrap().is_some());
    }
}
