//! What a set's tree may hold. Whoever has the key can write one, so it is a stranger's until its manifest was checked.

use std::collections::{BTreeMap, BTreeSet};

use certadm_files::cancel;
use certadm_rules::names::is_safe_component;
use certadm_set::attached::DEPTH;
use certadm_set::manifest::{self, Manifest};
use certadm_set::signing;
use rustic_core::repofile::{Node, NodeType};
use rustic_core::{Id, TreeId};

use crate::beside::is_beside;

/// No set has more files: its manifest, which has an entry for each, would be too long.
const MAX_FILES: usize = 200_000;

/// The files of a set, by their path in it.
pub(crate) type Files = BTreeMap<String, Node>;

/// The files below a tree, whose nodes `read` gives. `wrong` makes an error of a sentence.
///
/// # Errors
/// Those of `read`; for what no set holds: links, devices, names that are no plain names, folders that lie too deep.
pub(crate) fn files<E>(
    root: TreeId,
    read: &mut dyn FnMut(TreeId) -> Result<Vec<Node>, E>,
    wrong: &dyn Fn(String) -> E,
) -> Result<Files, E> {
    let mut files = Files::new();
    let mut folders = vec![(String::new(), root)];
    let mut seen = 0;
    while let Some((folder, tree)) = folders.pop() {
        for node in read(tree)? {
            seen += 1;
            if MAX_FILES < seen {
                return Err(wrong(format!("a set has more than {MAX_FILES} files")));
            }
            let name = node.name().to_string_lossy().into_owned();
            if !is_safe_component(&name) {
                return Err(wrong(format!("a set holds a file under the name {name:?}")));
            }
            let path = format!("{folder}{name}");
            match node.subtree.filter(|_| node.node_type == NodeType::Dir) {
                None if node.is_file() => drop(files.insert(path, node)),
                Some(below) if path.matches('/').count() < DEPTH => folders.push((format!("{path}/"), below)),
                _ => return Err(wrong(format!("{path:?} is no file, and a set has no such thing"))),
            }
        }
    }
    Ok(files)
}

/// What the files of a set are otherwise than its manifest lists, a sentence; `None` where each is there with its length, and nothing
/// else but what stands beside the database and a signature. `len_of` tells how many bytes the parts of a file have, where that is
/// known.
pub(crate) fn unlisted(
    files: &Files,
    manifest: &Manifest,
    len_of: &dyn Fn(&Node) -> Option<u64>,
) -> Option<String> {
    let mut listed = BTreeSet::from([manifest::FILE_NAME, signing::FILE_NAME]);
    for entry in &manifest.files {
        let (path, size) = (entry.path.as_str(), entry.size);
        let Some(node) = files.get(path) else {
            return Some(format!("its manifest lists {path}, which is not in it"));
        };
        let len = len_of(node).filter(|len| *len != size).unwrap_or(node.meta.size);
        if len != size {
            return Some(format!("{path} has {len} bytes in it, and {size} in its manifest"));
        }
        listed.insert(path);
    }
    let unlisted = files.keys().find(|path| !listed.contains(path.as_str()) && !is_beside(path))?;
    Some(format!("it holds {unlisted:?}, which its manifest does not list"))
}

/// Goes through the tree `root` and all below it. `visit` gives the trees of a tree's folders. Each is visited once, however many
/// folders have it: thirty folders in one another, each with the next one under two names, are a thousand million ways.
///
/// # Errors
/// Those of `visit`, and when the process is asked to stop.
pub(crate) fn each<E: From<certadm_files::Error>>(
    root: TreeId,
    visit: &mut dyn FnMut(TreeId) -> Result<Vec<TreeId>, E>,
) -> Result<(), E> {
    let mut seen: BTreeSet<Id> = BTreeSet::from([*root]);
    let mut left = vec![root];
    while let Some(tree) = left.pop() {
        cancel::check()?;
        left.extend(visit(tree)?.into_iter().filter(|below| seen.insert(**below)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_under_many_names_is_visited_once() {
        let tree = |level: u8| format!("{level:02x}").repeat(32).parse::<TreeId>().unwrap();
        let mut visited = Vec::new();
        let visit = &mut |at: TreeId| {
            let level = u8::try_from(visited.len()).unwrap();
            visited.push(at);
            // The last one has the first one again, which no honest tree can.
            Ok::<_, certadm_files::Error>(vec![tree((level + 1) % 64); 2])
        };
        each(tree(0), visit).unwrap();
        assert_eq!(visited, (0..64).map(tree).collect::<Vec<_>>());
    }
}
