//! Runs a program under the fault shim (`shim/faults.c`).

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// No process under test may take longer than this; one that does hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What happens to the k-th file operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any operation that changes something, or flushes it, fails with EIO, once.
    Eio,
    /// An operation that takes space, or a flush, fails with ENOSPC, once.
    Enospc,
    /// A write writes half of its bytes and says so.
    Short,
    /// A read, or opening for reading, fails with EIO, once.
    Read,
    /// The process dies before an operation that changes something.
    Kill,
    /// The process dies after such an operation. Only of the last one is that another case than [`Kill`](Self::Kill): after any other
    /// the folder is as it is before the next.
    KillAfter,
    /// The process dies in the middle of a write.
    Torn,
    /// From this operation on nothing that takes space succeeds.
    Full,
    /// From this operation on nothing that changes something succeeds.
    Dead,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Eio,
        Self::Enospc,
        Self::Short,
        Self::Read,
        Self::Kill,
        Self::KillAfter,
        Self::Torn,
        Self::Full,
        Self::Dead,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Eio => "eio",
            Self::Enospc => "enospc",
            Self::Short => "short",
            Self::Read => "read",
            Self::Kill => "kill",
            Self::KillAfter => "killafter",
            Self::Torn => "torn",
            Self::Full => "full",
            Self::Dead => "dead",
        }
    }

    /// Whether the process outlives the fault.
    pub fn is_survived(self) -> bool {
        !matches!(self, Self::Kill | Self::KillAfter | Self::Torn)
    }

    /// Whether only one operation fails.
    pub fn is_single(self) -> bool {
        !matches!(self, Self::Full | Self::Dead)
    }
}

/// How a run under the shim went.
#[derive(Debug)]
pub struct Run {
    /// The operation that the fault hit and its path; `None` when the program made fewer operations.
    pub fired: Option<String>,
    /// How the program ended.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub errors: String,
}

/// Runs `command` with the `at`-th operation below `folder` failing. `work` is a folder for the shim's own files.
///
/// # Panics
/// When the program cannot be started or does not end.
pub fn run(mut command: Command, folder: &Path, kind: Kind, at: u64, work: &Path) -> Run {
    let report = work.join("fired");
    let errors = work.join("stderr");
    let folder = fs::canonicalize(folder).expect("the folder exists");
    command
        .env("LD_PRELOAD", library())
        .env("CERTADM_FAULT_DIR", folder)
        .env("CERTADM_FAULT_KIND", kind.name())
        .env("CERTADM_FAULT_AT", at.to_string())
        .env("CERTADM_FAULT_REPORT", &report)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&errors).expect("a file for the errors"));
    let mut child = command.spawn().expect("the program starts");
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the program can be waited for") {
            break status;
        }
        if started.elapsed() > TIME_LIMIT {
            child.kill().ok();
            child.wait().ok();
            panic!("the program hangs with {kind:?} at {at}: {:?}", fs::read_to_string(&report));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    Run {
        fired: fs::read_to_string(&report).ok().filter(|text| !text.is_empty()),
        status,
        errors: fs::read_to_string(&errors).unwrap_or_default(),
    }
}

/// Runs `command` without a fault and returns the name and path of every operation seen below `folder`.
///
/// # Panics
/// When the program fails.
pub fn operations(mut command: Command, folder: &Path, work: &Path) -> Vec<(String, String)> {
    let log = work.join("operations");
    let output = command
        .env("LD_PRELOAD", library())
        .env("CERTADM_FAULT_DIR", fs::canonicalize(folder).expect("the folder exists"))
        .env("CERTADM_FAULT_LOG", &log)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&log).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, path)| (name.to_owned(), path.to_owned()))
        .collect()
}

fn library() -> &'static Path {
    Path::new(concat!(env!("OUT_DIR"), "/libfaults.so"))
}
