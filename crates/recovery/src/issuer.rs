//! The keys of a CA, as its certificates show them: which certificate is the newest of a key, and who signed what
//! (recovery.md 4.2, rules 1 and 2).

use std::path::{Path, PathBuf};

use certadm_ca::{common_name_of, dates};
use certadm_rules::{FileTime, hex, names};

use crate::error::{Error, Result};
use crate::records::{CaCertificate, Maker, Records, Signer};
use crate::signature::{Algorithm, PrivateKey, PublicKey};
use crate::x509::{CertificateRef, CrlRef, key_identifier_in, oid};

/// A key of the CA, with what its CRLs take from its newest certificate.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its number; 0 for the CA's first key.
    pub(crate) index: u32,
    /// The subject, in DER, as the certificate has it.
    pub(crate) subject: Vec<u8>,
    /// The key identifiers of all certificates of this key; that of the newest is first.
    pub(crate) identifiers: Vec<Vec<u8>>,
    /// Identifiers that certificates name, which none of the CA's own certificates has, and which stand for this key all the same:
    /// it signed a certificate that names them.
    pub(crate) signs_as: Vec<Vec<u8>>,
    /// The indexes of the CA's certificates of this key, as serial numbers have them; none where they say nothing of that.
    pub(crate) certificates: Vec<u32>,
    /// The CA version extension of the newest certificate, where it has one.
    pub(crate) version: Option<u32>,
    pub(crate) key: PublicKey,
    /// When the newest certificate begins and ends; unknown without a database.
    pub(crate) not_before: Option<FileTime>,
    pub(crate) not_after: Option<FileTime>,
    /// How the newest certificate was signed: a hint where no CRL is there.
    pub(crate) algorithm: Option<Vec<u8>>,
}

impl Issuer {
    /// The number of the key: 0 for the first one that the CA had.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// When its newest certificate ends; unknown without a database.
    #[must_use]
    pub fn end(&self) -> Option<FileTime> {
        self.not_after
    }

    /// The key identifier, in hexadecimal digits.
    #[must_use]
    pub fn key_identifier(&self) -> String {
        self.identifiers.first().map(|identifier| hex::encode(identifier)).unwrap_or_default()
    }

    /// The common name of the CA.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        common_name_of(&self.subject).ok().flatten()
    }

    /// The name of its CRL files as Windows makes it, without an ending: `NAME`, `NAME(1)` for the next key.
    pub(crate) fn file_name(&self) -> String {
        let name = self.common_name().map(|name| names::sanitize(&name)).unwrap_or_default();
        let is_usable = !name.is_empty() && !name.starts_with('.');
        let name = if is_usable && names::is_safe_component(&format!("{name}(1)+.crl")) {
            name
        } else {
            "ca".to_owned()
        };
        match self.index {
            0 => name,
            index => format!("{name}({index})"),
        }
    }

    /// The issuer that the CRL itself shows, where there is no database.
    pub(crate) fn of_crl(crl: &CrlRef<'_>, key: &PublicKey, name: &str) -> Result<Self> {
        let unusable = |reason: &str| Error::Published { name: name.to_owned(), reason: reason.to_owned() };
        let identifier = match crl.content.value(oid::AUTHORITY_KEY) {
            Some(value) => key_identifier_in(value).ok().flatten(),
            None => None,
        };
        let identifier = match identifier {
            Some(identifier) => identifier.to_vec(),
            None => key.identifier().map_err(|_| unusable("its key has no identifier"))?,
        };
        let version = crl.content.value(oid::CA_VERSION).map(der::Decode::from_der).transpose();
        let version: Option<u32> = version.map_err(|_| unusable("its CA version is malformed"))?;
        Ok(Self {
            index: version.map_or(0, |version| version >> 16),
            subject: der::Encode::to_der(&crl.content.issuer)?,
            identifiers: vec![identifier],
            signs_as: Vec::new(),
            certificates: Vec::new(),
            version,
            key: key.clone(),
            not_before: None,
            not_after: None,
            algorithm: None,
        })
    }
}

/// All keys of a CA, by their index.
#[derive(Clone, Debug)]
pub struct Issuers(pub(crate) Vec<Issuer>);

