//! `IActivation::RemoteActivation`, opnum 0, which modern clients no longer use (wire.md 4.13; DCOM 3.1.2.5.2.3.1).

use super::reply::{read_results, write_results};
use super::request::read_interfaces;
use super::{Exporter, InterfaceResult, MAX_TOWERS};
use crate::dcom::objref::read_interface_pointer;
use crate::dcom::{Clsid, ComVersion, DcomError, DualStringArray, Iid, Ipid, Oxid};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::Hresult;

/// The longest name of an object that is read, in UTF-16 units.
const MAX_NAME: usize = 32_767;

/// The request, without ORPCTHIS. A name or storage of the object is skipped, and sent as NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteActivation {
    /// The class.
    pub class: Clsid,
    /// `ClientImpLevel`, ignored.
    pub impersonation_level: u32,
    /// 0 for an object, [`RemoteActivation::CLASS_FACTORY`] for the factory of the class.
    pub mode: u32,
    /// Which interfaces are wanted, in this order.
    pub interfaces: Vec<Iid>,
    /// The protocols the client speaks.
    pub towers: Vec<u16>,
}

impl RemoteActivation {
    /// `Mode` that asks for the factory.
    pub const CLASS_FACTORY: u32 = 0xFFFF_FFFF;
    /// The only method.
    pub const OPNUM: u16 = 0;

    /// Reads the parameters after ORPCTHIS. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`NdrError`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        let class = Clsid::read(reader)?;
        reader.unique(|reader| reader.wide_string(MAX_NAME))?;
        reader.unique(read_interface_pointer)?;
        let (impersonation_level, mode, count) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let interfaces = match reader.referent()? {
            true => read_interfaces(reader, count)?,
            false => {
                reader.expect_count(0, count.into())?;
                Vec::new()
            }
        };
        let count = reader.u16()?;
        let towers = reader.conformant_units(MAX_TOWERS)?;
        reader.expect_count(towers.len() as u64, count.into())?;
        Ok(Self { class, impersonation_level, mode, interfaces, towers })
    }

    /// Writes the parameters after ORPCTHIS.
    pub fn write(&self, writer: &mut Writer) {
        self.class.write(writer);
        writer.null().null().u32(self.impersonation_level).u32(self.mode).count(self.interfaces.len());
        if self.interfaces.is_empty() {
            writer.null();
        } else {
            writer.referent().count(self.interfaces.len());
            for iid in &self.interfaces {
                iid.write(writer);
            }
        }
        writer.u16(u16::try_from(self.towers.len()).unwrap_or(u16::MAX)).conformant_units(&self.towers);
    }
}

/// The answer, without ORPCTHAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteActivationReply {
    /// Where the object lives; none on failure.
    pub exporter: Option<Exporter>,
    /// One for each interface that was asked for, also on failure.
    pub interfaces: Vec<InterfaceResult>,
    /// [`Hresult::S_OK`], or why nothing was created.
    pub code: Hresult,
    /// A Win32 error of the call itself, 0 for none.
    pub status: u32,
}

impl RemoteActivationReply {
    /// The complete answer to `request` that says nothing but `code`.
    #[must_use]
    pub fn failure(request: &RemoteActivation, code: Hresult) -> Self {
        let result = |&iid| InterfaceResult { iid, code, reference: None };
        let interfaces = request.interfaces.iter().map(result).collect();
        Self { exporter: None, interfaces, code, status: 0 }
    }

    /// Reads the answer to `request` after ORPCTHAT.
    ///
    /// # Errors
    ///
    /// [`DcomError`], the server's fault.
    pub fn read(request: &RemoteActivation, reader: &mut Reader<'_>) -> Result<Self, DcomError> {
        let oxid = Oxid::read(reader)?;
        let bindings = if reader.referent()? { Some(DualStringArray::read(reader)?) } else { None };
        let rem_unknown = Ipid::read(reader)?;
        let authentication_hint = reader.u32()?;
        let version = ComVersion { major: reader.u16()?, minor: reader.u16()? };
        let code = Hresult::from_bits(reader.u32()?);
        let interfaces = read_results(reader, &request.interfaces, false)?;
        let status = reader.u32()?;
        let exporter =
            bindings.map(|bindings| Exporter { oxid, bindings, rem_unknown, authentication_hint, version });
        Ok(Self { exporter, interfaces, code, status })
    }

    /// Writes the answer after ORPCTHAT.
    pub fn write(&self, writer: &mut Writer) {
        match &self.exporter {
            Some(exporter) => {
                exporter.oxid.write(writer);
                exporter.bindings.write(writer.referent());
                exporter.rem_unknown.write(writer);
                writer.u32(exporter.authentication_hint);
                writer.u16(exporter.version.major).u16(exporter.version.minor);
            }
            None => {
                Oxid::default().write(writer);
                Ipid::default().write(writer.null());
                writer.u32(0).u16(ComVersion::OURS.major).u16(ComVersion::OURS.minor);
            }
        }
        writer.u32(self.code.to_bits());
        write_results(writer, &self.interfaces, false);
        writer.u32(self.status);
    }
}
