//! The manifest: what a set holds, and its own checksum. A set exists only when its manifest does (invariant 5).
//!
//! The file is JSON in one canonical form and ends with a checksum of itself, so that any changed bit of it shows.
//! docs/set-format.md describes every field.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path};

use certadm_rules::names::{folded, is_safe_component};
use certadm_rules::{FileTime, Hresult};
use serde::{Deserialize, Serialize};

use crate::hashes::{Hashes, Hashing};
use crate::layout::MAX_LOCATIONS;

/// The manifest's file name.
pub const FILE_NAME: &str = "manifest.json";
const FORMAT: &str = "certadm-set";
const VERSION: u32 = 1;
/// No manifest is longer than this, 16 MiB: a set has one entry a log, so this is room for some 30,000 logs. Read, a manifest
/// takes a few times as much memory.
pub const MAX_LEN: u64 = 16 << 20;
/// No path inside a set is longer than this, in bytes, or has more parts: `DataBase/edb00001.log` has two.
const MAX_PATH: usize = 1024;
const MAX_PARTS: usize = 8;
/// No dynamic file is longer than this, 1 GiB: older versions took so long ones. A backup takes, and a restore puts back, no more than
/// the longest CRL ([`certadm_ca::MAX_CRL`]), so that a set with a longer file can be restored without it.
pub(crate) const MAX_DYNAMIC: u64 = 1 << 30;

/// What a set says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `certadm-set`.
    pub format: String,
    /// Version of the format: 1.
    pub version: u32,
    /// What wrote it, such as `certadm 0.1.0`.
    pub tool: String,
    /// The CA.
    pub ca: CaIdentity,
    /// What the backup turned out to be.
    pub kind: SetKind,
    /// Lowest and highest log generation.
    pub generations: Generations,
    /// When the backup began, RFC 3339 UTC.
    pub started: String,
    /// When everything had been stored, RFC 3339 UTC.
    pub finished: String,
    /// Every file of the set.
    pub files: Vec<FileEntry>,
    /// The dynamic files that the CA listed; they are not in the set unless an entry of `files` has the role `dynamic`.
    pub dynamic_files: Vec<String>,
    /// What a restore needs and this set does not hold, one sentence each.
    pub not_included: Vec<String>,
    /// BLAKE3 of the manifest with this field empty, in hexadecimal.
    pub checksum: String,
}

/// Whose set it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaIdentity {
    /// The database's name: the sanitized name of the CA.
    pub name: String,
    /// Host of the CA as its own paths name it.
    pub host: String,
    /// Signature of the database, hexadecimal; empty when it is not known.
    pub database_signature: String,
    /// Signature of the stream of logs, hexadecimal; empty when it is not known.
    pub stream_signature: String,
}

/// Full or logs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetKind {
    /// Database and logs.
    Full,
    /// Logs only.
    Logs,
}

impl std::fmt::Display for SetKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Logs => "logs",
        })
    }
}

/// An inclusive range of generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    /// Lowest.
    pub low: u32,
    /// Highest.
    pub high: u32,
}

/// What a file of the set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The database image.
    Database,
    /// One log.
    Log,
    /// `certbkxp.dat`, the restore map.
    Locations,
    /// A dynamic file, such as a CRL.
    Dynamic,
}

/// One file of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the set, with `/`.
    pub path: String,
    /// What it is.
    pub role: Role,
    /// The name under which the CA offered it.
    pub source: String,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
    /// SHA-256, hexadecimal, where the backup was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What is said of a file whose hashes are not those of its entry.
pub(crate) const CHANGED: &str = "its bytes differ from what was backed up";

impl FileEntry {
    /// Whether a file with these hashes is the one that was backed up.
    pub(crate) fn has(&self, hashes: &Hashes) -> bool {
        self.blake3 == hashes.blake3 && self.sha256 == hashes.sha256
    }

    /// The hashes that a file is compared by: those that the entry has.
    #[must_use]
    pub fn hashing(&self) -> Hashing {
        if self.sha256.is_some() { Hashing::Both } else { Hashing::Blake3 }
    }
}

