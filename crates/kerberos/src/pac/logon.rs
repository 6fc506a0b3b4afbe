//! KERB_VALIDATION_INFO: the account and its groups (MS-PAC 2.5), in NDR.

use std::collections::BTreeSet;

use certadm_wire::ndr::{ByteOrder, NdrError, Reader};

use super::MALFORMED;
use crate::der::Malformed;
use crate::sid::Sid;

/// Most groups of each of the three lists. A token of Windows has at most 1,024 groups in all.
const MAX_GROUPS: usize = 4096;
/// Most characters of a name.
const MAX_NAME: usize = 1024;
/// SE_GROUP_ENABLED: a group without it does not count.
const ENABLED: u32 = 4;

/// An account and its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogonInfo {
    /// The account's name, for the log.
    pub user_name: String,
    /// The NetBIOS name of its domain, for the log.
    pub domain: String,
    /// The account.
    pub user: Sid,
    /// Its groups, also those that it is in through others, of its own domain, of other domains and of the service's.
    pub groups: BTreeSet<Sid>,
}

impl LogonInfo {
    /// Reads the buffer.
    pub(super) fn decode(buffer: &[u8]) -> Result<Self, Malformed> {
        // MS-RPCE 2.2.6: version 1, little endian, 8 bytes of header, filling; then length and filling.
        let (header, rest) = buffer.split_first_chunk::<16>().ok_or(MALFORMED)?;
        if header[..4] != [1, 0x10, 8, 0] {
            return Err(MALFORMED);
        }
        Structure::read(&mut Reader::new(rest, ByteOrder::Little))
            .ok()
            .and_then(Structure::resolve)
            .ok_or(MALFORMED)
    }
}

/// A group of a domain by the last part of its SID.
struct Member {
    relative: u32,
    attributes: u32,
}

/// The structure, as far as it says something about rights.
struct Structure {
    user_name: String,
    domain: String,
    user: u32,
    primary_group: u32,
    groups: Vec<Member>,
    domain_sid: Option<Sid>,
    extra: Vec<(Option<Sid>, u32)>,
    resource_domain: Option<Sid>,
    resource_groups: Vec<Member>,
}

impl Structure {
    /// First the members in their order, then what their pointers point to, in the same order.
    fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
        if !reader.referent()? {
            return Err(NdrError::NullPointer { offset: 0 });
        }
        for _logon_logoff_kickoff_and_three_of_the_password in 0..6 {
            reader.file_time()?;
        }
        // effective name, full name, script, profile, home, its drive
        let mut names = [false; 6];
        for name in &mut names {
            *name = string(reader)?;
        }
        reader.u16()?; // logons
        reader.u16()?; // bad passwords
        let (user, primary_group) = (reader.u32()?, reader.u32()?);
        let group_count = reader.u32()?;
        let has_groups = reader.referent()?;
        reader.u32()?; // flags
        reader.bytes(16)?; // a session key of NTLM
        let (server, domain) = (string(reader)?, string(reader)?);
        let has_domain_sid = reader.referent()?;
        reader.bytes(8)?;
        reader.u32()?; // account control
        reader.u32()?; // status
        reader.file_time()?; // last good logon
        reader.file_time()?; // last bad logon
        reader.u32()?; // bad logons
        reader.u32()?;
        let extra_count = reader.u32()?;
        let has_extra = reader.referent()?;
        let has_resource_domain = reader.referent()?;
        let resource_count = reader.u32()?;
        let has_resource_groups = reader.referent()?;

