//! Sealed and signed messages in DCE style (RFC 4121 4.2, MS-KILE 3.4.5.4.1; kerberos.md 2.3).
//!
//! The body of a message is encrypted where it stands and keeps its length; everything else goes into a token. That
//! works because the encrypted text is `confounder | body | 16 bytes of filling | copy of the token's header`: when the
//! body is a multiple of 16 bytes, every boundary is a boundary of blocks, and ciphertext stealing only means that the
//! last two blocks change places. The token is
//! `header 16 | filling and header copy 32 | checksum 12 to 24 | confounder 16`.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{
    Aes, BLOCK, Confounders, IntegrityError, Key, KeyUsage, LANES, Lane, Mac, UsageKeys, verify,
};
use crate::environment::{Environment, NoRandomness};

/// Which end of a context sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Initiator,
    /// The server.
    Acceptor,
}

/// A message cut into the parts that protection treats differently. Header and trailer are signed and stay readable;
/// where the two ends did not agree on that, they are empty.
#[derive(Debug)]
pub struct Message<'a> {
    /// What stands before the body.
    pub header: &'a [u8],
    /// What is encrypted.
    pub body: &'a mut [u8],
    /// What stands behind the body.
    pub trailer: &'a [u8],
}

/// A message, and where its token goes.
#[derive(Debug)]
pub struct Unsent<'a> {
    /// The message.
    pub message: Message<'a>,
    /// The token, of the size that is due.
    pub token: &'a mut [u8],
}

/// Why a message could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The token does not have the size that it must have.
    #[error("the token has {actual} bytes where {expected} are due")]
    TokenSize {
        /// Bytes that are due.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The body to seal is no multiple of 16 bytes: a fault of the caller.
    #[error("the body of a message to seal is not a multiple of 16 bytes")]
    Alignment,
    /// The message was altered, repeated or reordered, or it is of another context.
    #[error("the message does not verify; it was altered, repeated or reordered in transit")]
    BadSignature,
    /// A message failed before on this context.
    #[error("the context was broken by an earlier message; open a new connection")]
    Broken,
}

/// Bytes of a token's header.
const HEADER: usize = 16;
/// Bytes of filling (EC). MS-KILE 3.4.5.4.1 asks for a full block in DCE style.
const FILLING: usize = 16;
/// Bytes of the body between two looks at each of its bytes: they stay in the first cache.
const PIECE: usize = 4096;

/// What both halves of one direction know.
struct Direction {
    sealing: UsageKeys,
    signing: UsageKeys,
    /// 1: sent by the acceptor; 4: under the acceptor's subkey.
    flags: u8,
    sequence: u64,
}

/// Protects what this end sends. Messages must be sealed in the order in which they are sent.
pub struct Seal {
    direction: Direction,
    confounders: Confounders,
}

/// Checks and opens what the peer sends, in the order in which it was sent.
pub struct Unseal {
    direction: Direction,
    is_broken: bool,
}

