//! Which CAs a vault keeps, and which repositories each of them has (`generation.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine;
use crate::error::{Error, Result};
use crate::generation::{MOST, folder, name, split};
use crate::objects::Objects;
use crate::place::Place;
use crate::secret::Secret;
use crate::storage;
use crate::vault::Vault;

/// Whether the storage says that no repository is there.
fn is_absent(objects: &Arc<dyn Objects>) -> bool {
    matches!(objects.len("config"), Ok(None))
}

impl Vault {
    /// What opens a repository. Where its key file is not there, and no repository either, the CA's name is wrong, or its repository was
    /// never made.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NoVaultFolder`]; as [`Profile::secret`](crate::Profile::secret).
    pub(crate) fn secret(&self, folder: &str, objects: &Arc<dyn Objects>) -> Result<Secret> {
        let secret = self.profile.secret(folder);
        match &secret {
            Err(Error::File(error)) if error.is_not_found() => {
                match engine::refuse_absent(objects.as_ref(), None) {
                    Err(absent @ (Error::NoRepository { .. } | Error::NoVaultFolder { .. })) => Err(absent),
                    _ => secret,
                }
            }
            // It matters where the repository is not there, and costs a list of the vault.
            Ok(_) if self.profile.shares_key_file() && is_absent(objects) && self.key_is_of_several() => {
                Ok(secret?.of_several())
            }
            _ => secret,
        }
    }

    /// Whether repositories of several CAs have one key file, and one of them is there: then the file says of no other one that it was
    /// made.
    pub(crate) fn key_is_of_several(&self) -> bool {
        self.profile.shares_key_file()
            && match self.by_ca_listed() {
                Ok(cas) => !cas.is_empty(),
                Err(Error::Storage { source, .. }) if source.is_not_found() => false,
                // Nobody can tell.
                Err(_) => true,
            }
    }

    /// The sanitized names of the CAs that have a repository in it.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Gone`] where there is none, and this machine has the key of one.
    pub fn cas(&self) -> Result<Vec<String>> {
        Ok(self.by_ca()?.into_keys().collect())
    }

    /// The names of all repositories: the CA's, and a number behind it where several follow one another (`Example CA!n1`).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn repositories(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for (ca, mut numbers) in self.by_ca()? {
            if matches!(self.profile.place, Place::Server(_)) {
                // What was listed is what the profile says.
                let found = self.numbers(&ca)?;
                numbers = if found.is_empty() { numbers } else { found };
            }
            match numbers.iter().eq([&1]) {
                true => names.push(ca),
                false => names.extend(numbers.iter().map(|number| name(&ca, *number))),
            }
        }
        Ok(names)
    }

    /// The CAs, with the numbers of their repositories that a list of the vault shows. A vault without any of whose CAs the keys are here is
    /// not a new one.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Storage`].
    fn by_ca(&self) -> Result<BTreeMap<String, BTreeSet<u32>>> {
        let cas = self.by_ca_listed()?;
        if cas.is_empty()
            && let Some(key_file) = self.profile.key_files().into_iter().next()
        {
            return Err(Error::Gone { place: self.place(), key_file });
        }
        Ok(cas)
    }

    fn by_ca_listed(&self) -> Result<BTreeMap<String, BTreeSet<u32>>> {
        let mut cas: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for folder in storage::repositories(&self.profile.place, &|_| true)? {
            let (ca, number) = split(&folder);
            cas.entry(ca.to_owned()).or_default().insert(number.unwrap_or(1));
        }
        Ok(cas)
    }

    /// The number of the newest repository of a CA. Where there is none, that of the first.
    ///
    /// # Errors
    /// [`Error::NextIsGone`] when this machine has the key of a newer one; [`Error::Storage`].
    pub(crate) fn newest(&self, ca: &str) -> Result<u32> {
        let newest = self.numbers(ca)?.last().copied().unwrap_or(1);
        match self.keyed(ca).filter(|keyed| newest < *keyed) {
            None => Ok(newest),
            // A list may be late.
            Some(keyed) if self.is_there(ca, keyed)? => Ok(keyed),
            Some(keyed) => {
                let folder = folder(ca, keyed);
                let key_file = self.profile.key_file(&folder).unwrap_or_default();
                Err(Error::NextIsGone { place: self.place(), repository: folder, key_file })
            }
        }
    }

    /// The numbers of the repositories of a CA that are there, whoever has their keys. Any of them may be missing: old ones are
    /// deleted when nothing of them is needed.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn numbers(&self, ca: &str) -> Result<BTreeSet<u32>> {
        if let Place::Server(server) = &self.profile.place {
            let told = server.cas.iter().map(|folder| split(folder)).filter(|(told, _)| *told == ca);
            let told = told.filter_map(|(_, number)| number);
            return Ok(self.probed(ca)?.into_iter().chain(told).collect());
        }
        match storage::repositories(&self.profile.place, &|folder| split(folder).0 == ca) {
            Ok(folders) => Ok(folders.iter().map(|folder| split(folder).1.unwrap_or(1)).collect()),
            // The vault is not made yet, or this account may reach the CA's own folder alone.
            Err(Error::Storage { source, .. }) if source.is_denied() || source.is_not_found() => {
                self.probed(ca)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Vault::numbers`], where nothing lists them: by their names, up to the first that is missing. A storage that says of
    /// everything that it is there is asked so often, and no more.
    fn probed(&self, ca: &str) -> Result<BTreeSet<u32>> {
        let mut numbers = BTreeSet::new();
        for number in 1..=MOST {
            if self.is_there(ca, number)? {
                numbers.insert(number);
            } else if number != 1 {
                break;
            }
        }
        Ok(numbers)
    }

    /// The highest number of which this machine has a key file; `None` where all have the same, or there is none but the first's.
    pub(crate) fn keyed(&self, ca: &str) -> Option<u32> {
        let first = self.profile.key_file(ca)?;
        let file = |number| self.profile.key_file(&folder(ca, number)).filter(|file| *file != first);
        (2..=MOST).rev().find(|number| file(*number).is_some_and(|file| file.exists()))
    }

    /// Whether a repository is there, by what its storage says of its `config`. An account of a service that may reach the CA's
    /// own folder alone, `CA/` of a bucket, is denied at the next one; it could use no repository there either. Who has the key
    /// of one was meant to use it.
    fn is_there(&self, ca: &str, number: u32) -> Result<bool> {
        let config = self.objects(&folder(ca, number))?.len("config");
        let is_service = matches!(self.profile.place, Place::Bucket(_) | Place::Server(_));
        match config {
            Err(denied)
                if is_service
                    && denied.is_denied()
                    && self.keyed(ca).map_or(number != 1, |keyed| keyed != number) =>
            {
                Ok(false)
            }
            config => Ok(config.map_err(|source| self.storage(source))?.is_some()),
        }
    }
}
