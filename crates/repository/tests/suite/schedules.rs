//! Random schedules of backups, expiries, repairs, faults and retries: no log goes without a set that has it, and what counts is
//! whole. `cargo xtask soak` runs many more of them than the test command does.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use certadm_repository::{
    CaRepository, Error, ExpiryOptions, Keep, Label, Part, RepairOptions, Secret, Selector,
};
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_set::verify::verify;

use crate::common::{Ca, assert_whole, over, repository};
use crate::objects::{Fault, Faulty, Memory};

/// So many, or as many as a variable says.
fn count(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Numbers that are the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn fault(&mut self) -> Fault {
        let call = self.below(90);
        match self.below(6) {
            0 | 1 => Fault::Never,
            2 => Fault::Fails(call),
            3 => Fault::LosesAnswer(call),
            4 => Fault::Dead(call),
            _ => Fault::PrunedAtIndex,
        }
    }

    fn kind(&mut self) -> BackupType {
        if self.below(3) == 0 { BackupType::Full } else { BackupType::LogsOnly }
    }
}

const NEWEST: ExpiryOptions = ExpiryOptions {
    keep: Keep { last: 1, within: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
    take_over: true,
    rest: Some(0),
};

/// Backs up, and tells whether there is a set. No log that the CA has may go unless there is.
fn back_up(ca: &Ca, repository: &CaRepository, kind: BackupType, told: &str) -> bool {
    let logs = ca.logs();
    match ca.back_up(repository, kind) {
        Ok(taken) => {
            assert!(taken.checked || kind == BackupType::LogsOnly, "{told}");
            true
        }
        Err(error) => {
            let gone: Vec<&String> = logs.iter().filter(|log| !ca.logs().contains(log)).collect();
            assert!(gone.is_empty(), "{told}: {gone:?} went without a set: {error}");
            false
        }
    }
}

/// One schedule over a storage of its own.
fn schedule(ca: &Arc<Mutex<Ca>>, seed: u64) {
    let mut dice = Dice(seed);
    let (memory, secret, sound) = repository();
    let told = format!("schedule {seed}");
    assert!(back_up(&ca.lock().unwrap(), &sound, BackupType::Full, &told), "{told}");
    for step in 0..3 + dice.below(3) {
        let told = format!("{told}, step {step}");
        ca.lock().unwrap().issue(1 + dice.below(2));
        let fault = dice.fault();
        match dice.below(4) {
            0 => drop(
                over(Faulty::new(memory.clone(), fault), &secret)
                    .expiry(&NEWEST)
                    .and_then(|expiry| expiry.carry_out(&mut |_| {})),
            ),
            // An expiry beside a backup, at any of its calls.
            1 => {
                let other = sound.clone();
                let action = Box::new(move || {
                    drop(other.expiry(&NEWEST).and_then(|expiry| expiry.carry_out(&mut |_| {})));
                });
                let beside = over(Faulty::beside(memory.clone(), dice.below(60), action), &secret);
                back_up(&ca.lock().unwrap(), &beside, dice.kind(), &told);
            }
            _ => {
                let faulty = over(Faulty::new(memory.clone(), fault), &secret);
                let kind = dice.kind();
                if !back_up(&ca.lock().unwrap(), &faulty, kind, &told) {
                    retry(&ca.lock().unwrap(), &sound, kind, &told);
                }
            }
        }
    }
    retry(&ca.lock().unwrap(), &sound, BackupType::Full, &told);
    whole(&sound, ca.lock().unwrap().beside(), &told);
}

/// What failed is done again without a fault; a repository that lost a pack is repaired before.
fn retry(ca: &Ca, sound: &CaRepository, kind: BackupType, told: &str) {
    if back_up(ca, sound, kind, told) {
        return;
    }
    let options = RepairOptions { read: false, forget_lost: true, take_over: true };
    sound.repair(&options, &mut Silent).unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(back_up(ca, sound, BackupType::Full, told), "{told}: no backup after a repair");
}

/// The newest state comes back, and so does each that has its full set.
fn whole(repository: &CaRepository, scratch: &Path, told: &str) {
    let mut newest = false;
    for point in repository.points().unwrap() {
        let chain = match repository.select(&Selector::Id(point.id.clone())) {
            Ok(chain) => chain,
            Err(Error::NoPoint { .. }) => continue,
            Err(error) => panic!("{told}: {error}"),
        };
        let fetched =
            repository.fetch(&chain, scratch, &mut Silent).unwrap_or_else(|error| panic!("{told}: {error}"));
        let report = verify(&fetched.sets, &mut Silent);
        assert!(report.is_restorable(), "{told}: {:?}", report.findings);
        newest = true;
    }
    assert!(newest, "{told}: nothing comes back");
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    assert!(checked.problems.is_empty(), "{told}: {checked:?}");
}

#[test]
fn no_schedule_loses_a_log_or_keeps_half_a_set() {
    let schedules = count("CERTADM_SCHEDULES", 60);
    let first = count("CERTADM_FIRST_SCHEDULE", 0);
    let mut ca = Arc::new(Mutex::new(Ca::create()));
    for number in 0..schedules {
        // A CA that has issued much makes each step slow.
        if number % 100 == 99 {
            ca = Arc::new(Mutex::new(Ca::create()));
        }
        schedule(&ca, first + number);
    }
    certadm_tests::proven::proven("schedules", schedules);
}

fn restic_finds_it_sound(memory: &Memory, folder: &Path, password: &Path, told: &str) {
    for (name, content) in memory.all().into_iter().filter(|(name, _)| !name.starts_with("certadm/")) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    for needed in ["data", "index", "keys", "snapshots", "locks"] {
        std::fs::create_dir_all(folder.join(needed)).unwrap();
    }
    let run = Command::new("restic")
        .args(["--no-cache", "--no-lock", "check", "--read-data", "--password-file"])
        .arg(password)
        .arg("--repo")
        .arg(folder)
        .output()
        .expect("restic is installed");
    let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && text.contains("no errors were found"), "{told}: {text}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A backup or expiry ends at any call of the storage, as `kill -9` or a lost machine ends it, and stock restic looks at what
/// is left.
#[test]
#[ignore = "needs restic"]
fn stock_restic_finds_nothing_wrong_wherever_a_backup_or_expiry_was_killed() {
    let rounds = count("CERTADM_KILL_ROUNDS", 6);
    let mut ca = Ca::create();
    let (memory, secret, sound): (Memory, Secret, CaRepository) = repository();
    let work = ca.beside().to_owned();
    let password = work.join("password");
    std::fs::write(&password, "a password").unwrap();
    let added = Secret::from_password("a password", &work);
    sound.add_key(&added, Label { host: "tests", user: "restic" }).unwrap();
    ca.back_up(&sound, BackupType::Full).unwrap();
    let mut dice = Dice(count("CERTADM_FIRST_SCHEDULE", 0));
    for round in 0..rounds {
        let told = format!("round {round}");
        ca.issue(1);
        let dead = over(Faulty::new(memory.clone(), Fault::Dead(dice.below(90))), &secret);
        match dice.below(4) {
            0 => drop(dead.expiry(&NEWEST).and_then(|expiry| expiry.carry_out(&mut |_| {}))),
            _ => drop(back_up(&ca, &dead, dice.kind(), &told)),
        }
        restic_finds_it_sound(&memory, &work.join("copy"), &password, &told);
        assert!(back_up(&ca, &sound, BackupType::Full, &told), "{told}");
        let expired = sound.expiry(&NEWEST).and_then(|expiry| expiry.carry_out(&mut |_| {}));
        expired.unwrap_or_else(|error| panic!("{told}: {error}"));
    }
    assert!(0 < assert_whole(&sound, &work));
    certadm_tests::proven::proven("kills", rounds);
}
