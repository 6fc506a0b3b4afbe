//! RSA public keys: their two numbers, and what can be told of a private key from them.

use der::asn1::UintRef;
use der::{Decode, Sequence};
use num_bigint::BigUint;

use crate::denial::DenialReason;
use crate::weak_key::weakness;

/// The smallest RSA key that this CA certifies, in bits.
const MIN_BITS: u64 = 2048;
/// The largest one: beyond this a single verification takes noticeable time.
const MAX_BITS: u64 = 8192;
/// The largest public exponent that verifiers take, in bits.
const MAX_EXPONENT_BITS: u64 = 33;

/// An RSA public key that is long enough and not known to be weak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaPublicKey {
    pub(crate) modulus: BigUint,
    exponent: BigUint,
}

/// RFC 8017 A.1.1.
#[derive(Sequence)]
struct Parts<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl RsaPublicKey {
    /// The key in the bit string of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// The reason to deny a request for it.
    pub(crate) fn judge(bits: &[u8]) -> Result<Self, DenialReason> {
        let unusable = |reason: &str| DenialReason::UnusableKey { reason: reason.into() };
        let key = Self::read(bits).ok_or_else(|| unusable("it is not an RSA public key"))?;
        match key.modulus.bits() {
            length if length < MIN_BITS => return Err(DenialReason::WeakKey { bits: key.length() }),
            length if MAX_BITS < length => return Err(unusable("it is an RSA key of more than 8192 bits")),
            _ => {}
        }
        if MAX_EXPONENT_BITS < key.exponent.bits() {
            return Err(unusable("its public exponent has more than 33 bits"));
        }
        match weakness(&key.modulus, &key.exponent) {
            Some(weakness) => Err(unusable(weakness)),
            None => Ok(key),
        }
    }

    /// The two numbers, whatever they are worth; nothing where there are none.
    pub(crate) fn read(bits: &[u8]) -> Option<Self> {
        let parts = Parts::from_der(bits).ok()?;
        let number = |number: UintRef<'_>| BigUint::from_bytes_be(number.as_bytes());
        Some(Self { modulus: number(parts.modulus), exponent: number(parts.exponent) })
    }

    /// The length of the modulus in bits.
    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.modulus.bits()).unwrap_or(u32::MAX)
    }

    /// Modulus and exponent, big-endian, as ring wants them to verify with.
    pub(crate) fn components(&self) -> (Vec<u8>, Vec<u8>) {
        (self.modulus.to_bytes_be(), self.exponent.to_bytes_be())
    }
}
