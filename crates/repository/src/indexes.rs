//! Indexes of which nothing can be believed: those that cannot be read, which anybody can store who may write, and those that say
//! otherwise than the packs what lies in them, which somebody with the key has stored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use certadm_files::cancel;
use rustic_core::repofile::{IndexBlob, IndexFile, IndexId, IndexPack, PackId};
use rustic_core::{FileType, RepairIndexOptions};

use crate::bridge::{Bridge, Changed, id_of, name_of};
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::hiding::Hiding;
use crate::objects::{ObjectError, Objects};
use crate::reader::Reader;
use crate::secret::Secret;

/// What a pack holds, in the order in which it lies there.
type Contents = BTreeMap<PackId, Vec<IndexBlob>>;

impl Reader {
    /// Opens the repository for whoever reads alone: indexes that cannot be read are passed over, and named in
    /// [`Reader::passed_over`]. What nothing but these names, is missing then. Whoever writes or deletes takes [`Reader::open`].
    ///
    /// # Errors
    /// As [`Reader::open`], but for indexes.
    pub(crate) fn open_readable(objects: &Arc<dyn Objects>, secret: &Secret) -> Result<Self> {
        let error = match Self::open(objects, secret) {
            Err(error @ Error::Damaged { .. }) => error,
            other => return other,
        };
        let passed_over = unreadable(objects, secret)?;
        if passed_over.is_empty() {
            return Err(error);
        }
        let (inner, hidden) = (Arc::clone(objects), passed_over.keys().cloned().collect());
        let readable: Arc<dyn Objects> = Arc::new(Hiding { inner, hidden, late: BTreeMap::new() });
        let mut reader = Self::open(&readable, secret)?;
        reader.passed_over = passed_over;
        Ok(reader)
    }

    /// What is missing, with the indexes that were passed over: one of these may have named it.
    pub(crate) fn with_passed_over(&self, detail: String) -> String {
        let told = self.passed_over.iter().map(|(name, why)| format!("; {name} {why}"));
        told.fold(detail, |all, told| all + &told)
    }
}

/// The names of the indexes that cannot be read, each with what is wrong with it, as a verb and what follows.
///
/// # Errors
/// As [`engine::open`].
pub(crate) fn unreadable(
    objects: &Arc<dyn Objects>,
    secret: &Secret,
) -> Result<BTreeMap<String, &'static str>> {
    let storage = |source| Error::Storage { place: objects.place(), source };
    let bridge = Bridge::new(Arc::clone(objects));
    let opened = engine::open(&bridge, secret)?;
    let mut unreadable = BTreeMap::new();
    for (name, _) in objects.list(FileType::Index.dirname()).map_err(storage)? {
        cancel::check()?;
        let Some(id) = id_of(&name) else { continue };
        let read = call(&bridge, "read an index", Unexplained::Damage, || {
            let index: IndexFile = opened.get_file(&IndexId::from(id))?;
            // The engine counts how long the packs are, and can panic at numbers that no pack has.
            Ok(packs_of(&index).map(|pack| u64::from(pack.pack_size())).sum::<u64>())
        });
        let detail = match read {
            Ok(_) => continue,
            Err(Error::Damaged { detail, .. }) => detail,
            Err(error) => return Err(error),
        };
        // It went away since the list was made.
        if objects.len(&name).map_err(storage)?.is_none() {
            continue;
        }
        let why = match detail.ends_with(&Changed.to_string()) {
            true => "has other bytes than were stored",
            false => "does not open with the key of this repository, or is no index",
        };
        unreadable.insert(name, why);
    }
    Ok(unreadable)
}

