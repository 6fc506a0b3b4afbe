//! `certadm ca revoke` and `certadm ca crl`.

use std::path::PathBuf;

use certadm_ca::{Reason, RevocationOrder, Serial, revoke};
use certadm_rules::FileTime;
use certadm_rules::words::counted;
use certadm_store::Folder;
use clap::Args;
use serde_json::json;

use super::authority;
use crate::failure::Failure;
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphraseArgs;
use crate::verbs::account::account;
use crate::verbs::live;

/// `certadm ca revoke`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm ca revoke --dir /srv/ca --serial 4f3a... --reason keyCompromise\n\
    Then:    certadm ca crl --dir /srv/ca --passphrase-file /root/ca.pass")]
pub(crate) struct RevokeArgs {
    /// The CA's folder
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The certificate's serial number, in hexadecimal
    #[arg(long, value_name = "S")]
    serial: String,
    /// A name or number of RFC 5280 5.3.1, such as keyCompromise; removeFromCRL ends a hold
    #[arg(long, value_name = "R", default_value = "unspecified")]
    reason: String,
}

pub(crate) fn run(args: &RevokeArgs, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(&args.dir);
    let serial: Serial = args.serial.parse()?;
    let reason: Reason = args.reason.parse()?;
    let (mut writer, recovered) = live::open_writer(&folder, output)?;
    let by = account();
    let order =
        RevocationOrder { serial: &serial, reason, by: &by, now: certadm_store::now(), effective: None };
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
    Ok(live::finish(&folder, Done::good(result), output))
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
}

pub(crate) fn publish(args: &CrlArgs, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(&args.dir);
    let authority = authority::open(&folder, &args.passphrase)?;
    let (mut writer, recovered) = live::open_writer(&folder, output)?;
    let published = if args.after_wrong_clock {
        authority.publish_crl_after_wrong_clock(&mut writer, certadm_store::now())?
    } else {
        authority.publish_crl(&mut writer, certadm_store::now())?
    };
    drop(writer);
    let next_update = published.next_update.to_rfc3339();
    output.line(format!(
        "CRL {} with {} is in {}, valid until {next_update}.",
        published.number,
        counted(published.entries as u64, "entry"),
        published.path.display()
    ));
    let result = json!({
        "number": published.number,
        "entries": published.entries,
        "file": path_text(&published.path),
        "this_update": published.this_update.to_rfc3339(),
        "next_update": next_update,
        "recovered": recovered,
    });
    Ok(live::finish(&folder, Done::good(result), output))
}
