//! Names: of a CA as MS-WCCE writes them (wire.md 5.1), and of files as a peer may give them (wire.md 5.5).

use crate::Generation;

/// Longest sanitized name that is its own short form, in characters (wire.md 5.1).
const SHORT_NAME_LIMIT: usize = 51;
/// Characters of one escape: `!` and four digits.
const ESCAPE_LENGTH: usize = 5;
/// Printable ASCII characters that a sanitized name escapes (wire.md 5.1).
const ESCAPED: &[u8] = b"!\"#%&'()*+,/:;<=>?[\\]^`{|}";
/// Longest file name component, in bytes: what common file systems hold.
const MAX_COMPONENT_BYTES: usize = 255;

/// The sanitized form of a CA's common name: every UTF-16 unit outside printable ASCII, and every one of a list of
/// marks, becomes `!` and four lower-case hexadecimal digits (wire.md 5.1). The result is ASCII.
///
/// ```
/// use certadm_rules::names::sanitize;
///
/// assert_eq!(sanitize("Contoso CA (1)"), "Contoso CA !00281!0029");
/// ```
#[must_use]
pub fn sanitize(common_name: &str) -> String {
    let mut sanitized = String::with_capacity(common_name.len());
    for unit in common_name.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ 0x20..0x7F) if !ESCAPED.contains(&byte) => sanitized.push(char::from(byte)),
            _ => sanitized.push_str(&format!("!{unit:04x}")),
        }
    }
    sanitized
}

/// The folder of a CA with this sanitized name, on any system: Windows drops a dot at the end of a name, so that one is written as an
/// escape, too.
///
/// ```
/// use certadm_rules::names::{folder_name, unsanitize};
///
/// assert_eq!(folder_name("Example Inc."), "Example Inc!002e");
/// assert_eq!(unsanitize("Example Inc!002e"), "Example Inc.");
/// assert_eq!(folder_name("Example CA"), "Example CA");
/// ```
#[must_use]
pub fn folder_name(sanitized: &str) -> String {
    match sanitized.strip_suffix('.') {
        Some(before) => format!("{before}!{:04x}", u16::from(b'.')),
        None => sanitized.to_owned(),
    }
}

/// The name that was sanitized, for people to read. What is no escape stays as it is, so any text may be given.
///
/// ```
/// use certadm_rules::names::unsanitize;
///
/// assert_eq!(unsanitize("Contoso CA !00281!0029"), "Contoso CA (1)");
/// assert_eq!(unsanitize("CertLog"), "CertLog");
/// ```
#[must_use]
pub fn unsanitize(sanitized: &str) -> String {
    let mut units = Vec::with_capacity(sanitized.len());
    let mut rest = sanitized;
    while let Some(escape) = rest.find('!') {
        units.extend(rest[..escape].encode_utf16());
        let digits = rest.get(escape + 1..escape + ESCAPE_LENGTH);
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            Some(unit) => {
                units.push(unit);
                rest = &rest[escape + ESCAPE_LENGTH..];
            }
            None => {
                units.push(u16::from(b'!'));
                rest = &rest[escape + 1..];
            }
        }
    }
    units.extend(rest.encode_utf16());
    // Half a character, which no name has, stays an escape.
    String::from_utf16(&units).unwrap_or_else(|_| sanitized.to_owned())
}

/// The short sanitized form of a CA's common name: the sanitized one up to 51 characters; of a longer one the first 51
/// (an escape cut in two is dropped whole), `-`, and a five-digit hash of the rest (wire.md 5.1).
#[must_use]
pub fn short_sanitized(common_name: &str) -> String {
    let sanitized = sanitize(common_name);
    if sanitized.len() <= SHORT_NAME_LIMIT {
        return sanitized;
    }
    // Sanitized names are ASCII, so a byte is a character; a `!` always starts an escape, being escaped itself.
    let (kept, _) = sanitized.split_at(SHORT_NAME_LIMIT);
    let cut = match kept.rfind('!') {
        Some(escape) if SHORT_NAME_LIMIT < escape + ESCAPE_LENGTH => escape,
        _ => SHORT_NAME_LIMIT,
    };
    let (kept, removed) = sanitized.split_at(cut);
    let hash = removed.bytes().fold(0u16, |hash, byte| hash.rotate_left(1).wrapping_add(u16::from(byte)));
    format!("{kept}-{hash:05}")
}