/// The names of the indexes that say otherwise than a pack itself what lies in it. The end of each pack is read. A pack that is not
/// there, or does not tell, keeps no index from being believed.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`] when an index cannot be read.
pub(crate) fn lying(objects: &Arc<dyn Objects>, secret: &Secret) -> Result<BTreeSet<String>> {
    let mut told = Contents::new();
    for (_, index) in by_packs(objects, secret)? {
        told.extend(packs_of(&index).map(|pack| (pack.id, contents(pack))));
    }
    let bridge = Bridge::new(Arc::clone(objects));
    let differs = |index: &IndexFile| {
        packs_of(index).any(|pack| told.get(&pack.id).is_some_and(|told| *told != contents(pack)))
    };
    let lying = read(&bridge, secret)?.into_iter().filter(|(_, index)| differs(index));
    Ok(lying.map(|(id, _)| name_of(FileType::Index, &id)).collect())
}

/// The indexes that the engine makes of packs alone. They are kept in memory.
fn by_packs(objects: &Arc<dyn Objects>, secret: &Secret) -> Result<Vec<(IndexId, IndexFile)>> {
    let bridge = Bridge::new(Arc::new(Trial { inner: Arc::clone(objects), made: Mutex::default() }));
    let opened = engine::open(&bridge, secret)?;
    make_anew(&bridge, || opened.repair_index(&RepairIndexOptions::default(), false))?;
    read(&bridge, secret)
}

fn read(bridge: &Bridge, secret: &Secret) -> Result<Vec<(IndexId, IndexFile)>> {
    let opened = engine::open(bridge, secret)?;
    call(bridge, "read the index", Unexplained::Damage, || opened.stream_files::<IndexFile>()?.collect())
}

/// Has the engine make the index anew. It leaves a pack out that it cannot read, whatever the reason: where the storage has failed,
/// nobody may take such a pack for one that tells nothing.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub(crate) fn make_anew(bridge: &Bridge, work: impl FnOnce() -> rustic_core::RusticResult<()>) -> Result<()> {
    call(bridge, "make the index anew", Unexplained::Damage, work)?;
    bridge.barrier()?;
    match bridge.take_trouble().map(|trouble| engine::of_storage(bridge.objects().place(), trouble)) {
        Some(error @ Error::Storage { .. }) => Err(error),
        _ => Ok(()),
    }
}

fn packs_of(index: &IndexFile) -> impl Iterator<Item = &IndexPack> {
    index.packs.iter().chain(&index.packs_to_delete)
}

fn contents(pack: &IndexPack) -> Vec<IndexBlob> {
    let mut blobs = pack.blobs.clone();
    blobs.sort_by_key(|blob| (blob.location.offset, blob.location.length));
    blobs
}

/// Objects whose indexes nobody sees: those that are made are kept here.
#[derive(Debug)]
struct Trial {
    inner: Arc<dyn Objects>,
    made: Mutex<BTreeMap<String, Bytes>>,
}

