#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`Records`]: what the rules (`docs/spec/recovery.md`, chapter 4) need of a database.
//! * [`Plan`]: which CRLs there will be, with what in them.
//! * [`PrivateKey`]: signs them.
//! * [`Anchors`]: checks certificates as those do who rely on them.
//! * [`bundle`]: the folder that they and everything about them is written to, also in two steps.
#![forbid(unsafe_code)]

pub mod bundle;
mod content;
mod entries;
mod error;
mod issuer;
mod key_file;
mod order;
mod ours;
mod plan;
mod publish;
mod published;
mod records;
mod relying;
mod report;
mod schedule;
mod signature;
mod windows;
mod x509;

pub use content::{CrlKind, rebuild};
pub use entries::{Entry, Origin};
pub use error::{Error, Result};
pub use issuer::{Issuer, Issuers};
pub use key_file::KeyFile;
pub use order::{Revocation, merged};
pub use plan::{Deltas, Destination, Options, Plan, PlannedCrl};
pub use published::PublishedCrl;
pub use records::{CrlRow, Maker, Reading, Records, Row};
pub use relying::{Anchors, Flaw, Judged};
pub use report::Report;
pub use schedule::{Dates, NumberBasis};
pub use signature::{Algorithm, PrivateKey, PublicKey};
pub use windows::Damage;
