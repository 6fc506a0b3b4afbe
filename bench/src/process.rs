//! Running one side: wall time, processor time and peak memory of a whole process, on an idle machine.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::error::Result;

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Seconds of processor time in its own code and not in the system, of all its threads.
    pub(crate) processor: f64,
    /// Peak resident memory in KiB; 0 where the process was too quick to look.
    pub(crate) peak_kib: u64,
}

/// Runs a command to its end; it must succeed.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Result<Measured> {
    measure(Command::new(program).args(args))
}

/// As [`run`], for a prepared command.
pub(crate) fn measure(command: &mut Command) -> Result<Measured> {
    measure_accepting(command, &[0])
}

/// The same for a command that may end with one of these codes.
pub(crate) fn measure_accepting(command: &mut Command, codes: &[i32]) -> Result<Measured> {
    let (begun, used) = (Instant::now(), processor_of_children()?);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak_kib.max(peak_of(child.id()));
        std::thread::sleep(Duration::from_millis(1));
    };
    let seconds = begun.elapsed().as_secs_f64();
    if status.code().is_none_or(|code| !codes.contains(&code)) {
        return Err(format!("{command:?} ended with {status}").into());
    }
    Ok(Measured { seconds, processor: processor_of_children()? - used, peak_kib })
}

/// Seconds of processor time of all processes that were waited for, in their own code. What the system takes is mostly memory that
/// the host has to give: for `cp`, six times as much a byte at one size as at another in one run.
fn processor_of_children() -> Result<f64> {
    let time = getrusage(UsageWho::RUSAGE_CHILDREN)?.user_time();
    Ok(Duration::from_micros(time.num_microseconds().unsigned_abs()).as_secs_f64())
}

/// Peak resident memory of a process in KiB; 0 where it is gone.
pub(crate) fn peak_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Seconds of processor time that a process has used, of all its threads; 0 where it is gone. In steps of 10 ms.
pub(crate) fn processor_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; user and system ticks are the 12th and 13th field behind it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Writes out what is still to be written, so that nobody pays for what ran before, and waits until the machine has been 95 %
/// idle for a second; gives up after a minute and says so.
pub(crate) fn wait_until_idle() {
    // Without the tool nothing is measured wrongly, only less evenly.
    let _ = Command::new("sync").status();
    for _ in 0..60 {
        let (idle_before, total_before) = cpu_ticks();
        std::thread::sleep(Duration::from_secs(1));
        let (idle, total) = cpu_ticks();
        if (idle - idle_before) * 100 >= (total - total_before) * 95 {
            return;
        }
    }
    println!("note: the machine was not idle");
}

/// Has the system hand out so much memory and takes it back. A virtual machine gives memory that lies idle back to its host, and
/// gets it again many times more slowly: whoever runs first after a pause would pay for that. At most half of what is available,
/// because files that the system holds would have to make room.
pub(crate) fn warm_memory(bytes: u64) {
    let bytes = bytes.min(available_memory() / 2);
    let mut memory = vec![0_u8; usize::try_from(bytes).unwrap_or(0)];
    // A page that is only zero has not been handed out.
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// Bytes that programs could get, files held in memory included; 0 where the system does not say.
fn available_memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn cpu_ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    let idle = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (idle, ticks.iter().sum())
}

/// Processor and cores, for the record.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).unwrap_or("model name : unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.split(':').nth(1).unwrap_or_default().trim())
}

pub(crate) fn version(certadm: &Path) -> String {
    let output = Command::new(certadm).arg("--version").output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
