//! The processes that runs and the agent start: what differs between Unix and Windows in ending them.
//!
//! On Unix each has a group of its own, and is asked to stop by SIGTERM. Windows has no such signal: there the children stay at
//! their parent's console, whose Ctrl+C reaches all of them at once, and what does not end is killed.

use std::process::{Child, Command, ExitStatus};

/// Ctrl+C shall reach this process, which stops the command in order.
#[cfg(unix)]
pub fn set_apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// A child in a group of its own would not hear of Ctrl+C, and there is no other way to ask it.
#[cfg(not(unix))]
pub fn set_apart(_command: &mut Command) {}

/// Asks a child to stop in order that has not been waited for, so that its number is its own.
#[cfg(unix)]
pub fn ask_to_stop(child: &Child) {
    send(child, rustix::process::Signal::TERM);
}

/// The console has told the child already, where there is one.
#[cfg(not(unix))]
pub fn ask_to_stop(_child: &Child) {}

/// Ends a child that has not been waited for, whatever it does.
#[cfg(unix)]
pub fn kill(child: &mut Child) {
    send(child, rustix::process::Signal::KILL);
}

/// Ends a child with all that it has started: they have no lock or pipe by which they would notice.
#[cfg(not(unix))]
pub fn kill(child: &mut Child) {
    use std::process::Stdio;
    let mut command = Command::new("taskkill");
    command.args(["/F", "/T", "/PID", &child.id().to_string()]);
    // Where that tool is not there, the child alone ends. One that has ended already needs neither.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    child.kill().ok();
}

/// The exit code, as a shell has it for a process that a signal has ended.
#[must_use]
pub fn code_of(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    status.code().unwrap_or_else(|| 128 + signal.unwrap_or_default())
}

#[cfg(unix)]
fn send(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    // One that has ended already needs no signal.
    pid.map(|pid| rustix::process::kill_process(pid, signal));
}
