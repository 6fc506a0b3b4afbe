//! The only way this crate touches a file: random-access bytes of a known size.

use std::collections::HashMap;
use std::fs::File;
use std::io;

/// Random-access bytes to read. Implemented for files, memory and overlays.
pub trait Pager {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range does not lie inside the file; otherwise what the medium says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// Random-access bytes to write: the output of a recovery, never its input.
pub trait PagerMut: Pager {
    /// Writes `bytes` at `offset`, growing the file when needed.
    ///
    /// # Errors
    /// What the medium says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or extends (with zero bytes) to `size`.
    ///
    /// # Errors
    /// What the medium says.
    fn set_size(&mut self, size: u64) -> io::Result<()>;

    /// Returns when everything written is durable.
    ///
    /// # Errors
    /// What the medium says.
    fn sync(&mut self) -> io::Result<()>;
}

fn end_of_file() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than its structure says")
}

fn range(offset: u64, length: usize, size: usize) -> io::Result<core::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(|_| end_of_file())?;
    let end = start.checked_add(length).ok_or_else(end_of_file)?;
    if size < end {
        return Err(end_of_file());
    }
    Ok(start..end)
}

impl Pager for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(&self[range(offset, buffer.len(), self.len())?]);
        Ok(())
    }
}

impl Pager for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buffer)
    }
}

impl PagerMut for Vec<u8> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = usize::try_from(offset)
            .ok()
            .and_then(|start| start.checked_add(bytes.len()))
            .ok_or_else(end_of_file)?;
        if self.len() < end {
            self.resize(end, 0);
        }
        let range = range(offset, bytes.len(), self.len())?;
        self[range].copy_from_slice(bytes);
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.resize(usize::try_from(size).map_err(|_| end_of_file())?, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P: Pager + ?Sized> Pager for &P {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

impl<P: Pager + ?Sized> Pager for &mut P {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
}

impl<P: PagerMut + ?Sized> PagerMut for &mut P {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        (**self).set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        (**self).sync()
    }
}

/// A file, read and written by position; the cursor of the file is not used.
#[derive(Debug)]
pub struct FilePager {
    file: File,
    size: u64,
}

impl FilePager {
    /// Takes an open file. Opening (which path, which rights) is the caller's business.
    ///
    /// # Errors
    /// What the operating system says when asked for the size.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl Pager for FilePager {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)?;
            if read == 0 {
                return Err(end_of_file());
            }
            offset += read as u64;
            buffer = &mut buffer[read..];
        }
        Ok(())
    }
}

impl PagerMut for FilePager {
    #[cfg(unix)]
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)?;
        self.size = self.size.max(offset + bytes.len() as u64);
        Ok(())
    }

    #[cfg(windows)]
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let at = offset + written as u64;
            written += std::os::windows::fs::FileExt::seek_write(&self.file, &bytes[written..], at)?;
        }
        self.size = self.size.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.size = size;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

const BLOCK: usize = 4096;

/// A read-only base with changes kept in memory: the target of a dry run.
///
/// Memory grows with the blocks that change, up to a stated cap.
#[derive(Debug)]
pub struct Overlay<P> {
    base: P,
    changed: HashMap<u64, Box<[u8; BLOCK]>>,
    size: u64,
    /// What of the base still shows: a cut hides the rest for good.
    base_visible: u64,
    cap: usize,
}

impl<P: Pager> Overlay<P> {
    /// An overlay that refuses to hold more than `cap` bytes of changes.
    pub fn new(base: P, cap: usize) -> Self {
        let size = base.size();
        Self { base, changed: HashMap::new(), size, base_visible: size, cap }
    }

    /// Bytes of changed blocks held in memory.
    pub fn changed_bytes(&self) -> usize {
        self.changed.len() * BLOCK
    }

    fn block_from_base(&self, block: u64) -> io::Result<Box<[u8; BLOCK]>> {
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
        for (block, within, part) in pieces(offset, buffer.len()) {
            let take = part.len();
            match self.changed.get(&block) {
                Some(bytes) => buffer[part].copy_from_slice(&bytes[within..within + take]),
                None => {
                    buffer[part].copy_from_slice(&self.block_from_base(block)?[within..within + take]);
                }
            }
        }
        Ok(())
    }
}

impl<P: Pager> PagerMut for Overlay<P> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(end_of_file)?;
        for (block, within, part) in pieces(offset, bytes.len()) {
            let take = part.len();
            if !self.changed.contains_key(&block) {
                if self.cap < self.changed_bytes() + BLOCK {
                    return Err(io::Error::new(
                        io::ErrorKind::OutOfMemory,
                        "the dry run changes more than fits in memory: recover to a file",
                    ));
                }
                let from_base = self.block_from_base(block)?;
                self.changed.insert(block, from_base);
            }
            if let Some(target) = self.changed.get_mut(&block) {
                target[within..within + take].copy_from_slice(&bytes[part]);
            }
        }
        self.size = self.size.max(end);
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        if size < self.size {
            self.base_visible = self.base_visible.min(size);
            let last = size / BLOCK as u64;
            self.changed.retain(|block, _| *block <= last);
            if let Some(partial) = self.changed.get_mut(&last) {
                // The remainder is below BLOCK.
                let keep = usize::try_from(size % BLOCK as u64).unwrap_or(0);
                partial[keep..].fill(0);
            }
        }
        self.size = size;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies all of `from` to `to`: the start of a recovery to a new file.
///
/// # Errors
/// What either side says.
pub fn copy(from: &dyn Pager, to: &mut dyn PagerMut) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let size = from.size();
    to.set_size(size)?;
    let mut offset = 0;
    while offset < size {
        let take = usize::try_from((size - offset).min(buffer.len() as u64)).unwrap_or(buffer.len());
        from.read_at(offset, &mut buffer[..take])?;
        to.write_at(offset, &buffer[..take])?;
        offset += take as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn an_overlay_stops_at_its_cap_and_reads_past_the_end_fail() {
        let mut overlay = Overlay::new(vec![0; 3 * BLOCK], BLOCK);
        overlay.write_at(0, &[1]).unwrap();
        let error = overlay.write_at(BLOCK as u64, &[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        let error = overlay.read_at(u64::MAX, &mut [0; 2]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
