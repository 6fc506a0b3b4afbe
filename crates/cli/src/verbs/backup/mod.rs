//! `certadm backup`: take a set, in certutil's words (certbcli.md 10.3).

mod target;
mod way;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certadm_ca::health::LastCheck;
use certadm_client::own_host_name;
use certadm_files::{Pace, cancel};
use certadm_identity::Fetched;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::flags::BackupType;
use certadm_rules::unc::UncRoot;
use certadm_rules::words::counted;
use certadm_rules::{BackupKind, Generation, Hresult};
use certadm_session::{LocalSource, Source};
use certadm_set::manifest::SetKind;
use certadm_set::signing::Signer;
use certadm_set::{Check, Limits, PATIENCE, ReadBack, Readers, TakeOptions, Taken};
use certadm_store::{Folder, Store};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes, path_text};
use crate::size::{parse_size, parse_speed};
use crate::verbs::hashing::HashArgs;
use crate::verbs::identity;
use crate::verbs::live::audits;
use crate::verbs::places::ScratchArgs;
use crate::verbs::remote::RemoteArgs;
use crate::verbs::signing::SignArgs;
use crate::{findings, interrupt};
use identity::Kept;
use target::Target;
use way::Way;

/// `certadm backup`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm backup --dir /srv/ca --to /backup/monday\n\
    Then:    certadm backup --dir /srv/ca --to /backup/monday-noon --type logs\n\
    Into a repository: certadm backup --dir /srv/ca --to vault:\n\
    Another machine: certadm backup --server ca1.corp.example --user 'CORP\\backup' --to /backup/monday",
    group = clap::ArgGroup::new("ca").args(["dir", "server", "socket"]).required(true).multiple(true))]
pub(crate) struct BackupArgs {
    /// The folder of a CA on this machine. While its service runs, the backup goes through the service's socket
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// The new set's folder, which must not exist, or be empty; or a repository, such as vault:
    #[arg(long, value_name = "SET")]
    to: PathBuf,
    #[command(flatten)]
    scratch: ScratchArgs,
    /// What to back up
    #[arg(long = "type", value_enum, default_value = "full")]
    kind: KindArg,
    /// Leave the CA's logs in place; a full set taken so is no base for log sets
    #[arg(long)]
    keep_logs: bool,
    /// What the stored files are compared with: what the system holds of them, or what the medium gives back, which takes
    /// as long again as writing. Logs that the CA then deletes are read from the medium in any case. For a vault also how much
    /// is read out of it where --verify later leaves the copy out that is checked otherwise: all, new or none
    #[arg(long, value_enum, default_value = "system")]
    read_back: ReadBackArg,
    /// Who may read the set: it holds every request
    #[arg(long, value_enum, default_value = "owner")]
    readers: ReadersArg,
    /// When the database that the set gives is checked: now, before any log is deleted at the CA, or later, by
    /// `certadm verify`; the logs then stay
    #[arg(long, value_enum, default_value = "now")]
    verify: VerifyArg,
    /// The largest set, such as 20GiB: a CA that announces more is refused before it is read [default: what the disk has room
    /// for]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// How many bytes a second are read from the CA at most, such as 10MiB/s [default: as fast as they come]
    #[arg(long, value_name = "SPEED", value_parser = parse_speed)]
    bandwidth: Option<u64>,
    /// After a log backup too, delete the logs that it holds; each such set is then needed for a restore
    #[arg(long, conflicts_with = "keep_logs")]
    truncate: bool,
    /// Leave out what the CA says of itself: certificates, CRLs, configuration (see `certadm identity`)
    #[arg(long)]
    no_identity: bool,
    #[command(flatten)]
    hash: HashArgs,
    #[command(flatten)]
    sign: SignArgs,
}

/// A backup as it was ordered, with the key that signs its set.
struct Order<'a> {
    args: &'a BackupArgs,
    signer: Option<Arc<Signer>>,
    target: Target,
}

/// Full or logs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindArg {
    /// Database and logs
    Full,
    /// The logs since the last truncation; needs a full set as base
    Logs,
}

