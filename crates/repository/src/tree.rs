//! What a set's tree may hold. Whoever has the key can write one, so it is a stranger's until its manifest was checked.

use std::collections::BTreeMap;

use certadm_rules::names::is_safe_component;
use rustic_core::TreeId;
use rustic_core::repofile::{Node, NodeType};

/// No set has more files: its manifest, which has an entry for each, would be too long.
const MAX_FILES: usize = 200_000;
/// Folders in folders of a set: `Identity` has some.
pub(crate) const DEPTH: usize = 2;

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
