//! The CA's own certificate: made, imported, checked, recorded.

use certadm_rules::FileTime;
use certadm_rules::pem;
use certadm_store::Folder;
use der::Decode;
use der::asn1::OctetString;
use rusqlite::{Connection, OptionalExtension};
use x509_cert::certificate::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages, NameConstraints, SubjectKeyIdentifier};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;

use crate::dates;
use crate::error::{Error, Result};
use crate::issue::{
    CertificateFacts, NameRow, RequestFacts, insert_certificate, insert_extension, insert_request,
    sign_certificate,
};
use crate::keys::{CaKey, key_identifier};
use crate::policy::Origin;
use crate::public_key::{self, PublicKey};
use crate::rows::Disposition;
use crate::serial::Serial;
use certadm_files::read;

/// Room for a chain of certificates.
pub(crate) const MAX_CERTIFICATE_FILE: u64 = 1024 * 1024;

/// The certificate of this CA, fit to issue others.
#[derive(Clone)]
pub(crate) struct OwnCertificate {
    certificate: Certificate,
    pub(crate) der: Vec<u8>,
    pub(crate) name: Name,
    pub(crate) serial: Serial,
    pub(crate) key_identifier: Vec<u8>,
    pub(crate) path_length: Option<u8>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) not_before: FileTime,
    pub(crate) not_after: FileTime,
}

/// The CA's certificate as everybody may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicCertificate {
    /// The certificate.
    pub der: Vec<u8>,
    /// Whether the CA issued it itself: a root.
    pub self_issued: bool,
}

/// The CA's own certificate in `ca.crt` of its folder, without a look at the key: of a chain in any order the one that issued none of
/// the others, and of those with its key the newest.
///
/// # Errors
/// [`Error::Io`], [`Error::CertificateDamaged`].
pub fn certificate_in(folder: &Folder) -> Result<PublicCertificate> {
    let path = folder.certificate_path();
    own_certificate_in(&read::bounded(&path, MAX_CERTIFICATE_FILE)?, &path.display().to_string())
}

/// As [`certificate_in`], in the content of such a file, wherever it lies; `what` names it in errors.
///
/// # Errors
/// [`Error::CertificateDamaged`].
pub fn own_certificate_in(content: &[u8], what: &str) -> Result<PublicCertificate> {
    let damaged = |reason: String| Error::CertificateDamaged { what: what.to_owned(), reason };
    let mut chain = Vec::new();
    for der in certificates_of(content).map_err(damaged)? {
        chain.push((Certificate::from_der(&der).map_err(|error| damaged(error.to_string()))?, der));
    }
    let (certificate, der) =
        own_among(&chain).ok_or_else(|| damaged("it holds no certificate".to_owned()))?;
    let content = certificate.tbs_certificate();
    let self_issued = content.issuer() == content.subject();
    Ok(PublicCertificate { der: der.clone(), self_issued })
}

fn own_among(chain: &[(Certificate, Vec<u8>)]) -> Option<&(Certificate, Vec<u8>)> {
    let content = |(certificate, _): &'_ (Certificate, Vec<u8>)| certificate.tbs_certificate().clone();
    let contents: Vec<_> = chain.iter().map(content).collect();
    let has_issued = |one: usize| {
        contents
            .iter()
            .any(|other| other.issuer() != other.subject() && other.issuer() == contents[one].subject())
    };
    let mut own = (0..chain.len()).find(|one| !has_issued(*one)).unwrap_or(0);
    let of_key = contents.get(own)?.subject_public_key_info();
    for (other, content) in contents.iter().enumerate() {
        let begins = |at: usize| dates::from_x509(contents[at].validity().not_before);
        if content.subject_public_key_info() == of_key && begins(own) < begins(other) {
            own = other;
        }
    }
    chain.get(own)
}

impl OwnCertificate {
    /// Makes a self-signed certificate.
    pub(crate) fn self_signed(key: &CaKey, name: &Name, validity: (FileTime, FileTime)) -> Result<Self> {
        let encoding = Error::encoding("CA certificate");
        let info = key.public_key_info();
        let identifier = OctetString::new(key_identifier(info)).map_err(&encoding)?;
        let mut extensions = ca_extensions(name)?;
        extensions.push(SubjectKeyIdentifier(identifier).to_extension(name, &[]).map_err(&encoding)?);
        let serial = Serial::new(certadm_store::now()).map_err(Error::Random)?;
        let der = sign_certificate(key, name, name, info.clone(), &serial, validity, extensions)?;
        Self::parse(&der, key, "the new CA certificate")
    }

