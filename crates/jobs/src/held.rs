//! What a target holds of a CA: its sets, oldest first, and what is proven. What is due is decided from this alone, so that
//! nothing else has to be kept or can be lost.

use certadm_set::manifest::SetKind;

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
}

/// The sets of a CA at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub(crate) sets: Vec<HeldSet>,
    /// The newest set whose state is proven, by its id, and when that was noted.
    pub proven: Option<(String, i64)>,
    /// Sets that could not be read, each with what is wrong.
    pub unreadable: Vec<(String, String)>,
}

/// Why log sets cannot follow at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBase {
    /// There is no full set.
    NoFull,
    /// The newest log set does not continue what is there.
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
}

impl std::fmt::Display for NoBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFull => f.write_str("no full set is there"),
            Self::Gap { set, expected, begins } => write!(
                f,
                "the log set {set} begins with generation {begins:#x}, and generation {expected:#x} is missing"
            ),
            Self::OtherStream { set } => {
                write!(f, "the log set {set} is of another stream of logs than the full set before it")
            }
        }
    }
}

impl Held {
    /// These sets.
    #[must_use]
    pub fn new(mut sets: Vec<HeldSet>) -> Self {
        sets.sort_by_key(|set| (set.time, set.generations.1));
        Self { sets, ..Self::default() }
    }

    /// All sets, the oldest first.
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

    /// The newest state that can be restored: a full set and the log sets that continue it without a gap.
    #[must_use]
    pub fn newest_state(&self) -> Vec<&HeldSet> {
        // Newest full set first; a later one alone wins over an earlier one with logs that end before it.
        let fulls = self.sets.iter().rev().filter(|set| set.kind == SetKind::Full);
        let chains = fulls.map(|full| self.continued(full).0);
        chains
            .max_by_key(|chain| chain.last().map(|last| (last.time, last.generations.1)))
            .unwrap_or_default()
    }

    /// The full set that the next log set can follow.
    ///
    /// # Errors
    /// Why there is none.
    pub fn base(&self) -> Result<&HeldSet, NoBase> {
        let full = self.last_full().ok_or(NoBase::NoFull)?;
        match self.continued(full).1 {
            None => Ok(full),
            Some(why) => Err(why),
        }
    }

    /// The sets that can be restored from a full set on: it, and the log sets that continue it without a gap.
    pub(crate) fn chain_of<'a>(&'a self, full: &'a HeldSet) -> Vec<&'a HeldSet> {
        self.continued(full).0
    }

    /// The chain from a full set on, and what ends it before the newest log set that was taken after it.
    fn continued<'a>(&'a self, full: &'a HeldSet) -> (Vec<&'a HeldSet>, Option<NoBase>) {
        let mut chain = vec![full];
        let mut covered = full.generations.1;
        let at = self.sets.iter().position(|set| std::ptr::eq(set, full)).unwrap_or_default();
        for set in self.sets.iter().skip(at + 1).filter(|set| set.kind == SetKind::Logs) {
            if set.stream != full.stream {
                return (chain, Some(NoBase::OtherStream { set: set.id.clone() }));
            }
            let (begins, ends) = set.generations;
            let expected = covered.saturating_add(1);
            if expected < begins {
                return (chain, Some(NoBase::Gap { set: set.id.clone(), expected, begins }));
            }
            if covered < ends {
                covered = ends;
                chain.push(set);
            }
        }
        (chain, None)
    }
}

#[cfg(test)]
mod tests {
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
        let held = Held::new(sets.clone());
        assert_eq!(held.base().unwrap().time, 10);
        assert_eq!(ids(&held.newest_state()), ["10", "20", "30"]);
        sets.push(set(40, Logs, (10, 12)));
        let held = Held::new(sets.clone());
        let why = held.base().unwrap_err();
        assert_eq!(why, NoBase::Gap { set: "40".to_owned(), expected: 9, begins: 10 });
        assert!(why.to_string().contains("0x9 is missing"), "{why}");
        assert_eq!(ids(&held.newest_state()), ["10", "20", "30"], "the state before the gap");
        sets.push(set(50, Full, (9, 13)));
        let held = Held::new(sets.clone());
        assert_eq!((held.base().unwrap().time, ids(&held.newest_state())), (50, vec!["50".to_owned()]));
        sets.push(HeldSet { stream: ("db".to_owned(), "new".to_owned()), ..set(60, Logs, (1, 2)) });
        let held = Held::new(sets);
        assert_eq!(held.base(), Err(NoBase::OtherStream { set: "60".to_owned() }));
        assert_eq!(ids(&held.newest_state()), ["50"]);
    }

    #[test]
    fn a_log_set_alone_is_no_state() {
        let held = Held::new(vec![set(10, SetKind::Logs, (1, 5))]);
        assert_eq!(held.newest_state().len(), 0);
        assert_eq!((held.base(), held.last_logs().unwrap().time), (Err(NoBase::NoFull), 10));
    }
}
