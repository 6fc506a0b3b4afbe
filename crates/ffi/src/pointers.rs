//! Pointers from C, each looked at once and turned into something safe.

use std::ptr::NonNull;

use certadm_rules::Hresult;
use certadm_rules::registration::MapArgument;
use certadm_rules::wide::{self, MAX_PATH_UNITS};

/// No restore maps more databases than this; a CA has one. What a caller counts beyond is not believed.
const MAX_MAP: usize = 1024;

/// A place of the caller's for a result, which already holds 0.
#[derive(Debug)]
pub(crate) struct Out<T> {
    place: Option<NonNull<T>>,
}

impl<T: Copy> Out<T> {
    /// Sets the place to `nothing`, its 0 or NULL, before anything else is looked at (certbcli.md D5).
    ///
    /// # Safety
    /// `pointer` is NULL, or can be written to as long as the value lives. It need not be aligned.
    pub(crate) unsafe fn new(pointer: *mut T, nothing: T) -> Self {
        let out = Self { place: NonNull::new(pointer) };
        out.write(nothing);
        out
    }

    /// Insists on a place.
    ///
    /// # Errors
    /// `E_INVALIDARG` for NULL (certbcli.md D5).
    pub(crate) fn required(self) -> Result<Self, Hresult> {
        if self.place.is_some() { Ok(self) } else { Err(Hresult::E_INVALIDARG) }
    }

    /// Leaves the result there; without a place it is dropped.
    pub(crate) fn set(self, value: T) {
        self.write(value);
    }

    fn write(&self, value: T) {
        if let Some(place) = self.place {
            // SAFETY: `new` was promised that the place can be written to.
            unsafe { place.write_unaligned(value) };
        }
    }
}

/// A string from C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wide {
    /// The pointer is NULL.
    Null,
    /// No UTF-16, or too long (certbcli.md D32).
    Malformed,
    /// A string, perhaps empty.
    Text(String),
}

impl Wide {
    /// Reads up to the NUL, but never more than the longest string that is accepted.
    ///
    /// # Safety
    /// `pointer` is NULL, or can be read up to a NUL or for 32768 units, whichever comes first. It need not be aligned.
    pub(crate) unsafe fn read(pointer: *const u16) -> Self {
        if pointer.is_null() {
            return Self::Null;
        }
        let mut units = Vec::new();
        let mut next = pointer;
        while units.len() <= MAX_PATH_UNITS {
            // SAFETY: no NUL came yet, and the contract lets us read this far then.
            match unsafe { next.read_unaligned() } {
                0 => return wide::decode(&units).map_or(Self::Malformed, Self::Text),
                unit => units.push(unit),
            }
            // No overflow: the string goes on behind this unit, if only with its NUL.
            next = next.wrapping_add(1);
        }
        Self::Malformed
    }

    /// A string that has to be there and has to say something.
    ///
    /// # Errors
    /// `E_INVALIDARG` for NULL, an empty and a malformed one (certbcli.md D6, D9, D32).
    pub(crate) fn required(self) -> Result<String, Hresult> {
        match self {
            Self::Text(text) if !text.is_empty() => Ok(text),
            _ => Err(Hresult::E_INVALIDARG),
        }
    }

    /// A string that may be NULL. A malformed one becomes an empty one, which the rules of a registration refuse in
    /// their own order (certbcli.md D16).
    pub(crate) fn optional(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Malformed => Some(String::new()),
            Self::Text(text) => Some(text),
        }
    }
}

/// `CSEDB_RSTMAPW` (certbcli.md 3.1).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(non_camel_case_types)] // its name in C
pub struct CSEDB_RSTMAPW {
    /// The path recorded at backup time.
    pub database_name: *mut u16,
    /// The path after the restore.
    pub new_database_name: *mut u16,
}