impl Issuers {
    /// The keys that the CA's own certificates in the database show.
    ///
    /// # Errors
    /// [`Error::NoCaCertificate`], [`Error::CaCertificate`].
    pub fn of(records: &Records) -> Result<Self> {
        let mut issuers = Self::of_found(&records.ca_certificates)?;
        issuers.recognise(records);
        Ok(issuers)
    }

    /// An identifier of a key is a name that the CA chose. Where none of its certificates has it (the one of a renewal is missing, or
    /// is damaged), the signature of a certificate that names it shows the key.
    fn recognise(&mut self, records: &Records) {
        for (identifier, sample) in records.key_identifiers.iter().zip(&records.samples) {
            if self.0.iter().any(|issuer| issuer.identifiers.contains(identifier)) {
                continue;
            }
            if let Some(place) = self.place_by_signature(sample) {
                self.0[place].signs_as.push(identifier.clone());
            }
        }
    }

    fn of_found(certificates: &[CaCertificate]) -> Result<Self> {
        let mut found = Vec::new();
        for certificate in certificates {
            found.push(parse(certificate)?);
        }
        // The newest certificate of a key first: its identifier, subject and version are what the CRL says.
        found.sort_by_key(|issuer| {
            std::cmp::Reverse((issuer.version.unwrap_or_default() & 0xffff, issuer.not_before))
        });
        let mut issuers: Vec<Issuer> = Vec::new();
        for issuer in found {
            match issuers.iter_mut().find(|known| known.key == issuer.key) {
                Some(known) => {
                    known.identifiers.extend(issuer.identifiers);
                    known.certificates.extend(issuer.certificates);
                }
                None => issuers.push(issuer),
            }
        }
        if issuers.is_empty() {
            return Err(Error::NoCaCertificate);
        }
        issuers.sort_by_key(|issuer| (issuer.index, issuer.not_before));
        // Certificates that another CA gave say nothing of the key's number; then the order of time is it.
        let distinct = issuers.windows(2).all(|pair| pair[0].index < pair[1].index);
        if !distinct {
            issuers.sort_by_key(|issuer| issuer.not_before);
            for (place, issuer) in issuers.iter_mut().enumerate() {
                issuer.index = u32::try_from(place).unwrap_or_default();
                issuer.certificates.clear();
            }
        }
        Ok(Self(issuers))
    }

    /// The keys that these certificates show, in DER, where there is no database.
    ///
    /// # Errors
    /// As [`Issuers::of`].
    pub fn of_certificates(certificates: &[Vec<u8>]) -> Result<Self> {
        let found = certificates.iter().map(|der| CaCertificate { request_id: 0, der: der.clone() });
        Self::of_found(&found.collect::<Vec<_>>())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.0.iter()
    }

    /// The place of the key of the CA certificate with this index.
    pub(crate) fn place_of_certificate(&self, index: u32) -> Option<usize> {
        self.0.iter().position(|issuer| issuer.certificates.contains(&index))
    }

    /// The highest number that the table CRLs has of the CRLs of a key, of base or of delta CRLs. A CA that publishes delta CRLs
    /// every day and a base CRL every week has base CRLs with lower numbers, and each key has CRLs of its own.
    ///
    /// Our own CA has one sequence of numbers, and its rows say nothing of keys: the newest CRL tells for which key they go on. Of an
    /// earlier key nothing is known then.
    #[must_use]
    pub fn known_number(&self, place: usize, is_delta: bool, records: &Records) -> Option<i64> {
        let issuer = self.0.get(place)?;
        let of_kind = || records.crls.iter().filter(|row| (row.min_base != 0) == is_delta);
        if records.maker() == Maker::Certadm {
            let newest = of_kind().filter(|row| row.name_id == 0).max_by_key(|row| row.number)?;
            let crl = newest.raw.as_deref().and_then(|der| CrlRef::parse(der).ok());
            let is_own = crl.is_none_or(|crl| self.is_of(&crl, &issuer.identifiers));
            return is_own.then_some(newest.number);
        }
        let index = i64::from(issuer.index);
        of_kind().filter(|row| row.name_id >> 16 == index).map(|row| row.number).max()
    }

