//! A small CA, and backups of it into a repository in memory.

use std::path::Path;
use std::sync::Arc;

use certadm_repository::objects::Objects;
use certadm_repository::{CaRepository, Imported, Secret, Selector, SinkOptions};
#[cfg(feature = "object-store")]
use certadm_repository::{ExpiryOptions, Keep, Part};
use certadm_rules::BackupType;
use certadm_rules::unc::UncRoot;
use certadm_session::{LocalSource, Source};
use certadm_set::verify::verify;
use certadm_set::{Neighbours, ReadBack, Silent, TakeOptions, Taken, take_into};
use certadm_store::{Folder, Options, Store, Writer};
use certadm_tests::issue::insert;
use certadm_tests::plain_set::copy_folder;

use crate::objects::Memory;

/// Logs are rolled by backups alone.
const NEVER_ROLL: Options = Options { log_size: 8 << 20, circular_logging: false, backup_rate: 0 };

/// A running CA.
pub(crate) struct Ca {
    pub(crate) store: Arc<Store>,
    writer: Writer,
    next: u64,
    dir: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn create() -> Self {
        Self::named("ca")
    }

    pub(crate) fn named(name: &str) -> Self {
        let dir = certadm_tests::scratch();
        let store = Store::create(&Folder::new(dir.path().join("ca")), name, NEVER_ROLL).unwrap();
        let writer = store.writer().unwrap();
        let mut ca = Self { store: Arc::new(store), writer, next: 1, dir };
        ca.issue(5);
        ca
    }

    /// A copy of it, which goes on by itself with the same database and the same stream of logs.
    pub(crate) fn copied(&self) -> Self {
        let dir = certadm_tests::scratch();
        let folder = Folder::new(dir.path().join("ca"));
        copy_folder(self.store.folder().path(), folder.path());
        let store = Store::open(&folder, NEVER_ROLL).unwrap();
        let writer = store.writer().unwrap();
        Self { store: Arc::new(store), writer, next: self.next + 1_000, dir }
    }

    /// Commits so many rows.
    pub(crate) fn issue(&mut self, count: u64) {
        for _ in 0..count {
            let serial = self.next;
            self.next += 1;
            self.writer.commit(|transaction| insert(transaction, serial)).unwrap();
        }
    }

    pub(crate) fn source(&self) -> LocalSource {
        LocalSource::new(Arc::clone(&self.store), UncRoot::new("host".to_owned()).unwrap())
    }

    /// A folder beside it.
    pub(crate) fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// The logs that the CA still has.
    pub(crate) fn logs(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.store.folder().log_dir()).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| certadm_rules::Generation::from_log_file_name(name).is_some())
            .collect();
        names.sort();
        names
    }

    /// Takes a backup into a repository, and deletes the logs at the CA.
    pub(crate) fn back_up(
        &self,
        repository: &CaRepository,
        kind: BackupType,
    ) -> Result<Taken, certadm_set::Error> {
        self.back_up_from(&mut self.source(), repository, kind)
    }

    pub(crate) fn back_up_from(
        &self,
        source: &mut dyn Source,
        repository: &CaRepository,
        kind: BackupType,
    ) -> Result<Taken, certadm_set::Error> {
        let sink = repository.sink(options(Some(self.beside())))?;
        let options = TakeOptions { truncate: true, ..TakeOptions::new(kind) };
        take_into(source, Box::new(sink), &options, &mut Silent)
    }
}

pub(crate) fn options(scratch: Option<&Path>) -> SinkOptions {
    SinkOptions {
        scratch: scratch.map(Path::to_owned),
        read_back: ReadBack::System,
        logs_read_back: ReadBack::Medium,
        signer: None,
        beside: None,
    }
}

/// Stores a set that is a folder.
pub(crate) fn import(repository: &CaRepository, set: &Path) -> certadm_repository::Result<Imported> {
    repository.import(set, &mut Neighbours::default(), &mut Silent)
}

/// An empty repository of the CA `ca` in memory, with its key.
pub(crate) fn repository() -> (Memory, Secret, CaRepository) {
    let memory = Memory::default();
    let secret = Secret::generate(Path::new("a test"));
    let repository = over(Arc::new(memory.clone()), &secret);
    repository.init().unwrap();
    (memory, secret, repository)
}

pub(crate) fn over(objects: Arc<dyn Objects>, secret: &Secret) -> CaRepository {
    CaRepository::over(objects, secret.clone(), "vault", "ca")
}

/// Everything that the repository keeps is whole: each set is read out and verified with those that it needs.
pub(crate) fn assert_whole(repository: &CaRepository, scratch: &Path) -> usize {
    let points = repository.points().unwrap();
    for point in &points {
        let chain = repository.select(&Selector::Id(point.id.clone())).unwrap();
        let fetched = repository.fetch(&chain, scratch, &mut Silent).unwrap();
        let report = verify(&fetched.sets, &mut Silent);
        assert!(report.is_restorable(), "{:?}", report.findings);
    }
    points.len()
}

/// Lets all states but the newest expire, packs included: it comes back, and nothing is wrong.
#[cfg(feature = "object-store")]
pub(crate) fn assert_expires(repository: &CaRepository, scratch: &Path) {
    let keep = Keep { last: 1, ..Keep::default() };
    // The second one deletes the packs that the first has marked.
    for _ in 0..2 {
        let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
        repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    }
    assert_eq!(assert_whole(repository, scratch), 1);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
}
