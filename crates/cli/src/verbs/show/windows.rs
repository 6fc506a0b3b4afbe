//! What is inside a set, a database, a log or a checkpoint of a Windows CA: what `esentutl /mh`, `/ml` and `/mk` would
//! say, in plain words. Headers are looked at; checking every byte is `certadm verify`'s.

use std::collections::BTreeMap;
use std::path::Path;

use certadm_ese::checkpoint::Checkpoint;
use certadm_ese::header::{DatabaseHeader, State};
use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::{LogEnd, LogFile, LogHeader, record_name};
use certadm_ese::pager::{FilePager, Pager};
use certadm_ese::recovery::Plan;
use certadm_ese::stamps::{BackupInfo, LogTime};
use certadm_ese::{Database, Error as EseError};
use certadm_files::{Found, IoContext};
use certadm_rules::Hresult;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Kind, Severity, Spot};
use certadm_rules::printable::printable;
use certadm_set::judge::incomplete;
use certadm_set::reader::read_locations;
use certadm_set::scratch::Content;
use certadm_set::signing::{AllowedSigners, Standing};
use certadm_set::windows::{Files, WindowsSet, content_of_ca};
use serde_json::{Value, json};

use super::facts::{content_facts, content_json, fact, finish};
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::signing;

/// Shows what was found at a path.
pub(super) fn show(
    set: &WindowsSet,
    allowed: Option<&AllowedSigners>,
    output: Output,
) -> Result<Done, Failure> {
    if !set.is_single_file() {
        return show_set(set, allowed, output);
    }
    match (&set.database, set.logs.first(), &set.checkpoint) {
        (Some(path), _, _) => show_database(path, output),
        (_, Some(path), _) => show_log(path, output),
        (_, _, Some(path)) => show_checkpoint(path, output),
        _ => Err(Failure::internal("what was recognised as one file of Windows is none")),
    }
}

fn open(found: &Found) -> Result<FilePager, Failure> {
    Ok(FilePager::new(found.open()?).during("look at", found)?)
}

fn of(path: &Path, source: EseError) -> Failure {
    certadm_set::Error::Windows { path: path.to_owned(), source }.into()
}

/// What `esentutl /mh` would say.
fn show_database(path: &Found, output: Output) -> Result<Done, Failure> {
    let file = open(path)?;
    let bytes = file.size();
    let database = Database::open(file).map_err(|error| of(path, error))?;
    let mut findings = Vec::new();
    fact(output, "Database", &path.display().to_string());
    fact(output, "Size", &human_bytes(bytes));
    header_facts(database.header(), output);
    findings.extend(database.judge_header().into_iter().map(|finding| finding.in_file(path)));
    let content = content_of(&database, output);
    let mut tables = Vec::new();
    match database.catalog() {
        Ok(catalog) => {
            output.result("Tables");
            for table in catalog.tables() {
                output.result(format!(
                    "  {:32} {:4} columns, {} indexes",
                    printable(&table.name),
                    table.columns.len(),
                    table.indexes.len()
                ));
                tables.push(json!({
                    "name": table.name,
                    "columns": table.columns.len(),
                    "indexes": table.indexes.len(),
                    "root": table.root,
                }));
            }
        }
        Err(error) => findings.push(
            Finding::error(
                Kind::Catalog,
                error.code(),
                format!("the catalog cannot be read: {}", chain_of(&error)),
            )
            .in_file(path),
        ),
    }
    let patch = database.patch_page().map_err(|error| of(path, error))?;
    if let Some(patch) = &patch {
        fact(output, "Patch page", &format!("logs {:#x} to {:#x}", patch.backup.low, patch.backup.high));
    }
    let result = json!({
        "what": "database",
        "path": path_text(path),
        "bytes": bytes,
        "ca": content.as_ref().map(content_json),
        "header": header_json(database.header()),
        "patch_page": patch.map(|patch| backup_json(&patch.backup)),
        "tables": tables,
    });
    finding::sort(&mut findings);
    Ok(finish(&findings, "its header is in order; `certadm verify` checks every page", result, output))
}

/// Whose database it is and how much is in it, as the file lies there: logs of a set may add to it. Nothing of a database
/// that is not that of a CA; what cannot be read is `certadm verify`'s to tell.
fn content_of<P: Pager>(database: &Database<P>, output: Output) -> Option<Content> {
    let content = content_of_ca(database, &mut output.progress_on_stderr()).ok()?;
    content_facts(&content, output);
    if database.header().state() != State::CleanShutdown {
        fact(output, "", "as the file lies there, without what its logs add");
    }
    Some(content)
}

fn highest(header: &DatabaseHeader) -> u32 {
    header.required_high().max(header.committed_high())
}

fn range_text(low: u32, high: u32) -> String {
    format!("{low:#x} to {high:#x}")
}

