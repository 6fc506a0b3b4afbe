//! REPO: a backup into a repository with everything that makes it count, beside restic and borg. REPO-MEM: what it takes of memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::CaFolder;
use crate::error::Result;
use crate::peers::Peers;
use crate::process::{Measured, measure, wait_until_idle};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// Runs the rows, if they are wanted. Each round has places of its own, so that each first backup is one.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if bench.options.only.iter().any(|only| only == "REPO-MEM") {
        memory(bench)?;
    }
    if !bench.wants("REPO") {
        return Ok(());
    }
    let ca = ca(bench)?;
    let mut sides = Sides::default();
    for round in 0..bench.options.rounds {
        println!("repository, round {} of {}", round + 1, bench.options.rounds);
        let root = bench.root.join("repo");
        remove(&root)?;
        std::fs::create_dir_all(&root)?;
        sides.round(&bench.certadm, &ca, &root)?;
        remove(&root)?;
    }
    sides.report(&mut bench.rows);
    remove(&bench.root.join("repo-ca"))
}

/// A CA of the run's size.
pub(crate) fn ca(bench: &Bench) -> Result<CaFolder> {
    let (folder, passphrase) = (bench.root.join("repo-ca"), bench.root.join("repo-passphrase"));
    std::fs::write(&passphrase, "Bench-Pa55phrase")?;
    CaFolder::of_a_ca(&bench.certadm, "Bench", &folder, &passphrase, bench.options.size)
}

/// The peaks of a backup, a verify and a restore without peers, for a size whose copies by all peers would fill a disk. It runs only
/// where it is named, once.
fn memory(bench: &mut Bench) -> Result<()> {
    let ca = ca(bench)?;
    let root = bench.root.join("repo");
    std::fs::create_dir_all(&root)?;
    let vault = Vault::in_folder(&bench.certadm, &root, &ca)?;
    let dir = ca.path().to_string_lossy().into_owned();
    let back = root.join("back").to_string_lossy().into_owned();
    for (what, goal, words) in [
        ("backup", "<= 128", &["backup", "--dir", &dir, "--to", "vault:"][..]),
        ("verify", "<= 64", &["verify", "vault:"]),
        ("restore", "<= 64", &["restore", "--from", "vault:", "--dir", &back]),
    ] {
        let mut samples = Samples::default();
        samples.add(vault.run(words)?);
        bench.rows.push(Row::plain(&format!("REPO-MEM peak of {what}, MiB"), samples.peak_mib()).goal(goal));
        bench.rows.push(Row::plain(&format!("REPO-MEM, seconds of {what}"), samples.median()));
    }
    remove(&root)?;
    remove(&bench.root.join("repo-ca"))
}

/// A vault with a repository for one CA.
pub(crate) struct Vault<'a> {
    certadm: &'a Path,
    root: &'a Path,
    list: PathBuf,
}

impl<'a> Vault<'a> {
    /// One in a folder.
    fn in_folder(certadm: &'a Path, root: &'a Path, ca: &CaFolder) -> Result<Self> {
        Self::create(certadm, root, ca, &format!("url = 'file://{}/vault'\n", root.display()))
    }

    /// One at a place that the lines of its table name. List, key and recovery code lie in `root`, and so do copies.
    pub(crate) fn create(certadm: &'a Path, root: &'a Path, ca: &CaFolder, table: &str) -> Result<Self> {
        let list = root.join("repositories.toml");
        let key = root.join("{ca}.key");
        std::fs::write(&list, format!("[vault]\n{table}key-file = '{}'\n", key.display()))?;
        let vault = Self { certadm, root, list };
        let name = ca.database()?.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let code = root.join("code").to_string_lossy().into_owned();
        vault.run(&["repository", "init", "vault:", "--ca", &name, "--recovery-file", &code])?;
        Ok(vault)
    }

    /// Runs the command on an idle machine.
    pub(crate) fn run(&self, words: &[&str]) -> Result<Measured> {
        let mut command = Command::new(self.certadm);
        command.args(words).env("CERTADM_REPOSITORIES", &self.list).env("TMPDIR", self.root);
        wait_until_idle();
        measure(&mut command)
    }
}

