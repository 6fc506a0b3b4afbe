//! A CA that lies: nothing is written outside the target, no set comes to exist, no log is truncated.

use std::path::Path;
use std::time::Duration;

use certadm_rules::{BackupType, Diagnosis, Entry, Hresult, PlainList, Tag, TaggedList};
use certadm_session::{CallError, CallResult, Source};
use certadm_set::{Error, Limits, Silent, TakeOptions, take};
use certadm_store::Folder;

/// Answers every call, with whatever it was told to.
struct Hostile {
    database: String,
    /// Whether it lists the database.
    has_database: bool,
    /// The log that it lists; empty for none.
    log: String,
    /// Further names in both lists.
    more_databases: Vec<String>,
    more_logs: Vec<String>,
    announced: u64,
    delivered: u64,
    open: u64,
    read_error: bool,
    /// How long a call on a file takes, and how many bytes a read delivers at most.
    pause: Duration,
    most: u64,
    /// Calls on files so far.
    calls: u64,
    /// What it says of the bytes it delivers.
    truncated: bool,
    ended: bool,
}

impl Hostile {
    fn honest() -> Self {
        Self {
            database: r"\\h\root$\ca\database\CA.xyz".to_owned(),
            has_database: true,
            log: r"\\h\root$\ca\log\edb00001.log".to_owned(),
            more_databases: Vec::new(),
            more_logs: Vec::new(),
            announced: 1_000_000,
            delivered: 1_000_000,
            open: 0,
            read_error: false,
            pause: Duration::ZERO,
            most: u64::MAX,
            calls: 0,
            truncated: false,
            ended: false,
        }
    }
}

impl Hostile {
    fn wait(&mut self) {
        self.calls += 1;
        std::thread::sleep(self.pause);
    }
}

impl Source for Hostile {
    fn is_online(&mut self) -> CallResult<bool> {
        Ok(true)
    }
    fn prepare(&mut self, _kind: BackupType) -> CallResult<()> {
        Ok(())
    }
    fn database_locations(&mut self) -> CallResult<TaggedList> {
        self.database_names()
    }
    fn database_names(&mut self) -> CallResult<TaggedList> {
        if !self.has_database {
            return Ok(TaggedList::new(Vec::new()));
        }
        list(Tag::Database, &self.database, &self.more_databases)
    }
    fn open_file(&mut self, _name: &str, _read_hint: u32) -> CallResult<u64> {
        if self.truncated {
            return Err(CallError::new("BackupOpenFile", Hresult::MISSING_FILE_TO_BACKUP));
        }
        self.open = 0;
        self.wait();
        Ok(self.announced)
    }
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        if self.read_error && self.open > 0 {
            return Err(CallError::new("BackupRead", Hresult::DISK_IO));
        }
        self.wait();
        let len = (self.delivered - self.open).min(buffer.len() as u64).min(self.most);
        self.open += len;
        Ok(usize::try_from(len).unwrap())
    }
    fn close_file(&mut self) -> CallResult<()> {
        Ok(())
    }
    fn backup_logs(&mut self) -> CallResult<TaggedList> {
        if self.log.is_empty() {
            return Ok(TaggedList::new(Vec::new()));
        }
        list(Tag::Log, &self.log, &self.more_logs)
    }
    fn truncate_logs(&mut self) -> CallResult<()> {
        self.truncated = true;
        Ok(())
    }
    fn dynamic_files(&mut self) -> CallResult<PlainList> {
        Ok(PlainList::new(vec![r"\\h\root$\etc\..\..\passwd".to_owned()]).unwrap())
    }
    fn end(&mut self) -> CallResult<()> {
        self.ended = true;
        Ok(())
    }
    fn abort(&mut self) -> CallResult<()> {
        self.end()
    }
}

fn list(tag: Tag, path: &str, more: &[String]) -> CallResult<TaggedList> {
    std::iter::once(path)
        .chain(more.iter().map(String::as_str))
        .map(|path| Entry::new(tag, path))
        .collect::<Result<Vec<_>, _>>()
        .map(TaggedList::new)
        .map_err(|_| CallError::new("list", Hresult::INVALID_PATH))
}

const OPTIONS: TakeOptions = TakeOptions::new(BackupType::Full);

fn take_from(ca: &mut Hostile, target: &Path) -> Result<certadm_set::Taken, Error> {
    take(ca, target, &OPTIONS, &mut Silent)
}

