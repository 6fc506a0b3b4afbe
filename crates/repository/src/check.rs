//! Checking a repository: its structure by the engine, its bytes by ourselves, because the engine panics at a pack that was
//! cut short (repository.md 9). Each problem names the sets that it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use certadm_files::cancel;
use certadm_rules::finding::Kind;
use certadm_set::{Progress, Stage};
use rustic_core::{CheckOptions, FileType, Id};

use crate::belied::disputed;
use crate::bridge::{is_named_after, name_of};
use crate::engine::{Unexplained, call};
use crate::error::{Error, Result};
use crate::keys::Key;
use crate::lately::Lately;
use crate::objects::Objects;
use crate::point::{Point, Readable};
use crate::reader::Reader;
use crate::vault::CaRepository;

/// Which packs are read: the `number`th of `of` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    number: u32,
    of: u32,
}

impl Part {
    /// No pack: the structure alone.
    pub const NONE: Self = Self { number: 0, of: 0 };
    /// Every pack.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// By its id, which stays: its place among the packs changes whenever one comes or goes.
    fn has(self, pack: &Id) -> bool {
        let first = u64::from_str_radix(&pack.to_hex()[..16], 16).unwrap_or_default();
        self.of != 0 && first % u64::from(self.of) == u64::from(self.number) - 1
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "all" {
            return Ok(Self::ALL);
        }
        let parts =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err("write all, or N/M such as 3/30".to_owned()),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Packs that were read.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Packs that no index names. A backup that was cut off has left them, and they do no harm, unless a set lacks something.
    pub unnamed_packs: u64,
    /// The keys of its passwords, all of them: they are few and small. [`CaRepository::dead_keys`] judges them.
    pub keys: Vec<Key>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of finding that it is.
    pub kind: Kind,
    /// What it is.
    pub text: String,
    /// The ids of the sets that have something there, and so may not come back.
    pub points: Vec<String>,
    /// Whether it is a pack: then these are all sets that need it.
    pub is_pack: bool,
}

impl Problem {
    fn of_set(point: &Point, kind: Kind, text: String) -> Self {
        Self { kind, text, points: vec![point.id.clone()], is_pack: false }
    }

