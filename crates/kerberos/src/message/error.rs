//! What a KDC or a service says when it refuses (RFC 4120 5.9.1, 7.5.9; MS-KILE 2.2.1).

use std::fmt;

use super::padata::PaData;
use crate::der::{Malformed, Reader, Writer, only, tag};
use crate::moment::Moment;
use crate::principal::Principal;

/// Why a request was refused. kerberos.md 6 says when each was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// The KDC knows no such client.
    pub const CLIENT_UNKNOWN: Self = Self(6);
    /// The KDC knows no such service.
    pub const SERVICE_UNKNOWN: Self = Self(7);
    /// A policy of the domain forbids it.
    pub const POLICY: Self = Self(12);
    /// An option of the request cannot be granted.
    pub const BAD_OPTION: Self = Self(13);
    /// Client, service and KDC have no etype in common.
    pub const ETYPE_UNSUPPORTED: Self = Self(14);
    /// The account is disabled, locked or expired.
    pub const CLIENT_REVOKED: Self = Self(18);
    /// The password is expired or must be changed.
    pub const KEY_EXPIRED: Self = Self(23);
    /// The proof of the client's identity is wrong: its password or key is another one.
    pub const PREAUTH_FAILED: Self = Self(24);
    /// The KDC wants a proof of the client's identity first. No failure.
    pub const PREAUTH_REQUIRED: Self = Self(25);
    /// The KDC cannot answer now.
    pub const SERVICE_UNAVAILABLE: Self = Self(29);
    /// Something does not decrypt.
    pub const BAD_INTEGRITY: Self = Self(31);
    /// The ticket is too old.
    pub const TICKET_EXPIRED: Self = Self(32);
    /// The ticket is not good yet.
    pub const TICKET_NOT_YET_VALID: Self = Self(33);
    /// The authenticator came before.
    pub const REPEATED: Self = Self(34);
    /// The ticket is for another service.
    pub const NOT_US: Self = Self(35);
    /// Ticket and authenticator name different clients.
    pub const MISMATCH: Self = Self(36);
    /// The clocks are too far apart.
    pub const SKEW: Self = Self(37);
    /// The ticket does not decrypt: it is under another key.
    pub const MODIFIED: Self = Self(41);
    /// The service has no key of that version.
    pub const BAD_KEY_VERSION: Self = Self(44);
    /// The service has no such key.
    pub const NO_KEY: Self = Self(45);
    /// The checksum of the authenticator is of a kind that does not belong there.
    pub const WRONG_CHECKSUM: Self = Self(50);
    /// Anything else.
    pub const GENERIC: Self = Self(60);
    /// The client lives in another realm, which the error names.
    pub const WRONG_REALM: Self = Self(68);

    /// Its name in RFC 4120 without `KDC_ERR_` and `KRB_AP_ERR_`, for those that have a constant here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CLIENT_UNKNOWN => "C_PRINCIPAL_UNKNOWN",
            Self::SERVICE_UNKNOWN => "S_PRINCIPAL_UNKNOWN",
            Self::POLICY => "POLICY",
            Self::BAD_OPTION => "BADOPTION",
            Self::ETYPE_UNSUPPORTED => "ETYPE_NOSUPP",
            Self::CLIENT_REVOKED => "CLIENT_REVOKED",
            Self::KEY_EXPIRED => "KEY_EXPIRED",
            Self::PREAUTH_FAILED => "PREAUTH_FAILED",
            Self::PREAUTH_REQUIRED => "PREAUTH_REQUIRED",
            Self::SERVICE_UNAVAILABLE => "SVC_UNAVAILABLE",
            Self::BAD_INTEGRITY => "BAD_INTEGRITY",
            Self::TICKET_EXPIRED => "TKT_EXPIRED",
            Self::TICKET_NOT_YET_VALID => "TKT_NYV",
            Self::REPEATED => "REPEAT",
            Self::NOT_US => "NOT_US",
            Self::MISMATCH => "BADMATCH",
            Self::SKEW => "SKEW",
            Self::MODIFIED => "MODIFIED",
            Self::BAD_KEY_VERSION => "BADKEYVER",
            Self::NO_KEY => "NOKEY",
            Self::WRONG_CHECKSUM => "INAPP_CKSUM",
            Self::GENERIC => "GENERIC",
            Self::WRONG_REALM => "WRONG_REALM",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    /// `37 (SKEW)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// KRB-ERROR. Nothing in it is protected: it is good for advice, not for decisions about trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KrbError {
    /// Why.
    pub code: ErrorCode,
    /// The clock of who refused.
    pub server_time: Moment,
    /// The client's realm: for [`ErrorCode::WRONG_REALM`] the one to ask.
    pub client_realm: Option<String>,
    /// The service that the error is about, with the realm of who refused. Some KDCs name none: Heimdal and Samba send a name
    /// without components, which RFC 4120 5.2.2 allows.
    pub service: Option<Principal>,
    /// What it says in words, in any form. Escape it before it is shown.
    pub text: Option<String>,
    /// More of it; for [`ErrorCode::PREAUTH_REQUIRED`] a list of [`PaData`].
    pub data: Option<Vec<u8>>,
}

