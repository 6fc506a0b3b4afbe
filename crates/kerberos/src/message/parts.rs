//! What several messages have.

use zeroize::Zeroizing;

use crate::crypto::{Etype, IntegrityError, Key, KeyUsage, UsageKeys};
use crate::der::{Malformed, Reader, Writer};
use crate::environment::{Environment, NoRandomness, random};

/// EncryptedData (RFC 4120 5.2.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedData {
    /// The number of the etype, which need not be one that is spoken here.
    pub etype: i32,
    /// The version of the key, for the keys of accounts.
    pub key_version: Option<u32>,
    /// The ciphertext with its checksum.
    pub cipher: Vec<u8>,
}

impl EncryptedData {
    /// Encrypts.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn seal(
        key: &Key,
        usage: KeyUsage,
        key_version: Option<u32>,
        plain: &[u8],
        environment: &dyn Environment,
    ) -> Result<Self, NoRandomness> {
        let cipher = UsageKeys::new(key, usage).encrypt(plain, random(environment)?);
        Ok(Self { etype: key.etype().to_wire(), key_version, cipher })
    }

    /// Decrypts.
    ///
    /// # Errors
    /// [`IntegrityError`], also for a key of another etype.
    pub fn open(&self, key: &Key, usage: KeyUsage) -> Result<Zeroizing<Vec<u8>>, IntegrityError> {
        if self.etype != key.etype().to_wire() {
            return Err(IntegrityError);
        }
        UsageKeys::new(key, usage).decrypt(&self.cipher)
    }

    /// Writes it alone, as the proof of a logon travels.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }

    /// Reads it alone.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::read(bytes, "an encrypted part")
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.sequence(|writer| {
            writer.integer(0, self.etype);
            if let Some(version) = self.key_version {
                writer.integer(1, version);
            }
            writer.octets(2, &self.cipher);
        });
    }

    pub(super) fn read(bytes: &[u8], what: &'static str) -> Result<Self, Malformed> {
        let mut reader = Reader::sequence(bytes, what)?;
        Ok(Self {
            etype: reader.int32(0)?,
            key_version: reader.optional(1, Reader::uint32)?,
            cipher: reader.octets(2)?.to_vec(),
        })
    }
}

/// Writes EncryptionKey (RFC 4120 5.2.9).
pub(super) fn write_key(key: &Key, writer: &mut Writer) {
    writer.sequence(|writer| {
        writer.integer(0, key.etype().to_wire()).octets(1, key.expose());
    });
}

/// Reads EncryptionKey, which must be of an etype that is spoken here.
pub(super) fn read_key(bytes: &[u8], what: &'static str) -> Result<Key, Malformed> {
    let mut reader = Reader::sequence(bytes, what)?;
    let etype = Etype::from_wire(reader.int32(0)?).ok_or(reader.malformed())?;
    Key::new(etype, reader.octets(1)?).ok_or(reader.malformed())
}

/// Reads `[field] EncryptionKey`.
pub(super) fn key_field(reader: &mut Reader<'_>, field: u8) -> Result<Key, Malformed> {
    read_key(reader.field(field)?, reader.malformed().what)
}

/// Checksum (RFC 4120 5.2.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    /// The number of its kind.
    pub kind: i32,
    /// The sum.
    pub value: Vec<u8>,
}

impl Checksum {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.sequence(|writer| {
            writer.integer(0, self.kind).octets(1, &self.value);
        });
    }

    pub(super) fn field(reader: &mut Reader<'_>, field: u8) -> Result<Self, Malformed> {
        let mut fields = reader.elements(field)?;
        Ok(Self { kind: fields.int32(0)?, value: fields.octets(1)?.to_vec() })
    }
}

/// One element of AuthorizationData (RFC 4120 5.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationData {
    /// The number of its kind.
    pub kind: i32,
    /// What it says.
    pub data: Vec<u8>,
}

impl AuthorizationData {
    /// A list of elements that whoever does not know them may ignore (AD-IF-RELEVANT).
    pub const IF_RELEVANT: i32 = 1;
    /// The PAC of Windows (AD-WIN2K-PAC).
    pub const PAC: i32 = 128;

    /// Reads a list, such as the data of [`IF_RELEVANT`](Self::IF_RELEVANT).
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        Self::read_list(Reader::sequence(bytes, "authorization data")?)
    }

    /// Writes a list.
    #[must_use]
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.sequence(|writer| Self::write_list(list, writer));
        writer.into_bytes()
    }

    pub(super) fn read_list(mut elements: Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let mut list = Vec::new();
        while !elements.is_empty() {
            let mut element = elements.next_sequence()?;
            list.push(Self { kind: element.int32(0)?, data: element.octets(1)?.to_vec() });
        }
        Ok(list)
    }

    pub(super) fn write_list(list: &[Self], writer: &mut Writer) {
        for element in list {
            writer.sequence(|writer| {
                writer.integer(0, element.kind).octets(1, &element.data);
            });
        }
    }
}
