//! A page taken apart for changing, and put together again (ese.md 3.3).

use bytes::Bytes;

use crate::bytes::{len16, put};
use crate::checksum::checksum_page;
use crate::error::Error;
use crate::page::{Page, flag, node_flag};
use crate::pagesize::PageSize;

/// Shorter common prefixes are not worth their two bytes (ese.md 3.4).
const SHORTEST_PREFIX: usize = 3;

/// Tags that the 12 bits of their count can say.
const MOST_TAGS: usize = 0xFFF;

/// Key bytes that the 13 bits of a length can say.
const LONGEST_KEY_PART: usize = 0x1FFF;

/// A node of a page that is being changed. What is not changed stays where it was read: in the bytes of the page, which
/// live as long as one node of it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeImage {
    /// Without the bit for a compressed key, which follows from `prefix`.
    pub(crate) flags: u8,
    /// Key bytes shared with the page's prefix.
    pub(crate) prefix: usize,
    pub(crate) suffix: Bytes,
    pub(crate) data: Bytes,
}

impl NodeImage {
    /// A node without a key in the page's prefix.
    pub(crate) fn plain(key: &[u8], data: &[u8]) -> Self {
        Self { flags: 0, prefix: 0, suffix: Bytes::copy_from_slice(key), data: Bytes::copy_from_slice(data) }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.flags & node_flag::DELETED != 0
    }

    pub(crate) fn set_deleted(&mut self, deleted: bool) {
        self.flags &= !node_flag::DELETED;
        if deleted {
            self.flags |= node_flag::DELETED;
        }
    }

    fn length(&self) -> usize {
        let prefix = if self.prefix == 0 { 0 } else { 2 };
        prefix + 2 + self.suffix.len() + self.data.len()
    }
}

/// A page that is being changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PageImage {
    pub(crate) number: u32,
    size: PageSize,
    pub(crate) dbtime: u64,
    pub(crate) previous: u32,
    pub(crate) next: u32,
    pub(crate) object: u32,
    pub(crate) flags: u32,
    /// Tag 0: space header or split buffer of a root page, key prefix of others.
    pub(crate) external: Vec<u8>,
    /// Further reserved tags of the newest format.
    reserved: Vec<Vec<u8>>,
    reserved_bits: u16,
    pub(crate) nodes: Vec<NodeImage>,
}

impl PageImage {
    /// An empty page.
    pub(crate) fn new(size: PageSize, number: u32, object: u32, flags: u32) -> Self {
        Self {
            number,
            size,
            dbtime: 0,
            previous: 0,
            next: 0,
            object,
            flags: flags | flag::NEW_CHECKSUM,
            external: Vec::new(),
            reserved: Vec::new(),
            reserved_bits: 0,
            nodes: Vec::new(),
        }
    }

    /// Takes a page apart.
    pub(crate) fn from_page(page: Page) -> Self {
        let mut image = Self {
            number: page.number(),
            size: page.size(),
            dbtime: page.dbtime(),
            previous: page.previous(),
            next: page.next(),
            object: page.object_id(),
            flags: page.flags(),
            external: page.external_header().to_vec(),
            reserved: page.further_reserved_tags(),
            reserved_bits: page.reserved_tag_bits(),
            nodes: Vec::with_capacity(page.node_count()),
        };
        // Where in the page each node is; none is left out, because the page looked at them when it was parsed.
        let places: Vec<_> = page
            .nodes()
            .map(|node| {
                let [suffix, data] = [node.suffix, node.data].map(|part| place_in(page.bytes(), part));
                (node.flags & !node_flag::COMPRESSED, node.prefix.len(), suffix, data)
            })
            .collect();
        let bytes = Bytes::from(page.into_bytes());
        image.nodes.extend(places.into_iter().map(|(flags, prefix, suffix, data)| NodeImage {
            flags,
            prefix,
            suffix: bytes.slice(suffix),
            data: bytes.slice(data),
        }));
        image
    }

    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// The key prefix that the nodes share; as [`Page::prefix`].
    pub(crate) fn prefix(&self) -> &[u8] {
        match (self.has(flag::ROOT), self.has(flag::SPACE_TREE)) {
            (false, _) => &self.external,
            (true, true) => self.external.get(16..).unwrap_or_default(),
            (true, false) => &[],
        }
    }

