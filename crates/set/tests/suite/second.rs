//! Copies of sets in a second folder.

use std::fs;
use std::path::Path;

use certadm_files::durable;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::manifest::FILE_NAME;
use certadm_set::{Copies, Error, Readers, Silent};

use crate::common::{Ca, scratch};
use crate::prune::taken;

/// It said for ever that the folder was not empty, and asked for another one.
#[test]
fn a_copy_that_has_lost_bytes_is_told_as_such_and_is_made_again_once_it_is_gone() {
    let dir = scratch();
    let [sets, second] = ["sets", "second"].map(|name| dir.path().join(name));
    [&sets, &second].into_iter().for_each(|dir| durable::create_dir(dir).unwrap());
    let mut ca = Ca::create(&dir.path().join("ca"));
    let (set, there) = (sets.join("full"), second.join("full"));
    taken(&mut ca, &set, (BackupType::Full, true), 1_800_000_000);
    let copy = |set: &Path| Copies::in_folder(&second).unwrap().copy(set, Readers::default(), &mut Silent);
    let path = copy(&set).unwrap().path;
    assert_eq!(path, there);
    let damages: [&dyn Fn(); 3] = [
        &|| {
            let file = fs::OpenOptions::new().write(true).open(there.join("DataBase/ca.db")).unwrap();
            file.set_len(4096).unwrap();
        },
        &|| fs::remove_file(there.join("DataBase/ca.db")).unwrap(),
        &|| fs::write(there.join(FILE_NAME), "{}").unwrap(),
    ];
    for (damage, word) in damages.into_iter().zip(["it has 4096 bytes", "is missing", "cannot be trusted"]) {
        damage();
        for _ in 0..2 {
            let error = copy(&set).unwrap_err();
            let (text, remedy) = (error.to_string(), error.remedy());
            assert!(matches!(&error, Error::DamagedCopy { path, .. } if *path == there), "{error:?}");
            assert!(
                text.contains(word) && remedy.contains(&format!("delete the folder {}", there.display()))
            );
        }
        fs::remove_dir_all(&there).unwrap();
        assert!(copy(&set).unwrap().is_new);
    }
    // Another set with that name is no damaged copy.
    fs::remove_dir_all(&set).unwrap();
    taken(&mut ca, &set, (BackupType::Full, true), 1_800_000_060);
    fs::remove_file(there.join("DataBase/ca.db")).unwrap();
    assert!(matches!(copy(&set), Err(Error::TargetNotEmpty { .. })));
}
