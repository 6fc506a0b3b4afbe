//! `certadm ca revoke` and `certadm ca crl`.

use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_ca::health::{clock_doubts, keys_without_crl};
use certadm_ca::{CrlOptions, Reason, RevocationOrder, Serial, revoke};
use certadm_files::IoContext;
use certadm_recovery::{Revocation, merged};
use certadm_rules::FileTime;
use certadm_store::Folder;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphraseArgs;
use crate::verbs::account::account;
use crate::verbs::apply_revocations::{MAX_LIST, to_folder, told};
use crate::verbs::files::read_input;
use crate::verbs::{authority, live, own_crl};

/// `certadm ca revoke`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm ca revoke --dir /srv/ca --serial 4f3a... --reason keyCompromise\n\
    Example: certadm ca revoke --dir /srv/ca --list serials.txt --reason superseded\n\
    Then:    certadm ca crl --dir /srv/ca --passphrase-file /root/ca.pass",
    group = clap::ArgGroup::new("what").args(["serial", "list"]).required(true))]
pub(crate) struct RevokeArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The certificate's serial number, in hexadecimal
    #[arg(long, value_name = "S")]
    serial: Option<String>,
    /// Revoke many at once: a file, or - for standard input, with lines SERIAL,REASON,WHEN, of which the last two may be missing. They are one commit: either
    /// all of it is recorded or nothing. A certificate that the CA does not know is told and passed over
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// A name or number of RFC 5280 5.3.1, such as keyCompromise; removeFromCRL ends a hold
    #[arg(long, value_name = "R", default_value = "unspecified")]
    reason: String,
}

pub(crate) fn run(args: &RevokeArgs, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(&args.dir);
    let reason: Reason = args.reason.parse()?;
    let serial: Serial = match (&args.serial, &args.list) {
        (_, Some(list)) => return many(&folder, &args.dir, list, reason, output),
        (serial, None) => serial.as_deref().unwrap_or_default().parse()?,
    };
    let (mut writer, recovered) = live::open_writer(&folder, output)?;
    let (by, now) = (account(), certadm_store::now());
    let order = RevocationOrder { serial: &serial, reason, by: &by, now, effective: None };
    let mut found = keys_without_crl(writer.connection(), &folder, Some(&serial))?;
    found.extend(clock_doubts(writer.connection(), &folder, now)?);
    let revocation = writer.commit(|transaction| revoke(transaction, &order))?;
    drop(writer);
    match &revocation {
        Some(_) => output.line(format!("Certificate {} is revoked: {reason}.", serial.as_str())),
        None => output.line(format!("The hold of certificate {} has ended.", serial.as_str())),
    }
    output.line("The next CRL says so: publish it with `certadm ca crl`.");
    let result = json!({
        "serial_number": serial.as_str(),
        "revoked": revocation.is_some(),
        "reason": reason.to_string(),
        "revoked_when": revocation.and_then(|revocation| revocation.when).map(FileTime::to_rfc3339),
        "recovered": recovered,
    });
    Ok(live::finish(&folder, live::tell_found(&found, Done::good(result), output), output))
}

fn many(folder: &Folder, dir: &Path, list: &Path, reason: Reason, output: Output) -> Result<Done, Failure> {
    let text = if list.as_os_str() == "-" { standard_input()? } else { read_input(list, MAX_LIST)? };
    let text = String::from_utf8(text)
        .map_err(|_| Failure::usage("the list is no text in UTF-8", "write it as UTF-8 text"))?;
    let mut found = Vec::new();
    let list = merged(Revocation::parse_csv_with(&text, reason, certadm_store::now(), &mut found)?);
    let applied = to_folder(folder, &list, None, &mut found, output)?;
    let done = told(path_text(dir), &applied, false, output);
    Ok(live::finish(folder, live::tell_found(&found, done, output), output))
}

fn standard_input() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_LIST + 1)
        .read_to_end(&mut text)
        .during("read", Path::new("standard input"))?;
    if MAX_LIST < text.len() as u64 {
        return Err(Failure::usage("the list is longer than 64 MiB", "give it in parts"));
    }
    Ok(text)
}

/// `certadm ca crl`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm ca crl --dir /srv/ca --passphrase-file /root/ca.pass")]
pub(crate) struct CrlArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Publish although the last CRL is dated later than now: the clock was wrong then, and is right now
    #[arg(long)]
    after_wrong_clock: bool,
    /// Leave out what the published CRL lists and the database does not have as revoked, which otherwise is revoked in the database again,
    /// or listed as it is: certificates that it lists may then be valid again
    #[arg(long)]
    drop_published: bool,
}

pub(crate) fn publish(args: &CrlArgs, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(&args.dir);
    let authority = authority::open(&folder, &args.passphrase)?;
    let options =
        CrlOptions { after_wrong_clock: args.after_wrong_clock, drop_published: args.drop_published };
    let mut found = Vec::new();
    let (mut result, recovered) = own_crl::publish(&folder, &authority, options, &mut found, output)?;
    result["recovered"] = recovered;
    Ok(live::finish(&folder, live::tell_found(&found, Done::good(result), output), output))
}
