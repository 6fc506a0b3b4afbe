//! RSA keys of CAs. ring signs, as it does for the CA itself. `rsa` verifies, and signs what ring does not have: SHA-1, other
//! salts, keys of more than 4096 bits. It stands on an older generation of the crates than the rest, whose types do not leave
//! this file.

use const_oid::{ObjectIdentifier, db::rfc5912};
use der::SecretDocument;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use rsa::pkcs1::{RsaPssParams, der::Decode};
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use sha1_for_rsa::Sha1;

use crate::hash::Hash;

/// The largest key that is used: beyond this a single verification takes noticeable time.
const MAX_BITS: usize = 16_384;

/// How a hash is filled up to the length of the key (RFC 8017 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    Pkcs1,
    Pss { salt: usize },
}

impl Padding {
    /// RSASSA-PSS with these parameters in DER, and the hash that they name.
    ///
    /// # Errors
    /// What is wrong with them, or not supported.
    pub(crate) fn pss(parameters: &[u8]) -> Result<(Self, Hash), String> {
        let parameters = RsaPssParams::try_from(parameters).map_err(|error| error.to_string())?;
        let name = parameters.hash.oid;
        let hash = ObjectIdentifier::from_bytes(name.as_bytes()).ok().and_then(Hash::of_oid);
        let hash = hash.ok_or_else(|| format!("RSASSA-PSS with the hash {name} is not supported"))?;
        if parameters.mask_gen.oid.as_bytes() != rfc5912::ID_MGF_1.as_bytes() {
            return Err(format!("RSASSA-PSS with the mask {} is not supported", parameters.mask_gen.oid));
        }
        if parameters.mask_gen.parameters.map(|mask| mask.oid) != Some(name) {
            return Err("RSASSA-PSS with two different hashes is not supported".to_owned());
        }
        Ok((Self::Pss { salt: usize::from(parameters.salt_len) }, hash))
    }
}

/// The public half.
#[derive(Clone)]
pub(crate) struct RsaPublic(RsaPublicKey);

impl RsaPublic {
    /// The key in an RSAPublicKey in DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_pkcs1(der: &[u8]) -> Result<Self, String> {
        let parts = rsa::pkcs1::RsaPublicKey::from_der(der).map_err(|error| error.to_string())?;
        let number = |octets: &[u8]| BigUint::from_bytes_be(octets);
        let (modulus, exponent) =
            (number(parts.modulus.as_bytes()), number(parts.public_exponent.as_bytes()));
        let key = RsaPublicKey::new_with_max_size(modulus, exponent, MAX_BITS);
        key.map(Self).map_err(|error| error.to_string())
    }

    /// The length of the modulus.
    pub(crate) fn bits(&self) -> usize {
        self.0.n().bits()
    }

    /// Whether `signature` is one of this key over what has this hash.
    pub(crate) fn verifies(&self, padding: Padding, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
        // RFC 8017 5.2.2. The library asks this for one of both paddings alone.
        if &BigUint::from_bytes_be(signature) >= self.0.n() {
            return false;
        }
        match padding {
            Padding::Pkcs1 => self.0.verify(pkcs1(hash), digest, signature),
            Padding::Pss { salt } => self.0.verify(pss(hash, salt), digest, signature),
        }
        .is_ok()
    }
}

/// The private half: its PrivateKeyInfo and `rsa`'s copy, which are wiped, and ring's, which signs if it can and is not.
pub(crate) struct RsaPrivate {
    clear: SecretDocument,
    key: RsaPrivateKey,
    signer: Option<RsaKeyPair>,
}

impl RsaPrivate {
    /// The key in a PrivateKeyInfo in DER, whose inner RSAPrivateKey is `inside`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_pkcs8(der: &[u8], inside: &[u8]) -> Result<Self, String> {
        let clear = SecretDocument::try_from(der).map_err(|error| error.to_string())?;
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|error| error.to_string())?;
        Ok(Self { clear, key, signer: RsaKeyPair::from_der(inside).ok() })
    }

    /// The PrivateKeyInfo that it was read from. The encoder of `rsa` leaves a copy of the key in memory.
    pub(crate) fn to_pkcs8(&self) -> SecretDocument {
        self.clear.clone()
    }

    /// The SubjectPublicKeyInfo of the public half in DER.
    ///
    /// # Errors
    /// What the encoder says.
    pub(crate) fn public_key(&self) -> Result<Vec<u8>, String> {
        let document = self.key.to_public_key().to_public_key_der().map_err(|error| error.to_string())?;
        Ok(document.into_vec())
    }

    /// A signature over `message`.
    ///
    /// # Errors
    /// What failed.
    pub(crate) fn sign(&self, padding: Padding, hash: Hash, message: &[u8]) -> Result<Vec<u8>, String> {
        match (&self.signer, encoding(padding, hash)) {
            (Some(signer), Some(encoding)) => {
                let mut signature = vec![0; signer.public().modulus_len()];
                let signed = signer.sign(encoding, &SystemRandom::new(), message, &mut signature);
                signed.map(|()| signature).map_err(|_| "the key cannot sign".to_owned())
            }
            _ => self.sign_without_ring(padding, hash, message),
        }
    }

    /// With random numbers the private operation is blinded. They are asked for once before, so that the source that cannot
    /// report an error does not meet one.
    fn sign_without_ring(&self, padding: Padding, hash: Hash, message: &[u8]) -> Result<Vec<u8>, String> {
        getrandom::fill(&mut [0_u8; 1]).map_err(|error| error.to_string())?;
        let digest = hash.of(message);
        match padding {
            Padding::Pkcs1 => self.key.sign_with_rng(&mut OsRng, pkcs1(hash), &digest),
            Padding::Pss { salt } => self.key.sign_with_rng(&mut OsRng, pss(hash, salt), &digest),
        }
        .map_err(|error| error.to_string())
    }
}

