//! Signatures of CRLs and certificates: which algorithm, does it verify, sign.
//!
//! A Windows CA may sign in more ways than our own: SHA-1 (old roots), SHA-256, SHA-384 and SHA-512, RSA with PKCS#1 v1.5 or
//! with PSS, ECDSA on P-256, P-384 and P-521. The AlgorithmIdentifier of the last CRL is kept as it is.

use std::fmt;
use std::path::Path;

use certadm_ca::Passphrase;
use const_oid::{ObjectIdentifier, db::rfc5912};
use der::{Decode, Encode};
use pkcs8::{DecodePrivateKey, EncodePrivateKey, PrivateKeyInfoRef};
use signature::SignatureEncoding;
use signature::hazmat::{PrehashSigner, PrehashVerifier};
use spki::{AlgorithmIdentifierRef, EncodePublicKey, SubjectPublicKeyInfoRef};

use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::rsa_key::{Padding, RsaPrivate, RsaPublic};

/// How something was, or is to be, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithm {
    scheme: Scheme,
    hash: Hash,
    der: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Rsa(Padding),
    Ecdsa,
}

/// ecdsa-with-SHA1 (RFC 3279).
const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");

impl Algorithm {
    /// The algorithm that an AlgorithmIdentifier in DER names.
    ///
    /// # Errors
    /// The object identifier, or what is wrong, when it is none of those above.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let identifier = AlgorithmIdentifierRef::from_der(der).map_err(|error| error.to_string())?;
        const RSA: Scheme = Scheme::Rsa(Padding::Pkcs1);
        let (scheme, hash) = match identifier.oid {
            rfc5912::SHA_1_WITH_RSA_ENCRYPTION => (RSA, Hash::Sha1),
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION => (RSA, Hash::Sha256),
            rfc5912::SHA_384_WITH_RSA_ENCRYPTION => (RSA, Hash::Sha384),
            rfc5912::SHA_512_WITH_RSA_ENCRYPTION => (RSA, Hash::Sha512),
            ECDSA_WITH_SHA_1 => (Scheme::Ecdsa, Hash::Sha1),
            rfc5912::ECDSA_WITH_SHA_256 => (Scheme::Ecdsa, Hash::Sha256),
            rfc5912::ECDSA_WITH_SHA_384 => (Scheme::Ecdsa, Hash::Sha384),
            rfc5912::ECDSA_WITH_SHA_512 => (Scheme::Ecdsa, Hash::Sha512),
            rfc5912::ID_RSASSA_PSS => pss_of(&identifier)?,
            other => return Err(format!("the algorithm {other} is not supported")),
        };
        Ok(Self { scheme, hash, der: der.to_vec() })
    }

    /// The usual algorithm for a key, where no CRL says which one its CA takes.
    ///
    /// # Errors
    /// What the encoder says.
    pub(crate) fn usual(key: &PublicKey) -> Result<Self, String> {
        let (oid, is_rsa) = match key.kind {
            Kind::Rsa(_) => (rfc5912::SHA_256_WITH_RSA_ENCRYPTION, true),
            Kind::P256(_) => (rfc5912::ECDSA_WITH_SHA_256, false),
            Kind::P384(_) => (rfc5912::ECDSA_WITH_SHA_384, false),
            Kind::P521(_) => (rfc5912::ECDSA_WITH_SHA_512, false),
            Kind::Other { ref reason, .. } => return Err(reason.clone()),
        };
        let parameters = is_rsa.then_some(der::asn1::AnyRef::NULL);
        let der = AlgorithmIdentifierRef { oid, parameters }.to_der().map_err(|error| error.to_string())?;
        Self::from_der(&der)
    }

    /// The AlgorithmIdentifier.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether it hashes with SHA-1, for which collisions can be made.
    #[must_use]
    pub fn is_sha1(&self) -> bool {
        self.hash == Hash::Sha1
    }

    /// Whether keys of this kind sign so.
    #[must_use]
    pub fn fits(&self, key: &PublicKey) -> bool {
        key.is_supported() && matches!(key.kind, Kind::Rsa(_)) == (self.scheme != Scheme::Ecdsa)
    }

    /// The name of its hash as `openssl dgst` takes it.
    #[must_use]
    pub fn hash_name(&self) -> &'static str {
        self.hash.openssl_name()
    }

    /// What `openssl dgst -sign` needs beside the hash, for the two steps of a key that stays where it is.
    #[must_use]
    pub fn openssl_options(&self) -> String {
        match self.scheme {
            Scheme::Rsa(Padding::Pss { salt }) => {
                format!(" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}")
            }
            Scheme::Rsa(Padding::Pkcs1) | Scheme::Ecdsa => String::new(),
        }
    }
}

impl fmt::Display for Algorithm {
    /// Such as `RSA with SHA-256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Rsa(Padding::Pkcs1) => "RSA",
            Scheme::Rsa(Padding::Pss { .. }) => "RSASSA-PSS",
            Scheme::Ecdsa => "ECDSA",
        };
        write!(f, "{scheme} with {}", self.hash.name())
    }
}

