//! The string lists that the backup calls return (certbcli.md 5, wire.md 5.5) and `certbkxp.dat` (certbcli.md 10.2).
//!
//! A list is a run of UTF-16 entries, each ended by one NUL, the whole ended by one more. In three of the four lists
//! an entry begins with one unit that tells its kind, the [`Tag`]; the list of dynamic files has none.
//!
//! The empty list has no units at all: its count is 0 on the wire and its `pcbSize` is 0 at the C API, which hands out
//! two NULs all the same so that a walk over it ends at once (certbcli.md D3).

use std::num::NonZeroU16;

use crate::Hresult;
use crate::wide::{self, WideError};

/// The longest list that is decoded, in UTF-16 units: 32 MiB, some 200,000 log names.
pub const MAX_LIST_UNITS: usize = 0x0100_0000;

/// What an entry is: the unit before its path (certbcli.md 4.1, `CSBFT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tag {
    /// `D` (0x44, `CSBFT_CERTSERVER_DATABASE`): the database file.
    Database,
    /// `!` (0x21, `CSBFT_LOG`): a log file.
    Log,
    /// 0x82 (`CSBFT_LOG_DIR`): the folder of the logs.
    LogDirectory,
    /// 0x83 (`CSBFT_CHECKPOINT_DIR`): the folder of the checkpoint, also called the system folder.
    CheckpointDirectory,
    /// `%` (0x25, `CSBFT_PATCH_FILE`): a patch file, which servers since Windows Server 2003 do not list.
    PatchFile,
    /// A kind this program does not know. Such entries are kept, so that a list can be stored unchanged, and ignored.
    Unknown(UnknownTag),
}

/// The unit of a [`Tag`] outside the table: not zero, no surrogate, none of the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnknownTag(NonZeroU16);

impl Tag {
    /// The tag of a unit, or nothing when no tag can have it: zero ends a list, a surrogate is half a character.
    #[must_use]
    pub const fn from_unit(unit: u16) -> Option<Self> {
        Some(match unit {
            0x0044 => Self::Database,
            0x0021 => Self::Log,
            0x0082 => Self::LogDirectory,
            0x0083 => Self::CheckpointDirectory,
            0x0025 => Self::PatchFile,
            0xD800..=0xDFFF => return None,
            _ => match NonZeroU16::new(unit) {
                Some(unit) => Self::Unknown(UnknownTag(unit)),
                None => return None,
            },
        })
    }

    /// The unit that stands before the path.
    #[must_use]
    pub const fn unit(self) -> u16 {
        match self {
            Self::Database => 0x0044,
            Self::Log => 0x0021,
            Self::LogDirectory => 0x0082,
            Self::CheckpointDirectory => 0x0083,
            Self::PatchFile => 0x0025,
            Self::Unknown(UnknownTag(unit)) => unit.get(),
        }
    }
}

/// One entry of a [`TaggedList`]: a kind and a path that is not empty and can travel as a NUL-terminated string.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    tag: Tag,
    path: String,
}

impl Entry {
    /// An entry for `path`, in UNC form and without tag.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when the path is empty, holds a NUL, or is longer than [`wide::MAX_PATH_UNITS`].
    pub fn new(tag: Tag, path: impl Into<String>) -> Result<Self, EntryError> {
        Ok(Self { tag, path: checked_path(path.into())? })
    }

    /// What the entry is.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.tag
    }

    /// The path without its tag: what `BackupOpenFile` takes (certbcli.md 5).
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Entries with tags: database names, log names, restore locations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaggedList {
    entries: Vec<Entry>,
}

