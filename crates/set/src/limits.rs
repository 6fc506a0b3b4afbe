//! What a backup grants its CA: files, bytes and time. A CA that lies about its files, or whose network does not move, fills
//! no disk and holds no backup for ever.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use certadm_files::space;
use certadm_rules::Generation;

use crate::error::{Error, Result};
use crate::layout::{log_entry, log_generation};
use crate::manifest::{self, FileEntry, Manifest, Role};

/// The standard patience.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// A CA that delivers fewer bytes a second than this uses up the patience: 4 KiB, half of what a modem did.
const SLOWEST: u64 = 4096;
/// Of a file system's space a backup leaves this part to others.
const KEPT_PART: u64 = 64;
/// It leaves no more than this, 256 MiB.
const KEPT_MOST: u64 = 256 << 20;
/// So many delivered bytes lie between two looks at the free space, 16 MiB.
const LOOK: u64 = 16 << 20;
/// An entry of a manifest has its two hashes and the names of its fields, if nothing else.
const SMALLEST_ENTRY: u64 = 256;

/// What a backup grants its CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest set, in bytes of all its files; `None` for as much as the disk has room for.
    pub max_size: Option<u64>,
    /// How long the calls on files may take in all without progress. Bytes that come pay it back: 4 KiB a second.
    pub patience: Duration,
}

impl Limits {
    /// As much as the disk has room for, and ten minutes.
    pub const STANDARD: Self = Self { max_size: None, patience: PATIENCE };
}

/// What is left of the limits while a set is taken.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Where the files are written, if it is known.
    dir: Option<PathBuf>,
    limits: Limits,
    /// Bytes of the set as far as they were announced.
    announced: u64,
    /// What is left of the patience.
    left: Duration,
    /// Bytes that came since the last look at the free space.
    unlooked: u64,
}

impl Allowance {
    /// Of a set whose files are written to `dir`.
    pub(crate) fn new(dir: Option<&Path>, limits: Limits) -> Self {
        Self { dir: dir.map(Path::to_owned), limits, announced: 0, left: limits.patience, unlooked: 0 }
    }

    /// Grants a file of the length that was announced for it, or not.
    ///
    /// # Errors
    /// [`Error::SetTooLarge`], [`Error::NoRoom`], [`Error::File`].
    pub(crate) fn announced(&mut self, name: &str, size: u64) -> Result<()> {
        self.announced = self.announced.saturating_add(size);
        if let Some(limit) = self.limits.max_size.filter(|limit| *limit < self.announced) {
            return Err(Error::SetTooLarge { name: name.to_owned(), total: self.announced, limit });
        }
        self.look(name, size)
    }

    /// Notes a call on a file that delivered `bytes` and began at `since`; `rest` bytes of the file are still to come.
    ///
    /// # Errors
    /// [`Error::NoProgress`], [`Error::NoRoom`], [`Error::File`].
    pub(crate) fn waited(&mut self, name: &str, since: Instant, bytes: u64, rest: u64) -> Result<()> {
        let paid = Duration::from_millis(bytes.saturating_mul(1000) / SLOWEST);
        self.left = self.left.saturating_add(paid).min(self.limits.patience);
        self.left = self.left.checked_sub(since.elapsed()).ok_or_else(|| Error::NoProgress {
            name: name.to_owned(),
            seconds: self.limits.patience.as_secs(),
        })?;
        self.unlooked += bytes;
        if self.unlooked < LOOK {
            return Ok(());
        }
        self.unlooked = 0;
        self.look(name, rest)
    }

    /// Whether the disk has room for so many bytes more, and for what others need.
    fn look(&self, name: &str, needed: u64) -> Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let Some(space) = space::of(dir)? else { return Ok(()) };
        let kept = kept_of(space.total);
        if needed <= space.available.saturating_sub(kept) {
            return Ok(());
        }
        let (path, name) = (dir.clone(), name.to_owned());
        Err(Error::NoRoom { path, name, needed, available: space.available, kept })
    }
}

/// How many bytes of a file system of so many are left to others.
pub(crate) fn kept_of(total: u64) -> u64 {
    (total / KEPT_PART).min(KEPT_MOST)
}

/// A CA has one database (certbcli.md 5), and a full set has to hold it.
///
/// # Errors
/// [`Error::BadList`].
pub(crate) fn check_databases(names: &[String]) -> Result<()> {
    match names.len() {
        1 => Ok(()),
        0 => Err(Error::BadList { detail: "it lists no database, and a CA has one".to_owned() }),
        count => Err(Error::BadList { detail: format!("it lists {count} databases, and a CA has one") }),
    }
}

