//! FLEET: what a program costs that watches over many CAs: the status of all of them, a run that finds nothing due, and the agent
//! while nothing is due. No other program does this work, so nothing is beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::data::CaFolder;
use crate::error::Result;
use crate::process::{measure_accepting, peak_of, processor_seconds, run, wait_until_idle};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// So many CAs are configured.
const CAS: usize = 1000;
/// So long the agent is watched.
const WATCHED: Duration = Duration::from_secs(60);
/// So long it may take until it has judged all CAs for the first time.
const TO_REST: Duration = Duration::from_secs(600);
/// `status` and `run` end so where there is nothing to do, or something to say.
const CODES: [i32; 2] = [0, 1];

/// Runs the rows, if they are wanted.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if !bench.wants("FLEET") {
        return Ok(());
    }
    let root = bench.root.join("fleet-at-rest");
    fs::create_dir_all(&root)?;
    let (one, all) = make(bench, &root)?;
    let (mut idle, mut status) = (Samples::default(), Samples::default());
    for _ in 0..bench.options.rounds {
        wait_until_idle();
        idle.add(measure_accepting(command(bench, &one).args(["run", "every"]), &CODES)?);
        wait_until_idle();
        // The first one reads what the next ones find in memory.
        measure_accepting(command(bench, &all).arg("status"), &CODES)?;
        status.add(measure_accepting(command(bench, &all).arg("status"), &CODES)?);
    }
    let rest = at_rest(bench, &all)?;
    let rows = [
        ("FLEET a run that finds nothing due, ms", idle.median() * 1000.0, "<= 50"),
        ("FLEET status of 1,000 CAs, seconds", status.median(), "<= 1"),
        ("FLEET status of 1,000 CAs: peak memory, MiB", status.peak_mib(), "<= 64"),
        ("FLEET agent with 1,000 CAs at rest, % of one core", rest.percent, "<= 1"),
        ("FLEET agent with 1,000 CAs: peak memory, MiB", rest.peak_mib, "<= 20"),
    ];
    bench.rows.extend(rows.map(|(name, value, goal)| Row::plain(name, value).goal(goal)));
    remove(&root)
}

/// Makes the CAs, each with a full set, and the configurations of one and of all of them. All are copies of one: nothing of what is
/// measured depends on what the CAs have issued.
fn make(bench: &Bench, root: &Path) -> Result<(PathBuf, PathBuf)> {
    let passphrase = root.join("pass");
    fs::write(&passphrase, "a passphrase of the benchmarks\n")?;
    let first = root.join("ca-1");
    CaFolder::of_a_ca(&bench.certadm, "Bench", &first, &passphrase, 1)?;
    fs::create_dir(root.join("sets"))?;
    let one = configuration(root, 1)?;
    measure_accepting(command(bench, &one).args(["run", "every"]), &CODES)?;
    for number in 2..=CAS {
        for folder in ["ca-", "sets/ca-"] {
            let [from, to] = [1, number].map(|number| root.join(format!("{folder}{number}")));
            run("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()])?;
        }
    }
    Ok((one, configuration(root, CAS)?))
}

fn configuration(root: &Path, number: usize) -> Result<PathBuf> {
    let mut text = format!("state = 'state-{number}'\n");
    for ca in 1..=number {
        write!(text, "[ca.ca-{ca}]\ndir = 'ca-{ca}'\n")?;
    }
    // Neither is due while this runs.
    text +=
        "[job.every]\nca = 'all'\nto = 'sets'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nrpo = '31d'\n";
    let path = root.join(format!("certadm-{number}.toml"));
    fs::write(&path, text)?;
    Ok(path)
}

fn command(bench: &Bench, configuration: &Path) -> Command {
    let mut command = Command::new(&bench.certadm);
    command.env("CERTADM_JOBS", configuration);
    command
}

/// What the agent costs while nothing is due.
struct AtRest {
    percent: f64,
    peak_mib: f64,
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn at_rest(bench: &Bench, configuration: &Path) -> Result<AtRest> {
    let mut agent = command(bench, configuration);
    agent.arg("agent").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let agent = Running(agent.spawn()?);
    let process = agent.0.id();
    // It looks at all CAs first. At rest is who needs next to nothing for ten seconds.
    let begun = Instant::now();
    loop {
        let before = processor_seconds(process);
        sleep(Duration::from_secs(10));
        if processor_seconds(process) - before < 0.3 && !has_children(process) {
            break;
        }
        if TO_REST < begun.elapsed() {
            return Err("the agent does not come to rest".into());
        }
    }
    let (before, clock) = (processor_seconds(process), Instant::now());
    sleep(WATCHED);
    let used = processor_seconds(process) - before;
    #[expect(clippy::cast_precision_loss, reason = "mebibytes of memory fit")]
    let peak_mib = peak_of(process) as f64 / 1024.0;
    if peak_mib == 0.0 {
        return Err("the agent has ended".into());
    }
    Ok(AtRest { percent: used / clock.elapsed().as_secs_f64() * 100.0, peak_mib })
}

/// Whether a process has children: the agent judges the CAs in processes of their own.
fn has_children(process: u32) -> bool {
    let path = format!("/proc/{process}/task/{process}/children");
    fs::read_to_string(path).is_ok_and(|children| !children.trim().is_empty())
}
