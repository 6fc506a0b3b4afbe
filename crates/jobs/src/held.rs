//! What a target holds of a CA: its sets, oldest first, and what is proven. What is due is decided from this, and
//! from what the records know of damage and of failures.

use std::collections::BTreeSet;
use std::sync::Arc;

use certadm_rules::is_ahead;
use certadm_set::links::Links;
use certadm_set::manifest::SetKind;
use certadm_set::stored::{Stored, begins_again, is_one_past, newest_first};

use crate::record::Attempts;
use crate::unreadable::Unreadable;

/// Whether a date, in seconds since 1970, can be right at `now`: one that [`is_ahead`] is of a wrong clock.
pub(crate) const fn is_past(date: i64, now: i64) -> bool {
    !is_ahead(date, now)
}

/// A set at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSet {
    /// Its id in a repository, or its folder's name.
    pub id: String,
    /// When its backup ended, in seconds since 1970.
    pub time: i64,
    /// Full or logs only.
    pub kind: SetKind,
    /// The signatures of its database and of its stream of logs.
    pub stream: (String, String),
    /// Its lowest and its highest generation.
    pub generations: (u32, u32),
    /// Bytes of its files.
    pub bytes: u64,
    /// How long its backup took, in seconds.
    pub seconds: u64,
    /// Its logs by their hashes, where they are known.
    pub links: Option<Arc<Links>>,
}

/// The sets of a CA at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub(crate) sets: Vec<HeldSet>,
    /// The newest set whose state is proven, by its id, and when that was noted.
    pub proven: Option<(String, i64)>,
    /// Sets that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Sets that were found damaged, by their ids.
    pub damaged: BTreeSet<String>,
    /// Sets that do not count, because none of the job's `allowed-signers` has signed them; each with why.
    pub unsigned: Vec<(HeldSet, String)>,
}

/// Why log sets cannot follow at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBase {
    /// There is no full set.
    NoFull,
    /// The newest log set does not continue what is there: generations are missing, or have begun again.
    Gap {
        /// The log set.
        set: String,
        /// The generation that it would have to begin with.
        expected: u32,
        /// The one that it begins with.
        begins: u32,
    },
    /// The newest log set is of another stream of logs: the CA was restored since.
    OtherStream {
        /// The log set.
        set: String,
    },
    /// A set that the next log set would lean on was found damaged.
    Damaged {
        /// The set.
        set: String,
    },
    /// A set that holds what comes next does not count: none of the job's `allowed-signers` has signed it.
    Unsigned {
        /// The set.
        set: String,
        /// Why it does not count.
        why: String,
    },
}

impl NoBase {
    /// Whether a set is there that would lead on, and no restore accepts it: nothing may be deleted at the CA for its sake.
    pub(crate) const fn is_doubt(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Unsigned { .. })
    }
}

impl std::fmt::Display for NoBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFull => f.write_str("no full set is there"),
            Self::Gap { set, expected, begins } if begins < expected => {
                write!(
                    f,
                    "the log set {set} begins with generation {begins:#x}, and generation {expected:#x} is the next"
                )
            }
            Self::Gap { set, expected, begins } => write!(
                f,
                "the log set {set} begins with generation {begins:#x}, and generation {expected:#x} is missing"
            ),
            Self::Damaged { set } => write!(f, "the set {set} was found to be damaged"),
            Self::Unsigned { set, why } => write!(f, "the set {set} does not count: {why}"),
            Self::OtherStream { set } => {
                write!(f, "the log set {set} is of another stream of logs than the full set before it")
            }
        }
    }
}

impl Held {
    /// These sets, at `now`, in seconds since 1970.
    #[must_use]
    pub fn new(sets: &[HeldSet], now: i64) -> Self {
        let sorted = newest_first(&sets.iter().collect::<Vec<_>>(), now);
        Self { sets: sorted.into_iter().rev().cloned().collect(), ..Self::default() }
    }

