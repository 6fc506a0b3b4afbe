//! Expiry: sets that no rule keeps go, and then the packs that no set needs any more, in two phases (repository.md 6).

use std::collections::BTreeSet;
use std::sync::Arc;

use certadm_files::cancel;
use certadm_set::links::Links;
use certadm_set::retain::{Fate, Keep, judge, to_delete};
use certadm_set::stored::{age, chain};
use rustic_core::jiff::Span;
use rustic_core::{FileType, Id, PruneOptions};

use crate::belied::disputed;
use crate::bridge::{Bridge, get_unchanged, id_of, is_named_after, name_of};
use crate::engine::{self, Unexplained, call, of_storage};
use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::point::{Point, points};
use crate::proven;
use crate::reader::Reader;
use crate::secret::Secret;
use crate::turn::Turn;
use crate::vault::CaRepository;

/// A pack that no set needs is kept so long before it is marked, and so long again before it is deleted, in seconds: a
/// backup that is under way may lean on it.
const REST: u64 = 48 * 3_600;
/// What keeps a set that is not what its snapshot says, or whose manifest cannot be read.
const BELIED: &str = "it is not what its snapshot says";
/// What keeps sets of which nobody can tell which is the true one.
const DISPUTED: &str = "another snapshot of this backup has other data";
/// A prune is repeated when a set that came meanwhile leans on what it has marked.
const ROUNDS: u32 = 3;

/// How sets expire.
#[derive(Clone, Copy, Debug)]
pub struct ExpiryOptions {
    /// The rules.
    pub keep: Keep,
    /// Takes the turn over from somebody who is not known to be gone.
    pub take_over: bool,
    /// How long packs rest, in seconds; 48 hours where it is `None`, or twice the longest backup if that is more. Less is for
    /// tests.
    pub rest: Option<u64>,
}

/// What would expire. Nobody else can expire sets of this repository while it lives.
#[derive(Debug)]
pub struct Expiry {
    objects: Arc<dyn Objects>,
    secret: Secret,
    address: String,
    turn: Turn,
    fates: Vec<Fate<Point>>,
    rest: u64,
}

/// What became of the packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Packs that no set needs, and that wait for a later expiry to delete them.
    pub waiting: u64,
    /// Packs that were deleted.
    pub deleted: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packs that were packed anew, because a part of them is needed.
    pub repacked: u64,
}

impl CaRepository {
    /// Judges the sets by the clock of the storage, and deletes nothing.
    ///
    /// # Errors
    /// [`Error::NoRules`], [`Error::NoMaintenance`], [`Error::Busy`], [`Error::Clock`]; [`Error::Damaged`] when packs are
    /// lost, because an older set may then be the only sound one; as [`CaRepository::points`].
    pub fn expiry(&self, options: &ExpiryOptions) -> Result<Expiry> {
        if options.keep.is_empty() {
            return Err(Error::NoRules { vault: self.vault.clone() });
        }
        self.refuse_without_maintenance()?;
        // Before anything is written, and with its error if there is no repository.
        engine::open(&Bridge::new(Arc::clone(&self.objects)), &self.secret)?;
        let turn = Turn::take(&self.objects, options.take_over)?;
        // What somebody has let go before that keeps nothing else from being the only set.
        let points = self.snapshots()?;
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some((_, detail)) = reader.lost_packs()?.into_values().next() {
            return Err(Error::Damaged {
                place: self.address(),
                detail: format!("{detail}; nothing expires"),
            });
        }
        let longest = points.iter().map(|point| point.seconds).max().unwrap_or_default();
        Ok(Expiry {
            objects: Arc::clone(&self.objects),
            secret: self.secret.clone(),
            address: self.address(),
            fates: self.fates(&reader, &points, &options.keep, turn.now())?,
            turn,
            rest: options.rest.unwrap_or_else(|| REST.max(longest.saturating_mul(2))),
        })
    }

