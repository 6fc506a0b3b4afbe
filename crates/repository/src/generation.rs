//! The repositories of one CA in a vault: the first, and those that follow it after the theft of a key (repository.md 7). The
//! second one of `Example CA` is in the folder `Example CA!n2`. No sanitized name ends so, because four hexadecimal digits
//! follow each `!` of one.

use std::io;

/// So many repositories of one CA may follow one another.
pub(crate) const MOST: u32 = 999;

/// What stands between the CA's name and the number.
const MARK: &str = "!n";

/// The CA's name and the number that is written behind it, if one is: `Example CA!n2`.
pub(crate) fn split(name: &str) -> (&str, Option<u32>) {
    let split = name.rsplit_once(MARK).and_then(|(ca, digits)| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let number = digits.parse::<u32>().ok().filter(|number| plain && *number <= MOST)?;
        Some((ca, number))
    });
    split.map_or((name, None), |(ca, number)| (ca, Some(number)))
}

/// The name of a repository among those of its CA.
pub(crate) fn name(ca: &str, number: u32) -> String {
    format!("{ca}{MARK}{number}")
}

/// The folder of a repository. That of the first has the CA's name alone.
pub(crate) fn folder(ca: &str, number: u32) -> String {
    match number {
        1 => ca.to_owned(),
        number => name(ca, number),
    }
}

/// Whether a folder of a vault counts as a repository, by what the storage says of its `config`. One that follows another one and
/// may not be looked at counts: who passes it over would store under the key that was stolen. Any other one may be a stranger's.
///
/// # Errors
/// What the storage says.
pub(crate) fn counts(folder: &str, config: io::Result<bool>) -> io::Result<bool> {
    match config {
        Err(denied) if denied.kind() == io::ErrorKind::PermissionDenied => Ok(split(folder).1.is_some()),
        config => config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_a_name_is_told_from_the_name() {
        for (text, ca, number) in [
            ("Example CA", "Example CA", None),
            ("Example CA!n1", "Example CA", Some(1)),
            ("CA !00281!0029!n12", "CA !00281!0029", Some(12)),
            ("x!n2!n3", "x!n2", Some(3)),
            ("x!n", "x!n", None),
            ("x!n02", "x!n02", None),
            ("x!n0", "x!n0", None),
            ("x!n-1", "x!n-1", None),
            ("x!n1000", "x!n1000", None),
            ("x!0021n2", "x!0021n2", None),
        ] {
            assert_eq!(split(text), (ca, number), "{text}");
        }
        assert_eq!(
            (folder("a", 1), folder("a", 2), name("a", 1)),
            ("a".into(), "a!n2".into(), "a!n1".into())
        );
    }
    #[test]
    fn a_repository_that_follows_and_may_not_be_looked_at_is_not_passed_over() {
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(counts("Example CA!n2", denied()).unwrap());
        assert!(!counts("lost+found", denied()).unwrap(), "a stranger's");
        assert!(!counts("Example CA!n2", Ok(false)).unwrap() && counts("Example CA", Ok(true)).unwrap());
        assert!(counts("Example CA", Err(io::ErrorKind::TimedOut.into())).is_err(), "it may be one");
    }
}
