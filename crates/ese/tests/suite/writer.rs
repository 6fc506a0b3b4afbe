//! A small writer of logs and log records, for what no real file shows.

use certadm_ese::checksum::{ecc_checksum, xor_checksum, xor_words};
use certadm_ese::lgpos::Lgpos;

/// Signature of the sequence and of the database that the writer makes.
pub(crate) const SIGNATURE: [u8; 28] = [7; 28];

/// The fields of a page record that differ from test to test.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) session: u16,
    pub(crate) page: u32,
    pub(crate) before: u64,
    pub(crate) after: u64,
    pub(crate) line: u16,
    /// 1 versioned, 4 unique tree, 8 space tree.
    pub(crate) flags: u8,
    pub(crate) version: u32,
    pub(crate) root: u32,
}

impl At {
    fn page_part(&self, kind: u8) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend(self.session.to_le_bytes());
        out.push(1);
        out.extend(self.page.to_le_bytes());
        out.extend(self.after.to_le_bytes());
        out.extend(self.before.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.push(1);
        out.extend(self.line.to_le_bytes());
        out.push(self.flags);
        out
    }

    fn node_part(&self, kind: u8) -> Vec<u8> {
        let mut out = self.page_part(kind);
        for word in [self.version, self.root, 50] {
            out.extend(word.to_le_bytes());
        }
        out
    }
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_le_bytes()
}

fn of_session(kind: u8, session: u16, rest: &[u8]) -> Vec<u8> {
    [&[kind][..], &session.to_le_bytes(), rest].concat()
}

pub(crate) fn begin(session: u16, from: u8) -> Vec<u8> {
    of_session(8, session, &[from | 1 << 4, 0, 0, 0, 0])
}

pub(crate) fn commit(session: u16, to: u8) -> Vec<u8> {
    of_session(9, session, &[to, 0, 0, 0, 0])
}

pub(crate) fn rollback(session: u16, levels: u8) -> Vec<u8> {
    of_session(7, session, &[levels])
}

/// Its records have this database time after their change.
pub(crate) fn macro_begin(session: u16, time: u64) -> Vec<u8> {
    of_session(11, session, &time.to_le_bytes())
}

pub(crate) fn macro_commit(session: u16, time: u64) -> Vec<u8> {
    of_session(12, session, &time.to_le_bytes())
}

pub(crate) fn create_database() -> Vec<u8> {
    let mut out = vec![14, 0, 0, 1];
    out.extend([0; 8]);
    out.extend(SIGNATURE);
    out.extend([1, 0, 0, b'x']);
    out
}

/// A tree in one extent of one page.
pub(crate) fn create_tree(at: At) -> Vec<u8> {
    let mut out = at.page_part(25);
    for word in [50u32, 1, 1, 0] {
        out.extend(word.to_le_bytes());
    }
    out
}

pub(crate) fn insert(at: At, key: &[u8], data: &[u8]) -> Vec<u8> {
    [&at.node_part(29), &length(key)[..], &[0, 0], &length(data), key, data].concat()
}

pub(crate) fn flag_delete(at: At) -> Vec<u8> {
    at.node_part(32)
}

pub(crate) fn delete(at: At) -> Vec<u8> {
    at.node_part(35)
}

pub(crate) fn replace(at: At, old: &[u8], new: &[u8]) -> Vec<u8> {
    [&at.node_part(33), &length(new)[..], &length(old), &length(new), new].concat()
}

/// The second version number of a change that inserts and replaces.
pub(crate) fn replace_version(at: At) -> u32 {
    at.version | 1 << 30
}

pub(crate) fn flag_insert_and_replace(at: At, key: &[u8], data: &[u8]) -> Vec<u8> {
    let version = replace_version(at).to_le_bytes();
    [&at.node_part(31), &length(key)[..], &length(data), &version, key, data].concat()
}

pub(crate) fn delta(at: At, key: &[u8], by: i32) -> Vec<u8> {
    [&at.node_part(37), &length(key)[..], &[0, 0], &by.to_le_bytes(), &[0, 0], key].concat()
}

pub(crate) fn undo_info(at: At, key: &[u8], operation: u16, before: &[u8]) -> Vec<u8> {
    let numbers = [operation.to_le_bytes(), [0, 0], [0, 0], length(before)].concat();
    [&at.node_part(36), &length(key)[..], &[0, 0], &numbers, key, before].concat()
}

pub(crate) fn undo(at: At, key: &[u8], operation: u16) -> Vec<u8> {
    [&at.node_part(39), &length(key)[..], &[0, 0], &operation.to_le_bytes(), &[1], key].concat()
}

