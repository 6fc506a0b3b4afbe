//! A read-only file with changes beside it: the target of a dry run.

use std::collections::HashMap;
use std::io;

use crate::pager::{FilePager, Pager, PagerMut, end_of_file};

const BLOCK: usize = 4096;

type Block = Box<[u8; BLOCK]>;

/// Where a changed block is kept.
#[derive(Debug)]
enum Place {
    Memory(Block),
    /// Slot of the spill file, counted in blocks.
    Spilled(u64),
}

/// A read-only base with changes kept in memory up to a stated cap, and beyond it in a spill file where there is one.
#[derive(Debug)]
pub struct Overlay<P> {
    base: P,
    changed: HashMap<u64, Place>,
    size: u64,
    /// What of the base still shows: a cut hides the rest for good.
    base_visible: u64,
    cap: usize,
    in_memory: usize,
    spill: Option<FilePager>,
    /// Slots of the spill file in use.
    spilled: u64,
}

impl<P: Pager> Overlay<P> {
    /// An overlay that refuses to hold more than `cap` bytes of changes.
    pub fn new(base: P, cap: usize) -> Self {
        let size = base.size();
        Self {
            base,
            changed: HashMap::new(),
            size,
            base_visible: size,
            cap,
            in_memory: 0,
            spill: None,
            spilled: 0,
        }
    }

    /// An overlay that holds `cap` bytes of changes in memory and all further ones in `spill`, an empty file that
    /// nobody else uses. Memory beyond the cap: about 32 bytes for each changed block of 4096.
    pub fn with_spill(base: P, cap: usize, spill: FilePager) -> Self {
        Self { spill: Some(spill), ..Self::new(base, cap) }
    }

    /// Bytes of changed blocks held in memory.
    pub fn changed_bytes(&self) -> usize {
        self.in_memory * BLOCK
    }

    fn block_from_base(&self, block: u64) -> io::Result<Block> {
        let mut bytes = Box::new([0; BLOCK]);
        let start = block * BLOCK as u64;
        let visible = self.base_visible.saturating_sub(start).min(BLOCK as u64);
        // At most BLOCK, so the conversion cannot fail.
        let visible = usize::try_from(visible).unwrap_or(BLOCK);
        if visible != 0 {
            self.base.read_at(start, &mut bytes[..visible])?;
        }
        Ok(bytes)
    }

    fn spilled_block(&self, slot: u64) -> io::Result<Block> {
        let mut bytes = Box::new([0; BLOCK]);
        match &self.spill {
            Some(spill) => spill.read_at(slot * BLOCK as u64, bytes.as_mut_slice())?,
            None => return Err(end_of_file()),
        }
        Ok(bytes)
    }

    fn spill_block(&mut self, slot: u64, bytes: &[u8]) -> io::Result<()> {
        match &mut self.spill {
            Some(spill) => spill.write_at(slot * BLOCK as u64, bytes),
            None => Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the dry run changes more than fits in memory: recover to a file",
            )),
        }
    }

    /// Changes a part of a block.
    fn write_block(&mut self, block: u64, within: usize, part: &[u8]) -> io::Result<()> {
        let target = within..within + part.len();
        match self.changed.get_mut(&block) {
            Some(Place::Memory(bytes)) => bytes[target].copy_from_slice(part),
            Some(Place::Spilled(slot)) => {
                let slot = *slot;
                let mut bytes = self.spilled_block(slot)?;
                bytes[target].copy_from_slice(part);
                self.spill_block(slot, bytes.as_slice())?;
            }
            None => {
                let mut bytes = self.block_from_base(block)?;
                bytes[target].copy_from_slice(part);
                if self.changed_bytes() + BLOCK <= self.cap {
                    self.in_memory += 1;
                    self.changed.insert(block, Place::Memory(bytes));
                } else {
                    let slot = self.spilled;
                    self.spill_block(slot, bytes.as_slice())?;
                    self.spilled += 1;
                    self.changed.insert(block, Place::Spilled(slot));
                }
            }
        }
        Ok(())
    }
}

/// Splits a byte range at block boundaries: (block, offset in block, range in the caller's buffer).
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, core::ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = offset + done as u64;
        // The remainder is below BLOCK.
        let within = usize::try_from(at % BLOCK as u64).unwrap_or(0);
        let take = (BLOCK - within).min(length - done);
        let piece = (at / BLOCK as u64, within, done..done + take);
        done += take;
        Some(piece)
    })
}

