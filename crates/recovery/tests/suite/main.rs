//! CRLs made from databases.

mod anchor;
mod judges;
mod keys;
mod openssl;
mod patch;
mod revoked;
mod support;
mod union;
