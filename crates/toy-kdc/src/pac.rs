//! Making PACs (MS-PAC), also wrong ones.

use std::fmt;
use std::sync::Arc;

use certadm_kerberos::crypto::{Key, KeyUsage, UsageKeys};
use certadm_kerberos::{KerberosTime, Sid};
use certadm_rules::FileTime;
use certadm_wire::ndr::Writer;

/// Something that is done to a thing.
pub type Hook<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// What is done to every PAC of a KDC.
#[derive(Clone, Default)]
pub struct PacHooks {
    /// Before it is signed.
    pub make: Option<Hook<PacMaker>>,
    /// To its bytes, signatures and all.
    pub alter: Option<Hook<Vec<u8>>>,
}

impl fmt::Debug for PacHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacHooks").finish_non_exhaustive()
    }
}

/// A PAC in the making. Every part can be set before it is signed.
#[derive(Debug, Clone)]
pub struct PacMaker {
    /// The name of the client info, and the effective name of the logon info.
    pub client_name: String,
    /// When the client logged on.
    pub auth_time: KerberosTime,
    /// The domain's SID; without one there is no logon info, as from MIT's KDC.
    pub domain: Option<Sid>,
    /// The account's relative id.
    pub user: u32,
    /// The primary group's relative id.
    pub primary_group: u32,
    /// Groups of the domain: relative id and attributes.
    pub groups: Vec<(u32, u32)>,
    /// Groups of other domains, with attributes.
    pub extra: Vec<(Sid, u32)>,
    /// Groups of the service's domain: its SID, then relative ids and attributes.
    pub resource: Option<(Sid, Vec<(u32, u32)>)>,
    /// Who asked for the ticket, as newer domain controllers say.
    pub requestor: Option<Sid>,
    /// Buffers that no reader knows.
    pub others: Vec<(u32, Vec<u8>)>,
    /// The kind of the server's signature, where it is to be a wrong one.
    pub signature_kind: Option<i32>,
    /// The kind and the sum of the KDC's signature where it is of a kind that is not spoken here, and what stands behind.
    pub foreign_kdc: Option<(i32, Vec<u8>, Vec<u8>)>,
    /// Whether the server's signature is there.
    pub is_signed: bool,
}

impl PacMaker {
    /// The PAC of an account of the domain S-1-5-21-1-2-3.
    #[must_use]
    pub fn new(client_name: &str, auth_time: KerberosTime) -> Self {
        Self {
            client_name: client_name.to_owned(),
            auth_time,
            domain: Sid::new(5, vec![21, 1, 2, 3]),
            user: 1105,
            primary_group: 513,
            groups: vec![(513, 7), (1106, 7)],
            extra: Vec::new(),
            resource: None,
            requestor: Sid::new(5, vec![21, 1, 2, 3, 1105]),
            others: vec![(17, vec![2, 0, 0, 0, 1, 0, 0, 0])],
            signature_kind: None,
            foreign_kdc: None,
            is_signed: true,
        }
    }

    /// The PAC, signed for a service by its key, and by the KDC's.
    #[must_use]
    pub fn sign(&self, service_key: &Key, kdc_key: &Key) -> Vec<u8> {
        let empty = |key: &Key, kind: Option<i32>| {
            let etype = key.etype();
            let kind = kind.unwrap_or(etype.checksum_type());
            [&kind.to_le_bytes()[..], &vec![0; etype.mac_size()]].concat()
        };
        let mut buffers: Vec<(u32, Vec<u8>)> =
            self.domain.iter().map(|domain| (1, self.logon_info(domain))).collect();
        buffers.push((10, self.client_info()));
        buffers.extend(self.requestor.iter().map(|sid| (18, sid.to_bytes())));
        buffers.extend(self.others.clone());
        if self.is_signed {
            buffers.push((6, empty(service_key, self.signature_kind)));
        }
        buffers.push((
            7,
            match &self.foreign_kdc {
                Some((kind, sum, behind)) => {
                    [&kind.to_le_bytes()[..], &vec![0; sum.len()], behind.as_slice()].concat()
                }
                None => empty(kdc_key, None),
            },
        ));

        let mut pac = [word(buffers.len()), [0; 4]].concat();
        let mut offset = (8 + 16 * buffers.len()).next_multiple_of(8);
        let mut body = Vec::new();
        let mut sums = [None; 2];
        for (kind, bytes) in &buffers {
            pac.extend([kind.to_le_bytes(), word(bytes.len()), word(offset), [0; 4]].concat());
            match kind {
                6 => sums[0] = Some(offset + 4),
                7 => sums[1] = Some(offset + 4),
                _ => {}
            }
            body.extend(bytes);
            body.resize(body.len().next_multiple_of(8), 0);
            offset += bytes.len().next_multiple_of(8);
        }
        pac.extend(body);

        let checksum =
            |key: &Key, bytes: &[u8]| UsageKeys::new(key, KeyUsage::PAC_SIGNATURE).checksum(&[bytes]);
        let server = checksum(service_key, &pac);
        if let Some(at) = sums[1] {
            let foreign = self.foreign_kdc.as_ref().map(|(_, sum, _)| sum.clone());
            let sum = foreign.unwrap_or_else(|| checksum(kdc_key, &server));
            pac[at..][..sum.len()].copy_from_slice(&sum);
        }
        if let Some(at) = sums[0] {
            pac[at..][..server.len()].copy_from_slice(&server);
        }
        pac
    }