impl Trial {
    fn made(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects for Trial {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.made().insert(name.to_owned(), parts.concat().into());
        Ok(())
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.put(name, &[Bytes::copy_from_slice(content)])
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let made = self.made().get(name).cloned();
        made.map_or_else(|| self.inner.get(name), Ok)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.inner.range(name, offset, len)
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        let made = self.made().get(name).map(|content| content.len() as u64);
        made.map_or_else(|| self.inner.len(name), |len| Ok(Some(len)))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        if folder != FileType::Index.dirname() {
            return self.inner.list(folder);
        }
        Ok(self.made().iter().map(|(name, content)| (name.clone(), content.len() as u64)).collect())
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.made().remove(name);
        Ok(())
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use certadm_rules::hex;
    use certadm_set::Silent;
    use rustic_core::ConfigOptions;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::check::Part;
    use crate::copy::tests::{manifest, repository, store_as};
    use crate::objects::FileObjects;
    use crate::repair::RepairOptions;
    use crate::run::Run;
    use crate::sink::SinkOptions;
    use crate::vault::CaRepository;

    /// Puts bytes among the indexes, under the name that they have to have, and returns it.
    fn put(repository: &CaRepository, content: &[u8]) -> String {
        let name = format!("index/{}", hex::encode(&Sha256::digest(content)));
        repository.objects.put(&name, &[Bytes::copy_from_slice(content)]).unwrap();
        name
    }

    fn names(repository: &CaRepository, folder: &str) -> Vec<String> {
        repository.objects.list(folder).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    /// A text sealed with a key, as the objects of a repository are: the engine does that in a repository of its own.
    fn sealed(folder: &Path, secret: &Secret, text: Vec<u8>) -> Vec<u8> {
        let objects: Arc<dyn Objects> = Arc::new(FileObjects::new(folder.to_owned()));
        let bridge = Bridge::new(Arc::clone(&objects));
        let mut opened = engine::init(&bridge, secret).unwrap();
        // No configuration is written over another one.
        objects.delete("config").unwrap();
        opened.apply_config(&ConfigOptions::default().set_compression(0)).unwrap();
        let opened = engine::open(&bridge, secret).unwrap();
        let mut run = Run::begin(&Arc::new(opened.to_indexed_ids().unwrap()), &bridge, "ca");
        run.whole("text", text.into()).unwrap();
        let tree = run.end().unwrap().tree;
        bridge.barrier().unwrap();
        let reader = Reader::open(&objects, secret).unwrap();
        let node = reader.files(tree).unwrap().remove("text").unwrap();
        let part = reader.repository.get_index_entry(&node.content.unwrap()[0]).unwrap();
        let name = name_of(FileType::Pack, &part.pack);
        let range = objects.range(&name, part.location.offset.into(), part.location.length.into());
        range.unwrap().to_vec()
    }

    /// Anybody who may write into the vault can store one, without the key; and indexes of a vault that `repository copy` filled have
    /// another key.
    #[test]
    fn an_index_that_this_key_has_not_written_keeps_no_set_from_coming_back_and_is_repaired() {
        let dir = certadm_files::scratch::for_test();
        let (sound, other) = (repository(&dir.path().join("ca")), repository(&dir.path().join("other")));
        for repository in [&sound, &other] {
            store_as(repository, manifest(), 3_000).unwrap();
        }
        let points = sound.points().unwrap();
        let of_other = other.objects.get(&names(&other, "index")[0]).unwrap();
        let snapshot = sound.objects.get(&format!("snapshots/{}", points[0].id)).unwrap();
        for (number, content) in
            [vec![0x5a; 400], of_other.to_vec(), snapshot.to_vec(), Vec::new()].iter().enumerate()
        {
            let name = put(&sound, content);
            let fetched = sound.fetch(&points, dir.path(), &mut Silent).unwrap();
            assert_eq!(fetched.sets.len(), 1);
            assert!(sound.passed_over().iter().any(|text| text.contains(&name)), "{number}");
            sound.export(&points[0], &dir.path().join(format!("export{number}")), &mut Silent).unwrap();
            let second = repository(&dir.path().join(format!("second{number}")));
            second.copy_from(&sound, &points[0], &mut Silent).unwrap();
            let problems = sound.check(Part::ALL, &mut Silent).unwrap().problems;
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].text.starts_with(&name) && problems[0].points.is_empty(), "{problems:?}");
            // What leans on all that is there, or deletes some of it, does not go on.
            assert!(sound.sink(SinkOptions::default()).is_err(), "{number}");
            let options = RepairOptions { read: number == 0, forget_lost: number == 1, take_over: false };
            let repaired = sound.repair(&options, &mut Silent).unwrap();
            assert_eq!(repaired.left_out.len(), 1, "{repaired:?}");
            assert!(repaired.left_out[0].starts_with(&name), "{repaired:?}");
            assert!(repaired.lost.is_empty() && !names(&sound, "index").contains(&name), "{repaired:?}");
            assert_eq!(sound.points().unwrap(), points);
            assert!(sound.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
        }
        sound.sink(SinkOptions::default()).unwrap();
    }

    /// A true index that has changed is passed over, too, and named where something is missing without it.
    #[test]
    fn a_changed_index_is_named_by_what_lacks_its_packs() {
        let dir = certadm_files::scratch::for_test();
        let repository = repository(&dir.path().join("ca"));
        store_as(&repository, manifest(), 3_000).unwrap();
        let points = repository.points().unwrap();
        let name = names(&repository, "index").remove(0);
        repository.objects.delete(&name).unwrap();
        repository.objects.put(&name, &[Bytes::from_static(b"other bytes")]).unwrap();
        let error = repository.fetch(&points, dir.path(), &mut Silent).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(&name), "{error}");
        let checked = repository.check(Part::ALL, &mut Silent).unwrap();
        assert!(checked.problems.iter().any(|problem| problem.text.contains(&name)), "{checked:?}");
        assert!(
            checked.problems.iter().any(|problem| problem.points == [points[0].id.clone()]),
            "{checked:?}"
        );
        let repaired = repository.repair(&RepairOptions::default(), &mut Silent).unwrap();
        assert!(repaired.lost.is_empty() && 0 < repaired.taken_in, "{repaired:?}");
        repository.fetch(&points, dir.path(), &mut Silent).unwrap();
    }

    /// Somebody with the key names sound packs, and has their parts change places.
    #[test]
    fn an_index_that_lies_is_repaired_and_makes_no_set_go() {
        let dir = certadm_files::scratch::for_test();
        for (number, (beside, options)) in [
            (false, RepairOptions { read: true, ..RepairOptions::default() }),
            (true, RepairOptions { read: true, ..RepairOptions::default() }),
            (false, RepairOptions { forget_lost: true, ..RepairOptions::default() }),
            (false, RepairOptions { read: true, forget_lost: true, take_over: false }),
        ]
        .into_iter()
        .enumerate()
        {
            let at = |name: &str| dir.path().join(format!("{name}{number}"));
            let repository = repository(&at("ca"));
            store_as(&repository, manifest(), 3_000).unwrap();
            let points = repository.points().unwrap();
            assert!(lying(&repository.objects, &repository.secret).unwrap().is_empty());
            let bridge = Bridge::new(Arc::clone(&repository.objects));
            let (ids, indexes): (Vec<_>, Vec<_>) =
                read(&bridge, &repository.secret).unwrap().into_iter().unzip();
            let mut index = IndexFile::default();
            index.packs = indexes.into_iter().flat_map(|index| index.packs).collect();
            let mut turned = 0;
            for pack in &mut index.packs {
                let mut ids: Vec<_> = pack.blobs.iter().map(|blob| blob.id).collect();
                ids.rotate_left(1);
                turned += usize::from(1 < ids.len());
                pack.blobs.iter_mut().zip(ids).for_each(|(blob, id)| blob.id = id);
            }
            assert!(0 < turned);
            if !beside {
                let names = ids.iter().map(|id| name_of(FileType::Index, id));
                names.for_each(|name| repository.objects.delete(&name).unwrap());
            }
            let lie = sealed(&at("sealed"), &repository.secret, serde_json::to_vec(&index).unwrap());
            let name = put(&repository, &lie);
            assert_eq!(
                lying(&repository.objects, &repository.secret).unwrap(),
                BTreeSet::from([name.clone()])
            );
            if !beside {
                assert!(repository.fetch(&points, dir.path(), &mut Silent).is_err());
            }
            let repaired = repository.repair(&options, &mut Silent).unwrap();
            assert!(repaired.lost.is_empty(), "{repaired:?}");
            assert!(repaired.left_out.iter().any(|text| text.contains("says otherwise")), "{repaired:?}");
            assert!(!names(&repository, "index").contains(&name));
            assert_eq!(repository.points().unwrap(), points);
            repository.fetch(&points, dir.path(), &mut Silent).unwrap();
            assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
        }
    }
}