/// A level of a split: new page, right sibling, parent (each with its time before), kind, operation, its line,
/// first line that moves, lines, flags of the new and the old page, key for the parent.
pub(crate) struct SplitLevel<'a> {
    pub(crate) new: u32,
    pub(crate) right: (u32, u64),
    pub(crate) parent: (u32, u64),
    pub(crate) kind: u8,
    pub(crate) operation: u8,
    pub(crate) lines: [u16; 3],
    pub(crate) flags: [u32; 2],
    pub(crate) parent_key: &'a [u8],
}

pub(crate) fn split(at: At, level: &SplitLevel<'_>) -> Vec<u8> {
    let mut out = at.page_part(62);
    out.extend(level.new.to_le_bytes());
    for (page, before) in [level.right, level.parent] {
        out.extend(page.to_le_bytes());
        out.extend(before.to_le_bytes());
    }
    out.extend(at.root.to_le_bytes());
    out.extend(50u32.to_le_bytes());
    out.extend([level.kind, level.operation]);
    for line in level.lines {
        out.extend(line.to_le_bytes());
    }
    for flags in level.flags {
        out.extend(flags.to_le_bytes());
    }
    out.extend([0; 4]);
    out.extend((-1i32).to_le_bytes());
    out.extend((-1i32).to_le_bytes());
    out.extend([0; 4]);
    out.extend(length(level.parent_key));
    out.extend([0; 8]);
    out.extend(level.parent_key);
    out
}

/// A level of a merge: right, left, parent (each with its time before), line, flags, kind, separator.
pub(crate) struct MergeLevel<'a> {
    pub(crate) right: (u32, u64),
    pub(crate) left: (u32, u64),
    pub(crate) parent: (u32, u64),
    pub(crate) line: u16,
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    pub(crate) separator: &'a [u8],
}

pub(crate) fn merge(at: At, level: &MergeLevel<'_>) -> Vec<u8> {
    let mut out = at.page_part(63);
    for (page, before) in [level.right, level.left, level.parent] {
        out.extend(page.to_le_bytes());
        out.extend(before.to_le_bytes());
    }
    out.extend(at.root.to_le_bytes());
    out.extend(50u32.to_le_bytes());
    out.extend([0; 6]);
    out.extend(level.line.to_le_bytes());
    out.extend([level.flags, level.kind]);
    out.extend(length(level.separator));
    out.extend([0; 8]);
    out.extend(level.separator);
    out
}

/// The file grows to this page.
pub(crate) fn extend(last_page: u32) -> Vec<u8> {
    [&[68, 5, 0, 0, 0, 1][..], &last_page.to_le_bytes()].concat()
}

/// A record of any length that replay skips.
pub(crate) fn filler(length: usize) -> Vec<u8> {
    let mut out = vec![71];
    out.extend(u32::try_from(length - 5).unwrap().to_le_bytes());
    out.extend((5..length).map(|at| u8::try_from(at % 251).unwrap()));
    out
}