        let [effective, others @ ..] = names;
        let user_name = target(reader, effective)?;
        for name in others {
            target(reader, name)?;
        }
        let groups = members(reader, has_groups, group_count)?;
        target(reader, server)?;
        let domain = target(reader, domain)?;
        let domain_sid = has_domain_sid.then(|| sid(reader)).transpose()?;
        Ok(Self {
            user_name,
            domain,
            user,
            primary_group,
            groups,
            domain_sid,
            extra: extra_sids(reader, has_extra, extra_count)?,
            resource_domain: has_resource_domain.then(|| sid(reader)).transpose()?,
            resource_groups: members(reader, has_resource_groups, resource_count)?,
        })
    }

    /// Makes SIDs of it all; `None` if a part is missing.
    fn resolve(self) -> Option<LogonInfo> {
        let domain_sid = self.domain_sid?;
        let mut groups = BTreeSet::from([domain_sid.with(self.primary_group)?]);
        let is_enabled = |member: &&Member| member.attributes & ENABLED != 0;
        for member in self.groups.iter().filter(is_enabled) {
            groups.insert(domain_sid.with(member.relative)?);
        }
        for (sid, attributes) in self.extra {
            groups.extend(sid.filter(|_| attributes & ENABLED != 0));
        }
        for member in self.resource_groups.iter().filter(is_enabled) {
            groups.insert(self.resource_domain.as_ref()?.with(member.relative)?);
        }
        // 0 would mean that the account is of another domain, and that a SID of the extra ones is meant: nobody sends it.
        let user = (self.user != 0).then(|| domain_sid.with(self.user)).flatten()?;
        Some(LogonInfo { user_name: self.user_name, domain: self.domain, user, groups })
    }
}

/// RPC_UNICODE_STRING: its lengths, and whether it points to characters.
fn string(reader: &mut Reader<'_>) -> Result<bool, NdrError> {
    reader.align(4)?;
    reader.u16()?;
    reader.u16()?;
    reader.referent()
}

/// The characters of a string; none if it does not point to any.
fn target(reader: &mut Reader<'_>, is_there: bool) -> Result<String, NdrError> {
    if !is_there {
        return Ok(String::new());
    }
    let count = reader.varying_conformance(MAX_NAME)?;
    let (units, _) = reader.bytes(2 * count)?.as_chunks::<2>();
    let units: Vec<_> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    // For the log alone: what is no UTF-16 is shown as well as it can be.
    Ok(String::from_utf16_lossy(&units))
}

/// GROUP_MEMBERSHIP (MS-PAC 2.2.2), as many as the structure says.
fn members(reader: &mut Reader<'_>, is_there: bool, count: u32) -> Result<Vec<Member>, NdrError> {
    counted(reader, is_there, count)?
        .map(|()| Ok(Member { relative: reader.u32()?, attributes: reader.u32()? }))
        .collect()
}

/// KERB_SID_AND_ATTRIBUTES (MS-PAC 2.2.1): first all pointers and attributes, then the SIDs.
fn extra_sids(
    reader: &mut Reader<'_>,
    is_there: bool,
    count: u32,
) -> Result<Vec<(Option<Sid>, u32)>, NdrError> {
    let entries = counted(reader, is_there, count)?
        .map(|()| Ok((reader.referent()?, reader.u32()?)))
        .collect::<Result<Vec<_>, NdrError>>()?;
    entries
        .into_iter()
        .map(|(is_there, attributes)| Ok((is_there.then(|| sid(reader)).transpose()?, attributes)))
        .collect()
}

/// As many turns as an array has elements, which must be as many as the structure says. Each takes bytes, so the data ends
/// it in any case.
fn counted(
    reader: &mut Reader<'_>,
    is_there: bool,
    count: u32,
) -> Result<impl Iterator<Item = ()> + use<>, NdrError> {
    let found = if is_there { reader.conformance(MAX_GROUPS)? } else { 0 };
    reader.expect_count(u64::try_from(found).unwrap_or(u64::MAX), count.into())?;
    Ok(std::iter::repeat_n((), found))
}

/// RPC_SID: the number of subauthorities before it, as the size of its array.
fn sid(reader: &mut Reader<'_>) -> Result<Sid, NdrError> {
    let count = reader.conformance(15)?;
    let offset = reader.position();
    let bytes = reader.bytes(8 + 4 * count)?;
    Sid::from_bytes(bytes).ok_or(NdrError::NullPointer { offset })
}
