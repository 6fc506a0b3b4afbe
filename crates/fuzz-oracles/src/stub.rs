//! Stubs as the targets of codecs need them.

use certadm_wire::ndr::{ByteOrder, Reader, Writer};

/// A reader of `stub`, little-endian.
pub(crate) fn read(stub: &[u8]) -> Reader<'_> {
    Reader::new(stub, ByteOrder::Little)
}

/// What `write` writes.
pub(crate) fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}
