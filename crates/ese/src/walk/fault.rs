//! What a walk can find wrong, in types; [`crate::verify`] makes findings of them.

use core::fmt;
use std::rc::Rc;

use crate::code::Code;

/// Which of its trees a page was met in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TreeKind {
    /// The root of the whole database.
    Database,
    /// The rows of a table.
    Rows,
    /// A secondary index of a table.
    Index,
    /// The long values of a table.
    LongValues,
    /// The extents that a tree owns, or those of them that are available.
    Space,
}

/// A tree by its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TreeName {
    /// What it holds.
    pub kind: TreeKind,
    /// The table it belongs to; empty for the root of the database.
    pub table: Rc<str>,
    /// The name of an index; empty for other trees.
    pub index: Rc<str>,
}

impl fmt::Display for TreeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, index) = (&self.table, &self.index);
        match (self.kind, table.is_empty(), index.is_empty()) {
            (TreeKind::Space, true, _) => f.write_str("the space of the database"),
            (_, true, _) => f.write_str("the root of the database"),
            (TreeKind::Space, false, true) => write!(f, "the space of table {table}"),
            (TreeKind::Space, false, false) => write!(f, "the space of index {index} of table {table}"),
            (TreeKind::LongValues, ..) => write!(f, "the long values of table {table}"),
            (_, _, true) => write!(f, "table {table}"),
            (_, _, false) => write!(f, "index {index} of table {table}"),
        }
    }
}

