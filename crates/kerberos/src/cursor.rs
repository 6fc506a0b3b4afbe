//! Reading the big-endian files of MIT Kerberos: keytabs and credential caches.

use crate::crypto::{Etype, Key};
use crate::der::Malformed;
use crate::principal::{NameType, Principal};

/// Why a keytab or a credential cache cannot be used as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing in it can be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is written in another way.
    #[error("{what} has version {version:#06x}, and only {known} can be read")]
    Version {
        /// Which file.
        what: &'static str,
        /// Its version.
        version: u16,
        /// The versions that can be read.
        known: &'static str,
    },
}

/// How a file writes the length of a text: with two bytes (keytab) or with four (credential cache).
#[derive(Clone, Copy)]
pub(crate) enum LengthSize {
    Two,
    Four,
}

/// A cursor. Nothing is allocated for a length before that many bytes were found.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
    lengths: LengthSize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], lengths: LengthSize, what: &'static str) -> Self {
        Self { rest: bytes, what, lengths }
    }

    pub(crate) const fn malformed(&self) -> Malformed {
        Malformed { what: self.what }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `count` bytes as a file within the file.
    pub(crate) fn part(&mut self, count: usize) -> Result<Self, Malformed> {
        Ok(Self::new(self.bytes(count)?, self.lengths, self.what))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    /// A length, and as many bytes.
    pub(crate) fn data(&mut self) -> Result<&'a [u8], Malformed> {
        let length = match self.lengths {
            LengthSize::Two => usize::from(self.u16()?),
            LengthSize::Four => usize::try_from(self.u32()?).map_err(|_| self.malformed())?,
        };
        self.bytes(length)
    }

    /// That the file has another version than those that are known.
    pub(crate) const fn of_version(&self, version: u16, known: &'static str) -> FileError {
        FileError::Version { what: self.what, version, known }
    }

    /// A realm and so many components of a name. The type of the name stands elsewhere. `None` for a name that nobody has here:
    /// one that is no UTF-8, or has no component or too many. What follows it can be read all the same.
    pub(crate) fn principal(
        &mut self,
        name_type: impl FnOnce(&mut Self) -> Result<i32, Malformed>,
        count: u32,
    ) -> Result<Option<Principal>, Malformed> {
        let realm = self.data()?;
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(self.data()?); // ends with the file, whatever the count says
        }
        let name_type = NameType(name_type(self)?);
        let texts: Result<Vec<_>, _> = components.into_iter().map(std::str::from_utf8).collect();
        Ok(match (std::str::from_utf8(realm), texts) {
            (Ok(realm), Ok(components)) => Principal::new(name_type, components, realm),
            _ => None,
        })
    }

    /// A key behind the number of its etype; `None` for a kind that is not spoken here, and for one of a wrong size.
    pub(crate) fn key(&mut self, etype: i32) -> Result<Option<Key>, Malformed> {
        let bytes = self.data()?;
        Ok(Etype::from_wire(etype).and_then(|etype| Key::new(etype, bytes)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.malformed())?;
        self.rest = rest;
        Ok(*taken)
    }
}
