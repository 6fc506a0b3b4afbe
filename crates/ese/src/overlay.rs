//! A read-only file with changes beside it: the target of a dry run.

use std::collections::HashMap;
use std::io;

use crate::pager::{FilePager, Pager, PagerMut, end_of_file};

const BLOCK: usize = 4096;

type Block = Box<[u8; BLOCK]>;

/// Blocks of a run: neighbours share one entry of the table that says where they are.
const RUN: u64 = 64;

/// A run of which blocks were spilled.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where the run lies in the spill file, counted in runs.
    place: u64,
    /// One bit for each block that is there.
    blocks: u64,
}

/// Changed blocks in a file: the place of a run is given out when the first of its blocks comes.
#[derive(Debug)]
struct Spill {
    file: FilePager,
    runs: HashMap<u64, Run>,
    /// Places given out.
    places: u64,
}

impl Spill {
    fn offset(run: Run, block: u64) -> u64 {
        (run.place * RUN + block % RUN) * BLOCK as u64
    }

    fn holds(&self, block: u64) -> Option<Run> {
        self.runs.get(&(block / RUN)).copied().filter(|run| run.blocks >> (block % RUN) & 1 != 0)
    }

    /// Writes whole blocks, all of one run, the first of which is `block`.
    fn write(&mut self, block: u64, bytes: &[u8]) -> io::Result<()> {
        let run = self.runs.entry(block / RUN).or_insert_with(|| {
            self.places += 1;
            Run { place: self.places - 1, blocks: 0 }
        });
        for within in block % RUN..block % RUN + (bytes.len() / BLOCK) as u64 {
            run.blocks |= 1 << within;
        }
        self.file.write_at(Self::offset(*run, block), bytes)
    }

    /// Forgets all blocks behind `last`.
    fn cut(&mut self, last: u64) {
        self.runs.retain(|run, _| *run <= last / RUN);
        if let Some(run) = self.runs.get_mut(&(last / RUN)) {
            run.blocks &= u64::MAX >> (RUN - 1 - last % RUN);
        }
    }
}

/// Where blocks lie that are not in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Medium {
    Base,
    Spill,
}

/// A read-only base with changes kept in memory up to a stated cap, and beyond it in a spill file where there is one.
#[derive(Debug)]
pub struct Overlay<P> {
    base: P,
    memory: HashMap<u64, Block>,
    size: u64,
    /// What of the base still shows: a cut hides the rest for good.
    base_visible: u64,
    cap: usize,
    spill: Option<Spill>,
}

impl<P: Pager> Overlay<P> {
    /// An overlay that refuses to hold more than `cap` bytes of changes.
    pub fn new(base: P, cap: usize) -> Self {
        let size = base.size();
        Self { base, memory: HashMap::new(), size, base_visible: size, cap, spill: None }
    }

    /// An overlay that holds `cap` bytes of changes in memory and all further ones in `spill`, an empty file that
    /// nobody else uses. Memory beyond the cap: at most about 56 bytes for each 256 KiB of the base that have changes. The
    /// file grows to the size of these parts; where the system has sparse files, to that of the changes.
    pub fn with_spill(base: P, cap: usize, spill: FilePager) -> Self {
        let spill = Spill { file: spill, runs: HashMap::new(), places: 0 };
        Self { spill: Some(spill), ..Self::new(base, cap) }
    }

    /// Bytes of changed blocks held in memory.
    pub fn changed_bytes(&self) -> usize {
        self.memory.len() * BLOCK
    }

    /// Where a block lies that is not in memory, `within` bytes of it passed over.
    fn medium(&self, block: u64, within: usize) -> (Medium, u64) {
        match self.spill.as_ref().and_then(|spill| spill.holds(block)) {
            Some(run) => (Medium::Spill, Spill::offset(run, block) + within as u64),
            None => (Medium::Base, block * BLOCK as u64 + within as u64),
        }
    }

    fn read_medium(&self, (medium, start): (Medium, u64), part: &mut [u8]) -> io::Result<()> {
        match (medium, &self.spill) {
            (Medium::Spill, Some(spill)) => return spill.file.read_at(start, part),
            (Medium::Spill, None) | (Medium::Base, _) => {}
        }
        let visible = self.base_visible.saturating_sub(start).min(part.len() as u64);
        // At most the length of the part, so the conversion cannot fail.
        let (seen, hidden) = part.split_at_mut(usize::try_from(visible).unwrap_or(0));
        hidden.fill(0);
        if seen.is_empty() { Ok(()) } else { self.base.read_at(start, seen) }
    }

    fn is_changed(&self, block: u64) -> bool {
        self.memory.contains_key(&block)
            || self.spill.as_ref().is_some_and(|spill| spill.holds(block).is_some())
    }

    /// True for a block that is written to the spill file.
    fn is_spilled(&self, block: u64) -> bool {
        let full = self.cap < (self.memory.len() + 1) * BLOCK;
        !self.memory.contains_key(&block)
            && self.spill.as_ref().is_some_and(|spill| full || spill.holds(block).is_some())
    }

