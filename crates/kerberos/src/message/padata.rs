//! What travels beside a request to a KDC and its answer (RFC 4120 5.2.7).

use zeroize::Zeroizing;

use crate::der::{Malformed, Reader, Writer, only, tag};
use crate::moment::Moment;

/// The kind of a [`PaData`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaType(pub i32);

impl PaType {
    /// The AP-REQ of a request for a ticket.
    pub const TGS_REQUEST: Self = Self(1);
    /// The encrypted timestamp that proves to know the account's key.
    pub const ENCRYPTED_TIMESTAMP: Self = Self(2);
    /// A certificate, for instance on a smart card, as Windows 2000 asked for it, and as RFC 4556 has it.
    pub const OLD_CERTIFICATE: Self = Self(15);
    /// See [`OLD_CERTIFICATE`](Self::OLD_CERTIFICATE).
    pub const CERTIFICATE: Self = Self(16);
    /// What the account's keys are made of: [`EtypeInfo2`].
    pub const ETYPE_INFO2: Self = Self(19);
    /// Whether a PAC is wanted (MS-KILE 2.2.3).
    pub const PAC_REQUEST: Self = Self(128);
    /// A request armoured by another ticket (FAST, RFC 6113).
    pub const FAST: Self = Self(136);
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaData {
    /// Its kind.
    pub kind: PaType,
    /// What it says.
    pub value: Vec<u8>,
}

impl PaData {
    /// That a PAC is wanted.
    #[must_use]
    pub fn pac_request() -> Self {
        let mut writer = Writer::new();
        writer.sequence(|writer| {
            writer.field(0, |writer| {
                writer.value(tag::BOOLEAN, |writer| {
                    writer.encoded(&[0xff]);
                });
            });
        });
        Self { kind: PaType::PAC_REQUEST, value: writer.into_bytes() }
    }

    /// Reads METHOD-DATA, which a KDC sends when it wants a proof first.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        Self::read_list(Reader::sequence(bytes, "pre-authentication data")?)
    }

    /// Writes METHOD-DATA.
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
            list.push(Self { kind: PaType(element.int32(1)?), value: element.octets(2)?.to_vec() });
        }
        Ok(list)
    }

    pub(super) fn write_list(list: &[Self], writer: &mut Writer) {
        for element in list {
            writer.sequence(|writer| {
                writer.integer(1, element.kind.0).octets(2, &element.value);
            });
        }
    }
}

/// How a KDC says that a key is made of the password (ETYPE-INFO2-ENTRY, RFC 4120 5.2.7.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtypeInfo2 {
    /// The number of the etype, which need not be one that is spoken here.
    pub etype: i32,
    /// The salt; if there is none, it is the realm with the components of the name behind it.
    pub salt: Option<Vec<u8>>,
    /// The iteration count in 4 bytes, or nothing.
    pub parameters: Vec<u8>,
}

impl EtypeInfo2 {
    /// Reads the entries, the KDC's favourite first.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode_list(bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        const WHAT: &str = "a KDC's description of keys (ETYPE-INFO2)";
        let mut elements = Reader::sequence(bytes, WHAT)?;
        let mut list = Vec::new();
        while !elements.is_empty() {
            let mut element = elements.next_sequence()?;
            list.push(Self {
                etype: element.int32(0)?,
                salt: element.optional(1, |reader, field| {
                    only(reader.field(field)?, tag::GENERAL_STRING, WHAT).map(<[u8]>::to_vec)
                })?,
                parameters: element.optional(2, Reader::octets)?.unwrap_or_default().to_vec(),
            });
        }
        Ok(list)
    }

    /// Writes the entries.
    #[must_use]
    pub fn encode_list(list: &[Self]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.sequence(|writer| {
            for entry in list {
                writer.sequence(|writer| {
                    writer.integer(0, entry.etype);
                    if let Some(salt) = &entry.salt {
                        writer.field(1, |writer| {
                            writer.value(tag::GENERAL_STRING, |writer| {
                                writer.encoded(salt);
                            });
                        });
                    }
                    if !entry.parameters.is_empty() {
                        writer.octets(2, &entry.parameters);
                    }
                });
            }
        });
        writer.into_bytes()
    }
}

/// The time that a client encrypts to prove that it knows its key (PA-ENC-TS-ENC, RFC 4120 5.2.7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub Moment);

impl Timestamp {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::sequence(bytes, "an encrypted timestamp")?;
        let time = reader.time(0)?;
        let micros = reader.optional(1, Reader::microseconds)?.unwrap_or_default();
        Ok(Self(Moment { time, micros }))
    }

    /// Writes it. It is known plaintext, so it is kept as secret as the rest.
    #[must_use]
    pub fn encode(self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.sequence(|writer| {
            writer.time(0, self.0.time).integer(1, self.0.micros);
        });
        writer.into_secret()
    }
}
