//! What is told of backups and restores, under the numbers of Windows: audit records and the engine's events
//! (certbcli.md 15). One place for all roads: [`LocalSource`](crate::LocalSource) tells it, whether a command works on the
//! CA's folder or a caller comes through the service.

use std::fmt::Display;
use std::net::IpAddr;
use std::path::Path;

use certadm_rules::diagnosis::chain_of;
use certadm_rules::flags::BackupType;
use certadm_rules::sequence::OpenFile;
use certadm_rules::{Generation, Hresult, Tag, TaggedList, names};
use certadm_store::RunningBackup;

/// Who takes a backup, as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
    /// From where; none on this machine.
    address: Option<IpAddr>,
}

impl Caller {
    /// Somebody on this machine.
    pub fn local(name: impl Into<String>) -> Self {
        Self { name: name.into(), address: None }
    }

    /// An account over the network.
    pub fn remote(account: impl Into<String>, address: Option<IpAddr>) -> Self {
        Self { name: account.into(), address }
    }

    /// The user that this process runs as.
    #[must_use]
    pub fn this_process() -> Self {
        #[cfg(unix)]
        let name = {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            format!("uid {uid} gid {gid}")
        };
        #[cfg(not(unix))]
        let name = std::env::var("USERNAME").unwrap_or_else(|_| "this user".to_owned());
        Self::local(name)
    }

    fn place(&self) -> String {
        self.address.map_or_else(|| "local".to_owned(), |address| address.to_string())
    }
}

impl Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(f, "account {} from {address}", self.name),
            None => write!(f, "{} on the CA's machine", self.name),
        }
    }
}

/// Why a service gives a backup up (certbcli.md D14, D30).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The client's last connection is gone.
    Client,
    /// No call for too long.
    Idle,
    /// Its object is released or forgotten.
    Object,
    /// The caller's account was changed, disabled or removed.
    Account,
    /// The service stops.
    Service,
}

impl Loss {
    const fn reason(self) -> &'static str {
        match self {
            Self::Client => "the client's connection is gone",
            Self::Idle => "the client has been idle for too long",
            Self::Object => "the client has let go of the object",
            Self::Account => "the account was changed, disabled or removed",
            Self::Service => "the service stops",
        }
    }
}

/// Tells the log what becomes of one caller's backups.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) caller: Caller,
    /// Whether the CA's audit filter asks for backups.
    pub(crate) audits: bool,
}

impl Events {
    /// 210, 211, and audit record 4876.
    pub(crate) fn backup_started(&self, kind: BackupType) {
        let (caller, address) = (&self.caller.name, self.caller.place());
        match kind {
            BackupType::Full => tracing::info!(event = 210, %caller, %address, "full backup starting"),
            BackupType::LogsOnly => {
                tracing::info!(event = 211, %caller, %address, "incremental backup starting");
            }
        }
        if self.audits {
            let backup_type = kind.api_flag();
            tracing::info!(audit = 4876, %caller, %address, backup_type, "backup started");
        }
    }

    /// A backup that another one keeps from beginning. Windows has no number for it.
    pub(crate) fn backup_refused(&self, running: &RunningBackup) {
        let (caller, address) = (&self.caller.name, self.caller.place());
        let (by, since) = (&running.by, running.since.to_rfc3339());
        tracing::warn!(%caller, %address, by, since, "backup refused: another one is running");
    }

    /// 213, and audit record 4877; without a number where no file was opened, which is no backup.
    pub(crate) fn backup_completed(&self, kind: BackupType, is_empty: bool) {
        let (caller, address) = (&self.caller.name, self.caller.place());
        if is_empty {
            tracing::info!(%caller, %address, "backup ended before any file was opened");
            return;
        }
        tracing::info!(event = 213, "backup completed");
        if self.audits {
            let backup_type = kind.api_flag();
            tracing::info!(audit = 4877, %caller, %address, backup_type, "backup completed");
        }
    }

    /// 215: the caller ends a backup that is not complete.
    pub(crate) fn backup_stopped(&self, code: Hresult) {
        tracing::warn!(event = 215, %code, "backup stopped");
    }

    /// 226 when the service stops, 215 for all other losses.
    pub(crate) fn backup_given_up(&self, loss: Loss) {
        let (caller, reason) = (&self.caller.name, loss.reason());
        if loss == Loss::Service {
            tracing::warn!(event = 226, %caller, reason, "backup stopped prematurely");
        } else {
            tracing::warn!(event = 215, %caller, reason, "backup stopped");
        }
    }

    /// 219.
    pub(crate) fn mark_failed(&self, error: &dyn std::error::Error, code: Hresult) {
        tracing::error!(event = 219, error = %chain_of(error), %code, "the backup could not be noted");
    }

    /// 214: what a caller is told at the end of a backup that failed.
    pub(crate) fn backup_failed(&self, code: Hresult) {
        let (caller, address) = (&self.caller.name, self.caller.place());
        tracing::warn!(event = 214, %caller, %address, %code, "backup stopped with an error");
    }

    /// 217.
    pub(crate) fn database_failed(&self, error: &dyn std::error::Error) {
        tracing::error!(event = 217, error = %chain_of(error), "the database cannot be backed up");
    }

    /// 218.
    pub(crate) fn read_failed(&self, error: &dyn std::error::Error, code: Hresult) {
        tracing::error!(event = 218, error = %chain_of(error), %code, "error while a file was copied");
    }

    /// 220.
    pub(crate) fn file_opened(&self, name: &str, size: u64) {
        tracing::debug!(event = 220, name, size, "backup of a file begins");
    }

    /// 221 for a file that was delivered whole, 222 for one that was not; neither where the reading failed at its end.
    pub(crate) fn file_closed(&self, file: OpenFile) {
        let (read, size) = (file.delivered(), file.size());
        if file.remaining() > 0 {
            tracing::warn!(event = 222, read, size, "a file was closed before all of it was read");
        } else if !file.read_failed() {
            tracing::info!(event = 221, size, "backup of a file ends");
        }
    }

    /// 223.
    pub(crate) fn logs_listed(&self, logs: &TaggedList) {
        let names: Vec<&str> = logs.paths(Tag::Log).map(names::last_component).collect();
        if let (Some(first), Some(last)) = (names.first(), names.last()) {
            tracing::info!(event = 223, first, last, "logs being backed up");
        }
    }

    /// A dynamic file whose name cannot stand in a list. Windows has no number for it: all names of its files can.
    pub(crate) fn file_not_listed(&self, path: &Path) {
        tracing::warn!(?path, "a file is not listed for backups: its name has no UNC form; rename it");
    }

    /// 224 with the logs that were deleted, 227 when some between them were not there, 225 when there was none.
    pub(crate) fn logs_deleted(&self, deleted: &[Generation]) {
        let (caller, address) = (&self.caller.name, self.caller.place());
        let (Some(first), Some(last)) = (deleted.first(), deleted.last()) else {
            tracing::info!(event = 225, %caller, %address, "no log can be truncated");
            return;
        };
        let (first, last) = (first.number(), last.number());
        tracing::info!(event = 224, first, last, %caller, %address, "logs deleted");
        let missing = u64::from(last - first) + 1 - deleted.len() as u64;
        if missing > 0 {
            tracing::warn!(event = 227, first, last, missing, "some logs to delete were not there");
        }
    }
}

/// Audit records 4878 and 4879: a start of the CA has carried a registered restore out.
pub(crate) fn restored(low: Generation, high: Generation) {
    let (low, high) = (low.number(), high.number());
    tracing::info!(audit = 4878, low, high, "restore started");
    tracing::info!(audit = 4879, low, high, "restore completed");
}
