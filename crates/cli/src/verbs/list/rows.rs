//! Printing rows as they come, in every form, whatever database they are from.

use std::cell::Cell;
use std::io;
use std::path::Path;

use certadm_ca::Serial;
use certadm_files::cancel;
use certadm_rules::words::counted;
use certadm_set::progress::{Progress, Stage};
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Done, Output, failed_output, path_text};
use crate::table::{self, Column, Form, Lines, shown};
use crate::verbs::files::{create_dir, write_new};

/// How to list.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct HowArgs {
    /// Comma-separated values (RFC 4180) with every column
    #[arg(long)]
    pub(super) csv: bool,
    /// At most so many rows, the oldest ones
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(super) limit: Option<usize>,
}

/// A number of rows. None is a mistake: a listing without rows looks like a database without them.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a listing of 0 rows shows nothing; leave the option out to list every row".to_owned()),
        other => other.map_err(|error: std::num::ParseIntError| error.to_string()),
    }
}

/// Why a listing ends before its last row.
pub(super) enum Stop {
    /// As many rows as were asked for.
    Limit,
    /// Nobody reads on.
    PipeClosed,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What printing rows has to know of the command.
#[derive(Clone, Copy)]
pub(super) struct Printing<'a> {
    pub(super) command: &'static str,
    pub(super) output: Output,
    /// So many rows are printed of a JSON object that is still open.
    pub(super) printed: &'a Cell<Option<usize>>,
}

/// So many rows are printed before the progress bar is told.
const ROWS_TOLD: usize = 256;

pub(super) struct Lister<'a> {
    pub(super) form: Form,
    limit: usize,
    printing: Printing<'a>,
    pub(super) export: Option<Export<'a>>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(
        how: HowArgs,
        export: Option<&'a Path>,
        printing: Printing<'a>,
    ) -> Result<Self, Failure> {
        let form = match (printing.output.json, how.csv) {
            (true, true) => {
                return Err(Failure::usage("--json and --csv exclude each other", "leave one of them out"));
            }
            (true, false) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        };
        let export = export.map(|dir| Export { dir, written: 0 });
        Ok(Self { form, limit: how.limit.unwrap_or(usize::MAX), printing, export })
    }

    /// Prints the rows that `all` gives to its visitor.
    pub(super) fn rows<R>(
        &self,
        columns: &'static [Column<R>],
        all: impl FnOnce(&mut dyn FnMut(R) -> Result<(), Stop>) -> Result<(), Stop>,
    ) -> Result<Listed, Failure> {
        let (columns, names) = shown(columns, self.form);
        self.lines(names, |visit| {
            all(&mut |row| visit(columns.iter().map(|column| (column.cell)(&row)).collect()))
        })
    }

    /// The same for rows that are cells already, under these names.
    pub(super) fn lines(
        &self,
        names: Vec<String>,
        all: impl FnOnce(&mut dyn FnMut(Vec<table::Cell>) -> Result<(), Stop>) -> Result<(), Stop>,
    ) -> Result<Listed, Failure> {
        let Printing { command, output, printed } = self.printing;
        let mut listed = Listed { count: 0, truncated: false };
        let mut progress = output.progress_of_rows();
        let mut lines = match Lines::new(names, self.form, command).map_err(output_failed) {
            Ok(lines) => lines,
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(_) => return Ok(Listed { truncated: true, ..listed }),
        };
        let ended = all(&mut |row| {
            if listed.count == self.limit {
                return Err(Stop::Limit);
            }
            cancel::check().map_err(|cancelled| Stop::Failed(cancelled.into()))?;
            lines.row(row).map_err(output_failed)?;
            listed.count += 1;
            if self.form == Form::Json {
                printed.set(Some(listed.count));
            }
            if listed.count.is_multiple_of(ROWS_TOLD) {
                progress.at(Stage::Rows, listed.count as u64, 0);
            }
            Ok(())
        });
        let mut has_gone = matches!(ended, Err(Stop::PipeClosed));
        match ended {
            Ok(()) => {}
            Err(Stop::Limit | Stop::PipeClosed) => listed.truncated = true,
            // Before the first row a failure has the object for itself.
            Err(Stop::Failed(failure)) => return Err(failure),
        }
        match lines.finish().map_err(output_failed) {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(_) => {
                has_gone = true;
                listed.truncated = true;
            }
        }
        drop(progress);
        match self.form {
            Form::Json => printed.set(Some(listed.count)),
            // A reader that has gone away is told nothing more.
            Form::Table if !has_gone => {
                let more = if listed.truncated { "; --limit leaves out the others" } else { "" };
                output.line(format!("{}{more}.", counted(listed.count as u64, "row")));
            }
            Form::Table | Form::Csv => {}
        }
        Ok(listed)
    }

    /// The result of a listing.
    pub(super) fn done(&self, table: &str, listed: Listed) -> Done {
        let export = self.export.as_ref();
        if let (Some(export), Form::Table) = (export, self.form) {
            let written = counted(export.written as u64, "certificate");
            self.printing.output.line(format!("Wrote {written} to {}.", export.dir.display()));
        }
        Done::good(json!({
            "table": table,
            "count": listed.count,
            "truncated": listed.truncated,
            "exported": export.map(|export| json!({ "dir": path_text(export.dir), "certificates": export.written })),
        }))
    }
}

/// What was listed.
pub(super) struct Listed {
    count: usize,
    truncated: bool,
}

/// A reader that has seen enough is no error of the command; a full disk behind a redirection is.
fn output_failed(error: io::Error) -> Stop {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Stop::PipeClosed,
        _ => Stop::Failed(failed_output(error).into()),
    }
}

/// Certificates on their way into files.
pub(super) struct Export<'a> {
    dir: &'a Path,
    written: usize,
}

impl Export<'_> {
    /// Writes one certificate. The database may come from elsewhere: only what is a serial number becomes a name
    /// (invariant 6).
    pub(super) fn write(&mut self, request_id: i64, serial: Option<&str>, pem: &str) -> Result<(), Failure> {
        let serial = serial.and_then(|text| text.parse::<Serial>().ok());
        let name = match serial {
            Some(serial) => format!("{}.pem", serial.as_str()),
            None => format!("request-{request_id}.pem"),
        };
        write_new(&self.dir.join(name), pem.as_bytes())?;
        self.written += 1;
        Ok(())
    }

    /// Creates the folder.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        create_dir(self.dir)
    }
}
