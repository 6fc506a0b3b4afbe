//! What lies beside sets, looked at once for each folder: a log set that has no manifest is dated by the full set that it follows.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_ese::log::LogFile;
use certadm_ese::pager::FilePager;
use certadm_files::Found;
use certadm_rules::{FileTime, Generation};

use crate::ends::of_windows;
use crate::folder::{self, Listed};
use crate::manifest::SetKind;
use crate::open::{Opened, open};
use crate::windows::WindowsSet;

/// The folders around the sets of one command, each as it was when it was first asked for. Listing one opens every set in it, so a
/// command that looks at many sets has one of these for all of them.
#[derive(Debug, Default)]
pub struct Neighbours {
    folders: HashMap<PathBuf, Around>,
}

#[derive(Debug)]
struct Around {
    listed: Arc<Listed>,
    fulls: OnceCell<Vec<FullSet>>,
}

/// What of a full set dates the log sets that follow it.
#[derive(Debug)]
struct FullSet {
    stream: String,
    last: u32,
    taken: FileTime,
}

impl Neighbours {
    /// What lies in a folder; nothing where it cannot be listed.
    pub fn in_folder(&mut self, folder: &Path) -> Arc<Listed> {
        Arc::clone(&self.around(folder).listed)
    }

    /// When the full set beside the set at `path` was taken that its logs follow: the last one of the sequence of logs `stream` that ends
    /// before generation `high`. `None` where no such set lies there.
    pub(crate) fn full_before(&mut self, path: &Path, stream: &str, high: u32) -> Option<FileTime> {
        let around = self.around(path.parent()?);
        let fulls = around.fulls.get_or_init(|| full_sets(&around.listed));
        let before = fulls.iter().filter(|full| full.stream == stream && full.last < high);
        before.map(|full| (full.last, full.taken)).max().map(|(_, taken)| taken)
    }

    fn around(&mut self, folder: &Path) -> &Around {
        self.folders.entry(folder.to_owned()).or_insert_with(|| Around {
            listed: Arc::new(folder::list(folder).unwrap_or_default()),
            fulls: OnceCell::new(),
        })
    }
}

fn full_sets(listed: &Listed) -> Vec<FullSet> {
    let sealed = listed.sets.iter().filter(|set| set.kind == SetKind::Full).map(|set| FullSet {
        stream: set.signatures.1.clone(),
        last: set.generations.1,
        taken: FileTime::from_unix_seconds(set.time),
    });
    let unsealed = listed.unsealed.iter().filter_map(|folder| {
        let Ok(Opened::Windows(mut sets)) = open(std::slice::from_ref(folder)) else { return None };
        let set = sets.pop().filter(|set| set.database.is_some())?;
        Some(FullSet {
            stream: stream_of(&set)?,
            last: last_generation(&set)?,
            taken: set.taken().or_else(|| set.written())?,
        })
    });
    sealed.chain(unsealed).collect()
}

/// The signature of its sequence of logs, as the first of them says, and as a backup of that CA notes it.
pub(crate) fn stream_of(set: &WindowsSet) -> Option<String> {
    let numbered = set.logs.iter().filter_map(|log| Some((generation_of(log)?, log)));
    let (first, log) = numbered.min_by_key(|(generation, _)| *generation)?;
    let generation = Generation::new(first)?;
    let pager = FilePager::new(log.open().ok()?).ok()?;
    of_windows(LogFile::read_header(&pager).ok()?, generation)
}

/// The last generation of its logs.
pub(crate) fn last_generation(set: &WindowsSet) -> Option<u32> {
    set.logs.iter().filter_map(generation_of).max()
}

/// The generation of a log, by its name.
pub(crate) fn generation_of(log: &Found) -> Option<u32> {
    Generation::from_log_file_name(log.file_name()?.to_str()?).map(Generation::number)
}