fn header_facts(header: &DatabaseHeader, output: Output) {
    fact(output, "State", &header.state().to_string());
    if header.required_low() != 0 {
        fact(output, "Needs logs", &range_text(header.required_low(), highest(header)));
    }
    fact(output, "Signature", &header.database_signature().to_string());
    fact(output, "Log sequence", &header.log_signature().to_string());
    let [version, update, minor] = header.format_version();
    fact(
        output,
        "Format",
        &format!("{version:#x}, update {update}.{minor}, pages of {} bytes", header.page_size().bytes()),
    );
    let [major, minor, build, pack] = header.windows_version();
    fact(output, "Windows", &format!("{major}.{minor}.{build} service pack {pack}"));
    fact(output, "Attached", &format!("{} at {}", header.attach_time(), header.attach_position()));
    if !header.detach_position().is_none() {
        fact(output, "Detached", &format!("{} at {}", header.detach_time(), header.detach_position()));
    }
    for (name, backup) in backups(header) {
        if backup.is_set() {
            let range = match backup.high {
                0 => format!("{:#x} on", backup.low),
                high => range_text(backup.low, high),
            };
            fact(
                output,
                "Backup",
                &format!("{}: {}, logs {range}, mark {}", name.replace('_', " "), backup.time, backup.mark),
            );
        }
    }
}