    /// True where the node has this key.
    pub(crate) fn has_key(&self, node: &NodeImage, key: &[u8]) -> bool {
        let prefix = self.prefix().get(..node.prefix).unwrap_or_default();
        key.strip_prefix(prefix) == Some(&node.suffix)
    }

    /// Both parts of a node's key in one.
    pub(crate) fn key(&self, node: &NodeImage) -> Vec<u8> {
        let prefix = self.prefix().get(..node.prefix).unwrap_or_default();
        [prefix, &node.suffix].concat()
    }

    /// A node for a full key, sharing what it can with the page's prefix.
    pub(crate) fn compressed(&self, flags: u8, key: &[u8], data: Bytes) -> NodeImage {
        let shared = self.prefix().iter().zip(key).take_while(|(a, b)| a == b).count();
        let prefix = if shared < SHORTEST_PREFIX { 0 } else { shared };
        NodeImage { flags, prefix, suffix: Bytes::copy_from_slice(&key[prefix..]), data }
    }

    /// Nodes with their full keys, so that they can move to a page with another prefix.
    pub(crate) fn full_nodes(&self) -> Vec<FullNode> {
        self.nodes
            .iter()
            .map(|node| FullNode { flags: node.flags, key: self.key(node), data: node.data.clone() })
            .collect()
    }

    /// Replaces all nodes, each compressed against the prefix in place.
    pub(crate) fn set_nodes(&mut self, nodes: impl IntoIterator<Item = FullNode>) {
        self.nodes =
            nodes.into_iter().map(|node| self.compressed(node.flags, &node.key, node.data)).collect();
    }

    /// Drops nodes and prefix: the state of a page that left its tree.
    pub(crate) fn empty(&mut self) {
        self.nodes.clear();
        self.external.clear();
        self.flags |= flag::EMPTY;
    }

    /// Puts the page together, without gaps, checksum included.
    ///
    /// # Errors
    /// [`Error::MalformedPage`] when it does not fit its size.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let too_large = || Error::MalformedPage {
            page: self.number,
            what: "the changed page",
            problem: "its nodes do not fit",
        };
        let mut bytes = vec![0; self.size.bytes()];
        let bare = self.has(flag::PRE_INITIALISED);
        let tags = if bare { 0 } else { 1 + self.reserved.len() + self.nodes.len() };
        let used: usize = self.external.len()
            + self.reserved.iter().map(Vec::len).sum::<usize>()
            + self.nodes.iter().map(NodeImage::length).sum::<usize>();
        let fits = self.nodes.iter().all(|node| self.is_writable(node));
        if MOST_TAGS < tags || !fits {
            return Err(too_large());
        }
        let free = self.size.body().checked_sub(used + 4 * tags).ok_or_else(too_large)?;
        put(&mut bytes, 8, &self.dbtime.to_le_bytes());
        put(&mut bytes, 16, &self.previous.to_le_bytes());
        put(&mut bytes, 20, &self.next.to_le_bytes());
        put(&mut bytes, 24, &self.object.to_le_bytes());
        let half = |value| len16(value).ok_or_else(too_large);
        put(&mut bytes, 28, &half(free)?.to_le_bytes());
        put(&mut bytes, 32, &half(used)?.to_le_bytes());
        let tag_field = half(tags)? | self.reserved_bits;
        put(&mut bytes, 34, &tag_field.to_le_bytes());
        put(&mut bytes, 36, &self.flags.to_le_bytes());
        if self.size.is_large() {
            put(&mut bytes, 64, &self.number.to_le_bytes());
        }
        if !bare {
            self.write_tags(&mut bytes).ok_or_else(too_large)?;
        }
        checksum_page(&mut bytes, self.number);
        Ok(bytes)
    }

    fn is_writable(&self, node: &NodeImage) -> bool {
        node.prefix <= self.prefix().len().min(LONGEST_KEY_PART) && node.suffix.len() <= LONGEST_KEY_PART
    }

    fn write_tags(&self, bytes: &mut [u8]) -> Option<()> {
        let mut writer = TagWriter { size: self.size, bytes, tag: 0, offset: 0 };
        for reserved in [self.external.as_slice()].into_iter().chain(self.reserved.iter().map(Vec::as_slice))
        {
            writer.write(0, &[reserved])?;
        }
        for node in &self.nodes {
            let shared = len16(node.prefix)?.to_le_bytes();
            let own = len16(node.suffix.len())?.to_le_bytes();
            match node.prefix {
                0 => writer.write(node.flags, &[&own, &node.suffix, &node.data])?,
                _ => {
                    let flags = node.flags | node_flag::COMPRESSED;
                    writer.write(flags, &[&shared, &own, &node.suffix, &node.data])?;
                }
            }
        }
        Some(())
    }
}

