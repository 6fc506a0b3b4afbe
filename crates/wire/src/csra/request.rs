//! What a client asks (wire.md 3.3 to 3.8, 5.7).

use super::{Interface, Method};
use crate::ndr::{NdrError, Reader, Writer};
use crate::rpc::FaultStatus;
use certadm_rules::Hresult;
use certadm_rules::flags::MAX_READ_BUFFER;
use certadm_rules::wide::MAX_PATH_UNITS;

/// A call of a backup method, without ORPCTHIS. Nothing is checked but the encoding: values are for the service to
/// judge, in the order of wire.md 5.7. An `authority` names the CA; NULL and empty mean the only one (wire.md 5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// `ServerControl`, opnum 17 (CSRA 3.1.4.1.15, wire.md 3.8).
    ServerControl {
        /// `pwszAuthority`.
        authority: Option<String>,
        /// The control flags; see [`Control`](certadm_rules::flags::Control).
        flags: u32,
    },
    /// `Ping`, opnum 18 (wire.md 3.3).
    Ping {
        /// `pwszAuthority`.
        authority: Option<String>,
    },
    /// `GetServerState`, opnum 19 (wire.md 3.3).
    GetServerState {
        /// `pwszAuthority`.
        authority: Option<String>,
    },
    /// `BackupPrepare`, opnum 20 (CSRA 3.1.4.1.18, wire.md 3.2, 3.4). Annotation and client identifier are sent as
    /// eight zero bytes and ignored when received.
    BackupPrepare {
        /// `pwszAuthority`.
        authority: Option<String>,
        /// `grbitJet`; see [`BackupType::from_wire`](certadm_rules::BackupType::from_wire).
        grbit_jet: u32,
        /// `dwBackupFlags`: 0, ignored.
        backup_flags: u32,
    },
    /// `BackupEnd`, opnum 21.
    BackupEnd,
    /// `BackupGetAttachmentInformation`, opnum 22 (wire.md 3.5).
    BackupGetAttachmentInformation,
    /// `BackupGetBackupLogs`, opnum 23.
    BackupGetBackupLogs,
    /// `BackupOpenFile`, opnum 24 (CSRA 3.1.4.1.22, wire.md 3.6).
    BackupOpenFile {
        /// The path without its tag; NULL is refused by the service, not by the encoding.
        path: Option<String>,
    },
    /// `BackupReadFile`, opnum 25 (wire.md 3.7).
    BackupReadFile {
        /// `cbBuffer`, in bytes, at most [`MAX_READ_BUFFER`].
        size: u32,
    },
    /// `BackupCloseFile`, opnum 26.
    BackupCloseFile,
    /// `BackupTruncateLogs`, opnum 27 (CSRA 3.1.4.1.25).
    BackupTruncateLogs,
    /// `BackupGetDynamicFiles`, opnum 29 (CSRA 3.1.4.1.27).
    BackupGetDynamicFiles,
    /// `RestoreGetDatabaseLocations`, opnum 30 (CSRA 3.1.4.1.28).
    RestoreGetDatabaseLocations,
    /// `Ping2`, opnum 38, on `ICertAdminD2` only.
    Ping2 {
        /// `pwszAuthority`.
        authority: Option<String>,
    },
}

/// Why a request is not answered by the method. The client's fault; answered by [`RequestError::fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The interface has no such method.
    #[error("the interface has no method {opnum}")]
    Opnum {
        /// The opnum.
        opnum: u16,
    },
    /// The method is none of a backup: answer it by [`Method::write_failure`], or decode it by
    /// [`OtherRequest`](super::OtherRequest).
    #[error("method {} is none of the backup methods", .method.opnum())]
    NotBackup {
        /// The method.
        method: Method,
    },
    /// The stub does not decode.
    #[error("the parameters of the call do not decode: {0}")]
    Stub(#[from] NdrError),
}

impl RequestError {
    /// The status of the fault that answers it; none when it is to be answered by the method's own HRESULT,
    /// [`RequestError::code`].
    #[must_use]
    pub const fn fault(self) -> Option<FaultStatus> {
        match self {
            Self::Opnum { .. } => Some(FaultStatus::OPNUM_OUT_OF_RANGE),
            Self::NotBackup { .. } | Self::Stub(NdrError::TooLong { .. } | NdrError::BadUtf16 { .. }) => None,
            Self::Stub(_) => Some(FaultStatus::BAD_STUB_DATA),
        }
    }

