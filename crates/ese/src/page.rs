//! A database page and its nodes (ese.md 3.3, 3.4).

use core::cmp::Ordering;

use crate::bytes::Fields;
use crate::error::Error;
use crate::pagesize::PageSize;

/// Page flags (ese.md 3.3).
pub mod flag {
    /// Root of a tree.
    pub const ROOT: u32 = 0x1;
    /// Leaf.
    pub const LEAF: u32 = 0x2;
    /// Parent of leaves.
    pub const PARENT_OF_LEAF: u32 = 0x4;
    /// Emptied.
    pub const EMPTY: u32 = 0x8;
    /// Belongs to a space tree.
    pub const SPACE_TREE: u32 = 0x20;
    /// Belongs to a secondary index.
    pub const INDEX: u32 = 0x40;
    /// Belongs to a long-value tree.
    pub const LONG_VALUE: u32 = 0x80;
    /// Keys are not unique.
    pub const NON_UNIQUE: u32 = 0x400;
    /// The record format of every modern file.
    pub const NEW_RECORD: u32 = 0x800;
    /// The checksum is of the new kind.
    pub const NEW_CHECKSUM: u32 = 0x2000;
    /// Counts writes, to be ignored.
    pub const FLUSH_COUNTER: u32 = 0x1_8000;
    /// Header only, no tags.
    pub const PRE_INITIALISED: u32 = 0x2_0000;
}

/// Node flags (ese.md 3.3).
pub mod node_flag {
    /// A hint that stays set on disk.
    pub const VERSIONED: u8 = 1;
    /// Deleted: readers skip it.
    pub const DELETED: u8 = 2;
    /// The key starts with bytes of the page's prefix.
    pub const COMPRESSED: u8 = 4;
}

/// One page whose tags were found to lie inside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    number: u32,
    size: PageSize,
    bytes: Vec<u8>,
}

/// One node of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node<'a> {
    /// Of [`node_flag`].
    pub flags: u8,
    /// First part of the key, shared by the nodes of the page.
    pub prefix: &'a [u8],
    /// Second part of the key.
    pub suffix: &'a [u8],
    /// What the key stands for.
    pub data: &'a [u8],
}

impl Node<'_> {
    /// True for a node that readers skip.
    pub fn is_deleted(&self) -> bool {
        self.flags & node_flag::DELETED != 0
    }

    /// Both parts of the key in one.
    pub fn key(&self) -> Vec<u8> {
        [self.prefix, self.suffix].concat()
    }

    /// Compares the key as the engine does: unsigned bytes, shorter first on a tie.
    pub fn compare_key(&self, other: &[u8]) -> Ordering {
        let split = self.prefix.len().min(other.len());
        self.prefix.cmp(&other[..split]).then_with(|| self.suffix.cmp(&other[split..]))
    }

    /// The child page number of a node above the leaves.
    pub(crate) fn child(&self) -> Result<u32, Error> {
        let fields = Fields::new(self.data, "a node above the leaves");
        if self.data.len() != 4 {
            return Err(Error::Malformed {
                what: "a node above the leaves",
                problem: "its data is no page number",
            });
        }
        fields.u32(0)
    }
}

/// The nodes of a page in order. What they have in common is looked up once.
#[derive(Clone, Debug)]
pub struct Nodes<'a> {
    bytes: &'a [u8],
    prefix: &'a [u8],
    size: PageSize,
    tag: usize,
    end: usize,
}

impl<'a> Nodes<'a> {
    /// The node of a tag; `None` for one that [`Page::node`] refuses, which no parsed page has.
    #[inline]
    fn node(&self, tag: usize) -> Option<Node<'a>> {
        let half = |bytes: &[u8], at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let at = self.size.bytes().checked_sub(4 * (tag + 1))?;
        let (length, offset) = (half(self.bytes, at)?, half(self.bytes, at + 2)?);
        let mask = self.size.mask();
        let start = self.size.page_header() + usize::from(offset & mask);
        let bytes = self.bytes.get(start..start + usize::from(length & mask))?;
        let flags = if self.size.is_large() { bytes.get(1)? >> 5 } else { (offset >> 13).to_le_bytes()[0] };
        let (shared, at) = match flags & node_flag::COMPRESSED {
            0 => (0, 0),
            _ => (usize::from(half(bytes, 0)? & 0x1FFF), 2),
        };
        let own = usize::from(half(bytes, at)? & 0x1FFF);
        let (suffix, data) = bytes.get(at + 2..)?.split_at_checked(own)?;
        Some(Node { flags, prefix: self.prefix.get(..shared)?, suffix, data })
    }
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        if self.end <= self.tag {
            return None;
        }
        self.tag += 1;
        self.node(self.tag - 1)
    }
}

