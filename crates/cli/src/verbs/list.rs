//! `certadm list` and `certadm ca list`: the tables of a CA's database, live or in a set.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use certadm_ca::rows::CertificateRow;
use certadm_ca::{CertificateChoice, Serial, export_certificate};
use certadm_set::Set;
use certadm_set::chain::combine;
use certadm_set::progress::{Progress, Stage};
use certadm_set::scratch::Recovered;
use certadm_set::windows::WindowsSet;
use certadm_store::{Folder, Writer};
use clap::{Args, ValueEnum};
use rusqlite::Connection;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, failed_output};
use crate::table::{self, Column, Form, Lines, shown};
use crate::verbs::files::{create_dir, write_new};
use crate::verbs::list_windows::What;
use crate::verbs::{list_windows, listing};

/// `certadm list`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm list [OPTIONS] --dir <DIR> [TABLE]\n       certadm list [OPTIONS] <SET|EDB> [LOGSET]... [TABLE]"
)]
#[command(
    after_help = "Tables: requests, certificates (if none is named), revoked, extensions, attributes, crls\n\
    Example: certadm list /backup/monday /backup/monday-noon revoked\n\
    Example: certadm list --dir /srv/ca requests --csv\n\
    Example: certadm list CertLog.edb --table Requests --csv"
)]
pub(crate) struct ListArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A full set and the log sets that continue it, or a Windows database; then the table's name
    #[arg(value_name = "SET|TABLE")]
    words: Vec<PathBuf>,
    /// Any table of a Windows database by its name in the file, with every column
    #[arg(long, value_name = "T", conflicts_with = "export_certs")]
    table: Option<String>,
    #[command(flatten)]
    how: HowArgs,
    /// Write each certificate listed to this folder as SERIAL.pem; none is overwritten
    #[arg(long, value_name = "DIR")]
    export_certs: Option<PathBuf>,
}

/// `certadm ca list`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm ca list --dir /srv/ca revoked")]
pub(crate) struct CaListArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What to list
    #[arg(value_enum, default_value = "certificates")]
    table: Table,
    #[command(flatten)]
    how: HowArgs,
}

/// How to list.
#[derive(Clone, Copy, Debug, Args)]
struct HowArgs {
    /// Comma-separated values (RFC 4180) with every column
    #[arg(long)]
    csv: bool,
    /// At most so many rows, the oldest ones
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// Every request and what became of it
    Requests,
    /// Every certificate, the CA's own and revoked ones among them
    Certificates,
    /// Revoked certificates
    Revoked,
    /// Extensions of certificates and requests
    Extensions,
    /// Attributes of requests
    Attributes,
    /// Published CRLs
    Crls,
}

impl Table {
    /// Its name on the command line and in the result.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Certificates => "certificates",
            Self::Revoked => "revoked",
            Self::Extensions => "extensions",
            Self::Attributes => "attributes",
            Self::Crls => "crls",
        }
    }
}

/// Lists, and says how it ended: rows of JSON are printed as they come, and the object around them is closed here.
pub(crate) fn run(args: &ListArgs, output: Output) -> Exit {
    let printed = Cell::new(None);
    let listed = list(args, output, Printing { command: "list", output, printed: &printed });
    end("list", output, printed.get(), listed)
}

/// The same for `ca list`.
pub(crate) fn run_ca(args: &CaListArgs, output: Output) -> Exit {
    let printed = Cell::new(None);
    let listed = list_ca(args, Printing { command: "ca list", output, printed: &printed });
    end("ca list", output, printed.get(), listed)
}

fn end(command: &str, output: Output, printed: Option<usize>, listed: Result<Done, Failure>) -> Exit {
    match (printed, listed) {
        (None, listed) => output.finish(command, listed),
        (Some(_), Ok(done)) => {
            output.end_rows(&done.result, done.exit, None);
            done.exit
        }
        (Some(count), Err(failure)) => {
            let cut_off = json!({ "count": count, "truncated": true });
            output.end_rows(&cut_off, failure.exit, Some(&failure.to_json()));
            failure.exit
        }
    }
}

fn list(args: &ListArgs, output: Output, printing: Printing<'_>) -> Result<Done, Failure> {
    let (table, sets) = match args.words.split_last() {
        Some((last, before)) => match last.to_str().map(|word| Table::from_str(word, false)) {
            Some(Ok(table)) => (table, before),
            _ => (Table::Certificates, args.words.as_slice()),
        },
        None => (Table::Certificates, [].as_slice()),
    };
    if args.export_certs.is_some() && !matches!(table, Table::Certificates | Table::Revoked) {
        return Err(Failure::usage("--export-certs goes with the tables certificates and revoked"));
    }
    let lister = Lister::new(args.how, args.export_certs.as_deref(), printing)?;
    if args.dir.is_none()
        && let Some(found) = WindowsSet::find_all(sets)?
    {
        let what = args.table.as_ref().map_or(What::View(table), |name| What::Table(name));
        return list_windows::list(lister, &found, what, output);
    }
    if args.table.is_some() {
        return Err(Failure::usage("--table goes with a database of a Windows CA; this is none"));
    }
    let source = match (&args.dir, sets) {
        (Some(dir), []) => Source::Live(Writer::open(&Folder::new(dir))?),
        (None, [_, ..]) => open_sets(sets)?,
        (Some(_), [other, ..]) => {
            let detail = format!("{} is no table, and with --dir no set is listed", other.display());
            return Err(Failure::usage(detail));
        }
        (None, []) => return Err(Failure::usage("nothing to list: name a set, or a CA's folder with --dir")),
    };
    lister.list(source.connection(), table)
}

