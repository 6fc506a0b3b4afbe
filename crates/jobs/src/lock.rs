//! One run a CA at a time, and one agent a folder of records. The lock of a CA is held by the run and, through an inherited
//! descriptor, by the command that it has started: when a run is killed, its command still holds it until it ends. Not on
//! Windows, where a lock is its process's alone (`children.rs`).

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use certadm_files::{IoContext, Result, durable, lock};

use crate::config::{Ca, Config};

/// The file among the records that an agent holds the lock of while it runs.
pub const OF_AGENT: &str = "agent.lock";
/// For how long an agent that finds the records taken tries again: who asks whether an agent works with them ([`is_agent_gone`])
/// shares the lock for a moment.
pub const PROBES: Duration = Duration::from_secs(2);

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
        Ok(lock::try_lock(&path)?.map(|file| Self { file }))
    }

    /// Takes it, and waits up to so many seconds while another run has it.
    ///
    /// # Errors
    /// Those of the system, and [`certadm_files::Error::Cancelled`].
    pub fn wait(config: &Config, ca: &Ca, seconds: u64) -> Result<Option<Self>> {
        lock::within(Duration::from_secs(seconds), || Self::take(config, ca))
    }

    /// A second handle of the same lock, for a process that is to hold it, too.
    ///
    /// # Errors
    /// Those of the system.
    pub fn share(&self) -> Result<File> {
        self.file.try_clone().during("share", Path::new("the lock of a CA"))
    }
}

/// Takes the lock of the agent that works with these records, and tries for so long while somebody else has it; `None` when another
/// agent works with them.
///
/// # Errors
/// Those of the system, and [`certadm_files::Error::Cancelled`].
pub fn of_agent(records: &Path, patience: Duration) -> Result<Option<File>> {
    durable::create_dir(records)?;
    lock::within(patience, || lock::try_lock(&records.join(OF_AGENT)))
}

/// Whether no agent works with these records. Where that cannot be told, one does.
#[must_use]
pub fn is_agent_gone(records: &Path) -> bool {
    let path = records.join(OF_AGENT);
    match path.try_exists() {
        Ok(true) => {
            durable::open_or_create(&path).is_ok_and(|file| lock::try_shared(&file, &path).unwrap_or(false))
        }
        Ok(false) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

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

    /// `status` shared the lock at the moment at which the agent was started, which then ended: "another agent works with [...]".
    #[test]
    fn an_agent_tries_again_while_somebody_only_asks_whether_there_is_one() {
        let dir = certadm_files::scratch::for_test();
        let records = dir.path().join("state");
        let ask = || {
            let asking = durable::open_or_create(&records.join(OF_AGENT)).unwrap();
            asking.try_lock_shared().unwrap();
            asking
        };
        let agent = of_agent(&records, Duration::ZERO).unwrap().unwrap();
        assert!(!is_agent_gone(&records));
        let began = Instant::now();
        assert!(of_agent(&records, PROBES).unwrap().is_none(), "another agent works with them");
        assert!(PROBES <= began.elapsed(), "it gave up at once");
        drop(agent);
        assert!(is_agent_gone(&records));
        let asking = ask();
        assert!(of_agent(&records, Duration::ZERO).unwrap().is_none());
        let waiting = thread::spawn({
            let records = records.clone();
            move || of_agent(&records, Duration::from_secs(600)).map(|lock| lock.is_some())
        });
        drop(asking);
        assert!(waiting.join().unwrap().unwrap(), "who asked is done");
    }
}