    /// Finds, among the certificates of `input` (PEM or DER), the newest one that belongs to `key`, and
    /// checks that it is a CA's. `what` names the input in errors.
    ///
    /// # Errors
    /// [`Error::CertificateDamaged`], [`Error::KeyMismatch`], [`Error::NotACaCertificate`].
    pub(crate) fn parse(input: &[u8], key: &CaKey, what: &str) -> Result<Self> {
        let damaged = |reason: String| Error::CertificateDamaged { what: what.into(), reason };
        let mut newest: Option<(FileTime, Certificate, Vec<u8>)> = None;
        for der in certificates_of(input).map_err(damaged)? {
            let certificate = Certificate::from_der(&der).map_err(|error| damaged(error.to_string()))?;
            let content = certificate.tbs_certificate();
            let begins = dates::from_x509(content.validity().not_before);
            // A certificate that was renewed with its key may stand beside the one before it.
            let is_newer = newest.as_ref().is_none_or(|(before, ..)| *before < begins);
            if content.subject_public_key_info() == key.public_key_info() && is_newer {
                newest = Some((begins, certificate, der));
            }
        }
        let (_, certificate, der) = newest.ok_or_else(|| Error::KeyMismatch { what: what.into() })?;
        Self::checked(certificate, der, what)
    }

    fn checked(certificate: Certificate, der: Vec<u8>, what: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::NotACaCertificate { what: what.into(), reason: reason.into() };
        let damaged =
            |error: der::Error| Error::CertificateDamaged { what: what.into(), reason: error.to_string() };
        let content = certificate.tbs_certificate();
        let constraints = content
            .get_extension::<BasicConstraints>()
            .map_err(damaged)?
            .map(|(_, constraints)| constraints)
            .filter(|constraints| constraints.ca)
            .ok_or_else(|| refuse("its basic constraints do not say CA:TRUE"))?;
        if let Some((_, usage)) = content.get_extension::<KeyUsage>().map_err(damaged)?
            && !(usage.key_cert_sign() && usage.crl_sign())
        {
            return Err(refuse("its key usage lacks keyCertSign or cRLSign, and this CA signs both"));
        }
        let mut kinds: Vec<_> =
            content.extensions().into_iter().flatten().map(|extension| extension.extn_id).collect();
        kinds.sort_unstable();
        if kinds.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(refuse("it has an extension twice"));
        }
        if content.subject().is_empty() {
            return Err(refuse("it has no subject"));
        }
        let identifier = content.get_extension::<SubjectKeyIdentifier>().map_err(damaged)?.map_or_else(
            || key_identifier(content.subject_public_key_info()),
            |(_, identifier)| identifier.0.as_bytes().to_vec(),
        );
        let names = content.get_extension::<NameConstraints>().map_err(damaged)?.map(|(_, names)| names);
        let validity = content.validity();
        Ok(Self {
            name: content.subject().clone(),
            serial: Serial::from(content.serial_number()),
            key_identifier: identifier,
            path_length: constraints.path_len_constraint,
            name_constraints: names,
            not_before: dates::from_x509(validity.not_before),
            not_after: dates::from_x509(validity.not_after),
            certificate,
            der,
        })
    }

    /// Records the certificate as a row with disposition 15. A row that is there already is left
    /// alone, so that an interrupted import can be repeated. Only where it has an older certificate of the same key and
    /// number it gets this one: `openssl x509 -signkey` renews a root so, and a number has one row.
    ///
    /// # Errors
    /// [`Error::SerialTaken`] when the number is that of a certificate that was issued; nothing has been changed then.
    pub(crate) fn record(
        &self,
        connection: &Connection,
        raw_request: Option<&[u8]>,
        now: FileTime,
    ) -> Result<()> {
        let present = connection
            .prepare_cached(
                "SELECT RequestID, Disposition, RawCertificate FROM Certificates JOIN Requests USING (RequestID) \
                 WHERE SerialNumber = ?1",
            )?
            .query_row([&self.serial], |row| {
                let disposition: Option<i64> = row.get(1)?;
                let recorded: Option<Vec<u8>> = row.get(2)?;
                Ok((row.get(0)?, disposition, recorded.unwrap_or_default()))
            })
            .optional()?;
        let own = Some(i64::from(Disposition::CA_CERTIFICATE.0));
        match present {
            None => {
                let request_id = self.insert_request(connection, raw_request, now)?;
                self.insert(connection, request_id)
            }
            Some((request_id, disposition, recorded)) if disposition == own => {
                if !self.renews(&recorded) {
                    return Ok(());
                }
                for table in ["CertificateExtensions", "Certificates"] {
                    connection.execute(&format!("DELETE FROM {table} WHERE RequestID = ?1"), [request_id])?;
                }
                self.insert(connection, request_id)
            }
            Some(_) => Err(Error::SerialTaken { serial: self.serial.clone() }),
        }
    }

    /// Whether it is a newer certificate of the same key than this one in DER.
    fn renews(&self, recorded: &[u8]) -> bool {
        let content = self.certificate.tbs_certificate();
        recorded != self.der
            && Certificate::from_der(recorded).is_ok_and(|recorded| {
                let recorded = recorded.tbs_certificate();
                recorded.subject_public_key_info() == content.subject_public_key_info()
                    && dates::from_x509(recorded.validity().not_before) < self.not_before
            })
    }

    fn insert_request(
        &self,
        connection: &Connection,
        raw_request: Option<&[u8]>,
        now: FileTime,
    ) -> Result<i64> {
        insert_request(
            connection,
            &RequestFacts {
                requester: "",
                submitted: now,
                status_code: 0,
                disposition: Disposition::CA_CERTIFICATE,
                message: "CA certificate",
                raw_request,
                attributes: Vec::new(),
            },
            &NameRow::of(&self.name).map_err(Error::encoding("CA certificate"))?,
        )
    }

    fn insert(&self, connection: &Connection, request_id: i64) -> Result<()> {
        let encoding = Error::encoding("CA certificate");
        let content = self.certificate.tbs_certificate();
        let info = content.subject_public_key_info();
        let key_length =
            PublicKey::from_info(info).map_err(|reason| Error::encoding("CA certificate")(reason))?.length();
        let (algorithm, parameters, key) = public_key::columns(info).map_err(&encoding)?;
        let name = NameRow::of(&self.name).map_err(&encoding)?;
        insert_certificate(
            connection,
            request_id,
            &CertificateFacts {
                not_before: self.not_before,
                not_after: self.not_after,
                key_length,
                keep_expired: false,
                profile: None,
                serial: &self.serial,
                key_identifier: &self.key_identifier,
                algorithm,
                parameters,
                key,
                der: &self.der,
                upn: None,
            },
            &name,
        )?;
        for extension in content.extensions().into_iter().flatten() {
            insert_extension(connection, request_id, Origin::CaCertificate, 0, extension)?;
        }
        Ok(())
    }
}