impl TaggedList {
    /// A list of these entries, in this order.
    #[must_use]
    pub const fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// The entries in their order, unknown ones among them. The order of a restore map means nothing: go by tag.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The paths of all entries with this tag, in their order.
    pub fn paths(&self, tag: Tag) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(move |entry| entry.tag == tag).map(Entry::path)
    }

    /// The database file of a restore map.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.paths(Tag::Database).next()
    }

    /// The log folder of a restore map: the 0x82 entry, or else a `!` entry, which one section of MS-CSRA gives it
    /// (wire.md 5.5). We send 0x82.
    #[must_use]
    pub fn log_directory(&self) -> Option<&str> {
        self.paths(Tag::LogDirectory).chain(self.paths(Tag::Log)).next()
    }

    /// The checkpoint (system) folder of a restore map.
    #[must_use]
    pub fn checkpoint_directory(&self) -> Option<&str> {
        self.paths(Tag::CheckpointDirectory).next()
    }

    /// The list in UTF-16 units with all its NULs; no unit for an empty list. Their number is the count on the wire,
    /// twice that is `pcbSize`.
    #[must_use]
    pub fn to_units(&self) -> Vec<u16> {
        join(self.entries.iter().map(|entry| (Some(entry.tag), entry.path.as_str())))
    }

    /// The list as little-endian bytes: what the C API hands out and `certbkxp.dat` holds. Empty for an empty list.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.to_units())
    }

    /// Decodes what a peer sent: `units` is exactly as long as the peer's count says. Empty strings are skipped and
    /// missing NULs at the end are accepted (wire.md 5.5); encoding the result again puts them there (certbcli.md D3).
    ///
    /// # Errors
    ///
    /// [`ListError`] when the list is longer than [`MAX_LIST_UNITS`] or an entry is not a tag with a path.
    pub fn decode_wire(units: &[u16]) -> Result<Self, ListError> {
        let strings = check_length(units)?.split(|&unit| unit == 0).filter(|string| !string.is_empty());
        Ok(Self { entries: decode_entries(strings)? })
    }

    /// Decodes a `certbkxp.dat`, strictly (certbcli.md D23): an even number of bytes, every entry a tag and a path, one
    /// NUL after each, one more at the end and nothing behind it, at least one database entry. Encoding the result
    /// gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`ListError`]; its code is 0x8007000D.
    pub fn decode_file(bytes: &[u8]) -> Result<Self, ListError> {
        let (pairs, odd) = bytes.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(ListError::OddLength { bytes: bytes.len() });
        }
        if pairs.len() > MAX_LIST_UNITS {
            return Err(ListError::TooLong { units: pairs.len() });
        }
        let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
        let Some(body) = units.strip_suffix(&[0, 0]) else {
            return Err(ListError::Unterminated);
        };
        let list = Self { entries: decode_entries(body.split(|&unit| unit == 0))? };
        if list.database().is_none() { Err(ListError::NoDatabase) } else { Ok(list) }
    }
}

impl FromIterator<Entry> for TaggedList {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self::new(entries.into_iter().collect())
    }
}

/// Paths without tags: the list of dynamic files (certbcli.md 6.11).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainList {
    paths: Vec<String>,
}

impl PlainList {
    /// A list of these paths, in this order.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when a path is empty, holds a NUL, or is longer than [`wide::MAX_PATH_UNITS`].
    pub fn new(paths: Vec<String>) -> Result<Self, EntryError> {
        Ok(Self { paths: paths.into_iter().map(checked_path).collect::<Result<_, _>>()? })
    }

    /// The paths in their order.
    #[must_use]
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether there is no path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The list in UTF-16 units with all its NULs; no unit for an empty list.
    #[must_use]
    pub fn to_units(&self) -> Vec<u16> {
        join(self.paths.iter().map(|path| (None, path.as_str())))
    }

    /// The list as little-endian bytes: what the C API hands out. Empty for an empty list.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(&self.to_units())
    }

    /// Decodes what a peer sent, as [`TaggedList::decode_wire`] does.
    ///
    /// # Errors
    ///
    /// [`ListError`] when the list is longer than [`MAX_LIST_UNITS`] or an entry is not a path.
    pub fn decode_wire(units: &[u16]) -> Result<Self, ListError> {
        let paths = check_length(units)?
            .split(|&unit| unit == 0)
            .filter(|string| !string.is_empty())
            .enumerate()
            .map(|(index, string)| decode_path(index, string))
            .collect::<Result<_, _>>()?;
        Ok(Self { paths })
    }
}

