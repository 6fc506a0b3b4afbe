//! The private key of a CA: made, encrypted, opened, used.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use const_oid::db::rfc5912::RSA_ENCRYPTION;
use der::asn1::{Any, AnyRef, BitString, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, SecretDocument, SliceReader};
use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use pkcs8::pkcs5::{Error as Unsupported, pbes2};
use pkcs8::{DecodePrivateKey, EncodePrivateKey, EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};
use serde::{Deserialize, Serialize};
use sha1::Digest;
use signature::{Keypair, Signer};
use spki::{
    AlgorithmIdentifierOwned, AlgorithmIdentifierRef, Document, DynSignatureAlgorithmIdentifier,
    EncodePublicKey, SignatureBitStringEncoding, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::key_cost::{self, MOST_KEYS, Refused};
use crate::key_text::{self, ENCRYPTED_KEY, unknown_encryption};
use crate::passphrase::Passphrase;
use certadm_files::{Access, durable, read};

/// The kinds of key a CA can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256.
    #[default]
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// RSA with 3072 bits, PKCS#1 v1.5 with SHA-256.
    Rsa3072,
    /// RSA with 4096 bits, PKCS#1 v1.5 with SHA-256.
    Rsa4096,
}

impl KeyType {
    /// Every kind, in the order of `--help`.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::Rsa3072, Self::Rsa4096];

    /// Its name in `ca.toml` and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        known.ok_or_else(|| Error::BadSetting {
            setting: "key type",
            value: text.into(),
            reason: format!("it must be one of {}", Self::ALL.map(Self::as_str).join(", ")),
        })
    }
}

/// The decrypted private key of a CA. It shows nothing when printed, and is wiped when dropped, but for the copy that
/// ring signs with: that one goes with the process, whose core dumps the command turns off (SECURITY.md). Any number of
/// threads may sign with one key.
pub struct CaKey {
    private: Private,
    public_der: Document,
    public_info: SubjectPublicKeyInfoOwned,
    algorithm: AlgorithmIdentifierOwned,
}

enum Private {
    P256(Curve<p256::ecdsa::SigningKey>),
    P384(Curve<p384::ecdsa::SigningKey>),
    Rsa(Rsa),
}

/// An RSA key: its RSAPrivateKey (RFC 8017 A.1.2), which is wiped, and ring's copy, which signs.
struct Rsa {
    clear: SecretDocument,
    signer: RsaKeyPair,
}

impl Rsa {
    fn generate(bits: usize) -> Result<Self, String> {
        // The generator cannot report that the system has no random numbers: ask once before.
        getrandom::fill(&mut [0u8; 1]).map_err(|error| error.to_string())?;
        let made = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).map_err(|error| error.to_string())?;
        Self::read(pkcs1(&made).map_err(|error| error.to_string())?.as_bytes())
    }

    /// ring reads the key, and refuses one whose numbers do not fit together.
    fn read(der: &[u8]) -> Result<Self, String> {
        let signer = RsaKeyPair::from_der(der).map_err(|error| {
            format!("the RSA key cannot sign ({error}); 2048, 3072 and 4096 bits with the exponent 65537 can")
        })?;
        Ok(Self { clear: SecretDocument::try_from(der).map_err(|error| error.to_string())?, signer })
    }

    fn to_pkcs8(&self) -> der::Result<SecretDocument> {
        let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
        let key = OctetStringRef::new(self.clear.as_bytes())?;
        SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, key))
    }

    fn to_public_key_info(&self) -> der::Result<Document> {
        let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
        let subject_public_key = BitStringRef::from_bytes(self.signer.public().as_ref())?;
        Document::encode_msg(&SubjectPublicKeyInfoRef { algorithm, subject_public_key })
    }

    fn bits(&self) -> usize {
        8 * self.signer.public().modulus_len()
    }

    /// PKCS#1 v1.5 with SHA-256.
    fn sign(&self, message: &[u8]) -> signature::Result<Vec<u8>> {
        let mut signature = vec![0; self.signer.public().modulus_len()];
        self.signer
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| signature::Error::new())?;
        Ok(signature)
    }
}

