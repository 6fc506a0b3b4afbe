//! AES in CBC over whole blocks, and with ciphertext stealing (RFC 3962 5).

use std::fmt;

use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, IvState,
    KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes256Dec, Aes256Enc};
use zeroize::Zeroizing;

use crate::environment::{Environment, NoRandomness, random};

/// Bytes of a block, and of a confounder.
pub(crate) const BLOCK: usize = 16;

/// An expanded key, for both ways. Wiped when it is dropped.
#[derive(Clone)]
pub(crate) enum Aes {
    Small(Box<(Aes128Enc, Aes128Dec)>),
    Large(Box<(Aes256Enc, Aes256Dec)>),
}

impl Aes {
    /// Expands a key of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        const SIZE: &str = "invariant: keys are made for their etype, with 16 or 32 bytes";
        if key.len() == 16 {
            Self::Small(Box::new((
                Aes128Enc::new_from_slice(key).expect(SIZE),
                Aes128Dec::new_from_slice(key).expect(SIZE),
            )))
        } else {
            Self::Large(Box::new((
                Aes256Enc::new_from_slice(key).expect(SIZE),
                Aes256Dec::new_from_slice(key).expect(SIZE),
            )))
        }
    }

    /// CBC over whole blocks in place; `iv` becomes the last block, so that calls continue each other.
    pub(crate) fn cbc_encrypt(&self, iv: &mut [u8; BLOCK], data: &mut [u8]) {
        match self {
            Self::Small(keys) => encrypt(&keys.0, iv, data),
            Self::Large(keys) => encrypt(&keys.0, iv, data),
        }
    }

    /// The way back; `iv` becomes the last block of the ciphertext.
    pub(crate) fn cbc_decrypt(&self, iv: &mut [u8; BLOCK], data: &mut [u8]) {
        match self {
            Self::Small(keys) => decrypt(&keys.1, iv, data),
            Self::Large(keys) => decrypt(&keys.1, iv, data),
        }
    }

    /// CBC with ciphertext stealing and IV 0, in place. `data` has at least one block.
    ///
    /// The last two blocks change places even when the last one is whole (CBC-CS3).
    pub(crate) fn cts_encrypt(&self, data: &mut [u8]) {
        let mut iv = [0; BLOCK];
        if data.len() == BLOCK {
            return self.cbc_encrypt(&mut iv, data);
        }
        let (head, tail) = data.split_at_mut(data.len() - last_block(data.len()));
        self.cbc_encrypt(&mut iv, head);
        let mut end = Zeroizing::new([0; BLOCK]);
        end[..tail.len()].copy_from_slice(tail);
        self.cbc_encrypt(&mut iv, &mut *end);
        let at = head.len() - BLOCK;
        tail.copy_from_slice(&head[at..][..tail.len()]);
        head[at..].copy_from_slice(&*end);
    }

    /// The way back. `data` has at least one block.
    pub(crate) fn cts_decrypt(&self, data: &mut [u8]) {
        let mut iv = [0; BLOCK];
        if data.len() == BLOCK {
            return self.cbc_decrypt(&mut iv, data);
        }
        let last = last_block(data.len());
        let (head, ends) = data.split_at_mut(data.len() - last - BLOCK);
        self.cbc_decrypt(&mut iv, head);
        let (swapped, tail) = ends.split_at_mut(BLOCK);
        // What was encrypted last: the tail, filled up with zeros, XOR the block before it.
        let mut end = Zeroizing::new([0; BLOCK]);
        end.copy_from_slice(swapped);
        self.cbc_decrypt(&mut [0; BLOCK], &mut *end);
        // That block is the tail of the ciphertext and, behind it, what the zeros let through.
        let mut before = Zeroizing::new(*end);
        before[..last].copy_from_slice(tail);
        for (to, from) in tail.iter_mut().zip(end.iter()) {
            *to ^= from;
        }
        self.cbc_decrypt(&mut iv, &mut *before);
        swapped.copy_from_slice(&*before);
    }
}

/// Bytes of the last block of a message of more than one.
const fn last_block(length: usize) -> usize {
    match length % BLOCK {
        0 => BLOCK,
        rest => rest,
    }
}

// One call for all blocks: a loop over single blocks leaves the processor's AES unit after each, and takes 2.6 times as
// long (kerberos.md 8).
fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, iv: &mut [u8; BLOCK], data: &mut [u8]) {
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    debug_assert!(rest.is_empty(), "CBC is over whole blocks");
    let mut mode = cbc::Encryptor::<&C>::inner_iv_init(cipher, (&*iv).into());
    mode.encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    *iv = mode.iv_state().into();
}

fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(cipher: &C, iv: &mut [u8; BLOCK], data: &mut [u8]) {
    let (blocks, rest) = data.as_chunks_mut::<BLOCK>();
    debug_assert!(rest.is_empty(), "CBC is over whole blocks");
    let mut mode = cbc::Decryptor::<&C>::inner_iv_init(cipher, (&*iv).into());
    mode.decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
    *iv = mode.iv_state().into();
}

/// Confounders for any number of messages: AES-128 in counter mode under a random key of its own, so that sealing a
/// message asks nobody for random bytes and cannot fail for want of them.
pub(crate) struct Confounders {
    cipher: Aes128Enc,
    count: u128,
}

impl Confounders {
    pub(crate) fn new(environment: &dyn Environment) -> Result<Self, NoRandomness> {
        let seed = Zeroizing::new(random::<16>(environment)?);
        Ok(Self { cipher: Aes128Enc::new((&*seed).into()), count: 0 })
    }

    pub(crate) fn next(&mut self) -> [u8; BLOCK] {
        let mut block = self.count.to_be_bytes().into();
        self.count += 1;
        self.cipher.encrypt_block(&mut block);
        block.into()
    }
}

impl fmt::Debug for Confounders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confounders(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::ZeroizeOnDrop;

    /// A feature of the crates underneath does it, which a change of Cargo.toml could lose.
    #[test]
    fn expanded_keys_are_wiped() {
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<Aes128Enc>();
        is_wiped::<Aes128Dec>();
        is_wiped::<Aes256Enc>();
        is_wiped::<Aes256Dec>();
        is_wiped::<cbc::Encryptor<Aes256Enc>>();
    }
}
