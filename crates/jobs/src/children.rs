//! The processes that runs and the agent start: what differs between Unix and Windows in ending them.
//!
//! Each has a group of its own, so that Ctrl+C reaches their parent alone, which stops them in order. On Unix it asks them by
//! SIGTERM. Windows has no such signal, and a service no console: there each child has a pipe on its standard input, to which nobody
//! writes, and takes the pipe's end for that signal. The pipe ends with the parent, too, whatever has ended that.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// By this option a command takes the end of its standard input for SIGTERM.
pub const UNTIL_INPUT_ENDS: &str = "until-input-ends";

/// This program, as a child that [`ask_to_stop`] can ask. It has `held` open as long as it lives.
#[cfg(unix)]
#[must_use]
pub fn of_this_program(program: &Path, held: Option<File>) -> Command {
    let mut command = Command::new(program);
    set_apart(&mut command);
    command.stdin(held.map_or_else(Stdio::null, Stdio::from));
    command
}

/// This program, as a child that [`ask_to_stop`] can ask. `held` is let go: the system would drop the lock of a file with the process
/// that has taken it, whoever else has it open.
#[cfg(windows)]
#[must_use]
pub fn of_this_program(program: &Path, held: Option<File>) -> Command {
    drop(held);
    let mut command = Command::new(program);
    set_apart(&mut command);
    command.arg(format!("--{UNTIL_INPUT_ENDS}")).stdin(Stdio::piped());
    command
}

/// Ctrl+C shall reach this process, which stops the command in order.
#[cfg(unix)]
pub fn set_apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Ctrl+C shall reach this process, which stops the command in order.
#[cfg(windows)]
pub fn set_apart(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}

/// Asks a child to stop in order that has not been waited for, so that its number is its own.
#[cfg(unix)]
pub fn ask_to_stop(child: &mut Child) {
    send(child, rustix::process::Signal::TERM);
}

/// Asks a child to stop in order: its standard input ends.
#[cfg(windows)]
pub fn ask_to_stop(child: &mut Child) {
    drop(child.stdin.take());
}

/// Ends a child that has not been waited for, whatever it does.
#[cfg(unix)]
pub fn kill(child: &mut Child) {
    send(child, rustix::process::Signal::KILL);
}

/// Ends a child with all that it has started: they have no lock or pipe by which they would notice.
#[cfg(windows)]
pub fn kill(child: &mut Child) {
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
