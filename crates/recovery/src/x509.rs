//! Certificates and CRLs as far as a CRL needs them. Names, algorithms and extension values stay the bytes that they are,
//! so that what is copied is copied to the last byte.

use certadm_ca::dates;
use certadm_rules::FileTime;
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, BitStringRef, OctetStringRef, SequenceRef, UintRef};
use der::{
    Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence, SliceReader, Tag,
    TagNumber, Writer,
};
use x509_cert::time::Time;

/// The extensions of CRLs and of CA certificates that are known here, by the names that Windows has for its own.
pub(crate) mod oid {
    use const_oid::ObjectIdentifier;

    pub(crate) const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
    pub(crate) const DELTA_BASE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
    pub(crate) const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
    pub(crate) const DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
    pub(crate) const AUTHORITY_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
    pub(crate) const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
    pub(crate) const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
    pub(crate) const SUBJECT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
    pub(crate) const FRESHEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.46");
    /// Index of the CA's key in the high 16 bits, of its certificate in the low ones.
    pub(crate) const CA_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.1");
    pub(crate) const NEXT_PUBLISH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.4");
    pub(crate) const PUBLISHED_LOCATIONS: ObjectIdentifier =
        ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.21.14");
}

/// An extension, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct ExtensionRef<'a> {
    pub(crate) oid: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    pub(crate) critical: bool,
    pub(crate) value: &'a OctetStringRef,
}

impl<'a> ExtensionRef<'a> {
    pub(crate) fn new(oid: ObjectIdentifier, critical: bool, value: &'a [u8]) -> der::Result<Self> {
        Ok(Self { oid, critical, value: OctetStringRef::new(value)? })
    }
}

/// A certificate, borrowed, as far as it is looked at.
#[derive(Clone, Copy)]
pub(crate) struct CertificateRef<'a> {
    /// What was signed.
    pub(crate) signed: &'a [u8],
    /// The AlgorithmIdentifier of its signature.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// The content octets of its serial number, with its sign.
    pub(crate) serial: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) not_before: FileTime,
    pub(crate) not_after: FileTime,
    pub(crate) public_key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> CertificateRef<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut outer = sequence(der)?;
        let signed = outer.tlv_bytes()?;
        let algorithm = outer.tlv_bytes()?;
        let signature = BitStringRef::decode(&mut outer)?;
        let mut inner = sequence(signed)?;
        if Tag::peek(&inner)? == context(0) {
            inner.tlv_bytes()?;
        }
        let serial = AnyRef::decode(&mut inner)?.value();
        inner.tlv_bytes()?; // signature algorithm, once more
        let issuer = inner.tlv_bytes()?;
        let mut validity = sequence(inner.tlv_bytes()?)?;
        let (not_before, not_after) = (AnyRef::decode(&mut validity)?, AnyRef::decode(&mut validity)?);
        let subject = inner.tlv_bytes()?;
        let public_key = inner.tlv_bytes()?;
        let mut extensions: &[u8] = &[];
        while !inner.is_finished() {
            let field = AnyRef::decode(&mut inner)?;
            if field.header().tag() == context(3) {
                extensions = <&SequenceRef>::from_der(field.value())?.as_bytes();
            }
        }
        Ok(Self {
            signed,
            algorithm,
            signature: signature.raw_bytes(),
            serial,
            issuer,
            subject,
            not_before: moment(not_before)?,
            not_after: moment(not_after)?,
            public_key,
            extensions,
        })
    }

    /// The value of an extension; nothing where it is not there.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> der::Result<Option<&'a [u8]>> {
        let mut reader = SliceReader::new_with_encoding_rules(self.extensions, der::EncodingRules::Der)?;
        while !reader.is_finished() {
            let extension = ExtensionRef::decode(&mut reader)?;
            if extension.oid == oid {
                return Ok(Some(extension.value.as_bytes()));
            }
        }
        Ok(None)
    }

    /// The key that signed it, by the name that it has for that.
    pub(crate) fn authority_key(&self) -> der::Result<Option<&'a [u8]>> {
        match self.extension(oid::AUTHORITY_KEY)? {
            Some(value) => key_identifier_in(value),
            None => Ok(None),
        }
    }

    pub(crate) fn subject_key(&self) -> der::Result<Option<&'a [u8]>> {
        let value = self.extension(oid::SUBJECT_KEY)?;
        value.map(|value| <&OctetStringRef>::from_der(value).map(OctetStringRef::as_bytes)).transpose()
    }

    /// Index of the CA's key and of its certificate (recovery.md 4.2, rule 1).
    pub(crate) fn ca_version(&self) -> der::Result<Option<u32>> {
        self.extension(oid::CA_VERSION)?.map(u32::from_der).transpose()
    }
}

/// The key identifier in an authority key identifier.
pub(crate) fn key_identifier_in(value: &[u8]) -> der::Result<Option<&[u8]>> {
    let mut reader = sequence(value)?;
    while !reader.is_finished() {
        let field = AnyRef::decode(&mut reader)?;
        if field.header().tag() == (Tag::ContextSpecific { constructed: false, number: TagNumber(0) }) {
            return Ok(Some(field.value()));
        }
    }
    Ok(None)
}

