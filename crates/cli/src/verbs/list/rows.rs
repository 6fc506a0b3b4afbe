//! Printing rows as they come, in every form, whatever database they are from.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
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
        let export =
            export.map(|dir| Export { dir, written: 0, names: HashSet::new(), hasher: RandomState::new() });
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
    /// The names of the files that were written, without their ending: the hash of each, because there may be millions.
    names: HashSet<u64>,
    hasher: RandomState,
}

impl Export<'_> {
    /// Writes one certificate. The database may come from elsewhere: only what is a serial number becomes a name
    /// (invariant 6), and several rows may have the same one.
    pub(super) fn write(&mut self, request_id: i64, serial: Option<&str>, pem: &str) -> Result<(), Failure> {
        let serial = serial.and_then(|text| text.parse::<Serial>().ok());
        let mut name = match &serial {
            Some(serial) => serial.as_str().to_owned(),
            None => format!("request-{request_id}"),
        };
        if serial.is_some() && self.is_taken(&name) {
            name = format!("{name}-request-{request_id}");
        }
        if self.is_taken(&name) {
            // No other one is the same in number.
            name = format!("{name}-{}", self.written + 1);
        }
        // A file that was there before stays, and its name is not evaded.
        write_new(&self.dir.join(format!("{name}.pem")), pem.as_bytes())?;
        self.names.insert(self.hasher.hash_one(&name));
        self.written += 1;
        Ok(())
    }

    /// Whether a file of this run has this name, or may have it.
    fn is_taken(&self, name: &str) -> bool {
        self.names.contains(&self.hasher.hash_one(name))
    }

    /// Creates the folder.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        create_dir(self.dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn certificates_with_one_serial_number_are_all_exported() {
        let dir = tempfile::tempdir().unwrap();
        let mut export =
            Export { dir: dir.path(), written: 0, names: HashSet::new(), hasher: RandomState::new() };
        for (request, serial) in
            [(1, Some("0a")), (2, Some("0A")), (3, Some("0b")), (2, Some("0a")), (4, None), (4, None)]
        {
            export.write(request, serial, &format!("{request}")).unwrap();
        }
        let expected = [
            "0a-request-2-4.pem",
            "0a-request-2.pem",
            "0a.pem",
            "0b.pem",
            "request-4-6.pem",
            "request-4.pem",
        ];
        assert_eq!((names(dir.path()), export.written), (expected.map(str::to_owned).to_vec(), 6));
        assert_eq!(std::fs::read_to_string(dir.path().join("0a.pem")).unwrap(), "1");
        // What another run has written is not written over, and not taken for a certificate of this one.
        let mut again =
            Export { dir: dir.path(), written: 0, names: HashSet::new(), hasher: RandomState::new() };
        assert!(again.write(1, Some("0a"), "1").is_err());
        assert_eq!(names(dir.path()).len(), 6);
    }
}
