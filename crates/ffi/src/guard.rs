//! The edge of the library: an HRESULT for every outcome, a panic included.

use std::panic::{AssertUnwindSafe, catch_unwind};

use certadm_rules::Hresult;

/// Runs a call and gives its HRESULT: `S_OK` exactly, or a failure. A panic, which is a defect of this library, becomes
/// `E_FAIL`; so does a code that a server sent as a failure and that would read as a success (certbcli.md 6, 14.2).
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Hresult>) -> i32 {
    // Whatever a panic left half done is behind a lock, which is poisoned then and refuses further calls.
    let code = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return Hresult::S_OK.as_i32(),
        Ok(Err(code)) => code,
        Err(payload) => {
            // Its destructor might panic again.
            std::mem::forget(payload);
            Hresult::E_FAIL
        }
    };
    if code.is_failure() { code.as_i32() } else { Hresult::E_FAIL.as_i32() }
}

/// Runs a call that has no result. A panic ends here.
pub(crate) fn guard_void(call: impl FnOnce()) {
    guard(|| {
        call();
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_code() {
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(guard(|| Err(Hresult::E_HANDLE)), Hresult::E_HANDLE.as_i32());
        assert_eq!(guard(|| Err(Hresult::ERROR_ARITHMETIC_OVERFLOW)), Hresult::E_FAIL.as_i32());
        assert_eq!(guard(|| panic!("a defect, made for this test")), Hresult::E_FAIL.as_i32());
    }
}