/// What ring has. It has no SHA-1, and salts as long as the hash alone.
fn encoding(padding: Padding, hash: Hash) -> Option<&'static dyn RsaEncoding> {
    Some(match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha256) => &RSA_PKCS1_SHA256,
        (Padding::Pkcs1, Hash::Sha384) => &RSA_PKCS1_SHA384,
        (Padding::Pkcs1, Hash::Sha512) => &RSA_PKCS1_SHA512,
        (Padding::Pss { salt: 32 }, Hash::Sha256) => &RSA_PSS_SHA256,
        (Padding::Pss { salt: 48 }, Hash::Sha384) => &RSA_PSS_SHA384,
        (Padding::Pss { salt: 64 }, Hash::Sha512) => &RSA_PSS_SHA512,
        _ => return None,
    })
}

fn pkcs1(hash: Hash) -> Pkcs1v15Sign {
    match hash {
        Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    }
}

/// "Blinded" is said of the private operation (RUSTSEC-2023-0071); a verification has none.
fn pss(hash: Hash, salt: usize) -> Pss {
    match hash {
        Hash::Sha1 => Pss::new_blinded_with_salt::<Sha1>(salt),
        Hash::Sha256 => Pss::new_blinded_with_salt::<Sha256>(salt),
        Hash::Sha384 => Pss::new_blinded_with_salt::<Sha384>(salt),
        Hash::Sha512 => Pss::new_blinded_with_salt::<Sha512>(salt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    fn made(bits: usize) -> (RsaPrivate, RsaPublic) {
        use rsa::pkcs8::EncodePrivateKey;
        let key = RsaPrivateKey::new(&mut OsRng, bits).unwrap();
        let document = key.to_pkcs8_der().unwrap();
        let info = pkcs8::PrivateKeyInfoRef::try_from(document.as_bytes()).unwrap();
        let private = RsaPrivate::from_pkcs8(document.as_bytes(), info.private_key.as_bytes()).unwrap();
        assert_eq!(private.to_pkcs8().as_bytes(), document.as_bytes());
        (private, RsaPublic(key.to_public_key()))
    }

    #[test]
    fn every_hash_and_salt_signs_and_verifies_as_itself_alone() {
        let (private, public) = made(1152);
        assert!(private.signer.is_none(), "ring has no key of this length");
        let paddings = |hash: Hash| {
            let length = hash.of(b"").len();
            [
                Padding::Pkcs1,
                Padding::Pss { salt: 0 },
                Padding::Pss { salt: 20 },
                Padding::Pss { salt: length },
            ]
        };
        for hash in ALL {
            for padding in paddings(hash) {
                let signature = private.sign(padding, hash, b"message").unwrap();
                for other in ALL {
                    for judged in paddings(other) {
                        let verifies = public.verifies(judged, other, &other.of(b"message"), &signature);
                        assert_eq!(
                            verifies,
                            (judged, other) == (padding, hash),
                            "{padding:?} {hash:?} {judged:?}"
                        );
                    }
                }
                assert!(!public.verifies(padding, hash, &hash.of(b"massage"), &signature));
            }
        }
    }

    #[test]
    fn a_salt_that_does_not_fit_into_the_key_is_an_error() {
        let (private, public) = made(1024);
        let padding = Padding::Pss { salt: 255 };
        private.sign(padding, Hash::Sha512, b"message").unwrap_err();
        assert!(!public.verifies(padding, Hash::Sha512, &Hash::Sha512.of(b"message"), &[1; 128]));
    }

    #[test]
    fn a_signature_has_one_form() {
        let (private, public) = made(1024);
        for padding in [Padding::Pkcs1, Padding::Pss { salt: 20 }] {
            let digest = |count: u32| Hash::Sha1.of(&count.to_be_bytes());
            let mut tried = 0;
            // Some signatures leave room for the modulus above them, in as many octets.
            let (count, signature, larger) = (0..10_000_u32)
                .find_map(|count| {
                    tried += 1;
                    let signature = private.sign(padding, Hash::Sha1, &count.to_be_bytes()).unwrap();
                    let larger = (BigUint::from_bytes_be(&signature) + public.0.n()).to_bytes_be();
                    (larger.len() == signature.len()).then_some((count, signature, larger))
                })
                .unwrap();
            assert!(public.verifies(padding, Hash::Sha1, &digest(count), &signature), "{tried}");
            assert!(!public.verifies(padding, Hash::Sha1, &digest(count), &larger), "{padding:?} {tried}");
            assert!(!public.verifies(padding, Hash::Sha1, &digest(count), &[&[0], &signature[..]].concat()));
        }
    }

    #[test]
    fn a_mask_of_another_kind_is_refused() {
        // SHA-256 as hash; as mask, pSpecified (1.2.840.113549.1.1.9) with SHA-256.
        let sha256 = [0x30, 0x0b, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
        let pkcs1 = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
        let parameters = |mask: u8| {
            let mask = [&[0x30, 24][..], &pkcs1, &[mask], &sha256].concat();
            [&[0x30, 43, 0xa0, 13][..], &sha256, &[0xa1, 26], &mask].concat()
        };
        assert_eq!(Padding::pss(&parameters(8)), Ok((Padding::Pss { salt: 20 }, Hash::Sha256)));
        assert!(Padding::pss(&parameters(9)).unwrap_err().contains("mask"));
    }
}
