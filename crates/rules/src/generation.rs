//! Log generations and the file names made of them (certbcli.md 8.5, D26).

use std::fmt;
use std::num::NonZeroU32;

/// The number of a log file: 1 for the first log a database ever had, one more for each that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(NonZeroU32);

/// The first generation whose file name has eight digits instead of five (certbcli.md 8.5).
const FIRST_OF_EIGHT_DIGITS: u32 = 0x10_0000;
/// What log file names begin with (certbcli.md 4.2, `wszDBBASENAMEPARM`).
const BASE_NAME: &str = "edb";
/// What log file names end with (certbcli.md 4.2, `wszLOGFILENAMEEXT`).
const EXTENSION: &str = ".log";

impl Generation {
    /// The generation of a database's first log.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The generation with this number, or nothing for 0, which no log has.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number: 1 or more.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The one after it, or nothing when the numbers are used up (code 0xC8000207).
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The one before it, or nothing for the first.
    #[must_use]
    pub const fn previous(self) -> Option<Self> {
        Self::new(self.number() - 1)
    }

    /// The name of its archived log file: five lower-case hexadecimal digits, eight from generation 0x100000 on.
    ///
    /// ```
    /// use certadm_rules::Generation;
    ///
    /// assert_eq!(Generation::FIRST.log_file_name(), "edb00001.log");
    /// ```
    #[must_use]
    pub fn log_file_name(self) -> String {
        let width = if self.number() < FIRST_OF_EIGHT_DIGITS { 5 } else { 8 };
        format!("{BASE_NAME}{self:0width$x}{EXTENSION}")
    }

    /// The generation that an archived log's file name tells, in any case of letters; nothing for any other name, the
    /// current log `edb.log` among them.
    ///
    /// Each generation has exactly one name: five digits below 0x100000, eight from there on. Another count of digits,
    /// an eight-digit name that five digits could have told, and generation 0 are refused, so that no two files of a
    /// folder can claim the same generation.
    #[must_use]
    pub fn from_log_file_name(name: &str) -> Option<Self> {
        let (base, rest) = name.split_at_checked(BASE_NAME.len())?;
        let (digits, extension) = rest.split_at_checked(rest.len().checked_sub(EXTENSION.len())?)?;
        let named_like_a_log = base.eq_ignore_ascii_case(BASE_NAME)
            && extension.eq_ignore_ascii_case(EXTENSION)
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !named_like_a_log {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let canonical = match digits.len() {
            5 => true,
            8 => FIRST_OF_EIGHT_DIGITS <= number,
            _ => false,
        };
        if canonical { Self::new(number) } else { None }
    }
}

/// As every message writes it: `0x1a`.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::LowerHex for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl From<Generation> for u32 {
    fn from(generation: Generation) -> Self {
        generation.number()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn generation(number: u32) -> Generation {
        Generation::new(number).unwrap()
    }

    /// certbcli.md 18, "Log-name vectors".
    #[test]
    fn names_the_vectors_both_ways() {
        let vectors = [
            (1, "edb00001.log"),
            (0x1A, "edb0001a.log"),
            (0xF_FFFF, "edbfffff.log"),
            (0x10_0000, "edb00100000.log"),
            (0xFFFF_FFFF, "edbffffffff.log"),
        ];
        for (number, name) in vectors {
            assert_eq!(generation(number).log_file_name(), name);
            assert_eq!(Generation::from_log_file_name(name), Some(generation(number)));
            assert_eq!(Generation::from_log_file_name(&name.to_uppercase()), Some(generation(number)));
        }
    }

    #[test]
    fn refuses_other_names() {
        let others = [
            "",
            "edb",
            ".log",
            "edb.log",
            "edbtmp.log",
            "edb1.log",
            "edb0001.log",
            "edb000001.log",
            "edb0000001.log",
            "edb00000.log",
            "edb00000000.log",
            "edb00000001.log",
            "edb000fffff.log",
            "edb000100000.log",
            "edb+0001.log",
            "edb-0001.log",
            "edb 0001.log",
            "edb0000g.log",
            "edb00001.lo",
            "edb00001.jrs",
            "edb00001.log ",
            " edb00001.log",
            "edbres00001.jrs",
            "edc00001.log",
            "édb00001.log",
            "edb0000é.log",
            "edb00001é.log",
            "edb00001.löog",
        ];
        for name in others {
            assert_eq!(Generation::from_log_file_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn counts_without_overflow() {
        assert_eq!(Generation::new(0), None);
        assert_eq!(Generation::FIRST.previous(), None);
        assert_eq!(Generation::FIRST.next(), Some(generation(2)));
        assert_eq!(generation(2).previous(), Some(Generation::FIRST));
        assert_eq!(generation(u32::MAX).next(), None);
        assert_eq!(format!("{0} {0:x} {0:05x}", generation(26)), "0x1a 1a 0001a");
    }

    proptest! {
        #[test]
        fn every_generation_has_one_name(number in 1u32..) {
            let name = generation(number).log_file_name();
            prop_assert_eq!(Generation::from_log_file_name(&name), Some(generation(number)));
        }

        #[test]
        fn a_name_that_parses_is_the_name_of_its_generation(name in "(?i:edb)[0-9a-fA-F]{4,9}(?i:\\.log)|\\PC{0,16}") {
            if let Some(generation) = Generation::from_log_file_name(&name) {
                prop_assert_eq!(generation.log_file_name(), name.to_lowercase());
            }
        }
    }
}
