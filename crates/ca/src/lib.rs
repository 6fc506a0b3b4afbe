#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod alternative_names;
mod attribute;
mod authority;
mod certificate;
mod config;
mod crl;
mod crl_file;
pub mod dates;
mod denial;
mod error;
pub mod health;
mod host_name;
pub mod identity;
mod init;
mod input;
mod issue;
mod kerberos_config;
mod key_cost;
mod key_text;
mod keys;
mod list;
pub mod modes;
mod name;
mod name_constraints;
mod passphrase;
mod policy;
mod profile;
mod public_key;
mod reason;
mod recognised;
mod request;
mod revoke;
mod roles_config;
pub mod rows;
mod rsa_key;
mod same_name;
mod serial;
mod service_config;
mod shared_prime;
mod subject;
mod unrecorded;
mod weak_key;

pub use attribute::SubjectAttribute;
pub use authority::Authority;
pub use certificate::{PublicCertificate, certificate_in, own_certificate_in, record_certificate_of};
pub use config::{Config, CrlConfig, DatabaseConfig, ListenersConfig, PublishConfig, ValidityConfig};
pub use crl::{CrlOptions, Publication, next_number, number_above};
pub use crl_file::MAX_CRL;
pub use denial::{Denial, DenialReason};
pub use error::{Error, Result};
pub use init::{Initialized, Role};
pub use issue::{Issued, PendingCertificate, Terms};
pub use kerberos_config::KerberosConfig;
pub use keys::{
    CaKey, DecryptedKeys, EncodedPublicKey, KeyType, decrypted_keys_in, decrypted_pkcs8, decrypted_pkcs8_in,
    key_identifier,
};
pub use list::{
    CertificateChoice, ExportedCertificate, attributes, certificates, crls, export_certificate, extensions,
    requests, revoked,
};
pub use name::{CaName, common_name_of};
pub use passphrase::Passphrase;
pub use profile::{CommonName, ExtendedUsage, MAX_DAYS, Profile, SanKind, Usage};
pub use reason::Reason;
pub use recognised::Recognised;
pub use request::Request;
pub use revoke::{RevocationOrder, revoke};
pub use roles_config::RolesConfig;
pub use serial::{Serial, named};
pub use service_config::{ServiceConfig, Shutdown};