impl Role {
    /// Its name, as the manifest has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Log => "log",
            Self::Locations => "locations",
            Self::Dynamic => "dynamic",
        }
    }

    /// The code for a file of this role whose bytes are wrong; `torn` when its end is missing.
    pub(crate) const fn code_of_damage(self, torn: bool) -> Hresult {
        match self {
            Self::Database => Hresult::READ_VERIFY_FAILURE,
            Self::Log if torn => Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
            Self::Log => Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
            Self::Locations | Self::Dynamic => Hresult::ERROR_INVALID_DATA,
        }
    }

    /// The code for a file of this role that is not there.
    pub const fn code_of_absence(self) -> Hresult {
        match self {
            Self::Database => Hresult::ATTACHED_DATABASE_MISMATCH,
            Self::Log => Hresult::MISSING_RESTORE_LOG_FILES,
            Self::Locations | Self::Dynamic => Hresult::ERROR_FILE_NOT_FOUND,
        }
    }
}

impl Manifest {
    /// When the backup began; `None` where that is no moment.
    #[must_use]
    pub fn started_at(&self) -> Option<FileTime> {
        FileTime::from_rfc3339(&self.started)
    }

    /// When everything had been stored; `None` where that is no moment.
    #[must_use]
    pub fn finished_at(&self) -> Option<FileTime> {
        FileTime::from_rfc3339(&self.finished)
    }

