//! `certadm list` and `certadm ca list`: the tables of a CA's database, live or in a set.

use std::io;
use std::path::{Path, PathBuf};

use certadm_ca::rows::CertificateRow;
use certadm_ca::{CertificateChoice, Serial, export_certificate};
use certadm_set::Set;
use certadm_set::chain::combine;
use certadm_set::scratch::Recovered;
use certadm_set::windows::WindowsSet;
use certadm_store::{Folder, Writer};
use clap::{Args, ValueEnum};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Done, Output};
use crate::table::{Cell, Column, Form, Lines, shown};
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
    /// A full set and the sets of logs that continue it, or a Windows database; then the table's name
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

pub(crate) fn run(args: &ListArgs, output: Output) -> Result<Done, Failure> {
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
    let lister = Lister::new(args.how, args.export_certs.as_deref(), output)?;
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

pub(crate) fn run_ca(args: &CaListArgs, output: Output) -> Result<Done, Failure> {
    let lister = Lister::new(args.how, None, output)?;
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

pub(super) struct Lister<'a> {
    pub(super) form: Form,
    limit: usize,
    pub(super) export: Option<Export<'a>>,
}

impl<'a> Lister<'a> {
    fn new(how: HowArgs, export: Option<&'a Path>, output: Output) -> Result<Self, Failure> {
        let form = match (output.json, how.csv) {
            (true, true) => return Err(Failure::usage("--json and --csv exclude each other")),
            (true, false) => Form::Json,
            (false, true) => Form::Csv,
            (false, false) => Form::Table,
        };
        let export = export.map(|dir| Export { dir, written: 0 });
        Ok(Self { form, limit: how.limit.unwrap_or(usize::MAX), export })
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
        all: impl FnOnce(&mut dyn FnMut(Vec<Cell>) -> Result<(), Stop>) -> Result<(), Stop>,
    ) -> Result<Listed, Failure> {
        let mut listed = Listed { count: 0, truncated: false, rows: Vec::new() };
        let mut lines = match Lines::new(names, self.form) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Listed { truncated: true, ..listed });
            }
            other => other?,
        };
        let ended = all(&mut |row| {
            if listed.count == self.limit {
                return Err(Stop::Limit);
            }
            lines.row(row).map_err(output_failed)?;
            listed.count += 1;
            Ok(())
        });
        match ended {
            Ok(()) => {}
            Err(Stop::Limit | Stop::PipeClosed) => listed.truncated = true,
            Err(Stop::Failed(failure)) => return Err(failure),
        }
        match lines.finish().map_err(output_failed) {
            Ok(rows) => listed.rows = rows,
            Err(Stop::Failed(failure)) => return Err(failure),
            Err(_) => listed.truncated = true,
        }
        Ok(listed)
    }

    /// The result of a listing.
    pub(super) fn done(&self, table: &str, listed: Listed) -> Done {
        let export = self.export.as_ref();
        Done::good(json!({
            "table": table,
            "rows": listed.rows,
            "count": listed.count,
            "truncated": listed.truncated,
            "exported": export.map(|export| json!({ "dir": export.dir, "certificates": export.written })),
        }))
    }
}

/// What was listed; rows only for JSON.
pub(super) struct Listed {
    pub(super) count: usize,
    truncated: bool,
    rows: Vec<Value>,
}

/// A reader that has seen enough is no error of the command; a full disk behind a redirection is.
fn output_failed(error: io::Error) -> Stop {
    if error.kind() == io::ErrorKind::BrokenPipe { Stop::PipeClosed } else { error.into() }
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
