//! A CA of which nothing but its generations is there, and commands that store manifests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use certadm_jobs::command::Words;
use certadm_jobs::lock::CaLock;
use certadm_jobs::perform::{Perform, Performed};
use certadm_jobs::record::{Attempts, Outcome};
use certadm_jobs::{CaRun, Config, Runner, Step, TimeZone, Wish};
use certadm_rules::FileTime;
use certadm_set::manifest::{CaIdentity, FILE_NAME, FileEntry, Generations, Manifest, Role, SetKind};
use certadm_set::signing::{self, KeyFile, Signer};
use serde_json::{Value, json};

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
    b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
    QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n\
    XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n\
    AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n\
    ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n\
    -----END OPENSSH PRIVATE KEY-----\n";

pub(crate) fn signer() -> Signer {
    match KeyFile::parse(KEY.as_bytes()).unwrap() {
        KeyFile::Open(signer) => signer,
        KeyFile::Locked(_) => panic!("it has a passphrase"),
    }
}

/// What the acting commands know.
pub(crate) struct Act {
    dir: tempfile::TempDir,
    /// The time, in seconds since 1970.
    pub(crate) now: AtomicI64,
    known: Mutex<Known>,
}

struct Known {
    /// The next generation.
    next: u32,
    /// Whether sets are signed.
    signs: bool,
    /// The sets that a verification finds damaged.
    damaged: Vec<String>,
    /// What was run.
    said: Vec<String>,
}