    fn client_info(&self) -> Vec<u8> {
        let name: Vec<_> = self.client_name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let time = FileTime::from_unix_seconds(self.auth_time.unix_seconds());
        let length = u16::try_from(name.len()).expect("a short name");
        [&time.to_bits().to_le_bytes()[..], &length.to_le_bytes(), &name].concat()
    }

    /// KERB_VALIDATION_INFO (MS-PAC 2.5).
    fn logon_info(&self, domain: &Sid) -> Vec<u8> {
        let (user_name, domain_name) = (self.client_name.as_str(), "TOY");
        let mut writer = Writer::new();
        writer.referent();
        for _time in 0..6 {
            writer.u32(0xffff_ffff).u32(0x7fff_ffff);
        }
        for text in [user_name, "", "", "", "", ""] {
            string(&mut writer, text);
        }
        writer.u16(3).u16(0).u32(self.user).u32(self.primary_group);
        writer.count(self.groups.len()).referent();
        writer.u32(0x20).zeros(16);
        string(&mut writer, "DC1");
        string(&mut writer, domain_name);
        writer.referent().zeros(8).u32(0x10);
        writer.zeros(4 + 8 + 8 + 4 + 4);
        writer.count(self.extra.len());
        pointer(&mut writer, !self.extra.is_empty());
        pointer(&mut writer, self.resource.is_some());
        let resources = self.resource.as_ref().map_or(&[][..], |(_, groups)| groups);
        writer.count(resources.len());
        pointer(&mut writer, !resources.is_empty());

        for text in [user_name, "", "", "", "", ""] {
            characters(&mut writer, text);
        }
        members(&mut writer, &self.groups);
        characters(&mut writer, "DC1");
        characters(&mut writer, domain_name);
        sid(&mut writer, domain);
        if !self.extra.is_empty() {
            writer.count(self.extra.len());
            for (_, attributes) in &self.extra {
                writer.referent().u32(*attributes);
            }
            for (extra, _) in &self.extra {
                sid(&mut writer, extra);
            }
        }
        if let Some((resource, groups)) = &self.resource {
            sid(&mut writer, resource);
            if !groups.is_empty() {
                members(&mut writer, groups);
            }
        }
        let body = writer.into_bytes();
        let header = [1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc];
        [&header[..], &word(body.len()), &[0; 4], &body].concat()
    }
}

/// RPC_UNICODE_STRING; an empty one points nowhere.
fn string(writer: &mut Writer, text: &str) {
    let bytes = u16::try_from(2 * text.encode_utf16().count()).expect("a short text");
    writer.align(4).u16(bytes).u16(bytes);
    pointer(writer, !text.is_empty());
}

fn characters(writer: &mut Writer, text: &str) {
    if !text.is_empty() {
        let units: Vec<_> = text.encode_utf16().collect();
        writer.count(units.len()).u32(0).count(units.len());
        for unit in units {
            writer.u16(unit);
        }
    }
}

fn members(writer: &mut Writer, groups: &[(u32, u32)]) {
    writer.count(groups.len());
    for (relative, attributes) in groups {
        writer.u32(*relative).u32(*attributes);
    }
}

fn sid(writer: &mut Writer, sid: &Sid) {
    let bytes = sid.to_bytes();
    writer.count(bytes.len() / 4 - 2).bytes(&bytes);
}

fn pointer(writer: &mut Writer, is_there: bool) {
    if is_there {
        writer.referent()
    } else {
        writer.null()
    };
}

fn word(number: usize) -> [u8; 4] {
    u32::try_from(number).expect("a small number").to_le_bytes()
}