fn backups(header: &DatabaseHeader) -> [(&'static str, BackupInfo); 5] {
    [
        ("full", header.previous_full_backup()),
        ("incremental", header.previous_incremental_backup()),
        ("copy", header.previous_copy_backup()),
        ("differential", header.previous_differential_backup()),
        ("this_copy", header.current_full_backup()),
    ]
}

fn time_json(time: LogTime) -> Value {
    if time.is_none() { Value::Null } else { json!(time.to_string()) }
}

fn position_json(position: Lgpos) -> Value {
    if position.is_none() { Value::Null } else { json!(position.to_string()) }
}

fn backup_json(backup: &BackupInfo) -> Value {
    if !backup.is_set() {
        return Value::Null;
    }
    json!({
        "mark": position_json(backup.mark),
        "taken": time_json(backup.time),
        "low": backup.low,
        "high": backup.high,
    })
}

fn header_json(header: &DatabaseHeader) -> Value {
    let [version, update, minor] = header.format_version();
    let [corrected, uncorrected, bad] = header.checksum_counters();
    let backups: serde_json::Map<_, _> =
        backups(header).iter().map(|(name, backup)| ((*name).to_owned(), backup_json(backup))).collect();
    json!({
        "state": header.state().to_string(),
        "database_signature": header.database_signature().to_string(),
        "log_signature": header.log_signature().to_string(),
        "dbtime": header.dbtime(),
        "last_object": header.last_object_id(),
        "page_size": header.page_size().bytes(),
        "format": format!("{version:#x}"),
        "update": update,
        "update_minor": minor,
        "windows": header.windows_version().map(|part| part.to_string()).join("."),
        "required": {
            "low": header.required_low(),
            "high": header.required_high(),
            "committed": header.committed_high(),
        },
        "consistent": { "position": position_json(header.consistent_position()), "time": time_json(header.consistent_time()) },
        "attached": { "position": position_json(header.attach_position()), "time": time_json(header.attach_time()) },
        "detached": { "position": position_json(header.detach_position()), "time": time_json(header.detach_time()) },
        "backups": backups,
        "repairs": header.repair_count(),
        "corrected_bits": corrected,
        "failed_corrections": uncorrected,
        "bad_checksums": bad,
    })
}

/// What `esentutl /ml` would say, and how many records of each kind there are.
fn show_log(path: &Found, output: Output) -> Result<Done, Failure> {
    let file = open(path)?;
    let log = LogFile::open(&file).map_err(|error| of(path, error))?;
    let mut findings = Vec::new();
    let header = log.header();
    fact(output, "Log", &path.display().to_string());
    fact(output, "Generation", &format!("{:#x}", header.generation));
    fact(output, "Size", &human_bytes(file.size()));
    fact(output, "Created", &header.created.to_string());
    fact(output, "Predecessor", &header.previous_created.to_string());
    fact(output, "Log sequence", &header.signature.to_string());
    fact(
        output,
        "Format",
        &format!(
            "{}, sectors of {} bytes, pages of {}",
            version_text(header),
            header.sector_size,
            header.page_size.bytes()
        ),
    );
    fact(output, "Circular", if is_circular(header) { "yes: old logs are thrown away" } else { "no" });
    fact(output, "Checkpoint", &header.checkpoint.to_string());
    for attachment in &header.attachments {
        let names = &attachment.names;
        fact(output, "Attached", &format!("{}: {names}, {}", attachment.database, attachment.signature));
    }
    let end = match log.end() {
        LogEnd::Full => "full".to_owned(),
        LogEnd::Reached => "end of what was written".to_owned(),
        LogEnd::Torn(text) => format!("torn: {text}"),
        LogEnd::Damaged(text) => format!("damaged: {text}"),
    };
    findings.extend(log.judge().into_iter().map(|finding| finding.in_file(path)));
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let mut last = None;
    for record in log.records() {
        match record {
            Ok(record) => {
                let kind = record.bytes.first().map_or("?", |kind| record_name(*kind));
                *kinds.entry(kind).or_default() += 1;
                last = Some(record.position);
            }
            Err(error) => findings.push(certadm_set::Error::from_windows(path, error).to_finding(path)),
        }
    }
    fact(output, "Ends", &format!("{end}, at {}", log.end_position()));
    output.result("Records");
    for (kind, count) in &kinds {
        output.result(format!("  {kind:26} {count:8}"));
    }
    let mut result = log_json(path, file.size(), header);
    result["what"] = json!("log");
    result["end"] = json!(end);
    result["end_position"] = json!(log.end_position().to_string());
    result["last_record"] = json!(last.map(|position| position.to_string()));
    result["records"] = json!(kinds);
    finding::sort(&mut findings);
    Ok(finish(&findings, "sound in itself; `certadm verify` checks it with its neighbours", result, output))
}

fn version_text(header: &LogHeader) -> String {
    header.version.map(|part| part.to_string()).join(".")
}

fn is_circular(header: &LogHeader) -> bool {
    const CIRCULAR: u8 = 2;
    header.flags & CIRCULAR != 0
}

fn log_json(path: &Path, bytes: u64, header: &LogHeader) -> Value {
    let attachment = |attachment: &certadm_ese::log::Attachment| {
        json!({
            "database": attachment.database,
            "signature": attachment.signature.to_string(),
            "names": attachment.names,
            "attached": position_json(attachment.attach),
        })
    };
    json!({
        "path": path_text(path),
        "bytes": bytes,
        "expected_bytes": header.file_size(),
        "generation": header.generation,
        "version": version_text(header),
        "sector_size": header.sector_size,
        "page_size": header.page_size.bytes(),
        "created": time_json(header.created),
        "predecessor_created": time_json(header.previous_created),
        "log_signature": header.signature.to_string(),
        "circular": is_circular(header),
        "checkpoint": position_json(header.checkpoint),
        "attachments": header.attachments.iter().map(attachment).collect::<Vec<_>>(),
    })
}

/// What `esentutl /mk` would say.
fn show_checkpoint(path: &Found, output: Output) -> Result<Done, Failure> {
    let checkpoint = Checkpoint::read(&open(path)?).map_err(|error| of(path, error))?;
    let mut findings = Vec::new();
    fact(output, "Checkpoint", &path.display().to_string());
    fact(output, "Position", &checkpoint.position.to_string());
    fact(output, "Log sequence", &checkpoint.log_signature.to_string());
    let (full, incremental) = (checkpoint.full_backup, checkpoint.incremental_backup);
    if !full.0.is_none() {
        fact(output, "Full backup", &format!("{} at {}", full.1, full.0));
    }
    if !incremental.0.is_none() {
        fact(output, "Incremental", &format!("{} at {}", incremental.1, incremental.0));
    }
    if checkpoint.from_second_copy {
        findings.push(
            Finding::warning(Kind::Checkpoint, "its first copy is damaged; the second one was read")
                .in_file(path),
        );
    }
    let result = json!({
        "what": "checkpoint",
        "path": path_text(path),
        "position": position_json(checkpoint.position),
        "backup_position": position_json(checkpoint.backup_position),
        "log_signature": checkpoint.log_signature.to_string(),
        "full_backup": { "position": position_json(full.0), "time": time_json(full.1) },
        "incremental_backup": { "position": position_json(incremental.0), "time": time_json(incremental.1) },
    });
    Ok(finish(&findings, "in order; a checkpoint is only a hint and no part of a backup", result, output))
}

/// A folder: its database, its logs, its restore map.
fn show_set(set: &WindowsSet, allowed: Option<&AllowedSigners>, output: Output) -> Result<Done, Failure> {
    let mut findings = Vec::new();
    let files = Files::open(std::slice::from_ref(set))?;
    fact(output, "Set", &set.path.display().to_string());
    let manifest = set.complete.as_ref().and_then(|complete| complete.manifest.as_ref());
    let state = manifest.map_or_else(
        || "incomplete: no manifest".to_owned(),
        |manifest| format!("complete, by {}", manifest.tool),
    );
    let missing = set.complete.as_ref().and_then(|complete| complete.check_image_is_there().err());
    let kind = if set.database.is_some() || missing.is_some() { "full" } else { "logs" };
    findings.extend(missing.map(|error| error.to_finding(&set.path)));
    fact(output, "Kind", &format!("{kind}, of a Windows CA, {state}"));
    if manifest.is_none() {
        findings.push(incomplete(&set.path));
    }
    let signature = set.complete.as_ref().map(|complete| {
        let mut progress = output.progress_on_stderr();
        let (text, json) = signing::look(complete, allowed, &mut findings, &mut progress);
        fact(output, "Signature", &text);
        json
    });
    let mut database_json = Value::Null;
    let mut content = None;
    let mut planned = true;
    if let (Some(path), Some(file)) = (&set.database, files.database()) {
        fact(output, "Database", &path.display().to_string());
        match Database::open(file) {
            Ok(database) => {
                content = content_of(&database, output);
                header_facts(database.header(), output);
                database_json = header_json(database.header());
            }
            Err(error) => {
                planned = false;
                findings.push(certadm_set::Error::from_windows(path, error).to_finding(path));
            }
        }
    }
    let locations = locations(set, &mut findings, output);
    let logs = set.logs.iter().map(|path| log_of_set(path, &mut findings)).collect::<Result<Vec<_>, _>>()?;
    let look = |plan: Plan<'_>| Ok((plan.required(), plan.given(), plan.findings.clone()));
    let (required, given, planned) = if planned { files.plan(look)? } else { files.plan_logs(look)? };
    let problems = planned.into_iter().filter(|finding| finding.severity == Severity::Error);
    findings.extend(problems.map(|finding| files.place(finding)));
    finding::sort(&mut findings);
    let range = given.map_or_else(|| "none".to_owned(), |given| range_text(given.low, given.high));
    fact(output, "Generations", &range);
    output.result("Logs");
    for (path, log) in set.logs.iter().zip(&logs) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match log {
            Some((bytes, header)) => output.result(format!(
                "  {name:18} {:#8x}  {:>12}  {}",
                header.generation,
                human_bytes(*bytes),
                header.created
            )),
            None => output.result(format!("  {name:18} unreadable")),
        }
    }
    let log_json = set
        .logs
        .iter()
        .zip(&logs)
        .filter_map(|(path, log)| log.as_ref().map(|(bytes, header)| log_json(path, *bytes, header)));
    let range_json = |range: certadm_ese::recovery::Range| json!({ "low": range.low, "high": range.high });
    let result = json!({
        "what": "windows set",
        "path": path_text(&set.path),
        "type": kind,
        "sealed": manifest.is_some(),
        "signature": signature.unwrap_or_else(|| signing::to_json(&set.path, Some(&Standing::NotSigned))),
        "tool": manifest.map(|manifest| &manifest.tool),
        "bytes": files.bytes(),
        "ca": content.as_ref().map(content_json),
        "database": set.database.as_deref().map(path_text),
        "header": database_json,
        "required": required.map(range_json),
        "generations": given.map(range_json),
        "logs": log_json.collect::<Vec<_>>(),
        "checkpoint": set.checkpoint.as_deref().map(path_text),
        "locations": locations,
    });
    let good = "the headers fit together; `certadm verify` checks every page and replays the logs";
    Ok(finish(&findings, good, result, output))
}

