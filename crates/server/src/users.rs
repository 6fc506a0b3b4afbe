//! `users.toml`: the accounts that may log on over TCP. It holds NT hashes, which are as good as passwords.

use std::borrow::Cow;
use std::collections::HashMap;
#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certadm_auth::{NtHash, folded, same_name};
#[cfg(unix)]
use certadm_files::IoContext;
use certadm_files::durable;
use certadm_rules::diagnosis::Class;
use certadm_rules::flags::Roles;
use certadm_rules::settings::mistake;
use certadm_rules::{Diagnosis, Hresult};
use certadm_store::locks;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::roles::{role_named, role_names};

/// A file of more bytes than this is not a list of accounts.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// The longest account name, in characters.
const MAX_NAME: usize = 104;
/// The shortest password of an account, in characters: whoever records a logon can try thousands of millions of passwords a
/// second without asking anybody.
pub const MIN_PASSWORD: usize = 12;

/// An account.
#[derive(Debug, Clone)]
pub struct User {
    /// Its name, compared without case.
    pub name: String,
    /// The secret.
    pub nt_hash: NtHash,
    /// Its roles as granted, without those they imply.
    pub roles: Roles,
    /// Whether nobody may log on with it for now.
    pub is_disabled: bool,
    /// Tells it from an account that had its name and password before; made anew with each change. Empty in files that have
    /// none.
    pub(crate) id: String,
}

impl User {
    /// A new account.
    ///
    /// # Errors
    /// [`UsersError::NoRandomness`].
    pub fn new(name: impl Into<String>, nt_hash: NtHash, roles: Roles) -> Result<Self, UsersError> {
        Ok(Self { name: name.into(), nt_hash, roles, is_disabled: false, id: new_id()? })
    }
}

/// The secret of a new password.
///
/// # Errors
/// [`UsersError::ShortPassword`] for one of fewer than [`MIN_PASSWORD`] characters.
pub fn hash_new_password(password: &str) -> Result<NtHash, UsersError> {
    match password.chars().count() {
        length if length < MIN_PASSWORD => Err(UsersError::ShortPassword { length }),
        _ => Ok(NtHash::from_password(password)),
    }
}

/// Why the accounts cannot be read or changed. The administrator's to repair.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersError {
    /// The file or its folder could not be read or written.
    #[error("could not {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process changes the accounts, or keeps their lock; they are as they were.
    #[error("could not change the accounts")]
    Locked(#[source] certadm_store::Error),
    /// The file could not be replaced; it is as it was.
    #[error("could not change the accounts")]
    Write(#[source] certadm_files::Error),
    /// The file can be read by others than its owner. Not on Windows, where the folder's rights decide.
    #[error("{path} can be read by others (mode {mode:o}); it holds what is as good as passwords")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file has a mistake.
    #[error("{path} has a mistake: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong; holds no secret.
        reason: String,
    },
    /// No account can have this name.
    #[error(
        "{name:?} cannot be an account name: 1 to {MAX_NAME} characters, no control characters, none of \\ / @ : \""
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The empty password; no logon succeeds with it.
    #[error("the password is empty; give one of at least one character")]
    EmptyPassword,
    /// The password is too short.
    #[error("the password has {length} characters; give one of at least {MIN_PASSWORD}")]
    ShortPassword {
        /// How many it has.
        length: usize,
    },
    /// The system gives no random bytes.
    #[error("there are no random bytes for the account's identifier")]
    NoRandomness,
    /// The account exists.
    #[error("there is an account {name:?} already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// The account does not exist.
    #[error("there is no account {name:?}")]
    Unknown {
        /// The name asked for.
        name: String,
    },
}

impl Diagnosis for UsersError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Io { source, .. } => certadm_files::io_hresult(source),
            Self::Locked(error) => error.hresult(),
            Self::Write(error) => error.hresult(),
            Self::Exposed { .. } => Hresult::E_ACCESSDENIED,
            Self::Malformed { .. } => Hresult::ERROR_INVALID_DATA,
            Self::Exists { .. } => Hresult::ERROR_ALREADY_EXISTS,
            Self::NoRandomness => Hresult::E_UNEXPECTED,
            Self::Name { .. } | Self::EmptyPassword | Self::ShortPassword { .. } | Self::Unknown { .. } => {
                Hresult::E_INVALIDARG
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            // Well written; there is no such account, or no logon would succeed with the password.
            Self::Unknown { .. } | Self::EmptyPassword | Self::ShortPassword { .. } => Class::Refused,
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Io { source, .. } => certadm_files::io_remedy(source),
            Self::Locked(error) => return error.remedy(),
            Self::Write(error) => return error.remedy(),
            Self::Exposed { .. } => {
                "chmod 600 the file, and change the passwords if others could have read it"
            }
            Self::Malformed { .. } => "repair the file, or remove the account and add it again",
            Self::Name { .. } | Self::EmptyPassword => "choose another one",
            Self::ShortPassword { .. } => {
                "choose a longer one; it need not be remembered, a file can hold it"
            }
            Self::NoRandomness => "look at the system's random source",
            Self::Exists { .. } => "certadm user passwd changes its password; remove it to change its roles",
            Self::Unknown { .. } => "certadm user list --dir DIR shows the accounts",
        })
    }
}

