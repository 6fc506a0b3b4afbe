//! The copy that a recovery works on.

use std::io;

use certadm_files::AlignedBuffer;

use crate::checksum::{PageCheck, check_page, flip};
use crate::pager::{Pager, PagerMut};
use crate::pagesize::PageSize;

/// Bytes copied at once: a multiple of every page size.
const STRIDE: usize = 1 << 20;

/// Copies a database, single flipped bits of its pages turned back, which reading would do only in memory. `told` hears
/// after each MiB how many bytes are through.
///
/// # Errors
/// What either side says.
pub(crate) fn copy_corrected(
    from: &dyn Pager,
    to: &mut dyn PagerMut,
    page_size: Option<PageSize>,
    told: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let total = from.size();
    let mut buffer = AlignedBuffer::new(STRIDE);
    let mut done = 0;
    to.set_size(total)?;
    while done < total {
        let take = usize::try_from(total - done).unwrap_or(STRIDE).min(STRIDE);
        let bytes = &mut buffer[..take];
        from.read_at(done, bytes)?;
        if let Some(size) = page_size {
            correct(bytes, done / size.bytes64(), size);
        }
        to.write_at(done, bytes)?;
        done += take as u64;
        told(done);
    }
    Ok(())
}

/// Corrects the pages in `bytes`, of which the first lies in slot `first` of the file.
fn correct(bytes: &mut [u8], first: u64, size: PageSize) {
    for (slot, page) in (first..).zip(bytes.chunks_exact_mut(size.bytes())) {
        // The first two slots hold the header; page 1 is in the third.
        let number = slot.checked_sub(1).and_then(|number| u32::try_from(number).ok());
        if let Some(number) = number.filter(|number| 0 < *number)
            && let PageCheck::Correctable(bits) = check_page(page, number)
        {
            bits.iter().for_each(|bit| flip(page, *bit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::checksum_page;

    #[test]
    fn flipped_bits_are_turned_back_wherever_the_page_lies() {
        let size = PageSize::ALL[4];
        // Two headers, pages over several strides, and a rest that is no page.
        let mut whole = vec![0x5A; 80 * size.bytes() + 77];
        for number in 1..79u32 {
            let start = (number as usize + 1) * size.bytes();
            let page = &mut whole[start..start + size.bytes()];
            page[37] |= 0x20;
            checksum_page(page, number);
        }
        let mut damaged = whole.clone();
        for number in [1usize, 31, 32, 78] {
            damaged[(number + 1) * size.bytes() + 5000] ^= 4;
        }
        let mut copy = Vec::new();
        let mut done = 0;
        copy_corrected(&damaged, &mut copy, Some(size), &mut |now| done = now).unwrap();
        assert!(copy == whole && done == whole.len() as u64);
        copy_corrected(&damaged, &mut copy, None, &mut |_| {}).unwrap();
        assert!(copy == damaged);
    }
}
