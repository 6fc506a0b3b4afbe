//! Base64 armour for certificates and lists (RFC 7468).

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LINE: usize = 64;

/// Wraps DER bytes in PEM lines of 64 characters under a label such as `CERTIFICATE`.
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE / 4 * 3) {
        for group in line.chunks(3) {
            let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for index in 0..4 {
                // Six bits.
                let six = crate::bytes::index(bits >> (18 - 6 * index) & 63);
                let is_padding = group.len() < crate::bytes::index(index);
                text.push(if is_padding { '=' } else { char::from(ALPHABET[six]) });
            }
        }
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_line_length() {
        assert_eq!(pem("X", b"abc"), "-----BEGIN X-----\nYWJj\n-----END X-----\n");
        assert_eq!(pem("X", b"ab"), "-----BEGIN X-----\nYWI=\n-----END X-----\n");
        assert_eq!(pem("X", b"a"), "-----BEGIN X-----\nYQ==\n-----END X-----\n");
        let long = pem("X", &[0; 100]);
        assert!(long.lines().all(|line| line.len() <= 64));
        assert_eq!(long.lines().nth(1).map(str::len), Some(64));
    }
}
