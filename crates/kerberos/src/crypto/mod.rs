//! Encryption and checksums: etypes 17 and 18 (RFC 3961, 3962), 19 and 20 (RFC 8009). kerberos.md 2.2 has them in a table.

mod aes;
mod derive;
mod key;
mod lanes;
mod mac;
mod usage;

pub use derive::{IterationsRefused, string_to_key};
pub use key::{Etype, Key};
pub use usage::{IntegrityError, KeyUsage, UsageKeys};

pub(crate) use aes::{Aes, BLOCK, Confounders};
pub(crate) use lanes::{LANES, Lane};
pub(crate) use mac::Mac;
pub(crate) use usage::verify;

/// The parts of the profiles that the RFCs give vectors for, for the tests of this crate alone.
#[doc(hidden)]
pub mod parts {
    pub use super::derive::{kdf_hmac_sha2, n_fold};

    /// AES-CBC-CTS of RFC 3962 5 with IV 0, in place. The key has 16 or 32 bytes.
    pub fn cts_encrypt(key: &[u8], data: &mut [u8]) {
        super::Aes::new(key).cts_encrypt(data);
    }

    /// The way back.
    pub fn cts_decrypt(key: &[u8], data: &mut [u8]) {
        super::Aes::new(key).cts_decrypt(data);
    }
}
