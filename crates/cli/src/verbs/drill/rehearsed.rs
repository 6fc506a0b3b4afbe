//! A drill's sets, rehearsed: the same evidence as of any other CA.

use std::path::{Path, PathBuf};

use certadm_recovery::PrivateKey;
use certadm_rehearsal::evidence::{Evidence, Folder, previous_of};
use certadm_rehearsal::{Keys, Limits, Wishes, rehearse};

use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::rehearse::{circumstances, tell};

/// Rehearses the sets with what was kept beside them. The evidence goes into `folder`, if one was named.
pub(super) fn rehearsed(
    sets: &[PathBuf],
    kept: &Path,
    key: PrivateKey,
    published: &Path,
    root: &Path,
    folder: Option<&Path>,
    output: Output,
) -> Result<(Evidence, Option<PathBuf>), Failure> {
    let folder = folder.map(Folder::at);
    let earlier = folder.as_ref().map(Folder::all).transpose()?.unwrap_or_default();
    let wishes = Wishes {
        keys: Keys::Given(vec![(kept.join("ca.key"), key)]),
        identity: Some(kept.to_owned()),
        published: vec![published.to_owned()],
        within: root.to_owned(),
        previous: previous_of(&earlier),
        ..Wishes::new(sets.to_vec(), certadm_store::now())
    };
    let shown = rehearse(&wishes, &mut output.progress_on_stderr(), &mut tell::Steps { output })?;
    let circumstances = circumstances(Limits::default());
    Ok(match folder {
        Some(folder) => {
            let added = folder.add(|earlier| Evidence::of(&shown, &circumstances, earlier))?;
            (added.evidence, Some(folder.path().join(added.file)))
        }
        None => (Evidence::of(&shown, &circumstances, &earlier), None),
    })
}
