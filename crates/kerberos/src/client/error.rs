//! Why there is no ticket, whose fault it is, and what to do (kerberos.md 6).

use std::borrow::Cow;
use std::fmt;

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

use crate::advice::remedy;
use crate::crypto::IterationsRefused;
use crate::der::Malformed;
use crate::environment::NoRandomness;
use crate::message::{ErrorCode, KrbError};
use crate::principal::Principal;

/// Why a KDC gave no ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The KDC refused.
    #[error("the KDC of {realm} refused {about}: {}", Said(.error))]
    Refused {
        /// The realm that was asked.
        realm: String,
        /// For a logon the account, for a ticket the service.
        about: Principal,
        /// What the KDC said.
        error: Box<KrbError>,
    },
    /// The KDC's answer does not parse.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There are no random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The KDC's parameters for the password are refused.
    #[error(transparent)]
    Iterations(#[from] IterationsRefused),
    /// The KDC's answer is genuine in form, but not an answer to what was asked.
    #[error("the KDC of {realm} answered another request ({what})")]
    OtherAnswer {
        /// The realm that was asked.
        realm: String,
        /// What does not fit.
        what: &'static str,
    },
    /// The KDC's answer does not decrypt.
    #[error("the answer of the KDC of {realm} does not decrypt with the key of {client}")]
    WrongKey {
        /// The realm that was asked.
        realm: String,
        /// Whose key was tried.
        client: Principal,
    },
    /// The KDC offers no etype for which there is a key.
    #[error("there is no key for {client} of an etype that the KDC of {realm} takes ({})", Numbers(.offered))]
    NoCommonEtype {
        /// The realm that was asked.
        realm: String,
        /// Whose key is missing.
        client: Principal,
        /// What the KDC takes.
        offered: Vec<i32>,
    },
    /// The KDC wants a proof that this crate does not give.
    #[error("the KDC of {realm} does not take a password or key of {client}, but wants {wanted}")]
    OtherProof {
        /// The realm that was asked.
        realm: String,
        /// Who logs on.
        client: Principal,
        /// What it wants.
        wanted: Wanted,
    },
    /// KDCs send the client round in a circle.
    #[error("KDCs refer to each other in a circle; {} was asked before", .realm.escape_debug())]
    ReferralLoop {
        /// The realm that would come again.
        realm: String,
    },
    /// KDCs send the client on and on.
    #[error("ten KDCs referred to another one each, the last to {}", .realm.escape_debug())]
    TooManyReferrals {
        /// The realm that would come next.
        realm: String,
    },
    /// What was given as a ticket-granting ticket is none.
    #[error("the ticket for {service} is no ticket-granting ticket")]
    NotGranting {
        /// What it is for.
        service: Principal,
    },
}

/// A proof that this crate does not give; `kinit` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wanted {
    /// FAST: a logon under the protection of other tickets, as a rule those of the machine.
    #[error("an armoured logon (FAST)")]
    Armour,
    /// PKINIT.
    #[error("a certificate, such as a smart card has")]
    Certificate,
}

impl Diagnosis for ClientError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Refused { error, .. } => match error.code {
                ErrorCode::SERVICE_UNAVAILABLE => Hresult::RPC_S_SERVER_TOO_BUSY,
                ErrorCode::BAD_OPTION | ErrorCode::GENERIC => Hresult::RPC_S_SEC_PKG_ERROR,
                _ => Hresult::E_ACCESSDENIED,
            },
            Self::WrongKey { .. } | Self::NoCommonEtype { .. } | Self::OtherProof { .. } => {
                Hresult::E_ACCESSDENIED
            }
            Self::Malformed(_)
            | Self::NoRandomness(_)
            | Self::Iterations(_)
            | Self::OtherAnswer { .. }
            | Self::ReferralLoop { .. }
            | Self::TooManyReferrals { .. } => Hresult::RPC_S_SEC_PKG_ERROR,
            Self::NotGranting { .. } => Hresult::E_INVALIDARG,
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Malformed(_) | Self::OtherAnswer { .. } => Class::Damaged,
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Refused { error, .. } => remedy(error.code),
            Self::Malformed(_) | Self::OtherAnswer { .. } => {
                "check that the address is that of a KDC, and what stands between it and this machine"
            }
            Self::NoRandomness(_) => "check the system's random source",
            Self::Iterations(_) => "ask the domain's administrators why the KDC wants such a count",
            Self::WrongKey { .. } => "check the password, or make the keytab anew",
            Self::OtherProof { wanted: Wanted::Armour, .. } => {
                "have `kinit` log on with tickets of the machine as armour, and use the tickets in PATH: `kinit -k -c \
                 FILE:ARMOR 'HOST$@REALM'`, then `kinit -T FILE:ARMOR -c FILE:PATH user@REALM`"
            }
            Self::OtherProof { wanted: Wanted::Certificate, .. } => {
                "have `kinit` log on with the certificate, and use the tickets in PATH: `kinit -X \
                 X509_user_identity=PKCS11:MODULE -c FILE:PATH user@REALM`, where MODULE is the smart card's library"
            }
            Self::NoCommonEtype { .. } => {
                "allow AES for the account (msDS-SupportedEncryptionTypes), set its password again, and make the \
                 keytab anew; RC4 is not spoken here"
            }
            Self::ReferralLoop { .. } | Self::TooManyReferrals { .. } => {
                "ask the domain's administrators about the trusts between the realms"
            }
            Self::NotGranting { .. } => "get a ticket-granting ticket, for instance with `kinit`",
        })
    }
}

/// What a KDC said, in one line.
struct Said<'a>(&'a KrbError);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.code.fmt(f)?;
        if let Some(status) = self.0.nt_status() {
            match status {
                0xC000_006F => f.write_str(", outside the account's logon hours"),
                0xC000_0070 => f.write_str(", not from this machine"),
                0xC000_0071 => f.write_str(", the password has expired"),
                0xC000_0072 => f.write_str(", the account is disabled"),
                0xC000_0193 => f.write_str(", the account has expired"),
                0xC000_0224 => f.write_str(", the password must be changed"),
                0xC000_0234 => f.write_str(", the account is locked"),
                _ => write!(f, ", status 0x{status:08X}"),
            }?;
        }
        match &self.0.text {
            Some(text) if !text.is_empty() => write!(f, " \"{}\"", text.escape_debug()),
            _ => Ok(()),
        }
    }
}

/// Numbers with commas.
struct Numbers<'a>(&'a [i32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(i32::to_string).collect();
        if texts.is_empty() { f.write_str("none") } else { f.write_str(&texts.join(", ")) }
    }
}
