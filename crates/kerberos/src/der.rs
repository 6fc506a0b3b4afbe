//! DER, as far as the messages of Kerberos need it (X.690; RFC 4120 5.1): tags of one byte, definite lengths in their
//! shortest form, nothing behind the end of a message.
//!
//! Nearly every field of a message is `[n] EXPLICIT`, so the methods of [`Reader`] and [`Writer`] take the number of the
//! field and see to both tags.

use zeroize::Zeroizing;

use crate::moment::KerberosTime;

/// Universal tags.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// GeneralString.
    pub const GENERAL_STRING: u8 = 0x1b;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;

    /// `[number]`, explicit.
    #[must_use]
    pub const fn context(number: u8) -> u8 {
        0xa0 | number
    }

    /// `[APPLICATION number]`.
    #[must_use]
    pub const fn application(number: u8) -> u8 {
        0x60 | number
    }
}

/// Bytes that are not what they should be. The sender's fault, or that of whoever wrote the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is malformed")]
pub struct Malformed {
    /// The message, file or part that does not parse.
    pub what: &'static str,
}

/// A cursor over the values of one constructed value.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader at the first value of `content`, which is what a tag and a length enclose. `what` is for errors.
    #[must_use]
    pub const fn new(content: &'a [u8], what: &'static str) -> Self {
        Self { rest: content, what }
    }

    /// The values within the one value of this tag that fills `bytes`.
    ///
    /// # Errors
    /// [`Malformed`] for another tag, and for bytes behind the value.
    pub fn within(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Self, Malformed> {
        Ok(Self::new(only(bytes, tag, what)?, what))
    }

    /// The values within a SEQUENCE that fills `bytes`.
    ///
    /// # Errors
    /// As [`within`](Self::within).
    pub fn sequence(bytes: &'a [u8], what: &'static str) -> Result<Self, Malformed> {
        Self::within(bytes, tag::SEQUENCE, what)
    }

    /// The values within `[APPLICATION number] SEQUENCE`, which is the form of every message.
    ///
    /// # Errors
    /// As [`within`](Self::within).
    pub fn message(bytes: &'a [u8], number: u8, what: &'static str) -> Result<Self, Malformed> {
        Self::sequence(only(bytes, tag::application(number), what)?, what)
    }

    /// The error of this reader.
    #[must_use]
    pub const fn malformed(&self) -> Malformed {
        Malformed { what: self.what }
    }

    /// Whether all values are read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is not read yet.
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// The next value: its tag, its content, and all of it.
    ///
    /// # Errors
    /// [`Malformed`], also when no value is left.
    pub fn any(&mut self) -> Result<(u8, &'a [u8], &'a [u8]), Malformed> {
        let (tag, length, header) = head(self.rest).ok_or(self.malformed())?;
        let end = header.checked_add(length).ok_or(self.malformed())?;
        let (whole, rest) = self.rest.split_at_checked(end).ok_or(self.malformed())?;
        self.rest = rest;
        Ok((tag, &whole[header..], whole))
    }

    /// The content of the next value, which must have this tag.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn value(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.any()? {
            (found, content, _) if found == tag => Ok(content),
            _ => Err(self.malformed()),
        }
    }

    /// The next value as the elements of a SEQUENCE.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn next_sequence(&mut self) -> Result<Self, Malformed> {
        Ok(Self::new(self.value(tag::SEQUENCE)?, self.what))
    }

    /// What `[field]` encloses.
    ///
    /// # Errors
    /// [`Malformed`] when the next value is not this field.
    pub fn field(&mut self, field: u8) -> Result<&'a [u8], Malformed> {
        self.value(tag::context(field))
    }

    /// `[field]` if it comes next, read by `read`; `None` if another field follows or none.
    ///
    /// # Errors
    /// What `read` finds.
    pub fn optional<T>(
        &mut self,
        field: u8,
        read: impl FnOnce(&mut Self, u8) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.rest.first() == Some(&tag::context(field)) { read(self, field).map(Some) } else { Ok(None) }
    }

    /// `[field]` as the elements of a SEQUENCE.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn elements(&mut self, field: u8) -> Result<Self, Malformed> {
        Self::sequence(self.field(field)?, self.what)
    }

    /// `[field] INTEGER` of at most 64 bits.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn integer(&mut self, field: u8) -> Result<i64, Malformed> {
        integer(self.field(field)?, self.what)
    }

    /// `[field] Int32`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn int32(&mut self, field: u8) -> Result<i32, Malformed> {
        i32::try_from(self.integer(field)?).map_err(|_| self.malformed())
    }

    /// `[field] UInt32`. Some peers write the upper half of the range as negative numbers: they are read as what was
    /// meant.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn uint32(&mut self, field: u8) -> Result<u32, Malformed> {
        let number = self.integer(field)?;
        u32::try_from(number)
            .or_else(|_| i32::try_from(number).map(i32::cast_unsigned))
            .map_err(|_| self.malformed())
    }

    /// `[field]` that must hold this number, such as the version and the type of a message.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn expect(&mut self, field: u8, number: i64) -> Result<(), Malformed> {
        if self.integer(field)? == number { Ok(()) } else { Err(self.malformed()) }
    }

    /// `[field] OCTET STRING`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn octets(&mut self, field: u8) -> Result<&'a [u8], Malformed> {
        only(self.field(field)?, tag::OCTET_STRING, self.what)
    }

    /// `[field] KerberosString`, which is UTF-8 in practice.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn text(&mut self, field: u8) -> Result<&'a str, Malformed> {
        text(self.field(field)?, self.what)
    }

    /// `[field] KerberosTime`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn time(&mut self, field: u8) -> Result<KerberosTime, Malformed> {
        let digits = only(self.field(field)?, tag::GENERALIZED_TIME, self.what)?;
        KerberosTime::parse(digits).ok_or(self.malformed())
    }

    /// The microseconds beside a time: `[field] INTEGER (0..999999)`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn microseconds(&mut self, field: u8) -> Result<u32, Malformed> {
        let number = self.integer(field)?;
        u32::try_from(number).ok().filter(|micros| *micros < 1_000_000).ok_or(self.malformed())
    }

    /// `[field] KerberosFlags`: the first 32 bits, bit 0 of the text being the highest.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn flags(&mut self, field: u8) -> Result<u32, Malformed> {
        let content = only(self.field(field)?, tag::BIT_STRING, self.what)?;
        let (_unused, bits) = content.split_first().ok_or(self.malformed())?;
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().zip(bits) {
            *to = *from;
        }
        Ok(u32::from_be_bytes(word))
    }
}

