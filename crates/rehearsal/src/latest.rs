//! Which sets are rehearsed: those that were named, or the newest chain in a folder of sets.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, cancel};
use certadm_rules::FileTime;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use certadm_set::links::{Headers, Links};
use certadm_set::manifest::{Manifest, SetKind};
use certadm_set::signing::{AllowedSigners, SignedBy};
use certadm_set::stored::{Stored, chain, is_before, is_of_another_past, newest_first};
use certadm_set::windows::WindowsSet;
use certadm_set::{Opened, Set};

use crate::error::{Error, Result};

/// Sets that are rehearsed together.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The full set first.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) opened: Opened,
    /// When the last of them was taken, as far as it says.
    pub(crate) taken: Option<FileTime>,
    /// Who signed each of them; empty where nobody asked.
    pub(crate) signed_by: Vec<SignedBy>,
}

/// A folder with more folders in it is refused: which of them were left out, nobody could tell. A set each quarter of an hour for
/// almost three years, and some 40 MB of memory.
const MOST_FOLDERS: usize = 100_000;

impl Chain {
    /// The sets that were named. Where signers are, nothing but manifests is read before each of them is known to be signed.
    ///
    /// # Errors
    /// [`Error::ALiveCa`], [`Error::Set`], [`Error::NoSet`].
    pub(crate) fn named(paths: &[PathBuf], allowed: Option<&AllowedSigners>) -> Result<Self> {
        for path in paths {
            fs::metadata(path).during("look at", path)?;
        }
        let opened = certadm_set::open(paths)?;
        if let Opened::Folder(folder) = &opened {
            return Err(Error::ALiveCa { path: folder.path().to_owned() });
        }
        let signed_by = allowed.map(|allowed| allowed.check(&opened)).transpose()?.unwrap_or_default();
        let first = paths.first().cloned().unwrap_or_default();
        let is_full = match &opened {
            Opened::Ours(sets) => sets.first().is_some_and(|set| set.image.is_some()),
            Opened::Windows(sets) => sets.iter().any(|set| set.database.is_some()),
            Opened::Folder(_) => false,
        };
        if !is_full {
            return Err(Error::NoSet { path: first });
        }
        let taken = match &opened {
            Opened::Ours(sets) => sets.iter().filter_map(|set| set.manifest.as_ref()?.finished_at()).max(),
            Opened::Windows(sets) => sets.iter().filter_map(taken_of_windows).max(),
            Opened::Folder(_) => None,
        };
        Ok(Self { paths: paths.to_vec(), opened, taken, signed_by })
    }

    /// The newest full set in `dir`, the log sets there that continue it, and `further` ones. What could not be opened, what
    /// is not signed as asked, and sets of other CAs, are told.
    ///
    /// # Errors
    /// [`Error::NoSet`], [`Error::TooManySets`], and as [`Chain::named`].
    pub(crate) fn latest_in(
        dir: &Path,
        further: &[PathBuf],
        allowed: Option<&AllowedSigners>,
        findings: &mut Vec<Finding>,
    ) -> Result<Self> {
        let mut candidates = Vec::new();
        let mut headers = Headers::default();
        for path in folders_in(dir, MOST_FOLDERS)? {
            cancel::check()?;
            let opened = certadm_set::open(std::slice::from_ref(&path)).and_then(|opened| {
                // Whoever can put a set there must not decide by it which one is rehearsed.
                match &opened {
                    Opened::Folder(_) => {}
                    Opened::Ours(_) | Opened::Windows(_) => {
                        allowed.map(|allowed| allowed.check(&opened)).transpose()?;
                    }
                }
                Ok(opened)
            });
            match opened {
                Ok(opened) => candidates.extend(Candidate::of(path, &opened, &mut headers)),
                // A folder with anything else in it is no set that is broken.
                Err(certadm_set::Error::NotASet { .. }) => {}
                Err(error) => {
                    let kind = match error {
                        certadm_set::Error::Signing(_) => Kind::Signature,
                        _ => Kind::Unreadable,
                    };
                    let finding = Finding::warning(kind, format!("it was left out: {}", chain_of(&error)))
                        .in_file(path);
                    findings.push(finding.remedy("run `certadm verify` on it"));
                }
            }
        }
        let now = certadm_store::now().unix_seconds();
        let all: Vec<&Candidate> = candidates.iter().collect();
        let newest = newest_first(&all, now).into_iter().find(|candidate| candidate.is_full);
        let Some(full) = newest else { return Err(Error::NoSet { path: dir.to_owned() }) };
        let others: BTreeSet<_> =
            candidates.iter().filter(|one| one.ca != full.ca).map(|one| &one.ca).collect();
        if !others.is_empty() {
            let text = format!("sets of {} more lie there, and are not rehearsed", others.len());
            findings.push(Finding::note(Kind::Combination, text).in_file(dir));
        }
        let mut paths = vec![full.path.clone()];
        // A clock that was hours ahead may have dated the full set later than the log sets that continue it.
        let is_misdated = |one: &Candidate| {
            full.high < one.low && chain(&all, one, now).is_ok_and(|chain| chain[0].path == full.path)
        };
        let continues = |one: &&Candidate| !one.is_full && (one.continues(full, now) || is_misdated(one));
        let mut logs: Vec<&Candidate> = candidates.iter().filter(continues).collect();
        leave_out_other_pasts(&mut logs, full, now, findings);
        logs.sort_by_key(|one| (one.low, one.taken));
        paths.extend(logs.into_iter().map(|one| one.path.clone()));
        paths.extend_from_slice(further);
        Self::named(&paths, allowed)
    }

