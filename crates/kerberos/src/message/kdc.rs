//! Requests to a KDC and its answers (RFC 4120 5.4).

use zeroize::Zeroizing;

use super::padata::PaData;
use super::parts::{EncryptedData, key_field, write_key};
use super::ticket::TicketFlags;
use crate::crypto::Key;
use crate::der::{Malformed, Reader, Writer, integer, tag};
use crate::moment::KerberosTime;
use crate::principal::Principal;

/// Which of the two services of a KDC is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KdcKind {
    /// The authentication service: a logon.
    As,
    /// The ticket-granting service: a ticket for a ticket.
    Tgs,
}

impl KdcKind {
    /// The number of the request, which is its tag and its type. The answer has the next one.
    const fn request(self) -> u8 {
        match self {
            Self::As => 10,
            Self::Tgs => 12,
        }
    }

    const fn reply(self) -> u8 {
        self.request() + 1
    }

    /// The tag of the encrypted part of the answer.
    const fn enc_part(self) -> u8 {
        match self {
            Self::As => 25,
            Self::Tgs => 26,
        }
    }
}

/// What a client asks for (RFC 4120 5.4.1, RFC 6806 3). It never asks for a ticket that can be forwarded: with a
/// ticket-granting ticket that cannot be, the KDC would refuse (kerberos.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KdcOptions(pub u32);

impl KdcOptions {
    /// The KDC may answer with another name of the client, and with a referral.
    pub const CANONICALIZE: Self = Self(0x0001_0000);
    /// A ticket that can be renewed will do where none lives long enough.
    pub const RENEWABLE_OK: Self = Self(0x0000_0010);

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// AS-REQ or TGS-REQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KdcRequest {
    /// Which of them.
    pub kind: KdcKind,
    /// What goes with it.
    pub padata: Vec<PaData>,
    /// [`RequestBody`] as it travels: a TGS-REQ has a checksum over these bytes.
    pub body: Vec<u8>,
}

impl KdcRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let kind = match bytes.first() {
            Some(first) if *first == tag::application(KdcKind::Tgs.request()) => KdcKind::Tgs,
            _ => KdcKind::As,
        };
        let mut reader = Reader::message(bytes, kind.request(), "a request to a KDC")?;
        reader.expect(1, 5)?;
        reader.expect(2, kind.request().into())?;
        let padata = reader.optional(3, Reader::elements)?.map(PaData::read_list);
        Ok(Self { kind, padata: padata.transpose()?.unwrap_or_default(), body: reader.field(4)?.to_vec() })
    }

    /// Writes a request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(self.kind.request(), |writer| {
            writer.integer(1, 5).integer(2, self.kind.request());
            if !self.padata.is_empty() {
                writer.elements(3, |writer| PaData::write_list(&self.padata, writer));
            }
            writer.field(4, |writer| {
                writer.encoded(&self.body);
            });
        });
        writer.into_bytes()
    }
}

/// KDC-REQ-BODY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestBody {
    /// What is asked for.
    pub options: KdcOptions,
    /// The client of a logon, in the realm of the service.
    pub client: Option<Principal>,
    /// The service that the ticket is to be for, and the realm that is asked.
    pub service: Principal,
    /// Until when the ticket should be good.
    pub till: KerberosTime,
    /// Comes back in the answer: 31 random bits.
    pub nonce: u32,
    /// The etypes that the client speaks, its favourite first.
    pub etypes: Vec<i32>,
}

const BODY: &str = "the body of a request to a KDC";

