//! Sizes as a person writes them.

use certadm_files::Pace;

/// Bytes out of `32MiB`, `1GiB` or `65536`: a whole number, and a unit that counts by 1024.
///
/// # Errors
/// A sentence for the person.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wanted = || "give a size such as 32MiB or 1GiB".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1_u64,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wanted()),
    };
    let number: u64 = digits.parse().map_err(|_| wanted())?;
    number.checked_mul(unit).ok_or_else(|| "this is more than any file can have".to_owned())
}

/// Bytes a second out of `10MiB/s` or `10MiB`.
///
/// # Errors
/// A sentence for the person.
pub(crate) fn parse_speed(text: &str) -> Result<u64, String> {
    match parse_size(text.strip_suffix("/s").unwrap_or(text)) {
        Ok(speed @ Pace::SLOWEST..) => Ok(speed),
        Ok(_) => Err("a speed is 16KiB/s at least".to_owned()),
        Err(_) => Err("give a speed such as 10MiB/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_size, parse_speed};

    #[test]
    fn a_speed_is_a_size_a_second() {
        assert_eq!(parse_speed("10MiB/s"), Ok(10 << 20));
        assert_eq!(parse_speed("65536"), Ok(65536));
        for text in ["", "/s", "fast", "10MiB/h", "1k", "0"] {
            assert!(parse_speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn units_count_by_1024() {
        for (text, bytes) in
            [("65536", 65536), ("1k", 1024), ("32MiB", 32 << 20), ("1gib", 1 << 30), ("2T", 2 << 40)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1.5GiB", "-1", "1 GiB", "1GB", "99999999T", "1\u{e9}"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
