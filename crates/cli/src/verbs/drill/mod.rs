//! `certadm drill`: create a CA, issue under load, back up over the sealed wire, lose it, publish an emergency CRL, rehearse
//! its sets, restore it, prove it.

mod crl;
#[cfg(unix)]
mod domain;
#[cfg(feature = "repository")]
mod fleet;
mod load;
mod parts;
mod prove;
mod rehearsed;
mod report;
#[cfg(feature = "repository")]
mod vaulted;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use certadm_ca::{Authority, CaName, Config, Initialized, KeyType, Passphrase, Role};
use certadm_client::own_host_name;
use certadm_files::{IoContext, cancel, durable};
use certadm_recovery::PrivateKey;
use certadm_rehearsal::place::{Place, Purpose, check_space};
use certadm_rehearsal::request;
use certadm_rehearsal::service::{Loopback, Membership};
use certadm_rules::words::counted;
use certadm_rules::{BackupType, Hresult};
use certadm_session::Source;
use certadm_set::restore::{self, plan};
use certadm_set::verify::verify;
use certadm_set::{TakeOptions, Taken, take};
use certadm_store::{Folder, Store};
use clap::Args;
use rusqlite::params;

use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output, human_bytes, path_text};
use crate::size::parse_size;
use crate::verbs::backup::local_source;
use crate::verbs::live::open_store;
use load::{Load, Phase, Record};
use parts::copy_parts;
use report::{Summary, Way};

/// `certadm drill`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm drill\nExample: certadm drill --size 1GiB --keep\n\
Example: certadm drill --evidence /evidence\n\
Example: certadm drill --kerberos\n\
Example: certadm drill --repository\n\
Example: certadm drill --fleet 5\n\
    The drill serves the CA on the loopback address and backs it up over TCP, with authentication and encryption.")]
pub(crate) struct DrillArgs {
    /// Let so many small CAs, a vault and an agent live through two weeks in seconds: one CA is lost, logs are damaged, the
    /// vault is away for hours; page, alarms and restores have to be right (docs/jobs.md)
    #[cfg(feature = "repository")]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100),
        conflicts_with_all = ["size", "local", "evidence", "workers", "seconds", "repository"])]
    #[cfg_attr(unix, arg(conflicts_with = "kerberos"))]
    fleet: Option<u16>,
    /// Back up into a repository in the drill's folder, lose its key file with the CA, and restore from it by its recovery code
    #[cfg(feature = "repository")]
    #[arg(long)]
    repository: bool,
    /// Size of the database before the backup, such as 32MiB or 1GiB
    #[arg(long, value_parser = drill_size, default_value = "32MiB")]
    size: u64,
    /// Back up from the CA's folder in this process, without service, network and sealing
    #[arg(long)]
    local: bool,
    /// Log on by Kerberos, in a domain of Samba that the drill makes and removes; needs Debian's samba-ad-dc, and root
    #[cfg(unix)]
    #[arg(long, conflicts_with = "local")]
    kerberos: bool,
    /// Leave the folder of the drill behind
    #[arg(long)]
    keep: bool,
    /// The folder of evidence: that of the drill's rehearsal is added
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Where to make the folder of the drill; the system's folder for temporary files if left out
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Threads that issue at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Seconds of issuing before the full backup, to compare with
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
}

impl DrillArgs {
    /// How often the size of the database is on the disk.
    const fn copies(&self) -> u64 {
        #[cfg(feature = "repository")]
        if self.repository {
            return COPIES + COPIES_OF_REPOSITORY;
        }
        COPIES
    }
}

/// Requests with keys of their own; the workers submit them over and over.
const REQUESTS: usize = 64;
const NAME: &str = "Drill CA";
/// A smaller database would hold nothing but the drill's own certificates.
const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 1 << 40;
/// What a second of issuing may write, in bytes, for each worker.
const A_SECOND: u64 = 32 << 20;
/// How often the size of the database is there at the same time: the database, its logs, the set, the copy that a restore
/// makes.
const COPIES: u64 = 4;
/// And with a repository: the packs, and the copy that is made of a set before its logs are deleted.
#[cfg(feature = "repository")]
const COPIES_OF_REPOSITORY: u64 = 2;
/// Length of one row that brings the database to its size, in bytes.
const FILLER_LEN: u32 = 32 * 1024;

