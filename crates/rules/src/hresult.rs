//! `HRESULT`: one 32-bit result code for every call of the API and of the wire (certbcli.md 14).
//!
//! The constants, names and texts stand in one table, `hresult_table.rs`; this file has the arithmetic.

use std::fmt;

/// A result code: success when its top bit is clear (certbcli.md 14.1).
///
/// Printed the way the Windows tools print it, so that an administrator can search for it:
///
/// ```
/// use certadm_rules::Hresult;
///
/// assert_eq!(Hresult::MISSING_FULL_BACKUP.to_string(), "0xc8000230 (ESE: -560 JET_errMissingFullBackup)");
/// assert_eq!(Hresult::from_win32(145).to_string(), "0x80070091 (WIN32: 145 ERROR_DIR_NOT_EMPTY)");
/// assert_eq!(Hresult::E_UNEXPECTED.to_string(), "0x8000ffff (E_UNEXPECTED)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use]
pub struct Hresult(u32);

/// Top half of an engine error (certbcli.md 14.1): severity 3, facility 0x800.
const JET_ERROR: u32 = 0xC800_0000;
/// Top half of a Win32 error (certbcli.md 14.1): severity 2, facility 7.
const WIN32_ERROR: u32 = 0x8007_0000;
/// The part of a code that says where it comes from.
const ORIGIN_MASK: u32 = 0xFFFF_0000;

impl Hresult {
    /// The code with exactly these bits, as they stand on the wire.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The code for a C `HRESULT`, which is signed.
    pub const fn from_i32(code: i32) -> Self {
        Self(code.cast_unsigned())
    }

    /// The code of Win32 error `error`, by the rule of `HRESULT_FROM_WIN32`: zero stays success, a value whose top bit
    /// is set is already a code and stays as it is.
    pub const fn from_win32(error: u32) -> Self {
        if error.cast_signed() <= 0 { Self(error) } else { Self(error & 0xFFFF | WIN32_ERROR) }
    }

    /// The code of engine error `-magnitude`: `from_jet(560)` is the code of -560 (certbcli.md 14.1).
    pub const fn from_jet(magnitude: u16) -> Self {
        Self(JET_ERROR | magnitude as u32)
    }

    /// The 32 bits, as they stand on the wire.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The code as programs read it, such as `0x80070091`.
    ///
    /// ```
    /// use certadm_rules::Hresult;
    ///
    /// assert_eq!(Hresult::from_win32(145).hex(), "0x80070091");
    /// assert_eq!(Hresult::S_OK.hex(), "0x00000000");
    /// ```
    #[must_use]
    pub fn hex(self) -> String {
        format!("0x{:08x}", self.0)
    }

    /// The value of a C `HRESULT`: negative for a failure.
    pub const fn as_i32(self) -> i32 {
        self.0.cast_signed()
    }

    /// Whether the top bit is clear. The API returns exactly [`Hresult::S_OK`] when it succeeds (certbcli.md 6), yet
    /// any code of this kind counts as success where a caller passes one in (D18).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.as_i32() >= 0
    }

    /// Whether the top bit is set.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !self.is_success()
    }

    /// The engine error this code carries, a negative number, or nothing for another origin.
    #[must_use]
    pub const fn jet_error(self) -> Option<i32> {
        if self.0 & ORIGIN_MASK == JET_ERROR { Some(-(self.low_half().cast_signed())) } else { None }
    }

    /// The Win32 error this code carries, or nothing for another origin.
    #[must_use]
    pub const fn win32_error(self) -> Option<u32> {
        if self.0 & ORIGIN_MASK == WIN32_ERROR { Some(self.low_half()) } else { None }
    }

    const fn low_half(self) -> u32 {
        self.0 & !ORIGIN_MASK
    }
}

