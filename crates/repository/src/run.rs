//! One run of the engine over files that are delivered while it goes, on a thread of its own.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use bytes::Bytes;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{BackupOptions, IndexedIdsStatus, ParentOptions, Repository, SnapshotOptions};

use crate::bridge::Bridge;
use crate::engine::{Unexplained, call};
use crate::error::{Error, Result};
use crate::feed::{Fed, Feed};

/// A run under way. Dropped before its end, it stores nothing that anybody would find.
pub(crate) struct Run {
    files: Option<SyncSender<Fed>>,
    worker: Option<JoinHandle<Result<SnapshotFile>>>,
    bridge: Bridge,
    count: u64,
    bytes: u64,
}

impl Run {
    /// Begins a run for the CA of that name.
    pub(crate) fn begin(repository: &Arc<Repository<IndexedIdsStatus>>, bridge: &Bridge, ca: &str) -> Self {
        let (feed, files) = Feed::new();
        let (repository, own, bridge) = (Arc::clone(repository), bridge.clone(), bridge.clone());
        let (host, paths) = (ca.to_owned(), [PathBuf::from(format!("/{ca}"))]);
        let worker = std::thread::spawn(move || {
            // A file is always read, whatever one of its name and size had before.
            let options =
                BackupOptions::default().no_scan(true).parent_opts(ParentOptions::default().force(true));
            call(&bridge, "store files", Unexplained::Mistake, || {
                let snapshot = SnapshotOptions::default().host(host).to_snapshot()?;
                repository.archive(&options, &feed, snapshot, &paths)
            })
        });
        Self { files: Some(files), worker: Some(worker), bridge: own, count: 0, bytes: 0 }
    }

    /// Hands over a file whose bytes are at hand.
    ///
    /// # Errors
    /// Why the engine has stopped.
    pub(crate) fn whole(&mut self, entry: &str, content: Bytes) -> Result<()> {
        let len = content.len() as u64;
        self.offer(Fed::whole(entry, content), len)
    }

    /// Hands over the last file of the run, whose bytes follow.
    ///
    /// # Errors
    /// Why the engine has stopped.
    pub(crate) fn streamed(&mut self, entry: &str, size: u64) -> Result<SyncSender<io::Result<Bytes>>> {
        let (fed, to) = Fed::streamed(entry, size);
        self.offer(fed, size)?;
        // The engine reads it only when it knows that none follows.
        self.files = None;
        Ok(to)
    }

    fn offer(&mut self, fed: Fed, len: u64) -> Result<()> {
        let sent = self.files.as_ref().is_some_and(|files| files.send(fed).is_ok());
        if !sent {
            return Err(self.stopped());
        }
        self.count += 1;
        self.bytes += len;
        Ok(())
    }

    /// Why the engine has stopped before its time.
    pub(crate) fn stopped(&mut self) -> Error {
        match self.join() {
            Err(error) => error,
            Ok(_) => self.not_stored("the engine stopped taking files".to_owned()),
        }
    }

    /// Ends the run. The engine passes over a file that it cannot read and calls that a success (repository.md 9), so its
    /// own count must be that of what was handed over.
    ///
    /// # Errors
    /// Why the engine has failed; [`Error::NotStored`] when it passed something over.
    pub(crate) fn end(mut self) -> Result<SnapshotFile> {
        let snapshot = self.join()?;
        let summary = snapshot.summary.clone().unwrap_or_default();
        let stored = (summary.total_files_processed, summary.total_bytes_processed);
        if stored != (self.count, self.bytes) {
            let detail = format!(
                "the engine stored {} files with {} bytes of {} with {}",
                stored.0, stored.1, self.count, self.bytes
            );
            return Err(self.not_stored(detail));
        }
        Ok(snapshot)
    }

    fn join(&mut self) -> Result<SnapshotFile> {
        self.files = None;
        let joined = self.worker.take().map(JoinHandle::join);
        match joined {
            Some(Ok(result)) => result,
            _ => Err(self.not_stored("the engine ended early".to_owned())),
        }
    }

    /// What the storage said goes before what the engine made of it.
    fn not_stored(&self, detail: String) -> Error {
        let place = self.bridge.objects().place();
        self.bridge.barrier().err().unwrap_or(Error::NotStored { place, detail })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The engine ends when no file and no byte follows; what it has stored by then, nothing names.
        self.files = None;
        if let Some(worker) = self.worker.take() {
            worker.join().ok();
        }
    }
}
