//! `certadm diff`: two states of one CA, compared by their certificates.

use std::cell::Cell as Count;
use std::path::PathBuf;

use certadm_recovery::Damage;
use certadm_recovery::diff::{Change, Diff, Difference};
use certadm_rules::words::counted;
use clap::Args;
use serde_json::json;

use super::state::State;
use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Ended, Output, Said, failed_output};
use crate::table::{Cell, Column, Form, Lines, shown};
use crate::verbs::places::{Places, ScratchArgs};
use crate::verbs::signing::AllowedArgs;

/// `certadm diff`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm diff [OPTIONS] <A> <B> [--logs-a <LOGSET>...] [--logs-b <LOGSET>...]",
    after_help = "Example: certadm diff /backup/monday /backup/tuesday\n\
    Example: certadm diff /backup/monday /srv/ca --logs-a /backup/monday-noon\n\
    Example: certadm diff old.edb CertLog.edb --csv"
)]
pub(crate) struct DiffArgs {
    /// The earlier state: a full set, a database of a Windows CA, the folder of our own CA, or the address of sets in a
    /// repository
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The later state
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Log sets that continue A
    #[arg(long, value_name = "LOGSET", num_args = 1..)]
    logs_a: Vec<PathBuf>,
    /// Log sets that continue B
    #[arg(long, value_name = "LOGSET", num_args = 1..)]
    logs_b: Vec<PathBuf>,
    /// Comma-separated values (RFC 4180) with every column
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

const COLUMNS: &[Column<Difference>] = &[
    Column { key: "change", heading: Some("Change"), cell: |row| Cell::Text(word(row.change).to_owned()) },
    Column { key: "request_id", heading: Some("Request"), cell: |row| row.request_id.into() },
    Column {
        key: "serial_number",
        heading: Some("Serial number"),
        cell: |row| Cell::Text(row.serial_number.to_string()),
    },
    Column { key: "common_name", heading: Some("Common name"), cell: |row| (&row.common_name).into() },
    Column {
        key: "when",
        heading: Some("When"),
        cell: |row| row.when.map(certadm_rules::FileTime::to_rfc3339).into(),
    },
    Column {
        key: "not_after",
        heading: None,
        cell: |row| row.not_after.map(certadm_rules::FileTime::to_rfc3339).into(),
    },
    Column {
        key: "reason",
        heading: Some("Reason"),
        cell: |row| row.reason.map(|reason| reason.to_string()).into(),
    },
];

const fn word(change: Change) -> &'static str {
    match change {
        Change::Issued => "issued",
        Change::Missing => "missing",
        Change::Revoked => "revoked",
        Change::Unrevoked => "unrevoked",
        Change::Reason => "reason",
        Change::Expired => "expired",
    }
}

/// Compares. Rows are printed as they are found, and the object of JSON stays open around them.
pub(crate) fn run(args: &DiffArgs, output: Output) -> Ended {
    interrupt::watch();
    let printed = Count::new(None);
    let outcome = compare(args, output, &printed);
    Ended { said: printed.get().map_or(Said::Nothing, Said::Rows), outcome }
}

fn compare(args: &DiffArgs, output: Output, printed: &Count<Option<usize>>) -> Result<Done, Failure> {
    let form = match (output.json, args.csv) {
        (true, true) => {
            return Err(Failure::usage("--json and --csv exclude each other", "leave one of them out"));
        }
        (true, false) => Form::Json,
        (false, true) => Form::Csv,
        (false, false) => Form::Table,
    };
    let paths = |first: &PathBuf, logs: &[PathBuf]| -> Vec<PathBuf> {
        std::iter::once(first.clone()).chain(logs.iter().cloned()).collect()
    };
    let find = |paths: Vec<PathBuf>| Places::find(&paths, &args.scratch, output);
    let places = (find(paths(&args.before, &args.logs_a))?, find(paths(&args.after, &args.logs_b))?);
    let allowed = args.allowed.read()?;
    let open = |places: &Places| {
        State::open(places.paths(), allowed.as_ref(), Damage::Refused, &mut Vec::new(), output)
    };
    let before = open(&places.0)?;
    let after = open(&places.1)?;
    let until = after.is_live().then(certadm_store::now);
    let (columns, names) = shown(COLUMNS, form);
    // The heading comes with the first row: before it a failure has the output for itself.
    let mut lines: Option<Lines> = None;
    let mut failed: Option<std::io::Error> = None;
    let mut rows = 0;
    let mut visit = |row: Difference| {
        certadm_files::cancel::check()?;
        if failed.is_some() {
            return Ok(());
        }
        let mut print = || -> std::io::Result<()> {
            let lines = match &mut lines {
                Some(lines) => lines,
                None => lines.insert(Lines::new(names.clone(), form, "diff")?),
            };
            lines.row(columns.iter().map(|column| (column.cell)(&row)))
        };
        failed = print().err();
        rows += 1;
        if form == Form::Json {
            printed.set(Some(rows));
        }
        Ok(())
    };
    let mut diff = before.with(Diff::begin)?;
    after.with(|after| diff.later(after, until, &mut visit))?;
    let counts = before.with(|before| diff.missing(before, &mut visit))?;
    match (lines, failed) {
        // Nobody reads on.
        (_, Some(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
        (_, Some(error)) => return Err(failed_output(error).into()),
        (Some(lines), None) => lines.finish().map_err(failed_output)?,
        (None, None) if form == Form::Table => {}
        (None, None) => Lines::new(names, form, "diff").and_then(Lines::finish).map_err(failed_output)?,
    }
    if form == Form::Json {
        printed.set(Some(rows));
    }
    if form == Form::Table {
        output.result(format!(
            "{} issued, {} revoked, {} unrevoked, {} with another reason, {} expired, {} missing, {} the same.",
            counts.issued, counts.revoked, counts.unrevoked, counts.reason, counts.expired, counts.missing, counts.same
        ));
        if counts.missing != 0 {
            output.result(format!(
                "B lacks {} that A has: a CA never forgets one, unless it was restored from an earlier backup.",
                counted(counts.missing, "certificate")
            ));
        }
    }
    let exit = if counts.missing == 0 { Exit::Good } else { Exit::Finding };
    Ok(Done { exit, result: json!({ "counts": counts, "count": rows }) })
}
