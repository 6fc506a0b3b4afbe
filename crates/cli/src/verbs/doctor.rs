//! `certadm doctor`: walk the gates between here and a CA's backup, and name the one that is shut.

use std::path::{Path, PathBuf};

use certadm_ca::Config;
use certadm_ca::health::Published;
use certadm_client::doctor::{Examination, Seen, Verdict, Visit, examine};
use certadm_client::{KerberosTarget, OwnService, Timeouts, examine_service, own_host_name};
use certadm_rules::finding::{self, Severity};
use certadm_rules::printable::printable;
use certadm_rules::{FileTime, Finding};
use certadm_server::KerberosSettings;
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output, path_text};
use crate::terminal::Tone;
use crate::verbs::remote::{Dial, RemoteArgs};
use crate::verbs::thresholds::ThresholdArgs;

/// `certadm doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm doctor --server ca1.corp.example --user 'CORP\\backup'\n\
        Example: certadm doctor vault:",
    group = clap::ArgGroup::new("ca").args(["server", "socket", "dir", "vault"]).required(true)
)]
pub(crate) struct DoctorArgs {
    /// Instead of a CA: a vault, vault: or vault:CA. One object is written into it and removed again
    #[arg(value_name = "VAULT:")]
    vault: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// A CA's folder on this machine: get a ticket for its service by its keytab (of --realm, from --kdc, where given), and accept it
    #[arg(long, value_name = "DIR", conflicts_with_all = ["no_prepare", "server", "socket", "user", "keytab", "ticket_cache"])]
    dir: Option<PathBuf>,
    /// Begin no backup: the last gate, and whether a full backup is on record, stay unknown
    #[arg(long)]
    no_prepare: bool,
    #[command(flatten)]
    thresholds: ThresholdArgs,
}

pub(crate) fn run(args: &DoctorArgs, output: Output) -> Result<Done, Failure> {
    if let Some(dir) = &args.dir {
        return examine_own(dir, &args.remote.kerberos(), output);
    }
    if let Some(vault) = &args.vault {
        return of_vault(vault, output);
    }
    let Some(dial) = args.remote.dial()? else {
        return Err(Failure::usage("no CA is named", "name it by --server NAME, --socket PATH or --dir DIR"));
    };
    let exposed = dial.exposed();
    let Dial { name, target, credentials, .. } = dial;
    let mut show = |visit: &Visit| show(visit, output);
    let Examination { visits, seen, findings: mut found } =
        examine(&target, credentials, !args.no_prepare, &mut show);
    let last_backup = seen.last_full.max(seen.last_logs);
    let published = Published::read(seen.certificate.as_deref(), seen.crl.as_deref(), last_backup);
    print_published(&seen, &published, output);
    found.extend(exposed);
    found.extend(published.judge(certadm_store::now(), &args.thresholds.get()));
    let with_remedy = |visit: &&Visit| visit.finding.remedy.is_some();
    let mut to_do: Vec<Finding> =
        visits.iter().filter(with_remedy).map(|visit| visit.finding.clone()).collect();
    to_do.extend(found.iter().cloned());
    findings::print(&to_do, output);
    let shut: Vec<&Visit> = visits.iter().filter(|visit| visit.verdict == Verdict::Shut).collect();
    if shut.is_empty() {
        output.line(format!("All gates to {} are open, as far as they can be seen.", target.endpoint));
    }
    // The first gate that is shut says whose turn it is.
    let exit = match shut.first() {
        Some(visit) => visit.class.into(),
        None if finding::worst(&found) <= Some(Severity::Note) => Exit::Good,
        None => Exit::Finding,
    };
    let date = |date: Option<FileTime>| date.map(FileTime::to_rfc3339);
    let result = json!({
        "server": name,
        "dir": null,
        "endpoint": target.endpoint.to_string(),
        "ready": shut.is_empty(),
        "shut": shut.iter().map(|visit| visit.gate.key()).collect::<Vec<_>>(),
        "gates": visits.iter().map(to_json).collect::<Vec<_>>(),
        "ca": {
            "name": seen.name,
            "certificate_not_after": date(published.valid_until),
            "crl_next_update": date(published.crl.map(|(_, next_update)| next_update)),
            "last_full_backup": date(seen.last_full),
            "last_log_backup": date(seen.last_logs),
        },
        "findings": findings::list(&found),
    });
    Ok(Done { exit, result })
}

