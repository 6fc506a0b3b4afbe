//! The sets that a repository keeps: what each one says of itself in its snapshot, and which of them a restore needs
//! together (repository.md 5 and 6).

use std::collections::BTreeSet;
use std::sync::Arc;

use certadm_rules::hex;
use certadm_rules::names::folder_name;
use certadm_set::Manifest;
use certadm_set::links::Links;
use certadm_set::manifest::SetKind;
use certadm_set::stored::{Stored, age, chain, newest_first};
use rustic_core::repofile::{SnapshotFile, SnapshotId};
use rustic_core::{RusticResult, SnapshotOptions, TreeId};
use sha2::{Digest, Sha256};

use crate::address::Selector;
use crate::bridge::Bridge;
use crate::engine::{self, Unexplained, call};
use crate::error::{Error, Result};
use crate::lately::now;
use crate::objects::Objects;
use crate::secret::Secret;

/// The tag of every snapshot that certadm made.
const TAG: &str = "certadm";
/// The tag of a set that never expires.
const HOLD: &str = "hold";
/// The tag of a set that was stored again because something was attached to it, before a number.
const ATTACHED: &str = "attached";

/// One set in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// The id of its snapshot, 64 hexadecimal digits.
    pub id: String,
    /// When its backup ended, in seconds since 1970, UTC.
    pub time: i64,
    /// The CA's sanitized name.
    pub ca: String,
    /// Full or logs only.
    pub kind: SetKind,
    /// The signature of its database; empty for a Windows CA.
    pub database: String,
    /// The signature of its stream of logs; empty where it is not known.
    pub stream: String,
    /// Its lowest and its highest generation.
    pub generations: (u32, u32),
    /// Bytes of its files.
    pub bytes: u64,
    /// Its files, the manifest among them.
    pub files: u64,
    /// How long its backup took, in seconds; 0 where its snapshot does not tell.
    pub seconds: u64,
    /// Whether somebody has tagged it with `hold`, so that it never expires.
    pub held: bool,
    /// How often something was attached to it: 0 for the set as it was taken. The same set with fewer attachments may be there,
    /// too.
    pub version: u32,
    pub(crate) tree: TreeId,
    /// Its logs by their hashes; no snapshot tells them.
    pub links: Option<Arc<Links>>,
}

impl Point {
    /// Reads what a snapshot says; `None` when certadm did not make it.
    pub(crate) fn of(snapshot: &SnapshotFile) -> Option<Self> {
        let mut point = Self {
            id: snapshot.id.to_hex().to_string(),
            time: snapshot.time.timestamp().as_second(),
            ca: snapshot.hostname.clone(),
            kind: SetKind::Logs,
            database: String::new(),
            stream: String::new(),
            generations: (0, 0),
            bytes: snapshot.summary.as_ref().map_or(0, |summary| summary.total_bytes_processed),
            files: snapshot.summary.as_ref().map_or(0, |summary| summary.total_files_processed),
            seconds: snapshot.summary.as_ref().map_or(0, |summary| seconds_of(summary.backup_duration)),
            held: false,
            version: 0,
            tree: snapshot.tree,
            links: None,
        };
        let mut ours = false;
        let mut kind = None;
        for tag in snapshot.tags.iter() {
            match tag.split_once(':') {
                None => {
                    ours |= tag == TAG;
                    point.held |= tag == HOLD;
                }
                Some(("kind", "full")) => kind = Some(SetKind::Full),
                Some(("kind", "logs")) => kind = Some(SetKind::Logs),
                Some(("db", signature)) => point.database = signature_of(signature)?,
                Some(("base", signature)) => point.stream = signature_of(signature)?,
                Some(("gen", range)) => point.generations = range_of(range)?,
                Some((ATTACHED, times)) => point.version = times.parse().ok()?,
                // Tags that people add, and those of later versions.
                Some(_) => {}
            }
        }
        point.kind = kind.filter(|_| ours)?;
        Some(point)
    }

    /// The first digits of its id, by which people name it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }

