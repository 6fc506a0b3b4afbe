//! Which logs a set holds, and which log they follow: this tells the sets of two pasts of a CA from each other.
//!
//! A CA whose machine was set back to an earlier state, or copied, goes on in the same stream of logs and counts its generations again.
//! Two different logs then have one number, and a restore from sets of both pasts is impossible. Numbers and dates do not show this
//! for certain; the logs do, because each names the hash of the one before it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::path::Path;

use certadm_rules::{Generation, hex};
use certadm_store::log_file::{LogFile, LogHeader};

use crate::manifest::{Manifest, Role};
use crate::reader::Set;

/// The logs of a set by their hashes, each generation from the lowest to the highest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    by: By,
    low: u32,
    /// The log that the lowest one follows; `None` where that is not known.
    before: Option<u64>,
    logs: Vec<u64>,
}

/// Which hashes these are: different ones of one log are never compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Of the files. A log has two of these: it is packed some time after it was written.
    File,
    /// Of the content, as the headers of logs have them.
    Content,
    /// Of the files of a Windows CA, which nobody packs: a log has one of these.
    Whole,
}

impl Links {
    /// By a manifest alone. `None` for a set that does not hold each generation once, or that does not say of which stream of logs it
    /// is. A set of a Windows CA names its stream alone.
    #[must_use]
    pub fn of_manifest(manifest: &Manifest) -> Option<Self> {
        if manifest.ca.stream_signature.is_empty() {
            return None;
        }
        let by = if manifest.ca.database_signature.is_empty() { By::Whole } else { By::File };
        let logs = manifest.files.iter().filter(|entry| entry.role == Role::Log);
        let logs = logs.map(|entry| {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let generation = Generation::from_log_file_name(name)?;
            Some((generation.number(), beginning(&hex::decode(&entry.blake3)?)?))
        });
        Self::new(by, None, logs.collect::<Option<_>>()?)
    }

    /// By the first bytes of each log, as many as a header has; `None` where one of them is none.
    #[must_use]
    pub fn of_beginnings<'a>(logs: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let headers = logs.into_iter().map(|bytes| LogHeader::decode(bytes, Path::new("")).ok());
        Self::of_headers(&headers.collect::<Option<Vec<_>>>()?)
    }

    /// By hashes of content that somebody has thought of, those of the generations from `low` on, and that of the log before them.
    #[must_use]
    pub const fn thought_of(low: u32, before: u64, logs: Vec<u64>) -> Self {
        Self { by: By::Content, low, before: Some(before), logs }
    }

    /// By hashes of files of a Windows CA that somebody has thought of, those of the generations from `low` on.
    #[must_use]
    pub const fn thought_of_windows(low: u32, logs: Vec<u64>) -> Self {
        Self { by: By::Whole, low, before: None, logs }
    }

    fn of_headers(headers: &[LogHeader]) -> Option<Self> {
        let lowest = headers.iter().min_by_key(|header| header.generation)?;
        let logs = headers.iter().map(|header| {
            let hash = beginning(&header.own.content)?;
            Some((header.generation.number(), hash))
        });
        Self::new(By::Content, beginning(&lowest.previous.content), logs.collect::<Option<_>>()?)
    }

    fn new(by: By, before: Option<u64>, mut logs: Vec<(u32, u64)>) -> Option<Self> {
        logs.sort_unstable();
        let low = logs.first()?.0;
        let follows = logs.iter().zip(low..).all(|((generation, _), expected)| *generation == expected);
        follows.then(|| Self { by, low, before, logs: logs.into_iter().map(|(_, hash)| hash).collect() })
    }

    fn high(&self) -> u32 {
        self.low.saturating_add(u32::try_from(self.logs.len()).unwrap_or(u32::MAX)).saturating_sub(1)
    }

    /// The hash of a generation, or of the one before the lowest.
    fn hash(&self, generation: u32) -> Option<u64> {
        match generation.checked_sub(self.low) {
            Some(place) => self.logs.get(usize::try_from(place).ok()?).copied(),
            None => self.before.filter(|_| generation.checked_add(1) == Some(self.low)),
        }
    }

    /// Whether these hashes can tell a log from another one of its number: those of files of our own CA cannot, because such a log has two
    /// forms.
    #[must_use]
    pub fn tell_logs(&self) -> bool {
        self.by != By::File
    }

    /// Whether both hold, or follow, one log; `None` where they have no generation in common, or one is not known. Each log names
    /// the hash of the one before it: where the last common one is the same, so are all before it.
    #[must_use]
    pub fn is_one_past(&self, other: &Self) -> Option<bool> {
        let last = self.high().min(other.high());
        let is_same = self.hash(last)? == other.hash(last)?;
        (self.by == other.by && (is_same || self.tell_logs())).then_some(is_same)
    }
}

