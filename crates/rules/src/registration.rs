//! Registering a restore: the record that the stopped service finds at its next start (certbcli.md 7.2, 9.3; D16, D18,
//! D20, D21, D31).
//!
//! Rules and data only. Whoever stores the record replaces it in one step with what [`register`] and [`complete`] give
//! back; a refusal leaves it as it was.

use crate::names::same_ignoring_case;
use crate::unc::{self, UncRoot};
use crate::{Generation, GenerationRange, Hresult, RestoreType};

/// A registered restore. It belongs to the machine, not to the context that registered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreRecord {
    /// `BackupLogDirectory`: the folder of the restored logs as the caller gave it, without a separator at its end;
    /// nothing for the CA's own log folder.
    pub backup_log_directory: Option<String>,
    /// `CheckPointFile`: the folder of the checkpoint likewise; nothing for the CA's own.
    pub checkpoint_directory: Option<String>,
    /// `LogPath`: the log folder likewise; nothing for the CA's own.
    pub log_directory: Option<String>,
    /// `LowLogNumber` of the full set and `HighLogNumber`, the highest of all sets (D21).
    pub range: GenerationRange,
    /// `RestoreMap`: the databases of the full set.
    pub map: Vec<MapEntry>,
    /// `DatabaseRecovered`: the recovery is done, and the record only waits to be removed (9.4).
    pub database_recovered: bool,
    /// `RestoreStatus`: [`Hresult::E_PENDING`] until completed, then the code given to [`complete`].
    pub status: Hresult,
}

impl RestoreRecord {
    /// Whether `RegisterComplete` is still owed.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.database_recovered && self.status == Hresult::E_PENDING
    }

    /// Whether it is completed with success and waits for the recovery.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        !self.database_recovered && self.status.is_success()
    }
}

/// One database: where it was when it was backed up, and where it goes. Neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapEntry {
    /// The path recorded at backup time.
    pub database: String,
    /// The path after the restore; the same text when it stays.
    pub new_database: String,
}

/// The arguments of `CertSrvRestoreRegisterW`, unchecked (certbcli.md 6.14). `None` is NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// `pwszCheckPointFilePath`.
    pub checkpoint_directory: Option<String>,
    /// `pwszLogPath`.
    pub log_directory: Option<String>,
    /// `rgrstmap`, as many entries as could be read: none for a count that is not positive.
    pub map: Option<Vec<MapArgument>>,
    /// `crstmap`.
    pub map_count: i32,
    /// `pwszBackupLogPath`.
    pub backup_log_directory: Option<String>,
    /// `genLow`.
    pub low: u32,
    /// `genHigh`.
    pub high: u32,
}

/// One element of `rgrstmap`, unchecked. `None` is NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MapArgument {
    /// `pwszDatabaseName`.
    pub database: Option<String>,
    /// `pwszNewDatabaseName`.
    pub new_database: Option<String>,
}

/// What the caller of [`register`] knows about the context and the machine.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The caller may register restores here.
    pub caller_allowed: bool,
    /// The context names this machine. We offer no remote restore.
    pub target_is_local: bool,
    /// The CA runs.
    pub ca_running: bool,
    /// What the context was opened for.
    pub restore_type: RestoreType,
    /// This context has registered a map before.
    pub map_registered: bool,
    /// The CA to restore.
    pub target: Target<'a>,
}

/// Where a CA keeps its files: absolute paths of this machine, without a separator at the end.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// How this machine's paths look in UNC form, and which host names mean it.
    pub names: &'a UncRoot,
    /// The folder of the database.
    pub database_directory: &'a str,
    /// The folder of the logs.
    pub log_directory: &'a str,
    /// The folder of the checkpoint.
    pub checkpoint_directory: &'a str,
}

