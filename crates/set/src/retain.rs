//! Which sets may go: the rules of retention over chains (repository.md 6). Pure: it reads no clock and deletes nothing.

use std::collections::{BTreeMap, BTreeSet};

use certadm_rules::span::kept_span;
use serde::{Deserialize, Deserializer};
use time::{Date, OffsetDateTime};

use crate::links::given_twice;
use crate::manifest::SetKind;
use crate::stored::{
    Stored, age, chain, chains, counts_on, database, goes_with, is_ahead, is_of_another_past, is_one_past,
    newest_first, same_backup,
};

/// How many states are kept of which kind. Each number counts the newest first, as `restic forget` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keep {
    /// The newest ones.
    pub last: u32,
    /// All of the last so many seconds.
    #[serde(deserialize_with = "read_span")]
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

impl Keep {
    /// Whether no rule keeps anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn read_span<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    kept_span(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// What is to become of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate<S> {
    /// The set.
    pub set: S,
    /// The rules that keep it; it may go when there is none.
    pub kept_by: Vec<&'static str>,
}

/// Judges all sets that are kept at one place at `now`, in seconds since 1970, by the clock of the storage. `proven` has the
/// ids of those whose state was verified or rehearsed. The sets of each database are judged by themselves, because one CA
/// that was made anew under an old name must not push the other out.
#[must_use]
pub fn judge<S: Stored + Clone>(
    sets: &[S],
    proven: &BTreeSet<String>,
    keep: &Keep,
    now: i64,
) -> Vec<Fate<S>> {
    let mut kept = Kept::default();
    let mut databases: BTreeMap<(&str, &str, &str), Vec<&S>> = BTreeMap::new();
    for set in sets {
        databases.entry(database(set)).or_default().push(set);
    }
    for own in databases.into_values() {
        // Sets from the future stay, and count for nothing: whoever writes them could push the true ones out.
        let (ahead, past): (Vec<&S>, Vec<&S>) = own.iter().copied().partition(|set| is_ahead(*set, now));
        for set in ahead {
            kept.chain(&chain(&own, set, now).unwrap_or_else(|_| vec![set]), "dated in the future");
        }
        let past = newest_first(&past, now);
        let mut restorable = Vec::new();
        for (set, found) in past.iter().zip(chains(&past, now)) {
            match found {
                Ok(needed) => restorable.push((*set, needed)),
                // Nobody can tell what it belongs to.
                Err(_) => kept.chain(&[*set], "continues no set that is here"),
            }
        }
        if let Some((_, needed)) = restorable.first() {
            kept.chain(needed, "the newest state");
        }
        let others = of_other_pasts(&restorable);
        for needed in &others {
            kept.chain(needed, "the newest state of another past");
        }
        for needed in of_unknown_pasts(&restorable, &others) {
            kept.chain(needed, "another set has other logs of its numbers");
        }
        if let Some((_, needed)) = restorable.iter().find(|(set, _)| proven.contains(set.id())) {
            kept.chain(needed, "the newest proven state");
        }
        for (_, needed) in restorable.iter().filter(|(set, _)| set.is_held()) {
            kept.chain(needed, "held");
        }
        // The rules count backups: of one that has several versions the newest, which stands first.
        let all = restorable.clone();
        restorable.dedup_by(|(later, _), (first, _)| same_backup(*later, *first));
        for (rule, needed) in chosen(&restorable, keep, now) {
            kept.chain(needed, rule);
        }
        kept.close(&all);
        if past.len() < own.len() {
            // With those from the future a set may have another chain.
            kept.close(&with_chains(&own, now));
        }
    }
    let mut fate = |set: &S| {
        let rules = kept.0.remove(set.id()).unwrap_or_default();
        Fate { set: set.clone(), kept_by: rules.into_iter().collect() }
    };
    sets.iter().map(&mut fate).collect()
}

