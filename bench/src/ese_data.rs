//! A large Windows database, made of a real small one by repeating the rows of one table.
//!
//! The pages are appended to the file, the table's root points to them, and the database's owned extents cover them. The
//! secondary indexes stay as they were: nothing measured here looks at them.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use certadm_ese::Database;
use certadm_ese::checksum::checksum_page;

use crate::error::Result;

/// Bytes of a page of the small database.
pub(crate) const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;
const PAGE_HEADER: usize = 40;
const LEAF: u32 = 0x2;
const PARENT_OF_LEAF: u32 = 0x4;
/// New record format, new checksum.
const MODERN: u32 = 0x800 | 0x2000;
/// Where the number of the request stands in a record of the repeated tables, and where in its key.
const NUMBER_IN_RECORD: usize = 4;

/// Writes the database; `enough` is asked with the number of rows and of the last page before each new leaf. Returns the
/// first and the last leaf.
pub(crate) fn create(path: &Path, table: &str, mut enough: impl FnMut(u64, u32) -> bool) -> Result<[u32; 2]> {
    let base = small_database()?;
    let database = Database::open(base.as_slice())?;
    let definition = database.table(table)?.definition().clone();
    let (root, object) = (definition.root, definition.object_id);
    let mut records = Vec::new();
    for node in database.tree(root).scan() {
        records.push(node?.node()?.data.to_vec());
    }
    let root_header = database.page(root)?.external_header().to_vec();
    let first = database.page_slots() + 1;

    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(&base)?;
    // Leaves, then the levels above them, each as (last key, page).
    let mut level: Vec<(Vec<u8>, u32)> = Vec::new();
    let (mut next, mut rows) = (first, 0u32);
    while !enough(u64::from(rows), next - 1) {
        let mut leaf = PageBuilder::new(object, LEAF, Vec::new());
        leaf.previous = if next == first { 0 } else { next - 1 };
        let mut last_key = Vec::new();
        loop {
            let (key, record) = row(rows + 1, &records);
            if !leaf.has_room(key.len(), record.len()) {
                break;
            }
            leaf.add(&key, &record);
            last_key = key;
            rows += 1;
        }
        leaf.next = if enough(u64::from(rows), next) { 0 } else { next + 1 };
        file.write_all(&leaf.finish(next))?;
        level.push((last_key, next));
        next += 1;
    }
    let leaves = [first, next - 1];
    let mut flags = PARENT_OF_LEAF;
    let mut root_page = PageBuilder::new(object, 0x1 | flags, root_header.clone());
    while !root_page.fits_all(&level) {
        let mut above = Vec::new();
        let mut children = level.as_slice();
        while !children.is_empty() {
            let mut page = PageBuilder::new(object, flags, Vec::new());
            let mut taken = 0;
            while taken < children.len() && page.has_room(children[taken].0.len(), 4) {
                page.add(
                    &separator(&children[taken], taken + 1 == children.len()),
                    &children[taken].1.to_le_bytes(),
                );
                taken += 1;
            }
            file.write_all(&page.finish(next))?;
            above.push((children[taken - 1].0.clone(), next));
            next += 1;
            children = &children[taken..];
        }
        level = above;
        flags = 0;
        root_page = PageBuilder::new(object, 0x1 | flags, root_header.clone());
    }
    for (place, child) in level.iter().enumerate() {
        root_page.add(&separator(child, place + 1 == level.len()), &child.1.to_le_bytes());
    }
    let mut file = file.into_inner()?;
    put(&mut file, root, &root_page.finish(root))?;
    grow_owned_extent(&mut file, &database, next - 1)?;
    Ok(leaves)
}

fn small_database() -> Result<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/ese/tests/data/CertLog.edb.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The key and the record of a request by its number (ese.md 5.1, 12).
fn row(number: u32, records: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    let mut record = records[number as usize % records.len()].clone();
    record[NUMBER_IN_RECORD..NUMBER_IN_RECORD + 4].copy_from_slice(&number.to_le_bytes());
    let key = [&[0x7F][..], &(number ^ 1 << 31).to_be_bytes()].concat();
    (key, record)
}