    /// Adds what is remembered of a proof and of damage at the place of that name. The set that it is about has to be there still, and a
    /// later note of a proof that the place itself has wins.
    pub(crate) fn recall(&mut self, place: &str, attempts: &Attempts, now: i64) {
        let here = |of: &str, id: &str| self.sets.iter().find(|set| of == place && set.id == id);
        let proof = attempts.proven.as_ref().filter(|proof| here(&proof.place, &proof.set).is_some());
        let recalled = proof.map(|proof| (proof.set.clone(), proof.when));
        // A set that is newer than the note is another one with the name.
        let is_meant = |set: &HeldSet, when| !is_ahead(set.time, when) || is_ahead(set.time, now);
        let damaged = attempts
            .damaged
            .iter()
            .filter(|damage| here(&damage.place, &damage.set).is_some_and(|set| is_meant(set, damage.when)));
        self.damaged = damaged.map(|damage| damage.set.clone()).collect();
        // One from the future does not hide those that came after it.
        let noted = self.proven.take();
        self.proven = noted.into_iter().chain(recalled).max_by_key(|(_, when)| (is_past(*when, now), *when));
    }

    /// All sets, the oldest first. Those that a wrong clock has dated in the future stand where their generations belong.
    #[must_use]
    pub fn sets(&self) -> &[HeldSet] {
        &self.sets
    }

    /// The newest full set.
    #[must_use]
    pub fn last_full(&self) -> Option<&HeldSet> {
        self.sets.iter().rev().find(|set| set.kind == SetKind::Full)
    }

    /// The newest log set.
    #[must_use]
    pub fn last_logs(&self) -> Option<&HeldSet> {
        self.sets.iter().rev().find(|set| set.kind == SetKind::Logs)
    }

    /// The newest state that can be restored: a full set and the log sets that continue it without a gap. It ends before a set that was
    /// found damaged.
    #[must_use]
    pub fn newest_state(&self) -> Vec<&HeldSet> {
        self.newest(&|set| self.is_sound(set))
    }

    /// The newest state by manifests alone, whatever was found damaged: what a verification reads, so that it sees when somebody has
    /// put a file back.
    #[must_use]
    pub fn stored_state(&self) -> Vec<&HeldSet> {
        self.newest(&|_| true)
    }

    fn newest(&self, counts: &dyn Fn(&HeldSet) -> bool) -> Vec<&HeldSet> {
        // A later full set alone wins over an earlier one with logs that end before it.
        let fulls = self.sets.iter().filter(|set| set.kind == SetKind::Full);
        let chains = fulls.map(|full| self.continued(full, counts).chain);
        chains.max_by_key(|chain| chain.last().map(|last| self.place(last))).unwrap_or_default()
    }

    /// The full set that the next log set can follow.
    ///
    /// # Errors
    /// Why there is none.
    pub fn base(&self) -> Result<&HeldSet, NoBase> {
        let Some(full) = self.last_full() else {
            return Err(self.unsigned_base(|set| set.kind == SetKind::Full).unwrap_or(NoBase::NoFull));
        };
        let Continued { chain, ends, .. } = self.continued(full, &|set| self.is_sound(set));
        let covered = chain.last().map_or(full.generations.1, |last| last.generations.1);
        // What is missing, or what the CA may have deleted, lies in a set that no restore takes.
        let leads_on =
            |set: &HeldSet| set.stream == full.stream && full.time <= set.time && covered < set.generations.1;
        match ends {
            Some(why @ NoBase::Damaged { .. }) => Err(why),
            ends => self.unsigned_base(leads_on).or(ends).map_or(Ok(full), Err),
        }
    }

    /// Why there is no base where the newest such set does not count.
    fn unsigned_base(&self, is_meant: impl Fn(&HeldSet) -> bool) -> Option<NoBase> {
        let meant = self.unsigned.iter().filter(|(set, _)| is_meant(set));
        let (set, why) = meant.max_by_key(|(set, _)| set.time)?;
        Some(NoBase::Unsigned { set: set.id.clone(), why: why.clone() })
    }

    /// The sets that can be restored from a full set on: it, and the log sets that continue it without a gap, also those of a past that
    /// the CA was set back from.
    pub(crate) fn chain_of<'a>(&'a self, full: &'a HeldSet) -> Vec<&'a HeldSet> {
        self.continued(full, &|set| self.is_sound(set)).led
    }

    /// Whether the next log set would lean on one that was found damaged, or that nobody has signed whose signature counts.
    pub(crate) fn has_doubtful_base(&self) -> bool {
        self.base().is_err_and(|why| why.is_doubt())
    }

