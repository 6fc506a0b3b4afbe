//! What is attached to a set: the folder `Identity`, which the manifest does not list.

use std::fs;
use std::path::Path;

use certadm_files::{IoContext, found};

use crate::error::Result;
use crate::layout::IDENTITY_DIR;

/// The list of what stands in the folder, as `certadm_identity` writes it.
pub const LIST: &str = "Identity/identity.json";
/// No more files are attached to a set. One more is listed, so that whoever copies them sees it.
pub const MAX_FILES: usize = 10_000;
/// Nor more bytes in all.
pub const MAX_BYTES: u64 = 256 << 20;
/// So many folders lie in each other, `Identity` among them.
pub const DEPTH: usize = 2;

/// The files that are attached to the set in a folder, as paths in it such as `Identity/crl/0.crl`; the list is the last one. None
/// where it has no such folder. Links are not followed.
///
/// # Errors
/// [`Error::File`](crate::Error::File).
pub fn files(set: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![IDENTITY_DIR.to_owned()];
    while let Some(folder) = folders.pop() {
        let path = set.join(&folder);
        if !found::is_folder(&path) {
            continue;
        }
        for entry in fs::read_dir(&path).during("list", &path)? {
            let entry = entry.during("list", &path)?;
            let inside = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match found::is_folder(&entry.path()) {
                true if inside.split('/').count() <= DEPTH => folders.push(inside),
                true => {}
                false => files.push(inside),
            }
            if MAX_FILES < files.len() {
                return Ok(files);
            }
        }
    }
    files.sort_by_key(|inside| (inside == LIST, inside.clone()));
    Ok(files)
}
