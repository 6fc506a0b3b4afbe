//! Which sets may go: the rules of retention over chains (repository.md 6). Pure: it reads no clock and deletes nothing.

use std::collections::{BTreeMap, BTreeSet};

use certadm_set::manifest::SetKind;
use time::{Date, OffsetDateTime};

use crate::point::{Point, chain};

/// A point this much ahead of the clock, in seconds, is dated in the future.
const AHEAD: i64 = 300;

/// How many points are kept of which kind. Each number counts the newest first, as `restic forget` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// All of the last so many seconds.
    pub within: i64,
    /// The newest of each of so many days.
    pub daily: u32,
    /// The newest of each of so many weeks.
    pub weekly: u32,
    /// The newest of each of so many months.
    pub monthly: u32,
    /// The newest of each of so many years.
    pub yearly: u32,
}

/// What is to become of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The point.
    pub point: Point,
    /// The rules that keep it; it may go when there is none.
    pub kept_by: Vec<&'static str>,
}

/// Judges all points of a repository at `now`, in seconds since 1970, by the clock of the storage. The points of each
/// database are judged by themselves, because one CA that was made anew under an old name must not push the other out.
#[must_use]
pub fn judge(points: &[Point], keep: &Keep, now: i64) -> Vec<Fate> {
    let mut kept: BTreeMap<&str, BTreeSet<&'static str>> = BTreeMap::new();
    let mut databases: BTreeMap<(&str, &str), Vec<&Point>> = BTreeMap::new();
    for point in points {
        databases.entry((&point.ca, &point.database)).or_default().push(point);
    }
    for own in databases.into_values() {
        // Points from the future stay, and count for nothing: whoever writes them could push the true ones out.
        let whole: Vec<Point> = own.iter().map(|point| (*point).clone()).collect();
        let (future, mut past): (Vec<&Point>, Vec<&Point>) =
            own.into_iter().partition(|point| now.saturating_add(AHEAD) < point.time);
        for point in future {
            let needed = chain(&whole, point).unwrap_or_else(|_| vec![point.clone()]);
            keep_chain(&mut kept, points, &needed, "dated in the future");
        }
        past.sort_by(|one, other| {
            (other.time, other.generations, &other.id).cmp(&(one.time, one.generations, &one.id))
        });
        let all: Vec<Point> = past.iter().map(|point| (*point).clone()).collect();
        let mut newest = true;
        let mut restorable = Vec::new();
        for point in &past {
            match chain(&all, point) {
                Ok(needed) => {
                    if newest {
                        keep_chain(&mut kept, points, &needed, "the newest state");
                        newest = false;
                    }
                    restorable.push((*point, needed));
                }
                // Nobody can tell what it belongs to.
                Err(_) => drop(kept.entry(&point.id).or_default().insert("continues no set that is here")),
            }
        }
        for (rule, chosen) in chosen(&restorable, keep, now) {
            keep_chain(&mut kept, points, chosen, rule);
        }
    }
    points
        .iter()
        .map(|point| Fate {
            point: point.clone(),
            kept_by: kept
                .get(point.id.as_str())
                .map(|rules| rules.iter().copied().collect())
                .unwrap_or_default(),
        })
        .collect()
}

/// A point is kept with everything that a restore of it needs.
fn keep_chain<'a>(
    kept: &mut BTreeMap<&'a str, BTreeSet<&'static str>>,
    points: &'a [Point],
    needed: &[Point],
    rule: &'static str,
) {
    for (place, need) in needed.iter().enumerate() {
        if let Some(point) = points.iter().find(|point| point.id == need.id) {
            let rule = if place + 1 == needed.len() { rule } else { "another set needs it" };
            kept.entry(&point.id).or_default().insert(rule);
        }
    }
}

