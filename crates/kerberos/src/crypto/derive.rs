//! Keys from keys, and keys from passwords.

use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use zeroize::Zeroizing;

use super::aes::{Aes, BLOCK};
use super::key::{Etype, Key};
use super::mac::Mac;

/// Most iterations that a KDC may ask for: some seconds of work. Windows asks for 4096.
const MAX_ITERATIONS: u32 = 10_000_000;

/// The KDC's parameters for the password are malformed, or would keep this machine busy for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the KDC asks for an iteration count of the password that is not between 1 and 10,000,000")]
pub struct IterationsRefused;

/// The key of a password (RFC 3962 4, RFC 8009 4). `parameters` is s2kparams: the iteration count in 4 bytes, or nothing
/// for the default.
///
/// # Errors
/// [`IterationsRefused`].
pub fn string_to_key(
    etype: Etype,
    password: &str,
    salt: &[u8],
    parameters: &[u8],
) -> Result<Key, IterationsRefused> {
    let iterations = match *parameters {
        [] if etype.is_sha2() => 32_768,
        [] => 4096,
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        _ => return Err(IterationsRefused),
    };
    if !(1..=MAX_ITERATIONS).contains(&iterations) {
        return Err(IterationsRefused);
    }
    let named_salt = [etype.to_string().as_bytes(), &[0], salt].concat();
    let password = password.as_bytes();
    let mut stretched = Zeroizing::new(vec![0; etype.key_size()]);
    match etype {
        Etype::Aes128Sha1 | Etype::Aes256Sha1 => {
            pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut stretched);
        }
        Etype::Aes128Sha256 => pbkdf2_hmac::<Sha256>(password, &named_salt, iterations, &mut stretched),
        Etype::Aes256Sha384 => pbkdf2_hmac::<Sha384>(password, &named_salt, iterations, &mut stretched),
    }
    let bytes = derive(etype, &stretched, b"kerberos", etype.key_size());
    Ok(Key::new(etype, &bytes).expect("invariant: as many bytes as the etype's keys have"))
}

/// `size` bytes derived from a key for one constant: DK of RFC 3961 5.1, where `size` is the key's, or KDF-HMAC-SHA2 of
/// RFC 8009 3.
pub(super) fn derive(etype: Etype, key: &[u8], constant: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
    if etype.is_sha2() {
        return kdf_hmac_sha2(etype, key, constant, size);
    }
    let aes = Aes::new(key);
    let mut block = Zeroizing::new([0; BLOCK]);
    block.copy_from_slice(&n_fold(constant, BLOCK));
    let mut derived = Zeroizing::new(vec![0; size]);
    for part in derived.chunks_mut(BLOCK) {
        aes.cbc_encrypt(&mut [0; BLOCK], &mut *block);
        part.copy_from_slice(&block[..part.len()]);
    }
    derived
}

/// KDF-HMAC-SHA2 (RFC 8009 3) without context.
#[must_use]
pub fn kdf_hmac_sha2(etype: Etype, key: &[u8], label: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
    let bits = u32::try_from(8 * size).expect("invariant: keys have at most 32 bytes");
    let mut mac = Mac::new(etype, key);
    mac.update(&1_u32.to_be_bytes());
    mac.update(label);
    mac.update(&[0]);
    mac.update(&bits.to_be_bytes());
    let mut derived = Zeroizing::new(vec![0; size]);
    mac.finish(&mut derived);
    derived
}

/// Stretches or folds `input` to `size` bytes (RFC 3961 5.1): copies of it, each turned right by 13 bits more than the
/// one before, are laid side by side up to the least common multiple of both sizes, and the pieces of `size` bytes are
/// added in ones' complement.
#[must_use]
pub fn n_fold(input: &[u8], size: usize) -> Vec<u8> {
    let bits = 8 * input.len();
    let copies = size / gcd(input.len(), size);
    let turned = (0..copies).flat_map(|copy| {
        // Bit b of a copy comes from bit b - 13 * copy of the input.
        let turn = 13 * copy % bits;
        (0..input.len()).map(move |byte| {
            (0..8).fold(0, |value, bit| {
                let from = (8 * byte + bit + bits - turn) % bits;
                value << 1 | (input[from / 8] >> (7 - from % 8) & 1)
            })
        })
    });
    let mut sum = vec![0_u8; size];
    let pieces: Vec<u8> = turned.collect();
    for piece in pieces.chunks(size) {
        let mut carry = 0;
        for (to, from) in sum.iter_mut().zip(piece).rev() {
            carry += u32::from(*to) + u32::from(*from);
            [.., *to] = carry.to_be_bytes();
            carry >>= 8;
        }
        // In ones' complement the carry comes in again at the other end.
        for to in sum.iter_mut().rev() {
            carry += u32::from(*to);
            [.., *to] = carry.to_be_bytes();
            carry >>= 8;
        }
    }
    sum
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