fn locations(set: &WindowsSet, findings: &mut Vec<Finding>, output: Output) -> Vec<String> {
    let Some(path) = &set.locations else {
        return Vec::new();
    };
    match read_locations(path) {
        Ok(list) => {
            let paths: Vec<String> = list.entries().iter().map(|entry| entry.path().to_owned()).collect();
            paths.iter().for_each(|path| fact(output, "Location", path));
            paths
        }
        Err(error) => {
            let text = format!("the restore map cannot be used: {}", chain_of(&error));
            findings.push(
                Finding::warning(Kind::RestoreMap, text)
                    .in_file(path)
                    .remedy("certutil needs it to restore this set; certadm recover does not"),
            );
            Vec::new()
        }
    }
}

type LogOfSet = Option<(u64, LogHeader)>;

/// Size and header of a log; a damaged one is a problem of the set, which the plan names.
fn log_of_set(path: &Found, findings: &mut Vec<Finding>) -> Result<LogOfSet, Failure> {
    let file = open(path)?;
    match LogFile::read_header(&file) {
        Ok(header) => {
            if file.size() != header.file_size() {
                let text = format!("it has {} bytes, its header says {}", file.size(), header.file_size());
                findings.push(
                    Finding::error(Kind::LogSize, Hresult::LOG_FILE_SIZE_MISMATCH, text)
                        .in_file(path)
                        .at(Spot::Log(header.generation)),
                );
            }
            Ok(Some((file.size(), header)))
        }
        Err(error @ EseError::Io(_)) => Err(of(path, error)),
        Err(_) => Ok(None),
    }
}