/// The chains that the rules choose among points that are sorted from the newest to the oldest.
fn chosen<'a>(
    restorable: &'a [(&Point, Vec<Point>)],
    keep: &Keep,
    now: i64,
) -> Vec<(&'static str, &'a [Point])> {
    type Period = fn(Date) -> i64;
    let periods: [(&'static str, u32, Period); 4] = [
        ("daily", keep.daily, |date| i64::from(date.to_julian_day())),
        // Weeks begin on Mondays.
        ("weekly", keep.weekly, |date| i64::from(date.to_julian_day().div_euclid(7))),
        ("monthly", keep.monthly, |date| i64::from(date.year()) * 12 + i64::from(u8::from(date.month()))),
        ("yearly", keep.yearly, |date| i64::from(date.year())),
    ];
    let mut chosen = Vec::new();
    for (_, needed) in restorable.iter().take(keep.last as usize) {
        chosen.push(("last", needed.as_slice()));
    }
    for (point, needed) in restorable {
        if 0 < keep.within && now.saturating_sub(keep.within) <= point.time {
            chosen.push(("within", needed.as_slice()));
        }
    }
    for (rule, count, period) in periods {
        let mut seen = BTreeSet::new();
        for (point, needed) in restorable {
            let date = OffsetDateTime::from_unix_timestamp(point.time).map(OffsetDateTime::date);
            let Ok(date) = date else { continue };
            if seen.len() < count as usize && seen.insert(period(date)) {
                chosen.push((rule, needed.as_slice()));
            }
        }
    }
    chosen
}

/// The points that may go, in the order in which they have to be deleted: log sets from the newest back, and then the full
/// sets. Wherever that is cut off, what is left has everything that it needs.
#[must_use]
pub fn to_delete(fates: &[Fate]) -> Vec<&Point> {
    let mut gone: Vec<&Point> =
        fates.iter().filter(|fate| fate.kept_by.is_empty()).map(|fate| &fate.point).collect();
    gone.sort_by_key(|point| {
        (point.kind == SetKind::Full, std::cmp::Reverse((point.time, point.generations)))
    });
    gone
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustic_core::TreeId;

    use super::*;

    const DAY: i64 = 86_400;
    const NOW: i64 = 1_800_000_000;

    fn point(id: usize, time: i64, kind: SetKind, database: &str, generations: (u32, u32)) -> Point {
        Point {
            id: format!("{id:064x}"),
            time,
            ca: "CA".to_owned(),
            kind,
            database: database.to_owned(),
            stream: "aa".to_owned(),
            generations,
            bytes: 0,
            files: 0,
            tree: TreeId::default(),
        }
    }

    fn kept(fates: &[Fate]) -> Vec<String> {
        fates.iter().filter(|fate| !fate.kept_by.is_empty()).map(|fate| fate.point.id.clone()).collect()
    }

    #[test]
    fn a_month_of_nights_leaves_what_the_rules_say_with_what_that_needs() {
        // A full set on Sundays, log sets in between that each continue the one before.
        let points: Vec<Point> = (0..28_u32)
            .map(|night| {
                let kind = if night.is_multiple_of(7) { SetKind::Full } else { SetKind::Logs };
                let time = NOW - i64::from(28 - night) * DAY;
                point(night as usize, time, kind, "db", (night * 10 + 1, night * 10 + 10))
            })
            .collect();
        let keep = Keep { last: 2, weekly: 2, ..Keep::default() };
        let fates = judge(&points, &keep, NOW);
        let numbers: Vec<usize> = fates
            .iter()
            .enumerate()
            .filter(|(_, fate)| !fate.kept_by.is_empty())
            .map(|(number, _)| number)
            .collect();
        assert!(numbers.contains(&27) && numbers.contains(&26) && numbers.contains(&21), "{numbers:?}");
        assert!(!numbers.contains(&0) && !numbers.contains(&6), "{numbers:?}");
        let none = judge(&points, &Keep::default(), NOW);
        assert_eq!(kept(&none).len(), 7, "the newest chain stays whatever the rules");
        let order: Vec<&str> = to_delete(&none).iter().map(|point| point.id.as_str()).collect();
        assert_eq!(order.len(), 21);
        assert!(order[0].ends_with(&format!("{:x}", 20)) && order[20].ends_with("00"), "{order:?}");
    }

    /// Histories as they happen and as they never should: full sets, log sets that continue them or miss generations,
    /// several databases, points out of order and from the future.
    fn histories() -> impl Strategy<Value = Vec<Point>> {
        let night = (0_u8..12, 0_u8..2, 1_u32..4, -2_i64..3, 0_u32..20);
        prop::collection::vec(night, 1..24).prop_map(|nights| {
            let mut next = [1_u32; 2];
            let mut time = NOW - 30 * DAY;
            nights
                .into_iter()
                .enumerate()
                .map(|(id, (what, database, length, skew, gap))| {
                    time += DAY + skew * DAY / 2;
                    let of = usize::from(database);
                    let kind = if what < 3 { SetKind::Full } else { SetKind::Logs };
                    if gap == 0 {
                        next[of] += 2; // generations that no set has
                    }
                    // Differential sets begin where the last one began.
                    let low = if what == 3 { next[of].saturating_sub(3).max(1) } else { next[of] };
                    let high = next[of] + length - 1;
                    next[of] = high + 1;
                    let time = if what == 11 { NOW + DAY * i64::from(length) } else { time };
                    point(id, time, kind, ["one", "two"][of], (low, high))
                })
                .collect()
        })
    }

    fn rules() -> impl Strategy<Value = Keep> {
        (0_u32..3, 0_i64..3, 0_u32..3, 0_u32..3, 0_u32..2, 0_u32..2).prop_map(
            |(last, within, daily, weekly, monthly, yearly)| Keep {
                last,
                within: within * DAY,
                daily,
                weekly,
                monthly,
                yearly,
            },
        )
    }

    /// So many histories, or as many as `PROPTEST_CASES` says.
    fn cases() -> u32 {
        match std::env::var_os("PROPTEST_CASES") {
            Some(_) => ProptestConfig::default().cases,
            None => 5_000,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

        #[test]
        fn no_history_loses_what_it_needs(points in histories(), keep in rules()) {
            let fates = judge(&points, &keep, NOW);
            let left: Vec<Point> =
                fates.iter().filter(|fate| !fate.kept_by.is_empty()).map(|fate| fate.point.clone()).collect();
            // What could be restored and stays, can be restored still; wherever the deletions are cut off.
            let restorable = |among: &[Point]| -> BTreeSet<String> {
                among.iter().filter(|point| chain(among, point).is_ok()).map(|point| point.id.clone()).collect()
            };
            let before = restorable(&points);
            let mut rest = points.clone();
            for gone in to_delete(&fates) {
                rest.retain(|point| point.id != gone.id);
                let now = restorable(&rest);
                for point in &rest {
                    prop_assert!(!before.contains(&point.id) || now.contains(&point.id) || !left.contains(point), "{point:?}");
                }
            }
            let after = restorable(&left);
            for point in &left {
                prop_assert!(!before.contains(&point.id) || after.contains(&point.id), "an orphan: {point:?}");
            }
            // The newest state of each database stays.
            let past = |point: &&Point| point.time <= NOW + AHEAD;
            for database in ["one", "two"] {
                let own: Vec<Point> =
                    points.iter().filter(|point| point.database == database).filter(past).cloned().collect();
                let newest = own.iter().filter(|point| chain(&own, point).is_ok())
                    .max_by_key(|point| (point.time, point.generations, point.id.clone()));
                if let Some(newest) = newest {
                    prop_assert!(left.contains(newest), "{newest:?}");
                }
            }
            // Points from the future push none of the others out.
            let true_ones: Vec<Point> = points.iter().filter(past).cloned().collect();
            let without = kept(&judge(&true_ones, &keep, NOW));
            let with: Vec<String> = kept(&fates).into_iter()
                .filter(|id| true_ones.iter().any(|point| point.id == *id)).collect();
            prop_assert!(without.iter().all(|id| with.contains(id)), "{without:?} {with:?}");
        }
    }
}