    /// Judges the sets that are what their snapshots say. The others stay, and count for nothing: whoever writes them could push
    /// the true ones out. So do those of one backup whose data differ: one of them is no later version of the other.
    fn fates(&self, reader: &Reader, points: &[Point], keep: &Keep, now: i64) -> Result<Vec<Fate<Point>>> {
        let (mut seen, mut belied) = (Vec::new(), Vec::new());
        for point in points {
            cancel::check()?;
            match reader.seen(point)? {
                Ok(set) => seen.push((point, Links::of_manifest(&set.manifest).map(Arc::new), set.data)),
                Err(_) => belied.push((point, BELIED)),
            }
        }
        let disputed = disputed(seen.iter().map(|(point, _, data)| (*point, data.as_str())));
        let mut true_ones = Vec::new();
        for (point, links, _) in seen {
            match disputed.contains(&point.id) {
                true => belied.push((point, DISPUTED)),
                false => true_ones.push(Point { links, ..point.clone() }),
            }
        }
        reader.tell_pasts(&mut true_ones)?;
        let noted = self.proven()?;
        let proven = true_ones.iter().filter(|point| point.is_noted(&noted)).map(|point| point.id.clone());
        let mut fates = judge(&true_ones, &proven.collect(), keep, now);
        let all: Vec<&Point> = points.iter().collect();
        for (point, why) in belied {
            fates.push(Fate { set: point.clone(), kept_by: vec![why] });
            // It may be a true one whose manifest is damaged, and come back.
            let needed = chain(&all, point, now).unwrap_or_default();
            for fate in fates.iter_mut().filter(|fate| fate.kept_by.is_empty()) {
                if needed.iter().any(|needed| needed.id == fate.set.id) {
                    fate.kept_by.push("another set needs it");
                }
            }
        }
        fates.sort_by(|one, other| age(&other.set).cmp(&age(&one.set)));
        Ok(fates)
    }
}

impl Expiry {
    /// All sets, the oldest first, with the rules that keep them.
    #[must_use]
    pub fn fates(&self) -> &[Fate<Point>] {
        &self.fates
    }

    /// What time it is at the storage, in seconds since 1970.
    #[must_use]
    pub const fn now(&self) -> i64 {
        self.turn.now()
    }

    /// Deletes the sets that no rule keeps: log sets from the newest back, then their full sets, so that a cut leaves no
    /// orphan. `gone` hears of each. Then prunes.
    ///
    /// # Errors
    /// [`Error::Busy`] when the turn was taken over, [`Error::Storage`]; [`Error::Damaged`] when a set that stays lacks
    /// something afterwards.
    pub fn carry_out(&self, gone: &mut dyn FnMut(&Point)) -> Result<Pruned> {
        if let (Some(_), _) = self.lacking("")? {
            // Packs that were marked just when a backup ended come back by a prune. If it is not that, nothing expires.
            engine::twice(|| self.prune()).map_err(nothing_expires)?;
            if let (Some(detail), _) = self.lacking("")? {
                return Err(nothing_expires(self.damaged(detail)));
            }
        }
        let going = to_delete(&self.fates, self.now());
        // A set that goes may have a sound copy of what has changed in a pack.
        if !going.is_empty() {
            engine::twice(|| self.refuse_changed_packs(&going)).map_err(nothing_expires)?;
        }
        let ids: BTreeSet<&str> = going.iter().map(|point| point.id.as_str()).collect();
        let all = self.fates.iter().map(|fate| &fate.set);
        let stays: Vec<&Point> = all.filter(|set| !ids.contains(set.id.as_str())).collect();
        for point in going {
            cancel::check()?;
            self.turn.still_ours()?;
            let id: Id = point.id.parse().map_err(|_| self.damaged("a snapshot's id is none".to_owned()))?;
            let deleted = self.objects.delete(&name_of(FileType::Snapshot, &id));
            deleted.map_err(|source| self.storage(source))?;
            gone(point);
            proven::forget(self.objects.as_ref(), point, &stays)?;
        }
        let (mut total, mut lacks) = (Pruned::default(), String::new());
        for _ in 0..ROUNDS {
            cancel::check()?;
            self.turn.still_ours()?;
            // The engine reads the index and then the snapshots: it takes a set that came in between for a damaged one.
            let pruned = engine::twice(|| self.prune())?;
            total.deleted += pruned.deleted;
            total.bytes += pruned.bytes;
            total.repacked += pruned.repacked;
            let (lacking, waiting) = self.lacking("after the prune ")?;
            total.waiting = waiting;
            match lacking {
                None => {
                    for folder in [FileType::Pack, FileType::Index, FileType::Snapshot] {
                        let tidied = self.objects.tidy(folder.dirname(), self.turn.now());
                        tidied.map_err(|source| self.storage(source))?;
                    }
                    return Ok(total);
                }
                // A backup may have ended meanwhile that leans on what was marked: the next round takes that back.
                Some(detail) => lacks = detail,
            }
        }
        Err(self.damaged(lacks))
    }

