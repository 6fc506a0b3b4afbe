//! Lists of patterns as OpenSSH has them (ssh_config(5), PATTERNS).

/// Whether a list takes a text: one of its patterns does, and none that begins with `!`. Patterns are separated by commas;
/// `*` stands for any characters, `?` for one.
pub(super) fn takes(list: &str, text: &str) -> bool {
    let mut taken = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => taken |= fits(pattern.as_bytes(), text.as_bytes()),
        }
    }
    taken
}

/// In time that grows with the product of the lengths: after a mismatch only the last `*` is tried again.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, place));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[place] => (at, place) = (at + 1, place + 1),
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                (at, place) = (star + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_openssh_has_them() {
        for (list, text, expected) in [
            ("a@b", "a@b", true),
            ("a@b", "A@b", false),
            ("*@example.com", "x@example.com", true),
            ("*@example.com", "x@example.org", false),
            ("x,*@example.com,!evil@example.com", "evil@example.com", false),
            ("!evil@example.com", "good@example.com", false),
            ("!evil@example.com,*", "good@example.com", true),
            ("b?ckup", "backup", true),
            ("b?ckup", "bckup", false),
            ("*", "", true),
            ("", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("**a", "bba", true),
            ("a**", "a", true),
        ] {
            assert_eq!(takes(list, text), expected, "{list} {text}");
        }
        let long = "a".repeat(20_000);
        assert!(!takes(&format!("{}b", "a*".repeat(200)), &long), "in bounded time");
    }
}
