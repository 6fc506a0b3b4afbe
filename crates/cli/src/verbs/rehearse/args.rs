//! The command line of `certadm rehearse`.

use std::path::PathBuf;
use std::time::Duration;

use certadm_rehearsal::Sample;
use certadm_rules::span::span;
use clap::{Args, Subcommand};

use crate::secrets::PassphrasesArgs;
use crate::verbs::signing::AllowedArgs;

/// `certadm rehearse`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "certadm rehearse [OPTIONS] <SET> [LOGSET]...\n       \
                      certadm rehearse [OPTIONS] --latest-in <DIR> [LOGSET]...\n       \
                      certadm rehearse history [OPTIONS] <DIR>"
)]
#[command(after_help = "Example: certadm rehearse /backup/monday /backup/noon --key ca.key\n\
    Example: certadm rehearse --latest-in /backup --key ca.pfx --rpo 24h --rto 1h --evidence /evidence\n\
    Example: certadm rehearse vault: --key ca.key\n\
    Example: certadm rehearse history /evidence --every 7d --html history.html\n\
    Exit status: 0 proven, 1 proven with exceptions or warnings, or a limit is not kept, 5 not proven. docs/rehearsal.md tells more.")]
pub(crate) struct RehearseArgs {
    #[command(subcommand)]
    pub(super) step: Option<Action>,
    /// A full set and the log sets that continue it, or a database of a Windows CA; or the address of sets in a repository, such
    /// as vault:latest
    #[arg(value_name = "SET", required_unless_present = "latest_in")]
    pub(super) sets: Vec<PathBuf>,
    /// Rehearse the newest full set in this folder, and the log sets there that continue it; or the newest state of the
    /// repository vault:CA
    #[arg(long, value_name = "DIR")]
    pub(super) latest_in: Option<PathBuf>,
    #[command(flatten)]
    pub(super) allowed: AllowedArgs,
    /// Key of the CA: PKCS#12 (.pfx), or PKCS#8 in PEM, encrypted; once for each file. It stays in memory
    #[arg(long, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) passphrase: PassphrasesArgs,
    /// The key cannot leave its place, such as an HSM: what needs it is rehearsed there
    #[arg(long, conflicts_with = "key")]
    pub(super) external_key: bool,
    /// A folder with ca.toml and ca.crt, in the place of what the sets hold; if not given, Identity in them or SET.identity
    #[arg(long, value_name = "DIR")]
    pub(super) identity: Option<PathBuf>,
    /// The CRL that the CA has published last
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) published: Vec<PathBuf>,
    /// How many certificates are checked, of those issued and of those revoked each; or all
    #[arg(long, value_name = "N|all", default_value = "200", value_parser = sample)]
    pub(super) sample: Sample,
    /// The longest time whose certificates may be lost, such as 24h (recovery point objective)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) rpo: Option<Duration>,
    /// The longest time until the CA is back, such as 1h (recovery time objective)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) rto: Option<Duration>,
    /// What people need in addition until the CA is back, such as 30min
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    pub(super) by_hand: Duration,
    /// The folder of evidence: a file and a page are added
    #[arg(long, value_name = "DIR")]
    pub(super) evidence: Option<PathBuf>,
    /// Write the page of this rehearsal to a file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the figures to a file in the format of Prometheus, over the one that is there; with --evidence
    #[arg(long, value_name = "FILE", requires = "evidence")]
    pub(super) prometheus: Option<PathBuf>,
    /// Fewer certificates than at the last rehearsal are right: rows were deleted on purpose
    #[arg(long)]
    pub(super) accept_fewer: bool,
    /// Leave the CRLs that are signed in this folder, which must not be there yet. Keep it as you keep the key
    #[arg(long, value_name = "DIR")]
    pub(super) spare_crl: Option<PathBuf>,
    /// Where to make the scratch folder; the system's folder for temporary files if left out
    #[arg(long, value_name = "DIR")]
    pub(super) within: Option<PathBuf>,
    /// Leave the scratch folder behind; no key is in it
    #[arg(long)]
    pub(super) keep: bool,
}

/// What else `certadm rehearse` does.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// What a folder of evidence shows: each rehearsal, whether its chain holds, how long nothing was proven
    #[command(after_help = "Example: certadm rehearse history /evidence --every 7d --html history.html\n\
        Exit status: 0 in order, 1 a gap, or the last rehearsal has exceptions, 5 the chain does not hold, or the last \
        rehearsal proved nothing.")]
    History(HistoryArgs),
}

/// `certadm rehearse history`
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The folder of evidence
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// How often a rehearsal is to prove something: a longer time is told as a gap
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) every: Option<Duration>,
    /// Write the history to a page
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write the figures to a file in the format of Prometheus, over the one that is there
    #[arg(long, value_name = "FILE")]
    pub(super) prometheus: Option<PathBuf>,
}

impl RehearseArgs {
    /// The command as the user typed it.
    pub(crate) fn name(&self) -> &'static str {
        match self.step {
            Some(Action::History(_)) => "rehearse history",
            None => "rehearse",
        }
    }
}

fn sample(text: &str) -> Result<Sample, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(Sample::All),
        (_, Ok(count)) if (1..=1_000_000).contains(&count) => Ok(Sample::Of(count)),
        _ => Err("give a number from 1 to 1000000, or all".to_owned()),
    }
}

/// `90s`, `30min`, `24h`, `7d`, `1w2d`.
fn duration(text: &str) -> Result<Duration, String> {
    span(text).map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration took spans of several units, and the command line did not.
    #[test]
    fn spans_of_time_are_written_as_in_the_configuration() {
        for (text, seconds) in [("1w2d", 9 * 86_400), ("1h30min", 5_400), ("30min", 1_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(duration("24hours").is_err());
    }
}
