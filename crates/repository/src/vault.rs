//! A vault with the repositories of its CAs, and what can be done with one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use certadm_files::scratch::ScratchFolder;
use certadm_files::{Access, Unfinished, durable, unfinished};
use certadm_set::Progress;
use certadm_set::manifest::Manifest;
use certadm_set::retain::Keep;

use crate::address::{folder_of, written};
use crate::bridge::Bridge;
use crate::engine;
use crate::error::{Error, Result};
use crate::generation;
use crate::kept::Kept;
use crate::lately::Lately;
use crate::objects::{ObjectError, Objects};
use crate::point::{self, Point};
use crate::profile::Profile;
use crate::reader::{Reader, Target};
use crate::scratch;
use crate::secret::Secret;
use crate::sink::{Depth, Extent, RepositorySink, SinkOptions};
use crate::storage;

/// The folder of the records of signatures in the state of this machine.
const SIGNATURES: &str = "signatures";

/// A vault: one repository a CA, under one place.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) profile: Profile,
    /// The folder in which this machine remembers which packs it has read, and who has signed which set.
    state: Option<PathBuf>,
}

impl Vault {
    /// The vault of a profile. Nothing is opened yet.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, state: None }
    }

    /// The same; in `state` this machine remembers which packs it has read, so that with [`Extent::New`] old ones are read again
    /// after a while, and who has signed which set ([`CaRepository::signed_with`]).
    #[must_use]
    pub fn remembering_in(self, state: PathBuf) -> Self {
        Self { state: Some(state), ..self }
    }

    /// The repository of a CA; where none is named, of the only one that the vault keeps. Of several that follow one another, the
    /// newest, unless a number is named.
    ///
    /// # Errors
    /// [`Error::WhichCa`], [`Error::Address`], [`Error::NextIsGone`], [`Error::Gone`] where none is named and a key is here without any,
    /// [`Error::NoRepository`] and [`Error::NoVaultFolder`] where its key is not there either, and as [`Profile::secret`].
    pub fn repository(&self, ca: Option<&str>) -> Result<CaRepository> {
        let ca = match ca {
            Some(ca) => self.folder_of(ca)?,
            None => {
                let mut cas = self.cas()?;
                match cas.len() {
                    1 => cas.remove(0),
                    count => {
                        return Err(Error::WhichCa { place: self.place(), count, names: written(&cas) });
                    }
                }
            }
        };
        let (base, number) = generation::split(&ca);
        let folder = generation::folder(base, number.map_or_else(|| self.newest(base), Ok)?);
        let name = if number.is_some() { &ca } else { &folder };
        let objects = self.objects(&folder)?;
        let secret = self.secret(&folder, &objects)?;
        let within = self.profile.verified_within;
        let vault = &self.profile.name;
        let lately = self.state.as_ref().map(|state| Lately::new(state, vault, &folder, within));
        Ok(CaRepository {
            name: name.clone(),
            maintenance: self.profile.maintenance,
            depth: Depth { extent: self.profile.read_back, lately },
            signatures: self.state.as_ref().map(|state| state.join(SIGNATURES).join(vault).join(&folder)),
            ..CaRepository::over(objects, secret, vault, base)
        })
    }

    pub(crate) fn storage(&self, source: ObjectError) -> Error {
        Error::Storage { place: self.place(), source }
    }

    /// Looks whether the storage answers and the CA can have a repository in it, before a key is made.
    ///
    /// # Errors
    /// [`Error::Address`] for a name that can be no CA's, [`Error::Storage`].
    pub fn look(&self, ca: &str) -> Result<()> {
        let folder = self.folder_of(ca)?;
        self.numbers(generation::split(&folder).0)?;
        Ok(())
    }

    /// Whether a password opens the newest repository of a CA, or the one that [`Vault::create`] would have made.
    ///
    /// # Errors
    /// When that cannot be told: as [`CaRepository::points`].
    pub fn is_opened_by(&self, ca: &str, password: &Secret) -> Result<bool> {
        let folder = self.folder_of(ca)?;
        let (base, number) = generation::split(&folder);
        let numbers = match number {
            Some(number) => vec![number],
            None => self.numbers(base)?.into_iter().chain(self.keyed(base)).collect::<Vec<u32>>(),
        };
        for number in numbers {
            let bridge = Bridge::new(self.objects(&generation::folder(base, number))?);
            if engine::is_opened_by(&bridge, password)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key file of a CA's repository; `None` where the vault is opened by a password.
    #[must_use]
    pub fn key_file(&self, ca: &str) -> Option<PathBuf> {
        self.profile.key_file(ca)
    }

    /// Its name in `repositories.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// Which sets are kept when sets expire, as `repositories.toml` says.
    #[must_use]
    pub const fn keep(&self) -> &Keep {
        &self.profile.keep
    }

    /// The folder that it is in; `None` where it is in none.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.profile.place.folder()
    }

    pub(crate) fn objects(&self, ca: &str) -> Result<Arc<dyn Objects>> {
        Ok(self.profile.limits.over(storage::of_ca(&self.profile.place, ca)?))
    }

    pub(crate) fn folder_of(&self, ca: &str) -> Result<String> {
        folder_of(ca).map_err(|detail| Error::Address { text: format!("{}:{ca}", self.profile.name), detail })
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn place(&self) -> String {
        self.profile.place.to_string()
    }
}

/// The repository of one CA.
#[derive(Clone, Debug)]
pub struct CaRepository {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) secret: Secret,
    pub(crate) vault: String,
    pub(crate) ca: String,
    /// The CA's name, with a number where it is one of several repositories of the CA.
    pub(crate) name: String,
    /// Whether something may be deleted from this machine.
    pub(crate) maintenance: bool,
    /// How much of a set is read back.
    pub(crate) depth: Depth,
    /// Looks sets up that may be there already.
    pub(crate) kept: Kept,
    /// The indexes that reading has passed over, with what is wrong with each. Clones share it.
    pub(crate) passed_over: Arc<Mutex<BTreeMap<String, &'static str>>>,
    /// The file in which this machine remembers who has signed which set.
    pub(crate) signatures: Option<PathBuf>,
}

