//! What each set is worth among those that are kept with it, for a list of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::SetKind;
use crate::stored::{
    Stored, age, chains, counts_on, is_of_another_past, is_one_past, newest_first, same_backup,
};

/// What a set is worth among those that are kept with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a, S> {
    /// The set.
    pub set: &'a S,
    /// The full set with which a restore of it begins; `None` where it continues no full set that is there.
    pub base: Option<&'a S>,
    /// The log set that holds everything that this one does, where no other set needs this one: it gives an earlier moment, and
    /// nothing else.
    pub superseded_by: Option<&'a S>,
    /// Whether it is known to be of another past than the newest state: the CA was set back to an earlier state, or copied. It may be the
    /// only one that knows certificates which were issued then.
    pub is_of_another_past: bool,
}

/// Says of each set of one database what it is worth at `now`, in seconds since 1970, in the order given.
#[must_use]
pub fn standings<'a, S: Stored>(sets: &[&'a S], now: i64) -> Vec<Standing<'a, S>> {
    let chains: Vec<Vec<&S>> = chains(sets, now).into_iter().map(Result::unwrap_or_default).collect();
    let needed: BTreeSet<&str> =
        chains.iter().flat_map(|chain| chain.iter().rev().skip(1)).map(|set| set.id()).collect();
    let base = |chain: &[&'a S]| chain.first().copied();
    let superseder = |set: &'a S, from: &'a S| {
        let holds_all = |(other, chain): &(&&'a S, &Vec<&'a S>)| {
            age(**other) < age(set)
                && holds_logs_of(**other, set)
                && other.kind() == SetKind::Logs
                && base(chain).is_some_and(|base| base.id() == from.id())
        };
        sets.iter().zip(&chains).find(holds_all).map(|(other, _)| *other)
    };
    let mut newest = newest_first(sets, now).into_iter();
    let newest = newest.find_map(|set| {
        let place = sets.iter().position(|other| other.id() == set.id())?;
        chains.get(place).filter(|chain| !chain.is_empty())
    });
    let standing = |(set, chain): (&&'a S, &Vec<&'a S>)| {
        let (set, base) = (*set, base(chain));
        let is_spare = set.kind() == SetKind::Logs && !needed.contains(set.id());
        let superseded_by = base.filter(|_| is_spare).and_then(|base| superseder(set, base));
        let is_of_another_past = newest.is_some_and(|newest| is_of_another_past(set, newest));
        Standing { set, base, superseded_by, is_of_another_past }
    };
    sets.iter().zip(&chains).map(standing).collect()
}

/// Whether a later set holds all logs of an earlier one. Where the logs are not known, the numbers alone are believed as far as a CA
/// gives them that was never set back: it gives no number again, and a log that it has deleted does not come back.
fn holds_logs_of<S: Stored>(later: &S, set: &S) -> bool {
    let ((low, high), (begins, ends)) = (set.generations(), later.generations());
    match is_one_past(later, set) {
        Some(is_one) => is_one && begins <= low && high <= ends,
        None if counts_on(set) => same_backup(later, set) || (begins == low && high < ends),
        None => begins <= low && high <= ends,
    }
}

/// The generations between the lowest and the highest one that no set holds, of sets of one database. Each stream of logs is
/// looked at by itself.
#[must_use]
pub fn missing<S: Stored>(sets: &[&S]) -> Vec<(u32, u32)> {
    let mut streams: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    for set in sets {
        streams.entry(set.stream()).or_default().push(set.generations());
    }
    let mut missing = Vec::new();
    for mut ranges in streams.into_values() {
        ranges.sort_unstable();
        let mut covered = ranges.first().map_or(0, |range| range.1);
        for (low, high) in ranges {
            if covered.saturating_add(1) < low {
                missing.push((covered + 1, low - 1));
            }
            covered = covered.max(high);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::{Kept, set};

    #[test]
    fn what_sets_are_worth_and_what_is_missing() {
        use SetKind::{Full, Logs};
        let sets = [
            set(1, 10, Full, "db", (1, 5), false),
            set(2, 20, Logs, "db", (6, 7), false),
            set(3, 30, Logs, "db", (6, 9), false),
            set(4, 40, Logs, "db", (10, 12), false),
            set(5, 50, Full, "db", (12, 14), false),
            set(6, 60, Logs, "db", (17, 18), false),
        ];
        let all: Vec<&Kept> = sets.iter().collect();
        let said: Vec<_> = standings(&all, 100)
            .into_iter()
            .map(|standing| {
                let time = |set: Option<&Kept>| set.map(|set| set.time);
                (standing.set.time, time(standing.base), time(standing.superseded_by))
            })
            .collect();
        let expected = [
            (10, Some(10), None),
            (20, Some(10), Some(30)),
            (30, Some(10), None),
            (40, Some(10), None),
            (50, Some(50), None),
            (60, None, None),
        ];
        assert_eq!(said, expected);
        assert_eq!(missing(&all), [(15, 16)]);
        assert_eq!(missing::<Kept>(&[]), []);
    }
}
