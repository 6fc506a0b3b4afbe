//! The entries of a CRL, as they are read and as they are written (RFC 5280 5.3).

use certadm_ca::{Serial, dates};
use certadm_rules::{FileTime, hex};
use const_oid::ObjectIdentifier;
use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, Sequence, SliceReader, Tag};
use x509_cert::time::Time;

use crate::x509::{Body, ExtensionRef, moment};

const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");

/// An entry of a CRL as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishedEntry {
    pub(crate) serial: Serial,
    /// The digits are those of a negative number, which no CA may give and some have given (RFC 5280 4.1.2.2).
    pub(crate) is_negative: bool,
    pub(crate) when: FileTime,
    /// The number of the reason; 0 where the entry has none.
    pub(crate) reason: i32,
    /// An extension that is not read, and may be passed over.
    pub(crate) passed_over: Option<ObjectIdentifier>,
}

/// Why the entries of a CRL are not read.
#[derive(Debug)]
pub(crate) enum EntryFault {
    Malformed(der::Error),
    /// An extension that says more of the entry than is known here, and must not be passed over (RFC 5280 5.3).
    Critical {
        serial: Serial,
        oid: ObjectIdentifier,
    },
}

impl From<der::Error> for EntryFault {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error)
    }
}

#[derive(Sequence)]
struct EntryRef<'a> {
    serial: AnyRef<'a>,
    when: AnyRef<'a>,
    extensions: Option<Vec<ExtensionRef<'a>>>,
}

/// Hands each entry of a list to `visit`.
pub(crate) fn read_entries(list: Body<'_>, mut visit: impl FnMut(PublishedEntry)) -> Result<(), EntryFault> {
    let mut reader = SliceReader::new_with_encoding_rules(list.0, der::EncodingRules::Der)?;
    while !reader.is_finished() {
        visit(read_entry(&mut reader)?);
    }
    Ok(())
}

fn read_entry<'a>(reader: &mut impl Reader<'a>) -> Result<PublishedEntry, EntryFault> {
    let entry = EntryRef::decode(reader)?;
    let no_number = || der::Error::from(der::ErrorKind::Value { tag: Tag::Integer });
    if entry.serial.header().tag() != Tag::Integer {
        return Err(no_number().into());
    }
    let serial: Serial = hex::encode(entry.serial.value()).parse().map_err(|_| no_number())?;
    let (mut reason, mut passed_over) = (0, None);
    for extension in entry.extensions.iter().flatten() {
        match (extension.oid, extension.value.as_bytes()) {
            // ENUMERATED of one octet.
            (REASON_CODE, [0x0a, 0x01, code]) => reason = i32::from(*code),
            (REASON_CODE, _) => {
                return Err(der::Error::from(der::ErrorKind::Value { tag: Tag::Enumerated }).into());
            }
            (oid, _) if extension.critical || oid == CERTIFICATE_ISSUER => {
                return Err(EntryFault::Critical { serial, oid });
            }
            (oid, _) => passed_over = Some(oid),
        }
    }
    let is_negative = is_negative(entry.serial.value());
    Ok(PublishedEntry { serial, is_negative, when: moment(entry.when)?, reason, passed_over })
}

/// Whether the content octets of an INTEGER are those of a negative number.
pub(crate) fn is_negative(octets: &[u8]) -> bool {
    octets.first().is_some_and(|first| first & 0x80 != 0)
}

/// Reasons that the entry of a base CRL may give (RFC 5280 5.3.1).
pub(crate) fn is_reason_of_entry(code: i32) -> bool {
    matches!(code, 1..=6 | 9 | 10)
}

#[derive(Sequence)]
struct NewEntry<'a> {
    serial: AnyRef<'a>,
    when: Time,
    extensions: Option<Body<'a>>,
}

/// Appends an entry to `out`. A reason that no entry may give is left out.
pub(crate) fn write_entry(
    out: &mut Vec<u8>,
    (serial, negative): (&Serial, bool),
    when: FileTime,
    reason: i32,
) -> der::Result<()> {
    let mut octets = hex::decode(serial.as_str()).unwrap_or_default(); // pairs of digits by construction
    if is_negative(&octets) && !negative {
        octets.insert(0, 0);
    }
    let code = u8::try_from(reason).unwrap_or_default();
    // The reason code: an extension of its own, not critical, with an ENUMERATED in it.
    let extension = [0x30, 0x0a, 0x06, 0x03, 0x55, 0x1d, 0x15, 0x04, 0x03, 0x0a, 0x01, code];
    let extensions = is_reason_of_entry(reason).then_some(Body(&extension));
    let serial = AnyRef::new(Tag::Integer, &octets)?;
    NewEntry { serial, when: dates::revocation_to_x509(when)?, extensions }.encode_to_vec(out).map(drop)
}
