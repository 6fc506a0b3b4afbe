//! What is wrong with a file of settings, told without what it holds.
//!
//! A parser's own message quotes the line. That line may hold a password, under a key that does not exist or beside a
//! quotation mark that is missing, and messages end up in logs.

use std::ops::Range;

/// A parser's `message` about the bytes at `span` of `text`, with line and column, both counted from 1, the column in
/// characters. Where the text `is_well_formed`, so that only a value is wrong, its key is named, too; where it is not, what
/// looks like a key may be anything. Values are left out.
#[must_use]
pub fn mistake(text: &str, span: Option<Range<usize>>, message: &str, is_well_formed: bool) -> String {
    let message = without_value(message);
    let Some(before) = span.and_then(|span| text.get(..span.start)) else { return message };
    let line = before.matches('\n').count() + 1;
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    let column = in_line.chars().count() + 1;
    let key = in_line.split_once('=').filter(|_| is_well_formed).map(|(key, _)| key.trim());
    match key.filter(|key| !key.is_empty() && key.chars().all(is_of_key)) {
        Some(key) => format!("line {line}, column {column}: {key}: {message}"),
        None => format!("line {line}, column {column}: {message}"),
    }
}

/// Whether a key without quotation marks may have this character.
fn is_of_key(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// The messages that serde makes of a value name its kind, then the value, then what was expected.
fn without_value(message: &str) -> String {
    let names_value = ["invalid type: ", "invalid value: ", "unknown variant "];
    // What was expected comes last; the value may hold the same words.
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if names_value.iter().any(|begin| message.starts_with(begin)) => {
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim_end();
            format!("{kind}, expected {expected}")
        }
        _ => message.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_and_column_count_from_one_in_characters() {
        let text = "name = \"ä\"\nkey = 1\n";
        assert_eq!(mistake(text, Some(0..4), "bad", true), "line 1, column 1: bad");
        assert_eq!(mistake(text, Some(10..11), "bad", true), "line 1, column 10: name: bad");
        assert_eq!(mistake(text, Some(12..15), "bad", true), "line 2, column 1: bad");
        assert_eq!(mistake(text, Some(18..19), "bad", true), "line 2, column 7: key: bad");
        assert_eq!(mistake(text, Some(18..19), "bad", false), "line 2, column 7: bad");
        assert_eq!(mistake(text, Some(text.len()..text.len()), "bad", true), "line 3, column 1: bad");
        assert_eq!(mistake(text, None, "bad", true), "bad");
        assert_eq!(mistake(text, Some(9..10), "inside a character", true), "inside a character");
    }

    #[test]
    fn values_are_left_out_and_keys_are_not() {
        for (message, told) in [
            ("invalid type: integer `123`, expected a string", "invalid type: integer, expected a string"),
            ("invalid type: string \"a, expected b\", expected u32", "invalid type: string, expected u32"),
            ("invalid type: map, expected a string", "invalid type: map, expected a string"),
            ("unknown variant `x`, expected `a` or `b`", "unknown variant, expected `a` or `b`"),
            ("unknown field `pass`, expected `a`", "unknown field `pass`, expected `a`"),
            ("missing field `name`\n", "missing field `name`"),
        ] {
            assert_eq!(without_value(message), told);
        }
    }
}