/// The newest state of each past but that of the newest state, with its chain, among sets that are sorted from the newest to the oldest. A
/// CA that was set back does not know what it issued in another past, and of a CA that was copied both may be in use.
fn of_other_pasts<'a, 's, S: Stored>(restorable: &'a [(&'s S, Vec<&'s S>)]) -> Vec<&'a [&'s S]> {
    let mut newest: Vec<&[&S]> = Vec::new();
    for (set, needed) in restorable {
        if newest.iter().all(|of| is_of_another_past(*set, of)) {
            newest.push(needed.as_slice());
        }
    }
    newest.drain(..1.min(newest.len()));
    newest
}

/// The states of a Windows CA that end with a set of which another one has a different log under a number, where no state that stays
/// tells of which past it is: the logs of such a CA do not say which log they follow. One of the two alone knows what was issued.
fn of_unknown_pasts<'a, 's, S: Stored>(
    restorable: &'a [(&'s S, Vec<&'s S>)],
    others: &[&[&S]],
) -> Vec<&'a [&'s S]> {
    let links = restorable.iter().filter(|(set, _)| !counts_on(*set)).filter_map(|(set, _)| set.links());
    let twice = given_twice(links);
    if twice.is_empty() {
        return Vec::new();
    }
    let newest = restorable.first().map(|(_, needed)| needed.as_slice());
    let is_unknown = |set: &S| {
        let (low, high) = set.generations();
        let reaches = |of: &S| of.generations().0 <= high && high <= of.generations().1;
        let mut stay = newest.iter().chain(others).flat_map(|chain| chain.iter());
        let tells = |of: &S| reaches(of) && goes_with(set, of) && is_one_past(set, of).is_some();
        !counts_on(set) && twice.range(low..=high).next().is_some() && !stay.any(|of| tells(of))
    };
    restorable.iter().filter(|(set, _)| is_unknown(set)).map(|(_, needed)| needed.as_slice()).collect()
}

/// By id, the rules that keep a set.
#[derive(Default)]
struct Kept<'a>(BTreeMap<&'a str, BTreeSet<&'static str>>);

