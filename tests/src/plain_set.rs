//! Plain copies of backups, so that the store can be tested without the crates above it: an image, logs, and a file
//! `COMMITTED` that comes last and names the range.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use certadm_files::durable;
use certadm_rules::registration::{MapEntry, RestoreRecord};
use certadm_rules::{Generation, GenerationRange, Hresult};
use certadm_store::backup::Backup;
use certadm_store::chain;
use certadm_store::log_file::LogFile;
use certadm_store::{Error, Folder, record};

/// The name of the image in a plain set.
pub const IMAGE: &str = "ca.db";
const COMMITTED: &str = "COMMITTED";

/// Copies a backup into the new folder `to`: image (if `full`), logs, everything flushed, read back and checked, then
/// committed. The image is read in small pieces with a `pause` after each.
///
/// # Errors
/// The store's. The folder then has no `COMMITTED`.
///
/// # Panics
/// When the folder cannot be written: it is no part of what is tested.
pub fn take(backup: &mut Backup, full: bool, to: &Path, pause: Duration) -> Result<GenerationRange, Error> {
    fs::create_dir(to).expect("the set's folder can be created");
    if full {
        take_image(backup, to, || std::thread::sleep(pause))?;
    }
    take_logs(backup, to)
}

/// Copies the image of a full backup into the folder `to`, and calls `between` after each piece.
///
/// # Errors
/// The store's.
///
/// # Panics
/// As [`take`].
pub fn take_image(backup: &Backup, to: &Path, mut between: impl FnMut()) -> Result<(), Error> {
    let mut image = backup.open_image()?;
    let mut file = File::create_new(to.join(IMAGE)).expect("the image's copy can be created");
    let mut buffer = vec![0; 40_000]; // no multiple of a page
    let mut left = image.size();
    loop {
        let len = image.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        left -= len as u64;
        file.write_all(&buffer[..len]).expect("the image's copy can be written");
        between();
    }
    assert_eq!(left, 0, "the image has the size it announced");
    Ok(())
}

/// Fetches the log list, copies the logs into the folder `to`, checks what is there by reading it back and commits it.
///
/// # Errors
/// The store's.
///
/// # Panics
/// As [`take`], and when what was delivered does not check.
pub fn take_logs(backup: &mut Backup, to: &Path) -> Result<GenerationRange, Error> {
    for (generation, path) in backup.logs()? {
        let mut log = backup.open_log(generation)?;
        let mut bytes = vec![0; usize::try_from(log.size()).expect("a log fits into memory") + 1];
        let len = log.read(&mut bytes)?;
        assert_eq!(len as u64, log.size(), "the log has the size it announced");
        fs::write(to.join(path.file_name().expect("a log has a name")), &bytes[..len])
            .expect("the log's copy can be written");
    }
    let range = backup.range().expect("the logs were listed");
    let logs = Folder::logs_in(to)?;
    for (_, path) in &logs {
        LogFile::open(path).and_then(|log| log.check()).expect("a delivered log checks");
    }
    if to.join(IMAGE).exists() {
        let trailer = chain::read_trailer(to.join(IMAGE)).expect("a delivered image has its trailer");
        chain::check_image(to.join(IMAGE), &trailer, |_| ()).expect("a delivered image checks");
        chain::check_chain(&trailer, &logs, range).expect("a delivered chain checks");
    }
    let text = format!("{} {}\n", range.low().number(), range.high().number());
    durable::replace(&to.join(COMMITTED), text.as_bytes()).expect("the set can be committed");
    Ok(range)
}

/// The range of a committed plain set; `None` when it is absent or not committed.
///
/// # Panics
/// When the file is malformed.
pub fn committed(set: &Path) -> Option<GenerationRange> {
    let mut text = String::new();
    File::open(set.join(COMMITTED)).ok()?.read_to_string(&mut text).expect("COMMITTED can be read");
    let mut words = text.split_whitespace().map(|word| word.parse().ok().and_then(Generation::new));
    let range = words.next().flatten().zip(words.next().flatten());
    let range = range.and_then(|(low, high)| GenerationRange::new(low, high));
    assert!(range.is_some(), "{} has a malformed COMMITTED", set.display());
    range
}

/// Whether two files are one log: to the last byte, or both whole, and one of them packed.
fn same_log(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| LogFile::open(path).and_then(|log| log.check().map(|()| *log.header())).ok();
    let same_bytes = fs::read(one).ok() == fs::read(other).ok();
    same_bytes || whole(one).zip(whole(other)).is_some_and(|(one, other)| one.is_same_log(&other))
}

/// Puts an image and the logs of several folders into the new CA folder `to` and registers the restore.
///
/// A generation that lies in more than one folder must be the same in all.
///
/// # Panics
/// When a file cannot be copied, or one generation has two contents.
pub fn restore(image: &Path, log_folders: &[PathBuf], to: &Path) -> Folder {
    let folder = Folder::new(to);
    for dir in [folder.path().to_owned(), folder.database_dir(), folder.log_dir(), folder.crl_dir()] {
        fs::create_dir(&dir).expect("the folders of the restored CA can be created");
    }
    let mut logs: BTreeMap<Generation, PathBuf> = BTreeMap::new();
    for dir in log_folders {
        for (generation, path) in Folder::logs_in(dir).expect("the logs can be listed") {
            if let Some(other) = logs.get(&generation) {
                assert!(
                    same_log(other, &path),
                    "{} and {} are one generation and differ",
                    other.display(),
                    path.display()
                );
            }
            logs.insert(generation, path);
        }
    }
    let trailer = chain::read_trailer(image).expect("the image has a trailer");
    logs.retain(|generation, _| *generation >= trailer.low);
    let high = *logs.keys().next_back().expect("there are logs");
    for (generation, path) in &logs {
        fs::copy(path, folder.log_path(*generation)).expect("a log can be copied");
    }
    let database = folder.database_path_for("ca");
    fs::copy(image, &database).expect("the image can be copied");
    register(&folder, GenerationRange::new(trailer.low, high).expect("the logs reach the image's range"));
    folder
}

/// Registers a restore that has put everything into `folder` itself.
///
/// # Panics
/// When the record cannot be written.
pub fn register(folder: &Folder, range: GenerationRange) {
    let database = folder.database_path_for("ca").to_str().expect("test paths are UTF-8").to_owned();
    let record = RestoreRecord {
        backup_log_directory: None,
        checkpoint_directory: None,
        log_directory: None,
        range,
        map: vec![MapEntry { database: database.clone(), new_database: database }],
        database_recovered: false,
        status: Hresult::S_OK,
    };
    record::begin(folder, &record).expect("the registration can be written");
}

/// Copies a folder with all that is in it.
///
/// A store that is open may work in it. The temporary file of a log that is just being packed may then go while the folder is
/// copied, because the file takes the log's name. The copy goes without it: the log stands there, plain or packed.
///
/// # Panics
/// When that fails.
pub fn copy_folder(from: &Path, to: &Path) {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).expect("its parents can be created");
    }
    fs::create_dir(to).expect("a folder can be created");
    for entry in fs::read_dir(from).expect("a folder can be listed") {
        let entry = entry.expect("and read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            copy_folder(&entry.path(), &target);
            continue;
        }
        match fs::copy(entry.path(), &target) {
            Err(error) if error.kind() == ErrorKind::NotFound && is_temporary(&target) => {}
            copied => drop(copied.expect("a file can be copied")),
        }
    }
}

fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "new")
}
