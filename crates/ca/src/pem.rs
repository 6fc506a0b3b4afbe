//! PEM as it is found in files: explanatory text, any line width, CR LF.

use der::pem;

/// One block of a PEM file.
pub(crate) struct Block {
    /// The words of `-----BEGIN ...-----`.
    pub(crate) label: String,
    /// The decoded content.
    pub(crate) der: Vec<u8>,
}

/// Whether `input` looks like PEM rather than DER.
pub(crate) fn looks_like_pem(input: &[u8]) -> bool {
    input.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes())
}

/// Every block of `input` in order. Text outside of the blocks is skipped.
///
/// # Errors
/// A sentence fragment for the user when a block has no end or is not Base64.
pub(crate) fn blocks(input: &[u8]) -> Result<Vec<Block>, String> {
    let text = std::str::from_utf8(input).map_err(|_| "the text is not UTF-8".to_string())?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let after_begin = &rest[start + BEGIN.len()..];
        let (label, body) = after_begin
            .split_once(DASHES)
            .filter(|(label, _)| label.len() <= 64 && !label.contains(['\r', '\n']))
            .ok_or("a BEGIN line is not complete")?;
        let end_line = format!("-----END {label}-----");
        let (encoded, behind) =
            body.split_once(&end_line).ok_or_else(|| format!("the block {label:?} has no END line"))?;
        found.push(Block { label: label.into(), der: decode(label, encoded)? });
        rest = behind;
    }
    Ok(found)
}

/// The PEM form of `der`, with LF line ends.
pub(crate) fn encode(label: &'static str, der: &[u8]) -> der::Result<String> {
    Ok(pem::encode_string(label, pem::LineEnding::LF, der)?)
}

/// The library's decoder wants lines of exactly 64 characters, which files in the field do not
/// always have.
fn decode(label: &str, encoded: &str) -> Result<Vec<u8>, String> {
    let characters: Vec<char> = encoded.chars().filter(|c| !c.is_whitespace()).collect();
    let mut normal = format!("-----BEGIN {label}-----\n");
    for line in characters.chunks(64) {
        normal.extend(line);
        normal.push('\n');
    }
    normal.push_str(&format!("-----END {label}-----\n"));
    pem::decode_vec(normal.as_bytes())
        .map(|(_, der)| der)
        .map_err(|error| format!("the block {label:?} cannot be decoded: {error}"))
}

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_files_are_read() {
        let der: Vec<u8> = (0..100).collect();
        let plain = encode("CERTIFICATE", &der).unwrap();
        let crlf = plain.replace('\n', "\r\n");
        let one_line =
            plain.replace('\n', "").replace("E-----", "E-----\n").replace("-----END", "\n-----END");
        for text in [plain.clone(), crlf, one_line, format!("subject=x\n\n{plain}tail")] {
            let blocks = blocks(text.as_bytes()).unwrap();
            assert_eq!(blocks.len(), 1, "{text}");
            assert_eq!(blocks[0].label, "CERTIFICATE");
            assert_eq!(blocks[0].der, der);
        }
        assert_eq!(blocks(plain.repeat(3).as_bytes()).unwrap().len(), 3);
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
        assert!(blocks(b"\xff-----BEGIN A-----").is_err());
        assert!(blocks(b"nothing here").unwrap().is_empty());
    }
}
