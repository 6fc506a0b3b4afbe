//! What an activation asks for, and how it becomes properties (wire.md 4.9).

use super::blob;
use crate::dcom::{Clsid, ComVersion, CustomObjRef, Iid, ObjRefError, TOWER_TCP};
use crate::ndr::{Guid, NdrError, Reader, Writer};
use crate::rpc::AuthLevel;

/// The most interfaces that one activation may ask for (wire.md 4.8).
pub const MAX_INTERFACES: usize = 0x8000;
/// The most protocols that a client may name (wire.md 4.8).
pub const MAX_TOWERS: usize = 0x8000;

/// `ClientImpLevel`: impersonation at the level "identify" or above; ignored by servers.
const IMPERSONATION_LEVEL: u32 = 2;
/// The longest name of a server that is read, in UTF-16 units.
const MAX_SERVER_NAME: usize = 32_767;
/// How many bytes the client's context has.
const CONTEXT_SIZE: usize = 48;

/// The properties of an activation request. What a server does not need is written as Windows has it and not looked
/// at when read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationProperties {
    /// The class to create an object of.
    pub class: Clsid,
    /// Which of its interfaces are wanted, in this order: 1 to [`MAX_INTERFACES`].
    pub interfaces: Vec<Iid>,
    /// `classCtx`: where the client lets the server run; [`ActivationProperties::ANYWHERE`] or
    /// [`ActivationProperties::ELSEWHERE`]. Ignored by servers.
    pub class_context: u32,
    /// `actvflags`: 0, or hints that a server may ignore (wire.md 4.9).
    pub flags: u32,
    /// `instFlags`: 0, as Windows has it.
    pub instance_flags: u32,
    /// The version the client speaks, once more.
    pub version: ComVersion,
    /// The session in which the server should run, [`ActivationProperties::ANY_SESSION`] for any; none when the
    /// client says nothing about it. A session that cannot be had: CO_E_RUNAS_LOGON_FAILURE.
    pub session: Option<u32>,
    /// The level of authentication that is the client's default, as on the wire; travels with the session. Ignored by servers.
    pub default_level: u32,
    /// The name of the server as the client dialled it; none when it does not say.
    pub server: Option<String>,
    /// The identifier of the client's context; none when the client sends no context, as impacket does.
    pub context: Option<Guid>,
    /// The protocols the client speaks. Empty when it does not say.
    pub towers: Vec<u16>,
}

impl ActivationProperties {
    /// No session in particular.
    pub const ANY_SESSION: u32 = 0xFFFF_FFFF;
    /// A class context: a process of another machine.
    pub const ELSEWHERE: u32 = 0x10;
    /// A class context: a process of this machine or of another one.
    pub const ANYWHERE: u32 = 0x14;

    /// What a client asks that wants `interfaces` of a new object of `class`, over TCP, of the server that it dialled as
    /// `server`: what Windows asks that has the updates of KB5004442 (`activation-level5-patched-windows` of the captures).
    #[must_use]
    pub fn of(class: Clsid, interfaces: Vec<Iid>, context: Guid, server: Option<String>) -> Self {
        Self {
            class,
            interfaces,
            class_context: Self::ANYWHERE,
            flags: 0,
            instance_flags: 0,
            version: ComVersion::OURS,
            session: Some(Self::ANY_SESSION),
            default_level: AuthLevel::Integrity.to_wire().into(),
            server,
            context: Some(context),
            towers: vec![TOWER_TCP],
        }
    }

