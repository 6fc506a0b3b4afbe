//! Random schedules of backups, expiries, repairs, faults and retries: no log goes without a set that has it, and what counts is
//! whole. `cargo xtask soak` runs many more of them than the test command does.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use certadm_repository::objects::Objects;

use certadm_repository::{
    CaRepository, Error, ExpiryOptions, Keep, Label, Part, RepairOptions, Secret, Selector,
};
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_set::verify::verify;

use crate::common::{Ca, assert_whole, over, repository};
use crate::objects::{Fault, Faulty, Gate, Memory};

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

/// Backs up, and tells whether there is a set. No log that the CA has may go unless there is one that a restore can use.
fn back_up(
    ca: &Ca,
    (repository, sound): (&CaRepository, &CaRepository),
    kind: BackupType,
    told: &str,
) -> bool {
    let logs = ca.logs();
    match ca.back_up(repository, kind) {
        Ok(taken) => {
            assert!(taken.checked || kind == BackupType::LogsOnly, "{told}");
            let id = taken.set.file_name().unwrap().to_str().unwrap().to_owned();
            provable(sound, &Selector::Id(id), ca.beside(), told);
            true
        }
        Err(error) => {
            let gone: Vec<&String> = logs.iter().filter(|log| !ca.logs().contains(log)).collect();
            assert!(gone.is_empty(), "{told}: {gone:?} went without a set: {error}");
            false
        }
    }
}

/// A set comes back, with those that it continues.
fn provable(sound: &CaRepository, selector: &Selector, scratch: &Path, told: &str) {
    let chain = sound.select(selector).unwrap_or_else(|error| panic!("{told}: {error}"));
    let fetched = sound.fetch(&chain, scratch, &mut Silent).unwrap_or_else(|error| panic!("{told}: {error}"));
    let report = verify(&fetched.sets, &mut Silent);
    assert!(report.is_restorable(), "{told}: {:?}", report.findings);
}

/// Two CAs of one name write at once, whose calls of the storage come in an order of the dice; the storage may be gone for the
/// first at any call.
fn two_writers(
    cas: [&Arc<Mutex<Ca>>; 2],
    (memory, secret, sound): &(Memory, Secret, CaRepository),
    dice: &mut Dice,
    told: &str,
) {
    let gate = Gate::new(dice.below(u64::MAX));
    let fault = if dice.below(2) == 0 { Fault::Never } else { Fault::Dead(dice.below(90)) };
    let objects: [Arc<dyn Objects>; 2] = [Faulty::new(memory.clone(), fault), Arc::new(memory.clone())];
    let mut both = Vec::new();
    for ((side, objects), ca) in objects.into_iter().enumerate().zip(cas) {
        let repository = over(gate.side(side, objects), secret);
        let kind = dice.kind();
        both.push((side, repository, kind, ca));
    }
    let taken: Vec<bool> = std::thread::scope(|scope| {
        let write = |(side, repository, kind, ca): &(usize, CaRepository, BackupType, &Arc<Mutex<Ca>>)| {
            let _ended = gate.ends(*side);
            back_up(&ca.lock().unwrap(), (repository, sound), *kind, &format!("{told}, writer {side}"))
        };
        let running: Vec<_> = both.iter().map(|one| scope.spawn(move || write(one))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for ((_, _, kind, ca), _) in both.iter().zip(taken).filter(|(_, taken)| !taken) {
        retry(&ca.lock().unwrap(), sound, *kind, told);
    }
}

/// One schedule over a storage of its own.
fn schedule([ca, other]: [&Arc<Mutex<Ca>>; 2], seed: u64) {
    let mut dice = Dice(seed);
    let all = repository();
    let (memory, secret, sound) = &all;
    let told = format!("schedule {seed}");
    for ca in [ca, other] {
        assert!(back_up(&ca.lock().unwrap(), (sound, sound), BackupType::Full, &told), "{told}");
    }
    for step in 0..3 + dice.below(3) {
        let told = format!("{told}, step {step}");
        ca.lock().unwrap().issue(1 + dice.below(2));
        let fault = dice.fault();
        match dice.below(5) {
            0 => drop(
                over(Faulty::new(memory.clone(), fault), secret)
                    .expiry(&NEWEST)
                    .and_then(|expiry| expiry.carry_out(&mut |_| {})),
            ),
            // An expiry beside a backup, at any of its calls.
            1 => {
                let beside = sound.clone();
                let action = Box::new(move || {
                    drop(beside.expiry(&NEWEST).and_then(|expiry| expiry.carry_out(&mut |_| {})));
                });
                let beside = over(Faulty::beside(memory.clone(), dice.below(60), action), secret);
                back_up(&ca.lock().unwrap(), (&beside, sound), dice.kind(), &told);
            }
            2 => {
                other.lock().unwrap().issue(1);
                two_writers([ca, other], &all, &mut dice, &told);
            }
            _ => {
                let faulty = over(Faulty::new(memory.clone(), fault), secret);
                let kind = dice.kind();
                if !back_up(&ca.lock().unwrap(), (&faulty, sound), kind, &told) {
                    retry(&ca.lock().unwrap(), sound, kind, &told);
                }
            }
        }
    }
    retry(&ca.lock().unwrap(), sound, BackupType::Full, &told);
    whole(sound, ca.lock().unwrap().beside(), &told);
}

/// What failed is done again without a fault; a repository that lost a pack is repaired before.
fn retry(ca: &Ca, sound: &CaRepository, kind: BackupType, told: &str) {
    if back_up(ca, (sound, sound), kind, told) {
        return;
    }
    let options = RepairOptions { read: false, forget_lost: true, take_over: true };
    sound.repair(&options, &mut Silent).unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(back_up(ca, (sound, sound), BackupType::Full, told), "{told}: no backup after a repair");
}

/// The newest state comes back, and so does each that has its full set.
fn whole(repository: &CaRepository, scratch: &Path, told: &str) {
    let mut newest = false;
    for point in repository.points().unwrap() {
        let selector = Selector::Id(point.id.clone());
        if matches!(repository.select(&selector), Err(Error::NoPoint { .. })) {
            continue;
        }
        provable(repository, &selector, scratch, told);
        newest = true;
    }
    assert!(newest, "{told}: nothing comes back");
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    assert!(checked.problems.is_empty(), "{told}: {checked:?}");
}

#[test]
fn no_schedule_loses_a_log_or_keeps_half_a_set() {
    let schedules = count("CERTADM_SCHEDULES", 24);
    let first = count("CERTADM_FIRST_SCHEDULE", 0);
    let fresh = || [Ca::create(), Ca::create()].map(|ca| Arc::new(Mutex::new(ca)));
    let mut cas = fresh();
    for number in 0..schedules {
        // A CA that has issued much makes each step slow.
        if number % 50 == 49 {
            cas = fresh();
        }
        schedule(cas.each_ref(), first + number);
        if number % 500 == 499 {
            println!("{} schedules", number + 1);
        }
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
            _ => drop(back_up(&ca, (&dead, &sound), dice.kind(), &told)),
        }
        restic_finds_it_sound(&memory, &work.join("copy"), &password, &told);
        assert!(back_up(&ca, (&sound, &sound), BackupType::Full, &told), "{told}");
        let expired = sound.expiry(&NEWEST).and_then(|expiry| expiry.carry_out(&mut |_| {}));
        expired.unwrap_or_else(|error| panic!("{told}: {error}"));
        if round % 50 == 49 {
            println!("{} kills", round + 1);
        }
    }
    assert!(0 < assert_whole(&sound, &work));
    certadm_tests::proven::proven("kills", rounds);
}
