//! Keytabs: files with the keys of accounts and services, as MIT Kerberos, Heimdal and Samba write them.

use std::collections::BTreeSet;

use crate::crypto::{Etype, Key};
use crate::cursor::{Cursor, LengthSize};
use crate::der::Malformed;
use crate::principal::Principal;

/// The keys of a file.
#[derive(Debug, Clone, Default)]
pub struct Keytab {
    entries: Vec<KeytabEntry>,
}

/// One key.
#[derive(Debug, Clone)]
pub struct KeytabEntry {
    /// Whose it is.
    pub principal: Principal,
    /// Its version: grows when the password changes.
    pub key_version: u32,
    /// The number of its etype.
    pub etype: i32,
    /// The key, unless it is of an etype that is not spoken here.
    pub key: Option<Key>,
}

impl Keytab {
    /// The most bytes that a keytab should have: read no larger file.
    pub const MAX_SIZE: usize = 1 << 20;

    /// Puts a keytab together.
    #[must_use]
    pub fn new(entries: Vec<KeytabEntry>) -> Self {
        Self { entries }
    }

    /// Reads a file of version 0x0502 (kerberos.md 2.4).
    ///
    /// # Errors
    /// [`Malformed`], also for version 0x0501, whose byte order depends on the machine that wrote it.
    pub fn parse(file: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(file, LengthSize::Two, "the keytab");
        if cursor.u16()? != 0x0502 {
            return Err(cursor.malformed());
        }
        let mut entries = Vec::new();
        while cursor.remaining() != 0 {
            let size = cursor.i32()?;
            let length = usize::try_from(size.unsigned_abs()).map_err(|_| cursor.malformed())?;
            if size <= 0 {
                cursor.bytes(length)?; // a deleted entry
            } else {
                entries.push(entry(cursor.part(length)?)?);
            }
        }
        Ok(Self { entries })
    }

    /// All entries, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[KeytabEntry] {
        &self.entries
    }

    /// The keys of an account: of each etype the one of the newest version.
    #[must_use]
    pub fn keys_of(&self, account: &Principal) -> Vec<Key> {
        let newest = |etype: &Etype| {
            let of_etype = |entry: &&KeytabEntry| {
                entry.principal == *account && entry.etype == etype.to_wire() && entry.key.is_some()
            };
            self.entries.iter().filter(of_etype).max_by_key(|entry| entry.key_version)?.key.clone()
        };
        Etype::ALL.iter().filter_map(newest).collect()
    }

    /// The realms of all entries.
    #[must_use]
    pub fn realms(&self) -> BTreeSet<&str> {
        self.entries.iter().map(|entry| entry.principal.realm()).collect()
    }

    /// The etypes of all entries: a keytab with 23 alone has RC4 keys only, which are of no use here.
    #[must_use]
    pub fn etypes(&self) -> BTreeSet<i32> {
        self.entries.iter().map(|entry| entry.etype).collect()
    }
}

fn entry(mut cursor: Cursor<'_>) -> Result<KeytabEntry, Malformed> {
    let count = cursor.u16()?;
    let principal = cursor.principal(Cursor::i32, count.into())?;
    cursor.u32()?; // when it was written
    let short_version = cursor.u8()?;
    let etype = cursor.u16()?.into();
    let key = cursor.key(etype)?;
    // Versions above 255 stand behind the key. Old writers leave nothing or zeros there.
    let long_version = if 4 <= cursor.remaining() { cursor.u32()? } else { 0 };
    let key_version = if long_version == 0 { short_version.into() } else { long_version };
    Ok(KeytabEntry { principal, key_version, etype, key })
}
