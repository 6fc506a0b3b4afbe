//! The trailer page of a backup image, and the page size that a database states (certbcli.md D33).

use certadm_store::trailer::{Trailer, sqlite_page_size};

use crate::checksummed::{CHECKSUM_LEN, with_checksum, with_flipped_bit};

const MAGIC: [u8; 8] = *b"CADMEND\x01";

pub(crate) fn run(data: &[u8]) {
    if let Some(size) = sqlite_page_size(data) {
        assert!(size.is_power_of_two() && (512..=65536).contains(&size), "{size}");
    }
    check(data);
    let (Ok(len), true) = (u32::try_from(data.len()), MAGIC.len() + 8 + CHECKSUM_LEN < data.len()) else {
        return;
    };
    // The page says how long it is; with any other length it is refused at once.
    let mut page = data.to_vec();
    page[12..16].copy_from_slice(&len.to_le_bytes());
    let whole = with_checksum(&page, MAGIC, page.len());
    check(&whole);
    assert!(Trailer::decode(&with_flipped_bit(&whole, data)).is_err(), "a flipped bit went unnoticed");
}

fn check(page: &[u8]) {
    let Ok(trailer) = Trailer::decode(page) else {
        return;
    };
    assert!(Trailer::is_trailer(page));
    assert!(trailer.low <= trailer.high);
    assert_eq!(usize::try_from(trailer.page_size), Ok(page.len()));
    let encoded = trailer.encode();
    assert_eq!(encoded.len(), page.len());
    assert_eq!(Trailer::decode(&encoded).ok(), Some(trailer));
}