/// Sets that were copied out of a repository, and go away with this.
#[derive(Debug)]
pub struct Fetched {
    /// Their folders: the full set first, then its log sets.
    pub sets: Vec<PathBuf>,
    /// What they are in the repository, in the same order.
    pub points: Vec<Point>,
    _dir: ScratchFolder,
}

impl CaRepository {
    /// A repository over any storage. Nothing is opened yet.
    #[must_use]
    pub fn over(objects: Arc<dyn Objects>, secret: Secret, vault: &str, ca: &str) -> Self {
        Self {
            objects,
            secret,
            vault: vault.to_owned(),
            ca: ca.to_owned(),
            name: ca.to_owned(),
            maintenance: true,
            depth: Depth { extent: Extent::All, lately: None },
            kept: Kept::default(),
            passed_over: Arc::default(),
            signatures: None,
        }
    }

    /// The CA's sanitized name.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The address of the repository that it follows, where it follows one.
    #[must_use]
    pub fn before(&self) -> Option<String> {
        let number = generation::split(&self.name).1.filter(|number| 1 < *number)?;
        Some(format!("{}:{}", self.vault, generation::name(&self.ca, number - 1)))
    }

    /// The file that its key or password was read from.
    #[must_use]
    pub fn secret_file(&self) -> &Path {
        Path::new(self.secret.origin())
    }