    /// The damaged set that the next log set would lean on, by its id.
    pub(crate) fn damaged_base(&self) -> Option<String> {
        match self.base() {
            Err(NoBase::Damaged { set }) => Some(set),
            _ => None,
        }
    }

    fn is_sound(&self, set: &HeldSet) -> bool {
        !self.damaged.contains(&set.id)
    }

    /// The chain from a full set on of the sets that count, and what ends it before the newest log set that was taken after it.
    ///
    /// Where a set shows that the CA was set back to an earlier state, the chain goes on from there.
    fn continued<'a>(&'a self, full: &'a HeldSet, counts: &dyn Fn(&HeldSet) -> bool) -> Continued<'a> {
        let damaged = |set: &HeldSet| NoBase::Damaged { set: set.id.clone() };
        if !counts(full) {
            return Continued { chain: Vec::new(), led: Vec::new(), ends: Some(damaged(full)) };
        }
        // The first set that would lead on, and does not count: a later one may hold the same logs.
        let mut lost: Option<&HeldSet> = None;
        let (mut chain, mut led) = (vec![full], vec![full]);
        let mut covered = full.generations.1;
        for set in self.sets.iter().skip(self.place(full) + 1).filter(|set| set.kind == SetKind::Logs) {
            if set.stream != full.stream {
                return Continued { chain, led, ends: Some(NoBase::OtherStream { set: set.id.clone() }) };
            }
            let (begins, ends) = set.generations;
            while let Some(last) = chain.last().filter(|last| 1 < chain.len() && is_left_behind(last, set)) {
                lost = lost.filter(|lost| !is_left_behind(lost, set) && lost.time < last.time);
                chain.pop();
                covered = chain.last().map_or(covered, |last| last.generations.1);
            }
            let expected = covered.saturating_add(1);
            // The numbers of a CA that was made anew, or set back to before the full set, begin again, and old sets of a Windows CA do
            // not say whose they are.
            let begins_again = match full.stream.1.is_empty() {
                true => ends < full.generations.1,
                false => is_left_behind(full, set),
            };
            if expected < begins && lost.is_some_and(|lost| covered < lost.generations.1) {
                continue;
            }
            if expected < begins || begins_again {
                let ends = Some(NoBase::Gap { set: set.id.clone(), expected, begins });
                return Continued { chain, led, ends };
            }
            if covered < ends && counts(set) {
                covered = ends;
                chain.push(set);
                led.push(set);
            } else if covered < ends && lost.is_none_or(|lost| lost.generations.1 <= covered) {
                lost = Some(set);
            }
        }
        let ends = lost.filter(|lost| covered < lost.generations.1).map(damaged);
        Continued { chain, led, ends }
    }

    fn place(&self, of: &HeldSet) -> usize {
        self.sets.iter().position(|set| std::ptr::eq(set, of)).unwrap_or_default()
    }
}

/// What follows a full set.
struct Continued<'a> {
    /// The chain up to the newest state.
    chain: Vec<&'a HeldSet>,
    /// All sets that were in it at some time.
    led: Vec<&'a HeldSet>,
    /// What ends it.
    ends: Option<NoBase>,
}

/// Whether a set that was taken `later` shows that the CA was set back to before a set: it holds other logs under its numbers or, where
/// the logs are not known, gives a number again that our own CA would not give twice.
fn is_left_behind(set: &HeldSet, later: &HeldSet) -> bool {
    is_one_past(set, later).map_or_else(|| begins_again(later, set), |is_one| !is_one)
}

impl Stored for HeldSet {
    fn id(&self) -> &str {
        &self.id
    }

    fn time(&self) -> i64 {
        self.time
    }

