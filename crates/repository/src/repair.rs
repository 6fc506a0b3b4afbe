//! Repairing a repository: its index is made anew from the packs that are there. Sets that lack something are named, and stay
//! unless their deletion is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certadm_files::cancel;
use certadm_rules::finding::Kind;
use certadm_set::stored::{age, chain};
use certadm_set::{Progress, Stage};
use rustic_core::{FileType, Id, RepairIndexOptions};

use crate::bridge::{Bridge, id_of, is_named_after, name_of};
use crate::engine;
use crate::error::{Error, Result};
use crate::hiding::Hiding;
use crate::indexes;
use crate::lately::now;
use crate::objects::Objects;
use crate::point::{Point, points};
use crate::proven;
use crate::reader::Reader;
use crate::turn::Turn;
use crate::vault::CaRepository;

/// The index is made anew so often while a set lacks something that may be there.
const ROUNDS: u32 = 3;

/// How a repository is repaired.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepairOptions {
    /// Reads every pack, leaves those out whose bytes have changed, and leaves indexes out that say otherwise than the packs what lies
    /// in them; otherwise only packs that no index names, or names with another length, are read.
    pub read: bool,
    /// Deletes the sets that lack something. They could not be restored whole. Before that each pack is asked what lies in it.
    pub forget_lost: bool,
    /// As [`crate::ExpiryOptions::take_over`].
    pub take_over: bool,
}

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Packs that no index named, and one names now: a backup that was cut off had left them, or an expiry had marked them.
    pub taken_in: u64,
    /// Packs that are damaged or gone, and indexes that are damaged, that this key has not written, or that lie, a sentence each. No
    /// index names these packs any more, and these indexes are deleted.
    pub left_out: Vec<String>,
    /// Sets that cannot be restored, with what they lack; also what has no manifest of a set, or another one than its snapshot
    /// says.
    pub lost: Vec<(Point, String)>,
    /// Snapshots that cannot be read, by their name: nobody can tell which set each was.
    pub unreadable: Vec<String>,
    /// Whether the lost sets were deleted.
    pub forgotten: bool,
}