    /// Decodes the custom OBJREF of the request.
    ///
    /// # Errors
    ///
    /// [`ObjRefError`]: among others [`ObjRefError::Class`] when it holds something else, and
    /// [`ObjRefError::Missing`] without InstantiationInfo, the only property that must be there.
    pub fn decode(objref: &[u8]) -> Result<Self, ObjRefError> {
        let objref = CustomObjRef::decode(objref)?;
        if (objref.iid, objref.class) != (Iid::ACTIVATION_PROPERTIES_IN, Clsid::ACTIVATION_PROPERTIES_IN) {
            return Err(ObjRefError::Class);
        }
        let (mut instantiation, mut session, mut default_level) = (None, None, 0);
        let (mut server, mut context, mut towers) = (None, None, Vec::new());
        for (id, mut body) in blob::read(objref.data)? {
            match id {
                Clsid::INSTANTIATION_INFO => instantiation = Some(Instantiation::read(&mut body)?),
                Clsid::SPECIAL_SYSTEM_PROPERTIES => {
                    session = Some(body.u32()?);
                    // Behind whether it is a remote session, and the partition.
                    default_level = body.bytes(12).and_then(|_| body.u32()).unwrap_or(0);
                }
                Clsid::SECURITY_INFO => server = read_server(&mut body),
                Clsid::ACTIVATION_CONTEXT_INFO => context = read_context(&mut body)?,
                Clsid::SCM_REQUEST_INFO => towers = read_towers(&mut body)?,
                _ => {}
            }
        }
        let Instantiation { class, interfaces, class_context, flags, instance_flags, version } =
            instantiation.ok_or(ObjRefError::Missing { name: "InstantiationInfo" })?;
        Ok(Self {
            class,
            interfaces,
            class_context,
            flags,
            instance_flags,
            version,
            session,
            default_level,
            server,
            context,
            towers,
        })
    }

    /// Encodes the custom OBJREF of the request: the six properties that Windows sends, the first of them only with a
    /// session.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut properties = Vec::new();
        if let Some(session) = self.session {
            properties.push((Clsid::SPECIAL_SYSTEM_PROPERTIES, self.special_system_properties(session)));
        }
        properties.extend([
            (Clsid::INSTANTIATION_INFO, self.instantiation_info()),
            (Clsid::ACTIVATION_CONTEXT_INFO, activation_context_info(self.context)),
            (Clsid::SECURITY_INFO, security_info(self.server.as_deref())),
            (Clsid::SERVER_LOCATION_INFO, zeros(16)),
            (Clsid::SCM_REQUEST_INFO, scm_request_info(&self.towers)),
        ]);
        let data = blob::write(&properties);
        let (iid, class) = (Iid::ACTIVATION_PROPERTIES_IN, Clsid::ACTIVATION_PROPERTIES_IN);
        CustomObjRef { iid, class, data: &data }.encode()
    }

    fn instantiation_info(&self) -> Writer {
        // 52 bytes of fields and the interfaces, padded, behind 16 of serialisation.
        let size = 16 + (52 + 16 * self.interfaces.len()).next_multiple_of(8);
        let mut writer = Writer::new();
        self.class.write(&mut writer);
        writer.u32(self.class_context).u32(self.flags).u32(0);
        writer.count(self.interfaces.len()).u32(self.instance_flags).referent();
        writer.count(size).u16(self.version.major).u16(self.version.minor).count(self.interfaces.len());
        for iid in &self.interfaces {
            iid.write(&mut writer);
        }
        writer
    }

    fn special_system_properties(&self, session: u32) -> Writer {
        let mut writer = Writer::new();
        writer.u32(session).zeros(12).u32(self.default_level).guid(Guid::NIL);
        writer.u32(0).u32(self.class_context).u32(2); // flags, the original class context, flags
        writer.zeros(40);
        writer
    }
}

/// InstantiationInfo.
struct Instantiation {
    class: Clsid,
    interfaces: Vec<Iid>,
    class_context: u32,
    flags: u32,
    instance_flags: u32,
    version: ComVersion,
}

impl Instantiation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ObjRefError> {
        let class = Clsid::read(reader)?;
        let (class_context, flags) = (reader.u32()?, reader.u32()?);
        reader.u32()?; // whether it is a surrogate
        let (count, instance_flags) = (reader.u32()?, reader.u32()?);
        let has_interfaces = reader.referent()?;
        reader.u32()?; // the size of all this
        let version = ComVersion { major: reader.u16()?, minor: reader.u16()? };
        if !has_interfaces || count == 0 {
            return Err(ObjRefError::Missing { name: "the interfaces it wants" });
        }
        let interfaces = read_interfaces(reader, count)?;
        Ok(Self { class, interfaces, class_context, flags, instance_flags, version })
    }
}

