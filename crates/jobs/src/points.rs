//! The points of vaults that a run has seen last. Shells offer them ([docs/jobs.md](../../../docs/jobs.md)), and nothing else
//! is decided by them: a shell that completes a word must not wait for a vault.

use std::path::{Path, PathBuf};

use certadm_files::{durable, read};
use serde::{Deserialize, Serialize};

use crate::config::{Ca, Config, Job};
use crate::held::Held;
use crate::json_file::write_json;

/// So many are remembered, the newest.
const MOST: usize = 200;
/// No list of them is longer than this, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A point that was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its id.
    pub id: String,
    /// When its backup ended, in seconds since 1970.
    pub time: i64,
    /// `full` or `logs`.
    pub kind: String,
}

/// Those of the first place of a job, the newest first; none where none are known.
#[must_use]
pub fn seen(config: &Config, job: &Job, ca: &Ca) -> Vec<Seen> {
    let bytes = read::bounded(&file_of(config, job, ca), MAX_FILE).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Remembers what a run has seen.
///
/// # Errors
/// Those of the system.
pub(crate) fn note(config: &Config, job: &Job, ca: &Ca, held: &Held) -> certadm_files::Result<()> {
    let newest = held.sets().iter().rev().take(MOST);
    let kind = |kind| serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    let points: Vec<Seen> = newest
        .map(|set| Seen { id: set.id.clone(), time: set.time, kind: kind(set.kind).unwrap_or_default() })
        .collect();
    if points == seen(config, job, ca) {
        return Ok(());
    }
    let path = file_of(config, job, ca);
    durable::create_dir(path.parent().unwrap_or(Path::new(".")))?;
    write_json(&path, &points)
}

fn file_of(config: &Config, job: &Job, ca: &Ca) -> PathBuf {
    config.state.join("points").join(job.name.as_str()).join(format!("{}.json", ca.name))
}