/// `--readers`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReadersArg {
    /// The owner alone
    Owner,
    /// The owner's group too
    Group,
    /// Everybody, within the umask
    All,
}

/// `--verify`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum VerifyArg {
    Now,
    Later,
}

/// `--read-back`
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReadBackArg {
    /// What the system holds of it
    System,
    /// What the medium gives back
    Medium,
    /// Of a vault: every file, whenever its bytes were stored
    All,
    /// Of a vault: what this backup has stored, and the logs
    New,
    /// Of a vault: the logs alone
    None,
}

impl ReadBackArg {
    /// How much of a set in a repository is read back; `None` where the vault's table says it.
    #[cfg(feature = "repository")]
    const fn extent(self) -> Option<certadm_repository::Extent> {
        match self {
            Self::System | Self::Medium => None,
            Self::All => Some(certadm_repository::Extent::All),
            Self::New => Some(certadm_repository::Extent::New),
            Self::None => Some(certadm_repository::Extent::None),
        }
    }
}

pub(crate) fn run(args: &BackupArgs, output: Output) -> Result<Done, Failure> {
    let target = Target::find(&args.to)?;
    let is_of_vault = matches!(args.read_back, ReadBackArg::All | ReadBackArg::New | ReadBackArg::None);
    if is_of_vault && !target.is_vault() {
        let text = "--read-back all, new and none are for vaults";
        return Err(Failure::usage(text, "write --read-back system or medium for a folder"));
    }
    #[cfg(feature = "repository")]
    let target = target.reading_back(args.read_back.extent());
    let order = &Order { args, signer: args.sign.read()?, target };
    if let Some(folder) = order.target.new_folder() {
        output.line(format!("The folder {} is not there yet and is made.", folder.display()));
    }
    let (taken, identity, socket, mechanism) = match &args.dir {
        Some(dir) => {
            let ((taken, identity), socket) = of_folder(order, &Folder::new(dir), output)?;
            (taken, identity, socket, None)
        }
        None => {
            let (taken, identity, mechanism) = of_dialled(order, output)?;
            (taken, identity, args.remote.socket().map(Path::to_owned), mechanism)
        }
    };
    report(&taken, output);
    let is_unsound = finding::worst(&taken.findings) > Some(Severity::Note);
    let exit = match (cancel::check(), taken.end_error.is_some() || is_unsound) {
        (Err(cancelled), _) => Failure::from(cancelled).exit,
        (Ok(()), true) => Exit::Finding,
        (Ok(()), false) => Exit::Good,
    };
    let mut result = to_json(&taken);
    result["identity"] = identity;
    result["socket"] = json!(socket.as_deref().map(path_text));
    result["mechanism"] = json!(mechanism);
    Ok(Done { exit, result })
}

/// Backs the CA of a folder up: by itself, or through the service that has it. Returns the socket in that case.
fn of_folder(
    order: &Order<'_>,
    folder: &Folder,
    output: Output,
) -> Result<((Taken, Value), Option<PathBuf>), Failure> {
    let args = order.args;
    if let Some(place) = order.target.place() {
        refuse_inside(place, folder)?;
    }
    let here = || Some(folder.clone());
    let ask = || match args.no_identity {
        true => Fetched::default(),
        false => identity::of_folder(folder).unwrap_or_else(|failure| {
            let text = format!("the CA's folder tells nothing of it: {}", failure.message);
            let finding =
                Finding::warning(Kind::IdentityPart, text).code(failure.code).remedy(failure.remedy);
            let mut nothing = Fetched::default();
            nothing.findings.push(finding);
            nothing
        }),
    };
    // A set in a repository is complete when it appears, and is never changed.
    let early = order.target.is_vault().then(ask);
    let ((mut taken, kept), socket) = match way::find(folder, args.remote.socket())? {
        Way::Folder(store) => {
            let mut source = local_source(&store)?;
            let place = store.database().display().to_string();
            (take_from(&mut source, order, (&place, PATIENCE), here(), early.as_ref(), output)?, None)
        }
        Way::Service { socket, holder } => {
            let who = holder.map_or_else(String::new, |holder| format!(" ({holder})"));
            output.line(format!(
                "The service{who} has this CA: the backup goes through its socket {}.",
                socket.display()
            ));
            let mut source = way::through(&socket, folder)?;
            let place = folder.path().display().to_string();
            (take_from(&mut source, order, (&place, PATIENCE), here(), early.as_ref(), output)?, Some(socket))
        }
    };
    note_check(&taken, folder, output);
    if let Some(place) = order.target.place() {
        warn_of_same_disk(place, folder, output);
    }
    let fetched = early.unwrap_or_else(ask);
    let identity = keep_identity(&mut taken, kept, &fetched, output);
    Ok(((taken, identity), socket))
}

