//! `certadm repository info`: the CAs of a vault, and the sets that a repository keeps.

use std::path::PathBuf;

use certadm_repository::{CaRepository, Point};
use certadm_rules::FileTime;
use certadm_rules::names::unsanitize;
use certadm_rules::words::counted;
use clap::Args;
use serde_json::{Value, json};

use super::named::repositories;
use crate::failure::Failure;
use crate::output::{Done, Output, human_bytes};

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// A vault such as vault:, or the repository of one CA: vault:CA
    #[arg(value_name = "ADDRESS")]
    repository: PathBuf,
}

pub(super) fn run(args: &InfoArgs, output: Output) -> Result<Done, Failure> {
    let (vault, repositories) = repositories(&args.repository)?;
    if repositories.is_empty() {
        output.result(format!("{} keeps no CA yet.", vault.place()));
    }
    let mut shown = Vec::new();
    for (place, repository) in repositories.iter().enumerate() {
        if place != 0 {
            output.result("");
        }
        shown.push(show(repository, output)?);
    }
    Ok(Done::good(json!({ "vault": vault.name(), "place": vault.place(), "repositories": shown })))
}

fn show(repository: &CaRepository, output: Output) -> Result<Value, Failure> {
    let (points, keys) = (repository.points()?, repository.keys()?.len());
    let proven = repository.proven()?;
    output.result(format!(
        "{} in {}: {}, {} beside the key file",
        unsanitize(repository.ca()),
        repository.address(),
        counted(points.len() as u64, "set"),
        counted(keys as u64, "key"),
    ));
    for point in &points {
        let proven = if proven.contains(&point.id) { "  proven" } else { "" };
        output.result(format!("{}{proven}", line(point)));
    }
    let points: Vec<Value> = points
        .iter()
        .map(|point| {
            let mut shown = to_json(point);
            shown["proven"] = json!(proven.contains(&point.id));
            shown
        })
        .collect();
    Ok(json!({
        "repository": repository.address(),
        "ca": unsanitize(repository.ca()),
        "keys": keys,
        "points": points,
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
