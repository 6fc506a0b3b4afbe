//! A CA that is set back to an earlier state, or copied, gives its generations again: sets of its pasts beside each other, against a
//! model that knows which log each of them holds.

use std::collections::BTreeSet;
use std::fs;

use certadm_files::durable;
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_set::folder::{self, FolderSet};
use certadm_set::links::Links;
use certadm_set::manifest::{Manifest, SetKind};
use certadm_set::prune::Prune;
use certadm_set::retain::{Keep, judge, to_delete};
use certadm_set::standing::standings;
use certadm_set::stored::{Stored, chain, newest_first};
use certadm_set::verify::verify;
use certadm_tests::plain_set::copy_folder;
use proptest::prelude::*;

use crate::common::{Ca, scratch};
use crate::prune::taken;

const NOW: i64 = 1_800_000_000;

/// A set, and what the model knows of it: its logs as the generations from the lowest on.
#[derive(Clone, Debug)]
struct Kept {
    id: String,
    time: i64,
    kind: SetKind,
    /// The log before the lowest one, and its logs.
    logs: (u32, u64, Vec<u64>),
    links: Option<Links>,
}

impl Kept {
    fn low(&self) -> u32 {
        self.logs.0
    }

    fn high(&self) -> u32 {
        self.low() + u32::try_from(self.logs.2.len()).unwrap() - 1
    }

    fn log(&self, generation: u32) -> Option<u64> {
        match generation.checked_sub(self.low()) {
            Some(place) => self.logs.2.get(place as usize).copied(),
            None => (generation + 1 == self.low()).then_some(self.logs.1),
        }
    }
}

impl Stored for Kept {
    fn id(&self) -> &str {
        &self.id
    }
    fn time(&self) -> i64 {
        self.time
    }
    fn ca(&self) -> &'static str {
        "CA"
    }
    fn kind(&self) -> SetKind {
        self.kind
    }
    fn database(&self) -> &'static str {
        "database"
    }
    fn stream(&self) -> &'static str {
        "stream"
    }
    fn generations(&self) -> (u32, u32) {
        (self.low(), self.high())
    }
    fn bytes(&self) -> u64 {
        1
    }
    fn is_held(&self) -> bool {
        false
    }
    fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }
}

/// A CA as the model has it: each log that it ever wrote in this past, by its generation, and the lowest that is still there.
#[derive(Clone, Debug)]
struct Model {
    /// By generation, from 0 on; that of 0 stands for none.
    logs: Vec<u64>,
    lowest: usize,
}

/// What happens, one after the other: what, to which CA, and how many logs are written before.
type Steps = Vec<(u8, u8, u8)>;

/// The sets that are taken. Where `copied`, a CA that is set back lives on as well.
fn history(steps: &Steps, copied: bool, known: bool) -> Vec<Kept> {
    let mut cas = vec![Model { logs: vec![0], lowest: 1 }];
    let mut snapshots: Vec<Model> = Vec::new();
    let mut next = 1;
    let mut sets: Vec<Kept> = Vec::new();
    for (number, (what, which, more)) in steps.iter().enumerate() {
        let place = usize::from(*which) % cas.len();
        let ca = &mut cas[place];
        for _ in 0..=*more {
            ca.logs.push(next);
            next += 1;
        }
        match what {
            0 => snapshots.push(ca.clone()),
            1 => {
                let at = usize::from(*which) % snapshots.len().max(1);
                let Some(back) = snapshots.get(at).cloned() else { continue };
                match copied {
                    true => cas.push(back),
                    false => {
                        *ca = back;
                        // What came after that moment is given up.
                        snapshots.truncate(at + 1);
                    }
                }
            }
            _ => {
                let is_full = sets.is_empty() || *what < 4;
                let first = ca.lowest;
                sets.push(Kept {
                    id: format!("{number:04}"),
                    time: NOW - 1_000_000 + i64::try_from(number).unwrap() * 10_000,
                    kind: if is_full { SetKind::Full } else { SetKind::Logs },
                    logs: (u32::try_from(first).unwrap(), ca.logs[first - 1], ca.logs[first..].to_vec()),
                    links: None,
                });
                if what % 2 == 0 {
                    ca.lowest = ca.logs.len();
                }
            }
        }
    }
    for set in sets.iter_mut().filter(|_| known) {
        set.links = Some(Links::thought_of(set.logs.0, set.logs.1, set.logs.2.clone()));
    }
    sets
}

/// Whether a restore of this chain gives the state that its last set ends with: each set leads on from the one before, and no two hold
/// different logs of one number.
fn verifies(chain: &[&Kept]) -> bool {
    let leads_on = chain.windows(2).all(|pair| {
        let (before, after) = (pair[0], pair[1]);
        after.low() <= before.high() + 1 && before.high() <= after.high()
    });
    let mut all = chain.iter().flat_map(|one| chain.iter().map(move |other| (*one, *other)));
    let agrees = |(one, other): (&Kept, &Kept)| {
        (one.low() - 1..=one.high()).all(|generation| {
            let (one, other) = (one.log(generation), other.log(generation));
            one.is_none() || other.is_none() || one == other
        })
    };
    chain[0].kind == SetKind::Full && leads_on && all.all(agrees)
}

