//! What a rehearsal is to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use certadm_files::Found;
use certadm_recovery::PrivateKey;
use certadm_rules::FileTime;
use certadm_set::signing::AllowedSigners;

use crate::count::Counts;

/// Where the key of the CA is.
#[derive(Debug, Default)]
pub enum Keys {
    /// Nobody said: what needs it is skipped.
    #[default]
    NotGiven,
    /// It stays where it is, in an HSM for example.
    External,
    /// Here, in memory: each key with the file that it came from.
    Given(Vec<(PathBuf, PrivateKey)>),
}

/// How many certificates are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// So many of those issued, and as many of those revoked.
    Of(usize),
    /// Every one.
    All,
}

impl Default for Sample {
    fn default() -> Self {
        Self::Of(200)
    }
}

/// How much may be lost, and how long it may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The longest time whose issues may be lost (recovery point objective).
    pub rpo: Option<Duration>,
    /// The longest time until the CA is back (recovery time objective).
    pub rto: Option<Duration>,
    /// What people need in addition: to notice, to fetch the key, to set a machine up.
    pub by_hand: Duration,
}

/// What earlier rehearsals say to the next one.
#[derive(Clone, Debug, Default)]
pub struct Previous {
    /// When the last one ended.
    pub ended: FileTime,
    /// What was counted last, for each CA.
    pub counted: Vec<CountedBefore>,
}

/// What an earlier rehearsal counted.
#[derive(Clone, Debug, Default)]
pub struct CountedBefore {
    /// The identifier of the CA's newest key, hexadecimal.
    pub key_identifier: String,
    /// When the rehearsal began.
    pub started: FileTime,
    /// What it counted.
    pub counts: Counts,
}

/// What a rehearsal is to do, and with what.
#[derive(Debug)]
pub struct Wishes {
    /// The full set first, then its log sets; or the files of a Windows CA.
    pub sets: Vec<PathBuf>,
    /// The sets are copies in `within` that nobody else needs: they become the restored CA and are not copied once more
    /// ([`Options::own_copies`](certadm_set::restore::Options::own_copies)).
    pub own_copies: bool,
    /// The folder of sets of which the newest chain is rehearsed; `sets` are then further log sets.
    pub latest_in: Option<PathBuf>,
    /// Whose signatures count: a set that none of them signed is not rehearsed, and nothing is taken of what stands beside a
    /// set, because no signature speaks for it. If not given, every set will do.
    pub allowed_signers: Option<AllowedSigners>,
    /// The key.
    pub keys: Keys,
    /// Where `ca.toml` and `ca.crt` of our own CA are kept, and what else no set holds.
    pub identity: Option<PathBuf>,
    /// The CRL that the CA has published last.
    pub published: Vec<PathBuf>,
    /// How many certificates are checked.
    pub sample: Sample,
    /// Where the scratch folder goes.
    pub within: PathBuf,
    /// The limits.
    pub limits: Limits,
    /// The earlier rehearsals in the same folder of evidence.
    pub previous: Option<Previous>,
    /// Fewer certificates than last time are no fault: rows were deleted on purpose.
    pub accept_fewer: bool,
    /// The present.
    pub now: FileTime,
    /// Leave the scratch folder behind. No key is in it.
    pub keep: bool,
    /// Leave the CRLs that were signed behind in this folder, which is made.
    pub spare: Option<PathBuf>,
}

impl Wishes {
    /// What is done where nothing is said.
    #[must_use]
    pub fn new(sets: Vec<PathBuf>, now: FileTime) -> Self {
        Self {
            sets,
            own_copies: false,
            latest_in: None,
            allowed_signers: None,
            keys: Keys::NotGiven,
            identity: None,
            published: Vec::new(),
            sample: Sample::default(),
            within: std::env::temp_dir(),
            limits: Limits::default(),
            previous: None,
            accept_fewer: false,
            now,
            keep: false,
            spare: None,
        }
    }
}

impl Wishes {
    /// A file such as `ca.toml` in a folder that has no list of its files: in that which was named, else in or beside the full set, unless
    /// signatures are asked for.
    pub(crate) fn loose_file(&self, full: Option<&Path>, name: &str) -> Option<Found> {
        let full = full.filter(|_| self.allowed_signers.is_none());
        let parts = match (&self.identity, full) {
            (Some(dir), _) => vec![dir.clone(), dir.join("Identity")],
            (None, Some(full)) => {
                let mut beside = full.as_os_str().to_owned();
                beside.push(".identity");
                vec![full.join("Identity"), beside.into()]
            }
            (None, None) => Vec::new(),
        };
        // What a person attached is in the first folder of an identity part, what a backup took in the others.
        let within =
            |part: PathBuf| ["", "Attachments", "Config", "Certificates"].map(|folder| part.join(folder));
        let mut folders = parts.into_iter().flat_map(within);
        folders.find_map(|folder| Some(Found::below(&folder, name)).filter(Found::is_there))
    }
}
