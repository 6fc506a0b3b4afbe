//! PKCS#10 certificate requests, read strictly and without trust.

use certadm_rules::pem;
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::asn1::{Any, AnyRef, BitString, BmpString};
use der::{Decode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::request::ExtensionReq;

use crate::denial::DenialReason;
use crate::error::{Error, Result};
use crate::name::text_of;
use crate::public_key::PublicKey;
use crate::recognised::Recognised;

/// A PKCS#10 request (RFC 2986) that has been taken apart, but not yet believed: its signature
/// and its wishes are judged when a certificate is prepared from it.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    signed: std::ops::Range<usize>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
    pub(crate) subject: Name,
    pub(crate) public_key_info: SubjectPublicKeyInfoOwned,
    pub(crate) extensions: Extensions,
    pub(crate) os_version: Option<String>,
    pub(crate) csp: Option<String>,
}

/// The size of the column `RawRequest` in a Windows CA (spec/ese.md section 12).
const MAX_REQUEST: usize = 64 * 1024;
/// PEM is larger by a third, and explanatory text may stand before it.
const MAX_INPUT: usize = 4 * MAX_REQUEST;
/// The size of the column `RawName`.
const MAX_NAME: usize = 4096;
const MAX_ATTRIBUTES: usize = 64;
const MAX_EXTENSIONS: usize = 64;

/// szOID_CERT_EXTENSIONS: what older Windows tools use in place of extensionRequest.
const MS_CERT_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.14");
/// szOID_OS_VERSION.
const MS_OS_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.13.2.3");
/// szOID_ENROLLMENT_CSP_PROVIDER.
const MS_CSP_PROVIDER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.13.2.2");

impl Request {
    /// Reads a request in DER or PEM (`CERTIFICATE REQUEST` or `NEW CERTIFICATE REQUEST`).
    /// Requests of Windows are read as well: attributes in any order, extensions under
    /// 1.2.840.113549.1.9.14 or 1.3.6.1.4.1.311.2.1.14.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is something else, such as a certificate or a key; [`Error::BadRequest`].
    pub fn parse(input: &[u8]) -> Result<Self> {
        Self::parse_input(input).map_err(|reason| {
            Error::of_wrong_kind("the file", input, Recognised::Request)
                .unwrap_or(Error::BadRequest { reason })
        })
    }

    fn parse_input(input: &[u8]) -> Result<Self, String> {
        if MAX_INPUT < input.len() {
            return Err("it is larger than 256 KiB".into());
        }
        if !pem::looks_like_pem(input) {
            return Self::from_der(input.to_vec());
        }
        let mut requests = pem::blocks(input)?.into_iter().filter(|block| {
            matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST")
        });
        let Some(first) = requests.next() else {
            return Err("the PEM text has no block CERTIFICATE REQUEST".into());
        };
        if requests.next().is_some() {
            return Err("the PEM text has several requests; give one a file".into());
        }
        Self::from_der(first.der)
    }

    fn from_der(der: Vec<u8>) -> Result<Self, String> {
        if MAX_REQUEST < der.len() {
            return Err("it is larger than 64 KiB".into());
        }
        let text = |error: der::Error| error.to_string();
        let outer = Outer::from_der(&der).map_err(text)?;
        // Signatures are over bytes, and so the bytes as they came are kept.
        let mut reader = SliceReader::new(&der).map_err(text)?;
        let (start, length) = reader
            .sequence(|inner| {
                let start = inner.offset();
                let bytes = inner.tlv_bytes()?;
                let found = (usize::try_from(start)?, bytes.len());
                inner.drain(inner.remaining_len())?;
                Ok::<_, der::Error>(found)
            })
            .map_err(text)?;
        let info = Info::read(outer.info)?;
        let wishes = Wishes::read(info.attributes)?;
        Ok(Self {
            signed: start..start + length,
            algorithm: outer.algorithm,
            signature: outer.signature,
            subject: info.subject,
            public_key_info: info.public_key_info,
            extensions: wishes.extensions,
            os_version: wishes.os_version,
            csp: wishes.csp,
            der,
        })
    }

    /// The request as it came, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject as RFC 4514 text, most specific part first.
    pub fn subject(&self) -> String {
        self.subject.to_string()
    }

    /// The one extension of this kind, decoded.
    ///
    /// # Errors
    /// [`DenialReason::BadExtension`] when it cannot be decoded. (That none occurs twice has been
    /// checked already.)
    pub(crate) fn extension<T>(&self) -> Result<Option<T>, DenialReason>
    where
        T: for<'a> Decode<'a> + AssociatedOid,
    {
        self.extensions
            .iter()
            .find(|extension| extension.extn_id == T::OID)
            .map(|extension| T::from_der(extension.extn_value.as_bytes()))
            .transpose()
            .map_err(|_| DenialReason::BadExtension { oid: T::OID.to_string() })
    }