    /// Bytes that a scratch copy takes, by and large: the database, and the logs twice; less what is there already, where sets of our
    /// own are copies that become the restored CA.
    pub(crate) fn room(&self, own_copies: bool) -> u64 {
        /// Room for what is issued and signed in it.
        const SPARE: u64 = 64 << 20;
        let size = |found: &certadm_files::Found| found.size().unwrap_or_default();
        let (image, logs): (u64, u64) = match &self.opened {
            Opened::Ours(sets) => (
                sets.iter().filter_map(|set| set.image.as_ref()).map(size).sum(),
                sets.iter().flat_map(|set| &set.logs).map(|(_, log)| size(log)).sum(),
            ),
            Opened::Windows(sets) => (
                sets.iter().filter_map(|set| set.database.as_ref()).map(size).sum(),
                sets.iter().flat_map(|set| &set.logs).map(size).sum(),
            ),
            Opened::Folder(_) => (0, 0),
        };
        let is_there = own_copies && matches!(self.opened, Opened::Ours(_));
        let copied = if is_there { logs } else { image.saturating_add(logs.saturating_mul(2)) };
        // Pages that the logs change may make the database longer.
        copied.saturating_add(image / 8).saturating_add(SPARE)
    }

    /// Bytes of CRLs and certificates that the restore may put into the scratch folder, too. They leave what [`Chain::room`] needs,
    /// so nothing is refused for them.
    pub(crate) fn published(&self) -> u64 {
        match &self.opened {
            Opened::Ours(sets) => certadm_set::restore::dynamic_bytes(sets),
            Opened::Windows(_) | Opened::Folder(_) => 0,
        }
    }
}

/// Leaves out log sets of a past that the CA was set back from, or of a copy of it: with those of the newest state they give nothing.
fn leave_out_other_pasts(
    logs: &mut Vec<&Candidate>,
    full: &Candidate,
    now: i64,
    findings: &mut Vec<Finding>,
) {
    let all: Vec<&Candidate> = logs.iter().copied().chain([full]).collect();
    let newest = newest_first(&all, now).into_iter().find_map(|one| chain(&all, one, now).ok());
    let Some(newest) = newest else { return };
    logs.retain(|one| {
        let is_other = is_of_another_past(*one, &newest);
        if is_other {
            let text = "it was left out: it is of another past of the CA than the newest set; the CA was set back to an earlier state, \
                        or copied";
            findings.push(Finding::warning(Kind::Combination, text).in_file(&one.path));
        }
        !is_other
    });
}

/// The folders in a folder, by name, no more than `most`.
fn folders_in(dir: &Path, most: usize) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir).during("list", dir)? {
        let path = entry.during("list", dir)?.path();
        // What is under construction is no set yet.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden || !path.is_dir() {
            continue;
        }
        if folders.len() == most {
            return Err(Error::TooManySets { path: dir.to_owned(), most });
        }
        folders.push(path);
    }
    folders.sort();
    Ok(folders)
}

