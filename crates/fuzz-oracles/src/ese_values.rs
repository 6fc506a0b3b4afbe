//! Compressed column values of the Windows database (ese.md 6.3), and its single records (8.4).

use certadm_ese::compress::{decompress, xpress};
use certadm_ese::log::{Record, record_length};

pub(crate) fn run(data: &[u8]) {
    if let Ok(value) = decompress(data) {
        assert!(value.len() <= 0x1_FFFE, "{} bytes out of one chunk", value.len());
    }
    if let Some((size, packed)) = data.split_first_chunk::<2>() {
        let size = usize::from(u16::from_le_bytes(*size));
        if let Ok(value) = xpress(packed, size) {
            assert_eq!(value.len(), size);
        }
    }
    // A record that states its length is typed or refused, whatever follows it.
    if let Ok(Some(length)) = record_length(data)
        && let Some(record) = data.get(..length)
    {
        let _ = format!("{:?}", Record::parse(record));
    }
    let _ = Record::parse(data);
}
