//! Log records as typed values (ese.md 8.4).

use crate::bytes::Fields;
use crate::error::Error;
use crate::lgpos::Lgpos;
use crate::log::change::{Parts, merge, split};
use crate::log::header::names_text;
use crate::log::kind::{
    NEW_DATABASE_FLAGS, NEW_DATABASE_HAS_VERSION, REPLACEMENT_LENGTH, REPLACEMENT_LENGTH_BITS, RecordKind,
};
use crate::numbered::numbered;
use crate::stamps::{BackupInfo, Signature};

pub use crate::log::change::{
    Merge, MergeKind, NodeChange, Operation, OtherPage, PageChange, Split, SplitKind, SplitOperation,
};

numbered! {
    /// How far a backup is.
    pub enum Phase: u8 {
        /// It begins.
        Begin = 1,
        /// The logs are prepared for it.
        PrepareLogs = 2,
        /// Logs are deleted.
        Truncate = 3,
        /// The header of the database knows of it.
        HeaderUpdated = 4,
        /// It is given up.
        Abort = 5,
        /// It ends.
        Stop = 6,
    }
}

numbered! {
    /// What a backup holds.
    pub enum Scope: u8 {
        /// The database; the CA may delete logs.
        Full = 1,
        /// Logs, which the CA may then delete.
        Incremental = 2,
        /// The database; no log is deleted.
        Copy = 5,
        /// Logs; no log is deleted.
        Differential = 6,
    }
}