/// `RestoreRegister`: the record that replaces `existing`. It is pending until [`complete`].
///
/// # Errors
///
/// In this order (certbcli.md D16): `E_ACCESSDENIED` for a caller without the right; 0x80070032 for another machine;
/// 0x80070420 while the CA runs; 0xC7FF0004 while a registration is pending; `E_INVALIDARG` for a map that does not fit its
/// count, an empty or missing text, or an impossible range. With a map: `E_INVALIDARG` unless the context is for a full
/// restore, and for more than one entry, because a CA has one database; 0xC7FF0008 for the second map of a context;
/// `E_INVALIDARG` for a new path outside the CA's database folder (D31). Without: 0xC7FF000C unless a full registration is
/// completed; `E_INVALIDARG` for folders that are not those of the full one (D21).
pub fn register(
    existing: Option<&RestoreRecord>,
    registration: Registration,
    circumstances: &Circumstances<'_>,
) -> Result<RestoreRecord, Hresult> {
    if !circumstances.caller_allowed {
        return Err(Hresult::E_ACCESSDENIED);
    }
    if !circumstances.target_is_local {
        return Err(Hresult::ERROR_NOT_SUPPORTED);
    }
    if circumstances.ca_running {
        return Err(Hresult::ERROR_SERVICE_ALREADY_RUNNING);
    }
    if existing.is_some_and(RestoreRecord::is_pending) {
        return Err(Hresult::HR_RESTORE_IN_PROGRESS);
    }
    let requested = checked(registration).ok_or(Hresult::E_INVALIDARG)?;
    if requested.map.is_empty() {
        let full = existing.filter(|record| record.is_complete()).ok_or(Hresult::HR_NO_FULL_RESTORE)?;
        merge(full, &requested, &circumstances.target)
    } else {
        check_full(&requested.map, circumstances)?;
        Ok(requested)
    }
}

/// `RestoreRegisterComplete`: the record with the outcome of the caller's copying. Any code whose top bit is clear is a
/// success (certbcli.md D18). A failure keeps the record and the service down; [`Hresult::E_PENDING`] is a failure as well
/// and is noted as [`Hresult::E_FAIL`], since in the record it means another thing.
///
/// # Errors
///
/// `E_UNEXPECTED` when no registration is pending (certbcli.md D16).
pub fn complete(record: Option<&RestoreRecord>, outcome: Hresult) -> Result<RestoreRecord, Hresult> {
    let pending = record.filter(|record| record.is_pending()).ok_or(Hresult::E_UNEXPECTED)?;
    let status = if outcome == Hresult::E_PENDING { Hresult::E_FAIL } else { outcome };
    Ok(RestoreRecord { status, ..pending.clone() })
}

/// What a starting service does about the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartDecision {
    /// There is none: start.
    Normal,
    /// Do not start. The code is the record's status: [`Hresult::E_PENDING`], or the failure that was reported.
    Refuse(Hresult),
    /// Recover; on success set `database_recovered`, remove the record, start; on failure keep the record, do not start.
    Recover,
    /// The recovery is done: remove the record and start. A crash came between the two.
    RemoveRecord,
}

/// What a starting service does about the record (certbcli.md 7.2, 9.4, D22).
#[must_use]
pub fn start_decision(record: Option<&RestoreRecord>) -> StartDecision {
    match record {
        None => StartDecision::Normal,
        Some(record) if record.database_recovered => StartDecision::RemoveRecord,
        Some(record) if record.status.is_success() => StartDecision::Recover,
        Some(record) => StartDecision::Refuse(record.status),
    }
}

/// The arguments as a pending record, or nothing when they break rule 4 of certbcli.md D16. An incremental one has no map.
fn checked(registration: Registration) -> Option<RestoreRecord> {
    let arguments = match registration.map {
        None if registration.map_count == 0 => Vec::new(),
        Some(map) if !map.is_empty() && usize::try_from(registration.map_count) == Ok(map.len()) => map,
        _ => return None,
    };
    let map = arguments
        .into_iter()
        .map(|argument| {
            let given = |path: Option<String>| path.filter(|path| !path.is_empty());
            Some(MapEntry {
                database: given(argument.database)?,
                new_database: given(argument.new_database)?,
            })
        })
        .collect::<Option<_>>()?;
    let range =
        GenerationRange::new(Generation::new(registration.low)?, Generation::new(registration.high)?)?;
    Some(RestoreRecord {
        backup_log_directory: directory(registration.backup_log_directory)?,
        checkpoint_directory: directory(registration.checkpoint_directory)?,
        log_directory: directory(registration.log_directory)?,
        range,
        map,
        database_recovered: false,
        status: Hresult::E_PENDING,
    })
}