impl CaRepository {
    /// Makes the index anew from the packs that are there, and looks every set up.
    ///
    /// # Errors
    /// [`Error::NoMaintenance`], [`Error::Busy`], [`Error::Clock`], [`Error::NoRepository`], [`Error::NoKeyFits`],
    /// [`Error::Storage`]. What is lost is in the result.
    pub fn repair(&self, options: &RepairOptions, progress: &mut dyn Progress) -> Result<Repaired> {
        self.refuse_without_maintenance()?;
        engine::open(&Bridge::new(Arc::clone(&self.objects)), &self.secret)?;
        let turn = Turn::take(&self.objects, options.take_over)?;
        let mut repaired = Repaired::default();
        let bad_indexes = indexes::unreadable(&self.objects, &self.secret)?;
        let mut hidden: BTreeSet<String> = bad_indexes.keys().cloned().collect();
        repaired.left_out.extend(bad_indexes.iter().map(|(name, why)| format!("{name} {why}")));
        hidden.extend(
            self.unreadable_snapshots()?.into_iter().inspect(|name| repaired.unreadable.push(name.clone())),
        );
        let named = Reader::open(&self.without(&hidden), &self.secret)?.packs().clone();
        let late = self.not_listed(&named)?;
        let over = |hidden: &BTreeSet<String>| -> Arc<dyn Objects> {
            let (inner, hidden, late) = (Arc::clone(&self.objects), hidden.clone(), late.clone());
            Arc::new(Hiding { inner, hidden, late })
        };
        let mut found = BTreeSet::new();
        let mut doubtful = |name: &str, len: u64| {
            found.extend(id_of(name));
            let known = id_of(name).and_then(|id| named.get(&id));
            options.read || known.is_none_or(|known| u64::from(*known) != len)
        };
        let bad_packs = self.changed_in(&over(&hidden), FileType::Pack, &mut doubtful, progress)?;
        hidden.extend(bad_packs.iter().cloned());
        let left_out = bad_packs.iter().map(|name| format!("{name} has other bytes than were stored"));
        repaired.left_out.extend(left_out);
        let gone = named.keys().filter(|id| !found.contains(*id));
        repaired.left_out.extend(gone.map(|id| format!("{} is missing", name_of(FileType::Pack, id))));

        if options.read {
            self.leave_out_lying(&over(&hidden), &mut hidden, &mut repaired)?;
        }
        // A backup that ended beside an expiry has an index which names packs that another one marks. The engine would keep
        // what it happens to read first, so the other one goes, and what it alone named is named by the packs themselves.
        let reader = Reader::open(&over(&hidden), &self.secret)?;
        hidden.extend(reader.marking(|is_named| is_named));
        drop(reader);
        let (mut reader, mut points) = self.make_anew(&turn, &over, &hidden, (&named, &mut repaired))?;
        for _ in 1..ROUNDS {
            // What is marked is there all the same, and a mark may not even tell what lies in its pack. And of a backup that
            // ended meanwhile, the engine has dropped the packs that came after it had listed them.
            let marking = reader.marking(|_| true);
            if repaired.lost.is_empty() || (marking.is_empty() && !reader.has_unnamed_packs()?) {
                break;
            }
            hidden.extend(marking);
            (reader, points) = self.make_anew(&turn, &over, &hidden, (&named, &mut repaired))?;
        }
        // Whoever has the key can store an index that names sound packs, and nothing in them as it is.
        if options.forget_lost
            && !options.read
            && !repaired.lost.is_empty()
            && self.leave_out_lying(&over(&hidden), &mut hidden, &mut repaired)?
        {
            (reader, points) = self.make_anew(&turn, &over, &hidden, (&named, &mut repaired))?;
        }
        let unread = named.keys().filter(|id| found.contains(*id) && !reader.packs().contains_key(*id));
        let unread = unread.map(|id| name_of(FileType::Pack, id)).filter(|name| !hidden.contains(name));
        repaired.left_out.extend(unread.map(|name| format!("{name} does not tell what lies in it")));
        if options.forget_lost {
            let mut gone = Vec::new();
            for (point, detail) in std::mem::take(&mut repaired.lost) {
                // A backup that ended meanwhile may have stored again what it lacked.
                if self.is_whole(&over(&hidden), &point, &points)? {
                    continue;
                }
                turn.still_ours()?;
                self.delete(&format!("{}/{}", FileType::Snapshot.dirname(), point.id))?;
                let others: Vec<&Point> = points.iter().filter(|other| other.id != point.id).collect();
                proven::forget(self.objects.as_ref(), &point, &others)?;
                gone.push((point, detail));
            }
            repaired.lost = gone;
            for name in &repaired.unreadable {
                turn.still_ours()?;
                self.delete(name)?;
            }
            repaired.forgotten = true;
        }
        Ok(repaired)
    }

    /// Leaves out indexes that say otherwise than the packs what lies in them; says whether there were any.
    fn leave_out_lying(
        &self,
        objects: &Arc<dyn Objects>,
        hidden: &mut BTreeSet<String>,
        repaired: &mut Repaired,
    ) -> Result<bool> {
        let lying = indexes::lying(objects, &self.secret)?;
        let told = lying.iter().map(|name| format!("{name} says otherwise than the packs what lies in them"));
        repaired.left_out.extend(told);
        hidden.extend(lying.iter().cloned());
        Ok(!lying.is_empty())
    }