pub(crate) fn run(args: &DrillArgs, output: Output) -> Result<Done, Failure> {
    let within = args.within.clone().unwrap_or_else(std::env::temp_dir);
    let place = Place::make(&within, Purpose::Drill)?;
    for path in &place.removed {
        output.line(format!("Removed {}, which a drill that was killed had left.", path.display()));
    }
    interrupt::watch();
    let removed: Vec<String> = place.removed.iter().map(|path| path_text(path)).collect();
    #[cfg(feature = "repository")]
    if let Some(count) = args.fleet {
        return of_fleet(args, (&within, count), place, &removed, output);
    }
    check_room(&within, args)?;
    let drilled = Drill::new(place.path(), args, output).and_then(Drill::run);
    if let Ok(summary) = &drilled {
        summary.print(output);
    }
    if args.keep {
        // After a failure, too: then somebody wants to look.
        let kept = place.keep();
        output.result(format!("The folder of the drill is {}.", kept.display()));
    }
    let summary = drilled.map_err(failed)?;
    let exit = if summary.is_proven() { Exit::Good } else { Exit::Finding };
    let mut result = summary.to_json()?;
    result["removed"] = removed.into();
    Ok(Done { exit, result })
}

/// The drill of many CAs and their agent.
#[cfg(feature = "repository")]
fn of_fleet(
    args: &DrillArgs,
    (within, count): (&Path, u16),
    place: Place,
    removed: &[String],
    output: Output,
) -> Result<Done, Failure> {
    check_space(within, fleet::ROOM * u64::from(count), Purpose::Drill).map_err(|error| Failure {
        remedy: "name a folder on a larger disk by --within DIR, or fewer CAs".to_owned(),
        ..Failure::from(error)
    })?;
    let drilled = fleet::drill(place.path(), count, output);
    if let Ok(report) = &drilled {
        report.print(output);
    }
    if args.keep {
        let kept = place.keep();
        output.result(format!("The folder of the drill is {}.", kept.display()));
    }
    let report = drilled.map_err(|failure| Failure {
        message: format!("the drill broke off: {}", failure.message),
        ..failure
    })?;
    let exit = if report.is_proven() { Exit::Good } else { Exit::Finding };
    let mut result = report.to_json();
    result["removed"] = removed.into();
    Ok(Done { exit, result })
}

/// What to do about a disk that is too small for a drill.
const MORE_ROOM: &str =
    "name a folder on a larger disk by --within DIR, or give a smaller --size, --seconds or --workers";

/// Refuses a drill for which there is no room. How much is issued depends on the machine, so that this is an estimate; a
/// disk that fills up all the same ends the drill later.
fn check_room(within: &Path, args: &DrillArgs) -> Result<(), Failure> {
    let issued = A_SECOND * u64::from(args.seconds + 1) * u64::from(args.workers);
    let needed = args.copies() * args.size + issued;
    check_space(within, needed, Purpose::Drill)
        .map_err(|error| Failure { remedy: MORE_ROOM.to_owned(), ..Failure::from(error) })
}

/// A drill that broke off. It has shown nothing about its CA, so that nothing is said of what was lost or not.
fn failed(failure: Failure) -> Failure {
    let remedy = match failure.code {
        Hresult::ERROR_DISK_FULL | Hresult::DISK_FULL | Hresult::LOG_DISK_FULL => MORE_ROOM.to_owned(),
        _ => failure.remedy,
    };
    Failure { message: format!("the drill broke off: {}", failure.message), remedy, ..failure }
}

struct Drill<'a> {
    args: &'a DrillArgs,
    output: Output,
    root: PathBuf,
    ca: Folder,
    authority: Arc<Authority>,
    passphrase: Passphrase,
    requests: Arc<Vec<certadm_ca::Request>>,
    record: Arc<Record>,
    #[cfg(feature = "repository")]
    vaulted: Option<vaulted::Vaulted>,
}

