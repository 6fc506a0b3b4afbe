//! Making the repositories of a vault: the key first, and never in the place of one that is not mounted.

use std::path::Path;
use std::sync::Arc;

use certadm_files::durable;
use rustic_core::FileType;

use crate::bridge::Bridge;
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::generation;
use crate::label::Label;
use crate::objects::Objects;
use crate::place::Place;
use crate::secret::Secret;
use crate::vault::{CaRepository, Vault};

impl Vault {
    /// Makes the repository that follows the newest one of a CA, with a key of its own: what has opened the one before does not
    /// open it. From then on the CA's name leads there, and the next backup is a full one. What an interrupted call has begun,
    /// this one finishes.
    ///
    /// # Errors
    /// [`Error::NoRepository`] when there is none to follow; [`Error::SameKey`]; as [`Vault::create`].
    pub fn create_next(&self, ca: &str, recovery: &str, label: Label<'_>) -> Result<CaRepository> {
        let ca = self.folder_of(ca)?;
        let (ca, _) = generation::split(&ca);
        let Some(newest) = self.numbers(ca)?.last().copied() else {
            return Err(Error::NoRepository { place: self.objects(ca)?.place() });
        };
        let keys = self.objects(&generation::folder(ca, newest))?.list(FileType::Key.dirname());
        let is_unfinished = newest != 1 && keys.map_err(|source| self.storage(source))?.is_empty();
        let number = match self.keyed(ca).filter(|keyed| newest < *keyed) {
            // Its key is written first.
            Some(begun) => begun,
            None if is_unfinished => newest,
            None => (newest + 1).min(generation::MOST),
        };
        let same = |detail| Error::SameKey { vault: self.profile.name.clone(), detail };
        match [ca.to_owned(), generation::folder(ca, number)].map(|folder| self.key_file(&folder)) {
            [Some(first), Some(next)] if first != next => {}
            [None, _] | [_, None] => return Err(same("the vault is opened by a password")),
            _ => return Err(same("its key-file has no {ca}")),
        }
        self.create_with(&generation::name(ca, number), recovery, label, true)
    }

    /// Makes the repository of a CA: the key first, so that nothing is ever stored under a key that nobody has. `recovery`
    /// becomes a password of it, under the name `label`. A repository that an interrupted call has made is finished.
    ///
    /// # Errors
    /// [`Error::RepositoryExists`], [`Error::KeyIsHere`], [`Error::Storage`], [`Error::File`] when the key file cannot be written.
    pub fn create(&self, ca: &str, recovery: &str, label: Label<'_>) -> Result<CaRepository> {
        self.create_with(ca, recovery, label, false)
    }

    /// As [`Vault::create`], also where the key is here already: of another vault with the same key files, of a repository whose making was
    /// cut off, or of one that is lost for good.
    ///
    /// # Errors
    /// As [`Vault::create`], without [`Error::KeyIsHere`].
    pub fn create_under_known_key(&self, ca: &str, recovery: &str, label: Label<'_>) -> Result<CaRepository> {
        self.create_with(ca, recovery, label, true)
    }

    fn create_with(&self, ca: &str, recovery: &str, label: Label<'_>, reuse: bool) -> Result<CaRepository> {
        let asked = self.folder_of(ca)?;
        let (base, number) = generation::split(&asked);
        let number = match number {
            Some(number) => number,
            // Another vault may have the same key files, and a repository that follows its first: the key of that one is the one to
            // use here, too.
            None if self.numbers(base)?.is_empty() => self.keyed(base).unwrap_or(1),
            // The CA's name leads to the newest. The first may have been deleted since, and its key may be stolen.
            None => match self.newest(base)? {
                1 => 1,
                newest => {
                    let place = self.objects(&generation::folder(base, newest))?.place();
                    return Err(Error::RepositoryExists { place });
                }
            },
        };
        let ca = generation::folder(base, number);
        let objects = self.objects(&ca)?;
        let storage = |source| Error::Storage { place: objects.place(), source };
        let has_keys = !objects.list(FileType::Key.dirname()).map_err(storage)?.is_empty();
        let exists = objects.len("config").map_err(storage)?.is_some();
        if exists && has_keys {
            return Err(Error::RepositoryExists { place: objects.place() });
        }
        // The key that this call has written.
        let mut written = None;
        let secret = match self.profile.key_file(&ca) {
            Some(key_file) if key_file.exists() && !exists && !reuse && !self.key_is_of_several() => {
                return Err(Error::KeyIsHere { place: objects.place(), key_file });
            }
            Some(file) if file.exists() => Secret::from_key_file(&file)?,
            Some(file) => {
                let secret = Secret::generate(&file);
                secret.write_key_file(&file)?;
                written = Some(file);
                secret
            }
            None => self.profile.secret(&ca)?,
        };
        if has_keys && secret.password().is_some() {
            // Of keys without a configuration each has another master key, and the engine takes the first that the password opens.
            let list = |kind: FileType| objects.list(kind.dirname()).map_err(storage);
            if !list(FileType::Pack)?.is_empty() || !list(FileType::Snapshot)?.is_empty() {
                let detail = "config is missing, and sets are there".to_owned();
                return Err(Error::Damaged { place: objects.place(), detail });
            }
            for (name, _) in list(FileType::Key)? {
                objects.delete(&name).map_err(storage)?;
            }
        }
        let bridge = Bridge::new(Arc::clone(&objects));
        let opened = match exists {
            true => engine::open(&bridge, &secret)?,
            false => engine::init(&bridge, &secret).inspect_err(|_| {
                self.forget_unused_key(written.as_deref(), objects.as_ref());
            })?,
        };
        call(&bridge, "add the recovery key", Unexplained::Mistake, || {
            opened.add_key(recovery, &label.options())
        })?;
        Ok(CaRepository { name: ca.clone(), ..CaRepository::over(objects, secret, &self.profile.name, base) })
    }

    /// Removes the key of a repository that could not be made, so that the next call does not take it for one that is gone. What was sent to a
    /// service may still arrive there, and then its key is needed.
    fn forget_unused_key(&self, written: Option<&Path>, objects: &dyn Objects) {
        let is_done_at_once = matches!(self.profile.place, Place::Folder(_) | Place::Host(_));
        if let Some(key_file) = written.filter(|_| is_done_at_once)
            && matches!(objects.len("config"), Ok(None))
        {
            // One that stays is told by the next call.
            durable::remove_if_present(key_file).ok();
        }
    }
}