/// Headers of logs that were read. A log that several sets hold is opened once.
#[derive(Debug, Default)]
pub struct Headers(HashMap<String, LogHeader>);

impl Headers {
    /// The logs of a set by their headers, or by a manifest that tells as much; `None` for a set without a manifest, and where one of
    /// them cannot be read.
    pub fn links(&mut self, set: &Set) -> Option<Links> {
        let told = set.manifest.as_ref().and_then(Links::of_manifest);
        if let Some(told) = told.filter(Links::tell_logs) {
            return Some(told);
        }
        let logs = set.entries().filter(|(entry, _)| entry.role == Role::Log);
        let headers = logs.map(|(entry, log)| match self.0.get(&entry.blake3) {
            Some(header) => Some(*header),
            None => {
                let header = *LogFile::open(log).ok()?.header();
                self.0.insert(entry.blake3.clone(), header);
                Some(header)
            }
        });
        Links::of_headers(&headers.collect::<Option<Vec<_>>>()?)
    }
}

/// The first 64 bits of a hash: this many suffice to tell logs of one stream from each other.
fn beginning(hash: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(hash.get(..8)?.try_into().ok()?))
}

/// The streams in which a generation is there with two hashes: the CA has two pasts in it, or a log was packed between two backups. The
/// headers of logs tell which it is.
#[must_use]
pub fn doubtful<'a, K: Copy + Ord + Hash>(
    sets: impl IntoIterator<Item = (K, Option<&'a Links>)>,
) -> BTreeSet<K> {
    let (mut seen, mut doubtful) = (HashMap::new(), BTreeSet::new());
    for (stream, links) in sets {
        let Some(links) = links else { continue };
        for (generation, hash) in (links.low..).zip(&links.logs) {
            if seen.entry((stream, generation)).or_insert(*hash) != hash {
                doubtful.insert(stream);
            }
        }
    }
    doubtful
}

/// The generations of which these sets of one stream hold two logs, as far as their hashes tell one from another.
pub(crate) fn given_twice<'a>(sets: impl IntoIterator<Item = &'a Links>) -> BTreeSet<u32> {
    let (mut seen, mut twice) = (HashMap::new(), BTreeSet::new());
    for links in sets.into_iter().filter(|links| links.tell_logs()) {
        for (generation, hash) in (links.low..).zip(&links.logs) {
            if seen.entry((links.by == By::Whole, generation)).or_insert(*hash) != hash {
                twice.insert(generation);
            }
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_common_log_tells_whether_sets_are_of_one_past() {
        let first = Links::thought_of(6, 5, vec![60, 70]);
        let continued = Links::thought_of(8, 70, vec![80]);
        let again = Links::thought_of(6, 5, vec![61]);
        let beyond = Links::thought_of(7, 61, vec![71, 81]);
        assert_eq!(first.is_one_past(&continued), Some(true));
        assert_eq!(first.is_one_past(&again), Some(false));
        assert_eq!(again.is_one_past(&beyond), Some(true));
        assert_eq!(continued.is_one_past(&beyond), Some(false));
        assert_eq!(again.is_one_past(&continued), None, "no log is known of both");
        let files = Links { by: By::File, before: None, ..first.clone() };
        assert_eq!(files.is_one_past(&first), None, "these are hashes of something else");
        assert_eq!(files.is_one_past(&Links { by: By::File, before: None, ..continued }), None);
        // Windows logs name no log before them by its hash, and one that is there twice is not the same.
        let windows = |low, logs: &[u64]| Links::thought_of_windows(low, logs.to_vec());
        let (one, other) = (windows(6, &[60, 70]), windows(6, &[60, 71, 81]));
        assert_eq!(one.is_one_past(&other), Some(false));
        assert_eq!(one.is_one_past(&windows(7, &[70])), Some(true));
        assert_eq!(one.is_one_past(&windows(8, &[80])), None, "nothing says which log it follows");
        assert_eq!(one.is_one_past(&first), None);
        assert_eq!(given_twice([&one, &other, &files]), BTreeSet::from([7]));
        let streams = [("a", Some(&first)), ("a", Some(&beyond)), ("b", Some(&again)), ("b", None)];
        assert_eq!(doubtful(streams), BTreeSet::from(["a"]));
    }
}
