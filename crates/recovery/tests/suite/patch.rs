//! Gives requests in the database of a real Windows CA a revocation. The record grows, so its page is laid out anew and its
//! checksum renewed. Indexes are left as they are: readers that go by rows do not use them.

use certadm_ese::checksum::{PageCheck, check_page, checksum_page};
use certadm_rules::FileTime;

/// A revocation to be written into a row of Requests.
#[derive(Clone, Copy)]
pub(crate) struct Patch {
    pub(crate) request: i32,
    pub(crate) reason: i32,
    pub(crate) when: FileTime,
    pub(crate) effective: FileTime,
}

impl Patch {
    pub(crate) fn new(request: i32, reason: i32, when: &str, effective: &str) -> Self {
        Self { request, reason, when: date(when), effective: date(effective) }
    }
}

/// A moment such as 2025-10-01T12:00:00Z.
pub(crate) fn date(text: &str) -> FileTime {
    let moment = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    FileTime::from_unix_seconds(moment.unix_timestamp())
}

const PAGE: usize = 4096;
/// Of a page: where its nodes begin.
const HEADER: usize = 40;

/// Changes the rows; each must be there once.
pub(crate) fn revoke(database: &mut [u8], patches: &[Patch]) {
    for patch in patches {
        let mut changed = 0;
        for slot in 2..database.len() / PAGE {
            let page = &mut database[slot * PAGE..(slot + 1) * PAGE];
            let number = u32::try_from(slot - 1).unwrap();
            // Free pages hold garbage.
            if !is_leaf_of_table(page) || check_page(page, number) != PageCheck::Valid {
                continue;
            }
            let mut nodes = nodes(page);
            let hits = nodes.iter_mut().skip(1).filter_map(|(flags, node)| grow(*flags, node, patch)).count();
            if hits != 0 {
                lay_out(page, &nodes);
                checksum_page(page, number);
                changed += hits;
            }
        }
        assert_eq!(changed, 1, "request {}", patch.request);
    }
}

/// Writes into the record of a row, which stands on this page as this node.
pub(crate) fn overwrite(database: &mut [u8], (number, node): (u32, usize), at: usize, bytes: &[u8]) {
    const COMPRESSED: usize = 4;
    let start = (usize::try_from(number).unwrap() + 1) * PAGE;
    let page = &mut database[start..start + PAGE];
    let mut nodes = nodes(page);
    let (flags, node) = &mut nodes[node + 1];
    let key = if *flags & COMPRESSED != 0 { 2 } else { 0 };
    let begin = key + 2 + (word(node, key) & 0x1fff) + at;
    node[begin..begin + bytes.len()].copy_from_slice(bytes);
    lay_out(page, &nodes);
    checksum_page(page, number);
}

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn is_leaf_of_table(page: &[u8]) -> bool {
    let flags = u32::from_le_bytes(page[36..40].try_into().unwrap());
    flags & 2 != 0 && flags & (0x20 | 0x40 | 0x80) == 0
}

/// The nodes of a page, the external header first, each with its flags.
fn nodes(page: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let count = word(page, 34) & 0xfff;
    let node = |place: usize| {
        let tag = PAGE - 4 * (place + 1);
        let (length, begin) = (word(page, tag) & 0x1fff, word(page, tag + 2));
        let at = HEADER + (begin & 0x1fff);
        (begin >> 13, page[at..at + length].to_vec())
    };
    (0..count).map(node).collect()
}

/// Makes the record of the request one that is revoked; nothing where it is another one.
fn grow(flags: usize, node: &mut Vec<u8>, patch: &Patch) -> Option<()> {
    const DELETED: usize = 2;
    const COMPRESSED: usize = 4;
    if flags & DELETED != 0 || node.len() < 8 {
        return None;
    }
    let key = if flags & COMPRESSED != 0 { 2 } else { 0 };
    let begin = key + 2 + (word(node, key) & 0x1fff);
    let record = node.get(begin..)?;
    // A request that was not revoked has its fixed columns up to the seventh: five numbers and two dates.
    if record.len() < 40 || record[0] != 7 {
        return None;
    }
    let end = word(record, 2);
    let number = |place: usize| i32::from_le_bytes(record[4 + 4 * place..8 + 4 * place].try_into().unwrap());
    if number(0) != patch.request || number(4) != 20 || end - 1 - 4 != 36 {
        return None;
    }
    let mut fixed = record[4..end - 1].to_vec();
    let nulls = record[end - 1];
    fixed[16..20].copy_from_slice(&21i32.to_le_bytes());
    fixed.extend(patch.when.0.to_le_bytes());
    fixed.extend(patch.effective.0.to_le_bytes());
    fixed.extend(patch.reason.to_le_bytes());
    // Ten fixed columns now, with one more octet of bits that say which are empty.
    let mut grown = vec![10, record[1]];
    grown.extend(u16::try_from(4 + fixed.len() + 2).unwrap().to_le_bytes());
    grown.extend(&fixed);
    grown.extend([nulls & 0x7f, 0]);
    grown.extend(&record[end..]);
    node.truncate(begin);
    node.extend(grown);
    Some(())
}

fn lay_out(page: &mut [u8], nodes: &[(usize, Vec<u8>)]) {
    page[HEADER..].fill(0);
    let mut used = 0;
    for (place, (flags, node)) in nodes.iter().enumerate() {
        let (at, tag) = (HEADER + used, PAGE - 4 * (place + 1));
        page[at..at + node.len()].copy_from_slice(node);
        let length = u16::try_from(node.len()).unwrap();
        let begin = u16::try_from(used | flags << 13).unwrap();
        page[tag..tag + 2].copy_from_slice(&length.to_le_bytes());
        page[tag + 2..tag + 4].copy_from_slice(&begin.to_le_bytes());
        used += node.len();
    }
    let free = PAGE - HEADER - used - 4 * nodes.len();
    for (at, value) in [(28, free), (30, 0), (32, used)] {
        page[at..at + 2].copy_from_slice(&u16::try_from(value).unwrap().to_le_bytes());
    }
}
