//! Which sets may expire, over any history: nothing that stays loses what it needs, wherever the deletions are cut off.
//!
//! An input is a script: six decisions are the rules; then each set takes one octet for its kind, one for the time since the
//! one before, one for its generations, and one for what else is said of it.

use std::collections::BTreeSet;

use certadm_repository::fuzzing::{point, restorable};
use certadm_repository::{Keep, Point, judge, to_delete};
use certadm_set::manifest::SetKind;
use certadm_set::stored::newest_first;

use crate::script::Script;

/// More sets than this tell nothing new.
const MAX_SETS: u64 = 40;
const NOW: i64 = 1_800_000_000;
const AHEAD: i64 = certadm_rules::CLOCK_TOLERANCE;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut number = || u32::from(script.byte() % 4);
    let keep = Keep {
        last: number(),
        within: i64::from(number()) * 86_400,
        daily: number(),
        weekly: number(),
        monthly: number(),
        yearly: number(),
    };
    let (points, proven) = history(&mut script);
    let fates = judge(&points, &proven, &keep, NOW);
    let ids = |points: &[Point]| points.iter().map(|point| point.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&points), fates.iter().map(|fate| fate.set.id.clone()).collect::<Vec<_>>());
    let before = restorable(&points, NOW);
    let mut rest = points.clone();
    for gone in to_delete(&fates, NOW) {
        assert!(!gone.held, "a held set goes: {gone:?}");
        rest.retain(|point| point.id != gone.id);
        let now = restorable(&rest, NOW);
        let lost = rest.iter().find(|point| before.contains(&point.id) && !now.contains(&point.id));
        assert!(lost.is_none(), "an orphan: {lost:?}");
    }
    // The newest state of each database stays, and the newest that was proven.
    for database in ["one", "two"] {
        let own: Vec<Point> = points
            .iter()
            .filter(|point| point.database == database && point.time <= NOW + AHEAD)
            .cloned()
            .collect();
        let all: Vec<&Point> = own.iter().collect();
        let whole = restorable(&own, NOW);
        let (any, was_proven) = (|_: &str| true, |id: &str| proven.contains(id));
        for fits in [&any as &dyn Fn(&str) -> bool, &was_proven] {
            let mut newest = newest_first(&all, NOW).into_iter();
            let newest = newest.find(|point| whole.contains(&point.id) && fits(&point.id));
            assert!(newest.is_none_or(|newest| rest.contains(newest)), "{newest:?} goes");
        }
    }
}

fn history(script: &mut Script<'_>) -> (Vec<Point>, BTreeSet<String>) {
    let (mut points, mut proven) = (Vec::new(), BTreeSet::new());
    let mut time = NOW - 40 * 86_400;
    let mut next = [1_u32; 2];
    for id in 0..MAX_SETS {
        if script.is_over() {
            break;
        }
        let (kind, since, generations, said) = (script.byte(), script.byte(), script.byte(), script.byte());
        let of = usize::from(kind & 1);
        let kind = if kind & 6 == 0 { SetKind::Full } else { SetKind::Logs };
        time += i64::from(since) * 3_600 - 7_200;
        // The lower half says how long it is, the upper one where it begins: behind a gap, or in the set before.
        let length = u32::from(generations & 7);
        let low = match generations >> 4 {
            15 => next[of] + 2,
            back @ 12..=14 => next[of].saturating_sub(u32::from(back) - 11).max(1),
            _ => next[of],
        };
        let high = low + length;
        next[of] = next[of].max(high + 1);
        let when = if said & 8 == 0 { time } else { NOW + i64::from(since) * 60 };
        let made = point(id, when, kind, ["one", "two"][of], (low, high), said & 1 != 0);
        if said & 2 != 0 {
            proven.insert(made.id.clone());
        }
        points.push(made);
    }
    (points, proven)
}
