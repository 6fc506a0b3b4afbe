//! `IClassFactory`, which makes objects of the class whose factory an activation gave out, as clients in .NET and PowerShell do
//! it. Its calls have ORPCTHIS and ORPCTHAT as those of any object.

use certadm_rules::Hresult;

use crate::dcom::objref::{read_interface_pointer, write_interface_pointer};
use crate::dcom::{DcomError, Iid, ObjRef};
use crate::ndr::{Reader, Writer};

/// What a client asks of a factory, without ORPCTHIS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactoryRequest {
    /// `RemoteCreateInstance`, opnum 3: a new object. Nobody aggregates over a network, so there is no outer object.
    CreateInstance {
        /// The interface that is wanted of it.
        iid: Iid,
    },
    /// `RemoteLockServer`, opnum 4: keeps the server running without an object, or lets it go.
    LockServer {
        /// Whether to keep it.
        lock: bool,
    },
}

impl FactoryRequest {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::CreateInstance { .. } => 3,
            Self::LockServer { .. } => 4,
        }
    }

    /// Reads the parameters of `opnum` after ORPCTHIS. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`DcomError::Opnum`]; [`DcomError::Stub`].
    pub fn read(opnum: u16, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        match opnum {
            3 => Ok(Self::CreateInstance { iid: Iid::read(reader)? }),
            4 => Ok(Self::LockServer { lock: reader.u32()? != 0 }),
            _ => Err(DcomError::Opnum { opnum }),
        }
    }

    /// Writes the parameters after ORPCTHIS.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::CreateInstance { iid } => iid.write(writer),
            Self::LockServer { lock } => {
                writer.u32((*lock).into());
            }
        }
    }
}

/// What a factory answers, without ORPCTHAT.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactoryResponse {
    /// To [`FactoryRequest::CreateInstance`].
    Created {
        /// The object; none on failure.
        reference: Option<ObjRef>,
        /// [`Hresult::S_OK`], or why there is none.
        code: Hresult,
    },
    /// To [`FactoryRequest::LockServer`].
    Locked(Hresult),
}

impl FactoryResponse {
    /// The answer to `request` that says nothing but `code`.
    #[must_use]
    pub const fn failure(request: &FactoryRequest, code: Hresult) -> Self {
        match request {
            FactoryRequest::CreateInstance { .. } => Self::Created { reference: None, code },
            FactoryRequest::LockServer { .. } => Self::Locked(code),
        }
    }

    /// Reads the answer to `request` after ORPCTHAT. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`DcomError`], the server's fault.
    pub fn read(request: &FactoryRequest, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        match request {
            FactoryRequest::CreateInstance { .. } => {
                let objref = reader.unique(read_interface_pointer)?;
                let code = Hresult::from_bits(reader.u32()?);
                Ok(Self::Created { reference: objref.map(ObjRef::decode).transpose()?, code })
            }
            FactoryRequest::LockServer { .. } => Ok(Self::Locked(Hresult::from_bits(reader.u32()?))),
        }
    }

    /// Writes it after ORPCTHAT.
    pub fn write(&self, writer: &mut Writer) {
        if let Self::Created { reference, .. } = self {
            let objref = reference.as_ref().map(ObjRef::encode);
            writer.unique(objref, |writer, objref| write_interface_pointer(writer, &objref));
        }
        writer.u32(self.code().to_bits());
    }

    /// Its code.
    pub const fn code(&self) -> Hresult {
        match self {
            Self::Created { code, .. } | Self::Locked(code) => *code,
        }
    }
}
