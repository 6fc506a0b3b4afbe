//! Reading the big-endian files of MIT Kerberos: keytabs and credential caches.

use crate::crypto::{Etype, Key};
use crate::der::Malformed;
use crate::principal::{NameType, Principal};

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

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let text = self.data()?;
        std::str::from_utf8(text).map_err(|_| self.malformed())
    }

    /// A realm and so many components of a name. The type of the name stands elsewhere.
    pub(crate) fn principal(
        &mut self,
        name_type: impl FnOnce(&mut Self) -> Result<i32, Malformed>,
        count: u32,
    ) -> Result<Principal, Malformed> {
        let realm = self.text()?;
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(self.text()?); // ends with the file, whatever the count says
        }
        let name_type = NameType(name_type(self)?);
        Principal::new(name_type, components, realm).ok_or(self.malformed())
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
