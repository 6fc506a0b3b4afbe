//! The repositories of one CA in a vault: the first, and those that follow it after the theft of a key (repository.md 7). The
//! second one of `Example CA` is in the folder `Example CA!n2`. No sanitized name ends so, because four hexadecimal digits
//! follow each `!` of one.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::error::{Error, Result};
use crate::objects::ObjectError;
use crate::place::Place;
use crate::storage;
use crate::vault::Vault;

/// So many repositories of one CA may follow one another.
pub(crate) const MOST: u32 = 999;

/// What stands between the CA's name and the number.
const MARK: &str = "!n";

/// The CA's name and the number that is written behind it, if one is: `Example CA!n2`.
pub(crate) fn split(name: &str) -> (&str, Option<u32>) {
    let split = name.rsplit_once(MARK).and_then(|(ca, digits)| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        let number = digits.parse::<u32>().ok().filter(|number| plain && *number <= MOST)?;
        Some((ca, number))
    });
    split.map_or((name, None), |(ca, number)| (ca, Some(number)))
}

/// The name of a repository among those of its CA.
pub(crate) fn name(ca: &str, number: u32) -> String {
    format!("{ca}{MARK}{number}")
}

/// The folder of a repository. That of the first has the CA's name alone.
pub(crate) fn folder(ca: &str, number: u32) -> String {
    match number {
        1 => ca.to_owned(),
        number => name(ca, number),
    }
}

/// Whether a folder of a vault counts as a repository, by what the storage says of its `config`. One that follows another one and
/// may not be looked at counts: who passes it over would store under the key that was stolen. Any other one may be a stranger's.
///
/// # Errors
/// What the storage says.
pub(crate) fn counts(folder: &str, config: io::Result<bool>) -> io::Result<bool> {
    match config {
        Err(denied) if denied.kind() == io::ErrorKind::PermissionDenied => Ok(split(folder).1.is_some()),
        config => config,
    }
}

impl Vault {
    /// The sanitized names of the CAs that have a repository in it.
    ///
    /// # Errors
    /// [`Error::Storage`].
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

    /// The CAs, with the numbers of their repositories that a list of the vault shows.
    fn by_ca(&self) -> Result<BTreeMap<String, BTreeSet<u32>>> {
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
            Err(Error::Storage { source, .. }) if is_kept_out(&source) || source.is_not_found() => {
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
                if number != 1
                    && is_service
                    && is_kept_out(&denied)
                    && self.keyed(ca).is_none_or(|keyed| keyed < number) =>
            {
                Ok(false)
            }
            config => Ok(config.map_err(|source| self.storage(source))?.is_some()),
        }
    }
}

fn is_kept_out(error: &ObjectError) -> bool {
    error.source.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_a_name_is_told_from_the_name() {
        for (text, ca, number) in [
            ("Example CA", "Example CA", None),
            ("Example CA!n1", "Example CA", Some(1)),
            ("CA !00281!0029!n12", "CA !00281!0029", Some(12)),
            ("x!n2!n3", "x!n2", Some(3)),
            ("x!n", "x!n", None),
            ("x!n02", "x!n02", None),
            ("x!n0", "x!n0", None),
            ("x!n-1", "x!n-1", None),
            ("x!n1000", "x!n1000", None),
            ("x!0021n2", "x!0021n2", None),
        ] {
            assert_eq!(split(text), (ca, number), "{text}");
        }
        assert_eq!(
            (folder("a", 1), folder("a", 2), name("a", 1)),
            ("a".into(), "a!n2".into(), "a!n1".into())
        );
    }
    #[test]
    fn a_repository_that_follows_and_may_not_be_looked_at_is_not_passed_over() {
        let denied = || Err(io::ErrorKind::PermissionDenied.into());
        assert!(counts("Example CA!n2", denied()).unwrap());
        assert!(!counts("lost+found", denied()).unwrap(), "a stranger's");
        assert!(!counts("Example CA!n2", Ok(false)).unwrap() && counts("Example CA", Ok(true)).unwrap());
        assert!(counts("Example CA", Err(io::ErrorKind::TimedOut.into())).is_err(), "it may be one");
    }
}
