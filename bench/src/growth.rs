//! GROWTH: what a byte costs in databases of different sizes, and a CA among different numbers of CAs.
//!
//! A tool whose cost grows faster than what it is given fails where it is needed most. Nothing is compared with a peer: the sides
//! are the sizes, in turns.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::CaFolder;
use crate::error::Result;
use crate::peers;
use crate::process::{Measured, measure, run, wait_until_idle, warm_memory};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// Sizes in tenths of the one that was asked for.
const SIZES: [u64; 3] = [1, 10, 100];
/// How many CAs one run backs up.
const NUMBERS: [usize; 3] = [1, 10, 100];
/// Bytes of the database of each of them.
const SMALL: u64 = 4 << 20;

/// Memory that a command needs, whatever it works on.
const OWN_MEMORY: u64 = 256 << 20;

/// Runs the rows, if they are wanted.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if bench.wants("GROWTH") {
        sizes(bench)?;
        numbers(bench)?;
    }
    Ok(())
}

/// One size or number: the runs, and for how much each of them was, in the unit of the row.
struct Side {
    amount: f64,
    /// What the machine itself makes of the size.
    copy: Samples,
    backup: Samples,
    verify: Samples,
    restore: Samples,
}

impl Side {
    fn of(amount: f64) -> Self {
        let none = Samples::default;
        Self { amount, copy: none(), backup: none(), verify: none(), restore: none() }
    }
}

fn sizes(bench: &mut Bench) -> Result<()> {
    let root = bench.root.join("growth");
    let mut cas = Vec::new();
    for tenths in SIZES {
        let size = bench.options.size / 10 * tenths;
        let ca = CaFolder::create(&root.join(format!("ca-{tenths}")), size)?;
        let bytes = std::fs::metadata(ca.database()?)?.len();
        #[expect(clippy::cast_precision_loss, reason = "a size for a ratio")]
        let side = Side::of(bytes as f64 / f64::from(1 << 30));
        cas.push((ca, bytes, side));
    }
    let (set, back) = (root.join("set"), root.join("back"));
    for round in 0..bench.options.rounds {
        println!("growth, round {} of {}", round + 1, bench.options.rounds);
        for (ca, size, side) in &mut cas {
            let ready = || {
                wait_until_idle();
                warm_memory(2 * *size + OWN_MEMORY);
            };
            ready();
            side.copy.add(peers::copy_and_sync(&ca.database()?, &root.join("copy.db"))?);
            ready();
            side.backup.add(bench.backup(ca, &set, &["full", "--verify", "later"])?);
            ready();
            side.verify.add(run(&bench.certadm, ["verify".as_ref(), set.as_os_str()])?);
            ready();
            side.restore.add(restore(&bench.certadm, &set, &back)?);
            remove(&set)?;
            remove(&back)?;
        }
    }
    let sides: Vec<_> = cas.into_iter().map(|(_, _, side)| side).collect();
    for (verb, of) in [
        ("`cp` + `sync`", (|side| &side.copy) as fn(&Side) -> &Samples),
        ("backup", |side| &side.backup),
        ("verify", |side| &side.verify),
        ("restore", |side| &side.restore),
    ] {
        report(&mut bench.rows, verb, "GiB", "seconds a GiB", &sides, of);
    }
    remove(&root)
}

fn restore(certadm: &Path, set: &Path, back: &Path) -> Result<Measured> {
    run(certadm, ["restore".as_ref(), "--from".as_ref(), set.as_os_str(), "--dir".as_ref(), back.as_os_str()])
}

/// One run of a job that takes a full backup of each CA, one after the other.
fn numbers(bench: &mut Bench) -> Result<()> {
    let root = bench.root.join("fleet");
    std::fs::create_dir_all(&root)?;
    let passphrase = root.join("pass");
    std::fs::write(&passphrase, "a passphrase of the benchmarks\n")?;
    let most = NUMBERS.into_iter().max().unwrap_or_default();
    for number in 1..=most {
        let ca = root.join(format!("ca-{number}"));
        CaFolder::of_a_ca(&bench.certadm, &format!("Bench {number}"), &ca, &passphrase, SMALL)?;
    }
    let mut sides = Vec::new();
    for number in NUMBERS {
        let config = configuration(&root, number)?;
        #[expect(clippy::cast_precision_loss, reason = "a number for a ratio")]
        sides.push((config, Side::of(number as f64)));
    }
    for _ in 0..bench.options.rounds {
        for (config, side) in &mut sides {
            remove(&root.join("sets"))?;
            std::fs::create_dir(root.join("sets"))?;
            wait_until_idle();
            warm_memory(most as u64 * 8 * SMALL + OWN_MEMORY);
            let mut job = Command::new(&bench.certadm);
            job.env("CERTADM_JOBS", config).args(["run", "every", "--now", "full"]);
            side.backup.add(measure(&mut job)?);
        }
    }
    let sides: Vec<_> = sides.into_iter().map(|(_, side)| side).collect();
    report(&mut bench.rows, "run --now full", "CAs", "seconds a CA", &sides, |side| &side.backup);
    remove(&root)
}

/// Writes the configuration of so many CAs.
fn configuration(root: &Path, number: usize) -> Result<PathBuf> {
    // Two at a time would compare one CA with the half of two.
    let mut text = format!("state = 'state-{number}'\nat-once = 1\n");
    for ca in 1..=number {
        write!(text, "[ca.ca-{ca}]\ndir = 'ca-{ca}'\n")?;
    }
    text += "[job.every]\nca = 'all'\nto = 'sets'\nfull = 'monthly 1 00:00'\n";
    let path = root.join(format!("certadm-{number}.toml"));
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The cost of one unit at each side, against that at the middle one, and the memory. By the clock, the disk and memory that the host
/// has to give decide, too; the processor time of the program's own code is what its work takes.
fn report(
    rows: &mut Vec<Row>,
    verb: &str,
    unit: &str,
    cost: &str,
    sides: &[Side],
    of: fn(&Side) -> &Samples,
) {
    let each = |time: fn(&Samples) -> f64| -> Vec<f64> {
        sides.iter().map(|side| time(of(side)) / side.amount).collect()
    };
    let times = [("", each(Samples::median)), ("own processor ", each(Samples::processor))];
    for (place, side) in sides.iter().enumerate() {
        for (kind, each) in &times {
            let (own, middle) = (each[place], each[each.len() / 2]);
            let name = format!(
                "GROWTH {verb}, {:.1} {unit}: {kind}{cost} {own:.3}, / that of the middle",
                side.amount
            );
            rows.push(Row::plain(&name, own / middle).goal("0.85 to 1.15"));
        }
        let name = format!("GROWTH {verb}, {:.1} {unit}: peak memory, MiB", side.amount);
        rows.push(Row::plain(&name, of(side).peak_mib()).goal("<= 64"));
    }
}
