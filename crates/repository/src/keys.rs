//! The keys of a repository beside its key file: passwords for people and for stock restic (repository.md 7). Each is an
//! object with the master key in it, encrypted with the password; the master key itself never changes.

use std::sync::Arc;

use rustic_core::{FileType, Id, OpenStatus, Repository};
use serde::Deserialize;

use crate::bridge::{Bridge, get_key, id_of_kind, name_of};
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::key_object::KeyFault;
use crate::label::Label;
use crate::secret::Secret;
use crate::vault::CaRepository;

const CHANGED: &str = "has other bytes than were stored";

/// One key of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The id of its object, 64 hexadecimal digits.
    pub id: String,
    /// On which host it was made; empty where it does not say.
    pub host: String,
    /// Who made it, or what for; empty where it does not say.
    pub user: String,
    /// When, RFC 3339; empty where it does not say.
    pub created: String,
    /// What keeps its password from opening anything. `None` where its object has the bytes that it is named after, and they are those
    /// of a key that a password is tried at.
    pub fault: Option<KeyFault>,
}

impl Key {
    /// Whether a password may open the repository by it.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.fault.is_none()
    }
}

/// What an object with a key says of itself. It is a stranger's text: whoever can write to the vault can change it.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    created: Option<String>,
}

impl CaRepository {
    /// The keys that are there, by their id. A repository that is not there has none, which is an error and no empty list.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::Gone`], [`Error::NoVaultFolder`], [`Error::Storage`].
    pub fn keys(&self) -> Result<Vec<Key>> {
        let storage = |source| Error::Storage { place: self.objects.place(), source };
        engine::refuse_absent(self.objects.as_ref(), self.secret.voucher())?;
        let mut keys = Vec::new();
        for (name, _) in self.objects.list(FileType::Key.dirname()).map_err(storage)? {
            let Some(id) = id_of_kind(FileType::Key, &name) else { continue };
            let (content, fault) = match get_key(self.objects.as_ref(), &id) {
                Ok(read) => read,
                // It was removed since the list was made.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(storage(error)),
            };
            let said: Said = serde_json::from_slice(&content).unwrap_or_default();
            keys.push(Key {
                id: id.to_hex().to_string(),
                host: said.hostname.unwrap_or_default(),
                user: said.username.unwrap_or_default(),
                created: said.created.unwrap_or_default(),
                fault,
            });
        }
        keys.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(keys)
    }

    /// What is wrong with these keys: each whose object has changed or is none, and that no password opens the repository any more. Nobody
    /// notices it while the key file is there, and when the machine is lost with it, it is too late.
    #[must_use]
    pub fn dead_keys(&self, keys: &[Key]) -> Vec<Error> {
        let dead = |key: &Key| {
            let (place, name) = (self.address(), format!("keys/{}", key.id));
            Some(match key.fault.clone()? {
                KeyFault::Changed => Error::DeadKey { place, detail: format!("{name} {CHANGED}") },
                KeyFault::NoKey(detail) => Error::NotAKey { place, name, detail },
            })
        };
        let mut wrong: Vec<Error> = keys.iter().filter_map(dead).collect();
        if !keys.iter().any(Key::is_sound) {
            wrong.push(Error::NoPassword { place: self.address() });
        }
        wrong
    }

    /// Adds a password, and proves that it opens the repository.
    ///
    /// # Errors
    /// As [`CaRepository::points`]; [`Error::NoKeyFits`] when the new password does not open it.
    pub fn add_key(&self, password: &Secret, label: Label<'_>) -> Result<String> {
        let opened = self.opened_by(&self.secret)?;
        Ok(self.add_to(&opened, password, label)?.0)
    }

    /// Removes the key whose id begins so.
    ///
    /// # Errors
    /// [`Error::NoKey`] when there is none or several; [`Error::KeyInUse`] for the one that opens the repository now, and
    /// [`Error::KeyNeeded`] where no other sound one would be left; [`Error::NoMaintenance`]; as [`CaRepository::points`].
    pub fn remove_key(&self, id: &str) -> Result<Key> {
        let key = self.find_key(Some(id))?;
        self.refuse_without_maintenance()?;
        self.refuse_in_use(&key, &self.opened_by(&self.secret)?)?;
        self.remove(&key)?;
        Ok(key)
    }

