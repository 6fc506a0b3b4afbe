//! What `certadm restore` is told.

use std::path::PathBuf;

use certadm_set::signing::AllowedSigners;
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::verbs::latest::{Chosen, LatestArgs};
use crate::verbs::places::ScratchArgs;
use crate::verbs::remote::RemoteArgs;
use crate::verbs::signing::AllowedArgs;
use crate::verbs::until::UntilArgs;

/// `certadm restore`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm restore --from /backup/monday --from /backup/monday-noon --dir /srv/ca\n\
        Example: certadm restore --latest-in /backup --at 2026-11-27T10:00:00Z --dir /srv/ca --dry-run",
    group = clap::ArgGroup::new("ca").args(["dir", "server", "socket"]).required(true)
)]
pub(crate) struct RestoreArgs {
    /// A set: the full one first, then its log sets in any order; or an address such as vault:latest, which stands for all
    /// of them
    #[arg(long, value_name = "SET", required_unless_present_any = ["abandon", "latest_in"])]
    pub(super) from: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) latest: LatestArgs,
    /// The CA's folder. A CA that is named by --server or --socket instead only says where the files belong (--dry-run): a
    /// restore is registered on the CA's own machine
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "socket"])]
    pub(super) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
    #[command(flatten)]
    pub(super) scratch: ScratchArgs,
    /// Check everything and say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Move a database that is there aside instead of refusing; nothing is deleted
    #[arg(long)]
    pub(super) force: bool,
    /// Register only; the CA's next start recovers
    #[arg(long)]
    pub(super) no_recover: bool,
    /// The CA's key was renewed after the set was taken: accept a database that knows only the key before it
    #[arg(long, conflicts_with = "no_recover")]
    pub(super) renewed_key: bool,
    /// Restore a set that has no manifest: nothing says then which files and bytes it should have
    #[arg(long, alias = "unsealed")]
    pub(super) incomplete: bool,
    /// Give up a restore that was interrupted, failed, or is not carried out yet, and put back what it moved aside
    #[arg(long, conflicts_with_all = ["from", "latest_in", "server", "socket", "dry_run", "force", "no_recover", "renewed_key", "incomplete", "allowed_signers", "until_generation", "until_time"])]
    pub(super) abandon: bool,
    #[command(flatten)]
    pub(super) until: UntilArgs,
    #[command(flatten)]
    pub(super) allowed: AllowedArgs,
}

impl RestoreArgs {
    /// The sets that the person names or has chosen, and how far they are used.
    ///
    /// # Errors
    /// As [`LatestArgs::choose`].
    pub(super) fn chosen(&self, allowed: Option<&AllowedSigners>, output: Output) -> Result<Chosen, Failure> {
        let chosen = self.latest.choose(allowed, output)?;
        let chosen = chosen.unwrap_or_else(|| Chosen { sets: self.from.clone(), ..Chosen::default() });
        Ok(Chosen { until: chosen.until.or(self.until.get()), ..chosen })
    }
}
