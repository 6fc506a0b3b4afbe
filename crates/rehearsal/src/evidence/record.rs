//! The file that a rehearsal leaves (docs/evidence.schema.json of the repository).

use std::path::Path;

use certadm_rules::FileTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::count::Counts;
use crate::error::{Error, Result};
use crate::sample::SampleFacts;
use crate::step::{Step, StepRecord};
use crate::verdict::Verdict;

/// The name of the format.
pub const FORMAT: &str = "certadm-evidence";
/// Its version.
pub const VERSION: u32 = 1;
/// No folder has more rehearsals: one a second for 136 years.
const MOST_RUNS: u64 = 0xffff_ffff;
/// No file of evidence is longer.
pub(crate) const MAX_LEN: u64 = 16 << 20;

/// The evidence of one rehearsal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Always `certadm-evidence`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// Its number in the folder, from 1.
    pub run: u64,
    /// When the rehearsal began, RFC 3339 UTC.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// What made it.
    pub tool: Tool,
    /// The machine.
    pub host: String,
    /// The account.
    pub account: String,
    /// What was rehearsed.
    pub set: SetFacts,
    /// Whose it is.
    pub ca: CaOfSet,
    /// The steps.
    pub steps: Vec<StepRecord>,
    /// What the restored database holds; null where it could not be read.
    pub counts: Option<Counts>,
    /// Certificates of which it is shown that they come back and can be relied on.
    pub certificates_proven: u64,
    /// Which certificates were checked; null where none were.
    pub sample: Option<SampleFacts>,
    /// What a loss would take.
    pub rpo: Rpo,
    /// How long it takes until the CA is back.
    pub rto: Rto,
    /// The CRL that others have.
    pub crl: CrlFacts,
    /// What it comes to.
    pub verdict: Verdict,
    /// What is open.
    pub findings: Vec<OpenFinding>,
    /// What was open at the last rehearsal, and is not any more.
    pub closed: Vec<OpenFinding>,
    /// What was open at the last rehearsal, and was not looked at this time.
    pub unchecked: Vec<OpenFinding>,
    /// The file before this one; null for the first.
    pub previous: Option<Link>,
}

/// What made the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Such as `certadm 0.1.0`.
    pub name: String,
    /// SHA-256 of its own file, hexadecimal; empty where that could not be read.
    pub sha256: String,
}

/// What was rehearsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFacts {
    /// `ours` or `windows`; null where nothing was found.
    pub kind: Option<String>,
    /// The sets, full one first.
    pub paths: Vec<SetPath>,
    /// Signature of the database, hexadecimal; empty where no manifest says it.
    pub database_signature: String,
    /// Signature of the stream of logs, likewise.
    pub stream_signature: String,
    /// The logs, first to last; null where there are none.
    pub generations: Option<Generations>,
    /// When the last set was taken; null where nothing says so.
    pub taken: Option<String>,
}

/// One set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPath {
    /// Where it lies.
    pub path: String,
    /// SHA-256 of its manifest, hexadecimal; null where it has none.
    pub manifest_sha256: Option<String>,
}

/// An inclusive range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generations {
    /// Lowest.
    pub low: u32,
    /// Highest.
    pub high: u32,
}

/// Whose set it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaOfSet {
    /// The common name; empty where the database could not be read.
    pub name: String,
    /// The identifier of its newest key, hexadecimal; empty likewise.
    pub key_identifier: String,
    /// When the newest of its certificates ends.
    pub not_after: Option<String>,
}

/// What a loss would take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rpo {
    /// Seconds between the newest thing in the backup and the rehearsal; null where nothing says how old it is.
    pub seconds: Option<i64>,
    /// The newest moment in the database.
    pub newest_entry: Option<String>,
    /// The limit; null where there is none.
    pub limit_seconds: Option<u64>,
    /// Whether it is kept; null without a limit.
    pub met: Option<bool>,
}

/// How long it takes until the CA is back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rto {
    /// Both of the following.
    pub seconds: f64,
    /// The steps 1 to 7.
    pub machine_seconds: f64,
    /// What people need, as they say.
    pub by_hand_seconds: u64,
    /// The limit; null where there is none.
    pub limit_seconds: Option<u64>,
    /// Whether it is kept; null without a limit.
    pub met: Option<bool>,
}

/// The CRL that others have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlFacts {
    /// When it ends, as far as backup and published CRLs say.
    pub next_update: Option<String>,
    /// Seconds until then, counted from the rehearsal.
    pub seconds_left: Option<i64>,
}

/// A file of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its name in the folder.
    pub file: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// A finding, and since when it is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFinding {
    /// Its identifier, which stays from rehearsal to rehearsal.
    pub id: String,
    /// The step that found it.
    pub step: Step,
    /// `note`, `warning` or `error`.
    pub severity: String,
    /// The word by which a program recognises it; `step` for a step that did not pass.
    pub kind: String,
    /// The HRESULT; null where there is none.
    pub code: Option<String>,
    /// The file; null where it has none.
    pub path: Option<String>,
    /// What was found.
    pub detail: String,
    /// What to do; null where there is nothing to do.
    pub remedy: Option<String>,
    /// When the first rehearsal in a row began that found it.
    pub open_since: String,
}

impl Evidence {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::Internal`]: only a mistake in this program.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| Error::Internal(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file's bytes; `path` names it in errors.
    ///
    /// # Errors
    /// [`Error::Evidence`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let broken = |reason: String| Error::Evidence { path: path.to_owned(), reason };
        let evidence: Self = serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))?;
        if evidence.format != FORMAT || evidence.version != VERSION {
            return Err(broken(format!("its format is {} {}", evidence.format, evidence.version)));
        }
        if !(1..=MOST_RUNS).contains(&evidence.run) {
            return Err(broken(format!("it says that it is number {}", evidence.run)));
        }
        for text in [&evidence.started, &evidence.ended] {
            FileTime::from_rfc3339(text).ok_or_else(|| broken(format!("{text:?} is no moment")))?;
        }
        Ok(evidence)
    }

    /// When the rehearsal began.
    #[must_use]
    pub fn started_at(&self) -> FileTime {
        FileTime::from_rfc3339(&self.started).unwrap_or_default() // checked when it was read
    }

    /// When it ended.
    #[must_use]
    pub fn ended_at(&self) -> FileTime {
        FileTime::from_rfc3339(&self.ended).unwrap_or_default()
    }
}

/// The hash as the files name it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    certadm_rules::hex::encode(&Sha256::digest(bytes))
}