impl Page {
    /// Checks the header and every tag of a page. The checksum is not looked at
    /// ([`crate::checksum::check_page`]).
    ///
    /// # Errors
    /// [`Error::MalformedPage`] (HRESULT 0xC80004B6).
    pub fn parse(number: u32, bytes: Vec<u8>) -> Result<Self, Error> {
        let refuse = |problem| Err(Error::MalformedPage { page: number, what: "the page", problem });
        let Some(size) = PageSize::new(bytes.len()) else {
            return refuse("its size is none that exists");
        };
        let page = Self { number, size, bytes };
        if page.flags() & flag::PRE_INITIALISED != 0 {
            return Ok(page);
        }
        if size.is_large() && page.field(64) != number {
            return refuse("it carries another page number");
        }
        if size.body() < page.tag_count() * 4 {
            return refuse("it has more tags than fit");
        }
        let data_end = size.body() - page.tag_count() * 4;
        // All tags at once, each of four bytes: this is done for every page of a database.
        let mask = size.mask();
        let tags = page.bytes.get(size.bytes() - page.tag_count() * 4..).unwrap_or_default();
        let outside = |tag: &[u8; 4]| {
            let [length, offset] = [[tag[0], tag[1]], [tag[2], tag[3]]].map(u16::from_le_bytes);
            data_end < usize::from(offset & mask) + usize::from(length & mask)
        };
        if tags.as_chunks().0.iter().any(outside) {
            return refuse("a tag points outside the page");
        }
        if page.nodes().count() != page.node_count() {
            // Which one, and why.
            for line in 0..page.node_count() {
                page.node(line)?;
            }
            return refuse("a node cannot be read");
        }
        Ok(page)
    }

    fn field(&self, offset: usize) -> u32 {
        // The buffer is a whole page and every offset is inside its header.
        Fields::new(&self.bytes, "the page").u32(offset).unwrap_or(0)
    }

    fn half(&self, offset: usize) -> u16 {
        // As above; tags were counted before they are read.
        Fields::new(&self.bytes, "the page").u16(offset).unwrap_or(0)
    }

    /// Its number, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its size.
    pub fn size(&self) -> PageSize {
        self.size
    }

    /// Its bytes as read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its memory, for another page.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Database time of its last change.
    pub fn dbtime(&self) -> u64 {
        u64::from(self.field(8)) | u64::from(self.field(12)) << 32
    }

    /// Left sibling of a leaf; 0 for none.
    pub fn previous(&self) -> u32 {
        self.field(16)
    }

    /// Right sibling of a leaf; 0 for none.
    pub fn next(&self) -> u32 {
        self.field(20)
    }

    /// Object identifier of the tree it belongs to.
    pub fn object_id(&self) -> u32 {
        self.field(24)
    }

    /// Of [`flag`].
    pub fn flags(&self) -> u32 {
        self.field(36)
    }

    /// True when all bits of `flags` are set.
    pub fn has(&self, flags: u32) -> bool {
        self.flags() & flags == flags
    }

    /// Tags, the external header included; 0 on a page that holds nothing yet.
    pub fn tag_count(&self) -> usize {
        usize::from(self.half(34) & 0xFFF)
    }

    pub(crate) fn reserved_tags(&self) -> usize {
        usize::from(self.half(34) >> 12 & 7).max(1)
    }

    pub(crate) fn reserved_tag_bits(&self) -> u16 {
        self.half(34) & 0x7000
    }

    /// Nodes on the page.
    pub fn node_count(&self) -> usize {
        if self.flags() & flag::PRE_INITIALISED != 0 {
            return 0;
        }
        self.tag_count().saturating_sub(self.reserved_tags())
    }

    /// Offset from the end of the page header, length, flags in the tag.
    fn tag_raw(&self, tag: usize) -> (usize, usize, u8) {
        let at = self.size.bytes() - 4 * (tag + 1);
        let (length, offset) = (self.half(at), self.half(at + 2));
        let mask = self.size.mask();
        // Three bits.
        let flags = u8::try_from(offset >> 13).unwrap_or(0);
        (usize::from(offset & mask), usize::from(length & mask), flags)
    }

