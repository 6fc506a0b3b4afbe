//! BackupReadFile: the one answer that is large (wire.md 3.7, 5.7).

use certadm_proto::csra::Hresult;
use certadm_proto::dcom::OrpcThat;
use certadm_proto::ndr::Writer;
use certadm_session::Source;

use crate::dispatch::Answer;
use crate::object::State;

/// Reads have multiples of this many bytes (wire.md 5.7).
const UNIT: u32 = 4096;

/// The answer to a read of `size` bytes, which always carries so many; what was not read is zero. It is built in
/// `storage`, a stub that was sent before.
pub(crate) fn answer(state: &mut State, size: u32, storage: Vec<u8>) -> Answer {
    let mut writer = Writer::reusing(storage);
    OrpcThat.write(&mut writer);
    writer.u32(size);
    let start = writer.position();
    let capacity = usize::try_from(size).unwrap_or(0);
    writer.zeros(capacity);
    let mut stub = writer.into_bytes();
    // The checks of the size come before the sequence (wire.md 5.7).
    let result = match stub.get_mut(start..start + capacity) {
        Some(buffer) if size != 0 && size.is_multiple_of(UNIT) => read(state, buffer),
        _ => Err(Hresult::E_INVALIDARG),
    };
    let (count, code) = match result {
        Ok(count) => (count, Hresult::S_OK),
        Err(code) => (0, code),
    };
    stub.resize(stub.len().next_multiple_of(4), 0);
    stub.extend_from_slice(&count.to_le_bytes());
    stub.extend_from_slice(&code.to_bits().to_le_bytes());
    Answer::Stub(stub)
}

fn read(state: &mut State, buffer: &mut [u8]) -> Result<u32, Hresult> {
    match state.source.read(buffer) {
        Ok(count) => {
            if let Some((delivered, _)) = &mut state.copying {
                *delivered += count as u64;
            }
            // A short read may have used the rest as scratch space.
            buffer.get_mut(count..).unwrap_or_default().fill(0);
            u32::try_from(count).map_err(|_| Hresult::E_UNEXPECTED)
        }
        Err(error) => {
            buffer.fill(0);
            if state.copying.take().is_some() {
                tracing::error!(event = 218, %error, code = %error.code, "error while a file was copied");
            }
            Err(error.code)
        }
    }
}
