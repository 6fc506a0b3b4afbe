#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! The rules are those of `docs/spec/recovery.md`, chapter 4. [`Records`] is what they need of a database, [`Plan`] carries
//! them out, [`PrivateKey`] signs.
#![forbid(unsafe_code)]

mod content;
mod entries;
mod error;
mod issuer;
mod order;
mod ours;
mod plan;
mod published;
mod records;
mod schedule;
mod signature;
mod windows;
mod x509;

pub use content::{CrlKind, rebuild};
pub use entries::{Entry, Origin};
pub use error::{Error, Result};
pub use issuer::{Issuer, Issuers};
pub use order::{Revocation, merged};
pub use plan::{Deltas, Destination, Options, Plan, PlannedCrl};
pub use published::PublishedCrl;
pub use records::{CrlRow, Maker, Reading, Records, Row};
pub use schedule::{Dates, NumberBasis};
pub use signature::{Algorithm, PrivateKey, PublicKey};
pub use windows::Damage;