impl<'a> Drill<'a> {
    fn new(root: &Path, args: &'a DrillArgs, output: Output) -> Result<Self, Failure> {
        let ca = Folder::new(root.join("ca"));
        let name = CaName::from_str(NAME).map_err(|error| Failure::internal(error.to_string()))?;
        let config = Config::new(name, KeyType::P256);
        let mut secret = vec![0; 32];
        getrandom::fill(&mut secret).map_err(certadm_ca::Error::Random)?;
        let passphrase = Passphrase::new(secret)?;
        let made = Authority::init(&ca, &config, Role::Root, &passphrase, certadm_store::now())?;
        let Initialized::Root(authority) = made else {
            return Err(Failure::internal("the drill's CA is not a root"));
        };
        output.line(format!("Created a CA with a P-256 key in {}.", ca.path().display()));
        Ok(Self {
            args,
            output,
            root: root.to_owned(),
            ca,
            authority: Arc::from(authority),
            passphrase,
            requests: Arc::new(requests()?),
            record: Arc::default(),
            #[cfg(feature = "repository")]
            vaulted: match args.repository {
                true => Some(vaulted::Vaulted::make(root, NAME, output)?),
                false => None,
            },
        })
    }

    fn run(mut self) -> Result<Summary, Failure> {
        let sets: Vec<PathBuf> = ["full", "logs-1", "logs-2"].map(|name| self.root.join(name)).into();
        #[cfg(unix)]
        let domain = self.domain()?;
        #[cfg(unix)]
        let membership = domain.as_ref().map(domain::Domain::membership);
        #[cfg(not(unix))]
        let membership = None;
        let store = Arc::new(open_store(&self.ca)?);
        let filler = self.fill(&store)?;
        let way = self.way(&store, membership)?;
        let (full, logs) = self.back_up_under_load(&store, way.as_ref(), &sets)?;
        let lost = self.issue_after_last(&store)?;
        let way = match way {
            Some(wire) => {
                let server = wire.resolver();
                wire.stop()?;
                Way::Wire { server, by_ticket: membership.is_some() }
            }
            None => Way::Local,
        };
        let published = crl::publish(&store, &self.authority, &self.one_before(&lost)?, &self.root)?;
        let kept = self.keep_what_no_set_holds()?;
        Arc::into_inner(store).ok_or_else(|| Failure::internal("the store is still in use"))?.close()?;
        fs::remove_dir_all(self.ca.path()).during("remove", self.ca.path())?;
        let loss = Instant::now();
        self.output.line("Destroyed the CA's folder, with its key and its configuration.");
        #[cfg(feature = "repository")]
        let vaulted = self.recover_repository()?;
        #[cfg(feature = "repository")]
        let sets = vaulted.as_ref().map_or(sets, vaulted::Recovered::sets);

        let key = || PrivateKey::open(&kept.join("ca.key"), &self.passphrase);
        let emergency = crl::emergency(&sets, &key()?, &published, &self.root, loss)?;
        self.output.line(format!(
            "Published an emergency CRL {:.2} s after the loss: number {}, {}, valid until {}.",
            emergency.took.as_secs_f64(),
            emergency.number,
            counted(emergency.entries as u64, "entry"),
            emergency.next_update.to_rfc3339()
        ));
        cancel::check()?;
        self.output.line("Rehearsing the sets:");
        let evidence = self.args.evidence.as_deref();
        let (evidence, evidence_file) =
            rehearsed::rehearsed(&sets, &kept, key()?, &published.path, &self.root, evidence, self.output)?;
        cancel::check()?;
        let verified = verify(&sets, &mut self.output.progress());
        self.output.line(format!("Verified the sets: {}.", verified.verdict()));
        let begun = Instant::now();
        let plan = plan(&sets, self.ca.path(), restore::Options::default())?;
        let restored = plan.execute(&own_host_name(), &mut self.output.progress())?;
        self.bring_back(&kept)?;
        let store = open_store(&self.ca)?;
        let recovery = begun.elapsed();
        let recovered = store.opened().recovered.clone();
        self.output.line(format!("Restored and recovered in {:.2} s.", recovery.as_secs_f64()));

        let proof = prove::compare(&store, &self.record, &lost)?;
        let reissue = Load::start(&store, &self.authority, &self.requests, &self.record, 2)?;
        self.record.during(Phase::Restored, || std::thread::sleep(Duration::from_millis(300)));
        reissue.stop()?;
        // The way back: what was revoked while the backup did not know it is revoked again, before anything else is published.
        let crl_number = crl::revoke_and_publish(&store, &self.authority, &published.revoked)?.number;
        store.close()?;
        Ok(Summary {
            way,
            size: self.args.size,
            filler,
            full,
            logs,
            verified,
            restored_bytes: restored.bytes,
            recovery,
            recovered,
            proof,
            lost: lost.len(),
            crl_number,
            emergency,
            evidence,
            evidence_file,
            record: self.record,
            #[cfg(feature = "repository")]
            repository: vaulted.map(|vaulted| vaulted.seen),
        })
    }