    /// Reads the packs that would be packed anew when these sets are gone.
    ///
    /// # Errors
    /// [`Error::Damaged`] naming one that has other bytes than were stored.
    fn refuse_changed_packs(&self, going: &[&Point]) -> Result<()> {
        let bridge = Bridge::checking(Arc::clone(&self.objects));
        let opened = engine::open(&bridge, &self.secret)?;
        let mut options = self.prune_options()?;
        options.ignore_snaps = going.iter().filter_map(|point| point.id.parse().ok()).collect();
        let packs = call(&bridge, "plan a prune", Unexplained::Damage, || {
            Ok(opened.prune_plan(&options)?.repack_packs())
        })?;
        for pack in packs {
            cancel::check()?;
            let read = get_unchanged(self.objects.as_ref(), FileType::Pack, &pack);
            read.map_err(|error| of_storage(self.address.clone(), error))?;
        }
        Ok(())
    }

    fn prune_options(&self) -> Result<PruneOptions> {
        let rest = Span::new().try_seconds(i64::try_from(self.rest).unwrap_or(i64::MAX));
        let rest = rest.map_err(|error| self.damaged(error.to_string()))?;
        let mut options = PruneOptions::default();
        options.keep_pack = rest;
        options.keep_delete = rest;
        // What is needed of a pack is copied as it is, sealed: nothing is encrypted anew that could come out wrong.
        options.fast_repack = true;
        Ok(options)
    }

    /// Marks packs that no set needs, and deletes those that were marked long ago.
    fn prune(&self) -> Result<Pruned> {
        let bridge = Bridge::checking(Arc::clone(&self.objects));
        let opened = engine::open(&bridge, &self.secret)?;
        let before = self.packs()?;
        let options = self.prune_options()?;
        let pruned = call(&bridge, "prune", Unexplained::Damage, || {
            let plan = opened.prune_plan(&options)?;
            let stats = &plan.stats;
            let pruned = Pruned {
                waiting: 0,
                deleted: stats.packs_to_delete.remove,
                bytes: stats.size_to_delete.remove,
                repacked: stats.packs.repack,
            };
            opened.prune(&options, plan)?;
            Ok(pruned)
        })?;
        bridge.barrier()?;
        for id in self.packs()?.difference(&before) {
            let name = name_of(FileType::Pack, id);
            let pack = self.objects.get(&name).map_err(|source| self.storage(source))?;
            if !is_named_after(id, &pack) {
                return Err(self.damaged(format!("{name} has other bytes than were stored")));
            }
        }
        Ok(pruned)
    }

    fn packs(&self) -> Result<BTreeSet<Id>> {
        let listed = self.objects.list(FileType::Pack.dirname()).map_err(|source| self.storage(source))?;
        Ok(listed.into_iter().filter_map(|(name, _)| id_of(&name)).collect())
    }

    /// What a fresh reader misses of a set that is there now, `None` when everything is there; and how many packs wait.
    fn lacking(&self, when: &str) -> Result<(Option<String>, u64)> {
        // The sets first: the index of one that is seen stands, and that of one which comes later may not be read.
        let points = points(&self.objects, &self.secret)?;
        let reader = Reader::open(&self.objects, &self.secret)?;
        let lost = reader.lost_packs()?;
        for point in points {
            if let Some(detail) = reader.lacks(point.tree, &lost)? {
                let detail = format!("{when}the set {} lacks something: {detail}", point.short_id());
                return Ok((Some(detail), reader.waiting()));
            }
        }
        Ok((None, reader.waiting()))
    }

    fn damaged(&self, detail: String) -> Error {
        Error::Damaged { place: self.address.clone(), detail }
    }

    fn storage(&self, source: crate::objects::ObjectError) -> Error {
        Error::Storage { place: self.objects.place(), source }
    }
}

fn nothing_expires(error: Error) -> Error {
    match error {
        Error::Damaged { place, detail } => {
            Error::Damaged { place, detail: format!("{detail}; nothing expires") }
        }
        other => other,
    }
}
