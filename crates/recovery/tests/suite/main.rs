//! CRLs made from databases.

mod anchor;
mod support;