    /// Puts a new password in the place of a key: the new one is added and opens the repository before the old one goes.
    /// `old` may be left out where there is only one. Returns the old one and the id of the new one.
    ///
    /// # Errors
    /// As [`CaRepository::add_key`] and [`CaRepository::remove_key`].
    pub fn rotate_key(
        &self,
        old: Option<&str>,
        password: &Secret,
        label: Label<'_>,
    ) -> Result<(Key, String)> {
        let old = self.find_key(old)?;
        self.refuse_without_maintenance()?;
        let opened = self.opened_by(&self.secret)?;
        self.refuse_in_use(&old, &opened)?;
        let (new, by_new) = self.add_to(&opened, password, label)?;
        if by_new.is_by(&old) {
            let detail = "it has the new password already, and opens the repository by it".to_owned();
            return Err(Error::KeyNeeded { place: self.address(), detail });
        }
        self.remove(&old)?;
        Ok((old, new))
    }

    /// Whether a password opens the repository.
    ///
    /// # Errors
    /// When that cannot be told: as [`CaRepository::points`].
    pub fn is_opened_by(&self, password: &Secret) -> Result<bool> {
        engine::is_opened_by(&Bridge::new(Arc::clone(&self.objects)), password)
    }

    fn find_key(&self, beginning: Option<&str>) -> Result<Key> {
        let mut keys = self.keys()?;
        let all = keys.len();
        keys.retain(|key| beginning.is_none_or(|beginning| key.id.starts_with(beginning)));
        let wrong = |detail| Error::NoKey { place: self.address(), detail };
        match (keys.len(), beginning) {
            (1, _) => Ok(keys.remove(0)),
            (_, None) => Err(wrong(format!("it has {all} keys, and none was named"))),
            (0, Some(id)) => Err(wrong(format!("no id of a key begins with {id:?}"))),
            (several, Some(id)) => Err(wrong(format!("{several} ids of keys begin with {id:?}"))),
        }
    }

    fn opened_by(&self, secret: &Secret) -> Result<Opened> {
        let bridge = Bridge::new(Arc::clone(&self.objects));
        let repository = engine::open(&bridge, secret)?;
        Ok(Opened { bridge, repository })
    }

    /// Adds a password to the repository that is open. Returns the id of its key, and the repository as the password has opened it.
    fn add_to(&self, opened: &Opened, password: &Secret, label: Label<'_>) -> Result<(String, Opened)> {
        let Some(text) = password.password() else {
            let detail = "a key file is no password".to_owned();
            return Err(Error::Secret { path: password.origin().into(), detail });
        };
        let options = label.options();
        let add = || opened.repository.add_key(text, &options);
        let id = call(&opened.bridge, "add a key", Unexplained::Mistake, add)?;
        Ok((id.to_hex().to_string(), self.opened_by(password)?))
    }

    /// Refuses to let the key go by which the vault's own password opens the repository.
    fn refuse_in_use(&self, key: &Key, opened: &Opened) -> Result<()> {
        match opened.is_by(key) {
            true => Err(Error::KeyInUse { place: self.address(), secret: self.secret.origin().to_owned() }),
            false => Ok(()),
        }
    }

    /// Removes a key, if another one is left.
    fn remove(&self, key: &Key) -> Result<()> {
        // A key whose object has changed opens nothing, so it does not count.
        if !self.keys()?.iter().any(|other| other.is_sound() && other.id != key.id) {
            let detail = match key.is_sound() {
                true => "it is the last one that is sound, and only the key file would be left",
                false => "no other one is sound, and only the key file would be left",
            };
            return Err(Error::KeyNeeded { place: self.address(), detail: detail.to_owned() });
        }
        let no_id = |_| Error::NoKey { place: self.address(), detail: "its id is none".to_owned() };
        let id: Id = key.id.parse().map_err(no_id)?;
        let removed = self.objects.delete(&name_of(FileType::Key, &id));
        removed.map_err(|source| Error::Storage { place: self.objects.place(), source })
    }

    pub(crate) fn refuse_without_maintenance(&self) -> Result<()> {
        match self.maintenance {
            true => Ok(()),
            false => Err(Error::NoMaintenance { vault: self.vault.clone() }),
        }
    }
}

/// A repository that is open.
struct Opened {
    bridge: Bridge,
    repository: Repository<OpenStatus>,
}

impl Opened {
    /// Whether a password has opened it by this key.
    fn is_by(&self, key: &Key) -> bool {
        self.repository.key_id().is_some_and(|id| *id.to_hex() == *key.id)
    }
}
