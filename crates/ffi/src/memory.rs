//! Memory that callers own: it comes from the C allocator, and `CertSrvBackupFree` gives it back (certbcli.md D13).

use std::ffi::c_void;
use std::ptr::NonNull;

use certadm_rules::Hresult;

unsafe extern "C" {
    safe fn malloc(size: usize) -> *mut c_void;
    fn free(pointer: *mut c_void);
}

/// A list for a caller, and its size in bytes as `pcbSize` counts it. It belongs to whoever takes it.
#[derive(Debug)]
pub(crate) struct CallersList {
    pub(crate) first: NonNull<u16>,
    pub(crate) size: u32,
}

/// Puts the units of a list into memory for the caller. No units at all become two NULs of size 0, so that a walk
/// through the list ends at once (certbcli.md D3).
///
/// # Errors
/// `E_OUTOFMEMORY`.
pub(crate) fn list(units: &[u16]) -> Result<CallersList, Hresult> {
    let stored = if units.is_empty() { &[0, 0] } else { units };
    let size = u32::try_from(size_of_val(units)).map_err(|_| Hresult::E_OUTOFMEMORY)?;
    let first = NonNull::new(malloc(size_of_val(stored)).cast::<u16>()).ok_or(Hresult::E_OUTOFMEMORY)?;
    // SAFETY: malloc gave this many bytes, aligned for any type, and nobody else knows them yet.
    unsafe { first.copy_from_nonoverlapping(NonNull::from(stored).cast(), stored.len()) };
    Ok(CallersList { first, size })
}

/// Gives a caller's memory back. NULL is let be.
///
/// # Safety
/// `pointer` is NULL, or came from [`list`] and was not given back before.
pub(crate) unsafe fn give_back(pointer: *mut c_void) {
    // SAFETY: by this function's contract it came from malloc, or is NULL, which free lets be.
    unsafe { free(pointer) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(list: &CallersList, count: usize) -> Vec<u16> {
        // SAFETY: every test asks for no more units than the list holds.
        unsafe { std::slice::from_raw_parts(list.first.as_ptr(), count) }.to_vec()
    }

    #[test]
    fn lists_keep_their_units_and_their_size() {
        // The vector of certbcli.md 18.
        let entry: Vec<u16> = r"D\\H\S\d.edb".encode_utf16().chain([0, 0]).collect();
        let given = list(&entry).unwrap();
        assert_eq!((given.size, units(&given, entry.len())), (28, entry));
        let empty = list(&[]).unwrap();
        assert_eq!((empty.size, units(&empty, 2)), (0, vec![0, 0]));
        for list in [given, empty] {
            // SAFETY: it came from `list` and is not used again.
            unsafe { give_back(list.first.as_ptr().cast()) };
        }
        // SAFETY: NULL is allowed.
        unsafe { give_back(std::ptr::null_mut()) };
    }
}