impl<P: Pager> Pager for Overlay<P> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).ok_or_else(end_of_file)?;
        if self.size < end {
            return Err(end_of_file());
        }
        if self.changed.is_empty() && end <= self.base_visible {
            return self.base.read_at(offset, buffer);
        }
        for (block, within, part) in pieces(offset, buffer.len()) {
            let source = within..within + part.len();
            match self.changed.get(&block) {
                Some(Place::Memory(bytes)) => buffer[part].copy_from_slice(&bytes[source]),
                Some(Place::Spilled(slot)) => {
                    buffer[part].copy_from_slice(&self.spilled_block(*slot)?[source]);
                }
                None => buffer[part].copy_from_slice(&self.block_from_base(block)?[source]),
            }
        }
        Ok(())
    }
}

impl<P: Pager> PagerMut for Overlay<P> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(end_of_file)?;
        for (block, within, part) in pieces(offset, bytes.len()) {
            self.write_block(block, within, &bytes[part])?;
        }
        self.size = self.size.max(end);
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        if size < self.size {
            self.base_visible = self.base_visible.min(size);
            let last = size / BLOCK as u64;
            self.changed.retain(|block, _| *block <= last);
            self.in_memory = self.changed.values().filter(|place| matches!(place, Place::Memory(_))).count();
            // The remainder is below BLOCK.
            let keep = usize::try_from(size % BLOCK as u64).unwrap_or(0);
            if self.changed.contains_key(&last) {
                self.write_block(last, keep, &[0; BLOCK][keep..])?;
            }
        }
        self.size = size;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pager::FilePager;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Size(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..20_000u64, proptest::collection::vec(any::<u8>(), 0..9000))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (0..20_000u64).prop_map(Step::Size),
        ]
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_the_changed_file_would(
            base in proptest::collection::vec(any::<u8>(), 0..16_000),
            steps in proptest::collection::vec(step(), 0..12),
        ) {
            let mut plain = base.clone();
            let mut overlay = Overlay::new(base, usize::MAX);
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        // A write beyond the end leaves a gap of zeros in both.
                        plain.write_at(at, &bytes).unwrap();
                        overlay.write_at(at, &bytes).unwrap();
                    }
                    Step::Size(size) => {
                        plain.set_size(size).unwrap();
                        overlay.set_size(size).unwrap();
                    }
                }
                prop_assert_eq!(plain.size(), overlay.size());
                let mut read = vec![0; plain.len()];
                overlay.read_at(0, &mut read).unwrap();
                prop_assert_eq!(&read, &plain);
            }
        }
    }

    #[test]
    fn an_overlay_spills_what_does_not_fit_in_memory() {
        let base: Vec<u8> = (0..40 * BLOCK).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut plain = base.clone();
        let file = tempfile();
        let mut overlay = Overlay::with_spill(base, 3 * BLOCK, FilePager::new(file).unwrap());
        for (at, value) in
            [(5, 1u8), (9000, 2), (100_000, 3), (60_000, 4), (9100, 5), (150_000, 6), (60_001, 7)]
        {
            plain.write_at(at, &[value; 700]).unwrap();
            overlay.write_at(at, &[value; 700]).unwrap();
        }
        plain.set_size(100_300).unwrap();
        overlay.set_size(100_300).unwrap();
        plain.set_size(120_000).unwrap();
        overlay.set_size(120_000).unwrap();
        assert_eq!(overlay.changed_bytes(), 3 * BLOCK, "memory stays at its cap");
        let mut read = vec![0; plain.len()];
        overlay.read_at(0, &mut read).unwrap();
        assert!(read == plain);
    }

    fn tempfile() -> std::fs::File {
        let path = std::env::temp_dir().join(format!("certadm-overlay-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn an_overlay_stops_at_its_cap_and_reads_past_the_end_fail() {
        let mut overlay = Overlay::new(vec![0; 3 * BLOCK], BLOCK);
        overlay.write_at(0, &[1]).unwrap();
        let error = overlay.write_at(BLOCK as u64, &[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        let error = overlay.read_at(u64::MAX, &mut [0; 2]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