impl<'a> Kept<'a> {
    /// A set is kept with everything that a restore of it needs.
    fn chain<S: Stored>(&mut self, needed: &[&'a S], rule: &'static str) {
        for (place, set) in needed.iter().enumerate() {
            let rule = if place + 1 == needed.len() { rule } else { "another set needs it" };
            self.0.entry(set.id()).or_default().insert(rule);
        }
    }

    /// A set that is kept because another one needs it is a state of its own, and may need others for that: where the clock of a
    /// CA went back, the chain to it can begin with another full set. These are kept, too, until nothing is missing.
    fn close<S: Stored>(&mut self, chains: &[(&'a S, Vec<&'a S>)]) {
        let is_missing = |kept: &Self, (set, needed): &(&S, Vec<&S>)| {
            let is_kept = |set: &S| kept.0.contains_key(set.id());
            is_kept(set) && !needed.iter().all(|set| is_kept(set))
        };
        while let Some((_, needed)) = chains.iter().find(|chain| is_missing(self, chain)) {
            self.chain(needed, "another set needs it");
        }
    }
}

/// The sets that can be restored, each with its chain.
fn with_chains<'a, S: Stored>(sets: &[&'a S], now: i64) -> Vec<(&'a S, Vec<&'a S>)> {
    let with_chain = |(set, chain): (&&'a S, Result<_, _>)| Some((*set, chain.ok()?));
    sets.iter().zip(chains(sets, now)).filter_map(with_chain).collect()
}

/// The chains that the rules choose among sets that are sorted from the newest to the oldest.
fn chosen<'a, 's, S: Stored>(
    restorable: &'a [(&'s S, Vec<&'s S>)],
    keep: &Keep,
    now: i64,
) -> Vec<(&'static str, &'a [&'s S])> {
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
    for (set, needed) in restorable {
        if 0 < keep.within && now.saturating_sub(keep.within) <= set.time() {
            chosen.push(("within", needed.as_slice()));
        }
    }
    for (rule, count, period) in periods {
        let mut seen = BTreeSet::new();
        for (set, needed) in restorable {
            let date = OffsetDateTime::from_unix_timestamp(set.time()).map(OffsetDateTime::date);
            let Ok(date) = date else { continue };
            if seen.len() < count as usize && seen.insert(period(date)) {
                chosen.push((rule, needed.as_slice()));
            }
        }
    }
    chosen
}

/// The sets that may go, in the order in which they have to be deleted at `now`, in seconds since 1970: log sets from the newest back,
/// and then the full sets. Wherever that is cut off, what is left has everything that it needs: a set goes after those that need it.
#[must_use]
pub fn to_delete<S: Stored>(fates: &[Fate<S>], now: i64) -> Vec<&S> {
    let all: Vec<&S> = fates.iter().map(|fate| &fate.set).collect();
    let mut gone: Vec<&S> =
        fates.iter().filter(|fate| fate.kept_by.is_empty()).map(|fate| &fate.set).collect();
    gone.sort_by(|one, other| {
        (one.kind() == SetKind::Full, age(*one)).cmp(&(other.kind() == SetKind::Full, age(*other)))
    });
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (set, chain) in all.iter().zip(chains(&all, now)) {
        let mut chain = chain.unwrap_or_default();
        chain.pop();
        needs.insert(set.id(), chain.into_iter().map(Stored::id).collect());
    }
    // How many sets that are there need each.
    let mut needed_by: BTreeMap<&str, usize> = BTreeMap::new();
    for id in needs.values().flatten() {
        *needed_by.entry(id).or_default() += 1;
    }
    let mut order = Vec::new();
    // Where clocks were wrong, a set can need one that was taken later. The dates alone would delete that one first.
    while let Some(place) =
        gone.iter().position(|set| needed_by.get(set.id()).is_none_or(|count| *count == 0))
    {
        let set = gone.remove(place);
        for id in needs.get(set.id()).into_iter().flatten() {
            needed_by.entry(id).and_modify(|count| *count -= 1);
        }
        order.push(set);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::stored::tests::{Kept as Set, set};

    const DAY: i64 = 86_400;
    const NOW: i64 = 1_800_000_000;

    fn kept(fates: &[Fate<Set>]) -> Vec<String> {
        fates.iter().filter(|fate| !fate.kept_by.is_empty()).map(|fate| fate.set.id.clone()).collect()
    }

    #[test]
    fn a_month_of_nights_leaves_what_the_rules_say_with_what_that_needs() {
        // A full set on Sundays, log sets in between that each continue the one before.
        let points: Vec<Set> = (0..28_u32)
            .map(|night| {
                let kind = if night.is_multiple_of(7) { SetKind::Full } else { SetKind::Logs };
                let time = NOW - i64::from(28 - night) * DAY;
                set(u64::from(night), time, kind, "db", (night * 10 + 1, night * 10 + 10), false)
            })
            .collect();
        let keep = Keep { last: 2, weekly: 2, ..Keep::default() };
        let fates = judge(&points, &BTreeSet::new(), &keep, NOW);
        let numbers: Vec<usize> = fates
            .iter()
            .enumerate()
            .filter(|(_, fate)| !fate.kept_by.is_empty())
            .map(|(number, _)| number)
            .collect();
        assert!(numbers.contains(&27) && numbers.contains(&26) && numbers.contains(&21), "{numbers:?}");
        assert!(!numbers.contains(&0) && !numbers.contains(&6), "{numbers:?}");
        let none = judge(&points, &BTreeSet::new(), &Keep::default(), NOW);
        assert_eq!(kept(&none).len(), 7, "the newest chain stays whatever the rules");
        let order: Vec<&str> = to_delete(&none, NOW).iter().map(|point| point.id.as_str()).collect();
        assert_eq!(order.len(), 21);
        assert!(order[0].ends_with(&format!("{:x}", 20)) && order[20].ends_with("00"), "{order:?}");
    }

    /// A set that counts how often it is looked at.
    #[derive(Clone)]
    struct Counted<'a>(Set, &'a Cell<u64>);

    impl Counted<'_> {
        fn seen(&self) -> &Set {
            self.1.set(self.1.get() + 1);
            &self.0
        }
    }

    impl Stored for Counted<'_> {
        fn id(&self) -> &str {
            self.0.id()
        }

        fn time(&self) -> i64 {
            self.seen().time()
        }

        fn ca(&self) -> &str {
            self.seen().ca()
        }

        fn kind(&self) -> SetKind {
            self.seen().kind()
        }

        fn database(&self) -> &str {
            self.seen().database()
        }

        fn stream(&self) -> &str {
            self.seen().stream()
        }

        fn generations(&self) -> (u32, u32) {
            self.seen().generations()
        }

        fn bytes(&self) -> u64 {
            self.0.bytes()
        }

        fn is_held(&self) -> bool {
            self.0.is_held()
        }
    }

    /// A year of log sets each quarter of an hour: with twice as many sets each is looked at about as often, and not twice as often.
    #[test]
    fn many_sets_are_judged_and_deleted_without_looking_at_each_for_each() {
        let looks = |count: u32| {
            let looked = Cell::new(0);
            let history = |number: u32| {
                let kind = if number.is_multiple_of(8) { SetKind::Full } else { SetKind::Logs };
                let time = NOW - i64::from(count - number) * 900;
                let set = set(number.into(), time, kind, "db", (number * 2 + 1, number * 2 + 2), false);
                Counted(set, &looked)
            };
            let sets: Vec<Counted<'_>> = (0..count).map(history).collect();
            let keep = Keep { last: 4, ..Keep::default() };
            let fates = judge(&sets, &BTreeSet::new(), &keep, NOW);
            let going = to_delete(&fates, NOW).len();
            assert!(count as usize - 24 < going, "{going} of {count}");
            looked.get()
        };
        let (few, many) = (looks(400), looks(1_600));
        assert!(many < few * 6, "{few} looks at 400 sets, {many} at 1600");
    }

    #[test]
    fn versions_of_one_backup_count_once_and_the_newest_of_them_stays() {
        use SetKind::{Full, Logs};
        let full = set(1, NOW - 3 * DAY, Full, "db", (1, 5), false);
        let more = Set { version: 1, ..set(2, NOW - 3 * DAY, Full, "db", (1, 5), false) };
        let logs = set(3, NOW - 2 * DAY, Logs, "db", (6, 7), false);
        let fates = judge(&[full, more, logs], &BTreeSet::new(), &Keep { last: 2, ..Keep::default() }, NOW);
        let rules: Vec<&[&str]> = fates.iter().map(|fate| fate.kept_by.as_slice()).collect();
        assert_eq!(rules, [&[][..], &["another set needs it", "last"], &["last", "the newest state"]]);
    }

    /// Of our own CA, and of a Windows CA.
    const DATABASES: [&str; 2] = ["one", ""];

    /// Histories as they happen and as they never should: full sets, log sets that continue them or miss generations,
    /// several databases, points out of order and from the future.
    fn histories() -> impl Strategy<Value = Vec<Set>> {
        let night = (0_u8..12, 0_u8..2, 1_u32..4, -2_i64..3, 0_u32..20);
        prop::collection::vec(night, 1..24).prop_map(|nights| {
            let mut next = [1_u32; 2];
            let mut time = NOW - 30 * DAY;
            let mut last: Option<Set> = None;
            (0..)
                .zip(nights)
                .map(|(id, (what, database, length, skew, gap))| {
                    if let Some(again) = last.as_mut().filter(|_| what == 9) {
                        // The same backup, with more beside its database.
                        (again.id, again.version) = (format!("{id:064x}"), again.version + 1);
                        return again.clone();
                    }
                    time += DAY + skew * DAY / 2;
                    let of = usize::from(database);
                    if gap == 1 {
                        // The machine is set back to an earlier state.
                        next[of] = next[of].saturating_sub(length * 2).max(1);
                    }
                    let kind = if what < 3 { SetKind::Full } else { SetKind::Logs };
                    if gap == 0 {
                        next[of] += 2; // generations that no set has
                    }
                    // Differential sets begin where the last one began.
                    let low = if what == 3 { next[of].saturating_sub(3).max(1) } else { next[of] };
                    let high = next[of] + length - 1;
                    next[of] = high + 1;
                    let time = match what {
                        11 => NOW + DAY * i64::from(length),
                        10 => NOW, // several of the same second
                        // A clock that is hours ahead, and right again for the next set.
                        7 | 8 => time + DAY * i64::from(length) / 2,
                        _ => time,
                    };
                    let held = what == 5 && length == 3;
                    let set = set(id, time, kind, DATABASES[of], (low, high), held);
                    last.insert(set).clone()
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
        fn the_chains_of_all_sets_are_those_of_each(points in histories()) {
            let all: Vec<&Set> = points.iter().collect();
            let each: Vec<_> = all.iter().map(|set| chain(&all, set, NOW)).collect();
            prop_assert_eq!(chains(&all, NOW), each);
        }

        #[test]
        fn no_history_loses_what_it_needs(points in histories(), keep in rules(), tried in 0_u32..u32::MAX) {
            // Some states were verified.
            let proven: BTreeSet<String> = points.iter().enumerate()
                .filter(|(place, _)| tried & (1 << place) != 0)
                .map(|(_, point)| point.id.clone())
                .collect();
            let fates = judge(&points, &proven, &keep, NOW);
            let stays = |id: &str| fates.iter().any(|fate| fate.set.id == id && !fate.kept_by.is_empty());
            let restorable = |among: &[&Set]| -> BTreeSet<String> {
                let whole = among.iter().filter(|point| chain(among, point, NOW).is_ok());
                whole.map(|point| point.id.clone()).collect()
            };
            // What could be restored and stays, can be restored still; wherever the deletions are cut off.
            let all: Vec<&Set> = points.iter().collect();
            let before = restorable(&all);
            let mut rest = all.clone();
            for gone in to_delete(&fates, NOW) {
                prop_assert!(!gone.held, "a held set goes: {gone:?}");
                rest.retain(|point| point.id != gone.id);
                let now = restorable(&rest);
                let lost = rest.iter().find(|point| before.contains(&point.id) && !now.contains(&point.id));
                prop_assert!(lost.is_none(), "an orphan: {lost:?}");
            }
            prop_assert!(rest.iter().all(|point| stays(&point.id)));
            // The newest state of each database stays, and the newest that was verified, with what they need.
            let is_past = |point: &&Set| !is_ahead(*point, NOW);
            for database in DATABASES {
                let own: Vec<&Set> =
                    all.iter().copied().filter(|point| point.database == database).filter(is_past).collect();
                let whole = restorable(&own);
                let newest = |fits: &dyn Fn(&Set) -> bool| {
                    newest_first(&own, NOW).into_iter().find(|point| whole.contains(&point.id) && fits(point))
                };
                for state in [newest(&|_| true), newest(&|point| proven.contains(&point.id))].into_iter().flatten() {
                    let chain = chain(&own, state, NOW).unwrap();
                    prop_assert!(chain.iter().all(|point| stays(&point.id)), "{state:?}");
                }
            }
            // Points from the future push none of the others out.
            let true_ones: Vec<Set> = points.iter().filter(is_past).cloned().collect();
            let without = kept(&judge(&true_ones, &proven, &keep, NOW));
            prop_assert!(without.iter().all(|id| stays(id)), "{without:?}");
        }
    }
}
