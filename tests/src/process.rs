//! Drivers that run until they are stopped or killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running driver. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts `program` with `arguments` and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not.
    pub fn start<A: AsRef<std::ffi::OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let name = format!("{command:?}");
        let mut child = command.spawn().expect("the process starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("its output can be read");
        assert!(!line.is_empty(), "{name} ended with {:?} before it was ready", child.wait());
        Self { child, name }
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// When the process had ended by itself.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("it can be waited for");
        assert!(ended.is_none(), "{} ended by itself: {ended:?}", self.name);
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Asks the process to end, by closing its input, and waits for it.
    ///
    /// # Panics
    /// When it fails or does not end.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(120) {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                assert!(status.success(), "{} ended with {status}", self.name);
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{} does not stop", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().ok(); // it may end by itself meanwhile
            self.child.wait().ok(); // as above
        }
    }
}
