//! The copy that a recovery works on.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread;

use certadm_files::AlignedBuffer;

use crate::checksum::{PageCheck, check_page, flip};
use crate::pager::{Pager, PagerMut};
use crate::pagesize::PageSize;

/// Bytes copied at once: a multiple of every page size. Not more, because the system would look for memory in pieces as large
/// as what is written: in a virtual machine that had given free memory back, writes of 1 MiB took ten times as long.
const STRIDE: usize = 512 << 10;

/// Buffers of that size.
const STRIDES: usize = 3;

/// Copies a database, single flipped bits of its pages turned back, which reading would do only in memory. `told` hears
/// after each stride how many bytes are through.
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
    to.set_size(total)?;
    // One thread reads and corrects what comes next while the other writes.
    thread::scope(|scope| {
        let (to_write, read) = sync_channel(STRIDES);
        let (to_pool, pool) = sync_channel(STRIDES);
        let reader = scope.spawn(move || {
            let mut made = 0;
            let mut next = || {
                made += 1;
                if made <= STRIDES { Some(AlignedBuffer::new(STRIDE)) } else { pool.recv().ok() }
            };
            for start in (0..total).step_by(STRIDE) {
                // Without a buffer the writer has failed, and has the reason.
                let Some(mut buffer) = next() else { break };
                let length = usize::try_from(total - start).unwrap_or(STRIDE).min(STRIDE);
                let bytes = &mut buffer[..length];
                from.read_at(start, bytes)?;
                if let Some(size) = page_size {
                    correct(bytes, start / size.bytes64(), size);
                }
                if to_write.send((start, length, buffer)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let written = read.iter().try_for_each(|(start, length, buffer)| {
            to.write_at(start, &buffer[..length])?;
            told(start + length as u64);
            // The reader may have ended.
            let _ = to_pool.send(buffer);
            Ok(())
        });
        drop((read, to_pool));
        written.and(reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
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

    /// Fails behind a place, to be read or to be written.
    struct Broken(Vec<u8>, u64);

    impl Pager for Broken {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            if self.1 <= offset { Err(io::Error::other("broken")) } else { self.0.read_at(offset, buffer) }
        }
    }

    impl PagerMut for Broken {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            if self.1 <= offset { Err(io::Error::other("broken")) } else { self.0.write_at(offset, bytes) }
        }

        fn set_size(&mut self, size: u64) -> io::Result<()> {
            self.0.set_size(size)
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_side_that_fails_ends_the_copy_with_its_reason() {
        let whole = vec![7; 9 * STRIDE + 5];
        for stride in 0..10 {
            let broken = Broken(whole.clone(), stride * STRIDE as u64);
            let mut reached = 0;
            let error =
                copy_corrected(&broken, &mut Vec::new(), None, &mut |done| reached = done).unwrap_err();
            assert_eq!((error.to_string().as_str(), reached), ("broken", stride * STRIDE as u64));
            let mut broken = Broken(Vec::new(), stride * STRIDE as u64);
            let error = copy_corrected(&whole, &mut broken, None, &mut |_| {}).unwrap_err();
            assert_eq!(error.to_string(), "broken");
        }
    }

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
