//! The logs of several sets as one sequence (certbcli.md 9.2).

use std::collections::BTreeMap;
use std::path::Path;

use certadm_files::Found;
use certadm_rules::names::unsanitize;
use certadm_rules::{Generation, GenerationRange, Hresult};
use certadm_store::chain::{Chain, check_chain, check_headers, read_trailer};
use certadm_store::log_file::LogFile;
use certadm_store::trailer::Trailer;

use crate::error::{Error, Result};
use crate::manifest::{Manifest, Role};
use crate::reader::Set;

/// A full set and the log sets that continue it.
#[derive(Debug)]
pub struct Combined {
    /// The image.
    pub image: Found,
    /// Its trailer.
    pub trailer: Trailer,
    /// Every log once, ascending.
    pub logs: Vec<(Generation, Found)>,
    /// The generations that a restore registers: all of them, from the full set's first on.
    pub range: GenerationRange,
}

/// Puts sets together. The first must be the full one, the others log sets, in any order; they may overlap.
///
/// # Errors
/// [`Error::Combination`]: 0xC7FF000C without a full set first, 0xC800022C when two copies of one generation differ,
/// 0xC800022D without any log; [`Error::Missing`] when a file that a manifest names is not there, and no other set has that
/// log; and what [`read_trailer`] finds.
pub fn combine(sets: &[Set]) -> Result<Combined> {
    let (image, trailer) = begin(sets)?;
    let refuse = |detail: String, code| Err(Error::Combination { detail, code });
    let mut logs: BTreeMap<Generation, Found> = BTreeMap::new();
    let mut missing = Vec::new();
    for (generation, path) in sets.iter().flat_map(|set| &set.logs) {
        if !path.is_there() {
            missing.push((*generation, path));
            continue;
        }
        match logs.get(generation) {
            None => {
                logs.insert(*generation, path.clone());
            }
            Some(other) if same_log(other, path)? => {}
            Some(other) => {
                let detail = format!(
                    "{} and {} are different logs of one generation",
                    other.display(),
                    path.display()
                );
                return refuse(detail, Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS);
            }
        }
    }
    let low = sets[0].range().map_or(trailer.low, GenerationRange::low);
    // The last log of a set leaves no gap. Without it, the CA would silently come back as it was before.
    let is_needed = |generation: &Generation| *generation >= low && !logs.contains_key(generation);
    if let Some((_, path)) = missing.iter().find(|(generation, _)| is_needed(generation)) {
        return Err(missing_log(path));
    }
    let Some(range) = logs.keys().last().and_then(|high| GenerationRange::new(low, *high)) else {
        return refuse("the sets hold no log".to_owned(), Hresult::MISSING_RESTORE_LOG_FILES);
    };
    // A log set may reach back before the full set; what lies below is of no use.
    let logs = logs.into_iter().filter(|(generation, _)| *generation >= low).collect();
    Ok(Combined { image, trailer, logs, range })
}

/// A log that a manifest names and no set has.
pub(crate) fn missing_log(path: &Path) -> Error {
    Error::Missing { path: path.to_owned(), code: Role::Log.code_of_absence() }
}

/// The image and its trailer, of sets that go together whichever of their logs are there, whole, or used.
///
/// # Errors
/// As [`combine`], but for what it finds of single logs.
pub(crate) fn begin(sets: &[Set]) -> Result<(Found, Trailer)> {
    let refuse = |detail: String, code| Err(Error::Combination { detail, code });
    let Some((full, others)) = sets.split_first() else {
        return refuse("no set was named".to_owned(), Hresult::HR_NO_FULL_RESTORE);
    };
    let Some(image) = full.image.clone() else {
        let detail = format!("{} is a log set; the full set it continues comes first", full.path.display());
        return refuse(detail, Hresult::HR_NO_FULL_RESTORE);
    };
    if let Some(second) = others.iter().find(|set| set.image.is_some()) {
        let detail = format!("{} is a second full set", second.path.display());
        return refuse(detail, Hresult::HR_RESTORE_MAP_EXISTS);
    }
    full.check_image_is_there()?;
    let trailer = read_trailer(&image)?;
    // Before any generation is missed: the logs of another CA leave gaps that no set of this one fills.
    for set in others {
        refuse_stranger(full, &trailer, set)?;
    }
    Ok((image, trailer))
}

/// Refuses a log set of another CA than the full set's, or of another era of it: a restore between the two begins a new
/// stream of logs.
fn refuse_stranger(full: &Set, trailer: &Trailer, set: &Set) -> Result<()> {
    for (_, path) in &set.logs {
        // A log that cannot be opened is told where its content is checked.
        let Ok(log) = LogFile::open(path) else { continue };
        let detail = if log.header().database != trailer.database {
            format!(
                "{} is a set of {}, and {} one of {}",
                set.path.display(),
                owner(set),
                full.path.display(),
                owner(full)
            )
        } else if log.header().stream != trailer.stream {
            format!(
                "{} does not continue {}: the CA was restored, or its log broke off, between the two",
                set.path.display(),
                full.path.display()
            )
        } else {
            continue;
        };
        return Err(Error::Combination { detail, code: Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE });
    }
    Ok(())
}

/// The CA that a set's manifest names.
fn owner(set: &Set) -> String {
    match &set.manifest {
        Some(Manifest { ca, .. }) => {
            format!("the CA {:?} on {} (database {})", unsanitize(&ca.name), ca.host, ca.database_signature)
        }
        None => "a CA that no manifest names".to_owned(),
    }
}

impl Combined {
    /// Checks whether the logs are there and belong together, by their headers.
    ///
    /// # Errors
    /// As [`certadm_store::chain::check_headers`].
    pub fn check_headers(&self) -> Result<()> {
        check_headers(&self.trailer, &self.logs, self.range)?;
        Ok(())
    }

    /// Checks the whole chain, every byte of every log.
    ///
    /// # Errors
    /// As [`check_chain`].
    pub fn check(&self) -> Result<Chain> {
        Ok(check_chain(&self.trailer, &self.logs, self.range)?)
    }
}

/// Two copies of a log are the same when both are whole and say the same of their content. One of them may be packed.
fn same_log(one: &Found, other: &Found) -> Result<bool> {
    let (one, other) = (LogFile::open(one)?, LogFile::open(other)?);
    Ok(one.header().is_same_log(other.header()))
}
