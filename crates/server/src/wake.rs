//! Waiting for callers, and being called away from it: by another thread, or by a signal.

use std::io;
use std::time::Duration;

use crate::listeners::Listeners;

pub(crate) use system::{Wake, Woken};

/// The end that wakes and the end that waits.
///
/// # Errors
/// Those of the system.
pub(crate) fn pair() -> io::Result<(Wake, Woken)> {
    system::pair()
}

/// A pair of sockets, which a wait for callers can include and a signal handler can write to.
#[cfg(unix)]
mod system {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use certadm_files::cancel;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::{Duration, Listeners, io};

    #[derive(Debug)]
    pub(crate) struct Wake(UnixStream);

    #[derive(Debug)]
    pub(crate) struct Woken(UnixStream);

    pub(super) fn pair() -> io::Result<(Wake, Woken)> {
        let (wake, woken) = UnixStream::pair()?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true)?;
        }
        Ok((Wake(wake), Woken(woken)))
    }

    impl Wake {
        /// Ends the wait, or the next one.
        pub(crate) fn wake(&self) {
            // A full pipe has woken the service already.
            (&self.0).write_all(&[0]).ok();
        }

        /// Lets SIGTERM and SIGINT end the wait, but for one that this process was started to ignore.
        pub(crate) fn on_signals(&self) -> io::Result<()> {
            let signals = [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT];
            for signal in signals.into_iter().filter(|signal| !cancel::is_ignored(*signal)) {
                signal_hook::low_level::pipe::register(signal, self.0.try_clone()?)?;
            }
            Ok(())
        }
    }

    impl Woken {
        /// Waits for callers, for an order to stop, or for a tick; answers whether the order came.
        pub(crate) fn wait(&self, listeners: Option<&Listeners>, tick: Duration) -> bool {
            let mut waited: Vec<PollFd<'_>> = listeners
                .into_iter()
                .flat_map(Listeners::waitable)
                .chain([self.0.as_fd()])
                .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
                .collect();
            let tick = Timespec::try_from(tick).ok();
            let woken = match poll(&mut waited, tick.as_ref()) {
                Ok(_) => waited.last().is_some_and(|woken| woken.revents().contains(PollFlags::IN)),
                Err(_) => false, // a signal: whoever it was for, look again
            };
            if woken {
                self.drain();
            }
            woken
        }

        /// Empties the pipe.
        fn drain(&self) {
            let mut bytes = [0; 64];
            while (&self.0).read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        }
    }
}

/// A flag, and listeners that are looked at again and again.
#[cfg(not(unix))]
mod system {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{Duration, Listeners, io};

    /// How long a caller may have to wait to be seen.
    const NAP: Duration = Duration::from_millis(10);

    #[derive(Debug)]
    pub(crate) struct Wake(Arc<AtomicBool>);

    #[derive(Debug)]
    pub(crate) struct Woken(Arc<AtomicBool>);

    #[allow(clippy::unnecessary_wraps)] // other systems can refuse
    pub(super) fn pair() -> io::Result<(Wake, Woken)> {
        let flag = Arc::new(AtomicBool::new(false));
        Ok((Wake(Arc::clone(&flag)), Woken(flag)))
    }

    impl Wake {
        /// Ends the wait, or the next one.
        pub(crate) fn wake(&self) {
            self.0.store(true, Ordering::SeqCst);
        }

        /// Lets Ctrl+C end the wait.
        pub(crate) fn on_signals(&self) -> io::Result<()> {
            for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
                signal_hook::flag::register(signal, Arc::clone(&self.0))?;
            }
            Ok(())
        }
    }

    impl Woken {
        /// Waits for an order to stop, or for a tick; answers whether the order came.
        pub(crate) fn wait(&self, _: Option<&Listeners>, tick: Duration) -> bool {
            std::thread::sleep(tick.min(NAP));
            self.0.swap(false, Ordering::SeqCst)
        }
    }
}
