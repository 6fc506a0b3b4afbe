//! The checks of a Windows set: pages, logs, restore map, and a replay in memory (ese.md 13).

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use certadm_ese::checkpoint::Checkpoint;
use certadm_ese::overlay::Overlay;
use certadm_ese::pager::{FilePager, Pager};
use certadm_ese::recovery::{Plan, Range};
use certadm_ese::redo::Counts;
use certadm_ese::verify::PageCounts;
use certadm_ese::{Code, Database};
use certadm_files::Found;
use certadm_rules::finding::{Finding, Kind, Severity, Spot};
use certadm_rules::names::last_component;
use certadm_rules::{Generation, GenerationRange, Hresult};

use super::content;
use super::files::WindowsSet;
use super::replay::{Files, tell};
use crate::error::{Error, Result};
use crate::layout::database_dir;
use crate::progress::{Progress, Stage};
use crate::reader::read_locations;
use crate::scratch::Content;

/// What an examination tells of a Windows set beyond its findings.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The header's state in words, where there is a database.
    pub state: Option<String>,
    /// How the pages were judged, where there is a database.
    pub pages: Option<PageCounts>,
    /// The generations that the database needs; `None` when it is clean.
    pub required: Option<Range>,
    /// What the replay in memory came to; `None` when it was not reached or not possible.
    pub replay: Option<certadm_ese::recovery::Outcome>,
}

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Examination {
    pub(crate) findings: Vec<Finding>,
    pub(crate) outcome: Outcome,
    /// First to last generation given.
    pub(crate) range: Option<GenerationRange>,
    /// Bytes of all files looked at.
    pub(crate) bytes: u64,
    /// What a recovery would give, where it is the database of a CA.
    pub(crate) content: Option<Content>,
}

/// Checks everything but hashes.
pub(crate) fn examine(sets: &[WindowsSet], progress: &mut dyn Progress) -> Examination {
    let mut examiner = Examiner { sets, found: Examination::default() };
    if let Err(error) = examiner.run(progress) {
        let path = sets.first().map(|set| set.path.clone()).unwrap_or_default();
        examiner.found.findings.push(error.to_finding(&path));
    }
    examiner.found
}

struct Examiner<'a> {
    sets: &'a [WindowsSet],
    found: Examination,
}

