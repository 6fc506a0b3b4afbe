//! One file or folder per verb.

mod account;
#[cfg(feature = "repository")]
pub(crate) mod agent;
pub(crate) mod apply_revocations;
pub(crate) mod attach;
mod authority;
pub(crate) mod backup;
mod beside;
#[cfg(feature = "repository")]
pub(crate) mod bounded;
pub(crate) mod ca;
pub(crate) mod complete;
#[cfg(feature = "repository")]
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod drill;
mod each;
pub(crate) mod emergency_crl;
mod files;
pub(crate) mod gap;
mod hashing;
pub(crate) mod identity;
mod keep;
mod keys;
mod latest;
pub(crate) mod list;
mod live;
pub(crate) mod lost;
pub(crate) mod man;
#[cfg(feature = "repository")]
pub(crate) mod next;
mod own_crl;
mod places;
#[cfg(feature = "repository")]
mod protected;
pub(crate) mod prune;
pub(crate) mod publish_crl;
pub(crate) mod recover;
pub(crate) mod rehearse;
pub(crate) mod remote;
mod replay;
#[cfg(feature = "repository")]
pub(crate) mod repository;
pub(crate) mod restore;
#[cfg(feature = "repository")]
pub(crate) mod run;
pub(crate) mod seal;
pub(crate) mod serve;
pub(crate) mod sets;
pub(crate) mod show;
mod signing;
mod state;
#[cfg(feature = "repository")]
pub(crate) mod status;
pub(crate) mod thresholds;
#[cfg(feature = "repository")]
pub(crate) mod timers;
mod until;
pub(crate) mod user;
pub(crate) mod verify;
