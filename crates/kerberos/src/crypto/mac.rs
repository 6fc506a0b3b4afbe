//! HMAC with the hash of an etype. The keyed state is made once and cloned for each message.

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::key::Etype;

/// Bytes of the longest checksum of all etypes.
pub(crate) const MAX_MAC: usize = 24;

/// A running HMAC. Wiped when it is dropped.
#[derive(Clone)]
pub(crate) enum Mac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl Mac {
    pub(crate) fn new(etype: Etype, key: &[u8]) -> Self {
        const ANY: &str = "invariant: HMAC takes keys of any length";
        match etype {
            Etype::Aes128Sha1 | Etype::Aes256Sha1 => Self::Sha1(Hmac::new_from_slice(key).expect(ANY)),
            Etype::Aes128Sha256 => Self::Sha256(Hmac::new_from_slice(key).expect(ANY)),
            Etype::Aes256Sha384 => Self::Sha384(Hmac::new_from_slice(key).expect(ANY)),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha384(mac) => mac.update(bytes),
        }
    }

    /// Fills `out` with the first bytes of the result; `out` is not longer than the hash.
    pub(crate) fn finish(self, out: &mut [u8]) {
        let length = out.len();
        match self {
            Self::Sha1(mac) => out.copy_from_slice(&mac.finalize().into_bytes()[..length]),
            Self::Sha256(mac) => out.copy_from_slice(&mac.finalize().into_bytes()[..length]),
            Self::Sha384(mac) => out.copy_from_slice(&mac.finalize().into_bytes()[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    /// A feature of the crates underneath does it, which a change of Cargo.toml could lose. HMAC has no state but those of
    /// its hash.
    #[test]
    fn states_of_hashes_are_wiped() {
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<sha1::block_api::Sha1Core>();
        is_wiped::<sha2::block_api::Sha256VarCore>();
        is_wiped::<sha2::block_api::Sha512VarCore>();
    }
}
