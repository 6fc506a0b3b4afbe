#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! * [`Records`]: what the rules (`docs/spec/recovery.md`, chapter 4) need of a database.
//! * [`Plan`]: which CRLs there will be, with what in them.
//! * [`PrivateKey`]: signs them.
//! * [`Anchors`]: checks certificates as those do who rely on them.
//! * [`gap`]: what the CA issued and revoked after the backup, as sources elsewhere tell it.
//! * [`Inventory`], [`diff`]: the requests of a database, and of two that are compared.
//! * [`complete`]: whether everything is there that a CA needs to come back.
//! * [`bundle`]: the folder that they and everything about them is written to, also in two steps.
#![forbid(unsafe_code)]

mod assign;
pub mod bundle;
pub mod complete;
mod content;
mod crl_entry;
pub mod diff;
mod entries;
mod error;
pub mod gap;
mod hash;
mod inventory;
mod issuer;
mod key_file;
mod moments;
mod order;
mod origin;
mod ours;
mod plan;
mod publish;
mod published;
mod records;
mod relying;
mod report;
mod request_number;
mod rsa_key;
mod schedule;
mod signature;
mod windows;
mod x509;

pub use content::{CrlKind, rebuild};
pub use entries::Entry;
pub use error::{Error, Result};
pub use inventory::{Inventory, Item, Known, WindowsInventory};
pub use issuer::{Issuer, Issuers};
pub use key_file::{KeyFile, MAX_KEY_FILE};
pub use order::{Revocation, merged};
pub use origin::Origin;
pub use plan::{Deltas, Destination, Options, Plan, PlannedCrl};
pub use published::{Compared, PublishedCrl};
pub use records::{CrlRow, Maker, Reading, Records, Row};
pub use relying::{Anchors, Flaw, Judged};
pub use report::{Report, number_of_report, recognised};
pub use request_number::request_in;
pub use schedule::{Dates, NumberBasis};
pub use signature::{Algorithm, PrivateKey, PublicKey};
pub use windows::Damage;
