//! What can go wrong with a repository, whose fault it is, and what to do about it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use certadm_files::{io_hresult, io_remedy};
use certadm_rules::diagnosis::Class;
use certadm_rules::words::{counted, human_bytes, shell_word};
use certadm_rules::{Diagnosis, Hresult};

use crate::objects::ObjectError;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is no address of a set.
    #[error("{text:?} is no address: {detail}")]
    Address {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The list of vaults cannot be used.
    #[error("{path}: {detail}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and on which line.
        detail: String,
    },
    /// No vault has that name.
    #[error("no vault is called {name:?}; {known}")]
    NoVault {
        /// What was typed.
        name: String,
        /// Which there are.
        known: String,
    },
    /// The vault keeps several CAs, or none, and none was named.
    #[error("{place} keeps {}, and none was named", counted(*count as u64, "CA"))]
    WhichCa {
        /// The vault.
        place: String,
        /// How many there are.
        count: usize,
        /// Their names.
        names: String,
    },
    /// There is no repository of that CA.
    #[error("{place} has no repository")]
    NoRepository {
        /// The place.
        place: String,
    },
    /// The key of a repository is here, and the repository is not: it was made, and is away or gone.
    #[error(
        "{place} has no repository, and its key is here in {key_file}: the repository is not mounted, or gone"
    )]
    Gone {
        /// The place.
        place: String,
        /// Its key file.
        key_file: PathBuf,
    },
    /// The folder of the vault is not there.
    #[error("{place} has no repository, and the folder of the vault is not there")]
    NoVaultFolder {
        /// The place of the repository.
        place: String,
    },
    /// A repository is to be made, and its key is here already: it was made before.
    #[error(
        "{place} has no repository, and its key is here in {key_file}: a new one would take the place of one that is not mounted, or gone"
    )]
    KeyIsHere {
        /// The place.
        place: String,
        /// Its key file.
        key_file: PathBuf,
    },
    /// There is a repository already.
    #[error("{place} has a repository already")]
    RepositoryExists {
        /// The place.
        place: String,
    },
    /// The repository that is to follow would have the key of the one before it.
    #[error("{vault}: {detail}, so the next repository would have a key that somebody may have stolen")]
    SameKey {
        /// The vault.
        vault: String,
        /// What the vault's table says.
        detail: &'static str,
    },
    /// The key of a repository is here, and the repository is not: the CA's name would lead back to the one before.
    #[error(
        "{place} has no repository {repository}, and its key is here in {key_file}: whoever deleted or hid it would have backups go into the one before"
    )]
    NextIsGone {
        /// The vault.
        place: String,
        /// The repository.
        repository: String,
        /// Its key file.
        key_file: PathBuf,
    },
    /// Neither key nor password opens the repository.
    #[error("no key fits: what {secret} holds does not open {place}{}", told_as_no_keys(passed_over))]
    NoKeyFits {
        /// The place.
        place: String,
        /// Where the key or password came from.
        secret: String,
        /// Objects among the keys that are none, so that a password was not tried at them.
        passed_over: Vec<String>,
    },
    /// A key file or password file holds something else.
    #[error("{path} holds no key: {detail}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The storage failed or cannot be reached.
    #[error("{place}: {source}")]
    Storage {
        /// The place.
        place: String,
        /// What was being done, and what the storage said.
        source: ObjectError,
    },
    /// Something in the repository is missing, cut short or changed.
    #[error("{place} is damaged: {detail}")]
    Damaged {
        /// The place.
        place: String,
        /// What was found.
        detail: String,
    },
    /// The object of a key has changed: its password opens nothing any more.
    #[error("{place} is damaged: {detail}: that password opens nothing any more")]
    DeadKey {
        /// The place.
        place: String,
        /// Which object it is, and what was found.
        detail: String,
    },
    /// An object among the keys of passwords is none.
    #[error("{place}: {name} is no key, and no password is tried at it: {detail}")]
    NotAKey {
        /// The place.
        place: String,
        /// The object.
        name: String,
        /// Why it is none.
        detail: String,
    },
    /// No key of a password is as it was stored.
    #[error("no password opens {place} any more: the folder keys holds no key that is as it was stored")]
    NoPassword {
        /// The place.
        place: String,
    },
    /// Nothing is as it was stored that a key could be tried at: somebody has written over the repository, or its medium has failed.
    #[error(
        "{place} is damaged: {name} has other bytes than were stored, and so has all else that tells whether a key fits"
    )]
    Overwritten {
        /// The place.
        place: String,
        /// One of the objects.
        name: String,
    },
    /// No set is kept under that address.
    #[error("{place} keeps no such set: {detail}")]
    NoPoint {
        /// The place.
        place: String,
        /// What was looked for, and what there is.
        detail: String,
    },
    /// What was stored is not what was handed over.
    #[error("{place}: {detail}; nothing was committed")]
    NotStored {
        /// The place.
        place: String,
        /// What does not fit.
        detail: String,
    },
    /// The set is of another CA than the repository.
    #[error(
        "the set is of the CA {ca:?}, and {place} is the repository of another one; nothing was committed"
    )]
    OtherCa {
        /// The repository's address.
        place: String,
        /// The CA's sanitized name.
        ca: String,
    },
    /// The set is there, and other things are attached to it than to the one that is to be stored.
    #[error(
        "{place} is this set, and other things are attached to it: what is attached to this one is not stored"
    )]
    OtherThings {
        /// The set's address.
        place: String,
    },
    /// A log set would come into a repository that lacks what a restore needs before it.
    #[error("{place}: {detail}; nothing was committed")]
    ContinuesNothing {
        /// The place.
        place: String,
        /// Which set, and what it lacks.
        detail: String,
    },
    /// This build knows nothing of such a storage.
    #[error("{place}: this build has no object stores")]
    NoSupport {
        /// The place.
        place: String,
    },
    /// No rule says which sets are kept.
    #[error("no rule says which sets of {vault} are kept")]
    NoRules {
        /// The vault.
        vault: String,
    },
    /// This machine is not meant to delete anything in the vault.
    #[error("{vault} has maintenance = false in repositories.toml: nothing is deleted from this machine")]
    NoMaintenance {
        /// The vault.
        vault: String,
    },
    /// The storage cannot note whose turn it is to delete.
    #[error("{place}: nothing is deleted through a server of restic's protocol, and no index is made anew")]
    NoTurns {
        /// The place.
        place: String,
    },
    /// The storage has no locks or versions, or the profile asks for none.
    #[error("{place} {detail}")]
    NoLocks {
        /// The place.
        place: String,
        /// What it lacks.
        detail: &'static str,
    },
    /// The storage cannot list the CAs that it keeps.
    #[error("{place}: a server of restic's protocol lists no CAs")]
    NoList {
        /// The place.
        place: String,
    },
    /// Somebody else expires sets or repairs the index.
    #[error("{place} is being expired or repaired already, by {by}")]
    Busy {
        /// The place.
        place: String,
        /// Who, as they say.
        by: String,
    },
    /// The clocks of this machine and of the storage differ.
    #[error(
        "the clock of {place} is {} s {} this machine's",
        here.abs_diff(*there),
        if here < there { "ahead of" } else { "behind" }
    )]
    Clock {
        /// The place.
        place: String,
        /// What time it is here, in seconds since 1970.
        here: i64,
        /// What time it is there.
        there: i64,
    },
    /// No key, or more than one, is meant.
    #[error("{place}: {detail}")]
    NoKey {
        /// The place.
        place: String,
        /// What was looked for.
        detail: String,
    },
    /// A key cannot be removed.
    #[error("{place}: the key stays, because {detail}")]
    KeyNeeded {
        /// The place.
        place: String,
        /// Why it is needed.
        detail: String,
    },
    /// A key cannot be removed, because the password of the vault's own table opens the repository by it.
    #[error(
        "{place}: the key stays, because what {secret} holds opens the repository by it: without it this machine could open nothing"
    )]
    KeyInUse {
        /// The place.
        place: String,
        /// Where the password came from.
        secret: String,
    },
    /// The scratch folder has too little space.
    #[error("{path} has {} of free space, and a copy of the sets needs {}", human_bytes(*available), human_bytes(*needed))]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The engine failed in a way that nothing explains.
    #[error("{place}: the repository engine failed to {action}: {detail}")]
    Engine {
        /// The place.
        place: String,
        /// What it was doing, as a verb.
        action: &'static str,
        /// What it said.
        detail: String,
    },
    /// A set that is to be stored cannot be read.
    #[error(transparent)]
    Set(#[from] certadm_set::Error),
    /// A file of this machine cannot be read or written.
    #[error(transparent)]
    File(#[from] certadm_files::Error),
}

impl Diagnosis for Error {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Address { .. }
            | Self::Profile { .. }
            | Self::NoVault { .. }
            | Self::WhichCa { .. }
            | Self::NoList { .. }
            | Self::SameKey { .. }
            | Self::OtherCa { .. }
            | Self::NoRules { .. } => Hresult::E_INVALIDARG,
            Self::NoMaintenance { .. }
            | Self::NoTurns { .. }
            | Self::NoLocks { .. }
            | Self::NoSupport { .. } => Hresult::ERROR_NOT_SUPPORTED,
            Self::Busy { .. } => Hresult::ERROR_BUSY,
            Self::NoKey { .. } => Hresult::ERROR_FILE_NOT_FOUND,
            Self::KeyNeeded { .. } | Self::KeyInUse { .. } => Hresult::ERROR_SHARING_VIOLATION,
            Self::Clock { .. } => Hresult::ERROR_TIME_SKEW,
            Self::NoRepository { .. }
            | Self::Gone { .. }
            | Self::NoVaultFolder { .. }
            | Self::NextIsGone { .. } => Hresult::ERROR_PATH_NOT_FOUND,
            Self::NoPoint { .. } => Hresult::ERROR_FILE_NOT_FOUND,
            Self::RepositoryExists { .. } | Self::KeyIsHere { .. } | Self::OtherThings { .. } => {
                Hresult::ERROR_ALREADY_EXISTS
            }
            Self::ContinuesNothing { .. } => Hresult::MISSING_FULL_BACKUP,
            Self::NoKeyFits { .. } => Hresult::E_ACCESSDENIED,
            Self::Secret { .. }
            | Self::Damaged { .. }
            | Self::DeadKey { .. }
            | Self::NotAKey { .. }
            | Self::NoPassword { .. }
            | Self::Overwritten { .. }
            | Self::NotStored { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Storage { source, .. } => io_hresult(&source.source),
            Self::NoSpace { .. } => Hresult::ERROR_DISK_FULL,
            Self::Engine { .. } => Hresult::ERROR_INTERNAL_ERROR,
            Self::Set(error) => error.hresult(),
            Self::File(error) => error.hresult(),
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Storage { .. } | Self::Gone { .. } | Self::NoVaultFolder { .. } => Class::Unreachable,
            Self::NoRepository { .. }
            | Self::NextIsGone { .. }
            | Self::NoPoint { .. }
            | Self::NoKey { .. }
            | Self::Secret { .. }
            | Self::OtherThings { .. }
            | Self::OtherCa { .. }
            | Self::ContinuesNothing { .. } => Class::Refused,
            Self::Set(error) => error.class(),
            Self::File(error) => error.class(),
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Address { .. } => {
                "write VAULT:CA/POINT, such as vault:latest or vault:Example CA/gen:1f3; a path that has a colon begins with ./"
            }
            Self::Profile { .. } => "mend the file; docs/repository.md lists its keys",
            Self::NoVault { .. } => {
                "write it into repositories.toml, or as [repository.NAME] into certadm.toml; docs/repository.md shows how"
            }
            Self::WhichCa { names, .. } if names.is_empty() => {
                "make one with `certadm repository init VAULT: --ca NAME`"
            }
            Self::WhichCa { names, .. } => {
                return Cow::Owned(format!("write the CA behind the colon; there are {names}"));
            }
            Self::NoRepository { .. } => {
                "check the CA's name and the url in repositories.toml; `certadm repository init VAULT: --ca NAME` makes one"
            }
            Self::Gone { .. } => {
                "mount the disk that has it; what was deleted in a bucket with versions comes back by `certadm repository undelete`; or bring it \
                 back from a copy of the vault. If this vault never had it, because another one has the same key files, or if it is lost for \
                 good: `certadm repository init --reuse-key`"
            }
            Self::NoVaultFolder { .. } => {
                "mount the disk that has it, or check the url in repositories.toml; if the vault is new, `certadm repository init VAULT: --ca NAME` \
                 makes it"
            }
            Self::KeyIsHere { .. } => {
                "mount the disk that has it; what was deleted in a bucket with versions comes back by `certadm repository undelete`; or bring it \
                 back from a copy of the vault. Add --reuse-key where this vault never had it, because another one has the same key files, \
                 where its making was cut off, or where it is lost for good. Nothing was changed"
            }
            Self::NextIsGone { .. } => {
                "bring it back from a copy of the vault or by `certadm repository undelete`; if its making was cut off, run `certadm repository init --next` again; if it was deleted on purpose, move its key file away; if another vault has the same key files, run `certadm repository init --next` for this one, too, and name the old one as VAULT:CA!n1 until then"
            }
            Self::RepositoryExists { .. } => "use it, or name another CA; nothing was changed",
            Self::NoKeyFits { .. } => {
                "name the key file of this repository, or open it with its recovery code as password-file"
            }
            Self::SameKey { .. } => {
                "write key-file = \"/etc/certadm/{ca}.key\" into the vault's table, with {ca} in it: each repository then has a key file of its own"
            }
            Self::Secret { .. } => "name the file that `certadm repository init` wrote",
            Self::Storage { source, .. } if source.is_no_bucket() => {
                "check the bucket's name in the url, endpoint and region in repositories.toml, or make the bucket; where sets were in it, somebody \
                 has deleted it: do not make it anew before you know that the provider cannot bring it back"
            }
            Self::Storage { source, .. } if source.source.kind() == io::ErrorKind::NotFound => {
                "check that the storage is there and mounted, then start again; no log was deleted at the CA"
            }
            Self::Storage { source, .. } => {
                let what = io_remedy(&source.source);
                return Cow::Owned(format!("{what}; no log was deleted at the CA"));
            }
            Self::Damaged { .. } => {
                "run `certadm repository check --read all` to see which sets are concerned, bring what is missing back from a copy of \
                 the vault's files (a vault that `repository copy` filled is none: its objects have another key), or by `certadm repository undelete` from a bucket with versions, or run `certadm repository repair --read` and take a full backup"
            }
            Self::DeadKey { .. } => {
                "bring that file back from a copy of the vault, or by `certadm repository undelete` from a bucket with versions; or put another \
                 password in its place where the key file is, by `certadm repository key rotate`"
            }
            Self::NotAKey { .. } => {
                "look at who may write to the vault, because certadm stores nothing of that kind there; `certadm repository key remove` removes it"
            }
            Self::NoPassword { .. } => {
                "add one now, where the key file is, by `certadm repository key add`: without that file nothing could be restored; or bring the \
                 folder keys back from a copy of the vault, or by `certadm repository undelete` from a bucket with versions"
            }
            Self::Overwritten { .. } => {
                "somebody may have written over the repository: bring it back by `certadm repository undelete` from a bucket with versions, or from \
                 a copy of the vault's files (a vault that `repository copy` filled is none: its objects have another key), and give the machine new \
                 credentials for the storage"
            }
            Self::NoPoint { .. } => "`certadm repository info` lists what is kept",
            Self::NotStored { .. } => {
                "start again; no log was deleted at the CA. If it happens again, run `certadm repository check`"
            }
            Self::OtherCa { place, ca } => {
                let vault = place.split(':').next().unwrap_or_default();
                return Cow::Owned(format!(
                    "name the repository of that CA, {}; no log was deleted at the CA",
                    shell_word(format_args!("{vault}:{ca}/"))
                ));
            }
            Self::OtherThings { place } => {
                return Cow::Owned(format!(
                    "attach them to it, too, with `certadm attach {}`; nothing was changed",
                    shell_word(place)
                ));
            }
            Self::ContinuesNothing { .. } => {
                "take a full backup into this repository first; no log was deleted at the CA"
            }
            Self::NoRules { .. } => {
                "add --keep-last 2 --keep-daily 14 or other rules, or write them into [vault.keep] of repositories.toml"
            }
            Self::NoKey { .. } => {
                "`certadm repository key list` lists the keys; name one by the first digits of its id"
            }
            Self::KeyNeeded { .. } => "add another key by `certadm repository key add`, or rotate this one",
            Self::KeyInUse { secret, .. } => {
                return Cow::Owned(format!(
                    "add the new password by `certadm repository key add`, write it into {secret}, and then remove this key by `certadm repository \
                     key remove`; nothing was changed"
                ));
            }
            Self::NoSupport { .. } => "build it with the feature object-store, or name a folder",
            Self::NoMaintenance { .. } => "expire and repair on the machine that is meant for it",
            Self::NoTurns { .. } => {
                "expire and repair where the server has its files: that folder is the vault there, with url = \"file:///FOLDER\""
            }
            Self::NoLocks { .. } => {
                "make the bucket with versions and Object Lock (it cannot be added to most buckets later), and write lock-days into the vault's table"
            }
            Self::NoList { .. } => {
                "name the CA behind the colon, or write cas = [\"Example CA\"] into the vault's table"
            }
            Self::Busy { .. } => {
                "wait for its end; if it was killed, add --take-over, or wait a day: then it is taken over without it"
            }
            Self::Clock { .. } => "set the clock that is wrong; ages of sets and packs are told by both",
            Self::NoSpace { .. } => "free some space there, or name another folder by --scratch",
            Self::Engine { .. } => {
                "report this, with the command that led to it; no log was deleted at the CA"
            }
            Self::Set(error) => return error.remedy(),
            Self::File(error) => return error.remedy(),
        })
    }
}

