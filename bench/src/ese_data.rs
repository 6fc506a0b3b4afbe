//! A large Windows database, made of a real small one by repeating the rows of one table and the entries of its indexes.
//!
//! The pages are appended to the file, the roots of the trees point to them, and the extents that the database and the trees
//! own cover them.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use certadm_ese::Database;
use certadm_ese::catalog::{Index, TableDefinition};
use certadm_ese::checksum::checksum_page;
use certadm_ese::space::SpaceHeader;

use crate::error::Result;

/// Bytes of a page of the small database.
pub(crate) const PAGE: u64 = 4096;
const PAGE_LEN: usize = 4096;
const PAGE_HEADER: usize = 40;
const ROOT: u32 = 0x1;
const LEAF: u32 = 0x2;
const PARENT_OF_LEAF: u32 = 0x4;
const EMPTY: u32 = 0x8;
const SPACE_TREE: u32 = 0x20;
/// A secondary index, whose keys are not unique.
const INDEX: u32 = 0x40 | 0x400;
/// New record format, new checksum.
const MODERN: u32 = 0x800 | 0x2000;
/// Where the number of the request stands in a record of the repeated tables, and where in the key of an index.
const NUMBER_IN_RECORD: usize = 4;
const NUMBER_IN_KEY: usize = 1;

/// Writes the database; `enough` is asked with the number of rows and of the last page before each new leaf. Returns the
/// first and the last leaf.
///
/// The numbers of the requests count up. An index whose key begins with that number gets its entries too; a table with
/// other indexes is of use only to whatever does not look at them.
pub(crate) fn create(path: &Path, table: &str, enough: impl Fn(u64, u32) -> bool) -> Result<[u32; 2]> {
    let base = small_database()?;
    let database = Database::open(base.as_slice())?;
    let definition = database.table(table)?.definition().clone();
    let mut records = Vec::new();
    let mut places = Vec::new();
    for node in database.tree(definition.root).scan() {
        let node = node?;
        let node = node.node()?;
        records.push(node.data.to_vec());
        places.push(node.key());
    }
    // Tables without a primary index number their rows by themselves.
    let plain = places.iter().all(|key| key.len() == 4);
    let place_of = |number: u32| if plain { number.to_be_bytes().to_vec() } else { key_of(number) };
    let mut trees = Trees::begin(&database, &base, path)?;
    let first = trees.next;
    let (rows, leaves) = trees.write(
        Tree::rows(&definition),
        &|number| {
            let mut record = records[number as usize % records.len()].clone();
            record[NUMBER_IN_RECORD..NUMBER_IN_RECORD + 4].copy_from_slice(&number.to_le_bytes());
            (place_of(number), record)
        },
        &enough,
    )?;
    let mut owned = vec![(definition.root, first)];
    for index in definition.indexes.iter().filter(|index| !index.is_primary() && index.columns[0] == 1) {
        let mut tails = vec![Vec::new(); records.len()];
        for node in database.tree(index.root).scan() {
            let node = node?;
            let node = node.node()?;
            let place = places.iter().position(|place| place == node.data).ok_or("an entry without a row")?;
            tails[place] = node.key().split_off(NUMBER_IN_KEY + 4);
        }
        owned.push((index.root, trees.next));
        trees.write(
            Tree::index(index),
            &|number| {
                let tail = &tails[number as usize % tails.len()];
                ([&key_of(number), tail.as_slice()].concat(), place_of(number))
            },
            &|entries, _| rows <= entries,
        )?;
    }
    let last = trees.next - 1;
    // The table owns the pages of its indexes, too.
    let ends = owned.iter().skip(1).map(|(_, first)| first - 1).chain([last]);
    let owned: Vec<_> = owned.iter().zip(ends).map(|((root, first), end)| (*root, *first, end)).collect();
    let of_table = [(definition.root, first, last)];
    trees.end(of_table.iter().chain(&owned[1..]).copied())?;
    Ok(leaves)
}

/// The database of a real CA of eleven requests.
pub(crate) fn small_database() -> Result<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/ese/tests/data/CertLog.edb.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The key of a request by its number (ese.md 5.1).
pub(crate) fn key_of(number: u32) -> Vec<u8> {
    [&[0x7F][..], &(number ^ 1 << 31).to_be_bytes()].concat()
}

/// A tree that gets new pages.
pub(crate) struct Tree {
    root: u32,
    object: u32,
    flags: u32,
}

impl Tree {
    /// That of the rows of a table.
    pub(crate) const fn rows(table: &TableDefinition) -> Self {
        Self { root: table.root, object: table.object_id, flags: 0 }
    }

    /// That of a secondary index, whose keys are not unique.
    pub(crate) const fn index(index: &Index) -> Self {
        Self { root: index.root, object: index.object_id, flags: INDEX }
    }
}

/// Trees being written behind a small database, one behind the other.
pub(crate) struct Trees<'d, 'b> {
    database: &'d Database<&'b [u8]>,
    file: BufWriter<File>,
    /// The page that comes next.
    pub(crate) next: u32,
    /// Pages of the small database that change: roots, which lie where they lay, and pages that left their trees.
    roots: Vec<(u32, Vec<u8>)>,
}

