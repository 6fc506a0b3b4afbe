//! What goes into the log for the auditor and the administrator: audit records 4876 to 4879, engine events, refusals
//! (certbcli.md 15; wire.md 5.9; wire.md 7, item 10).

use certadm_rules::flags::Control;
use certadm_rules::{BackupType, Tag, TaggedList, names};
use certadm_session::CallError;
use certadm_wire::csra::Method;

use crate::access::{Caller, Refusal};
use crate::shared::Shared;

/// Audit filter: service start and stop, ServerControl (wire.md 5.9).
const SERVICE: u32 = 0x1;
/// Audit filter: backup and restore.
const BACKUP: u32 = 0x2;

/// Where a caller is, for the log.
fn place(caller: &Caller) -> String {
    caller.address.map_or_else(|| "local".to_owned(), |address| address.to_string())
}

/// A call that was refused, and why.
pub(crate) fn refused(caller: &Caller, method: Method, refusal: Refusal) {
    let (identity, address) = (&caller.identity, place(caller));
    tracing::warn!(caller = %identity, %address, opnum = method.opnum(), %refusal, "access denied");
}

/// Audit record 4876, engine events 210 and 211.
pub(crate) fn backup_started(shared: &Shared, caller: &Caller, kind: BackupType) {
    let (identity, address) = (&caller.identity, place(caller));
    match kind {
        BackupType::Full => tracing::info!(event = 210, caller = %identity, %address, "full backup starting"),
        BackupType::LogsOnly => {
            tracing::info!(event = 211, caller = %identity, %address, "incremental backup starting");
        }
    }
    if shared.settings.audit_filter & BACKUP != 0 {
        let backup_type = kind.api_flag();
        tracing::info!(audit = 4876, caller = %identity, %address, backup_type, "backup started");
    }
}

/// Audit record 4877, or engine event 214. Event 213 and 215 are the engine's own.
pub(crate) fn backup_ended(shared: &Shared, caller: &Caller, kind: BackupType, failed: Option<&CallError>) {
    let (identity, address) = (&caller.identity, place(caller));
    match failed {
        Some(error) => {
            tracing::warn!(event = 214, caller = %identity, %address, code = %error.code, "backup stopped with an error");
        }
        None if shared.settings.audit_filter & BACKUP != 0 => {
            let backup_type = kind.api_flag();
            tracing::info!(audit = 4877, caller = %identity, %address, backup_type, "backup completed");
        }
        None => {}
    }
}

/// Engine event 221: a file was delivered whole. Event 222, closed early, is the engine's own.
pub(crate) fn file_closed(copied: Option<(u64, u64)>) {
    if let Some((delivered, size)) = copied
        && delivered == size
    {
        tracing::info!(event = 221, size, "backup of a file ends");
    }
}

/// Engine event 223.
pub(crate) fn logs_listed(logs: &TaggedList) {
    let names: Vec<&str> = logs.paths(Tag::Log).map(names::last_component).collect();
    if let (Some(first), Some(last)) = (names.first(), names.last()) {
        tracing::info!(event = 223, first, last, "logs being backed up");
    }
}

/// Who had the logs deleted; which ones is the engine's event 224.
pub(crate) fn truncated(caller: &Caller) {
    tracing::info!(caller = %caller.identity, address = %place(caller), "logs truncated by order of the caller");
}

/// ServerControl.
pub(crate) fn control(shared: &Shared, caller: &Caller, control: Control) {
    if shared.settings.audit_filter & SERVICE != 0 {
        let (identity, address) = (&caller.identity, place(caller));
        tracing::info!(caller = %identity, %address, ?control, "service control");
    }
}

/// Audit records 4878 and 4879: a registered restore was carried out at this start.
pub(crate) fn restored(audit_filter: u32, low: u32, high: u32) {
    if audit_filter & BACKUP != 0 {
        tracing::info!(audit = 4878, low, high, "restore started");
        tracing::info!(audit = 4879, low, high, "restore completed");
    }
}

/// Service event 26.
pub(crate) fn started(name: &str) {
    tracing::info!(event = 26, ca = name, "certificate service started");
}

/// Service event 38.
pub(crate) fn stopped(name: &str) {
    tracing::info!(event = 38, ca = name, "certificate service stopped");
}