    /// Brings the database to its size with rows of failed requests. Returns how many.
    fn fill(&self, store: &Store) -> Result<u64, Failure> {
        let rows = self.args.size / u64::from(FILLER_LEN);
        if rows == 0 {
            return Ok(0);
        }
        let begun = Instant::now();
        let mut writer = store.writer()?;
        let mut left = rows;
        while left > 0 {
            let now = left.min(128);
            writer.commit(|transaction| {
                let mut insert = transaction.prepare_cached(
                    "INSERT INTO Requests (RequestType, Disposition, SubmittedWhen, RequesterName, RawRequest)
                     VALUES (256, 30, ?1, 'filler', randomblob(?2))",
                )?;
                for _ in 0..now {
                    insert.execute(params![certadm_store::now().0, FILLER_LEN])?;
                }
                Ok::<_, certadm_store::Error>(())
            })?;
            left -= now;
        }
        self.output.line(format!(
            "Filled its database to {} with {rows} failed requests in {:.1} s.",
            human_bytes(self.args.size),
            begun.elapsed().as_secs_f64()
        ));
        Ok(rows)
    }

    /// Issues all the while: some seconds without a backup, a full backup, two of the logs alone. The workers rest
    /// before the last one's logs are listed, so that it holds everything acknowledged.
    fn back_up_under_load(
        &self,
        store: &Arc<Store>,
        wire: Option<&Loopback>,
        sets: &[PathBuf],
    ) -> Result<(Taken, Vec<Taken>), Failure> {
        let workers = usize::from(self.args.workers);
        let load = Load::start(store, &self.authority, &self.requests, &self.record, workers)?;
        let pause = Duration::from_secs(u64::from(self.args.seconds));
        self.record.during(Phase::Idle, || rest(pause))?;
        let back_up = |set: &Path, kind| match wire {
            Some(wire) => self.back_up(&mut wire.connect()?, None, set, kind),
            None => self.back_up(&mut local_source(store)?, Some(store.folder().clone()), set, kind),
        };
        let full = self.record.during(Phase::FullBackup, || back_up(&sets[0], BackupType::Full))?;
        self.record.during(Phase::Idle, || rest(pause / 4))?;
        let first = self.record.during(Phase::LogsBackup, || back_up(&sets[1], BackupType::LogsOnly))?;
        self.record.during(Phase::Idle, || rest(pause / 4))?;
        load.stop()?;
        let last = back_up(&sets[2], BackupType::LogsOnly)?;
        Ok((full, vec![first, last]))
    }

    /// The domain that the backups log on in, if they are to.
    #[cfg(unix)]
    fn domain(&self) -> Result<Option<domain::Domain>, Failure> {
        if !self.args.kerberos {
            return Ok(None);
        }
        let begun = Instant::now();
        let domain = domain::Domain::start(&self.root)?;
        let Membership { realm, kdc, .. } = domain.membership();
        let seconds = begun.elapsed().as_secs_f64();
        self.output.line(format!(
            "Made the domain {realm}, with a controller of Samba on {kdc}, in {seconds:.1} s."
        ));
        Ok(Some(domain))
    }

    /// The service that the backups go through, unless they are to go the local way.
    fn way(&self, store: &Arc<Store>, membership: Option<&Membership>) -> Result<Option<Loopback>, Failure> {
        if self.args.local {
            self.output.line("Backups go the local way, from the CA's folder.");
            return Ok(None);
        }
        let (wire, by) = match membership {
            None => (Loopback::start(store, self.authority.config())?, "NTLM"),
            Some(membership) => {
                (Loopback::start_in(store, self.authority.config(), membership.clone())?, "Kerberos")
            }
        };
        self.output.line(format!("Serving it on {}; backups go over TCP, {by}, sealed.", wire.resolver()));
        Ok(Some(wire))
    }

