//! What the CA does not grant, and why.

/// A request that was not granted.
#[derive(Debug)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// The number of its row, once it has one.
    pub request_id: Option<i64>,
}

/// Why a request was denied. The text goes into the column `DispositionMessage`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DenialReason {
    /// The requester has not shown to have the private key.
    #[error("its signature does not verify; it was changed after signing, or made with another key")]
    BadSignature,
    /// Signed in a way this CA does not check.
    #[error(
        "its signature algorithm {algorithm} is not supported; use ECDSA or RSA PKCS#1 v1.5 with SHA-256 or longer"
    )]
    UnsupportedSignature {
        /// Object identifier.
        algorithm: String,
    },
    /// A kind of key this CA does not certify.
    #[error("its key algorithm {algorithm} is not supported; use P-256, P-384 or RSA")]
    UnsupportedKey {
        /// Object identifier, or curve.
        algorithm: String,
    },
    /// Too short.
    #[error("its RSA key has {bits} bits; at least 2048 are needed")]
    WeakKey {
        /// Length of the modulus.
        bits: u32,
    },
    /// Not a key at all.
    #[error("its public key cannot be used: {reason}")]
    UnusableKey {
        /// What is wrong.
        reason: String,
    },
    /// Its RSA key and another one can be broken from each other.
    #[error(
        "its RSA key shares a prime with the key of {with}, so that each private key can be computed from the two public ones; make a new key on a machine with a sound random source, and replace the other one, too"
    )]
    SharedPrime {
        /// Whose key the other one is.
        with: String,
    },
    /// A certificate for the CA's own key.
    #[error("its key is the key of this CA")]
    KeyOfIssuer,
    /// It wants to be a CA, and the profile is for something else.
    #[error(
        "it asks for a CA certificate (CA:TRUE), which this profile does not make; use a profile for subordinate CAs"
    )]
    RequestsCa,
    /// Below this CA there may be no other.
    #[error("the certificate of this CA has path length 0, so it may not have subordinate CAs")]
    PathLength,
    /// The key cannot do what the profile is for.
    #[error("its kind of key can do none of the key usages of the profile")]
    KeyUsage,
    /// A name of a kind that the profile does not have.
    #[error(
        "it asks for the subject alternative name {name}, a kind that this profile does not allow; add the kind to subject_alternative_names of the profile if it should"
    )]
    NameKind {
        /// The name.
        name: String,
    },
    /// A wildcard where the profile has none.
    #[error(
        "it asks for the wildcard {name}, and this profile allows none; set wildcards = true in the profile if it should"
    )]
    Wildcard {
        /// The name.
        name: String,
    },
    /// More names than a certificate may have.
    #[error("it asks for {count} subject alternative names; at most {most} are possible")]
    TooManyNames {
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Whoever checks the certificate looks at the alternative names alone.
    #[error(
        "it has no subject alternative name, and this profile needs one: make the request with one (openssl req: -addext subjectAltName=DNS:www.example.com), or set alternative_name_required = false in the profile"
    )]
    NoAlternativeName,
    /// A type of attribute that the profile does not have.
    #[error(
        "its subject has the attribute {attribute}, which this profile does not allow; add it to subject_attributes of the profile if it should"
    )]
    AttributeKind {
        /// Name or object identifier.
        attribute: String,
    },
    /// An attribute that the subject cannot have in this form.
    #[error("the attribute {attribute} of its subject is not valid: {reason}")]
    BadAttribute {
        /// Name or object identifier.
        attribute: String,
        /// What is wrong.
        reason: String,
    },
    /// A common name that the profile takes for a host, and that is none.
    #[error(
        "its common name {name:?} is not a host name, as this profile wants: {reason}; leave the common name out, since the subject alternative names decide"
    )]
    NotAHost {
        /// The name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Several attributes in one part, where readers disagree about their order, or none.
    #[error("a part of its subject has {count} attributes; each part has to have one")]
    MultiValued {
        /// How many.
        count: usize,
    },
    /// A name that is not one.
    #[error("the name {name:?} is not valid: {reason}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The CA's own certificate restricts the names that it may certify.
    #[error(
        "it asks for the name {name}, which the name constraints of this CA's own certificate do not allow: whoever checks it would refuse the certificate"
    )]
    NameNotAllowed {
        /// The name.
        name: String,
    },
    /// Nothing says whose certificate it would be.
    #[error("it has neither a subject nor a subject alternative name")]
    NoName,
    /// A certificate in the CA's own name would be taken for the CA's.
    #[error("its subject is the name of this CA")]
    SubjectIsIssuer,
    /// An extension the decision depends on cannot be read.
    #[error("its extension {oid} cannot be decoded")]
    BadExtension {
        /// Object identifier.
        oid: String,
    },
}

impl DenialReason {
    /// The HRESULT in the column `StatusCode` (names of winerror.h).
    pub fn status_code(&self) -> u32 {
        match self {
            Self::BadSignature => 0x8009_0006, // NTE_BAD_SIGNATURE
            Self::UnsupportedSignature { .. } | Self::UnsupportedKey { .. } => 0x8009_0008, // NTE_BAD_ALGID
            Self::WeakKey { .. } => 0x8009_4811, // CERTSRV_E_KEY_LENGTH
            Self::UnusableKey { .. } | Self::SharedPrime { .. } | Self::KeyOfIssuer => 0x8009_0015, // NTE_BAD_PUBLIC_KEY
            Self::RequestsCa | Self::PathLength => 0x8009_6019, // TRUST_E_BASIC_CONSTRAINTS
            Self::KeyUsage => 0x800B_0110,                      // CERT_E_WRONG_USAGE
            Self::NameKind { .. }
            | Self::Wildcard { .. }
            | Self::TooManyNames { .. }
            | Self::NoAlternativeName
            | Self::AttributeKind { .. }
            | Self::BadAttribute { .. }
            | Self::NotAHost { .. }
            | Self::MultiValued { .. }
            | Self::BadName { .. }
            | Self::NoName
            | Self::SubjectIsIssuer => 0x8009_4001, // CERTSRV_E_BAD_REQUESTSUBJECT
            Self::NameNotAllowed { .. } => 0x800B_0114,         // CERT_E_INVALID_NAME
            Self::BadExtension { .. } => 0x8007_000D,           // ERROR_INVALID_DATA
        }
    }
}
