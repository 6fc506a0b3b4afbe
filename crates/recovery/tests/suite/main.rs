//! CRLs made from databases.

mod anchor;
mod assigned;
mod complete;
#[cfg(feature = "evtx")]
mod evtx;
mod gap;
mod judges;
mod keys;
mod openssl;
mod patch;
mod revoked;
mod support;
mod told;
mod union;
mod unusual_crls;
