//! Copying sets into another repository, and proving them there.

use std::cmp::Ordering;
use std::sync::Arc;

use certadm_files::cancel;
use certadm_set::stored::same_backup;
use certadm_set::{Manifest, Progress};
use rustic_core::TreeId;
use rustic_core::repofile::SnapshotFile;

use crate::beside::Attached;
use crate::bridge::Bridge;
use crate::engine::{self, Unexplained, call, of_storage};
use crate::error::{Error, Result};
use crate::point::{Point, refuse_other_ca};
use crate::proof;
use crate::reader::Reader;
use crate::vault::CaRepository;

/// What became of a set that was to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is there now, under this id.
    Stored(String),
    /// It was there already, and whole, under this id.
    There(String),
}

impl CaRepository {
    /// Copies a set of another repository into this one: what is not there yet, encrypted with the key of this one. A fresh
    /// reader has compared every file with the manifest before the snapshot appears. A set that is there and lacks something is
    /// completed.
    ///
    /// # Errors
    /// [`Error::OtherCa`]; [`Error::Damaged`] when either repository lacks something, and for a set
    /// that is not what its snapshot says; [`Error::OtherThings`]; as [`CaRepository::points`] of both.
    pub fn copy_from(
        &self,
        source: &CaRepository,
        point: &Point,
        progress: &mut dyn Progress,
    ) -> Result<Copied> {
        let points = self.snapshots()?;
        let there: Vec<&Point> = points.iter().filter(|there| same_backup(*there, point)).collect();
        let (mut whole, mut lacking) = (Vec::new(), Vec::new());
        let manifest = match (!there.is_empty()).then(|| source.manifest_of(point)).transpose() {
            Ok(read) => read.map(|(manifest, _)| manifest),
            // A set that is lost there, and whole here, is what copies are for.
            Err(Error::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        for there in there {
            match self.has_whole(there, manifest.as_ref())? {
                true if manifest.is_some() => whole.push((there, self.attached_to(there)?)),
                true if there.version == point.version => return Ok(Copied::There(there.id.clone())),
                false if there.version == point.version => lacking.push(there),
                _ => {}
            }
        }
        if !whole.is_empty() {
            let attached = source.attached_to(point)?;
            if let Some((there, _)) = whole.iter().find(|(_, there)| there.has_all_of(&attached)) {
                return Ok(Copied::There(there.id.clone()));
            }
            self.refuse_to_part(source, point, &attached, &whole)?;
        }
        refuse_other_ca(&self.address(), &self.ca, &source.ca)?;
        let from = source.reading()?;
        let snapshot = snapshot_of(&from, source, point)?;
        let manifest = from.seen(point)?.map_err(|detail| {
            let place = format!("{}/{}", source.address(), point.short_id());
            Error::Damaged { place, detail }
        })?;
        let manifest = manifest.manifest;
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some((_, detail)) = reader.lost_packs()?.into_values().next() {
            return Err(Error::Damaged { place: self.address(), detail });
        }
        cancel::check()?;
        let bridge = Bridge::new(Arc::clone(&self.objects));
        let to = engine::twice(|| {
            let opened = engine::open(&bridge, &self.secret)?;
            call(&bridge, "read the index", Unexplained::Damage, || opened.to_indexed_ids())
        })?;
        let copied =
            call(&bridge, "copy a set", Unexplained::Damage, || from.repository.copy(&to, [&snapshot]));
        copied.map_err(|error| match from.bridge.take_trouble() {
            Some(trouble) => of_storage(source.address(), trouble),
            None => error,
        })?;
        bridge.barrier()?;
        let indexes = proof::indexes(self.objects.as_ref())?;
        self.prove(&from, snapshot.tree, &manifest, progress)?;
        // What was lacking is there again, and so is the set that lacked it.
        if let Some(healed) = lacking.into_iter().find(|there| there.tree == snapshot.tree) {
            bridge.discard_held();
            return Ok(Copied::Stored(healed.id.clone()));
        }
        let id = bridge.commit()?.to_hex().to_string();
        proof::still_holds(&self.objects, &self.secret, &self.address(), (snapshot.tree, &id), &indexes)?;
        Ok(Copied::Stored(id))
    }

    /// Refuses a set where one of its versions here and that of the source each have something that the other lacks: one of them
    /// would come back with no state, and expire. Where another version of the source has all of what is here, the source has
    /// more of it, or somebody there wanted it otherwise.
    fn refuse_to_part(
        &self,
        source: &CaRepository,
        point: &Point,
        attached: &Attached,
        here: &[(&Point, Attached)],
    ) -> Result<()> {
        let versions = source.readable()?.points;
        let others: Vec<&Point> =
            versions.iter().filter(|other| same_backup(*other, point) && other.id != point.id).collect();
        let is_newest = others.iter().all(|other| other.version <= point.version);
        for (there, has) in here {
            // The one that is copied would not be the newest version here.
            let is_hidden = match there.version.cmp(&point.version) {
                Ordering::Less => false,
                Ordering::Equal => true,
                Ordering::Greater => is_newest,
            };
            let mut is_known = attached.has_all_of(has);
            for other in &others {
                is_known = is_known
                    || match source.attached_to(other) {
                        Ok(attached) => attached.has_all_of(has),
                        Err(Error::Damaged { .. }) => false,
                        Err(error) => return Err(error),
                    };
            }
            if is_hidden || !is_known {
                return Err(self.has_other_things(there));
            }
        }
        Ok(())
    }

    /// The set as a fresh reader finds it here is that of the source, byte for byte.
    fn prove(
        &self,
        from: &Reader,
        tree: TreeId,
        first: &Manifest,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let reader = Reader::open(&self.objects, &self.secret)?;
        if let Some(detail) = reader.lacks(tree, &reader.lost_packs()?)? {
            return Err(self.not_stored(detail));
        }
        let files = reader.files(tree)?;
        let (manifest, _) = reader.manifest(&files)?;
        if manifest != *first || manifest.ca.name != self.ca {
            return Err(self.not_stored("the set that a fresh reader finds is another one".to_owned()));
        }
        let (signature, beside) = (reader.signature(&files)?, reader.beside(&files)?);
        let own = from.files(tree)?;
        if signature != from.signature(&own)? || beside != from.beside(&own)? {
            return Err(self.not_stored("signature or identity differ for a fresh reader".to_owned()));
        }
        reader.read_all(&files, &manifest, None, progress)
    }

    fn not_stored(&self, detail: String) -> Error {
        Error::NotStored { place: self.address(), detail }
    }
}

fn snapshot_of(from: &Reader, source: &CaRepository, point: &Point) -> Result<SnapshotFile> {
    let snapshots = call(&from.bridge, "read the snapshots", Unexplained::Damage, || {
        from.repository.get_all_snapshots()
    })?;
    let found = snapshots.into_iter().find(|snapshot| *snapshot.id.to_hex() == *point.id);
    found.ok_or_else(|| Error::NoPoint { place: source.address(), detail: format!("{} is gone", point.id) })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use certadm_set::Silent;
    use certadm_set::hashes::Hashing;
    use certadm_set::manifest::{CaIdentity, Generations, Role, SetKind};
    use certadm_set::sink::{NewFile, SetSink};
    use rustic_core::repofile::SnapshotFile;

    use super::*;
    use crate::check::{Part, Problem};
    use crate::objects::FileObjects;
    use crate::objects::Objects;
    use crate::secret::Secret;
    use crate::sink::SinkOptions;

    pub(crate) fn repository(folder: &Path) -> CaRepository {
        let objects: Arc<dyn Objects> = Arc::new(FileObjects::new(folder.to_owned()));
        let repository = CaRepository::over(objects, Secret::generate(folder), "vault", "ca");
        repository.init().unwrap();
        repository
    }

    pub(crate) fn manifest() -> Manifest {
        let ca = CaIdentity {
            name: "ca".to_owned(),
            host: "host".to_owned(),
            database_signature: "ab".repeat(16),
            stream_signature: "cd".repeat(16),
        };
        let mut manifest = Manifest::new(ca, SetKind::Full, "2026-01-01T00:00:00Z".to_owned());
        manifest.generations = Generations { low: 1, high: 2 };
        manifest.finished = "2026-01-01T00:01:00.5Z".to_owned();
        manifest
    }

    /// Stores a set with one file of so many bytes.
    fn store(repository: &CaRepository, len: usize) {
        store_as(repository, manifest(), len).unwrap();
    }

    /// The same with this manifest.
    pub(crate) fn store_as(
        repository: &CaRepository,
        manifest: Manifest,
        len: usize,
    ) -> certadm_set::Result<()> {
        fill(Box::new(repository.sink(SinkOptions::default()).unwrap()), manifest, len)
    }

    /// The same into a sink.
    pub(crate) fn fill(
        mut sink: Box<dyn SetSink>,
        manifest: Manifest,
        len: usize,
    ) -> certadm_set::Result<()> {
        let content = vec![7_u8; len];
        let (role, entry) = match manifest.kind {
            SetKind::Full => (Role::Database, "DataBase/ca.db"),
            SetKind::Logs => (Role::Log, "DataBase/edb00003.log"),
        };
        let (entry, size) = (entry.to_owned(), content.len() as u64);
        let new = NewFile { entry, role, source: "x", size, hashing: Hashing::Blake3 };
        let mut rest = content.as_slice();
        sink.add(new, &mut |buffer: &mut [u8]| Ok(std::io::Read::read(&mut rest, buffer).unwrap())).unwrap();
        sink.commit(manifest, &mut Silent).map(drop)
    }

    /// Stores a snapshot of this tree that says of itself what such a manifest, and such a time, would have it say.
    pub(crate) fn plant(repository: &CaRepository, tree: TreeId, manifest: &Manifest, time: i64) -> Point {
        let bridge = Bridge::new(Arc::clone(&repository.objects));
        let opened = engine::open(&bridge, &repository.secret).unwrap();
        let snapshot = crate::point::snapshot_of(manifest, time, None).unwrap();
        opened.save_snapshots(vec![SnapshotFile { tree, ..snapshot }]).unwrap();
        let id = bridge.commit().unwrap().to_hex().to_string();
        repository.points().unwrap().into_iter().find(|point| point.id == id).unwrap()
    }

    /// Whoever has the key, but not the signer's, can store a snapshot that names an old set as the newest state.
    #[test]
    fn an_old_set_is_not_read_as_another_one() {
        let dir = certadm_files::scratch::for_test();
        let source = repository(&dir.path().join("source"));
        let target = repository(&dir.path().join("target"));
        store(&source, 3_000);
        let sound = source.points().unwrap().remove(0);
        let changed = |change: &dyn Fn(&mut Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            manifest
        };
        for (word, manifest, time) in [
            ("time", manifest(), sound.time + 1),
            ("time", manifest(), 1_800_000_000),
            ("CA", changed(&|manifest| manifest.ca.name = "other".to_owned()), sound.time),
            ("kind", changed(&|manifest| manifest.kind = SetKind::Logs), sound.time),
            ("database", changed(&|manifest| manifest.ca.database_signature = "ef".repeat(16)), sound.time),
            ("stream", changed(&|manifest| manifest.ca.stream_signature = "ef".repeat(16)), sound.time),
            ("generations", changed(&|manifest| manifest.generations.high = 9), sound.time),
            ("generations", changed(&|manifest| manifest.generations.low = 2), sound.time),
        ] {
            let planted = plant(&source, sound.tree, &manifest, time);
            let one = std::slice::from_ref(&planted);
            let fetched = source.fetch(one, dir.path(), &mut Silent).map(drop);
            let exported = source.export(&planted, &dir.path().join("export"), &mut Silent).map(drop);
            let copied = target.copy_from(&source, &planted, &mut Silent).map(drop);
            for refused in [fetched, exported, copied] {
                let refused = refused.unwrap_err();
                let told = refused.to_string();
                assert!(matches!(refused, Error::Damaged { .. }) && told.contains(word), "{word}: {told}");
                assert!(told.contains(planted.short_id()), "{told}");
            }
            let checked = source.check(Part::NONE, &mut Silent).unwrap();
            let named = |problem: &Problem| problem.points == [planted.id.clone()];
            assert!(checked.problems.iter().any(named), "{word}: {checked:?}");
        }
        assert_eq!(target.points().unwrap(), []);
        // What the set says itself is read, also from a snapshot that somebody has made of it anew.
        let again = plant(&source, sound.tree, &manifest(), sound.time);
        source.fetch(&[sound.clone(), again.clone()], dir.path(), &mut Silent).unwrap();
        let checked = source.check(Part::ALL, &mut Silent).unwrap();
        let wrong: Vec<&String> = checked.problems.iter().flat_map(|problem| &problem.points).collect();
        assert!(wrong.len() == 8 && !wrong.contains(&&sound.id) && !wrong.contains(&&again.id), "{wrong:?}");
        target.copy_from(&source, &sound, &mut Silent).unwrap();
        assert_eq!(target.points().unwrap().len(), 1);
    }

    /// What stands in the place of a set is not taken for it.
    #[test]
    fn another_set_of_the_same_name_is_no_copy() {
        let dir = certadm_files::scratch::for_test();
        let source = repository(&dir.path().join("source"));
        let target = repository(&dir.path().join("target"));
        store(&source, 3_000);
        store(&target, 2_000);
        let refused = target.copy_from(&source, &source.points().unwrap()[0], &mut Silent).unwrap_err();
        let told = refused.to_string();
        assert!(matches!(refused, Error::Damaged { .. }) && told.contains("other files"), "{told}");
    }
}