/// The account file of a CA's folder.
#[derive(Debug, Clone)]
pub struct UserFile {
    path: PathBuf,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    user: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    nt_hash: HexHash,
    roles: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    disabled: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    id: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
fn is_false(value: &bool) -> bool {
    !*value
}

/// An NT hash in hex digits; wiped when dropped.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct HexHash(String);

impl UserFile {
    /// The file `users.toml` of the CA in `dir`.
    #[must_use]
    pub fn in_folder(dir: &Path) -> Self {
        Self { path: dir.join("users.toml") }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The accounts; none when there is no file.
    ///
    /// # Errors
    /// [`UsersError`]: unreadable, readable by others, or with a mistake.
    pub fn read(&self) -> Result<Vec<User>, UsersError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.io("open")(error)),
        };
        let metadata = file.metadata().map_err(self.io("inspect"))?;
        #[cfg(unix)]
        self.refuse_exposed(&metadata)?;
        if MAX_FILE < metadata.len() {
            return Err(self.malformed("it is larger than 4 MiB"));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE).read_to_string(&mut text).map_err(self.io("read"))?;
        self.parse(&text)
    }

    /// The accounts in the text of such a file.
    ///
    /// # Errors
    /// [`UsersError::Malformed`], [`UsersError::Name`].
    pub fn parse(&self, text: &str) -> Result<Vec<User>, UsersError> {
        let table: Table = toml::from_str(text).map_err(|error| {
            self.malformed(&mistake(
                text,
                error.span(),
                error.message(),
                toml::from_str::<toml::Table>(text).is_ok(),
            ))
        })?;
        let users: Vec<User> =
            table.user.into_iter().map(|entry| self.account(entry)).collect::<Result<_, _>>()?;
        // Which of two would an account be? One could have the other's password and its own roles.
        let mut names = HashMap::new();
        for user in &users {
            if let Some(other) = names.insert(folded(&user.name), &user.name) {
                let reason = format!("{other:?} and {:?} are one name; capitals do not count", user.name);
                return Err(self.malformed(&reason));
            }
        }
        Ok(users)
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`UsersError::Exists`], [`UsersError::Name`], [`UsersError::EmptyPassword`], and those of [`UserFile::read`].
    pub fn add(&self, user: User) -> Result<(), UsersError> {
        check_name(&user.name)?;
        if user.nt_hash.is_of_empty_password() {
            return Err(UsersError::EmptyPassword);
        }
        self.change(|users| match users.iter().find(|known| same_name(&known.name, &user.name)) {
            Some(known) => Err(UsersError::Exists { name: known.name.clone() }),
            None => {
                users.push(user);
                Ok(())
            }
        })
    }

    /// Changes an account's password. Its connections and backups end.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], [`UsersError::EmptyPassword`], and those of [`UserFile::read`].
    pub fn set_password(&self, name: &str, nt_hash: NtHash) -> Result<(), UsersError> {
        if nt_hash.is_of_empty_password() {
            return Err(UsersError::EmptyPassword);
        }
        self.change_one(name, |user| user.nt_hash = nt_hash)
    }

    /// Lets nobody log on with an account, or lets them again. Its connections and backups end.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], and those of [`UserFile::read`].
    pub fn disable(&self, name: &str, is_disabled: bool) -> Result<(), UsersError> {
        self.change_one(name, |user| user.is_disabled = is_disabled)
    }

    /// Changes an account, which is another one then.
    fn change_one(&self, name: &str, change: impl FnOnce(&mut User)) -> Result<(), UsersError> {
        let id = new_id()?;
        self.change(|users| {
            let found = users.iter_mut().find(|user| same_name(&user.name, name));
            let user = found.ok_or_else(|| UsersError::Unknown { name: name.to_owned() })?;
            change(user);
            user.id = id;
            Ok(())
        })
    }

    /// Removes an account. Its connections and backups end.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], and those of [`UserFile::read`].
    pub fn remove(&self, name: &str) -> Result<(), UsersError> {
        self.change(|users| {
            let before = users.len();
            users.retain(|user| !same_name(&user.name, name));
            if users.len() == before { Err(UsersError::Unknown { name: name.to_owned() }) } else { Ok(()) }
        })
    }

    /// Reads, changes and writes durably, one process at a time.
    fn change(
        &self,
        change: impl FnOnce(&mut Vec<User>) -> Result<(), UsersError>,
    ) -> Result<(), UsersError> {
        self.change_within(locks::LONGEST_WAIT, change)
    }

    /// The same, and waits for another process no longer than this: whoever may open the folder can hold its lock.
    fn change_within(
        &self,
        longest: Duration,
        change: impl FnOnce(&mut Vec<User>) -> Result<(), UsersError>,
    ) -> Result<(), UsersError> {
        let path = self.lock_path();
        let _lock = locks::hold_alone(&path, longest, || open_lock(&path)).map_err(UsersError::Locked)?;
        let mut users = self.read()?;
        change(&mut users)?;
        self.write(&users)
    }

    /// What writers lock: the folder, or where folders cannot be opened a file of its own.
    fn lock_path(&self) -> PathBuf {
        if cfg!(unix) {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.unwrap_or(Path::new(".")).to_owned()
        } else {
            self.path.with_extension("lock")
        }
    }

    /// Whoever reads the hashes can log on with them. On Windows the rights of the folder say who that is.
    #[cfg(unix)]
    fn refuse_exposed(&self, metadata: &fs::Metadata) -> Result<(), UsersError> {
        use std::os::unix::fs::PermissionsExt;
        match metadata.permissions().mode() & 0o7777 {
            mode if mode & 0o077 != 0 => Err(UsersError::Exposed { path: self.path.clone(), mode }),
            _ => Ok(()),
        }
    }

    fn write(&self, users: &[User]) -> Result<(), UsersError> {
        let text = self.to_toml(users)?;
        durable::replace_private(&self.path, text.as_bytes()).map_err(UsersError::Write)
    }

    /// The text of a file with these accounts. Wiped when dropped.
    ///
    /// # Errors
    /// [`UsersError::Malformed`] for what cannot be written, of which there is nothing.
    pub fn to_toml(&self, users: &[User]) -> Result<Zeroizing<String>, UsersError> {
        let entry = |user: &User| Entry {
            name: user.name.clone(),
            nt_hash: HexHash(std::mem::take(&mut *user.nt_hash.to_hex())),
            roles: role_names(user.roles).into_iter().map(str::to_owned).collect(),
            disabled: user.is_disabled,
            id: user.id.clone(),
        };
        let table = Table { user: users.iter().map(entry).collect() };
        let table =
            Zeroizing::new(toml::to_string(&table).map_err(|error| self.malformed(&error.to_string()))?);
        Ok(Zeroizing::new([HEAD, &table].concat()))
    }

    fn account(&self, entry: Entry) -> Result<User, UsersError> {
        let Entry { name, nt_hash, roles, disabled: is_disabled, id } = entry;
        check_name(&name)?;
        let nt_hash = NtHash::from_hex(&nt_hash.0)
            .ok_or_else(|| self.malformed(&format!("the nt_hash of {name:?} is not 32 hex digits")))?;
        let mut granted = Roles::NONE;
        for role in roles {
            let role = role_named(&role)
                .ok_or_else(|| self.malformed(&format!("{role:?}, which {name:?} has, is not a role")))?;
            granted = granted.union(role);
        }
        if MAX_NAME < id.len() {
            return Err(self.malformed(&format!("the id of {name:?} is too long")));
        }
        Ok(User { name, nt_hash, roles: granted, is_disabled, id })
    }

    fn io(&self, what: &'static str) -> impl Fn(std::io::Error) -> UsersError {
        let path = self.path.clone();
        move |source| UsersError::Io { what, path: path.clone(), source }
    }

    fn malformed(&self, reason: &str) -> UsersError {
        UsersError::Malformed { path: self.path.clone(), reason: reason.to_owned() }
    }
}

