//! The certification authority of certadm: keys, requests, issue, revoke, CRL.
//!
//! * [`Authority`] signs. It holds the decrypted key, and nothing of the database: many threads may
//!   prepare certificates with one `Authority` while one connection (or one group commit) makes
//!   them durable.
//! * Functions of the database take a plain [`rusqlite::Connection`]; a transaction dereferences to
//!   one, so whoever commits decides what commits together.
//! * The rows are those of a Windows CA ([`rows`]), so that one listing shows either.
//!
//! This crate knows the store, and nothing of backup.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod config;
mod crl;
mod dates;
mod denial;
mod error;
pub mod health;
pub mod identity;
mod init;
mod input;
mod issue;
mod keys;
mod list;
mod name;
mod passphrase;
mod pem;
mod policy;
mod profile;
mod public_key;
mod reason;
mod request;
mod revoke;
pub mod rows;
mod serial;

pub use authority::Authority;
pub use certificate::{PublicCertificate, certificate_in, record_certificate_of};
pub use config::{
    Config, CrlConfig, DatabaseConfig, ListenersConfig, PublishConfig, RolesConfig, ServiceConfig,
    ValidityConfig,
};
pub use crl::{Publication, next_number};
pub use denial::{Denial, DenialReason};
pub use error::{Error, Result};
pub use init::{Initialized, Role};
pub use issue::{Issued, PendingCertificate, Terms};
pub use keys::{CaKey, EncodedPublicKey, KeyType};
pub use list::{
    CertificateChoice, ExportedCertificate, attributes, certificates, crls, export_certificate, extensions,
    requests, revoked,
};
pub use name::CaName;
pub use passphrase::Passphrase;
pub use profile::{ExtendedUsage, Profile, SanKind, Usage};
pub use reason::Reason;
pub use request::Request;
pub use revoke::{RevocationOrder, revoke};
pub use serial::Serial;
