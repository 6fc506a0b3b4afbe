//! Keytabs: files with the keys of accounts and services, as MIT Kerberos, Heimdal and Samba write them.

use std::collections::BTreeSet;

use crate::crypto::{Etype, Key};
use crate::cursor::{Cursor, FileError, LengthSize};
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

    /// Reads a file of version 0x0502 (kerberos.md 2.4). As MIT reads it, a record that does not decode keeps nobody from the
    /// others, and a record of size 0, or one that is cut, is the end.
    ///
    /// # Errors
    /// [`FileError::Version`], also for version 0x0501, whose byte order depends on the machine that wrote it;
    /// [`FileError::Malformed`] when there are records and none decodes.
    pub fn parse(file: &[u8]) -> Result<Self, FileError> {
        let mut cursor = Cursor::new(file, LengthSize::Two, "the keytab");
        let version = cursor.u16()?;
        if version != 0x0502 {
            return Err(cursor.of_version(version, "0x0502"));
        }
        let (mut entries, mut first_wrong) = (Vec::new(), None);
        while cursor.remaining() != 0 {
            match record(&mut cursor) {
                Ok(Record::Key(entry)) => entries.push(*entry),
                Ok(Record::Deleted) => {}
                Ok(Record::Wrong(error)) => first_wrong = first_wrong.or(Some(error)),
                Ok(Record::End) => break,
                Err(error) => {
                    first_wrong = first_wrong.or(Some(error));
                    break;
                }
            }
        }
        match first_wrong {
            Some(error) if entries.is_empty() => Err(error.into()),
            _ => Ok(Self { entries }),
        }
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

/// What a record of a keytab is.
enum Record {
    Key(Box<KeytabEntry>),
    /// The room of one that was deleted.
    Deleted,
    /// One that does not decode, with others behind it.
    Wrong(Malformed),
    /// Behind the last one.
    End,
}

/// Reads a record.
///
/// # Errors
/// [`Malformed`] for one that the end of the file cuts.
fn record(cursor: &mut Cursor<'_>) -> Result<Record, Malformed> {
    let size = cursor.i32()?;
    let length = usize::try_from(size.unsigned_abs()).map_err(|_| cursor.malformed())?;
    if size == 0 {
        return Ok(Record::End);
    }
    let part = cursor.part(length)?;
    Ok(match entry(part) {
        _ if size < 0 => Record::Deleted,
        Ok(entry) => Record::Key(Box::new(entry)),
        Err(error) => Record::Wrong(error),
    })
}

fn entry(mut cursor: Cursor<'_>) -> Result<KeytabEntry, Malformed> {
    let count = cursor.u16()?;
    let principal = cursor.principal(Cursor::i32, count.into())?.ok_or(cursor.malformed())?;
    cursor.u32()?; // when it was written
    let short_version = cursor.u8()?;
    let etype = cursor.u16()?.into();
    let key = cursor.key(etype)?;
    // Versions above 255 stand behind the key. Old writers leave nothing or zeros there.
    let long_version = if 4 <= cursor.remaining() { cursor.u32()? } else { 0 };
    let key_version = if long_version == 0 { short_version.into() } else { long_version };
    Ok(KeytabEntry { principal, key_version, etype, key })
}
