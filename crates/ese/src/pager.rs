//! The only way this crate touches a file: random-access bytes of a known size.

use std::fs::File;
use std::io;

use certadm_files::AlignedBuffer;

/// Random-access bytes to read, by several threads at a time. Implemented for files, memory and overlays.
pub trait Pager: Sync {
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

pub(crate) fn end_of_file() -> io::Error {
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

/// Whatever is done with pages, it ends here when the process was asked to stop.
fn refuse_when_cancelled() -> io::Result<()> {
    certadm_files::cancel::check().map_err(|error| io::Error::new(io::ErrorKind::Interrupted, error))
}

impl Pager for FilePager {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        refuse_when_cancelled()?;
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        refuse_when_cancelled()?;
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

/// Whether two files hold the same bytes.
///
/// # Errors
/// What either side says.
pub(crate) fn same_bytes(one: &dyn Pager, other: &dyn Pager) -> io::Result<bool> {
    if one.size() != other.size() {
        return Ok(false);
    }
    let (mut left, mut right) = (AlignedBuffer::new(1 << 16), AlignedBuffer::new(1 << 16));
    let mut offset = 0;
    while offset < one.size() {
        let take = usize::try_from(one.size() - offset).unwrap_or(left.len()).min(left.len());
        one.read_at(offset, &mut left[..take])?;
        other.read_at(offset, &mut right[..take])?;
        if left[..take] != right[..take] {
            return Ok(false);
        }
        offset += take as u64;
    }
    Ok(true)
}