pub(crate) fn header(generation: u32, version: u32, sector: u16, sectors: u16) -> Vec<u8> {
    let mut out = vec![0; 4096];
    out[4..8].copy_from_slice(&generation.to_le_bytes());
    out[8..10].copy_from_slice(&sector.to_le_bytes());
    out[10..12].copy_from_slice(&(4096 / sector).to_le_bytes());
    out[12..14].copy_from_slice(&sectors.to_le_bytes());
    out[14..16].copy_from_slice(&4096u16.to_le_bytes());
    out[16] = 1;
    out[32..36].copy_from_slice(&version.to_le_bytes());
    out[44..72].copy_from_slice(&SIGNATURE);
    out[667..671].copy_from_slice(&3u32.to_le_bytes());
    let checksum = xor_checksum(&out);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// The bytes of segment `number` with these records, sealed as slot `slot` says.
pub(crate) fn segment(generation: u32, number: u16, records: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    out[10..12].copy_from_slice(&number.to_le_bytes());
    out[12..16].copy_from_slice(&generation.to_le_bytes());
    out[36..40].copy_from_slice(&0x2000u32.to_le_bytes());
    out[40..40 + records.len()].copy_from_slice(records);
    let checksum = ecc_checksum(&out, u32::from(number), true);
    out[..8].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// A version 8 log of `segments` segments with these records; long ones are cut into fragments.
pub(crate) fn log_v8(generation: u32, segments: u16, records: &[Vec<u8>]) -> Vec<u8> {
    const ROOM: usize = 4056;
    let mut filled: Vec<Vec<u8>> = vec![Vec::new()];
    for record in records {
        let last = filled.last_mut().unwrap();
        if last.len() + record.len() <= ROOM {
            last.extend(record);
            continue;
        }
        let mut rest = record.as_slice();
        let mut head = [&[76][..], &u32::try_from(record.len()).unwrap().to_le_bytes()].concat();
        while !rest.is_empty() {
            let room = ROOM - filled.last().unwrap().len();
            if room <= head.len() + 2 {
                filled.push(Vec::new());
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(room - head.len() - 2));
            let last = filled.last_mut().unwrap();
            last.extend(&head);
            last.extend(length(part));
            last.extend(part);
            rest = after;
            head = vec![77];
        }
    }
    let mut out = header(generation, 8, 4096, segments + 2);
    for (index, records) in filled.iter().enumerate() {
        out.extend(segment(generation, u16::try_from(index + 1).unwrap(), records));
    }
    out.resize(usize::from(segments + 2) * 4096, 0);
    out
}

/// A version 7 log with these records, a checksum record before every third of them.
pub(crate) fn log_v7(generation: u32, sector: u16, records: &[Vec<u8>]) -> Vec<u8> {
    const RECORD: usize = 22;
    let groups: Vec<Vec<u8>> = records.chunks(3).map(<[Vec<u8>]>::concat).collect();
    let mut out = vec![0; 4096];
    let mut places = Vec::new();
    for group in &groups {
        places.push(out.len());
        out.extend([0; RECORD]);
        out.extend(group);
    }
    let end = out.len();
    for (index, place) in places.iter().enumerate() {
        let next = places.get(index + 1).map_or(0, |next| next - place - RECORD);
        let forwards = places.get(index + 1).map_or(end, |next| *next) - place - RECORD;
        let backwards = if index == 0 { 0 } else { (place % usize::from(sector)).min(40) };
        let mut fixed = vec![42];
        for number in [backwards, forwards, next, 0, 0] {
            fixed.extend(u32::try_from(number).unwrap().to_le_bytes());
        }
        fixed.push(0xD1);
        out[*place..place + RECORD].copy_from_slice(&fixed);
    }
    // Ranges reach back over earlier checksum records: fill these in order.
    for place in places {
        let field = |at: usize| u32::from_le_bytes(out[place + at..place + at + 4].try_into().unwrap());
        let (backwards, forwards, next) = (field(1), field(5), field(9));
        let before = &out[place - backwards as usize..place];
        let after = &out[place + RECORD..place + RECORD + forwards as usize];
        let checksum = 0xFEED_BEAF
            ^ xor_words(before)
            ^ xor_words(after)
            ^ backwards
            ^ forwards
            ^ next
            ^ 0xD1
            ^ generation;
        out[place + 13..place + 17].copy_from_slice(&checksum.to_le_bytes());
    }
    let sectors = out.len().div_ceil(usize::from(sector)) + 1;
    out.resize(sectors * usize::from(sector), 0xDA);
    let head = header(generation, 7, sector, u16::try_from(sectors).unwrap());
    out[..4096].copy_from_slice(&head);
    out
}

fn of_database(kind: u8, rest: &[&[u8]]) -> Vec<u8> {
    [&[kind, 0, 0, 1], rest.concat().as_slice()].concat()
}

/// The database is opened as it was closed at `consistent`.
pub(crate) fn attach(consistent: Lgpos) -> Vec<u8> {
    let path = [1, 0, 0, b'x'];
    of_database(15, &[&[0; 4], &consistent.to_bytes(), &SIGNATURE, &SIGNATURE, &path])
}

pub(crate) fn detach() -> Vec<u8> {
    of_database(16, &[&[1, 0, 0, b'x']])
}

pub(crate) fn shut_down() -> Vec<u8> {
    vec![23]
}

pub(crate) fn term() -> Vec<u8> {
    [&[50][..], &[0; 25]].concat()
}

/// The engine recovered, and its databases stay open.
pub(crate) fn recovery_kept() -> Vec<u8> {
    [&[80][..], &[0; 25]].concat()
}

/// Says in the header of a log that the database was open when the log began.
pub(crate) fn list_as_open(log: &mut [u8], attach: Lgpos, consistent: Lgpos) {
    let mut entry = vec![1, 0, 1, 0];
    entry.extend([0; 16]);
    entry.extend(attach.to_bytes());
    entry.extend(consistent.to_bytes());
    entry.extend(SIGNATURE);
    entry.push(b'x');
    log[671..671 + entry.len()].copy_from_slice(&entry);
    let checksum = xor_checksum(&log[..4096]);
    log[..4].copy_from_slice(&checksum.to_le_bytes());
}
