//! Sets that are kept somewhere, in a folder or in a repository: what each says of itself without being read, and which of
//! them a restore needs together (repository.md 6).

use std::collections::{BTreeSet, HashMap};

use crate::links::Links;
use crate::manifest::SetKind;

/// A set that is kept somewhere, by what is known of it without reading its files.
pub trait Stored {
    /// What tells it from all others there.
    fn id(&self) -> &str;
    /// How people name it.
    fn name(&self) -> &str {
        self.id()
    }
    /// When its backup ended, in seconds since 1970, UTC.
    fn time(&self) -> i64;
    /// The CA's sanitized name.
    fn ca(&self) -> &str;
    /// Full or logs only.
    fn kind(&self) -> SetKind;
    /// The signature of its database; empty where it is not known, as with a Windows CA.
    fn database(&self) -> &str;
    /// The signature of its stream of logs; empty where it is not known.
    fn stream(&self) -> &str;
    /// Its lowest and its highest generation.
    fn generations(&self) -> (u32, u32);
    /// Bytes of its files.
    fn bytes(&self) -> u64;
    /// Whether it never expires, whatever the rules.
    fn is_held(&self) -> bool;
    /// Which version of its backup it is: a higher one is the same backup with more beside its database.
    fn version(&self) -> i64 {
        0
    }
    /// Its logs by their hashes, where they are known.
    fn links(&self) -> Option<&Links> {
        None
    }
}

/// Sorts the newest first. Of the same second, that with the newest log, and of the same backup the highest version; no two are
/// equal, so whoever looks gets the same order.
pub fn age<S: Stored>(set: &S) -> impl Ord + use<'_, S> {
    std::cmp::Reverse(rank(set.time(), set))
}

fn rank<S: Stored>(time: i64, set: &S) -> impl Ord + use<'_, S> {
    let (low, high) = set.generations();
    (time, high, low, set.version(), set.id())
}

/// Whether a set is dated in the future at `now`, in seconds since 1970: the clock was wrong when it was taken.
pub(crate) fn is_ahead<S: Stored>(set: &S, now: i64) -> bool {
    certadm_rules::is_ahead(set.time(), now)
}

/// Sorts the newest first, as [`age`] does, but for sets that are dated in the future at `now`, in seconds since 1970. A full set that
/// was taken while the clock was years ahead would be the newest for years, whatever was taken after it. Where the same stream of
/// logs goes on behind such a set, or the CA was restored since, it counts as older than what came then.
///
/// Dates that are not in the future are believed: the generations of a Windows CA that was restored begin again in the same stream,
/// and so do those of a machine that was set back to an earlier state. But a log set of our own CA is newer than the one set that it
/// continues, though a clock that was hours ahead has dated that one later.
#[must_use]
pub fn newest_first<'a, S: Stored>(sets: &[&'a S], now: i64) -> Vec<&'a S> {
    let (ahead, past): (Vec<&S>, Vec<&S>) = sets.iter().copied().partition(|set| is_ahead(*set, now));
    in_order(corrected(&past), &ahead, &past)
}

