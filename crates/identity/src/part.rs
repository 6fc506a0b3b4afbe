//! The folder of an identity part on disk.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{Access, Found, IoContext, Unfinished, durable, found, unfinished};
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::configuration::Configuration;
use crate::error::{Error, Result};
use crate::fetch::{Fetched, NewFile};
use crate::manifest::{self, FILE_NAME, FileEntry, MAX_FILE, Manifest, Origin, Role};

/// The folder in a set.
pub const DIR: &str = "Identity";

/// An identity part, opened.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) dir: PathBuf,
    /// The list of its files.
    pub manifest: Manifest,
}

/// Where the identity part of a set is written: `Identity` in the set; beside it where the set is a file.
#[must_use]
pub fn beside(set: &Path) -> PathBuf {
    if set.is_dir() { set.join(DIR) } else { sibling(set) }
}

/// `SET.identity`, for a set that nothing can be written into.
pub(crate) fn sibling(set: &Path) -> PathBuf {
    let mut name = set.file_name().unwrap_or_default().to_owned();
    name.push(".identity");
    set.with_file_name(name)
}

/// The identity parts at a path: a folder that is one itself, that of a set, and that beside a set that nothing could be written
/// into, in this order. A folder that a link leads to counts only where the person named it.
#[must_use]
pub fn found_at(path: &Path) -> Vec<PathBuf> {
    let has_list = |dir: &PathBuf| Found::below(dir, FILE_NAME).is_there();
    let inner = [path.join(DIR), sibling(path)].into_iter().filter(|dir| found::is_folder(dir));
    std::iter::once(path.to_owned()).chain(inner).filter(has_list).collect()
}

impl Part {
    /// Opens the identity part in `dir`. Its list is read, and none of its files.
    ///
    /// # Errors
    /// [`Error::NotThere`], [`Error::Manifest`], [`Error::File`].
    pub fn open(dir: &Path) -> Result<Self> {
        let list = Found::below(dir, FILE_NAME);
        let bytes = match list.read(manifest::MAX_LEN) {
            Err(error) if error.is_not_found() => return Err(Error::NotThere { path: dir.to_owned() }),
            other => other?,
        };
        let manifest = Manifest::parse(&bytes)
            .map_err(|reason| Error::Manifest { path: list.path().to_owned(), reason })?;
        Ok(Self { dir: dir.to_owned(), manifest })
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bytes of the list itself.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn list(&self) -> Result<Vec<u8>> {
        Ok(Found::below(&self.dir, FILE_NAME).read(manifest::MAX_LEN)?)
    }

    /// The bytes of one of its files, compared with the list.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::File`].
    pub fn read(&self, entry: &FileEntry) -> Result<Vec<u8>> {
        let file = self.found(entry);
        let damaged = |reason: String| Error::Damaged { path: file.path().to_owned(), reason };
        let content = match file.read(entry.size.min(MAX_FILE)) {
            Err(certadm_files::Error::TooLong { .. }) => {
                return Err(damaged(format!("it has more than the {} bytes of the list", entry.size)));
            }
            Err(error) if error.is_not_found() => return Err(damaged("it is missing".to_owned())),
            other => other?,
        };
        match hashes(&content) == (entry.blake3.clone(), entry.sha256.clone()) {
            true => Ok(content),
            false => Err(damaged("its bytes differ from what was stored".to_owned())),
        }
    }

    /// Reads every file, and looks for files that the list does not name.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for entry in &self.manifest.files {
            if let Err(error) = self.read(entry) {
                let kind = if self.found(entry).is_there() { Kind::FileChanged } else { Kind::FileMissing };
                let text = match &error {
                    Error::Damaged { reason, .. } => reason.clone(),
                    other => other.to_string(),
                };
                findings.push(
                    Finding::warning(kind, text)
                        .code(certadm_rules::Diagnosis::hresult(&error))
                        .in_file(self.found(entry).path())
                        .remedy("take the folder Identity from another copy of the set"),
                );
            }
        }
        let known: BTreeSet<PathBuf> =
            self.manifest.files.iter().map(|entry| self.found(entry).path().to_owned()).collect();
        for dir in std::iter::once(self.dir.clone()).chain(FOLDERS.iter().map(|name| self.dir.join(name))) {
            let Ok(entries) = fs::read_dir(&dir).during("list", &dir) else { continue };
            for path in entries.flatten().map(|entry| entry.path()) {
                let is_ours = path == self.dir.join(FILE_NAME)
                    || FOLDERS.iter().any(|name| path == self.dir.join(name)) && found::is_folder(&path)
                    || known.contains(&path);
                if !is_ours {
                    let finding = Finding::warning(
                        Kind::UnknownFile,
                        "the list of the identity part does not know this file",
                    );
                    findings.push(finding.in_file(path).remedy("find out who put it there; nothing uses it"));
                }
            }
        }
        findings
    }

    /// The configuration that the CA told.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::File`].
    pub fn configuration(&self) -> Result<Option<Configuration>> {
        let Some(entry) = self.manifest.of_role(Role::Configuration).next() else { return Ok(None) };
        let json: Option<Json> = serde_json::from_slice(&self.read(entry)?).ok();
        let configuration = json.as_ref().and_then(Configuration::of_json);
        let path = self.found(entry).path().to_owned();
        configuration
            .map(Some)
            .ok_or_else(|| Error::Damaged { path, reason: "it is no configuration".to_owned() })
    }

    pub(crate) fn found(&self, entry: &FileEntry) -> Found {
        Found::below(&self.dir, entry.path.split('/').collect::<PathBuf>())
    }
}

