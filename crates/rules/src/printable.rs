//! Text from elsewhere, made fit to be shown: it must steer no terminal, and look like nothing that it is not.

use std::borrow::Cow;

/// Text as one line for a person. A character that steers, turns the direction of writing round, or cannot be seen stands as
/// its number, and the end of a line as `; `.
///
/// ```
/// use certadm_rules::printable::printable;
///
/// assert_eq!(printable("CN=a\u{1b}[2J\nO=\u{202e}b"), "CN=a\\u{1b}[2J; O=\\u{202e}b");
/// ```
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |letter| if letter == '\n' { Some("; ") } else { None })
}

/// As [`printable`], for text that has lines of its own: their ends stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |letter| if letter == '\n' { Some("\n") } else { None })
}

/// Whether a character is not to be shown as it is: the control characters, those that set the direction of writing, those
/// without width, and the separators of lines and paragraphs. A joiner between letters is among them, because it hides
/// as well as any other.
#[must_use]
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn escape(text: &str, instead: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match instead(letter) {
            Some(known) => out.push_str(known),
            None if is_hidden(letter) => out.extend(letter.escape_default()),
            None => out.push(letter),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_is_left_and_plain_text_stays() {
        for plain in ["", "CN=Beispiel ü, O=例", "a b\u{a0}c", "😀"] {
            assert_eq!(printable(plain), plain);
        }
        for letter in
            ['\0', '\t', '\r', '\u{1b}', '\u{7f}', '\u{9b}', '\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}']
        {
            let text = format!("a{letter}b");
            let shown = printable(&text);
            assert!(!shown.chars().any(is_hidden), "{shown:?}");
            assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown:?}");
        }
        assert_eq!(printable_lines("a\nb\rc"), "a\nb\\rc");
    }

    /// The property Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt): what is shown as nothing at all.
    #[test]
    fn what_unicode_shows_as_nothing_is_hidden() {
        for (first, last) in [
            (0xad, 0xad),
            (0x34f, 0x34f),
            (0x61c, 0x61c),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x200b, 0x200f),
            (0x202a, 0x202e),
            (0x2060, 0x206f),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfff8),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0000, 0xe0fff),
        ] {
            for letter in (first..=last).filter_map(char::from_u32) {
                assert!(is_hidden(letter), "{:x}", u32::from(letter));
            }
        }
    }
}
