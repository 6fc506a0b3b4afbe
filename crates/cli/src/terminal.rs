//! What a terminal lets a command do: colours for verdicts, and how wide a line may be.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use crate::interrupt;

/// How a verdict is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
}

/// Whether text for this stream may have colours: it goes to a terminal, and its user has not refused them
/// (<https://no-color.org>).
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether somebody can be asked: standard input is a terminal.
pub(crate) fn can_ask() -> bool {
    !interrupt::is_led() && std::io::stdin().is_terminal()
}

/// The text in the colour of its tone.
pub(crate) fn painted(text: &str, tone: Tone) -> String {
    let colour = match tone {
        Tone::Good => 32,
        Tone::Warn => 33,
        Tone::Bad => 31,
    };
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// Writes to standard error. Where nobody reads it there is nobody left to tell, which is no reason to end.
pub(crate) fn tell(text: impl Display) {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{text}").and_then(|()| stderr.flush()).ok();
}

/// How many characters a line of standard output has; nothing where that is no terminal, or one that does not say.
#[cfg(unix)]
pub(crate) fn width() -> Option<usize> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns != 0)
}

#[cfg(not(unix))]
pub(crate) fn width() -> Option<usize> {
    None
}
