//! RSA keys that share a prime: whoever has both public keys computes both private ones, by a greatest common divisor.
//! Devices that make their keys with too little randomness, often right after their first start, make such keys.

use num_bigint::BigUint;
use num_integer::Integer;
use num_traits::One;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::rsa_key::RsaPublicKey;
use crate::serial::Serial;

/// The rows that a request is compared with, from the newest back. Their keys are multiplied modulo that of the request, so
/// the time grows with their number. So many rows with keys of 2048 bits take 0.9 s of a processor for a key of 2203 bits, and
/// 1.2 s for one of 4253 bits (measured without optimisation of this crate); a CA that has issued fewer takes less.
pub(crate) const NEWEST: i64 = 100_000;
/// So many keys are multiplied before a divisor is looked for.
const BATCH: usize = 1024;

/// A comparison of one key with the keys in the database, which can be continued where it ended.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    modulus: BigUint,
    /// The bit string of the key: the same key again is a renewal.
    bits: Vec<u8>,
    /// The last row that was compared.
    done: i64,
}

impl Comparison {
    pub(crate) fn of(key: &RsaPublicKey, bits: &[u8]) -> Self {
        Self { modulus: key.modulus.clone(), bits: bits.to_vec(), done: 0 }
    }

    /// Compares with the keys of all rows that were not compared yet, at most with those of the newest [`NEWEST`] rows. Gives
    /// the serial number of a certificate whose key shares a prime with this one.
    ///
    /// # Errors
    /// [`crate::Error::Store`].
    pub(crate) fn go_on(&mut self, connection: &Connection) -> Result<Option<Serial>> {
        let newest: Option<i64> = connection
            .prepare_cached("SELECT max(RequestID) FROM Certificates")?
            .query_row([], |row| row.get(0))
            .optional()?
            .flatten();
        let Some(newest) = newest else { return Ok(None) };
        let after = self.done.max(newest.saturating_sub(NEWEST));
        let mut statement = connection.prepare_cached(
            "SELECT SerialNumber, PublicKey FROM Certificates \
             WHERE RequestID > ?1 AND RequestID <= ?2 AND PublicKeyAlgorithm = '1.2.840.113549.1.1.1' \
             AND SerialNumber IS NOT NULL AND PublicKey IS NOT NULL AND PublicKey <> ?3",
        )?;
        let mut rows = statement.query((after, newest, &self.bits))?;
        let mut batch = Batch::new(&self.modulus);
        while let Some(row) = rows.next()? {
            // What is no key shares nothing.
            let Some(key) = RsaPublicKey::read(row.get_ref(1)?.as_blob().unwrap_or_default()) else {
                continue;
            };
            batch.add(row.get(0)?, key.modulus);
            if batch.keys.len() == BATCH
                && let Some(serial) = batch.end()
            {
                return Ok(Some(serial));
            }
        }
        let found = batch.end();
        self.done = newest;
        Ok(found)
    }
}

/// Keys whose product shares a divisor with a modulus if one of them does.
struct Batch<'a> {
    modulus: &'a BigUint,
    product: BigUint,
    keys: Vec<(Serial, BigUint)>,
}

impl<'a> Batch<'a> {
    fn new(modulus: &'a BigUint) -> Self {
        Self { modulus, product: BigUint::one(), keys: Vec::new() }
    }

    fn add(&mut self, serial: Serial, key: BigUint) {
        self.product = &self.product * &key % self.modulus;
        self.keys.push((serial, key));
    }

    /// The first key that shares a divisor, if one does; the batch is empty then.
    fn end(&mut self) -> Option<Serial> {
        let product = std::mem::replace(&mut self.product, BigUint::one());
        let keys = std::mem::take(&mut self.keys);
        if share_a_divisor(&product, self.modulus) {
            return keys
                .into_iter()
                .find(|(_, key)| share_a_divisor(key, self.modulus))
                .map(|(serial, _)| serial);
        }
        None
    }
}

/// Whether two moduli share a divisor. A modulus shares all of its own with itself.
pub(crate) fn share_a_divisor(left: &BigUint, right: &BigUint) -> bool {
    !left.gcd(right).is_one()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a common divisor but those that are put in: odd numbers of a simple sequence, each times a prime.
    fn number(seed: u64) -> BigUint {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let words: Vec<u32> = (0..32)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                u32::try_from(state >> 33).unwrap()
            })
            .collect();
        BigUint::new(words) | BigUint::one()
    }

    #[test]
    fn a_shared_divisor_is_found_wherever_it_stands() {
        let (shared, own, other) = (mersenne(521), mersenne(607), mersenne(1279));
        let modulus = &shared * &own;
        let serial = |n: u64| Serial::read(&format!("{n:x}")).unwrap();
        for place in [0_u64, 1, 499] {
            let mut batch = Batch::new(&modulus);
            for n in 0..500 {
                let key = if n == place { &shared * &other } else { coprime(n, &modulus) };
                batch.add(serial(n + 1), key);
            }
            assert_eq!(batch.end(), Some(serial(place + 1)));
            assert_eq!(batch.end(), None, "it is empty then");
        }
        // Both primes, in two keys: the product is nothing modulo the modulus.
        let mut batch = Batch::new(&modulus);
        batch.add(serial(1), &other * 3_u32);
        batch.add(serial(2), &own * &other);
        batch.add(serial(3), &shared * &other);
        assert_eq!(batch.end(), Some(serial(2)));
        let mut batch = Batch::new(&modulus);
        (0..500).for_each(|n| batch.add(serial(n + 1), coprime(n, &modulus)));
        assert_eq!(batch.end(), None);
    }

    fn coprime(seed: u64, modulus: &BigUint) -> BigUint {
        (0..).map(|more| number(seed + 1000 * more)).find(|number| !share_a_divisor(number, modulus)).unwrap()
    }

    /// A prime: 2^exponent - 1 for one of the known exponents.
    fn mersenne(exponent: u32) -> BigUint {
        BigUint::from(2_u32).pow(exponent) - 1_u32
    }
}