/// Sorts sets by their dates, the newest first, and those that are `ahead` among them, whose own dates are in the future: by what of
/// `past` came after them.
fn in_order<'a, S: Stored>(mut dated: Vec<(i64, &'a S)>, ahead: &[&'a S], past: &[&S]) -> Vec<&'a S> {
    let same_database = |one: &S, other: &S| database(one) == database(other);
    let last_of = |fits: &dyn Fn(&S) -> bool| past.iter().filter(|set| fits(set)).map(|set| set.time()).max();
    let believed = |set: &S| {
        let is_later = |other: &&&S| goes_with(**other, set) && set.generations().1 < other.generations().1;
        let next = past.iter().filter(is_later).map(|set| set.time()).min();
        // The last set of its stream, after which another stream began.
        let after = last_of(&|other| same_database(other, set));
        let last = last_of(&|other| goes_with(other, set)).filter(|last| Some(*last) < after);
        next.or(last).unwrap_or_else(|| set.time())
    };
    dated.extend(ahead.iter().map(|set| (believed(set), *set)));
    dated.sort_by(|(one_time, one), (time, other)| rank(*time, *other).cmp(&rank(*one_time, *one)));
    dated.into_iter().map(|(_, set)| set).collect()
}

/// Seconds by which the clock of a machine is wrong at most that takes the time of one zone for that of another. A clock that was
/// ahead by no more is seen by nobody once that hour has come.
const CLOCK_OF_ANOTHER_ZONE: i64 = 26 * 3_600;

/// Sets with their dates; that of a log set which continues only sets that a clock has dated hours later is the date of the earliest of
/// these. Example: the clock had local time for UTC when a full set was taken, which is dated 10:00 and ends with generation 5; the
/// log sets of 08:15 and 08:30 have the generations 6 and 7. They get 10:00, and their generations tell their order.
///
/// The generations of a machine that was set back to last night's state begin again, too: the log set with generation 6 that was taken
/// before it was set back continues one of the time before it, and not only the full set that ended with 5 after that.
fn corrected<'a, S: Stored>(sets: &[&'a S]) -> Vec<(i64, &'a S)> {
    let mut dated: Vec<(i64, &S)> = sets.iter().map(|set| (set.time(), *set)).collect();
    // What a set continues comes before it.
    dated.sort_by_key(|(_, set)| set.generations().1);
    let mut ends: HashMap<(&str, &str, &str, u32), i64> = HashMap::new();
    for (date, set) in &mut dated {
        let set: &S = set;
        if !counts_on(set) {
            continue;
        }
        let (low, high) = set.generations();
        let end = |generation| (set.ca(), set.database(), set.stream(), generation);
        let before = low.checked_sub(1).and_then(|last| ends.get(&end(last)));
        let is_misdated = |before: &&i64| *date < **before && is_close(**before, *date);
        if let Some(before) = before.filter(is_misdated).filter(|_| set.kind() == SetKind::Logs) {
            *date = *before;
        }
        let earliest = ends.entry(end(high)).or_insert(*date);
        *earliest = (*earliest).min(*date);
    }
    dated
}

/// Whether generations do not begin again in the set's stream of logs when the CA is restored: they do in that of a Windows CA.
pub(crate) fn counts_on<S: Stored>(set: &S) -> bool {
    !set.database().is_empty() && !set.stream().is_empty()
}

/// Whether a date is later than another one by no more than a wrong zone makes it.
fn is_close(date: i64, other: i64) -> bool {
    date.saturating_sub(other) <= CLOCK_OF_ANOTHER_ZONE
}

/// Whether both are the same backup, whatever stands beside their databases.
pub fn same_backup<S: Stored, T: Stored>(one: &S, other: &T) -> bool {
    goes_with(one, other)
        && (one.time(), one.kind(), one.generations()) == (other.time(), other.kind(), other.generations())
}

/// What sets of one database have in common. A Windows CA's sets name no database: those of one sequence of logs are of one.
pub(crate) fn database<S: Stored>(set: &S) -> (&str, &str, &str) {
    let stream = if set.database().is_empty() { set.stream() } else { "" };
    (set.ca(), set.database(), stream)
}

/// Whether both are of one database with one stream of logs.
pub fn goes_with<S: Stored, T: Stored>(one: &S, other: &T) -> bool {
    stream_of(one) == stream_of(other)
}

/// What the sets of one stream of logs have in common.
fn stream_of<S: Stored>(set: &S) -> (&str, &str, &str) {
    (set.ca(), set.database(), set.stream())
}

/// The chain that ends with `last`: the newest full set before it that log sets lead on from, and as few of these as do. There still
/// is one when sets go that are not in it. `now` is in seconds since 1970.
///
/// # Errors
/// A sentence, when generations are missing.
pub fn chain<'a, S: Stored>(sets: &[&'a S], last: &'a S, now: i64) -> Result<Vec<&'a S>, String> {
    if last.kind() == SetKind::Full {
        return Ok(vec![last]);
    }
    let stream: Vec<&S> = sets.iter().copied().filter(|set| goes_with(*set, last)).collect();
    by_dates(&stream, last, now)
        .or_else(|| by_generations(&stream, last))
        .ok_or_else(|| continues_nothing(last))
}

