//! NTLM session security: sealing and signing after the handshake (MS-NLMP 3.4, with extended session security, 128 bit
//! and key exchange, the only combination allowed here; wire.md 2.12).
//!
//! Each direction has its own keys, its own RC4 stream that never restarts, and its own sequence number, so the two halves
//! share nothing.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::error::SealError;
use crate::ntlm::crypto::{DirectionKeys, Key, Sender};
use crate::ntlm::mac::SignKey;
use crate::ntlm::rc4_md5::Rc4;
use crate::protection::{Level, Segments};

/// Bytes of a message signature (MS-NLMP 2.2.2.9.1).
pub(crate) const TOKEN_SIZE: usize = 16;

/// Version field of every message signature (MS-NLMP 2.2.2.9.1).
const SIGNATURE_VERSION: [u8; 4] = [1, 0, 0, 0];

/// What both directions have: keys, key stream, place in the sequence, and the level agreed.
struct Direction {
    sign: SignKey,
    rc4: Rc4,
    /// The number of the next message; `None` when all are used.
    sequence: Option<u32>,
    /// Whether SEAL was negotiated.
    may_seal: bool,
}

impl Direction {
    fn new(exported: &Key, sender: Sender, level: Level) -> Self {
        let keys = DirectionKeys::derive(exported, sender);
        Self {
            sign: SignKey::new(&keys.sign),
            rc4: Rc4::new(&keys.seal.0),
            sequence: Some(0),
            may_seal: level == Level::Privacy,
        }
    }

    fn check(&self, level: Level, token_size: usize) -> Result<u32, SealError> {
        if token_size != TOKEN_SIZE {
            return Err(SealError::TokenSize { expected: TOKEN_SIZE, actual: token_size });
        }
        if level == Level::Privacy && !self.may_seal {
            return Err(SealError::NotNegotiated);
        }
        self.sequence.ok_or(SealError::SequenceExhausted)
    }

    /// `version | RC4(first 8 bytes of the HMAC) | sequence number`, the RC4 stream continuing (MS-NLMP 3.4.4.2).
    fn signature(&mut self, sum: [u8; 8], sequence: u32) -> [u8; TOKEN_SIZE] {
        let mut token = [0; TOKEN_SIZE];
        token[..4].copy_from_slice(&SIGNATURE_VERSION);
        token[4..12].copy_from_slice(&sum);
        token[12..].copy_from_slice(&sequence.to_le_bytes());
        self.rc4.apply(&mut token[4..12]);
        self.sequence = sequence.checked_add(1);
        token
    }

    /// The signature of a text outside any PDU, for mechListMIC: it takes a sequence number but leaves the RC4 stream where it
    /// was (MS-SPNG 3.2.5.1, 3.3.5.1; wire.md 2.13).
    fn mic(&mut self, text: &[u8]) -> Result<[u8; TOKEN_SIZE], SealError> {
        let sequence = self.sequence.ok_or(SealError::SequenceExhausted)?;
        let mut mac = self.sign.begin();
        mac.update(&sequence.to_le_bytes());
        mac.update(text);
        let sum = mac.finish();
        let before = self.rc4.clone();
        let token = self.signature(sum, sequence);
        self.rc4 = before;
        Ok(token)
    }
}

/// The sending half.
pub(crate) struct NtlmSeal(Direction);

impl NtlmSeal {
    pub(crate) fn new(exported: &Key, ourselves: Sender, level: Level) -> Self {
        Self(Direction::new(exported, ourselves, level))
    }

    /// See [`crate::Sealer::seal`].
    pub(crate) fn seal(
        &mut self,
        level: Level,
        pdu: Segments<'_>,
        token: &mut [u8],
    ) -> Result<(), SealError> {
        let direction = &mut self.0;
        let sequence = direction.check(level, token.len())?;
        let mut mac = direction.sign.begin();
        mac.update(&sequence.to_le_bytes());
        mac.update(pdu.header);
        match level {
            Level::Privacy => mac.update_then_encrypt(&mut direction.rc4, pdu.body),
            Level::Integrity => mac.update(pdu.body),
        }
        mac.update(pdu.trailer);
        let sum = mac.finish();
        token.copy_from_slice(&direction.signature(sum, sequence));
        Ok(())
    }

