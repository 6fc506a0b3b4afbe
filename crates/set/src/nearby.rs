//! Where sets lie near a path that a person named and that is none.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use certadm_files::found;

/// So many entries of a folder are looked at for sets.
const MAX_LOOK: usize = 1000;

/// The first folder in `dir` in which sets lie, for who names the folder above: a job keeps the sets of each CA in a folder of the
/// CA's own. `None` where nothing is found among the first entries.
#[must_use]
pub fn with_sets_in(dir: &Path) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = entries(dir).filter(|path| found::is_folder(path)).collect();
    folders.sort();
    folders.into_iter().find(|folder| first_set_in(folder).is_some())
}

/// What to name in the place of a path that holds no set.
pub(crate) fn what_to_name(path: &Path) -> Cow<'static, str> {
    let at_ca = |dir: &Path| {
        Cow::Owned(format!(
            "look at a CA with `certadm show --dir {0}`; take a set of it with `certadm backup --dir {0} --to SET`",
            certadm_rules::words::shell_word(dir.display())
        ))
    };
    if !path.exists() {
        return Cow::Borrowed("check the path");
    }
    if path.join("ca.toml").is_file() {
        return at_ca(path);
    }
    if let Some(dir) = ca_folder_above(path) {
        return at_ca(dir);
    }
    if let Some(set) = path.ancestors().skip(1).take(2).find(|dir| is_set(dir)) {
        return Cow::Owned(format!("name the folder of the set: {}", set.display()));
    }
    match first_set_in(path).or_else(|| first_set_in(&with_sets_in(path)?)) {
        Some(set) => Cow::Owned(format!("name one of the sets in it, such as {}", set.display())),
        None => {
            Cow::Borrowed("name the folder that holds DataBase, as `certadm backup` or certutil wrote it")
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().take(MAX_LOOK).flatten().map(|entry| entry.path())
}

fn first_set_in(dir: &Path) -> Option<PathBuf> {
    entries(dir).filter(|path| is_set(path)).min()
}

fn is_set(dir: &Path) -> bool {
    dir.join("manifest.json").is_file() || dir.join("DataBase").is_dir()
}

/// The folder of a CA that a file or folder lies in, one or two levels above.
fn ca_folder_above(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).take(2).find(|dir| dir.join("ca.toml").is_file())
}
