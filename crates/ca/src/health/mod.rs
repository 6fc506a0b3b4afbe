//! How a CA's folder is: its files, its logs, a restore that waits, and what its database says of itself.
//!
//! Looking changes nothing and disturbs nobody: the database is read through a connection like any committer's,
//! everything else by looking at files. So a service may own the CA meanwhile.
//!
//! ```no_run
//! let health = certadm_ca::health::examine("/srv/ca".as_ref(), &Default::default())?;
//! for finding in &health.findings {
//!     println!("{}: {finding}", finding.kind.key());
//! }
//! # Ok::<(), certadm_ca::Error>(())
//! ```

mod ages;
mod clock;
mod content;
mod keys;
mod last_check;
mod published;
mod thresholds;

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use certadm_files::IoContext;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Kind, Spot};
use certadm_rules::registration::RestoreRecord;
use certadm_rules::words::{human_bytes, shell_word};
use certadm_rules::{Diagnosis, Generation, GenerationRange, Hresult};
use certadm_store::folder::wal_len;
use certadm_store::{Folder, Writer, locks, record};

use crate::authority::request_path;

pub use crate::unrecorded::unrecorded;
pub use clock::clock_doubts;
pub use content::{Content, Crl};
pub use keys::keys_without_crl;
pub use last_check::LastCheck;
pub use published::Published;
pub use thresholds::Thresholds;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::identity;
use crate::modes;

/// How a CA's folder is.
#[derive(Debug)]
pub struct Health {
    /// Its configuration; nothing when that cannot be read, which is a finding.
    pub config: Option<Config>,
    /// Which of its files are there.
    pub files: Files,
    /// Whether a restore waits or was left unfinished.
    pub restore: Restore,
    /// Whether a service or command owns the database; nothing when the lock file cannot be read.
    pub is_owned: Option<bool>,
    /// The archived logs.
    pub logs: Logs,
    /// The generation of the checkpoint file: the database file needs no older log.
    pub checkpoint: Option<Generation>,
    /// The database; nothing while a restore waits, or when it cannot be read, which is a finding.
    pub database: Option<Database>,
    /// When the database was last checked as a whole, and by what; nothing when it never was.
    pub last_check: Option<LastCheck>,
    /// What there is to look into: grave findings first, causes before their consequences.
    pub findings: Vec<Finding>,
}

/// Which of a CA's own files are there.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// `ca.toml`.
    pub configuration: bool,
    /// `ca.key`.
    pub key: bool,
    /// `ca.crt`.
    pub certificate: bool,
}

/// Whether a restore is registered.
#[derive(Debug)]
pub enum Restore {
    /// None is.
    None,
    /// Its record cannot be read.
    Malformed,
    /// One is, in some state.
    Registered(RestoreRecord),
}

impl Restore {
    /// Its state in a word or two.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Malformed => "malformed",
            Self::Registered(record) if record.database_recovered => "carried out",
            Self::Registered(record) if record.is_complete() => "complete",
            Self::Registered(record) if record.is_pending() => "pending",
            Self::Registered(_) => "failed",
        }
    }
}

/// The archived logs of a CA.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logs {
    /// How many there are.
    pub count: usize,
    /// Bytes of all.
    pub bytes: u64,
    /// The lowest and the highest generation.
    pub ends: Option<(Generation, Generation)>,
}

/// The database of a CA.
#[derive(Debug)]
pub struct Database {
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the write-ahead log beside it, which is the current log.
    pub wal_bytes: u64,
    /// What its tables say.
    pub content: Content,
}

/// Looks at a CA's folder.
///
/// # Errors
/// [`certadm_store::Error::NotACaFolder`] (0x80070424) when it is none, [`certadm_store::Error::File`] and
/// [`certadm_store::Error::Sqlite`] when the system fails. Everything else that is wrong becomes findings.
pub fn examine(dir: &Path, thresholds: &Thresholds) -> Result<Health> {
    let folder = Folder::new(dir);
    folder.check()?;
    let mut findings = Vec::new();
    let config = configuration(&folder, &mut findings);
    let files = files(&folder, &mut findings);
    let restore = restore(&folder, &mut findings);
    let is_owned = locks::is_owned(&folder);
    let logs = logs(&folder, &mut findings)?;
    let checkpoint = certadm_store::stated_checkpoint(&folder.checkpoint_path())?;
    let database = database(&folder, thresholds, &mut findings)?;
    owners(&folder, &mut findings)?;
    space(&folder, config.as_ref(), &mut findings)?;
    let content = database.as_ref().map(|database| &database.content);
    let last_check = LastCheck::read(&folder).filter(|check| {
        content.is_none_or(|content| check.is_of(&content.database_signature, content.recovered))
    });
    finding::sort(&mut findings);
    Ok(Health { config, files, restore, is_owned, logs, checkpoint, database, last_check, findings })
}