fn steps() -> impl Strategy<Value = Steps> {
    prop::collection::vec((0_u8..10, 0_u8..4, 0_u8..3), 1..30)
}

fn rules() -> impl Strategy<Value = Keep> {
    (1_u32..4, 0_u32..3).prop_map(|(last, daily)| Keep { last, daily, ..Keep::default() })
}

/// What stays by some rules.
fn pruned(sets: &[Kept], keep: &Keep) -> Vec<Kept> {
    let fates = judge(sets, &BTreeSet::new(), keep, NOW);
    let gone: BTreeSet<&str> = to_delete(&fates, NOW).into_iter().map(Stored::id).collect();
    sets.iter().filter(|set| !gone.contains(set.id())).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of a CA that was set back or copied, any number of times, whatever was pruned.
    #[test]
    fn where_logs_are_known_each_chain_verifies(steps in steps(), copied: bool, keep in rules()) {
        let sets = history(&steps, copied, true);
        let all: Vec<&Kept> = sets.iter().collect();
        let rest = pruned(&sets, &keep);
        let rest: Vec<&Kept> = rest.iter().collect();
        for set in &all {
            // Every set of the model continues the full set that was taken first, or one after it, in its own past.
            let found = chain(&all, set, NOW).ok();
            if let Some(found) = &found {
                prop_assert!(verifies(found), "{found:?}");
            }
            if let Some(kept) = rest.iter().find(|kept| kept.id == set.id) {
                let kept = chain(&rest, kept, NOW).ok();
                prop_assert_eq!(found.is_some(), kept.is_some(), "{:?}", set);
                prop_assert!(kept.is_none_or(|kept| verifies(&kept)));
            }
        }
        // Of each past that is there the newest state stays, as long as a set of it contradicts what stays.
        let newest = newest_first(&all, NOW).into_iter().find_map(|set| chain(&all, set, NOW).ok());
        for gone in all.iter().filter(|set| rest.iter().all(|kept| kept.id != set.id)) {
            let other = newest.as_ref().is_some_and(|newest| newest.iter().any(|of| !verifies_beside(gone, of)));
            let later = rest.iter().any(|kept| {
                gone.time < kept.time && newest.iter().flatten().any(|of| !verifies_beside(kept, of))
                    && chain(&rest, kept, NOW).is_ok_and(|kept| kept.iter().all(|of| verifies_beside(gone, of)))
            });
            prop_assert!(!other || later, "the last of its past goes: {gone:?}");
        }
        for standing in standings(&all, NOW) {
            if let Some(later) = standing.superseded_by {
                let set = standing.set;
                prop_assert!((set.low()..=set.high()).all(|log| set.log(log) == later.log(log)));
            }
        }
    }

    /// Where only numbers and dates are known, a CA that was set back still has its newest state.
    #[test]
    fn where_numbers_alone_are_known_the_newest_state_verifies(steps in steps(), keep in rules()) {
        // Log sets may reach back before a full set. Where one is of a past that was left, numbers do not show it; so there is but one.
        let steps: Steps = steps.into_iter().map(|(what, which, more)| {
            (if (2..4).contains(&what) { what + 2 } else { what }, which, more)
        }).collect();
        let sets = history(&steps, false, false);
        let rest = pruned(&sets, &keep);
        let known = history(&steps, false, true);
        for sets in [sets, rest] {
            let all: Vec<&Kept> = sets.iter().collect();
            let known: Vec<&Kept> = known.iter().filter(|known| all.iter().any(|set| set.id == known.id)).collect();
            let Some(newest) = newest_first(&all, NOW).first().copied() else { continue };
            let same = known.iter().find(|known| known.id == newest.id).unwrap();
            // It was set back to before its first full set otherwise.
            if chain(&known, same, NOW).is_ok() {
                let newest = chain(&all, newest, NOW).unwrap();
                prop_assert!(verifies(&newest), "{newest:?} of {sets:?}");
            }
        }
    }
}

