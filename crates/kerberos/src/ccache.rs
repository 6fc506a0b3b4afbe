//! Credential caches: the files in which `kinit` leaves tickets.

use crate::credential::Credential;
use crate::cursor::{Cursor, FileError, LengthSize};
use crate::der::Malformed;
use crate::message::TicketFlags;
use crate::moment::KerberosTime;
use crate::principal::Principal;

/// What a cache holds.
#[derive(Debug, Clone)]
pub struct CredentialCache {
    /// Whose cache it is.
    pub client: Principal,
    /// Its tickets. Those with session keys of an etype that is not spoken here are left out.
    pub credentials: Vec<Credential>,
    /// The etypes of the session keys of those, in their order.
    pub left_out: Vec<i32>,
    /// By how many seconds the KDC's clock is ahead of this machine's, if the writer knew.
    pub clock_offset: Option<i64>,
}

/// The realm of the entries that are settings of the writer, not tickets.
const SETTINGS: &str = "X-CACHECONF:";

/// The tag of the header's clock offset.
const CLOCK_OFFSET: u16 = 1;

impl CredentialCache {
    /// The most bytes that a cache should have: read no larger file.
    pub const MAX_SIZE: usize = 4 << 20;

    /// Reads a file of version 0x0504 or 0x0503 (kerberos.md 2.4). A ticket with a name that nobody has here is passed over, and
    /// one that is cut, as by a writer that was stopped, is the end.
    ///
    /// # Errors
    /// [`FileError::Version`]; [`FileError::Malformed`] for a file whose header, or whose first entry, does not decode.
    pub fn parse(file: &[u8]) -> Result<Self, FileError> {
        let mut cursor = Cursor::new(file, LengthSize::Four, "the credential cache");
        let version = cursor.u16()?;
        let clock_offset = match version {
            0x0504 => {
                let length = cursor.u16()?;
                clock_offset(cursor.part(length.into())?)?
            }
            0x0503 => None,
            _ => return Err(cursor.of_version(version, "0x0504 and 0x0503")),
        };
        let client = principal(&mut cursor)?.ok_or(cursor.malformed())?;
        let (mut credentials, mut left_out, mut is_first) = (Vec::new(), Vec::new(), true);
        while cursor.remaining() != 0 {
            match credential(&mut cursor, version) {
                Ok(Entry::Ticket(credential)) => credentials.push(*credential),
                Ok(Entry::Foreign(etype)) => left_out.push(etype),
                Ok(Entry::Other) => {}
                Err(error) if is_first => return Err(error.into()),
                Err(_) => break,
            }
            is_first = false;
        }
        Ok(Self { client, credentials, left_out, clock_offset })
    }

    /// The ticket-granting ticket of the client's own realm that is good the longest.
    #[must_use]
    pub fn ticket_granting(&self, now: KerberosTime) -> Option<&Credential> {
        let realm = self.client.realm();
        self.best(&Principal::ticket_granting(realm, realm), now)
    }

    /// The ticket for a service, in any realm, that is good the longest.
    #[must_use]
    pub fn ticket_for(&self, service: &Principal, now: KerberosTime) -> Option<&Credential> {
        self.best(service, now)
    }

    /// Why [`Self::ticket_granting`] finds nothing.
    #[must_use]
    pub fn lack(&self, now: KerberosTime) -> Lack {
        let realm = self.client.realm();
        let granting = Principal::ticket_granting(realm, realm);
        let own = self.credentials.iter().filter(|credential| credential.client == self.client);
        let (granting, others): (Vec<_>, Vec<_>) =
            own.partition(|credential| credential.service.is_named_like(&granting));
        let later = granting.iter().filter(|credential| now < credential.end_time);
        match (later.map(|credential| credential.start_time).min(), granting.last()) {
            (Some(begins), _) => Lack::NotYet(begins),
            (None, Some(last)) => Lack::Ended(
                granting.iter().map(|credential| credential.end_time).fold(last.end_time, Ord::max),
            ),
            (None, None) if others.is_empty() => Lack::Empty,
            (None, None) => Lack::NoGranting {
                realm: realm.to_owned(),
                others: others.into_iter().map(|credential| credential.service.clone()).collect(),
            },
        }
    }

    fn best(&self, service: &Principal, now: KerberosTime) -> Option<&Credential> {
        self.credentials
            .iter()
            .filter(|credential| credential.client == self.client)
            .filter(|credential| credential.service.is_named_like(service) && credential.is_good(now, 0))
            .max_by_key(|credential| credential.end_time)
    }
}

/// Why a cache has no ticket-granting ticket of its client's realm that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// It has no ticket of its client.
    Empty,
    /// It has tickets for these alone.
    NoGranting {
        /// The realm of the client.
        realm: String,
        /// For what its tickets are.
        others: Vec<Principal>,
    },
    /// It has one that begins later, or that its KDC has to declare valid first.
    NotYet(KerberosTime),
    /// The last one has ended.
    Ended(KerberosTime),
}

/// The clock offset among the tagged fields of the header.
fn clock_offset(mut header: Cursor<'_>) -> Result<Option<i64>, Malformed> {
    let mut found = None;
    while header.remaining() != 0 {
        let tag = header.u16()?;
        let length = header.u16()?;
        let mut field = header.part(length.into())?;
        if tag == CLOCK_OFFSET {
            found = Some(field.i32()?.into());
        }
    }
    Ok(found)
}

fn principal(cursor: &mut Cursor<'_>) -> Result<Option<Principal>, Malformed> {
    let name_type = cursor.i32()?;
    let count = cursor.u32()?;
    cursor.principal(|_| Ok(name_type), count)
}

/// What an entry is.
enum Entry {
    Ticket(Box<Credential>),
    /// A ticket with a session key of an etype that is not spoken here.
    Foreign(i32),
    /// Of the writer, for itself; or a ticket with a name that nobody has here.
    Other,
}

fn credential(cursor: &mut Cursor<'_>, version: u16) -> Result<Entry, Malformed> {
    let client = principal(cursor)?;
    let service = principal(cursor)?;
    let etype = cursor.u16()?.into();
    if version == 0x0503 {
        cursor.u16()?; // the etype again
    }
    let key = cursor.key(etype)?;
    let auth_time = cursor.u32()?;
    let (start_time, end_time) = (cursor.u32()?, cursor.u32()?);
    cursor.u32()?; // renew-till
    cursor.u8()?; // whether the ticket is under a session key
    let flags = TicketFlags(cursor.u32()?);
    for _addresses_and_authorization in 0..2 {
        for _ in 0..cursor.u32()? {
            cursor.u16()?; // ends with the file, whatever the count says
            cursor.data()?;
        }
    }
    let ticket = cursor.data()?;
    cursor.data()?; // the second ticket, of user to user
    let time = |seconds: u32| KerberosTime::from_unix_seconds(seconds.into());
    let (Some(client), Some(service)) = (client, service) else { return Ok(Entry::Other) };
    if service.realm() == SETTINGS {
        return Ok(Entry::Other);
    }
    let Some(session_key) = key else { return Ok(Entry::Foreign(etype)) };
    Ok(Entry::Ticket(Box::new(Credential {
        client,
        service,
        session_key,
        flags,
        start_time: time(if start_time == 0 { auth_time } else { start_time }),
        end_time: time(end_time),
        ticket: ticket.to_vec(),
    })))
}
