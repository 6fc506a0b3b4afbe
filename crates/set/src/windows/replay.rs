//! The files of Windows sets opened for reading, and a database as a replay in memory gives it.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use certadm_ese::Database;
use certadm_ese::header::DatabaseHeader;
use certadm_ese::log::LogFile;
use certadm_ese::log::chain::generation_of_name;
use certadm_ese::overlay::Overlay;
use certadm_ese::pager::{FilePager, Pager};
use certadm_ese::recovery::{LogInput, Outcome, Plan, Progress as At, Range, Step};
use certadm_files::{Found, IoContext};
use certadm_rules::finding::{Finding, Spot};
use certadm_rules::{Generation, Hresult};

use super::files::WindowsSet;
use crate::chain::missing_log;
use crate::error::{Error, Result};
use crate::progress::{Progress, Stage};
use crate::reader::Set;

/// Changed pages that a replay keeps in memory; further ones go to a file without a name.
const IN_MEMORY: usize = 4 << 20;

/// Passes on how far a recovery is.
pub(super) fn tell(at: At, progress: &mut dyn Progress) {
    let stage = match at.step {
        Step::Copying => Stage::Copy,
        Step::CheckingLogs => Stage::CheckLogs,
        Step::Replaying => Stage::Replay,
    };
    progress.at(stage, at.done, at.total);
}

/// A log that is opened when it is read: a set may hold more logs than a process may have files open.
#[derive(Debug)]
struct LogOnDisk {
    file: Found,
    /// Its file name, or its whole path where another log has that name.
    name: String,
    size: u64,
}

impl Pager for LogOnDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let file = self.file.open().map_err(io::Error::other)?;
        FilePager::new(file)?.read_at(offset, buffer)
    }
}

/// The database and the logs of one or several Windows sets, ready for a plan.
#[derive(Debug)]
pub struct Files {
    /// Where the database lies.
    pub database_path: Option<Found>,
    database: Option<FilePager>,
    logs: Vec<LogOnDisk>,
    /// Which of the logs a finding means: there may be as many findings as logs.
    by_name: HashMap<String, usize>,
    /// The same by the generations in their headers; these are read when they are asked for. Names of files get mixed up.
    by_generation: OnceCell<HashMap<u32, usize>>,
    /// The logs that manifests list and no set has, ascending. A current log of the same generation is no copy: it may be older.
    missing: Vec<(Generation, PathBuf)>,
    /// What to name where no file is at fault.
    pub set: PathBuf,
}

impl Files {
    /// Opens what the sets hold.
    ///
    /// # Errors
    /// [`Error::Combination`] with 0xC7FF0008 for a second database, [`Error::Store`] when a file cannot be opened.
    pub fn open(sets: &[WindowsSet]) -> Result<Self> {
        let mut databases = sets.iter().filter_map(|set| set.database.clone());
        let database_path = databases.next();
        if let Some(second) = databases.next() {
            return Err(Error::Combination {
                detail: format!("{} is a second database", second.display()),
                code: Hresult::HR_RESTORE_MAP_EXISTS,
            });
        }
        let database = match &database_path {
            Some(path) => Some(open_pager(path)?),
            None => None,
        };
        let mut logs = Vec::new();
        let (mut by_name, mut named) = (HashMap::new(), BTreeSet::new());
        for path in sets.iter().flat_map(|set| &set.logs) {
            let size = path.size()?;
            let mut name =
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            named.extend(generation_of_name(&name));
            if by_name.contains_key(&name) {
                name = path.path().to_string_lossy().into_owned();
            }
            by_name.entry(name.clone()).or_insert(logs.len());
            logs.push(LogOnDisk { file: path.clone(), name, size });
        }
        let listed = sets.iter().filter_map(|set| set.complete.as_ref()).flat_map(|set| &set.logs);
        let mut missing: Vec<_> = listed
            .filter(|(generation, _)| !named.contains(&generation.number()))
            .map(|(generation, log)| (*generation, log.path().to_owned()))
            .collect();
        missing.sort();
        let set = sets.first().map(|set| set.path.clone()).unwrap_or_default();
        let by_generation = OnceCell::new();
        Ok(Self { database_path, database, logs, by_name, by_generation, missing, set })
    }

    /// The database file.
    pub fn database(&self) -> Option<&FilePager> {
        self.database.as_ref()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let logs: u64 = self.logs.iter().map(|log| log.size).sum();
        logs + self.database.as_ref().map_or(0, Pager::size)
    }