    /// The mechListMIC of this end.
    pub(crate) fn mic(&mut self, text: &[u8]) -> Result<[u8; TOKEN_SIZE], SealError> {
        self.0.mic(text)
    }
}

/// The receiving half.
pub(crate) struct NtlmUnseal {
    direction: Direction,
    broken: bool,
}

impl NtlmUnseal {
    pub(crate) fn new(exported: &Key, peer: Sender, level: Level) -> Self {
        Self { direction: Direction::new(exported, peer, level), broken: false }
    }

    /// See [`crate::Unsealer::unseal`].
    pub(crate) fn unseal(&mut self, level: Level, pdu: Segments<'_>, token: &[u8]) -> Result<(), SealError> {
        let body = pdu.body;
        let result = self.open(level, pdu.header, body, pdu.trailer, token);
        if result.is_err() {
            self.broken = true;
            body.zeroize();
        }
        result
    }

    fn open(
        &mut self,
        level: Level,
        header: &[u8],
        body: &mut [u8],
        trailer: &[u8],
        token: &[u8],
    ) -> Result<(), SealError> {
        if self.broken {
            return Err(SealError::Broken);
        }
        let direction = &mut self.direction;
        let sequence = direction.check(level, token.len())?;
        let mut mac = direction.sign.begin();
        mac.update(&sequence.to_le_bytes());
        mac.update(header);
        match level {
            Level::Privacy => mac.decrypt_then_update(&mut direction.rc4, body),
            Level::Integrity => mac.update(body),
        }
        mac.update(trailer);
        let sum = mac.finish();
        verify(&direction.signature(sum, sequence), token)
    }

    /// Checks the mechListMIC of the peer.
    pub(crate) fn check_mic(&mut self, text: &[u8], token: &[u8]) -> Result<(), SealError> {
        let expected = self.direction.mic(text)?;
        verify(&expected, token)
    }
}

/// Compares the whole signature, version and sequence number included, in constant time.
fn verify(expected: &[u8; TOKEN_SIZE], actual: &[u8]) -> Result<(), SealError> {
    if expected[..].ct_eq(actual).into() { Ok(()) } else { Err(SealError::BadSignature) }
}

