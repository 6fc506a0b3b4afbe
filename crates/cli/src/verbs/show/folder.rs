//! What is inside a CA's folder: files, generations, marks, a restore that waits. Whoever owns the CA is not disturbed:
//! the database is read through a connection like any committer's, everything else by looking at files.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use certadm_ca::Config;
use certadm_rules::registration::RestoreRecord;
use certadm_rules::{Generation, Hresult};
use certadm_store::{FileTime, Folder, Writer, record};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use super::{Health, fact};
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes};
use crate::verbs::live::wal_len;

pub(crate) fn show(dir: &Path, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(dir);
    if !folder.database_dir().is_dir() && !folder.restore_record_path().exists() {
        return Err(certadm_store::Error::NotACaFolder { folder: folder.path().to_owned() }.into());
    }
    let mut health = Health::default();
    let mut result = json!({
        "what": "folder",
        "path": folder.path(),
        "restore": null,
        "database": null,
        "current_generation": null,
        "database_signature": null,
        "stream_signature": null,
        "recovered_when": null,
        "marks": [],
        "requests": null,
        "certificate_not_after": null,
        "crl": null,
    });
    fact(output, "Folder", &folder.path().display().to_string());
    show_files(&folder, &mut result, &mut health, output);
    show_restore(&folder, &mut result, &mut health, output);
    let owned = is_owned(&folder);
    fact(
        output,
        "Owner",
        match owned {
            Some(true) => "a service or command runs as the CA's owner",
            Some(false) => "none runs",
            None => "unknown: the lock file cannot be read",
        },
    );
    result["owned"] = json!(owned);
    show_logs(&folder, &mut result, &mut health, output)?;
    match folder.database_path().and_then(|database| Ok((Writer::open(&folder)?, database))) {
        Ok((writer, database)) => {
            let sizes = (fs::metadata(&database).map_or(0, |metadata| metadata.len()), wal_len(&database));
            show_database(&database, sizes, &mut result, output);
            let content = Content::read(writer.connection()).map_err(certadm_store::Error::from)?;
            content.show(&mut result, &mut health, output);
        }
        // What a waiting restore means has been said above.
        Err(certadm_store::Error::RestorePending { .. }) => {}
        Err(error) => health.problem(format!(
            "the database cannot be read: {error} [{}]; {}",
            error.hresult(),
            error.remedy()
        )),
    }
    Ok(health.finish("in order", result, output))
}

fn show_files(folder: &Folder, result: &mut Value, health: &mut Health, output: Output) {
    match Config::load(&folder.config_path()) {
        Ok(config) => {
            fact(output, "CA", config.name.as_str());
            result["name"] = json!(config.name.as_str());
            result["circular_logging"] = json!(config.database.circular_logging);
            if config.database.circular_logging {
                health.note("circular logging is on: only full backups are possible");
            }
        }
        Err(error) => {
            result["name"] = Value::Null;
            result["circular_logging"] = Value::Null;
            health.problem(format!("{error}; {}", error.remedy()));
        }
    }
    let key = folder.key_path();
    match fs::metadata(&key) {
        Ok(metadata) if is_exposed(&metadata) => {
            health.problem(format!("{} can be read by others: chmod 600 it", key.display()));
        }
        Ok(_) => {}
        Err(_) => {
            health.problem(format!("{} is not there: the CA cannot issue without its key", key.display()));
        }
    }
    if !folder.certificate_path().exists() {
        let path = folder.certificate_path();
        health
            .problem(format!("{} is not there: the CA cannot issue without its certificate", path.display()));
    }
    result["files"] = json!({
        "configuration": folder.config_path().exists(),
        "key": key.exists(),
        "certificate": folder.certificate_path().exists(),
    });
}

fn show_restore(folder: &Folder, result: &mut Value, health: &mut Health, output: Output) {
    let state = match record::read(folder) {
        Ok(None) => "none",
        Ok(Some(record)) => {
            let (word, problem) = restore_state(&record);
            fact(output, "Restore", word);
            result["restore"] = json!({
                "low": record.range.low().number(),
                "high": record.range.high().number(),
                "status": format!("0x{:08x}", record.status.to_bits()),
            });
            health.problem(problem);
            word
        }
        Err(error) => {
            health.problem(format!("{error}; {}", error.remedy()));
            "malformed"
        }
    };
    result["restore_state"] = json!(state);
}

/// A word for the state of a registration, and what to do about it.
fn restore_state(record: &RestoreRecord) -> (&'static str, String) {
    if record.database_recovered {
        (
            "carried out",
            "a restore was carried out and its record not yet removed: the CA's next start does".to_owned(),
        )
    } else if record.is_complete() {
        ("complete", "a restore waits: the CA's next start carries it out".to_owned())
    } else if record.status == Hresult::E_PENDING {
        ("pending", "a restore was begun and not completed: repeat `certadm restore`".to_owned())
    } else {
        ("failed", format!("a restore failed ({}): repeat `certadm restore`", record.status))
    }
}

