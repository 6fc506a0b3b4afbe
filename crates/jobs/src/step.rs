//! The steps of a job.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Find out what the first place holds. It is told only when it fails.
    Look,
    /// A full backup.
    Full,
    /// A backup of logs.
    Logs,
    /// Copies into the further places.
    Copy,
    /// Delete what no rule keeps.
    Prune,
    /// Read everything back.
    Verify,
    /// Judge whether everything is there.
    Complete,
    /// Ask a CA that is not in a folder of this machine for the ends of its CRL and its certificate.
    Ask,
    /// Restore into a scratch folder.
    Rehearse,
}

impl Step {
    /// Those that can be asked for, in the order in which they are carried out.
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::Logs,
        Self::Copy,
        Self::Prune,
        Self::Verify,
        Self::Complete,
        Self::Ask,
        Self::Rehearse,
    ];

    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Full => "full",
            Self::Logs => "logs",
            Self::Copy => "copy",
            Self::Prune => "prune",
            Self::Verify => "verify",
            Self::Complete => "complete",
            Self::Ask => "ask",
            Self::Rehearse => "rehearse",
        }
    }

    /// Whether a job does it at several places, so that it can go well at one and fail at another.
    #[must_use]
    pub const fn is_of_a_place(self) -> bool {
        matches!(self, Self::Copy | Self::Prune)
    }

    /// Its name for a person, with the place where that matters: `copy into other:`.
    #[must_use]
    pub fn at(self, place: &str) -> String {
        match self {
            Self::Copy => format!("copy into {place}"),
            Self::Prune => format!("prune of {place}"),
            _ => self.key().to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
