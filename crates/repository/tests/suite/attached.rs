//! Something is attached to a set that is stored: the set stays as it is, and the same backup is there once more, with more beside
//! its database.

use certadm_repository::{
    CaRepository, Copied, Error, ExpiryOptions, Imported, Keep, Part, Secret, Selector,
};
use certadm_rules::BackupType;
use certadm_set::{Silent, TakeOptions, take};
use std::path::Path;
use std::sync::Arc;

use crate::common::{Ca, assert_whole, import, over, repository};
use crate::objects::Memory;

fn attach_a_note(copy: &Path, text: &str) {
    put(copy, "note.txt", text);
}

fn put(copy: &Path, name: &str, text: &str) {
    let folder = copy.join("Identity");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
}

/// Attaches files to a version of the only set.
fn attach(repository: &CaRepository, version: u32, names: &[&str], scratch: &Path) -> Result<(), Error> {
    let points = repository.points().unwrap();
    let point = points.iter().find(|point| point.version == version).unwrap();
    let fetched = repository.fetch(std::slice::from_ref(point), scratch, &mut Silent).unwrap();
    names.iter().for_each(|name| put(&fetched.sets[0], name, name));
    repository.store_attached(point, &fetched.sets[0], &mut Silent).map(drop)
}

fn versions(repository: &CaRepository) -> Vec<u32> {
    repository.points().unwrap().iter().map(|point| point.version).collect()
}

#[test]
fn an_attached_file_makes_a_later_version_and_overwrites_nothing() {
    let mut ca = Ca::create();
    let (memory, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    let taken = repository.points().unwrap();
    repository.note_proven(&taken[0]).unwrap();
    let before = memory.all();

    for times in 1..3_u32 {
        let points = repository.select(&Selector::LatestFull).unwrap();
        assert_eq!(points[0].version, times - 1);
        let fetched = repository.fetch(&points, ca.beside(), &mut Silent).unwrap();
        attach_a_note(&fetched.sets[0], &format!("number {times}"));
        let stored = repository.store_attached(&points[0], &fetched.sets[0], &mut Silent).unwrap();
        let newest = repository.select(&Selector::LatestFull).unwrap();
        assert_eq!(newest[0].version, times);
        assert!(stored.set.to_str().unwrap().ends_with(newest[0].short_id()), "{:?}", stored.set);
        assert!(newest[0].is_noted(&repository.proven().unwrap()), "its database is proven");
    }
    // Everything that was there is there, to the last byte.
    let after = memory.all();
    assert!(before.iter().all(|(name, content)| after.get(name) == Some(content)));
    let first = repository.select(&Selector::Alone(taken[0].id.clone())).unwrap();
    let fetched = repository.fetch(&first, ca.beside(), &mut Silent).unwrap();
    assert!(!fetched.sets[0].join("Identity").exists());
    // A restore takes the last version, and the log set continues it.
    let latest = repository.select(&Selector::Latest).unwrap();
    assert_eq!(latest.iter().map(|point| point.version).collect::<Vec<_>>(), [2, 0]);
    let fetched = repository.fetch(&latest, ca.beside(), &mut Silent).unwrap();
    assert_eq!(std::fs::read_to_string(fetched.sets[0].join("Identity/note.txt")).unwrap(), "number 2");
    assert_eq!(assert_whole(&repository, ca.beside()), 4);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());

    // Another vault gets every version once.
    let other = Memory::default();
    let other = over(Arc::new(other), &Secret::generate(Path::new("another")));
    other.init().unwrap();
    for _ in 0..2 {
        for point in repository.points().unwrap() {
            other.copy_from(&repository, &point, &mut Silent).unwrap();
        }
    }
    let versions: Vec<u32> = other.points().unwrap().iter().map(|point| point.version).collect();
    assert_eq!(versions, [0, 1, 2, 0]);
    let again = other.copy_from(&repository, &taken[0], &mut Silent).unwrap();
    assert!(matches!(again, Copied::There(_)), "{again:?}");

    // Rules count backups, so the earlier versions go.
    let keep = Keep { last: 2, ..Keep::default() };
    let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
    repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    let left: Vec<u32> = repository.points().unwrap().iter().map(|point| point.version).collect();
    assert_eq!(left, [2, 0]);
    assert_eq!(assert_whole(&repository, ca.beside()), 2);
}

