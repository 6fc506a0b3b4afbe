//! A folder that is the same for every input: what an input has not touched is not written again.

use std::fs::{self, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A folder with these files and nothing else.
pub(crate) struct KeptFiles {
    folder: PathBuf,
    files: Vec<KeptFile>,
}

struct KeptFile {
    /// Below the folder.
    path: PathBuf,
    content: Vec<u8>,
    /// As it was when it was written.
    stamp: Option<Stamp>,
}

/// What differs once a file was written to, or another one has its name. Every file here is dated long ago, so that a write shows
/// however soon it comes.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: SystemTime,
}

impl KeptFiles {
    /// Nothing is written yet.
    pub(crate) fn new(folder: PathBuf, files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        let kept = |(path, content)| KeptFile { path, content, stamp: None };
        Self { folder, files: files.into_iter().map(kept).collect() }
    }

    /// Makes the folder what it is to be: removes what else lies there, and writes what is missing or was touched.
    pub(crate) fn renew(&mut self) {
        self.remove_others(Path::new(""));
        for file in &mut self.files {
            let path = self.folder.join(&file.path);
            if file.stamp.is_some() && file.stamp == stamp(&path) {
                continue;
            }
            fs::create_dir_all(path.parent().unwrap_or(&self.folder)).expect("a folder in memory");
            fs::write(&path, &file.content).expect("a file in memory");
            let opened = fs::OpenOptions::new().write(true).open(&path);
            opened.and_then(|file| file.set_times(long_ago())).expect("a file in memory");
            file.stamp = stamp(&path);
        }
    }

    /// Which of the files are still what was written, in their order.
    pub(crate) fn untouched(&self) -> Vec<bool> {
        let is_untouched =
            |file: &KeptFile| file.stamp.is_some() && file.stamp == stamp(&self.folder.join(&file.path));
        self.files.iter().map(is_untouched).collect()
    }

    /// Removes what is not to be in the folder at `way`.
    fn remove_others(&self, way: &Path) {
        for entry in fs::read_dir(self.folder.join(way)).into_iter().flatten().flatten() {
            let (path, inside) = (entry.path(), way.join(entry.file_name()));
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder
                && self.files.iter().any(|file| file.path != inside && file.path.starts_with(&inside))
            {
                self.remove_others(&inside);
            } else if is_folder {
                fs::remove_dir_all(&path).expect("a folder in memory");
            } else if !self.files.iter().any(|file| file.path == inside && file.stamp == stamp(&path)) {
                fs::remove_file(&path).expect("a file in memory");
            }
        }
    }
}

/// Times of a file that nobody has read or written since: with that of reading before that of writing, the next read is noted.
pub(crate) fn long_ago() -> FileTimes {
    FileTimes::new().set_accessed(UNIX_EPOCH).set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000))
}

#[cfg(unix)]
fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let found = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
    Some(Stamp {
        device: found.dev(),
        inode: found.ino(),
        len: found.len(),
        modified: found.modified().ok()?,
    })
}

/// Where nothing tells one file from another, everything is written again.
#[cfg(not(unix))]
fn stamp(_path: &Path) -> Option<Stamp> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What is done, how, and which files are untouched afterwards.
    type Touch<'a> = (&'a str, &'a dyn Fn(), [bool; 3]);

    fn inode(path: &Path) -> u64 {
        std::os::unix::fs::MetadataExt::ino(&path.symlink_metadata().unwrap())
    }

    #[test]
    fn what_was_touched_is_written_again_and_nothing_else() {
        let dir = certadm_files::scratch::for_test();
        let folder = dir.path().join("kept");
        let files = ["a/one", "a/two", "three"].map(|name| (PathBuf::from(name), name.as_bytes().to_vec()));
        let mut kept = KeptFiles::new(folder.clone(), files.clone());
        kept.renew();
        let [one, two, three] = files.each_ref().map(|(path, _)| folder.join(path));
        let touches: [Touch<'_>; 9] = [
            ("nothing", &|| (), [true; 3]),
            ("a write", &|| fs::write(&one, b"A/one").unwrap(), [false, true, true]),
            (
                "a write through a second name",
                &|| {
                    fs::hard_link(&one, folder.join("name")).unwrap();
                    fs::write(folder.join("name"), b"a/one").unwrap();
                },
                [false, true, true],
            ),
            ("a name more", &|| fs::hard_link(&one, folder.join("name")).unwrap(), [true; 3]),
            ("one in the place of another", &|| fs::rename(&one, &two).unwrap(), [false, false, true]),
            (
                "a copy",
                &|| {
                    fs::remove_file(&one).unwrap();
                    fs::write(&one, b"a/one").unwrap();
                },
                [false, true, true],
            ),
            (
                "a link",
                &|| {
                    fs::remove_file(&three).unwrap();
                    std::os::unix::fs::symlink("a/one", &three).unwrap();
                },
                [true, true, false],
            ),
            (
                "a link in the place of a folder",
                &|| {
                    fs::remove_dir_all(folder.join("a")).unwrap();
                    std::os::unix::fs::symlink(".", folder.join("a")).unwrap();
                },
                [false, false, true],
            ),
            (
                "folders more, and one in the place of a file",
                &|| {
                    fs::create_dir_all(folder.join("b/c")).unwrap();
                    fs::remove_file(&three).unwrap();
                    fs::create_dir_all(three.join("d")).unwrap();
                },
                [true, true, false],
            ),
        ];
        for (touch, apply, untouched) in touches {
            let before = [&one, &two, &three].map(|path| inode(path));
            apply();
            assert_eq!(kept.untouched(), untouched, "{touch}");
            kept.renew();
            assert_eq!(kept.untouched(), [true; 3], "{touch}");
            let stayed: Vec<bool> =
                [&one, &two, &three].iter().zip(before).map(|(path, before)| inode(path) == before).collect();
            assert_eq!(stayed, untouched, "{touch}");
            let mut expected: Vec<_> = files.to_vec();
            expected.sort();
            assert_eq!(crate::folder_contents::contents(&folder), expected, "{touch}");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "{touch}");
        }
    }
}
