//! `kill -9` of `certadm run` and of the agent at random times, alone or with everything that they have started, as a machine
//! that loses its power ends them. After each: the next run does what is due, nothing is left behind, and every certificate that
//! was issued before comes back from the sets.
//!
//! `CERTADM_KILL_ROUNDS` says how often (`cargo xtask soak` says 200), and `CERTADM_SEED` repeats the times of a run.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certadm_tests::proven::proven;
use rustix::process::{Pid, Signal, kill_process};

use crate::alarms::{Agent, hidden, until};
use crate::jobs::{next_second, result, run, steps, world};
use crate::support::Work;

/// No step is due at its time while this test runs: it asks for them.
const JOB: &str = "to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nkeep = { last = 3 }";
/// How often, unless somebody says otherwise.
const ROUNDS: u64 = 4;
/// A run is killed so many milliseconds after its begin at the latest: it takes about half of that.
const LATEST: u64 = 700;

/// Numbers that look random, and can be had again.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("CERTADM_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.subsec_nanos());
        let seed = seed.unwrap_or_else(|| u64::from(now()) | 1);
        println!("CERTADM_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn rounds() -> u64 {
    std::env::var("CERTADM_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

/// Kills what was started after a random time: alone, or with all that it has started.
fn kill(work: &Work, victim: Agent, dice: &mut Dice) -> &'static str {
    std::thread::sleep(Duration::from_millis(dice.below(LATEST)));
    let kill_all = dice.below(2) == 0;
    victim.signal(Signal::KILL);
    victim.end();
    if !kill_all {
        return "the parent alone";
    }
    let mut killed = Vec::new();
    until("everything is gone", || {
        let all = at_work(work);
        for process in &all {
            // It may have ended.
            Pid::from_raw(*process).map(|id| kill_process(id, Signal::KILL));
        }
        killed.extend_from_slice(&all);
        (all.is_empty() && killed.iter().all(|process| is_over(*process))).then_some(())
    });
    "all"
}

/// Processes that read the configuration of this test.
fn at_work(work: &Work) -> Vec<i32> {
    let variable = format!("CERTADM_JOBS={}", work.path("certadm.toml").display());
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |id: &i32| {
        let variables = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())
    };
    ids.filter(is_it).collect()
}

/// Whether a process has given everything back that it had, though its parent may not have asked for its end.
fn is_over(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name of the program stands in brackets before the state, and may hold anything.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Nothing is left, no set is half, and each of so many certificates comes back.
fn assert_whole(work: &Work, certificates: u64, told: &str) {
    assert_eq!(hidden(work), Vec::<String>::new(), "{told}: a folder was left behind");
    let scratch = fs::read_dir(work.path("scratch")).map_or(0, Iterator::count);
    assert_eq!(scratch, 0, "{told}: something was left in the folder for temporary files");
    let sets = result(work, "sets backups/web");
    for kind in ["unsealed", "unreadable"] {
        assert_eq!(sets[kind].as_array().map_or(0, Vec::len), 0, "{told}: {sets:#}");
    }
    let restored = result(work, "restore --latest-in backups/web --dir new --dry-run");
    assert_eq!(restored["certificates"], certificates, "{told}: {restored:#}");
}

#[test]
fn a_run_that_is_killed_loses_no_log_and_leaves_nothing_behind() {
    let work = world(JOB);
    let mut dice = Dice::new();
    work.issue("ca", "one");
    result(&work, "run nightly");
    for round in 1..=rounds() {
        work.issue("ca", "one");
        next_second();
        let step = if dice.below(4) == 0 { "full" } else { "logs" };
        let victim = Agent::start(&work, &format!("run nightly --now {step}"));
        let killed = kill(&work, victim, &mut dice);
        let told = format!("round {round}, {step}, {killed}");
        next_second();
        // A step that was not killed has the CA until it ends.
        let next = run(&work, "--json run nightly --now logs --wait 10m");
        assert_eq!(next.code, 0, "{told}: {next:?}");
        assert_whole(&work, round + 1, &told);
    }
    proven("kills", rounds());
}

#[test]
fn an_agent_that_is_killed_is_followed_by_one_that_does_what_is_due() {
    let work = world(JOB);
    let mut dice = Dice::new();
    for round in 1..=rounds() {
        work.issue("ca", "one");
        // No set is there, so that a full one is due at once.
        fs::remove_dir_all(work.path("backups")).unwrap();
        fs::create_dir_all(work.path("backups/web")).unwrap();
        let victim = Agent::start(&work, "agent");
        let told = format!("round {round}, {}", kill(&work, victim, &mut dice));
        next_second();
        let agent = Agent::start(&work, "agent");
        until("it works", || {
            let said = fs::read_to_string(work.path("agent.out")).unwrap();
            said.contains("The agent works by").then_some(())
        });
        until("a full set is there", || {
            let sets = run(&work, "--json sets backups/web").json();
            (!sets["result"]["cas"].as_array()?.is_empty()).then_some(())
        });
        agent.stop();
        // What the first has begun is removed by the next backup there.
        next_second();
        let next = result(&work, "run nightly --now logs --wait 10m");
        // Where the kill came between the set and the CA's word of it, the CA knows of no full backup.
        let mut steps = steps(&next);
        // A second full set may be the one that the rules of the job can spare another for.
        steps.retain(|step| step != "prune good");
        assert!(steps == ["logs good"] || steps == ["logs failed", "full good"], "{told}: {next:#}");
        assert_whole(&work, round, &told);
    }
    proven("kills", rounds());
}
