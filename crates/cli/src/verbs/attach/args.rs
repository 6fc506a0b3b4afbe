//! The command line of `certadm attach`.

use std::path::PathBuf;

use clap::Args;

use crate::secrets::PassphrasesArgs;
use crate::verbs::places::ScratchArgs;
use crate::verbs::signing::AllowedArgs;

/// `certadm attach`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm attach /backup/monday --key ca.p12 --passphrase-file p12.pass --place 'safe 2'\n\
    Example: certadm attach /backup/monday --registry certsvc.reg --capolicy CAPolicy.inf --ldif pki.ldif\n\
    Our own: certadm attach /backup/monday --dir /srv/ca --passphrase-file ca.pass\n\
    In a repository: certadm attach vault:latest --dir /srv/ca --passphrase-file ca.pass\n\
    A key is checked and forgotten unless it is to be kept. Nothing that is there is overwritten."
)]
pub(crate) struct AttachArgs {
    /// The set; also a Windows database, or a folder that `certadm identity` wrote. A set in a repository stays as it is, and is
    /// stored once more with what is attached: of an address the full set, of =ID that set
    #[arg(value_name = "SET")]
    pub(super) set: PathBuf,
    /// Private key of the CA: PKCS#12 (.pfx, .p12) or PKCS#8 in PEM; checked, and then forgotten
    #[arg(long, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) passphrase: PassphrasesArgs,
    /// Keep the key files, encrypted as they are
    #[arg(long, requires = "key")]
    pub(super) keep: bool,
    /// Where the key is kept, in your words
    #[arg(long, value_name = "TEXT", requires = "key")]
    pub(super) place: Option<String>,
    /// A key that cannot be shown, such as one in an HSM: its provider, container, and the name of its backup
    #[arg(long, value_name = "TEXT")]
    pub(super) external_key: Vec<String>,
    /// The folder of our own CA: its ca.toml and ca.crt, and its ca.key as it is, encrypted
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// From that folder the accounts of the service (users.toml) as well
    #[arg(long, requires = "dir")]
    pub(super) users: bool,
    /// The registry key CertSvc, as `reg export` writes it
    #[arg(long, value_name = "FILE")]
    pub(super) registry: Vec<PathBuf>,
    /// CAPolicy.inf
    #[arg(long, value_name = "FILE")]
    pub(super) capolicy: Option<PathBuf>,
    /// Objects of the directory: templates, AIA, CDP, enrollment services
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) ldif: Vec<PathBuf>,
    /// The security event log (EVTX), or events as XML
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) events: Vec<PathBuf>,
    /// CRLs that the CA has published
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) crl: Vec<PathBuf>,
    /// Certificates of the CA, or of the CAs above it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) certificate: Vec<PathBuf>,
    /// Anything else: scripts, tasks, configurations of modules
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) file: Vec<PathBuf>,
    /// What those should know who need this
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Vec<String>,
    #[command(flatten)]
    pub(super) allowed: AllowedArgs,
    #[command(flatten)]
    pub(super) scratch: ScratchArgs,
}