    /// A manifest of the present format, with no files and no checksum yet.
    pub fn new(ca: CaIdentity, kind: SetKind, started: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: concat!("certadm ", env!("CARGO_PKG_VERSION")).to_owned(),
            ca,
            kind,
            generations: Generations { low: 0, high: 0 },
            started,
            finished: String::new(),
            files: Vec::new(),
            dynamic_files: Vec::new(),
            not_included: Vec::new(),
            checksum: String::new(),
        }
    }

    /// Puts the checksum into the manifest and gives its bytes; once they stand in their file, the set is complete.
    ///
    /// # Errors
    /// A sentence, should the manifest not be expressible as JSON, or be too long.
    pub fn complete(&mut self) -> Result<Vec<u8>, String> {
        self.checksum = String::new();
        self.checksum = blake3::hash(&self.to_bytes()?).to_hex().to_string();
        let bytes = self.to_bytes()?;
        if bytes.len() as u64 > MAX_LEN {
            return Err(format!(
                "it would be longer than {MAX_LEN} bytes: take a full backup, which deletes logs"
            ));
        }
        Ok(bytes)
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// A sentence that says what is wrong: too long, no such JSON, another version, a checksum that does not fit, a path
    /// that leaves the set or is there twice, a size that no such file has.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > MAX_LEN {
            return Err(format!("it is longer than {MAX_LEN} bytes"));
        }
        let mut manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT || manifest.version != VERSION {
            return Err(format!("its format is {} {}", manifest.format, manifest.version));
        }
        let stated = std::mem::take(&mut manifest.checksum);
        let fits = blake3::hash(&manifest.to_bytes()?).to_hex().as_str() == stated;
        manifest.checksum = stated;
        if !fits || manifest.to_bytes()? != bytes {
            return Err("its checksum does not fit".to_owned());
        }
        if manifest.generations.low > manifest.generations.high {
            return Err("its range of generations is empty".to_owned());
        }
        if let Some(entry) = manifest.files.iter().find(|entry| !stays_inside(&entry.path)) {
            return Err(format!("it names {:?}, which is outside the set", entry.path));
        }
        manifest.check_entries()?;
        Ok(manifest)
    }

    /// Each path once, whatever its case, because a set may lie on a system that does not tell cases apart; one image and
    /// one restore map; sizes that can be.
    pub(crate) fn check_entries(&self) -> Result<(), String> {
        let mut paths = HashSet::new();
        let mut total: u64 = 0;
        for entry in &self.files {
            if !paths.insert(folded(&entry.path)) {
                return Err(format!("it names {:?} twice", entry.path));
            }
            let most = match entry.role {
                Role::Dynamic => MAX_DYNAMIC,
                Role::Locations => MAX_LOCATIONS,
                Role::Database | Role::Log => u64::MAX,
            };
            total = total.checked_add(entry.size).filter(|_| entry.size <= most).ok_or_else(|| {
                format!("it says that {:?} has {} bytes, which no such file has", entry.path, entry.size)
            })?;
        }
        for role in [Role::Database, Role::Locations] {
            if self.files.iter().filter(|entry| entry.role == role).count() > 1 {
                return Err(format!("it names two files of the role {}", role.word()));
            }
        }
        Ok(())
    }

    /// The database image's entry, in a full set.
    pub fn database(&self) -> Option<&FileEntry> {
        self.files.iter().find(|entry| entry.role == Role::Database)
    }

    /// The logs' entries.
    pub fn logs(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|entry| entry.role == Role::Log)
    }

    /// Whether both name the same files with the same bytes. A set that was sealed twice has two manifests.
    pub fn has_same_files(&self, other: &Self) -> bool {
        let files = |manifest: &Self| {
            let named = |file: &FileEntry| (file.path.clone(), (file.size, file.blake3.clone()));
            manifest.files.iter().map(named).collect::<BTreeMap<_, _>>()
        };
        files(self) == files(other)
    }

    /// Bytes of all files.
    pub fn total_size(&self) -> u64 {
        self.files.iter().map(|entry| entry.size).fold(0, u64::saturating_add)
    }

    /// The bytes of its file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= MAX_PATH
        && path.split('/').count() <= MAX_PARTS
        && !path.contains(['\\', '\0'])
        && Path::new(path).components().all(|component| matches!(component, Component::Normal(_)))
        && path.split('/').all(is_safe_component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Vec<u8> {
        let ca = CaIdentity {
            name: "Test CA".to_owned(),
            host: "host".to_owned(),
            database_signature: "00".to_owned(),
            stream_signature: "01".to_owned(),
        };
        let mut manifest = Manifest::new(ca, SetKind::Full, "2026-01-01T00:00:00Z".to_owned());
        manifest.generations = Generations { low: 1, high: 2 };
        manifest.complete().unwrap()
    }

    #[test]
    fn every_flipped_bit_shows() {
        let bytes = complete();
        assert!(Manifest::parse(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::parse(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn paths_stay_inside() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a\\b",
            "./x",
            "a//b",
            "a/",
            "a/NUL.crl",
            "a:b",
            "a\u{1b}b",
            "a/b/c/d/e/f/g/h/i",
            &"x".repeat(1025),
        ] {
            assert!(!stays_inside(bad), "{bad}");
        }
        assert!(stays_inside("DataBase/edb00001.log"));
    }

    fn entry(path: &str, role: Role, size: u64) -> FileEntry {
        let (path, source) = (path.to_owned(), String::new());
        FileEntry { path, role, source, size, blake3: String::new(), sha256: None }
    }

    #[test]
    fn entries_that_cannot_be_are_refused() {
        let with = |files: Vec<FileEntry>| {
            let mut manifest = Manifest::parse(&complete()).unwrap();
            manifest.files = files;
            Manifest::parse(&manifest.complete().unwrap())
        };
        assert!(with(vec![entry("a", Role::Log, 1), entry("b", Role::Database, u64::MAX - 1)]).is_ok());
        for (files, text) in [
            (vec![entry("a/x", Role::Log, 1), entry("a/x", Role::Log, 1)], "twice"),
            (vec![entry("a/x", Role::Log, 1), entry("A/X", Role::Dynamic, 1)], "twice"),
            (vec![entry("a", Role::Log, 1), entry("b", Role::Database, u64::MAX)], "no such file"),
            (vec![entry("a", Role::Dynamic, MAX_DYNAMIC + 1)], "no such file"),
            (vec![entry("a", Role::Locations, MAX_LOCATIONS + 1)], "no such file"),
            (vec![entry("a", Role::Database, 1), entry("b", Role::Database, 1)], "two files"),
        ] {
            let error = with(files).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_manifest_that_could_not_be_read_is_not_written() {
        let mut manifest = Manifest::parse(&complete()).unwrap();
        manifest.files = (0..200_000).map(|number| entry(&format!("x{number}"), Role::Log, 1)).collect();
        assert!(manifest.complete().unwrap_err().contains("longer than"));
        assert!(Manifest::parse(&vec![b'['; 17 << 20]).unwrap_err().contains("longer than"));
    }
}
