//! The evidence of a job's rehearsals. Several jobs may have a CA and name the same folder of evidence, and a rehearsal of what one of
//! them has stored proves nothing about the place of another.

use std::path::{Path, PathBuf};

use certadm_rehearsal::Result;
use certadm_rehearsal::evidence::{Folder, Kept};

use crate::config::{Ca, Job, Target};
use crate::held::is_past;
use crate::place;

/// The folder into which the job's rehearsals of a CA go. Those of two jobs have a chain each: a rehearsal is compared with the one
/// before, and in another place there may well be fewer certificates.
#[must_use]
pub fn folder_of(job: &Job, ca: &Ca) -> PathBuf {
    if job.shared.get(&ca.name).is_some_and(|both_rehearse| *both_rehearse) {
        job.evidence.join(job.name.as_str()).join(ca.name.as_str())
    } else {
        job.evidence.join(ca.name.as_str())
    }
}

/// The rehearsals of a CA that count for a job, the newest last. In a folder that it shares they are those of its first place.
///
/// # Errors
/// As [`Folder::all`].
pub fn all(job: &Job, ca: &Ca) -> Result<Vec<Kept>> {
    let common = job.evidence.join(ca.name.as_str());
    let mut common = Folder::at(&common).all()?;
    if let (true, Some(first)) = (job.shared.contains_key(&ca.name), job.to.first()) {
        common.retain(|kept| is_of(kept, first, ca));
    }
    // A job that shares no more leaves the folder of its own behind.
    let own = job.evidence.join(job.name.as_str()).join(ca.name.as_str());
    let own = Folder::at(&own).all()?;
    let ended = |all: &[Kept]| all.last().and_then(|kept| place::seconds_of(&kept.evidence.ended));
    let (mut earlier, later) = if ended(&common) <= ended(&own) { (common, own) } else { (own, common) };
    earlier.extend(later);
    Ok(earlier)
}

/// When the newest rehearsal ended that counts for a job; all times are in seconds since 1970. One that a wrong clock has dated in the
/// future does not hide those that came after it: a rehearsal would be due for ever.
#[must_use]
pub fn rehearsed_at(job: &Job, ca: &Ca, now: i64) -> Option<i64> {
    let all = all(job, ca).ok()?;
    let ended = all.iter().filter_map(|kept| place::seconds_of(&kept.evidence.ended));
    ended.filter(|ended| is_past(*ended, now)).max()
}

/// Whether what was rehearsed lay at a place.
fn is_of(kept: &Kept, target: &Target, ca: &Ca) -> bool {
    let sets = &kept.evidence.set.paths;
    let is_there = |path: &str| match target {
        Target::Vault(vault) => path.strip_prefix(vault).is_some_and(|rest| rest.starts_with(':')),
        Target::Folder(folder) => Path::new(path).starts_with(place::folder_of(folder, ca)),
    };
    !sets.is_empty() && sets.iter().all(|set| is_there(&set.path))
}