    /// The HRESULT of the method that answers it, by [`Method::write_failure`]; none when a fault does. The stub of a
    /// string that is too long, or has half of a surrogate pair, is right; its value is not (certbcli.md D32).
    #[must_use]
    pub const fn code(self) -> Option<Hresult> {
        match self {
            Self::NotBackup { .. } => Some(Hresult::E_NOTIMPL),
            Self::Stub(NdrError::TooLong { .. } | NdrError::BadUtf16 { .. }) => Some(Hresult::E_INVALIDARG),
            Self::Opnum { .. } | Self::Stub(_) => None,
        }
    }
}

impl Request {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::ServerControl { .. } => 17,
            Self::Ping { .. } => 18,
            Self::GetServerState { .. } => 19,
            Self::BackupPrepare { .. } => 20,
            Self::BackupEnd => 21,
            Self::BackupGetAttachmentInformation => 22,
            Self::BackupGetBackupLogs => 23,
            Self::BackupOpenFile { .. } => 24,
            Self::BackupReadFile { .. } => 25,
            Self::BackupCloseFile => 26,
            Self::BackupTruncateLogs => 27,
            Self::BackupGetDynamicFiles => 29,
            Self::RestoreGetDatabaseLocations => 30,
            Self::Ping2 { .. } => 38,
        }
    }

    /// Reads the parameters of `opnum` after ORPCTHIS. What follows them is left to `reader`: a verification trailer,
    /// or junk, both to be ignored by the method (wire.md 3.1).
    ///
    /// # Errors
    ///
    /// [`RequestError`]. A negative `cbBuffer` and one above [`MAX_READ_BUFFER`] do not decode (wire.md 5.7).
    pub fn read(interface: Interface, opnum: u16, reader: &mut Reader<'_>) -> Result<Self, RequestError> {
        let method = Method::from_opnum(interface, opnum).ok_or(RequestError::Opnum { opnum })?;
        Ok(match opnum {
            17 => Self::ServerControl { authority: read_string(reader)?, flags: reader.u32()? },
            18 => Self::Ping { authority: read_string(reader)? },
            19 => Self::GetServerState { authority: read_string(reader)? },
            20 => Self::BackupPrepare {
                authority: read_string(reader)?,
                grbit_jet: reader.u32()?,
                backup_flags: reader.u32()?,
            },
            21 => Self::BackupEnd,
            22 => Self::BackupGetAttachmentInformation,
            23 => Self::BackupGetBackupLogs,
            24 => Self::BackupOpenFile { path: read_string(reader)? },
            25 => Self::BackupReadFile { size: read_buffer_size(reader)? },
            26 => Self::BackupCloseFile,
            27 => Self::BackupTruncateLogs,
            29 => Self::BackupGetDynamicFiles,
            30 => Self::RestoreGetDatabaseLocations,
            38 => Self::Ping2 { authority: read_string(reader)? },
            _ => return Err(RequestError::NotBackup { method }),
        })
    }

    /// Writes the parameters after ORPCTHIS.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::ServerControl { authority, flags } => {
                write_string(writer, authority.as_deref()).u32(*flags);
            }
            Self::Ping { authority } | Self::GetServerState { authority } | Self::Ping2 { authority } => {
                write_string(writer, authority.as_deref());
            }
            Self::BackupPrepare { authority, grbit_jet, backup_flags } => {
                // Eight zero bytes read as an empty annotation and as a NULL one alike (wire.md 3.2).
                write_string(writer, authority.as_deref()).u32(*grbit_jet).u32(*backup_flags).u32(0).u32(0);
            }
            Self::BackupOpenFile { path } => {
                write_string(writer, path.as_deref());
            }
            Self::BackupReadFile { size } => {
                writer.u32(*size);
            }
            Self::BackupEnd
            | Self::BackupGetAttachmentInformation
            | Self::BackupGetBackupLogs
            | Self::BackupCloseFile
            | Self::BackupTruncateLogs
            | Self::BackupGetDynamicFiles
            | Self::RestoreGetDatabaseLocations => {}
        }
    }
}

pub(super) fn read_string(reader: &mut Reader<'_>) -> Result<Option<String>, NdrError> {
    reader.unique(|reader| reader.wide_string(MAX_PATH_UNITS))
}

pub(super) fn write_string<'w>(writer: &'w mut Writer, text: Option<&str>) -> &'w mut Writer {
    writer.unique(text, |writer, text| {
        writer.wide_string(text);
    })
}

/// `cbBuffer` is signed: a negative one is an enormous one here.
fn read_buffer_size(reader: &mut Reader<'_>) -> Result<u32, NdrError> {
    let size = reader.u32()?;
    if size <= MAX_READ_BUFFER {
        Ok(size)
    } else {
        let offset = reader.position() - 4;
        Err(NdrError::TooLarge { offset, count: size.into(), limit: MAX_READ_BUFFER as usize })
    }
}