/// Backs up a CA over the network, or one of this machine whose socket is named and whose folder is not. Returns what the
/// logon was by, too; nothing for a socket.
fn of_dialled(order: &Order<'_>, output: Output) -> Result<(Taken, Value, Option<&'static str>), Failure> {
    let args = order.args;
    let Some(dial) = args.remote.dial()? else {
        return Err(Failure::usage(
            "no CA is named",
            "name its folder by --dir DIR, or the CA by --server NAME",
        ));
    };
    let place = dial.name.clone();
    let patience = dial.target.timeouts.call;
    let exposed = dial.exposed();
    let mut ca = dial.connect()?;
    let mechanism = ca.mechanism();
    if let Some(mechanism) = mechanism {
        output.line(format!("Logged on by {mechanism}."));
    }
    let ask = |ca: &mut _| if args.no_identity { Fetched::default() } else { identity::of_remote(ca) };
    let early = order.target.is_vault().then(|| ask(&mut ca));
    let (mut taken, kept) = take_from(&mut ca, order, (&place, patience), None, early.as_ref(), output)?;
    let fetched = early.unwrap_or_else(|| ask(&mut ca));
    let identity = keep_identity(&mut taken, kept, &fetched, output);
    taken.findings.extend(ca.logon_findings());
    taken.findings.extend(exposed);
    Ok((taken, identity, mechanism))
}

/// Puts what the CA says of itself beside the database, unless a repository has `kept` it with the set. The set stands
/// already: what goes wrong is a finding.
fn keep_identity(taken: &mut Taken, kept: Option<Kept>, fetched: &Fetched, output: Output) -> Value {
    let (value, findings) = match kept {
        Some(kept) => identity::in_repository(fetched, &taken.set, kept, output),
        None => identity::store(fetched, &taken.set, &taken.manifest.ca.database_signature, output),
    };
    taken.findings.extend(findings);
    value
}

/// Refuses a set inside of the CA's folder: it would be lost together with the CA.
fn refuse_inside(to: &Path, folder: &Folder) -> Result<(), Failure> {
    let to = certadm_files::absolute(to)?;
    // What is there of the path, with links followed, and the rest as it is.
    let there = to.ancestors().find_map(|path| path.canonicalize().ok()).unwrap_or_else(|| to.clone());
    match folder.path().canonicalize() {
        Ok(ca) if there.starts_with(&ca) => {
            let text = format!("{} lies inside the CA's folder, and would be lost with it", to.display());
            let remedy = "name a folder elsewhere, on another disk if there is one";
            Err(Failure { exit: Exit::Refused, ..Failure::usage(text, remedy) })
        }
        _ => Ok(()),
    }
}

/// A set on the CA's own disk does not survive the loss of that disk.
fn warn_of_same_disk(set: &Path, folder: &Folder, output: Output) {
    if certadm_files::space::same_file_system(set, folder.path()).unwrap_or(false) {
        output.remark(
            "the set lies on the file system of the CA itself, and is lost with it: copy it to another machine",
        );
    }
}