    /// The sets out of the repository, whose key is lost with the CA.
    #[cfg(feature = "repository")]
    fn recover_repository(&self) -> Result<Option<vaulted::Recovered>, Failure> {
        let Some(vaulted) = &self.vaulted else { return Ok(None) };
        vaulted.lose_key()?;
        Ok(Some(vaulted.recover(self.output)?))
    }

    /// Takes a backup into the repository, if the drill has one, and else into a folder.
    fn take(&self, source: &mut dyn Source, to: &Path, options: &TakeOptions) -> Result<Taken, Failure> {
        #[cfg(feature = "repository")]
        if let Some(vaulted) = &self.vaulted {
            return vaulted.back_up(source, options, self.output);
        }
        Ok(take(source, to, options, &mut self.output.progress())?)
    }

    fn back_up(
        &self,
        source: &mut dyn Source,
        ca_folder: Option<certadm_store::Folder>,
        to: &Path,
        kind: BackupType,
    ) -> Result<Taken, Failure> {
        let options = TakeOptions { ca_folder, ..TakeOptions::new(kind) };
        let taken = self.take(source, to, &options)?;
        let manifest = &taken.manifest;
        self.output.line(format!(
            "Took a {} backup: generations {:#x} to {:#x}, {} in {:.2} s.",
            taken.kind,
            manifest.generations.low,
            manifest.generations.high,
            human_bytes(manifest.total_size()),
            taken.duration.as_secs_f64()
        ));
        Ok(taken)
    }

    /// What is issued after the last backup is lost with the CA. Returns those serials.
    fn issue_after_last(&self, store: &Store) -> Result<Vec<String>, Failure> {
        let before: Vec<String> = self.record.ledger().certificates.keys().cloned().collect();
        let load = Load::start(store, &self.authority, &self.requests, &self.record, 1)?;
        self.record.during(Phase::AfterLast, || std::thread::sleep(Duration::from_millis(50)));
        load.stop()?;
        let known: std::collections::HashSet<String> = before.into_iter().collect();
        let ledger = self.record.ledger();
        Ok(ledger.certificates.keys().filter(|serial| !known.contains(*serial)).cloned().collect())
    }

    /// A certificate that the last backup knows.
    fn one_before(&self, lost: &[String]) -> Result<String, Failure> {
        let ledger = self.record.ledger();
        let known = ledger.certificates.keys().find(|serial| !lost.contains(serial));
        known.cloned().ok_or_else(|| Failure::internal("the drill issued nothing before its last backup"))
    }

    /// Key, certificate and configuration are no part of a set: an administrator keeps them elsewhere. Returns where.
    fn keep_what_no_set_holds(&self) -> Result<PathBuf, Failure> {
        let kept = self.root.join("kept");
        durable::create_dir(&kept)?;
        copy_parts(self.ca.path(), &kept)?;
        Ok(kept)
    }

    /// Puts them back, and opens the CA anew with what is in its folder now.
    fn bring_back(&mut self, kept: &Path) -> Result<(), Failure> {
        copy_parts(kept, self.ca.path())?;
        self.authority = Arc::new(Authority::open(&self.ca, &self.passphrase)?);
        Ok(())
    }
}

/// Requests with keys of their own.
fn requests() -> Result<Vec<certadm_ca::Request>, Failure> {
    let one = |number| request::for_host(&format!("host{number:05}.drill.example"));
    Ok((0..REQUESTS).map(one).collect::<Result<_, _>>()?)
}

/// Lets the workers issue for a while, unless a signal asks to stop.
fn rest(time: Duration) -> Result<(), Failure> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        cancel::check()?;
        std::thread::sleep(Duration::from_millis(20).min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// The size of a drill's database.
fn drill_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if (SMALLEST..=LARGEST).contains(&size) => Ok(size),
        _ => Err("a drill fills a database of 64KiB to 1TiB".to_owned()),
    }
}
