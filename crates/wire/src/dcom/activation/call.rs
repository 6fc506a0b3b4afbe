//! The methods of `IRemoteSCMActivator`, after ORPCTHIS and ORPCTHAT (wire.md 4.6).

use super::{ActivationProperties, ActivationReply};
use crate::dcom::DcomError;
use crate::dcom::objref::{read_interface_pointer, write_interface_pointer};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::Hresult;

/// What a client asks of `IRemoteSCMActivator`, without ORPCTHIS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActivatorRequest {
    /// `RemoteGetClassObject`, opnum 3: the factory of a class, for the calls of [`FactoryRequest`](super::FactoryRequest).
    GetClassObject(ActivationProperties),
    /// `RemoteCreateInstance`, opnum 4: a new object.
    CreateInstance(ActivationProperties),
}

impl ActivatorRequest {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::GetClassObject(_) => 3,
            Self::CreateInstance(_) => 4,
        }
    }

    /// Reads the parameters of `opnum` after ORPCTHIS. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`DcomError`]: opnums 0 to 2 and from 5 on do not exist; a fault or a response answers the others.
    pub fn read(opnum: u16, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        match opnum {
            3 => Ok(Self::GetClassObject(read_properties(reader)?)),
            4 => {
                // The outer object of an aggregation: always NULL. Its target would stand here.
                reader.unique(|reader| read_interface_pointer(reader).map(|_| ()))?;
                Ok(Self::CreateInstance(read_properties(reader)?))
            }
            _ => Err(DcomError::Opnum { opnum }),
        }
    }

    /// Writes the parameters after ORPCTHIS.
    pub fn write(&self, writer: &mut Writer) {
        let (Self::GetClassObject(properties) | Self::CreateInstance(properties)) = self;
        if matches!(self, Self::CreateInstance(_)) {
            writer.null();
        }
        write_interface_pointer(writer.referent(), &properties.encode());
    }
}

fn read_properties(reader: &mut Reader<'_>) -> Result<ActivationProperties, DcomError> {
    let has_properties = reader.referent()?;
    if !has_properties {
        return Err(NdrError::NullPointer { offset: reader.position() - 4 }.into());
    }
    let objref = read_interface_pointer(reader)?;
    Ok(ActivationProperties::decode(objref)?)
}

/// What `IRemoteSCMActivator` answers to both its methods, without ORPCTHAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatorResponse {
    /// What was created; none on failure.
    pub reply: Option<ActivationReply>,
    /// [`Hresult::S_OK`], or why nothing was created (wire.md 4.6).
    pub code: Hresult,
}

impl ActivatorResponse {
    /// The answer that says nothing but `code`.
    pub const fn failure(code: Hresult) -> Self {
        Self { reply: None, code }
    }

    /// Reads it after ORPCTHAT. What follows is ignored.
    ///
    /// # Errors
    ///
    /// [`DcomError`], the server's fault.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        let objref = reader.unique(read_interface_pointer)?;
        let code = Hresult::from_bits(reader.u32()?);
        let reply = objref.map(ActivationReply::decode).transpose()?;
        Ok(Self { reply, code })
    }

    /// Writes it after ORPCTHAT.
    pub fn write(&self, writer: &mut Writer) {
        let objref = self.reply.as_ref().map(ActivationReply::encode);
        writer.unique(objref, |writer, objref| write_interface_pointer(writer, &objref));
        writer.u32(self.code.to_bits());
    }
}