/// The RSAPrivateKey of a new key. The library's own encoder leaves a copy in memory that is not wiped.
fn pkcs1(key: &RsaPrivateKey) -> rsa::pkcs1::der::Result<rsa::pkcs1::der::SecretDocument> {
    let failed = rsa::pkcs1::der::ErrorKind::Failed;
    let coefficient = key.crt_coefficient().map(Zeroizing::new).ok_or(failed)?;
    let [p, q] = [&key.primes()[0], &key.primes()[1]];
    let (dp, dq) = (key.dp().ok_or(failed)?, key.dq().ok_or(failed)?);
    let octets = |number: &BigUint| Zeroizing::new(number.to_bytes_be());
    let numbers = [key.n(), key.e(), key.d(), p, q, dp, dq, &*coefficient].map(octets);
    let mut uints = Vec::with_capacity(numbers.len());
    for number in &numbers {
        uints.push(rsa::pkcs1::UintRef::new(number)?);
    }
    rsa::pkcs1::der::SecretDocument::encode_msg(&rsa::pkcs1::RsaPrivateKey {
        modulus: uints[0],
        public_exponent: uints[1],
        private_exponent: uints[2],
        prime1: uints[3],
        prime2: uints[4],
        exponent1: uints[5],
        exponent2: uints[6],
        coefficient: uints[7],
        other_prime_infos: None,
    })
}

/// A key on a curve: what knows its formats and is wiped, and ring's, which signs faster.
struct Curve<K> {
    key: Box<K>,
    signer: EcdsaKeyPair,
}

impl<K: EncodePrivateKey> Curve<K> {
    fn new(key: K, algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, String> {
        let document = key.to_pkcs8_der().map_err(|error| error.to_string())?;
        let signer = EcdsaKeyPair::from_pkcs8(algorithm, document.as_bytes(), &SystemRandom::new())
            .map_err(|error| error.to_string())?;
        Ok(Self { key: Box::new(key), signer })
    }

    fn sign(&self, message: &[u8]) -> signature::Result<Vec<u8>> {
        let signature = self.signer.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| signature::Error::new())?.as_ref().to_vec())
    }
}

const MAX_KEY_FILE: u64 = 64 * 1024;

impl CaKey {
    /// Makes a new key from the random numbers of the operating system. An RSA key takes seconds.
    ///
    /// # Errors
    /// [`Error::Random`] or [`Error::Key`].
    pub fn generate(kind: KeyType) -> Result<Self> {
        let private = match kind {
            KeyType::P256 => {
                p256_key(p256::ecdsa::SigningKey::try_generate_from_rng(&mut SysRng).map_err(Error::Random)?)
            }
            KeyType::P384 => {
                p384_key(p384::ecdsa::SigningKey::try_generate_from_rng(&mut SysRng).map_err(Error::Random)?)
            }
            KeyType::Rsa3072 => Rsa::generate(3072).map(Private::Rsa),
            KeyType::Rsa4096 => Rsa::generate(4096).map(Private::Rsa),
        };
        private.and_then(Self::with_public_parts).map_err(|reason| Error::Key { what: "made", reason })
    }

    /// Opens an encrypted PKCS#8 file in PEM. Files of other tools are read as well, if they use
    /// PBES2 and one of the key types.
    ///
    /// # Errors
    /// [`Error::WrongPassphrase`], [`Error::KeyNotEncrypted`], [`Error::KeyUnsupported`], [`Error::KeyDamaged`], [`Error::Io`].
    pub fn open(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let damaged = |reason: String| Error::KeyDamaged { path: path.into(), reason };
        let clear = decrypted_pkcs8(path, passphrase)?;
        let info = PrivateKeyInfoRef::from_der(clear.as_bytes())
            .map_err(|_| Error::WrongPassphrase { path: path.into() })?;
        if let Some(kind) = unknown_kind(&info) {
            let remedy =
                "name the key file of this CA; `emergency-crl` and `complete` know keys of more kinds";
            return Err(Error::KeyUnsupported { path: path.into(), reason: kind, remedy });
        }
        Self::with_public_parts(private_of(info).map_err(damaged)?).map_err(damaged)
    }

