//! Work that goes on beside other work, where there is enough of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Result, Scope, ScopedJoinHandle};

/// Starting a thread takes as long as reading some hundred kilobytes: what is not longer than this is not worth one.
pub(crate) const SHORT: u64 = 512 << 10;

/// Work on a thread of its own, or work that is done already.
pub(crate) enum Aside<'s, T> {
    Thread(ScopedJoinHandle<'s, T>),
    Done(Result<T>),
}

impl<'s, T: Send + 's> Aside<'s, T> {
    /// Begins work on so many bytes: on a thread, or else at once.
    pub(crate) fn begin(scope: &'s Scope<'s, '_>, bytes: u64, work: impl FnOnce() -> T + Send + 's) -> Self {
        if bytes > SHORT {
            Self::Thread(scope.spawn(work))
        } else {
            // As of a thread: a panic is told to whoever asks for the result.
            Self::Done(catch_unwind(AssertUnwindSafe(work)))
        }
    }

    /// Waits for the result. An error is a panic.
    pub(crate) fn join(self) -> Result<T> {
        match self {
            Self::Thread(thread) => thread.join(),
            Self::Done(result) => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_a_thread_only_where_it_is_long() {
        let here = std::thread::current().id();
        std::thread::scope(|scope| {
            for (bytes, is_here) in [(0, true), (SHORT, true), (SHORT + 1, false)] {
                let on = Aside::begin(scope, bytes, || std::thread::current().id());
                assert_eq!(on.join().unwrap() == here, is_here, "{bytes}");
                let failed: Aside<'_, ()> = Aside::begin(scope, bytes, || panic!("this test wants it"));
                assert!(failed.join().is_err(), "{bytes}");
            }
        });
    }
}
