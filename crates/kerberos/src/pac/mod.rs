//! The PAC: what a domain controller says of an account, in its tickets (MS-PAC; kerberos.md 4.2).
//!
//! A client can put authorization data of its own beside that of the KDC. A PAC without the right signature is therefore
//! no PAC to ignore but a logon to refuse.

mod logon;

use certadm_rules::FileTime;

use crate::crypto::{Etype, Key, KeyUsage, UsageKeys};
use crate::der::Malformed;
use crate::moment::KerberosTime;
use crate::principal::Principal;
use crate::sid::Sid;

pub use logon::LogonInfo;

/// What a genuine PAC says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pac {
    /// The account and its groups. The KDC of MIT sends a PAC without it.
    pub logon: Option<LogonInfo>,
}

/// Why a PAC is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacError {
    /// It does not parse.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has no signature by the service's key.
    #[error("the PAC has no signature")]
    Unsigned,
    /// Its signature is of a kind that is not accepted here.
    #[error("the PAC is signed by kind {kind}, which does not belong to the key of the ticket")]
    OtherSignature {
        /// The number of the kind.
        kind: i32,
    },
    /// Its signature does not verify.
    #[error("the signature of the PAC does not verify")]
    BadSignature,
    /// It was made for another account than the ticket.
    #[error("the PAC is that of {name}, the ticket is not")]
    OtherClient {
        /// The account.
        name: String,
    },
    /// It was made for another logon than the ticket.
    #[error("the PAC is that of another logon than the ticket")]
    OtherLogon,
    /// It names two accounts.
    #[error("the PAC was asked for by {requestor}, but describes {described}")]
    OtherRequestor {
        /// Who asked.
        requestor: Sid,
        /// Whom it describes.
        described: Sid,
    },
}

const WHAT: &str = "a PAC";
const MALFORMED: Malformed = Malformed { what: WHAT };

/// Most buffers. Real PACs have about ten.
const MAX_BUFFERS: usize = 64;

/// The kinds of buffers that are looked at (MS-PAC 2.4). All others are covered by the signature and skipped.
mod kind {
    pub(super) const LOGON: u32 = 1;
    pub(super) const SERVER_SIGNATURE: u32 = 6;
    pub(super) const KDC_SIGNATURE: u32 = 7;
    pub(super) const CLIENT: u32 = 10;
    pub(super) const REQUESTOR: u32 = 18;
}

impl Pac {
    /// Reads a PAC out of a ticket that `service_key` opened, and checks that it is that of this client and this logon.
    ///
    /// # Errors
    /// [`PacError`].
    pub fn open(
        bytes: &[u8],
        service_key: &Key,
        client: &Principal,
        auth_time: KerberosTime,
    ) -> Result<Self, PacError> {
        let buffers = Buffers::parse(bytes)?;
        // Only what is genuine is looked at more closely.
        buffers.verify(bytes, service_key)?;
        if let Some(info) = buffers.one(kind::CLIENT)? {
            check_client(info, client, auth_time)?;
        } else {
            return Err(MALFORMED.into());
        }
        let logon = buffers.one(kind::LOGON)?.map(LogonInfo::decode).transpose()?;
        if let Some(requestor) = buffers.one(kind::REQUESTOR)?
            && let Some(logon) = &logon
        {
            let requestor = Sid::from_bytes(requestor).ok_or(MALFORMED)?;
            if requestor != logon.user {
                return Err(PacError::OtherRequestor { requestor, described: logon.user.clone() });
            }
        }
        Ok(Self { logon })
    }
}

/// The buffers of a PAC, each with its kind and its place.
struct Buffers<'a>(Vec<(u32, usize, &'a [u8])>);

