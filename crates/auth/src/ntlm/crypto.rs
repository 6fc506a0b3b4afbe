//! The computations of NTLMv2 (MS-NLMP 3.3.2, 3.4.5; wire.md 2.12), each with its published vector.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ntlm::rc4_md5::Rc4;
use crate::secret::NtHash;
use crate::text::{simple_upper, utf16_bytes, utf16_of};

/// Sixteen secret bytes: every key of NTLM has this size. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Key(pub(crate) [u8; 16]);

impl Key {
    /// Compares in time that does not depend on the content.
    pub(crate) fn equals(&self, other: &[u8; 16]) -> subtle::Choice {
        self.0.ct_eq(other)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// How the user name is put in capitals before it is hashed. MS-NLMP says "uppercase" and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capitals {
    /// One unit for one unit, as Windows does: `ß` stays.
    Simple,
    /// Full Unicode mapping, as the Python clients do: `ß` becomes `SS`.
    Full,
}

/// `HMAC-MD5(NT hash, UPPER(user) | domain)`, both UTF-16LE (MS-NLMP 3.3.2, NTOWFv2).
pub(crate) fn response_key(hash: &NtHash, user: &str, domain: &str, capitals: Capitals) -> Key {
    let mut name = match capitals {
        Capitals::Full => utf16_bytes(&user.to_uppercase()),
        Capitals::Simple => user.chars().map(simple_upper).flat_map(utf16_of).collect(),
    };
    name.extend(utf16_bytes(domain));
    hmac_md5(hash.expose(), &[&name])
}

/// `HMAC-MD5(response key, server challenge | temp)` (MS-NLMP 3.3.2, NTProofStr).
pub(crate) fn nt_proof(response_key: &Key, server_challenge: &[u8; 8], temp: &[u8]) -> Key {
    hmac_md5(&response_key.0, &[server_challenge, temp])
}

/// `HMAC-MD5(response key, server challenge | client challenge) | client challenge` (MS-NLMP 3.3.2, LMv2).
pub(crate) fn lm_v2_response(
    response_key: &Key,
    server_challenge: &[u8; 8],
    client_challenge: &[u8; 8],
) -> Zeroizing<[u8; 24]> {
    let proof = hmac_md5(&response_key.0, &[server_challenge, client_challenge]);
    let mut response = Zeroizing::new([0; 24]);
    response[..16].copy_from_slice(&proof.0);
    response[16..].copy_from_slice(client_challenge);
    response
}

/// `HMAC-MD5(response key, NTProofStr)` (MS-NLMP 3.3.2, SessionBaseKey).
pub(crate) fn session_base_key(response_key: &Key, proof: &[u8; 16]) -> Key {
    hmac_md5(&response_key.0, &[proof])
}

/// Recovers (or, RC4 being its own inverse, makes) the exchanged key: `RC4(session base key, key)` (MS-NLMP 3.1.5.1.2).
pub(crate) fn exchange_key(session_base: &Key, exchanged: &[u8; 16]) -> Key {
    let mut key = Key(*exchanged);
    Rc4::new(&session_base.0).apply(&mut key.0);
    key
}

/// `HMAC-MD5(exported session key, messages)` with the MIC field of AUTHENTICATE zeroed (MS-NLMP 3.1.5.1.2).
pub(crate) fn message_integrity_code(exported: &Key, messages: &[&[u8]]) -> Key {
    hmac_md5(&exported.0, messages)
}

/// The signing and sealing key of one direction (MS-NLMP 3.4.5.2, 3.4.5.3; 128 bit, extended session security).
pub(crate) struct DirectionKeys {
    pub(crate) sign: Key,
    pub(crate) seal: Key,
}

/// Who sends in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

impl DirectionKeys {
    /// Derives the keys of what `sender` sends.
    pub(crate) fn derive(exported: &Key, sender: Sender) -> Self {
        let (sign, seal): (&[u8], &[u8]) = match sender {
            Sender::Client => (
                b"session key to client-to-server signing key magic constant\0",
                b"session key to client-to-server sealing key magic constant\0",
            ),
            Sender::Server => (
                b"session key to server-to-client signing key magic constant\0",
                b"session key to server-to-client sealing key magic constant\0",
            ),
        };
        Self { sign: md5(&[&exported.0, sign]), seal: md5(&[&exported.0, seal]) }
    }
}

fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Md5>::new_from_slice(key).expect("invariant: HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    Key(mac.finalize().into_bytes().into())
}

fn md5(parts: &[&[u8]]) -> Key {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    Key(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, hex16, vector_a};

    /// MS-NLMP 4.2.4 (wire.md 2.12, test vector A).
    #[test]
    fn ntlm_v2_vector() {
        let hash = NtHash::from_password("Password");
        assert_eq!(hash.expose(), &hex16("a4f49c406510bdcab6824ee7c30fd852"));
        for capitals in [Capitals::Simple, Capitals::Full] {
            let key = response_key(&hash, "User", "Domain", capitals);
            assert_eq!(key.0, hex16("0c868a403bfd7a93a3001ef22ef02e3f"));
            let temp = hex(vector_a::TEMP);
            let proof = nt_proof(&key, &vector_a::SERVER_CHALLENGE, &temp);
            assert_eq!(proof.0, hex16("68cd0ab851e51c96aabc927bebef6a1c"));
            let base = session_base_key(&key, &proof.0);
            assert_eq!(base.0, hex16("8de40ccadbc14a82f15cb0ad0de95ca3"));
            let encrypted = exchange_key(&base, &[0x55; 16]);
            assert_eq!(encrypted.0, hex16("c5dad2544fc9799094ce1ce90bc9d03e"));
            assert_eq!(exchange_key(&base, &encrypted.0).0, [0x55; 16]);
        }
    }

    /// MS-NLMP 4.2.4.4 for the client; wire.md 3.9 for the server.
    #[test]
    fn direction_keys() {
        let exported = Key([0x55; 16]);
        let client = DirectionKeys::derive(&exported, Sender::Client);
        assert_eq!(client.sign.0, hex16("4788dc861b4782f35d43fd98fe1a2d39"));
        assert_eq!(client.seal.0, hex16("59f600973cc4960a25480a7c196e4c58"));
        let server = DirectionKeys::derive(&exported, Sender::Server);
        assert_eq!(server.sign.0, hex16("d04d6f10741041d1d246d64188d7a8ad"));
        assert_eq!(server.seal.0, hex16("9355f3a957c1583d25c4c2f11e40390e"));
    }

    #[test]
    fn capitals_differ_only_where_the_length_would_change() {
        let hash = NtHash::from_password("x");
        let key = |user, capitals| response_key(&hash, user, "", capitals).0;
        assert_eq!(key("jörg", Capitals::Simple), key("JÖRG", Capitals::Full));
        assert_ne!(key("groß", Capitals::Simple), key("groß", Capitals::Full));
        assert_eq!(key("groß", Capitals::Full), key("GROSS", Capitals::Simple));
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", Key([0x41; 16])), "Key(..)");
    }
}
