//! Work that others do not wait for.

/// How much a thread yields that can wait, as in `nice`.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets other threads go first from now on: the calling thread gets what they leave. One that was started with a lower priority
/// keeps it. Only Linux has priorities of threads that can be set so; elsewhere nothing happens.
pub fn give_way() {
    // Where it is refused, the work is only less polite.
    #[cfg(target_os = "linux")]
    if rustix::process::getpriority_process(None).is_ok_and(|now| now < NICENESS) {
        rustix::process::setpriority_process(None, NICENESS).ok();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{getpriority_process, setpriority_process};

    use super::*;

    /// The priority of a thread that was started at `least` or lower, after it has given way.
    fn given_way_at(least: i32) -> (i32, i32) {
        let thread = std::thread::spawn(move || {
            let begun = getpriority_process(None).unwrap().max(least);
            setpriority_process(None, begun).unwrap();
            give_way();
            (begun, getpriority_process(None).unwrap())
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_thread_gives_way_and_never_gets_ahead() {
        let (begun, now) = given_way_at(0);
        assert_eq!(now, begun.max(NICENESS));
        let (begun, now) = given_way_at(15);
        assert_eq!(now, begun);
    }
}