/// Why a path cannot be an entry. The fault of whoever supplied the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// There is no path.
    #[error("the path is empty; an entry needs one")]
    Empty,
    /// The path cannot travel as a wide string.
    #[error("the path cannot be sent")]
    Path(#[from] WideError),
}

impl EntryError {
    /// The code for it: always [`Hresult::E_INVALIDARG`].
    pub const fn hresult(self) -> Hresult {
        Hresult::E_INVALIDARG
    }
}

/// Why a list was refused: the peer or the file that it came from is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// A file of UTF-16 units has an odd number of bytes.
    #[error("the list has {bytes} bytes, which is not a whole number of UTF-16 units; the file is truncated")]
    OddLength {
        /// Its length.
        bytes: usize,
    },
    /// The list is longer than [`MAX_LIST_UNITS`].
    #[error("the list has {units} UTF-16 units; at most {MAX_LIST_UNITS} are accepted")]
    TooLong {
        /// Its length in UTF-16 units.
        units: usize,
    },
    /// A file does not end in two NULs.
    #[error("the list does not end in two NULs; the file is truncated or not a restore map")]
    Unterminated,
    /// The first unit of an entry is no tag.
    #[error("entry {index} of the list starts with {unit:#06x}, which cannot be a tag")]
    Tag {
        /// Position of the entry, from 0.
        index: usize,
        /// The unit found.
        unit: u16,
    },
    /// An entry has no usable path.
    #[error("entry {index} of the list has no usable path")]
    Entry {
        /// Position of the entry, from 0.
        index: usize,
        /// What is wrong with it.
        source: EntryError,
    },
    /// A restore map names no database.
    #[error("the restore map names no database; it is not the one of a CA")]
    NoDatabase,
}

impl ListError {
    /// The code for it: always [`Hresult::ERROR_INVALID_DATA`], the code of a malformed list (certbcli.md 14.2, D23).
    pub const fn hresult(&self) -> Hresult {
        Hresult::ERROR_INVALID_DATA
    }
}

fn check_length(units: &[u16]) -> Result<&[u16], ListError> {
    if units.len() > MAX_LIST_UNITS { Err(ListError::TooLong { units: units.len() }) } else { Ok(units) }
}

fn decode_entries<'a>(strings: impl Iterator<Item = &'a [u16]>) -> Result<Vec<Entry>, ListError> {
    strings
        .enumerate()
        .map(|(index, string)| {
            let Some((&unit, path)) = string.split_first() else {
                return Err(ListError::Entry { index, source: EntryError::Empty });
            };
            let tag = Tag::from_unit(unit).ok_or(ListError::Tag { index, unit })?;
            Ok(Entry { tag, path: decode_path(index, path)? })
        })
        .collect()
}

fn decode_path(index: usize, units: &[u16]) -> Result<String, ListError> {
    if units.is_empty() {
        return Err(ListError::Entry { index, source: EntryError::Empty });
    }
    wide::decode(units).map_err(|error| ListError::Entry { index, source: error.into() })
}

fn checked_path(path: String) -> Result<String, EntryError> {
    if path.is_empty() {
        return Err(EntryError::Empty);
    }
    wide::check(&path)?;
    Ok(path)
}

fn join<'a>(entries: impl Iterator<Item = (Option<Tag>, &'a str)>) -> Vec<u16> {
    let mut units = Vec::new();
    for (tag, path) in entries {
        units.extend(tag.map(Tag::unit));
        units.extend(path.encode_utf16());
        units.push(0);
    }
    if !units.is_empty() {
        units.push(0);
    }
    units
}

fn to_bytes(units: &[u16]) -> Vec<u8> {
    units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
}