impl<'d, 'b> Trees<'d, 'b> {
    /// Begins the file with the small database, whose bytes are `base`.
    pub(crate) fn begin(database: &'d Database<&'b [u8]>, base: &[u8], path: &Path) -> Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(base)?;
        Ok(Self { database, file, next: database.page_slots() + 1, roots: Vec::new() })
    }

    /// Lets the roots point to the new pages. Each tree of `owned`, named by its root, owns the pages from the first to the
    /// last one given with it, and the database owns all.
    pub(crate) fn end(self, owned: impl Iterator<Item = (u32, u32, u32)>) -> Result<()> {
        let (first, last) = (self.database.page_slots() + 1, self.next - 1);
        let mut file = self.file.into_inner()?;
        for (page, bytes) in &self.roots {
            put(&mut file, *page, bytes)?;
        }
        for (root, first, last) in owned.chain([(1, first, last)]) {
            own(&mut file, self.database, root, first, last)?;
        }
        Ok(())
    }

    /// Writes the leaves of a tree from its nodes in order, then the levels above them. Returns the number of its nodes
    /// and the first and last leaf.
    pub(crate) fn write(
        &mut self,
        tree: Tree,
        node: &dyn Fn(u32) -> (Vec<u8>, Vec<u8>),
        enough: &dyn Fn(u64, u32) -> bool,
    ) -> Result<(u64, [u32; 2])> {
        let header = match self.database.page(tree.root)?.external_header() {
            header if SpaceHeader::parse(header)?.is_some_and(|header| header.has_several_extents()) => {
                header.to_vec()
            }
            // Of one extent, which is not enough: nothing is said of its space.
            _ => Vec::new(),
        };
        self.empty_old_pages(&tree)?;
        let first = self.next;
        // The first key of each page of a level, and the page.
        let mut level: Vec<(Vec<u8>, u32)> = Vec::new();
        let mut nodes = 0u32;
        while !enough(u64::from(nodes), self.next - 1) {
            let mut leaf = PageBuilder::new(tree.object, tree.flags | LEAF, Vec::new());
            leaf.previous = if self.next == first { 0 } else { self.next - 1 };
            let (mut first_key, data) = node(nodes + 1);
            // Where keys are not unique, the data tells apart what the key does not.
            if tree.flags & INDEX != 0 {
                first_key.extend(data);
            }
            while !enough(u64::from(nodes), self.next - 1) || leaf.tags == 1 {
                let (key, data) = node(nodes + 1);
                if !leaf.has_room(key.len(), data.len()) {
                    break;
                }
                leaf.add(&key, &data);
                nodes += 1;
            }
            leaf.next = if enough(u64::from(nodes), self.next) { 0 } else { self.next + 1 };
            level.push((first_key, self.append(leaf)?));
        }
        let leaves = [first, self.next - 1];
        let mut flags = tree.flags | PARENT_OF_LEAF;
        let mut root = PageBuilder::new(tree.object, ROOT | flags, header.clone());
        while !root.fits_all(&level) {
            let mut above = Vec::new();
            let mut taken = 0;
            while taken < level.len() {
                let mut page = PageBuilder::new(tree.object, flags, Vec::new());
                above.push((level[taken].0.clone(), self.next));
                while taken < level.len() && page.has_room(separator(&level, taken).len(), 4) {
                    page.add(separator(&level, taken), &level[taken].1.to_le_bytes());
                    taken += 1;
                }
                self.append(page)?;
            }
            level = above;
            flags = tree.flags;
            root = PageBuilder::new(tree.object, ROOT | flags, header.clone());
        }
        for (place, (_, child)) in level.iter().enumerate() {
            root.add(separator(&level, place), &child.to_le_bytes());
        }
        self.roots.push((tree.root, root.finish(tree.root)));
        Ok((u64::from(nodes), leaves))
    }

    /// Puts other bytes in the place of a page of the small database, whose checksum follows.
    pub(crate) fn replace(&mut self, number: u32, mut bytes: Vec<u8>) {
        checksum_page(&mut bytes, number);
        self.roots.push((number, bytes));
    }

    /// The pages that the tree had below its root have left it.
    fn empty_old_pages(&mut self, tree: &Tree) -> Result<()> {
        for number in 1..=self.database.page_slots() {
            let Ok(page) = self.database.page(number) else { continue };
            let is_below = page.object_id() == tree.object && page.flags() & (ROOT | SPACE_TREE | EMPTY) == 0;
            if is_below {
                let page = PageBuilder::new(tree.object, page.flags() & !MODERN | EMPTY, Vec::new());
                self.roots.push((number, page.finish(number)));
            }
        }
        Ok(())
    }

    fn append(&mut self, page: PageBuilder) -> Result<u32> {
        let number = self.next;
        self.file.write_all(&page.finish(number))?;
        self.next += 1;
        Ok(number)
    }
}

/// The keys of a page are smaller than the first of the next; the last page of a level has no bound.
fn separator(level: &[(Vec<u8>, u32)], place: usize) -> &[u8] {
    level.get(place + 1).map_or(&[], |(key, _)| key)
}

fn put(file: &mut File, page: u32, bytes: &[u8]) -> Result<()> {
    file.seek(SeekFrom::Start((u64::from(page) + 1) * PAGE))?;
    Ok(file.write_all(bytes)?)
}

/// Gives a tree with space trees one more extent.
fn own(file: &mut File, database: &Database<&[u8]>, root: u32, first: u32, last: u32) -> Result<()> {
    let header = SpaceHeader::parse(database.page(root)?.external_header())?;
    let Some(header) = header.filter(|header| header.has_several_extents()) else {
        return Ok(());
    };
    let owned = header.owned_or_bitmap;
    let page = database.page(owned)?;
    let mut grown =
        PageBuilder::new(page.object_id(), page.flags() & !MODERN, page.external_header().to_vec());
    for node in page.nodes() {
        grown.add(&node.key(), node.data);
    }
    grown.add(&last.to_be_bytes(), &(last - first + 1).to_le_bytes());
    put(file, owned, &grown.finish(owned))
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
