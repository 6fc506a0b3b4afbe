//! What a folder of evidence shows: each rehearsal, whether the chain holds, and how long nothing was proven.

use certadm_rules::FileTime;
use serde::Serialize;
use std::time::Duration;

use super::folder::{Folder, Kept};
use super::record::Evidence;
use crate::error::{Error, Result};
use crate::verdict::Proof;

/// Where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The file that shows it.
    pub file: String,
    /// How.
    pub detail: String,
}

/// A span without proof that is longer than it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// When the last rehearsal before it ended that proved anything; null before the first one.
    pub from: Option<String>,
    /// When the next one began; null where there is none yet.
    pub until: Option<String>,
    /// How long it is.
    pub seconds: i64,
}

/// What a folder of evidence shows.
#[derive(Debug, Default)]
pub struct History {
    /// The rehearsals, oldest first.
    pub runs: Vec<Kept>,
    /// Where the chain does not hold.
    pub breaks: Vec<Break>,
    /// Spans without proof beyond what was asked for, oldest first.
    pub gaps: Vec<Gap>,
    /// The longest span without proof, the one until now among them; nothing where nothing was ever proven.
    pub longest_seconds: Option<i64>,
}

impl History {
    /// Reads a folder. A span without proof longer than `every` is a gap; without it there are none.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be listed, [`Error::NoEvidence`] when there is none in it.
    pub fn of(folder: &Folder, every: Option<Duration>, now: FileTime) -> Result<Self> {
        let content = folder.read()?;
        if content.kept.is_empty() && content.broken.is_empty() {
            let path = folder.path().to_owned();
            return Err(Error::NoEvidence { below: folder.first_below(), path });
        }
        let broken = content.broken.into_iter();
        let mut breaks: Vec<Break> = broken
            .map(|(file, reason)| Break { file, detail: format!("it cannot be read: {reason}") })
            .collect();
        breaks.extend(check(&content.kept));
        let (gaps, longest_seconds) = spans(&content.kept, every, now);
        Ok(Self { runs: content.kept, breaks, gaps, longest_seconds })
    }

    /// The newest rehearsal.
    #[must_use]
    pub fn newest(&self) -> Option<&Evidence> {
        self.runs.last().map(|kept| &kept.evidence)
    }

    /// The newest rehearsal that proved that the CA comes back.
    #[must_use]
    pub fn last_proof(&self) -> Option<&Evidence> {
        self.runs.iter().rev().map(|kept| &kept.evidence).find(|evidence| proves(evidence))
    }
}

/// Whether it shows that the CA comes back.
pub(super) fn proves(evidence: &Evidence) -> bool {
    evidence.verdict.proof != Proof::NotProven
}

/// Whether each file names the one before it by its hash.
fn check(runs: &[Kept]) -> Vec<Break> {
    let mut breaks = Vec::new();
    let mut add = |kept: &Kept, detail: String| breaks.push(Break { file: kept.file.clone(), detail });
    let mut before: Option<&Kept> = None;
    for kept in runs {
        let evidence = &kept.evidence;
        match (before, &evidence.previous) {
            (None, None) if evidence.run == 1 => {}
            (None, None) => add(kept, format!("it is number {}, and names no file before it", evidence.run)),
            (None, Some(link)) => {
                add(kept, format!("it follows {}, which is not there", link.file));
            }
            (Some(before), None) => {
                add(kept, format!("it names no file before it, and follows {}", before.file));
            }
            (Some(before), Some(link)) if link.file != before.file => {
                let text = if runs.iter().any(|other| other.file == link.file) {
                    format!(
                        "it names {} as the file before it, and {} lies between them",
                        link.file, before.file
                    )
                } else {
                    format!("it follows {}, which is not there", link.file)
                };
                add(kept, text);
            }
            (Some(before), Some(link)) if link.sha256 != before.sha256 => {
                add(before, format!("it was changed after {} was written", kept.file));
            }
            (Some(before), Some(_)) => {
                if evidence.run != before.evidence.run + 1 {
                    add(
                        kept,
                        format!("it is number {}, behind number {}", evidence.run, before.evidence.run),
                    );
                }
                if evidence.started_at() < before.evidence.ended_at() {
                    let text = format!("it began before {} ended: a clock was wrong", before.file);
                    add(kept, text);
                }
            }
        }
        before = Some(kept);
    }
    breaks
}

/// The spans without proof: between two rehearsals that prove something, and since the last one.
fn spans(runs: &[Kept], every: Option<Duration>, now: FileTime) -> (Vec<Gap>, Option<i64>) {
    let limit = every.map(|every| i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
    let mut gaps = Vec::new();
    let mut longest: Option<i64> = None;
    let mut from: Option<&Evidence> = None;
    let first = runs.first().map_or(now, |kept| kept.evidence.started_at());
    let proofs = runs.iter().map(|kept| &kept.evidence).filter(|evidence| proves(evidence));
    for next in proofs.map(Some).chain([None]) {
        let begins = from.map_or(first, Evidence::ended_at);
        let ends = next.map_or(now, Evidence::started_at);
        let seconds = ends.unix_seconds().saturating_sub(begins.unix_seconds()).max(0);
        if from.is_some() || next.is_none() || 0 < seconds {
            longest = longest.max(Some(seconds));
        }
        if limit.is_some_and(|limit| limit < seconds) {
            gaps.push(Gap {
                from: from.map(|evidence| evidence.ended.clone()),
                until: next.map(|evidence| evidence.started.clone()),
                seconds,
            });
        }
        from = next;
    }
    (gaps, longest)
}
