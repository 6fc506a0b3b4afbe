//! What stands beside the database in a set: the folder `Identity`, which the manifest does not list.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use certadm_files::Found;
use certadm_rules::names::is_safe_component;
use certadm_set::attached::{self, DEPTH, LIST, MAX_BYTES, MAX_FILES};
use certadm_set::manifest::Manifest;
use certadm_set::signing;

use crate::error::{Error, Result};

/// The folder, as `certadm_identity::DIR` has it.
const FOLDER: &str = "Identity";
/// Files with their paths in the set.
pub(crate) type Files = Vec<(String, Bytes)>;
/// Makes the files when it is known to which database they belong.
type Make = dyn Fn(&Manifest) -> Vec<(String, Vec<u8>)> + Send + Sync;

/// The files that are to stand beside the database of a set, made when its manifest is known.
#[derive(Clone)]
pub struct Beside(Arc<Make>);

impl Beside {
    /// Files that `make` makes: paths in the set such as `Identity/identity.json`, and their bytes.
    pub fn new(make: impl Fn(&Manifest) -> Vec<(String, Vec<u8>)> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    pub(crate) fn files(&self, manifest: &Manifest) -> Files {
        (self.0)(manifest).into_iter().map(|(path, content)| (path, content.into())).collect()
    }
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beside")
    }
}

/// What belongs to a set and is not in its manifest: what stands beside its database, and whether somebody has signed it.
pub(crate) struct Attached(BTreeMap<String, Bytes>);

impl Attached {
    /// Of these files. The list of them is made anew whenever one comes, so it is left out; and of two signatures, each fits its
    /// own manifest.
    pub(crate) fn of(beside: Files, is_signed: bool) -> Self {
        let mut all: BTreeMap<String, Bytes> = beside.into_iter().collect();
        all.remove(LIST);
        if is_signed {
            all.insert(signing::FILE_NAME.to_owned(), Bytes::new());
        }
        Self(all)
    }

    /// Whether everything of `other` is here, too.
    pub(crate) fn has_all_of(&self, other: &Self) -> bool {
        other.0.iter().all(|(path, content)| self.0.get(path) == Some(content))
    }
}

/// Whether a file of a set is one of these.
pub(crate) fn is_beside(path: &str) -> bool {
    path.split_once('/').is_some_and(|(first, _)| first == FOLDER)
}

/// Sorts files as their tree has them, and refuses what can be no file of the folder.
///
/// # Errors
/// A sentence.
pub(crate) fn sorted(mut files: Files) -> std::result::Result<Files, String> {
    let total: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    if MAX_FILES < files.len() || MAX_BYTES < total {
        return Err(format!("{FOLDER} has more than {MAX_FILES} files, or more than {MAX_BYTES} bytes"));
    }
    let wrong = files.iter().find(|(path, _)| {
        !is_beside(path) || !path.split('/').all(is_safe_component) || DEPTH + 1 < path.split('/').count()
    });
    if let Some((path, _)) = wrong {
        return Err(format!("{path:?} is no file of {FOLDER}"));
    }
    files.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
    Ok(files)
}

/// The files in the folder of a set; none where it has no such folder. Links are not followed.
///
/// # Errors
/// [`Error::File`]; [`Error::NotStored`] for what no such folder holds.
pub(crate) fn of_folder(set: &Path, place: &str) -> Result<Files> {
    let mut files = Files::new();
    let mut total = 0;
    for inside in attached::files(set)? {
        let content = Found::below(set, &inside).read(MAX_BYTES.saturating_sub(total))?;
        total += content.len() as u64;
        files.push((inside, content.into()));
    }
    sorted(files).map_err(|detail| Error::NotStored { place: place.to_owned(), detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_sorted_as_a_tree_has_them_and_stay_in_their_folder() {
        let file = |path: &str| (path.to_owned(), Bytes::new());
        let files = sorted(vec![file("Identity/a.b"), file("Identity/identity.json"), file("Identity/a/b")]);
        let paths: Vec<String> = files.unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["Identity/a/b", "Identity/a.b", "Identity/identity.json"]);
        for wrong in
            ["Identity", "Other/a", "Identity/../x", "Identity/a/b/c", "manifest.json", "Identity//x"]
        {
            assert!(sorted(vec![file(wrong)]).is_err(), "{wrong}");
        }
    }
}
