//! Numbers of things in words, and words of commands.

/// `1 log`, `2 logs`, `0 entries`: a number with its noun.
///
/// ```
/// use certadm_rules::words::counted;
///
/// assert_eq!(counted(1, "log"), "1 log");
/// assert_eq!(counted(0, "entry"), "0 entries");
/// ```
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

/// A number of bytes for a person, in the largest unit of which there is one: `512 B`, `64.00 KiB`, `1.57 GiB`.
///
/// ```
/// use certadm_rules::words::human_bytes;
///
/// assert_eq!(human_bytes(1023), "1023 B");
/// assert_eq!(human_bytes(65_536), "64.00 KiB");
/// ```
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    let (mut unit, mut name) = (1_u64, "B");
    for larger in LARGER_UNITS {
        if bytes / unit < 1024 {
            break;
        }
        (unit, name) = (unit * 1024, larger);
    }
    if unit == 1 {
        return format!("{bytes} {name}");
    }
    let hundredths = (u128::from(bytes) * 100 + u128::from(unit) / 2) / u128::from(unit);
    format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
}

/// A text as one word of a command that a person copies into a shell: as it is where no shell finds anything in it, else in quotes.
///
/// ```
/// use certadm_rules::words::shell_word;
///
/// assert_eq!(shell_word("/srv/ca"), "/srv/ca");
/// # #[cfg(not(windows))]
/// assert_eq!(shell_word("/srv/Example CA"), "'/srv/Example CA'");
/// # #[cfg(not(windows))]
/// assert_eq!(shell_word("O'Neil"), r"'O'\''Neil'");
/// ```
#[must_use]
pub fn shell_word(text: impl std::fmt::Display) -> String {
    let text = text.to_string();
    let is_plain = |letter: char| {
        letter.is_ascii_alphanumeric() || "-_./:=@,+%".contains(letter) || cfg!(windows) && letter == '\\'
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    match cfg!(windows) {
        // No name there has a double quote in it.
        true => format!("\"{text}\""),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Units above the byte, each 1024 times the one before.
const LARGER_UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_no_daies() {
        assert_eq!(counted(2, "day"), "2 days");
        assert_eq!(counted(2, "key"), "2 keys");
        assert_eq!(counted(0, "certificate"), "0 certificates");
    }

    #[test]
    fn sizes_have_the_largest_unit_that_fits() {
        for (bytes, told) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_685_774_663, "1.57 GiB"),
            ((1 << 20) - 1, "1024.00 KiB"),
            (1 << 40, "1.00 TiB"),
            (u64::MAX, "16.00 EiB"),
        ] {
            assert_eq!(human_bytes(bytes), told);
        }
    }
}
