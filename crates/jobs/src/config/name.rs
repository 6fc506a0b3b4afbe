//! Names of CAs, jobs and those who are told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A name that a section has, such as `web` in `[ca.web]`: letters, digits, `-`, `_` and `.`. It names files, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_mark = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
        let is_name = (1..=64).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte));
        match (is_name, text) {
            (true, "all") => Err("`all` stands for every CA, and names none".to_owned()),
            (true, _) => Ok(Self(text.to_owned())),
            (false, _) => {
                Err("a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit"
                    .to_owned())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_name_a_file() {
        assert_eq!("ca-1.corp_x".parse::<Name>().unwrap().as_str(), "ca-1.corp_x");
        for wrong in ["", ".", "..", "-x", "a/b", "a b", "all", "ä", "a\0", &"x".repeat(65)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong:?}");
        }
    }
}
