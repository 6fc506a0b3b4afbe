//! The process under test of the store suites: `store_driver SCENARIO CA LEDGER SETS`.
//!
//! It goes on after an error as a service would, and keeps the ledger. Exit codes: 0 finished, 2 the store did not
//! open, 3 nothing could be issued at the end. A success of a call is noted after the call returned, never before.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use certadm_rules::{BackupKind, BackupType};
use certadm_store::{Error, Folder, GroupCommit, Options, Store, Writer};
use certadm_tests::case::OPTIONS;
use certadm_tests::issue::{Serials, insert, issue};
use certadm_tests::ledger::Ledger;
use certadm_tests::plain_set;

/// Logs that never fill, for scenarios that are about something else.
const LARGE_LOGS: Options = Options { log_size: 32 << 20, circular_logging: false, backup_rate: 0 };

struct Driver {
    folder: Folder,
    ledger: Ledger,
    sets: PathBuf,
    serials: Serials,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scenario, ca, ledger, sets] = arguments.as_slice() else {
        eprintln!("usage: store_driver SCENARIO CA LEDGER SETS");
        return ExitCode::from(64);
    };
    let mut driver = Driver {
        folder: Folder::new(ca),
        ledger: Ledger::open(Path::new(ledger)),
        sets: PathBuf::from(sets),
        serials: Serials::new(),
    };
    let code = match scenario.as_str() {
        "commit" => driver.commit(),
        "roll" => driver.roll(),
        "pack" => driver.pack(),
        "backup" => driver.backup(),
        "recover" => driver.recover(),
        "issuer" => driver.issuer(),
        "owner" => driver.owner(),
        "stranger" => driver.stranger(),
        _ => 64,
    };
    ExitCode::from(code)
}

impl Driver {
    /// Acknowledged commits by the three ways there are.
    fn commit(&mut self) -> u8 {
        let Some(store) = self.open(LARGE_LOGS) else { return 2 };
        let mut own = said("writer", store.writer());
        let mut foreign = said("foreign writer", Writer::open(&self.folder));
        let group = said("group", store.writer()).map(GroupCommit::new);
        for writer in [&mut own, &mut foreign].into_iter().flatten() {
            self.issue(writer);
        }
        if let Some(group) = &group {
            self.issue_in_group(group);
        }
        drop((own, foreign, group));
        self.finish(store)
    }

    /// Commits with a roll after each, once with a reader that holds the checkpoint back.
    fn roll(&mut self) -> u8 {
        let Some(store) = self.open(OPTIONS) else { return 2 };
        let Some(mut writer) = said("writer", store.writer()) else { return self.finish(store) };
        let reader = said("reader", Writer::open(&self.folder));
        self.issue(&mut writer);
        if let Some(reader) = &reader {
            said("read", reader.connection().execute_batch("BEGIN; SELECT count(*) FROM Requests"));
        }
        self.issue(&mut writer);
        said("roll", store.roll());
        drop(reader);
        self.issue(&mut writer);
        said("roll", store.roll());
        self.issue(&mut writer);
        drop(writer);
        self.finish(store)
    }

    /// Logs that are packed, and a backup of them.
    fn pack(&mut self) -> u8 {
        let Some(store) = self.open(OPTIONS) else { return 2 };
        let Some(mut writer) = said("writer", store.writer()) else { return self.finish(store) };
        for _ in 0..6 {
            self.issue(&mut writer);
        }
        said("roll", store.roll());
        store.wait_until_packed();
        said("full backup", self.take(&store, true, "1-full"));
        self.issue(&mut writer);
        drop(writer);
        self.finish(store)
    }

    /// A full backup and one of the logs, both with truncation after the set was committed.
    fn backup(&mut self) -> u8 {
        let Some(store) = self.open(OPTIONS) else { return 2 };
        let Some(mut writer) = said("writer", store.writer()) else { return self.finish(store) };
        self.issue(&mut writer);
        said("full backup", self.take(&store, true, "1-full"));
        self.issue(&mut writer);
        said("logs-only backup", self.take(&store, false, "2-logs"));
        self.issue(&mut writer);
        drop(writer);
        self.finish(store)
    }

    fn take(&mut self, store: &Store, full: bool, name: &str) -> Result<(), Error> {
        let kind = if full { BackupType::Full } else { BackupType::LogsOnly };
        let mut backup = store.begin_backup(kind)?;
        plain_set::take(&mut backup, full, &self.sets.join(name), Duration::ZERO)?;
        backup.truncate()?;
        backup.end(Some(BackupKind::of(kind, true)))
    }