const WHAT: &str = "a refusal (KRB-ERROR)";
const NUMBER: u8 = 30;
/// What Heimdal names as the realm where it has none; the field is mandatory.
const NO_REALM: &str = "<unspecified realm>";

impl KrbError {
    /// Whether these bytes are meant to be one.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.first() == Some(&tag::application(NUMBER))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::message(bytes, NUMBER, WHAT)?;
        reader.expect(0, 5)?;
        reader.expect(1, NUMBER.into())?;
        reader.optional(2, Reader::time)?; // the client's time comes back
        reader.optional(3, Reader::integer)?;
        let time = reader.time(4)?;
        let micros = reader.microseconds(5)?;
        let code = ErrorCode(reader.int32(6)?);
        let client_realm = reader.optional(7, Reader::text)?.map(str::to_owned);
        reader.optional(8, Reader::field)?; // the client's name
        let realm = reader.text(9)?;
        // Nothing is decided by the name, so that an odd one must not hide the code.
        let service = reader.field(10).map(|name| Principal::read_name(name, realm, WHAT).ok())?;
        let text =
            reader.optional(11, |reader, field| only(reader.field(field)?, tag::GENERAL_STRING, WHAT))?;
        Ok(Self {
            code,
            server_time: Moment { time, micros },
            client_realm,
            service,
            text: text.map(|text| String::from_utf8_lossy(text).into_owned()),
            data: reader.optional(12, Reader::octets)?.map(<[u8]>::to_vec),
        })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.message(NUMBER, |writer| {
            writer.integer(0, 5).integer(1, NUMBER);
            writer.time(4, self.server_time.time).integer(5, self.server_time.micros).integer(6, self.code.0);
            if let Some(realm) = &self.client_realm {
                writer.text(7, realm);
            }
            match &self.service {
                Some(service) => service.write_fields(writer, 9),
                None => {
                    writer.text(9, NO_REALM).field(10, |writer| {
                        writer.sequence(|writer| {
                            writer.integer(0, 0).elements(1, |_| {});
                        });
                    });
                }
            }
            if let Some(text) = &self.text {
                writer.text(11, text);
            }
            if let Some(data) = &self.data {
                writer.octets(12, data);
            }
        });
        writer.into_bytes()
    }

    /// The status of Windows that a domain controller adds, such as 0xC0000072 for a disabled account: KERB-ERROR-DATA of
    /// type 3 (MS-KILE 2.2.1), alone or in a list.
    #[must_use]
    pub fn nt_status(&self) -> Option<u32> {
        const EXTENDED: i32 = 3;
        let data = self.data.as_deref()?;
        let extended = |element: &mut Reader<'_>| {
            let kind = element.int32(1).ok()?;
            let value = element.octets(2).ok()?;
            let status = (kind == EXTENDED).then(|| value.first_chunk()).flatten()?;
            Some(u32::from_le_bytes(*status))
        };
        let alone = Reader::sequence(data, WHAT).ok().and_then(|mut element| extended(&mut element));
        alone.or_else(|| {
            let list = PaData::decode_list(data).ok()?;
            let element = list.iter().find(|element| element.kind.0 == EXTENDED)?;
            element.value.first_chunk().map(|status| u32::from_le_bytes(*status))
        })
    }
}
