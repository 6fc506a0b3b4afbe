//! Attaching to a set in a repository: a copy of it gets what is attached, and is stored beside it as its later version.

use certadm_repository::Address;

use super::args::AttachArgs;
use crate::failure::Failure;
use crate::known_as;
use crate::output::{Done, Output};
use crate::verbs::places;

/// Nothing that is stored is changed: the set is there as it was, and once more.
pub(super) fn run(args: &AttachArgs, address: &Address, output: Output) -> Result<Done, Failure> {
    let repository = places::open(address)?;
    let points = repository.select(&address.point)?;
    let [point, ..] = points.as_slice() else {
        return Err(Failure::internal("an address that leads to no set"));
    };
    let fetched = repository.fetch(&points, &args.scratch.folder(), &mut output.progress_on_stderr())?;
    for (set, point) in fetched.sets.iter().zip(&fetched.points) {
        known_as::remember(set, format!("{}/{}", repository.address(), point.short_id()));
    }
    let store = || {
        let copy = fetched.sets.first().ok_or_else(|| Failure::internal("a set without a copy"))?;
        let committed = repository.store_attached(point, copy, &mut output.progress_on_stderr())?;
        output.line(format!(
            "{}/{} stays as it is; with what is attached it is {}, read back and compared.",
            repository.address(),
            point.short_id(),
            committed.set.display()
        ));
        Ok(Some(committed.set))
    };
    super::attach(args, &fetched.sets, output, store)
}
