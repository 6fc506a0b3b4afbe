//! Giving a restore up that another program registered: only what a CA can start on is left without its registration.

use std::fs;
use std::path::Path;

use certadm_set::Error;
use certadm_set::restore::abandon;
use certadm_store::recovery::{Registered, recover};
use certadm_store::{Folder, record};

use crate::common::{Ca, image, lay_down, log, scratch, serials, start};

/// A set of the generations 3 to 5, laid down and registered as a caller of the C library does it.
fn registered(dir: &Path) -> (Folder, Registered) {
    let set = dir.join("set");
    Ca::create(&dir.join("ca")).full_set(&set);
    let numbers: Vec<u32> = (1..20).filter(|number| log(&set, *number).exists()).collect();
    let folder = lay_down(&set, &dir.join("restored"), (numbers[0], numbers[numbers.len() - 1]));
    let range = record::read(&folder).unwrap().unwrap().range;
    let [database, backup_logs] = [folder.database_path_for("ca"), folder.log_dir()];
    (folder, Registered { database, backup_logs, log_directory: None, range })
}

fn assert_kept(folder: &Folder) {
    let before = record::read(folder).unwrap();
    assert!(matches!(abandon(folder), Err(Error::CannotAbandon { .. })));
    assert_eq!(record::read(folder).unwrap(), before);
}

#[test]
fn a_recovery_that_was_killed_is_gone_on_with() {
    let dir = scratch();
    let (folder, work) = registered(dir.path());
    assert_kept(&folder);
    // Killed once the image is recovered, and before the registration says so.
    recover(&folder, &work).unwrap();
    assert_kept(&folder);
    // Killed when the trailer was cut off, and the logs stand for some of the pages alone.
    let stored = fs::read(image(&dir.path().join("set"))).unwrap();
    fs::write(&work.database, &stored[..stored.len() - certadm_store::PAGE_SIZE as usize]).unwrap();
    assert_kept(&folder);
    assert_eq!(start(&folder), Ok(()));
    assert_eq!(serials(&folder), (1..=4).collect::<Vec<_>>());
    assert!(matches!(abandon(&folder), Err(Error::NothingToAbandon { .. })));
}

#[test]
fn a_registration_without_its_files_can_be_taken_back() {
    let dir = scratch();
    let (folder, work) = registered(dir.path());
    fs::remove_file(&work.database).unwrap();
    assert!(!abandon(&folder).unwrap().has_database);
    assert!(record::read(&folder).unwrap().is_none());
}