impl Examiner<'_> {
    fn run(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let files = Files::open(self.sets)?;
        self.found.bytes = files.bytes();
        self.locations();
        self.checkpoints();
        if files.database().is_none() && self.sets.iter().all(|set| set.logs.is_empty()) {
            let detail = "it holds neither a database nor logs; `certadm show` reads a checkpoint".to_owned();
            return Err(Error::NotASet { path: files.set, detail });
        }
        let readable = match (files.database(), &files.database_path) {
            (Some(file), Some(path)) => self.database(file, path, progress)?,
            _ => false,
        };
        let replayed = if readable {
            let overlay = files.overlay()?;
            files.plan(|plan| self.planned(&plan, &files, Some(overlay), progress))?
        } else {
            files.plan_logs(|plan| self.planned(&plan, &files, None, progress))?
        };
        self.recovered(replayed, &files, progress)
    }

    /// Header and every page. Returns false when it is no database at all.
    fn database(&mut self, file: &FilePager, path: &Path, progress: &mut dyn Progress) -> Result<bool> {
        let blame = |source| Error::Windows { path: path.to_owned(), source };
        let database = match Database::open(file) {
            Ok(database) => database,
            Err(error @ certadm_ese::Error::Io(_)) => return Err(blame(error)),
            Err(error) => {
                self.found.findings.push(blame(error).to_finding(path));
                return Ok(false);
            }
        };
        let page = database.page_size().bytes64();
        let report = database
            .verify(&mut |at| {
                progress.at(Stage::Verify, u64::from(at.done) * page, u64::from(at.total) * page);
            })
            .map_err(blame)?;
        self.found.outcome.state = Some(database.header().state().to_string());
        self.found.outcome.pages = Some(report.pages);
        let alone = matches!(self.sets, [set] if set.is_single_file());
        for finding in report.findings {
            // With its folder, or with logs, what is missing is said log by log.
            let judged_by_its_logs =
                finding.kind == Kind::DirtyShutdown && finding.severity == Severity::Error && !alone;
            if !judged_by_its_logs {
                self.found.findings.push(finding.in_file(path));
            }
        }
        Ok(true)
    }

    /// Headers, chain, contents of all logs, and the replay. What is found goes to the report; only a file that cannot
    /// be read is an error.
    fn planned(
        &mut self,
        plan: &Plan<'_>,
        files: &Files,
        overlay: Option<Overlay<FilePager>>,
        progress: &mut dyn Progress,
    ) -> Result<Option<Overlay<FilePager>>, certadm_ese::Error> {
        self.found.outcome.required = plan.required();
        self.found.range = plan.given().and_then(|given| {
            GenerationRange::new(Generation::new(given.low)?, Generation::new(given.high)?)
        });
        let mut codes: HashSet<Hresult> = self.found.findings.iter().map(|finding| finding.code).collect();
        for finding in &plan.findings {
            if !self.is_known(finding, &codes) {
                codes.insert(finding.code);
                self.found.findings.push(files.place(finding.clone()));
            }
        }
        let mut logs_are_sound = plan.is_promising();
        for finding in plan.inspect_logs(&mut |at| tell(at, progress))? {
            logs_are_sound &= finding.severity < Severity::Error;
            self.found.findings.push(files.place(finding));
        }
        if !logs_are_sound {
            return Ok(None);
        }
        let mut at = |at| tell(at, progress);
        let replayed = match overlay {
            Some(overlay) => {
                plan.replay_onto(overlay, &mut at).map(|(target, outcome)| (Some(target), outcome))
            }
            // Logs of version 8 from the first one on may create their database; older ones do not say all of it
            // (ese.md 14).
            None if files.database_path.is_none() && creates_its_database(plan) => {
                let spill = FilePager::new(tempfile::tempfile()?)?;
                match plan.replay_onto(spill, &mut at) {
                    Ok((created, outcome)) => Ok((Some(Overlay::new(created, 0)), outcome)),
                    Err(error) if error.code() == Code::ATTACHED_DATABASE_MISMATCH => return Ok(None),
                    Err(error) => Err(error),
                }
            }
            None => return Ok(None),
        };
        match replayed {
            Ok((target, outcome)) => {
                let told: HashSet<&Finding> = plan.findings.iter().collect();
                let foreign = outcome.findings.iter().filter(|finding| finding.kind == Kind::LogForeign);
                for finding in foreign.filter(|finding| !told.contains(finding)) {
                    self.found.findings.push(files.place(finding.clone()));
                }
                self.found.outcome.replay = Some(outcome);
                Ok(target)
            }
            Err(error @ certadm_ese::Error::Io(_)) => Err(error),
            Err(error) => {
                self.found.findings.push(files.blame(error).to_finding(&files.set));
                Ok(None)
            }
        }
    }

    /// What a recovery would give: its trees, which only now fit together, and its rows.
    fn recovered(
        &mut self,
        target: Option<Overlay<FilePager>>,
        files: &Files,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let Some(target) = target else { return Ok(()) };
        let database = Database::open(target).map_err(|error| files.blame(error))?;
        if self.is_another(files, database.file().size()) {
            let after = database.verify_trees().map_err(|error| files.blame(error))?;
            self.settle(after, files);
        }
        self.found.content = content::of_ca(&database, progress).ok();
        Ok(())
    }

    /// Whether the replay gave another database, of `size` bytes, than the one whose trees have been walked: one that was not clean, one
    /// that the logs created, or one that they changed.
    fn is_another(&self, files: &Files, size: u64) -> bool {
        let outcome = &self.found.outcome;
        let is_changed = |counts: Counts| counts.applied != 0 || counts.undone != 0;
        outcome.required.is_some()
            || files.database().is_none_or(|file| file.size() != size)
            || outcome.replay.as_ref().is_some_and(|replay| is_changed(replay.counts))
    }

    /// Takes in what is wrong with the database that a recovery would give. A page that was damaged before is told once. In a database
    /// that was not clean the damage counts only if it is still there: logs make pages anew, and give them up.
    fn settle(&mut self, after: Vec<Finding>, files: &Files) {
        let known = &mut self.found.findings;
        if self.found.outcome.required.is_some() {
            let remain = Damaged::of(&after);
            // Of these pages nobody knew whether they are in use.
            known.retain(|finding| {
                !(is_of_page(finding) && finding.severity == Severity::Warning && remain.touches(finding))
            });
            for finding in known.iter_mut().filter(|finding| is_damage(finding) && !remain.touches(finding)) {
                finding.severity = Severity::Warning;
                finding.detail += "; the logs make it anew, or nothing uses it any more";
                finding.remedy =
                    Some("a recovery does without it: check the disk on which this copy lies".into());
            }
        }
        let told = Damaged::of(known);
        let words = |finding: &Finding| (finding.kind, finding.place.spot, finding.detail.clone());
        let others: HashSet<_> = known.iter().map(words).collect();
        let is_told = |finding: &Finding| match is_damage(finding) {
            true => told.touches(finding),
            false => others.contains(&words(finding)),
        };
        let new = after.into_iter().filter(|finding| !is_told(finding));
        known.extend(new.map(|finding| files.place(finding)));
    }

    /// A plan repeats what the look at the database file said of its size, its state and its patch page. A file named alone is
    /// told that it is dirty, not that logs are missing which nobody looked for.
    fn is_known(&self, finding: &Finding, codes: &HashSet<Hresult>) -> bool {
        let alone = matches!(self.sets, [set] if set.is_single_file() && set.logs.is_empty());
        let dirty = codes.contains(&Code::DIRTY_SHUTDOWN.hresult());
        let repeated = matches!(
            finding.kind,
            Kind::FileSize | Kind::PatchPage | Kind::UnusualState | Kind::DirtyShutdown
        ) && codes.contains(&finding.code);
        repeated || (alone && dirty && finding.kind == Kind::LogMissing)
    }

    /// `certbkxp.dat`: there, readable, and about this database (certbcli.md 10.2).
    fn locations(&mut self) {
        for set in self.sets {
            match &set.locations {
                Some(path) => self.restore_map(path, set.database.as_deref()),
                // A folder that certutil would restore from has its map.
                None if set.database.is_some()
                    && database_dir(&set.path).is_ok_and(|dir| dir != Path::new("")) =>
                {
                    self.found.findings.push(
                        Finding::warning(Kind::RestoreMap, "the restore map certbkxp.dat is missing")
                            .in_file(&set.path)
                            .remedy("certutil needs it to restore this set; certadm recover does not"),
                    );
                }
                None => {}
            }
        }
    }

    /// A map that cannot be used is no worse than none: `recover` does without it.
    fn restore_map(&mut self, path: &Found, database: Option<&Path>) {
        let mut unusable = |detail: &str| {
            self.found.findings.push(
                Finding::warning(Kind::RestoreMap, format!("the restore map cannot be used: {detail}"))
                    .in_file(path)
                    .remedy("certutil needs it to restore this set; certadm recover does not"),
            );
        };
        let list = match read_locations(path) {
            Ok(list) => list,
            Err(Error::Damaged { detail, .. }) => return unusable(&detail),
            Err(error) => return unusable(&error.to_string()),
        };
        let Some(named) = list.database() else { return unusable("it names no database") };
        let named = last_component(named);
        let there = database.and_then(Path::file_name).and_then(|name| name.to_str());
        if let Some(there) = there
            && !there.eq_ignore_ascii_case(named)
        {
            let detail = format!("it names the database {named}, the set holds {there}");
            self.found.findings.push(
                Finding::warning(Kind::RestoreMap, detail).in_file(path).remedy(
                    "find out which of the two belongs to another set; certutil restores by this file",
                ),
            );
        }
    }

    fn checkpoints(&mut self) {
        for path in self.sets.iter().filter_map(|set| set.checkpoint.as_ref()) {
            let read = path
                .open()
                .map_err(std::io::Error::other)
                .and_then(FilePager::new)
                .map_err(certadm_ese::Error::from)
                .and_then(|file| Checkpoint::read(&file));
            if let Err(error) = read {
                self.found.findings.push(
                    Finding::warning(Kind::Checkpoint, error.detail())
                        .code(error.code())
                        .in_file(path)
                        .remedy("leave this file out: a checkpoint is only a hint"),
                );
            }
        }
    }
}

