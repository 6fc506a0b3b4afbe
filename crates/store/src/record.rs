//! The registration record, `restore.json` (certbcli.md 9.3, D20), and what the owner does about it at its start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use certadm_proto::csra::{Generation, GenerationRange, Hresult};
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Error, IoContext, Result};
use crate::folder::Folder;
use crate::locks;
use crate::recovery::{self, Recovered, Registered};

/// A registration as it lies on disk: one JSON object whose keys are the value names of certbcli.md 9.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RestoreRecord {
    /// The folder of the restored logs, as the caller gave it; `null` for the CA's own log folder.
    pub backup_log_directory: Option<String>,
    /// The folder of the checkpoint file, as the caller gave it; `null` for the CA's own log folder.
    pub check_point_file: Option<String>,
    /// The log folder, as the caller gave it; `null` for the CA's own.
    pub log_path: Option<String>,
    /// First generation of the full set.
    pub low_log_number: u32,
    /// Highest generation of all registrations.
    pub high_log_number: u32,
    /// Old path and new path of each database.
    pub restore_map: Vec<(String, String)>,
    /// How many pairs `restore_map` has.
    pub restore_map_count: u32,
    /// 1 once the recovery is done and the record only waits to be removed.
    pub database_recovered: u8,
    /// The HRESULT of RegisterComplete; 0x8000000A while pending.
    pub restore_status: u32,
}

impl RestoreRecord {
    /// The state of the registration as an HRESULT.
    pub fn status(&self) -> Hresult {
        Hresult::from_bits(self.restore_status)
    }
}

/// Reads the record of a CA, `None` when there is none.
///
/// # Errors
/// [`Error::BadRecord`] when it is no such object, [`Error::Io`].
pub fn read(folder: &Folder) -> Result<Option<RestoreRecord>> {
    let path = folder.restore_record_path();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).during("read", &path),
    };
    parse(&bytes).map(Some).map_err(|detail| Error::BadRecord { path, detail })
}

/// Parses a record; on failure says what is wrong with it.
///
/// # Errors
/// A sentence for [`Error::BadRecord`].
pub fn parse(bytes: &[u8]) -> Result<RestoreRecord, String> {
    let record: RestoreRecord = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if usize::try_from(record.restore_map_count).ok() != Some(record.restore_map.len()) {
        return Err(format!(
            "RestoreMapCount is {}, RestoreMap has {} pairs",
            record.restore_map_count,
            record.restore_map.len()
        ));
    }
    if record.low_log_number == 0 || record.low_log_number > record.high_log_number {
        return Err("its range of log generations is empty".to_owned());
    }
    if record.database_recovered > 1 {
        return Err("DatabaseRecovered is neither 0 nor 1".to_owned());
    }
    Ok(record)
}

/// Writes the record so that a crash leaves the old one or the new one.
///
/// # Errors
/// [`Error::Io`].
pub fn write(folder: &Folder, record: &RestoreRecord) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(record).map_err(|error| Error::BadRecord {
        path: folder.restore_record_path(),
        detail: error.to_string(),
    })?;
    bytes.push(b'\n');
    durable::replace(&folder.restore_record_path(), &bytes)
}

/// Refuses while any registration waits.
pub(crate) fn refuse_while_registered(folder: &Folder) -> Result<()> {
    match read(folder)? {
        Some(record) if record.database_recovered == 0 => {
            Err(Error::RestorePending { folder: folder.path().to_owned(), state: record.status() })
        }
        _ => Ok(()),
    }
}

/// At the owner's start: carries a completed registration out, removes one that was carried out, refuses on others.
pub(crate) fn carry_out(
    folder: &Folder,
    recover: impl FnOnce(&Folder, &Registered) -> Result<Recovered>,
) -> Result<Option<Recovered>> {
    let Some(mut record) = read(folder)? else {
        return Ok(None);
    };
    let mut recovered = None;
    if record.database_recovered == 0 {
        if !record.status().is_success() {
            return Err(Error::RestorePending { folder: folder.path().to_owned(), state: record.status() });
        }
        let _alone = locks::replace_database(folder)?;
        recovered = Some(recover(folder, &in_store_terms(folder, &record)?)?);
        record.database_recovered = 1;
        write(folder, &record)?;
    }
    recovery::forget(folder)?;
    durable::remove_if_present(&folder.restore_record_path())?;
    Ok(recovered)
}

/// The record's strings as paths of this folder.
fn in_store_terms(folder: &Folder, record: &RestoreRecord) -> Result<Registered> {
    let malformed =
        |detail: &str| Error::BadRecord { path: folder.restore_record_path(), detail: detail.to_owned() };
    let (_, new_name) = record.restore_map.first().ok_or_else(|| malformed("it names no database"))?;
    let database =
        local_path(new_name).ok_or_else(|| malformed("the database's new path is not on this machine"))?;
    if !same_dir(database.parent(), &folder.database_dir()) {
        return Err(malformed("the database's new path is not in the CA's database folder"));
    }
    let backup_logs = match &record.backup_log_directory {
        Some(path) => local_path(path).ok_or_else(|| malformed("its log folder is not on this machine"))?,
        None => folder.log_dir(),
    };
    let range = Generation::new(record.low_log_number)
        .zip(Generation::new(record.high_log_number))
        .and_then(|(low, high)| GenerationRange::new(low, high))
        .ok_or_else(|| malformed("its range of log generations is empty"))?;
    Ok(Registered { database, backup_logs, range })
}

/// A path as a caller may give it: of this system, or in the UNC form of certbcli.md D29.
fn local_path(text: &str) -> Option<PathBuf> {
    if text.starts_with(r"\\") {
        return None; // UNC
    }
    Some(PathBuf::from(text))
}

fn same_dir(one: Option<&Path>, other: &Path) -> bool {
    let resolved = |path: &Path| fs::canonicalize(path).ok();
    one.is_some_and(|one| one == other || (resolved(one).is_some() && resolved(one) == resolved(other)))
}
