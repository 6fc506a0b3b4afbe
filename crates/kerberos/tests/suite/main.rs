//! The crate from outside.

mod contexts;
mod files;
mod logons;
mod messages;
mod pacs;
mod samba_dc;
#[allow(dead_code)] // the tests of certadm-client use the rest
mod samba_domain;
mod sealing;
mod stage;
mod tickets;
mod vectors;
