//! The few rules of DER that SPNEGO needs: one-byte tags, definite lengths in their shortest form, nothing after the end.

/// Universal and constructed tags in use (X.690; RFC 4178 4.2).
pub(crate) mod tag {
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const ENUMERATED: u8 = 0x0a;
    pub(crate) const SEQUENCE: u8 = 0x30;
    /// `[APPLICATION 0]`, the frame of a first token (RFC 2743 3.1).
    pub(crate) const APPLICATION: u8 = 0x60;

    /// `[number]`, explicit.
    pub(crate) const fn context(number: u8) -> u8 {
        0xa0 | number
    }
}

/// A cursor over DER values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next value, which must have this tag.
    pub(crate) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, length, header) = head(self.0)?;
        if found != tag {
            return None;
        }
        let (_, rest) = self.0.split_at_checked(header)?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The next value if it has this tag: `Some(None)` if another follows or nothing does, `None` if it is broken.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        match self.0.first() {
            Some(found) if *found == tag => self.value(tag).map(Some),
            _ => Some(None),
        }
    }
}

/// The single value that fills `bytes`, which must have this tag.
pub(crate) fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes);
    let content = reader.value(tag)?;
    reader.is_empty().then_some(content)
}

/// Tag, content length and header size of the value at the front. Lengths up to 65535 are all a PDU can carry.
fn head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, rest) = bytes.split_first()?;
    let (length, header) = match *rest {
        [short @ 0..=0x7f, ..] => (usize::from(short), 2),
        [0x81, long @ 0x80..=0xff, ..] => (usize::from(long), 3),
        [0x82, high @ 1..=0xff, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 4),
        _ => return None,
    };
    Some((*tag, length, header))
}

/// One value, whatever its length; whoever sends it looks whether it fits into a PDU.
pub(crate) fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let mut value = vec![tag];
    match length.get(zeros..).unwrap_or_default() {
        [] => value.push(0),
        [short @ ..=0x7f] => value.push(*short),
        long => {
            // At most 8: those of a number of this machine.
            value.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            value.extend(long);
        }
    }
    value.extend(content);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_must_be_definite_and_shortest() {
        for wrong in [
            &[0x04, 0x80, 0, 0][..],
            &[0x04, 0x81, 0x01, 0],
            &[0x04, 0x82, 0x00, 0x80],
            &[0x04, 0x83, 0x01, 0x00, 0x00],
            &[0x04, 0x02, 0],
            &[0x04],
            &[],
        ] {
            assert_eq!(only(wrong, tag::OCTET_STRING), None, "{wrong:02x?}");
        }
        assert_eq!(only(&[0x04, 1, 9, 0], tag::OCTET_STRING), None);
    }

    #[test]
    fn no_length_is_too_large_to_be_written() {
        assert_eq!(wrap(tag::OCTET_STRING, &vec![7; 0xffff])[..4], [4, 0x82, 0xff, 0xff]);
        assert_eq!(wrap(tag::OCTET_STRING, &vec![7; 0x1_0000])[..5], [4, 0x83, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn what_is_wrapped_reads_back(content in prop::collection::vec(any::<u8>(), 0..400)) {
            let value = wrap(tag::OCTET_STRING, &content);
            prop_assert_eq!(only(&value, tag::OCTET_STRING), Some(&content[..]));
        }
    }
}