impl Seal {
    /// What `sender` sends under `key`, beginning with this sequence number. `is_acceptors`: the acceptor chose the key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new(
        key: &Key,
        sender: Sender,
        is_acceptors: bool,
        sequence: u32,
        environment: &dyn Environment,
    ) -> Result<Self, NoRandomness> {
        Ok(Self {
            direction: Direction::new(key, sender, is_acceptors, sequence),
            confounders: Confounders::new(environment)?,
        })
    }

    /// Bytes of the token of a sealed message: 76, 80 or 88 (kerberos.md 2.2).
    #[must_use]
    pub fn sealed_token_size(&self) -> usize {
        self.direction.sealed_token_size(FILLING)
    }

    /// Bytes of the token of a message that is only signed: 28, 32 or 40.
    #[must_use]
    pub fn signed_token_size(&self) -> usize {
        self.direction.signed_token_size()
    }

    /// Encrypts the body where it stands, and writes the token.
    ///
    /// # Errors
    /// [`SealError::TokenSize`] and [`SealError::Alignment`]; nothing was changed then.
    pub fn seal(&mut self, message: Message<'_>, token: &mut [u8]) -> Result<(), SealError> {
        let Message { header, body, trailer } = message;
        expect_size(token.len(), self.sealed_token_size())?;
        let (_, []) = body.as_chunks::<BLOCK>() else { return Err(SealError::Alignment) };
        let direction = &mut self.direction;
        let keys = &direction.sealing;
        let mut confounder = self.confounders.next();
        let mut tail = [0; FILLING + HEADER];
        tail[FILLING..].copy_from_slice(&direction.wrap_header(FILLING, 0));
        let mut mac = keys.integrity.clone();
        let mut iv = [0; BLOCK];
        if keys.etype.is_sha2() {
            mac.update(&[0; BLOCK]);
            keys.encryption.cbc_encrypt(&mut iv, &mut confounder);
            mac.update(&confounder);
            mac.update(header);
            for piece in body.chunks_mut(PIECE) {
                keys.encryption.cbc_encrypt(&mut iv, piece);
                mac.update(piece);
            }
            keys.encryption.cbc_encrypt(&mut iv, &mut tail);
            tail.rotate_left(BLOCK);
            mac.update(trailer);
            mac.update(&tail);
        } else {
            mac.update(&confounder);
            mac.update(header);
            keys.encryption.cbc_encrypt(&mut iv, &mut confounder);
            for piece in body.chunks_mut(PIECE) {
                mac.update(piece);
                keys.encryption.cbc_encrypt(&mut iv, piece);
            }
            mac.update(trailer);
            mac.update(&tail);
            keys.encryption.cbc_encrypt(&mut iv, &mut tail);
            tail.rotate_left(BLOCK);
        }
        let mac_size = keys.etype.mac_size();
        token[..HEADER].copy_from_slice(&direction.wrap_header(FILLING, BLOCK + mac_size));
        let (encrypted, rest) = token[HEADER..].split_at_mut(FILLING + HEADER);
        encrypted.copy_from_slice(&tail);
        mac.finish(&mut rest[..mac_size]);
        rest[mac_size..].copy_from_slice(&confounder);
        direction.sequence = direction.sequence.wrapping_add(1);
        Ok(())
    }

    /// How many messages are worth sealing together. Those that are sealed in the order of their blocks, one for itself, gain
    /// nothing by it.
    #[must_use]
    pub fn at_once(&self) -> usize {
        if self.direction.sealing.etype.is_sha2() { 1 } else { LANES }
    }

    /// Seals messages as [`seal`](Self::seal) does one after the other, but faster: those that follow one another and are of
    /// the same size are encrypted in lockstep.
    ///
    /// # Errors
    /// Those of [`seal`](Self::seal); nothing was changed then.
    pub fn seal_all(&mut self, messages: &mut [Unsent<'_>]) -> Result<(), SealError> {
        for Unsent { message, token } in messages.iter() {
            expect_size(token.len(), self.sealed_token_size())?;
            let (_, []) = message.body.as_chunks::<BLOCK>() else { return Err(SealError::Alignment) };
        }
        let at_once = self.at_once();
        for run in messages.chunk_by_mut(|one, next| one.message.body.len() == next.message.body.len()) {
            for batch in run.chunks_mut(at_once) {
                match batch {
                    [Unsent { message: Message { header, body, trailer }, token }] => {
                        self.seal(Message { header, body, trailer }, token)?;
                    }
                    batch => self.seal_together(batch),
                }
            }
        }
        Ok(())
    }

    /// Seals at most [`LANES`] messages of one size under an etype whose checksum is over the plain text.
    fn seal_together(&mut self, batch: &mut [Unsent<'_>]) {
        let Self { direction, confounders } = self;
        let mac_size = direction.sealing.etype.mac_size();
        let aes = &direction.sealing.encryption;
        let mut ivs = [[0; BLOCK]; LANES];
        let mut firsts = [[0; BLOCK]; LANES];
        let mut tails = [[0; FILLING + HEADER]; LANES];
        let mut sequence = direction.sequence;
        for ((Unsent { message, token }, first), tail) in batch.iter_mut().zip(&mut firsts).zip(&mut tails) {
            *first = confounders.next();
            tail[FILLING..].copy_from_slice(&direction.wrap_header_of(sequence, FILLING, 0));
            let mut mac = direction.sealing.integrity.clone();
            for part in [first, message.header, message.body, message.trailer, tail] {
                mac.update(part);
            }
            token[..HEADER].copy_from_slice(&direction.wrap_header_of(sequence, FILLING, BLOCK + mac_size));
            mac.finish(&mut token[HEADER + FILLING + HEADER..][..mac_size]);
            sequence = sequence.wrapping_add(1);
        }
        let mut lanes = |data: Vec<&mut [u8]>| {
            let mut lanes: Vec<_> = ivs.iter_mut().zip(data).map(|(iv, data)| Lane { iv, data }).collect();
            aes.cbc_encrypt_lanes(&mut lanes);
        };
        let count = batch.len();
        lanes(firsts.iter_mut().take(count).map(|first| &mut first[..]).collect());
        lanes(batch.iter_mut().map(|unsent| &mut *unsent.message.body).collect());
        lanes(tails.iter_mut().take(count).map(|tail| &mut tail[..]).collect());
        for ((Unsent { token, .. }, first), tail) in batch.iter_mut().zip(&firsts).zip(&mut tails) {
            tail.rotate_left(BLOCK);
            let (encrypted, rest) = token[HEADER..].split_at_mut(FILLING + HEADER);
            encrypted.copy_from_slice(tail);
            rest[mac_size..].copy_from_slice(first);
        }
        direction.sequence = sequence;
    }

    /// Signs `parts`, one behind the other, and writes the token.
    ///
    /// # Errors
    /// [`SealError::TokenSize`]; nothing was changed then.
    pub fn sign(&mut self, parts: &[&[u8]], token: &mut [u8]) -> Result<(), SealError> {
        expect_size(token.len(), self.signed_token_size())?;
        let header = self.direction.sign_header();
        let sum = self.direction.signing.checksum(&[parts, &[&header]].concat());
        token[..HEADER].copy_from_slice(&header);
        token[HEADER..].copy_from_slice(&sum);
        self.direction.sequence = self.direction.sequence.wrapping_add(1);
        Ok(())
    }
}

impl Unseal {
    /// What `sender` sends under `key`, beginning with this sequence number. `is_acceptors`: the acceptor chose the key.
    #[must_use]
    pub fn new(key: &Key, sender: Sender, is_acceptors: bool, sequence: u32) -> Self {
        Self { direction: Direction::new(key, sender, is_acceptors, sequence), is_broken: false }
    }

    /// Decrypts the body where it stands, and checks it and its place in the sequence.
    ///
    /// The peer may fill up with less than a block, and its body may have any length; such a message costs a copy.
    ///
    /// # Errors
    /// Any error breaks the context: later calls give [`SealError::Broken`], and a body that did not verify is
    /// overwritten with zeros.
    pub fn unseal(&mut self, message: Message<'_>, token: &[u8]) -> Result<(), SealError> {
        self.once(|direction| {
            let Message { header, body, trailer } = message;
            let token = SealedToken::parse(token, direction)?;
            let whole_blocks = body.len() % BLOCK == 0 && token.tail.len() == FILLING + HEADER;
            let opened = if whole_blocks {
                token.open_in_place(&direction.sealing, header, body, trailer)
            } else {
                token.open_with_copy(&direction.sealing, header, body, trailer)
            };
            opened.map_err(|IntegrityError| {
                body.zeroize();
                SealError::BadSignature
            })
        })
    }

    /// Checks a message that was only signed, and its place in the sequence.
    ///
    /// # Errors
    /// Any error breaks the context.
    pub fn verify(&mut self, parts: &[&[u8]], token: &[u8]) -> Result<(), SealError> {
        self.once(|direction| {
            expect_size(token.len(), direction.signed_token_size())?;
            let header = direction.sign_header();
            let (sent, sum) = token.split_at(HEADER);
            direction
                .signing
                .verify_checksum(&[parts, &[&header]].concat(), sum)
                .ok()
                .filter(|()| sent == header)
                .ok_or(SealError::BadSignature)
        })
    }

    /// Runs one check, and counts on if it was good.
    fn once(&mut self, check: impl FnOnce(&Direction) -> Result<(), SealError>) -> Result<(), SealError> {
        if self.is_broken {
            return Err(SealError::Broken);
        }
        self.is_broken = true;
        check(&self.direction)?;
        self.direction.sequence = self.direction.sequence.wrapping_add(1);
        self.is_broken = false;
        Ok(())
    }
}

impl Direction {
    fn new(key: &Key, sender: Sender, is_acceptors: bool, sequence: u32) -> Self {
        let (seal, sign, flag) = match sender {
            Sender::Initiator => (KeyUsage::INITIATOR_SEAL, KeyUsage::INITIATOR_SIGN, 0),
            Sender::Acceptor => (KeyUsage::ACCEPTOR_SEAL, KeyUsage::ACCEPTOR_SIGN, 1),
        };
        Self {
            sealing: UsageKeys::new(key, seal),
            signing: UsageKeys::new(key, sign),
            flags: flag | if is_acceptors { 4 } else { 0 },
            sequence: sequence.into(),
        }
    }

    fn sealed_token_size(&self, filling: usize) -> usize {
        HEADER + filling + HEADER + self.sealing.etype.mac_size() + BLOCK
    }

    fn signed_token_size(&self) -> usize {
        HEADER + self.signing.etype.mac_size()
    }

    /// The header of a sealed message's token: `05 04 | flags | FF | EC | RRC | sequence number`, big endian.
    fn wrap_header(&self, filling: usize, rotation: usize) -> [u8; HEADER] {
        self.wrap_header_of(self.sequence, filling, rotation)
    }

    /// The same of another message than the next one.
    fn wrap_header_of(&self, sequence: u64, filling: usize, rotation: usize) -> [u8; HEADER] {
        let short = |number: usize| {
            let [.., high, low] = number.to_be_bytes();
            [high, low]
        };
        header([5, 4, self.flags | 2, 0xff], [short(filling), short(rotation)], sequence)
    }

    /// The header of a signed message's token: `04 04 | flags | FF FF FF FF FF | sequence number`.
    fn sign_header(&self) -> [u8; HEADER] {
        header([4, 4, self.flags, 0xff], [[0xff; 2]; 2], self.sequence)
    }
}

fn header(first: [u8; 4], counts: [[u8; 2]; 2], sequence: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&first);
    header[4..8].copy_from_slice(counts.as_flattened());
    header[8..].copy_from_slice(&sequence.to_be_bytes());
    header
}

