//! What can go wrong, whose fault it is and what to do next: the text says what failed, [`Diagnosis`] the rest.

use std::borrow::Cow;
use std::path::PathBuf;

use certadm_rules::FileTime;
use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

use crate::denial::Denial;
use crate::reason::Reason;
use crate::recognised::Recognised;
use crate::serial::Serial;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every error of the CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The folder and its files.
    /// `ca.toml` has a mistake.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where there are any.
        reason: String,
    },
    /// The name of a new CA cannot be used.
    #[error("the CA name {name:?} cannot be used: {reason}")]
    BadCaName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A setting of a new CA cannot be used.
    #[error("the {setting} {value:?} cannot be used: {reason}")]
    BadSetting {
        /// Which setting.
        setting: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder holds no `ca.toml`.
    #[error("{dir} is not the folder of a CA: {}", lacks(dir), dir = dir.display())]
    NotACa {
        /// The folder.
        dir: PathBuf,
    },
    /// A file that must be new exists.
    #[error("{path} exists and is never overwritten", path = path.display())]
    WouldOverwrite {
        /// The file.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {what} {path}", path = path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },

    // The key.
    /// The passphrase itself is of no use.
    #[error("the passphrase cannot be used: {0}")]
    PassphraseUnusable(&'static str),
    /// The passphrase does not open the key.
    #[error("the passphrase does not open {path}", path = path.display())]
    WrongPassphrase {
        /// The key file.
        path: PathBuf,
    },
    /// The key file is not what `ca init` wrote.
    #[error("the key file {path} is damaged: {reason}", path = path.display())]
    KeyDamaged {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key file is sound, and encrypted in a way, or of a kind, that this program does not know.
    #[error("the key file {path} cannot be used: {reason}", path = path.display())]
    KeyUnsupported {
        /// The key file.
        path: PathBuf,
        /// What it is.
        reason: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The key lies there in the clear.
    #[error("the key file {path} is not encrypted", path = path.display())]
    KeyNotEncrypted {
        /// The key file.
        path: PathBuf,
    },
    /// Making or using a private key failed.
    #[error("the private key cannot be {what}: {reason}")]
    Key {
        /// The operation, as a participle.
        what: &'static str,
        /// What the library said.
        reason: String,
    },
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] getrandom::Error),

    // The CA certificate.
    /// The CA waits for the answer of its parent.
    #[error("this CA has no certificate yet: its request {request} waits for its parent", request = request.display())]
    NotYetCertified {
        /// The request for the parent.
        request: PathBuf,
    },
    /// The CA already has its certificate.
    #[error("this CA already has this certificate, or a newer one ({path})", path = path.display())]
    AlreadyCertified {
        /// The certificate file.
        path: PathBuf,
    },
    /// A renewed certificate has another name than the CA: what the CA issues would not go with what it issued before.
    #[error("the certificate is of {certificate}, and this CA is {ca}")]
    OtherName {
        /// The subject of the certificate.
        certificate: String,
        /// That of the CA.
        ca: String,
    },
    /// A certificate cannot be read.
    #[error("the certificate in {what} cannot be read: {reason}")]
    CertificateDamaged {
        /// File or input.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate and the key of this CA do not belong together.
    #[error("no certificate in {what} belongs to the key of this CA")]
    KeyMismatch {
        /// File or input.
        what: String,
    },
    /// A certificate belongs to our key but does not make us a CA.
    #[error("the certificate in {what} cannot be the certificate of a CA: {reason}")]
    NotACaCertificate {
        /// File or input.
        what: String,
        /// What is missing in it.
        reason: String,
    },
    /// A CA's folder or key is open to other accounts.
    #[error("{path} is not safe: {what}")]
    Exposed {
        /// The folder or file.
        path: PathBuf,
        /// What others can do.
        what: &'static str,
        /// The command that mends it.
        remedy: String,
    },
    /// What was written to the database is not what it gives back; nothing of it was committed.
    #[error("the database does not give back what was recorded of certificate {serial}: nothing was {verb}")]
    NotRecorded {
        /// The certificate.
        serial: Serial,
        /// What was to be done: `issued` or `revoked`.
        verb: &'static str,
    },
    /// The CA certificate does not cover the present.
    #[error("the certificate of this CA is valid from {} to {}, and now it is {}", not_before.to_rfc3339(), not_after.to_rfc3339(), now.to_rfc3339())]
    CaNotValid {
        /// Start of the CA certificate.
        not_before: FileTime,
        /// End of the CA certificate.
        not_after: FileTime,
        /// The date that was asked for.
        now: FileTime,
    },

    /// The database belongs to another CA than the key.
    #[error("the database is that of {database}, but the key here is that of {folder}")]
    AnotherCa {
        /// The CA of the database, with its key identifier.
        database: String,
        /// The CA of the folder, likewise.
        folder: String,
        /// Whether both have the same name, as before and after the renewal of a key.
        same_name: bool,
    },
    /// The clock is behind what has been published already.
    #[error("the last CRL was published on {}, and now it is {}", last.to_rfc3339(), now.to_rfc3339())]
    ClockBehindCrl {
        /// When the last CRL was published.
        last: FileTime,
        /// What the clock says.
        now: FileTime,
    },

    /// A file is sound, and not what is needed in its place.
    #[error("{what} is {}, and {} is needed", is.text(), wanted.text())]
    WrongKind {
        /// File or input.
        what: String,
        /// What it is.
        is: Recognised,
        /// What is needed.
        wanted: Recognised,
    },

    // Requests.
    /// Not a PKCS#10 request at all. Leaves no row.
    #[error("this is not a PKCS#10 certificate request: {reason}")]
    BadRequest {
        /// What is wrong.
        reason: String,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}; this CA has: {known}")]
    UnknownProfile {
        /// The profile asked for.
        name: String,
        /// Those that exist, separated by commas.
        known: String,
    },
    /// A CA certificate was asked for without saying so twice.
    #[error(
        "the profile {name:?} makes a subordinate CA, which can issue certificates in this CA's name, and was not allowed explicitly"
    )]
    CaProfileNotAllowed {
        /// The profile.
        name: String,
    },
    /// A validity beyond the profile's.
    #[error("{days} days are more than the {max} that the profile {profile:?} allows")]
    ValidityTooLong {
        /// Days asked for.
        days: u32,
        /// Days allowed.
        max: u32,
        /// The profile.
        profile: String,
    },
    /// The request is one, but this CA does not grant it. An issue leaves a row with disposition 31.
    #[error("the request{} was denied: {}", denied_as(.0), .0.reason)]
    Denied(Box<Denial>),
    /// The serial number exists, and so did those of a few more tries: the random source is broken.
    #[error("the serial number {serial} has been issued already")]
    SerialTaken {
        /// The number.
        serial: Serial,
    },

    // Certificates and their revocation.
    /// The text is no serial number.
    #[error("{text:?} is not a serial number of up to 21 octets in hexadecimal digits")]
    BadSerial {
        /// The text as given.
        text: String,
    },
    /// The text is no revocation reason.
    #[error("{text:?} is not a revocation reason")]
    BadReason {
        /// The text as given.
        text: String,
    },
    /// No such certificate.
    #[error("this CA has issued no certificate with the serial number {serial}")]
    UnknownSerial {
        /// The number.
        serial: Serial,
    },
    /// No such request.
    #[error("request {request_id} has no certificate in this database")]
    UnknownRequest {
        /// The number.
        request_id: i64,
    },
    /// Revoked before.
    #[error("the certificate {serial} was revoked already ({reason}) on {}", when.to_rfc3339())]
    AlreadyRevoked {
        /// The certificate.
        serial: Serial,
        /// The reason given then.
        reason: Reason,
        /// When.
        when: FileTime,
    },
    /// Only a certificate on hold comes back.
    #[error("the certificate {serial} is not on hold, and only certificateHold can be taken back")]
    NotOnHold {
        /// The certificate.
        serial: Serial,
    },
    /// The CA's own certificate is not revoked by itself.
    #[error("{serial} is the certificate of this CA itself, which does not revoke it")]
    OwnCertificate {
        /// The certificate.
        serial: Serial,
    },

    // Below us.
    /// A row of the database is not what this CA writes.
    #[error("request {request_id} in the database is damaged: {reason}")]
    DamagedRow {
        /// Which row.
        request_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// CRL numbers have run out: somebody set one near the end of the 64-bit range.
    #[error("the last CRL number is the largest there is")]
    CrlNumbersExhausted,
    /// Building a certificate, request or CRL failed.
    #[error("cannot encode the {what}: {reason}")]
    Encoding {
        /// What was being built.
        what: &'static str,
        /// What the library said.
        reason: String,
    },
    /// The store, or SQLite below it, refused.
    #[error(transparent)]
    Store(#[from] certadm_store::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(certadm_files::Error),
}

/// What a folder lacks to be that of a CA.
fn lacks(dir: &std::path::Path) -> &'static str {
    if dir.is_dir() { "it has no ca.toml" } else { "there is no such folder" }
}

impl Diagnosis for Error {
    /// A code of certbcli.md section 14 where one fits, otherwise the one that winerror.h has for certificates.
    fn hresult(&self) -> Hresult {
        match self {
            Self::NotACa { .. } => Hresult::ERROR_SERVICE_DOES_NOT_EXIST,
            Self::WouldOverwrite { .. } | Self::AlreadyCertified { .. } => Hresult::ERROR_ALREADY_EXISTS,
            Self::Io { source, .. } => certadm_files::io_hresult(source),
            Self::PassphraseUnusable(_) | Self::WrongPassphrase { .. } => Hresult::ERROR_INVALID_PASSWORD,
            Self::KeyDamaged { .. } | Self::Key { .. } | Self::KeyNotEncrypted { .. } => Hresult::NTE_BAD_KEY,
            Self::KeyUnsupported { .. } => Hresult::ERROR_NOT_SUPPORTED,
            Self::NotYetCertified { .. } => Hresult::ERROR_SERVICE_NOT_ACTIVE,
            Self::CertificateDamaged { .. }
            | Self::WrongKind { .. }
            | Self::BadRequest { .. }
            | Self::DamagedRow { .. } => Hresult::ERROR_INVALID_DATA,
            Self::KeyMismatch { .. } => Hresult::NTE_BAD_PUBLIC_KEY,
            Self::NotACaCertificate { .. } => Hresult::TRUST_E_BASIC_CONSTRAINTS,
            Self::OtherName { .. } => Hresult::CERT_E_WRONG_USAGE,
            Self::CaNotValid { .. } | Self::ClockBehindCrl { .. } => Hresult::CERT_E_EXPIRED,
            Self::NotRecorded { .. } => Hresult::DATABASE_CORRUPTED,
            Self::Exposed { .. } => Hresult::E_ACCESSDENIED,
            Self::AnotherCa { .. } => Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE,
            Self::UnknownProfile { .. } => Hresult::CERTSRV_E_UNSUPPORTED_CERT_TYPE,
            Self::CaProfileNotAllowed { .. } => Hresult::E_ACCESSDENIED,
            Self::Denied(denial) => Hresult::from_bits(denial.reason.status_code()),
            Self::SerialTaken { .. } => Hresult::ERROR_OBJECT_ALREADY_EXISTS,
            Self::UnknownSerial { .. } | Self::UnknownRequest { .. } => Hresult::CRYPT_E_NOT_FOUND,
            Self::AlreadyRevoked { .. } => Hresult::CRYPT_E_REVOKED,
            Self::NotOnHold { .. } | Self::OwnCertificate { .. } => Hresult::ERROR_INVALID_STATE,
            Self::Config { .. }
            | Self::BadCaName { .. }
            | Self::BadSetting { .. }
            | Self::ValidityTooLong { .. }
            | Self::BadSerial { .. }
            | Self::BadReason { .. } => Hresult::E_INVALIDARG,
            Self::Random(_) | Self::Encoding { .. } | Self::CrlNumbersExhausted => Hresult::E_FAIL,
            Self::Store(error) => error.hresult(),
            Self::File(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Store(error) => error.class(),
            Self::File(error) => error.class(),
            // Understood; a rule of the profile says no, or another file was meant.
            Self::ValidityTooLong { .. } | Self::WrongKind { .. } | Self::KeyUnsupported { .. } => {
                Class::Refused
            }
            Self::KeyDamaged { .. } => Class::Damaged,
            Self::Key { .. } | Self::Encoding { .. } => Class::Internal,
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Config { .. } => "correct the file",
            Self::BadCaName { .. } | Self::BadSetting { .. } => "give another value",
            Self::NotACa { .. } => "give the folder that `certadm ca init` made",
            Self::WouldOverwrite { .. } => {
                "choose another folder, or move the file away if what it belongs to is given up"
            }
            Self::Io { source, .. } => certadm_files::io_remedy(source),
            Self::PassphraseUnusable(_) => {
                "give a passphrase of 1 to 1024 bytes; a file that holds it is saved as UTF-8"
            }
            Self::WrongPassphrase { .. } => {
                "give the passphrase of this CA; if it is the right one, the key file is damaged: take it from a copy"
            }
            Self::KeyDamaged { .. } => "take the key file from a copy",
            Self::KeyUnsupported { remedy, .. } => remedy,
            Self::KeyNotEncrypted { .. } => {
                "encrypt it with `openssl pkcs8 -topk8 -v2 aes-256-cbc` and put that in its place"
            }
            Self::Key { .. } | Self::Encoding { .. } => "report this with the request that led to it",
            Self::Random(_) => "try again; nothing was issued",
            Self::NotYetCertified { .. } => {
                "have the parent sign the request (ca.csr), then import its answer with `certadm ca import`"
            }
            Self::AlreadyCertified { .. } => {
                "nothing has to be imported; one that was renewed with the same key begins later than the one before it"
            }
            Self::OtherName { .. } => "have the certificate renewed with the name of the CA",
            Self::CertificateDamaged { .. } => "give a certificate in PEM or DER, whole and unchanged",
            Self::KeyMismatch { .. } => "give the answer to this CA's own request",
            Self::NotACaCertificate { .. } => "ask the parent for the certificate of a CA",
            Self::CaNotValid { .. } => "check the clock, or set up a new CA",
            Self::AnotherCa { same_name: true, .. } => {
                "name the folder of the CA that the database is of; if this CA's key was renewed since, restore with --renewed-key"
            }
            Self::AnotherCa { .. } => {
                "restore a set of this CA, or name the folder of the CA that the set is of"
            }
            Self::Exposed { remedy, .. } => return Cow::Owned(format!("run `{remedy}`")),
            Self::NotRecorded { .. } => {
                "stop using this database: take the latest verified set, and find out who changed it"
            }
            Self::ClockBehindCrl { .. } => {
                "set the clock; if it is right and was wrong when that CRL was made, add --after-wrong-clock"
            }
            Self::WrongKind { is, wanted, .. } => is.instead(*wanted),
            Self::BadRequest { .. } => "make a PKCS#10 request with `openssl req -new` or certreq",
            Self::UnknownProfile { .. } => "use one of these, or add it to ca.toml",
            Self::CaProfileNotAllowed { .. } => {
                "allow it explicitly with --allow-ca if a subordinate CA is what you want"
            }
            Self::ValidityTooLong { .. } => "ask for fewer days (--days), or raise max_days in ca.toml",
            Self::Denied(_) => "change the request, or use a profile that allows it",
            Self::SerialTaken { .. } => "sign again with another one",
            Self::BadSerial { .. } | Self::UnknownSerial { .. } => {
                "`certadm ca list --dir DIR certificates` shows the serial numbers"
            }
            Self::BadReason { .. } => {
                "use a number or name of RFC 5280 5.3.1, such as keyCompromise or superseded"
            }
            Self::UnknownRequest { .. } => "`certadm ca list requests` shows what became of it",
            Self::AlreadyRevoked { .. } => "nothing has to be done",
            Self::NotOnHold { .. } => "a revocation for another reason is final; issue a new certificate",
            Self::OwnCertificate { .. } => {
                "have the parent revoke it; in place of a self-signed CA set up a new one"
            }
            Self::DamagedRow { .. } => {
                "verify the database, and restore the latest verified set if it is damaged"
            }
            Self::CrlNumbersExhausted => "correct the numbers in the table CRLs",
            Self::Store(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
        })
    }
}

impl Error {
    /// The refusal of `input`, if it is sound by its outside and of another kind than `wanted`; nothing for what is of that
    /// kind, and for what cannot be recognised. `what` names the input.
    #[must_use]
    pub fn of_wrong_kind(what: &str, input: &[u8], wanted: Recognised) -> Option<Self> {
        let is = Recognised::of(input).filter(|is| *is != wanted)?;
        Some(Self::WrongKind { what: what.to_owned(), is, wanted })
    }

    /// For `map_err` on builders and encoders.
    pub(crate) fn encoding<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::Encoding { what, reason: error.to_string() }
    }
}

impl From<certadm_files::Error> for Error {
    fn from(error: certadm_files::Error) -> Self {
        match error {
            certadm_files::Error::Exists { path } => Self::WouldOverwrite { path },
            other => Self::File(other),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

fn denied_as(denial: &Denial) -> String {
    denial.request_id.map_or_else(String::new, |id| format!(" (number {id})"))
}
