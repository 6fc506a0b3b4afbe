//! `certadm ca issue`: certificates from requests, each with its own outcome.

use std::path::{Path, PathBuf};

use certadm_ca::{Authority, Issued, Recognised, Request, Terms};
use certadm_store::{Folder, Writer};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphraseArgs;
use crate::verbs::account::account;
use crate::verbs::files::{create_dir, read_input, refuse_wrong_place, write_new};
use crate::verbs::{authority, live};

/// `certadm ca issue`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm ca issue --dir /srv/ca --passphrase-file /root/ca.pass --out issued web1.csr web2.csr"
)]
pub(crate) struct IssueArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The kind of certificate: server, client, email, code-signing, subca, or one of ca.toml; server if left out
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Allow a profile for subordinate CAs, which can issue in this CA's name
    #[arg(long)]
    allow_ca: bool,
    /// Days of validity; the profile's own if left out
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Write each certificate to this folder as SERIAL.pem; to standard output if left out
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The requester that the database records; if left out, the account that runs this command
    #[arg(long, value_name = "NAME")]
    requester: Option<String>,
    /// PKCS#10 requests, PEM or DER, one a file
    #[arg(value_name = "CSR", required = true)]
    requests: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// No request is longer, PEM and the text before it included.
const MAX_REQUEST: u64 = 256 << 10;

pub(crate) fn run(args: &IssueArgs, output: Output) -> Result<Done, Failure> {
    args.out.as_deref().map_or(Ok(()), refuse_wrong_place)?;
    let folder = Folder::new(&args.dir);
    let authority = authority::open(&folder, &args.passphrase)?;
    if let Some(out) = &args.out {
        create_dir(out)?;
    }
    let (writer, recovered) = live::open_writer(&folder, output)?;
    let requester = args.requester.clone().unwrap_or_else(account);
    let terms = Terms {
        profile: args.profile.as_deref(),
        days: args.days,
        requester: &requester,
        allow_ca: args.allow_ca,
    };
    let mut issuing = Issuing { authority, writer, terms, out: args.out.as_deref(), output };
    let mut outcomes: Vec<Outcome> = args.requests.iter().map(|path| issuing.one(path)).collect();
    drop(issuing);

    if let [Outcome { issued: None, failure, .. }] = outcomes.as_mut_slice()
        && let Some(failure) = failure.take()
    {
        return Err(failure);
    }
    for outcome in &outcomes {
        if let Some(failure) = &outcome.failure {
            output.result(format!("{}: {failure}", outcome.file.display()));
            output.result(format!("  what to do: {}", failure.remedy));
        }
    }
    let issued = outcomes.iter().filter(|outcome| outcome.issued.is_some()).count();
    let exit = match (issued, outcomes.iter().any(|outcome| outcome.failure.is_some())) {
        // The first failure decides, as it does for one request alone.
        (0, _) => outcomes
            .iter()
            .find_map(|outcome| outcome.failure.as_ref())
            .map_or(Exit::Good, |first| first.exit),
        (_, true) => Exit::Finding,
        (_, false) => Exit::Good,
    };
    let result = json!({
        "issued": issued,
        "failed": outcomes.len() - issued,
        "recovered": recovered,
        "results": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>(),
    });
    Ok(live::finish(&folder, Done { exit, result }, output))
}

struct Issuing<'a> {
    authority: Authority,
    writer: Writer,
    terms: Terms<'a>,
    out: Option<&'a Path>,
    output: Output,
}

/// What became of one request. A certificate that could not be written to its file is issued all the same.
struct Outcome {
    file: PathBuf,
    subject: Option<String>,
    issued: Option<Issued>,
    /// It cannot be valid for longer than the CA's own certificate, whatever was asked for.
    ends_with_ca: Option<bool>,
    written: Option<PathBuf>,
    pem: Option<String>,
    failure: Option<Failure>,
}

impl Issuing<'_> {
    fn one(&mut self, file: &Path) -> Outcome {
        let mut outcome = Outcome {
            file: file.to_owned(),
            subject: None,
            issued: None,
            ends_with_ca: None,
            written: None,
            pem: None,
            failure: None,
        };
        outcome.failure = self.fill(&mut outcome).err();
        outcome
    }

    fn fill(&mut self, outcome: &mut Outcome) -> Result<(), Failure> {
        let input = read_input(&outcome.file, MAX_REQUEST)?;
        let name = outcome.file.display().to_string();
        if let Some(error) = certadm_ca::Error::of_wrong_kind(&name, &input, Recognised::Request) {
            return Err(error.into());
        }
        let request = Request::parse(&input)?;
        outcome.subject = Some(request.subject());
        let issued = self.authority.issue(&mut self.writer, &request, &self.terms, certadm_store::now())?;
        let ends_with_ca = issued.not_after == self.authority.validity().1;
        outcome.ends_with_ca = Some(ends_with_ca);
        self.output.line(format!(
            "{}: request {}, serial number {}, valid until {}{}",
            outcome.file.display(),
            issued.request_id,
            issued.serial.as_str(),
            issued.not_after.to_rfc3339(),
            if ends_with_ca { ", when the certificate of the CA itself ends" } else { "" },
        ));
        let issued = outcome.issued.insert(issued);
        let pem = outcome.pem.insert(issued.to_pem());
        match self.out {
            Some(dir) => {
                let path = dir.join(format!("{}.pem", issued.serial.as_str()));
                write_new(&path, pem.as_bytes())?;
                outcome.written = Some(path);
            }
            None => self.output.lines(pem.trim_end()),
        }
        Ok(())
    }
}

impl Outcome {
    fn to_json(&self) -> Value {
        let issued = self.issued.as_ref();
        json!({
            "request_file": path_text(&self.file),
            "subject": self.subject,
            "request_id": issued.map(|issued| issued.request_id),
            "serial_number": issued.map(|issued| issued.serial.as_str()),
            "not_before": issued.map(|issued| issued.not_before.to_rfc3339()),
            "not_after": issued.map(|issued| issued.not_after.to_rfc3339()),
            "ends_with_ca": self.ends_with_ca,
            "file": self.written.as_deref().map(path_text),
            "certificate": self.pem,
            "error": self.failure.as_ref().map(Failure::to_json),
        })
    }
}
