//! Licence expressions, as far as the packages of crates.io use them.
//!
//! SPDX annex D: licences joined by `AND`, `OR` (weaker) and `WITH` (stronger), with parentheses. The older `/` means `OR`.

use std::collections::BTreeSet;

/// Whether an expression can be satisfied with allowed licences alone; nothing when it is malformed.
///
/// A licence with an exception is allowed when the licence is: an exception only adds permissions.
pub(crate) fn is_satisfied(expression: &str, allowed: &BTreeSet<String>) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_whitespace().peekable(), allowed };
    let satisfied = parser.any(0)?;
    parser.words.next().is_none().then_some(satisfied)
}

/// Deeper parentheses than this are no licence.
const MAX_DEPTH: u32 = 16;

struct Parser<'a, I: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<I>,
    allowed: &'a BTreeSet<String>,
}

impl<'a, I: Iterator<Item = &'a str>> Parser<'a, I> {
    fn any(&mut self, depth: u32) -> Option<bool> {
        let mut satisfied = self.all(depth)?;
        while self.words.next_if_eq(&"OR").is_some() {
            satisfied |= self.all(depth)?;
        }
        Some(satisfied)
    }

    fn all(&mut self, depth: u32) -> Option<bool> {
        let mut satisfied = self.one(depth)?;
        while self.words.next_if_eq(&"AND").is_some() {
            satisfied &= self.one(depth)?;
        }
        Some(satisfied)
    }

    fn one(&mut self, depth: u32) -> Option<bool> {
        let word = self.words.next()?;
        if word == "(" {
            let satisfied = if depth < MAX_DEPTH { self.any(depth + 1)? } else { return None };
            return self.words.next_if_eq(&")").map(|_| satisfied);
        }
        if !is_name(word) {
            return None;
        }
        if self.words.next_if_eq(&"WITH").is_some() && !is_name(self.words.next()?) {
            return None;
        }
        Some(self.allowed.contains(word))
    }
}

fn is_name(word: &str) -> bool {
    !matches!(word, "AND" | "OR" | "WITH" | "(" | ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_expressions() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned).into();
        let cases = [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT OR GPL-3.0-only", Some(true)),
            ("MIT/Apache-2.0", Some(true)),
            ("Apache-2.0 / GPL-2.0", Some(true)),
            ("MIT AND GPL-3.0-only", Some(false)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("(MIT OR Apache-2.0) AND NCSA", Some(false)),
            ("NCSA OR MIT AND GPL-2.0", Some(false)),
            ("MIT OR NCSA AND GPL-2.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", Some(true)),
            ("GPL-2.0 WITH Classpath-exception-2.0", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("MIT Apache-2.0", None),
            ("(MIT", None),
            ("MIT)", None),
            ("OR MIT", None),
            ("MIT WITH", None),
        ];
        for (expression, satisfied) in cases {
            assert_eq!(is_satisfied(expression, &allowed), satisfied, "{expression:?}");
        }
        assert_eq!(is_satisfied(&"(".repeat(100_000), &allowed), None);
    }
}