/// A folder as it goes into the record; the outer option is nothing for an empty text.
fn directory(given: Option<String>) -> Option<Option<String>> {
    match given.as_deref() {
        Some("") => None,
        given => Some(given.map(|path| trimmed(path).to_owned())),
    }
}

fn trimmed(path: &str) -> &str {
    let separator = if path.starts_with('/') { '/' } else { '\\' };
    unc::without_trailing(path, separator)
}

/// Rule 5 of certbcli.md D16, and D31.
fn check_full(map: &[MapEntry], circumstances: &Circumstances<'_>) -> Result<(), Hresult> {
    if circumstances.restore_type != RestoreType::Full {
        return Err(Hresult::E_INVALIDARG);
    }
    if circumstances.map_registered {
        return Err(Hresult::HR_RESTORE_MAP_EXISTS);
    }
    let target = &circumstances.target;
    let in_place = |entry: &MapEntry| {
        let path = target.local_path(&entry.new_database, unc::host_of(&entry.database))?;
        let separator = target.names.separator();
        let own = target.database_directory.trim_end_matches(separator);
        path.rsplit_once(separator).map(|(folder, _)| target.names.same_path(folder, own))
    };
    // A CA has one database.
    let is_right = matches!(map, [entry] if in_place(entry) == Some(true));
    if is_right { Ok(()) } else { Err(Hresult::E_INVALIDARG) }
}

/// Rule 6 of certbcli.md D16: a logs-only set joins the full one (D21).
fn merge(
    full: &RestoreRecord,
    incremental: &RestoreRecord,
    target: &Target<'_>,
) -> Result<RestoreRecord, Hresult> {
    let folders = [
        (&incremental.backup_log_directory, &full.backup_log_directory, target.log_directory),
        (&incremental.checkpoint_directory, &full.checkpoint_directory, target.checkpoint_directory),
        (&incremental.log_directory, &full.log_directory, target.log_directory),
    ];
    for (given, recorded, own) in folders {
        let recorded = recorded.as_deref().unwrap_or(own);
        if given.as_deref().is_some_and(|given| !target.same_directory(given, recorded)) {
            return Err(Hresult::E_INVALIDARG);
        }
    }
    let high = full.range.high().max(incremental.range.high());
    let range = GenerationRange::new(full.range.low(), high).ok_or(Hresult::E_UNEXPECTED)?;
    Ok(RestoreRecord { range, status: Hresult::E_PENDING, ..full.clone() })
}

impl Target<'_> {
    /// The absolute path that a caller's path means on this machine: in UNC form, where the host may also be the one that
    /// the backup came from, or an absolute path itself. Nothing for a path elsewhere.
    fn local_path(&self, given: &str, original_host: Option<&str>) -> Option<String> {
        if self.names.is_own_form(given) {
            // There and back: the UNC form refuses what is not a plain absolute path.
            return self.names.to_path(&self.names.to_unc(given).ok()?).ok();
        }
        match original_host {
            Some(host) => self.names.clone().accepting(host).ok()?.to_path(given).ok(),
            None => self.names.to_path(given).ok(),
        }
    }

    /// Whether two texts name one folder: by what they mean on this machine where they mean something here, else as texts
    /// without case.
    fn same_directory(&self, left: &str, right: &str) -> bool {
        match (self.local_path(left, None), self.local_path(right, None)) {
            (Some(left), Some(right)) => self.names.same_path(&left, &right),
            _ => same_ignoring_case(trimmed(left), trimmed(right)),
        }
    }
}
