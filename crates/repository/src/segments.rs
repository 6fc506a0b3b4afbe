//! A cache of parts of packs, so that reads of neighbouring blobs cost one request.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustic_core::Id;

/// Length of one segment in bytes.
const SEGMENT: u64 = 4 << 20;
/// In the place of a segment's number: the whole pack.
const WHOLE: u64 = u64::MAX;

/// The segments read last.
#[derive(Debug)]
pub(crate) struct Segments {
    capacity: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None` while somebody fetches it.
    held: HashMap<(Id, u64), Option<Bytes>>,
    order: VecDeque<(Id, u64)>,
}

impl Segments {
    /// A cache of so many segments.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Reads from a pack; `get` fetches offset and length of it. The answer is shorter where the pack ends.
    ///
    /// # Errors
    /// What `get` returns.
    pub(crate) fn read<E>(
        &self,
        pack: Id,
        offset: u64,
        len: u64,
        get: impl Fn(u64, u64) -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let end = offset.saturating_add(len);
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let number = at / SEGMENT;
            let start = number * SEGMENT;
            let segment = self.segment((pack, number), || get(start, SEGMENT))?;
            let from = usize::try_from(at - start).unwrap_or(usize::MAX).min(segment.len());
            let to = usize::try_from(end - start).unwrap_or(usize::MAX).min(segment.len());
            if at == offset && end <= start + SEGMENT {
                return Ok(segment.slice(from..to.max(from)));
            }
            out.extend_from_slice(&segment[from..to.max(from)]);
            at = start + SEGMENT;
        }
        Ok(out.into())
    }

    /// Reads from a pack that `get` fetches as a whole. The answer is shorter where the pack ends.
    ///
    /// # Errors
    /// What `get` returns.
    pub(crate) fn read_of_whole<E>(
        &self,
        pack: Id,
        offset: u64,
        len: u64,
        get: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let whole = self.segment((pack, WHOLE), get)?;
        let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
        Ok(whole.slice(within(offset)..within(offset.saturating_add(len))))
    }

    /// Forgets them all.
    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
    }

    fn segment<E>(&self, at: (Id, u64), get: impl FnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        let mut state = self.lock();
        loop {
            match state.held.get(&at) {
                Some(Some(bytes)) => return Ok(bytes.clone()),
                Some(None) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                None => break,
            }
        }
        state.held.insert(at, None);
        drop(state);
        let got = get();
        let mut state = self.lock();
        match &got {
            Ok(bytes) => {
                state.held.insert(at, Some(bytes.clone()));
                state.order.push_back(at);
                while state.order.len() > self.capacity {
                    if let Some(old) = state.order.pop_front() {
                        state.held.remove(&old);
                    }
                }
            }
            Err(_) => {
                state.held.remove(&at);
            }
        }
        self.changed.notify_all();
        got
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_what_the_pack_has_there() {
        let pack: Vec<u8> = (0..10_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let slice = |offset: u64, len: u64| {
            let from = usize::try_from(offset).unwrap().min(pack.len());
            let to = usize::try_from(offset.saturating_add(len)).unwrap().min(pack.len());
            pack[from..to].to_vec()
        };
        let get = |offset, len| Ok::<_, ()>(Bytes::from(slice(offset, len)));
        for capacity in [1, 8] {
            let segments = Segments::new(capacity);
            for (offset, len) in [
                (0, 5),
                (SEGMENT - 1, 2),
                (SEGMENT, SEGMENT),
                (3, 9_000_000),
                (9_999_990, 100),
                (20_000_000, 5),
                (7, 0),
                (SEGMENT - 1, 1),
            ] {
                let read = segments.read(Id::default(), offset, len, get).unwrap();
                assert_eq!(read, slice(offset, len), "{offset} {len}");
            }
        }
        let failing = Segments::new(1);
        assert!(failing.read(Id::default(), 0, 1, |_, _| Err(())).is_err());
        assert!(failing.read(Id::default(), 0, 1, get).is_ok(), "a failure is not kept");
    }
}