fn configuration(folder: &Folder, findings: &mut Vec<Finding>) -> Option<Config> {
    let path = folder.config_path();
    let config = Config::load(&path).map_err(|error| {
        let finding = Finding::error(Kind::Configuration, error.hresult(), chain_of(&error));
        findings.push(finding.remedy(error.remedy()));
    });
    let config = config.ok()?;
    // A certificate that cannot be read is told elsewhere.
    if let Err(error @ Error::Config { .. }) = identity::check_name(folder, &config) {
        let finding = Finding::error(Kind::Configuration, error.hresult(), error.to_string());
        findings.push(finding.remedy("put the ca.toml of this CA back"));
    }
    if config.database.circular_logging {
        let text = "circular logging is on: only full backups are possible";
        findings.push(Finding::note(Kind::CircularLogging, text).in_file(path));
    }
    Some(config)
}

fn files(folder: &Folder, findings: &mut Vec<Finding>) -> Files {
    let (key, certificate) = (folder.key_path(), folder.certificate_path());
    let files = Files {
        configuration: folder.config_path().exists(),
        key: key.exists(),
        certificate: certificate.exists(),
    };
    let missing = |kind, what: &str, path: PathBuf, remedy: &'static str| {
        let text = format!("it is not there: the CA cannot issue without its {what}");
        Finding::error(kind, Hresult::ERROR_FILE_NOT_FOUND, text).in_file(path).remedy(remedy)
    };
    if !files.certificate {
        let remedy = if request_path(folder).exists() {
            "have the parent sign the request (ca.csr), then run `certadm ca import`; if that was done before, put it back from a backup set, whose folder Identity holds it"
        } else {
            "put it back from a backup set, whose folder Identity holds it, or from where it is kept"
        };
        findings.push(missing(Kind::CertificateMissing, "certificate", certificate, remedy));
    }
    let users = folder.path().join("users.toml");
    if certadm_files::is_exposed(&users) {
        findings.push(
            Finding::warning(Kind::AccountsExposed, "others can read it, so that the service refuses it")
                .in_file(users)
                .remedy("give it mode 0600 (chmod 600)"),
        );
    }
    for exposure in modes::exposures(folder) {
        let kind = if exposure.path == key { Kind::KeyExposed } else { Kind::FolderExposed };
        let finding = Finding::warning(kind, exposure.text()).in_file(exposure.path);
        findings.push(finding.remedy(format!("run `{}`", exposure.remedy)));
    }
    if !files.key {
        let remedy = "put it back from where it is kept; a backup set holds it only where it was attached";
        findings.push(missing(Kind::KeyMissing, "key", key, remedy));
    }
    files
}

fn restore(folder: &Folder, findings: &mut Vec<Finding>) -> Restore {
    let record = match record::read(folder) {
        Ok(None) => return Restore::None,
        Ok(Some(record)) => record,
        Err(error) => {
            let finding = Finding::error(Kind::RestoreRecord, error.hresult(), chain_of(&error));
            findings.push(finding.remedy(error.remedy()));
            return Restore::Malformed;
        }
    };
    let restore = Restore::Registered(record);
    let repeat = "repeat `certadm restore`";
    findings.push(match &restore {
        Restore::Registered(record) if record.database_recovered => Finding::warning(
            Kind::RestoreWaiting,
            "a restore was carried out, and its record is still there: the CA's next start removes it",
        )
        .remedy("start the CA once"),
        Restore::Registered(record) if record.is_complete() => {
            Finding::warning(Kind::RestoreWaiting, "a restore waits: the CA's next start carries it out")
                .remedy("start the CA once")
        }
        Restore::Registered(record) if record.is_pending() => {
            Finding::warning(Kind::RestoreUnfinished, "a restore was begun and not completed").remedy(repeat)
        }
        Restore::Registered(record) => {
            Finding::error(Kind::RestoreUnfinished, record.status, "a restore failed").remedy(repeat)
        }
        Restore::None | Restore::Malformed => return restore,
    });
    restore
}