    /// The first start after a restore.
    fn recover(&mut self) -> u8 {
        let Some(store) = self.open(OPTIONS) else { return 2 };
        self.finish(store)
    }

    /// Issues until killed or until standard input is closed; the folder may have no owner, or one that comes and goes.
    fn issuer(&mut self) -> u8 {
        let mut writer = loop {
            match Writer::open(&self.folder) {
                Ok(writer) => break writer,
                Err(Error::InUse { .. }) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => {
                    complain("writer", &error);
                    return 2;
                }
            }
        };
        println!("ready");
        let stop = until_input_closes();
        while !stop.load(Ordering::Relaxed) {
            let Some(serial) = self.serials.next() else { break };
            if said("issue", issue(&mut writer, serial, &mut self.ledger)).is_none() {
                return 3;
            }
        }
        0
    }

    /// Owns the store until killed or until standard input is closed: issues, rolls by size, takes one full backup and
    /// then logs-only ones, all with truncation.
    fn owner(&mut self) -> u8 {
        let Some(store) = self.open(OPTIONS) else { return 2 };
        println!("ready");
        let stop = until_input_closes();
        let Some(mut writer) = said("writer", store.writer()) else { return 3 };
        let mut number = 0;
        let mut next_backup = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            self.issue(&mut writer);
            if Instant::now() < next_backup {
                continue;
            }
            // Whatever was interrupted, a chain that is not whole needs a full backup, and says so.
            let full = number % 4 == 0;
            let name =
                format!("{:08x}-{:04}-{number}", std::process::id(), if full { "full" } else { "logs" });
            let taken = match self.take(&store, full, &name) {
                Err(Error::Backup(_)) if !full => self.take(&store, true, &format!("{name}-instead")),
                taken => taken,
            };
            if said("backup", taken).is_none() {
                return 3;
            }
            number += 1;
            next_backup = Instant::now() + Duration::from_millis(15);
        }
        drop(writer);
        said("close", store.close()).map_or(3, |()| 0)
    }

    /// An administrator's `sqlite3`: opens, looks, and checkpoints and deletes the write-ahead log on leaving if it
    /// believes to be the last.
    fn stranger(&mut self) -> u8 {
        let database = certadm_tests::inspect::database_of(self.folder.path());
        let look = || -> rusqlite::Result<i64> {
            let connection = rusqlite::Connection::open(&database)?;
            let count = connection.query_row("SELECT count(*) FROM Certificates", [], |row| row.get(0))?;
            connection.close().map_err(|(_, error)| error)?;
            Ok(count)
        };
        said("stranger", look()).map_or(3, |_| 0)
    }

    fn open(&self, options: Options) -> Option<Store> {
        said("open", Store::open(&self.folder, options))
    }

    fn issue(&mut self, writer: &mut Writer) {
        if let Some(serial) = self.serials.next() {
            said("issue", issue(writer, serial, &mut self.ledger));
        }
    }

    fn issue_in_group(&mut self, group: &GroupCommit) {
        let Some(serial) = self.serials.next() else { return };
        self.ledger.tried(serial);
        if let Some(request) =
            said("group issue", group.commit(move |transaction| insert(transaction, serial)))
        {
            self.ledger.acknowledged(serial, request);
        }
    }

    /// After one fault the same process must be able to go on: of two last attempts one succeeds.
    fn finish(&mut self, store: Store) -> u8 {
        let mut issued = false;
        for _ in 0..2 {
            issued |= said("writer at the end", store.writer())
                .zip(self.serials.next())
                .and_then(|(mut writer, serial)| {
                    said("issue at the end", issue(&mut writer, serial, &mut self.ledger))
                })
                .is_some();
        }
        said("close", store.close());
        if issued { 0 } else { 3 }
    }
}

/// Prints an error and drops it: the process goes on.
fn said<T, E: std::error::Error>(what: &str, result: Result<T, E>) -> Option<T> {
    result.map_err(|error| complain(what, &error)).ok()
}

fn complain(what: &str, error: &dyn std::error::Error) {
    eprintln!("{what}: {}", certadm_rules::diagnosis::chain_of(error));
}

fn until_input_closes() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok(); // an error ends the wait as well
        flag.store(true, Ordering::Relaxed);
    });
    stop
}
