//! Whether a set is what its snapshot says. Whoever has the key can store a snapshot of anything, with any tags: what its tree holds
//! must be what its manifest lists, and snapshots of one backup must hold the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use certadm_rules::hex;
use certadm_set::manifest::Manifest;
use certadm_set::stored::same_backup;
use rustic_core::repofile::Node;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::point::Point;
use crate::reader::Reader;
use crate::tree::{Files, unlisted};

/// A set that is what its snapshot says, by what its manifest lists. What its files hold was not read.
pub(crate) struct Seen {
    pub(crate) manifest: Manifest,
    /// What tells its data from others: a hash over the paths of its manifest and the parts of these files, which are named after
    /// their bytes. What stands beside the database does not count, nor does a signature.
    pub(crate) data: String,
}

impl Reader {
    /// Why a set is not what its snapshot says: its manifest cannot be read, says otherwise, or lists other files than are there. `None`
    /// when it is.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn belied(&self, point: &Point) -> Result<Option<String>> {
        Ok(self.seen(point)?.err())
    }

    /// What a set is, or why it is not what its snapshot says, as [`Reader::belied`]. It reads the set's folders and its manifest.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn seen(&self, point: &Point) -> Result<std::result::Result<Seen, String>> {
        let read = self.files(point.tree).and_then(|files| Ok((self.manifest(&files)?.0, files)));
        match read {
            Ok((manifest, files)) => Ok(self.seen_in(point, manifest, &files)),
            Err(Error::Damaged { detail, .. }) => Ok(Err(detail)),
            Err(error) => Err(error),
        }
    }

    /// The same of a set whose manifest and list of files were read.
    pub(crate) fn seen_in(
        &self,
        point: &Point,
        manifest: Manifest,
        files: &Files,
    ) -> std::result::Result<Seen, String> {
        let wrong = point.contradiction(&manifest);
        match wrong.or_else(|| unlisted(files, &manifest, &|node| self.len_of(node))) {
            Some(why) => Err(why),
            None => Ok(Seen { data: data_of(files, &manifest), manifest }),
        }
    }

    /// How many bytes the parts of a file have, by the index; `None` where it lacks one: then the set lacks something, which is told by
    /// [`Reader::lacks`].
    fn len_of(&self, node: &Node) -> Option<u64> {
        let mut len = 0_u64;
        for id in node.content.iter().flatten() {
            let location = self.repository.get_index_entry(id).ok()?.location;
            // What is not compressed has 32 bytes more, which seal it.
            let sealed = || location.length.saturating_sub(32);
            len += u64::from(location.uncompressed_length.map_or_else(sealed, NonZeroU32::get));
        }
        Some(len)
    }
}

fn data_of(files: &Files, manifest: &Manifest) -> String {
    let paths: BTreeSet<&str> = manifest.files.iter().map(|entry| entry.path.as_str()).collect();
    let mut hash = Sha256::new();
    for path in paths {
        let parts = files.get(path).and_then(|node| node.content.as_deref()).unwrap_or_default();
        // Lengths before both, so that nothing of one file is taken for something of the next.
        for len in [path.len(), parts.len()] {
            hash.update((len as u64).to_be_bytes());
        }
        hash.update(path);
        parts.iter().for_each(|id| hash.update(id.to_hex().as_bytes()));
    }
    hex::encode(&hash.finalize())
}

/// Of sets with their data, the ids of those that are disputed: another one is the same backup, and has other data. Nothing here tells
/// which of them is the true one.
pub(crate) fn disputed<'a>(sets: impl IntoIterator<Item = (&'a Point, &'a str)>) -> BTreeSet<String> {
    let mut of_time: BTreeMap<_, Vec<(&Point, &str)>> = BTreeMap::new();
    for (point, data) in sets {
        of_time.entry((point.time, point.generations)).or_default().push((point, data));
    }
    let mut disputed = BTreeSet::new();
    for alike in of_time.into_values() {
        for (point, data) in &alike {
            if alike.iter().any(|(other, others)| others != data && same_backup(*other, *point)) {
                disputed.insert(point.id.clone());
            }
        }
    }
    disputed
}
