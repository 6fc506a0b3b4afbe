//! RSA keys of CAs. ring signs, as it does for the CA itself. `rsa` verifies, and signs what ring does not have: SHA-1, other
//! salts, keys of more than 4096 bits. It stands on an older generation of the crates than the rest, whose types do not leave
//! this file.

use const_oid::ObjectIdentifier;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use rsa::pkcs1::{RsaPssParams, der::Decode};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
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
        match padding {
            Padding::Pkcs1 => self.0.verify(pkcs1(hash), digest, signature),
            Padding::Pss { salt } => self.0.verify(pss(hash, salt), digest, signature),
        }
        .is_ok()
    }
}

/// The private half, twice: what knows its formats and is wiped, and ring's copy, which signs if it can.
pub(crate) struct RsaPrivate {
    key: RsaPrivateKey,
    signer: Option<RsaKeyPair>,
}

impl RsaPrivate {
    /// The key in a PrivateKeyInfo in DER, whose inner RSAPrivateKey is `inside`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_pkcs8(der: &[u8], inside: &[u8]) -> Result<Self, String> {
        let key = RsaPrivateKey::from_pkcs8_der(der).map_err(|error| error.to_string())?;
        Ok(Self { key, signer: RsaKeyPair::from_der(inside).ok() })
    }

    /// The key as PrivateKeyInfo in DER, which is wiped when it is dropped.
    ///
    /// # Errors
    /// What the encoder says.
    pub(crate) fn to_pkcs8(&self) -> Result<der::SecretDocument, String> {
        let document = self.key.to_pkcs8_der().map_err(|error| error.to_string())?;
        document.as_bytes().try_into().map_err(|error: der::Error| error.to_string())
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
            Padding::Pss { salt } => self.key.sign_with_rng(&mut OsRng, blinded_pss(hash, salt), &digest),
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

fn pss(hash: Hash, salt: usize) -> Pss {
    match hash {
        Hash::Sha1 => Pss::new_with_salt::<Sha1>(salt),
        Hash::Sha256 => Pss::new_with_salt::<Sha256>(salt),
        Hash::Sha384 => Pss::new_with_salt::<Sha384>(salt),
        Hash::Sha512 => Pss::new_with_salt::<Sha512>(salt),
    }
}

fn blinded_pss(hash: Hash, salt: usize) -> Pss {
    Pss { blinded: true, ..pss(hash, salt) }
}