/// Whether something is lost on a page, which the logs may make anew.
fn is_damage(finding: &Finding) -> bool {
    is_of_page(finding) && finding.severity == Severity::Error
}

fn is_of_page(finding: &Finding) -> bool {
    matches!(finding.kind, Kind::PageChecksum | Kind::MisplacedPage | Kind::PageStructure)
}

/// Damaged pages: the last one of each range by its first one. No range touches another.
struct Damaged(BTreeMap<u32, u32>);

impl Damaged {
    fn of(findings: &[Finding]) -> Self {
        let mut ranges: Vec<_> =
            findings.iter().filter(|finding| is_damage(finding)).filter_map(pages_of).collect();
        ranges.sort_unstable();
        let mut apart: BTreeMap<u32, u32> = BTreeMap::new();
        for (first, last) in ranges {
            match apart.last_entry().filter(|before| first <= *before.get()) {
                Some(mut before) => {
                    let last = last.max(*before.get());
                    before.insert(last);
                }
                None => {
                    apart.insert(first, last);
                }
            }
        }
        Self(apart)
    }

    /// Whether one of them is a page of the finding.
    fn touches(&self, finding: &Finding) -> bool {
        pages_of(finding).is_some_and(|(first, last)| {
            self.0.range(..=last).next_back().is_some_and(|(_, end)| first <= *end)
        })
    }
}

/// The first and the last page that a finding is about.
fn pages_of(finding: &Finding) -> Option<(u32, u32)> {
    match finding.place.spot? {
        Spot::Page(page) => Some((page, page)),
        Spot::Pages(first, last) => Some((first, last)),
        _ => None,
    }
}

fn creates_its_database(plan: &Plan<'_>) -> bool {
    plan.logs().next().is_some_and(|first| first.generation == 1 && 8 <= first.version[0])
}