/// A log record, as far as replay needs it typed.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A transaction begins or goes a level deeper.
    Begin {
        /// Session.
        session: u16,
        /// Level before.
        from: u8,
        /// Levels begun.
        levels: u8,
    },
    /// A level is committed.
    Commit {
        /// Session.
        session: u16,
        /// Level that it commits to.
        to: u8,
    },
    /// Levels are rolled back.
    Rollback {
        /// Session.
        session: u16,
        /// How many.
        levels: u8,
    },
    /// Changes from here on happen together.
    MacroBegin {
        /// Session.
        session: u16,
        /// Database time of these changes, which tells the records of them.
        dbtime: u64,
    },
    /// They happened.
    MacroCommit {
        /// Session.
        session: u16,
        /// Database time of the changes.
        dbtime: u64,
    },
    /// They did not.
    MacroAbort {
        /// Session.
        session: u16,
        /// Database time of the changes.
        dbtime: u64,
    },
    /// A database is created.
    CreateDatabase {
        /// Its number.
        database: u8,
        /// Its identity.
        signature: Signature,
        /// Format version and update, where logged.
        version: Option<(u16, u16)>,
        /// Its path.
        path: String,
    },
    /// A database is attached.
    AttachDatabase {
        /// Its number.
        database: u8,
        /// Where it was closed before; none where it never was.
        consistent: Lgpos,
        /// Its identity.
        signature: Signature,
        /// The log sequence in which it was closed.
        log: Signature,
        /// Its path.
        path: String,
    },
    /// A database is detached and clean.
    DetachDatabase {
        /// Its number.
        database: u8,
        /// Its path.
        path: String,
    },
    /// The engine starts.
    Init,
    /// The engine begins to end in good order.
    ShutDown,
    /// The engine ended in good order.
    Term,
    /// An earlier recovery of the engine ended in good order.
    RecoveryQuit,
    /// The same, and the databases stayed open.
    RecoveryKept,
    /// The engine's own recovery began to undo here.
    RecoveryUndo,
    /// A tree with space trees of its own is created.
    CreateMultipleExtentTree {
        /// The root page.
        page: PageChange,
        /// Object identifier.
        object: u32,
        /// Root of the owned-extents tree.
        owned: u32,
        /// Root of the available-extents tree.
        available: u32,
        /// Root page of the parent tree.
        parent: u32,
        /// Pages of its extent.
        pages: u32,
        /// Page flags.
        flags: u32,
    },
    /// A tree in one extent is created.
    CreateSingleExtentTree {
        /// The root page.
        page: PageChange,
        /// Object identifier.
        object: u32,
        /// Root page of the parent tree.
        parent: u32,
        /// Pages of its extent.
        pages: u32,
        /// Page flags.
        flags: u32,
    },
    /// A tree in one extent gets space trees.
    ConvertTree {
        /// The root page.
        page: PageChange,
        /// Object identifier.
        object: u32,
        /// Root of the owned-extents tree.
        owned: u32,
        /// Root of the available-extents tree.
        available: u32,
        /// Root page of the parent tree.
        parent: u32,
        /// First page of the second extent.
        secondary_first: u32,
        /// Pages of the first extent.
        primary: u32,
        /// Pages of the second extent.
        secondary: u32,
        /// Free pages of the first extent as bits.
        free: u32,
        /// Page flags.
        flags: u32,
    },
    /// One level of a split.
    Split(Split<'a>),
    /// One level of a merge.
    Merge(Merge<'a>),
    /// A node is added.
    Insert {
        /// Where.
        at: NodeChange,
        /// Bytes of the key that the page's prefix holds.
        prefix: &'a [u8],
        /// The rest of the key.
        suffix: &'a [u8],
        /// Its data.
        data: &'a [u8],
    },
    /// A deleted node comes back.
    FlagInsert {
        /// Where.
        at: NodeChange,
        /// Its key.
        key: &'a [u8],
        /// Its data.
        data: &'a [u8],
    },
    /// A deleted node comes back with other data.
    FlagInsertAndReplace {
        /// Where.
        at: NodeChange,
        /// Its key.
        key: &'a [u8],
        /// Its data.
        data: &'a [u8],
        /// Version number of the replacement.
        replace_version: u32,
    },
    /// A node is marked deleted.
    FlagDelete {
        /// Where.
        at: NodeChange,
    },
    /// A node is removed.
    Delete {
        /// Where.
        at: NodeChange,
    },
    /// A node's data is replaced.
    Replace {
        /// Where.
        at: NodeChange,
        /// Length of the data before.
        old_length: u16,
        /// Length of the data after.
        new_length: u16,
        /// The data after.
        data: &'a [u8],
    },
    /// A node's data is replaced, logged as a difference.
    ReplaceDifference {
        /// Where.
        at: NodeChange,
        /// Length of the data before.
        old_length: u16,
        /// Length of the data after.
        new_length: u16,
        /// The difference.
        difference: &'a [u8],
        /// Difference headers have 3 bytes instead of 2.
        long_headers: bool,
    },
    /// What an undo of another record needs.
    UndoInfo {
        /// The tree; its version number is that of the other record.
        at: NodeChange,
        /// Key of the node.
        key: &'a [u8],
        /// Data part of the bookmark.
        bookmark_data: &'a [u8],
        /// The operation of that record.
        operation: Operation,
        /// The data before.
        before: &'a [u8],
    },
    /// A counter is changed.
    Delta {
        /// Where.
        at: NodeChange,
        /// Key of the node.
        key: &'a [u8],
        /// Data part of the bookmark.
        bookmark_data: &'a [u8],
        /// By how much.
        delta: i64,
        /// Where in the data.
        offset: u16,
        /// 64 bits instead of 32.
        wide: bool,
    },
    /// Tag 0 of a page is set.
    SetExternalHeader {
        /// Where.
        at: NodeChange,
        /// Its bytes.
        header: &'a [u8],
    },
    /// A rollback changed a page.
    Undo {
        /// Where; the version number is that of the change it undoes.
        at: NodeChange,
        /// Key of the node.
        key: &'a [u8],
        /// Data part of the bookmark.
        bookmark_data: &'a [u8],
        /// The operation it undoes.
        operation: Operation,
    },
    /// All pages below a root are emptied.
    EmptyTree {
        /// The root.
        at: NodeChange,
        /// The pages.
        pages: Vec<OtherPage>,
    },
    /// A page is made, without content.
    NewPage {
        /// Number of the database.
        database: u8,
        /// The page.
        page: u32,
        /// Object identifier.
        object: u32,
        /// Database time.
        dbtime: u64,
    },
    /// The file grows.
    ExtendDatabase {
        /// Number of the database.
        database: u8,
        /// Its last page from here on.
        last_page: u32,
    },
    /// The file shrinks.
    ShrinkDatabase {
        /// Number of the database.
        database: u8,
        /// Its last page from here on.
        last_page: u32,
    },
    /// The format version changes.
    SetVersion {
        /// Number of the database.
        database: u8,
        /// Version, update, minor update.
        version: [u32; 3],
    },
    /// A phase of a backup.
    Backup {
        /// How far it is.
        phase: Phase,
        /// What it holds.
        scope: Scope,
        /// The backup.
        info: BackupInfo,
    },
    /// Changes pages in a way that this version does not replay.
    NotReplayed {
        /// Its kind.
        kind: RecordKind,
    },
    /// Nothing that replay has to act on, or of a kind that this version does not know.
    Other,
}

impl<'a> Record<'a> {
    /// Types a whole record, as [`crate::log::LogFile::records`] yields it.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that end before their fields do.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let fields = Fields::new(bytes, "a log record");
        let Some(kind) = RecordKind::from_byte(fields.u8(0)?) else {
            return Ok(Self::Other);
        };
        let parts = |at| Parts { fields, at };
        let half = |offset| fields.u16(offset).map(usize::from);
        let replacement_length =
            || fields.u16(REPLACEMENT_LENGTH).map(|field| usize::from(field & REPLACEMENT_LENGTH_BITS));
        Ok(match kind {
            RecordKind::Begin | RecordKind::Begin0 | RecordKind::BeginDistributed => {
                Self::Begin { session: fields.u16(1)?, from: fields.u8(3)? & 15, levels: fields.u8(3)? >> 4 }
            }
            RecordKind::Commit | RecordKind::Commit0 => {
                Self::Commit { session: fields.u16(1)?, to: fields.u8(3)? }
            }
            RecordKind::Rollback => Self::Rollback { session: fields.u16(1)?, levels: fields.u8(3)? },
            RecordKind::MacroBegin => Self::MacroBegin { session: fields.u16(1)?, dbtime: fields.u64(3)? },
            RecordKind::MacroCommit => Self::MacroCommit { session: fields.u16(1)?, dbtime: fields.u64(3)? },
            RecordKind::MacroAbort => Self::MacroAbort { session: fields.u16(1)?, dbtime: fields.u64(3)? },
            RecordKind::CreateDatabase => {
                let flags = fields.u8(NEW_DATABASE_FLAGS)?;
                let version = if flags & NEW_DATABASE_HAS_VERSION != 0 {
                    Some((fields.u16(43)?, fields.u16(45)?))
                } else {
                    None
                };
                let at = if version.is_some() { 47 } else { 43 };
                Self::CreateDatabase {
                    database: fields.u8(3)?,
                    signature: Signature::read(&fields, 12)?,
                    version,
                    path: names_text(fields.slice(at, half(40)?)?, flags & 8 != 0),
                }
            }
            RecordKind::AttachDatabase => Self::AttachDatabase {
                database: fields.u8(3)?,
                consistent: fields.position(8)?,
                signature: Signature::read(&fields, 16)?,
                log: Signature::read(&fields, 44)?,
                path: names_text(fields.slice(75, half(72)?)?, fields.u8(74)? & 8 != 0),
            },
            RecordKind::DetachDatabase => Self::DetachDatabase {
                database: fields.u8(3)?,
                path: detached_path(fields.slice(7, half(4)?)?),
            },
            RecordKind::Init | RecordKind::Init2 => Self::Init,
            RecordKind::Term | RecordKind::Term2 => Self::Term,
            RecordKind::RecoveryQuit | RecordKind::RecoveryQuit2 => Self::RecoveryQuit,
            RecordKind::RecoveryQuitKeepAttachments => Self::RecoveryKept,
            RecordKind::ShutDownMark => Self::ShutDown,
            RecordKind::RecoveryUndo | RecordKind::RecoveryUndo2 => Self::RecoveryUndo,
            RecordKind::CreateMultipleExtentTree => Self::CreateMultipleExtentTree {
                page: PageChange::read(&fields)?,
                object: fields.u32(32)?,
                owned: fields.u32(36)?,
                available: fields.u32(40)?,
                parent: fields.u32(44)?,
                pages: fields.u32(48)?,
                flags: fields.u32(52)?,
            },
            RecordKind::CreateSingleExtentTree => Self::CreateSingleExtentTree {
                page: PageChange::read(&fields)?,
                object: fields.u32(32)?,
                parent: fields.u32(36)?,
                pages: fields.u32(40)?,
                flags: fields.u32(44)?,
            },
            RecordKind::ConvertTree2 => Self::ConvertTree {
                page: PageChange::read(&fields)?,
                object: fields.u32(32)?,
                owned: fields.u32(36)?,
                available: fields.u32(40)?,
                parent: fields.u32(44)?,
                secondary_first: fields.u32(48)?,
                primary: fields.u32(52)?,
                secondary: fields.u32(56)?,
                free: fields.u32(60)?,
                flags: fields.u32(64)?,
            },
            RecordKind::Split => Self::Split(split(&fields, false)?),
            RecordKind::Split2 => Self::Split(split(&fields, true)?),
            RecordKind::Merge => Self::Merge(merge(&fields, false)?),
            RecordKind::Merge2 => Self::Merge(merge(&fields, true)?),
            RecordKind::Insert => {
                let mut parts = parts(50);
                Self::Insert {
                    at: NodeChange::read(&fields)?,
                    prefix: parts.take(half(46)?)?,
                    suffix: parts.take(half(44)?)?,
                    data: parts.take(half(48)?)?,
                }
            }
            RecordKind::FlagInsert => {
                let mut parts = parts(48);
                Self::FlagInsert {
                    at: NodeChange::read(&fields)?,
                    key: parts.take(half(44)?)?,
                    data: parts.take(half(46)?)?,
                }
            }
            RecordKind::FlagInsertAndReplace => {
                let mut parts = parts(52);
                Self::FlagInsertAndReplace {
                    at: NodeChange::read(&fields)?,
                    replace_version: fields.u32(48)?,
                    key: parts.take(half(44)?)?,
                    data: parts.take(half(46)?)?,
                }
            }
            RecordKind::FlagDelete => Self::FlagDelete { at: NodeChange::read(&fields)? },
            RecordKind::Delete => Self::Delete { at: NodeChange::read(&fields)? },
            RecordKind::Replace => Self::Replace {
                at: NodeChange::read(&fields)?,
                old_length: fields.u16(46)?,
                new_length: fields.u16(48)?,
                data: parts(50).take(replacement_length()?)?,
            },
            RecordKind::ReplaceDifference => Self::ReplaceDifference {
                at: NodeChange::read(&fields)?,
                old_length: fields.u16(46)?,
                new_length: fields.u16(48)?,
                difference: parts(50).take(replacement_length()?)?,
                long_headers: fields.u16(REPLACEMENT_LENGTH)? & !REPLACEMENT_LENGTH_BITS != 0,
            },
            RecordKind::UndoInfo => {
                let mut parts = parts(56);
                Self::UndoInfo {
                    at: NodeChange::read(&fields)?,
                    operation: fields.u16(48)?.into(),
                    key: parts.take(half(44)?)?,
                    bookmark_data: parts.take(half(46)?)?,
                    before: parts.take(half(54)?)?,
                }
            }
            RecordKind::Delta | RecordKind::Delta64 => {
                let wide = kind == RecordKind::Delta64;
                let mut parts = parts(if wide { 58 } else { 54 });
                Self::Delta {
                    at: NodeChange::read(&fields)?,
                    delta: if wide { fields.i64(48)? } else { i64::from(fields.i32(48)?) },
                    offset: fields.u16(if wide { 56 } else { 52 })?,
                    wide,
                    key: parts.take(half(44)?)?,
                    bookmark_data: parts.take(half(46)?)?,
                }
            }
            RecordKind::SetExternalHeader => {
                Self::SetExternalHeader { at: NodeChange::read(&fields)?, header: parts(46).take(half(44)?)? }
            }
            RecordKind::Undo => {
                let mut parts = parts(51);
                Self::Undo {
                    at: NodeChange::read(&fields)?,
                    operation: fields.u16(48)?.into(),
                    key: parts.take(half(44)?)?,
                    bookmark_data: parts.take(half(46)?)?,
                }
            }
            RecordKind::EmptyTree => {
                let list = parts(46).take(half(44)?)?;
                let mut pages = Vec::with_capacity(list.len() / 16);
                for entry in list.as_chunks::<16>().0 {
                    let entry = Fields::new(entry, "an emptied page");
                    pages.push(OtherPage { page: entry.u32(8)?, before: entry.u64(0)? });
                }
                Self::EmptyTree { at: NodeChange::read(&fields)?, pages }
            }
            RecordKind::NewPage => Self::NewPage {
                database: fields.u8(3)?,
                page: fields.u32(4)?,
                object: fields.u32(8)?,
                dbtime: fields.u64(12)?,
            },
            RecordKind::ExtendDatabase => {
                Self::ExtendDatabase { database: fields.u8(5)?, last_page: fields.u32(6)? }
            }
            RecordKind::ShrinkDatabase | RecordKind::ShrinkDatabase2 | RecordKind::ShrinkDatabase3 => {
                Self::ShrinkDatabase { database: fields.u8(1)?, last_page: fields.u32(2)? }
            }
            RecordKind::SetDatabaseVersion => Self::SetVersion {
                database: fields.u8(1)?,
                version: [fields.u32(2)?, fields.u32(6)?, fields.u32(10)?],
            },
            RecordKind::Backup => Self::Backup {
                phase: fields.u8(1)?.into(),
                scope: fields.u8(6)?.into(),
                info: BackupInfo::read(&fields, 8)?,
            },
            // Their redo is not described or was never seen: honest to stop.
            RecordKind::ConvertTree | RecordKind::Scrub | RecordKind::PageMove | RecordKind::RootPageMove => {
                Self::NotReplayed { kind }
            }
            _ => Self::Other,
        })
    }
}

impl Record<'_> {
    /// Where a record changes one node or the external header of one page, or prepares such a change.
    pub(crate) fn node_change(&self) -> Option<&NodeChange> {
        match self {
            Self::Insert { at, .. }
            | Self::FlagInsert { at, .. }
            | Self::FlagInsertAndReplace { at, .. }
            | Self::FlagDelete { at }
            | Self::Delete { at }
            | Self::Replace { at, .. }
            | Self::ReplaceDifference { at, .. }
            | Self::UndoInfo { at, .. }
            | Self::Delta { at, .. }
            | Self::SetExternalHeader { at, .. }
            | Self::Undo { at, .. } => Some(at),
            _ => None,
        }
    }
}

/// The flags of a detach do not tell the width of its path's characters; the second byte of a wide one is 0, because a
/// path begins with a drive letter or a backslash.
fn detached_path(bytes: &[u8]) -> String {
    names_text(bytes, bytes.get(1) == Some(&0))
}