/// A conformant array of IIDs whose count another field governs.
pub(super) fn read_interfaces(reader: &mut Reader<'_>, count: u32) -> Result<Vec<Iid>, NdrError> {
    let maximum = reader.conformance(MAX_INTERFACES)?;
    reader.expect_count(maximum as u64, count.into())?;
    (0..maximum).map(|_| Iid::read(reader)).collect()
}

/// SecurityInfo: the authentication flags, and a COSERVERINFO with the server's name alone (DCOM 2.2.22.2.7).
fn security_info(server: Option<&str>) -> Writer {
    let Some(server) = server else { return zeros(16) };
    let mut writer = Writer::new();
    writer.u32(0).referent().null();
    writer.u32(0).referent().null().u32(0).wide_string(server);
    writer
}

/// The server's name. What is of another form has none: no server needs it.
fn read_server(reader: &mut Reader<'_>) -> Option<String> {
    reader.u32().ok()?; // the authentication flags
    let (has_server, _) = (reader.referent().ok()?, reader.u32().ok()?);
    if !has_server {
        return None;
    }
    reader.u32().ok()?; // reserved
    let has_name = reader.referent().ok()?;
    reader.bytes(8).ok()?; // no identity, and a reserved word
    if has_name { reader.wide_string(MAX_SERVER_NAME).ok() } else { None }
}

fn activation_context_info(context: Option<Guid>) -> Writer {
    let mut writer = Writer::new();
    writer.zeros(16);
    let Some(id) = context else {
        writer.null().null();
        return writer;
    };
    writer.referent().null();
    let mut data = Writer::new();
    data.u16(1).u16(1).guid(id).u32(2).zeros(20).u32(1);
    debug_assert_eq!(data.position(), CONTEXT_SIZE);
    let (iid, class) = (Iid::CONTEXT, Clsid::CONTEXT_MARSHALER);
    let objref = CustomObjRef { iid, class, data: &data.into_bytes() }.encode_inner();
    crate::dcom::objref::write_interface_pointer(&mut writer, &objref);
    writer
}

/// The identifier of the client's context. A context of another form is none.
fn read_context(reader: &mut Reader<'_>) -> Result<Option<Guid>, ObjRefError> {
    reader.bytes(16)?; // whether the client is content, reserved fields
    let (has_context, _) = (reader.referent()?, reader.referent()?);
    if !has_context {
        return Ok(None);
    }
    let objref = CustomObjRef::decode(crate::dcom::objref::read_interface_pointer(reader)?)?;
    let id = objref.data.get(4..20).and_then(|bytes| bytes.first_chunk::<16>());
    let is_context = objref.class == Clsid::CONTEXT_MARSHALER;
    Ok(id.filter(|_| is_context).map(|bytes| Guid::from_le_bytes(*bytes)))
}

fn scm_request_info(towers: &[u16]) -> Writer {
    let mut writer = Writer::new();
    writer.null();
    if towers.is_empty() {
        writer.null();
        return writer;
    }
    writer.referent().u32(IMPERSONATION_LEVEL);
    writer.u16(u16::try_from(towers.len()).unwrap_or(u16::MAX)).referent().conformant_units(towers);
    writer
}

fn read_towers(reader: &mut Reader<'_>) -> Result<Vec<u16>, ObjRefError> {
    reader.u32()?; // NULL
    if !reader.referent()? {
        return Ok(Vec::new());
    }
    reader.u32()?; // the impersonation level
    let count = reader.u16()?;
    if !reader.referent()? {
        reader.expect_count(count.into(), 0)?;
        return Ok(Vec::new());
    }
    let towers = reader.conformant_units(MAX_TOWERS)?;
    reader.expect_count(towers.len() as u64, count.into())?;
    Ok(towers)
}

fn zeros(count: usize) -> Writer {
    let mut writer = Writer::new();
    writer.zeros(count);
    writer
}
