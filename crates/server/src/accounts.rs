//! The accounts of a running service: as the file has them at each moment.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use certadm_auth::{AccountStore, NtHash, same_name};
use certadm_rules::Diagnosis;
use certadm_rules::flags::Roles;

use crate::identity::{Identity, Incarnation};
use crate::users::{User, UserFile};

/// The accounts as the file has them now: it is read again whenever it has changed, so that a right that is taken away
/// is gone at the next call.
#[derive(Debug)]
pub struct Accounts {
    file: UserFile,
    /// Makes incarnations that tell nothing of the hashes they are made of.
    secret: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    stamp: Option<Stamp>,
    users: Vec<User>,
    /// Whether the file could be read.
    is_read: bool,
}

/// What tells a file from what it was: when it was written, its size, its number.
pub(crate) type Stamp = (SystemTime, u64, u64);

/// The stamp of a file at this moment; none of one that is not there.
pub(crate) fn stamp_of(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), file_number(&metadata)))
}

impl Accounts {
    /// The accounts of a file.
    #[must_use]
    pub fn new(file: UserFile) -> Self {
        Self { file, secret: RandomState::new(), known: Mutex::default() }
    }

    /// The file.
    pub(crate) fn file(&self) -> &UserFile {
        &self.file
    }

    /// The incarnation of the account of this name, and its roles with those they imply; none when there is no such
    /// account any more, or it is disabled.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(Incarnation, Roles)> {
        self.with_users(|users, _| {
            let user = users.iter().find(|user| !user.is_disabled && same_name(&user.name, name))?;
            Some((self.incarnation(user), user.roles.with_implied()))
        })
    }

    /// Whether an identity is an account that is not there any more as it was when it logged on. While the file cannot be
    /// read nobody is called gone: he can call nothing either.
    pub(crate) fn is_gone(&self, identity: &Identity) -> bool {
        let Identity::Account { name, incarnation } = identity else { return false };
        let is_read = self.with_users(|_, is_read| is_read);
        is_read && self.find(name).is_none_or(|(now, _)| now != *incarnation)
    }

    fn incarnation(&self, user: &User) -> Incarnation {
        Incarnation(self.secret.hash_one((&user.id, user.nt_hash.expose())))
    }

    /// Nobody logs on while the file cannot be read.
    fn with_users<T>(&self, look: impl FnOnce(&[User], bool) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp_of(self.file.path());
        if stamp.is_none() || stamp != known.stamp {
            let read = self.file.read();
            let is_read = read.is_ok();
            let users = read.unwrap_or_else(|error| {
                let code = error.hresult();
                tracing::error!(%error, %code, remedy = %error.remedy(), "no caller can log on over TCP");
                Vec::new()
            });
            *known = Known { stamp, users, is_read };
        }
        look(&known.users, known.is_read)
    }
}

/// What tells a file from the one that it replaced: its inode, on Windows the time of its creation.
fn file_number(metadata: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(windows)]
    return std::os::windows::fs::MetadataExt::creation_time(metadata);
}

impl AccountStore for Accounts {
    /// The domain is not looked at: this service has accounts of its own and no others. One that is disabled is as if it
    /// were not there.
    fn nt_hash(&self, _domain: &str, user: &str) -> Option<NtHash> {
        self.with_users(|users, _| {
            let mut found = None;
            for known in users {
                if same_name(&known.name, user) && !known.is_disabled {
                    found = Some(known.nt_hash.clone());
                }
            }
            found
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str, roles: Roles) -> User {
        User::new(name, NtHash::from_password(password), roles).unwrap()
    }

    fn roles(accounts: &Accounts, name: &str) -> Option<Roles> {
        accounts.find(name).map(|(_, roles)| roles)
    }

    #[test]
    fn accounts_come_go_and_lose_their_rights_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        let accounts = Accounts::new(file.clone());
        assert_eq!(roles(&accounts, "backup"), None);
        file.add(user("Backup", "Pa55-word", Roles::OPERATOR)).unwrap();
        file.add(user("other", "Pa55-word", Roles::ADMINISTRATOR.union(Roles::ENROLL))).unwrap();
        assert_eq!(roles(&accounts, "backup"), Some(Roles::OPERATOR.with_implied()));
        assert!(accounts.nt_hash("ANY", "bAcKuP").is_some());
        file.disable("backup", true).unwrap();
        assert_eq!(roles(&accounts, "backup"), None);
        assert!(accounts.nt_hash("", "backup").is_none());
        file.disable("backup", false).unwrap();
        assert!(accounts.nt_hash("", "backup").is_some());
        file.remove("backup").unwrap();
        assert_eq!(roles(&accounts, "backup"), None);
    }

    #[test]
    fn whoever_logged_on_before_a_change_is_gone_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        let accounts = Accounts::new(file.clone());
        file.add(user("backup", "first password", Roles::OPERATOR)).unwrap();
        let logged_on = || {
            let (incarnation, _) = accounts.find("backup").unwrap();
            Identity::Account { name: "BACKUP".into(), incarnation }
        };
        let before = logged_on();
        file.add(user("other", "a password", Roles::OPERATOR)).unwrap();
        assert!(!accounts.is_gone(&before), "another account changed");
        file.set_password("backup", NtHash::from_password("second password")).unwrap();
        assert!(accounts.is_gone(&before));
        let before = logged_on();
        file.remove("backup").unwrap();
        assert!(accounts.is_gone(&before));
        file.add(user("backup", "second password", Roles::OPERATOR)).unwrap();
        assert!(accounts.is_gone(&before), "the same password, another account");
        let before = logged_on();
        file.disable("backup", true).unwrap();
        file.disable("backup", false).unwrap();
        assert!(accounts.is_gone(&before));
        let before = logged_on();
        assert!(!accounts.is_gone(&before));
        fs::write(file.path(), "half written").unwrap();
        assert!(accounts.find("backup").is_none() && !accounts.is_gone(&before));
        assert!(!accounts.is_gone(&Identity::Local { uid: 1, gid: 1 }));
    }
}
