//! Decompression of column values (ese.md 6.3).

use crate::error::Error;

const SEVEN_BIT_ASCII: u8 = 1;
const SEVEN_BIT_UNICODE: u8 = 2;
const XPRESS: u8 = 3;
const SCRUBBED: u8 = 4;

fn malformed(problem: &'static str) -> Error {
    Error::Malformed { what: "a compressed value", problem }
}

/// Opens a compressed value. The result is never longer than 65535 bytes.
///
/// # Errors
/// [`Error::UnsupportedCompression`] (HRESULT 0xC80005FC) for schemes other than the 7-bit ones and XPRESS,
/// [`Error::Malformed`] (0xC80004B6) for bytes that no compressor wrote.
pub fn decompress(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let Some(first) = bytes.first() else {
        return Err(malformed("it is empty"));
    };
    match first >> 3 {
        SEVEN_BIT_ASCII => seven_bit(bytes),
        SEVEN_BIT_UNICODE => {
            let units = seven_bit(bytes)?;
            Ok(units.into_iter().flat_map(|unit| [unit, 0]).collect())
        }
        XPRESS => {
            let size = bytes.get(1..3).ok_or_else(|| malformed("it ends before its size"))?;
            let size = u16::from_le_bytes([size[0], size[1]]);
            xpress(&bytes[3..], usize::from(size))
        }
        SCRUBBED => Ok(Vec::new()),
        scheme => Err(Error::UnsupportedCompression { scheme }),
    }
}

/// Characters of 7 bits, lowest bit first.
fn seven_bit(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let (first, packed) = bytes.split_first().ok_or_else(|| malformed("it is empty"))?;
    if packed.len() > usize::from(u16::MAX) {
        return Err(malformed("it is longer than a chunk can be"));
    }
    let Some(whole) = packed.len().checked_sub(1) else {
        return Ok(Vec::new());
    };
    let bits = whole * 8 + usize::from(first & 7) + 1;
    let mut characters = Vec::with_capacity(bits / 7);
    for index in 0..bits / 7 {
        let at = index * 7;
        let low = u16::from(packed[at / 8]);
        let high = u16::from(packed.get(at / 8 + 1).copied().unwrap_or(0));
        // Masked to 7 bits.
        let character = u8::try_from((low | high << 8) >> (at % 8) & 0x7F).unwrap_or(0);
        characters.push(character);
    }
    Ok(characters)
}

/// Plain LZ77 as the page pre-images and the XPRESS scheme use it; stops at `size` bytes.
///
/// # Errors
/// [`Error::Malformed`] when the input ends early or a match reaches before the start.
pub fn xpress(input: &[u8], size: usize) -> Result<Vec<u8>, Error> {
    let mut reader = Reader { input, at: 0 };
    let mut output = Vec::with_capacity(size.min(input.len().saturating_mul(8)));
    let mut flags = 0u32;
    let mut flags_left = 0;
    let mut spare_nibble: Option<u8> = None;
    while output.len() < size {
        if flags_left == 0 {
            flags = reader.u32()?;
            flags_left = 32;
        }
        flags_left -= 1;
        if flags >> flags_left & 1 == 0 {
            output.push(reader.u8()?);
            continue;
        }
        let token = reader.u16()?;
        let distance = usize::from(token >> 3) + 1;
        let length = usize::from(token & 7);
        let length = if length == 7 { reader.long_length(&mut spare_nibble)? } else { length };
        let start = output
            .len()
            .checked_sub(distance)
            .ok_or_else(|| malformed("a match reaches before its start"))?;
        let length = length.saturating_add(3).min(size - output.len());
        for index in start..start + length {
            output.push(output[index]);
        }
    }
    Ok(output)
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self
            .input
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<N>())
            .ok_or_else(|| malformed("it ends early"))?;
        self.at += N;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// The length of a match of 7 and more, before 3 is added; two of them share a byte.
    fn long_length(&mut self, spare_nibble: &mut Option<u8>) -> Result<usize, Error> {
        let nibble = match spare_nibble.take() {
            Some(byte) => byte >> 4,
            None => {
                let byte = self.u8()?;
                *spare_nibble = Some(byte);
                byte & 15
            }
        };
        if nibble < 15 {
            return Ok(usize::from(nibble) + 7);
        }
        match self.u8()? {
            255 => match self.u16()? {
                0 => Ok(crate::bytes::index(self.u32()?)),
                total => Ok(usize::from(total)),
            },
            byte => Ok(usize::from(byte) + 15 + 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_vector_of_the_specification() {
        let packed =
            [0x17, 0xd3, 0xa2, 0xb5, 0xe8, 0x5c, 0x26, 0x9d, 0x47, 0xe2, 0xb3, 0x39, 0x6d, 0x0d, 0x83];
        let text: Vec<u8> = "SEVENKINGDOMS-CA".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decompress(&packed).unwrap(), text);
    }

    #[test]
    fn overlapping_matches_repeat() {
        // Literal 'a', then a match of distance 1 and length 9 through the nibble form.
        let input = [&0x4000_0000u32.to_le_bytes()[..], b"a", &[0x07, 0x00], &[0x00]].concat();
        assert_eq!(xpress(&input, 11).unwrap(), b"aaaaaaaaaaa");
        assert!(xpress(&[0, 0, 0, 0x80, 8, 0], 5).is_err());
    }

    #[test]
    fn other_schemes_are_named_not_guessed() {
        for scheme in [0, 5, 6, 7, 31] {
            let error = decompress(&[scheme << 3, 1, 2, 3]).unwrap_err();
            assert!(matches!(error, Error::UnsupportedCompression { scheme: found } if found == scheme));
        }
        assert_eq!(decompress(&[4 << 3]).unwrap(), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(output) = decompress(&bytes) {
                prop_assert!(output.len() <= 131_072);
            }
            let _ = xpress(&bytes, 70_000);
        }
    }
}
