//! What happens in the two weeks, and when.

const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 1970-01-05 was a Monday.
const MONDAY: i64 = 4 * DAY;

/// Whose steps have failed when one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Nobody,
    All,
    Lost,
    Damaged,
}

impl Whose {
    pub(super) fn includes(self, at: usize, lost: usize, damaged: usize) -> bool {
        match self {
            Self::Nobody => false,
            Self::All => true,
            Self::Lost => at == lost,
            Self::Damaged => at == damaged,
        }
    }
}

/// Something that happens beside the agent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    /// Every CA issues a certificate, and may publish a CRL.
    Issue { publish: bool },
    /// The vault cannot be reached.
    Unplug,
    /// It can be reached again.
    Plug,
    /// A CA is lost.
    Lose,
    /// It is restored.
    BringBack,
    /// It is noted what the repository of a CA holds.
    Note,
    /// What it has stored since is damaged.
    Damage,
    /// The agent has read it: it is looked what it has done, and what can be restored.
    Prove,
    /// Somebody looks at page and figures.
    Look { when: &'static str, failed: Whose, late: bool },
}

impl Happening {
    /// What a person is told of it.
    pub(super) fn text(self, lost: &str, damaged: &str) -> Option<String> {
        match self {
            Self::Issue { .. } | Self::Note | Self::Prove | Self::Look { .. } => None,
            Self::Unplug => Some("the vault cannot be reached".to_owned()),
            Self::Plug => Some("the vault can be reached again".to_owned()),
            Self::Lose => Some(format!("{lost} is lost, with its folder")),
            Self::BringBack => Some(format!("{lost} is restored from its newest state")),
            Self::Damage => Some(format!("the newest set of logs of {damaged} is damaged")),
        }
    }
}

/// The Monday that the two weeks begin with: they end before `now`, so that nothing in them lies in the future of a disk's clock.
pub(super) const fn begin_of(now: i64) -> i64 {
    let latest = now - 16 * DAY - MONDAY;
    latest - latest.rem_euclid(7 * DAY) + MONDAY
}

/// Everything that happens, in its order. The last one ends the drill.
pub(super) fn timeline(begin: i64) -> Vec<(i64, Happening)> {
    let at = |day: i64, hour: i64, minute: i64| begin + day * DAY + hour * HOUR + minute * MINUTE;
    let look = |when, failed, late| Happening::Look { when, failed, late };
    let mut all = vec![
        (at(1, 12, 0), look("on a quiet day", Whose::Nobody, false)),
        (at(2, 9, 0), Happening::Unplug),
        (at(2, 15, 0), look("while the vault cannot be reached", Whose::All, false)),
        (at(2, 19, 0), Happening::Plug),
        (at(3, 8, 0), look("on the day after", Whose::Nobody, false)),
        (at(8, 12, 30), Happening::Issue { publish: false }),
        (at(8, 13, 0), Happening::Lose),
        (at(9, 9, 30), look("while a CA is lost", Whose::Lost, true)),
        (at(9, 10, 0), Happening::BringBack),
        (at(10, 11, 55), Happening::Note),
        (at(10, 12, 30), Happening::Damage),
        // The verification of 05:00 fails, and is done again five minutes later.
        (at(11, 5, 1), look("while a set of logs is damaged", Whose::Damaged, false)),
        (at(11, 5, 2), Happening::Prove),
        (at(14, 8, 0), look("at the end", Whose::Nobody, false)),
    ];
    for day in 0..14 {
        all.push((at(day, 11, 0), Happening::Issue { publish: day % 3 == 2 }));
        all.push((at(day, 23, 0), Happening::Issue { publish: false }));
    }
    all.sort_by_key(|(when, _)| *when);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weeks_begin_on_a_monday_and_end_before_now() {
        for now in (1_790_000_000..1_790_000_000 + 8 * DAY).step_by(3_599) {
            let begin = begin_of(now);
            assert_eq!((begin - MONDAY).rem_euclid(7 * DAY), 0);
            assert!(timeline(begin).iter().all(|(when, _)| begin < *when && *when < now - DAY));
        }
    }
}
