//! Tickets (RFC 4120 5.3).

use zeroize::Zeroizing;

use super::parts::{AuthorizationData, EncryptedData, key_field, write_key};
use crate::crypto::{Etype, Key};
use crate::der::{Malformed, Reader, Writer};
use crate::moment::KerberosTime;
use crate::principal::Principal;

/// The part of a ticket that everybody may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// For whom it is. The service's key, not this name, proves it.
    pub service: Principal,
    /// [`EncTicketPart`] under the service's key.
    pub enc_part: EncryptedData,
}

const TICKET: &str = "a ticket";

impl Ticket {
    /// Reads a ticket.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 1, TICKET)?;
        reader.expect(0, 5)?;
        let service = Principal::read_fields(&mut reader, 1)?;
        Ok(Self { service, enc_part: EncryptedData::read(reader.field(3)?, TICKET)? })
    }

    /// Writes a ticket.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(1, |writer| {
            writer.integer(0, 5);
            self.service.write_fields(writer, 1);
            writer.field(3, |writer| self.enc_part.write(writer));
        });
        writer.into_bytes()
    }
}

/// What a ticket may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TicketFlags(pub u32);

impl TicketFlags {
    /// Postdated, and not validated yet.
    pub const INVALID: u32 = 0x0100_0000;
    /// The client proved its identity to the KDC before it got the ticket.
    pub const PRE_AUTHENTICATED: u32 = 0x0020_0000;

    /// Whether this flag is set.
    #[must_use]
    pub const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// The part of a ticket that only the service and the KDC can read.
#[derive(Debug, Clone)]
pub struct EncTicketPart {
    /// What it may be used for.
    pub flags: TicketFlags,
    /// The key that client and service share now.
    pub session_key: Key,
    /// Who the client is.
    pub client: Principal,
    /// Which realms the client came through, as the KDC wrote it.
    pub transited: Vec<u8>,
    /// When the client logged on.
    pub auth_time: KerberosTime,
    /// From when it is good; if that is not there, from the logon.
    pub start_time: Option<KerberosTime>,
    /// Until when it is good.
    pub end_time: KerberosTime,
    /// What the KDC says of the client's rights.
    pub authorization: Vec<AuthorizationData>,
}

const ENC_PART: &str = "the encrypted part of a ticket";

impl EncTicketPart {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`], also for a session key of an etype that is not spoken here.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, 3, ENC_PART)?;
        let flags = TicketFlags(reader.flags(0)?);
        let session_key = key_field(&mut reader, 1)?;
        let client = Principal::read_fields(&mut reader, 2)?;
        let mut transited = reader.elements(4)?;
        transited.int32(0)?;
        let transited = transited.octets(1)?.to_vec();
        let auth_time = reader.time(5)?;
        let start_time = reader.optional(6, Reader::time)?;
        let end_time = reader.time(7)?;
        reader.optional(8, Reader::time)?; // renew-till
        reader.optional(9, Reader::field)?; // addresses: nobody uses them any more
        let authorization = reader.optional(10, Reader::elements)?.map(AuthorizationData::read_list);
        Ok(Self {
            flags,
            session_key,
            client,
            transited,
            auth_time,
            start_time,
            end_time,
            authorization: authorization.transpose()?.unwrap_or_default(),
        })
    }

    /// The etype of the session key in what [`EncTicketPart::decode`] refuses, where it is one that is not spoken here, such as
    /// 23 (RC4): a KDC may give such a key under a key of the service that is spoken.
    #[must_use]
    pub fn foreign_etype(bytes: &[u8]) -> Option<i32> {
        let mut reader = Reader::message(bytes, 3, ENC_PART).ok()?;
        reader.flags(0).ok()?;
        let etype = reader.elements(1).and_then(|mut key| key.int32(0)).ok()?;
        Etype::from_wire(etype).is_none().then_some(etype)
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::new();
        writer.message(3, |writer| {
            writer.flags(0, self.flags.0).field(1, |writer| write_key(&self.session_key, writer));
            self.client.write_fields(writer, 2);
            // 1: DOMAIN-X500-COMPRESS, the only encoding there is
            writer.elements(4, |writer| {
                writer.integer(0, 1).octets(1, &self.transited);
            });
            writer.time(5, self.auth_time);
            if let Some(start) = self.start_time {
                writer.time(6, start);
            }
            writer.time(7, self.end_time);
            if !self.authorization.is_empty() {
                writer.elements(10, |writer| AuthorizationData::write_list(&self.authorization, writer));
            }
        });
        writer.into_secret()
    }
}
