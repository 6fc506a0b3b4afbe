//! What is inside a CA's folder: files, generations, marks, a restore that waits. `certadm_ca::health` looks and judges.

use std::path::Path;

use certadm_ca::health::{Content, Database, Health, LastCheck, Logs, Restore, Thresholds, examine};
use certadm_rules::{BackupKind, FileTime, Generation};
use certadm_store::Mark;
use serde_json::{Value, json};

use super::facts::{fact, finish, requests_text};
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes, path_text};

pub(super) fn show(dir: &Path, thresholds: &Thresholds, output: Output) -> Result<Done, Failure> {
    let health = examine(dir, thresholds)?;
    print(dir, &health, output);
    let result = to_json(dir, &health);
    // Looking at the folder does not read the database through: that is said, not implied.
    let good = match &health.last_check {
        Some(LastCheck { when, by, .. }) => {
            format!("in order; the database was last checked on {when}, by {by}")
        }
        None => {
            "nothing found; no check of this database is on record: `certadm backup` makes one".to_owned()
        }
    };
    Ok(finish(&health.findings, &good, result, output))
}

fn print(dir: &Path, health: &Health, output: Output) {
    fact(output, "Folder", &dir.display().to_string());
    if let Some(config) = &health.config {
        fact(output, "CA", config.name.as_str());
    }
    if matches!(health.restore, Restore::Registered(_)) {
        fact(output, "Restore", health.restore.word());
    }
    let owner = match health.is_owned {
        Some(true) => "a service or command runs as the CA's owner",
        Some(false) => "none runs",
        None => "unknown: the lock file cannot be read",
    };
    fact(output, "Owner", owner);
    let Logs { count, bytes, ends } = health.logs;
    let logs = ends.map_or_else(
        || "none archived".to_owned(),
        |(low, high)| format!("{count} archived, {low:#x} to {high:#x}, {}", human_bytes(bytes)),
    );
    fact(output, "Logs", &logs);
    if let Some(checkpoint) = health.checkpoint {
        let text = format!("generation {checkpoint:#x}: the database file needs no older log");
        fact(output, "Checkpoint", &text);
    }
    if let Some(Database { path, bytes, wal_bytes, content }) = &health.database {
        fact(output, "Database", &format!("{}, {}", path.display(), human_bytes(*bytes)));
        fact(output, "Current log", &format!("{} in the write-ahead log", human_bytes(*wal_bytes)));
        print_content(content, output);
    }
}

fn print_content(content: &Content, output: Output) {
    fact(output, "Generation", &format!("{:#x} is being written", content.generation));
    let signatures = format!("{}, log stream {}", content.database_signature, content.stream_signature);
    fact(output, "Signature", &signatures);
    if let Some(recovered) = content.recovered {
        fact(output, "Recovered", &recovered.to_rfc3339());
    }
    let Content { issued, revoked, .. } = content;
    fact(
        output,
        "Requests",
        &requests_text([issued, revoked, &content.others()].map(|count| count.unsigned_abs())),
    );
    if let Some(valid_until) = content.valid_until {
        fact(output, "Certificate", &format!("valid until {}", valid_until.to_rfc3339()));
    }
    if let Some(crl) = content.crl {
        let text = format!("number {}, valid until {}", crl.number, crl.next_update.to_rfc3339());
        fact(output, "CRL", &text);
    }
    for (kind, mark) in oldest_first(content) {
        let (taken, low, high) = (mark.taken.to_rfc3339(), mark.range.low(), mark.range.high());
        fact(output, "Last backup", &format!("{kind}: {taken}, generations {low:#x} to {high:#x}"));
    }
}

/// The backups on record.
fn oldest_first(content: &Content) -> Vec<(BackupKind, &Mark)> {
    let mut marks: Vec<_> = content.marks.iter().collect();
    marks.sort_by_key(|(_, mark)| mark.taken);
    marks
}

fn to_json(dir: &Path, health: &Health) -> Value {
    let database = health.database.as_ref();
    let content = database.map(|database| &database.content);
    let restore = match &health.restore {
        Restore::Registered(record) => json!({
            "low": record.range.low().number(),
            "high": record.range.high().number(),
            "status": record.status.hex(),
        }),
        Restore::None | Restore::Malformed => Value::Null,
    };
    let marks = content.map_or_else(Vec::new, oldest_first).into_iter().map(|(kind, mark)| {
        let (low, high) = (mark.range.low().number(), mark.range.high().number());
        json!({ "kind": kind.to_string(), "low": low, "high": high, "taken": mark.taken.to_rfc3339() })
    });
    let date = |date: Option<FileTime>| date.map(FileTime::to_rfc3339);
    json!({
        "what": "folder",
        "path": path_text(dir),
        "name": health.config.as_ref().map(|config| config.name.as_str()),
        "circular_logging": health.config.as_ref().map(|config| config.database.circular_logging),
        "files": {
            "configuration": health.files.configuration,
            "key": health.files.key,
            "certificate": health.files.certificate,
        },
        "restore": restore,
        "restore_state": health.restore.word(),
        "owned": health.is_owned,
        "logs": {
            "count": health.logs.count,
            "bytes": health.logs.bytes,
            "low": health.logs.ends.map(|(low, _)| low.number()),
            "high": health.logs.ends.map(|(_, high)| high.number()),
        },
        "checkpoint_generation": health.checkpoint.map(Generation::number),
        "database": database.map(|database| {
            json!({ "path": path_text(&database.path), "bytes": database.bytes, "wal_bytes": database.wal_bytes })
        }),
        "current_generation": content.map(|content| content.generation),
        "database_signature": content.map(|content| &content.database_signature),
        "stream_signature": content.map(|content| &content.stream_signature),
        "recovered_when": date(content.and_then(|content| content.recovered)),
        "marks": marks.collect::<Vec<_>>(),
        "requests": content.map(|content| {
            json!({
                "all": content.requests,
                "issued": content.issued,
                "revoked": content.revoked,
                "others": content.others(),
                "own": content.own,
            })
        }),
        "certificate_not_after": date(content.and_then(|content| content.valid_until)),
        "crl": content.and_then(|content| content.crl).map(|crl| {
            json!({ "number": crl.number, "next_update": crl.next_update.to_rfc3339() })
        }),
        "last_check": health.last_check.as_ref().map(|check| json!({ "when": check.when, "by": check.by })),
    })
}
