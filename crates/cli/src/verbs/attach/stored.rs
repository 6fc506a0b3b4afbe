//! Attaching to a set in a repository: a copy of it gets what is attached, and is stored beside it as its later version.

use std::path::PathBuf;

use certadm_repository::{Address, CaRepository, Fetched};

use super::args::AttachArgs;
use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::places;

/// A set in a repository, with those that continue it, as copies.
pub(super) struct Stored {
    repository: CaRepository,
    fetched: Fetched,
    output: Output,
}

impl Stored {
    /// Copies the sets that an address leads to.
    pub(super) fn fetch(args: &AttachArgs, address: &Address, output: Output) -> Result<Self, Failure> {
        let repository = places::open(address)?;
        let folder = args.scratch.folder();
        let fetched = places::fetch(&repository, &address.point, &folder, &mut output.progress_on_stderr())?;
        Ok(Self { repository, fetched, output })
    }

    /// The copies: the set that something is attached to stands first.
    pub(super) fn sets(&self) -> &[PathBuf] {
        &self.fetched.sets
    }

    /// Stores the copy of that set. Nothing that is stored is changed: the set is there as it was, and once more. Returns the
    /// address of the new version.
    pub(super) fn store(&self) -> Result<PathBuf, Failure> {
        let first = self.fetched.points.first().zip(self.fetched.sets.first());
        let (point, copy) = first.ok_or_else(|| Failure::internal("an address that leads to no set"))?;
        let committed = self.repository.store_attached(point, copy, &mut self.output.progress_on_stderr())?;
        self.output.line(format!(
            "{}/{} stays as it is; with what is attached it is {}, read back and compared.",
            self.repository.address(),
            point.short_id(),
            committed.set.display()
        ));
        Ok(committed.set)
    }
}
