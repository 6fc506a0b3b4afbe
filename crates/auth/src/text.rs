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

/// The capital of one character as Windows has it (MS-NLMP 3.3.2; the recommended up-case table of the exFAT specification,
/// 7.2.5.1, has the same letters): one 16-bit unit for one. A letter whose capital is that of another letter stays, such as
/// `ı`, `µ` and `ſ`: else `ı` would be an `I`. So do the letters of scripts whose capitals are younger than that table.
pub(crate) fn simple_upper(character: char) -> char {
    /// Georgian and Cherokee: capitals since Unicode 11 and 8.
    const WITHOUT_CAPITALS: [std::ops::RangeInclusive<char>; 3] =
        ['\u{10D0}'..='\u{10FF}', '\u{13F8}'..='\u{13FD}', '\u{AB70}'..='\u{ABBF}'];
    let capital = only(character.to_uppercase());
    // The sigma at the end of a word is the one letter that shares its capital on Windows, too.
    let is_of = |capital: char| character == 'ς' || only(capital.to_lowercase()) == Some(character);
    capital
        .filter(|capital| character.len_utf16() == 1 && capital.len_utf16() == 1 && is_of(*capital))
        .filter(|_| !WITHOUT_CAPITALS.iter().any(|range| range.contains(&character)))
        .unwrap_or(character)
}

/// The one character of a mapping; none where it has several.
fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    first.filter(|_| mapped.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_have_the_capitals_of_windows() {
        let mapped = [
            ('a', 'A'),
            ('ö', 'Ö'),
            ('ÿ', 'Ÿ'),
            ('ž', 'Ž'),
            ('σ', 'Σ'),
            ('ς', 'Σ'),
            ('ж', 'Ж'),
            ('\u{2C30}', '\u{2C00}'),
            ('\u{FF41}', '\u{FF21}'),
        ];
        for (small, capital) in mapped {
            assert_eq!((simple_upper(small), simple_upper(capital)), (capital, capital));
        }
        // Those that are capitals, or share the capital of another letter, or have none there.
        for same in "Aß\u{B5}\u{131}\u{130}\u{17F}\u{1C5}\u{345}\u{3D0}\u{3F1}\u{10D0}\u{10FF}\u{13F8}\u{1E9B}\u{AB70}\u{10428}".chars() {
            assert_eq!(simple_upper(same), same, "{same:?}");
        }
    }
}
