//! `certadm list`: the tables of a CA's database, live or in a set. `certadm ca list` is the same for a live CA.

mod columns;
mod ours;
mod rows;
mod windows;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use certadm_set::Opened;
use certadm_set::scratch::Recovered;
use certadm_store::{Folder, Writer};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::known_as;
use crate::output::{Done, Ended, Output, Said, path_text};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places::{Places, ScratchArgs};
use crate::verbs::signing::AllowedArgs;
use crate::verbs::until::{self, UntilArgs};
use columns::Table;
use rows::{HowArgs, Lister, Printing};
use windows::What;

/// `certadm list`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm list [OPTIONS] --dir <DIR> [TABLE]\n       certadm list [OPTIONS] <SET|EDB> [LOGSET]... [TABLE]"
)]
#[command(
    after_help = "Tables: requests, certificates (if none is named), revoked, extensions, attributes, crls\n\
    Example: certadm list /backup/monday /backup/monday-noon revoked\n\
    Example: certadm list --dir /srv/ca requests --csv\n\
    Example: certadm list CertLog.edb --table Requests --csv\n\
    Example: certadm list damaged.edb --salvage --export-certs certificates"
)]
pub(crate) struct ListArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["allowed_signers", "until_generation", "until_time"])]
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
    /// Read around damaged pages of a Windows database, and count them
    #[arg(long)]
    salvage: bool,
    #[command(flatten)]
    until: UntilArgs,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
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

impl From<CaListArgs> for ListArgs {
    fn from(args: CaListArgs) -> Self {
        let words = vec![args.table.name().into()];
        let (dir, how, allowed) = (Some(args.dir), args.how, AllowedArgs::default());
        let (until, scratch) = (UntilArgs::default(), ScratchArgs::default());
        Self { dir, words, table: None, how, export_certs: None, salvage: false, until, allowed, scratch }
    }
}

/// Lists. Rows of JSON are printed as they come, and the object around them stays open.
pub(crate) fn run(args: &ListArgs, command: &'static str, output: Output) -> Ended {
    crate::interrupt::watch();
    let printed = Cell::new(None);
    let outcome = list(args, output, Printing { command, output, printed: &printed });
    Ended { said: printed.get().map_or(Said::Nothing, Said::Rows), outcome }
}

fn list(args: &ListArgs, output: Output, printing: Printing<'_>) -> Result<Done, Failure> {
    let (table, sets) = match args.words.split_last() {
        Some((last, before)) => match last.to_str().map(|word| Table::from_str(word, false)) {
            Some(Ok(table)) => (table, before),
            _ if is_misspelt_table(last, before) => {
                let text = format!("{} is no table, and there is no set of that name", last.display());
                return Err(Failure::usage(text, which_tables()));
            }
            _ => (Table::Certificates, args.words.as_slice()),
        },
        None => (Table::Certificates, [].as_slice()),
    };
    if args.export_certs.is_some() && !matches!(table, Table::Certificates | Table::Revoked) {
        let remedy = "leave the option out, or list `certificates` or `revoked`";
        return Err(Failure::usage("this table has no certificates that --export-certs could write", remedy));
    }
    args.export_certs.as_deref().map_or(Ok(()), refuse_wrong_place)?;
    let lister = Lister::new(args.how, args.export_certs.as_deref(), printing)?;
    let places = Places::find(sets, &args.scratch, output)?;
    let opened = match (&args.dir, sets) {
        (Some(dir), []) => Opened::Folder(Folder::new(dir)),
        (None, [_, ..]) => certadm_set::open(places.paths())?,
        (Some(_), [other, ..]) => {
            let detail = format!("{} is no table, and with --dir no set is listed", other.display());
            return Err(Failure::usage(detail, which_tables()));
        }
        (None, []) => {
            let remedy = "name a set, a Windows database, or a CA's folder by --dir DIR";
            return Err(Failure::usage("there is nothing to list", remedy));
        }
    };
    if let Some(allowed) = args.allowed.read()? {
        allowed.check_files(&opened, &mut output.progress_on_stderr())?;
    }
    let (opened, cut) = args.until.cut(opened, |text| output.remark(text))?;
    let unsealed = unsealed(&opened);
    for set in &unsealed {
        let set = known_as::path(set);
        output.remark(&format!(
            "{} has no manifest: nothing says which files and bytes it should have, so rows may be missing",
            set.display()
        ));
    }
    let what = args.table.as_deref().map_or(What::View(table), What::Table);
    let mut done = match (opened, &args.table) {
        (Opened::Windows(sets), _) if args.salvage => windows::salvage(lister, &sets, what, output),
        (Opened::Windows(sets), _) => windows::list(lister, &sets, what, output),
        (_, _) if args.salvage => {
            let remedy = "leave the option out, or name a database or set of a Windows CA";
            Err(Failure::usage("--salvage reads databases of Windows CAs, and this is none", remedy))
        }
        (_, Some(_)) => {
            let text = "--table reads databases of Windows CAs, and this is none";
            Err(Failure::usage(text, which_tables()))
        }
        (Opened::Ours(sets), None) => ours::list(lister, Recovered::of(&sets)?.connection(), table),
        (Opened::Folder(folder), None) => ours::list(lister, Writer::open(&folder)?.connection(), table),
    }?;
    done.result["until"] = until::to_json(cut.as_ref());
    done.result["unsealed"] = unsealed.iter().map(|set| path_text(set)).collect();
    Ok(done)
}

/// The sets of our own without a manifest. Those of a Windows CA have none by themselves.
fn unsealed(opened: &Opened) -> Vec<PathBuf> {
    match opened {
        Opened::Ours(sets) => {
            sets.iter().filter(|set| set.manifest.is_none()).map(|set| set.path.clone()).collect()
        }
        Opened::Windows(_) | Opened::Folder(_) => Vec::new(),
    }
}

/// Whether the last word behind sets is hardly a set: a plain word, and nothing of that name is there.
fn is_misspelt_table(last: &Path, before: &[PathBuf]) -> bool {
    let is_address = last.to_string_lossy().contains(':');
    !before.is_empty() && !is_address && last.components().count() == 1 && !last.exists()
}

fn which_tables() -> String {
    let names: Vec<String> = Table::value_variants()
        .iter()
        .filter_map(|table| Some(table.to_possible_value()?.get_name().to_owned()))
        .collect();
    format!("name one of the tables {}", names.join(", "))
}
