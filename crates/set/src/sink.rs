//! Where a backup puts its files: the seam between taking a set and keeping it.
//!
//! [`take`](crate::take()) writes into a folder. [`take_into`](crate::take_into()) writes into anything that keeps the promises
//! below, such as a repository.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::hashes::Hashing;
use crate::manifest::{FileEntry, Manifest, Role};
use crate::progress::Progress;
pub use crate::stream::Stream;

/// A file that is about to be stored.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    /// Its path inside the set, which was checked.
    pub entry: String,
    /// What it is.
    pub role: Role,
    /// The name under which the CA offered it.
    pub source: &'a str,
    /// How many bytes will come, as its source announced.
    pub size: u64,
    /// Which hashes of it the manifest gets.
    pub hashing: Hashing,
}

/// Takes the files of one set, one after the other, and makes the set exist. Dropped before [`SetSink::commit`], it leaves
/// nothing that anybody could take for a set.
///
/// The database comes first. Then come the restore map, the logs with ascending generations, and the dynamic files by name.
pub trait SetSink {
    /// Stores what `stream` delivers as one file of the set, and returns its entry with the hashes of what was delivered.
    ///
    /// # Errors
    /// Whatever the stream returns; then the sink must be dropped. Whatever keeps the file from being stored.
    fn add(&mut self, file: NewFile<'_>, stream: &mut dyn Stream) -> Result<FileEntry>;

    /// Where the files are written on this machine: the free space there is asked for, so that a backup ends before the disk is
    /// full. `None` where that is somebody else's to see.
    fn folder(&self) -> Option<&Path> {
        None
    }

    /// Makes the set exist: every file is durable and has been read back and compared, and the manifest lists them all.
    ///
    /// # Errors
    /// Whatever keeps it from being so. Then there is no set.
    fn commit(self: Box<Self>, manifest: Manifest, progress: &mut dyn Progress) -> Result<Committed>;
}

/// A set that exists.
#[derive(Debug)]
pub struct Committed {
    /// Where it stands, as messages name it.
    pub set: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// A folder with the files as they are stored, for the check of the database; `None` where there is none.
    pub folder: Option<PathBuf>,
    /// The same folder where it is a scratch copy, which goes away with this.
    pub scratch: Option<certadm_files::scratch::ScratchFolder>,
}
