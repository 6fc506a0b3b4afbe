//! `certadm repository info`: the CAs of a vault, and the sets that a repository keeps.

use std::path::PathBuf;

use certadm_jobs::span_text;
use certadm_repository::{CaRepository, Point};
use certadm_rules::FileTime;
use certadm_rules::names::unsanitize;
use certadm_rules::words::counted;
use certadm_set::stored::{chain, newest_first};
use clap::Args;
use serde_json::{Value, json};

use super::named::{each, repositories};
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes};
use crate::verbs::each::Each;

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A vault such as vault:, or the repository of one CA: vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
}

pub(super) fn run(args: &InfoArgs, output: Output) -> Result<Done, Failure> {
    let (vault, addresses) = repositories(&args.repository)?;
    if addresses.is_empty() {
        output.result(format!("{} keeps no CA yet.", vault.place()));
    }
    let mut is_first = true;
    let Each { results: shown, failed } = each(&addresses, output, |repository| {
        if !std::mem::take(&mut is_first) {
            output.result("");
        }
        show(repository, output)
    });
    let is_damaged = |shown: &Value| shown["unreadable"].as_array().is_some_and(|names| !names.is_empty());
    let exit = if shown.iter().any(is_damaged) { Exit::Damaged } else { Exit::Good };
    let result = json!({ "vault": vault.name(), "place": vault.place(), "repositories": shown });
    Done { exit, result }.unless(failed)
}

fn show(repository: &CaRepository, output: Output) -> Result<Value, Failure> {
    let (readable, keys) = (repository.readable()?, repository.keys()?.len());
    let (points, proven) = (readable.points, repository.proven()?);
    output.result(format!(
        "{} in {}: {}, {} beside the key file",
        unsanitize(repository.ca()),
        repository.address(),
        counted(points.len() as u64, "set"),
        counted(keys as u64, "key"),
    ));
    for point in &points {
        let proven = if point.is_noted(&proven) { "  proven" } else { "" };
        output.result(format!("{}{proven}", line(point)));
    }
    for name in &readable.unreadable {
        output.result(format!("  {name} cannot be read: it may have been the newest state"));
    }
    let now = certadm_store::now();
    let all: Vec<&Point> = points.iter().collect();
    let newest = newest_first(&all, now.unix_seconds())
        .into_iter()
        .find(|last| chain(&all, last, now.unix_seconds()).is_ok());
    let age = newest.map(|newest| now.unix_seconds().saturating_sub(newest.time).max(0));
    if let (Some(newest), Some(age)) = (newest, age) {
        output.result(format!("  The newest state is {} old, that of {}.", span_text(age), when(newest)));
    }
    let noted: Vec<&Point> = all.iter().copied().filter(|point| point.is_noted(&proven)).collect();
    // Each date is a question to the storage, so only that of the newest state is asked for.
    let last_proven = newest_first(&noted, now.unix_seconds()).first().copied();
    let proven_at = last_proven.map(|point| repository.proven_at(point)).transpose()?.flatten();
    let proven_at = proven_at.map(|seconds| FileTime::from_unix_seconds(seconds).to_rfc3339());
    if let (Some(point), Some(at)) = (last_proven, &proven_at) {
        output.result(format!("  The newest proven state is {}, proven at {at}.", point.short_id()));
    }
    let newest_proven = last_proven.map(|point| json!({ "id": point.id, "at": proven_at }));
    let newest = newest.map(|newest| json!({ "finished": when(newest), "age_seconds": age }));
    let points: Vec<Value> = points
        .iter()
        .map(|point| {
            let mut shown = to_json(point);
            shown["proven"] = json!(point.is_noted(&proven));
            shown
        })
        .collect();
    Ok(json!({
        "repository": repository.address(),
        "ca": unsanitize(repository.ca()),
        "keys": keys,
        "points": points,
        "newest": newest,
        "newest_proven": newest_proven,
        "unreadable": readable.unreadable,
    }))
}

/// A set in a repository, as a line of a list.
pub(super) fn line(point: &Point) -> String {
    let (low, high) = point.generations;
    format!(
        "  {}  {}  {:4}  generations {low:#x} to {high:#x}  {}{}",
        point.short_id(),
        when(point),
        point.kind,
        human_bytes(point.bytes),
        match point.version {
            0 => String::new(),
            version => format!("  attached {version}"),
        }
    )
}

/// A set in a repository, as JSON has it.
pub(super) fn to_json(point: &Point) -> Value {
    json!({
        "id": point.id,
        "finished": when(point),
        "type": point.kind,
        "generations": { "low": point.generations.0, "high": point.generations.1 },
        "bytes": point.bytes,
        "files": point.files,
        "version": point.version,
    })
}

/// When its backup ended, RFC 3339 UTC.
fn when(point: &Point) -> String {
    FileTime::from_unix_seconds(point.time).to_rfc3339()
}
