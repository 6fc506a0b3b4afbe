//! The evidence of a job's rehearsals. Several jobs may have a CA and name the same folder of evidence, and a job may have stored
//! elsewhere before: a rehearsal proves nothing about another place.

use std::path::{Path, PathBuf};

use certadm_rehearsal::evidence::{Folder, Kept};
use certadm_rehearsal::{Proof, Result};

use crate::config::{Ca, Job, Target};
use crate::held::is_past;
use crate::place;

/// The folder into which the job's rehearsals of a CA go. Those of two jobs have a chain each: a rehearsal is compared with the one
/// before, and in another place there may well be fewer certificates.
#[must_use]
pub fn folder_of(job: &Job, ca: &Ca) -> PathBuf {
    let [common, own] = folders_of(job, ca);
    let both_rehearse = job.shared.get(&ca.name).is_some_and(|both_rehearse| *both_rehearse);
    if both_rehearse { own } else { common }
}

/// The folders that may have evidence of a CA for a job: the common one, and the job's own.
#[must_use]
pub fn folders_of(job: &Job, ca: &Ca) -> [PathBuf; 2] {
    [job.evidence.join(ca.name.as_str()), job.evidence.join(job.name.as_str()).join(ca.name.as_str())]
}

/// The rehearsals of a CA that count for a job, of each folder, the newest last: those of its first place. What another job has stored
/// proves nothing about that, nor what lies where the job stored before.
fn each(job: &Job, ca: &Ca) -> [Result<Vec<Kept>>; 2] {
    let [common, own] = folders_of(job, ca);
    let is_alone = !job.shared.contains_key(&ca.name);
    [(common, is_alone), (own, true)].map(|(folder, is_of_this_job)| {
        let mut all = Folder::at(&folder).all()?;
        if let Some(first) = job.to.first() {
            // A rehearsal that failed before it had found a set names none.
            let names_none = |kept: &Kept| is_of_this_job && kept.evidence.set.paths.is_empty();
            all.retain(|kept| is_of(kept, first, ca) || names_none(kept));
        }
        Ok(all)
    })
}

/// The rehearsals of a CA that count for a job, those of the folder with the newest one last. `now` is in seconds since 1970: the newest
/// is not told by a date in the future.
///
/// # Errors
/// As [`Folder::all`].
pub fn all(job: &Job, ca: &Ca, now: i64) -> Result<Vec<Kept>> {
    let [common, own] = each(job, ca);
    let (common, own) = (common?, own?);
    let newest = |all: &[Kept]| all.iter().filter_map(|kept| when(kept, now)).max();
    let (mut earlier, later) = if newest(&common) <= newest(&own) { (common, own) } else { (own, common) };
    earlier.extend(later);
    Ok(earlier)
}

/// Whether a rehearsal is dated no later than now, and its end: what makes it newer than another one.
fn when(kept: &Kept, now: i64) -> Option<(bool, i64)> {
    place::seconds_of(&kept.evidence.ended).map(|ended| (is_past(ended, now), ended))
}

/// The newest of these rehearsals.
#[must_use]
pub fn newest(all: &[Kept], now: i64) -> Option<&Kept> {
    all.iter().max_by_key(|kept| when(kept, now))
}

/// The newest of these rehearsals that has shown that the CA comes back, if with exceptions.
#[must_use]
pub fn newest_proven(all: &[Kept], now: i64) -> Option<&Kept> {
    let proven = all.iter().filter(|kept| kept.evidence.verdict.proof != Proof::NotProven);
    proven.max_by_key(|kept| when(kept, now))
}

/// When the newest rehearsal ended that counts for a job; all times are in seconds since 1970. One that a wrong clock has dated in the
/// future does not hide those that came after it: a rehearsal would be due for ever. Nor does a folder that cannot be read: the status
/// tells of that.
#[must_use]
pub fn rehearsed_at(job: &Job, ca: &Ca, now: i64) -> Option<i64> {
    let all = each(job, ca).into_iter().flatten().flatten();
    all.filter_map(|kept| when(&kept, now)).filter(|(is_past, _)| *is_past).map(|(_, ended)| ended).max()
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
