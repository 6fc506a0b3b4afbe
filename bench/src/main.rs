//! `cargo xtask bench`: certadm beside its peers, A B A B on one machine, medians and ratios.
//!
//! Each round waits for an idle machine, empties nothing, and runs every side once. A ratio above 1 means certadm is
//! faster. The numbers of a run belong together; quote no two from different runs.

mod data;
mod distance;
mod domain;
mod error;
mod ese;
mod ese_ca;
mod ese_data;
mod ese_logs;
mod fleet;
mod growth;
mod handshake;
#[cfg(test)]
mod hot;
mod logs;
mod lost;
mod online;
mod peers;
mod process;
mod proxy;
mod rehearse;
mod repo;
mod repo_remote;
mod run;
mod samba;
mod seal_speed;
mod sealed;
mod sshd;
mod table;

use std::path::{Path, PathBuf};

use crate::data::CaFolder;
use crate::error::Result;
use crate::process::{Measured, run, wait_until_idle};
use crate::run::{Bench, Options, remove};
use crate::table::{Row, Samples};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == sealed::CLIENT).is_some() {
        return sealed::client(arguments);
    }
    let options = parse(arguments)?;
    let certadm = built_certadm()?;
    let root = tempfile::Builder::new().prefix("certadm-bench-").tempdir_in(&options.within)?;
    println!("machine: {}", process::machine());
    println!("size: {} MiB, rounds: {}, {}", options.size >> 20, options.rounds, process::version(&certadm));
    let mut bench = Bench { options, certadm, root: root.path().to_owned(), rows: Vec::new() };
    let ended = bench.run();
    // What was measured before an error is not lost.
    table::print(&bench.rows);
    ended
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options { size: 1 << 30, rounds: 5, within: std::env::temp_dir(), only: Vec::new() };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} takes a value"));
        match arg.as_str() {
            "--size-mib" => options.size = value()?.parse::<u64>()? << 20,
            "--rounds" => options.rounds = value()?.parse()?,
            "--within" => options.within = value()?.into(),
            "--only" => options.only.push(value()?.to_uppercase()),
            _ => {
                return Err(
                    "usage: certadm-bench [--size-mib N] [--rounds N] [--within DIR] [--only NAME]...".into(),
                );
            }
        }
    }
    Ok(options)
}

/// The release binary, built now if it is not up to date.
fn built_certadm() -> Result<PathBuf> {
    let status = std::process::Command::new("cargo")
        .args(["build", "--release", "--quiet", "--bin", "certadm"])
        .status()?;
    if !status.success() {
        return Err("certadm does not build".into());
    }
    let beside = std::env::current_exe()?;
    let folder = beside.parent().ok_or("no folder")?;
    Ok(folder.join("certadm"))
}

impl Bench {
    fn run(&mut self) -> Result<()> {
        if self.wants("START") {
            self.start()?;
        }
        if self.wants("ONLINE") {
            online::run(self)?;
        }
        if self.wants("SEALED") {
            sealed::run_all(self)?;
        }
        if self.wants("SEALED-KRB") {
            sealed::run_kerberos(self)?;
        }
        if self.wants("DISTANCE") {
            distance::run_all(self)?;
        }
        ese::run_all(self)?;
        lost::run_all(self)?;
        if self.wants("LOGS") {
            logs::run(self)?;
        }
        rehearse::run_all(self)?;
        growth::run_all(self)?;
        fleet::run_all(self)?;
        repo::run_all(self)?;
        repo_remote::run_all(self)?;
        let transfers = ["LOCAL", "VERIFY", "RESTORE", "INCR"];
        if transfers.iter().any(|name| self.wants(name)) {
            let ca = CaFolder::create(&self.root.join("ca"), self.options.size)?;
            self.transfers(&ca)?;
        }
        if self.wants("MEM") {
            self.memory()?;
        }
        Ok(())
    }

    /// START: what a person waits for.
    fn start(&mut self) -> Result<()> {
        let (mut ours, mut borg) = (Samples::default(), Samples::default());
        for _ in 0..self.options.rounds {
            ours.add(run(&self.certadm, ["--help"])?);
            borg.add(run("borg", ["--version"])?);
        }
        self.rows.push(Row::ratio("START --help", &ours, "borg --version", &borg).goal("<= 10 ms"));
        Ok(())
    }