/// The token of a sealed message, whose header is the one that is due.
struct SealedToken<'a> {
    /// What the decrypted copy of the header must be.
    header: [u8; HEADER],
    /// The filling and the header's copy, encrypted.
    tail: &'a [u8],
    sum: &'a [u8],
    confounder: [u8; BLOCK],
}

impl<'a> SealedToken<'a> {
    fn parse(token: &'a [u8], direction: &Direction) -> Result<Self, SealError> {
        let mac_size = direction.sealing.etype.mac_size();
        let filling = match *token {
            [_, _, _, _, 0, filling @ 0..=16, ..] => usize::from(filling),
            [_, _, _, _, _, _, ..] => return Err(SealError::BadSignature),
            _ => {
                return Err(SealError::TokenSize {
                    expected: direction.sealed_token_size(FILLING),
                    actual: token.len(),
                });
            }
        };
        expect_size(token.len(), direction.sealed_token_size(filling))?;
        let (header, rest) = token.split_at(HEADER);
        if header != direction.wrap_header(filling, BLOCK + mac_size) {
            return Err(SealError::BadSignature);
        }
        let (tail, rest) = rest.split_at(filling + HEADER);
        let (sum, confounder) = rest.split_at(mac_size);
        Ok(Self {
            header: direction.wrap_header(filling, 0),
            tail,
            sum,
            confounder: confounder.try_into().map_err(|_| SealError::BadSignature)?,
        })
    }

