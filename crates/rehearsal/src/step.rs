//! The steps of a rehearsal, each with its outcome, its time, and what to do if it failed (recovery.md 8.2).

use std::path::Path;
use std::time::Instant;

use certadm_files::cancel;
use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::finding::Finding;
use certadm_rules::{Diagnosis, FileTime, Hresult};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A step. The numbers are those of recovery.md 8.2, and stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // `title` says what each is
pub enum Step {
    Find,
    Verify,
    Restore,
    Count,
    Complete,
    Key,
    Crl,
    Certificates,
    Issue,
    Gap,
    Times,
    CleanUp,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Find,
        Self::Verify,
        Self::Restore,
        Self::Count,
        Self::Complete,
        Self::Key,
        Self::Crl,
        Self::Certificates,
        Self::Issue,
        Self::Gap,
        Self::Times,
        Self::CleanUp,
    ];

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Verify => "verify",
            Self::Restore => "restore",
            Self::Count => "count",
            Self::Complete => "complete",
            Self::Key => "key",
            Self::Crl => "crl",
            Self::Certificates => "certificates",
            Self::Issue => "issue",
            Self::Gap => "gap",
            Self::Times => "times",
            Self::CleanUp => "clean-up",
        }
    }

    /// What it does.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Find => "Find the newest chain",
            Self::Verify => "Verify every byte",
            Self::Restore => "Restore into a scratch folder",
            Self::Count => "Open and count",
            Self::Complete => "Is everything there",
            Self::Key => "Does the key fit",
            Self::Crl => "Sign a CRL",
            Self::Certificates => "Check certificates",
            Self::Issue => "Issue and revoke",
            Self::Gap => "What the backup lacks",
            Self::Times => "RPO and RTO",
            Self::CleanUp => "Clean up",
        }
    }

    /// Whether a restore is not proven when this step fails. The others are about what surrounds it.
    #[must_use]
    pub const fn decides(self) -> bool {
        !matches!(self, Self::Complete | Self::Gap | Self::Times | Self::CleanUp)
    }

    /// Whether its time is a part of the time until the CA is back.
    #[must_use]
    pub const fn counts_for_rto(self) -> bool {
        (self as u8) <= (Self::Crl as u8)
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It showed what it is to show.
    Pass,
    /// It showed the contrary.
    Fail,
    /// It was not done, and the reason is told: nothing is shown.
    Skipped,
    /// It cannot be done here, because the key is kept elsewhere.
    External,
    /// There is nothing of the kind to be shown.
    NotApplicable,
}

impl Outcome {
    /// Its name for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
            Self::External => "external",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// What became of a step, as the evidence has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Its number, from 1.
    pub number: u8,
    /// Which one.
    pub step: Step,
    /// What it does.
    pub title: String,
    /// When it began, RFC 3339 UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: Outcome,
    /// What it showed, or why it did not.
    pub detail: String,
    /// What to do; null where there is nothing to do.
    pub remedy: Option<String>,
    /// The HRESULT of a failure, such as `0xc80004b6`.
    pub code: Option<String>,
}

/// Why a step did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How it ended: [`Outcome::Pass`] never.
    pub outcome: Outcome,
    /// What is wrong.
    pub detail: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The code.
    pub code: Option<Hresult>,
    interrupted: bool,
}

impl Trouble {
    /// The step showed that something is wrong.
    pub fn fail(code: Hresult, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Fail,
            detail: detail.into(),
            remedy: Some(remedy.into()),
            code: Some(code),
            interrupted: false,
        }
    }

    /// The step was not done.
    pub fn skipped(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { outcome: Outcome::Skipped, detail: detail.into(), remedy, code: None, interrupted: false }
    }

    /// The step is done elsewhere, or there is nothing to do in it.
    pub fn other(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into(), remedy: None, code: None, interrupted: false }
    }
}

impl<E: Diagnosis> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self {
            outcome: Outcome::Fail,
            detail: chain_of(&error),
            remedy: Some(error.remedy().into_owned()),
            code: Some(error.hresult()),
            interrupted: error.class() == Class::Interrupted,
        }
    }
}

/// What a step says of itself while it works.
#[derive(Debug, Default)]
pub struct Notes {
    /// What it showed.
    pub detail: String,
    /// What to do, although the step passed.
    pub findings: Vec<Finding>,
}

/// Hears of each step when it begins and when it ends.
pub trait Watch {
    /// The scratch folder goes into this folder, and takes up to so many bytes.
    fn needs_room(&mut self, bytes: u64, within: &Path) {
        let _ = (bytes, within);
    }
    /// A step begins.
    fn begins(&mut self, step: Step);
    /// A step has ended.
    fn ended(&mut self, record: &StepRecord);
}

/// Runs steps and keeps their records.
pub(crate) struct Steps<'a> {
    pub(crate) records: Vec<StepRecord>,
    /// Findings, and the step that made each.
    pub(crate) findings: Vec<(Step, Finding)>,
    pub(crate) watch: &'a mut dyn Watch,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(watch: &'a mut dyn Watch) -> Self {
        Self { records: Vec::new(), findings: Vec::new(), watch }
    }

    /// Does a step with what an earlier one gave, or skips it where that one gave nothing. Returns what the step gives if it
    /// passed.
    ///
    /// # Errors
    /// [`Error::File`] when the process was asked to stop: a rehearsal that was interrupted shows nothing.
    pub(crate) fn run<N, T>(
        &mut self,
        step: Step,
        needs: Option<N>,
        work: impl FnOnce(N, &mut Notes) -> Result<T, Trouble>,
    ) -> Result<Option<T>> {
        cancel::check()?;
        self.watch.begins(step);
        let (started, begun) = (certadm_store::now(), Instant::now());
        let mut notes = Notes::default();
        let result = match needs {
            Some(given) => work(given, &mut notes),
            None => Err(Trouble::other(Outcome::Skipped, self.why_not())),
        };
        if result.as_ref().is_err_and(|trouble| trouble.interrupted) {
            cancel::check()?;
            return Err(Error::File(certadm_files::Error::Cancelled));
        }
        let (value, outcome, detail, remedy, code) = match result {
            Ok(value) => (Some(value), Outcome::Pass, notes.detail, None, None),
            Err(trouble) => (None, trouble.outcome, trouble.detail, trouble.remedy, trouble.code),
        };
        let record = StepRecord {
            number: step.number(),
            step,
            title: step.title().to_owned(),
            started: FileTime::to_rfc3339(started),
            seconds: begun.elapsed().as_secs_f64(),
            outcome,
            detail,
            remedy,
            code: code.map(|code| code.hex()),
        };
        self.findings.extend(notes.findings.into_iter().map(|finding| (step, finding)));
        self.watch.ended(&record);
        self.records.push(record);
        Ok(value)
    }

    /// The step that keeps the next one from being done: the last one that decides and did not pass.
    fn why_not(&self) -> String {
        let stopped = self.records.iter().rev().find(|record| {
            record.outcome == Outcome::Fail && record.step.decides() || record.outcome == Outcome::Skipped
        });
        match stopped.filter(|record| record.outcome == Outcome::Fail) {
            Some(record) => format!("step {} failed: {}", record.number, record.title),
            None => match self.records.iter().find(|record| record.outcome == Outcome::Fail) {
                Some(record) => format!("step {} failed: {}", record.number, record.title),
                None => "an earlier step was not done".to_owned(),
            },
        }
    }

    /// Seconds of the steps that count for the time until the CA is back.
    pub(crate) fn seconds_until_back(&self) -> f64 {
        self.records.iter().filter(|record| record.step.counts_for_rto()).map(|record| record.seconds).sum()
    }
}
