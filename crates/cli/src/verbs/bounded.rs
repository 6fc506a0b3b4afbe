//! Looks at folders and files that may hang, such as those of a disk of the network.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// So long a folder or file has to answer somebody who waits for the whole.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// So many times less patience is there once something has hung.
const LESS: u32 = 10;

/// Looks that end.
pub(crate) struct Looks {
    patience: Duration,
    has_hung: bool,
}

impl Looks {
    /// Each look may take so long, and a tenth of that once one has taken longer.
    pub(crate) const fn new(patience: Duration) -> Self {
        Self { patience, has_hung: false }
    }

    /// What a look finds; `None` when it takes too long. It is done by a thread of its own, which is left behind then.
    pub(crate) fn at<T: Send + 'static>(&mut self, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, found) = mpsc::channel();
        let looks = move || sender.send(look()).ok();
        thread::Builder::new().name("look".to_owned()).spawn(looks).ok()?;
        let patience = if self.has_hung { self.patience / LESS } else { self.patience };
        let found = found.recv_timeout(patience).ok();
        self.has_hung |= found.is_none();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind_and_others_are_looked_at() {
        let (_held, hangs) = mpsc::channel::<()>();
        let mut looks = Looks::new(Duration::from_secs(60));
        assert_eq!(looks.at(|| 1), Some(1));
        looks.patience = Duration::from_millis(10);
        assert_eq!(looks.at(move || hangs.recv()), None);
        looks.patience = Duration::from_secs(600);
        assert_eq!(looks.at(|| 2), Some(2));
    }
}
