//! `--latest-in` and `--at`: which sets of a folder or a repository are meant.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_rules::FileTime;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::words::{counted, shell_word};
use certadm_set::folder::FolderSet;
use certadm_set::manifest::SetKind;
use certadm_set::signing::AllowedSigners;
use certadm_set::stored::{Stored, age, chain, newest_first};
use certadm_set::{Until, folder};
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::until::moment;

/// Sets that are chosen by the command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LatestArgs {
    /// Take the newest state of the sets in this folder, or of the repository vault:CA: a full set, and the log sets that
    /// continue it
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    latest_in: Option<PathBuf>,
    /// With --latest-in: the state at this moment, such as 2026-11-27T10:00:00Z, or the last one before it
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "latest_in", conflicts_with_all = ["from", "until_generation", "until_time"])]
    at: Option<FileTime>,
}

/// What was chosen.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The sets, full one first, or an address that stands for them.
    pub(crate) sets: Vec<PathBuf>,
    /// How far they are used.
    pub(crate) until: Option<Until>,
    /// What was passed over though it may be newer, and why; told already.
    pub(crate) warnings: Vec<String>,
}

impl LatestArgs {
    /// The sets that are meant; `None` where the person names them. Where signers are, only sets that one of them signed are
    /// looked at: whoever can put a set there must not decide by it which one is restored.
    ///
    /// # Errors
    /// Usage when sets of several CAs lie there; refused when nothing there can be restored; when the disk does not tell of a set, which
    /// may be the newest; as [`folder::list`].
    pub(crate) fn choose(
        &self,
        allowed: Option<&AllowedSigners>,
        output: Output,
    ) -> Result<Option<Chosen>, Failure> {
        let Some(place) = &self.latest_in else { return Ok(None) };
        #[cfg(feature = "repository")]
        if let Some(address) = super::places::address(place)? {
            let repository = super::places::open(&address)?;
            let points = repository.points()?;
            let began = |point: &certadm_repository::Point| began(point, point.seconds);
            // What a set gives is not known before it is fetched.
            let (last, until) = self.state(place, &points, began, |_, _| false)?;
            output.line(told(last, until));
            let address = format!("{}/{}", repository.address(), last.id());
            return Ok(Some(Chosen { sets: vec![address.into()], until, warnings: Vec::new() }));
        }
        let listed = folder::list(place)?.told_by_the_disk()?;
        for path in &listed.unsealed {
            output.line(format!("Left out {}: it has no manifest.", path.display()));
        }
        let (listed, unsigned) = match allowed {
            Some(allowed) => listed.vouched_for(allowed),
            None => (listed, Vec::new()),
        };
        let (sets, mut left_out) = (listed.sets, listed.unreadable);
        left_out.extend(unsigned.into_iter().map(|(set, error)| (set.path, error)));
        let warnings = RefCell::new(Vec::new());
        let warn = |path: &Path, error: &certadm_set::Error| {
            let warning = format!("{} is left out: {}", path.display(), chain_of(error));
            output.result(format!("Warning: {warning}."));
            warnings.borrow_mut().push(warning);
        };
        left_out.iter().for_each(|(path, error)| warn(path, error));
        let gives = |chain: &[&FolderSet], until: Until| {
            let paths: Vec<PathBuf> = chain.iter().map(|set| set.path.clone()).collect();
            match certadm_set::open(&paths).and_then(|opened| opened.until(until)) {
                Ok(_) => true,
                Err(certadm_set::Error::NotReachable { .. }) => false,
                // Its state may be nearer to the moment than that of the sets before it.
                Err(error) => {
                    paths.last().iter().for_each(|path| warn(path, &error));
                    false
                }
            }
        };
        let (last, until) = self.state(place, &sets, |set| began(set, set.seconds), gives)?;
        output.line(told(last, until));
        let (all, now): (Vec<_>, _) = (sets.iter().collect(), certadm_store::now().unix_seconds());
        let needed = chain(&all, last, now).map_err(|why| nothing(place, &why))?;
        let sets = needed.into_iter().map(|set| set.path.clone()).collect();
        Ok(Some(Chosen { sets, until, warnings: warnings.into_inner() }))
    }