fn pss_of(identifier: &AlgorithmIdentifierRef<'_>) -> Result<(Scheme, Hash), String> {
    let parameters = identifier.parameters.ok_or("RSASSA-PSS without parameters is not supported")?;
    let parameters = parameters.to_der().map_err(|error| error.to_string())?;
    Padding::pss(&parameters).map(|(padding, hash)| (Scheme::Rsa(padding), hash))
}

/// A public key of a CA.
#[derive(Clone)]
pub struct PublicKey {
    kind: Kind,
    der: Vec<u8>,
}

#[derive(Clone)]
enum Kind {
    Rsa(RsaPublic),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    /// A key that verifies nothing here.
    Other {
        algorithm: ObjectIdentifier,
        reason: String,
    },
}

impl PublicKey {
    /// The key in a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| error.to_string())?;
        let bits = info.subject_public_key.raw_bytes();
        let text = |error: signature::Error| error.to_string();
        let curve = info.algorithm.parameters_oid().ok();
        let kind = match (info.algorithm.oid, curve) {
            (rfc5912::RSA_ENCRYPTION, _) => Kind::Rsa(RsaPublic::from_pkcs1(bits)?),
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_256_R_1)) => {
                Kind::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).map_err(text)?)
            }
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_384_R_1)) => {
                Kind::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).map_err(text)?)
            }
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_521_R_1)) => {
                Kind::P521(p521::ecdsa::VerifyingKey::from_sec1_bytes(bits).map_err(text)?)
            }
            (other, curve) => {
                let curve = curve.map(|curve| format!(" on curve {curve}")).unwrap_or_default();
                return Err(format!("keys of the kind {other}{curve} are not supported"));
            }
        };
        Ok(Self { kind, der: der.to_vec() })
    }

    /// The key in a SubjectPublicKeyInfo in DER, whatever its kind: one that cannot be used verifies nothing.
    ///
    /// # Errors
    /// What is wrong with the SubjectPublicKeyInfo.
    pub(crate) fn of_any_kind(der: &[u8]) -> Result<Self, String> {
        let algorithm =
            SubjectPublicKeyInfoRef::from_der(der).map_err(|error| error.to_string())?.algorithm.oid;
        Ok(Self::from_der(der)
            .unwrap_or_else(|reason| Self { kind: Kind::Other { algorithm, reason }, der: der.to_vec() }))
    }

    /// Whether it can be used: it is of a kind that is known here.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        !matches!(self.kind, Kind::Other { .. })
    }

    /// The SubjectPublicKeyInfo.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// Such as `RSA-2048` or `P-256`.
    #[must_use]
    pub fn kind_name(&self) -> String {
        match &self.kind {
            Kind::Rsa(key) => format!("RSA-{}", key.bits()),
            Kind::P256(_) => "P-256".to_owned(),
            Kind::P384(_) => "P-384".to_owned(),
            Kind::P521(_) => "P-521".to_owned(),
            Kind::Other { algorithm, .. } => format!("algorithm {algorithm}"),
        }
    }

    /// SHA-1 over the public key (RFC 5280 4.2.1.2 (1)).
    ///
    /// # Errors
    /// None: the key was read from what it is asked of.
    pub fn identifier(&self) -> der::Result<Vec<u8>> {
        Ok(certadm_ca::key_identifier(&spki::SubjectPublicKeyInfoOwned::from_der(&self.der)?))
    }

    /// Whether `signature` is one of this key over `message`.
    #[must_use]
    pub fn verifies(&self, algorithm: &Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let digest = algorithm.hash.of(message);
        match (&self.kind, algorithm.scheme) {
            (Kind::Rsa(key), Scheme::Rsa(padding)) => {
                key.verifies(padding, algorithm.hash, &digest, signature)
            }
            (Kind::P256(key), Scheme::Ecdsa) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            (Kind::P384(key), Scheme::Ecdsa) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            (Kind::P521(key), Scheme::Ecdsa) => p521::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
            _ => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&certadm_rules::hex::Hex(&self.der)).finish()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

/// A private key of a CA that is lost. It shows nothing when it is printed, and is wiped when it is dropped.
pub struct PrivateKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Rsa(Box<RsaPrivate>),
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
}

