//! What is inside a set. Names, sizes, trailer and log headers are looked at; comparing bytes is `certadm verify`'s.

use std::path::Path;

use certadm_files::Found;
use certadm_rules::Hresult;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Kind};
use certadm_rules::names::{last_component, unsanitize};
use certadm_rules::printable::printable;
use certadm_rules::words::counted;
use certadm_set::Set;
use certadm_set::judge::{incomplete, place_of};
use certadm_set::manifest::{FileEntry, Manifest, Role};
use certadm_set::signing::AllowedSigners;
use certadm_store::chain::read_trailer;
use certadm_store::log_file::LogFile;
use certadm_store::trailer::Trailer;
use serde_json::{Value, json};

use super::facts::{fact, finish};
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::signing;

pub(super) fn show(set: &Set, allowed: Option<&AllowedSigners>, output: Output) -> Result<Done, Failure> {
    let mut findings = Vec::new();
    let files = files(set, &mut findings);
    let identity = Identity::of(set, &mut findings)?;
    check_range(set, &identity, &mut findings);
    let bytes: u64 = files.iter().filter_map(|file| file.found.as_ref().ok()).sum();

    let manifest = set.manifest.as_ref();
    fact(output, "Set", &set.path.display().to_string());
    let state = manifest
        .map_or("incomplete: no manifest".to_owned(), |manifest| format!("complete, by {}", manifest.tool));
    fact(output, "Kind", &format!("{}, {state}", set.kind()));
    let (signature, signature_json) =
        signing::look(set, allowed, &mut findings, &mut output.progress_on_stderr());
    fact(output, "Signature", &signature);
    fact(output, "CA", &unsanitize(&identity.name));
    fact(output, "Host", &identity.host);
    fact(output, "Database", &identity.database);
    fact(output, "Log stream", &identity.stream);
    let generations = set.range().map_or_else(
        || "none: the set holds no log".to_owned(),
        |range| format!("{:#x} to {:#x}", range.low(), range.high()),
    );
    fact(output, "Generations", &generations);
    if let Some(trailer) = &identity.trailer {
        fact(output, "Image needs", &format!("{:#x} to {:#x}", trailer.low, trailer.high));
        fact(output, "Image read", &trailer.finished.to_rfc3339());
    }
    if let Some(manifest) = manifest {
        fact(output, "Started", &manifest.started);
        fact(output, "Finished", &manifest.finished);
    }
    fact(output, "Size", &format!("{} in {}", human_bytes(bytes), counted(files.len() as u64, "file")));
    output.result("Files");
    for file in &files {
        let size = match &file.found {
            Ok(bytes) => human_bytes(*bytes),
            Err(error) if error.is_not_found() => "missing".to_owned(),
            Err(_) => "unreadable".to_owned(),
        };
        output.result(format!("  {:9} {size:>12}  {}", file.role, printable(&file.path)));
    }
    if let Some(manifest) = manifest {
        output.result("Not included");
        for missing in &manifest.not_included {
            output.result(format!("  {}", printable(missing)));
        }
    }
    let mut result = to_json(set, &identity, &files, bytes);
    result["signature"] = signature_json;
    finding::sort(&mut findings);
    let good = "complete by names and sizes; `certadm verify` compares every byte";
    Ok(finish(&findings, good, result, output))
}

/// Whose set it is, as far as the set tells.
struct Identity {
    name: String,
    host: String,
    database: String,
    stream: String,
    trailer: Option<Trailer>,
}

impl Identity {
    fn of(set: &Set, findings: &mut Vec<Finding>) -> Result<Self, Failure> {
        // An image that is missing is told with the other files.
        let image = set.image.as_ref().filter(|_| set.check_image_is_there().is_ok());
        let trailer = match image.map(read_trailer).transpose() {
            Ok(trailer) => trailer,
            Err(error) => {
                let path = set.image.as_deref().unwrap_or(&set.path);
                findings.push(certadm_set::Error::from(error).to_finding(path));
                None
            }
        };
        if let Some(manifest) = &set.manifest {
            let ca = &manifest.ca;
            return Ok(Self {
                name: ca.name.clone(),
                host: ca.host.clone(),
                database: ca.database_signature.clone(),
                stream: ca.stream_signature.clone(),
                trailer,
            });
        }
        // Without a manifest the restore map and the files themselves tell.
        let locations = set.locations()?;
        let original = locations.as_ref().and_then(|list| list.database()).unwrap_or_default();
        let name = last_component(original);
        let signatures = match (&trailer, set.logs.first()) {
            (Some(trailer), _) => Some((trailer.database, trailer.stream)),
            (None, Some((_, path))) => match LogFile::open(path) {
                Ok(log) => Some((log.header().database, log.header().stream)),
                Err(error) => {
                    findings.push(certadm_set::Error::from(error).to_finding(path));
                    None
                }
            },
            (None, None) => None,
        };
        let unknown = || "unknown".to_owned();
        Ok(Self {
            name: name.rsplit_once('.').map_or_else(unknown, |(stem, _)| stem.to_owned()),
            host: certadm_rules::unc::host_of(original).map_or_else(unknown, str::to_owned),
            database: signatures.map_or_else(unknown, |(database, _)| database.to_string()),
            stream: signatures.map_or_else(unknown, |(_, stream)| stream.to_string()),
            trailer,
        })
    }
}