/// Records in the CA's folder that its database was found sound; `show` says so. The set does not depend on it.
fn note_check(taken: &Taken, folder: &Folder, output: Output) {
    let is_full = taken.manifest.kind == SetKind::Full;
    if !is_full || !taken.checked || finding::worst(&taken.findings) == Some(Severity::Error) {
        return;
    }
    let check = LastCheck {
        when: certadm_store::now().to_rfc3339(),
        by: "a full backup".to_owned(),
        database: Some(taken.manifest.ca.database_signature.clone()),
    };
    if let Err(error) = check.write(folder) {
        output.result(format!(
            "Warning: the check could not be noted in the CA's folder: {}.",
            chain_of(&error)
        ));
    }
}

/// Takes the set that was ordered from the CA behind `source`, which messages call `place` and which has so much patience to
/// use up.
fn take_from(
    source: &mut dyn Source,
    order: &Order<'_>,
    (place, patience): (&str, Duration),
    ca_folder: Option<Folder>,
    identity: Option<&Fetched>,
    output: Output,
) -> Result<(Taken, Option<Kept>), Failure> {
    let args = order.args;
    let kind = match args.kind {
        KindArg::Full => BackupType::Full,
        KindArg::Logs => BackupType::LogsOnly,
    };
    let truncate = !args.keep_logs && (kind == BackupType::Full || args.truncate);
    let read_back = match args.read_back {
        ReadBackArg::Medium => ReadBack::Medium,
        _ => ReadBack::System,
    };
    let check = match args.verify {
        VerifyArg::Now => Check::BeforeTruncation,
        VerifyArg::Later => Check::Later,
    };
    let readers = match args.readers {
        ReadersArg::Owner => Readers::Owner,
        ReadersArg::Group => Readers::Group,
        ReadersArg::All => Readers::All,
    };
    let (signer, hashing) = (order.signer.clone(), args.hash.hashing());
    let limits = Limits { max_size: args.max_size, patience };
    let pace = args.bandwidth.map(|speed| Arc::new(Pace::new(speed)));
    let options =
        TakeOptions { kind, truncate, read_back, check, readers, ca_folder, limits, pace, signer, hashing };
    let word = if kind == BackupType::Full { "Full database" } else { "Log" };
    output.line(format!("{word} backup for {place}."));
    let mut progress = output.progress();
    interrupt::watch();
    order.target.take(source, &options, (&args.scratch, identity), &mut progress)
}

/// The server object of a CA on this machine.
pub(crate) fn local_source(store: &Arc<Store>) -> Result<LocalSource, Failure> {
    let host = own_host_name();
    let names =
        UncRoot::of_this_system(host.clone()).map_err(|_| certadm_server::StartError::Host { host })?;
    Ok(LocalSource::new(Arc::clone(store), names).with_audits(audits(store.folder())?))
}

fn report(taken: &Taken, output: Output) {
    let manifest = &taken.manifest;
    let seconds = taken.duration.as_secs_f64();
    for path in &taken.removed {
        output.line(format!("Removed {}, which a backup that was killed had left.", path.display()));
    }
    output.line(format!("Backed up database to {}.", taken.set.display()));
    output.line(format!(
        "{} set, generations {:#x} to {:#x}, {} in {seconds:.2} s, read back and compared.",
        taken.kind,
        manifest.generations.low,
        manifest.generations.high,
        human_bytes(manifest.total_size()),
    ));
    if let Some(key) = &taken.signed_with {
        output.line(format!("Signed with the key {key}."));
    }
    findings::print(&taken.findings, output);
    if finding::worst(&taken.findings) == Some(Severity::Error) {
        output.result(
            "The CA's database is not sound. No log was deleted, and the set is kept: sets taken before and the logs may \
             mend it. Verify the sets you have, and restore the newest sound one with the logs since.",
        );
    }
    let older = if taken.truncated_below.is_some() {
        " So are older ones, if there were any: what they held is in the set's database."
    } else {
        ""
    };
    match (&taken.kind, taken.truncated.as_slice(), taken.still_there.as_slice()) {
        // What the CA answered follows.
        _ if taken.truncation_refused.is_some() => {}
        (BackupKind::Copy, ..) if !taken.checked => {
            output.line(
                "Database logs were kept, because the set was not checked: it is no base for log sets.",
            );
        }
        (BackupKind::Copy, ..) => output.line("Database logs were kept: this set is no base for log sets."),
        (BackupKind::Differential, ..) => {
            output.line("Database logs were kept: the next log set will hold them again.");
        }
        (_, deleted, _) if !taken.asked_again => {
            output.line(said_text(deleted, taken.truncated_below.is_some()));
        }
        (_, gone, []) => {
            output.line(format!("Database logs successfully truncated: {}.{older}", gone_text(gone)));
        }
        (_, gone, there) => {
            output.line(format!(
                "{} could not be truncated yet; {}.{older}",
                counted(there.len() as u64, "log"),
                gone_text(gone)
            ));
        }
    }
    for missing in &manifest.not_included {
        output.line(format!("Not included: {missing}."));
    }
    if let Some(error) = &taken.end_error {
        output.result(end_text(taken, error));
    }
}

