//! The way to the CA of a folder: as the owner of its database, or through the service that owns it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_client::{RemoteCa, Target, own_host_name};
use certadm_rules::unc::UncRoot;
use certadm_rules::{Hresult, TaggedList};
use certadm_session::Source;
use certadm_store::{Folder, Holder, Store, locks};

use crate::failure::{Exit, Failure};
use crate::verbs::live::open_store;

/// How a backup gets at the CA of a folder.
pub(super) enum Way {
    /// This process owns the database meanwhile.
    Folder(Arc<Store>),
    /// A service owns it, and serves it on this socket.
    Service {
        socket: PathBuf,
        /// As its lock file names it; nothing where the user named the socket.
        holder: Option<Holder>,
    },
}

/// Opens the CA's database as its owner; where a service has it already, finds the service's socket. A socket that the user
/// names goes before both.
///
/// # Errors
/// As [`open_store`]; 0x80070420 when the owner is a command, or a service without a socket.
pub(super) fn find(folder: &Folder, named: Option<&Path>) -> Result<Way, Failure> {
    if let Some(socket) = named {
        return Ok(Way::Service { socket: socket.to_owned(), holder: None });
    }
    let refused = match open_store(folder) {
        Ok(store) => return Ok(Way::Folder(Arc::new(store))),
        Err(failure) if failure.code == Hresult::ERROR_SERVICE_ALREADY_RUNNING => failure,
        Err(failure) => return Err(failure),
    };
    let Some(holder) = locks::holder(folder).filter(Holder::is_service) else { return Err(refused) };
    match (&holder.serving().socket, holder.serving().listen) {
        (Some(socket), _) => Ok(Way::Service { socket: socket.clone(), holder: Some(holder) }),
        (None, Some(address)) => {
            let remedy = format!(
                "back it up through the service, which has no Unix socket: certadm backup --server {address} --user \
                 ACCOUNT; or give the service a socket by --socket PATH"
            );
            Err(Failure { remedy, ..refused })
        }
        (None, None) => Err(refused),
    }
}

/// Connects to a service of this machine, and makes sure that the CA it serves is that of `folder`.
///
/// # Errors
/// As [`RemoteCa::connect`]; `E_INVALIDARG` when it serves another CA.
pub(super) fn through(socket: &Path, folder: &Folder) -> Result<RemoteCa, Failure> {
    let mut service = RemoteCa::connect(Target::of_socket(socket.to_owned()), None)?;
    let served = service.database_locations().map_err(certadm_set::Error::from)?;
    let own = folder.database_path()?;
    match database_of(&served) {
        Some(database) if same_file(&database, &own) => Ok(service),
        other => {
            let what = other.map_or_else(|| "another CA".to_owned(), |path| path.display().to_string());
            let text =
                format!("the service behind {} serves {what}, and not {}", socket.display(), own.display());
            let remedy = "name the socket of this CA's service, or leave --socket out: --dir finds it";
            Err(Failure { exit: Exit::Refused, ..Failure::usage(text, remedy) })
        }
    }
}

/// Where the service says that its database is. It is compared and not opened.
fn database_of(served: &TaggedList) -> Option<PathBuf> {
    let names = UncRoot::of_this_system(own_host_name()).ok()?;
    Some(names.to_path(served.database()?).ok()?.into())
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}
