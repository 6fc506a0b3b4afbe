//! What every fuzz target demands of its input, as plain functions.
//!
//! A target takes arbitrary bytes and must return. It panics when the code under test breaks a promise: when it panics
//! itself, when what it read does not come back out, when damage goes unnoticed. So one body serves twice: the fuzzer in
//! `fuzz/` looks for inputs that break it, and this crate's tests replay every stored input on each run.
//!
//! A new target is one file in `src/` with a function `run`, its line in [`TARGETS`], and a folder with at least one
//! input in `fuzz/seeds/`.

#![forbid(unsafe_code)]

mod ese_base;
mod sealing;
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
    csra_request: "the calls of the CA's administration interface",
    csra_response: "the answers of the CA's administration interface",
    ept_map: "the endpoint mapper's calls and answers",
    ese_database: "a Windows database with damaged pages whose checksums are right",
    ese_header: "headers of Windows databases, patch pages, checkpoints and flush maps",
    ese_log: "a log of the Windows engine in either framing",
    ese_page: "one page of a Windows database",
    ese_replay: "hostile log records over a Windows database",
    ese_values: "compressed values and single log records",
    file_names: "names of logs and of files that a peer offers",
    log_header: "the header of a store's log",
    manifest: "the manifest of a backup set",
    ntlm_message: "the messages of NTLM",
    object_exporter: "the resolver's calls and answers",
    objref: "object references of DCOM",
    rem_unknown: "the Remote Unknown's calls and answers",
    restore_record: "the record of a registered restore",
    rpc_pdu: "the PDUs of DCE/RPC, as they come off a connection",
    spnego_token: "the tokens of SPNEGO",
    tagged_list: "the string lists of the backup calls and of `certbkxp.dat`",
    trailer: "the trailer page of a backup image",
    unc_paths: "paths in UNC form and back",
    variant: "configuration values as VARIANT",
}
