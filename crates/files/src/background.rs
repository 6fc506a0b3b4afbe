//! Work that others do not wait for.

/// How much a thread yields that can wait, as in `nice`.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets other threads go first from now on: the calling thread gets what they leave. Only Linux has priorities of threads that
/// can be set so; elsewhere nothing happens.
pub fn give_way() {
    // Where it is refused, the work is only less polite.
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, NICENESS).ok();
}