fn assert_nothing(ca: &Hostile, dir: &Path) {
    assert!(!ca.truncated, "truncated without a set");
    assert!(ca.ended, "the session was left open");
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn an_honest_one_gives_a_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut ca = Hostile::honest();
    let taken = take_from(&mut ca, &dir.path().join("set")).unwrap();
    assert_eq!(taken.manifest.files.len(), 3);
    // What it delivers is no database, so the logs that may mend it stay.
    assert!(!taken.findings.is_empty());
    assert!(!ca.truncated && ca.ended);
    assert_eq!(taken.truncated, []);
}

#[test]
fn names_are_never_paths() {
    let long = "x".repeat(300);
    let names = [
        "..",
        ".",
        "",
        "a/b",
        "C:evil",
        "a:b",
        "CON",
        "nul.db",
        "COM1",
        "LPT9.txt",
        "trailing.",
        "trailing ",
        "edb00001.log",
        "certbkxp.dat",
        "CERTBKXP.DAT",
        "new\nline",
        "a\u{7f}b",
        "q?",
        "w*",
        "lt<",
        long.as_str(),
    ];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        let mut ca = Hostile { database: format!(r"\\h\root$\ca\{name}"), ..Hostile::honest() };
        let error = take_from(&mut ca, &dir.path().join("set")).err();
        assert!(error.is_some(), "{name:?} was taken for a database name");
        assert!(!ca.truncated, "{name:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{name:?}");
    }
    for name in ["edb.log", "edb0001.log", "../edb00001.log", "edb00000.log", "x.log", "edb00001.log.exe"] {
        let dir = tempfile::tempdir().unwrap();
        let mut ca = Hostile { log: format!(r"\\h\root$\ca\{name}"), ..Hostile::honest() };
        let taken = take_from(&mut ca, &dir.path().join("set"));
        // The last component alone counts, and it is stored under a name of our own making.
        assert!(taken.is_err() || name.ends_with("edb00001.log"), "{name:?} was taken for a log name");
    }
}

#[test]
fn sizes_are_held_against_it() {
    for (announced, delivered) in
        [(1_000_000, 999_999), (1_000_000, 0), (1_000_000, 1_000_001), (0, u64::MAX)]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut ca = Hostile { announced, delivered, ..Hostile::honest() };
        let error = take_from(&mut ca, &dir.path().join("set")).unwrap_err();
        assert!(matches!(error, Error::SizeLied { .. }), "{announced} {delivered}: {error}");
        assert_nothing(&ca, dir.path());
    }
}

/// More than the disk has, more than is allowed, and lists that no CA has: refused before a byte of it is read.
#[test]
fn what_is_announced_is_granted_or_refused() {
    let log = |number: u32| format!(r"\\h\root$\ca\log\edb{number:05x}.log");
    let small = Limits { max_size: Some(1_500_000), ..Limits::STANDARD };
    let honest = Hostile::honest;
    // Opened and read, with the end of the file, and closed: what comes before the refusal.
    let database = 1_000_000_u64.div_ceil(512 * 1024) + 2;
    for (mut ca, limits, code, calls) in [
        (Hostile { announced: u64::MAX, ..honest() }, Limits::STANDARD, Hresult::ERROR_DISK_FULL, 1),
        (Hostile { announced: 1 << 50, ..honest() }, Limits::STANDARD, Hresult::ERROR_DISK_FULL, 1),
        (Hostile { announced: 1_500_001, ..honest() }, small, Hresult::ERROR_FILE_TOO_LARGE, 1),
        // The log would be too much.
        (honest(), small, Hresult::ERROR_FILE_TOO_LARGE, database + 1),
        (
            Hostile { more_databases: vec![r"\\h\root$\ca\other.xyz".to_owned()], ..honest() },
            Limits::STANDARD,
            Hresult::ERROR_INVALID_DATA,
            0,
        ),
        (
            Hostile { more_logs: vec![log(1)], ..honest() },
            Limits::STANDARD,
            Hresult::ERROR_INVALID_DATA,
            database,
        ),
        (
            Hostile { more_logs: (2..100_000).map(log).collect(), ..honest() },
            Limits::STANDARD,
            Hresult::ERROR_FILE_TOO_LARGE,
            database,
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = TakeOptions { limits, ..OPTIONS };
        let error = take(&mut ca, &dir.path().join("set"), &options, &mut Silent).unwrap_err();
        assert_eq!((error.hresult(), ca.calls), (code, calls), "{error}");
        assert!(!error.remedy().is_empty());
        assert_nothing(&ca, dir.path());
    }
}

/// Neither bytes one by one nor files without bytes hold a backup for ever.
#[test]
fn a_ca_that_makes_no_progress_is_left() {
    let pause = Duration::from_millis(20);
    let limits = Limits { patience: 10 * pause, ..Limits::STANDARD };
    let log = |number: u32| format!(r"\\h\root$\ca\log\edb{number:05x}.log");
    let files = (2..10_000).map(log).collect();
    for mut ca in [
        Hostile { pause, most: 1, ..Hostile::honest() },
        Hostile { pause, announced: 0, delivered: 0, more_logs: files, ..Hostile::honest() },
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = TakeOptions { limits, ..OPTIONS };
        let error = take(&mut ca, &dir.path().join("set"), &options, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::NoProgress { .. }), "{error}");
        assert!(ca.calls < 20, "{}", ca.calls);
        assert_nothing(&ca, dir.path());
    }
}