    /// The last set of the state that is meant, and how far it is used. `began` says when the backup of a set began, and `gives`
    /// whether sets that make a chain give a state.
    fn state<'a, S: Stored>(
        &self,
        place: &Path,
        sets: &'a [S],
        began: impl Fn(&S) -> i64,
        gives: impl Fn(&[&S], Until) -> bool,
    ) -> Result<(&'a S, Option<Until>), Failure> {
        let cas: BTreeSet<(&str, &str)> = sets.iter().map(|set| (set.ca(), set.database())).collect();
        if 1 < cas.len() {
            let count = counted(cas.len() as u64, "database");
            let text = format!("sets of {count} lie in {}", place.display());
            let remedy =
                format!("see `certadm sets {}`, and name the sets by --from", shell_word(place.display()));
            return Err(Failure::usage(text, remedy));
        }
        let (all, now): (Vec<&S>, _) = (sets.iter().collect(), certadm_store::now().unix_seconds());
        let mut states: Vec<&S> = all.iter().copied().filter(|set| chain(&all, set, now).is_ok()).collect();
        let newest = newest_first(&states, now).first().copied();
        let newest = newest.ok_or_else(|| nothing(place, "no full set lies there"))?;
        let Some(at) = self.at else { return Ok((newest, None)) };
        let (seconds, until) = (at.unix_seconds(), Until::LastBefore(at));
        states.sort_by(|one, other| age(*one).cmp(&age(*other)));
        let base = |set| chain(&all, set, now).ok().and_then(|chain| chain.first().map(|full| full.id()));
        // The set that was taken later and leads on from a full set up to the moment. Its last log ended at some time while it was
        // taken: after the moment for certain only if it began after that. The sets before it are in its chain.
        let leads_on = |from: Option<&str>| {
            let later = states.iter().rev().copied().filter(|set| seconds < set.time() && base(*set) == from);
            let mut last = None;
            for set in later {
                last = Some(set);
                if seconds < began(set) {
                    break;
                }
            }
            last
        };
        // What a full set gives ended while it was taken, too, and may be nearer than what came before it.
        let is_around = |set: &&S| began(*set) <= seconds && seconds < set.time();
        let around = states.iter().copied().find(|set| set.kind() == SetKind::Full && is_around(set));
        if let Some(last) = around.and_then(|full| leads_on(Some(full.id())))
            && chain(&all, last, now).is_ok_and(|chain| gives(&chain, until))
        {
            return Ok((last, Some(until)));
        }
        let before = states.iter().copied().find(|set| set.time() <= seconds);
        let before = before.ok_or_else(|| {
            nothing(place, &format!("no set there is of {at} or before", at = at.to_rfc3339()))
        })?;
        Ok(leads_on(base(before)).map_or((before, None), |set| (set, Some(until))))
    }
}

/// When the backup of a set began that took so many seconds.
fn began<S: Stored>(set: &S, took: u64) -> i64 {
    set.time().saturating_sub_unsigned(took)
}

fn told<S: Stored>(last: &S, until: Option<Until>) -> String {
    let taken = FileTime::from_unix_seconds(last.time()).to_rfc3339();
    let until = match until {
        Some(_) => ", no further than was asked for",
        None => "",
    };
    format!("Chosen: the state that ends with {}, taken {taken}{until}.", last.name())
}

fn nothing(place: &Path, why: &str) -> Failure {
    let error = certadm_set::Error::NothingToRestore { path: place.to_owned(), detail: why.to_owned() };
    Failure::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backup of one CA, from and to a second.
    struct Kept {
        name: &'static str,
        taken: (i64, i64),
        kind: SetKind,
        generations: (u32, u32),
    }

    impl Stored for Kept {
        fn id(&self) -> &str {
            self.name
        }

        fn time(&self) -> i64 {
            self.taken.1
        }

        fn ca(&self) -> &str {
            "CA"
        }

        fn kind(&self) -> SetKind {
            self.kind
        }

        fn database(&self) -> &str {
            "aa"
        }

        fn stream(&self) -> &str {
            "bb"
        }

        fn generations(&self) -> (u32, u32) {
            self.generations
        }

        fn bytes(&self) -> u64 {
            0
        }

        fn is_held(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_moment_within_a_backup_is_that_of_a_later_set() {
        let set = |name, taken, kind, generations| Kept { name, taken, kind, generations };
        let sets = [
            set("full", (0, 10), SetKind::Full, (1, 2)),
            set("noon", (20, 30), SetKind::Logs, (3, 4)),
            set("evening", (40, 50), SetKind::Logs, (5, 6)),
            set("night", (60, 70), SetKind::Logs, (7, 8)),
            set("second", (80, 90), SetKind::Full, (9, 10)),
            set("morning", (100, 110), SetKind::Logs, (11, 12)),
        ];
        let chosen = |moment: i64, sets: &[Kept], full_gives: bool| {
            let at = FileTime::from_unix_seconds(moment);
            let args = LatestArgs { latest_in: None, at: Some(at) };
            let state = args.state(Path::new("sets"), sets, |set| set.taken.0, |_, _| full_gives);
            let (last, until) = state.ok()?;
            assert!(until.is_none_or(|until| until == Until::LastBefore(at)));
            Some((last.name, until.is_some()))
        };
        for (moment, expected) in [
            (9, None),
            (10, Some(("noon", true))),
            (19, Some(("noon", true))),
            (20, Some(("evening", true))),
            (29, Some(("evening", true))),
            (30, Some(("evening", true))),
            (45, Some(("night", true))),
            (65, Some(("night", true))),
            (75, Some(("night", false))),
            (85, Some(("night", false))),
            (95, Some(("morning", true))),
            (105, Some(("morning", true))),
            (110, Some(("morning", false))),
        ] {
            assert_eq!(chosen(moment, &sets, false), expected, "{moment}");
        }
        // A full set that ended its logs before the moment.
        assert_eq!(chosen(85, &sets, true), Some(("morning", true)));
        assert_eq!(chosen(85, &sets[..5], true), Some(("second", true)));
        assert_eq!(chosen(5, &sets, true), Some(("noon", true)));
        assert_eq!(chosen(25, &sets[..2], false), Some(("noon", true)), "up to its end");
    }
}
