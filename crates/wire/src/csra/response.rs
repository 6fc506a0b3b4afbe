//! What the server answers (wire.md 3.3 to 3.8).

use super::{Method, OutParameters, Request};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::Hresult;
use certadm_rules::list::MAX_LIST_UNITS;

/// The largest CERTTRANSBLOB that is decoded, in bytes, but for that of [`MAX_CRL_BLOB`]: 16 MiB.
pub const MAX_BLOB: usize = 16 * 1024 * 1024;

/// The largest CERTTRANSBLOB of a method that may answer a CRL, in bytes: 512 MiB, as much as a CRL may have everywhere
/// else. Whoever asks bounds the stub before (wire.md 2.8).
pub const MAX_CRL_BLOB: usize = 512 * 1024 * 1024;

/// The answer to a [`Request`], without ORPCTHAT. A failure is an answer too: all parameters are there, zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response<'a> {
    /// Only the code: Ping, Ping2, BackupPrepare, BackupEnd, BackupCloseFile, BackupTruncateLogs (wire.md 3.3).
    Code(Hresult),
    /// GetServerState (wire.md 3.3).
    State {
        /// `pdwState`: 1 when the CA answers its callers, else 0.
        state: u32,
        /// The method's own code.
        code: Hresult,
    },
    /// ServerControl (wire.md 3.8).
    Control {
        /// The CERTTRANSBLOB's bytes; nothing has ever been in it.
        blob: &'a [u8],
        /// The method's own code.
        code: Hresult,
    },
    /// The four lists (wire.md 3.5, 5.5). Decode further by [`TaggedList`](certadm_rules::TaggedList) or
    /// [`PlainList`](certadm_rules::PlainList).
    List {
        /// All units with all NULs; none for the empty list and on failure.
        units: Vec<u16>,
        /// The method's own code.
        code: Hresult,
    },
    /// BackupOpenFile (wire.md 3.6).
    Length {
        /// `pliLength`: how many bytes will be read.
        length: u64,
        /// The method's own code.
        code: Hresult,
    },
    /// BackupReadFile (wire.md 3.7).
    Data {
        /// `cbBuffer` of the request: so many bytes travel, whatever was read.
        size: u32,
        /// What was read, at most `size` bytes.
        data: &'a [u8],
        /// The method's own code.
        code: Hresult,
    },
}

impl<'a> Response<'a> {
    /// The method's own code.
    pub const fn code(&self) -> Hresult {
        match self {
            Self::Code(code)
            | Self::State { code, .. }
            | Self::Control { code, .. }
            | Self::List { code, .. }
            | Self::Length { code, .. }
            | Self::Data { code, .. } => *code,
        }
    }

    /// The complete answer to `request` that says nothing but `code`.
    pub const fn failure(request: &Request, code: Hresult) -> Self {
        match request {
            Request::ServerControl { .. } => Self::Control { blob: &[], code },
            Request::GetServerState { .. } => Self::State { state: 0, code },
            Request::BackupGetAttachmentInformation
            | Request::BackupGetBackupLogs
            | Request::BackupGetDynamicFiles
            | Request::RestoreGetDatabaseLocations => Self::List { units: Vec::new(), code },
            Request::BackupOpenFile { .. } => Self::Length { length: 0, code },
            Request::BackupReadFile { size } => Self::Data { size: *size, data: &[], code },
            _ => Self::Code(code),
        }
    }

    /// Reads the answer to `request` after ORPCTHAT. Read data is borrowed. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`NdrError`], the server's fault: counts that disagree with one another or with `cbBuffer` among others.
    pub fn read(request: &Request, reader: &mut Reader<'a>) -> Result<Self, NdrError> {
        Ok(match Self::failure(request, Hresult::from_bits(0)) {
            Self::Code(_) => Self::Code(read_code(reader)?),
            Self::State { .. } => Self::State { state: reader.u32()?, code: read_code(reader)? },
            Self::Control { .. } => {
                Self::Control { blob: read_blob(reader, MAX_BLOB)?, code: read_code(reader)? }
            }
            Self::List { .. } => Self::List { units: read_list(reader)?, code: read_code(reader)? },
            Self::Length { .. } => Self::Length { length: reader.u64()?, code: read_code(reader)? },
            Self::Data { size, .. } => {
                Self::Data { size, data: read_data(size, reader)?, code: read_code(reader)? }
            }
        })
    }

