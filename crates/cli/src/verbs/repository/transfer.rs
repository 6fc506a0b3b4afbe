//! `certadm repository import` and `export`: sets as folders go in and come out.

use std::path::PathBuf;

use certadm_files::durable;
use certadm_repository::Imported;
use clap::Args;
use serde_json::{Value, json};

use super::info;
use super::named::{address, repository};
use crate::failure::Failure;
use crate::interrupt;
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::files::refuse_home_sign;
use crate::verbs::places;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Sets that are folders, each with its manifest
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    /// The repository: vault: or vault:CA
    #[arg(long, value_name = "ADDRESS")]
    to: PathBuf,
}

pub(super) fn import(args: &ImportArgs, output: Output) -> Result<Done, Failure> {
    let repository = repository(&args.to)?;
    interrupt::watch();
    let mut results: Vec<Value> = Vec::new();
    for set in &args.sets {
        let imported = {
            let mut progress = output.progress();
            repository.import(set, &mut progress)?
        };
        let (address, stored) = match imported {
            Imported::Stored(committed) => (path_text(&committed.set), true),
            Imported::There(point) => (format!("{}/{}", repository.address(), point.short_id()), false),
        };
        output.line(match stored {
            true => format!("Stored {} as {address}, read back and compared.", set.display()),
            false => format!("{} is there already: {address}.", set.display()),
        });
        results.push(json!({ "set": path_text(set), "address": address, "stored": stored }));
    }
    Ok(Done::good(json!({ "repository": repository.address(), "sets": results })))
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The address of a set: vault:CA/POINT
    #[arg(value_name = "ADDRESS")]
    set: PathBuf,
    /// A new folder, which gets a folder for each set
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(super) fn export(args: &ExportArgs, output: Output) -> Result<Done, Failure> {
    refuse_home_sign(&args.to)?;
    let address = address(&args.set)?;
    let repository = places::open(&address)?;
    let points = repository.select(&address.point)?;
    interrupt::watch();
    durable::create_dir(&args.to)?;
    let mut results = Vec::new();
    for point in &points {
        let (low, high) = point.generations;
        let folder = args.to.join(format!("{}-{low:x}-{high:x}", point.kind));
        {
            let mut progress = output.progress();
            repository.export(point, &folder, &mut progress)?;
        }
        output.line(format!(
            "Wrote {} as {}, {}, every file compared with its manifest.",
            point.short_id(),
            folder.display(),
            human_bytes(point.bytes)
        ));
        let mut result = info::to_json(point);
        result["folder"] = json!(path_text(&folder));
        results.push(result);
    }
    Ok(Done::good(json!({ "repository": repository.address(), "sets": results })))
}
