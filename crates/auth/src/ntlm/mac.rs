//! HMAC-MD5 over a PDU, fused with RC4 over its body: each 64-byte block is loaded once, hashed and encrypted together.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::ntlm::crypto::Key;
use crate::ntlm::rc4_md5::{BLOCK, INITIAL, Rc4, compress};

/// A signing key, as the two MD5 states after its inner and outer pad (RFC 2104): two of the four extra blocks of every
/// HMAC are thereby computed once for a context instead of once for a PDU.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct SignKey {
    inner: [u32; 4],
    outer: [u32; 4],
}

impl SignKey {
    pub(crate) fn new(key: &Key) -> Self {
        Self { inner: padded(key, 0x36), outer: padded(key, 0x5c) }
    }

    /// Starts an HMAC under this key.
    pub(crate) fn begin(&self) -> Mac<'_> {
        Mac {
            key: self,
            state: self.inner,
            pending: [0; BLOCK],
            filled: 0,
            // the pad block counts
            total: BLOCK as u64,
        }
    }
}

fn padded(key: &Key, pad: u8) -> [u32; 4] {
    let mut block = [pad; BLOCK];
    for (byte, secret) in block.iter_mut().zip(key.0) {
        *byte ^= secret;
    }
    let mut state = INITIAL;
    compress(&mut state, &block);
    block.zeroize();
    state
}

/// A running HMAC-MD5.
pub(crate) struct Mac<'a> {
    key: &'a SignKey,
    state: [u32; 4],
    /// The first `filled` bytes wait for their block to fill; always fewer than a block.
    pending: [u8; BLOCK],
    filled: usize,
    total: u64,
}

impl Mac<'_> {
    /// Adds bytes that stay as they are.
    pub(crate) fn update(&mut self, data: &[u8]) {
        let rest = self.fill(data);
        let (blocks, rest) = rest.as_chunks::<BLOCK>();
        for block in blocks {
            compress(&mut self.state, block);
        }
        self.keep(rest);
        self.total += data.len() as u64;
    }

    /// Adds the plaintext `body` and encrypts it in place.
    pub(crate) fn update_then_encrypt(&mut self, rc4: &mut Rc4, body: &mut [u8]) {
        self.total += body.len() as u64;
        let (head, rest) = body.split_at_mut(self.missing().min(body.len()));
        self.fill(head);
        rc4.apply(head);

        let (blocks, tail) = rest.as_chunks_mut::<BLOCK>();
        let mut keystream = [0; BLOCK];
        for block in blocks {
            rc4.keystream_with(&mut keystream, &mut self.state, block);
            xor(block, &keystream);
        }
        self.keep(tail);
        rc4.apply(tail);
    }

    /// Decrypts `body` in place and adds the plaintext.
    pub(crate) fn decrypt_then_update(&mut self, rc4: &mut Rc4, body: &mut [u8]) {
        self.total += body.len() as u64;
        let (head, rest) = body.split_at_mut(self.missing().min(body.len()));
        rc4.apply(head);
        self.fill(head);

        // a block can be hashed only after it is decrypted, so hashing runs one block behind
        let (blocks, tail) = rest.as_chunks_mut::<BLOCK>();
        if let Some((first, others)) = blocks.split_first_mut() {
            rc4.apply(first);
            let mut plain = first;
            let mut keystream = [0; BLOCK];
            for block in others {
                rc4.keystream_with(&mut keystream, &mut self.state, plain);
                xor(block, &keystream);
                plain = block;
            }
            compress(&mut self.state, plain);
        }
        rc4.apply(tail);
        self.keep(tail);
    }

    /// The first 8 bytes of the HMAC: all that NTLM uses (MS-NLMP 3.4.4.2).
    pub(crate) fn finish(mut self) -> [u8; 8] {
        let inner = finish_md5(&mut self.state, &self.pending[..self.filled], self.total);
        let mut outer = self.key.outer;
        let digest = finish_md5(&mut outer, &inner, (BLOCK + inner.len()) as u64);
        let [a, b, c, d, e, f, g, h, ..] = digest;
        [a, b, c, d, e, f, g, h]
    }

    /// Bytes until the waiting block is full; 0 if none waits.
    fn missing(&self) -> usize {
        (BLOCK - self.filled) % BLOCK
    }

    /// Completes the waiting block from the front of `data`; gives back what is left.
    fn fill<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let (head, rest) = data.split_at(self.missing().min(data.len()));
        self.keep(head);
        if self.filled == BLOCK {
            compress(&mut self.state, &self.pending);
            self.filled = 0;
        }
        rest
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.pending[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }
}

impl Drop for Mac<'_> {
    fn drop(&mut self) {
        self.state.zeroize();
        self.pending.zeroize();
    }
}

/// Pads and finishes an MD5 of `total` bytes, the last `tail` of which are not in `state` yet (RFC 1321 3.1, 3.2).
fn finish_md5(state: &mut [u32; 4], tail: &[u8], total: u64) -> [u8; 16] {
    let mut block = [0; BLOCK];
    block[..tail.len()].copy_from_slice(tail);
    block[tail.len()] = 0x80;
    if BLOCK - 8 <= tail.len() {
        compress(state, &block);
        block = [0; BLOCK];
    }
    block[BLOCK - 8..].copy_from_slice(&total.wrapping_mul(8).to_le_bytes());
    compress(state, &block);

    let mut digest = [0; 16];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state.iter()) {
        *bytes = word.to_le_bytes();
    }
    digest
}

fn xor(block: &mut [u8; BLOCK], keystream: &[u8; BLOCK]) {
    for (byte, key) in block.iter_mut().zip(keystream) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit, Mac as _};
    use md5::Md5;
    use proptest::prelude::*;
    use rc4::StreamCipher;

    proptest! {
        /// Every alignment of prefix, body and suffix against the reference crates.
        #[test]
        fn fused_equals_separate(
            key: [u8; 16],
            prefix in prop::collection::vec(any::<u8>(), 0..130),
            body in prop::collection::vec(any::<u8>(), 0..400),
            suffix in prop::collection::vec(any::<u8>(), 0..130),
        ) {
            let mut reference = Hmac::<Md5>::new_from_slice(&key).unwrap();
            reference.update(&prefix);
            reference.update(&body);
            reference.update(&suffix);
            let expected = reference.finalize().into_bytes();
            let mut cipher = body.clone();
            rc4::Rc4::new_from_slice(&key).unwrap().apply_keystream(&mut cipher);

            let sign = SignKey::new(&Key(key));
            let mut data = body.clone();
            let mut mac = sign.begin();
            mac.update(&prefix);
            mac.update_then_encrypt(&mut Rc4::new(&key), &mut data);
            mac.update(&suffix);
            prop_assert_eq!(&mac.finish()[..], &expected[..8]);
            prop_assert_eq!(&data, &cipher);

            let mut mac = sign.begin();
            mac.update(&prefix);
            mac.decrypt_then_update(&mut Rc4::new(&key), &mut data);
            mac.update(&suffix);
            prop_assert_eq!(&mac.finish()[..], &expected[..8]);
            prop_assert_eq!(&data, &body);
        }
    }
}