    fn tag(&self, tag: usize) -> (&[u8], u8) {
        let (offset, length, flags) = self.tag_raw(tag);
        let start = self.size.page_header() + offset;
        (self.bytes.get(start..start + length).unwrap_or_default(), flags)
    }

    /// Tag 0: the space header of a root page, the shared key prefix of others.
    pub fn external_header(&self) -> &[u8] {
        if self.tag_count() == 0 || self.flags() & flag::PRE_INITIALISED != 0 {
            return &[];
        }
        self.tag(0).0
    }

    /// Reserved tags behind tag 0; only the newest format has any.
    pub(crate) fn further_reserved_tags(&self) -> Vec<Vec<u8>> {
        let tags = self.reserved_tags().min(self.tag_count());
        if self.flags() & flag::PRE_INITIALISED != 0 {
            return Vec::new();
        }
        (1..tags).map(|tag| self.tag(tag).0.to_vec()).collect()
    }

    /// The key prefix that the nodes share (ese.md 3.3, 4).
    pub fn prefix(&self) -> &[u8] {
        let header = self.external_header();
        match (self.has(flag::ROOT), self.has(flag::SPACE_TREE)) {
            (false, _) => header,
            (true, true) => header.get(16..).unwrap_or_default(),
            (true, false) => &[],
        }
    }

    /// Node number `line`, from 0.
    ///
    /// # Errors
    /// [`Error::MalformedPage`] (HRESULT 0xC80004B6) when it does not exist or its lengths do not fit.
    pub fn node(&self, line: usize) -> Result<Node<'_>, Error> {
        let refuse = |problem| Error::MalformedPage { page: self.number, what: "a node", problem };
        if self.node_count() <= line {
            return Err(refuse("it does not exist"));
        }
        let (bytes, tag_flags) = self.tag(line + self.reserved_tags());
        let flags = if self.size.is_large() { bytes.get(1).copied().unwrap_or(0) >> 5 } else { tag_flags };
        let fields = Fields::new(bytes, "a node");
        let (prefix_length, at) = if flags & node_flag::COMPRESSED != 0 {
            (usize::from(fields.u16(0)? & 0x1FFF), 2)
        } else {
            (0, 0)
        };
        let suffix_length =
            usize::from(fields.u16(at).map_err(|_| refuse("it is shorter than its lengths"))? & 0x1FFF);
        let prefix = self
            .prefix()
            .get(..prefix_length)
            .ok_or_else(|| refuse("it shares more key than the page's prefix has"))?;
        let suffix = bytes
            .get(at + 2..at + 2 + suffix_length)
            .ok_or_else(|| refuse("its key is longer than the node"))?;
        Ok(Node { flags, prefix, suffix, data: &bytes[at + 2 + suffix_length..] })
    }

    /// All nodes in order.
    pub fn nodes(&self) -> Nodes<'_> {
        Nodes {
            bytes: &self.bytes,
            prefix: self.prefix(),
            size: self.size,
            tag: self.reserved_tags(),
            end: self.reserved_tags() + self.node_count(),
        }
    }

    /// Number of the first of `count` nodes for which `before` does not hold.
    fn partition(&self, count: usize, before: impl Fn(Ordering) -> bool, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let is_before = self.node(middle).is_ok_and(|node| before(node.compare_key(key)));
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Number of the first node of a leaf whose key is not below `key`.
    pub(crate) fn lower_bound(&self, key: &[u8]) -> usize {
        self.partition(self.node_count(), Ordering::is_lt, key)
    }

    /// The child page to descend to for `key`: separators are exclusive upper bounds, and the last node, whose key
    /// is empty, stands for infinity (ese.md 3.4).
    pub(crate) fn child_for(&self, key: &[u8]) -> Result<u32, Error> {
        let bounded = self.node_count().saturating_sub(1);
        let line = self.partition(bounded, Ordering::is_le, key);
        self.node(line)?.child().map_err(|error| error.on_page(self.number))
    }

    /// The first child page.
    pub(crate) fn first_child(&self) -> Result<u32, Error> {
        self.node(0)?.child().map_err(|error| error.on_page(self.number))
    }
}
