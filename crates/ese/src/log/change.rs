//! The parts that log records share, and the two kinds that change several pages (ese.md 8.4, 9.4, 9.5).

use crate::bytes::Fields;
use crate::error::Error;
use crate::numbered::numbered;

/// What every record that changes a page starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageChange {
    /// Session.
    pub session: u16,
    /// Number of the database.
    pub database: u8,
    /// The page.
    pub page: u32,
    /// Database time of the page after the change.
    pub dbtime: u64,
    /// Database time of the page before it; all ones for a new page.
    pub before: u64,
    /// Transaction level.
    pub level: u8,
    /// Node number.
    pub line: u16,
    /// 1 versioned, 2 deleted, 4 unique tree, 8 space tree.
    pub flags: u8,
}

impl PageChange {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            session: fields.u16(1)?,
            database: fields.u8(3)?,
            page: fields.u32(4)?,
            dbtime: fields.u64(8)?,
            before: fields.u64(16)?,
            level: fields.u8(28)?,
            line: fields.u16(29)?,
            flags: fields.u8(31)?,
        })
    }

    /// True when a rollback undoes it.
    pub fn is_versioned(&self) -> bool {
        self.flags & 1 != 0
    }

    /// True in trees whose keys are unique.
    pub fn is_unique(&self) -> bool {
        self.flags & 4 != 0
    }
}

/// What every record that changes a node starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeChange {
    /// The page part.
    pub page: PageChange,
    /// Number that links it with its undo information.
    pub version: u32,
    /// Root page of the tree.
    pub root: u32,
    /// Object identifier of the tree.
    pub object: u32,
}

impl NodeChange {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            page: PageChange::read(fields)?,
            version: fields.u32(32)?,
            root: fields.u32(36)?,
            object: fields.u32(40)?,
        })
    }
}

numbered! {
    /// What an undo record undoes, or what its information is about.
    pub enum Operation: u16 {
        /// A node was added.
        Insert = 1,
        /// Data was replaced.
        Replace = 2,
        /// A node was marked deleted.
        FlagDelete = 3,
        /// A counter of 32 bits changed.
        Delta = 4,
        /// A counter of 64 bits changed.
        Delta64 = 9,
    }
}

/// A page that a record touches beside its own: number and database time before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OtherPage {
    /// Number; 0 for none.
    pub page: u32,
    /// Database time before.
    pub before: u64,
}

impl OtherPage {
    pub(super) fn read(fields: &Fields<'_>, at: usize) -> Result<Self, Error> {
        Ok(Self { page: fields.u32(at)?, before: fields.u64(at + 4)? })
    }
}

numbered! {
    /// Where the nodes of a split go.
    pub enum SplitKind: u8 {
        /// A root: everything into a new page below it, so that the tree gets a level deeper.
        Vertical = 0,
        /// The upper nodes into a new page to the right.
        Right = 1,
        /// The same behind the last node of a level: most often only the new node moves.
        Append = 2,
    }
}

numbered! {
    /// What a node that does not fit was about to do.
    pub enum SplitOperation: u8 {
        /// Nothing.
        None = 0,
        /// Come in.
        Insert = 1,
        /// Get longer data.
        Replace = 2,
        /// Come back, with longer data.
        FlagInsertAndReplace = 3,
    }
}

numbered! {
    /// Where the nodes of a merge go.
    pub enum MergeKind: u8 {
        /// There are none: the page is only taken out.
        EmptyPage = 1,
        /// All to the right; the page is taken out.
        FullRight = 2,
        /// Some to the right.
        PartialRight = 3,
        /// All to the left; the page is taken out.
        FullLeft = 5,
        /// Some to the left.
        PartialLeft = 6,
        /// All into a page elsewhere in the file.
        PageMove = 7,
    }
}

