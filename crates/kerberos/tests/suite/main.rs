//! The crate from outside.

mod contexts;
mod files;
mod logons;
mod messages;
mod pacs;
mod samba_dc;
mod samba_domain;
mod sealing;
mod stage;
mod tickets;
mod vectors;
