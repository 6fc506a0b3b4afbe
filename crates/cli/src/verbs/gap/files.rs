//! The files with certificates that a person named by their folder.

use std::collections::BTreeSet;
use std::fs::FileType;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use certadm_files::{Found, IoContext, cancel};
use certadm_rules::finding::{Finding, Kind};

use crate::failure::Failure;

/// Folders within each other, and files in them, that are looked through for certificates.
const DEEPEST: usize = 16;
const MOST_FILES: usize = 1_000_000;

/// A file itself, or the files in a folder and in the folders below it. Links to files are followed, because certificates are often
/// kept so (`/etc/letsencrypt/live`, `/etc/ssl/certs`): the folder is the user's own, and of a file nothing is taken but certificates
/// that the CA signed. Links to folders are not, so that nothing is read in a circle. What is left out is told, and so is a folder
/// without files.
///
/// # Errors
/// [`Failure`] when a folder cannot be listed, or there are too many files.
pub(super) fn named(path: &Path, found: &mut Vec<Finding>) -> Result<Vec<Found>, Failure> {
    if !std::fs::metadata(path).during("look at", path)?.is_dir() {
        return Ok(vec![Found::named(path)]);
    }
    let (mut files, mut left_out) = (BTreeSet::new(), LeftOut::default());
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        let folder = path.join(&inside);
        for entry in std::fs::read_dir(&folder).during("list", &folder)? {
            cancel::check()?;
            let entry = entry.during("list", &folder)?;
            let kind = entry.file_type().during("look at", &entry.path())?;
            let inside = inside.join(entry.file_name());
            if kind.is_dir() && inside.components().count() < DEEPEST {
                folders.push(inside);
            } else if kind.is_file() {
                files.insert(Found::below(path, inside));
            } else if let Some(file) = target(&entry.path(), kind, &mut left_out)? {
                files.insert(file);
            }
            if MOST_FILES < files.len() + folders.len() {
                let text = format!("{} holds more than {MOST_FILES} files", path.display());
                return Err(Failure::usage(text, "name a folder with fewer files"));
            }
        }
    }
    found.extend(left_out.finding(path, files.is_empty()));
    Ok(files.into_iter().collect())
}

/// The file that a link leads to. It is opened as one of the folder where it lies, so that nothing is read but a file.
fn target(entry: &Path, kind: FileType, left_out: &mut LeftOut) -> Result<Option<Found>, Failure> {
    if !kind.is_symlink() {
        // Devices, pipes and sockets hold no certificates, whether a link leads to them or not.
        left_out.deep += u64::from(kind.is_dir());
        return Ok(None);
    }
    let leads_to = match std::fs::canonicalize(entry) {
        Ok(leads_to) => leads_to,
        // It leads nowhere, in a circle, or where this user may not look.
        Err(error) if error.kind() != ErrorKind::Interrupted => {
            left_out.broken += 1;
            return Ok(None);
        }
        Err(error) => return Err(error).during("look at", entry).map_err(Failure::from),
    };
    match (leads_to.metadata(), leads_to.parent(), leads_to.file_name()) {
        (Ok(there), Some(folder), Some(name)) if there.is_file() => {
            return Ok(Some(Found::below(folder, name)));
        }
        (Ok(there), ..) if there.is_dir() => left_out.folders += 1,
        (Ok(_), ..) => {}
        (Err(_), ..) => left_out.broken += 1,
    }
    Ok(None)
}

/// What a folder holds and nothing was read of.
#[derive(Default)]
struct LeftOut {
    /// Links to folders.
    folders: u64,
    /// Links that lead nowhere.
    broken: u64,
    /// Folders too deep within each other.
    deep: u64,
}

impl LeftOut {
    fn finding(&self, path: &Path, is_empty: bool) -> Option<Finding> {
        let counts: Vec<String> = [
            (self.folders, "link to a folder", "links to folders"),
            (self.broken, "link that leads to nothing", "links that lead to nothing"),
            (self.deep, "folder too deep below it", "folders too deep below it"),
        ]
        .into_iter()
        .filter(|(count, ..)| *count != 0)
        .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
        .collect();
        let text = match (counts.is_empty(), is_empty) {
            (true, false) => return None,
            (true, true) => "it holds no file, so it tells nothing of what the CA issued".to_owned(),
            (false, true) => format!("no file was read in it; left out: {}", counts.join(", ")),
            (false, false) => format!("left out: {}", counts.join(", ")),
        };
        let remedy = match self.folders {
            0 => "name the folder where the certificates are",
            _ => "name the folders that the links lead to as well: --certificates FOLDER FOLDER",
        };
        Some(Finding::warning(Kind::SourceSilent, text).remedy(remedy).in_file(path))
    }
}