/// The logs must be logs, at least one, each generation once, and no more of them than `manifest` has room for with all that
/// it holds already. Each is then a file, so this is asked before the first.
///
/// A CA always lists a log, because listing them closes the current one (certbcli.md 8.3). Without a log a set has neither
/// generations nor the signature of its database, so that no chain could hold it.
///
/// # Errors
/// [`Error::BadName`], [`Error::BadList`], [`Error::TooManyLogs`].
pub(crate) fn check_logs(names: &[String], mut manifest: Manifest) -> Result<()> {
    if names.is_empty() {
        let detail = "it lists no log, and listing them closes the current one".to_owned();
        return Err(Error::BadList { detail });
    }
    let count = names.len() as u64;
    if count > manifest::MAX_LEN / SMALLEST_ENTRY {
        return Err(Error::TooManyLogs { count });
    }
    let mut seen: HashSet<Generation> = HashSet::with_capacity(names.len());
    for name in names {
        let generation = log_generation(name)?;
        if !seen.insert(generation) {
            let detail = format!("it lists two logs of generation {generation:#x}");
            return Err(Error::BadList { detail });
        }
        // As long as an entry can become.
        let hash = "0".repeat(64);
        manifest.files.push(FileEntry {
            path: log_entry(generation),
            role: Role::Log,
            source: name.clone(),
            size: u64::MAX,
            blake3: hash.clone(),
            sha256: Some(hash),
        });
    }
    manifest.complete().map(drop).map_err(|_| Error::TooManyLogs { count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{CaIdentity, SetKind};

    fn manifest() -> Manifest {
        let ca = CaIdentity {
            name: String::new(),
            host: String::new(),
            database_signature: String::new(),
            stream_signature: String::new(),
        };
        Manifest::new(ca, SetKind::Full, String::new())
    }

    #[test]
    fn patience_is_paid_back_by_bytes_and_never_grows() {
        let dir = tempfile::tempdir().unwrap();
        let second = Duration::from_secs(1);
        let limits = Limits { max_size: None, patience: 10 * second };
        let mut allowance = Allowance::new(Some(dir.path()), limits);
        let ago = |time: Duration| Instant::now().checked_sub(time).unwrap();
        // However much came, the patience is what it was.
        allowance.waited("a", Instant::now(), 1 << 40, 0).unwrap();
        allowance.waited("a", ago(6 * second), 0, 0).unwrap();
        let error = allowance.waited("a", ago(6 * second), 0, 0).unwrap_err();
        assert!(matches!(error, Error::NoProgress { seconds: 10, .. }), "{error}");
        // 4 KiB a second is enough for ever; one byte a second is not.
        let mut slow = Allowance::new(Some(dir.path()), limits);
        for _ in 0..1000 {
            slow.waited("a", ago(second), SLOWEST + SLOWEST / 4, 0).unwrap();
        }
        let mut trickle = Allowance::new(Some(dir.path()), limits);
        let lasted = (0..1000).take_while(|_| trickle.waited("a", ago(second), 1, 0).is_ok()).count();
        assert!((8..=10).contains(&lasted), "{lasted}");
    }

    #[test]
    fn bytes_are_granted_up_to_the_limit_and_to_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut allowance =
            Allowance::new(Some(dir.path()), Limits { max_size: Some(100), ..Limits::STANDARD });
        allowance.announced("a", 60).unwrap();
        allowance.announced("b", 40).unwrap();
        let error = allowance.announced("c", 1).unwrap_err();
        assert!(matches!(error, Error::SetTooLarge { total: 101, limit: 100, .. }), "{error}");
        let mut whole = Allowance::new(Some(dir.path()), Limits::STANDARD);
        let Some(space) = space::of(dir.path()).unwrap() else { return };
        for size in [space.total, u64::MAX] {
            let error = whole.announced("d", size).unwrap_err();
            assert!(matches!(error, Error::NoRoom { .. }), "{error}");
        }
        // Also on the way, every so many bytes.
        whole.waited("d", Instant::now(), LOOK - 1, u64::MAX).unwrap();
        assert!(matches!(whole.waited("d", Instant::now(), 1, u64::MAX), Err(Error::NoRoom { .. })));
    }

    #[test]
    fn a_list_has_each_log_once_and_as_many_as_a_manifest_can_name() {
        let logs = |count: u32, prefix: &str| -> Vec<String> {
            (1..=count).map(|number| format!(r"{prefix}\edb{number:05x}.log")).collect()
        };
        check_logs(&logs(30_000, r"\\host\root$\srv\ca\log"), manifest()).unwrap();
        for names in [logs(60_000, r"\\h"), logs(1_000_000, ""), logs(10_000, &"x".repeat(2000))] {
            let error = check_logs(&names, manifest()).unwrap_err();
            assert!(matches!(error, Error::TooManyLogs { .. }), "{error}");
        }
        let twice = [logs(2, ""), logs(1, "other")].concat();
        assert!(matches!(check_logs(&twice, manifest()), Err(Error::BadList { .. })));
        assert!(matches!(check_logs(&["x.log".to_owned()], manifest()), Err(Error::BadName { .. })));
        assert!(matches!(check_logs(&[], manifest()), Err(Error::BadList { .. })));
        assert!(check_databases(&logs(1, "")).is_ok());
        for count in [0, 2] {
            assert!(matches!(check_databases(&logs(count, "")), Err(Error::BadList { .. })), "{count}");
        }
    }
}
