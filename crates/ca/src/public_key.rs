//! Public keys of requests and certificates, and the signatures they verify.

use der::Encode;
use der::asn1::{BitString, ObjectIdentifier};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use sha2::{Digest, Sha512};
use signature::hazmat::PrehashVerifier;
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use crate::denial::DenialReason;
use crate::rsa_key::RsaPublicKey;

/// A public key this CA certifies.
pub(crate) enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(RsaPublicKey),
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl PublicKey {
    /// The key in a SubjectPublicKeyInfo, if it is one this CA knows and strong enough.
    ///
    /// # Errors
    /// The reason to deny a request for it.
    pub(crate) fn from_info(info: &SubjectPublicKeyInfoOwned) -> Result<Self, DenialReason> {
        let unusable = |reason: &str| DenialReason::UnusableKey { reason: reason.into() };
        let bits = info
            .subject_public_key
            .as_bytes()
            .ok_or_else(|| unusable("its bit string is not made of whole octets"))?;
        match info.algorithm.oid {
            EC_PUBLIC_KEY => {
                let curve = info
                    .algorithm
                    .parameters
                    .as_ref()
                    .and_then(|any| any.decode_as::<ObjectIdentifier>().ok())
                    .ok_or_else(|| unusable("it does not name its curve"))?;
                let off_curve = |_| unusable("it is not a point of its curve");
                // RFC 5480 2.2: uncompressed or compressed, and nothing else.
                if !matches!(bits.first(), Some(2..=4)) {
                    return Err(unusable("its point is written in another form than RFC 5480 has"));
                }
                match curve {
                    SECP256R1 => {
                        p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).map(Self::P256).map_err(off_curve)
                    }
                    SECP384R1 => {
                        p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).map(Self::P384).map_err(off_curve)
                    }
                    other => {
                        Err(DenialReason::UnsupportedKey { algorithm: format!("elliptic curve {other}") })
                    }
                }
            }
            RSA_ENCRYPTION => RsaPublicKey::judge(bits).map(Self::Rsa),
            other => Err(DenialReason::UnsupportedKey { algorithm: other.to_string() }),
        }
    }

    /// The length of the key in bits, as the column `PublicKeyLength` has it.
    pub(crate) fn length(&self) -> u32 {
        match self {
            Self::P256(_) => 256,
            Self::P384(_) => 384,
            Self::Rsa(key) => key.length(),
        }
    }

    pub(crate) fn is_rsa(&self) -> bool {
        matches!(self, Self::Rsa(_))
    }

    /// Whether it is the same key, however either is written: a point of a curve can be written in two ways.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::P256(one), Self::P256(other)) => one == other,
            (Self::P384(one), Self::P384(other)) => one == other,
            (Self::Rsa(one), Self::Rsa(other)) => one == other,
            _ => false,
        }
    }

    /// Checks a signature over `message`: ECDSA or RSA PKCS#1 v1.5, with SHA-256, SHA-384 or
    /// SHA-512.
    ///
    /// # Errors
    /// The reason to deny a request that carries it.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &BitString,
    ) -> Result<(), DenialReason> {
        let hash = Hash::of(self.is_rsa(), &algorithm.oid)
            .ok_or_else(|| DenialReason::UnsupportedSignature { algorithm: algorithm.oid.to_string() })?;
        let octets = signature.as_bytes().ok_or(DenialReason::BadSignature)?;
        let verified = match (self, hash.of_curve()) {
            (Self::P256(key), Some((p256, _))) => {
                p256.verify(key.to_sec1_point(false).as_bytes().into(), message.into(), octets.into()).is_ok()
            }
            (Self::P384(key), Some((_, p384))) => {
                p384.verify(key.to_sec1_point(false).as_bytes().into(), message.into(), octets.into()).is_ok()
            }
            // Pairs that ring does not know.
            (Self::P256(key), None) => p256::ecdsa::DerSignature::from_bytes(octets)
                .and_then(|signature| key.verify_prehash(&Sha512::digest(message), &signature))
                .is_ok(),
            (Self::P384(key), None) => p384::ecdsa::DerSignature::from_bytes(octets)
                .and_then(|signature| key.verify_prehash(&Sha512::digest(message), &signature))
                .is_ok(),
            (Self::Rsa(key), _) => {
                let (n, e) = key.components();
                RsaPublicKeyComponents { n, e }.verify(hash.of_rsa(), message, octets).is_ok()
            }
        };
        if verified { Ok(()) } else { Err(DenialReason::BadSignature) }
    }
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of(rsa: bool, algorithm: &ObjectIdentifier) -> Option<Self> {
        use const_oid::db::rfc5912::{
            ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_256_WITH_RSA_ENCRYPTION,
            SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
        };
        match (rsa, *algorithm) {
            (true, SHA_256_WITH_RSA_ENCRYPTION) | (false, ECDSA_WITH_SHA_256) => Some(Self::Sha256),
            (true, SHA_384_WITH_RSA_ENCRYPTION) | (false, ECDSA_WITH_SHA_384) => Some(Self::Sha384),
            (true, SHA_512_WITH_RSA_ENCRYPTION) | (false, ECDSA_WITH_SHA_512) => Some(Self::Sha512),
            _ => None,
        }
    }

    /// ring's algorithms for a P-256 and a P-384 key.
    fn of_curve(self) -> Option<(&'static dyn VerificationAlgorithm, &'static dyn VerificationAlgorithm)> {
        match self {
            Self::Sha256 => Some((&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA256_ASN1)),
            Self::Sha384 => Some((&ECDSA_P256_SHA384_ASN1, &ECDSA_P384_SHA384_ASN1)),
            Self::Sha512 => None,
        }
    }

    fn of_rsa(self) -> &'static RsaParameters {
        match self {
            Self::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        }
    }
}

/// The columns of a public key: algorithm, parameters in DER, content of the bit string.
pub(crate) fn columns(info: &SubjectPublicKeyInfoOwned) -> der::Result<(String, Option<Vec<u8>>, Vec<u8>)> {
    let parameters = info.algorithm.parameters.as_ref();
    Ok((
        info.algorithm.oid.to_string(),
        parameters.map(Encode::to_der).transpose()?,
        info.subject_public_key.raw_bytes().to_vec(),
    ))
}