/// The value of an authority key identifier with nothing but the key identifier in it, as Windows writes it.
pub(crate) fn authority_key_value(identifier: &[u8]) -> der::Result<Vec<u8>> {
    let tag = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    let field = AnyRef::new(tag, identifier)?.to_der()?;
    AnyRef::new(Tag::Sequence, &field)?.to_der()
}

/// The whole of a CRL, borrowed.
pub(crate) struct CrlRef<'a> {
    /// What was signed.
    pub(crate) signed: &'a [u8],
    pub(crate) content: CrlContent<'a>,
    pub(crate) signature: &'a [u8],
}

impl<'a> CrlRef<'a> {
    pub(crate) fn parse(der: &'a [u8]) -> der::Result<Self> {
        let mut outer = sequence(der)?;
        let signed = outer.tlv_bytes()?;
        outer.tlv_bytes()?;
        let signature = BitStringRef::decode(&mut outer)?;
        outer.finish()?;
        Ok(Self { signed, content: CrlContent::from_der(signed)?, signature: signature.raw_bytes() })
    }
}

/// The content of a SEQUENCE, not taken apart: a CRL may list very many certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl FixedTag for Body<'_> {
    const TAG: Tag = Tag::Sequence;
}

impl<'a> DecodeValue<'a> for Body<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        reader.read_slice(header.length()).map(Self)
    }
}

impl EncodeValue for Body<'_> {
    fn value_len(&self) -> der::Result<Length> {
        self.0.len().try_into()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        writer.write(self.0)
    }
}

/// The to-be-signed part of a CRL: read and written by the same type, so that what is read is written again byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct CrlContent<'a> {
    pub(crate) version: Option<u8>,
    pub(crate) algorithm: AnyRef<'a>,
    pub(crate) issuer: AnyRef<'a>,
    pub(crate) this_update: Time,
    pub(crate) next_update: Option<Time>,
    pub(crate) revoked: Option<Body<'a>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Vec<ExtensionRef<'a>>>,
}

impl<'a> CrlContent<'a> {
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&ExtensionRef<'a>> {
        self.extensions.iter().flatten().find(|extension| extension.oid == oid)
    }

    pub(crate) fn value(&self, oid: ObjectIdentifier) -> Option<&'a [u8]> {
        self.extension(oid).map(|extension| extension.value.as_bytes())
    }

    /// Whether it lists certificates of other CAs, too (RFC 5280 5.2.5): `indirectCRL` of the issuing distribution point.
    pub(crate) fn is_indirect(&self) -> der::Result<bool> {
        const INDIRECT: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(4) };
        let Some(value) = self.value(oid::ISSUING_POINT) else { return Ok(false) };
        let mut fields = sequence(value)?;
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields)?;
            if field.header().tag() == INDIRECT && field.value() != [0] {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A non-negative INTEGER of a CRL, if it fits.
pub(crate) fn number_in(value: &[u8]) -> der::Result<Option<i64>> {
    let octets = UintRef::from_der(value)?;
    let mut padded = [0u8; 8];
    let Some(start) = padded.len().checked_sub(octets.as_bytes().len()) else { return Ok(None) };
    padded[start..].copy_from_slice(octets.as_bytes());
    Ok(i64::try_from(u64::from_be_bytes(padded)).ok())
}

/// A moment that a certificate or an entry of a CRL names. One before 1970, for which [`Time`] has no room, counts as the first of
/// 1970: UTCTime reaches back to 1950 (RFC 5280 4.1.2.5.1).
pub(crate) fn moment(time: AnyRef<'_>) -> der::Result<FileTime> {
    let text = time.value();
    let (is_early, year) = match time.header().tag() {
        Tag::UtcTime => (matches!(text, [b'5' | b'6', ..]), 2),
        Tag::GeneralizedTime => (text.get(..4).is_some_and(|year| year < b"1970".as_slice()), 4),
        _ => (false, 0),
    };
    // A leap year, so that it has every day.
    let later = [&b"1972"[4 - year..], text.get(year..).unwrap_or_default()].concat();
    let text = if is_early { later.as_slice() } else { text };
    let read = match AnyRef::new(time.header().tag(), text)? {
        time if time.header().tag() == Tag::UtcTime => Time::UtcTime(time.decode_as()?),
        time => Time::GeneralTime(time.decode_as()?),
    };
    Ok(if is_early { FileTime::from_unix_seconds(0) } else { dates::from_x509(read) })
}

/// Every URI in the value of an extension that lists distribution points.
pub(crate) fn urls_in(value: &[u8]) -> Vec<String> {
    use x509_cert::ext::pkix::CrlDistributionPoints;
    use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
    let Ok(points) = CrlDistributionPoints::from_der(value) else { return Vec::new() };
    let mut urls = Vec::new();
    for point in points.0 {
        let Some(DistributionPointName::FullName(names)) = point.distribution_point else { continue };
        for name in names {
            if let GeneralName::UniformResourceIdentifier(url) = name {
                urls.push(url.as_str().to_owned());
            }
        }
    }
    urls
}

fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// The content of a SEQUENCE.
fn sequence(der: &[u8]) -> der::Result<SliceReader<'_>> {
    SliceReader::new_with_encoding_rules(<&SequenceRef>::from_der(der)?.as_bytes(), der::EncodingRules::Der)
}
