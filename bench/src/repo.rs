//! REPO: a backup into a repository with everything that makes it count, beside restic and borg.

use std::path::Path;
use std::process::Command;

use crate::data::CaFolder;
use crate::error::Result;
use crate::peers::Peers;
use crate::process::{Measured, measure, wait_until_idle};
use crate::run::{Bench, remove};
use crate::table::{Row, Samples};

/// Runs the rows, if they are wanted. Each round has places of its own, so that each first backup is one.
pub(crate) fn run_all(bench: &mut Bench) -> Result<()> {
    if !bench.wants("REPO") {
        return Ok(());
    }
    let (folder, passphrase) = (bench.root.join("repo-ca"), bench.root.join("repo-passphrase"));
    std::fs::write(&passphrase, "Bench-Pa55phrase")?;
    let ca = CaFolder::of_a_ca(&bench.certadm, &folder, &passphrase, bench.options.size)?;
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
        let list = root.join("repositories.toml");
        let place = root.display();
        std::fs::write(
            &list,
            format!("[vault]\nurl = 'file://{place}/vault'\nkey-file = '{place}/{{ca}}.key'\n"),
        )?;
        let name = ca.database()?.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ours = |words: &[&str]| -> Result<Measured> {
            let mut command = Command::new(certadm);
            command.args(words).env("CERTADM_REPOSITORIES", &list).env("TMPDIR", root);
            wait_until_idle();
            measure(&mut command)
        };
        let dir = ca.path().to_string_lossy().into_owned();
        let code = root.join("code").to_string_lossy().into_owned();
        ours(&["repository", "init", "vault:", "--ca", &name, "--recovery-file", &code])?;
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