impl Act {
    /// Nothing was done yet.
    pub(crate) fn new() -> Self {
        let dir = certadm_files::scratch::for_test();
        fs::create_dir(dir.path().join("sets")).unwrap();
        let line = format!("one@ca {}\n", signer().public_key());
        fs::write(dir.path().join("allowed"), line).unwrap();
        let known = Known { next: 1, signs: false, damaged: Vec::new(), said: Vec::new() };
        Self { dir, now: AtomicI64::new(1_800_000_000), known: Mutex::new(known) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sets are signed from now on, or not.
    pub(crate) fn signs(&self, signs: bool) {
        self.known.lock().unwrap().signs = signs;
    }

    /// Verifications find these sets damaged.
    pub(crate) fn damages(&self, sets: &[&str]) {
        self.known.lock().unwrap().damaged = sets.iter().map(|set| (*set).to_owned()).collect();
    }

    /// Somebody else has the CA delete a log.
    pub(crate) fn loses_a_log(&self) {
        self.known.lock().unwrap().next += 1;
    }

    /// Time goes by.
    pub(crate) fn waits(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The commands since this was asked last.
    pub(crate) fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.known.lock().unwrap().said)
    }

    /// The sets that are there, by their names, the oldest first.
    pub(crate) fn sets(&self) -> Vec<String> {
        let listed = certadm_set::folder::list(&self.path("sets/web")).unwrap();
        listed.sets.into_iter().map(|set| set.name).collect()
    }

    /// Puts an unsigned copy of a full set beside it, of the present time.
    pub(crate) fn plants(&self, full: &str) {
        let (of, to) = (self.path("sets/web").join(full), self.path("sets/web/planted"));
        let mut manifest = Manifest::parse(&fs::read(of.join(FILE_NAME)).unwrap()).unwrap();
        manifest.finished = FileTime::from_unix_seconds(self.now.load(Ordering::Relaxed)).to_rfc3339();
        fs::create_dir_all(to.join("DataBase")).unwrap();
        fs::copy(of.join("DataBase/ca.db"), to.join("DataBase/ca.db")).unwrap();
        fs::write(to.join(FILE_NAME), manifest.complete().unwrap()).unwrap();
    }

    /// The sets that are noted as proven.
    pub(crate) fn proven(&self) -> Vec<String> {
        let listed = certadm_set::folder::list(&self.path("sets/web")).unwrap();
        let now = self.now.load(Ordering::Relaxed);
        certadm_set::folder::proven(&self.path("sets/web"), &listed.sets, now).into_iter().collect()
    }

    pub(crate) fn config(&self, job: &str) -> Config {
        let text = format!(
            "state = 'state'\nretry-after = []\n[ca]\nweb = {{ dir = 'ca' }}\n[job.j]\nca = 'web'\nto = 'sets'\n{job}"
        );
        Config::parse(&text, &self.path("certadm.toml")).unwrap()
    }

    /// A run a minute after the last one.
    pub(crate) fn run(&self, config: &Config, wish: Wish) -> CaRun {
        self.waits(60);
        let clock = || self.now.load(Ordering::Relaxed);
        let watch = &|_: &certadm_jobs::Event<'_>| {};
        let runner = Runner { config, perform: self, clock: &clock, zone: TimeZone::UTC, patience: 0, watch };
        let run = runner.run(config.job("j").unwrap(), config.ca("web").unwrap(), wish);
        assert!(run.trouble.is_empty() && !run.left_alone, "{run:?}");
        run
    }

    pub(crate) fn attempts(&self, config: &Config) -> Attempts {
        Attempts::read(config, config.job("j").unwrap(), config.ca("web").unwrap())
    }

    fn store(&self, set: &Path, kind: SetKind) {
        let mut known = self.known.lock().unwrap();
        let low = known.next;
        let high = if kind == SetKind::Full { low + 1 } else { low };
        known.next = high + 1;
        let ca = CaIdentity {
            name: "ca".to_owned(),
            host: "host".to_owned(),
            database_signature: "ab".repeat(16),
            stream_signature: "cd".repeat(16),
        };
        let time = FileTime::from_unix_seconds(self.now.load(Ordering::Relaxed)).to_rfc3339();
        let mut manifest = Manifest::new(ca, kind, time.clone());
        manifest.generations = Generations { low, high };
        manifest.finished = time;
        let (path, role) = match kind {
            SetKind::Full => ("DataBase/ca.db".to_owned(), Role::Database),
            SetKind::Logs => (format!("DataBase/edb{low:05x}.log"), Role::Log),
        };
        fs::create_dir_all(set.join("DataBase")).unwrap();
        fs::write(set.join(&path), b"x").unwrap();
        let blake3 = "00".repeat(32);
        manifest.files.push(FileEntry { path, role, source: "x".to_owned(), size: 1, blake3, sha256: None });
        let bytes = manifest.complete().unwrap();
        fs::write(set.join(FILE_NAME), &bytes).unwrap();
        if known.signs {
            fs::write(set.join(signing::FILE_NAME), signer().sign(&bytes)).unwrap();
        }
    }

    fn verify(&self, sets: &[String]) -> (i32, Value) {
        let known = self.known.lock().unwrap();
        let is_damaged = |set: &&String| known.damaged.iter().any(|damaged| set.ends_with(damaged.as_str()));
        let wrong = sets.iter().filter(is_damaged);
        let findings: Vec<Value> = wrong
            .map(|set| json!({ "severity": "error", "kind": "file-changed", "path": set, "set": set }))
            .collect();
        let is_sound = findings.is_empty();
        (if is_sound { 0 } else { 5 }, json!({ "restorable": is_sound, "findings": findings }))
    }
}

impl Perform for Act {
    fn perform(&self, words: &Words, _: &CaLock) -> Performed {
        self.known.lock().unwrap().said.push(words.to_string());
        let words: Vec<String> = words.0.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let (exit_code, result) = match words[0].as_str() {
            "backup" => {
                let to = words.iter().position(|word| word == "--to").unwrap();
                let is_of_logs = words.iter().any(|word| word == "logs");
                self.store(Path::new(&words[to + 1]), if is_of_logs { SetKind::Logs } else { SetKind::Full });
                (0, Value::Null)
            }
            "verify" => self.verify(&words[1..]),
            _ => (0, Value::Null),
        };
        Performed::of(exit_code, &json!({ "result": result }))
    }
}

/// The steps of a run with how they ended.
pub(crate) fn steps(run: &CaRun) -> Vec<(Step, Outcome)> {
    run.steps.iter().map(|step| (step.step, step.outcome)).collect()
}