#[derive(Default)]
struct Sides {
    stored: Samples,
    backup: Samples,
    restic: Samples,
    borg: Samples,
    verify: Samples,
    restic_check: Samples,
    borg_check: Samples,
    logs: Samples,
    restic_again: Samples,
    restore: Samples,
    restic_restore: Samples,
    /// Bytes that the second full set adds, in parts of the first.
    added: Vec<f64>,
}

impl Sides {
    fn round(&mut self, certadm: &Path, ca: &CaFolder, root: &Path) -> Result<()> {
        let peers = Peers::create(root)?;
        let vault = Vault::in_folder(certadm, root, ca)?;
        let ours = |words: &[&str]| vault.run(words);
        let dir = ca.path().to_string_lossy().into_owned();
        // With read-back and proof alone, as restic is measured; then with the check of the database, which lets logs go.
        self.stored.add(ours(&["backup", "--dir", &dir, "--to", "vault:", "--verify", "later"])?);
        wait_until_idle();
        self.restic.add(peers.restic_backup(&ca.database()?)?);
        wait_until_idle();
        self.borg.add(peers.borg_create(&ca.database()?)?);
        let first = size_of(&root.join("vault"))?;
        ca.change_one_percent()?;
        self.backup.add(ours(&["backup", "--dir", &dir, "--to", "vault:"])?);
        self.added.push((size_of(&root.join("vault"))? - first) / first);
        ca.change_one_percent()?;
        self.logs.add(ours(&["backup", "--dir", &dir, "--to", "vault:", "--type", "logs"])?);
        wait_until_idle();
        self.restic_again.add(peers.restic_backup(&ca.database()?)?);
        self.verify.add(ours(&["verify", "vault:"])?);
        wait_until_idle();
        self.restic_check.add(peers.restic_check()?);
        wait_until_idle();
        self.borg_check.add(peers.borg_check()?);
        let back = root.join("back").to_string_lossy().into_owned();
        self.restore.add(ours(&["restore", "--from", "vault:", "--dir", &back])?);
        wait_until_idle();
        self.restic_restore.add(peers.restic_restore()?);
        Ok(())
    }

    fn report(&self, rows: &mut Vec<Row>) {
        let restic = "restic backup";
        rows.push(
            Row::ratio("REPO backup, read back, proved", &self.stored, restic, &self.restic).goal(">= 1.8"),
        );
        rows.push(Row::ratio("REPO the same", &self.stored, "borg create", &self.borg));
        rows.push(Row::ratio("REPO second full, database checked", &self.backup, restic, &self.restic));
        let check = "restic check --read-data";
        rows.push(Row::ratio("REPO verify", &self.verify, check, &self.restic_check).goal(">= 1.5"));
        rows.push(Row::ratio("REPO verify", &self.verify, "borg check --verify-data", &self.borg_check));
        let again = "restic backup again";
        rows.push(Row::ratio("REPO logs after 1 %", &self.logs, again, &self.restic_again).goal(">= 5"));
        let restore =
            Row::ratio("REPO restore with recovery", &self.restore, "restic restore", &self.restic_restore);
        rows.push(restore.goal(">= 1.3"));
        let added = crate::table::median(&self.added) * 100.0;
        rows.push(Row::plain("REPO added by a second full after 1 %, %", added).goal("<= 2"));
        rows.push(Row::plain("REPO peak of backup, MiB", self.stored.peak_mib()).goal("<= 128"));
        rows.push(Row::plain("REPO peak of verify, MiB", self.verify.peak_mib()).goal("<= 64"));
    }
}

/// Bytes of all files below a folder, as a number to divide by.
fn size_of(folder: &Path) -> Result<f64> {
    let mut total = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        total += match found.is_dir() {
            true => size_of(&entry.path())?,
            // Far below the numbers that a float has no place for.
            false => f64::from(u32::try_from(found.len()).unwrap_or(u32::MAX)),
        };
    }
    Ok(total)
}