    /// What its snapshot says otherwise than the manifest of its set does, a sentence. Whoever has the key can store a snapshot
    /// that names an old set, whose signature is good, as the state of today.
    pub(crate) fn contradiction(&self, manifest: &Manifest) -> Option<String> {
        // Where the manifest tells none, the snapshot has the time at which it was stored.
        let is_of_another_time = manifest.finished_at().is_some_and(|time| time.unix_seconds() != self.time);
        let what = self.differs_in(manifest).or(is_of_another_time.then_some("time"))?;
        Some(format!(
            "its snapshot and its manifest differ in the {what}: this is not the set that the snapshot names"
        ))
    }

    /// What its snapshot says otherwise than a manifest does, the time aside.
    pub(crate) fn differs_in(&self, manifest: &Manifest) -> Option<&'static str> {
        let (ca, generations) = (&manifest.ca, manifest.generations);
        let what = [
            ("CA", self.ca != ca.name),
            ("kind", self.kind != manifest.kind),
            ("database", self.database != ca.database_signature),
            ("stream of logs", self.stream != ca.stream_signature),
            ("generations", self.generations != (generations.low, generations.high)),
        ];
        what.into_iter().find_map(|(what, differs)| differs.then_some(what))
    }

    /// Whether its state was proven, by the names that are noted. Programs of before have noted its id.
    #[must_use]
    pub fn is_noted(&self, proven: &BTreeSet<String>) -> bool {
        proven.contains(&self.id) || proven.contains(&self.noted_as())
    }

    /// The name under which it is noted that its state is proven, 64 hexadecimal digits: a hash over what it holds, to the last byte,
    /// and what its snapshot says of it. It stays where restic changes tags that are no names of a set, and gives the snapshot another
    /// id. No snapshot that says or holds anything else has it, whatever original it names.
    pub(crate) fn noted_as(&self) -> String {
        let (low, high) = self.generations;
        let said = format!(
            "{}\n{}\n{}\n{}\n{}\n{low:x}-{high:x}\n{}",
            self.tree.to_hex().as_str(),
            self.time,
            self.kind,
            self.database,
            self.stream,
            // It alone may have any letters, so it is the last one.
            self.ca,
        );
        hex::encode(&Sha256::digest(said))
    }
}

impl Stored for Point {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        self.short_id()
    }

    fn time(&self) -> i64 {
        self.time
    }

    fn ca(&self) -> &str {
        &self.ca
    }

    fn kind(&self) -> SetKind {
        self.kind
    }

    fn database(&self) -> &str {
        &self.database
    }

    fn stream(&self) -> &str {
        &self.stream
    }

    fn generations(&self) -> (u32, u32) {
        self.generations
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_held(&self) -> bool {
        self.held
    }

    fn version(&self) -> i64 {
        self.version.into()
    }

    fn links(&self) -> Option<&Links> {
        self.links.as_deref()
    }
}

/// The sets that can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readable {
    /// The sets, the oldest first.
    pub points: Vec<Point>,
    /// Snapshots that cannot be read, by their names: nobody can tell which set each was, and any may have been the newest state.
    pub unreadable: Vec<String>,
}

/// The sets of a repository, the oldest first. Snapshots that certadm did not make are passed over.
///
/// # Errors
/// [`Error::NoRepository`](crate::Error::NoRepository), [`Error::NoKeyFits`](crate::Error::NoKeyFits),
/// [`Error::Storage`](crate::Error::Storage), [`Error::Damaged`](crate::Error::Damaged).
pub(crate) fn points(objects: &Arc<dyn Objects>, secret: &Secret) -> Result<Vec<Point>> {
    let bridge = Bridge::new(Arc::clone(objects));
    let opened = engine::open(&bridge, secret)?;
    let snapshots = engine::twice(|| {
        call(&bridge, "read the snapshots", Unexplained::Damage, || opened.get_all_snapshots())
    })?;
    let mut points: Vec<Point> = snapshots.iter().filter_map(Point::of).collect();
    points.sort_by(|one, other| age(other).cmp(&age(one)));
    Ok(points)
}

/// The set that another one is a later version of.
#[derive(Clone, Debug)]
pub(crate) struct Earlier {
    /// The number of the later version.
    pub(crate) version: u32,
    /// Whether it is held, and so the later one, too.
    pub(crate) held: bool,
    /// The snapshot that it was made of, as restic notes it.
    pub(crate) original: Option<SnapshotId>,
}