fn continues_nothing<S: Stored>(last: &S) -> String {
    let (low, high) = last.generations();
    format!(
        "the log set {} (generations {low:#x} to {high:#x}) continues no full set that is here",
        last.name()
    )
}

/// The sets whose state leans on one of those with these ids: that set itself, and each set whose chain has it. `now` is in seconds since
/// 1970.
#[must_use]
pub fn leaning_on<'a, S: Stored>(sets: &[&'a S], ids: &[String], now: i64) -> Vec<&'a S> {
    let is_meant = |set: &S| ids.iter().any(|id| id == set.id());
    let leans = |(set, chain): (&&'a S, Result<Vec<&S>, String>)| {
        let leans = is_meant(set) || chain.is_ok_and(|chain| chain.into_iter().any(is_meant));
        leans.then_some(*set)
    };
    sets.iter().zip(chains(sets, now)).filter_map(leans).collect()
}

/// As [`chain`], of each set, in the order given. What is asked of all sets is asked once: of tens of thousands, a chain is looked for among
/// those between its last set and its full set alone.
#[must_use]
pub fn chains<'a, S: Stored>(sets: &[&'a S], now: i64) -> Vec<Result<Vec<&'a S>, String>> {
    let mut streams: HashMap<_, Vec<&S>> = HashMap::new();
    for set in sets {
        streams.entry(stream_of(*set)).or_default().push(*set);
    }
    let mut sorted = HashMap::new();
    for (key, mut stream) in streams {
        stream.sort_by(|one, other| age(*one).cmp(&age(*other)));
        let is_dated = !stream.iter().any(|set| is_ahead(*set, now));
        sorted.insert(key, (stream, is_dated));
    }
    let chain_of = |set: &&'a S| {
        let last = *set;
        if last.kind() == SetKind::Full {
            return Ok(vec![last]);
        }
        let (stream, is_dated) = sorted.get(&stream_of(last)).ok_or_else(|| continues_nothing(last))?;
        let found = match is_dated {
            true => by_order(stream, last, now),
            false => by_dates(stream, last, now),
        };
        found.or_else(|| by_generations(stream, last)).ok_or_else(|| continues_nothing(last))
    };
    sets.iter().map(chain_of).collect()
}

/// As [`by_dates`], in a stream that is sorted from the newest set to the oldest, and of which none is dated in the future.
fn by_order<'a, S: Stored>(stream: &[&'a S], last: &'a S, now: i64) -> Option<Vec<&'a S>> {
    let before = &stream[stream.partition_point(|set| age(*set) < age(last))..];
    let may_begin = |set: &S| set.kind() == SetKind::Full && set.generations().1 <= last.generations().1;
    // What leads on from a full set came after it.
    let mut fulls = before
        .iter()
        .enumerate()
        .filter(|(_, full)| may_begin(full))
        .map(|(place, full)| (*full, &before[..=place]));
    first_chain(&mut fulls, last, now)
}

/// The chain to `last` from the first of these full sets that leads to it, each with the sets to look among. One that the CA seems to
/// have left behind comes after the others.
fn first_chain<'a, S: Stored>(
    fulls: &mut dyn Iterator<Item = (&'a S, &[&'a S])>,
    last: &'a S,
    now: i64,
) -> Option<Vec<&'a S>> {
    let mut doubtful = Vec::new();
    for (full, among) in fulls {
        if is_left_behind(full, among, now) {
            doubtful.push((full, among));
        } else if let Some(chain) = continued(full, last, among, now) {
            return Some(chain);
        }
    }
    doubtful.into_iter().find_map(|(full, among)| continued(full, last, among, now))
}

/// Whether a later set of our own CA ends with no later generation: where the dates are right, the CA was set back to an earlier state
/// since this set was taken, and its numbers began again.
/// A date in the future tells nothing of that.
fn is_left_behind<S: Stored>(set: &S, among: &[&S], now: i64) -> bool {
    among.iter().any(|later| age(*later) < age(set) && !is_ahead(*later, now) && begins_again(*later, set))
}

/// Whether a set of our own CA that was taken `later` ends with no later generation than another one: the numbers began again between
/// the two.
pub fn begins_again<S: Stored>(later: &S, set: &S) -> bool {
    counts_on(set) && ends_no_later(later, set)
}