impl fmt::Display for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)?;
        let origin = match (self.jet_error(), self.win32_error()) {
            (Some(error), _) => Some(("ESE", i64::from(error))),
            (_, Some(error)) => Some(("WIN32", i64::from(error))),
            _ => None,
        };
        match (origin, self.name()) {
            (Some((origin, number)), Some(name)) => write!(f, " ({origin}: {number} {name})"),
            (Some((origin, number)), None) => write!(f, " ({origin}: {number})"),
            (None, Some(name)) => write!(f, " ({name})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Hresult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Hresult {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// certbcli.md 18, "HRESULT vectors".
    #[test]
    fn composes_the_vectors() {
        let engine = [
            (521, 0xC800_0209),
            (560, 0xC800_0230),
            (549, 0xC800_0225),
            (616, 0xC800_0268),
            (800, 0xC800_0320),
            (1811, 0xC800_0713),
            (530, 0xC800_0212),
            (1069, 0xC800_042D),
        ];
        for (magnitude, bits) in engine {
            let code = Hresult::from_jet(magnitude);
            assert_eq!(code.to_bits(), bits);
            assert_eq!(code.jet_error(), Some(-i32::from(magnitude)));
            assert_eq!(code.win32_error(), None);
        }
        let win32 = [(267, 0x8007_010B), (145, 0x8007_0091), (32, 0x8007_0020), (1722, 0x8007_06BA)];
        for (error, bits) in win32 {
            let code = Hresult::from_win32(error);
            assert_eq!(code.to_bits(), bits);
            assert_eq!(code.win32_error(), Some(error));
            assert_eq!(code.jet_error(), None);
        }
    }

    #[test]
    fn leaves_success_and_ready_codes_alone() {
        assert_eq!(Hresult::from_win32(0), Hresult::S_OK);
        assert_eq!(Hresult::from_win32(0x8000_FFFF), Hresult::E_UNEXPECTED);
        assert_eq!(Hresult::from_win32(0x0012_0005), Hresult::E_ACCESSDENIED);
    }

    #[test]
    fn tells_success_from_failure_by_the_top_bit() {
        assert!(Hresult::S_OK.is_success());
        assert!(Hresult::from_bits(0x7FFF_FFFF).is_success());
        assert!(Hresult::from_bits(0x8000_0000).is_failure());
        assert_eq!(Hresult::E_UNEXPECTED.as_i32(), -2_147_418_113);
        assert_eq!(Hresult::from_i32(-2_147_418_113), Hresult::E_UNEXPECTED);
    }

    #[test]
    fn prints_each_form() {
        let printed = [
            (Hresult::from_bits(0xC800_0230), "0xc8000230 (ESE: -560 JET_errMissingFullBackup)"),
            (Hresult::from_bits(0x8007_0091), "0x80070091 (WIN32: 145 ERROR_DIR_NOT_EMPTY)"),
            (Hresult::from_bits(0x8000_FFFF), "0x8000ffff (E_UNEXPECTED)"),
            (Hresult::from_bits(0xC7FF_0004), "0xc7ff0004 (hrRestoreInProgress)"),
            (Hresult::from_bits(0xC800_0FFF), "0xc8000fff (ESE: -4095)"),
            (Hresult::from_bits(0x8007_FFFE), "0x8007fffe (WIN32: 65534)"),
            (Hresult::from_bits(0x8123_4567), "0x81234567"),
            (Hresult::S_OK, "0x00000000 (S_OK)"),
        ];
        for (code, text) in printed {
            assert_eq!(code.to_string(), text);
        }
    }

    #[test]
    fn the_table_has_no_code_and_no_name_twice() {
        let codes: BTreeSet<_> = Hresult::KNOWN.iter().collect();
        let names: BTreeSet<_> = Hresult::KNOWN.iter().map(|code| code.name()).collect();
        assert_eq!(codes.len(), Hresult::KNOWN.len());
        assert_eq!(names.len(), Hresult::KNOWN.len());
    }

    #[test]
    fn texts_are_one_line_in_our_style() {
        for code in Hresult::KNOWN {
            let text = code.text();
            assert!(!text.is_empty() && !text.contains('\n') && !text.ends_with('.'), "{code}: {text}");
        }
        assert_ne!(Hresult::from_bits(0x8123_4567).text(), Hresult::from_bits(0x0123_4567).text());
    }

    /// Engine names carry the engine's prefix, Win32 ones never do: a value typed into the wrong row shows here.
    #[test]
    fn names_fit_their_origin() {
        for code in Hresult::KNOWN {
            let name = code.name().unwrap();
            let engine = name.starts_with("JET_err") || name == "errBackupAbortByCaller";
            assert_eq!(code.jet_error().is_some(), engine, "{code}");
            if ["ERROR_", "RPC_S_", "RPC_X_"].iter().any(|prefix| name.starts_with(prefix)) {
                let overflow = *code == Hresult::ERROR_ARITHMETIC_OVERFLOW;
                assert_eq!(code.win32_error().is_some(), !overflow, "{code}");
            }
        }
    }
}
