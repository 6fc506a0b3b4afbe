//! BackupReadFile: the one answer that is large (wire.md 3.7, 5.7).

use certadm_buffer::AlignedBuffer;
use certadm_proto::csra::Hresult;
use certadm_proto::dcom::OrpcThat;
use certadm_proto::ndr::Writer;
use certadm_session::Source;

use crate::dispatch::Answer;
use crate::object::State;

/// Reads have multiples of this many bytes (wire.md 5.7).
const UNIT: u32 = 4096;

/// The answer to a read of `size` bytes, which always carries so many; what was not read is zero. It is built in
/// `storage`, a stub that was sent before. The file is read into a buffer of its own: in the stub its bytes begin where the
/// system copies slowly ([`AlignedBuffer`]).
pub(crate) fn answer(state: &mut State, size: u32, storage: Vec<u8>) -> Answer {
    let mut writer = Writer::reusing(storage);
    OrpcThat.write(&mut writer);
    writer.u32(size);
    let capacity = usize::try_from(size).unwrap_or(0);
    // The checks of the size come before the sequence (wire.md 5.7).
    let result = if size != 0 && size.is_multiple_of(UNIT) {
        read(state, capacity)
    } else {
        Err(Hresult::E_INVALIDARG)
    };
    let (read, code) = match result {
        Ok(read) => (read, Hresult::S_OK),
        Err(code) => (&[][..], code),
    };
    writer.bytes(read).zeros(capacity - read.len()).align(4);
    let count = u32::try_from(read.len()).unwrap_or(size);
    writer.u32(count).u32(code.to_bits());
    Answer::Stub(writer.into_bytes())
}

/// What a read of `capacity` bytes delivers, never more than that.
fn read(state: &mut State, capacity: usize) -> Result<&[u8], Hresult> {
    if state.reading.len() < capacity {
        state.reading = AlignedBuffer::new(capacity);
    }
    match state.source.read(&mut state.reading[..capacity]) {
        Ok(count) => {
            if let Some((delivered, _)) = &mut state.copying {
                *delivered += count as u64;
            }
            Ok(&state.reading[..count.min(capacity)])
        }
        Err(error) => {
            if state.copying.take().is_some() {
                tracing::error!(event = 218, %error, code = %error.code, "error while a file was copied");
            }
            Err(error.code)
        }
    }
}
