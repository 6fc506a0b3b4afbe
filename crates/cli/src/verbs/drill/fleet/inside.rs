//! Commands carried out in this process, as their own process would do it: only this one has the drill's clock.

use std::ffi::OsString;

use certadm_jobs::command::Words;
use certadm_jobs::lock::CaLock;
use certadm_jobs::perform::{Perform, Performed};
use clap::Parser;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::known_as;
use crate::output::{Done, Output};
use crate::verbs;

/// What commands say of themselves is not for the drill's reader.
const SILENT: Output = Output { json: true, quiet: true };

/// Carries commands out here.
pub(super) struct Inside;

impl Perform for Inside {
    fn perform(&self, words: &Words, _lock: &CaLock) -> Performed {
        carry_out(&words.0)
    }
}

/// Carries one command out: the words behind `certadm`.
pub(super) fn carry_out(words: &[OsString]) -> Performed {
    let (code, object) = match done(words) {
        Ok(done) => (done.exit, json!({ "result": known_as::value(&done.result), "error": null })),
        Err(failure) => (failure.exit, json!({ "result": Value::Null, "error": failure.to_json() })),
    };
    Performed::of(code as i32, &object)
}

/// The commands that a drill has a use for, with the arguments that they have anywhere.
#[derive(Debug, Parser)]
#[command(name = "certadm")]
enum Line {
    Backup(verbs::backup::BackupArgs),
    Restore(verbs::restore::RestoreArgs),
    Verify(verbs::verify::VerifyArgs),
    Complete(verbs::complete::CompleteArgs),
    Rehearse(Box<verbs::rehearse::RehearseArgs>),
    #[command(subcommand)]
    Repository(verbs::repository::RepositoryCommand),
}

fn done(words: &[OsString]) -> Result<Done, Failure> {
    let line = std::iter::once(OsString::from("certadm")).chain(words.iter().cloned());
    match Line::try_parse_from(line).map_err(|error| Failure::internal(error.to_string()))? {
        Line::Backup(args) => verbs::backup::run(&args, SILENT),
        Line::Restore(args) => verbs::restore::run(&args, SILENT),
        Line::Verify(args) => verbs::verify::run(&args, SILENT),
        Line::Complete(args) => verbs::complete::run(&args, SILENT),
        Line::Rehearse(args) => verbs::rehearse::run(&args, SILENT),
        Line::Repository(command) => verbs::repository::run(&command, SILENT),
    }
}
