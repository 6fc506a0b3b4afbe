//! The CRLs and certificates that a restore puts back into the published folder, and how many of them.
//!
//! A CA can publish a new CRL, so no copy of one may keep it from coming back. They are copied when the exchange is over and the
//! restore can no longer fail; a sparse file of a set takes no space there and all of its length here. So they have a limit in
//! all, and they leave the space that the CA's next start needs. What is left out is told as a warning.

use std::fs;
use std::path::Path;

use certadm_ca::MAX_CRL;
use certadm_files::{Found, cancel, durable, space};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::names::same_ignoring_case;

use super::plan::{Plan, dynamic_files, entries_of};
use super::stage::Staging;
use crate::copy::hash_file;
use crate::error::Result;
use crate::limits::kept_of;
use crate::reader::Set;

/// All of them together have no more bytes than the longest CRL.
const MOST: u64 = MAX_CRL;
/// The CA's own CRL up to this size is put back wherever it fits at all.
const SMALL: u64 = 16 << 20;

/// How many bytes a restore of these sets copies into the published folder at most.
#[must_use]
pub fn dynamic_bytes(sets: &[Set]) -> u64 {
    let entries = entries_of(sets);
    let sizes = dynamic_files(sets).into_iter().filter_map(|file| Some(entries.get(file.path())?.size));
    sizes.fold(0, u64::saturating_add).min(MOST)
}

/// Those that would be put back, and a warning for each of the others.
struct Chosen<'a> {
    files: Vec<&'a Found>,
    warnings: Vec<String>,
}

impl Plan {
    /// Compares the dynamic files that a restore would put back with their manifests, and tells which it would leave out, and why.
    ///
    /// # Errors
    /// When it is stopped: that says nothing about a file.
    pub(super) fn check_dynamic(&self, there: &Path) -> Result<Vec<String>> {
        let needed = self.bytes_to_copy(there).unwrap_or(self.bytes);
        let Chosen { files, mut warnings } = choose(self, there, needed);
        for file in files {
            let (announced, hashing) = self.announced(file);
            let compared =
                hash_file(file, announced, hashing, |_| ()).and_then(|hashes| self.compare(file, &hashes));
            cancel::check()?;
            warnings.extend(compared.err().map(|error| left_out(file, &chain_of(&error))));
        }
        Ok(warnings)
    }
}

/// Copies the dynamic files into the CA's folder. What could not be put there is told as a warning. The CA is back by then, so a signal
/// to stop does not leave it without its CRL.
pub(super) fn put_back(plan: &Plan, staging: &Staging) -> Vec<String> {
    let _held_off = cancel::hold_off();
    let Chosen { files, mut warnings } = choose(plan, plan.folder.path(), 0);
    for file in files {
        let Some(name) = file.file_name() else { continue };
        let copied: Result<()> = staging.copy_dynamic(plan, file).and_then(|copy| {
            let to = plan.folder.crl_dir().join(name);
            Ok(durable::rename_published(&copy, &to).inspect_err(|_| {
                fs::remove_file(&copy).ok(); // best effort: the staging folder goes away as a whole
            })?)
        });
        warnings.extend(copied.err().map(|error| left_out(file, &chain_of(&error))));
    }
    warnings
}

/// Those that the target lacks, as far as there is room: the CRL of the CA itself first, then the shortest. `needed` bytes are
/// still to be taken of the free space at `there`.
fn choose<'a>(plan: &'a Plan, there: &Path, needed: u64) -> Chosen<'a> {
    let crls = plan.folder.crl_dir();
    let own = plan.database.file_stem().map(|stem| format!("{}.crl", stem.to_string_lossy()));
    let is_own = |file: &Found| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        own.as_deref().is_some_and(|own| same_ignoring_case(own, &name))
    };
    let lacking = plan
        .dynamic
        .iter()
        .filter(|file| file.file_name().is_some_and(|name| !Found::named(crls.join(name)).is_there()));
    let mut lacking: Vec<(bool, u64, &Found)> =
        lacking.map(|file| (!is_own(file), plan.announced(file).0.unwrap_or_default(), file)).collect();
    lacking.sort_by_key(|(is_other, size, _)| (*is_other, *size));
    // Where the system does not tell how much is free, the limit is all there is.
    let free = space::of(there).ok().flatten().map(|space| {
        let kept = kept_of(space.total).saturating_add(plan.bytes_of_start());
        let free = space.available.saturating_sub(needed);
        (free, free.saturating_sub(kept))
    });
    let mut chosen = Chosen { files: Vec::new(), warnings: Vec::new() };
    let (mut left, (free, mut room)) = (MOST, free.unwrap_or((u64::MAX, u64::MAX)));
    for (is_other, size, file) in lacking {
        // The CRL that everybody asks for, the first of them, takes none of the reserve worth mentioning.
        if !is_other && chosen.files.is_empty() && size <= SMALL.min(free).min(left) {
            (left, room) = (left - size, room.saturating_sub(size));
            chosen.files.push(file);
        } else if size > left {
            chosen
                .warnings
                .push(left_out(file, &format!("all of them together have more than {MOST} bytes")));
        } else if size > room {
            let why = format!("it has {size} bytes, and only {room} are free beside what the CA needs");
            chosen.warnings.push(left_out(file, &why));
        } else {
            (left, room) = (left - size, room - size);
            chosen.files.push(file);
        }
    }
    chosen
}

fn left_out(file: &Found, why: &str) -> String {
    format!("{} cannot be put back: {why}; publish a new CRL", file.display())
}