    /// Makes the index anew without the objects that are `hidden`, deletes the indexes among them, and looks every set up in the
    /// new one; returns what was looked up in it. `named` are the packs that the old one named.
    fn make_anew(
        &self,
        turn: &Turn,
        over: &dyn Fn(&BTreeSet<String>) -> Arc<dyn Objects>,
        hidden: &BTreeSet<String>,
        (named, repaired): (&BTreeMap<Id, u32>, &mut Repaired),
    ) -> Result<(Reader, Vec<Point>)> {
        turn.still_ours()?;
        let bridge = Bridge::new(over(hidden));
        let opened = engine::open(&bridge, &self.secret)?;
        indexes::make_anew(&bridge, || opened.repair_index(&RepairIndexOptions::default(), false))?;
        turn.still_ours()?;
        let folder = format!("{}/", FileType::Index.dirname());
        hidden.iter().filter(|name| name.starts_with(&folder)).try_for_each(|name| self.delete(name))?;
        let objects = &over(hidden);
        // The sets first: the index of one that is seen stands, and that of one which comes later may not be read.
        let points = points(objects, &self.secret)?;
        let reader = Reader::open(objects, &self.secret)?;
        let lost = reader.lost_packs()?;
        repaired.taken_in = reader.packs().keys().filter(|id| !named.contains_key(id)).count() as u64;
        let mut whole = Vec::new();
        repaired.lost.clear();
        for point in &points {
            match lacks(&reader, point, &lost)? {
                Some(detail) => repaired.lost.push((point.clone(), detail)),
                None => whole.push(point),
            }
        }
        // What continued a lost set, and continues no other, is of no use without it.
        let all: Vec<&Point> = points.iter().collect();
        for point in &whole {
            if chain(&all, point, now()).is_ok() && chain(&whole, point, now()).is_err() {
                let detail = "the set that it continues lacks something".to_owned();
                repaired.lost.push(((*point).clone(), detail));
            }
        }
        repaired.lost.sort_by(|(one, _), (other, _)| age(other).cmp(&age(one)));
        Ok((reader, points))
    }

    /// Whether a fresh reader finds all of a set, and of those of `points` that it continues.
    fn is_whole(&self, objects: &Arc<dyn Objects>, point: &Point, points: &[Point]) -> Result<bool> {
        let all: Vec<&Point> = points.iter().collect();
        let needed = chain(&all, point, now()).unwrap_or_else(|_| vec![point]);
        let reader = Reader::open(objects, &self.secret)?;
        let lost = reader.lost_packs()?;
        for point in needed {
            if lacks(&reader, point, &lost)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Packs that a list lacks and that are there all the same, asked for by name, with their lengths: a list may be late.
    fn not_listed(&self, named: &BTreeMap<Id, u32>) -> Result<BTreeMap<String, u64>> {
        let storage = |source| Error::Storage { place: self.objects.place(), source };
        let listed = self.objects.list(FileType::Pack.dirname()).map_err(storage)?;
        let listed: BTreeSet<Id> = listed.iter().filter_map(|(name, _)| id_of(name)).collect();
        let mut late = BTreeMap::new();
        for id in named.keys().filter(|id| !listed.contains(*id)) {
            let name = name_of(FileType::Pack, id);
            if let Some(len) = self.objects.len(&name).map_err(storage)? {
                late.insert(name, len);
            }
        }
        Ok(late)
    }

    /// The objects of a kind whose bytes are not those that were stored, among those that are `doubtful`.
    pub(crate) fn changed_in(
        &self,
        objects: &Arc<dyn Objects>,
        kind: FileType,
        doubtful: &mut dyn FnMut(&str, u64) -> bool,
        progress: &mut dyn Progress,
    ) -> Result<BTreeSet<String>> {
        let storage = |source| Error::Storage { place: self.objects.place(), source };
        let listed: BTreeMap<String, u64> =
            objects.list(kind.dirname()).map_err(storage)?.into_iter().collect();
        let chosen: Vec<(String, u64)> =
            listed.into_iter().filter(|(name, len)| doubtful(name, *len)).collect();
        let total: u64 = chosen.iter().map(|(_, len)| len).sum();
        let (mut changed, mut done) = (BTreeSet::new(), 0);
        for (name, len) in chosen {
            cancel::check()?;
            let Some(id) = id_of(&name) else { continue };
            match objects.get(&name) {
                Ok(content) if is_named_after(&id, &content) => {}
                Ok(_) => drop(changed.insert(name)),
                // It went away just now.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(storage(error)),
            }
            done += len;
            progress.at(Stage::Verify, done, total);
        }
        Ok(changed)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let deleted = self.objects.delete(name);
        deleted.map_err(|source| Error::Storage { place: self.objects.place(), source })
    }
}

/// What a set lacks of what its snapshot says that it is, `None` when it is whole.
fn lacks(reader: &Reader, point: &Point, lost: &BTreeMap<Id, (Kind, String)>) -> Result<Option<String>> {
    match reader.lacks(point.tree, lost)? {
        None => reader.belied(point),
        lacks => Ok(lacks),
    }
}
