//! Locks that keep objects from being deleted, whoever asks, and the way back after a deletion that only hid them
//! (repository.md 6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certadm_files::cancel;
use rustic_core::FileType;

use crate::bridge::{id_of, is_named_after, name_of};
use crate::error::{Error, Result};
use crate::objects::{Locks, ObjectError, Objects, Version};
use crate::place::Lock;
use crate::point::Point;
use crate::reader::Reader;
use crate::vault::CaRepository;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// Names that are no part of a set.
const NOTES: &str = "certadm/";

/// What became of the locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Objects that the kept sets need.
    pub objects: u64,
    /// Those whose lock was prolonged.
    pub extended: u64,
    /// When the first lock of them ends, in seconds since 1970.
    pub earliest: Option<i64>,
}

/// When the locks end of what the sets need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEnds {
    /// What time it is at the storage, in seconds since 1970.
    pub now: i64,
    /// How long each lock lasts when it is new.
    pub days: u32,
    /// Each set that can be read.
    pub sets: Vec<LockEnd>,
}

impl LockEnds {
    /// The sets whose locks nobody has prolonged in time: an object has none, or less than a third of its days. `extend-locks`
    /// prolongs at a half, so it does not run each night.
    pub fn neglected(&self) -> impl Iterator<Item = &LockEnd> {
        let third = i64::from(self.days) * DAY / 3;
        self.sets.iter().filter(move |set| {
            0 < set.unlocked || set.earliest.is_some_and(|earliest| earliest - self.now < third)
        })
    }
}

/// When the locks end of what one set needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEnd {
    /// The set.
    pub point: Point,
    /// Objects that it needs.
    pub objects: u64,
    /// Those that have no lock, or whose lock has ended.
    pub unlocked: u64,
    /// When the first lock ends that has not, in seconds since 1970.
    pub earliest: Option<i64>,
}

/// What was brought back, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undeleted {
    /// Objects that somebody had deleted.
    pub deleted: Vec<String>,
    /// Objects that somebody had written over.
    pub overwritten: Vec<String>,
}

impl CaRepository {
    /// Prolongs the lock of each object that a kept set needs, where less than half of its days are left. New sets lean on
    /// old packs, so a lock that counts from the upload alone would protect nothing after its days.
    ///
    /// # Errors
    /// [`Error::NoLocks`]; as [`CaRepository::points`]. [`Error::Damaged`] when something is lost, hidden, written over or cannot be
    /// read: where nobody can tell then what a set needs, every version of everything was prolonged before. [`Error::Storage`]
    /// where the storage refuses that for some object, or does not list versions; the others were prolonged before.
    pub fn extend_locks(&self, dry_run: bool) -> Result<Extended> {
        let (locks, lock) = self.locks()?;
        let now = self.objects.clock(&crate::turn::random()?).map_err(|source| self.storage(source))?;
        let (packs, mut wrong) = match self.needed() {
            Ok(packs) => (packs, None),
            Err(error) if keeps_from_telling(&error) => (self.listed(FileType::Pack)?, Some(error)),
            Err(error) => return Err(error),
        };
        let mut names = self.common()?;
        let snapshots = self.listed(FileType::Snapshot)?;
        // After all names, so that there is a version of each.
        let (versions, mut refused) = match versions_of(locks) {
            Ok(versions) => (versions, None),
            // What is seen is locked all the same.
            Err(error) if error.is_denied() => (Versions::new(), Some(error)),
            Err(source) => return Err(self.storage(source)),
        };
        let hidden = format!("{}/", FileType::Snapshot.dirname());
        if wrong.is_none() && snapshots.is_empty() && versions.keys().any(|name| name.starts_with(&hidden)) {
            let detail = "all its sets are hidden by markers that they were deleted".to_owned();
            wrong = Some(Error::Damaged { place: self.address(), detail });
        }
        names.extend(snapshots);
        names.extend(packs.iter().cloned());
        let is_known = wrong.is_none();
        if !is_known {
            names.extend(versions.keys().cloned());
        }
        let mut extended = Extended { objects: 0, extended: 0, earliest: None };
        for name in names {
            cancel::check()?;
            let is_pack = packs.contains(&name);
            let Standing { versions, fault } = standing(locks, &name, &versions, is_known);
            match fault {
                // An index or a snapshot goes when sets expire.
                Some(Fault::Hidden) if is_known && !is_pack => continue,
                Some(fault) => {
                    let detail = format!("{name} {fault}");
                    wrong.get_or_insert(Error::Damaged { place: self.address(), detail });
                }
                None => {}
            }
            let (mut is_there, mut is_extended) = (false, false);
            for version in versions {
                let ends = match prolong(locks, &version, &lock, now, dry_run) {
                    Ok((ends, is_longer)) => {
                        is_extended |= is_longer;
                        ends
                    }
                    Err(error) if error.is_not_found() => continue,
                    // One alone keeps no other one from being locked.
                    Err(error) if error.is_refused() => {
                        refused.get_or_insert(error);
                        None
                    }
                    Err(source) => return Err(self.storage(source)),
                };
                is_there = true;
                let ends = ends.unwrap_or(now);
                extended.earliest = Some(extended.earliest.map_or(ends, |earliest| earliest.min(ends)));
            }
            extended.objects += u64::from(is_there);
            extended.extended += u64::from(is_extended);
            if !is_there && is_pack {
                let detail = format!("{name} is missing");
                wrong.get_or_insert(Error::Damaged { place: self.address(), detail });
            }
        }
        match (wrong, refused) {
            (Some(wrong), _) => Err(wrong),
            (None, Some(source)) => Err(self.storage(source)),
            (None, None) => Ok(extended),
        }
    }

