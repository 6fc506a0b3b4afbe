//! `certadm apply-revocations`: what was revoked while the CA was down enters the CA that is back (recovery.md 4.4).

use std::io::BufReader;
use std::path::PathBuf;

use certadm_ca::health::clock_doubts;
use certadm_ca::{Authority, CrlOptions, Error as CaError, Reason, RevocationOrder, number_above, revoke};
use certadm_client::{Error as RemoteError, RemoteCa};
use certadm_files::Found;
use certadm_recovery::bundle::{MAX_CRL, REVOCATIONS};
use certadm_recovery::{Revocation, merged, number_of_report};
use certadm_rules::finding::Finding;
use certadm_rules::words::counted;
use certadm_rules::{Diagnosis, Hresult};
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphraseArgs;
use crate::verbs::account::account;
use crate::verbs::files::read_input;
use crate::verbs::remote::RemoteArgs;
use crate::verbs::{authority, live, own_crl};

/// Longer ones were not written by hand.
pub(crate) const MAX_LIST: u64 = 64 << 20;

/// `certadm apply-revocations`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm apply-revocations crl --dir /srv/ca\n\
    Example: certadm apply-revocations crl/revocations.json --server ca1 --user officer\n\
    Example: certadm apply-revocations crl --dir /srv/ca --publish --passphrase-file /root/ca.pass\n\
    Then:    publish a CRL at once where it was not done: `certadm ca crl`, or `certadm publish-crl` for a Windows CA",
    group = clap::ArgGroup::new("ca").args(["dir", "server", "socket"]).required(true)
)]
pub(crate) struct ApplyArgs {
    /// The folder of an emergency CRL, its revocations.json, or a CSV file with lines SERIAL,REASON,WHEN
    #[arg(value_name = "FOLDER|FILE", required = true)]
    lists: Vec<PathBuf>,
    /// The CA's folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "socket"])]
    dir: Option<PathBuf>,
    /// Publish a CRL when all of it is entered; where the CA refuses one, none is published
    #[arg(long, requires = "dir")]
    publish: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// What became of one revocation.
pub(crate) struct Applied<'r> {
    revocation: &'r Revocation,
    outcome: Outcome,
}

enum Outcome {
    /// The CA knows it now.
    Done,
    /// The CA knew it before.
    Known,
    /// The CA does not take it: why.
    Refused(String),
}

impl Outcome {
    const fn word(&self) -> &'static str {
        match self {
            Self::Done => "applied",
            Self::Known => "known",
            Self::Refused(_) => "refused",
        }
    }
}

pub(crate) fn run(args: &ApplyArgs, output: Output) -> Result<Done, Failure> {
    let mut found = Vec::new();
    let revocations = read(&args.lists, &mut found)?;
    // A wrong passphrase is told before anything is entered.
    let authority = publisher(args)?;
    let (name, applied) = match &args.dir {
        Some(dir) => {
            let above = number(&args.lists)?;
            (path_text(dir), to_folder(&Folder::new(dir), &revocations, above, &mut found, output)?)
        }
        None => {
            let Some(dial) = args.remote.dial()? else {
                return Err(Failure::usage(
                    "no CA is named",
                    "name its folder by --dir DIR, or --server NAME",
                ));
            };
            let name = dial.name.clone();
            (name, to_server(&mut dial.connect()?, &revocations)?)
        }
    };
    let mut done = told(name, &applied, args.publish, output);
    let mut failed = None;
    if let Some((folder, authority)) = &authority {
        // Nothing but a refusal has been told yet: what else is worth a look, such as the clock, is no reason to let the CRL lack what is
        // entered now.
        if done.exit == Exit::Good {
            match own_crl::publish(folder, authority, CrlOptions::default(), &mut found, output) {
                Ok((crl, _)) => done.result["crl"] = crl,
                Err(failure) => failed = Some(failure),
            }
        } else {
            output.result(
                "No CRL is published: it would lack the revocations that were refused. To publish it all the same: certadm ca crl",
            );
        }
    }
    let done = live::tell_found(&found, done, output);
    let done = match &args.dir {
        Some(dir) => live::finish(&Folder::new(dir), done, output),
        None => done,
    };
    done.unless(failed)
}

/// The CA that is to publish, where one is.
fn publisher(args: &ApplyArgs) -> Result<Option<(Folder, Authority)>, Failure> {
    match &args.dir {
        Some(dir) if args.publish => {
            let folder = Folder::new(dir);
            let authority = authority::open(&folder, &args.passphrase)?;
            Ok(Some((folder, authority)))
        }
        _ if args.passphrase.passphrase_file.is_some() || args.passphrase.passphrase_fd.is_some() => {
            let text = "the passphrase of the CA's key is of use only where a CRL is published";
            Err(Failure::usage(text, "add --publish, or leave the passphrase out"))
        }
        _ => Ok(None),
    }
}