#[test]
fn a_failed_read_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut ca = Hostile { read_error: true, ..Hostile::honest() };
    let error = take_from(&mut ca, &dir.path().join("set")).unwrap_err();
    assert_eq!(error.hresult(), Hresult::DISK_IO);
    assert_nothing(&ca, dir.path());
}

#[test]
fn an_occupied_target_is_refused_before_the_ca_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "x").unwrap();
    let mut ca = Hostile::honest();
    let error = take_from(&mut ca, dir.path()).unwrap_err();
    assert_eq!(error.hresult(), Hresult::ERROR_DIR_NOT_EMPTY);
    assert!(!ca.ended && !ca.truncated);
    assert_eq!(std::fs::read_to_string(dir.path().join("precious")).unwrap(), "x");
}

#[test]
fn an_empty_folder_becomes_the_set() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("set");
    std::fs::create_dir(&target).unwrap();
    let taken = take_from(&mut Hostile::honest(), &target).unwrap();
    assert_eq!(taken.set, target);
    assert!(target.join("manifest.json").is_file());
}

#[test]
fn a_target_that_cannot_be_a_folder_is_refused_before_the_ca_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let nameless = dir.path().join("nothing").join("..");
    let long = dir.path().join("x".repeat(300));
    for target in [&file, &file.join("below"), &nameless, &long] {
        let mut ca = Hostile::honest();
        assert!(take_from(&mut ca, target).is_err(), "{}", target.display());
        assert!(!ca.ended && !ca.truncated);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the file alone is there");
}

#[test]
fn a_dynamic_file_that_is_not_there_is_named_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    let options = TakeOptions { ca_folder: Some(Folder::new(dir.path())), ..OPTIONS };
    let taken = take(&mut Hostile::honest(), &dir.path().join("set"), &options, &mut Silent).unwrap();
    let missing = &taken.manifest.not_included;
    assert!(missing.iter().any(|what| what.contains("the dynamic files, ")), "{missing:?}");
}

/// A CA has one database, and listing its logs closes one: an empty list is no state of a CA that is well, and a set of it could
/// not be restored.
#[test]
fn empty_lists_make_no_set() {
    let honest = Hostile::honest;
    let no_logs = || Hostile { log: String::new(), ..honest() };
    let no_database = Hostile { has_database: false, ..honest() };
    for (mut ca, kind, missing) in [
        (no_database, BackupType::Full, "no database"),
        (no_logs(), BackupType::Full, "no log"),
        (no_logs(), BackupType::LogsOnly, "no log"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = TakeOptions { kind, ..OPTIONS };
        let error = take(&mut ca, &dir.path().join("set"), &options, &mut Silent).unwrap_err();
        assert!(matches!(error, Error::BadList { .. }), "{error}");
        assert!(error.to_string().contains(missing), "{error}");
        assert_eq!(error.hresult(), Hresult::ERROR_INVALID_DATA);
        assert_nothing(&ca, dir.path());
    }
}

/// Told before the CA is asked, and not once all the work is done.
#[cfg(target_os = "linux")]
#[test]
fn a_mount_point_is_refused_as_a_target() {
    let mut ca = Hostile::honest();
    let error = take_from(&mut ca, Path::new("/proc")).unwrap_err();
    assert!(matches!(error, Error::TargetIsMountPoint { .. }), "{error}");
    assert_eq!((error.hresult(), ca.calls), (Hresult::ERROR_NOT_SAME_DEVICE, 0));
}
