//! The command line of `certadm emergency-crl`.

use std::path::PathBuf;

use certadm_rules::FileTime;
use clap::{Args, Subcommand};

use crate::secrets::PassphrasesArgs;
use crate::verbs::places::ScratchArgs;
use crate::verbs::signing::AllowedArgs;
use crate::verbs::until::{UntilArgs, moment};

/// `certadm emergency-crl`
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "certadm emergency-crl [OPTIONS] --to <DIR> <SET|EDB> [LOGSET]...\n       \
                      certadm emergency-crl [OPTIONS] --to <DIR> --from-crl <FILE>\n       \
                      certadm emergency-crl finish <DIR> --signature <CRL=FILE>..."
)]
#[command(
    after_help = "Example: certadm emergency-crl /backup/monday --key ca.key --published last.crl --to crl\n\
    Example: certadm emergency-crl CertLog.edb --tbs-only --no-published --to crl --revoke 4f3a00:keyCompromise\n\
    Example: certadm emergency-crl finish crl --signature 0=base.sig --signature 0+=delta.sig\n\
    docs/recovery.md tells the whole way."
)]
pub(crate) struct EmergencyCrlArgs {
    #[command(subcommand)]
    pub(super) step: Option<Step>,
    /// A full set and the log sets that continue it, or a database of a Windows CA
    #[arg(value_name = "SET")]
    pub(super) sets: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) scratch: ScratchArgs,
    /// Make the next CRL out of this base CRL, without a database; give its delta CRL by --published
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sets", "until_generation", "until_time", "allowed_signers", "force_damaged", "scratch"])]
    pub(super) from_crl: Option<PathBuf>,
    /// Key of the CA: PKCS#12 (.pfx), or PKCS#8 in PEM, encrypted; once for each file
    #[arg(long, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) passphrase: PassphrasesArgs,
    /// The last CRLs that the CA has published, base and delta; or the folder of an earlier emergency CRL
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    pub(super) published: Vec<PathBuf>,
    /// There is no published CRL to compare with: revocations made after the backup are lost
    #[arg(long, conflicts_with = "published")]
    pub(super) no_published: bool,
    /// The folder for the CRLs and what belongs to them; it must not be there yet
    #[arg(long, value_name = "DIR", required = true)]
    pub(super) to: Option<PathBuf>,
    /// Revoke this certificate as well; the reason removeFromCRL takes a hold back
    #[arg(long, value_name = "SERIAL[:REASON[:WHEN]]")]
    pub(super) revoke: Vec<String>,
    /// The same from a CSV file: lines SERIAL,REASON,WHEN
    #[arg(long, value_name = "FILE")]
    pub(super) revoke_file: Option<PathBuf>,
    /// How long the CRLs are valid, in days; if not given, 14, or as long as the CA's own if that is more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(super) valid_days: Option<u32>,
    /// The number of the CRLs; if not given, one that the lost CA cannot have used
    #[arg(long, value_name = "N")]
    pub(super) number: Option<i64>,
    /// Go on with delta CRLs; if not given, clients are made to do without
    #[arg(long)]
    pub(super) with_delta: bool,
    /// Make no delta CRL at all
    #[arg(long, conflicts_with = "with_delta")]
    pub(super) no_delta: bool,
    /// Write what is to be signed, and sign nothing: for keys that stay where they are
    #[arg(long, conflicts_with = "key")]
    pub(super) tbs_only: bool,
    /// Sign with SHA-1 if the CA does
    #[arg(long)]
    pub(super) allow_sha1: bool,
    /// Use a database that is damaged; what cannot be read is missing from the CRL
    #[arg(long, conflicts_with = "allowed_signers")]
    pub(super) force_damaged: bool,
    #[command(flatten)]
    pub(super) until: UntilArgs,
    #[command(flatten)]
    pub(super) allowed: AllowedArgs,
    /// Make it as if it were this moment, such as 2026-11-27T10:00:00Z: to rehearse
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) now: Option<FileTime>,
}

/// Steps of their own.
#[derive(Debug, Subcommand)]
pub(super) enum Step {
    /// Take the signatures over what --tbs-only wrote, and write the CRLs
    #[command(
        after_help = "Example: certadm emergency-crl finish crl --signature 0=base.sig --signature 0+=delta.sig"
    )]
    Finish(FinishArgs),
}

/// `certadm emergency-crl finish`
#[derive(Debug, Args)]
pub(super) struct FinishArgs {
    /// The folder that --tbs-only wrote
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// A CRL as to-sign.txt names it (0, and 0+ for the delta CRL of key 0), and its signature; those that are missing can be given later
    #[arg(long, value_name = "CRL=FILE", required = true, value_parser = signature)]
    pub(super) signature: Vec<(String, PathBuf)>,
}

impl EmergencyCrlArgs {
    /// The command as the user typed it.
    pub(crate) fn name(&self) -> &'static str {
        match self.step {
            Some(Step::Finish(_)) => "emergency-crl finish",
            None => "emergency-crl",
        }
    }
}

fn signature(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((crl, file)) if !crl.is_empty() && !file.is_empty() => Ok((crl.to_owned(), file.into())),
        _ => Err("write CRL=FILE, such as 0=base.sig".to_owned()),
    }
}
