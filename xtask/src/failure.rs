//! Why a step failed, as one sentence for whoever reads the terminal.

use std::fmt;

/// What every step of this program returns.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A failed step: what failed, and what to do about it. Most tools have already printed the details.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// A failure with this explanation: lower case, no full stop.
    pub(crate) fn new(explanation: impl Into<String>) -> Self {
        Self(explanation.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when an error came up.
pub(crate) trait Context<T> {
    /// The error as a [`Failure`] that begins with `doing`: "cannot read deny.toml".
    fn context(self, doing: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("{doing}: {error}")))
    }
}