/// One thing that a walk found wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The page it was found on; the root page for what concerns a whole tree.
    pub page: u32,
    /// The tree it was met in.
    pub tree: TreeName,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a page or a tree.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Problem {
    /// A page that the tree refers to was never written.
    NeverWritten,
    /// A page that the tree refers to cannot be read; told only where the caller does not judge pages by itself.
    Unreadable(String),
    /// A node refers to a page that the database does not own.
    NoSuchPage {
        /// The number in the node.
        child: u32,
    },
    /// Two nodes refer to this page.
    ReachedTwice,
    /// The page belongs to another object than its tree.
    WrongObject {
        /// The object in the page.
        found: u32,
        /// The object of the tree.
        expected: u32,
    },
    /// The page is no page of this place: root, leaf or kind of tree do not fit.
    WrongKind(&'static str),
    /// A leaf is not linked to the leaf before it.
    Sibling {
        /// The leaf to the left; 0 at the end.
        left: u32,
        /// The leaf to the right; 0 at the end.
        right: u32,
    },
    /// A node does not follow the node before it.
    KeyOrder {
        /// Its number on the page.
        line: usize,
    },
    /// A node lies outside the range that the parent page gives to this page.
    OutsideParent {
        /// Its number on the page.
        line: usize,
    },
    /// The tree names another parent than the catalog does.
    WrongParent {
        /// The root page of the parent in the space header.
        found: u32,
        /// The one that follows from the catalog.
        expected: u32,
    },
    /// The tree reaches a page that is none of the pages it owns.
    NotOwned,
    /// The tree reaches a page that the space trees call free.
    CalledFree,
    /// The extents of a space tree overlap or leave the database.
    Extents,
    /// A row cannot be read.
    Row {
        /// Its number on the page.
        line: usize,
    },
    /// The key of a row is not the one that its columns give.
    RowKey {
        /// Its number on the page.
        line: usize,
    },
    /// An index has another number of entries than the table has rows for it.
    IndexCount {
        /// Entries of the index.
        entries: u64,
        /// Rows that should have one.
        rows: u64,
    },
    /// An index has entries for other rows than those of the table.
    IndexRows,
    /// An index has other values than the rows of the table.
    IndexValues,
    /// The catalog and its copy have rows of other objects.
    ShadowCatalog,
    /// The catalog and its copy have rows of the same objects, and say different things in them. One of the two is older, or the
    /// engine keeps something in one of them alone: no file at hand shows that it does, and nothing that it does not.
    ShadowCatalogRows,
    /// The table of all objects has other ones than the catalog.
    Objects,
    /// A long value of a row is not in the tree for long values.
    LongValueMissing {
        /// Its identifier.
        id: u64,
    },
    /// A long value lacks a part.
    LongValueCut {
        /// Its identifier.
        id: u64,
    },
    /// Long values are referred to more or less often than they say.
    LongValueCount {
        /// How often the rows refer to one.
        references: u64,
        /// How often the long values say that they are referred to.
        counted: u64,
    },
    /// Requests and certificates of a CA have other numbers.
    Unpaired {
        /// Rows of requests.
        requests: u64,
        /// Rows of certificates.
        certificates: u64,
    },
    /// A request was issued or revoked, but the row of its certificate is empty or missing.
    NoCertificate {
        /// How many such requests.
        requests: u64,
        /// The first of them.
        first: i64,
    },
}

impl Problem {
    /// The engine's code for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::NeverWritten => Code::PAGE_NOT_INITIALIZED,
            Self::Unreadable(_) => Code::PAGE_CHECKSUM,
            Self::Sibling { .. } => Code::BAD_PAGE_LINK,
            Self::NoSuchPage { .. } | Self::ReachedTwice | Self::OutsideParent { .. } => {
                Code::BAD_PARENT_PAGE_LINK
            }
            Self::IndexCount { .. } | Self::IndexRows | Self::IndexValues => Code::SECONDARY_INDEX_CORRUPTED,
            Self::LongValueMissing { .. } | Self::LongValueCut { .. } | Self::LongValueCount { .. } => {
                Code::LONG_VALUE_CORRUPTED
            }
            Self::WrongObject { .. }
            | Self::WrongKind(_)
            | Self::KeyOrder { .. }
            | Self::WrongParent { .. }
            | Self::NotOwned
            | Self::CalledFree
            | Self::Extents
            | Self::Row { .. }
            | Self::RowKey { .. }
            | Self::ShadowCatalog
            | Self::ShadowCatalogRows
            | Self::Objects
            | Self::Unpaired { .. }
            | Self::NoCertificate { .. } => Code::DATABASE_CORRUPTED,
        }
    }

    /// False for what loses nothing, or may lose nothing: long values that no row needs, and what the engine keeps for itself.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Objects | Self::ShadowCatalogRows => false,
            Self::LongValueCount { references, counted } => counted < references,
            _ => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = &self.tree;
        match &self.problem {
            Problem::NeverWritten => write!(f, "{tree} refers to it, but it was never written"),
            Problem::Unreadable(problem) => write!(f, "{tree} refers to it, but {problem}"),
            Problem::NoSuchPage { child } => {
                write!(f, "{tree}: it refers to page {child}, which is not in the database")
            }
            Problem::ReachedTwice => write!(f, "{tree} refers to it, but it was already reached"),
            Problem::WrongObject { found, expected } => {
                write!(f, "{tree} refers to it, but it belongs to object {found} instead of {expected}")
            }
            Problem::WrongKind(what) => write!(f, "{tree} refers to it, but {what}"),
            Problem::Sibling { left, right } => {
                write!(f, "{tree}: the link between {} and {} is broken", Neighbour(*left), Neighbour(*right))
            }
            Problem::KeyOrder { line } => write!(f, "{tree}: node {line} does not follow the one before it"),
            Problem::OutsideParent { line } => {
                write!(f, "{tree}: node {line} lies outside the range that the page above it names")
            }
            Problem::WrongParent { found, expected } => {
                write!(f, "{tree} names page {found} as its parent instead of page {expected}")
            }
            Problem::NotOwned => write!(f, "{tree} refers to it, but does not own it"),
            Problem::CalledFree => write!(f, "{tree} refers to it, but the space trees call it free"),
            Problem::Extents => write!(f, "{tree}: extents overlap or leave the database"),
            Problem::Row { line } => write!(f, "{tree}: the row of node {line} cannot be read"),
            Problem::RowKey { line } => {
                write!(f, "{tree}: the key of node {line} is not the one its columns give")
            }
            Problem::IndexCount { entries, rows } => {
                write!(f, "{tree} has {entries} entries for {rows} rows")
            }
            Problem::IndexRows => write!(f, "{tree} has entries for other rows than the table has"),
            Problem::IndexValues => write!(f, "{tree} has other values than the rows of the table"),
            Problem::ShadowCatalog => write!(f, "{tree} has other rows than its copy MSysObjectsShadow"),
            Problem::ShadowCatalogRows => {
                write!(f, "{tree} says something else of an object than its copy MSysObjectsShadow does")
            }
            Problem::Objects => write!(f, "{tree} has other objects than the catalog"),
            Problem::LongValueMissing { id } => write!(f, "{tree}: long value {id} of a row is missing"),
            Problem::LongValueCut { id } => write!(f, "{tree}: a part of long value {id} is missing"),
            Problem::LongValueCount { references, counted } => {
                write!(f, "{tree} are referred to {references} times, but say {counted}")
            }
            Problem::Unpaired { requests, certificates } => write!(
                f,
                "{requests} requests and {certificates} rows of certificates do not have the same numbers"
            ),
            Problem::NoCertificate { requests, first } => write!(
                f,
                "{requests} requests are issued or revoked but have no certificate, the first is {first}"
            ),
        }
    }
}

/// A leaf in a message; 0 stands for the end of the level.
struct Neighbour(u32);

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the end"),
            page => write!(f, "page {page}"),
        }
    }
}

/// The name of a tree; an index or a table that it has not is empty.
pub(super) fn name(kind: TreeKind, table: &str, index: &str) -> TreeName {
    TreeName { kind, table: table.into(), index: index.into() }
}