fn logs(folder: &Folder, findings: &mut Vec<Finding>) -> Result<Logs> {
    let list = || if folder.log_dir().is_dir() { folder.archived_logs() } else { Ok(Vec::new()) };
    let (logs, missing) = logs_and_gaps(list)?;
    for gap in missing {
        let text = format!("archived logs are missing: generations {:#x} to {:#x}", gap.low(), gap.high());
        findings.push(
            Finding::error(Kind::LogMissing, Hresult::MISSING_LOG_FILE, text)
                .in_file(folder.log_dir())
                .at(Spot::Log(gap.low().number()))
                .remedy("take a full backup; log sets cannot build on what is missing"),
        );
    }
    let size = |(_, path): &(Generation, PathBuf)| fs::metadata(path).map_or(0, |metadata| metadata.len());
    Ok(Logs {
        count: logs.len(),
        bytes: logs.iter().map(size).sum(),
        ends: logs.first().zip(logs.last()).map(|((low, _), (high, _))| (*low, *high)),
    })
}

/// Archived logs, ascending.
type Archived = Vec<(Generation, PathBuf)>;

/// The logs that `list` finds, and the gaps between them. Where there are gaps it lists again: a backup that deletes logs
/// meanwhile, lowest first, can look like one (5 was seen before it went, 6 went before it was seen), and so can a roll.
/// Such a gap is not there the second time.
fn logs_and_gaps(
    mut list: impl FnMut() -> certadm_store::Result<Archived>,
) -> Result<(Archived, Vec<GenerationRange>)> {
    let logs = list()?;
    let seen = gaps(&logs);
    if seen.is_empty() {
        return Ok((logs, seen));
    }
    let logs = list()?;
    let mut missing = gaps(&logs);
    missing.retain(|gap| seen.iter().any(|seen| seen.low() <= gap.high() && gap.low() <= seen.high()));
    Ok((logs, missing))
}

/// Each run of logs that is missing between two others.
fn gaps(logs: &[(Generation, PathBuf)]) -> Vec<GenerationRange> {
    let between =
        |pair: &[(Generation, PathBuf)]| GenerationRange::new(pair[0].0.next()?, pair[1].0.previous()?);
    logs.windows(2).filter_map(between).collect()
}

/// Files that belong to another account than the folder: the service may not be able to open them.
#[cfg(unix)]
fn owners(folder: &Folder, findings: &mut Vec<Finding>) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let look = |path: &Path| fs::symlink_metadata(path).during("look at", path);
    let own = look(folder.path())?;
    let mut strangers = Vec::new();
    for dir in [folder.path().to_owned(), folder.database_dir(), folder.log_dir(), folder.crl_dir()] {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).during("list", &dir)? {
            let path = entry.during("list", &dir)?.path();
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.uid() != own.uid() => strangers.push(path),
                // What is gone again belongs to nobody.
                _ => {}
            }
        }
    }
    if let Some(first) = strangers.first() {
        let (count, dir) = (strangers.len(), shell_word(folder.path().display()));
        let text = format!(
            "{count} files belong to another account than the folder, {} among them",
            first.display()
        );
        findings.push(Finding::warning(Kind::MixedOwners, text).in_file(folder.path()).remedy(format!(
            "give them to its owner: chown -R {}:{} {dir}",
            own.uid(),
            own.gid()
        )));
    }
    Ok(())
}

/// Windows decides by the rights of the folder, not by owners.
#[cfg(not(unix))]
fn owners(_folder: &Folder, _findings: &mut Vec<Finding>) -> Result<()> {
    Ok(())
}

