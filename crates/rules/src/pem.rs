//! PEM (RFC 7468) as it is found in files: explanatory text, any line width, CR LF.

use base64ct::{Base64, Encoding};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// Characters of a line that is written.
const LINE: usize = 64;

/// One block of a PEM file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The words of `-----BEGIN ...-----`.
    pub label: String,
    /// The decoded content.
    pub der: Vec<u8>,
}

/// One block as it stands in a file: nothing of it is decoded, so that no copy is made of what may be a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawBlock<'a> {
    /// The words of `-----BEGIN ...-----`.
    pub label: &'a str,
    /// What stands between its two lines.
    pub encoded: &'a [u8],
}

/// The PEM form of `der`: lines of 64 characters that end with LF.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in der.chunks(LINE / 4 * 3) {
        text.push_str(&Base64::encode_string(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}{DASHES}\n"));
    text
}

/// Whether `input` looks like PEM rather than DER.
#[must_use]
pub fn looks_like_pem(input: &[u8]) -> bool {
    input.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

/// The label of the first block, without a look at what is in it; `None` for what is no PEM.
#[must_use]
pub fn first_label(input: &[u8]) -> Option<&str> {
    labels(input).next()?
}

/// The label of each block, without a look at what is in it; `None` for one that has no end, or is no text. What lies around blocks may
/// be anything.
pub fn labels(input: &[u8]) -> impl Iterator<Item = Option<&str>> {
    let begins = input.windows(BEGIN.len()).enumerate().filter(|(_, window)| *window == BEGIN.as_bytes());
    begins.map(|(begin, _)| {
        let rest = &input[begin + BEGIN.len()..];
        let end = rest.windows(DASHES.len()).take(LINE).position(|window| window == DASHES.as_bytes())?;
        std::str::from_utf8(&rest[..end]).ok()
    })
}

/// Every block of `input` in order. Text outside of the blocks is skipped, whatever its encoding (RFC 7468, section 2).
///
/// # Errors
/// A sentence fragment for the user when a block has no end or is not Base64.
pub fn blocks(input: &[u8]) -> Result<Vec<Block>, String> {
    let decoded = |block: Result<RawBlock<'_>, String>| {
        let RawBlock { label, encoded } = block?;
        let mut encoded = encoded.to_vec();
        let der = decode_in_place(&mut encoded).map(<[u8]>::to_vec);
        der.map(|der| Block { label: label.to_owned(), der })
            .map_err(|reason| format!("the block {label:?} cannot be decoded: {reason}"))
    };
    raw_blocks(input).map(decoded).collect()
}

/// The same without a look at what is in them. A block that has no end is the last one.
///
/// # Errors
/// Each as [`blocks`], of what stands around the content.
pub fn raw_blocks(input: &[u8]) -> impl Iterator<Item = Result<RawBlock<'_>, String>> {
    let mut rest = Some(input);
    std::iter::from_fn(move || {
        let (_, after_begin) = split_at(rest.take()?, BEGIN)?;
        let (block, behind) = match raw_block(after_begin) {
            Ok(found) => found,
            Err(reason) => return Some(Err(reason)),
        };
        rest = Some(behind);
        Some(Ok(block))
    })
}

/// The block whose label begins here, and what is behind it.
fn raw_block(after_begin: &[u8]) -> Result<(RawBlock<'_>, &[u8]), String> {
    let (label, body) = split_at(after_begin, DASHES)
        .filter(|(label, _)| {
            label.len() <= LINE && !label.iter().any(|letter| matches!(letter, b'\r' | b'\n'))
        })
        .ok_or("a BEGIN line is not complete")?;
    let label = std::str::from_utf8(label).map_err(|_| "the label of a block is not UTF-8")?;
    let (encoded, behind) = split_at(body, &format!("-----END {label}{DASHES}"))
        .ok_or_else(|| format!("the block {label:?} has no END line"))?;
    Ok((RawBlock { label, encoded }, behind))
}

/// Decodes Base64 with white space in it in the place where it stands: whoever decodes a secret wipes that one buffer.
///
/// # Errors
/// A fragment of a sentence when it is not Base64.
pub fn decode_in_place(encoded: &mut [u8]) -> Result<&[u8], String> {
    let mut length = 0;
    for at in 0..encoded.len() {
        if !is_space(encoded[at]) {
            encoded[length] = encoded[at];
            length += 1;
        }
    }
    Base64::decode_in_place(&mut encoded[..length]).map_err(|error| error.to_string())
}