/// One file: what it should be, and its size as it lies there.
struct File {
    path: String,
    role: &'static str,
    expected: Option<u64>,
    found: certadm_files::Result<u64>,
}

fn files(set: &Set, findings: &mut Vec<Finding>) -> Vec<File> {
    let files: Vec<File> = match &set.manifest {
        Some(manifest) => entries(manifest, &set.path),
        None => {
            findings.push(incomplete(&set.path));
            let image = set.image.iter().map(|path| ("database", path));
            let logs = set.logs.iter().map(|(_, path)| ("log", path));
            let describe = |(role, path): (&'static str, &Found)| File {
                path: path.strip_prefix(&set.path).unwrap_or(path).display().to_string(),
                role,
                expected: None,
                found: path.size(),
            };
            image.chain(logs).map(describe).collect()
        }
    };
    let wrong = |kind, file: &File, detail: String| {
        let code = match file.role {
            "log" => Role::Log.code_of_absence(),
            "database" => Role::Database.code_of_absence(),
            _ => Hresult::ERROR_FILE_NOT_FOUND,
        };
        let code = if kind == Kind::FileMissing { code } else { Hresult::ERROR_INVALID_DATA };
        let mut finding = Finding::error(kind, code, detail)
            .remedy("take this file from another copy of the set, or use an older set");
        finding.place = place_of(&set.path.join(&file.path));
        finding
    };
    for file in &files {
        match (&file.found, file.expected) {
            (Err(error), _) if error.is_not_found() => {
                findings.push(wrong(Kind::FileMissing, file, "it is missing".to_owned()));
            }
            (Err(certadm_files::Error::NotAFile { what, .. }), _) => {
                let detail = format!("it is {what}, and a regular file is expected");
                findings.push(wrong(Kind::NotAFile, file, detail));
            }
            (Err(error), _) => findings.push(wrong(Kind::Unreadable, file, chain_of(error))),
            (Ok(found), Some(expected)) if *found != expected => {
                let detail = format!("it has {found} bytes, the manifest says {expected}");
                findings.push(wrong(Kind::FileSize, file, detail));
            }
            _ => {}
        }
    }
    files
}

fn entries(manifest: &Manifest, set: &Path) -> Vec<File> {
    let entries = manifest.files.iter();
    let describe = |entry: &FileEntry| File {
        path: entry.path.clone(),
        role: entry.role.word(),
        expected: Some(entry.size),
        found: Found::below(set, &entry.path).size(),
    };
    entries.map(describe).collect()
}

/// Whether the names of the logs leave no hole, and cover what the image needs.
fn check_range(set: &Set, identity: &Identity, findings: &mut Vec<Finding>) {
    let missing = |detail: String| {
        Finding::error(Kind::LogMissing, Hresult::MISSING_RESTORE_LOG_FILES, detail)
            .in_file(&set.path)
            .remedy("bring the full set and every log set after it, of one CA")
    };
    for pair in set.logs.windows(2) {
        if pair[0].0.next() != Some(pair[1].0) {
            findings.push(missing(format!("logs between {:#x} and {:#x} are missing", pair[0].0, pair[1].0)));
        }
    }
    let Some(trailer) = &identity.trailer else {
        if set.image.is_none() {
            let text = "a log set is restored together with the full set that it continues";
            findings.push(Finding::note(Kind::LogSet, text).in_file(&set.path));
        }
        return;
    };
    if !set.range().is_some_and(|range| range.low() <= trailer.low && trailer.high <= range.high()) {
        findings.push(missing(format!("the image needs the logs {:#x} to {:#x}", trailer.low, trailer.high)));
    }
}

fn to_json(set: &Set, identity: &Identity, files: &[File], bytes: u64) -> Value {
    let manifest = set.manifest.as_ref();
    let file = |file: &File| json!({ "path": file.path, "role": file.role, "bytes": file.found.as_ref().ok(), "expected_bytes": file.expected });
    json!({
        "what": "set",
        "path": path_text(&set.path),
        "type": set.kind().to_string(),
        "sealed": manifest.is_some(),
        "tool": manifest.map(|manifest| &manifest.tool),
        "ca": {
            "name": unsanitize(&identity.name),
            "sanitized_name": identity.name,
            "host": identity.host,
            "database_signature": identity.database,
            "stream_signature": identity.stream,
        },
        "generations": set.range().map(|range| json!({ "low": range.low().number(), "high": range.high().number() })),
        "image": identity.trailer.map(|trailer| json!({
            "low": trailer.low.number(),
            "high": trailer.high.number(),
            "pages": trailer.image_pages,
            "page_size": trailer.page_size,
            "finished": trailer.finished.to_rfc3339(),
        })),
        "started": manifest.map(|manifest| &manifest.started),
        "finished": manifest.map(|manifest| &manifest.finished),
        "bytes": bytes,
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "dynamic_files": manifest.map(|manifest| &manifest.dynamic_files),
        "not_included": manifest.map(|manifest| &manifest.not_included),
    })
}