impl Error {
    /// Whether something that was stored is missing or has changed.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::DeadKey { .. } | Self::NoPassword { .. } | Self::Overwritten { .. }
        )
    }
}

/// So many objects are named in a message.
const NAMED: usize = 3;

/// What a message says of objects that are no keys; nothing where there are none.
fn told_as_no_keys(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => String::new(),
        1..=NAMED => format!("; passed over, because they are no keys: {shown}"),
        several => format!("; passed over, because they are no keys: {shown} and {} more", several - NAMED),
    }
}

impl From<Error> for certadm_set::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Set(error) => error,
            Error::File(error) => error.into(),
            other => Self::Kept(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Damage and loss are found by reading, long after the CA has deleted the logs that are in the sets.
    #[test]
    fn what_to_do_about_damage_promises_no_logs_at_the_ca() {
        let (place, detail) = ("vault:CA".to_owned(), "a pack is missing".to_owned());
        for lost in [
            Error::Damaged { place: place.clone(), detail },
            Error::Gone { place: place.clone(), key_file: "key".into() },
            Error::NoVaultFolder { place: place.clone() },
            Error::Overwritten { place, name: "config".to_owned() },
        ] {
            assert!(!lost.remedy().contains("log"), "{}", lost.remedy());
        }
    }
}
