//! What an object in the folder `keys` has to be before a password is tried at it. Whoever may add an object may add one there, and the
//! engine takes what it says on trust: how much memory and time its password costs, and lengths.

use rustic_core::repofile::KeyFile;

/// No object with a key is longer, in bytes.
pub(crate) const MAX_KEY: u64 = 64 << 10;
/// Memory for scrypt in bytes, 256 MiB. The engine's own keys take half of it, and those of restic less.
const MOST_MEMORY: u128 = 256 << 20;
/// How often scrypt goes through its memory, one time after another.
const MOST_PASSES: u32 = 16;
/// What seals a key takes so many bytes by itself: a number before it, and a sum behind it.
const SEAL: usize = 32;

/// What keeps the password of a key from opening anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Its object has other bytes than were stored.
    Changed,
    /// Its object was stored so, and is no key. The text says why.
    NoKey(String),
}

/// Why the content of an object is no key that a password is tried at; `None` if it is one.
pub(crate) fn refusal(content: &[u8]) -> Option<String> {
    let key: KeyFile = match serde_json::from_slice(content) {
        Ok(key) => key,
        Err(_) => return Some("it has not what a key has".to_owned()),
    };
    let KeyFile { n: cost, r: size, p: passes, .. } = key;
    if key.kdf != "scrypt" || cost < 2 || !cost.is_power_of_two() || size == 0 || passes == 0 {
        return Some("its parameters for scrypt are invalid".to_owned());
    }
    // Two tables: one of a block for each step of a pass, and one of a block for each pass.
    let memory = 128 * u128::from(size) * u128::from(cost.max(passes));
    if MOST_MEMORY < memory || MOST_PASSES < passes {
        return Some(format!(
            "scrypt would take {memory} bytes {passes} times; at most {MOST_MEMORY} bytes and {MOST_PASSES} times are accepted"
        ));
    }
    (key.data.len() <= SEAL).then(|| "it has no sealed key in it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cost: u64, size: u64, passes: u64, data: usize) -> Option<String> {
        // Each four characters are three bytes.
        let data = "AAAA".repeat(data / 3);
        let text =
            format!(r#"{{"kdf":"scrypt","N":{cost},"r":{size},"p":{passes},"salt":"AAAA","data":"{data}"}}"#);
        refusal(text.as_bytes())
    }

    #[test]
    fn a_key_that_asks_for_too_much_or_for_what_does_not_exist_is_none() {
        for (cost, size, passes) in [(1 << 17, 8, 1), (1 << 15, 8, 16), (1 << 18, 8, 16), (2, 1, 1)] {
            assert_eq!(of(cost, size, passes, 150), None, "{cost} {size} {passes}");
        }
        for (cost, size, passes) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (1 << 17, 0, 1), (1 << 17, 8, 0)] {
            assert!(of(cost, size, passes, 150).unwrap().contains("invalid"), "{cost} {size} {passes}");
        }
        let most = u64::from(u32::MAX);
        for (cost, size, passes) in [
            (1 << 17, 8, 17),
            (1 << 18, 9, 1),
            (1 << 31, 64, 1),
            (2, most, 1),
            (2, 1, most),
            (1 << 31, most, most),
        ] {
            assert!(of(cost, size, passes, 150).unwrap().contains("at most"), "{cost} {size} {passes}");
        }
        for data in [0, 3, 30] {
            assert!(of(1 << 17, 8, 1, data).unwrap().contains("no sealed key"), "{data}");
        }
        for content in
            ["", "{}", "[]", r#"{"x":1}"#, r#"{"kdf":"scrypt","N":131072,"r":8,"p":-1,"salt":"","data":""}"#]
        {
            assert!(refusal(content.as_bytes()).unwrap().contains("not what a key has"), "{content}");
        }
    }
}