/// What became of a list of revocations, in text and in JSON; `publishes` says that a CRL follows by itself.
pub(crate) fn told(name: String, applied: &[Applied<'_>], publishes: bool, output: Output) -> Done {
    let count = |word: &str| applied.iter().filter(|one| one.outcome.word() == word).count();
    for one in applied {
        if let Outcome::Refused(why) = &one.outcome {
            output.result(format!("{} is not revoked: {why}", one.revocation.serial));
        }
    }
    output.line(format!(
        "{} of {} applied, {} known before, {} refused.",
        count("applied"),
        counted(applied.len() as u64, "revocation"),
        count("known"),
        count("refused")
    ));
    match (applied.is_empty(), count("refused")) {
        (true, _) => output.line("The list names no certificate."),
        (false, 0) if publishes => {}
        (false, 0) => output.line("The next CRL says so: publish it when every list is entered."),
        (false, _) => output.line(
            "A CRL that is published now lacks those that were refused, and takes the place of one that has them, such as an emergency CRL: import their certificates and run this again first.",
        ),
    }
    let result = json!({
        "ca": name,
        "crl": null,
        "warning": null,
        "applied": count("applied"),
        "known": count("known"),
        "refused": count("refused"),
        "revocations": applied.iter().map(Applied::to_json).collect::<Vec<_>>(),
    });
    let exit = if count("refused") == 0 { Exit::Good } else { Exit::Finding };
    Done { exit, result }
}

impl Applied<'_> {
    fn to_json(&self) -> Value {
        json!({
            "serial_number": self.revocation.serial.as_str(),
            "reason": self.revocation.reason.to_string(),
            "when": self.revocation.when.to_rfc3339(),
            "outcome": self.outcome.word(),
            "problem": match &self.outcome {
                Outcome::Refused(why) => Some(why),
                Outcome::Done | Outcome::Known => None,
            },
        })
    }
}

/// Reads all lists before anything is revoked; the later order for a certificate counts.
fn read(lists: &[PathBuf], found: &mut Vec<Finding>) -> Result<Vec<Revocation>, Failure> {
    let now = certadm_store::now();
    let mut all = Vec::new();
    for path in lists {
        let list = if path.is_dir() { path.join(REVOCATIONS) } else { path.clone() };
        let text = String::from_utf8(read_input(&list, MAX_CRL)?).map_err(|_| {
            Failure::usage(format!("{} is no text in UTF-8", list.display()), "write it as UTF-8 text")
        })?;
        if !is_json(&text) {
            all.extend(Revocation::parse_csv(&text, now, found)?);
        } else {
            let broken = |reason| certadm_recovery::Error::Folder { path: list.clone(), reason };
            all.extend(Revocation::parse_json(&text, now, found).map_err(broken)?);
        }
    }
    Ok(merged(all))
}

/// No line of a CSV file begins so.
fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
}

/// The highest number of the emergency CRLs whose folders are named: the CA must not publish a lower one.
fn number(lists: &[PathBuf]) -> Result<Option<i64>, Failure> {
    let mut highest = None;
    for folder in lists.iter().filter(|path| path.is_dir()) {
        let report = Found::below(folder, "report.json");
        if report.is_there() {
            highest = highest.max(number_of_report(BufReader::new(report.open_up_to(None)?)));
        }
    }
    Ok(highest)
}

/// All of it in one transaction: what the CA refuses changes nothing, and what fails leaves nothing. The next CRL gets a number above
/// `above`. `found` gets the reasons to doubt the clock.
pub(crate) fn to_folder<'r>(
    folder: &Folder,
    revocations: &'r [Revocation],
    above: Option<i64>,
    found: &mut Vec<Finding>,
    output: Output,
) -> Result<Vec<Applied<'r>>, Failure> {
    let (mut writer, _) = live::open_writer(folder, output)?;
    let (by, now) = (account(), certadm_store::now());
    found.extend(clock_doubts(writer.connection(), folder, now)?);
    let applied = writer.commit(|transaction| {
        if let Some(number) = above {
            number_above(transaction, number)?;
        }
        let mut applied = Vec::new();
        for revocation in revocations {
            let (serial, reason) = (&revocation.serial, revocation.reason);
            let order = RevocationOrder { serial, reason, by: &by, now, effective: Some(revocation.when) };
            let outcome = match revoke(transaction, &order) {
                Ok(_) => Outcome::Done,
                Err(CaError::AlreadyRevoked { .. }) => Outcome::Known,
                // The end of a hold that this CA never had: nothing is lacking.
                Err(CaError::NotOnHold { .. } | CaError::UnknownSerial { .. })
                    if reason == Reason::REMOVE_FROM_CRL =>
                {
                    Outcome::Known
                }
                Err(
                    error @ (CaError::UnknownSerial { .. }
                    | CaError::NotOnHold { .. }
                    | CaError::OwnCertificate { .. }),
                ) => Outcome::Refused(error.to_string()),
                Err(other) => return Err(other),
            };
            applied.push(Applied { revocation, outcome });
        }
        Ok(applied)
    })?;
    Ok(applied)
}

/// One call for each. What refuses them all, such as a missing role, ends it; it can be run again.
fn to_server<'r>(ca: &mut RemoteCa, revocations: &'r [Revocation]) -> Result<Vec<Applied<'r>>, Failure> {
    let mut applied = Vec::new();
    for revocation in revocations {
        let is_release = revocation.reason == Reason::REMOVE_FROM_CRL;
        let reason = u32::try_from(revocation.reason.code()).ok().filter(|_| !is_release);
        let outcome = match ca.revoke(revocation.serial.as_str(), reason, revocation.when) {
            Ok(()) => Outcome::Done,
            Err(RemoteError::Method { code: Hresult::CRYPT_E_REVOKED, .. }) => Outcome::Known,
            // The end of a hold that the CA does not have: nothing is lacking.
            Err(error @ RemoteError::Method { .. }) if is_release && !ends_all(error.hresult()) => {
                Outcome::Known
            }
            Err(error @ RemoteError::Method { .. }) if !ends_all(error.hresult()) => {
                Outcome::Refused(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        applied.push(Applied { revocation, outcome });
    }
    Ok(applied)
}

fn ends_all(code: Hresult) -> bool {
    matches!(code, Hresult::E_ACCESSDENIED | Hresult::E_NOTIMPL)
}