    /// Hands a plan for these files to `use_plan`.
    ///
    /// # Errors
    /// [`Error::Windows`]: as [`Plan::new`], and what `use_plan` returns.
    pub fn plan<R>(&self, use_plan: impl FnOnce(Plan<'_>) -> Result<R, certadm_ese::Error>) -> Result<R> {
        self.plan_of(self.database.as_ref(), use_plan)
    }

    /// The same for the logs without their database.
    ///
    /// # Errors
    /// As [`Files::plan`].
    pub fn plan_logs<R>(
        &self,
        use_plan: impl FnOnce(Plan<'_>) -> Result<R, certadm_ese::Error>,
    ) -> Result<R> {
        self.plan_of(None, use_plan)
    }

    fn plan_of<R>(
        &self,
        database: Option<&FilePager>,
        use_plan: impl FnOnce(Plan<'_>) -> Result<R, certadm_ese::Error>,
    ) -> Result<R> {
        let inputs: Vec<_> = self.logs.iter().map(|log| LogInput { name: &log.name, file: log }).collect();
        let database = database.map(|file| file as &dyn Pager);
        let mut plan = Plan::new(database, &inputs).map_err(|source| self.blame(source))?;
        // Without one a replay takes longer, and nothing else.
        if let Ok(aside) = tempfile::tempfile().and_then(FilePager::new) {
            plan = plan.with_aside(aside);
        }
        use_plan(plan).map_err(|source| self.blame(source))
    }

    /// The generations that the database cannot do without, where a plan requires these; one that is clean takes part in logs
    /// from that on in which it was closed. `None` without a database.
    ///
    /// # Errors
    /// [`Error::Windows`] when its header cannot be read.
    pub(crate) fn needed(&self, required: Option<Range>) -> Result<Option<Range>> {
        let Some(database) = self.database.as_ref().filter(|_| required.is_none()) else {
            return Ok(required);
        };
        let (header, _) = DatabaseHeader::read(database).map_err(|source| self.blame(source))?;
        let closed = header.consistent_position().generation;
        Ok(Some(Range { low: closed, high: closed }))
    }

    /// The logs from this generation on that manifests list and no set has, ascending.
    pub(crate) fn missing_from(&self, low: u32) -> impl Iterator<Item = &(Generation, PathBuf)> {
        self.missing.iter().filter(move |(generation, _)| low <= generation.number())
    }

    /// Refuses sets of which a log is gone that a recovery would replay. The last one leaves no gap: without it, the database
    /// would silently come back as it was before. A log from before the database is of no use, and may be gone.
    ///
    /// # Errors
    /// [`Error::Missing`] (0xC800022D), and as [`Files::plan`].
    pub(super) fn refuse_missing_logs(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let low = self.needed(self.plan(|plan| Ok(plan.required()))?)?.map_or(0, |needed| needed.low);
        match self.missing_from(low).next() {
            None => Ok(()),
            Some((_, path)) => Err(missing_log(path)),
        }
    }

    /// A finding of a plan in the file that it is about: the log that it names or whose generation it tells, else the
    /// database, or the set where a log is missing.
    pub fn place(&self, finding: Finding) -> Finding {
        let named = finding.place.file.as_deref().and_then(Path::to_str);
        let generation = finding.place.spot.and_then(Spot::generation);
        let log = named
            .and_then(|name| self.path_at(self.by_name.get(name)))
            .or_else(|| generation.and_then(|generation| self.log_of(generation)));
        let database = self.database_path.as_deref().filter(|_| generation.is_none());
        finding.in_file(log.or(database).unwrap_or(&self.set))
    }

    /// The log file of a generation by its header, or by its name where the header cannot be read.
    pub fn log_of(&self, generation: u32) -> Option<&Path> {
        self.path_at(self.by_generation.get_or_init(|| self.generations()).get(&generation))
    }

    fn generations(&self) -> HashMap<u32, usize> {
        let (mut found, mut unreadable) = (HashMap::new(), Vec::new());
        for (number, log) in self.logs.iter().enumerate() {
            match LogFile::read_header(log) {
                Ok(header) => {
                    found.entry(header.generation).or_insert(number);
                }
                Err(_) => unreadable.extend(generation_of_name(&log.name).map(|named| (named, number))),
            }
        }
        for (generation, number) in unreadable {
            found.entry(generation).or_insert(number);
        }
        found
    }

    fn path_at(&self, number: Option<&usize>) -> Option<&Path> {
        self.logs.get(*number?).map(|log| log.file.path())
    }

    /// An overlay over the database: changes go to memory, then to a file without a name.
    ///
    /// # Errors
    /// [`Error::Store`] when there is no database, or no place for the changes.
    pub fn overlay(&self) -> Result<Overlay<FilePager>> {
        let Some(path) = &self.database_path else {
            return Err(Error::NotASet { path: self.set.clone(), detail: "it holds no database".to_owned() });
        };
        let place = std::env::temp_dir();
        let spill =
            tempfile::tempfile_in(&place).and_then(FilePager::new).during("create a file in", &place)?;
        Ok(Overlay::with_spill(open_pager(path)?, IN_MEMORY, spill))
    }

    /// An error of the format with the file it speaks of.
    pub(crate) fn blame(&self, source: certadm_ese::Error) -> Error {
        let log = match &source {
            certadm_ese::Error::Log { generation, .. } => self.log_of(*generation),
            certadm_ese::Error::Replay { position, .. }
            | certadm_ese::Error::UnknownRecord { position, .. } => self.log_of(position.generation),
            _ => None,
        };
        let path = log.or(self.database_path.as_deref()).unwrap_or(&self.set);
        Error::Windows { path: path.to_owned(), source }
    }
}

fn open_pager(found: &Found) -> Result<FilePager> {
    Ok(FilePager::new(found.open()?).during("look at", found)?)
}

/// A database of a Windows CA, open for reading.
pub struct OpenedDatabase {
    /// The database; what a replay changed lies beside it.
    pub database: Database<Overlay<FilePager>>,
    /// What the replay did; `None` when the file is shown as it lies there.
    pub outcome: Option<Outcome>,
    /// True when it was not closed cleanly and is shown without its logs.
    pub is_stale: bool,
    /// Why its logs could not be replayed, or not all of them, where it is read around its damage all the same.
    pub not_replayed: Option<Error>,
}

/// Refuses complete sets whose database is gone: their logs alone would give another database, or none.
///
/// # Errors
/// [`Error::Missing`] (0xC80004C0).
pub(super) fn refuse_missing(sets: &[WindowsSet]) -> Result<()> {
    sets.iter().filter_map(|set| set.complete.as_ref()).try_for_each(Set::check_image_is_there)
}

/// Opens the database that a recovery of these sets would give, replayed in memory. A database file named alone is
/// opened as it is.
///
/// # Errors
/// [`Error::Missing`] when the database or a log is gone that the manifests list; [`Error::Windows`] with the code of what stands
/// in the way of a recovery, and as [`Files::open`].
pub fn open_database(sets: &[WindowsSet], progress: &mut dyn Progress) -> Result<OpenedDatabase> {
    refuse_missing(sets)?;
    let files = Files::open(sets)?;
    files.refuse_missing_logs()?;
    replayed(sets, &files, progress)
}

/// The database with those logs replayed that are there.
fn replayed(sets: &[WindowsSet], files: &Files, progress: &mut dyn Progress) -> Result<OpenedDatabase> {
    use certadm_ese::header::State;
    let mut overlay = files.overlay()?;
    let mut outcome = None;
    let alone = matches!(sets, [set] if set.is_single_file());
    if !alone {
        let (replayed, done) = files.plan(|plan| plan.replay_onto(overlay, &mut |at| tell(at, progress)))?;
        overlay = replayed;
        outcome = Some(done);
    }
    let database = Database::open(overlay).map_err(|source| files.blame(source))?;
    let is_stale = alone && database.header().state() != State::CleanShutdown;
    Ok(OpenedDatabase { database, outcome, is_stale, not_replayed: None })
}

/// As [`open_database`], for a database with damaged pages: what is not on them is read. Where its logs cannot be replayed,
/// the file is read as it lies there; where logs are gone, it is read as those before them give it.
///
/// # Errors
/// [`Error::Windows`] when it is no database, and as [`Files::open`].
pub fn salvage_database(sets: &[WindowsSet], progress: &mut dyn Progress) -> Result<OpenedDatabase> {
    refuse_missing(sets)?;
    let files = Files::open(sets)?;
    let blame = |source| files.blame(source);
    let missing = files.refuse_missing_logs().err();
    let opened = match replayed(sets, &files, progress) {
        Ok(opened) => OpenedDatabase { not_replayed: missing, ..opened },
        Err(reason) => OpenedDatabase {
            database: Database::open(files.overlay()?).map_err(blame)?,
            outcome: None,
            is_stale: true,
            not_replayed: Some(reason),
        },
    };
    let page = opened.database.page_size().bytes64();
    let database = opened.database.salvaging(&mut |at| {
        progress.at(Stage::Verify, u64::from(at.done) * page, u64::from(at.total) * page);
    });
    Ok(OpenedDatabase { database: database.map_err(blame)?, ..opened })
}