fn ends_no_later<S: Stored>(later: &S, set: &S) -> bool {
    later.generations().1 <= set.generations().1 && !same_backup(later, set)
}

/// Whether the numbers of generations have begun again in a stream of logs, as far as dates tell: a CA was set back to an earlier state
/// or, if it is a Windows CA, restored. A date in the future tells nothing of that; `now` is in seconds since 1970.
#[must_use]
pub fn has_begun_again<S: Stored>(sets: &[&S], now: i64) -> bool {
    let mut sorted: Vec<&S> = sets.iter().copied().filter(|set| !is_ahead(*set, now)).collect();
    sorted.sort_by(|one, other| age(*one).cmp(&age(*other)));
    // Of each stream the set with the lowest end among the newer ones.
    let mut lowest: HashMap<_, &S> = HashMap::new();
    for set in sorted.into_iter().filter(|set| !set.stream().is_empty()) {
        let low = lowest.entry(stream_of(set)).or_insert(set);
        if !std::ptr::eq(*low, set) && ends_no_later(*low, set) {
            return true;
        }
        if set.generations().1 < low.generations().1 {
            *low = set;
        }
    }
    false
}

/// Whether both can stand in one chain, as far as their logs are known: neither holds another log under a number of the other.
pub fn is_one_past<S: Stored, T: Stored>(one: &S, other: &T) -> Option<bool> {
    one.links()?.is_one_past(other.links()?)
}

/// Whether a set is known to be of another past than a chain: the CA was set back to an earlier state, or copied, between the two.
pub fn is_of_another_past<S: Stored, T: Stored>(set: &S, chain: &[&T]) -> bool {
    let tells = set.links().is_some_and(Links::tell_logs);
    tells && chain.iter().any(|of| goes_with(set, *of) && is_one_past(set, *of) == Some(false))
}

/// The chain that ends with `last` in its stream of logs, as dates tell what came before what.
fn by_dates<'a, S: Stored>(stream: &[&'a S], last: &'a S, now: i64) -> Option<Vec<&'a S>> {
    let before: Vec<&S> = stream.iter().copied().filter(|set| is_before(*set, last, now)).collect();
    // Logs that end before it does are not of what came after it: the numbers of a Windows CA that was made anew, or
    // restored, begin again.
    let may_begin = |set: &&&S| set.kind() == SetKind::Full && set.generations().1 <= last.generations().1;
    let (ahead, past): (Vec<&S>, Vec<&S>) = before.iter().copied().partition(|set| is_ahead(*set, now));
    let fulls = past.iter().filter(may_begin).map(|set| (set.time(), *set)).collect();
    let ahead: Vec<&S> = ahead.iter().filter(may_begin).copied().collect();
    let fulls = in_order(fulls, &ahead, &past);
    first_chain(&mut fulls.into_iter().map(|full| (full, before.as_slice())), last, now)
}

/// The chain that ends with `last` in its stream of logs where each set begins with the generation after the one before it, though a
/// clock that was hours ahead has dated that one later. It is looked for from `last` back.
fn by_generations<'a, S: Stored>(stream: &[&'a S], last: &'a S) -> Option<Vec<&'a S>> {
    if !counts_on(last) {
        return None;
    }
    let mut chain = vec![last];
    let mut first = last;
    while first.kind() == SetKind::Logs {
        let end = first.generations().0.checked_sub(1)?;
        let leads_on = |set: &&S| {
            set.generations().1 == end
                && is_close(set.time(), first.time())
                && is_one_past(*set, first) != Some(false)
        };
        let before = stream.iter().copied().filter(leads_on);
        // A full set ends it; else the newest of those that end there.
        first = before.min_by(|one, other| {
            (one.kind() != SetKind::Full, age(*one)).cmp(&(other.kind() != SetKind::Full, age(*other)))
        })?;
        chain.push(first);
    }
    chain.reverse();
    Some(chain)
}

/// Whether a set of the same stream was taken before another one, or is that one: by dates, and by generations where its own date is
/// in the future at `now`, in seconds since 1970.
pub fn is_before<S: Stored>(set: &S, last: &S, now: i64) -> bool {
    let is_misdated = is_ahead(set, now) && !is_ahead(last, now);
    age(last) <= age(set) || (is_misdated && set.generations().1 < last.generations().1)
}

