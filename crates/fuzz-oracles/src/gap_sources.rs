//! What tells of a gap, as strangers may hand it in: event logs as XML, LDIF, certificates, lists of revocations.

use certadm_recovery::Revocation;
use certadm_recovery::gap::{read_any, safe_cell};
use certadm_rules::FileTime;

/// Text says the same in UTF-16; no cell of a table is a formula.
pub(crate) fn run(data: &[u8]) {
    let (events, values, certificates) = read_any(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let cell = safe_cell(text);
    let inside = cell.strip_prefix('"').unwrap_or(&cell);
    assert!(!inside.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
    let _ = Revocation::parse_csv(text, FileTime::from_unix_seconds(1_800_000_000), &mut Vec::new());
    // What looks like UTF-16 without a mark is read as that.
    let is_plain = data.iter().take(2).all(|byte| *byte != 0) && !text.starts_with('\u{feff}') && 2 <= data.len();
    if !is_plain {
        return;
    }
    let unicode: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let (same_events, same_values, _) = read_any(&unicode);
    assert_eq!(events.as_ref().ok(), same_events.as_ref().ok(), "{events:?} {same_events:?}");
    assert_eq!(values.as_ref().ok(), same_values.as_ref().ok(), "{values:?} {same_values:?}");
    assert!(certificates <= data.len());
}