/// The folders in an identity part.
pub(crate) const FOLDERS: [&str; 7] =
    ["Certificates", "Chains", "Crls", "Cross", "Kra", "Config", "Attachments"];

impl Fetched {
    /// Writes what was fetched into a new folder `dir`, which is there with everything in it or not at all.
    /// `database_signature` names the database that it stands beside, in hexadecimal; empty for none.
    ///
    /// # Errors
    /// [`Error::File`]; in particular when something of that name is there.
    pub fn write(&self, dir: &Path, database_signature: &str, now: FileTime) -> Result<Part> {
        let mut manifest = Manifest::new();
        manifest.ca_name.clone_from(&self.ca_name);
        manifest.host.clone_from(&self.host);
        database_signature.clone_into(&mut manifest.database_signature);
        manifest.taken = Some(now.to_rfc3339());
        manifest.refused.clone_from(&self.refused);
        manifest.files = self.files.iter().map(|file| file.entry(Origin::Fetched, now)).collect();
        write_folder(dir, &mut manifest, &self.files)
    }
}

/// Writes a new identity part.
pub(crate) fn write_folder(dir: &Path, manifest: &mut Manifest, files: &[NewFile]) -> Result<Part> {
    unfinished::refuse_occupied(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir());
    if let Some(parent) = parent {
        durable::create_dir(parent)?;
    }
    let building = Unfinished::folder(dir)?;
    for file in files {
        write_file(building.path(), file)?;
    }
    for folder in FOLDERS.map(|name| building.path().join(name)) {
        if folder.is_dir() {
            durable::sync_dir(&folder)?;
        }
    }
    write_list(building.path(), manifest)?;
    building.place()?;
    Part::open(dir)
}

/// Writes a file into the folder that its path names, which is made if it is not there.
pub(crate) fn write_file(dir: &Path, file: &NewFile) -> Result<()> {
    let path = dir.join(file.path.split('/').collect::<PathBuf>());
    if let Some(folder) = path.parent().filter(|folder| *folder != dir && !found::is_folder(folder)) {
        // A link in its place is no folder of ours, and is not followed.
        durable::create_new_dir(folder)?;
    }
    match file.role {
        // Keys and password hashes are their owner's alone, whoever may read the set.
        Role::Key | Role::Users => durable::create(&path, &file.content, Access::Owner)?,
        _ => durable::write_new(&path, &file.content)?,
    }
    Ok(())
}

/// Writes the list, or puts it into the place of the one before.
pub(crate) fn write_list(dir: &Path, manifest: &mut Manifest) -> Result<()> {
    let path = dir.join(FILE_NAME);
    let bytes = manifest.complete().map_err(|reason| Error::Manifest { path: path.clone(), reason })?;
    Ok(durable::replace(&path, &bytes)?)
}

impl NewFile {
    pub(crate) fn entry(&self, origin: Origin, now: FileTime) -> FileEntry {
        let (blake3, sha256) = hashes(&self.content);
        FileEntry {
            path: self.path.clone(),
            role: self.role,
            origin,
            source: self.source.clone(),
            taken: now.to_rfc3339(),
            size: self.content.len() as u64,
            blake3,
            sha256,
        }
    }
}

fn hashes(content: &[u8]) -> (String, String) {
    (blake3::hash(content).to_hex().to_string(), certadm_rules::hex::encode(&Sha256::digest(content)))
}
