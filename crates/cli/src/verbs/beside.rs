//! The sets that a log set needs, and that lie beside it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use certadm_set::folder::{self, FolderSet};
use certadm_set::manifest::SetKind;
use certadm_set::stored::chains;

use crate::failure::Failure;

/// The sets, each after those that lie beside it and that a restore needs with it; full sets first. A set that has no manifest, or
/// whose neighbours cannot be listed, stands for itself: whether its full set is there, the import looks up.
pub(crate) fn with_their_chains(sets: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let now = certadm_store::now().unix_seconds();
    let mut by_folder: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    for set in sets {
        let set = certadm_files::absolute(set)?;
        let parent = set.parent().unwrap_or(&set).to_owned();
        match by_folder.iter_mut().find(|(folder, _)| *folder == parent) {
            Some((_, sets)) => sets.push(set),
            None => by_folder.push((parent, vec![set])),
        }
    }
    let (mut fulls, mut others) = (Vec::new(), Vec::new());
    for (folder, sets) in by_folder {
        let beside = folder::list(&folder).unwrap_or_default().sets;
        let all: Vec<&FolderSet> = beside.iter().collect();
        let chains = chains(&all, now);
        let known: HashMap<&Path, (&FolderSet, _)> =
            all.iter().zip(&chains).map(|(set, chain)| (set.path.as_path(), (*set, chain))).collect();
        for set in sets {
            let (last, needed) = known.get(set.as_path()).copied().unzip();
            let needed = needed.and_then(|chain| chain.as_ref().ok()).into_iter().flatten();
            let is_full = last.is_none_or(|last| last.kind == SetKind::Full);
            let part = if is_full { &mut fulls } else { &mut others };
            part.extend(needed.map(|set| set.path.clone()).chain([set]));
        }
    }
    let mut seen = BTreeSet::new();
    Ok(fulls.into_iter().chain(others).filter(|path| seen.insert(path.clone())).collect())
}