/// The content of the single value that fills `bytes`, which must have this tag.
///
/// # Errors
/// [`Malformed`].
pub fn only<'a>(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<&'a [u8], Malformed> {
    let mut reader = Reader::new(bytes, what);
    let content = reader.value(tag)?;
    if reader.is_empty() { Ok(content) } else { Err(reader.malformed()) }
}

/// An INTEGER of at most 64 bits that fills `bytes`.
///
/// # Errors
/// [`Malformed`].
pub fn integer(bytes: &[u8], what: &'static str) -> Result<i64, Malformed> {
    let content = only(bytes, tag::INTEGER, what)?;
    let padded = matches!(*content, [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
    let [first, ..] = *content else { return Err(Malformed { what }) };
    if padded || 8 < content.len() {
        return Err(Malformed { what });
    }
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Ok(content.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

/// A GeneralString that fills `bytes`.
///
/// # Errors
/// [`Malformed`].
pub fn text<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, Malformed> {
    std::str::from_utf8(only(bytes, tag::GENERAL_STRING, what)?).map_err(|_| Malformed { what })
}

/// Tag, content length and header size of the value at the front.
fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x1f == 0x1f {
        return None; // a tag of several bytes: no message has one
    }
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((tag, first.into(), 2));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = rest.get(..count)?.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    let shortest = 0x80 <= length && length >> (8 * (count - 1)) != 0;
    shortest.then_some((tag, length, 2 + count))
}

/// Writes values one behind the other. What it holds may be secret: it is wiped when the writer grows, and when it is
/// dropped.
#[derive(Default)]
pub struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written, wiped when it is dropped.
    #[must_use]
    pub fn into_secret(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// What was written, when no part of it is secret.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0)
    }

    /// Values that are encoded already.
    pub fn encoded(&mut self, values: &[u8]) -> &mut Self {
        self.reserve(values.len());
        self.0.extend_from_slice(values);
        self
    }

    /// A value of this tag whose content `content` writes.
    pub fn value(&mut self, tag: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.encoded(&[tag]);
        let start = self.0.len();
        content(self);
        let length = self.0.len() - start;
        let (header, used) = length_header(length);
        self.encoded(&header[..used]); // makes the room; its place is in front of the content
        self.0[start..].rotate_right(used);
        self
    }

    /// SEQUENCE.
    pub fn sequence(&mut self, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.value(tag::SEQUENCE, content)
    }

    /// `[APPLICATION number] SEQUENCE`.
    pub fn message(&mut self, number: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.value(tag::application(number), |writer| {
            writer.sequence(content);
        })
    }

    /// `[field]` around what `content` writes.
    pub fn field(&mut self, field: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.value(tag::context(field), content)
    }

    /// `[field] SEQUENCE`.
    pub fn elements(&mut self, field: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.field(field, |writer| {
            writer.sequence(content);
        })
    }

    /// `[field] INTEGER`.
    pub fn integer(&mut self, field: u8, number: impl Into<i64>) -> &mut Self {
        let number = number.into();
        self.field(field, |writer| {
            writer.bare_integer(number);
        })
    }

    /// INTEGER, as an element of a SEQUENCE OF.
    pub fn bare_integer(&mut self, number: impl Into<i64>) -> &mut Self {
        let bytes = number.into().to_be_bytes();
        let redundant = bytes
            .array_windows()
            .take_while(|[first, second]| matches!((first, second & 0x80), (0, 0) | (0xff, 0x80)))
            .count();
        self.value(tag::INTEGER, |writer| {
            writer.encoded(&bytes[redundant..]);
        })
    }

    /// `[field] OCTET STRING`.
    pub fn octets(&mut self, field: u8, bytes: &[u8]) -> &mut Self {
        self.field(field, |writer| {
            writer.value(tag::OCTET_STRING, |writer| {
                writer.encoded(bytes);
            });
        })
    }

    /// `[field] GeneralString`.
    pub fn text(&mut self, field: u8, text: &str) -> &mut Self {
        self.field(field, |writer| {
            writer.bare_text(text);
        })
    }

    /// GeneralString, as an element of a SEQUENCE OF.
    pub fn bare_text(&mut self, text: &str) -> &mut Self {
        self.value(tag::GENERAL_STRING, |writer| {
            writer.encoded(text.as_bytes());
        })
    }

    /// `[field] KerberosTime`.
    pub fn time(&mut self, field: u8, time: KerberosTime) -> &mut Self {
        self.field(field, |writer| {
            writer.value(tag::GENERALIZED_TIME, |writer| {
                writer.encoded(time.to_string().as_bytes());
            });
        })
    }

    /// `[field] KerberosFlags`, always 32 bits.
    pub fn flags(&mut self, field: u8, flags: u32) -> &mut Self {
        self.field(field, |writer| {
            writer.value(tag::BIT_STRING, |writer| {
                writer.encoded(&[0]).encoded(&flags.to_be_bytes());
            });
        })
    }

    /// Makes room by hand: a growing `Vec` would leave its old bytes behind unwiped.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if self.0.capacity() < needed {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(256).next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }
}

/// The bytes of a length, and how many of them count.
fn length_header(length: usize) -> ([u8; 9], usize) {
    let bytes = length.to_be_bytes();
    let mut header = [0; 9];
    if length < 0x80 {
        header[0] = bytes[bytes.len() - 1];
        return (header, 1);
    }
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[skipped..];
    header[0] = 0x80 | u8::try_from(digits.len()).expect("invariant: a length has at most 8 bytes");
    header[1..=digits.len()].copy_from_slice(digits);
    (header, 1 + digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEST: &str = "test";

    #[test]
    fn lengths_must_be_definite_and_shortest() {
        for wrong in [
            &[0x04, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 0],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x1f, 1, 0],
            &[0x04, 0x02, 0],
            &[0x04],
            &[],
            &[0x04, 1, 9, 0],
        ] {
            assert_eq!(
                only(wrong, wrong.first().map_or(4, |tag| *tag), TEST),
                Err(Malformed { what: TEST }),
                "{wrong:02x?}"
            );
        }
    }

    #[test]
    fn integers_are_shortest_and_signed() {
        for (number, bytes) in [
            (0, &[2, 1, 0][..]),
            (-1, &[2, 1, 0xff]),
            (127, &[2, 1, 0x7f]),
            (128, &[2, 2, 0, 0x80]),
            (-129, &[2, 2, 0xff, 0x7f]),
            (i64::MAX, &[2, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let mut writer = Writer::new();
            writer.bare_integer(number);
            assert_eq!(writer.into_bytes(), bytes);
            assert_eq!(integer(bytes, TEST), Ok(number));
        }
        for wrong in [&[2, 0][..], &[2, 2, 0, 1], &[2, 2, 0xff, 0x80], &[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(integer(wrong, TEST).is_err(), "{wrong:02x?}");
        }
    }

    #[test]
    fn unsigned_numbers_may_come_with_a_sign() {
        let mut writer = Writer::new();
        writer.integer(0, -2).integer(0, u32::MAX).integer(0, i64::from(u32::MAX) + 1);
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes, TEST);
        assert_eq!(reader.uint32(0), Ok(u32::MAX - 1));
        assert_eq!(reader.uint32(0), Ok(u32::MAX));
        assert!(reader.uint32(0).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            content in prop::collection::vec(any::<u8>(), 0..70_000),
            number: i64,
            flags: u32,
            text: String,
            seconds in -60_000_000_000_i64..250_000_000_000,
        ) {
            let time = KerberosTime::from_unix_seconds(seconds);
            let mut writer = Writer::new();
            writer.message(3, |writer| {
                writer.octets(0, &content).integer(1, number).flags(2, flags).text(4, &text).time(5, time);
            });
            let bytes = writer.into_secret();
            let mut reader = Reader::message(&bytes, 3, TEST).unwrap();
            prop_assert_eq!(reader.octets(0), Ok(&content[..]));
            prop_assert_eq!(reader.integer(1), Ok(number));
            prop_assert_eq!(reader.flags(2), Ok(flags));
            prop_assert_eq!(reader.optional(3, Reader::integer), Ok(None));
            prop_assert_eq!(reader.text(4), Ok(&*text));
            prop_assert_eq!(reader.optional(5, Reader::time), Ok(Some(time)));
            prop_assert!(reader.is_empty());
        }
    }
}
