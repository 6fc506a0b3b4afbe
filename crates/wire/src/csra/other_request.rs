//! What a client asks beyond the backup methods (wire.md 5.2, 5.10).

use super::request::{read_string, write_string};
use super::response::{MAX_BLOB, read_blob, write_blob};
use certadm_rules::FileTime;

use super::{Interface, Method, RequestError, Variant};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::wide::MAX_PATH_UNITS;

/// The most conditions and columns of a view.
const MAX_VIEW: usize = 0x1_0000;

/// A call of a method that is none of the backup methods, without ORPCTHIS. As with [`Request`](super::Request),
/// nothing is checked but the encoding. Strings that may be NULL are options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRequest<'a> {
    /// Which CA; NULL and empty mean the only one (wire.md 5.1).
    pub authority: Option<String>,
    /// What is asked of it.
    pub call: OtherCall<'a>,
}

/// The method and its parameters after the authority, in the order of wire.md 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the parameters of wire.md 5.2, under the same names")]
pub enum OtherCall<'a> {
    /// Opnum 3.
    SetExtension { request_id: u32, extension: Option<String>, kind: u32, flags: u32, value: &'a [u8] },
    /// Opnum 4.
    SetAttributes { request_id: u32, attributes: Option<String> },
    /// Opnum 5.
    ResubmitRequest { request_id: u32 },
    /// Opnum 6.
    DenyRequest { request_id: u32 },
    /// Opnum 7.
    IsValidCertificate { serial: Option<String> },
    /// Opnum 8.
    PublishCrl { next_update: FileTime },
    /// Opnum 9.
    GetCrl,
    /// Opnum 10.
    RevokeCertificate { serial: Option<String>, reason: u32, at: FileTime },
    /// Opnum 11.
    EnumViewColumn { first: u32, count: u32 },
    /// Opnum 12.
    GetViewDefaultColumnSet { set: u32 },
    /// Opnum 13.
    EnumAttributesOrExtensions { row: u32, flags: u32, last: Option<String>, count: u32 },
    /// Opnum 14.
    OpenView { restrictions: Vec<ViewRestriction<'a>>, columns: Vec<u32>, first: u32, count: u32 },
    /// Opnum 15.
    EnumView { first: u32, count: u32 },
    /// Opnum 16.
    CloseView,
    /// Opnum 28.
    ImportCertificate { certificate: &'a [u8], flags: i32 },
    /// Opnum 31.
    PublishCrls { next_update: FileTime, flags: u32 },
    /// Opnum 32: one property; its value decodes by [`PropertyValue`](super::PropertyValue).
    GetCaProperty { property: i32, index: i32, kind: i32 },
    /// Opnum 33.
    SetCaProperty { property: i32, index: i32, kind: i32, value: &'a [u8] },
    /// Opnum 34: which properties there are; the answer decodes by [`CaProperty`](super::CaProperty).
    GetCaPropertyInfo,
    /// Opnum 35.
    EnumViewColumnTable { table: u32, first: u32, count: u32 },
    /// Opnum 36: the security descriptor.
    GetCaSecurity,
    /// Opnum 37.
    SetCaSecurity { descriptor: &'a [u8] },
    /// Opnum 39.
    GetArchivedKey { request_id: u32 },
    /// Opnum 40.
    GetAuditFilter,
    /// Opnum 41.
    SetAuditFilter { filter: u32 },
    /// Opnum 42.
    GetOfficerRights,
    /// Opnum 43.
    SetOfficerRights { enabled: u32, rights: &'a [u8] },
    /// Opnum 44: a configuration value. The node of the CA's own key is the empty string, not NULL (wire.md 5.12).
    GetConfigEntry { node: Option<String>, entry: String },
    /// Opnum 45; a VARIANT that is NULL is none.
    SetConfigEntry { node: Option<String>, entry: String, value: Option<Variant> },
    /// Opnum 46.
    ImportKey { request_id: u32, certificate_hash: Option<String>, flags: u32, key: &'a [u8] },
    /// Opnum 47: the caller's [`Roles`](certadm_rules::flags::Roles).
    GetMyRoles,
    /// Opnum 48.
    DeleteRow { flags: u32, before: FileTime, table: u32, row: u32 },
}

/// CERTVIEWRESTRICTION: a condition on a column (wire.md 5.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewRestriction<'a> {
    /// The column.
    pub column: u32,
    /// 1 =, 2 <, 4 <=, 8 >=, 0x10 >.
    pub operator: i32,
    /// 0 none, 1 ascending, 2 descending.
    pub sort: i32,
    /// What it is compared with; NULL is none.
    pub value: Option<&'a [u8]>,
}

impl<'a> OtherRequest<'a> {
    /// Reads the parameters of `opnum` after ORPCTHIS. What follows them is left to `reader`.
    ///
    /// # Errors
    ///
    /// [`RequestError::Opnum`], also for a backup method, which [`Request`](super::Request) reads;
    /// [`RequestError::Stub`].
    pub fn read(interface: Interface, opnum: u16, reader: &mut Reader<'a>) -> Result<Self, RequestError> {
        let method = Method::from_opnum(interface, opnum).filter(|method| !method.serves_backup());
        let method = method.ok_or(RequestError::Opnum { opnum })?;
        let authority = read_string(reader)?;
        let call = OtherCall::read(method, reader)?.ok_or(RequestError::Opnum { opnum })?;
        Ok(Self { authority, call })
    }

    /// Writes the parameters after ORPCTHIS.
    pub fn write(&self, writer: &mut Writer) {
        write_string(writer, self.authority.as_deref());
        self.call.write(writer);
    }
}

impl<'a> OtherCall<'a> {
    /// Its opnum.
    #[must_use]
    pub const fn opnum(&self) -> u16 {
        match self {
            Self::SetExtension { .. } => 3,
            Self::SetAttributes { .. } => 4,
            Self::ResubmitRequest { .. } => 5,
            Self::DenyRequest { .. } => 6,
            Self::IsValidCertificate { .. } => 7,
            Self::PublishCrl { .. } => 8,
            Self::GetCrl => 9,
            Self::RevokeCertificate { .. } => 10,
            Self::EnumViewColumn { .. } => 11,
            Self::GetViewDefaultColumnSet { .. } => 12,
            Self::EnumAttributesOrExtensions { .. } => 13,
            Self::OpenView { .. } => 14,
            Self::EnumView { .. } => 15,
            Self::CloseView => 16,
            Self::ImportCertificate { .. } => 28,
            Self::PublishCrls { .. } => 31,
            Self::GetCaProperty { .. } => 32,
            Self::SetCaProperty { .. } => 33,
            Self::GetCaPropertyInfo => 34,
            Self::EnumViewColumnTable { .. } => 35,
            Self::GetCaSecurity => 36,
            Self::SetCaSecurity { .. } => 37,
            Self::GetArchivedKey { .. } => 39,
            Self::GetAuditFilter => 40,
            Self::SetAuditFilter { .. } => 41,
            Self::GetOfficerRights => 42,
            Self::SetOfficerRights { .. } => 43,
            Self::GetConfigEntry { .. } => 44,
            Self::SetConfigEntry { .. } => 45,
            Self::ImportKey { .. } => 46,
            Self::GetMyRoles => 47,
            Self::DeleteRow { .. } => 48,
        }
    }

    /// The parameters after the authority; none for a method that is not in the enumeration.
    fn read(method: Method, reader: &mut Reader<'a>) -> Result<Option<Self>, NdrError> {
        Ok(Some(match method.opnum() {
            3 => Self::SetExtension {
                request_id: reader.u32()?,
                extension: read_string(reader)?,
                kind: reader.u32()?,
                flags: reader.u32()?,
                value: read_blob(reader, MAX_BLOB)?,
            },
            4 => Self::SetAttributes { request_id: reader.u32()?, attributes: read_string(reader)? },
            5 => Self::ResubmitRequest { request_id: reader.u32()? },
            6 => Self::DenyRequest { request_id: reader.u32()? },
            7 => Self::IsValidCertificate { serial: read_string(reader)? },
            8 => Self::PublishCrl { next_update: reader.file_time()? },
            9 => Self::GetCrl,
            10 => Self::RevokeCertificate {
                serial: read_string(reader)?,
                reason: reader.u32()?,
                at: reader.file_time()?,
            },
            11 => Self::EnumViewColumn { first: reader.u32()?, count: reader.u32()? },
            12 => Self::GetViewDefaultColumnSet { set: reader.u32()? },
            13 => Self::EnumAttributesOrExtensions {
                row: reader.u32()?,
                flags: reader.u32()?,
                last: read_string(reader)?,
                count: reader.u32()?,
            },
            14 => Self::OpenView {
                restrictions: read_restrictions(reader)?,
                columns: read_columns(reader)?,
                first: reader.u32()?,
                count: reader.u32()?,
            },
            15 => Self::EnumView { first: reader.u32()?, count: reader.u32()? },
            16 => Self::CloseView,
            28 => Self::ImportCertificate { certificate: read_blob(reader, MAX_BLOB)?, flags: reader.i32()? },
            31 => Self::PublishCrls { next_update: reader.file_time()?, flags: reader.u32()? },
            32 => Self::GetCaProperty { property: reader.i32()?, index: reader.i32()?, kind: reader.i32()? },
            33 => Self::SetCaProperty {
                property: reader.i32()?,
                index: reader.i32()?,
                kind: reader.i32()?,
                value: read_blob(reader, MAX_BLOB)?,
            },
            34 => Self::GetCaPropertyInfo,
            35 => {
                Self::EnumViewColumnTable { table: reader.u32()?, first: reader.u32()?, count: reader.u32()? }
            }
            36 => Self::GetCaSecurity,
            37 => Self::SetCaSecurity { descriptor: read_blob(reader, MAX_BLOB)? },
            39 => Self::GetArchivedKey { request_id: reader.u32()? },
            40 => Self::GetAuditFilter,
            41 => Self::SetAuditFilter { filter: reader.u32()? },
            42 => Self::GetOfficerRights,
            43 => Self::SetOfficerRights { enabled: reader.u32()?, rights: read_blob(reader, MAX_BLOB)? },
            44 => Self::GetConfigEntry {
                node: read_string(reader)?,
                entry: reader.wide_string(MAX_PATH_UNITS)?,
            },
            45 => Self::SetConfigEntry {
                node: read_string(reader)?,
                entry: reader.wide_string(MAX_PATH_UNITS)?,
                value: Variant::read_unique(reader)?,
            },
            46 => Self::ImportKey {
                request_id: reader.u32()?,
                certificate_hash: read_string(reader)?,
                flags: reader.u32()?,
                key: read_blob(reader, MAX_BLOB)?,
            },
            47 => Self::GetMyRoles,
            48 => Self::DeleteRow {
                flags: reader.u32()?,
                before: reader.file_time()?,
                table: reader.u32()?,
                row: reader.u32()?,
            },
            _ => return Ok(None),
        }))
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::SetExtension { request_id, extension, kind, flags, value } => {
                write_string(writer.u32(*request_id), extension.as_deref()).u32(*kind).u32(*flags);
                write_blob(writer, value);
            }
            Self::SetAttributes { request_id, attributes: text } => {
                write_string(writer.u32(*request_id), text.as_deref());
            }
            Self::ResubmitRequest { request_id: number }
            | Self::DenyRequest { request_id: number }
            | Self::GetArchivedKey { request_id: number }
            | Self::GetViewDefaultColumnSet { set: number }
            | Self::SetAuditFilter { filter: number } => {
                writer.u32(*number);
            }
            Self::IsValidCertificate { serial } => {
                write_string(writer, serial.as_deref());
            }
            Self::PublishCrl { next_update } => {
                writer.file_time(*next_update);
            }
            Self::RevokeCertificate { serial, reason, at } => {
                write_string(writer, serial.as_deref()).u32(*reason).file_time(*at);
            }
            Self::EnumViewColumn { first, count } | Self::EnumView { first, count } => {
                writer.u32(*first).u32(*count);
            }
            Self::EnumAttributesOrExtensions { row, flags, last, count } => {
                write_string(writer.u32(*row).u32(*flags), last.as_deref()).u32(*count);
            }
            Self::OpenView { restrictions, columns, first, count } => {
                write_restrictions(writer, restrictions);
                writer.count(columns.len()).count(columns.len());
                for column in columns {
                    writer.u32(*column);
                }
                writer.u32(*first).u32(*count);
            }
            Self::ImportCertificate { certificate, flags } => {
                write_blob(writer, certificate);
                writer.i32(*flags);
            }
            Self::PublishCrls { next_update, flags } => {
                writer.file_time(*next_update).u32(*flags);
            }
            Self::GetCaProperty { property, index, kind } => {
                writer.i32(*property).i32(*index).i32(*kind);
            }
            Self::SetCaProperty { property, index, kind, value } => {
                write_blob(writer.i32(*property).i32(*index).i32(*kind), value);
            }
            Self::EnumViewColumnTable { table, first, count } => {
                writer.u32(*table).u32(*first).u32(*count);
            }
            Self::SetCaSecurity { descriptor } => write_blob(writer, descriptor),
            Self::SetOfficerRights { enabled, rights } => write_blob(writer.u32(*enabled), rights),
            Self::GetConfigEntry { node, entry } => {
                write_string(writer, node.as_deref()).wide_string(entry);
            }
            Self::SetConfigEntry { node, entry, value } => {
                write_string(writer, node.as_deref()).wide_string(entry);
                match value {
                    Some(value) => value.write(writer),
                    None => {
                        writer.null();
                    }
                }
            }
            Self::ImportKey { request_id, certificate_hash, flags, key } => {
                write_string(writer.u32(*request_id), certificate_hash.as_deref()).u32(*flags);
                write_blob(writer, key);
            }
            Self::DeleteRow { flags, before, table, row } => {
                writer.u32(*flags).file_time(*before).u32(*table).u32(*row);
            }
            Self::GetCrl
            | Self::CloseView
            | Self::GetCaPropertyInfo
            | Self::GetCaSecurity
            | Self::GetAuditFilter
            | Self::GetOfficerRights
            | Self::GetMyRoles => {}
        }
    }
}

/// A count, then a conformant array of as many conditions, whose values follow after all of them.
fn read_restrictions<'a>(reader: &mut Reader<'a>) -> Result<Vec<ViewRestriction<'a>>, NdrError> {
    let count = reader.u32()?;
    let maximum = reader.conformance(MAX_VIEW)?;
    reader.expect_count(maximum as u64, count.into())?;
    let mut lengths = Vec::new();
    let mut restrictions = Vec::new();
    for _ in 0..maximum {
        let (column, operator, sort) = (reader.u32()?, reader.i32()?, reader.i32()?);
        lengths.push((reader.referent()?, reader.u32()?));
        restrictions.push(ViewRestriction { column, operator, sort, value: None });
    }
    for (restriction, (has_value, length)) in restrictions.iter_mut().zip(lengths) {
        if has_value {
            let value = reader.conformant_bytes(MAX_BLOB)?;
            reader.expect_count(value.len() as u64, length.into())?;
            restriction.value = Some(value);
        } else {
            reader.expect_count(0, length.into())?;
        }
    }
    Ok(restrictions)
}

fn write_restrictions(writer: &mut Writer, restrictions: &[ViewRestriction<'_>]) {
    writer.count(restrictions.len()).count(restrictions.len());
    for restriction in restrictions {
        writer.u32(restriction.column).i32(restriction.operator).i32(restriction.sort);
        match restriction.value {
            Some(value) => writer.referent().count(value.len()),
            None => writer.null().u32(0),
        };
    }
    for value in restrictions.iter().filter_map(|restriction| restriction.value) {
        writer.conformant_bytes(value);
    }
}

/// A count, then a conformant array of as many numbers.
fn read_columns(reader: &mut Reader<'_>) -> Result<Vec<u32>, NdrError> {
    let count = reader.u32()?;
    let maximum = reader.conformance(MAX_VIEW)?;
    reader.expect_count(maximum as u64, count.into())?;
    (0..maximum).map(|_| reader.u32()).collect()
}