fn show(visit: &Visit, output: Output) {
    let (sign, tone) = match visit.verdict {
        Verdict::Open => ("ok  ", Some(Tone::Good)),
        Verdict::Shut => ("SHUT", Some(Tone::Bad)),
        Verdict::Unknown => ("?   ", None),
        Verdict::Skipped => ("-   ", None),
    };
    output.toned("", sign, tone, &format!(" {:16} {}", visit.gate.key(), visit.finding.detail));
}

/// Whether the service of a folder can be reached by Kerberos, as far as its own keytab shows it.
fn examine_own(dir: &Path, kerberos: &KerberosTarget, output: Output) -> Result<Done, Failure> {
    let folder = Folder::new(dir);
    let config = Config::load(&folder.config_path())?;
    let settings = KerberosSettings::from_config(&config.kerberos, folder.path(), &own_host_name());
    let Some(KerberosSettings { keytab, host, realms, skew_seconds, .. }) = settings else {
        let text = "ca.toml has no keytab, so that its service takes no tickets";
        return Err(Failure::usage(text, "add `keytab` to [kerberos]; docs/remote.md says how it is made"));
    };
    let service = OwnService { keytab, folder: folder.path().to_owned(), host, realms, skew_seconds };
    let patience = Timeouts::default().connect;
    let visits = examine_service(&service, kerberos, patience, &mut |visit| show(visit, output));
    let with_remedy = |visit: &&Visit| visit.finding.remedy.is_some();
    let to_do: Vec<Finding> = visits.iter().filter(with_remedy).map(|visit| visit.finding.clone()).collect();
    findings::print(&to_do, output);
    let shut: Vec<&Visit> = visits.iter().filter(|visit| visit.verdict == Verdict::Shut).collect();
    let is_proven = visits.iter().all(|visit| visit.verdict == Verdict::Open);
    if is_proven {
        output.line(format!("Tickets for host/{} are accepted by this keytab.", service.host));
    }
    let exit = match shut.first() {
        Some(visit) => visit.class.into(),
        None if is_proven => Exit::Good,
        None => Exit::Finding,
    };
    let result = json!({
        "dir": path_text(dir),
        "server": null,
        "endpoint": null,
        "ca": null,
        "findings": [],
        "ready": is_proven,
        "shut": shut.iter().map(|visit| visit.gate.key()).collect::<Vec<_>>(),
        "gates": visits.iter().map(to_json).collect::<Vec<_>>(),
    });
    Ok(Done { exit, result })
}

#[cfg(feature = "repository")]
fn of_vault(vault: &Path, output: Output) -> Result<Done, Failure> {
    crate::verbs::repository::doctor::walk(vault, output)
}

#[cfg(not(feature = "repository"))]
fn of_vault(vault: &Path, _output: Output) -> Result<Done, Failure> {
    let text = format!("{}: this build has no repositories", vault.display());
    Err(Failure::usage(text, "name a CA by --server NAME or --socket PATH"))
}

/// What the CA says of itself; nothing of one that was not reached.
fn print_published(seen: &Seen, published: &Published, output: Output) {
    if *seen == Seen::default() {
        return;
    }
    let date =
        |date: Option<FileTime>| date.map_or_else(|| "it does not say".to_owned(), FileTime::to_rfc3339);
    let fact = |name: &str, value: String| output.result(format!("     {name:16} {}", printable(&value)));
    fact("CA", seen.name.clone().unwrap_or_else(|| "it does not say".to_owned()));
    fact("certificate", format!("valid until {}", date(published.valid_until)));
    fact("CRL", format!("valid until {}", date(published.crl.map(|(_, next_update)| next_update))));
    fact("last backup", date(published.last_backup));
}

/// A finding, and the gate that it was made at. What is about no code has null there, as the contract of this command
/// has it.
fn to_json(visit: &Visit) -> Value {
    let mut gate = findings::to_json(&visit.finding);
    gate["gate"] = json!(visit.gate.key());
    gate["verdict"] = json!(visit.verdict.to_string());
    if visit.finding.code.is_success() {
        gate["code"] = Value::Null;
        gate["name"] = Value::Null;
    }
    gate
}