    /// All are of one CA.
    fn ca(&self) -> &'static str {
        ""
    }

    fn kind(&self) -> SetKind {
        self.kind
    }

    fn database(&self) -> &str {
        &self.stream.0
    }

    fn stream(&self) -> &str {
        &self.stream.1
    }

    fn generations(&self) -> (u32, u32) {
        self.generations
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_held(&self) -> bool {
        false
    }

    fn links(&self) -> Option<&Links> {
        self.links.as_deref()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn set(time: i64, kind: SetKind, generations: (u32, u32)) -> HeldSet {
        HeldSet {
            id: format!("{time}"),
            time,
            kind,
            stream: ("db".to_owned(), "stream".to_owned()),
            generations,
            bytes: 0,
            seconds: 0,
            links: None,
        }
    }

    fn ids(sets: &[&HeldSet]) -> Vec<String> {
        sets.iter().map(|set| set.id.clone()).collect()
    }

    #[test]
    fn log_sets_follow_a_full_set_without_a_gap() {
        use SetKind::{Full, Logs};
        assert_eq!(Held::default().base(), Err(NoBase::NoFull));
        let mut sets = vec![set(10, Full, (1, 5)), set(30, Logs, (7, 8)), set(20, Logs, (5, 6))];
        let held = Held::new(&sets, 100);
        assert_eq!(held.base().unwrap().time, 10);
        assert_eq!(ids(&held.newest_state()), ["10", "20", "30"]);
        sets.push(set(40, Logs, (10, 12)));
        let held = Held::new(&sets, 100);
        let why = held.base().unwrap_err();
        assert_eq!(why, NoBase::Gap { set: "40".to_owned(), expected: 9, begins: 10 });
        assert!(why.to_string().contains("0x9 is missing"), "{why}");
        assert_eq!(ids(&held.newest_state()), ["10", "20", "30"], "the state before the gap");
        sets.push(set(50, Full, (9, 13)));
        let held = Held::new(&sets, 100);
        assert_eq!((held.base().unwrap().time, ids(&held.newest_state())), (50, vec!["50".to_owned()]));
        sets.push(HeldSet { stream: ("db".to_owned(), "new".to_owned()), ..set(60, Logs, (1, 2)) });
        let held = Held::new(&sets, 100);
        assert_eq!(held.base(), Err(NoBase::OtherStream { set: "60".to_owned() }));
        assert_eq!(ids(&held.newest_state()), ["50"]);
    }

    #[test]
    fn logs_of_a_windows_ca_that_was_made_anew_follow_no_set_of_the_old_one() {
        use SetKind::{Full, Logs};
        let of = |stream: &str, set: HeldSet| HeldSet { stream: (String::new(), stream.to_owned()), ..set };
        let old = set(10, Full, (0x1f5, 0x200));
        let held = Held::new(&[of("", old.clone()), of("", set(20, Logs, (5, 8)))], 100);
        assert!(matches!(held.base(), Err(NoBase::Gap { begins: 5, .. })), "{held:?}");
        assert_eq!(ids(&held.newest_state()), ["10"]);
        let held = Held::new(&[of("old", old), of("new", set(20, Logs, (0x200, 0x201)))], 100);
        assert_eq!(held.base(), Err(NoBase::OtherStream { set: "20".to_owned() }));
    }

    #[test]
    fn a_proof_is_recalled_while_its_set_is_there() {
        let sets = [set(10, SetKind::Full, (1, 5)), set(20, SetKind::Full, (6, 7))];
        let proven = |noted: Option<i64>, place: &str, id: &str, when| {
            let noted = noted.map(|when| ("noted".to_owned(), when));
            let mut held = Held { proven: noted, ..Held::new(&sets, 100) };
            let proof = crate::record::Proof { place: place.to_owned(), set: id.to_owned(), when };
            let mut attempts = Attempts::default();
            attempts.proven = Some(proof);
            held.recall("v:", &attempts, 100);
            held.proven.map(|(_, when)| when)
        };
        assert_eq!(proven(None, "v:", "20", 30), Some(30));
        assert_eq!(proven(None, "v:", "15", 30), None, "what is gone proves nothing");
        assert_eq!(proven(None, "other:", "20", 30), None, "nor does another place");
        assert_eq!(proven(Some(25), "v:", "20", 30), Some(30));
        assert_eq!(proven(Some(35), "v:", "20", 30), Some(35));
        assert_eq!(proven(Some(90_000), "v:", "20", 30), Some(30), "a clock was wrong");
        assert_eq!(proven(Some(25), "v:", "20", 90_000), Some(25));
    }

    #[test]
    fn a_chain_ends_before_a_damaged_set_unless_a_later_one_holds_the_same() {
        use SetKind::{Full, Logs};
        let mut sets =
            vec![set(10, Full, (1, 5)), set(20, Logs, (6, 6)), set(30, Logs, (7, 8)), set(40, Logs, (9, 9))];
        let held = |sets: &[HeldSet], damaged: &[&str]| Held {
            damaged: damaged.iter().map(|id| (*id).to_owned()).collect(),
            ..Held::new(sets, 100)
        };
        let damaged = |id: &str| Err(NoBase::Damaged { set: id.to_owned() });
        let cut = held(&sets, &["30"]);
        assert_eq!((ids(&cut.newest_state()), cut.base()), (vec!["10".into(), "20".into()], damaged("30")));
        assert_eq!(ids(&cut.stored_state()), ["10", "20", "30", "40"]);
        assert!(cut.has_doubtful_base() && cut.base().unwrap_err().to_string().contains("set 30 was found"));
        // The last set, and the first one.
        let last = held(&sets, &["40"]);
        assert_eq!((ids(&last.newest_state()).len(), last.base()), (3, damaged("40")));
        let first = held(&sets, &["10"]);
        assert_eq!((ids(&first.newest_state()).len(), first.base()), (0, damaged("10")));
        // An earlier full set is still one.
        sets.insert(0, set(5, Full, (1, 3)));
        assert_eq!(ids(&held(&sets, &["10"]).newest_state()), ["5"]);
        // Logs that were not deleted are in the next set, too.
        let overlapping = [sets.as_slice(), &[set(50, Logs, (7, 10))]].concat();
        let whole = held(&overlapping, &["30"]);
        assert_eq!(ids(&whole.newest_state()), ["10", "20", "50"]);
        assert_eq!(whole.base().unwrap().time, 10);
        // A full set that was taken after it.
        sets.push(set(60, Full, (10, 11)));
        let renewed = held(&sets, &["30"]);
        assert_eq!((renewed.base().unwrap().time, ids(&renewed.newest_state())), (60, vec!["60".into()]));
    }

    #[test]
    fn what_none_of_the_signers_has_signed_counts_for_nothing_and_a_full_set_has_to_follow() {
        use SetKind::{Full, Logs};
        let held = |signed: &[HeldSet], unsigned: &[HeldSet]| Held {
            unsigned: unsigned.iter().map(|set| (set.clone(), "nobody".to_owned())).collect(),
            ..Held::new(signed, 100)
        };
        let unsigned = |id: &str| Err(NoBase::Unsigned { set: id.to_owned(), why: "nobody".to_owned() });
        let (full, logs, last) = (set(10, Full, (1, 5)), set(20, Logs, (6, 7)), set(30, Logs, (8, 9)));
        // There is nothing else.
        let none = held(&[], &[full.clone(), logs.clone()]);
        assert_eq!((none.base(), none.newest_state().len()), (unsigned("10"), 0));
        assert_eq!(held(&[], std::slice::from_ref(&logs)).base(), Err(NoBase::NoFull));
        // The logs that the CA has deleted lie in it, whether others have followed or not.
        for sets in [&[full.clone()][..], &[full.clone(), last]] {
            let cut = held(sets, std::slice::from_ref(&logs));
            assert_eq!((cut.base(), ids(&cut.newest_state())), (unsigned("20"), vec!["10".to_owned()]));
            assert!(cut.has_doubtful_base() && cut.base().unwrap_err().to_string().ends_with(": nobody"));
        }
        // A copy of what is there changes nothing, whenever it says that it was taken.
        let copied = held(&[full.clone(), logs.clone()], &[HeldSet { time: 90, ..full.clone() }]);
        assert_eq!((copied.base().unwrap().time, copied.last_full().unwrap().time), (10, 10));
        // Nor does what was taken before the newest full set.
        let renewed = held(&[full, set(50, Full, (8, 9))], &[set(20, Logs, (6, 70))]);
        assert_eq!(renewed.base().unwrap().time, 50);
    }

    #[test]
    fn damage_is_recalled_where_it_was_found_and_of_that_set() {
        let sets = [set(10, SetKind::Full, (1, 5)), set(20_000, SetKind::Logs, (6, 7))];
        let damaged = |place: &str, id: &str, when| {
            let damage = crate::record::Damage { place: place.to_owned(), set: id.to_owned(), when };
            let mut held = Held::new(&sets, 30_000);
            let mut attempts = Attempts::default();
            attempts.damaged.push(damage);
            held.recall("v:", &attempts, 30_000);
            held.damaged.len()
        };
        assert_eq!(damaged("v:", "20000", 25_000), 1);
        assert_eq!(damaged("other:", "20000", 25_000), 0, "each place is judged by itself");
        assert_eq!(damaged("v:", "15", 25_000), 0, "it is gone");
        assert_eq!(damaged("v:", "20000", 11), 0, "another set has its name");
    }

    /// A full set from years ahead was the newest state for years, whatever was taken after it.
    #[test]
    fn a_date_of_a_wrong_clock_makes_no_set_the_newest() {
        use SetKind::{Full, Logs};
        let mut sets = vec![set(90_000, Full, (1, 5)), set(20, Logs, (6, 7))];
        assert_eq!(ids(&Held::new(&sets, 100).newest_state()), ["90000", "20"]);
        assert_eq!(Held::new(&sets, 100).base().unwrap().time, 90_000);
        sets.extend([set(30, Full, (8, 9)), set(40, Logs, (10, 11))]);
        let held = Held::new(&sets, 100);
        assert_eq!((held.base().unwrap().time, held.last_logs().unwrap().time), (30, 40));
        assert_eq!(ids(&held.newest_state()), ["30", "40"]);
    }

    #[test]
    fn a_log_set_alone_is_no_state() {
        let held = Held::new(&[set(10, SetKind::Logs, (1, 5))], 100);
        assert_eq!(held.newest_state().len(), 0);
        assert_eq!((held.base(), held.last_logs().unwrap().time), (Err(NoBase::NoFull), 10));
    }

    /// Set back to the state at the end of the full set, after two log sets were taken: the numbers begin again.
    #[test]
    fn the_state_of_a_ca_that_was_set_back_is_that_of_its_newest_past() {
        use SetKind::{Full, Logs};
        let sets = [
            set(10, Full, (1, 5)),
            set(20, Logs, (6, 6)),
            set(30, Logs, (7, 7)),
            set(40, Logs, (6, 6)),
            set(50, Logs, (7, 7)),
            set(60, Logs, (8, 8)),
        ];
        let link = |low, before, logs: &[u64]| Some(Arc::new(Links::thought_of(low, before, logs.to_vec())));
        let mut known = sets.clone();
        known[0].links = link(1, 0, &[1, 2, 3, 4, 5]);
        known[1].links = link(6, 5, &[6]);
        known[2].links = link(7, 6, &[7]);
        known[3].links = link(6, 5, &[60]);
        known[4].links = link(7, 60, &[70]);
        known[5].links = link(8, 70, &[80]);
        for sets in [sets, known.clone()] {
            for (count, expected) in
                [(3, &["10", "20", "30"][..]), (4, &["10", "40"]), (6, &["10", "40", "50", "60"])]
            {
                let held = Held::new(&sets[..count], 100);
                assert_eq!(
                    (ids(&held.newest_state()), held.base().unwrap().time),
                    (expected.iter().map(|id| (*id).to_owned()).collect(), 10)
                );
                assert_eq!(held.chain_of(&held.sets[0]).len(), count, "each of them can be restored");
            }
            // The first set of the new past is not here: a full backup is due.
            let torn = Held::new(&[&sets[..3], &sets[4..]].concat(), 100);
            assert_eq!(
                ids(&torn.newest_state()),
                // Without it nothing leads to where the CA stands now; numbers alone do not show that.
                if torn.sets[0].links.is_some() { &["10"][..] } else { &["10", "20", "50", "60"] }
            );
        }
        // Of a Windows CA the files tell it, where two sets hold a log of one number.
        let windows = |time, kind, generations: (u32, u32), logs: Vec<u64>| {
            let mut set = set(time, kind, generations);
            set.stream.0.clear();
            assert!(!set.stream.1.is_empty());
            HeldSet { links: Some(Arc::new(Links::thought_of_windows(generations.0, logs))), ..set }
        };
        let torn = [
            windows(10, Full, (1, 10), (1..=10).collect()),
            windows(20, Logs, (11, 20), (11..=20).collect()),
            windows(30, Logs, (15, 22), (115..=122).collect()),
        ];
        assert!(matches!(Held::new(&torn, 100).base(), Err(NoBase::Gap { expected: 11, begins: 15, .. })));
        // It was set back to before the full set.
        let early = Held::new(&[set(10, Full, (4, 5)), set(20, Logs, (3, 4))], 100);
        assert!(matches!(early.base(), Err(NoBase::Gap { begins: 3, .. })), "{early:?}");
    }
}
