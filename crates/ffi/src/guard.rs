//! The edge of the library: an HRESULT for every outcome, a panic included.

use std::panic::{AssertUnwindSafe, catch_unwind};

use certadm_rules::Hresult;

use crate::log;

/// Runs a call and gives its HRESULT: `S_OK` exactly, or a failure. A panic, which is a defect of this library, becomes
/// `E_FAIL`; so does a code that a server sent as a failure and that would read as a success (certbcli.md 6, 14.2).
pub(crate) fn guard(name: &'static str, call: impl FnOnce() -> Result<(), Hresult>) -> i32 {
    quietly(log::start);
    // Whatever a panic left half done is behind a lock, which is poisoned then and refuses further calls.
    let outcome = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => outcome,
        Err(payload) => {
            quietly(|| log::defect(name, payload.as_ref()));
            // Its destructor might panic again.
            std::mem::forget(payload);
            Err(Hresult::E_FAIL)
        }
    };
    let outcome = outcome.map_err(|code| if code.is_failure() { code } else { Hresult::E_FAIL });
    quietly(|| log::ended(name, outcome));
    outcome.err().unwrap_or(Hresult::S_OK).as_i32()
}

/// Telling must not fail a call.
fn quietly(tell: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(tell)) {
        std::mem::forget(payload);
    }
}

/// Runs a call that has no result. A panic ends here.
pub(crate) fn guard_void(name: &'static str, call: impl FnOnce()) {
    guard(name, || {
        call();
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_code() {
        assert_eq!(guard("Test", || Ok(())), 0);
        assert_eq!(guard("Test", || Err(Hresult::E_HANDLE)), Hresult::E_HANDLE.as_i32());
        assert_eq!(guard("Test", || Err(Hresult::ERROR_ARITHMETIC_OVERFLOW)), Hresult::E_FAIL.as_i32());
        assert_eq!(guard("Test", || panic!("a defect, made for this test")), Hresult::E_FAIL.as_i32());
    }
}