const HEAD: &str =
    "# Accounts of the certificate service, kept by `certadm user`. The hashes are as good as passwords.\n\n";

fn new_id() -> Result<String, UsersError> {
    getrandom::u64().map(|number| format!("{number:016x}")).map_err(|_| UsersError::NoRandomness)
}

fn check_name(name: &str) -> Result<(), UsersError> {
    let forbidden = |c: char| c.is_control() || "\\/@:\"".contains(c);
    if name.is_empty() || MAX_NAME < name.chars().count() || name.chars().any(forbidden) {
        return Err(UsersError::Name { name: name.to_owned() });
    }
    Ok(())
}

/// Opens what [`UserFile::lock_path`] says.
fn open_lock(path: &Path) -> certadm_store::Result<File> {
    #[cfg(unix)]
    return Ok(File::open(path).during("open", path)?);
    #[cfg(not(unix))]
    Ok(durable::open_or_create(path)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn user(name: &str, roles: Roles) -> User {
        User::new(name, NtHash::from_password("Pa55-word"), roles).unwrap()
    }

    #[test]
    fn accounts_are_added_changed_and_removed_by_any_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        file.add(user("Backup", Roles::OPERATOR)).unwrap();
        file.add(user("other", Roles::ADMINISTRATOR.union(Roles::ENROLL))).unwrap();
        assert!(matches!(file.add(user("BACKUP", Roles::NONE)), Err(UsersError::Exists { .. })));
        let before = file.read().unwrap();
        file.set_password("backup", NtHash::from_password("another word")).unwrap();
        file.disable("bACKUP", true).unwrap();
        let after = file.read().unwrap();
        assert_eq!((after[0].name.as_str(), after[0].roles), ("Backup", Roles::OPERATOR));
        assert!(after[0].is_disabled && !after[1].is_disabled);
        assert_ne!(after[0].nt_hash.expose(), before[0].nt_hash.expose());
        assert!(after[0].id != before[0].id && after[1].id == before[1].id);
        file.remove("backup").unwrap();
        assert_eq!(file.read().unwrap().len(), 1);
        let gone = |result| matches!(result, Err(UsersError::Unknown { .. }));
        assert!(gone(file.remove("backup")) && gone(file.disable("backup", true)));
        assert!(gone(file.set_password("backup", NtHash::from_password("another word"))));
        let empty = file.set_password("other", NtHash::from_password(""));
        assert!(matches!(empty, Err(UsersError::EmptyPassword)));
    }

    #[test]
    fn a_lock_that_is_held_is_told_and_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        let held = File::open(folder.path()).unwrap();
        held.lock().unwrap();
        let error = file.change_within(Duration::from_millis(20), |_| Ok(())).unwrap_err();
        let UsersError::Locked(certadm_store::Error::LockHeld { path, .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!((path.as_path(), error.hresult()), (folder.path(), Hresult::ERROR_SHARING_VIOLATION));
        held.unlock().unwrap();
        file.add(user("backup", Roles::OPERATOR)).unwrap();
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(matches!(hash_new_password("eleven char"), Err(UsersError::ShortPassword { length: 11 })));
        assert!(hash_new_password("zwölf Zeichen").is_ok());
    }

    #[test]
    fn the_file_is_for_its_owner_alone_and_holds_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        file.add(user("backup", Roles::OPERATOR)).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(!fs::read_to_string(file.path()).unwrap().contains("Pa55"));
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(file.read(), Err(UsersError::Exposed { .. })));
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = UserFile::in_folder(folder.path());
        for (text, expected) in [
            ("[[user]]\nname = \"a\"\nnt_hash = \"x5x5\"\nroles = []\n", "32 hex digits"),
            (
                "[[user]]\nname = \"a\"\nnt_hash = \"a4f49c406510bdcab6824ee7c30fd852\"\nroles = [\"root\"]\n",
                "role",
            ),
            ("[[user]]\nname = \"a\"\nnt_hash = a4f49c406510bdcab6824ee7c30fd852\n", "line 3"),
            (
                "[[user]]\nname = \"dup\"\nnt_hash = \"a4f49c406510bdcab6824ee7c30fd852\"\nroles = []\n\
                 [[user]]\nname = \"DUP\"\nnt_hash = \"a4f49c406510bdcab6824ee7c30fd852\"\nroles = [\"read\"]\n",
                "one name",
            ),
            (
                "[[user]]\nname = \"a\\\\b\"\nnt_hash = \"a4f49c406510bdcab6824ee7c30fd852\"\nroles = []\n",
                "name",
            ),
        ] {
            fs::write(file.path(), text).unwrap();
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("a4f49c"), "{error}");
        }
        assert!(matches!(file.add(user("", Roles::NONE)), Err(UsersError::Name { .. })));
        let empty = User { nt_hash: NtHash::from_password(""), ..user("a", Roles::NONE) };
        assert!(matches!(file.add(empty), Err(UsersError::EmptyPassword)));
    }
}
