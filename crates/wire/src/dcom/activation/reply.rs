//! What an activation yields, and how it becomes properties (wire.md 4.10).

use super::{MAX_INTERFACES, blob};
use crate::dcom::objref::{read_interface_pointer, write_interface_pointer};
use crate::dcom::{Clsid, ComVersion, CustomObjRef, DualStringArray, Iid, Ipid, ObjRef, ObjRefError, Oxid};
use crate::ndr::{Reader, Writer};
use certadm_rules::Hresult;

/// What became of one interface that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceResult {
    /// Which one.
    pub iid: Iid,
    /// [`Hresult::S_OK`], or [`Hresult::E_NOINTERFACE`].
    pub code: Hresult,
    /// The reference to it; none on failure.
    pub reference: Option<ObjRef>,
}

/// Where the new object lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exporter {
    /// Which exporter.
    pub oxid: Oxid,
    /// Where it listens, with ports, and how to authenticate.
    pub bindings: DualStringArray,
    /// Its Remote Unknown.
    pub rem_unknown: Ipid,
    /// The lowest level of authentication that it accepts, as on the wire: 6 for a CA. See
    /// [`call_level`](crate::dcom::call_level).
    pub authentication_hint: u32,
    /// The version it speaks.
    pub version: ComVersion,
}

/// The properties of an activation's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationReply {
    /// One for each interface that was asked for, in that order.
    pub interfaces: Vec<InterfaceResult>,
    /// Where the object lives.
    pub exporter: Exporter,
}

impl ActivationReply {
    /// Decodes the custom OBJREF of the answer.
    ///
    /// # Errors
    ///
    /// [`ObjRefError`], the server's fault: among others [`ObjRefError::Missing`] without one of both properties.
    pub fn decode(objref: &[u8]) -> Result<Self, ObjRefError> {
        let objref = CustomObjRef::decode(objref)?;
        if (objref.iid, objref.class) != (Iid::ACTIVATION_PROPERTIES_OUT, Clsid::ACTIVATION_PROPERTIES_OUT) {
            return Err(ObjRefError::Class);
        }
        let (mut interfaces, mut exporter) = (None, None);
        for (id, mut body) in blob::read(objref.data)? {
            match id {
                // PropsOutInfo has this identifier too.
                Clsid::ACTIVATION_PROPERTIES_OUT => interfaces = Some(read_props_out(&mut body)?),
                Clsid::SCM_REPLY_INFO => exporter = Some(Exporter::read(&mut body)?),
                _ => {}
            }
        }
        Ok(Self {
            interfaces: interfaces.ok_or(ObjRefError::Missing { name: "PropsOutInfo" })?,
            exporter: exporter.ok_or(ObjRefError::Missing { name: "ScmReplyInfo" })?,
        })
    }

    /// Encodes the custom OBJREF of the answer: PropsOutInfo, then ScmReplyInfo, since some clients read them by
    /// position (wire.md 4.10).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let data = blob::write(&[
            (Clsid::ACTIVATION_PROPERTIES_OUT, props_out(&self.interfaces)),
            (Clsid::SCM_REPLY_INFO, self.exporter.scm_reply_info()),
        ]);
        let (iid, class) = (Iid::ACTIVATION_PROPERTIES_OUT, Clsid::ACTIVATION_PROPERTIES_OUT);
        CustomObjRef { iid, class, data: &data }.encode()
    }
}

impl Exporter {
    fn scm_reply_info(&self) -> Writer {
        let mut writer = Writer::new();
        writer.null().referent();
        self.oxid.write(&mut writer);
        writer.referent();
        self.rem_unknown.write(&mut writer);
        writer.u32(self.authentication_hint).u16(self.version.major).u16(self.version.minor);
        self.bindings.write(&mut writer);
        writer
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, ObjRefError> {
        reader.u32()?; // NULL
        let missing = ObjRefError::Missing { name: "the exporter" };
        if !reader.referent()? {
            return Err(missing);
        }
        let oxid = Oxid::read(reader)?;
        if !reader.referent()? {
            return Err(missing);
        }
        let rem_unknown = Ipid::read(reader)?;
        let authentication_hint = reader.u32()?;
        let version = ComVersion { major: reader.u16()?, minor: reader.u16()? };
        let bindings = DualStringArray::read(reader)?;
        Ok(Self { oxid, bindings, rem_unknown, authentication_hint, version })
    }
}

fn props_out(interfaces: &[InterfaceResult]) -> Writer {
    let mut writer = Writer::new();
    writer.count(interfaces.len()).referent().referent().referent();
    writer.count(interfaces.len());
    for interface in interfaces {
        interface.iid.write(&mut writer);
    }
    write_results(&mut writer, interfaces, true);
    writer
}

fn read_props_out(reader: &mut Reader<'_>) -> Result<Vec<InterfaceResult>, ObjRefError> {
    let count = reader.u32()?;
    for _ in 0..3 {
        if !reader.referent()? {
            return Err(ObjRefError::Missing { name: "the interfaces" });
        }
    }
    let iids = super::request::read_interfaces(reader, count)?;
    read_results(reader, &iids, true)
}

/// Codes and interface pointers, as two conformant arrays: codes first, or pointers first as in `IActivation`.
pub(super) fn write_results(writer: &mut Writer, interfaces: &[InterfaceResult], codes_first: bool) {
    let codes = |writer: &mut Writer| {
        writer.count(interfaces.len());
        for interface in interfaces {
            writer.u32(interface.code.to_bits());
        }
    };
    if codes_first {
        codes(writer);
    }
    writer.count(interfaces.len());
    for interface in interfaces {
        if interface.reference.is_some() {
            writer.referent()
        } else {
            writer.null()
        };
    }
    for reference in interfaces.iter().filter_map(|interface| interface.reference.as_ref()) {
        write_interface_pointer(writer, &reference.encode());
    }
    if !codes_first {
        codes(writer);
    }
}

/// Reads what [`write_results`] writes, one of each for each of `iids`.
pub(super) fn read_results(
    reader: &mut Reader<'_>,
    iids: &[Iid],
    codes_first: bool,
) -> Result<Vec<InterfaceResult>, ObjRefError> {
    let conformance = |reader: &mut Reader<'_>| {
        let count = reader.conformance(MAX_INTERFACES)?;
        reader.expect_count(count as u64, iids.len() as u64)
    };
    let read_codes = |reader: &mut Reader<'_>| {
        conformance(reader)?;
        iids.iter().map(|_| reader.u32().map(Hresult::from_bits)).collect::<Result<Vec<_>, _>>()
    };
    let mut codes = Vec::new();
    if codes_first {
        codes = read_codes(reader)?;
    }
    conformance(reader)?;
    let present = iids.iter().map(|_| reader.referent()).collect::<Result<Vec<_>, _>>()?;
    let mut references = Vec::new();
    for present in present {
        references.push(if present { Some(ObjRef::decode(read_interface_pointer(reader)?)?) } else { None });
    }
    if !codes_first {
        codes = read_codes(reader)?;
    }
    let results = iids.iter().zip(codes).zip(references);
    Ok(results.map(|((&iid, code), reference)| InterfaceResult { iid, code, reference }).collect())
}
