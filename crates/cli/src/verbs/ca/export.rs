//! `certadm ca export`.

use std::path::PathBuf;

use certadm_ca::{CertificateChoice, export_certificate};
use certadm_store::{Folder, Writer};
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::verbs::files::{refuse_wrong_place, write_new};

/// `certadm ca export`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm ca export --dir /srv/ca --serial 4f3a... --out web1.pem")]
pub(crate) struct ExportArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// The file to write, which must not exist; standard output if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Which certificate.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ChoiceArgs {
    /// The certificate's serial number, in hexadecimal
    #[arg(long, value_name = "S")]
    serial: Option<String>,
    /// The number of its request
    #[arg(long, value_name = "N")]
    request: Option<i64>,
}

pub(crate) fn run(args: &ExportArgs, output: Output) -> Result<Done, Failure> {
    args.out.as_deref().map_or(Ok(()), refuse_wrong_place)?;
    let choice = match (&args.choice.serial, args.choice.request) {
        (Some(serial), _) => CertificateChoice::Serial(serial.parse()?),
        (None, Some(request_id)) => CertificateChoice::RequestId(request_id),
        (None, None) => {
            return Err(Failure::usage("no certificate is named", "give --serial S or --request N"));
        }
    };
    let writer = Writer::open(&Folder::new(&args.dir))?;
    let exported = export_certificate(writer.connection(), &choice)?;
    let pem = exported.to_pem();
    match &args.out {
        Some(path) => {
            write_new(path, pem.as_bytes())?;
            output.line(format!("The certificate is in {}.", path.display()));
        }
        None => output.lines(pem.trim_end()),
    }
    Ok(Done::good(json!({
        "request_id": exported.row.request_id,
        "serial_number": exported.row.serial_number,
        "file": args.out.as_deref().map(path_text),
        "certificate": pem,
    })))
}
