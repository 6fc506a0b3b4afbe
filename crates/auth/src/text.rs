//! Text as Windows compares and hashes it.

/// UTF-16LE bytes of a string.
pub(crate) fn utf16_bytes(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// UTF-16LE bytes of a character.
pub(crate) fn utf16_of(character: char) -> Vec<u8> {
    let mut units = [0; 2];
    character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_le_bytes()).collect()
}

/// The capital of one character if it is one 16-bit unit, the character itself otherwise.
pub(crate) fn simple_upper(character: char) -> char {
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(capital), None) if character.len_utf16() == 1 && capital.len_utf16() == 1 => capital,
        _ => character,
    }
}
