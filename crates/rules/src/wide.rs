//! UTF-16 strings from outside: checked once, then ordinary Rust strings (certbcli.md D32).

use crate::Hresult;

/// The longest path that is accepted, in UTF-16 units without its NUL (certbcli.md D32).
pub const MAX_PATH_UNITS: usize = 32_767;

/// Why a string from outside was refused. The caller's fault, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WideError {
    /// Half of a surrogate pair stands alone.
    #[error("the string has an unpaired surrogate at unit {unit}; it is not UTF-16")]
    UnpairedSurrogate {
        /// Position in UTF-16 units.
        unit: usize,
    },
    /// A NUL stands inside the string.
    #[error("the string has a NUL at unit {unit}; a name cannot contain one")]
    Nul {
        /// Position in UTF-16 units.
        unit: usize,
    },
    /// The string is longer than [`MAX_PATH_UNITS`].
    #[error("the string has {units} UTF-16 units; the longest accepted has {MAX_PATH_UNITS}")]
    TooLong {
        /// Its length in UTF-16 units.
        units: usize,
    },
}

impl WideError {
    /// The code for it: always [`Hresult::E_INVALIDARG`] (certbcli.md D32).
    pub const fn hresult(self) -> Hresult {
        Hresult::E_INVALIDARG
    }
}

/// Turns UTF-16 units (without a terminating NUL) into a string.
///
/// # Errors
///
/// [`WideError`] when the units are too many, hold a NUL, or hold an unpaired surrogate. The length is checked before
/// anything is allocated.
pub fn decode(units: &[u16]) -> Result<String, WideError> {
    if units.len() > MAX_PATH_UNITS {
        return Err(WideError::TooLong { units: units.len() });
    }
    if let Some(unit) = units.iter().position(|&unit| unit == 0) {
        return Err(WideError::Nul { unit });
    }
    let mut text = String::with_capacity(units.len());
    let mut read = 0;
    for decoded in char::decode_utf16(units.iter().copied()) {
        let character = decoded.map_err(|_| WideError::UnpairedSurrogate { unit: read })?;
        read += character.len_utf16();
        text.push(character);
    }
    Ok(text)
}

/// Checks that `text` can travel as a NUL-terminated UTF-16 string, and counts its units.
///
/// # Errors
///
/// [`WideError::Nul`] or [`WideError::TooLong`].
pub fn check(text: &str) -> Result<usize, WideError> {
    let mut units = 0;
    for character in text.chars() {
        if character == '\0' {
            return Err(WideError::Nul { unit: units });
        }
        units += character.len_utf16();
    }
    if units > MAX_PATH_UNITS { Err(WideError::TooLong { units }) } else { Ok(units) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_pairs_and_refuses_halves() {
        assert_eq!(decode(&[0x41, 0xD83D, 0xDE00]), Ok("A😀".to_owned()));
        assert_eq!(decode(&[0x41, 0xD83D]), Err(WideError::UnpairedSurrogate { unit: 1 }));
        assert_eq!(decode(&[0xD83D, 0xDE00, 0xDE00]), Err(WideError::UnpairedSurrogate { unit: 2 }));
        assert_eq!(decode(&[0x41, 0, 0x42]), Err(WideError::Nul { unit: 1 }));
        assert_eq!(decode(&[]), Ok(String::new()));
    }

    #[test]
    fn the_longest_path_has_32767_units() {
        assert_eq!(decode(&vec![0x41; 32_767]).map(|text| text.len()), Ok(32_767));
        assert_eq!(decode(&vec![0x41; 32_768]), Err(WideError::TooLong { units: 32_768 }));
        assert_eq!(check(&"a".repeat(32_767)), Ok(32_767));
        assert_eq!(check(&"a".repeat(32_768)), Err(WideError::TooLong { units: 32_768 }));
        assert_eq!(check(&"😀".repeat(16_384)), Err(WideError::TooLong { units: 32_768 }));
        assert_eq!(check("a\0b"), Err(WideError::Nul { unit: 1 }));
        assert_eq!(WideError::Nul { unit: 1 }.hresult(), Hresult::E_INVALIDARG);
    }
}
