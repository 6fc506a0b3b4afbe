//! An account that may write and lock, and not delete; and notes of what was proven.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use certadm_repository::objects::{FileObjects, Locks, ObjectError, Objects, Version};
use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Lock, LockMode, Part, Secret};
use certadm_rules::BackupType;
use certadm_set::Silent;

use crate::common::{Ca, over, repository};
use crate::objects::{Fault, Faulty, Memory, now};

/// A bucket with locks, of an account that may not delete.
#[derive(Debug)]
struct Bucket(Memory);

impl Objects for Bucket {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.0.put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.0.create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.0.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.0.get(name)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.0.range(name, offset, len)
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.0.len(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.0.list(folder)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        Err(ObjectError::new("delete", name, io::ErrorKind::PermissionDenied.into()))
    }

    fn locks(&self) -> Option<&dyn Locks> {
        Some(self)
    }

    fn place(&self) -> String {
        "a bucket".to_owned()
    }
}

impl Locks for Bucket {
    fn lock(&self) -> Option<Lock> {
        Some(Lock { days: 35, mode: LockMode::Compliance })
    }

    fn is_possible(&self) -> Result<bool, ObjectError> {
        Ok(true)
    }

    fn locked_until(&self, version: &Version) -> Result<Option<i64>, ObjectError> {
        self.0.get(&version.name).map(|_| None)
    }

    fn lock_until(&self, _: &Version, _: &Lock, _: i64) -> Result<(), ObjectError> {
        Ok(())
    }

    fn versions(&self) -> Result<Vec<Version>, ObjectError> {
        Ok(Vec::new())
    }

    fn remove_marker(&self, version: &Version) -> Result<(), ObjectError> {
        self.delete(&version.name)
    }

    fn bytes_of(&self, version: &Version) -> Result<Bytes, ObjectError> {
        self.get(&version.name)
    }

    fn put_over(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        self.put(name, &[content])
    }
}

/// Two full sets in such a bucket.
fn bucket() -> (Memory, CaRepository) {
    let mut ca = Ca::create();
    let (memory, secret, sound) = repository();
    for _ in 0..2 {
        ca.back_up(&sound, BackupType::Full).unwrap();
        ca.issue(1);
    }
    let bucket = over(Arc::new(Bucket(memory.clone())), &secret);
    (memory, bucket)
}

#[test]
fn an_account_that_may_not_delete_locks_and_checks_and_takes_no_turn() {
    let (memory, bucket) = bucket();
    assert!(0 < bucket.extend_locks(false).unwrap().extended);
    assert_eq!(bucket.lock_ends().unwrap().unwrap().sets.len(), 2);
    let point = bucket.points().unwrap().remove(0);
    for _ in 0..3 {
        bucket.note_proven(&point).unwrap();
        assert!(bucket.proven_at(&point).unwrap().is_some());
    }
    // A turn that cannot be given back would keep others from theirs for a day.
    let keep = Keep { last: 1, ..Keep::default() };
    let refused = bucket.expiry(&ExpiryOptions { keep, take_over: false, rest: Some(0) }).unwrap_err();
    assert!(matches!(refused, Error::Storage { .. }), "{refused}");
    assert_eq!(memory.names("certadm/turn/"), [""; 0]);
}

#[test]
fn the_locks_of_the_other_sets_are_told_where_a_snapshot_cannot_be_read() {
    let (memory, bucket) = bucket();
    let snapshot = format!("snapshots/{}", bucket.points().unwrap()[0].id);
    memory.overwrite(&snapshot, vec![7; 200]);
    assert_eq!(bucket.lock_ends().unwrap().unwrap().sets.len(), 1);
    assert!(!bucket.check(Part::NONE, &mut Silent).unwrap().problems.is_empty());
}

#[test]
fn a_state_that_is_proven_again_has_the_date_of_the_last_time() {
    let ca = Ca::create();
    let folder = ca.beside().join("vault");
    let secret = Secret::generate(Path::new("a test"));
    let repository = over(Arc::new(FileObjects::new(folder.clone())), &secret);
    repository.init().unwrap();
    ca.back_up(&repository, BackupType::Full).unwrap();
    let point = repository.points().unwrap().remove(0);
    let notes = || FileObjects::new(folder.clone()).list("certadm/proven").unwrap();
    for _ in 0..4 {
        repository.note_proven(&point).unwrap();
        let when = repository.proven_at(&point).unwrap().unwrap();
        assert!((now() - 60..=now() + 60).contains(&when), "{when}");
        assert!(point.is_noted(&repository.proven().unwrap()));
        assert_eq!(notes().len(), 1);
        let note = std::fs::File::options().write(true).open(folder.join(&notes()[0].0)).unwrap();
        note.set_modified(SystemTime::now() - Duration::from_secs(90 * 86_400)).unwrap();
    }
}

/// Whichever step is the last one, and whatever was left before: the state stays proven.
#[test]
fn a_note_is_there_while_it_is_replaced() {
    let (stored, secret, sound) = repository();
    Ca::create().back_up(&sound, BackupType::Full).unwrap();
    let point = sound.points().unwrap().remove(0);
    sound.note_proven(&point).unwrap();
    for call in 0.. {
        let memory = stored.copy();
        let faulty = Faulty::new(memory.clone(), Fault::Dead(call));
        let noted = over(faulty, &secret).note_proven(&point);
        let sound = over(Arc::new(memory.clone()), &secret);
        assert!(point.is_noted(&sound.proven().unwrap()), "{call}");
        sound.note_proven(&point).unwrap();
        assert!(point.is_noted(&sound.proven().unwrap()), "{call}");
        assert_eq!(memory.names("certadm/proven/").len(), 1, "{call}");
        if noted.is_ok() {
            assert!(3 < call, "{call}");
            break;
        }
    }
}
