//! The accounts of a running service: as the file has them at each moment.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use certadm_auth::{AccountStore, NtHash, same_name};
use certadm_rules::flags::Roles;

use crate::identity::{Identity, Incarnation};
use crate::users::{User, UserFile};
use crate::watched::{Watched, failure};

/// The accounts as the file has them now: it is read again whenever it has changed, so that a right that is taken away
/// is gone at the next call.
#[derive(Debug)]
pub struct Accounts {
    file: UserFile,
    /// Makes incarnations that tell nothing of the hashes they are made of.
    secret: RandomState,
    known: Mutex<Watched<Vec<User>>>,
}

impl Accounts {
    /// The accounts of a file.
    #[must_use]
    pub fn new(file: UserFile) -> Self {
        Self { file, secret: RandomState::new(), known: Mutex::new(Watched::unread()) }
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
        let read = || self.file.read().map_err(failure);
        match known.look(self.file.path(), read, "no caller can log on over TCP") {
            Some(users) => look(users, true),
            None => look(&[], false),
        }
    }
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
    use std::fs;

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
    /// The mode alone was wrong: nothing but the time of its change tells that it was put right.
    #[cfg(unix)]
    #[test]
    fn accounts_are_back_when_the_mode_of_their_file_is_put_right() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        let accounts = Accounts::new(file.clone());
        file.add(user("backup", "Pa55-word", Roles::OPERATOR)).unwrap();
        let mode = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            accounts.find("backup").is_some()
        };
        assert!(!mode(0o644));
        assert!(mode(0o600));
    }
}
