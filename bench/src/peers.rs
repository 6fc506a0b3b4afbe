//! The peers: what an administrator would use today, from Debian.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::process::{Measured, measure};
use crate::run::remove;

/// Repositories and folders of the peers.
pub(crate) struct Peers {
    root: PathBuf,
    restic: PathBuf,
    borg: PathBuf,
    /// The peers get their passwords as they want them: from a file, and from the environment.
    password: PathBuf,
}

impl Peers {
    pub(crate) fn create(root: &Path) -> Result<Self> {
        let peers = Self {
            root: root.to_owned(),
            restic: root.join("restic"),
            borg: root.join("borg"),
            password: root.join("password"),
        };
        std::fs::write(&peers.password, "bench")?;
        measure(peers.restic().arg("init"))?;
        measure(peers.borg().args(["init", "--encryption", "repokey-blake2"]).arg(&peers.borg))?;
        Ok(peers)
    }

    pub(crate) fn sqlite_backup(&self, database: &Path) -> Result<Measured> {
        self.sqlite(database, "sqlite3 -readonly \"$1\" \".backup '$2'\" && sync \"$2\"")
    }

    /// A copy that is also checked as `backup` checks its set before any log is deleted.
    pub(crate) fn sqlite_backup_and_check(&self, database: &Path) -> Result<Measured> {
        let script = "sqlite3 -readonly \"$1\" \".backup '$2'\" && sync \"$2\" && \
            test \"$(sqlite3 -readonly \"$2\" 'PRAGMA integrity_check')\" = ok";
        self.sqlite(database, script)
    }

    /// Runs a script with the database and a place for its copy.
    fn sqlite(&self, database: &Path, script: &str) -> Result<Measured> {
        let copy = self.root.join("sqlite.db");
        std::fs::remove_file(&copy).ok();
        measure(Command::new("sh").args(["-c", script, "sh"]).args([database, &copy]))
    }

    pub(crate) fn restic_backup(&self, database: &Path) -> Result<Measured> {
        measure(self.restic().arg("backup").arg(database))
    }

    pub(crate) fn restic_check(&self) -> Result<Measured> {
        measure(self.restic().args(["check", "--read-data"]))
    }

    pub(crate) fn restic_restore(&self) -> Result<Measured> {
        let target = self.root.join("restic-back");
        remove(&target)?;
        measure(self.restic().args(["restore", "latest", "--target"]).arg(&target))
    }

    /// A restore whose database is also checked, as `restore` checks the copy that it made.
    pub(crate) fn restic_restore_and_check(&self) -> Result<Measured> {
        let target = self.root.join("restic-back");
        remove(&target)?;
        let script = "restic --repo \"$1\" --password-file \"$2\" --no-cache --quiet restore latest --target \"$3\" && \
            test \"$(find \"$3\" -type f -size +1M -exec sqlite3 -readonly {} 'PRAGMA integrity_check' ';')\" = ok";
        measure(Command::new("sh").args(["-c", script, "sh"]).args([&self.restic, &self.password, &target]))
    }

    pub(crate) fn borg_create(&self, database: &Path) -> Result<Measured> {
        let archive = format!("{}::one", self.borg.display());
        measure(self.borg().args(["create", "-C", "lz4", &archive]).arg(database))
    }

    pub(crate) fn borg_check(&self) -> Result<Measured> {
        measure(self.borg().args(["check", "--verify-data"]).arg(&self.borg))
    }

    fn restic(&self) -> Command {
        let mut command = Command::new("restic");
        command.arg("--repo").arg(&self.restic).arg("--password-file").arg(&self.password).arg("--no-cache");
        command
    }

    fn borg(&self) -> Command {
        let mut command = Command::new("borg");
        command.env("BORG_PASSPHRASE", "bench").env("BORG_BASE_DIR", self.root.join("borg-base"));
        command.env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        command
    }
}

/// The least that a copy takes which outlives a crash. Nothing is left of it: neither its space, nor what the system holds of it.
pub(crate) fn copy_and_sync(database: &Path, copy: &Path) -> Result<Measured> {
    let script = "cp --reflink=never \"$1\" \"$2\" && sync \"$2\"";
    let measured = measure(Command::new("sh").args(["-c", script, "sh"]).args([database, copy]))?;
    std::fs::remove_file(copy)?;
    Ok(measured)
}
