//! The registration record, `restore.json` (certbcli.md 9.3, D20), and what the owner does about it at its start.
//!
//! A request of RegisterThroughFile (D17) is the record as it would be after the registration, `restore.d/request.json`.
//! While it is there it stands for the record; once it is completed, the owner's start puts it in the record's place before
//! anything else. Until then it stays where whoever registered it can complete it, or register anew.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{Found, durable};
use certadm_rules::registration::{MapEntry, RestoreRecord, StartDecision, start_decision};
use certadm_rules::unc::{UncRoot, host_of};
use certadm_rules::{Generation, GenerationRange, Hresult};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::locks;
use crate::recovery::{self, Recovered, Registered};
use crate::used_numbers::UsedNumbers;

/// The record as it lies on disk: one JSON object whose keys are the value names of certbcli.md 9.3. None may be missing: a
/// folder that was not given is null.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stored {
    #[serde(deserialize_with = "Option::deserialize")]
    backup_log_directory: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    check_point_file: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    log_path: Option<String>,
    low_log_number: u32,
    high_log_number: u32,
    restore_map: Vec<(String, String)>,
    restore_map_count: u32,
    database_recovered: u8,
    restore_status: u32,
}

/// A record holds a few paths.
const MOST_BYTES: u64 = 1 << 20;

/// Where a registration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The record itself, beside the CA's configuration.
    Record,
    /// A request in the folder that whoever may restore can write to (certbcli.md D17).
    Request,
}

/// Reads the registration of a CA, request or record, `None` when there is none.
///
/// # Errors
/// [`Error::BadRecord`] when it is no such object, [`Error::File`].
pub fn read(folder: &Folder) -> Result<Option<RestoreRecord>> {
    match read_file(folder.restore_request_path())? {
        None => read_file(folder.restore_record_path()),
        request => Ok(request),
    }
}

/// In which form the registration of a CA is there.
pub fn form(folder: &Folder) -> Form {
    if folder.restore_request_path().exists() { Form::Request } else { Form::Record }
}

fn read_file(path: PathBuf) -> Result<Option<RestoreRecord>> {
    let bytes = match Found::named(path.as_path()).read(MOST_BYTES) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    parse(&bytes).map(Some).map_err(|detail| Error::BadRecord { path, detail })
}

/// Parses a record; on failure says what is wrong with it.
///
/// # Errors
/// A sentence for [`Error::BadRecord`].
pub fn parse(bytes: &[u8]) -> Result<RestoreRecord, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if usize::try_from(stored.restore_map_count) != Ok(stored.restore_map.len()) {
        let (count, pairs) = (stored.restore_map_count, stored.restore_map.len());
        return Err(format!("RestoreMapCount is {count}, RestoreMap has {pairs} pairs"));
    }
    let range = Generation::new(stored.low_log_number)
        .zip(Generation::new(stored.high_log_number))
        .and_then(|(low, high)| GenerationRange::new(low, high))
        .ok_or("its range of log generations is empty")?;
    let database_recovered = match stored.database_recovered {
        0 => false,
        1 => true,
        _ => return Err("DatabaseRecovered is neither 0 nor 1".to_owned()),
    };
    Ok(RestoreRecord {
        backup_log_directory: stored.backup_log_directory,
        checkpoint_directory: stored.check_point_file,
        log_directory: stored.log_path,
        range,
        map: stored
            .restore_map
            .into_iter()
            .map(|(database, new_database)| MapEntry { database, new_database })
            .collect(),
        database_recovered,
        status: Hresult::from_bits(stored.restore_status),
    })
}

/// Writes the record so that a crash leaves the old one or the new one.
///
/// # Errors
/// [`Error::File`].
pub fn write(folder: &Folder, record: &RestoreRecord) -> Result<()> {
    let path = folder.restore_record_path();
    Ok(durable::replace(&path, &in_bytes(&path, record)?)?)
}

/// Writes a registration in this form; from now on it is the one that counts.
///
/// # Errors
/// [`Error::File`].
pub fn register(folder: &Folder, form: Form, record: &RestoreRecord) -> Result<()> {
    match form {
        Form::Record => {
            write(folder, record)?;
            Ok(durable::remove_if_present(&folder.restore_request_path())?)
        }
        Form::Request => {
            let requests = folder.restore_requests_dir();
            if !requests.is_dir() {
                durable::create_dir(&requests)?;
            }
            let path = folder.restore_request_path();
            // The CA's account has to read it, whoever writes it.
            Ok(durable::replace_readable(&path, &in_bytes(&path, record)?)?)
        }
    }
}

/// Puts a request in the record's place once nobody has to write to it any more: whoever may restore may not write to the record. A
/// crash leaves the request, and with it the same registration.
fn merge_request(folder: &Folder) -> Result<()> {
    match read_file(folder.restore_request_path())? {
        Some(request) if request.is_complete() || request.database_recovered => {
            register(folder, Form::Record, &request)
        }
        _ => Ok(()),
    }
}

