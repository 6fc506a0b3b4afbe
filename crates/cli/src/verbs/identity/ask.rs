//! Whom the questions go to: a connection, or the folder of our own CA.

use certadm_ca::{Config, identity::Identity};
use certadm_client::{Error, RemoteCa, own_host_name};
use certadm_identity::{Answers, ConfigKey, Fetched, OwnCa, Refusal, Role, Variant, fetch};
use certadm_rules::diagnosis::{Class, chain_of};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{BackupMarks, Diagnosis};
use certadm_store::{Folder, Writer, marks};

use crate::failure::Failure;

/// What a CA behind a connection says of itself.
pub(crate) fn of_remote(ca: &mut RemoteCa) -> Fetched {
    fetch(&mut Dialled(ca))
}

struct Dialled<'a>(&'a mut RemoteCa);

impl Answers for Dialled<'_> {
    fn property(&mut self, id: i32, index: i32, kind: i32, most: usize) -> Result<Vec<u8>, Refusal> {
        self.0.raw_property(id, index, kind, most).map_err(|error| refusal(&error))
    }

    fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal> {
        let (authority, node) = match key {
            ConfigKey::Top => ("", ""),
            ConfigKey::Ca { name, node } => (name, node),
        };
        self.0.config_value(authority, node, entry).map_err(|error| refusal(&error))
    }
}

fn refusal(error: &Error) -> Refusal {
    Refusal { code: error.hresult(), text: chain_of(error), is_final: error.class() == Class::Unreachable }
}

/// What our own CA says of itself, with the files of its folder that are no secrets. They need not be asked for, so whether a
/// service has the CA does not matter.
///
/// # Errors
/// A folder that is none of a CA.
pub(crate) fn of_folder(folder: &Folder) -> Result<Fetched, Failure> {
    let config = Config::load(&folder.config_path());
    let host = own_host_name();
    let (name, interface_flags, audit_filter) = match config {
        Ok(config) => (config.name.as_str().to_owned(), config.interface_flags, config.audit_filter),
        // What is left of a CA without its configuration still tells something.
        Err(error) => (name_of(folder).ok_or(error)?, 0, 0),
    };
    let marks = Writer::open(folder).ok().and_then(|writer| marks(writer.connection()).ok());
    let mut own = OwnCa {
        folder,
        name: &name,
        host: &host,
        interface_flags,
        audit_filter,
        marks: marks.unwrap_or(BackupMarks::NONE),
    };
    let mut fetched = fetch(&mut own);
    add_files(&mut fetched, folder);
    Ok(fetched)
}

fn name_of(folder: &Folder) -> Option<String> {
    Identity::of_folder(folder).ok()??.common_name
}

/// `ca.toml` and `ca.crt`: with them and the key, a restore needs no file from anywhere else.
pub(crate) fn add_files(fetched: &mut Fetched, folder: &Folder) {
    const MAX_FILE: u64 = 1 << 20;
    for (role, path, entry) in [
        (Role::CaToml, folder.config_path(), "Config/ca.toml"),
        (Role::CaCrt, folder.certificate_path(), "Certificates/ca.crt"),
    ] {
        let source = path.display().to_string();
        match folder.own(&path).read(MAX_FILE) {
            Ok(content) => fetched.add(role, entry, &source, content),
            Err(error) => {
                let finding = Finding::warning(Kind::IdentityPart, chain_of(&error)).code(error.hresult());
                fetched.findings.push(finding.remedy(error.remedy()));
            }
        }
    }
}