impl RequestBody {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`], also when no service is named.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::sequence(bytes, BODY)?;
        let options = KdcOptions(reader.flags(0)?);
        let client = reader.optional(1, Reader::field)?;
        let realm = reader.text(2)?;
        let service = Principal::read_name(reader.field(3)?, realm, BODY)?;
        reader.optional(4, Reader::time)?; // from
        let till = reader.time(5)?;
        reader.optional(6, Reader::time)?; // rtime
        let nonce = reader.uint32(7)?;
        let mut numbers = reader.elements(8)?;
        let mut etypes = Vec::new();
        while !numbers.is_empty() {
            let (_, _, whole) = numbers.any()?;
            etypes.push(i32::try_from(integer(whole, BODY)?).map_err(|_| numbers.malformed())?);
        }
        let client = client.map(|name| Principal::read_name(name, realm, BODY)).transpose()?;
        Ok(Self { options, client, service, till, nonce, etypes })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.sequence(|writer| {
            writer.flags(0, self.options.0);
            if let Some(client) = &self.client {
                writer.field(1, |writer| client.write_name(writer));
            }
            self.service.write_fields(writer, 2);
            writer.time(5, self.till).integer(7, self.nonce).elements(8, |writer| {
                for etype in &self.etypes {
                    writer.bare_integer(*etype);
                }
            });
        });
        writer.into_bytes()
    }
}

/// AS-REP or TGS-REP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KdcReply {
    /// Which of them.
    pub kind: KdcKind,
    /// What goes with it.
    pub padata: Vec<PaData>,
    /// The client as the KDC calls it.
    pub client: Principal,
    /// The ticket as it travels.
    pub ticket: Vec<u8>,
    /// [`EncKdcReplyPart`] under a key of the client's.
    pub enc_part: EncryptedData,
}

impl KdcReply {
    /// Reads the answer to a request of this kind.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8], kind: KdcKind) -> Result<Self, Malformed> {
        const WHAT: &str = "a KDC's answer";
        let mut reader = Reader::message(bytes, kind.reply(), WHAT)?;
        reader.expect(0, 5)?;
        reader.expect(1, kind.reply().into())?;
        let padata = reader.optional(2, Reader::elements)?.map(PaData::read_list);
        let client = Principal::read_fields(&mut reader, 3)?;
        Ok(Self {
            kind,
            padata: padata.transpose()?.unwrap_or_default(),
            client,
            ticket: reader.field(5)?.to_vec(),
            enc_part: EncryptedData::read(reader.field(6)?, WHAT)?,
        })
    }

    /// Writes the answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(self.kind.reply(), |writer| {
            writer.integer(0, 5).integer(1, self.kind.reply());
            if !self.padata.is_empty() {
                writer.elements(2, |writer| PaData::write_list(&self.padata, writer));
            }
            self.client.write_fields(writer, 3);
            writer.field(5, |writer| {
                writer.encoded(&self.ticket);
            });
            writer.field(6, |writer| self.enc_part.write(writer));
        });
        writer.into_bytes()
    }
}

/// The part of a KDC's answer that only the client can read.
#[derive(Debug, Clone)]
pub struct EncKdcReplyPart {
    /// The key that client and service share now.
    pub session_key: Key,
    /// That of the request.
    pub nonce: u32,
    /// What the ticket may be used for.
    pub flags: TicketFlags,
    /// When the client logged on.
    pub auth_time: KerberosTime,
    /// From when the ticket is good; if that is not there, from the logon.
    pub start_time: Option<KerberosTime>,
    /// Until when it is good.
    pub end_time: KerberosTime,
    /// The service that the ticket is for.
    pub service: Principal,
}

impl EncKdcReplyPart {
    /// Reads it. Some KDCs put the tag of a TGS-REP on both kinds, so both tags are good for both.
    ///
    /// # Errors
    /// [`Malformed`], also for a session key of an etype that is not spoken here.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const WHAT: &str = "the encrypted part of a KDC's answer";
        let kind = match bytes.first() {
            Some(first) if *first == tag::application(KdcKind::As.enc_part()) => KdcKind::As,
            _ => KdcKind::Tgs,
        };
        let mut reader = Reader::message(bytes, kind.enc_part(), WHAT)?;
        let session_key = key_field(&mut reader, 0)?;
        reader.field(1)?; // last-req: nothing that a program could use
        let nonce = reader.uint32(2)?;
        reader.optional(3, Reader::time)?; // key-expiration
        let flags = TicketFlags(reader.flags(4)?);
        let auth_time = reader.time(5)?;
        let start_time = reader.optional(6, Reader::time)?;
        let end_time = reader.time(7)?;
        reader.optional(8, Reader::time)?; // renew-till
        let service = Principal::read_fields(&mut reader, 9)?;
        Ok(Self { session_key, nonce, flags, auth_time, start_time, end_time, service })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self, kind: KdcKind) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.message(kind.enc_part(), |writer| {
            writer.field(0, |writer| write_key(&self.session_key, writer));
            // last-req must be there, with at least one entry; kind 0 says nothing
            writer.elements(1, |writer| {
                writer.sequence(|writer| {
                    writer.integer(0, 0).time(1, self.auth_time);
                });
            });
            writer.integer(2, self.nonce).flags(4, self.flags.0).time(5, self.auth_time);
            if let Some(start) = self.start_time {
                writer.time(6, start);
            }
            writer.time(7, self.end_time);
            self.service.write_fields(writer, 9);
        });
        writer.into_secret()
    }
}
