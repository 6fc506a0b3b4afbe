//! `kill -9` of the issuer, of the owner, and of both, at random times under load. After each: restart, everything
//! acknowledged is there; and again after a restore from base, logs-only sets and the logs left on the CA.
//!
//! The seed is printed; `CERTADM_SEED` repeats a run's times (the rest of the timing is the machine's).

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certadm_store::{Adopted, Folder, Store};
use certadm_tests::case::{OPTIONS, Template, restore_and_compare};
use certadm_tests::inspect;
use certadm_tests::ledger::Entries;
use certadm_tests::plain_set;
use certadm_tests::process::Process;
use certadm_tests::proven::proven;

const ROUNDS: u32 = 18;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Issuer,
    Owner,
    Both,
}

#[test]
fn the_issuer_is_killed() {
    rounds(Victim::Issuer);
}

#[test]
fn the_owner_is_killed() {
    rounds(Victim::Owner);
}

#[test]
fn both_are_killed() {
    rounds(Victim::Both);
}

struct Scene {
    dir: PathBuf,
    ledgers: Vec<PathBuf>,
}

impl Scene {
    fn start(&mut self, role: &str) -> Process {
        let ledger = self.dir.join(format!("ledger-{}", self.ledgers.len()));
        let arguments = [role.into(), self.dir.join("ca"), ledger.clone(), self.dir.join("sets")];
        self.ledgers.push(ledger);
        Process::start(Path::new(env!("CARGO_BIN_EXE_store_driver")), arguments)
    }

    fn entries(&self) -> Entries {
        let mut entries = Entries::read(&self.dir.join("ledger"));
        for ledger in &self.ledgers {
            entries.add(ledger);
        }
        entries
    }
}

fn rounds(victim: Victim) {
    let seed = std::env::var("CERTADM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()) | 1)
    });
    println!("{victim:?}: CERTADM_SEED={seed}");
    let mut random = seed;
    let mut milliseconds = |range: std::ops::Range<u64>| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Duration::from_millis(range.start + random % (range.end - range.start))
    };
    let scratch = certadm_tests::scratch();
    Template::running().place(scratch.path());
    let mut scene = Scene { dir: scratch.path().to_owned(), ledgers: Vec::new() };
    let folder = Folder::new(scene.dir.join("ca"));
    for round in 0..ROUNDS {
        let owner = scene.start("owner");
        let issuer = scene.start("issuer");
        let second = scene.start("issuer");
        std::thread::sleep(milliseconds(3..60));
        match victim {
            Victim::Issuer => {
                issuer.kill();
                std::thread::sleep(milliseconds(0..15));
                owner.stop();
            }
            Victim::Owner => {
                owner.kill();
                std::thread::sleep(milliseconds(0..15));
                // The next owner comes while the issuers go on.
                let next = scene.start("owner");
                std::thread::sleep(milliseconds(0..15));
                next.stop();
                issuer.stop();
            }
            Victim::Both => {
                owner.kill();
                issuer.kill();
            }
        }
        second.stop();

        let store = Store::open(&folder, OPTIONS).expect("the store opens after the kill");
        assert_eq!(store.opened().adopted, Adopted::Intact, "round {round}: the chain of logs goes on");
        let entries = scene.entries();
        inspect::compare(&inspect::rows(folder.path()), &entries, &format!("{victim:?}, round {round}"));
        store.close().expect("the store closes");
        if round % 3 == 2 {
            let rows = inspect::rows(folder.path());
            let back = scene.dir.join("back");
            restore_and_compare(&scene.dir.join("sets"), &folder, &back, &rows);
            std::fs::remove_dir_all(&back).expect("the restored CA can be removed");
            remove_old_sets(&scene.dir.join("sets"));
        }
    }
    proven("kills", ROUNDS.into());
    println!("{victim:?}: {ROUNDS} kills, {} serials acknowledged", scene.entries().acknowledged.len());
}

/// Keeps the newest full set and what came after it.
fn remove_old_sets(sets: &Path) {
    let all: Vec<PathBuf> = std::fs::read_dir(sets)
        .expect("sets can be listed")
        .map(|entry| entry.expect("and read").path())
        .collect();
    let newest_full = all
        .iter()
        .filter(|set| set.join(plain_set::IMAGE).exists())
        .filter_map(|set| plain_set::committed(set))
        .map(|range| range.high())
        .max();
    for set in all {
        if plain_set::committed(&set).map(|range| range.high()) < newest_full {
            std::fs::remove_dir_all(set).expect("an old set can be removed");
        }
    }
}