    fn open_in_place(
        &self,
        keys: &UsageKeys,
        header: &[u8],
        body: &mut [u8],
        trailer: &[u8],
    ) -> Result<(), IntegrityError> {
        let mut mac = keys.integrity.clone();
        let mut confounder = self.confounder;
        let mut tail = [0; FILLING + HEADER];
        tail.copy_from_slice(self.tail);
        let mut iv = [0; BLOCK];
        if keys.etype.is_sha2() {
            self.update_with_cipher(&mut mac, header, body, trailer);
            // Nothing is decrypted before it is known to be genuine.
            verify(mac, self.sum)?;
            keys.encryption.cbc_decrypt(&mut iv, &mut confounder);
            keys.encryption.cbc_decrypt(&mut iv, body);
            tail.rotate_left(BLOCK);
            keys.encryption.cbc_decrypt(&mut iv, &mut tail);
        } else {
            keys.encryption.cbc_decrypt(&mut iv, &mut confounder);
            mac.update(&confounder);
            mac.update(header);
            for piece in body.chunks_mut(PIECE) {
                keys.encryption.cbc_decrypt(&mut iv, piece);
                mac.update(piece);
            }
            tail.rotate_left(BLOCK);
            keys.encryption.cbc_decrypt(&mut iv, &mut tail);
            mac.update(trailer);
            mac.update(&tail);
            verify(mac, self.sum)?;
        }
        self.check_copy(&tail[FILLING..])
    }