/// A node free of its page's prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FullNode {
    pub(crate) flags: u8,
    pub(crate) key: Vec<u8>,
    pub(crate) data: Bytes,
}

/// What a node above the leaves holds: the number of its child.
pub(crate) fn pointer(page: u32) -> Bytes {
    Bytes::copy_from_slice(&page.to_le_bytes())
}

/// Where in `whole` one of its parts lies.
fn place_in(whole: &[u8], part: &[u8]) -> core::ops::Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

struct TagWriter<'a> {
    size: PageSize,
    bytes: &'a mut [u8],
    tag: usize,
    offset: usize,
}

impl TagWriter<'_> {
    /// Writes a tag and the parts of what it points to.
    fn write(&mut self, flags: u8, parts: &[&[u8]]) -> Option<()> {
        let start = self.size.page_header() + self.offset;
        let mut end = start;
        for part in parts {
            put(self.bytes, end, part);
            end += part.len();
        }
        let length = end - start;
        let tag_flags = if self.size.is_large() {
            // The flags lie in the top bits of the node's first u16.
            if let (Some(byte), false) = (self.bytes.get_mut(start + 1), length < 2) {
                *byte |= flags << 5;
            }
            0
        } else {
            u16::from(flags) << 13
        };
        let at = self.size.bytes() - 4 * (self.tag + 1);
        put(self.bytes, at, &len16(length)?.to_le_bytes());
        put(self.bytes, at + 2, &(len16(self.offset)? | tag_flags).to_le_bytes());
        self.tag += 1;
        self.offset += length;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node() -> impl Strategy<Value = FullNode> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        (any::<bool>(), proptest::collection::vec(0u8..3, 0..12), bytes(40)).prop_map(
            |(deleted, key, data)| FullNode {
                flags: if deleted { node_flag::DELETED } else { 0 },
                key,
                data: data.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_page_taken_apart_and_put_together_is_the_same(
            large in any::<bool>(),
            prefix in proptest::collection::vec(0u8..3, 0..8),
            nodes in proptest::collection::vec(node(), 0..30),
        ) {
            let size = PageSize::new(if large { 32_768 } else { 4096 }).unwrap();
            let mut image = PageImage::new(size, 9, 77, flag::LEAF | flag::NEW_RECORD);
            image.dbtime = 5;
            image.external = prefix;
            image.set_nodes(nodes.clone());
            let bytes = image.to_bytes().unwrap();
            prop_assert_eq!(crate::checksum::check_page(&bytes, 9), crate::checksum::PageCheck::Valid);
            let page = Page::parse(9, bytes).unwrap();
            let again = PageImage::from_page(page);
            prop_assert_eq!(&again, &image);
            prop_assert_eq!(again.full_nodes(), nodes);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let size = PageSize::new(2048).unwrap();
        let mut image = PageImage::new(size, 1, 1, flag::LEAF);
        image.nodes.push(NodeImage::plain(&[1; 30], &[2; 2000]));
        assert!(image.to_bytes().is_err());
        image.nodes[0].data.clear();
        image.nodes[0].prefix = 4;
        assert!(image.to_bytes().is_err(), "shares more than the prefix has");
    }
}