    fn transfers(&mut self, ca: &CaFolder) -> Result<()> {
        let set = self.root.join("set");
        let peers = peers::Peers::create(&self.root)?;
        let mut sides = Sides::default();
        for round in 0..self.options.rounds {
            println!("round {} of {}", round + 1, self.options.rounds);
            remove(&set)?;
            // What is only read back and compared leaves the logs at the CA; the checked set is the base of what follows.
            wait_until_idle();
            sides.backup.add(self.backup(ca, &set, &["full", "--verify", "later"])?);
            remove(&set)?;
            wait_until_idle();
            sides.checked.add(self.backup(ca, &set, &["full"])?);
            wait_until_idle();
            sides.cp.add(peers::copy_and_sync(&ca.database()?, &self.root.join("copy.db"))?);
            wait_until_idle();
            sides.sqlite.add(peers.sqlite_backup(&ca.database()?)?);
            wait_until_idle();
            sides.sqlite_checked.add(peers.sqlite_backup_and_check(&ca.database()?)?);

            // One percent of the database changes; then the logs alone, and a second restic backup.
            if round == 0 {
                peers.restic_backup(&ca.database()?)?;
                peers.borg_create(&ca.database()?)?;
            }
            ca.change_one_percent()?;
            let logs = self.root.join("logs");
            remove(&logs)?;
            wait_until_idle();
            sides.logs.add(self.backup(ca, &logs, &["logs"])?);
            wait_until_idle();
            sides.restic_again.add(peers.restic_backup(&ca.database()?)?);

            wait_until_idle();
            sides.verify.add(run(&self.certadm, ["verify".as_ref(), set.as_os_str()])?);
            wait_until_idle();
            sides.restic_check.add(peers.restic_check()?);
            wait_until_idle();
            sides.borg_check.add(peers.borg_check()?);

            let back = self.root.join("back");
            remove(&back)?;
            let (from, dir) = (set.as_os_str(), back.as_os_str());
            wait_until_idle();
            sides.restore.add(run(
                &self.certadm,
                ["restore".as_ref(), "--from".as_ref(), from, "--dir".as_ref(), dir],
            )?);
            wait_until_idle();
            sides.restic_restore.add(peers.restic_restore()?);
            wait_until_idle();
            sides.restic_restore_checked.add(peers.restic_restore_and_check()?);
        }
        sides.report(&mut self.rows);
        Ok(())
    }

    /// MEM: whether four times the size takes more memory; nothing is timed, so nobody has to be beside it.
    fn memory(&mut self) -> Result<()> {
        let size = self.options.size * 4;
        let root = self.root.join("large");
        let ca = CaFolder::create(&root.join("ca"), size)?;
        let (set, back) = (root.join("set"), root.join("back"));
        let (mut backup, mut verify, mut restore) =
            (Samples::default(), Samples::default(), Samples::default());
        backup.add(self.backup(&ca, &set, &["full"])?);
        verify.add(run(&self.certadm, ["verify".as_ref(), set.as_os_str()])?);
        let args =
            ["restore".as_ref(), "--from".as_ref(), set.as_os_str(), "--dir".as_ref(), back.as_os_str()];
        restore.add(run(&self.certadm, args)?);
        for (verb, samples) in [("the full backup", backup), ("verify", verify), ("the restore", restore)] {
            let name = format!("MEM peak of {verb} at {} MiB, MiB", size >> 20);
            self.rows.push(Row::plain(&name, samples.peak_mib()).goal("<= 64"));
        }
        remove(&root)
    }

    /// A backup; `how` is the kind and further options.
    pub(crate) fn backup(&self, ca: &CaFolder, set: &Path, how: &[&str]) -> Result<Measured> {
        let mut args: Vec<&std::ffi::OsStr> = vec![
            "backup".as_ref(),
            "--dir".as_ref(),
            ca.path().as_os_str(),
            "--to".as_ref(),
            set.as_os_str(),
            // The CA of the benchmarks is a database alone.
            "--no-identity".as_ref(),
            "--type".as_ref(),
        ];
        args.extend(how.iter().map(std::ffi::OsStr::new));
        run(&self.certadm, args)
    }
}

#[derive(Default)]
struct Sides {
    backup: Samples,
    checked: Samples,
    cp: Samples,
    sqlite: Samples,
    sqlite_checked: Samples,
    logs: Samples,
    restic_again: Samples,
    verify: Samples,
    restic_check: Samples,
    borg_check: Samples,
    restore: Samples,
    restic_restore: Samples,
    restic_restore_checked: Samples,
}

impl Sides {
    fn report(&self, rows: &mut Vec<Row>) {
        rows.push(Row::ratio("LOCAL full backup", &self.backup, "cp + sync", &self.cp).goal(">= 0.9"));
        rows.push(
            Row::ratio("LOCAL full backup", &self.backup, "sqlite3 .backup + sync", &self.sqlite)
                .goal(">= 1.0"),
        );
        let peer = "sqlite3 .backup + integrity_check + sync";
        rows.push(Row::ratio("LOCAL-CHECKED full backup", &self.checked, peer, &self.sqlite_checked));
        rows.push(
            Row::ratio("VERIFY", &self.verify, "restic check --read-data", &self.restic_check).goal(">= 1.5"),
        );
        rows.push(Row::ratio("VERIFY", &self.verify, "borg check --verify-data", &self.borg_check));
        rows.push(
            Row::ratio("RESTORE with recovery", &self.restore, "restic restore", &self.restic_restore)
                .goal(">= 1.3"),
        );
        let peer = "restic restore + sqlite3 integrity_check";
        rows.push(
            Row::ratio("RESTORE with recovery and checks", &self.restore, peer, &self.restic_restore_checked)
                .goal(">= 1.5"),
        );
        rows.push(Row::ratio("INCR logs after 1 %", &self.logs, "restic backup again", &self.restic_again));
        let budget = 0.03 * self.checked.median() + 0.050;
        rows.push(
            Row::plain("INCR seconds / (0.03 x full + 50 ms)", self.logs.median() / budget).goal("<= 1"),
        );
        rows.push(Row::plain("MEM peak of the full backup, MiB", self.checked.peak_mib()).goal("<= 64"));
        rows.push(Row::plain("MEM peak of the restore, MiB", self.restore.peak_mib()).goal("<= 64"));
        rows.push(Row::plain("MEM peak of verify, MiB", self.verify.peak_mib()).goal("<= 64"));
    }
}