impl<'a> Buffers<'a> {
    /// PACTYPE (MS-PAC 2.3).
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<8>().ok_or(MALFORMED)?;
        let [count, version] = words(header);
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_BUFFERS).ok_or(MALFORMED)?;
        let (entries, _) = rest.as_chunks::<16>();
        let entries = entries.get(..count).filter(|_| version == 0).ok_or(MALFORMED)?;
        let buffers = entries.iter().map(|entry| {
            let [kind, size, low, high] = words(entry);
            let start = usize::try_from(low).map_err(|_| MALFORMED)?;
            let end = start.checked_add(usize::try_from(size).map_err(|_| MALFORMED)?).ok_or(MALFORMED)?;
            let buffer = bytes.get(start..end).filter(|_| high == 0 && start % 8 == 0).ok_or(MALFORMED)?;
            Ok((kind, start, buffer))
        });
        buffers.collect::<Result<_, _>>().map(Self)
    }

    /// The buffer of a kind that may be there once.
    fn one(&self, wanted: u32) -> Result<Option<&'a [u8]>, Malformed> {
        let mut found = self.0.iter().filter(|(kind, _, _)| *kind == wanted).map(|(_, _, buffer)| *buffer);
        let first = found.next();
        if found.next().is_none() { Ok(first) } else { Err(MALFORMED) }
    }

    /// Checks the signature by the service's key: over the whole, with the sums of both signatures zero (MS-PAC 2.8.1).
    fn verify(&self, bytes: &[u8], key: &Key) -> Result<(), PacError> {
        let signature = self.one(kind::SERVER_SIGNATURE)?.ok_or(PacError::Unsigned)?;
        self.one(kind::KDC_SIGNATURE)?.ok_or(PacError::Unsigned)?;
        let (kind, _) = signature.split_first_chunk().ok_or(MALFORMED)?;
        let kind = i32::from_le_bytes(*kind);
        if kind != key.etype().checksum_type() {
            return Err(PacError::OtherSignature { kind });
        }
        let sum = sum_of(signature)?;
        let mut signed = bytes.to_vec();
        for (kind, start, buffer) in &self.0 {
            if matches!(*kind, kind::SERVER_SIGNATURE | kind::KDC_SIGNATURE) {
                let sum = if *kind == kind::KDC_SIGNATURE { kdc_sum_of(buffer)? } else { sum_of(buffer)? };
                signed[start + 4..][..sum.len()].fill(0);
            }
        }
        UsageKeys::new(key, KeyUsage::PAC_SIGNATURE)
            .verify_checksum(&[&signed], sum)
            .map_err(|_| PacError::BadSignature)
    }
}

/// The sum of a signature, behind its kind. Behind the sum, a read-only domain controller puts its number.
fn sum_of(buffer: &[u8]) -> Result<&[u8], PacError> {
    /// HMAC-MD5, of keys for RC4: its sum has 16 bytes.
    const HMAC_MD5: i32 = -138;
    let (kind, rest) = buffer.split_first_chunk().ok_or(MALFORMED)?;
    let kind = i32::from_le_bytes(*kind);
    let size = Etype::ALL
        .iter()
        .find(|etype| etype.checksum_type() == kind)
        .map(|etype| etype.mac_size())
        .or((kind == HMAC_MD5).then_some(16))
        .ok_or(PacError::OtherSignature { kind })?;
    Ok(rest.get(..size).ok_or(MALFORMED)?)
}

/// The sum of the KDC's signature, which only its own key verifies: it may be of a kind that is not spoken here. All sums
/// have whole words of 4 bytes, and the number of a read-only domain controller has 2.
fn kdc_sum_of(buffer: &[u8]) -> Result<&[u8], PacError> {
    match sum_of(buffer) {
        Err(PacError::OtherSignature { .. }) => {
            let rest = buffer.get(4..).ok_or(MALFORMED)?;
            Ok(rest.get(..rest.len() & !3).unwrap_or(rest))
        }
        known => known,
    }
}

/// PAC_CLIENT_INFO (MS-PAC 2.7): the time of the logon, and the client's name as the ticket has it.
fn check_client(info: &[u8], client: &Principal, auth_time: KerberosTime) -> Result<(), PacError> {
    let (time, rest) = info.split_first_chunk().ok_or(MALFORMED)?;
    let (length, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
    let name = rest.get(..u16::from_le_bytes(*length).into()).ok_or(MALFORMED)?;
    let (units, &[]) = name.as_chunks::<2>() else { return Err(MALFORMED.into()) };
    let units: Vec<_> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    let name = String::from_utf16(&units).map_err(|_| MALFORMED)?;
    if name != client.name() {
        return Err(PacError::OtherClient { name: name.escape_debug().to_string() });
    }
    if FileTime::from_bits(u64::from_le_bytes(*time)).unix_seconds() != auth_time.unix_seconds() {
        return Err(PacError::OtherLogon);
    }
    Ok(())
}

/// Little-endian words.
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    const { assert!(BYTES == 4 * WORDS) };
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
