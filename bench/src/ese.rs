//! Windows databases: every page checked against reading the bytes, rows listed against `esedbexport`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::Result;
use certadm_ese::Database;
use certadm_ese::finding::Severity;
use certadm_ese::pager::FilePager;

use crate::ese_data;
use crate::ese_logs;
use crate::peers;
use crate::process::{Measured, measure, run, wait_until_idle};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// Rows of the listing, whatever `--size-mib` says of other sizes when it is at least one GiB.
const ROWS: u64 = 1_000_000;

/// The table whose rows are repeated where the trees are walked: its indexes follow from its rows.
const TABLE: &str = "CertificateExtensions";

/// ESE-VERIFY, ESE-REPLAY and ESE-LIST.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if bench.wants("ESE-VERIFY") {
        verify(bench)?;
    }
    if bench.wants("ESE-REPLAY") {
        replay(bench)?;
    }
    if bench.wants("ESE-LIST") {
        list(bench)?;
    }
    Ok(())
}

fn verify(bench: &mut Bench) -> Result<()> {
    let database = bench.root.join("verify.edb");
    let pages = bench.options.size / ese_data::PAGE;
    ese_data::create(&database, TABLE, |_, page| pages <= u64::from(page))?;
    walk(bench, &database)?;
    let (mut ours, mut read, mut info) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..bench.options.rounds {
        wait_until_idle();
        ours.add(run(&bench.certadm, ["verify".as_ref(), database.as_os_str()])?);
        wait_until_idle();
        read.add(measure(Command::new("sh").args(["-c", "cat \"$1\" > /dev/null", "sh"]).arg(&database))?);
        wait_until_idle();
        info.add(run("esedbinfo", [database.as_os_str()])?);
    }
    std::fs::remove_file(&database)?;
    bench.rows.push(Row::ratio("ESE-VERIFY every page", &ours, "cat > /dev/null", &read));
    bench.rows.push(Row::ratio("ESE-VERIFY every page", &ours, "esedbinfo", &info));
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let rate = (pages * ese_data::PAGE) as f64 / 1e9 / ours.median();
    bench.rows.push(Row::plain("ESE-VERIFY GB a second", rate).goal(">= 1"));
    bench.rows.push(Row::plain("ESE-VERIFY peak memory, MiB", ours.peak_mib()).goal("<= 64"));
    Ok(())
}

/// Judges every page, with the trees of the database and without them, in turns.
fn walk(bench: &mut Bench, database: &Path) -> Result<()> {
    let open = || -> Result<_> { Ok(Database::open(FilePager::new(std::fs::File::open(database)?)?)?) };
    let (mut pages, mut trees) = (Samples::default(), Samples::default());
    for round in 0..=bench.options.rounds {
        for (with_trees, samples) in [(false, &mut pages), (true, &mut trees)] {
            wait_until_idle();
            let database = open()?;
            let start = std::time::Instant::now();
            let report =
                if with_trees { database.verify(&mut |_| {}) } else { database.verify_pages(&mut |_| {}) }?;
            let seconds = start.elapsed().as_secs_f64();
            if let Some(wrong) = report.findings.iter().find(|finding| Severity::Warning <= finding.severity)
            {
                return Err(format!("the database that was made is not sound: {wrong}").into());
            }
            // The first round fills the memory of the system.
            if round != 0 {
                samples.add(Measured { seconds, processor: seconds, peak_kib: 0 });
            }
        }
    }
    let ratio = trees.median() / pages.median();
    bench.rows.push(Row::plain("ESE-VERIFY pages and trees / pages alone", ratio));
    Ok(())
}

/// How often the logs change each page.
const CHANGES: u32 = 4;

/// The logs of a database that was not closed: rehearsed by `verify`, done by `recover`. No other tool does either outside
/// Windows, so the peer is what any recovery has to do at least.
fn replay(bench: &mut Bench) -> Result<()> {
    let folder = bench.root.join("replay");
    let target = bench.root.join("recovered");
    std::fs::create_dir(&folder)?;
    let database = folder.join("replay.edb");
    let pages = bench.options.size / ese_data::PAGE;
    let leaves = ese_data::create(&database, TABLE, |_, page| pages <= u64::from(page))?;
    let logs = ese_logs::create(&database, TABLE, leaves, CHANGES)?;
    let (mut rehearsed, mut recovered, mut copied) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..bench.options.rounds {
        wait_until_idle();
        rehearsed.add(run(&bench.certadm, ["verify".as_ref(), folder.as_os_str()])?);
        wait_until_idle();
        recovered.add(run(
            &bench.certadm,
            ["recover".as_ref(), folder.as_os_str(), "--to".as_ref(), target.as_os_str()],
        )?);
        remove(&target)?;
        wait_until_idle();
        copied.add(peers::copy_and_sync(&database, &bench.root.join("copy.edb"))?);
    }
    std::fs::remove_dir_all(&folder)?;
    let name = format!("ESE-REPLAY, {} MiB of logs,", logs >> 20);
    bench.rows.push(Row::ratio(&format!("{name} verify"), &rehearsed, "cp + sync", &copied));
    bench.rows.push(Row::ratio(&format!("{name} recover"), &recovered, "cp + sync", &copied));
    bench.rows.push(Row::plain("ESE-REPLAY verify peak memory, MiB", rehearsed.peak_mib()).goal("<= 64"));
    bench.rows.push(Row::plain("ESE-REPLAY recover peak memory, MiB", recovered.peak_mib()).goal("<= 64"));
    Ok(())
}

fn list(bench: &mut Bench) -> Result<()> {
    const FULL_SIZE: u64 = 1 << 30;
    let database = bench.root.join("list.edb");
    let wanted = ROWS * bench.options.size.min(FULL_SIZE) / FULL_SIZE;
    ese_data::create(&database, "Requests", |row, _| wanted <= row)?;
    let target = bench.root.join("list");
    let (mut ours, mut peer) = (Samples::default(), Samples::default());
    for _ in 0..bench.options.rounds {
        wait_until_idle();
        ours.add(to_file(
            Command::new(&bench.certadm).arg("list").arg(&database).args(["--table", "Requests", "--csv"]),
            &bench.root.join("list.csv"),
        )?);
        remove(&bench.root.join("list.export"))?;
        wait_until_idle();
        let mut export = Command::new("esedbexport");
        export.args(["-T", "Requests", "-t"]).arg(&target).arg(&database);
        peer.add(measure(&mut export)?);
    }
    std::fs::remove_file(&database)?;
    let name = format!("ESE-LIST {wanted} rows");
    bench.rows.push(Row::ratio(&name, &ours, "esedbexport", &peer).goal(">= 5"));
    bench.rows.push(Row::plain("ESE-LIST peak memory, MiB", ours.peak_mib()).goal("<= 64"));
    Ok(())
}

/// As [`measure`], with the output in a file, as the peer writes one.
fn to_file(command: &mut Command, path: &Path) -> Result<crate::process::Measured> {
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", "out=$1; shift; exec \"$@\" > \"$out\"", "sh"]).arg(path);
    shell.arg(command.get_program()).args(words).stdin(Stdio::null());
    measure(&mut shell)
}
