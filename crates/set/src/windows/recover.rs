//! Recovery to a new file: copied, replayed, checked, and only then given its name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use certadm_ese::pager::FilePager;
use certadm_ese::recovery::Outcome;
use certadm_ese::verify::PageCounts;
use certadm_ese::{Code, Database};
use certadm_files::unfinished::refuse_occupied;
use certadm_files::{IoContext, Unfinished, durable, unfinished};
use certadm_rules::finding::Severity;
use certadm_rules::names::is_safe_component;

use super::files::WindowsSet;
use super::replay::{Files, refuse_missing, tell};
use crate::error::{Error, Result};
use crate::progress::{Progress, Stage};

/// The name of a database that its logs alone gave.
const UNNAMED: &str = "recovered.edb";

/// A database recovered to a new file.
#[derive(Debug)]
pub struct Recovered {
    /// The new file.
    pub database: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What the replay did.
    pub outcome: Outcome,
    /// How its pages were judged afterwards.
    pub pages: PageCounts,
    /// What recoveries that were killed had left beside it; it was removed.
    pub removed: Vec<PathBuf>,
}

/// Replays the logs of these sets into a clean copy of their database in the folder `to`, which is created. The sets stay
/// as they are. The copy is flushed, read back and checked page by page before it gets its name.
///
/// # Errors
/// [`Error::Missing`] when the database or a log is gone that the manifests list; [`Error::WouldOverwrite`] when the folder has a
/// file of that name; [`Error::Windows`] with the code of what stands in
/// the way, or of the first page that is damaged in the result; [`Error::Store`]. No file of that name is left then.
pub fn recover(sets: &[WindowsSet], to: &Path, progress: &mut dyn Progress) -> Result<Recovered> {
    refuse_missing(sets)?;
    let files = Files::open(sets)?;
    files.refuse_missing_logs()?;
    let own = files.database_path.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let name = own.filter(|name| is_safe_component(name)).unwrap_or(UNNAMED);
    let target = to.join(name);
    durable::create_dir(to)?;
    refuse_occupied(&target)?;
    let removed = unfinished::remove_abandoned(to)?;
    let (unfinished, file) = Unfinished::file(&target)?;
    let (outcome, pages, bytes) = write(&files, unfinished.path(), file, progress)?;
    refuse_occupied(&target)?;
    unfinished.place()?;
    Ok(Recovered { database: target, bytes, outcome, pages, removed })
}

fn write(
    files: &Files,
    path: &Path,
    file: File,
    progress: &mut dyn Progress,
) -> Result<(Outcome, PageCounts, u64)> {
    let mut output = FilePager::new(file).during("look at", path)?;
    let outcome = files.plan(|plan| plan.recover(&mut output, &mut |at| tell(at, progress)))?;
    let blame = |source| Error::Windows {
        path: files.database_path.as_ref().map_or_else(|| files.set.clone(), PathBuf::from),
        source,
    };
    let bytes = fs::metadata(path).during("look at", path)?.len();
    let database = Database::open(&output).map_err(blame)?;
    let page = database.page_size().bytes64();
    let report = database
        .verify(&mut |at| {
            progress.at(Stage::ReadBack, u64::from(at.done) * page, u64::from(at.total) * page);
        })
        .map_err(blame)?;
    match report.findings.iter().find(|finding| finding.severity == Severity::Error) {
        None => Ok((outcome, report.pages, bytes)),
        Some(finding) => Err(blame(certadm_ese::Error::Refused {
            code: Code::from_hresult(finding.code).unwrap_or(Code::DATABASE_CORRUPTED),
            problem: format!("what the replay gives is damaged: {finding}"),
        })),
    }
}