fn in_bytes(path: &Path, record: &RestoreRecord) -> Result<Vec<u8>> {
    let pairs = record.map.iter().map(|entry| (entry.database.clone(), entry.new_database.clone()));
    let stored = Stored {
        backup_log_directory: record.backup_log_directory.clone(),
        check_point_file: record.checkpoint_directory.clone(),
        log_path: record.log_directory.clone(),
        low_log_number: record.range.low().number(),
        high_log_number: record.range.high().number(),
        restore_map: pairs.collect(),
        restore_map_count: u32::try_from(record.map.len()).unwrap_or(u32::MAX),
        database_recovered: u8::from(record.database_recovered),
        restore_status: record.status.to_bits(),
    };
    let mut bytes = serde_json::to_vec_pretty(&stored)
        .map_err(|error| Error::BadRecord { path: path.to_owned(), detail: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Begins a new registration: what an earlier, unfinished recovery left behind no longer counts.
///
/// # Errors
/// [`Error::File`].
pub fn begin(folder: &Folder, record: &RestoreRecord) -> Result<()> {
    begin_as(folder, Form::Record, record)
}

/// Begins a new registration in this form, as [`begin`] does.
///
/// # Errors
/// [`Error::File`].
pub fn begin_as(folder: &Folder, form: Form, record: &RestoreRecord) -> Result<()> {
    recovery::forget(folder)?;
    register(folder, form, record)
}

/// Begins to take a registration back whose files are still in place: until it is withdrawn the CA does not start (`E_ABORT`), and what
/// an earlier recovery has kept of the image does not count for another database.
///
/// # Errors
/// [`Error::BadRecord`], [`Error::File`].
pub fn give_up(folder: &Folder) -> Result<()> {
    if let Some(record) = read(folder)?.filter(|record| !record.database_recovered) {
        register(folder, form(folder), &RestoreRecord { status: Hresult::E_ABORT, ..record })?;
    }
    recovery::forget_trailer(folder)
}

/// Takes a registration back that was not carried out: the CA starts again as if there had been none.
///
/// # Errors
/// [`Error::File`].
pub fn withdraw(folder: &Folder) -> Result<()> {
    // A request stands for the record while it is there, so it goes last: a crash in between leaves the same registration.
    durable::remove_if_present(&folder.restore_record_path())?;
    durable::remove_if_present(&folder.restore_request_path())?;
    UsedNumbers::forget(folder)
}

/// Refuses while any registration waits.
pub(crate) fn refuse_while_registered(folder: &Folder) -> Result<()> {
    match read(folder)? {
        Some(record) if !record.database_recovered => {
            Err(Error::RestorePending { folder: folder.path().to_owned(), state: record.status })
        }
        _ => Ok(()),
    }
}

/// At the owner's start: carries a completed registration out, removes one that was carried out, refuses on others.
pub(crate) fn carry_out(
    folder: &Folder,
    recover: impl FnOnce(&Folder, &Registered) -> Result<Recovered>,
) -> Result<Option<Recovered>> {
    merge_request(folder)?;
    let record = read(folder)?;
    let recovered = match (start_decision(record.as_ref()), record) {
        (StartDecision::Recover, Some(record)) => {
            let _alone = locks::replace_database(folder)?;
            let recovered = recover(folder, &in_store_terms(folder, &record)?)?;
            write(folder, &RestoreRecord { database_recovered: true, ..record })?;
            Some(recovered)
        }
        (StartDecision::Refuse(state), _) => {
            return Err(Error::RestorePending { folder: folder.path().to_owned(), state });
        }
        (StartDecision::RemoveRecord, _) => None,
        (StartDecision::Normal | StartDecision::Recover, _) => return Ok(None),
    };
    recovery::forget(folder)?;
    durable::remove_if_present(&folder.restore_record_path())?;
    Ok(recovered)
}

/// The record's strings as paths of this folder.
fn in_store_terms(folder: &Folder, record: &RestoreRecord) -> Result<Registered> {
    let malformed =
        |detail: &str| Error::BadRecord { path: folder.restore_record_path(), detail: detail.to_owned() };
    let entry = record.map.first().ok_or_else(|| malformed("it names no database"))?;
    let database = local_path(&entry.new_database)
        .ok_or_else(|| malformed("the database's new path is not on this machine"))?;
    if !same_dir(database.parent(), &folder.database_dir()) {
        return Err(malformed("the database's new path is not in the CA's database folder"));
    }
    let backup_logs = match &record.backup_log_directory {
        Some(path) => local_path(path).ok_or_else(|| malformed("its log folder is not on this machine"))?,
        None => folder.log_dir(),
    };
    // Logs that are not on this machine cannot be looked at; the range does not ask for them.
    let log_directory = record.log_directory.as_deref().and_then(local_path);
    Ok(Registered { database, backup_logs, log_directory, range: record.range })
}

/// A path as a caller may give it: of this system, or in the UNC form of certbcli.md D29. Whether the host in it means
/// this machine was decided when it was registered.
fn local_path(text: &str) -> Option<PathBuf> {
    match host_of(text) {
        Some(host) => UncRoot::of_this_system(host).ok()?.to_path(text).ok().map(PathBuf::from),
        None => Some(PathBuf::from(text)),
    }
}

fn same_dir(one: Option<&Path>, other: &Path) -> bool {
    let resolved = |path: &Path| fs::canonicalize(path).ok();
    one.is_some_and(|one| one == other || (resolved(one).is_some() && resolved(one) == resolved(other)))
}