/// Goes back from `last` to a full set, each time by a log set that reaches back furthest; `None` where a generation is missing. Where
/// several do, or numbers began again, it is the set whose logs are known to lead on, then one that the CA has not left behind, and then
/// the newest. A set whose logs are known to be of another past leads nowhere.
fn continued<'a, S: Stored>(full: &'a S, last: &'a S, related: &[&'a S], now: i64) -> Option<Vec<&'a S>> {
    let leads_on = |set: &S, to: &S| {
        to.generations().0 <= set.generations().1.saturating_add(1) && is_one_past(set, to) != Some(false)
    };
    // The way from the last set back to where it stands, with what was not tried yet at each place, the best last.
    let mut way: Vec<(&S, Vec<&S>)> = Vec::new();
    let mut tried: BTreeSet<&str> = BTreeSet::new();
    let mut set = last;
    loop {
        let is_ahead_of_full = way.is_empty() || full.generations().1 < set.generations().1;
        if is_ahead_of_full && leads_on(full, set) {
            let mut chain = vec![full];
            chain.push(set);
            chain.extend(way.iter().rev().map(|(set, _)| *set));
            return Some(chain);
        }
        let reaches = |before: &&&S| {
            before.kind() == SetKind::Logs
                && before.generations().0 < set.generations().0
                && before.generations().1 < set.generations().1
                && leads_on(before, set)
                && is_before(full, **before, now)
        };
        let mut before: Vec<&S> = related.iter().filter(reaches).copied().collect();
        if 1 < before.len() {
            let rank = |one: &S| {
                let is_known = is_one_past(one, set) == Some(true);
                (!is_known, !is_known && is_left_behind(one, related, now), one.generations().0)
            };
            let mut ranked: Vec<_> = before.into_iter().map(|one| (rank(one), one)).collect();
            // Of those that are equally good the newest, in whatever order they are given.
            ranked.sort_by(|(rank, one), (other_rank, other)| {
                (other_rank, age(*other)).cmp(&(rank, age(*one)))
            });
            before = ranked.into_iter().map(|(_, one)| one).collect();
        }
        way.push((set, before));
        set = loop {
            let (_, before) = way.last_mut()?;
            match before.pop() {
                Some(next) if tried.insert(next.id()) => break next,
                Some(_) => {}
                None => drop(way.pop()),
            }
        };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A set of a history.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Kept {
        pub(crate) id: String,
        pub(crate) time: i64,
        pub(crate) kind: SetKind,
        pub(crate) database: &'static str,
        pub(crate) generations: (u32, u32),
        pub(crate) held: bool,
        pub(crate) version: i64,
    }

    /// A set of a history.
    pub(crate) fn set(
        id: u64,
        time: i64,
        kind: SetKind,
        database: &'static str,
        generations: (u32, u32),
        held: bool,
    ) -> Kept {
        Kept { id: format!("{id:064x}"), time, kind, database, generations, held, version: 0 }
    }

    /// The clock was hours ahead when a full set was taken, and that hour has come.
    #[test]
    fn what_continues_a_set_that_a_clock_has_dated_later_is_newer() {
        use SetKind::{Full, Logs};
        let hour = 3_600;
        let sets = |database, hours: i64| {
            [
                set(1, 5 * hour, Full, database, (1, 2), false),
                set(2, (10 + hours) * hour, Full, database, (3, 5), false),
                set(3, 10 * hour + 900, Logs, database, (6, 6), false),
                set(4, 10 * hour + 1_800, Logs, database, (7, 8), false),
                set(5, (10 + hours) * hour + 900, Logs, database, (9, 9), false),
            ]
        };
        let told = |sets: &[Kept]| {
            let all: Vec<&Kept> = sets.iter().collect();
            let number = |set: &&Kept| u64::from_str_radix(&set.id, 16).unwrap();
            let newest: Vec<_> = newest_first(&all, 1_000_000).iter().map(number).collect();
            let chain = |last: usize| {
                let chain = chain(&all, sets.get(last)?, 1_000_000).ok()?;
                Some(chain.iter().map(number).collect::<Vec<_>>())
            };
            (newest, chain(3), chain(4))
        };
        let right = |newest: &[u64]| (newest.to_vec(), Some(vec![2, 3, 4]), Some(vec![2, 3, 4, 5]));
        assert_eq!(told(&sets("db", 0)), right(&[5, 4, 3, 2, 1]));
        assert_eq!(told(&sets("db", 6)), right(&[5, 4, 3, 2, 1]));
        assert_eq!(told(&sets("db", 6)[..4]).0, [4, 3, 2, 1]);
        // What is not in the chain may go, in whatever order: it stays what it is.
        let fewer: Vec<Kept> = sets("db", 6).into_iter().skip(1).collect();
        assert_eq!(told(&fewer).1, Some(vec![2, 3, 4, 5]));
        // More than a wrong zone: a machine may have been set back to an earlier state.
        assert_eq!(told(&sets("db", 30)), (vec![5, 2, 4, 3, 1], None, None));
        // A Windows CA may have been restored in between.
        assert_eq!(told(&sets("", 6)), (vec![5, 2, 4, 3, 1], None, None));
    }

    /// Set back to the state of last night, after sets 3 to 5 were taken: the generations begin again, and the dates do not.
    #[test]
    fn what_a_machine_has_kept_since_it_was_set_back_is_the_newest() {
        use SetKind::{Full, Logs};
        let sets = [
            set(1, 1_000, Full, "db", (1, 2), false),
            set(2, 2_000, Logs, "db", (3, 3), false),
            set(3, 3_000, Logs, "db", (4, 4), false),
            set(4, 4_000, Full, "db", (5, 5), false),
            set(5, 5_000, Logs, "db", (6, 6), false),
            set(6, 6_000, Logs, "db", (7, 7), false),
            set(7, 7_000, Full, "db", (4, 4), false),
            set(8, 8_000, Logs, "db", (5, 5), false),
        ];
        let all: Vec<&Kept> = sets.iter().collect();
        let numbers = |sets: &[&Kept]| sets.iter().map(|set| set.time / 1_000).collect::<Vec<_>>();
        assert_eq!(numbers(&newest_first(&all, 1_000_000)), [8, 7, 6, 5, 4, 3, 2, 1]);
        // Also when the first of the sets that were given up have expired.
        assert_eq!(numbers(&newest_first(&all[3..], 1_000_000)), [8, 7, 6, 5, 4]);
        let chain = |last: usize| numbers(&chain(&all, &sets[last], 1_000_000).unwrap());
        assert_eq!((chain(5), chain(7)), (vec![4, 5, 6], vec![7, 8]));
    }

    /// A Windows CA that was made anew under its name counts its logs from 1 again, and old sets of one name no sequence.
    #[test]
    fn logs_that_end_before_a_full_set_does_lead_on_from_an_earlier_one_or_none() {
        use SetKind::{Full, Logs};
        let sets = [
            set(1, 10, Full, "", (0x1f5, 0x200), false),
            set(2, 20, Logs, "", (5, 8), false),
            set(3, 30, Full, "", (3, 4), false),
            set(4, 40, Full, "", (0x201, 0x202), false),
            set(5, 50, Logs, "", (5, 8), false),
            set(6, 60, Logs, "", (0x202, 0x202), false),
        ];
        let all: Vec<&Kept> = sets.iter().collect();
        let times = |last: usize| {
            let chain = chain(&all, &sets[last], 100).ok()?;
            Some(chain.into_iter().map(|set| set.time).collect::<Vec<_>>())
        };
        assert_eq!((times(1), times(4), times(5)), (None, Some(vec![30, 50]), Some(vec![40, 60])));
    }

    impl Stored for Kept {
        fn id(&self) -> &str {
            &self.id
        }

        fn time(&self) -> i64 {
            self.time
        }

        fn ca(&self) -> &str {
            "CA"
        }

        fn kind(&self) -> SetKind {
            self.kind
        }

        fn database(&self) -> &str {
            self.database
        }

        fn stream(&self) -> &str {
            "aa"
        }

        fn generations(&self) -> (u32, u32) {
            self.generations
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn is_held(&self) -> bool {
            self.held
        }

        fn version(&self) -> i64 {
            self.version
        }
    }
}