/// What is before and what is behind the first `mark`.
fn split_at<'a>(input: &'a [u8], mark: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = input.windows(mark.len()).position(|window| window == mark.as_bytes())?;
    Some((&input[..at], &input[at + mark.len()..]))
}

/// White space as RFC 7468 has it in `W`.
const fn is_space(letter: u8) -> bool {
    matches!(letter, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_line_length() {
        assert_eq!(encode("X", b"abc"), "-----BEGIN X-----\nYWJj\n-----END X-----\n");
        assert_eq!(encode("X", b"ab"), "-----BEGIN X-----\nYWI=\n-----END X-----\n");
        assert_eq!(encode("X", b"a"), "-----BEGIN X-----\nYQ==\n-----END X-----\n");
        let long = encode("X", &[0; 100]);
        assert!(long.lines().all(|line| line.len() <= LINE));
        assert_eq!(long.lines().nth(1).map(str::len), Some(LINE));
    }

    #[test]
    fn odd_files_are_read() {
        let der: Vec<u8> = (0..100).collect();
        let plain = encode("CERTIFICATE", &der);
        let crlf = plain.replace('\n', "\r\n");
        let one_line =
            plain.replace('\n', "").replace("E-----", "E-----\n").replace("-----END", "\n-----END");
        for text in [plain.clone(), crlf, one_line, format!("subject=x\n\n{plain}tail")] {
            assert_eq!(
                blocks(text.as_bytes()).unwrap(),
                [Block { label: "CERTIFICATE".to_owned(), der: der.clone() }],
                "{text}"
            );
        }
        // Text around a block in Latin-1.
        let around = [b"f\xfcr\n", plain.as_bytes(), b"f\xfcr\n", plain.as_bytes(), b"\xfc"].concat();
        assert_eq!(blocks(&around).unwrap().iter().map(|block| &block.der).collect::<Vec<_>>(), [&der, &der]);
        assert_eq!(blocks(plain.repeat(3).as_bytes()).unwrap().len(), 3);
        assert_eq!(first_label(format!("text\n{plain}").as_bytes()), Some("CERTIFICATE"));
        assert_eq!(first_label(b"-----BEGIN "), None);
    }

    #[test]
    fn a_block_is_decoded_where_it_stands() {
        let der: Vec<u8> = (0..200).collect();
        let text = format!("text\n{}behind", encode("A KEY", &der).replace('\n', "\r\n  "));
        let block = raw_blocks(text.as_bytes()).next().unwrap().unwrap();
        assert_eq!(block.label, "A KEY");
        let mut buffer = block.encoded.to_vec();
        assert_eq!(decode_in_place(&mut buffer).unwrap(), der);
        assert_eq!(raw_blocks(text.repeat(2).as_bytes()).count(), 2);
        let broken: Vec<_> = raw_blocks(b"-----BEGIN A-----\n-----BEGIN B-----\n-----END B-----\n").collect();
        assert_eq!(broken.len(), 1, "nothing behind a block without an end: {broken:?}");
        for bad in [&b"A"[..], b"AAA", b"A\xff==", b"AA=A", b"===="] {
            decode_in_place(&mut bad.to_vec()).unwrap_err();
        }
        assert!(decode_in_place(&mut []).unwrap().is_empty());
    }

    #[test]
    fn broken_files_are_refused() {
        for text in [
            "-----BEGIN ",
            "-----BEGIN A\n-----\n",
            "-----BEGIN A-----\nAAAA\n",
            "-----BEGIN A-----\n????\n-----END A-----\n",
            "-----BEGIN A-----\nAAAA\n-----END B-----\n",
        ] {
            assert!(blocks(text.as_bytes()).is_err(), "{text}");
        }
        assert!(blocks(b"\xff-----BEGIN A-----").is_err(), "it has no end");
        assert!(blocks(b"-----BEGIN \xff-----\nAAAA\n-----END \xff-----\n").is_err());
        assert!(blocks(b"-----BEGIN A-----\nAA\xffA\n-----END A-----\n").is_err());
        assert!(blocks(b"nothing here").unwrap().is_empty());
    }
}