/// What the CA answered instead of success once the set was whole, and what to do.
fn end_text(taken: &Taken, error: &str) -> String {
    let again = match taken.manifest.kind {
        SetKind::Full => "Take another full backup",
        SetKind::Logs => "Take another log backup",
    };
    let Some(code) = taken.truncation_refused else {
        return format!("The set is whole, but the CA did not confirm its end: {error}. {again}.");
    };
    let base = if taken.kind == BackupKind::Copy { "; the set is no base for log sets" } else { "" };
    let remedy = if code == Hresult::E_ACCESSDENIED {
        "Another backup of this kind ends the same way: allow it by `truncation = true` in [service] of the CA's ca.toml, give the account \
         the right to back up (the role operator), or leave the logs with --keep-logs"
    } else {
        again
    };
    format!("The set is whole, but the CA did not confirm that it deleted its logs{base}: {error}. {remedy}.")
}

/// What a CA is believed that was not asked for its logs again: success does not mean that every log was deleted (certbcli.md 6.8).
fn said_text(deleted: &[(Generation, u64)], older: bool) -> String {
    let (Some((first, _)), Some((last, _))) = (deleted.first(), deleted.last()) else {
        return "The CA says that it truncated its logs; the set has none.".to_owned();
    };
    let bytes: u64 = deleted.iter().map(|(_, bytes)| bytes).sum();
    let bytes = human_bytes(bytes);
    let older = if older { " and older ones, whose content is in the set's database" } else { "" };
    format!(
        "Database logs truncated, as the CA says: generations {first:#x} to {last:#x} ({bytes}){older}. It may keep some for a while."
    )
}

fn gone_text(gone: &[(Generation, u64)]) -> String {
    match (gone.first(), gone.last()) {
        (Some((first, _)), Some((last, _))) => {
            let bytes: u64 = gone.iter().map(|(_, bytes)| bytes).sum();
            format!("generations {first:#x} to {last:#x} are gone, {} freed", human_bytes(bytes))
        }
        _ => "no log was deleted".to_owned(),
    }
}

fn to_json(taken: &Taken) -> Value {
    let manifest = &taken.manifest;
    json!({
        "set": path_text(&taken.set),
        "type": manifest.kind,
        "kind": taken.kind.to_string(),
        "is_base": taken.is_base,
        "generations": manifest.generations,
        "bytes": manifest.total_size(),
        "files": manifest.files.len(),
        "seconds": taken.duration.as_secs_f64(),
        "truncated": {
            "asked_again": taken.asked_again,
            "generations": taken.truncated.iter().map(|(generation, _)| generation.number()).collect::<Vec<_>>(),
            "bytes": taken.truncated.iter().map(|(_, bytes)| bytes).sum::<u64>(),
            "below": taken.truncated_below.map(Generation::number),
            "still_there": taken.still_there.iter().map(|generation| generation.number()).collect::<Vec<_>>(),
        },
        "not_included": manifest.not_included,
        "end_error": taken.end_error,
        "checked": taken.checked,
        "signed_with": taken.signed_with,
        "removed": taken.removed.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
        "findings": findings::list(&taken.findings),
    })
}