/// Sets of a real CA that was set back to the copy of its folder, twice two log sets.
#[test]
fn a_real_ca_that_was_set_back_keeps_both_pasts() {
    let dir = scratch();
    let sets = dir.path().join("sets");
    durable::create_dir(&sets).unwrap();
    let mut time = NOW - 10_000;
    let mut take = |ca: &mut Ca, name: &str, kind| {
        time += 100;
        taken(ca, &sets.join(name), (kind, true), time);
    };
    let (folder, copy) = (dir.path().join("ca"), dir.path().join("copy"));
    let mut ca = Ca::create(&folder);
    take(&mut ca, "full", BackupType::Full);
    drop(ca);
    copy_folder(&folder, &copy);
    for (past, serial) in [("a", 100), ("b", 200)] {
        let mut ca = Ca::open(&folder, serial);
        for number in 1..=2 {
            take(&mut ca, &format!("{past}{number}"), BackupType::LogsOnly);
        }
        drop(ca);
        fs::remove_dir_all(&folder).unwrap();
        copy_folder(&copy, &folder);
    }
    let chain_of = |name: &str| {
        let listed = folder::list(&sets).unwrap().sets;
        let all: Vec<&FolderSet> = listed.iter().collect();
        let last = listed.iter().find(|set| set.name == name).unwrap();
        let chain = chain(&all, last, NOW).unwrap();
        chain.into_iter().map(|set| set.path.clone()).collect::<Vec<_>>()
    };
    for (last, before) in [("a2", "a1"), ("b2", "b1")] {
        assert_eq!(chain_of(last), ["full", before, last].map(|name| sets.join(name)));
        assert!(verify(&chain_of(last), &mut Silent).is_restorable());
    }
    let listed = folder::list(&sets).unwrap().sets;
    let told: Vec<_> = standings(&listed.iter().collect::<Vec<_>>(), NOW)
        .into_iter()
        .map(|standing| {
            (standing.set.name.clone(), standing.superseded_by.is_some(), standing.is_of_another_past)
        })
        .collect();
    let of = |name: &str, is_other| (name.to_owned(), false, is_other);
    assert_eq!(told, [of("full", false), of("a1", true), of("a2", true), of("b1", false), of("b2", false)]);
    let keep = Keep { last: 1, ..Keep::default() };
    let prune = Prune::plan(&sets, &keep, &mut |_| false, NOW).unwrap();
    prune.carry_out(&mut |_| ()).unwrap();
    drop(prune);
    assert!(verify(&chain_of("b2"), &mut Silent).is_restorable());
    assert!(verify(&chain_of("a2"), &mut Silent).is_restorable(), "nobody else knows what was issued then");
}

/// A CA as Windows has it: its sets do not name their database. It was set back after a log set, and went on with the numbers of that.
#[test]
fn what_a_windows_ca_has_issued_before_it_was_set_back_stays() {
    let dir = scratch();
    let sets = dir.path().join("sets");
    durable::create_dir(&sets).unwrap();
    let mut time = NOW - 10_000;
    let mut take = |ca: &mut Ca, name: &str, kind| {
        time += 100;
        taken(ca, &sets.join(name), (kind, true), time);
        let file = sets.join(name).join("manifest.json");
        let mut manifest = Manifest::parse(&fs::read(&file).unwrap()).unwrap();
        manifest.ca.database_signature.clear();
        fs::write(&file, manifest.complete().unwrap()).unwrap();
    };
    let (folder, copy) = (dir.path().join("ca"), dir.path().join("copy"));
    let mut ca = Ca::create(&folder);
    take(&mut ca, "F1", BackupType::Full);
    take(&mut ca, "L2", BackupType::LogsOnly);
    drop(ca);
    copy_folder(&folder, &copy);
    let mut ca = Ca::open(&folder, 100);
    take(&mut ca, "L3", BackupType::LogsOnly);
    drop(ca);
    fs::remove_dir_all(&folder).unwrap();
    copy_folder(&copy, &folder);
    let mut ca = Ca::open(&folder, 200);
    take(&mut ca, "L4", BackupType::LogsOnly);
    let standing = || {
        let listed = folder::list(&sets).unwrap().sets;
        let all: Vec<&FolderSet> = listed.iter().collect();
        let told = standings(&all, NOW).into_iter().map(|standing| {
            (standing.set.name.clone(), standing.superseded_by.is_some(), standing.is_of_another_past)
        });
        told.collect::<Vec<_>>()
    };
    let of = |name: &str, is_other| (name.to_owned(), false, is_other);
    assert_eq!(standing(), [of("F1", false), of("L2", false), of("L3", true), of("L4", false)]);
    let pruned = || {
        let keep = Keep { last: 1, ..Keep::default() };
        let prune = Prune::plan(&sets, &keep, &mut |_| false, NOW).unwrap();
        prune.carry_out(&mut |_| ()).unwrap();
        let mut names: Vec<_> = folder::list(&sets).unwrap().sets.into_iter().map(|set| set.name).collect();
        names.sort();
        names
    };
    assert_eq!(pruned(), ["F1", "L2", "L3", "L4"]);
    // Nothing says which of the two logs a new full set follows.
    take(&mut ca, "F5", BackupType::Full);
    take(&mut ca, "L6", BackupType::LogsOnly);
    take(&mut ca, "F7", BackupType::Full);
    assert!(standing().iter().all(|(_, is_superseded, _)| !is_superseded));
    assert_eq!(pruned(), ["F1", "F7", "L2", "L3", "L4"], "what was given once expires");
}

/// Whether no log of one contradicts one of the other.
fn verifies_beside(one: &Kept, other: &Kept) -> bool {
    (one.low() - 1..=one.high()).all(|generation| {
        let (one, other) = (one.log(generation), other.log(generation));
        one.is_none() || other.is_none() || one == other
    })
}
