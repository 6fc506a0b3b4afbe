//! BackupReadFile: the one answer that is large (wire.md 3.7, 5.7).

use std::ops::Range;
use std::sync::Arc;

use certadm_files::{ALIGNMENT, AlignedBuffer};
use certadm_rules::Hresult;
use certadm_session::Source;
use certadm_wire::csra::Response;
use certadm_wire::dcom::OrpcThat;
use certadm_wire::ndr::Writer;

use crate::object::{AdminObject, State};

/// Reads have multiples of this many bytes (wire.md 5.7).
const UNIT: u32 = 4096;

/// Room behind the bytes of a file: padding, `pcbRead`, the code.
const BEHIND: usize = 16;

/// The answer to a read, whose bytes were read where they are sent from: they begin where the system copies fast
/// ([`AlignedBuffer`]), and what comes before them in the stub lies before that.
#[derive(Debug)]
pub(crate) struct ReadAnswer {
    pub(crate) buffer: AlignedBuffer,
    /// Where in the buffer the stub is.
    stub: Range<usize>,
    /// What was read from, and as how many bytes; nothing after a failure.
    from: Option<(Arc<AdminObject>, usize)>,
}

impl ReadAnswer {
    pub(crate) fn stub(&self) -> &[u8] {
        &self.buffer[self.stub.clone()]
    }

    /// Whether anything was read.
    pub(crate) const fn has_read(&self) -> bool {
        self.from.is_some()
    }

    /// Reads what the next call will want, if it is as long as this one, while the client still has to make it.
    pub(crate) fn read_ahead(&self) {
        if let Some((object, len)) = &self.from {
            object.read_ahead(*len);
        }
    }
}

/// The answer to a read of `size` bytes, which always carries so many; what was not read is zero. It is built in
/// `storage`, which an answer was sent from before, if it is large enough.
pub(crate) fn answer(
    object: &Arc<AdminObject>,
    state: &mut State,
    size: u32,
    storage: AlignedBuffer,
) -> ReadAnswer {
    let mut front = Writer::new();
    OrpcThat::CALL.write(&mut front);
    Response::write_before_data(&mut front, size);
    let front = front.into_bytes();
    let capacity = usize::try_from(size).unwrap_or(0);
    let length = ALIGNMENT + capacity + BEHIND;
    let mut buffer = if storage.len() < length { AlignedBuffer::new(length) } else { storage };

    let start = ALIGNMENT - front.len();
    buffer[start..ALIGNMENT].copy_from_slice(&front);
    let place = &mut buffer[ALIGNMENT..ALIGNMENT + capacity];
    // The checks of the size come before the sequence (wire.md 5.7).
    let result =
        if size != 0 && size.is_multiple_of(UNIT) { read(state, place) } else { Err(Hresult::E_INVALIDARG) };
    let (count, code) = match result {
        Ok(count) => (count, Hresult::S_OK),
        Err(code) => (0, code),
    };
    place[count..].fill(0);

    let mut back = Writer::behind(ALIGNMENT - start + capacity);
    Response::write_behind_data(&mut back, u32::try_from(count).unwrap_or(size), code);
    let back = back.into_bytes();
    let (behind, end) = (ALIGNMENT + capacity, ALIGNMENT + capacity + back.len());
    buffer[behind..end].copy_from_slice(&back);
    let from = code.is_success().then(|| (Arc::clone(object), capacity));
    ReadAnswer { buffer, stub: start..end, from }
}

/// Reads into all of `buffer` but at the end of the file; answers how much.
fn read(state: &mut State, buffer: &mut [u8]) -> Result<usize, Hresult> {
    let count = state.source.read(buffer).map_err(|error| error.code)?;
    Ok(count.min(buffer.len()))
}
