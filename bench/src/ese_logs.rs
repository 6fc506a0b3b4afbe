//! Logs that change every page of a large Windows database, in an order that no cache likes (ese.md 7, 8).

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use certadm_ese::Database;
use certadm_ese::checksum::{ecc_checksum, xor_checksum};
use certadm_ese::pager::FilePager;

use crate::error::Result;
use crate::ese_data::PAGE;

const BLOCK: usize = 4096;
/// What the logs of a CA have: 1 MiB.
const SEGMENTS: u16 = 256;
const SEGMENT_HEADER: usize = 40;
/// Changes of one transaction.
const TRANSACTION: usize = 50;
/// Identity of the sequence of logs.
const SEQUENCE: [u8; 28] = [9; 28];
/// Offset and length of the part of a record that is replaced, by itself: the number of the request.
const NUMBER: (usize, usize) = (4, 4);

/// Turns a database whose pages from `first` to `last` are leaves of this table into one that was not closed, and writes
/// logs beside it that change each of these pages `rounds` times; the last transaction is left open. Returns the bytes of
/// the logs.
pub(crate) fn create(database: &Path, table: &str, [first, last]: [u32; 2], rounds: u32) -> Result<u64> {
    let nodes = first_nodes(database, first, last)?;
    let (signature, tree) = identity(database, table)?;
    let count = last - first + 1;
    let mut times = vec![1u64; nodes.len()];
    let mut logs = Logs::new(database.parent().ok_or("no folder")?, signature);
    let mut time = 1_000_000;
    let mut in_transaction = 0;
    for round in 0..rounds {
        for step in 0..count {
            // A stride without a common divisor visits every page once.
            let place = (u64::from(step) * 999_983 + u64::from(round)) % u64::from(count);
            let place = usize::try_from(place)?;
            if in_transaction == 0 {
                logs.add(&[8, 1, 0, 0x10, 1, 0, 0, 0])?;
            }
            time += 1;
            let page = first + u32::try_from(place)?;
            logs.add(&replacement(tree, page, [times[place], time], &nodes[place]))?;
            times[place] = time;
            in_transaction += 1;
            if in_transaction == TRANSACTION {
                logs.add(&[9, 1, 0, 0, 1, 0, 0, 0])?;
                in_transaction = 0;
            }
        }
    }
    let generations = logs.finish()?;
    leave_open(database, generations)?;
    Ok(u64::from(generations) * u64::from(SEGMENTS) * BLOCK as u64)
}

/// The first node of a leaf: its length, and the bytes that a change replaces by themselves.
struct Node {
    length: u16,
    number: [u8; NUMBER.1],
}

fn first_nodes(database: &Path, first: u32, last: u32) -> Result<Vec<Node>> {
    let database = Database::open(FilePager::new(std::fs::File::open(database)?)?)?;
    let node = |number| {
        let page = database.page(number)?;
        let data = page.nodes().next().ok_or("a leaf without nodes")?.data;
        let number = data.get(NUMBER.0..NUMBER.0 + NUMBER.1).ok_or("a short record")?;
        Ok(Node { length: u16::try_from(data.len())?, number: number.try_into()? })
    };
    (first..=last).map(node).collect()
}

/// The signature of the database, and root page and object of a table.
fn identity(database: &Path, table: &str) -> Result<([u8; 28], [u32; 2])> {
    let database = Database::open(FilePager::new(std::fs::File::open(database)?)?)?;
    let table = database.table(table)?;
    let tree = [table.definition().root, table.definition().object_id];
    Ok((database.header().database_signature().0, tree))
}

/// A replacement by differences (type 34): versioned, in a unique tree.
fn replacement([root, object]: [u32; 2], page: u32, [before, after]: [u64; 2], node: &Node) -> Vec<u8> {
    const SAME_LENGTH: u16 = 0x2000;
    let mut out = vec![34, 1, 0, 1];
    out.extend(page.to_le_bytes());
    out.extend(after.to_le_bytes());
    out.extend(before.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend([1, 0, 0, 5]);
    for number in [u32::try_from(after).unwrap_or(1), root, object] {
        out.extend(number.to_le_bytes());
    }
    let offset = u16::try_from(NUMBER.0).unwrap_or(0) | SAME_LENGTH;
    let length = u8::try_from(NUMBER.1).unwrap_or(0);
    let difference = [&offset.to_le_bytes()[..], &[length], &node.number].concat();
    for number in [u16::try_from(difference.len()).unwrap_or(0), node.length, node.length] {
        out.extend(number.to_le_bytes());
    }
    out.extend(difference);
    out
}

/// Logs being written, one after the other.
struct Logs<'a> {
    folder: &'a Path,
    database: [u8; 28],
    generation: u32,
    /// Segments of the current log, filled with records.
    segments: Vec<Vec<u8>>,
}

