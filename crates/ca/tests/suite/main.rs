//! The CA against real tools: whatever it makes, `openssl` has to read and verify; whatever
//! `openssl` asks for, it has to judge rightly.

mod concurrency;
mod crl;
mod denial;
mod folder;
mod issue;
mod keys;
mod lost_revocations;
mod public_keys;
mod rows;
mod subject;
mod subordinate;
mod support;