/// Whether a call that carries `authority` means the CA of this common name: as it is, sanitized, or sanitized and short; without an
/// authority, or with an empty one, it means whatever CA is asked (wire.md 5.1).
///
/// ```
/// use certadm_rules::names::names_ca;
///
/// assert!(names_ca(Some("contoso ca !00281!0029"), "Contoso CA (1)"));
/// assert!(names_ca(Some(""), "Contoso CA (1)") && names_ca(None, "Contoso CA (1)"));
/// assert!(!names_ca(Some("Contoso CA"), "Contoso CA (1)"));
/// ```
#[must_use]
pub fn names_ca(authority: Option<&str>, common_name: &str) -> bool {
    let Some(authority) = authority.filter(|authority| !authority.is_empty()) else { return true };
    [common_name.to_owned(), sanitize(common_name), short_sanitized(common_name)]
        .iter()
        .any(|name| same_ignoring_case(name, authority))
}

/// The part of a UNC path after its last backslash; the whole of a name without one. It may be empty, and it is not
/// safe until [`is_safe_component`] says so.
#[must_use]
pub fn last_component(unc: &str) -> &str {
    unc.rsplit_once('\\').map_or(unc, |(_, last)| last)
}

/// Whether the last component of a UNC path is the file name of an archived log (certbcli.md 8.5). `OpenFile` asks this
/// of names that come before the log list was fetched (D9).
#[must_use]
pub fn names_a_log(unc: &str) -> bool {
    Generation::from_log_file_name(last_component(unc)).is_some()
}

/// Whether two names are the same but for case: Unicode simple case folding, as `OpenFile` and the comparison of CA and
/// host names use it (certbcli.md D9).
#[must_use]
pub fn same_ignoring_case(left: &str, right: &str) -> bool {
    left.chars().map(fold_case).eq(right.chars().map(fold_case))
}

/// One spelling for all the cases of a name: two names fold alike exactly if [`same_ignoring_case`] holds.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars().map(fold_case).collect()
}

/// Up and down again, where the mapping is to one character: `ς` and `σ` meet at `Σ`. The dotless `ı` would meet `i`
/// there, which simple case folding keeps apart.
fn fold_case(character: char) -> char {
    fn single(mut mapped: impl ExactSizeIterator<Item = char>, otherwise: char) -> char {
        match mapped.next() {
            Some(only) if mapped.len() == 0 => only,
            _ => otherwise,
        }
    }
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    if character == 'ı' {
        return character;
    }
    let upper = single(character.to_uppercase(), character);
    single(upper.to_lowercase(), upper)
}

/// Whether a name from a peer may become a file name on any system we run on (wire.md 5.5).
///
/// Refused are: the empty name, `.` and `..`; separators `/` and `\`, the colon (drives, alternate streams) and the
/// marks `< > " | ? *`, which Windows forbids; control characters, NUL among them; a dot or a blank at the end, which
/// Windows drops; the names of Windows devices (`CON`, `NUL`, `COM1`, ...), with any extension and in any case; more than 255
/// bytes.
#[must_use]
pub fn is_safe_component(name: &str) -> bool {
    let forbidden = |character: char| {
        character.is_control() || matches!(character, '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*')
    };
    !name.is_empty()
        && name.len() <= MAX_COMPONENT_BYTES
        && !name.ends_with(['.', ' '])
        && !name.contains(forbidden)
        && !is_device_name(name)
}

