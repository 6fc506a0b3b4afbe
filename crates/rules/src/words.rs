//! Numbers of things in words.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_no_daies() {
        assert_eq!(counted(2, "day"), "2 days");
        assert_eq!(counted(2, "key"), "2 keys");
        assert_eq!(counted(0, "certificate"), "0 certificates");
    }
}