    /// Whether a CRL is of the key with these identifiers. One that does not say is of the only key there is.
    pub(crate) fn is_of(&self, crl: &CrlRef<'_>, identifiers: &[Vec<u8>]) -> bool {
        let value = crl.content.value(oid::AUTHORITY_KEY);
        match value.and_then(|value| key_identifier_in(value).ok().flatten()) {
            Some(identifier) => identifiers.iter().any(|own| own == identifier),
            None => self.0.len() == 1,
        }
    }

    /// The place of the key that signed a certificate.
    pub(crate) fn place_of(&self, signer: &Signer, records: &Records) -> Option<usize> {
        match signer {
            Signer::Named(place) => {
                let identifier = records.key_identifiers.get(*place)?;
                let position = |names: fn(&Issuer) -> &[Vec<u8>]| {
                    self.0.iter().position(|issuer| names(issuer).contains(identifier))
                };
                position(|issuer| &issuer.identifiers).or_else(|| position(|issuer| &issuer.signs_as))
            }
            Signer::Unnamed(der) => self.place_by_signature(der),
        }
    }

    fn place_by_signature(&self, der: &[u8]) -> Option<usize> {
        let certificate = CertificateRef::parse(der).ok()?;
        let algorithm = Algorithm::from_der(certificate.algorithm).ok()?;
        self.0.iter().position(|issuer| {
            issuer.subject == certificate.issuer
                && issuer.key.verifies(&algorithm, certificate.signed, certificate.signature)
        })
    }

    /// Subject and key identifier of each, for messages.
    pub(crate) fn describe(&self) -> String {
        let one = |issuer: &Issuer| {
            format!(
                "{} (key {}, key id {})",
                issuer.common_name().unwrap_or_else(|| "a CA without a common name".to_owned()),
                issuer.index,
                issuer.key_identifier()
            )
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// The place of a key among them.
    ///
    /// # Errors
    /// [`Error::KeyOfAnotherCa`]; `name` names the key there.
    pub fn place_of_key(&self, key: &PublicKey, name: &str) -> Result<usize> {
        self.0.iter().position(|issuer| issuer.key == *key).ok_or_else(|| Error::KeyOfAnotherCa {
            key: name.to_owned(),
            identifier: key.identifier().map(|identifier| hex::encode(&identifier)).unwrap_or_default(),
            certificates: self.describe(),
        })
    }

    /// Whether a key is one of the CA's.
    #[must_use]
    pub fn has_key(&self, key: &PublicKey) -> bool {
        self.0.iter().any(|issuer| issuer.key == *key)
    }

    /// Whether a key is none of the CA's and stands in a file with one that is: such a file is no file of another CA, and its further
    /// keys are of no use.
    #[must_use]
    pub fn is_beside_own_key(&self, keys: &[(PathBuf, PrivateKey)], path: &Path, key: &PublicKey) -> bool {
        !self.has_key(key)
            && keys.iter().any(|(other, beside)| other == path && self.has_key(beside.public_key()))
    }
}

fn parse(found: &CaCertificate) -> Result<Issuer> {
    let unusable = |reason: String| Error::CaCertificate { request_id: found.request_id, reason };
    let malformed = |error: der::Error| unusable(error.to_string());
    let certificate = CertificateRef::parse(&found.der).map_err(malformed)?;
    // An earlier key of another kind takes nothing from the others.
    let key = PublicKey::of_any_kind(certificate.public_key).map_err(unusable)?;
    let identifier = match certificate.subject_key().map_err(malformed)? {
        Some(identifier) => identifier.to_vec(),
        None => key.identifier().map_err(malformed)?,
    };
    let version = certificate.ca_version().map_err(malformed)?;
    Ok(Issuer {
        index: version.map_or(0, |version| version >> 16),
        subject: certificate.subject.to_vec(),
        identifiers: vec![identifier],
        signs_as: Vec::new(),
        certificates: vec![version.unwrap_or_default() & 0xffff],
        version,
        key,
        not_before: Some(dates::whole_seconds(certificate.not_before)),
        not_after: Some(certificate.not_after),
        algorithm: Some(certificate.algorithm.to_vec()),
    })
}