    /// Checks that the requester has the private key.
    ///
    /// # Errors
    /// The reason to deny the request.
    pub(crate) fn verify(&self, key: &PublicKey) -> Result<(), DenialReason> {
        key.verify(&self.algorithm, &self.der[self.signed.clone()], &self.signature)
    }
}

/// RFC 2986 4.2, with the signed part left as it is.
#[derive(Sequence)]
struct Outer<'a> {
    info: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// RFC 2986 4.1, with the attributes left as they are. They are not read with the library's own
/// type, since that sorts them, and the time for that grows with the square of their number.
struct Info<'a> {
    subject: Name,
    public_key_info: SubjectPublicKeyInfoOwned,
    attributes: Option<AnyRef<'a>>,
}

impl<'a> Info<'a> {
    fn read(info: AnyRef<'a>) -> Result<Self, String> {
        let text = |error: der::Error| error.to_string();
        if info.tag() != Tag::Sequence {
            return Err("its first part is not a sequence".into());
        }
        let mut reader = SliceReader::new(info.value()).map_err(text)?;
        let version: u8 = reader.decode().map_err(text)?;
        if version != 0 {
            return Err(format!("its version is {version}, not 0"));
        }
        let raw_subject = reader.tlv_bytes().map_err(text)?;
        if MAX_NAME < raw_subject.len() {
            return Err("its subject is larger than 4 KiB".into());
        }
        let subject = Name::from_der(raw_subject).map_err(text)?;
        let public_key_info = reader.decode().map_err(text)?;
        // RFC 2986 asks for the attributes even when there are none; some tools leave them out.
        let attributes = if reader.is_finished() {
            None
        } else {
            let any: AnyRef<'a> = reader.decode().map_err(text)?;
            let expected = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
            if any.tag() != expected {
                return Err("what follows its public key are not attributes".into());
            }
            Some(any)
        };
        reader.finish().map_err(text)?;
        Ok(Self { subject, public_key_info, attributes })
    }
}

/// What the attributes ask for.
#[derive(Default)]
struct Wishes {
    extensions: Extensions,
    os_version: Option<String>,
    csp: Option<String>,
}

#[derive(Sequence)]
struct RawAttribute<'a> {
    oid: ObjectIdentifier,
    values: AnyRef<'a>,
}

/// The value of szOID_ENROLLMENT_CSP_PROVIDER.
#[derive(Sequence)]
struct CspProvider {
    key_spec: i32,
    name: BmpString,
    signature: BitString,
}

impl Wishes {
    fn read(attributes: Option<AnyRef<'_>>) -> Result<Self, String> {
        let text = |error: der::Error| error.to_string();
        let mut wishes = Self::default();
        let Some(attributes) = attributes else {
            return Ok(wishes);
        };
        let mut reader = SliceReader::new(attributes.value()).map_err(text)?;
        let mut count = 0;
        while !reader.is_finished() {
            count += 1;
            if MAX_ATTRIBUTES < count {
                return Err(format!("it has more than {MAX_ATTRIBUTES} attributes"));
            }
            let attribute: RawAttribute<'_> = reader.decode().map_err(text)?;
            if attribute.values.tag() != Tag::Set {
                return Err(format!("the attribute {} has no set", attribute.oid));
            }
            let mut values = SliceReader::new(attribute.values.value()).map_err(text)?;
            if values.is_finished() {
                return Err(format!("the attribute {} has no value", attribute.oid));
            }
            let value: AnyRef<'_> = values.decode().map_err(text)?;
            wishes.take(attribute.oid, value)?;
        }
        Ok(wishes)
    }

    fn take(&mut self, oid: ObjectIdentifier, value: AnyRef<'_>) -> Result<(), String> {
        match oid {
            ExtensionReq::OID | MS_CERT_EXTENSIONS => {
                let asked: Extensions =
                    value.decode_as().map_err(|error| format!("its extensions cannot be read: {error}"))?;
                for extension in asked {
                    self.add(extension)?;
                }
            }
            // Only for the record: one that cannot be read is left out.
            MS_OS_VERSION => {
                self.os_version =
                    Any::new(value.tag(), value.value()).ok().and_then(|version| text_of(&version));
            }
            MS_CSP_PROVIDER => {
                self.csp = value.decode_as::<CspProvider>().ok().map(|provider| provider.name.to_string());
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, extension: Extension) -> Result<(), String> {
        if MAX_EXTENSIONS <= self.extensions.len() {
            return Err(format!("it asks for more than {MAX_EXTENSIONS} extensions"));
        }
        let oid = extension.extn_id;
        if self.extensions.iter().any(|known| known.extn_id == oid) {
            return Err(format!("it asks for the extension {oid} twice"));
        }
        self.extensions.push(extension);
        Ok(())
    }
}