    fn open_with_copy(
        &self,
        keys: &UsageKeys,
        header: &[u8],
        body: &mut [u8],
        trailer: &[u8],
    ) -> Result<(), IntegrityError> {
        let mut mac = keys.integrity.clone();
        let mut whole = Zeroizing::new([&self.confounder, &*body, self.tail].concat());
        if keys.etype.is_sha2() {
            self.update_with_cipher(&mut mac, header, body, trailer);
            verify(mac, self.sum)?;
            Aes::cts_decrypt(&keys.encryption, &mut whole);
        } else {
            Aes::cts_decrypt(&keys.encryption, &mut whole);
            let (confounder, rest) = whole.split_at(BLOCK);
            let (plain, tail) = rest.split_at(body.len());
            for part in [confounder, header, plain, trailer, tail] {
                mac.update(part);
            }
            verify(mac, self.sum)?;
        }
        let (plain, tail) = whole[BLOCK..].split_at(body.len());
        self.check_copy(&tail[tail.len() - HEADER..])?;
        body.copy_from_slice(plain);
        Ok(())
    }

    /// The checksum of RFC 8009 is over the ciphertext.
    fn update_with_cipher(&self, mac: &mut Mac, header: &[u8], body: &[u8], trailer: &[u8]) {
        for part in [&[0; BLOCK], &self.confounder, header, body, trailer, self.tail] {
            mac.update(part);
        }
    }

    fn check_copy(&self, copy: &[u8]) -> Result<(), IntegrityError> {
        if copy == self.header { Ok(()) } else { Err(IntegrityError) }
    }
}

fn expect_size(actual: usize, expected: usize) -> Result<(), SealError> {
    if actual == expected { Ok(()) } else { Err(SealError::TokenSize { expected, actual }) }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl fmt::Debug for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unseal(..)")
    }
}