#[test]
fn the_copy_of_another_set_is_refused_and_nothing_is_stored() {
    let mut ca = Ca::create();
    let (memory, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    let points = repository.select(&Selector::Latest).unwrap();
    let fetched = repository.fetch(&points, ca.beside(), &mut Silent).unwrap();
    let before = memory.all();
    let mut other = points[0].clone();
    other.time += 1;
    let error = repository.store_attached(&other, &fetched.sets[0], &mut Silent).unwrap_err();
    assert!(matches!(error, Error::NotStored { .. }), "{error}");
    // Something of the set itself was changed.
    let log = std::fs::read_dir(fetched.sets[1].join("DataBase")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    attach_a_note(&fetched.sets[1], "x");
    assert!(repository.store_attached(&points[1], &fetched.sets[1], &mut Silent).is_err());
    assert_eq!(memory.names("snapshots/").len(), 2);
    assert!(before.keys().all(|name| memory.all().contains_key(name)));
}

/// `attach` can add to a set that is a folder after it was stored: the CA's key, perhaps.
#[test]
fn what_was_attached_to_a_folder_comes_with_it_and_hides_nothing() {
    let ca = Ca::create();
    let (_, _, repository) = repository();
    let set = ca.beside().join("set");
    take(&mut ca.source(), &set, &TakeOptions::new(BackupType::Full), &mut Silent).unwrap();
    let versions = || {
        let points = repository.points().unwrap();
        points.iter().map(|point| point.version).collect::<Vec<_>>()
    };
    let import = || match import(&repository, &set) {
        Ok(imported) => Ok(matches!(imported, Imported::Stored(..))),
        Err(error) => Err(error),
    };
    assert!(import().unwrap());
    repository.note_proven(&repository.points().unwrap()[0]).unwrap();
    attach_a_note(&set, "first");
    assert_eq!((import().unwrap(), import().unwrap(), versions()), (true, false, vec![0, 1]));
    let latest = repository.select(&Selector::Latest).unwrap();
    assert!(latest[0].is_noted(&repository.proven().unwrap()), "its database is proven");
    let fetched = repository.fetch(&latest, ca.beside(), &mut Silent).unwrap();
    assert_eq!(std::fs::read_to_string(fetched.sets[0].join("Identity/note.txt")).unwrap(), "first");

    // A folder without it is there all the same, and one with another thing in its place is not stored over it.
    std::fs::remove_file(set.join("Identity/note.txt")).unwrap();
    assert!(!import().unwrap());
    attach_a_note(&set, "second");
    let error = import().unwrap_err();
    assert!(matches!(error, Error::OtherThings { .. }), "{error}");
    assert_eq!(versions(), [0, 1]);

    // The same between two repositories, until the thing is attached to the other one, too.
    let other = over(Arc::new(Memory::default()), &Secret::generate(Path::new("another")));
    other.init().unwrap();
    let points = repository.points().unwrap();
    other.copy_from(&repository, &points[0], &mut Silent).unwrap();
    let attach = |name: &str| {
        let points = other.select(&Selector::Latest).unwrap();
        let fetched = other.fetch(&points, ca.beside(), &mut Silent).unwrap();
        let folder = fetched.sets[0].join("Identity");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), "first").unwrap();
        other.store_attached(&points[0], &fetched.sets[0], &mut Silent).unwrap();
    };
    attach("other.txt");
    let error = other.copy_from(&repository, &points[1], &mut Silent).unwrap_err();
    assert!(matches!(error, Error::OtherThings { .. }), "{error}");
    attach("note.txt");
    let copied = other.copy_from(&repository, &points[1], &mut Silent).unwrap();
    assert!(matches!(copied, Copied::There(_)), "{copied:?}");
}

/// What was attached once, the CA's key perhaps, is in the newest version: another one without it is refused, since the one that has it
/// would expire.
#[test]
fn no_later_version_lacks_what_an_earlier_one_has() {
    let ca = Ca::create();
    let scratch = ca.beside();
    let (_, _, repository) = repository();
    ca.back_up(&repository, BackupType::Full).unwrap();
    let (_, _, other) = crate::common::repository();
    other.copy_from(&repository, &repository.points().unwrap()[0], &mut Silent).unwrap();
    attach(&repository, 0, &["ca.key"], scratch).unwrap();
    let refused = attach(&repository, 0, &["policy"], scratch).unwrap_err();
    let newest = repository.points().unwrap()[1].short_id().to_owned();
    assert!(
        matches!(&refused, Error::OtherThings { .. }) && refused.to_string().contains(&newest),
        "{refused}"
    );
    assert_eq!(versions(&repository), [0, 1]);
    // Beside the key it may be attached to either.
    attach(&repository, 0, &["ca.key", "policy"], scratch).unwrap();
    assert_eq!(versions(&repository), [0, 1, 2]);

    // Between two repositories: the one that a copy comes from has more versions, or fewer.
    attach(&other, 0, &["other.key"], scratch).unwrap();
    for (from, to, before) in [(&repository, &other, vec![0, 1]), (&other, &repository, vec![0, 1, 2])] {
        for point in &from.points().unwrap()[1..] {
            let refused = to.copy_from(from, point, &mut Silent).unwrap_err();
            assert!(matches!(refused, Error::OtherThings { .. }), "{refused}");
        }
        assert_eq!(versions(to), before);
    }
    // With everything attached to both, either has all.
    attach(&other, 1, &["ca.key", "policy"], scratch).unwrap();
    let newest = repository.points().unwrap().pop().unwrap();
    let copied = other.copy_from(&repository, &newest, &mut Silent).unwrap();
    assert!(matches!(copied, Copied::There(_)), "{copied:?}");
}