/// A CA needs room for one log to archive the current one, and for another to go on meanwhile.
fn space(folder: &Folder, config: Option<&Config>, findings: &mut Vec<Finding>) -> Result<()> {
    let needed =
        2 * config.map_or(certadm_store::Options::default().log_size, |config| config.database.log_size);
    match certadm_files::space::available(folder.path())? {
        Some(available) if available < needed => {
            let reserve = match certadm_store::has_reserve(folder) {
                true => "; a backup can still use the space that is kept for it",
                false => "; the space that is kept for a backup is used up",
            };
            let text = format!(
                "{} are free on the disk of the CA, which needs {} to go on{reserve}",
                human_bytes(available),
                human_bytes(needed)
            );
            findings.push(
                Finding::warning(Kind::DiskSpace, text)
                    .in_file(folder.path())
                    .remedy("free some space there; a backup frees the space of the logs that it deletes"),
            );
        }
        _ => {}
    }
    Ok(())
}

fn database(
    folder: &Folder,
    thresholds: &Thresholds,
    findings: &mut Vec<Finding>,
) -> Result<Option<Database>> {
    let opened = folder.database_path().and_then(|path| Ok((Writer::open(folder)?, path)));
    let (writer, path) = match opened {
        Ok(opened) => opened,
        // What a waiting restore means has been said.
        Err(certadm_store::Error::RestorePending { .. }) => return Ok(None),
        Err(error) => {
            let text = format!("the database cannot be read: {}", chain_of(&error));
            let kind = match error {
                certadm_store::Error::Foreign { .. } => Kind::ForeignSchema,
                _ => Kind::DatabaseUnreadable,
            };
            let finding = Finding::error(kind, error.hresult(), text);
            findings.push(finding.remedy(error.remedy()));
            return Ok(None);
        }
    };
    let mut content = Content::read(writer.connection())?;
    // What cannot be read is told below.
    if let Ok(Some(renewed)) = identity::renewed_in(writer.connection(), folder) {
        let end = content.valid_until.map(|end| format!(", which ends on {}", end.to_rfc3339()));
        let text = format!(
            "the CA's certificate was renewed, and the database knows only the one before it{}: no CRL can be made of a backup after that",
            end.unwrap_or_default()
        );
        let remedy = "publish a CRL with `certadm ca crl`, which records the new one, and take a backup then";
        findings.push(Finding::warning(Kind::CertificateEnding, text).remedy(remedy));
        content.valid_until = Some(renewed.not_after);
    }
    content.judge(certadm_store::now(), thresholds, findings);
    if let Err(error) = identity::check(writer.connection(), folder) {
        let kind = match error {
            Error::AnotherCa { .. } => Kind::AnotherCa,
            _ => Kind::Unreadable,
        };
        findings.push(Finding::error(kind, error.hresult(), chain_of(&error)).remedy(error.remedy()));
    }
    // Rows that cannot be read have been told.
    findings.extend(keys_without_crl(writer.connection(), folder, None).unwrap_or_default());
    findings.extend(unrecorded(writer.connection(), folder, &path).unwrap_or_default());
    let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    Ok(Some(Database { bytes, wal_bytes: wal_len(&path), path, content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(number: u32) -> Generation {
        Generation::new(number).unwrap()
    }

    /// The gaps where the folder is listed with these logs the first time, and with those the second.
    fn gaps_of(first: &[u32], second: &[u32]) -> Vec<GenerationRange> {
        let mut listings = [first, second].into_iter();
        let list = || {
            let numbers = listings.next().expect("two listings are enough");
            Ok(numbers.iter().map(|number| (log(*number), PathBuf::new())).collect())
        };
        logs_and_gaps(list).unwrap().1
    }

    #[test]
    fn a_log_is_missing_that_both_listings_lack() {
        let gap = |low, high| GenerationRange::new(log(low), log(high)).unwrap();
        assert_eq!(gaps_of(&[3, 4, 5], &[]), []);
        assert_eq!(gaps_of(&[3, 7, 8], &[3, 7, 8]), [gap(4, 6)]);
        // What was deleted, or rolled, between the two was never missing.
        assert_eq!(gaps_of(&[5, 7, 8], &[7, 8]), []);
        assert_eq!(gaps_of(&[5, 7], &[5, 6, 7, 8]), []);
        assert_eq!(gaps_of(&[3, 5, 7], &[5, 7]), [gap(6, 6)]);
        // 3 and 4 were deleted meanwhile, and 5 was not seen the first time; 6 is missing all the same.
        assert_eq!(gaps_of(&[3, 7], &[5, 7]), [gap(6, 6)]);
    }
}