    /// Vault and CA, as people write them: `vault:Example CA`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.vault, self.name)
    }

    /// What messages call one of its sets.
    #[must_use]
    pub fn address_of(&self, point: &Point) -> String {
        format!("{}/{}", self.address(), point.short_id())
    }

    /// The CA's sanitized name, with a number where it is one of several repositories of the CA.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, with another rule of how much of a set is read back before it counts.
    #[must_use]
    pub fn reading_back(self, extent: Extent) -> Self {
        Self { depth: Depth { extent, ..self.depth }, ..self }
    }

    /// What the storage does not promise although a backup needs it, and the profile accepts that; a sentence.
    #[must_use]
    pub fn caveat(&self) -> Option<String> {
        self.objects.caveat()
    }

    /// Makes the repository without a recovery key, for tests and for storages of one's own.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn init(&self) -> Result<()> {
        engine::init(&Bridge::new(Arc::clone(&self.objects)), &self.secret).map(drop)
    }

    /// A reader for what changes nothing, which passes over indexes that cannot be read.
    ///
    /// # Errors
    /// As [`CaRepository::points`].
    pub(crate) fn reading(&self) -> Result<Reader> {
        let reader = Reader::open_readable(&self.objects, &self.secret)?;
        let found = reader.passed_over.iter().map(|(name, why)| (name.clone(), *why));
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(reader)
    }

    /// The indexes that could not be read when sets were read out, a sentence each. Every file was compared all the same. Anybody who
    /// may write into the vault can store such a thing, and it keeps backups and expiry from going on until
    /// [`CaRepository::repair`] deletes it.
    #[must_use]
    pub fn passed_over(&self) -> Vec<String> {
        let found = self.passed_over.lock().unwrap_or_else(PoisonError::into_inner);
        found.iter().map(|(name, why)| format!("{name} {why}")).collect()
    }

    /// How many packs an index names, and what is wrong with one that is not there with its length.
    ///
    /// # Errors
    /// As [`CaRepository::points`].
    pub fn lost_packs(&self) -> Result<(usize, Option<String>)> {
        let reader = Reader::open(&self.objects, &self.secret)?;
        let lost = reader.lost_packs()?.into_values().next();
        Ok((reader.packs().len(), lost.map(|(_, detail)| detail)))
    }

    /// The sets that it keeps, the oldest first. Snapshots that certadm did not make are passed over. Where numbers of generations have
    /// begun again, the sets themselves are asked which past of the CA each is of.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NoKeyFits`], [`Error::Storage`], [`Error::Damaged`].
    pub fn points(&self) -> Result<Vec<Point>> {
        Ok(self.with_pasts(self.snapshots()?))
    }

    /// The same, where it does not matter of which past they are: nothing but snapshots is read.
    pub(crate) fn snapshots(&self) -> Result<Vec<Point>> {
        point::points(&self.objects, &self.secret)
    }

    /// Copies sets into a scratch folder below `scratch`, every file compared with its manifest, and that with what the point says.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Damaged`] naming the file, [`Error::Storage`], [`Error::File`].
    pub fn fetch(&self, points: &[Point], scratch: &Path, progress: &mut dyn Progress) -> Result<Fetched> {
        let reader = self.reading()?;
        let mut needed = 0_u64;
        for point in points {
            needed = needed.saturating_add(reader.bytes_of(point)?);
        }
        let dir = scratch::folder(scratch, needed)?;
        let mut sets = Vec::new();
        for point in points {
            let folder = dir.path().join(point.short_id());
            durable::create_new_dir(&folder)?;
            let target = Target { folder: &folder, durable: false, access: Access::Owner };
            self.copy_out(&reader, point, &target, progress)?;
            sets.push(folder);
        }
        Ok(Fetched { sets, points: points.to_vec(), _dir: dir })
    }

    /// Writes a set as a folder of its own, durably, every file compared with its manifest, and that with what the point says.
    ///
    /// # Errors
    /// [`Error::File`] when something is there, [`Error::Damaged`] naming the file, [`Error::Storage`].
    pub fn export(&self, point: &Point, target: &Path, progress: &mut dyn Progress) -> Result<Manifest> {
        unfinished::refuse_occupied(target)?;
        let reader = self.reading()?;
        let building = Unfinished::folder(target)?;
        durable::make_private(building.path())?;
        let folder = Target { folder: building.path(), durable: true, access: Access::Public };
        let manifest = self.copy_out(&reader, point, &folder, progress)?;
        unfinished::refuse_occupied(target)?;
        building.place()?;
        Ok(manifest)
    }

    fn copy_out(
        &self,
        reader: &Reader,
        point: &Point,
        target: &Target<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Manifest> {
        let named = |error| match error {
            Error::Damaged { detail, .. } => {
                Error::Damaged { place: self.address_of(point), detail: reader.with_passed_over(detail) }
            }
            other => other,
        };
        let files = reader.files(point.tree).map_err(named)?;
        let (manifest, bytes) = reader.manifest(&files).map_err(named)?;
        if let Some(detail) = point.contradiction(&manifest) {
            return Err(named(Error::Damaged { place: self.address(), detail }));
        }
        reader.read_all(&files, &manifest, Some(target), progress).map_err(named)?;
        let signature = reader.signature(&files).map_err(named)?;
        target.put_beside(&reader.beside(&files).map_err(named)?)?;
        target.seal(&bytes, signature.as_deref())?;
        Ok(manifest)
    }

    /// Where a backup can put its files.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NoKeyFits`], [`Error::Storage`]; [`Error::Damaged`] when packs are lost.
    pub fn sink(&self, options: SinkOptions) -> Result<RepositorySink> {
        RepositorySink::begin(
            &self.objects,
            &self.secret,
            &self.ca,
            self.address(),
            (options, self.depth.clone()),
        )
    }
}
