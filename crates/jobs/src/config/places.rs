//! Where a configuration and its records lie on this machine.

use std::path::PathBuf;

/// The variable by which systemd names the folder of a service's state.
const STATE_VARIABLE: &str = "STATE_DIRECTORY";

/// A variable that says something.
pub(super) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The folder of this program among the data of all users of a Windows.
pub(super) fn program_data() -> PathBuf {
    variable("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into()).join("certadm")
}

/// Where the state of jobs is kept if the file does not say it: what systemd gives a service; root's folder, or that of the user;
/// on Windows `%ProgramData%\certadm\jobs`.
#[must_use]
pub fn default_state() -> PathBuf {
    if let Some(folder) = variable(STATE_VARIABLE) {
        return folder;
    }
    if cfg!(windows) {
        return program_data().join("jobs");
    }
    match variable("HOME").filter(|_| !is_of_the_machine()) {
        Some(home) => variable("XDG_STATE_HOME").unwrap_or_else(|| home.join(".local/state")).join("certadm"),
        None => PathBuf::from("/var/lib/certadm/jobs"),
    }
}

/// Whether what this user configures is the machine's: root's is. A Windows is asked for no rights, and has it so for everybody.
#[must_use]
pub fn is_of_the_machine() -> bool {
    #[cfg(unix)]
    let is_so = rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    let is_so = true;
    is_so
}
