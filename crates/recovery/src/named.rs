//! Certificates in a sentence.

use certadm_ca::Serial;

/// Some serial numbers for a sentence; the first of many.
pub(crate) fn named(serials: &[Serial]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<_> = serials.iter().take(SHOWN).map(Serial::as_str).collect();
    let word = if serials.len() == 1 { "certificate" } else { "certificates" };
    match serials.len().checked_sub(SHOWN) {
        None | Some(0) => format!("{} {word} ({})", serials.len(), shown.join(", ")),
        Some(more) => format!("{} {word} ({} and {more} more)", serials.len(), shown.join(", ")),
    }
}