    fn write_spilled(&mut self, blocks: Option<(u64, &[u8])>) -> io::Result<()> {
        match (blocks, &mut self.spill) {
            (Some((first, bytes)), Some(spill)) => spill.write(first, bytes),
            _ => Ok(()),
        }
    }

    /// Changes a part of a block.
    fn write_block(&mut self, block: u64, within: usize, part: &[u8]) -> io::Result<()> {
        let target = within..within + part.len();
        if let Some(bytes) = self.memory.get_mut(&block) {
            bytes[target].copy_from_slice(part);
            return Ok(());
        }
        let mut bytes = Box::new([0; BLOCK]);
        if part.len() < BLOCK {
            self.read_medium(self.medium(block, 0), bytes.as_mut_slice())?;
        }
        bytes[target].copy_from_slice(part);
        match &mut self.spill {
            Some(spill) if spill.holds(block).is_some() => spill.write(block, bytes.as_slice()),
            _ if (self.memory.len() + 1) * BLOCK <= self.cap => {
                self.memory.insert(block, bytes);
                Ok(())
            }
            Some(spill) => spill.write(block, bytes.as_slice()),
            None => Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                "the dry run changes more than fits in memory: recover to a file",
            )),
        }
    }
}

/// The place behind these parts of a buffer, which begin at `from`.
fn behind((medium, start): (Medium, u64), parts: &core::ops::Range<usize>) -> (Medium, u64) {
    (medium, start + parts.len() as u64)
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
        let nothing_spilled = self.spill.as_ref().is_none_or(|spill| spill.runs.is_empty());
        if self.memory.is_empty() && nothing_spilled && end <= self.base_visible {
            return self.base.read_at(offset, buffer);
        }
        // Neighbours that lie beside each other in one file are read in one go.
        let mut pending: Option<((Medium, u64), core::ops::Range<usize>)> = None;
        for (block, within, part) in pieces(offset, buffer.len()) {
            if let Some(bytes) = self.memory.get(&block) {
                let source = within..within + part.len();
                buffer[part].copy_from_slice(&bytes[source]);
                continue;
            }
            let (medium, start) = self.medium(block, within);
            match &mut pending {
                Some((from, parts)) if parts.end == part.start && (medium, start) == behind(*from, parts) => {
                    parts.end = part.end;
                }
                _ => {
                    if let Some((from, parts)) = pending.replace(((medium, start), part)) {
                        self.read_medium(from, &mut buffer[parts])?;
                    }
                }
            }
        }
        match pending {
            Some((from, parts)) => self.read_medium(from, &mut buffer[parts]),
            None => Ok(()),
        }
    }
}

impl<P: Pager> PagerMut for Overlay<P> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(end_of_file)?;
        // Whole neighbours of one run are written in one go.
        let mut pending: Option<(u64, core::ops::Range<usize>)> = None;
        for (block, within, part) in pieces(offset, bytes.len()) {
            let whole = part.len() == BLOCK && self.is_spilled(block);
            match &mut pending {
                Some((first, parts)) if whole && *first / RUN == block / RUN => parts.end = part.end,
                _ => {
                    let before = pending.take();
                    self.write_spilled(before.map(|(first, parts)| (first, &bytes[parts])))?;
                    if whole {
                        pending = Some((block, part));
                    } else {
                        self.write_block(block, within, &bytes[part])?;
                    }
                }
            }
        }
        self.write_spilled(pending.map(|(first, parts)| (first, &bytes[parts])))?;
        self.size = self.size.max(end);
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        if size < self.size {
            self.base_visible = self.base_visible.min(size);
            let last = size / BLOCK as u64;
            self.memory.retain(|block, _| *block <= last);
            if let Some(spill) = &mut self.spill {
                spill.cut(last);
            }
            // The remainder is below BLOCK.
            let keep = usize::try_from(size % BLOCK as u64).unwrap_or(0);
            if self.is_changed(last) {
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

    /// Near the beginning, or around the end of the first run.
    fn place() -> impl Strategy<Value = u64> {
        prop_oneof![0..20_000u64, 255_000..275_000u64]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (place(), proptest::collection::vec(any::<u8>(), 0..9000))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            place().prop_map(Step::Size),
        ]
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_the_changed_file_would(
            base in proptest::collection::vec(any::<u8>(), 0..16_000),
            steps in proptest::collection::vec(step(), 0..12),
            spills in any::<bool>(),
        ) {
            let mut plain = base.clone();
            let mut overlay = if spills {
                Overlay::with_spill(base, BLOCK, FilePager::new(tempfile()).unwrap())
            } else {
                Overlay::new(base, usize::MAX)
            };
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
        let mut overlay = Overlay::with_spill(base, 3 * BLOCK, FilePager::new(tempfile()).unwrap());
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
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("certadm-overlay-{}-{number}", std::process::id()));
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
