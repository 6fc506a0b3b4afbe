//! What lies behind the state of a CA, for its page: the moments that can be restored, gaps between them, rehearsals, runs, and
//! what was found.

use std::collections::BTreeMap;

use certadm_rehearsal::evidence::Kept;
use certadm_set::manifest::SetKind;

use crate::held::{Held, HeldSet, is_past};
use crate::place;
use crate::record::{Attempts, Outcome, Trouble};

/// No more rehearsals are told than this, the newest.
const MOST_REHEARSALS: usize = 8;

/// What lies behind the state of a CA.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The moments that can be restored, in their order, each with whether a full set begins there.
    pub moments: Vec<(i64, SetKind)>,
    /// Times without one that are longer than may be lost: from a moment to the next, or to now.
    pub gaps: Vec<(i64, i64)>,
    /// Sets that were found damaged.
    pub damaged: Vec<(i64, String)>,
    /// Log sets that continue no state which can be restored, and are of no use.
    pub orphans: Vec<(i64, String)>,
    /// Rehearsals: when, and what each has shown.
    pub rehearsals: Vec<(i64, String, bool)>,
    /// The last run of each step, by its name for a person: when, and how it ended.
    pub runs: Vec<(String, i64, Outcome)>,
    /// What was found or has failed last, with its remedy.
    pub findings: Vec<(String, Trouble)>,
}

impl Story {
    /// The story of a CA that a place holds these sets of. What is longer than `limit` seconds without a moment is a gap.
    pub(crate) fn of(held: &Held, attempts: &Attempts, limit: i64, now: i64) -> Self {
        // Two backups may end in the same second.
        let mut chained = BTreeMap::new();
        for full in held.sets().iter().filter(|set| set.kind == SetKind::Full) {
            for set in held.chain_of(full) {
                chained.insert((set.time, set.generations.1, set.id.as_str()), set.kind);
            }
        }
        let moments: Vec<(i64, SetKind)> = chained.iter().map(|((time, ..), kind)| (*time, *kind)).collect();
        // What a wrong clock has dated in the future neither begins nor ends a gap.
        let past = || moments.iter().map(|(time, _)| *time).filter(|time| is_past(*time, now));
        let gaps = past().zip(past().skip(1).chain([now]));
        let gaps = gaps.filter(|(from, until)| limit < until - from).collect();
        let is_of_no_use =
            |set: &&HeldSet| !chained.contains_key(&(set.time, set.generations.1, set.id.as_str()));
        let (damaged, others): (Vec<&HeldSet>, Vec<&HeldSet>) =
            held.sets().iter().partition(|set| held.damaged.contains(&set.id));
        let told = |set: &HeldSet| (set.time, set.id.clone());
        let orphans = others.into_iter().filter(is_of_no_use).map(told).collect();
        let tried = attempts
            .all()
            .filter_map(|(step, place, attempt)| Some((step.at(place), attempt.tried?, attempt.outcome?)));
        let found = attempts.all().filter(|(.., attempt)| attempt.outcome != Some(Outcome::Good));
        let findings = found.flat_map(|(step, place, attempt)| {
            attempt.trouble.iter().map(move |trouble| (step.at(place), trouble.clone()))
        });
        Self {
            moments,
            gaps,
            damaged: damaged.into_iter().map(told).collect(),
            orphans,
            rehearsals: Vec::new(),
            runs: tried.collect(),
            findings: findings.collect(),
        }
    }

    /// Adds the newest rehearsals that there is evidence of.
    pub(crate) fn add_rehearsals(&mut self, kept: &[Kept]) {
        let newest = kept.iter().rev().take(MOST_REHEARSALS);
        let told = newest.filter_map(|kept| {
            let verdict = &kept.evidence.verdict;
            let is_proven = verdict.proof == certadm_rehearsal::Proof::Proven;
            Some((place::seconds_of(&kept.evidence.ended)?, verdict.sentence(), is_proven))
        });
        self.rehearsals = told.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(time: i64, kind: SetKind, generations: (u32, u32)) -> HeldSet {
        HeldSet {
            id: time.to_string(),
            time,
            kind,
            stream: (String::new(), String::new()),
            generations,
            bytes: 0,
            seconds: 0,
            links: None,
        }
    }

    #[test]
    fn moments_gaps_and_sets_of_no_use() {
        use SetKind::{Full, Logs};
        let sets = vec![
            set(100, Full, (1, 1)),
            set(200, Logs, (2, 2)),
            set(500, Logs, (4, 4)), // generation 3 is missing
            set(600, Full, (5, 5)),
            set(650, Logs, (6, 6)),
        ];
        let story = Story::of(&Held::new(&sets, 700), &Attempts::default(), 150, 700);
        let times: Vec<i64> = story.moments.iter().map(|(time, _)| *time).collect();
        assert_eq!(times, [100, 200, 600, 650]);
        assert_eq!(story.gaps, [(200, 600)]);
        assert_eq!(story.orphans, [(500, "500".to_owned())]);
        let late = Story::of(&Held::new(&[set(100, Full, (1, 1))], 700), &Attempts::default(), 150, 700);
        assert_eq!(late.gaps, [(100, 700)]);
        let wrong = Held::new(&[set(100, Full, (1, 1)), set(90_000, Logs, (2, 2))], 700);
        assert_eq!(Story::of(&wrong, &Attempts::default(), 150, 700).gaps, [(100, 700)]);
        assert!(Story::of(&Held::default(), &Attempts::default(), 150, 700).gaps.is_empty());
    }
}