impl PrivateKey {
    /// Opens an encrypted PKCS#8 file in PEM.
    ///
    /// # Errors
    /// [`Error::Ca`] when the passphrase is wrong, the file is not encrypted or is damaged; [`Error::UnusableKey`].
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let document = certadm_ca::decrypted_pkcs8(path, passphrase)?;
        Self::of_document(path, &document)
    }

    /// The same, of a file that was read already; `path` names it in errors.
    ///
    /// # Errors
    /// As [`PrivateKey::open`].
    pub fn parse(path: &Path, content: &[u8], passphrase: &Passphrase) -> Result<Self> {
        Self::of_document(path, &certadm_ca::decrypted_pkcs8_in(path, content, passphrase)?)
    }

    fn of_document(path: &Path, document: &der::SecretDocument) -> Result<Self> {
        let unusable = |reason| Error::UnusableKey { path: path.to_owned(), reason };
        Self::from_pkcs8(document.as_bytes()).map_err(unusable)
    }

    /// The key in a PrivateKeyInfo in DER.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|error| error.to_string())?;
        let text = |error: pkcs8::Error| error.to_string();
        let secret = match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
            (rfc5912::RSA_ENCRYPTION, _) => {
                Secret::Rsa(Box::new(RsaPrivate::from_pkcs8(der, info.private_key.as_bytes())?))
            }
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_256_R_1)) => {
                Secret::P256(Box::new(p256::ecdsa::SigningKey::from_pkcs8_der(der).map_err(text)?))
            }
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_384_R_1)) => {
                Secret::P384(Box::new(p384::ecdsa::SigningKey::from_pkcs8_der(der).map_err(text)?))
            }
            (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_521_R_1)) => {
                Secret::P521(Box::new(p521::ecdsa::SigningKey::from_pkcs8_der(der).map_err(text)?))
            }
            (other, _) => return Err(format!("keys of the kind {other} are not supported")),
        };
        let document = match &secret {
            Secret::Rsa(key) => return Ok(Self { public: PublicKey::from_der(&key.public_key()?)?, secret }),
            Secret::P256(key) => key.verifying_key().to_public_key_der(),
            Secret::P384(key) => key.verifying_key().to_public_key_der(),
            Secret::P521(key) => key.verifying_key().to_public_key_der(),
        };
        let document = document.map_err(|error| error.to_string())?;
        Ok(Self { secret, public: PublicKey::from_der(document.as_bytes())? })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The key as PrivateKeyInfo in DER, which is wiped when it is dropped.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn to_pkcs8(&self) -> Result<der::SecretDocument, String> {
        match &self.secret {
            Secret::Rsa(key) => return Ok(key.to_pkcs8()),
            Secret::P256(key) => key.to_pkcs8_der(),
            Secret::P384(key) => key.to_pkcs8_der(),
            Secret::P521(key) => key.to_pkcs8_der(),
        }
        .map_err(|error| error.to_string())
    }

    /// Signs 32 random octets and verifies the signature: a key can decrypt, belong to the certificate and be damaged all the
    /// same (recovery.md 2).
    ///
    /// # Errors
    /// What failed.
    pub fn try_out(&self) -> Result<(), String> {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).map_err(|error| error.to_string())?;
        self.sign(&Algorithm::usual(&self.public)?, &octets).map(drop)
    }

    /// Signs, and verifies what came out: a damaged key can give a wrong signature.
    ///
    /// # Errors
    /// What failed.
    pub(crate) fn sign(&self, algorithm: &Algorithm, message: &[u8]) -> Result<Vec<u8>, String> {
        let digest = || algorithm.hash.of(message);
        let signed = match (&self.secret, algorithm.scheme) {
            (Secret::Rsa(key), Scheme::Rsa(padding)) => {
                return self.checked(algorithm, message, key.sign(padding, algorithm.hash, message)?);
            }
            (Secret::P256(key), Scheme::Ecdsa) => {
                let signed: signature::Result<p256::ecdsa::DerSignature> = key.sign_prehash(&digest());
                signed.map(|signature| signature.to_vec())
            }
            (Secret::P384(key), Scheme::Ecdsa) => {
                let signed: signature::Result<p384::ecdsa::DerSignature> = key.sign_prehash(&digest());
                signed.map(|signature| signature.to_vec())
            }
            (Secret::P521(key), Scheme::Ecdsa) => {
                let signed: signature::Result<p521::ecdsa::DerSignature> = key.sign_prehash(&digest());
                signed.map(|signature| signature.to_vec())
            }
            _ => return Err(format!("a key of the kind {} does not sign so", self.public.kind_name())),
        };
        self.checked(algorithm, message, signed.map_err(|error| error.to_string())?)
    }

    /// A signature that verifies.
    fn checked(&self, algorithm: &Algorithm, message: &[u8], signature: Vec<u8>) -> Result<Vec<u8>, String> {
        if !self.public.verifies(algorithm, message, &signature) {
            return Err("the signature that it made does not verify: the key is damaged".to_owned());
        }
        Ok(signature)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A signature on a curve as HSMs give it, two numbers of equal length, in the form of a CRL; any other stays as it is.
pub(crate) fn der_of_raw(key: &PublicKey, signature: &[u8]) -> Vec<u8> {
    let converted = match &key.kind {
        Kind::Rsa(_) | Kind::Other { .. } => None,
        Kind::P256(_) => p256::ecdsa::Signature::from_slice(signature).ok().map(|raw| raw.to_der().to_vec()),
        Kind::P384(_) => p384::ecdsa::Signature::from_slice(signature).ok().map(|raw| raw.to_der().to_vec()),
        Kind::P521(_) => p521::ecdsa::Signature::from_slice(signature).ok().map(|raw| raw.to_der().to_vec()),
    };
    converted.unwrap_or_else(|| signature.to_vec())
}