    /// Writes the answer after ORPCTHAT. Data beyond `size` is not written.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Code(_) => writer,
            Self::State { state, .. } => writer.u32(*state),
            Self::Control { blob, .. } => {
                write_blob(writer, blob);
                writer
            }
            Self::List { units, code } if units.is_empty() || code.is_failure() => writer.null().u32(0),
            Self::List { units, .. } => {
                let count = u32::try_from(units.len()).unwrap_or(u32::MAX);
                writer.referent().conformant_units(units).u32(count)
            }
            Self::Length { length, .. } => writer.u64(*length),
            Self::Data { size, data, .. } => {
                let capacity = usize::try_from(*size).unwrap_or(usize::MAX);
                let data = data.get(..capacity).unwrap_or(data);
                let read = u32::try_from(data.len()).unwrap_or(*size);
                Self::write_before_data(writer, *size).bytes(data).zeros(capacity - data.len());
                return Self::write_behind_data(writer, read, self.code());
            }
        }
        .u32(self.code().to_bits());
    }

    /// Writes what stands before the `size` bytes of a [`Response::Data`], for a server that reads a file into the very
    /// place it is sent from.
    pub fn write_before_data(writer: &mut Writer, size: u32) -> &mut Writer {
        writer.u32(size)
    }

    /// Writes what stands behind those bytes, of which `read` were read. The writer stands where they end:
    /// [`Writer::behind`].
    pub fn write_behind_data(writer: &mut Writer, read: u32, code: Hresult) {
        writer.u32(read).u32(code.to_bits());
    }

    /// Whether this is the kind of answer that `method` gives.
    #[must_use]
    pub const fn fits(&self, method: Method) -> bool {
        matches!(
            (self, method.out_parameters()),
            (Self::Code(_), OutParameters::None)
                | (Self::State { .. }, OutParameters::Number)
                | (Self::Control { .. }, OutParameters::Blob)
                | (Self::List { .. }, OutParameters::List)
                | (Self::Length { .. }, OutParameters::Length)
                | (Self::Data { .. }, OutParameters::Buffer)
        )
    }
}

pub(super) fn read_code(reader: &mut Reader<'_>) -> Result<Hresult, NdrError> {
    reader.u32().map(Hresult::from_bits)
}

/// CERTTRANSBLOB (wire.md 3.1; CSRA 2.2.1.4) of at most `limit` bytes: cb, a pointer, then the bytes.
pub(super) fn read_blob<'a>(reader: &mut Reader<'a>, limit: usize) -> Result<&'a [u8], NdrError> {
    let count = reader.u32()?;
    if !reader.referent()? {
        reader.expect_count(count.into(), 0)?;
        return Ok(&[]);
    }
    let bytes = reader.conformant_bytes(limit)?;
    reader.expect_count(count.into(), bytes.len() as u64)?;
    Ok(bytes)
}

/// CERTTRANSBLOB; an empty one is all zero.
pub(super) fn write_blob(writer: &mut Writer, blob: &[u8]) {
    if blob.is_empty() {
        writer.u32(0).null();
    } else {
        writer.count(blob.len()).referent().conformant_bytes(blob);
    }
}

/// A pointer to the units, then their count, which must be the array's own (wire.md 3.5).
fn read_list(reader: &mut Reader<'_>) -> Result<Vec<u16>, NdrError> {
    let units = reader.unique(|reader| reader.conformant_units(MAX_LIST_UNITS))?.unwrap_or_default();
    let count = reader.u32()?;
    reader.expect_count(count.into(), units.len() as u64)?;
    Ok(units)
}

/// The buffer, exactly as large as the request said, and how much of it was read (wire.md 3.7).
fn read_data<'a>(size: u32, reader: &mut Reader<'a>) -> Result<&'a [u8], NdrError> {
    let count = reader.u32()?;
    reader.expect_count(count.into(), size.into())?;
    let limit = usize::try_from(size).unwrap_or(usize::MAX);
    let buffer = reader.bytes(limit)?;
    let read = reader.u32()?;
    let offset = reader.position() - 4;
    let read_bytes = usize::try_from(read).ok().and_then(|read| buffer.get(..read));
    read_bytes.ok_or(NdrError::TooLarge { offset, count: read.into(), limit })
}