/// Whether somebody holds the owner's lock, `None` when that cannot be told. Asking shares the lock for a moment.
fn is_owned(folder: &Folder) -> Option<bool> {
    match File::open(folder.owner_lock_path()) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Some(false),
            Err(TryLockError::WouldBlock) => Some(true),
            Err(TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

fn show_logs(
    folder: &Folder,
    result: &mut Value,
    health: &mut Health,
    output: Output,
) -> Result<(), Failure> {
    let logs = if folder.log_dir().is_dir() { folder.archived_logs()? } else { Vec::new() };
    let bytes: u64 =
        logs.iter().map(|(_, path)| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum();
    let range = logs.first().zip(logs.last()).map(|((low, _), (high, _))| (*low, *high));
    let text = range.map_or_else(
        || "none archived".to_owned(),
        |(low, high)| format!("{} archived, {low:x} to {high:x}, {}", logs.len(), human_bytes(bytes)),
    );
    fact(output, "Logs", &text);
    for pair in logs.windows(2) {
        if pair[0].0.next() != Some(pair[1].0) {
            health.problem(format!("archived logs between {:x} and {:x} are missing", pair[0].0, pair[1].0));
        }
    }
    result["logs"] = json!({
        "count": logs.len(),
        "bytes": bytes,
        "low": range.map(|(low, _)| low.number()),
        "high": range.map(|(_, high)| high.number()),
    });
    let checkpoint = certadm_store::stated_checkpoint(&folder.checkpoint_path())?;
    if let Some(checkpoint) = checkpoint {
        fact(
            output,
            "Checkpoint",
            &format!("generation {checkpoint:x}: the database file needs no older log"),
        );
    }
    result["checkpoint_generation"] = json!(checkpoint.map(Generation::number));
    Ok(())
}

fn show_database(database: &Path, (size, wal): (u64, u64), result: &mut Value, output: Output) {
    fact(output, "Database", &format!("{}, {}", database.display(), human_bytes(size)));
    fact(output, "Current log", &format!("{} in the write-ahead log", human_bytes(wal)));
    result["database"] = json!({ "path": database, "bytes": size, "wal_bytes": wal });
}

/// What the database's own tables say.
struct Content {
    generation: u32,
    database_signature: String,
    stream_signature: String,
    recovered: Option<FileTime>,
    marks: Vec<(String, u32, u32, FileTime)>,
    requests: i64,
    issued: i64,
    revoked: i64,
    valid_until: Option<FileTime>,
    crl: Option<(i64, FileTime)>,
}

impl Content {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let state =
            "SELECT generation, lower(hex(database_signature)), lower(hex(stream_signature)), recovered_when
                     FROM store_state";
        let (generation, database_signature, stream_signature, recovered) =
            connection.query_row(state, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?))
            })?;
        let mut marks = connection.prepare(
            "SELECT kind, generation_low, generation_high, taken_when FROM store_marks ORDER BY taken_when",
        )?;
        let marks = marks
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, FileTime(row.get(3)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let others = count("SELECT count(*) FROM Requests WHERE Disposition <> 20")?;
        let requests = count("SELECT count(*) FROM Requests")?;
        Ok(Self {
            generation,
            database_signature,
            stream_signature,
            recovered: recovered.map(FileTime),
            marks,
            requests,
            issued: requests - others,
            revoked: count("SELECT count(*) FROM Requests WHERE Disposition <> 20 AND Disposition = 21")?,
            valid_until: connection
                .query_row(
                    "SELECT NotAfter FROM Requests JOIN Certificates USING (RequestID)
                     WHERE Disposition <> 20 AND Disposition = 15 ORDER BY RequestID DESC LIMIT 1",
                    [],
                    |row| Ok(FileTime(row.get(0)?)),
                )
                .optional()?,
            crl: connection
                .query_row("SELECT Number, NextUpdate FROM CRLs ORDER BY RowId DESC LIMIT 1", [], |row| {
                    Ok((row.get(0)?, FileTime(row.get(1)?)))
                })
                .optional()?,
        })
    }

    fn show(&self, result: &mut Value, health: &mut Health, output: Output) {
        fact(output, "Generation", &format!("{:x} is being written", self.generation));
        fact(
            output,
            "Signature",
            &format!("{}, log stream {}", self.database_signature, self.stream_signature),
        );
        if let Some(recovered) = self.recovered {
            fact(output, "Recovered", &recovered.to_rfc3339());
        }
        fact(
            output,
            "Requests",
            &format!("{}; {} issued, {} revoked", self.requests, self.issued, self.revoked),
        );
        if let Some(valid_until) = self.valid_until {
            fact(output, "Certificate", &format!("valid until {}", valid_until.to_rfc3339()));
            if valid_until <= FileTime::now() {
                health.problem("the CA's own certificate has expired");
            }
        }
        if let Some((number, next_update)) = self.crl {
            fact(output, "CRL", &format!("number {number}, valid until {}", next_update.to_rfc3339()));
            if next_update <= FileTime::now() {
                health.problem("the last CRL has expired: publish one with `certadm ca crl`");
            }
        }
        for (kind, low, high, taken) in &self.marks {
            fact(
                output,
                "Last backup",
                &format!("{kind}: {}, generations {low:x} to {high:x}", taken.to_rfc3339()),
            );
        }
        if !self.marks.iter().any(|(kind, ..)| kind == "full") {
            health.note("no full backup is on record: take one with `certadm backup`; logs-only backups need it as base");
        }
        let mark = |(kind, low, high, taken): &(String, u32, u32, FileTime)| json!({ "kind": kind, "low": low, "high": high, "taken": taken.to_rfc3339() });
        result["current_generation"] = json!(self.generation);
        result["database_signature"] = json!(self.database_signature);
        result["stream_signature"] = json!(self.stream_signature);
        result["recovered_when"] = json!(self.recovered.map(FileTime::to_rfc3339));
        result["marks"] = json!(self.marks.iter().map(mark).collect::<Vec<_>>());
        result["requests"] = json!({ "all": self.requests, "issued": self.issued, "revoked": self.revoked });
        result["certificate_not_after"] = json!(self.valid_until.map(FileTime::to_rfc3339));
        result["crl"] = json!(self.crl.map(|(number, next_update)| {
            json!({ "number": number, "next_update": next_update.to_rfc3339() })
        }));
    }
}

/// Whether others than its owner can read a file. On Windows the rights of the folder say who can.
fn is_exposed(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0;
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}
