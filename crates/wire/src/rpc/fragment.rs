//! Cutting a stub into fragments and putting it together again (wire.md 2.7).

use std::borrow::Cow;
use std::ops::Range;

use super::{FaultStatus, Flags};

/// The largest reassembled stub of a request that a server takes: 4 MiB (wire.md 2.7; RPCE 3.3.3.5.4).
pub const MAX_REQUEST_STUB: usize = 4 * 1024 * 1024;

/// The largest storage of a stub that an [`Assembly`] keeps for the next one, in bytes: a read of 4 MiB fits however the
/// storage grew.
const MAX_KEPT: usize = 10 * 1024 * 1024;

/// How a stub is cut into fragments: every one but the last has a multiple of 16 bytes (wire.md 2.7, 2.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPlan {
    room: usize,
    next: Option<usize>,
    length: usize,
}

/// One fragment of a [`FragmentPlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Which bytes of the stub it carries.
    pub range: Range<usize>,
    /// [`Flags::FIRST`] and [`Flags::LAST`], where they apply.
    pub flags: Flags,
    /// `alloc_hint`: how much stub is still to come, this fragment included; 0, unknown, when that exceeds 32 bits.
    pub alloc_hint: u32,
}

impl FragmentPlan {
    /// The plan for a stub of `length` bytes in fragments of at most `max_fragment` bytes, with an object UUID or
    /// without, and with tokens of `token` bytes when the call is authenticated. An empty stub makes one fragment.
    ///
    /// # Errors
    ///
    /// [`FragmentError`] when not even 16 bytes of stub fit.
    pub fn new(
        length: usize,
        max_fragment: u16,
        has_object: bool,
        token: Option<u16>,
    ) -> Result<Self, FragmentError> {
        let header = if has_object { 40 } else { 24 };
        let overhead = header + token.map_or(0, |token| 8 + usize::from(token));
        let room = usize::from(max_fragment).saturating_sub(overhead) & !15;
        if room == 0 { Err(FragmentError { max_fragment }) } else { Ok(Self { room, next: Some(0), length }) }
    }

    /// How many bytes of stub one fragment carries.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }
}

impl Iterator for FragmentPlan {
    type Item = Fragment;

    fn next(&mut self) -> Option<Fragment> {
        let start = self.next?;
        let end = start.saturating_add(self.room).min(self.length);
        self.next = (end < self.length).then_some(end);
        let first = if start == 0 { Flags::FIRST } else { Flags::default() };
        let flags = if self.next.is_none() { first.with(Flags::LAST) } else { first };
        let alloc_hint = u32::try_from(self.length - start).unwrap_or(0);
        Some(Fragment { range: start..end, flags, alloc_hint })
    }
}

/// The fragment size is too small for any stub. The peer's fault: it may not propose less than
/// [`MIN_FRAGMENT`](super::MIN_FRAGMENT).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fragments of {max_fragment} bytes have no room for a stub; the peer proposed too small a size")]
pub struct FragmentError {
    /// The size that was agreed.
    pub max_fragment: u16,
}

/// Puts the fragments of one call at a time together. `K` is what all fragments of a call share: call id, context,
/// opnum and object of a request, call id and context of a response.
#[derive(Debug, Clone)]
pub struct Assembly<K> {
    limit: usize,
    call: Option<K>,
    stub: Vec<u8>,
}

impl<K: PartialEq> Assembly<K> {
    /// An assembly of stubs of at most `limit` bytes: [`MAX_REQUEST_STUB`] in a server, what its own requests can
    /// bring in a client.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, call: None, stub: Vec::new() }
    }

    /// From the next fragment on, stubs may have `limit` bytes.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether a call has begun and not ended.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.call.is_some()
    }

    /// How many bytes it holds for a stub.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.stub.capacity()
    }

    /// Drops a call that has begun: it was orphaned, or its connection is in trouble.
    pub fn reset(&mut self) {
        self.call = None;
        self.stub = Vec::new();
    }

    /// Gives back the storage of a stub that is used up, for the next one: of the usual size, a row of answers then costs no
    /// fresh memory. Larger storage is dropped.
    pub fn recycle(&mut self, mut storage: Vec<u8>) {
        if self.stub.capacity() < storage.capacity() && self.stub.is_empty() && storage.capacity() <= MAX_KEPT
        {
            storage.clear();
            self.stub = storage;
        }
    }

    /// Takes one fragment, unsealed and without padding; answers the whole stub after the last one. The stub of a call
    /// with one fragment is borrowed.
    ///
    /// # Errors
    ///
    /// [`AssemblyError`]; the call that had begun is dropped. Memory grows with what was received, not with any hint.
    pub fn push<'a>(
        &mut self,
        key: K,
        flags: Flags,
        fragment: &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, AssemblyError> {
        let result = self.take(key, flags, fragment);
        if result.is_err() {
            self.reset();
        }
        result
    }

    fn take<'a>(
        &mut self,
        key: K,
        flags: Flags,
        fragment: &'a [u8],
    ) -> Result<Option<Cow<'a, [u8]>>, AssemblyError> {
        let (first, last) = (flags.has(Flags::FIRST), flags.has(Flags::LAST));
        match &self.call {
            None if !first => return Err(AssemblyError::NotBegun),
            Some(_) if first => return Err(AssemblyError::BegunTwice),
            Some(open) if *open != key => return Err(AssemblyError::OtherCall),
            _ => {}
        }
        // An endless row of empty fragments would keep a call open for nothing.
        if fragment.is_empty() && !last {
            return Err(AssemblyError::Empty);
        }
        if fragment.len() > self.limit.saturating_sub(self.stub.len()) {
            return Err(AssemblyError::TooLarge { limit: self.limit });
        }
        if first && last {
            return Ok(Some(Cow::Borrowed(fragment)));
        }
        self.stub.extend_from_slice(fragment);
        self.call = if last { None } else { Some(key) };
        Ok(last.then(|| Cow::Owned(std::mem::take(&mut self.stub))))
    }
}

/// Why a fragment does not belong. The sender's fault; after the fault the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssemblyError {
    /// A later fragment without a first one.
    #[error("the peer sent a later fragment of a call that has not begun")]
    NotBegun,
    /// A first fragment inside a call.
    #[error("the peer began a call before it finished the one before")]
    BegunTwice,
    /// Another call id, context, method or object inside a call.
    #[error("the peer mixed fragments of two calls")]
    OtherCall,
    /// A fragment without stub that is not the last one.
    #[error("the peer sent an empty fragment in the middle of a call")]
    Empty,
    /// The stub grows beyond the limit.
    #[error("the peer sent a stub of more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl AssemblyError {
    /// The status of the fault that answers it: access denied for an oversize stub, else nca_s_proto_error
    /// (wire.md 2.7).
    #[must_use]
    pub const fn fault(self) -> FaultStatus {
        match self {
            Self::TooLarge { .. } => FaultStatus::ACCESS_DENIED,
            _ => FaultStatus::PROTOCOL_ERROR,
        }
    }
}
