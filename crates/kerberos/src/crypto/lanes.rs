//! AES in CBC over several messages in lockstep. Within a message each block waits for the one before it, so that the
//! processor's AES unit is idle most of the time; blocks of different messages wait for nothing (kerberos.md 8).

use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, ParBlocks,
    ParBlocksSizeUser,
};

use super::aes::{Aes, BLOCK};

/// How many messages are worth encrypting at once: as many blocks as the AES units of today work on.
pub(crate) const LANES: usize = 8;

/// A message under way: what was encrypted last, and what comes next, a multiple of a block.
pub(crate) struct Lane<'a> {
    pub(crate) iv: &'a mut [u8; BLOCK],
    pub(crate) data: &'a mut [u8],
}

impl Aes {
    /// CBC over the lanes in place, each for itself; each `iv` becomes the last block, so that calls continue each other.
    pub(crate) fn cbc_encrypt_lanes(&self, lanes: &mut [Lane<'_>]) {
        // They walk together, or each for itself.
        let size = lanes.first().map_or(0, |lane| lane.data.len());
        if lanes.iter().any(|lane| lane.data.len() != size) {
            for Lane { iv, data } in lanes {
                self.cbc_encrypt(iv, data);
            }
            return;
        }
        let lockstep = Lockstep(lanes);
        match self {
            Self::Small(keys) => keys.0.encrypt_with_backend(lockstep),
            Self::Large(keys) => keys.0.encrypt_with_backend(lockstep),
        }
    }
}

struct Lockstep<'a, 'b>(&'a mut [Lane<'b>]);

impl BlockSizeUser for Lockstep<'_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Lockstep<'_, '_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let width = <B as ParBlocksSizeUser>::ParBlocksSize::USIZE.max(1);
        for lanes in self.0.chunks_mut(width) {
            encrypt_together(backend, lanes);
        }
    }
}

/// As many lanes as the backend takes at once, or fewer.
fn encrypt_together<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, lanes: &mut [Lane<'_>]) {
    let blocks = lanes.first().map_or(0, |lane| lane.data.len() / BLOCK);
    let mut work = ParBlocks::<B>::default();
    for (block, lane) in work.iter_mut().zip(lanes.iter()) {
        *block = Array(*lane.iv);
    }
    for at in 0..blocks {
        for (block, lane) in work.iter_mut().zip(lanes.iter()) {
            let (plain, _) = lane.data.as_chunks::<BLOCK>();
            let mixed = u128::from_ne_bytes(block.0) ^ u128::from_ne_bytes(plain[at]);
            *block = Array(mixed.to_ne_bytes());
        }
        backend.encrypt_par_blocks((&mut work).into());
        for (block, lane) in work.iter().zip(lanes.iter_mut()) {
            let (cipher, _) = lane.data.as_chunks_mut::<BLOCK>();
            cipher[at] = block.0;
        }
    }
    for (block, lane) in work.iter().zip(lanes.iter_mut()) {
        *lane.iv = block.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_give_what_each_gives_alone() {
        for size in [16, 32] {
            let aes = Aes::new(&vec![7; size]);
            for count in [0, 1, 2, 7, 8, 9, 20] {
                for blocks in [0, 1, 2, 357] {
                    let messages: Vec<Vec<u8>> = (0..count)
                        .map(|number| {
                            (0..blocks * BLOCK)
                                .map(|at| u8::try_from((at * 31 + number * 7) % 251).unwrap())
                                .collect()
                        })
                        .collect();
                    let mut alone = messages.clone();
                    let mut together = messages;
                    let mut ivs: Vec<[u8; BLOCK]> =
                        (0..count).map(|number| [u8::try_from(number).unwrap(); BLOCK]).collect();
                    let mut lanes_ivs = ivs.clone();
                    for (iv, message) in ivs.iter_mut().zip(&mut alone) {
                        aes.cbc_encrypt(iv, message);
                    }
                    let mut lanes: Vec<_> =
                        lanes_ivs.iter_mut().zip(&mut together).map(|(iv, data)| Lane { iv, data }).collect();
                    aes.cbc_encrypt_lanes(&mut lanes);
                    assert!(together == alone, "{count} lanes of {blocks} blocks");
                    assert_eq!(lanes_ivs, ivs);
                }
            }
        }
    }

    #[test]
    fn lanes_of_different_lengths_are_encrypted_whole() {
        let aes = Aes::new(&[7; 32]);
        let (mut short, mut long) = ([1; 16], [2; 64]);
        let (mut alone_short, mut alone_long) = (short, long);
        aes.cbc_encrypt(&mut [0; BLOCK], &mut alone_short);
        aes.cbc_encrypt(&mut [0; BLOCK], &mut alone_long);
        let (mut one, mut two) = ([0; BLOCK], [0; BLOCK]);
        let mut lanes = [Lane { iv: &mut one, data: &mut short }, Lane { iv: &mut two, data: &mut long }];
        aes.cbc_encrypt_lanes(&mut lanes);
        assert_eq!((short, long), (alone_short, alone_long));
    }
}