#[cfg(test)]
#[path = "../../tests/unit/captures.rs"] // a test that needs what is private here
mod captures;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const EXPORTED: Key = Key([0x55; 16]);

    fn request() -> Vec<u8> {
        hex("05000083 10000000 70001000 05000000 24000000 00001900
             021c0000 5c0a0000 8d1e7f5f 2a9b3c4d
             05000700 00000000 00000000 11111111 22223333 44445555 55555555 00000000 00000100
             00000000 00000000 00000000
             0a060c00 00000000
             00000000 00000000 00000000 00000000")
    }

    const SEALED_REQUEST: &str = "05000083 10000000 70001000 05000000
        24000000 00001900 021c0000 5c0a0000
        8d1e7f5f 2a9b3c4d 01e56a65 de195fdc
        f76054c1 f50a6617 ad7d3cb5 e2d0625e
        5f2a6196 64e0ffa2 5fe79b23 5153ac4a
        79e774fa 373858cd 0a060c00 00000000
        01000000 fd5054b0 fb76ad8e 00000000";

    const SEALED_RESPONSE: &str = "05000203 10000000 60001000 05000000
        24000000 00000000 46081db7 51ba1de9
        38c427d7 82f98f83 5cd0148b 21036418
        15d26db8 c7186936 b5eed5a7 1d46cfb5
        9169bd77 4894545c 0a060c00 00000000
        01000000 eb022581 49095f90 00000000";

    /// MS-NLMP 4.2.4.4 (wire.md 2.12, test vector A).
    #[test]
    fn seals_plaintext_as_published() {
        let mut seal = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let mut body = hex("50006c00610069006e007400650078007400");
        let mut token = [0; TOKEN_SIZE];
        let pdu = Segments { header: &[], body: &mut body, trailer: &[] };
        seal.seal(Level::Privacy, pdu, &mut token).unwrap();
        assert_eq!(body, hex("54e50165bf1936dc996020c1811b0f06fb5f"));
        assert_eq!(token[..], hex("010000007fb38ec5c55d497600000000"));
    }

    /// wire.md 3.9, test vector B, the request.
    #[test]
    fn seals_and_opens_the_request_of_vector_b() {
        let mut seal = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let mut pdu = request();
        let (segments, token) = Segments::split(&mut pdu, 40, TOKEN_SIZE).unwrap();
        seal.seal(Level::Privacy, segments, token).unwrap();
        assert_eq!(pdu, hex(SEALED_REQUEST));

        let mut unseal = NtlmUnseal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let (segments, token) = Segments::split(&mut pdu, 40, TOKEN_SIZE).unwrap();
        unseal.unseal(Level::Privacy, segments, token).unwrap();
        assert_eq!(pdu[..0x60], request()[..0x60]);
    }

    /// wire.md 3.9, test vector B, the response: ORPCTHAT, conformant-varying buffer of 16 bytes, return value (3.7).
    #[test]
    fn opens_the_response_of_vector_b() {
        let mut unseal = NtlmUnseal::new(&EXPORTED, Sender::Server, Level::Privacy);
        let mut pdu = hex(SEALED_RESPONSE);
        let (segments, token) = Segments::split(&mut pdu, 24, TOKEN_SIZE).unwrap();
        unseal.unseal(Level::Privacy, segments, token).unwrap();
        let opened = pdu[24..0x48].to_vec();

        let mut seal = NtlmSeal::new(&EXPORTED, Sender::Server, Level::Privacy);
        let (segments, token) = Segments::split(&mut pdu, 24, TOKEN_SIZE).unwrap();
        seal.seal(Level::Privacy, segments, token).unwrap();
        assert_eq!(pdu, hex(SEALED_RESPONSE));
        assert_eq!(
            opened[..36],
            hex("00000000 00000000 10000000 a1a2a3a4 a5000000 00000000 00000000 05000000 00000000")
        );
    }

    #[test]
    fn a_context_for_integrity_does_not_seal() {
        let mut seal = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Integrity);
        let mut pdu = request();
        let (segments, token) = Segments::split(&mut pdu, 40, TOKEN_SIZE).unwrap();
        assert_eq!(seal.seal(Level::Privacy, segments, token), Err(SealError::NotNegotiated));
        assert_eq!(pdu, request());
    }

    #[test]
    fn the_last_sequence_number_is_the_end() {
        let mut seal = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Privacy);
        seal.0.sequence = Some(u32::MAX);
        for expected in [Ok(()), Err(SealError::SequenceExhausted)] {
            let mut pdu = request();
            let (segments, token) = Segments::split(&mut pdu, 40, TOKEN_SIZE).unwrap();
            assert_eq!(seal.seal(Level::Privacy, segments, token), expected);
        }
    }

    /// The MIC takes a number, not key stream (wire.md 2.13).
    #[test]
    fn a_mic_leaves_the_key_stream_alone() {
        let mut with = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let mut without = NtlmSeal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let mut unseal = NtlmUnseal::new(&EXPORTED, Sender::Client, Level::Privacy);
        let mic = with.mic(b"mechanisms").unwrap();
        assert_eq!(mic[12..], [0; 4]);
        unseal.check_mic(b"mechanisms", &mic).unwrap();
        without.0.sequence = Some(1);
        let (mut left, mut right) = (request(), request());
        for (seal, pdu) in [(&mut with, &mut left), (&mut without, &mut right)] {
            let (segments, token) = Segments::split(pdu, 40, TOKEN_SIZE).unwrap();
            seal.seal(Level::Privacy, segments, token).unwrap();
            assert_eq!(token[12..], [1, 0, 0, 0]);
        }
        assert_eq!(left, right);
    }
}
