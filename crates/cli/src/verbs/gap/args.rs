//! The command line of `certadm gap`.

use std::path::PathBuf;

use certadm_rules::FileTime;
use clap::Args;

use crate::verbs::places::ScratchArgs;
use crate::verbs::signing::AllowedArgs;
use crate::verbs::until::moment;

/// `certadm gap`
#[derive(Debug, Args)]
#[command(
    override_usage = "certadm gap [OPTIONS] <SET|EDB|DIR> [LOGSET]... [--events <FILE>...] [--certificates <PATH>...] \
                      [--ldif <FILE>...] [--crl <FILE>...]",
    after_help = "Example: certadm gap /backup/monday --events security.xml --crl last.crl --to gap\n\
    Example: certadm gap CertLog.edb --events Security.evtx --ldif users.ldif --certificates /srv/tls --to gap\n\
    docs/recovery.md tells the whole way."
)]
pub(crate) struct GapArgs {
    /// A full set and the log sets that continue it, a database of a Windows CA, the folder of our own CA, or the address
    /// of sets in a repository
    #[arg(value_name = "SET", required = true, num_args = 1..)]
    pub(super) sets: Vec<PathBuf>,
    /// Event logs of the CA or of a collector, as XML (wevtutil qe Security /f:xml /e:Events) or EVTX
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) events: Vec<PathBuf>,
    /// Certificates that turned up: files in DER, PEM or PKCS#7, or folders of them
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) certificates: Vec<PathBuf>,
    /// What a directory knows: LDIF with userCertificate
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) ldif: Vec<PathBuf>,
    /// CRLs that the CA published last
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) crl: Vec<PathBuf>,
    /// The folder for what can be done about the gap; it must not be there yet
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
    /// Leave out what happened later, such as 2026-11-27T10:00:00Z: when the CA was restored and issued again
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(super) issued_until: Option<FileTime>,
    /// Take events of this machine alone, where a log has those of several CAs
    #[arg(long, value_name = "NAME")]
    pub(super) computer: Option<String>,
    /// Use a database that is damaged; what cannot be read counts as unknown
    #[arg(long, conflicts_with = "allowed_signers")]
    pub(super) force_damaged: bool,
    #[command(flatten)]
    pub(super) allowed: AllowedArgs,
    #[command(flatten)]
    pub(super) scratch: ScratchArgs,
}
