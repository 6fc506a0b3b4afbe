//! Recovery codes: 24 words that a person can write down, dictate and type again (repository.md 7).
//!
//! They are made as BIP-39 makes them: 256 random bits and 8 bits of their SHA-256, 11 bits a word, out of its list of 2048 English
//! words (`words.txt`), whose first four letters differ. So what was written down wrongly is noticed before anything is opened.
//! The password of the repository is the words themselves with a space between each two, as stock restic takes them.

use certadm_rules::words::counted;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::Result;

/// The words, one a line, sorted.
static LIST: &str = include_str!("words.txt");
/// Words of a code.
pub(crate) const WORDS: usize = 24;
/// Random bytes of a code.
const RANDOM: usize = 32;
/// A text that has so many words of the list is meant to be a code.
const MEANT: usize = 20;

/// A password that a person can write down and type again. Stock restic opens the repository with it.
///
/// # Errors
/// [`Error::File`](crate::Error::File) when the system has no random numbers.
pub fn recovery_code() -> Result<Zeroizing<String>> {
    let mut random = Zeroizing::new([0_u8; RANDOM]);
    getrandom::fill(random.as_mut_slice()).map_err(|error| certadm_files::Error::Io {
        action: "read random numbers from",
        path: "the system".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(code_of(&random))
}

/// What a text is that should open a repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A recovery code, as it opens the repository.
    Code(Zeroizing<String>),
    /// Nearly a recovery code. The sentence says what is wrong, and names no word.
    Nearly(String),
    /// A password of somebody's own.
    Password,
}

/// Reads a code as people write it: with numbers before the words, in several lines, in capitals.
pub(crate) fn read(text: &str) -> Typed {
    let words: Vec<Zeroizing<String>> = text
        .split_whitespace()
        .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()).trim_matches(['.', ',', ')', ':']))
        .filter(|word| !word.is_empty())
        .map(|word| Zeroizing::new(word.to_ascii_lowercase()))
        .collect();
    let list: Vec<&str> = LIST.lines().collect();
    let numbers: Vec<Option<usize>> =
        words.iter().map(|word| list.binary_search(&word.as_str()).ok()).collect();
    let known = numbers.iter().flatten().count();
    if known < MEANT {
        return Typed::Password;
    }
    if words.len() != WORDS {
        return Typed::Nearly(format!(
            "it has {}, and a recovery code has {WORDS}",
            counted(words.len() as u64, "word")
        ));
    }
    if let Some(place) = numbers.iter().position(Option::is_none) {
        return Typed::Nearly(format!("its word {} is in no recovery code", place + 1));
    }
    let mut bits =
        numbers.iter().flatten().flat_map(|number| (0..11).rev().map(move |bit| number >> bit & 1 == 1));
    let mut random = Zeroizing::new([0_u8; RANDOM]);
    for byte in random.iter_mut() {
        *byte = bits.by_ref().take(8).fold(0, |byte, bit| byte << 1 | u8::from(bit));
    }
    let code = code_of(&random);
    match code.split(' ').eq(words.iter().map(|word| word.as_str())) {
        true => Typed::Code(code),
        false => Typed::Nearly(
            "its words are no recovery code: one is another one, or two have changed places".to_owned(),
        ),
    }
}

fn code_of(random: &[u8; RANDOM]) -> Zeroizing<String> {
    let list: Vec<&str> = LIST.lines().collect();
    let sum = Sha256::digest(random)[0];
    let mut code = Zeroizing::new(String::with_capacity(WORDS * 9));
    let (mut held, mut bits) = (0_usize, 0);
    for byte in random.iter().chain([&sum]) {
        held = (held << 8 | usize::from(*byte)) & 0xf_ffff;
        bits += 8;
        if 11 <= bits {
            bits -= 11;
            if !code.is_empty() {
                code.push(' ');
            }
            // 11 bits are less than 2048, and so many words there are.
            code.push_str(list.get(held >> bits & 0x7ff).copied().unwrap_or_default());
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_words_that_nobody_takes_for_another() {
        let list: Vec<&str> = LIST.lines().collect();
        assert_eq!(list.len(), 2048);
        assert!(
            list.is_sorted() && list.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        );
        let beginnings: std::collections::BTreeSet<&str> =
            list.iter().map(|word| &word[..word.len().min(4)]).collect();
        assert_eq!(beginnings.len(), 2048);
        // No word is so long that the code is moved in memory while it is put together.
        assert!(list.iter().all(|word| word.len() <= 8));
    }

    /// The vectors that BIP-39 gives for 256 bits.
    #[test]
    fn codes_are_those_of_bip_39() {
        for (byte, first, last) in [
            (0x00, "abandon", "art"),
            (0x7f, "legal", "title"),
            (0x80, "letter", "bless"),
            (0xff, "zoo", "vote"),
        ] {
            let code = code_of(&[byte; RANDOM]);
            let words: Vec<&str> = code.split(' ').collect();
            assert_eq!((words.len(), words[0], words[WORDS - 1]), (WORDS, first, last));
            assert_eq!(read(&code), Typed::Code(code.clone()));
        }
    }

    #[test]
    fn a_code_is_read_as_people_write_it() {
        for _ in 0..20 {
            let code = recovery_code().unwrap();
            let numbered: String = code
                .split(' ')
                .enumerate()
                .map(|(place, word)| format!("{}. {word}\r\n", place + 1))
                .collect();
            let close: String =
                code.split(' ').enumerate().map(|(place, word)| format!("{}){word}, ", place + 1)).collect();
            for text in [code.to_uppercase(), code.replace(' ', "  \n"), numbered, close] {
                assert_eq!(read(&text), Typed::Code(code.clone()), "{text}");
            }
        }
        assert_ne!(recovery_code().unwrap(), recovery_code().unwrap());
    }

    #[test]
    fn what_was_written_down_wrongly_is_told_without_a_word_of_it() {
        let code = code_of(&[0x7f; RANDOM]);
        let words: Vec<&str> = code.split(' ').collect();
        let short = words[1..].join(" ");
        let typo = code.replacen("winner", "wimmer", 1);
        let another = code.replacen("winner", "zoo", 1);
        let mut swapped = words.clone();
        swapped.swap(0, 1);
        for (text, told) in [
            (short.as_str(), "it has 23 words"),
            (&typo, "its word 2 is in no"),
            (&another, "are no recovery code"),
            (&swapped.join(" "), "are no recovery code"),
        ] {
            let Typed::Nearly(detail) = read(text) else { panic!("{text}") };
            assert!(detail.contains(told), "{detail}");
            assert!(
                !detail.contains("winner") && !detail.contains("wimmer") && !detail.contains("legal"),
                "{detail}"
            );
        }
        for own in ["", "a b", "correct horse battery staple", "abcde-fghjk-mnpqr", &"hunter ".repeat(24)] {
            assert_eq!(read(own), Typed::Password, "{own}");
        }
    }
}