    fn of_no_set(kind: Kind, text: String) -> Self {
        Self { kind, text, points: Vec::new(), is_pack: false }
    }
}

impl CaRepository {
    /// Checks the structure of the repository, the keys of its passwords, and the bytes of `part` of its packs.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NoKeyFits`], [`Error::Storage`]. Damage is in the result.
    pub fn check(&self, part: Part, progress: &mut dyn Progress) -> Result<Checked> {
        let with = (part, self.depth.notes());
        // The sets first: the index of one that is seen stands, and that of one which comes later may not be read.
        let readable = self.readable()?;
        let checked = check(&self.objects, &self.reading()?, &readable, with, progress)?;
        Ok(Checked { keys: self.keys()?, ..checked })
    }
}

fn check(
    objects: &Arc<dyn Objects>,
    reader: &Reader,
    Readable { points, unreadable }: &Readable,
    (part, lately): (Part, Option<&Lately>),
    progress: &mut dyn Progress,
) -> Result<Checked> {
    let mut checked = Checked::default();
    for name in unreadable {
        let text = format!("the snapshot {name} cannot be read: it may have been the newest state");
        checked.problems.push(Problem::of_no_set(Kind::FileChanged, text));
    }
    for (name, why) in &reader.passed_over {
        let text = format!(
            "{name} {why}; `certadm repository repair` deletes it, and no set goes with it whose packs are there"
        );
        checked.problems.push(Problem::of_no_set(Kind::FileChanged, text));
    }
    let Packs { sound, bad } = read_packs(objects, reader, part, &mut checked, progress)?;
    if let Some(lately) = lately.filter(|_| !sound.is_empty()) {
        lately.note(&sound);
    }
    let lies_in = reader.blobs_in(&bad.keys().copied().collect())?;
    let mut concerned: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    let mut data = Vec::new();
    for point in points {
        let judged = judge_point(reader, point, &lies_in)?;
        data.extend(judged.data.map(|data| (point, data)));
        for pack in judged.bad_packs {
            concerned.entry(pack).or_default().push(point.id.clone());
        }
        checked.problems.extend(judged.problems);
    }
    let disputed = disputed(data.iter().map(|(point, data)| (*point, data.as_str())));
    for point in points.iter().filter(|point| disputed.contains(&point.id)) {
        let text = format!(
            "the set {}: another snapshot of this backup has other data, and only reading both, and their signatures, tells which is \
             true",
            point.short_id()
        );
        checked.problems.push(Problem::of_set(point, Kind::FileChanged, text));
    }
    for (id, (kind, text)) in &bad {
        let points = concerned.remove(id).unwrap_or_default();
        checked.problems.push(Problem { kind: *kind, text: text.clone(), points, is_pack: true });
    }
    // The engine reads all snapshots.
    if bad.is_empty() && unreadable.is_empty() {
        // Of sets that lack something the engine says the same once more, for each part and without the set.
        let is_told = checked.problems.iter().any(|problem| !problem.points.is_empty());
        structure(reader, is_told, &mut checked)?;
    }
    Ok(checked)
}

/// What became of the packs.
struct Packs {
    /// Those that were read and have the bytes that were stored.
    sound: BTreeSet<Id>,
    /// What is wrong with the others. Those that are lost are among them, whichever part is read.
    bad: BTreeMap<Id, (Kind, String)>,
}

/// Reads the packs of a part.
fn read_packs(
    objects: &Arc<dyn Objects>,
    reader: &Reader,
    part: Part,
    checked: &mut Checked,
    progress: &mut dyn Progress,
) -> Result<Packs> {
    let (mut sound, mut bad) = (BTreeSet::new(), reader.lost_packs()?);
    let chosen = reader.packs().iter().filter(|(id, _)| !bad.contains_key(id)).map(|(id, len)| (*id, *len));
    let chosen: Vec<(Id, u32)> = chosen.filter(|(id, _)| part.has(id)).collect();
    let total: u64 = chosen.iter().map(|(_, len)| u64::from(*len)).sum();
    for (id, _) in chosen {
        cancel::check()?;
        let name = name_of(FileType::Pack, &id);
        let pack = match objects.get(&name) {
            Ok(pack) => pack,
            Err(error) if error.is_not_found() => {
                bad.insert(id, (Kind::FileMissing, format!("{name} is missing")));
                continue;
            }
            Err(source) => return Err(Error::Storage { place: objects.place(), source }),
        };
        if is_named_after(&id, &pack) {
            sound.insert(id);
        } else {
            bad.insert(id, (Kind::FileChanged, format!("{name} has other bytes than were stored")));
        }
        checked.packs += 1;
        checked.bytes += pack.len() as u64;
        progress.at(Stage::Verify, checked.bytes, total);
    }
    Ok(Packs { sound, bad })
}

/// What became of a set.
#[derive(Default)]
struct Judged {
    /// The bad packs in which something of it lies.
    bad_packs: BTreeSet<Id>,
    /// What else is wrong with it.
    problems: Vec<Problem>,
    /// What tells its data from others, where it is what its snapshot says.
    data: Option<String>,
}

/// Judges whether all of a set is there. `lies_in` has the blobs of bad packs.
fn judge_point(reader: &Reader, point: &Point, lies_in: &BTreeMap<Id, BTreeSet<Id>>) -> Result<Judged> {
    let blobs = match reader.blobs_of(point.tree) {
        Ok(blobs) => blobs,
        // A folder of the set cannot be read, so nobody knows what else it needs.
        Err(Error::Damaged { detail, .. }) => {
            let problems = vec![Problem::of_set(point, Kind::Unreadable, detail)];
            return Ok(Judged { problems, ..Judged::default() });
        }
        Err(error) => return Err(error),
    };
    let bad_packs: BTreeSet<Id> =
        blobs.iter().filter_map(|blob| lies_in.get(blob)).flatten().copied().collect();
    let (data, manifest) = match judge_manifest(reader, point, !bad_packs.is_empty())? {
        Ok(data) => (data, None),
        Err(problem) => (None, Some(problem)),
    };
    let lacking = judge_packs(reader, point)?;
    Ok(Judged { bad_packs, problems: manifest.into_iter().chain(lacking).collect(), data })
}

/// Judges whether the manifest of a set can be read, and agrees with the snapshot and with what is in the set; then it tells what tells
/// the set's data from others. `is_concerned` says that something of the set lies in a bad pack.
fn judge_manifest(
    reader: &Reader,
    point: &Point,
    is_concerned: bool,
) -> Result<std::result::Result<Option<String>, Problem>> {
    let read = reader.files(point.tree).and_then(|files| Ok((reader.manifest(&files)?.0, files)));
    let (kind, detail) = match read {
        Ok((manifest, files)) => match reader.seen_in(point, manifest, &files) {
            Ok(seen) => return Ok(Ok(Some(seen.data))),
            Err(detail) => (Kind::FileChanged, detail),
        },
        // It lies in a pack that is told.
        Err(Error::Damaged { .. }) if is_concerned => return Ok(Ok(None)),
        Err(Error::Damaged { detail, .. }) => (Kind::Unreadable, detail),
        Err(error) => return Err(error),
    };
    Ok(Err(Problem::of_set(point, kind, format!("the set {}: {detail}", point.short_id()))))
}

/// Judges whether an index names all packs of a set. An index that is gone names its packs no more: they seem to belong to no set, and
/// the set lacks them.
fn judge_packs(reader: &Reader, point: &Point) -> Result<Option<Problem>> {
    match reader.packs_of(point.tree) {
        Ok(_) => Ok(None),
        Err(Error::Damaged { detail, .. }) => {
            let text = format!("the set {} lacks something: {detail}", point.short_id());
            Ok(Some(Problem::of_set(point, Kind::FileMissing, text)))
        }
        Err(error) => Err(error),
    }
}

/// The engine's own check, which reads no data.
fn structure(reader: &Reader, is_told: bool, checked: &mut Checked) -> Result<()> {
    let found = call(&reader.bridge, "check the structure", Unexplained::Damage, || {
        reader.repository.check(CheckOptions::default())
    });
    match found {
        Ok(results) => {
            for (_, error) in results.0 {
                match error.to_string() {
                    // Of no set: a killed backup left the pack, or an expiry has marked it, and one of them deletes it.
                    text if text.contains("not referenced") || text.contains("marked to delete: true") => {
                        checked.unnamed_packs += 1;
                    }
                    _ if is_told => {}
                    text => {
                        checked.problems.push(Problem::of_no_set(Kind::Unreadable, text));
                    }
                }
            }
        }
        Err(Error::Damaged { .. }) if is_told => {}
        Err(Error::Damaged { detail, .. }) => {
            checked.problems.push(Problem::of_no_set(Kind::Unreadable, detail));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_all_packs_and_none_twice() {
        for text in ["", "0/3", "4/3", "1", "a/b", "-1/3", "1/0"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
        let parts: Vec<Part> = (1..=7).map(|number| format!("{number}/7").parse().unwrap()).collect();
        for first in 0..100_u64 {
            let pack = format!("{:016x}{}", first.wrapping_mul(0x9e37_79b9_7f4a_7c15), "0".repeat(48));
            let pack: Id = pack.parse().unwrap();
            assert_eq!(parts.iter().filter(|part| part.has(&pack)).count(), 1);
            assert!("all".parse::<Part>().unwrap().has(&pack) && !Part::NONE.has(&pack));
        }
        // Whatever other packs there are: the part of a pack is told by its own id.
        let pack: Id = format!("{:016x}{}", 9, "f".repeat(48)).parse().unwrap();
        assert!(parts[2].has(&pack));
    }
}