impl<'a> Logs<'a> {
    fn new(folder: &'a Path, database: [u8; 28]) -> Self {
        Self { folder, database, generation: 1, segments: vec![Vec::new()] }
    }

    fn add(&mut self, record: &[u8]) -> Result<()> {
        let room = BLOCK - SEGMENT_HEADER;
        if room < self.segments.last().map_or(0, Vec::len) + record.len() {
            // The last place of a log is never used.
            if self.segments.len() + 2 == usize::from(SEGMENTS) {
                self.write()?;
                self.generation += 1;
                self.segments.clear();
            }
            self.segments.push(Vec::new());
        }
        if let Some(last) = self.segments.last_mut() {
            last.extend_from_slice(record);
        }
        Ok(())
    }

    fn finish(self) -> Result<u32> {
        self.write()?;
        Ok(self.generation)
    }

    fn write(&self) -> Result<()> {
        let mut bytes = self.header();
        for (number, records) in (1u16..).zip(&self.segments) {
            let mut segment = vec![0; BLOCK];
            segment[10..12].copy_from_slice(&number.to_le_bytes());
            segment[12..16].copy_from_slice(&self.generation.to_le_bytes());
            segment[36..40].copy_from_slice(&0x2000_u32.to_le_bytes());
            segment[SEGMENT_HEADER..SEGMENT_HEADER + records.len()].copy_from_slice(records);
            let checksum = ecc_checksum(&segment, u32::from(number), true);
            segment[..8].copy_from_slice(&checksum.to_le_bytes());
            bytes.extend(segment);
        }
        bytes.resize(usize::from(SEGMENTS) * BLOCK, 0);
        Ok(std::fs::write(self.folder.join(format!("edb{:05X}.log", self.generation)), bytes)?)
    }

    fn header(&self) -> Vec<u8> {
        let mut out = vec![0; BLOCK];
        for (at, number) in [(8, 4096), (10, 1), (12, SEGMENTS), (14, 4096)] {
            out[at..at + 2].copy_from_slice(&u16::to_le_bytes(number));
        }
        out[4..8].copy_from_slice(&self.generation.to_le_bytes());
        out[16..24].copy_from_slice(&created(self.generation));
        if 1 < self.generation {
            out[24..32].copy_from_slice(&created(self.generation - 1));
        }
        out[32..36].copy_from_slice(&8u32.to_le_bytes());
        out[44..72].copy_from_slice(&SEQUENCE);
        out[667..671].copy_from_slice(&3u32.to_le_bytes());
        // The database is attached as number 1.
        out[671] = 1;
        out[671 + 36..671 + 64].copy_from_slice(&self.database);
        let checksum = xor_checksum(&out);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// A time for each generation: seconds, minutes and hours of a day in 2026.
fn created(generation: u32) -> [u8; 8] {
    let part = |number: u32| u8::try_from(number).unwrap_or(0);
    [part(generation % 60), part(generation / 60 % 60), part(generation / 3600 % 24), 1, 1, 126, 0, 0]
}

/// Writes both headers: not closed, needs all logs.
fn leave_open(database: &Path, generations: u32) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(database)?;
    let mut header = vec![0; BLOCK];
    file.read_exact(&mut header)?;
    header[56..72].fill(0);
    header[108..136].copy_from_slice(&SEQUENCE);
    for (at, number) in [(52, 2), (296, 1), (300, generations), (416, generations)] {
        header[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
    }
    let checksum = xor_checksum(&header);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
    for copy in 0..2 {
        file.seek(SeekFrom::Start(copy * PAGE))?;
        file.write_all(&header)?;
    }
    Ok(())
}
