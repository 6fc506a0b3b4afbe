//! What the engine reads from: files that somebody else delivers while it reads, without a staging copy.
//!
//! The engine asks for entry k + 1 before it reads entry k (repository.md 4.1). A file that is delivered while it is read is
//! therefore an iteration of its own, which ends at once; small files come whole.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};

/// Parts of a file under way to the engine.
const PARTS: usize = 4;

/// A file that is offered to the engine.
pub(crate) struct Fed {
    entry: String,
    size: u64,
    parts: Receiver<io::Result<Bytes>>,
}

impl Fed {
    /// A file whose bytes come while it is read.
    pub(crate) fn streamed(entry: &str, size: u64) -> (Self, SyncSender<io::Result<Bytes>>) {
        let (to, parts) = sync_channel(PARTS);
        (Self { entry: entry.to_owned(), size, parts }, to)
    }

    /// A file whose bytes are at hand.
    pub(crate) fn whole(entry: &str, content: Bytes) -> Self {
        let (to, parts) = sync_channel(1);
        let size = content.len() as u64;
        to.send(Ok(content)).ok(); // there is room for one, and the receiver is below
        Self { entry: entry.to_owned(), size, parts }
    }
}

/// The files of one run of the engine.
pub(crate) struct Feed(Mutex<Option<Receiver<Fed>>>);

impl Feed {
    /// A feed, and where its files go. The run ends when that is dropped.
    pub(crate) fn new() -> (Self, SyncSender<Fed>) {
        let (to, files) = sync_channel(0);
        (Self(Mutex::new(Some(files))), to)
    }
}

impl ReadSource for Feed {
    type Open = Pull;
    type Iter = Box<dyn Iterator<Item = RusticResult<ReadSourceEntry<Pull>>> + Send>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let files = self.0.lock().ok().and_then(|mut files| files.take());
        Box::new(files.into_iter().flatten().map(|fed| Ok(entry(fed))))
    }
}

/// Size and mode must be known before the file is read, or stock restic restores an empty file.
fn entry(fed: Fed) -> ReadSourceEntry<Pull> {
    let metadata = Metadata {
        size: fed.size,
        mode: Some(0o600),
        mtime: Some(rustic_core::jiff::Timestamp::now()),
        ..Metadata::default()
    };
    let path = PathBuf::from(fed.entry);
    let node = Node::new_node(path.file_name().unwrap_or_default(), NodeType::File, metadata);
    ReadSourceEntry { path, node, open: Some(Pull { parts: fed.parts, now: Bytes::new() }) }
}

/// A file as the engine reads it.
pub(crate) struct Pull {
    parts: Receiver<io::Result<Bytes>>,
    now: Bytes,
}

impl Read for Pull {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.parts.recv() {
                Ok(part) => self.now = part?,
                Err(_) => return Ok(0), // the sender is done
            }
        }
        let len = buffer.len().min(self.now.len());
        buffer[..len].copy_from_slice(&self.now.split_to(len));
        Ok(len)
    }
}
