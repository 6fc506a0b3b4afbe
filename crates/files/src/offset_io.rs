//! Reading and writing a file at a place of its own choosing, on every system.

#[cfg(unix)]
pub use std::os::unix::fs::FileExt as OffsetIo;

#[cfg(windows)]
pub use windows::OffsetIo;

#[cfg(windows)]
mod windows {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;

    /// `read_exact_at` and `write_all_at`, as Unix systems have them. Here they also move the file's own position: whoever
    /// uses both must not rely on it.
    pub trait OffsetIo {
        /// Fills `buffer` from `offset`.
        ///
        /// # Errors
        /// [`io::ErrorKind::UnexpectedEof`] when the file ends before, and those of the system.
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

        /// Writes all of `bytes` at `offset`.
        ///
        /// # Errors
        /// Those of the system.
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    }

    impl OffsetIo for File {
        fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
            while !buffer.is_empty() {
                let count = self.seek_read(buffer, offset)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                offset += count as u64;
                buffer = buffer.get_mut(count..).unwrap_or_default();
            }
            Ok(())
        }

        fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
            while !bytes.is_empty() {
                let count = self.seek_write(bytes, offset)?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                offset += count as u64;
                bytes = bytes.get(count..).unwrap_or_default();
            }
            Ok(())
        }
    }
}