    /// The key in a PrivateKeyInfo in DER, which was decrypted elsewhere. It stays in memory.
    ///
    /// # Errors
    /// [`Error::Key`] for a kind of key that this CA does not have.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let unusable = |reason: String| Error::Key { what: "used", reason };
        let info = PrivateKeyInfoRef::from_der(der).map_err(|error| unusable(error.to_string()))?;
        Self::with_public_parts(private_of(info).map_err(unusable)?).map_err(unusable)
    }

    /// Writes the key as a new encrypted PKCS#8 file in PEM with mode 0600: PBES2 with
    /// PBKDF2-HMAC-SHA256 (600,000 rounds) and AES-256-CBC, which every current tool reads.
    ///
    /// # Errors
    /// [`Error::WouldOverwrite`], [`Error::Random`], [`Error::Key`], [`Error::Io`].
    pub fn save(&self, path: &Path, passphrase: &Passphrase) -> Result<()> {
        let pem = self.to_encrypted_pem(passphrase)?;
        Ok(durable::create(path, pem.as_bytes(), Access::Owner)?)
    }

    fn to_encrypted_pem(&self, passphrase: &Passphrase) -> Result<Zeroizing<String>> {
        let failed = |reason: String| Error::Key { what: "encrypted", reason };
        let clear = match &self.private {
            Private::P256(curve) => curve.key.to_pkcs8_der(),
            Private::P384(curve) => curve.key.to_pkcs8_der(),
            Private::Rsa(rsa) => rsa.to_pkcs8().map_err(pkcs8::Error::from),
        }
        .map_err(|error| failed(error.to_string()))?;
        let parameters =
            pbes2::Parameters::generate_pbkdf2(&mut SysRng).map_err(|error| failed(error.to_string()))?;
        PrivateKeyInfoRef::from_der(clear.as_bytes())
            .map_err(|error| failed(error.to_string()))?
            .encrypt_with_params(parameters, passphrase.as_bytes())
            .map_err(|error| failed(error.to_string()))?
            .to_pem(ENCRYPTED_KEY, der::pem::LineEnding::LF)
            .map_err(|error| failed(error.to_string()))
    }

    /// Which kind of key it is. An RSA key of another tool counts as the smallest kind that is at
    /// least as long, or as RSA-4096.
    pub fn kind(&self) -> KeyType {
        match &self.private {
            Private::P256(_) => KeyType::P256,
            Private::P384(_) => KeyType::P384,
            Private::Rsa(rsa) => match rsa.bits() {
                0..=3072 => KeyType::Rsa3072,
                _ => KeyType::Rsa4096,
            },
        }
    }

    /// The public half.
    pub fn public_key_info(&self) -> &SubjectPublicKeyInfoOwned {
        &self.public_info
    }

    pub(crate) fn algorithm(&self) -> &AlgorithmIdentifierOwned {
        &self.algorithm
    }

    /// Signs what a certificate or CRL carries as its signature.
    pub(crate) fn sign(&self, message: &[u8]) -> signature::Result<RawSignature> {
        let octets = match &self.private {
            Private::P256(curve) => curve.sign(message)?,
            Private::P384(curve) => curve.sign(message)?,
            Private::Rsa(rsa) => rsa.sign(message)?,
        };
        Ok(RawSignature(octets))
    }

    fn with_public_parts(private: Private) -> Result<Self, String> {
        let (document, algorithm) = match &private {
            Private::P256(Curve { key, .. }) => {
                (key.verifying_key().to_public_key_der(), key.signature_algorithm_identifier())
            }
            Private::P384(Curve { key, .. }) => {
                (key.verifying_key().to_public_key_der(), key.signature_algorithm_identifier())
            }
            Private::Rsa(rsa) => {
                let algorithm = AlgorithmIdentifierOwned {
                    oid: const_oid::db::rfc5912::SHA_256_WITH_RSA_ENCRYPTION,
                    parameters: Some(Any::null()),
                };
                (rsa.to_public_key_info().map_err(spki::Error::from), Ok(algorithm))
            }
        };
        let public_der = document.map_err(|error| error.to_string())?;
        Ok(Self {
            public_info: SubjectPublicKeyInfoOwned::from_der(public_der.as_bytes())
                .map_err(|error| error.to_string())?,
            public_der,
            algorithm: algorithm.map_err(|error| error.to_string())?,
            private,
        })
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CaKey").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// Decrypts an encrypted PKCS#8 file in PEM, of whatever kind its key is. What comes back is a PrivateKeyInfo in DER, and is
/// wiped when it is dropped.
///
/// # Errors
/// [`Error::WrongPassphrase`], [`Error::KeyNotEncrypted`], [`Error::WrongKind`] when it is something else, such as a
/// certificate; [`Error::KeyUnsupported`] for a kind of encryption that is not known; [`Error::KeyDamaged`], [`Error::Io`].
pub fn decrypted_pkcs8(path: &Path, passphrase: &Passphrase) -> Result<SecretDocument> {
    let content = Zeroizing::new(read::bounded(path, MAX_KEY_FILE)?);
    decrypted_pkcs8_in(path, &content, passphrase)
}

/// The same, of a file that was read already; `path` names it in errors.
///
/// # Errors
/// As [`decrypted_pkcs8`].
pub fn decrypted_pkcs8_in(path: &Path, content: &[u8], passphrase: &Passphrase) -> Result<SecretDocument> {
    let document = key_text::encrypted_keys(path, content)?.remove(0)?;
    decrypted(path, &affordable(path, &document)?, passphrase)
}

/// The keys of a file that a passphrase opens.
#[derive(Debug)]
pub struct DecryptedKeys {
    /// Each a PrivateKeyInfo in DER, in the order of the file; at least one.
    pub keys: Vec<SecretDocument>,
    /// Why the others do not open.
    pub left_out: Vec<String>,
}

/// Every key in a file, which may hold several; `path` names it in errors. A key that does not open keeps no other from being used.
///
/// # Errors
/// As [`decrypted_pkcs8`], when none opens: [`Error::WrongPassphrase`], if that is so of one of them. [`Error::KeyUnsupported`] when
/// there are too many, or they cost more together than one may; then none is decrypted.
pub fn decrypted_keys_in(path: &Path, content: &[u8], passphrase: &Passphrase) -> Result<DecryptedKeys> {
    let documents = key_text::encrypted_keys(path, content)?;
    let count = documents.len();
    if MOST_KEYS < count {
        let reason = format!("it has {count} encrypted keys; at most {MOST_KEYS} are accepted");
        return Err(key_text::too_costly(path, reason));
    }
    let mut sum = key_cost::Sum::default();
    for document in &documents {
        let Ok(document) = document else { continue };
        if let Ok(key) = affordable(path, document) {
            sum.add(&key.encryption_algorithm).map_err(|reason| key_text::too_costly(path, reason))?;
        }
    }
    let (mut keys, mut refused) = (Vec::new(), Vec::new());
    for document in documents {
        let opened = document.and_then(|document| decrypted(path, &affordable(path, &document)?, passphrase));
        match opened {
            Ok(clear) => keys.push(clear),
            Err(error) => refused.push(error),
        }
    }
    if keys.is_empty() {
        let place = refused.iter().position(|error| matches!(error, Error::WrongPassphrase { .. }));
        return Err(refused.swap_remove(place.unwrap_or(0)));
    }
    Ok(DecryptedKeys { keys, left_out: refused.into_iter().map(why_left_out).collect() })
}

/// Why a key is left out, without the name of its file.
fn why_left_out(error: Error) -> String {
    match error {
        Error::WrongPassphrase { .. } => "the passphrase does not open it".to_owned(),
        Error::KeyUnsupported { reason, .. } | Error::KeyDamaged { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// Reads the header of an EncryptedPrivateKeyInfo in DER, and refuses one that costs too much.
fn affordable<'d>(path: &Path, document: &'d [u8]) -> Result<EncryptedPrivateKeyInfoRef<'d>> {
    let damaged = |reason: &str| Error::KeyDamaged { path: path.into(), reason: reason.into() };
    let unknown = |oid| unknown_encryption(path, &format!("its encryption is of an unknown kind ({oid})"));
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document);
    let encrypted = encrypted.map_err(|error| match (scheme_of(document), error.kind()) {
        (Ok(scheme), _) if scheme != pbes2::PBES2_OID => unknown(scheme),
        (_, der::ErrorKind::OidUnknown { oid }) => unknown(oid),
        _ => damaged("the encryption header cannot be read"),
    })?;
    key_cost::check(&encrypted.encryption_algorithm).map_err(|refused| match refused {
        Refused::Costly(reason) => unknown_encryption(path, &reason),
        Refused::Impossible(reason) => damaged(reason),
    })?;
    Ok(encrypted)
}

/// Decrypts a key that is [`affordable`].
fn decrypted(
    path: &Path,
    encrypted: &EncryptedPrivateKeyInfoRef<'_>,
    passphrase: &Passphrase,
) -> Result<SecretDocument> {
    // A wrong passphrase shows as bad padding or, once in 256 times, as nonsense behind it.
    let wrong = || Error::WrongPassphrase { path: path.into() };
    let clear = match encrypted.decrypt(passphrase.as_bytes()) {
        Ok(clear) => clear,
        Err(pkcs8::Error::EncryptedPrivateKey(
            error @ (Unsupported::UnsupportedAlgorithm { .. } | Unsupported::NoPbes1CryptSupport),
        )) => return Err(unknown_encryption(path, &error.to_string())),
        Err(_) => return Err(wrong()),
    };
    PrivateKeyInfoRef::from_der(clear.as_bytes()).map_err(|_| wrong())?;
    Ok(clear)
}

/// The scheme by which an EncryptedPrivateKeyInfo (RFC 5958 3) is encrypted, also one that is not known.
fn scheme_of(document: &[u8]) -> der::Result<ObjectIdentifier> {
    let outer = AnyRef::from_der(document)?;
    let mut fields = SliceReader::new(outer.value())?;
    Ok(AlgorithmIdentifierRef::decode(&mut fields)?.oid)
}

/// What kind of key it is, a sentence, where this CA has no keys of it.
fn unknown_kind(info: &PrivateKeyInfoRef<'_>) -> Option<String> {
    use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1};
    match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
        (ID_EC_PUBLIC_KEY, Some(SECP_256_R_1 | SECP_384_R_1)) | (RSA_ENCRYPTION, _) => None,
        (ID_EC_PUBLIC_KEY, Some(curve)) => Some(format!("keys on the curve {curve} are not supported")),
        (other, _) => Some(format!("keys of the kind {other} are not supported")),
    }
}