fn list_ca(args: &CaListArgs, printing: Printing<'_>) -> Result<Done, Failure> {
    let lister = Lister::new(args.how, None, printing)?;
    lister.list(Writer::open(&Folder::new(&args.dir))?.connection(), args.table)
}

pub(super) enum Source {
    Live(Writer),
    Set(Recovered),
}

impl Source {
    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::Live(writer) => writer.connection(),
            Self::Set(recovered) => recovered.connection(),
        }
    }
}

/// The database as a restore of these sets would give it.
pub(super) fn open_sets(paths: &[PathBuf]) -> Result<Source, Failure> {
    let sets = paths.iter().map(|path| Set::open(path)).collect::<Result<Vec<_>, _>>()?;
    let combined = combine(&sets)?;
    Ok(Source::Set(Recovered::open(&combined.image, &combined.check()?)?))
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
struct Printing<'a> {
    command: &'static str,
    output: Output,
    /// So many rows are printed of a JSON object that is still open.
    printed: &'a Cell<Option<usize>>,
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
    fn new(how: HowArgs, export: Option<&'a Path>, printing: Printing<'a>) -> Result<Self, Failure> {
        let form = match (printing.output.json, how.csv) {
            (true, true) => return Err(Failure::usage("--json and --csv exclude each other")),
            (true, false) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        };
        let export = export.map(|dir| Export { dir, written: 0 });
        Ok(Self { form, limit: how.limit.unwrap_or(usize::MAX), printing, export })
    }

    fn list(mut self, connection: &Connection, table: Table) -> Result<Done, Failure> {
        if let Some(export) = &self.export {
            export.prepare()?;
        }
        let listed = match table {
            Table::Requests => self.rows(listing::REQUESTS, |visit| certadm_ca::requests(connection, visit)),
            Table::Extensions => {
                self.rows(listing::EXTENSIONS, |visit| certadm_ca::extensions(connection, visit))
            }
            Table::Attributes => {
                self.rows(listing::ATTRIBUTES, |visit| certadm_ca::attributes(connection, visit))
            }
            Table::Crls => self.rows(listing::CRLS, |visit| certadm_ca::crls(connection, visit)),
            Table::Certificates => self.certificates(connection, listing::CERTIFICATES, |visit| {
                certadm_ca::certificates(connection, visit)
            }),
            Table::Revoked => self
                .certificates(connection, listing::REVOKED, |visit| certadm_ca::revoked(connection, visit)),
        }?;
        Ok(self.done(table.name(), listed))
    }

    fn certificates(
        &mut self,
        connection: &Connection,
        columns: &'static [Column<CertificateRow>],
        all: impl FnOnce(&mut dyn FnMut(CertificateRow) -> Result<(), Stop>) -> Result<(), Stop>,
    ) -> Result<Listed, Failure> {
        let mut export = self.export.take();
        let listed = self.rows(columns, |visit| {
            all(&mut |row| {
                let wanted = export.as_ref().map(|_| row.clone());
                visit(row)?;
                match (&mut export, wanted) {
                    (Some(export), Some(row)) => Ok(export.certificate(connection, &row)?),
                    _ => Ok(()),
                }
            })
        });
        self.export = export;
        listed
    }

    /// Prints the rows that `all` gives to its visitor.
    fn rows<R>(
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
        match ended {
            Ok(()) => {}
            Err(Stop::Limit | Stop::PipeClosed) => listed.truncated = true,
            // Before the first row a failure has the object for itself.
            Err(Stop::Failed(failure)) => return Err(failure),
        }
        match lines.finish().map_err(output_failed) {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(_) => listed.truncated = true,
        }
        if self.form == Form::Json {
            printed.set(Some(listed.count));
        }
        Ok(listed)
    }

    /// The result of a listing.
    pub(super) fn done(&self, table: &str, listed: Listed) -> Done {
        let export = self.export.as_ref();
        Done::good(json!({
            "table": table,
            "count": listed.count,
            "truncated": listed.truncated,
            "exported": export.map(|export| json!({ "dir": export.dir, "certificates": export.written })),
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
    fn certificate(&mut self, connection: &Connection, row: &CertificateRow) -> Result<(), Failure> {
        let exported = export_certificate(connection, &CertificateChoice::RequestId(row.request_id))?;
        self.write(row.request_id, row.serial_number.as_deref(), &exported.to_pem()?)
    }

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