/// Every key of a child is smaller than its separator; the last of a level has none.
fn separator(child: &(Vec<u8>, u32), is_last: bool) -> Vec<u8> {
    if is_last { Vec::new() } else { [child.0.as_slice(), &[0]].concat() }
}

fn put(file: &mut File, page: u32, bytes: &[u8]) -> Result<()> {
    file.seek(SeekFrom::Start((u64::from(page) + 1) * PAGE))?;
    Ok(file.write_all(bytes)?)
}

/// Lets the last owned extent of the whole database reach to `last`.
fn grow_owned_extent(file: &mut File, database: &Database<&[u8]>, last: u32) -> Result<()> {
    let word = |bytes: &[u8], at: usize| -> Result<[u8; 4]> {
        Ok(bytes.get(at..at + 4).ok_or("a short header")?.try_into()?)
    };
    let owned_root = u32::from_le_bytes(word(database.page(1)?.external_header(), 12)?);
    let page = database.page(owned_root)?;
    let mut grown =
        PageBuilder::new(page.object_id(), page.flags() & !MODERN, page.external_header().to_vec());
    let nodes: Vec<_> = page.nodes().collect();
    for (place, node) in nodes.iter().enumerate() {
        let (key, count) = (node.key(), u32::from_le_bytes(word(node.data, 0)?));
        if place + 1 < nodes.len() {
            grown.add(&key, node.data);
            continue;
        }
        let before = u32::from_be_bytes(word(&key, 0)?);
        grown.add(&last.to_be_bytes(), &(count + last - before).to_le_bytes());
    }
    put(file, owned_root, &grown.finish(owned_root))
}

/// A page that is being written: header, tags from the end, nodes from the front (ese.md 3.3).
struct PageBuilder {
    bytes: Vec<u8>,
    used: usize,
    tags: usize,
    object: u32,
    flags: u32,
    previous: u32,
    next: u32,
}

impl PageBuilder {
    fn new(object: u32, flags: u32, external: Vec<u8>) -> Self {
        let mut page =
            Self { bytes: vec![0; PAGE_LEN], used: 0, tags: 0, object, flags, previous: 0, next: 0 };
        page.push(&external);
        page
    }

    fn has_room(&self, key: usize, data: usize) -> bool {
        // One byte more for a separator, and the tag.
        PAGE_HEADER + self.used + 2 + key + 1 + data + 4 * (self.tags + 1) <= PAGE_LEN
    }

    fn fits_all(&self, children: &[(Vec<u8>, u32)]) -> bool {
        let bytes: usize = children.iter().map(|(key, _)| 2 + key.len() + 1 + 4 + 4).sum();
        PAGE_HEADER + self.used + 4 * self.tags + bytes <= PAGE_LEN
    }

    fn add(&mut self, key: &[u8], data: &[u8]) {
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes();
        self.push(&[&length, key, data].concat());
    }

    fn push(&mut self, content: &[u8]) {
        let start = PAGE_HEADER + self.used;
        self.bytes[start..start + content.len()].copy_from_slice(content);
        let tag = PAGE_LEN - 4 * (self.tags + 1);
        self.put16(tag, content.len());
        self.put16(tag + 2, self.used);
        self.used += content.len();
        self.tags += 1;
    }

    fn put16(&mut self, at: usize, value: usize) {
        let value = u16::try_from(value).unwrap_or(u16::MAX);
        self.bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn finish(mut self, number: u32) -> Vec<u8> {
        for (at, value) in
            [(8, 1), (16, self.previous), (20, self.next), (24, self.object), (36, self.flags | MODERN)]
        {
            self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        self.put16(28, PAGE_LEN - PAGE_HEADER - self.used - 4 * self.tags);
        self.put16(32, self.used);
        self.put16(34, self.tags);
        checksum_page(&mut self.bytes, number);
        self.bytes
    }
}