/// What the snapshot of a set says of it. `time` is when its backup ended, in seconds since 1970. A later version of a set is of the same
/// second, and some milliseconds newer: stock restic knows nothing of versions, and its `latest` takes any of those of one time.
pub(crate) fn snapshot_of(
    manifest: &Manifest,
    time: i64,
    earlier: Option<&Earlier>,
) -> RusticResult<SnapshotFile> {
    let (ca, generations) = (&manifest.ca, manifest.generations);
    let mut tags = format!(
        "{TAG},ca:{},kind:{},db:{},gen:{:x}-{:x},base:{}",
        // A comma would end the tag.
        ca.name.replace(',', "!002c"),
        manifest.kind,
        ca.database_signature,
        generations.low,
        generations.high,
        ca.stream_signature,
    );
    if let Some(earlier) = earlier {
        tags += &format!(",{ATTACHED}:{}", earlier.version);
        if earlier.held {
            tags += &format!(",{HOLD}");
        }
    }
    let mut options = SnapshotOptions::default().host(ca.name.clone()).add_tags(&tags)?;
    // Within the second, which alone tells the backup.
    let after = earlier.filter(|_| 0 <= time).map_or(0, |earlier| i64::from(earlier.version.min(999)));
    if let Ok(time) =
        rustic_core::jiff::Timestamp::from_millisecond(time.saturating_mul(1_000).saturating_add(after))
    {
        options = options.time(time.to_zoned(rustic_core::jiff::tz::TimeZone::UTC));
    }
    let mut snapshot = options.to_snapshot()?;
    snapshot.original = earlier.and_then(|earlier| earlier.original);
    snapshot.program_version = concat!("certadm ", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(snapshot)
}

/// The sets that one which is about to be stored leads on from, so that a restore can use it: a full set and the log sets
/// between, or none for a full set. `Err` is a sentence.
///
/// # Errors
/// For a log set, when the full set is not there, or a log set between.
pub(crate) fn continued(points: &[Point], manifest: &Manifest, time: i64) -> Result<Vec<Point>, String> {
    let (ca, generations) = (&manifest.ca, manifest.generations);
    let new = Point {
        id: String::new(),
        time,
        ca: ca.name.clone(),
        kind: manifest.kind,
        database: ca.database_signature.clone(),
        stream: ca.stream_signature.clone(),
        generations: (generations.low, generations.high),
        bytes: 0,
        files: 0,
        seconds: 0,
        held: false,
        version: 0,
        tree: TreeId::default(),
        links: None,
    };
    let all: Vec<&Point> = points.iter().collect();
    let mut chain = chain(&all, &new, now())
        .map_err(|_| format!("{} continue no full set that is here", logs(manifest)))?;
    chain.pop();
    Ok(chain.into_iter().cloned().collect())
}

/// Refuses a set of another CA than `ca`, whose repository has this address.
///
/// # Errors
/// [`Error::OtherCa`].
pub(crate) fn refuse_other_ca(address: &str, ca: &str, of_set: &str) -> Result<()> {
    match ca == folder_name(of_set) {
        true => Ok(()),
        false => Err(Error::OtherCa { place: address.to_owned(), ca: of_set.to_owned() }),
    }
}

/// The logs of a set, for a message.
pub(crate) fn logs(manifest: &Manifest) -> String {
    format!("the logs {:#x} to {:#x}", manifest.generations.low, manifest.generations.high)
}

/// A snapshot is a stranger's text: no number of it is taken on trust, and a backup takes a month at most.
fn seconds_of(duration: f64) -> u64 {
    std::time::Duration::try_from_secs_f64(duration).map_or(0, |duration| duration.as_secs().min(31 * 86_400))
}

fn signature_of(text: &str) -> Option<String> {
    (text.len() <= 64 && hex::decode(text).is_some()).then(|| text.to_owned())
}

fn range_of(text: &str) -> Option<(u32, u32)> {
    let (low, high) = text.split_once('-')?;
    let (low, high) = (u32::from_str_radix(low, 16).ok()?, u32::from_str_radix(high, 16).ok()?);
    (low <= high).then_some((low, high))
}

/// The sets that a selector means among `points`: a full set first, then the log sets that a restore up to the chosen one
/// needs. `Err` is a sentence.
///
/// `now` is in seconds since 1970: what is the newest is not told by a date in the future.
///
/// # Errors
/// When nothing fits, several ids do, or a log set continues no full set that is here.
pub(crate) fn select(points: &[Point], selector: &Selector, now: i64) -> Result<Vec<Point>, String> {
    let all: Vec<&Point> = points.iter().collect();
    let owned = |chain: Vec<&Point>| chain.into_iter().cloned().collect::<Vec<Point>>();
    let mut by_age = all.clone();
    by_age.sort_by(|one, other| age(*one).cmp(&age(*other)));
    let first_of = |sorted: &[&Point], fits: &dyn Fn(&Point) -> bool, what: &str| {
        let mut refused = None;
        for point in sorted.iter().filter(|point| fits(point)) {
            match chain(&all, point, now) {
                Ok(chain) => return Ok(owned(chain)),
                Err(why) => drop(refused.get_or_insert(why)),
            }
        }
        Err(refused.unwrap_or_else(|| format!("there is {what}")))
    };
    let of_id = |id: &str| {
        let found: Vec<&&Point> = by_age.iter().filter(|point| point.id.starts_with(id)).collect();
        match found.as_slice() {
            [one] => Ok(**one),
            [] => Err(format!("none has the id {id}")),
            several => Err(format!("{} ids begin with {id}", several.len())),
        }
    };
    match selector {
        Selector::Latest => first_of(&newest_first(&all, now), &|_| true, "none at all"),
        Selector::LatestFull => {
            first_of(&newest_first(&all, now), &|point| point.kind == SetKind::Full, "no full one")
        }
        Selector::At(time) => first_of(&by_age, &|point| point.time <= *time, "none of that time or before"),
        Selector::Generation(number) => {
            let holds = |point: &Point| (point.generations.0..=point.generations.1).contains(number);
            first_of(&by_age, &holds, &format!("none with generation {number:#x}"))
        }
        Selector::Id(id) => chain(&all, of_id(id)?, now).map(owned),
        Selector::Alone(id) => Ok(vec![of_id(id)?.clone()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: u8, time: i64, kind: SetKind, generations: (u32, u32)) -> Point {
        Point {
            id: format!("{id:02x}").repeat(32),
            time,
            ca: "CA".to_owned(),
            kind,
            database: "aa".to_owned(),
            stream: "bb".to_owned(),
            generations,
            bytes: 0,
            files: 0,
            seconds: 0,
            held: false,
            version: 0,
            tree: TreeId::default(),
            links: None,
        }
    }

    fn ids(chain: &[Point]) -> Vec<&str> {
        chain.iter().map(|point| &point.id[..2]).collect()
    }

    /// A clock that was ahead while a set was taken: the generations tell what came after it.
    #[test]
    fn the_latest_is_not_what_a_clock_that_was_ahead_has_dated() {
        use SetKind::{Full, Logs};
        let latest = |points: &[Point]| ids(&select(points, &Selector::Latest, 1_000).unwrap()).join(" ");
        // The first full set is from the future, and all others are newer.
        let ahead = [
            point(1, 90_000, Full, (1, 5)),
            point(2, 20, Logs, (6, 7)),
            point(3, 30, Full, (8, 9)),
            point(4, 40, Logs, (10, 11)),
        ];
        for (count, expected) in [(1, "01"), (2, "01 02"), (3, "03"), (4, "03 04")] {
            assert_eq!(latest(&ahead[..count]), expected);
        }
        let full = ids(&select(&ahead, &Selector::LatestFull, 1_000).unwrap()).join(" ");
        assert_eq!(full, "03");
        // What was taken last may be from the future, too.
        assert_eq!(latest(&[point(1, 50, Full, (1, 5)), point(2, 90_000, Logs, (6, 7))]), "01 02");
        // Our CA begins another stream of logs after a restore, a Windows CA the same generations again.
        let other = |id, time| Point { stream: "cc".to_owned(), ..point(id, time, Full, (1, 2)) };
        let restored = [point(1, 50, Full, (1, 500)), point(3, 90_000, Logs, (501, 502)), other(2, 60)];
        assert_eq!(latest(&restored), "02");
        let windows = [
            point(1, 10, Full, (1, 100)),
            point(2, 20, Logs, (101, 150)),
            point(3, 30, Full, (101, 105)),
            point(4, 40, Logs, (106, 110)),
        ]
        .map(|point| Point { database: String::new(), ..point });
        assert_eq!(latest(&windows), "03 04");
        assert_eq!(ids(&select(&windows, &Selector::At(25), 1_000).unwrap()), ["01", "02"]);
    }

    #[test]
    fn a_point_brings_the_sets_that_it_needs() {
        use SetKind::{Full, Logs};
        let foreign = Point { stream: "cc".to_owned(), ..point(9, 25, Full, (1, 20)) };
        let points = [
            point(1, 10, Full, (1, 5)),
            point(2, 20, Logs, (6, 7)),
            point(3, 30, Logs, (6, 9)),
            point(4, 40, Logs, (10, 12)),
            point(5, 50, Full, (10, 14)),
            point(6, 60, Logs, (17, 18)),
            foreign,
        ];
        let of = |selector: &Selector| select(&points, selector, 100).map(|chain| ids(&chain).join(" "));
        let id = |number: u8| Selector::Id(format!("{number:02x}").repeat(4));
        assert_eq!(of(&id(1)).unwrap(), "01");
        assert_eq!(of(&id(2)).unwrap(), "01 02");
        assert_eq!(of(&id(4)).unwrap(), "01 03 04", "the set in between is the one that leads furthest");
        assert_eq!(of(&Selector::Alone("04".repeat(4))).unwrap(), "04");
        // Generations 15 and 16 are missing: the newest state that can be restored is the full set.
        assert!(of(&id(6)).unwrap_err().contains("continues no full set"));
        assert_eq!(of(&Selector::Latest).unwrap(), "05");
        assert_eq!(of(&Selector::LatestFull).unwrap(), "05");
        assert_eq!(of(&Selector::At(45)).unwrap(), "01 03 04");
        assert_eq!(of(&Selector::Generation(9)).unwrap(), "01 03");
        assert!(of(&Selector::At(5)).is_err());
        assert!(of(&Selector::Id("ffffff".to_owned())).is_err());
        assert!(select(&[], &Selector::Latest, 100).is_err());
        // Within one second the generations tell what came first.
        let quick = [point(1, 1, Full, (1, 5)), point(2, 1, Logs, (6, 7)), point(3, 1, Full, (8, 9))];
        assert_eq!(ids(&select(&quick, &id(2), 100).unwrap()), ["01", "02"]);
        let twins = [point(1, 1, Full, (1, 1)), point(1, 2, Full, (1, 1))];
        assert!(select(&twins, &Selector::Id("010101".to_owned()), 100).unwrap_err().contains("2 ids"));
    }

    #[test]
    fn what_a_snapshot_says_is_read_again_and_strangers_are_passed_over() {
        let ca = certadm_set::manifest::CaIdentity {
            name: "A, B".to_owned(),
            host: "h".to_owned(),
            database_signature: "ab".repeat(16),
            stream_signature: String::new(),
        };
        let mut manifest = Manifest::new(ca, SetKind::Full, String::new());
        manifest.generations = certadm_set::manifest::Generations { low: 0x1a, high: 0x2b };
        let snapshot = snapshot_of(&manifest, 1_000, None).unwrap();
        let point = Point::of(&snapshot).unwrap();
        assert_eq!((point.kind, point.generations, point.time), (SetKind::Full, (0x1a, 0x2b), 1_000));
        assert_eq!((point.database.len(), point.stream.as_str(), point.ca.as_str()), (32, "", "A, B"));
        // Each later version is newer for stock restic, and of the same backup for everybody.
        let mut last = snapshot.time.timestamp();
        for version in [1, 2, 3, 999] {
            let earlier = Earlier { version, held: false, original: None };
            let later = snapshot_of(&manifest, 1_000, Some(&earlier)).unwrap();
            assert!(last < later.time.timestamp(), "{version}");
            last = later.time.timestamp();
            let later = Point::of(&later).unwrap();
            assert_eq!((later.version, later.time), (version, 1_000));
            assert!(certadm_set::stored::same_backup(&later, &point));
        }
        for tags in [
            "",
            "certadm",
            "kind:full",
            "certadm,kind:other",
            "certadm,kind:full,gen:5-3",
            "certadm,kind:full,db:x",
        ] {
            let options = SnapshotOptions::default().add_tags(tags).unwrap();
            assert_eq!(Point::of(&options.to_snapshot().unwrap()), None, "{tags}");
        }
    }
}