fn p256_key(key: p256::ecdsa::SigningKey) -> Result<Private, String> {
    Curve::new(key, &ECDSA_P256_SHA256_ASN1_SIGNING).map(Private::P256)
}

fn p384_key(key: p384::ecdsa::SigningKey) -> Result<Private, String> {
    Curve::new(key, &ECDSA_P384_SHA384_ASN1_SIGNING).map(Private::P384)
}

fn private_of(info: PrivateKeyInfoRef<'_>) -> Result<Private, String> {
    use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1};
    let document = info.to_der().map(Zeroizing::new);
    let der = document.map_err(|error| error.to_string())?;
    let text = |error: pkcs8::Error| error.to_string();
    match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
        (ID_EC_PUBLIC_KEY, Some(SECP_256_R_1)) => {
            p256_key(p256::ecdsa::SigningKey::from_pkcs8_der(&der).map_err(text)?)
        }
        (ID_EC_PUBLIC_KEY, Some(SECP_384_R_1)) => {
            p384_key(p384::ecdsa::SigningKey::from_pkcs8_der(&der).map_err(text)?)
        }
        (RSA_ENCRYPTION, _) => Rsa::read(info.private_key.as_bytes()).map(Private::Rsa),
        _ => Err(unknown_kind(&info).unwrap_or_default()),
    }
}