/// One level of a split (ese.md 9.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split<'a> {
    /// The page that is split.
    pub page: PageChange,
    /// The new page; 0 when this level only gets a pointer.
    pub new: u32,
    /// Right sibling of the old page.
    pub right: OtherPage,
    /// Page that points to the old page.
    pub parent: OtherPage,
    /// Root page of the tree.
    pub root: u32,
    /// Object identifier of the tree.
    pub object: u32,
    /// Where its nodes go.
    pub kind: SplitKind,
    /// What caused it.
    pub operation: SplitOperation,
    /// Line of the operation.
    pub operation_line: u16,
    /// First line that moves.
    pub split_line: u16,
    /// Lines after the operation.
    pub lines: u16,
    /// Flags of the new page.
    pub new_flags: u32,
    /// Flags of the old page.
    pub old_flags: u32,
    /// Line, from the first that moves, whose key becomes the prefix of the new page; negative for none.
    pub new_prefix_line: i32,
    /// Key for the parent.
    pub parent_key: &'a [u8],
    /// Prefix of the old page after the split.
    pub new_prefix: &'a [u8],
    /// 1 without its gap, 2 compressed.
    pub image_flags: u32,
    /// The old page before the split; empty for none.
    pub image: &'a [u8],
}

/// One level of a merge (ese.md 9.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Merge<'a> {
    /// The page that is emptied or that gives nodes away.
    pub page: PageChange,
    /// Right sibling.
    pub right: OtherPage,
    /// Left sibling.
    pub left: OtherPage,
    /// Parent.
    pub parent: OtherPage,
    /// First or last line that moves.
    pub line: u16,
    /// 1 key change, 2 delete node, 4 page becomes empty.
    pub flags: u8,
    /// Where its nodes go.
    pub kind: MergeKind,
    /// New key of the pointers above; in the record of the leaf alone.
    pub separator: &'a [u8],
    /// 1 without its gap, 2 compressed.
    pub image_flags: u32,
    /// The page before the merge; empty for none.
    pub image: &'a [u8],
}

/// Cuts the variable parts off the end of a record, in order.
pub(super) struct Parts<'a> {
    pub(super) fields: Fields<'a>,
    pub(super) at: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let part = self.fields.slice(self.at, length)?;
        self.at += length;
        Ok(part)
    }
}

pub(super) fn split<'a>(fields: &Fields<'a>, with_image: bool) -> Result<Split<'a>, Error> {
    let half = |offset| fields.u16(offset).map(usize::from);
    let mut parts = Parts { fields: *fields, at: if with_image { 110 } else { 102 } };
    let parent_key = parts.take(half(100)?)?;
    parts.take(half(96)?)?;
    let new_prefix = parts.take(half(98)?)?;
    let (image_flags, image) = image(fields, &mut parts, with_image.then_some(102))?;
    Ok(Split {
        page: PageChange::read(fields)?,
        new: fields.u32(32)?,
        right: OtherPage::read(fields, 36)?,
        parent: OtherPage::read(fields, 48)?,
        root: fields.u32(60)?,
        object: fields.u32(64)?,
        kind: fields.u8(68)?.into(),
        operation: fields.u8(69)?.into(),
        operation_line: fields.u16(70)?,
        split_line: fields.u16(72)?,
        lines: fields.u16(74)?,
        new_flags: fields.u32(76)?,
        old_flags: fields.u32(80)?,
        new_prefix_line: fields.i32(92)?,
        parent_key,
        new_prefix,
        image_flags,
        image,
    })
}

pub(super) fn merge<'a>(fields: &Fields<'a>, with_image: bool) -> Result<Merge<'a>, Error> {
    let mut parts = Parts { fields: *fields, at: if with_image { 96 } else { 88 } };
    let separator = parts.take(usize::from(fields.u16(86)?))?;
    let (image_flags, image) = image(fields, &mut parts, with_image.then_some(88))?;
    Ok(Merge {
        page: PageChange::read(fields)?,
        right: OtherPage::read(fields, 32)?,
        left: OtherPage::read(fields, 44)?,
        parent: OtherPage::read(fields, 56)?,
        line: fields.u16(82)?,
        flags: fields.u8(84)?,
        kind: fields.u8(85)?.into(),
        separator,
        image_flags,
        image,
    })
}

fn image<'a>(
    fields: &Fields<'a>,
    parts: &mut Parts<'a>,
    at: Option<usize>,
) -> Result<(u32, &'a [u8]), Error> {
    match at {
        None => Ok((0, &[])),
        Some(at) => {
            let length = crate::bytes::index(fields.u32(at + 4)?);
            Ok((fields.u32(at)?, parts.take(length)?))
        }
    }
}