struct Candidate {
    path: PathBuf,
    is_full: bool,
    /// Whose it is, and which database and stream of logs.
    ca: [String; 3],
    low: u32,
    high: u32,
    taken: Option<FileTime>,
    /// Its logs by their hashes, where they are known.
    links: Option<Links>,
}

impl Candidate {
    fn of(path: PathBuf, opened: &Opened, headers: &mut Headers) -> Option<Self> {
        match opened {
            Opened::Ours(sets) => Self::of_ours(path, sets.first()?, headers),
            Opened::Windows(sets) => Self::of_windows(path, sets.first()?, headers),
            Opened::Folder(_) => None,
        }
    }

    fn of_ours(path: PathBuf, set: &Set, headers: &mut Headers) -> Option<Self> {
        // A set without a manifest is not complete.
        Some(Self { links: headers.links(set), ..Self::of_manifest(path, set.manifest.as_ref()?) })
    }

    fn of_manifest(path: PathBuf, manifest: &Manifest) -> Self {
        let ca = &manifest.ca;
        Self {
            path,
            is_full: manifest.kind == SetKind::Full,
            ca: [ca.name.clone(), ca.database_signature.clone(), ca.stream_signature.clone()],
            low: manifest.generations.low,
            high: manifest.generations.high,
            taken: manifest.finished_at(),
            links: None,
        }
    }

    fn of_windows(path: PathBuf, set: &WindowsSet, headers: &mut Headers) -> Option<Self> {
        if let Some(complete) = set.complete.as_ref().filter(|set| set.manifest.is_some()) {
            return Self::of_ours(path, complete, headers);
        }
        // To tell the newer of two, the file's own time must do; it is no proof of when the set was taken.
        let taken = taken_of_windows(set).or_else(|| set.written());
        let is_full = set.database.is_some();
        if !is_full && set.logs.is_empty() {
            return None;
        }
        // Nothing says whose logs they are without reading them; the replay does.
        Some(Self { path, is_full, ca: Default::default(), low: 0, high: u32::MAX, taken, links: None })
    }

    fn continues(&self, full: &Self, now: i64) -> bool {
        self.ca == full.ca && full.low <= self.high && is_before(full, self, now)
    }
}

impl Stored for Candidate {
    fn id(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }

    fn time(&self) -> i64 {
        self.taken.map_or(i64::MIN, FileTime::unix_seconds)
    }

    fn ca(&self) -> &str {
        &self.ca[0]
    }

    fn kind(&self) -> SetKind {
        if self.is_full { SetKind::Full } else { SetKind::Logs }
    }

    fn database(&self) -> &str {
        &self.ca[1]
    }

    fn stream(&self) -> &str {
        &self.ca[2]
    }

    fn generations(&self) -> (u32, u32) {
        (self.low, self.high)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn is_held(&self) -> bool {
        false
    }

    fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }
}

/// The manifest says when a set was taken; without one the header of its database does.
fn taken_of_windows(set: &WindowsSet) -> Option<FileTime> {
    match set.complete.as_ref().and_then(|set| set.manifest.as_ref()) {
        Some(manifest) => manifest.finished_at(),
        None => set.taken(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of a directory is any: what lies behind the bound may be the newest chain.
    #[test]
    fn a_folder_of_more_sets_than_are_looked_at_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", ".hidden"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("file"), "").unwrap();
        let names = ["a", "b", "c"].map(|name| dir.path().join(name));
        assert_eq!(folders_in(dir.path(), 3).unwrap(), names);
        let error = folders_in(dir.path(), 2).unwrap_err();
        assert!(matches!(error, Error::TooManySets { most: 2, .. }), "{error}");
    }

    #[test]
    fn a_folder_of_many_sets_is_looked_through() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..10_050 {
            fs::create_dir(dir.path().join(format!("{number:05}"))).unwrap();
        }
        assert_eq!(folders_in(dir.path(), MOST_FOLDERS).unwrap().len(), 10_050);
    }
}