/// Reads a restore map. `None` for NULL; no entries for a count that is not positive, or beyond belief.
///
/// # Safety
/// `map` is NULL, or can be read for `count` entries whose strings are as [`Wide::read`] wants them.
pub(crate) unsafe fn restore_map(map: *const CSEDB_RSTMAPW, count: i32) -> Option<Vec<MapArgument>> {
    if map.is_null() {
        return None;
    }
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_MAP).unwrap_or(0);
    let entries = (0..count).map(|index| {
        // SAFETY: the map has `count` entries, by contract.
        let entry = unsafe { map.wrapping_add(index).read_unaligned() };
        // SAFETY: the strings of an entry are readable, by contract.
        let database = unsafe { Wide::read(entry.database_name) };
        // SAFETY: as above.
        let new_database = unsafe { Wide::read(entry.new_database_name) };
        MapArgument { database: database.optional(), new_database: new_database.optional() }
    });
    Some(entries.collect())
}

/// The caller's buffer for data.
///
/// # Errors
/// `E_INVALIDARG` for one without room (certbcli.md D11).
///
/// # Safety
/// `first` is not NULL, and `size` bytes from there can be written to, by nobody else, for `'a`.
pub(crate) unsafe fn buffer<'a>(first: NonNull<u8>, size: u32) -> Result<&'a mut [u8], Hresult> {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(usize::MAX / 2);
    if size == 0 {
        return Err(Hresult::E_INVALIDARG);
    }
    // SAFETY: by contract the memory is there and ours alone; memory of another language holds bytes, whatever they are.
    Ok(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(units: &[u16]) -> Wide {
        // SAFETY: every test ends its units with a NUL, or has enough of them.
        unsafe { Wide::read(units.as_ptr()) }
    }

    #[test]
    fn strings_end_at_their_nul_or_at_the_limit() {
        assert_eq!(wide(&[0x61, 0xD83D, 0xDE00, 0, 0x62]), Wide::Text("a😀".to_owned()));
        assert_eq!(wide(&[0]), Wide::Text(String::new()));
        assert_eq!(wide(&[0xD800, 0]), Wide::Malformed);
        let mut long = vec![0x61; MAX_PATH_UNITS];
        long.push(0);
        assert!(matches!(wide(&long), Wide::Text(text) if text.len() == MAX_PATH_UNITS));
        // One more, and nothing behind it is read.
        assert_eq!(wide(&vec![0x61; MAX_PATH_UNITS + 1]), Wide::Malformed);
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { Wide::read(std::ptr::null()) }, Wide::Null);
    }

    #[test]
    fn results_start_as_nothing() {
        let mut place = 5u32;
        // SAFETY: the place outlives the value.
        let out = unsafe { Out::new(&raw mut place, 0) };
        out.required().unwrap().set(7);
        assert_eq!(place, 7);
        // SAFETY: the place outlives the value.
        unsafe { Out::new(&raw mut place, 0) };
        assert_eq!(place, 0);
        // SAFETY: NULL is allowed.
        let none = unsafe { Out::new(std::ptr::null_mut::<u32>(), 0) };
        assert_eq!(none.required().unwrap_err(), Hresult::E_INVALIDARG);
    }

    #[test]
    fn maps_are_read_as_far_as_they_can_be_believed() {
        let mut text = [0x61u16, 0];
        let entry =
            CSEDB_RSTMAPW { database_name: text.as_mut_ptr(), new_database_name: std::ptr::null_mut() };
        let map = [entry, entry];
        for (count, entries) in [(2, 2), (1, 1), (0, 0), (-1, 0), (i32::MAX, 0)] {
            // SAFETY: the map has two entries, and no more are read.
            let read = unsafe { restore_map(map.as_ptr(), count) }.unwrap();
            assert_eq!(read.len(), entries);
            assert!(
                read.iter()
                    .all(|entry| entry.database.as_deref() == Some("a") && entry.new_database.is_none())
            );
        }
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { restore_map(std::ptr::null(), 1) }, None);
    }
}
