//! What can go wrong with a set, and what to do about it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use certadm_rules::diagnosis::Class;
use certadm_rules::words::{human_bytes, shell_word};
use certadm_rules::{Diagnosis, Hresult};
use certadm_session::CallError;

use crate::nearby::{what_to_name, with_sets_in};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while a set is taken, read or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The CA refused or failed a call.
    #[error(transparent)]
    Call(CallError),
    /// The CA has no space to archive its current log, which a backup needs; the set's own disk is another.
    #[error("the CA's own disk is full, and not that of the set")]
    CaDiskFull(#[source] CallError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] certadm_store::Error),
    /// A file operation failed.
    #[error(transparent)]
    File(certadm_files::Error),
    /// A set cannot be signed, or its signature does not count.
    #[error(transparent)]
    Signing(#[from] crate::signing::Error),
    /// The target of a backup exists already.
    #[error("{path} {}", occupied(path))]
    TargetNotEmpty {
        /// The target.
        path: PathBuf,
    },
    /// The target of a backup is a mount point.
    #[error("{path} is a mount point, and a set gets its name by a rename, which replaces none")]
    TargetIsMountPoint {
        /// The target.
        path: PathBuf,
    },
    /// The target of a restore holds a CA's database already.
    #[error("{path} already holds the database of a CA")]
    TargetInUse {
        /// The CA's folder.
        path: PathBuf,
    },
    /// The database is that of another CA, or the CA's own files cannot be read.
    #[error(transparent)]
    Ca(#[from] certadm_ca::Error),
    /// The target has too little space.
    #[error("{path} has {} of free space, and {} are needed", human_bytes(*available), human_bytes(*needed))]
    NoSpace {
        /// The CA's folder.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// A file that the CA announces would make the set larger than is allowed.
    #[error("with {name:?} the set would have {total} bytes, and {limit} are allowed")]
    SetTooLarge {
        /// The file.
        name: String,
        /// Bytes of the set with it.
        total: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The set's disk has no room for what the CA announces, or has less and less.
    #[error(
        "of {name:?} {} are still to come, and {path} has {} of free space, {} of which are left to others",
        human_bytes(*needed), human_bytes(*available), human_bytes(*kept)
    )]
    NoRoom {
        /// Where the set is written.
        path: PathBuf,
        /// The file.
        name: String,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
        /// Bytes that a backup leaves free.
        kept: u64,
    },
    /// The CA took its time and delivered next to nothing.
    #[error("the CA kept the backup waiting for more than {seconds} s, and {name:?} makes no progress")]
    NoProgress {
        /// The file.
        name: String,
        /// The patience.
        seconds: u64,
    },
    /// The CA lists more logs than the manifest of a set has room for.
    #[error("the CA lists {count} logs, more than the manifest of a set can name")]
    TooManyLogs {
        /// How many.
        count: u64,
    },
    /// The CA lists what no CA has.
    #[error("the CA's list of files cannot be right: {detail}")]
    BadList {
        /// What is wrong with it.
        detail: String,
    },
    /// A part of the CA's folder lies on another file system, so that files cannot be exchanged by rename.
    #[error("{path} is not on the file system of {folder}")]
    NotOneFileSystem {
        /// The part.
        path: PathBuf,
        /// The CA's folder.
        folder: PathBuf,
    },
    /// A restore failed while files were exchanged, and so did putting them back.
    #[error("the restore failed ({cause}), and what was in {folder} could not be put back")]
    NotPutBack {
        /// The CA's folder.
        folder: PathBuf,
        /// Why the restore failed.
        cause: Box<Error>,
        /// Why nothing was put back.
        source: Box<Error>,
    },
    /// The target's name cannot be written into the restore record, which is text.
    #[error("the path of the CA's folder {path} cannot be recorded")]
    TargetName {
        /// The folder.
        path: PathBuf,
    },
    /// There is no restore to give up.
    #[error("no restore waits in {folder}")]
    NothingToAbandon {
        /// The CA's folder.
        folder: PathBuf,
    },
    /// A restore that another program made cannot be taken back.
    #[error(
        "what was in {folder} before the restore is not known: certadm did not make it, or its record or the replaced files were removed"
    )]
    CannotAbandon {
        /// The CA's folder.
        folder: PathBuf,
    },
    /// A path does not hold a set.
    #[error("{path} is not a backup set: {detail}")]
    NotASet {
        /// The path.
        path: PathBuf,
        /// What is missing.
        detail: String,
    },
    /// Paths that were named together hold things that no command takes together.
    #[error("{path} is {word}, and {first} is {first_word}: they do not go together")]
    Mixed {
        /// The path.
        path: PathBuf,
        /// What it is.
        word: &'static str,
        /// The path that was named first.
        first: PathBuf,
        /// What that one is.
        first_word: &'static str,
    },
    /// A path holds what a Windows CA backed up, for what works on sets of our own CA alone.
    #[error("{path} is of a Windows CA, and only its own service can take that back")]
    OfWindows {
        /// The path.
        path: PathBuf,
    },
    /// The manifest is damaged or of another version.
    #[error("the manifest {path} cannot be trusted: {detail}")]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A set without a manifest is to be restored, and nobody said that this is meant.
    #[error("{path} is incomplete: no manifest says which files and bytes the set should have")]
    Incomplete {
        /// The set.
        path: PathBuf,
        /// Whether certutil wrote it, which makes no manifest: sealing the set does.
        is_of_certutil: bool,
    },
    /// A copy of a set is damaged, and keeps another one from getting its name.
    #[error("the copy in {path} is damaged: {source}")]
    DamagedCopy {
        /// The folder of the copy.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// A copy of a set has something else attached to it than the set.
    #[error("{path} is attached to the copy that is there, and is not what is attached to the set")]
    OtherThings {
        /// The file of the copy.
        path: PathBuf,
    },
    /// A file of the set differs from its manifest, or from what the CA delivered.
    #[error("{path} is damaged: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// The code for it: 0xC80003FA for an image, 0xC800023D or 0xC800023A for a log, 0x8007000D for the rest.
        code: Hresult,
    },
    /// A file is not there that the manifest of a set names, and that nothing replaces.
    #[error("{path} is missing, and the manifest of its set names it")]
    Missing {
        /// The file.
        path: PathBuf,
        /// The code for it: 0xC80004C0 for an image, 0xC800022D for a log.
        code: Hresult,
    },
    /// The CA named a file in a way that cannot be stored.
    #[error("the CA offered a file under a name that cannot be stored: {name:?}")]
    BadName {
        /// The name, as it came.
        name: String,
    },
    /// The CA delivered more or fewer bytes than it announced.
    #[error("the CA announced {announced} bytes for {name:?} and delivered {delivered}")]
    SizeLied {
        /// The file.
        name: String,
        /// Bytes announced at open.
        announced: u64,
        /// Bytes delivered.
        delivered: u64,
    },
    /// A database or log of a Windows CA cannot be used.
    #[error("{path}: {source}")]
    Windows {
        /// The file, or the set.
        path: PathBuf,
        /// What is wrong with it.
        source: certadm_ese::Error,
    },
    /// A file of that name is there already.
    #[error("{path} already exists")]
    WouldOverwrite {
        /// The file.
        path: PathBuf,
    },
    /// The sets given do not go together.
    #[error("{detail}")]
    Combination {
        /// What does not fit.
        detail: String,
        /// The code for it.
        code: Hresult,
    },
    /// The sets do not give the state that was asked for.
    #[error("the sets give no state {asked}; they give {given}")]
    NotReachable {
        /// What was asked for.
        asked: String,
        /// The first and the last state that they give.
        given: String,
    },
    /// A folder whose sets are asked for is something else.
    #[error("{path} is no folder with sets in it: {detail}")]
    NoFolderOfSets {
        /// The folder.
        path: PathBuf,
        /// What it is.
        detail: &'static str,
    },
    /// The folder around a new folder of sets is not there.
    #[error("there is no folder {path}")]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder of sets has more entries than are looked at. A set that is passed over may be what others need.
    #[error("{path} has more than {most} entries")]
    TooManySets {
        /// The folder.
        path: PathBuf,
        /// So many are looked at.
        most: usize,
    },
    /// What lies at a path is no set that can get a manifest.
    #[error("{path} cannot be sealed: {detail}")]
    CannotSeal {
        /// The path.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A set that was to be sealed is damaged.
    #[error("{path} is not sealed, because the check found damage: {detail}")]
    Unsound {
        /// The set.
        path: PathBuf,
        /// The gravest finding.
        detail: String,
        /// Its code.
        code: Hresult,
    },
    /// Sets that were to be chosen are not there.
    #[error("nothing in {path} can be restored: {detail}")]
    NothingToRestore {
        /// The place.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Somebody else deletes sets of this folder.
    #[error("somebody else is deleting sets in {path}")]
    Pruning {
        /// The folder.
        path: PathBuf,
    },
    /// No rule says which sets are kept.
    #[error("no rule says which sets are kept")]
    NoRules,
    /// Where the set was to be kept, or lies, something failed.
    #[error("{}", certadm_rules::diagnosis::chain_of(.0.as_ref()))]
    Kept(Box<dyn Diagnosis>),
    /// A registration was refused.
    #[error("the restore registration was refused: {}", .0.text())]
    Registration(Hresult),
}

/// Why nothing can be written to a target.
fn occupied(path: &Path) -> &'static str {
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => {
            "is a link, and a set gets its name by a rename, which follows none"
        }
        Ok(found) if !found.is_dir() => "is a file, and a set is a folder",
        _ => "is not empty",
    }
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Call(error) | Self::CaDiskFull(error) => error.hresult(),
            Self::Store(error) => error.hresult(),
            Self::File(error) => error.hresult(),
            Self::TargetNotEmpty { .. } | Self::TargetInUse { .. } => Hresult::ERROR_DIR_NOT_EMPTY,
            Self::WouldOverwrite { .. } => Hresult::ERROR_ALREADY_EXISTS,
            Self::Ca(error) => error.hresult(),
            Self::Signing(error) => error.hresult(),
            Self::NoSpace { .. } | Self::NoRoom { .. } => Hresult::ERROR_DISK_FULL,
            Self::SetTooLarge { .. } | Self::TooManyLogs { .. } | Self::TooManySets { .. } => {
                Hresult::ERROR_FILE_TOO_LARGE
            }
            Self::NoProgress { .. } => Hresult::RPC_S_CALL_FAILED,
            Self::NotOneFileSystem { .. } | Self::TargetIsMountPoint { .. } => Hresult::ERROR_NOT_SAME_DEVICE,
            Self::NotPutBack { cause, .. } => cause.hresult(),
            Self::DamagedCopy { source, .. } => source.hresult(),
            Self::TargetName { .. } => Hresult::from_win32(123), // ERROR_INVALID_NAME
            Self::NothingToAbandon { .. }
            | Self::CannotAbandon { .. }
            | Self::NotReachable { .. }
            | Self::Incomplete { .. }
            | Self::OtherThings { .. } => Hresult::ERROR_INVALID_STATE,
            Self::Windows { source, .. } => source.hresult(),
            Self::NotASet { .. }
            | Self::Mixed { .. }
            | Self::OfWindows { .. }
            | Self::NoFolderOfSets { .. } => Hresult::ERROR_DIRECTORY,
            Self::CannotSeal { .. } => Hresult::ERROR_INVALID_STATE,
            Self::NoFolder { .. } => Hresult::ERROR_PATH_NOT_FOUND,
            Self::NothingToRestore { .. } => Hresult::MISSING_FULL_BACKUP,
            Self::Pruning { .. } => Hresult::ERROR_SHARING_VIOLATION,
            Self::NoRules => Hresult::E_INVALIDARG,
            Self::BadManifest { .. }
            | Self::BadName { .. }
            | Self::SizeLied { .. }
            | Self::BadList { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Damaged { code, .. }
            | Self::Missing { code, .. }
            | Self::Unsound { code, .. }
            | Self::Combination { code, .. } => *code,
            Self::Registration(code) => *code,
            Self::Kept(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Call(error) | Self::CaDiskFull(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Ca(error) => error.class(),
            Self::Signing(error) => error.class(),
            Self::NotPutBack { cause, .. } => cause.class(),
            Self::DamagedCopy { source, .. } => source.class(),
            Self::Windows { source, .. } => source.class(),
            Self::Kept(error) => error.class(),
            // Of whatever kind the file is that is missing or changed.
            Self::Damaged { .. } | Self::Missing { .. } | Self::Unsound { .. } => Class::Damaged,
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Store(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
            Self::Call(error) => return error.remedy(),
            Self::CaDiskFull(_) => {
                "free some space on the disk that holds the CA's folder, as much as two logs, and start again; no log was deleted, and nothing is lost"
            }
            Self::Windows { source, .. } => return source.remedy(),
            Self::TargetNotEmpty { .. } => {
                "name a folder that does not exist yet; a set is never overwritten"
            }
            Self::TargetIsMountPoint { path } => {
                return Cow::Owned(format!("name a folder in it, such as {}", path.join("monday").display()));
            }
            Self::Ca(error) => return error.remedy(),
            Self::Signing(error) => return error.remedy(),
            Self::NoSpace { .. } => "free some space there; nothing was changed",
            Self::NotOneFileSystem { .. } => {
                "make it a folder on the same file system, or restore into a new folder"
            }
            Self::NotPutBack { folder, .. } => {
                return Cow::Owned(format!(
                    "nothing was deleted: run `certadm restore --abandon --dir {}` once the cause is mended",
                    shell_word(folder.display())
                ));
            }
            Self::TargetName { .. } => {
                "name a folder whose whole path is UTF-8, without control characters and the other kind of slash"
            }
            Self::NothingToAbandon { .. } => "nothing has to be done",
            Self::CannotAbandon { .. } => "restore again, with --force; what is there is then moved aside",
            Self::TargetInUse { .. } => {
                "name an empty folder, or add --force to move what is there aside first"
            }
            Self::NotASet { path, .. } => return what_to_name(path),
            Self::Mixed { .. } => {
                "name each kind in a command of its own: a full set with the log sets that continue it, a Windows database \
                 with its logs, or one CA"
            }
            Self::OfWindows { path } => {
                return Cow::Owned(format!(
                    "copy it to the CA's machine and run there `net stop certsvc`, `certutil -f -restoreDB FOLDER` (the \
                     folder that holds DataBase), `net start certsvc`; here `certadm verify {0}` checks it, `certadm list \
                     {0}` reads it, and `certadm recover {0} --to FOLDER` makes a clean database of it",
                    shell_word(path.display())
                ));
            }
            Self::Incomplete { path, is_of_certutil: true } => {
                return Cow::Owned(format!(
                    "run `certadm seal {}`: it checks what certutil wrote, and makes the manifest, which certutil writes for no set",
                    shell_word(path.display())
                ));
            }
            Self::Incomplete { .. } => {
                "take the set from a copy that has its manifest.json; if there is none, restore and rehearse take it with --incomplete"
            }
            Self::DamagedCopy { path, .. } => {
                return Cow::Owned(format!(
                    "check the set that is copied by `certadm verify`; if it is sound, delete the folder {}, and copy again",
                    path.display()
                ));
            }
            Self::OtherThings { .. } => {
                "look at both; delete the one that is wrong, or copy the set into another folder. Nothing was written over"
            }
            Self::BadManifest { .. } => "take the set from another copy",
            Self::Damaged { .. } | Self::Missing { .. } => {
                "take this file from another copy of the set, or use an older set"
            }
            Self::SetTooLarge { .. } => {
                "find out why the CA has so much; if it is right, allow it by --max-size"
            }
            Self::TooManyLogs { .. } => {
                "take one full backup by the CA's own tool, which deletes logs (on Windows `certutil -backupDB`), and back up more often"
            }
            Self::NoRoom { .. } => {
                "free some space there, or name a folder on a larger disk; no set was made, and the CA keeps its logs"
            }
            Self::NoProgress { .. } => {
                "start the backup again; if it fails again, look at the CA's own log and at what stands between the hosts"
            }
            Self::BadName { .. } | Self::SizeLied { .. } | Self::BadList { .. } => {
                "do not trust this server; nothing was stored"
            }
            Self::Combination { code, .. } if *code == Hresult::HR_NO_FULL_RESTORE => {
                "name the full set before the log sets"
            }
            Self::Combination { .. } => "bring the full set and every log set after it, of one CA",
            Self::NotReachable { .. } => {
                "name a point between these, an older full set for an earlier one, or add the log sets for a later one"
            }
            Self::WouldOverwrite { .. } => "name another place; nothing is ever overwritten",
            Self::NoFolderOfSets { .. } => {
                "name the folder in which the folders of the sets lie, such as /backup"
            }
            Self::NoFolder { .. } => "make it or mount it: no folder is made where a disk may be missing",
            Self::TooManySets { .. } => {
                "move old chains of sets, as wholes, to another folder; nothing was changed"
            }
            Self::CannotSeal { .. } => {
                "name a folder as `certutil -backupDB` wrote it, with DataBase in it and without a manifest.json"
            }
            Self::Unsound { .. } => "see all findings by `certadm verify`; nothing was written",
            Self::NothingToRestore { path, .. } => match with_sets_in(path) {
                Some(below) => {
                    return Cow::Owned(format!("sets lie in {}: name that folder", below.display()));
                }
                None => "see `certadm sets` of it: which sets lie there, and to which moments they lead back",
            },
            Self::Pruning { .. } => "wait until that has ended; nothing was deleted",
            Self::NoRules => "give at least one, such as --keep-last 3",
            Self::Kept(error) => return error.remedy(),
            Self::Registration(_) => "finish the other restore first",
        })
    }
}

impl Error {
    /// Whether the system failed to tell what lies somewhere, so that nothing is known of it.
    pub(crate) const fn is_of_disk(&self) -> bool {
        use certadm_files::Error::Io;
        matches!(
            self,
            Self::File(Io { .. })
                | Self::Store(certadm_store::Error::File(Io { .. }))
                | Self::Windows { source: certadm_ese::Error::Io(_), .. }
        )
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error.code {
            Hresult::ERROR_DISK_FULL | Hresult::DISK_FULL | Hresult::LOG_DISK_FULL => Self::CaDiskFull(error),
            _ => Self::Call(error),
        }
    }
}

impl From<certadm_files::Error> for Error {
    fn from(error: certadm_files::Error) -> Self {
        match error {
            certadm_files::Error::Exists { path } => Self::WouldOverwrite { path },
            other => Self::File(other),
        }
    }
}