/// Records the certificate in a CA's folder in its database, which knew another key until then: what
/// a restore does for a CA whose key was renewed after the set was taken. A row that is there already is left alone.
///
/// # Errors
/// [`Error::CertificateDamaged`], [`Error::NotACaCertificate`], [`Error::Store`].
pub fn record_certificate_of(folder: &Folder, connection: &Connection, now: FileTime) -> Result<()> {
    let what = folder.certificate_path().display().to_string();
    let der = certificate_in(folder)?.der;
    let certificate = Certificate::from_der(&der)
        .map_err(|error| Error::CertificateDamaged { what: what.clone(), reason: error.to_string() })?;
    OwnCertificate::checked(certificate, der, &what)?.record(connection, None, now)
}

/// The PEM text of `ca.crt` for an imported `own` certificate: it first, then what came with it, which `what` names in errors.
pub(crate) fn chain_text(own: &OwnCertificate, input: &[u8], what: &str) -> Result<String> {
    let mut text = pem::encode("CERTIFICATE", &own.der);
    let mut written = vec![own.der.clone()];
    add_certificates(&mut text, &mut written, input, what)?;
    Ok(text)
}

/// As [`chain_text`], with what was in `ca.crt` before behind it: that of a renewed certificate.
pub(crate) fn renewed_text(
    own: &OwnCertificate,
    (input, what): (&[u8], &str),
    (before, before_what): (&[u8], &str),
) -> Result<String> {
    let mut text = pem::encode("CERTIFICATE", &own.der);
    let mut written = vec![own.der.clone()];
    add_certificates(&mut text, &mut written, input, what)?;
    add_certificates(&mut text, &mut written, before, before_what)?;
    Ok(text)
}

fn add_certificates(text: &mut String, written: &mut Vec<Vec<u8>>, input: &[u8], what: &str) -> Result<()> {
    let damaged = |reason: String| Error::CertificateDamaged { what: what.into(), reason };
    for der in certificates_of(input).map_err(damaged)? {
        if written.contains(&der) {
            continue;
        }
        // The rest is handed on as it is, but not if it is no certificate.
        Certificate::from_der(&der).map_err(|error| damaged(error.to_string()))?;
        text.push_str(&pem::encode("CERTIFICATE", &der));
        written.push(der);
    }
    Ok(())
}

/// Basic constraints and key usage of a CA, for its own certificate and for the request to a parent.
pub(crate) fn ca_extensions(name: &Name) -> Result<Vec<Extension>> {
    let encoding = Error::encoding("CA certificate");
    let constraints = BasicConstraints { ca: true, path_len_constraint: None };
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    Ok(vec![
        constraints.to_extension(name, &[]).map_err(&encoding)?,
        usage.to_extension(name, &[]).map_err(&encoding)?,
    ])
}

fn certificates_of(input: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if !pem::looks_like_pem(input) {
        return Ok(vec![input.to_vec()]);
    }
    let blocks = pem::blocks(input)?.into_iter();
    let certificates: Vec<Vec<u8>> = blocks
        .filter(|block| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE"))
        .map(|block| block.der)
        .collect();
    if certificates.is_empty() {
        return Err("it has no block CERTIFICATE".into());
    }
    Ok(certificates)
}