/// A signature in the form its algorithm puts into the bit string.
#[derive(Clone)]
pub(crate) struct RawSignature(Vec<u8>);

impl RawSignature {
    pub(crate) fn to_bit_string(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}

impl SignatureBitStringEncoding for RawSignature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        self.to_bit_string()
    }
}

// What the builders of the library want from a signer.

impl Signer<RawSignature> for CaKey {
    fn try_sign(&self, message: &[u8]) -> signature::Result<RawSignature> {
        self.sign(message)
    }
}

impl DynSignatureAlgorithmIdentifier for CaKey {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.algorithm.clone())
    }
}

impl Keypair for CaKey {
    type VerifyingKey = EncodedPublicKey;

    fn verifying_key(&self) -> EncodedPublicKey {
        EncodedPublicKey(self.public_der.clone())
    }
}

/// A public key in DER.
#[derive(Clone)]
pub struct EncodedPublicKey(Document);

impl EncodePublicKey for EncodedPublicKey {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(self.0.clone())
    }
}

/// The key identifier of RFC 5280 4.2.1.2 (1): SHA-1 over the content of the bit string.
#[must_use]
pub fn key_identifier(info: &SubjectPublicKeyInfoOwned) -> Vec<u8> {
    sha1::Sha1::digest(info.subject_public_key.raw_bytes()).to_vec()
}
