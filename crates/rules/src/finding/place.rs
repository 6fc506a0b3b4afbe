//! Where something was found.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Generation;

/// Where something was found: in which file, and where in it. Both may be unknown.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Place {
    /// The file, or the folder that is judged as a whole.
    pub file: Option<PathBuf>,
    /// Where in it.
    pub spot: Option<Spot>,
}

/// A spot in a database or in the sequence of its logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Spot {
    /// A page, numbered from 1.
    Page(u32),
    /// Neighbouring pages, from the first to the last.
    Pages(u32, u32),
    /// A log as a whole, by its generation.
    Log(u32),
    /// Logs as a whole, from the first generation to the last.
    Logs(u32, u32),
    /// A position in the sequence of logs.
    Position {
        /// The log.
        generation: u32,
        /// Sectors or segments from its start.
        segment: u16,
        /// Bytes into that one.
        offset: u16,
    },
}

impl Spot {
    /// The pages from one to another.
    #[must_use]
    pub const fn pages(first: u32, last: u32) -> Self {
        if first == last { Self::Page(first) } else { Self::Pages(first, last) }
    }

    /// The logs from one generation to another.
    #[must_use]
    pub const fn logs(first: u32, last: u32) -> Self {
        if first == last { Self::Log(first) } else { Self::Logs(first, last) }
    }

    /// The generation of the log, or of the first one, that it is in.
    #[must_use]
    pub const fn generation(self) -> Option<u32> {
        match self {
            Self::Log(generation) | Self::Logs(generation, _) | Self::Position { generation, .. } => {
                Some(generation)
            }
            Self::Page(_) | Self::Pages(..) => None,
        }
    }

    /// How many pages or logs it stands for.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Pages(first, last) | Self::Logs(first, last) => last.saturating_sub(first) as usize + 1,
            Self::Page(_) | Self::Log(_) | Self::Position { .. } => 1,
        }
    }
}

impl Place {
    /// True where nothing is known of the place.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.file.is_none() && self.spot.is_none()
    }

    /// The spot, unless the file's name says as much.
    fn further_spot(&self) -> Option<Spot> {
        let named = self.file.as_deref().and_then(generation_of);
        self.spot.filter(|spot| !matches!(spot, Spot::Log(generation) if named == Some(*generation)))
    }
}

fn generation_of(file: &Path) -> Option<u32> {
    Generation::from_log_file_name(file.file_name()?.to_str()?).map(Generation::number)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.further_spot()) {
            (Some(file), Some(spot)) => write!(f, "{}: {spot}", file.display()),
            (Some(file), None) => write!(f, "{}", file.display()),
            (None, Some(spot)) => write!(f, "{spot}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(page) => write!(f, "page {page}"),
            Self::Pages(first, last) => write!(f, "pages {first} to {last}"),
            Self::Logs(first, last) => write!(f, "log generations {first:#x} to {last:#x}"),
            Self::Log(generation) => write!(f, "log generation {generation:#x}"),
            Self::Position { generation, segment, offset } => {
                write!(f, "log position {generation:#x}:{segment:x}:{offset:x}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_whose_name_says_its_generation_is_not_told_twice() {
        let text = |file: &str, spot| Place { file: Some(file.into()), spot: Some(spot) }.to_string();
        assert_eq!(text("/ca/edb0001a.log", Spot::Log(0x1a)), "/ca/edb0001a.log");
        assert_eq!(text("/ca/edb0001a.log", Spot::Log(0x1b)), "/ca/edb0001a.log: log generation 0x1b");
        assert_eq!(text("/ca/edb.log", Spot::Log(0x1a)), "/ca/edb.log: log generation 0x1a");
        let position = Spot::Position { generation: 0x1a, segment: 9, offset: 0x44 };
        assert_eq!(text("edb0001a.log", position), "edb0001a.log: log position 0x1a:9:44");
        assert_eq!(text("ca.edb", Spot::Page(7)), "ca.edb: page 7");
        assert!(Place::default().is_none());
        assert_eq!(text("ca.edb", Spot::pages(7, 9)), "ca.edb: pages 7 to 9");
        assert_eq!(text("ca.edb", Spot::pages(7, 7)), "ca.edb: page 7");
        assert_eq!(text("/set", Spot::logs(9, 0x1a)), "/set: log generations 0x9 to 0x1a");
        assert_eq!((Spot::logs(9, 0x1a).count(), Spot::logs(9, 9).count()), (18, 1));
    }
}