/// Whether Windows takes the name for a device: what counts is the part before the first dot, without blanks at its
/// end. The superscript digits one to three count as digits.
fn is_device_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    if ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
    {
        return true;
    }
    let Some((port, number)) = stem.split_at_checked(3) else {
        return false;
    };
    let mut number = number.chars();
    ["COM", "LPT"].iter().any(|device| port.eq_ignore_ascii_case(device))
        && matches!(number.next(), Some('0'..='9' | '¹' | '²' | '³'))
        && number.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sanitizes_marks_controls_and_what_is_not_ascii() {
        let vectors = [
            ("CVI Issuing CA 1", "CVI Issuing CA 1"),
            ("a$-._@~b", "a$-._@~b"),
            ("!", "!0021"),
            ("R&D/CA", "R!0026D!002fCA"),
            ("Müller\tCA\u{7f}", "M!00fcller!0009CA!007f"),
            ("😀", "!d83d!de00"),
            ("", ""),
        ];
        for (name, sanitized) in vectors {
            assert_eq!(sanitize(name), sanitized);
        }
        let escaped =
            (0x20..0x7F).filter(|&byte| sanitize(&char::from(byte).to_string()).len() == ESCAPE_LENGTH);
        assert!(escaped.eq(ESCAPED.iter().copied()));
    }

    #[test]
    fn shortens_names_over_51_characters() {
        let longest = "a".repeat(51);
        assert_eq!(short_sanitized(&longest), longest);
        // The rest is one `b`: 0x62 = 98.
        assert_eq!(short_sanitized(&format!("{longest}b")), format!("{longest}-00098"));
        // "bc": rotate-left(98, 1) + 99 = 295.
        assert_eq!(short_sanitized(&format!("{longest}bc")), format!("{longest}-00295"));
        assert_eq!(short_sanitized("&").len(), ESCAPE_LENGTH);
    }

    #[test]
    fn a_cut_escape_goes_to_the_rest_whole() {
        // The escape stands at 46..51: it is kept whole.
        let name = format!("{}&x", "a".repeat(46));
        assert_eq!(short_sanitized(&name), format!("{}!0026-00120", "a".repeat(46)));
        // One character later it is cut, and all five characters are hashed: 21 30 30 32 36.
        let name = format!("{}&", "a".repeat(47));
        let hash = b"!0026".iter().fold(0u32, |hash, &byte| hash * 2 + u32::from(byte));
        assert_eq!(short_sanitized(&name), format!("{}-{hash:05}", "a".repeat(47)));
        // The last place where an escape is cut.
        let name = format!("{}&", "a".repeat(50));
        assert_eq!(short_sanitized(&name), format!("{}-{hash:05}", "a".repeat(50)));
    }

    #[test]
    fn the_hash_rotates_in_16_bits() {
        // 13 times `z` (0x7A): the sum no longer fits 16 bits, so the top bit has to come back at the bottom.
        let mut expected = 0u32;
        for _ in 0..13 {
            expected = ((((expected << 1) | (expected >> 15)) & 0xFFFF) + 0x7A) & 0xFFFF;
        }
        let name = "a".repeat(51) + &"z".repeat(13);
        assert_eq!(short_sanitized(&name), format!("{}-{expected:05}", "a".repeat(51)));
    }

    #[test]
    fn a_ca_is_meant_by_each_of_its_names_and_by_none() {
        let long = format!("Grüne CA (1) {}", "a".repeat(60));
        for given in
            [None, Some(String::new()), Some(long.to_uppercase()), Some(sanitize(&long).to_lowercase())]
        {
            assert!(names_ca(given.as_deref(), &long), "{given:?}");
        }
        assert!(names_ca(Some(&short_sanitized(&long)), &long));
        for other in [" ", "Grüne CA", "Grüne CA (1)", &long[1..]] {
            assert!(!names_ca(Some(other), &long), "{other:?}");
        }
    }

    #[test]
    fn takes_what_stands_after_the_last_backslash() {
        let vectors = [
            (r"\\h\C$\log\edb00001.log", "edb00001.log"),
            (r"\\h\C$\log\", ""),
            (r"edb00001.log", "edb00001.log"),
            (r"\\h\s\a/b", "a/b"),
            ("", ""),
        ];
        for (path, component) in vectors {
            assert_eq!(last_component(path), component);
        }
        assert!(names_a_log(r"\\h\s\EDB0001A.LOG"));
        assert!(!names_a_log(r"\\h\s\edb.log"));
        assert!(!names_a_log(r"\\h\s\edb00001.log\"));
    }

    #[test]
    fn case_is_folded_one_character_to_one() {
        let same = [
            (r"\\HOST\C$\Edb00001.LOG", r"\\host\c$\edb00001.log"),
            ("MÜLLER", "müller"),
            ("ΌΣΟΣ", "όσος"),
            ("K", "k"),
            ("ẞ", "ß"),
            ("Ⴀ", "ⴀ"),
        ];
        for (left, right) in same {
            assert!(same_ignoring_case(left, right), "{left} {right}");
            assert_eq!(folded(left), folded(right));
        }
        for (left, right) in
            [("ß", "ss"), ("ı", "i"), ("ı", "I"), ("İ", "i"), ("a", "ab"), ("a/b", r"a\b"), ("e\u{301}", "é")]
        {
            assert!(!same_ignoring_case(left, right), "{left} {right}");
            assert_ne!(folded(left), folded(right));
        }
    }

    #[test]
    fn folding_a_fold_changes_nothing() {
        for character in '\0'..=char::MAX {
            assert_eq!(fold_case(fold_case(character)), fold_case(character), "{character:?}");
        }
    }

    #[test]
    fn accepts_the_names_of_real_sets() {
        let longest = "a".repeat(255);
        let names = [
            "CVI Issuing CA 1.edb",
            "edb00001.log",
            "a",
            ".hidden",
            "CON1",
            "COM",
            "COM10",
            "LPTX",
            "Zertifikat ü.edb",
            "console.log",
            "a.con",
            "com.log",
            &longest,
        ];
        for name in names {
            assert!(is_safe_component(name), "{name:?}");
        }
    }

    #[test]
    fn refuses_names_that_are_more_than_a_name() {
        let too_long = "a".repeat(256);
        let names = [
            "",
            ".",
            "..",
            "...",
            "a.",
            "a ",
            " ",
            "a/b",
            r"a\b",
            "/",
            r"..\x",
            "../x",
            "C:",
            "a:b",
            "a.edb:stream",
            "a\0b",
            "a\nb",
            "\u{1}",
            "a\u{7f}",
            "a\u{85}",
            "con",
            "CON",
            "nul.txt",
            "NUL.tar.gz",
            "AUX .log",
            "prn",
            "COM1",
            "com9.edb",
            "LPT0",
            "lpt³",
            "COM¹.log",
            "conin$",
            "CONOUT$",
            "a*",
            "a?",
            "<a",
            "a>",
            "a|b",
            "\"a\"",
            r"\\?\x",
            &too_long,
        ];
        for name in names {
            assert!(!is_safe_component(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn sanitized_names_are_safe_ascii(name in "\\PC{0,40}") {
            let sanitized = sanitize(&name);
            prop_assert!(sanitized.bytes().all(|byte| matches!(byte, 0x20..0x7F)));
            let short = short_sanitized(&name);
            prop_assert!(short.len() <= 57);
            let file = format!("{short}.edb");
            prop_assert!(is_safe_component(&file) || is_device_name(&file));
        }

        #[test]
        fn sanitizing_loses_nothing(left in any::<String>(), right in any::<String>()) {
            prop_assert_eq!(sanitize(&left) == sanitize(&right), left == right);
        }

        #[test]
        fn what_was_sanitized_can_be_read_again(name in any::<String>()) {
            prop_assert_eq!(unsanitize(&sanitize(&name)), name);
        }

        #[test]
        fn any_text_can_be_read(text in "[!0-9a-fA-FxÜ€]{0,20}") {
            let read = unsanitize(&text);
            prop_assert!(text.contains('!') || read == text);
        }

        #[test]
        fn a_safe_component_is_its_own_last_component(name in "\\PC{1,20}") {
            if is_safe_component(&name) {
                let path = format!(r"\\host\share\{name}");
                prop_assert_eq!(last_component(&path), name);
            }
        }
    }
}
