//! What a client shows to a service, and the service's answer (RFC 4120 5.5).

use zeroize::Zeroizing;

use super::parts::{Checksum, EncryptedData, key_field, write_key};
use crate::crypto::{IntegrityError, Key, KeyUsage};
use crate::der::{Malformed, Reader, Writer};
use crate::environment::{Environment, NoRandomness};
use crate::moment::Moment;
use crate::principal::Principal;

/// What a client asks of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApOptions(pub u32);

impl ApOptions {
    /// The service is to prove its identity as well.
    pub const MUTUAL_REQUIRED: u32 = 0x2000_0000;
    /// The ticket is under another ticket's session key, not under a key of the service.
    pub const USE_SESSION_KEY: u32 = 0x4000_0000;

    /// Whether this option is set.
    #[must_use]
    pub const fn has(self, option: u32) -> bool {
        self.0 & option != 0
    }
}

/// AP-REQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApRequest {
    /// What is asked for.
    pub options: ApOptions,
    /// The ticket as it travels.
    pub ticket: Vec<u8>,
    /// [`Authenticator`] under the session key.
    pub authenticator: EncryptedData,
}

const REQUEST: &str = "a request to a service (AP-REQ)";

impl ApRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 14, REQUEST)?;
        reader.expect(0, 5)?;
        reader.expect(1, 14)?;
        Ok(Self {
            options: ApOptions(reader.flags(2)?),
            ticket: reader.field(3)?.to_vec(),
            authenticator: EncryptedData::read(reader.field(4)?, REQUEST)?,
        })
    }

    /// Writes a request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(14, |writer| {
            writer.integer(0, 5).integer(1, 14).flags(2, self.options.0).field(3, |writer| {
                writer.encoded(&self.ticket);
            });
            writer.field(4, |writer| self.authenticator.write(writer));
        });
        writer.into_bytes()
    }
}

/// What proves that the sender of a ticket knows its session key, now.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// The client, which must be the ticket's.
    pub client: Principal,
    /// A checksum over what goes with the ticket; for GSS, the flags of the context.
    pub checksum: Option<Checksum>,
    /// The client's clock.
    pub moment: Moment,
    /// A key for this exchange alone.
    pub subkey: Option<Key>,
    /// The number of the first message.
    pub sequence: Option<u32>,
}

impl Authenticator {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`], also for a subkey of an etype that is not spoken here.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 2, "an authenticator")?;
        reader.expect(0, 5)?;
        let client = Principal::read_fields(&mut reader, 1)?;
        let checksum = reader.optional(3, Checksum::field)?;
        let micros = reader.microseconds(4)?;
        let time = reader.time(5)?;
        let subkey = reader.optional(6, key_field)?;
        let sequence = reader.optional(7, Reader::uint32)?;
        Ok(Self { client, checksum, moment: Moment { time, micros }, subkey, sequence })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.message(2, |writer| {
            writer.integer(0, 5);
            self.client.write_fields(writer, 1);
            if let Some(checksum) = &self.checksum {
                writer.field(3, |writer| checksum.write(writer));
            }
            writer.integer(4, self.moment.micros).time(5, self.moment.time);
            if let Some(subkey) = &self.subkey {
                writer.field(6, |writer| write_key(subkey, writer));
            }
            if let Some(sequence) = self.sequence {
                writer.integer(7, sequence);
            }
        });
        writer.into_secret()
    }
}

/// AP-REP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApReply {
    /// [`EncApReplyPart`] under the session key.
    pub enc_part: EncryptedData,
}

const REPLY: &str = "a service's answer (AP-REP)";

impl ApReply {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 15, REPLY)?;
        reader.expect(0, 5)?;
        reader.expect(1, 15)?;
        Ok(Self { enc_part: EncryptedData::read(reader.field(2)?, REPLY)? })
    }

    /// Writes an answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(15, |writer| {
            writer.integer(0, 5).integer(1, 15).field(2, |writer| self.enc_part.write(writer));
        });
        writer.into_bytes()
    }

    /// Encrypts an answer under the session key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn seal(
        part: &EncApReplyPart,
        session_key: &Key,
        environment: &dyn Environment,
    ) -> Result<Self, NoRandomness> {
        let usage = KeyUsage::AP_REPLY;
        Ok(Self { enc_part: EncryptedData::seal(session_key, usage, None, &part.encode(), environment)? })
    }

    /// Decrypts an answer; the inner result says whether what was inside parses.
    ///
    /// # Errors
    /// [`IntegrityError`].
    pub fn open(&self, session_key: &Key) -> Result<Result<EncApReplyPart, Malformed>, IntegrityError> {
        self.enc_part.open(session_key, KeyUsage::AP_REPLY).map(|plain| EncApReplyPart::decode(&plain))
    }
}

/// The part of a service's answer that only the client can read, and in DCE style of the client's third message that only
/// the service can read.
#[derive(Debug, Clone)]
pub struct EncApReplyPart {
    /// That of the authenticator.
    pub moment: Moment,
    /// A key for this exchange alone.
    pub subkey: Option<Key>,
    /// The number of the first message.
    pub sequence: Option<u32>,
}

impl EncApReplyPart {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`], also for a subkey of an etype that is not spoken here.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 27, "the encrypted part of a service's answer")?;
        let time = reader.time(0)?;
        let micros = reader.microseconds(1)?;
        Ok(Self {
            moment: Moment { time, micros },
            subkey: reader.optional(2, key_field)?,
            sequence: reader.optional(3, Reader::uint32)?,
        })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.message(27, |writer| {
            writer.time(0, self.moment.time).integer(1, self.moment.micros);
            if let Some(subkey) = &self.subkey {
                writer.field(2, |writer| write_key(subkey, writer));
            }
            if let Some(sequence) = self.sequence {
                writer.integer(3, sequence);
            }
        });
        writer.into_secret()
    }
}
