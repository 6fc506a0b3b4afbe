//! `HCSBC`: numbers that stand for contexts, never pointers (certbcli.md D5).
//!
//! A handle is the place in a table and the count of that place's uses. An ended context's number is never used again:
//! its place counts on, and is given up when it cannot count further.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certadm_rules::Hresult;

use crate::backup::Backup;
use crate::restore::Restore;

/// `HCSBC` as C has it.
pub type HCSBC = *mut c_void;

/// Half of a handle is the place plus one, so that NULL is none; half is the generation.
const HALF: u32 = usize::BITS / 2;
const LARGEST: usize = (1 << HALF) - 1;
/// No process has more contexts open than this.
const MAX_OPEN: usize = 0xFFF0;

/// What a handle stands for.
#[derive(Debug, Clone)]
pub(crate) enum Context {
    /// From BackupPrepare.
    Backup(Arc<Backup>),
    /// From RestorePrepare.
    Restore(Arc<Restore>),
}

/// A kind of context, as the calls that are for this kind alone want it.
pub(crate) trait Kind: Sized {
    /// The context when it is of this kind.
    fn of(context: &Context) -> Option<&Arc<Self>>;
}

impl Kind for Backup {
    fn of(context: &Context) -> Option<&Arc<Self>> {
        if let Context::Backup(backup) = context { Some(backup) } else { None }
    }
}

impl Kind for Restore {
    fn of(context: &Context) -> Option<&Arc<Self>> {
        if let Context::Restore(restore) = context { Some(restore) } else { None }
    }
}

static TABLE: Mutex<Table> = Mutex::new(Table { slots: Vec::new(), free: Vec::new() });

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    generation: usize,
    context: Option<Context>,
}

/// The handle of a new context.
///
/// # Errors
/// `E_OUTOFMEMORY` when too many are open.
pub(crate) fn open(context: Context) -> Result<HCSBC, Hresult> {
    table().open(context).map(std::ptr::without_provenance_mut).ok_or(Hresult::E_OUTOFMEMORY)
}

/// The context of a handle, of either kind.
///
/// # Errors
/// `E_HANDLE` for NULL, and for whatever is no handle of an open context.
pub(crate) fn any(handle: HCSBC) -> Result<Context, Hresult> {
    let mut table = table();
    let (_, slot) = table.slot(handle.addr()).ok_or(Hresult::E_HANDLE)?;
    slot.context.clone().ok_or(Hresult::E_HANDLE)
}

/// The context of a handle of this kind.
///
/// # Errors
/// As [`any`]; `E_HANDLE` for the other kind as well.
pub(crate) fn find<K: Kind>(handle: HCSBC) -> Result<Arc<K>, Hresult> {
    K::of(&any(handle)?).cloned().ok_or(Hresult::E_HANDLE)
}

/// Ends a handle of this kind; its number is never valid again.
///
/// # Errors
/// As [`find`]; the handle stays what it was then.
pub(crate) fn close<K: Kind>(handle: HCSBC) -> Result<Arc<K>, Hresult> {
    let mut table = table();
    let (place, slot) = table.slot(handle.addr()).ok_or(Hresult::E_HANDLE)?;
    let context = slot.context.as_ref().and_then(K::of).cloned().ok_or(Hresult::E_HANDLE)?;
    slot.context = None;
    if slot.generation < LARGEST {
        slot.generation += 1;
        table.free.push(place);
    }
    Ok(context)
}

fn table() -> MutexGuard<'static, Table> {
    // Nothing in here panics between two changes that belong together.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    fn open(&mut self, context: Context) -> Option<usize> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.slots.len() < MAX_OPEN.min(LARGEST) => {
                self.slots.push(Slot { generation: 1, context: None });
                self.slots.len() - 1
            }
            None => return None,
        };
        let slot = self.slots.get_mut(place)?;
        slot.context = Some(context);
        Some(slot.generation << HALF | (place + 1))
    }

    fn slot(&mut self, number: usize) -> Option<(usize, &mut Slot)> {
        let place = (number & LARGEST).checked_sub(1)?;
        let slot = self.slots.get_mut(place)?;
        (slot.generation == number >> HALF).then_some((place, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::Backup(Arc::new(Backup::ended()))
    }

    #[test]
    fn an_ended_handle_never_comes_back() {
        let first = open(context()).unwrap();
        assert!(find::<Backup>(first).is_ok());
        assert_eq!(find::<Restore>(first).unwrap_err(), Hresult::E_HANDLE);
        assert_eq!(close::<Restore>(first).unwrap_err(), Hresult::E_HANDLE);
        close::<Backup>(first).unwrap();
        for _ in 0..1000 {
            let next = open(context()).unwrap();
            assert_ne!(first, next);
            assert!(find::<Backup>(first).is_err() && close::<Backup>(first).is_err());
            close::<Backup>(next).unwrap();
        }
    }

    #[test]
    fn numbers_that_nobody_was_given_are_none() {
        let real = open(context()).unwrap();
        for number in [0, 1, 2, LARGEST, LARGEST + 1, usize::MAX, real.addr() + 1, real.addr() ^ (1 << HALF)]
        {
            assert!(any(std::ptr::without_provenance_mut(number)).is_err(), "{number:x}");
        }
        close::<Backup>(real).unwrap();
    }

    #[test]
    fn a_place_that_cannot_count_further_is_given_up() {
        let mut table = Table { slots: vec![Slot { generation: LARGEST, context: None }], free: vec![0] };
        let last = table.open(context()).unwrap();
        assert!(table.slot(last).is_some());
        assert_eq!(table.open(context()).unwrap() & LARGEST, 2);
    }
}
