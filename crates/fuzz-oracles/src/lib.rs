#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod checksummed;
mod ese_base;
mod folder_contents;
mod hostile_ca;
mod kept_files;
mod rpc_caller;
mod script;
mod small_ca;
mod stub;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its file here and of its folders under `fuzz/`.
    pub name: &'static str,
    /// Its body. Panics when a promise is broken.
    pub run: fn(&[u8]),
}

impl Target {
    /// The target of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.iter().copied().find(|target| target.name == name)
    }
}

/// Declares the modules of the targets and lists them.
macro_rules! targets {
    ($($name:ident: $purpose:literal,)*) => {
        $(mod $name;)*

        /// Every target.
        ///
        $(#[doc = concat!("* `", stringify!($name), "`: ", $purpose)])*
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name::run }),*];
    };
}

targets! {
    activation: "activations of DCOM, asked and answered",
    auth_acceptor: "the acceptors of NTLM and SPNEGO, fed with a sequence of tokens",
    auth_unseal: "sealed messages that nobody sealed",
    certificate_request: "a request for a certificate, and what the CA makes of it",
    client_connection: "a client with a CA that answers what it likes",
    csra_request: "the calls of the CA's administration interface",
    csra_response: "the answers of the CA's administration interface",
    ept_map: "the endpoint mapper's calls and answers",
    ese_database: "a Windows database with damaged pages whose checksums are right",
    ese_header: "headers of Windows databases, patch pages, checkpoints and flush maps",
    ese_log: "a log of the Windows engine in either framing",
    ese_page: "one page of a Windows database",
    ese_replay: "hostile log records over a Windows database",
    ese_values: "compressed values and single log records",
    ese_walk: "the trees of a Windows database with damaged pages, walked and read around their damage",
    extended_error: "what a server tells beside a fault or a refused bind",
    file_names: "names of logs and of files that a peer offers",
    gap_sources: "event logs, LDIF, certificates and lists that tell what a lost CA issued",
    jobs_file: "certadm.toml, and the times of its jobs",
    kdc_places: "krb5.conf, and what DNS answers about KDCs",
    kerberos_accept: "tickets and authenticators shown to a service, and what is in them",
    kerberos_answer: "what a KDC and a service answer a client",
    kerberos_file: "keytabs and credential caches",
    kerberos_message: "the messages of Kerberos",
    kerberos_pac: "what a domain controller says of an account in a ticket",
    kerberos_unseal: "messages sealed with Kerberos that nobody sealed",
    log_header: "the header of a store's log",
    log_pages: "the packed pages of a store's log",
    lost_ca: "what a lost CA's CRL is made from: CRLs, certificates, lists of revocations",
    manifest: "the manifest of a backup set",
    ntlm_message: "the messages of NTLM",
    object_exporter: "the resolver's calls and answers",
    objref: "object references of DCOM",
    rem_unknown: "the Remote Unknown's calls and answers",
    registry_file: "registry files of Windows, and the list and configuration of an identity part",
    repository_address: "addresses of sets in repositories, the list of vaults, spans of time",
    repository_retention: "which sets of a repository may expire",
    repository_snapshot: "snapshots and trees of a repository that whoever has its key can write",
    restore_record: "the record of a registered restore",
    rpc_pdu: "the PDUs of DCE/RPC, as they come off a connection",
    sftp_answer: "what a server of SFTP sends",
    server_connection: "a connection of the service, over sequences of PDUs",
    set_folder: "a folder that may be a set, with files of any kind",
    set_signature: "signatures of sets, and lists of those whose signatures count",
    spnego_token: "the tokens of SPNEGO",
    store_content: "a set whose database a stranger has changed",
    tagged_list: "the string lists of the backup calls and of `certbkxp.dat`",
    toml_files: "the three files that people write by hand",
    trailer: "the trailer page of a backup image",
    unc_paths: "paths in UNC form and back",
    variant: "configuration values as VARIANT",
}
