//! BSTR, the strings of a VARIANT (wire.md 3.10; OAUT 2.2.23): maximum count, length in bytes, number of units, units. There
//! is no NUL at the end, unlike other strings.

use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::wide::MAX_PATH_UNITS;

/// The length of a string that is NULL.
pub(super) const NULL: u32 = 0xFFFF_FFFF;

/// Reads it; none for a NULL one.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<String>, NdrError> {
    let maximum = reader.conformance(usize::MAX)?;
    let offset = reader.position() - 4;
    let bytes = reader.u32()?;
    let count = reader.u32()?;
    reader.expect_count(count.into(), maximum as u64)?;
    if bytes == NULL {
        reader.expect_count(count.into(), 0)?;
        return Ok(None);
    }
    // An odd number of bytes has half a unit at its end, which no text has.
    reader.expect_count(u64::from(count) * 2, bytes.into())?;
    let units = reader.text_units(maximum, MAX_PATH_UNITS, offset)?;
    String::from_utf16(&units).map(Some).map_err(|_| NdrError::BadUtf16 { offset })
}

/// Writes one that is there.
pub(super) fn write(writer: &mut Writer, text: &str) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let count = units.len();
    writer.count(count).count(count.saturating_mul(2)).count(count).units(&units);
}