    /// When the locks end of what each set needs, by the clock of the storage; `None` where the vault's table asks for no
    /// locks. Objects that are gone, and sets that cannot be read, are for [`CaRepository::check`].
    ///
    /// # Errors
    /// [`Error::Storage`]; as [`CaRepository::points`].
    pub fn lock_ends(&self) -> Result<Option<LockEnds>> {
        let Ok((locks, lock)) = self.locks() else { return Ok(None) };
        let now = self.objects.clock(&crate::turn::random()?).map_err(|source| self.storage(source))?;
        // The sets first: the index of one that is seen stands.
        let points = self.readable()?.points;
        let reader = self.reading()?;
        let common = self.common()?;
        let versions = versions_of(locks).map_err(|source| self.storage(source))?;
        let mut known: BTreeMap<String, Option<Option<i64>>> = BTreeMap::new();
        let mut ends = LockEnds { now, days: lock.days, sets: Vec::new() };
        for point in points {
            let packs = match reader.packs_of(point.tree) {
                Ok(packs) => packs,
                Err(Error::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            let snapshot = point.id.parse().ok().map(|id| name_of(FileType::Snapshot, &id));
            let mut names = common.clone();
            names.extend(packs.iter().map(|pack| name_of(FileType::Pack, pack)).chain(snapshot));
            let mut end = LockEnd { point, objects: 0, unlocked: 0, earliest: None };
            for name in names {
                cancel::check()?;
                let until = match known.get(&name) {
                    Some(until) => *until,
                    None => {
                        let until = first_end(locks, &standing(locks, &name, &versions, true).versions)
                            .map_err(|source| self.storage(source))?;
                        *known.entry(name).or_insert(until)
                    }
                };
                let Some(until) = until else { continue };
                end.objects += 1;
                match until.filter(|until| now < *until) {
                    Some(until) => {
                        end.earliest = Some(end.earliest.map_or(until, |earliest| earliest.min(until)));
                    }
                    None => end.unlocked += 1,
                }
            }
            ends.sets.push(end);
        }
        Ok(Some(ends))
    }

    /// Brings the repository back as it was at a time, in seconds since 1970 by the clock of the storage: what was deleted
    /// since is seen again, and what was written over has its bytes again. Nothing that came since goes.
    ///
    /// # Errors
    /// [`Error::NoLocks`], [`Error::Storage`].
    pub fn undelete(&self, at: i64, dry_run: bool) -> Result<Undeleted> {
        let locks = self.objects.locks().ok_or_else(|| self.no_locks("keeps no versions of its objects"))?;
        let versions = versions_of(locks).map_err(|source| self.storage(source))?;
        let mut undeleted = Undeleted::default();
        for (name, versions) in &versions {
            cancel::check()?;
            match way_back(&versions.iter().collect::<Vec<_>>(), at) {
                WayBack::None => {}
                WayBack::Markers(markers) => {
                    if !dry_run {
                        let mut markers = markers.iter();
                        markers
                            .try_for_each(|marker| locks.remove_marker(marker))
                            .map_err(|source| self.storage(source))?;
                    }
                    undeleted.deleted.push(name.to_owned());
                }
                WayBack::Again(version) => {
                    let then = locks.bytes_of(version).map_err(|source| self.storage(source))?;
                    match self.objects.get(name) {
                        Ok(now) if now == then => continue,
                        Err(error) if !error.is_not_found() => return Err(self.storage(error)),
                        _ => {}
                    }
                    if !dry_run {
                        locks.put_over(name, then).map_err(|source| self.storage(source))?;
                    }
                    undeleted.overwritten.push(name.to_owned());
                }
            }
        }
        Ok(undeleted)
    }

    /// Whether the storage can lock, where the profile asks for that; a sentence. `None` where it does not ask.
    ///
    /// # Errors
    /// [`Error::NoLocks`] when it cannot.
    pub(crate) fn lock_told(&self) -> Option<Result<String>> {
        let (locks, lock) = self.locks().ok()?;
        let possible = locks.is_possible().map_err(|source| self.storage(source));
        Some(possible.and_then(|possible| match possible {
            true => Ok(format!("the bucket locks objects; each is locked for {} days", lock.days)),
            false => Err(self.no_locks("has no Object Lock")),
        }))
    }

    fn locks(&self) -> Result<(&dyn Locks, Lock)> {
        let locks = self.objects.locks().ok_or_else(|| self.no_locks("cannot lock objects"))?;
        let lock = locks.lock().ok_or_else(|| self.no_locks("has no lock-days in repositories.toml"))?;
        Ok((locks, lock))
    }

    /// The packs that the kept sets need.
    ///
    /// # Errors
    /// [`Error::Damaged`] when one is lost, or a set, an index or a snapshot cannot be read; [`Error::Storage`].
    fn needed(&self) -> Result<BTreeSet<String>> {
        let points = self.snapshots()?;
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some((_, detail)) = reader.lost_packs()?.into_values().next() {
            return Err(Error::Damaged { place: self.address(), detail });
        }
        let mut names = BTreeSet::new();
        for point in points {
            names.extend(reader.packs_of(point.tree)?.iter().map(|pack| name_of(FileType::Pack, pack)));
        }
        Ok(names)
    }

    /// The objects that every set needs.
    fn common(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::from(["config".to_owned()]);
        names.extend(self.listed(FileType::Key)?);
        names.extend(self.listed(FileType::Index)?);
        Ok(names)
    }

    fn listed(&self, kind: FileType) -> Result<BTreeSet<String>> {
        let listed = self.objects.list(kind.dirname()).map_err(|source| self.storage(source))?;
        Ok(listed.into_iter().map(|(name, _)| name).collect())
    }

    fn no_locks(&self, detail: &'static str) -> Error {
        Error::NoLocks { place: self.objects.place(), detail }
    }

    fn storage(&self, source: ObjectError) -> Error {
        let objects: &Arc<dyn Objects> = &self.objects;
        Error::Storage { place: objects.place(), source }
    }
}

/// Whether it is something in the repository that keeps the packs from being told that the sets need: damage, a configuration that
/// somebody has hidden, or an object that the storage does not hand out.
const fn keeps_from_telling(error: &Error) -> bool {
    error.is_damage()
        || matches!(error, Error::Gone { .. } | Error::NoRepository { .. } | Error::Storage { .. })
}

/// The versions of each object.
type Versions = BTreeMap<String, Vec<Version>>;

fn versions_of(locks: &dyn Locks) -> Result<Versions, ObjectError> {
    let mut of_name = Versions::new();
    for version in locks.versions()?.into_iter().filter(|version| !version.name.starts_with(NOTES)) {
        of_name.entry(version.name.clone()).or_default().push(version);
    }
    Ok(of_name)
}

/// What is locked of an object.
struct Standing {
    /// The versions that must stay.
    versions: Vec<Version>,
    /// What is wrong with the object.
    fault: Option<Fault>,
}

/// Why an object is not what was stored.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("is hidden by a marker that it was deleted")]
    Hidden,
    #[error("has been written over: its newest version has other bytes than were stored")]
    WrittenOver,
    #[error("has been written over, and its newest version cannot be read: {0}")]
    Unreadable(#[source] ObjectError),
}

/// Which versions of an object must stay: the newest, if it is what was stored, and otherwise all of them. Nothing is ever stored
/// anew under a name, so a further version is somebody else's, or was brought back after that. `is_known` says that the
/// repository was opened.
fn standing(locks: &dyn Locks, name: &str, versions: &Versions, is_known: bool) -> Standing {
    let Some(versions) = versions.get(name) else {
        // Nothing is listed for this account, or it has just gone.
        return Standing { versions: vec![Version::newest(name)], fault: None };
    };
    let newest = versions.iter().min_by_key(|version| (!version.is_newest, std::cmp::Reverse(version.since)));
    let stored = versions.iter().filter(|version| !version.is_marker);
    let all = |fault| Standing { versions: stored.clone().cloned().collect(), fault };
    let Some(newest) = newest.filter(|newest| !newest.is_marker) else { return all(Some(Fault::Hidden)) };
    if stored.clone().count() == 1 {
        // By its name: to ask by ids is a right of its own, which the account may lack.
        return Standing { versions: vec![Version::newest(name)], fault: None };
    }
    let alone = Standing { versions: vec![newest.clone()], fault: None };
    match id_of(name) {
        // The key has opened it, and nobody without the key could have sealed it.
        None if name == "config" && is_known => alone,
        None => all(None),
        Some(id) => match locks.bytes_of(newest) {
            Ok(content) if is_named_after(&id, &content) => alone,
            Ok(_) => all(Some(Fault::WrittenOver)),
            Err(error) => all(Some(Fault::Unreadable(error))),
        },
    }
}

/// Locks a version longer where less than half of its days are left. Returns when its lock ends, and whether it is, or would be, longer.
fn prolong(
    locks: &dyn Locks,
    version: &Version,
    lock: &Lock,
    now: i64,
    dry_run: bool,
) -> Result<(Option<i64>, bool), ObjectError> {
    let days = i64::from(lock.days) * DAY;
    let ends = locks.locked_until(version)?;
    if ends.is_some_and(|ends| days / 2 <= ends - now) {
        return Ok((ends, false));
    }
    if dry_run {
        return Ok((ends, true));
    }
    locks.lock_until(version, lock, now + days)?;
    Ok((Some(now + days), true))
}

/// When the first lock of these versions ends; `Some(None)` where one has no lock, `None` where none of them is there.
fn first_end(locks: &dyn Locks, versions: &[Version]) -> Result<Option<Option<i64>>, ObjectError> {
    let mut first = None;
    for version in versions {
        match locks.locked_until(version) {
            Ok(until) => first = Some(first.map_or(until, |first: Option<i64>| first.min(until))),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(first)
}

/// What makes an object again what it was.
#[derive(Debug, PartialEq, Eq)]
enum WayBack<'a> {
    /// It is, or it was not there.
    None,
    /// These hide it.
    Markers(Vec<&'a Version>),
    /// Others lie over it.
    Again(&'a Version),
}

/// Judges the versions of one object. Those of one second stand in the service's order, the newest first.
fn way_back<'a>(versions: &[&'a Version], at: i64) -> WayBack<'a> {
    let mut sorted = versions.to_vec();
    sorted.sort_by_key(|version| std::cmp::Reverse(version.since));
    let since: Vec<&Version> = sorted.iter().take_while(|version| at < version.since).copied().collect();
    match sorted.get(since.len()) {
        Some(then) if !then.is_marker && !since.is_empty() => {
            match since.iter().all(|version| version.is_marker) {
                true => WayBack::Markers(since),
                false => WayBack::Again(then),
            }
        }
        _ => WayBack::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(since: i64, is_marker: bool) -> Version {
        Version { name: "x".to_owned(), id: since.to_string(), since, is_marker, ..Version::default() }
    }

    #[test]
    fn an_object_goes_back_to_what_it_was() {
        let (one, gone, again, gone2) =
            (version(10, false), version(20, true), version(30, false), version(40, true));
        let all = [&gone2, &again, &gone, &one];
        assert_eq!(way_back(&all, 50), WayBack::None, "nothing came since");
        assert_eq!(way_back(&all, 35), WayBack::Markers(vec![&gone2]));
        assert_eq!(way_back(&all, 25), WayBack::None, "it was deleted then");
        assert_eq!(way_back(&all, 15), WayBack::Again(&one));
        assert_eq!(way_back(&all, 5), WayBack::None, "it was not there");
        assert_eq!(way_back(&[&gone, &one], 10), WayBack::Markers(vec![&gone]));
    }
}
