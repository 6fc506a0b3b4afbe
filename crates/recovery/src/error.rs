//! What can go wrong while a lost CA's CRL is made, whose fault it is and what to do next.

use std::borrow::Cow;
use std::path::PathBuf;

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, FileTime, Hresult};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why no CRL was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be read.
    #[error("the database of the CA cannot be read: {0}")]
    Windows(#[from] certadm_ese::Error),
    /// The database of our own CA cannot be read.
    #[error("the database of the CA cannot be read")]
    Database(#[from] rusqlite::Error),
    /// A row of the database says what cannot be.
    #[error("request {request_id} in the database cannot be used: {reason}")]
    DamagedRow {
        /// The request.
        request_id: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The database has no certificate of its CA.
    #[error("the database holds no certificate of its CA")]
    NoCaCertificate,
    /// A certificate of the CA cannot be used.
    #[error("the CA certificate of request {request_id} cannot be used: {reason}")]
    CaCertificate {
        /// The request.
        request_id: i64,
        /// What is wrong.
        reason: String,
    },
    /// The CA publishes its CRLs in partitions.
    #[error(
        "this CA publishes its CRLs in partitions (index {index} occurs in the table {table}), which is not supported"
    )]
    Partitions {
        /// A partition index other than 0.
        index: i64,
        /// Where it occurs.
        table: &'static str,
    },
    /// A published CRL cannot be used.
    #[error("the published CRL {name} cannot be used: {reason}")]
    Published {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A published CRL says something of its entries that is not known here: a CRL made of it would list what is not revoked, or not list
    /// what is.
    #[error("the published CRL {name} cannot be carried over: {reason}")]
    NotUnderstood {
        /// The file.
        name: String,
        /// What it has.
        reason: String,
    },
    /// There is no database, and no base CRL: what was revoked before the delta CRL is known from nothing.
    #[error(
        "{name} is a delta CRL, which lists only what has changed since the base CRL {base}: a CRL that is made of it alone would drop every other revocation"
    )]
    NoBase {
        /// The file.
        name: String,
        /// The number of the base CRL.
        base: i64,
    },
    /// Two CRLs of one key are for different certificates: each says nothing of those of the other.
    #[error(
        "the CRLs {one} and {other} are of one key, and for different certificates (issuing distribution point)"
    )]
    TwoScopes {
        /// A file.
        one: String,
        /// The other.
        other: String,
    },
    /// A published CRL is of another CA.
    #[error("the CRL {name} is of another CA: {reason}")]
    PublishedElsewhere {
        /// The file.
        name: String,
        /// How that shows.
        reason: String,
    },
    /// A key belongs to no certificate of the CA.
    #[error(
        "the key in {key} (key id {identifier}) belongs to none of the CA's certificates: {certificates}"
    )]
    KeyOfAnotherCa {
        /// The key file.
        key: String,
        /// Its key identifier.
        identifier: String,
        /// Subject and key identifier of each CA certificate.
        certificates: String,
    },
    /// A key file holds what cannot sign.
    #[error("the key in {path} cannot be used: {reason}", path = path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A signature cannot be made.
    #[error("the CRL of key {index} cannot be signed: {reason}")]
    Signing {
        /// The index of the key.
        index: u32,
        /// What failed.
        reason: String,
    },
    /// A signature that was made elsewhere is wrong.
    #[error("the signature {name} does not verify for the CRL of key {index}")]
    WrongSignature {
        /// The file.
        name: String,
        /// Which CRL, such as `0` or `0+`.
        index: String,
    },
    /// The CA signs with SHA-1.
    #[error("this CA signs its CRLs with SHA-1, for which forgeries can be made")]
    Sha1,
    /// A CRL number that cannot be used.
    #[error("the CRL number {number} cannot be used: {reason}")]
    Number {
        /// The number.
        number: String,
        /// Why not.
        reason: String,
    },
    /// The CRL would end before it begins.
    #[error(
        "the CRL would begin with the certificate of the CA, at {begins}, and end before, at {ends}: the clock of this machine is behind",
        begins = begins.to_rfc3339(),
        ends = ends.to_rfc3339()
    )]
    Ended {
        /// When it begins.
        begins: FileTime,
        /// When it ends.
        ends: FileTime,
    },
    /// A published CRL has a number above which none can be written here.
    #[error("the CRL {name} has a number of more than 63 bits: no greater one can be chosen")]
    LongNumber {
        /// The file.
        name: String,
    },
    /// A revocation that was asked for cannot be carried out.
    #[error("{what} cannot be revoked: {reason}")]
    Revocation {
        /// The serial number, or the line.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A line of a list of revocations cannot be read.
    #[error("line {line} of the list cannot be used: {reason}")]
    ListLine {
        /// Which.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A source of what a lost CA issued cannot be read.
    #[error("{name} cannot be read: {reason}")]
    Source {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two databases are of two CAs.
    #[error("the databases are of two CAs that have no key in common: {first}, and {second}")]
    AnotherCa {
        /// The CA of the first.
        first: String,
        /// The CA of the second.
        second: String,
    },
    /// Sources tell more than can be kept.
    #[error("the sources tell of more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// So many can be kept.
        most: usize,
    },
    /// A file of a folder that this crate wrote is not what it should be.
    #[error("{path} cannot be used: {reason}", path = path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something cannot be written as DER.
    #[error("the CRL cannot be encoded: {0}")]
    Encoding(#[from] der::Error),
    /// The CA's own library refuses.
    #[error(transparent)]
    Ca(#[from] certadm_ca::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Windows(error) => error.hresult(),
            Self::Database(_) => Hresult::DATABASE_CORRUPTED,
            Self::DamagedRow { .. }
            | Self::CaCertificate { .. }
            | Self::Published { .. }
            | Self::Source { .. }
            | Self::Folder { .. } => Hresult::ERROR_INVALID_DATA,
            Self::NoCaCertificate | Self::KeyOfAnotherCa { .. } | Self::AnotherCa { .. } => {
                Hresult::CRYPT_E_NOT_FOUND
            }
            Self::Partitions { .. } | Self::NotUnderstood { .. } | Self::LongNumber { .. } => {
                Hresult::ERROR_NOT_SUPPORTED
            }
            Self::PublishedElsewhere { .. } | Self::WrongSignature { .. } => Hresult::NTE_BAD_SIGNATURE,
            Self::UnusableKey { .. } | Self::Signing { .. } => Hresult::NTE_BAD_KEY,
            Self::Sha1 => Hresult::NTE_BAD_ALGID,
            Self::TooMany { .. } => Hresult::E_OUTOFMEMORY,
            Self::Number { .. }
            | Self::Ended { .. }
            | Self::Revocation { .. }
            | Self::ListLine { .. }
            | Self::NoBase { .. }
            | Self::TwoScopes { .. } => Hresult::E_INVALIDARG,
            Self::Encoding(_) => Hresult::E_FAIL,
            Self::Ca(error) => error.hresult(),
            Self::File(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            // What does not fit together: the key or the CRL of one CA, the database of another.
            Self::KeyOfAnotherCa { .. }
            | Self::PublishedElsewhere { .. }
            | Self::WrongSignature { .. }
            | Self::AnotherCa { .. }
            | Self::NoCaCertificate => Class::Damaged,
            Self::Encoding(_) => Class::Internal,
            Self::Windows(error) => error.class(),
            Self::Ca(error) => error.class(),
            Self::File(error) => error.class(),
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Windows(error) => return error.remedy(),
            Self::Database(_) | Self::DamagedRow { .. } | Self::CaCertificate { .. } => {
                "run `certadm verify` on the set, and take another one if it is damaged"
            }
            Self::NoCaCertificate => {
                "name the database of the CA; without one, --from-crl signs its last base CRL again"
            }
            Self::Partitions { .. } => {
                "sign the last base CRL of each partition again, each by itself: certadm emergency-crl --from-crl BASE, with the delta CRL of the same partition by --published"
            }
            Self::NoBase { .. } => "name the base CRL by --from-crl; give the delta CRL by --published",
            Self::TwoScopes { .. } => {
                "make a CRL of each by itself; if one is older, and its address was changed since then, leave it out"
            }
            Self::Published { .. } => "fetch the CRL again; it must be one CRL in DER or PEM",
            Self::NotUnderstood { .. } => {
                "leave it out, and give what it lists of this CA by --revoke-file; --no-published says that no other is there"
            }
            Self::LongNumber { .. } => {
                "choose one by --number N; put it where nobody has the other CRL any more, because its number is lower"
            }
            Self::PublishedElsewhere { .. } => {
                "give the CRL of this CA; certadm list SET crls shows what it published"
            }
            Self::KeyOfAnotherCa { .. } => "give the key of this CA",
            Self::UnusableKey { .. } => {
                "give a PKCS#8 file in PEM that holds an RSA, P-256, P-384 or P-521 key"
            }
            Self::Signing { .. } => "check the key file; --tbs-only leaves the signing to another program",
            Self::WrongSignature { .. } => {
                "sign the file named in to-sign.txt with the key and the algorithm that it names"
            }
            Self::Sha1 => "add --allow-sha1 if nothing but SHA-1 is understood by those who check",
            Self::Number { .. } => "leave --number out, or give a greater one",
            Self::Revocation { .. } => {
                "write SERIAL[:REASON[:WHEN]], with the digits of the serial number alone, such as 4f3a00:keyCompromise"
            }
            Self::ListLine { .. } => {
                "write a line as SERIAL,REASON,WHEN, with commas; reason and date may be missing, such as 4f3a00,keyCompromise"
            }
            Self::Ended { .. } => "set the clock of this machine, or name the moment by --now",
            Self::AnotherCa { .. } => "name two states of one CA",
            Self::Source { .. } => "fetch the file again",
            Self::TooMany { .. } => "give fewer sources at once; --issued-until leaves later events out",
            Self::Folder { .. } => {
                "make the folder again with `certadm emergency-crl`; to-sign.txt in it names the CRLs that wait for a signature"
            }
            Self::Encoding(_) => "report this, with the command that led to it",
            Self::Ca(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
        })
    }
}
